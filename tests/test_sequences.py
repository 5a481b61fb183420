"""The language of kernel sequences: what its lines mean, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from deployments.written import FILES
from sample_builder.runs import WORDS
from sample_builder.sequences import read

CARD = "card TINY: hidden=64 heads=4 kv=2 dim=16 inter=172 vocab=512 rows=2 layers=1\n"


def defined(tmp_path: Path, text: str) -> dict[str, Any]:
    path = tmp_path / "some.kernels"
    path.write_text(CARD + text)
    return read(path, {**WORDS, "captures": {}, "counted": {}})


def rows(tmp_path: Path, body: str) -> list[tuple[str, str, str, str]]:
    """Operator, region, and shapes of what a capture of these lines holds."""
    lines = "\n".join(f"    {line}" for line in body.split("\n"))
    made = defined(tmp_path, f"capture one = TINY, steps=1\n{lines}\n")["captures"]["one"]()
    kernels = made.capture.kernels
    columns = (kernels["op_type"], made.truth["region"], kernels["input_shapes"], kernels["output_shapes"])
    return list(zip(*(column.astype(object).fillna("") for column in columns), strict=True))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("Cast wide @moe", ("Cast", "moe", "2,64", "2,64")),
        ("SwiGlu rows,2*inter -> rows,inter 2.8us @mlp", ("SwiGlu", "mlp", "2,344", "2,172")),
        ("MatMulV2 wide - 2*- rows -> wide - @mlp", ("MatMulV2", "mlp", "2,64;;;;2", "2,64;")),
        ("hcom_send_ wide -> ()", ("hcom_send_", "comm", "2,64", "")),
        ("triton _rope query @attention", ("_rope", "attention", "2,4,16", "2,4,16")),
        ('{"Muls" if tp == 1 else "Mul"} wide @norm', ("Muls", "norm", "2,64", "2,64")),
        ("each Add wide @norm", ("Add", "norm", "2,64;2,64", "2,64")),
        ("mm rows hidden 8 @head", ("MatMulV2", "head", "2,64;8,64", "2,8")),
        ("mm rows hidden 8 @head but rows=5", ("MatMulV2", "head", "2,64;8,64", "2,8")),
        ("norm but rows=5", ("RmsNorm", "norm", "5,64;64", "5,64;5,1")),
        ("norm on c.at(7)", ("RmsNorm", "norm", "7,64;64", "7,64;7,1")),
        ("if rows == 2: Cast wide @moe", ("Cast", "moe", "2,64", "2,64")),
        ("in moe:\n    Cast wide", ("Cast", "moe", "2,64", "2,64")),
    ],
)
def test_a_line_is_a_kernel(tmp_path: Path, line: str, found: tuple[str, str, str, str]) -> None:
    assert rows(tmp_path, line) == [found]


def test_lines_are_repeated_and_run_beside_others(tmp_path: Path) -> None:
    text = "capture one = TINY, steps=2\n    2x Cast wide @moe\n    beside 9:\n        Add wide @mlp\n"
    kernels = defined(tmp_path, text)["captures"]["one"]().capture.kernels
    assert list(kernels["op_type"]) == ["Cast", "Cast", "Add"] * 2
    assert list(kernels["stream"]) == [7, 7, 9] * 2


def test_figures_of_another_card_or_count_are_taken_over(tmp_path: Path) -> None:
    words = defined(
        tmp_path, "card WIDE as TINY: hidden=128\n    quant=static\ntimes A: Cast=2\ntimes B as A: Add=1.5\n"
    )
    assert words["WIDE"] == words["TINY"].but(hidden=128, quant="static")
    assert words["B"] == {"Cast": 2, "Add": 1.5}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("block one: No region.\n    Cast wide\n", "some.kernels:2: a kernel of no region"),
        ("block one in moe: A word of cards.\n    rows = 3\n", "some.kernels:2: rows is a word of the card"),
        ("block norm in moe: Known.\n    Cast wide\n", "some.kernels: defined twice: norm"),
        ("capture one = 1\ncapture one = 2\n", "two of one name: one"),
        ("block one in moe\n    Cast wide\n", "some.kernels:2: "),
    ],
)
def test_what_is_not_of_the_language_is_refused_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SyntaxError, match=re.escape(told)):
        defined(tmp_path, text)


def test_every_block_and_card_that_is_written_down_is_used() -> None:
    here = Path(__file__).parent
    files = [*here.rglob("*.kernels"), *here.glob("deployments/*.py"), *here.glob("test_*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    names = re.findall(r"^(?:block|card|times) (\w+)", text, re.MULTILINE)
    assert len(names) > 10 * len(FILES)
    assert [name for name in names if len(re.findall(rf"\b{name}\b", text)) < 2] == []
