"""Every command that answers writes every format by suffix, prints it, and refuses what it has no format for."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from click.testing import CliRunner, Result

from skadvisor.cli import cli
from skadvisor.errors import InputError
from skadvisor.report import SUFFIXES

PROFILES = Path(__file__).parents[1] / "profiles"
OFF, ON = str(PROFILES / "superkernel-off"), str(PROFILES / "superkernel-on")
COMMANDS = {
    "analyze": [OFF, "--no-ledger"],
    "plan": [OFF, "--template", "attention-only", "--no-ledger"],
    "compare": [OFF, ON, "--no-ledger"],
    "screen": [OFF, "--no-ledger"],
    "verify": ["--compile-log"],
    "doctor": [OFF],
    "kernels": [OFF, "--no-ledger"],
    "calibrate": [],
    "explain": [OFF, "--kernel", "MatMul", "--no-ledger"],
}


def run(command: str, *arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["--quiet", command, *COMMANDS[command], *map(str, arguments)])


@pytest.fixture(autouse=True)
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "compile.log").write_text("no super kernel here\n")
    monkeypatch.setitem(COMMANDS, "calibrate", ["--ledger", str(tmp_path / "ledger.sqlite")])
    monkeypatch.setitem(COMMANDS, "verify", ["--compile-log", str(tmp_path / "compile.log")])


def holds(path: Path) -> Any:
    """Proof that a file is of the format that its suffix names."""
    content = path.read_bytes()
    if path.suffix == ".xlsx":
        return openpyxl.load_workbook(io.BytesIO(content)).sheetnames
    if path.suffix == ".json":
        return json.loads(content) is not None
    start = {".html": r"<!doctype html>", ".md": r"# \S", ".txt": r"(?!#|<)\S"}[path.suffix]
    return re.match(start, content.decode())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_writes_every_format(command: str, tmp_path: Path) -> None:
    files = [tmp_path / f"answer{suffix}" for suffix in SUFFIXES]
    done = run(command, *[part for file in files for part in ("-o", file)], "-o", "-", "--lang", "zh")
    assert done.exit_code == 0 or command == "verify", (done.output, done.exception)
    assert all(holds(file) for file in files)
    assert (tmp_path / "answer.txt").read_text() == done.stdout, "- is the whole text"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("arguments", [["-o", "x.foo"], ["-o", "x"], ["-o", "no/x.md"], ["-o", "-", "--json"]])
def test_every_command_refuses_before_the_work(command: str, arguments: list[str]) -> None:
    done = run(command, *arguments)
    assert isinstance(done.exception, InputError) or done.exit_code == 2
    assert done.stdout == ""
