"""The first screens as people see them, and the width and length of what a terminal shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY, captures
from rich.cells import cell_len
from small_tables import capture_of
from test_fit import graph_network
from test_labelling_deployments import NO_DECODERS

from skadvisor.analysis import Analysis, analyze, analyze_capture
from skadvisor.capture import load
from skadvisor.errors import SkadvisorError
from skadvisor.events import Capture
from skadvisor.ranks.analysis import analyze_ranks
from skadvisor.records import Result
from skadvisor.report.build import describe_result
from skadvisor.report.text import render_text

GOLDEN = Path(__file__).parent / "first_screens"
PROFILES = REPOSITORY / "profiles"
SAMPLES = sorted(manifest.parent.name for manifest in PROFILES.glob("*/manifest.toml"))
#: Real captures beside the repository: a folder or a file each.
REAL = (
    "qwen2.5-0.5b-vllm-eager",
    "qwen2.5-0.5b-vllm-piecewise-graph",
    "qwen3-0.6b-training",
    "alexnet-training-modules/text",
    "alexnet-training-modules/db",
    "optimizer-trace",
    "superkernel-pairs/fifty-layers-off_op_summary.csv",
    "superkernel-pairs/fifty-layers-on_op_summary.csv",
    "superkernel-pairs/gelu-net-off_op_summary.csv",
    "superkernel-pairs/gelu-net-on_op_summary.csv",
    "msprof-format-samples/msprof_0.db",
)


@cache
def analysed(name: str) -> Analysis:
    return analyze(PROFILES / name)


@cache
def result_of(path: Path) -> Result:
    return analyze_ranks(path, workers=1).result


def prefill_only() -> Analysis:
    """A sample of which only the prefill was recorded."""
    capture, steps = load(PROFILES / "dense-prefill-decode"), analysed("dense-prefill-decode").steps
    end = int(steps.loc[steps["phase"] == "prefill", "end_ns"].max())
    return analyze_capture(before(capture, end))


def before(capture: Capture, end_ns: int) -> Capture:
    from dataclasses import replace

    kernels = capture.kernels
    return replace(capture, kernels=kernels[np.asarray(kernels["start_ns"]) < end_ns].reset_index(drop=True))


#: Kind of answer -> an analysis that gives it.
KINDS: dict[str, Callable[[], Analysis]] = {
    "scope": lambda: analysed("superkernel-off"),
    "noise": lambda: analysed("dense-ge-decode"),
    "host-bound": lambda: analysed("dense-eager-host-bound"),
    "superkernel-on": lambda: analysed("superkernel-on"),
    "training": lambda: analyze_capture(NO_DECODERS["training-with-recomputation"]().capture),
    "no-decoder": lambda: analyze_capture(capture_of(graph_network() * 4)),
    "too-little": prefill_only,
}
kind_of = cache(lambda kind: KINDS[kind]().result)


def first_screen(result: Result, language: str) -> str:
    """What a terminal shows above the tables."""
    return render_text(describe_result(result, language)).partition("\n\n")[0] + "\n"


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_first_screen_is_the_one_that_was_reviewed(kind: str, language: str) -> None:
    """Refresh a file only for a change that is meant: it is what people see first."""
    shown = first_screen(kind_of(kind), language)
    assert shown.count("\n") <= 25
    assert shown == (GOLDEN / f"{kind}.{language}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_a_chinese_first_screen_holds_no_english_sentence(kind: str) -> None:
    """Names of operators, templates, commands and files stay; four English words in a row are a sentence."""
    for line in first_screen(kind_of(kind), "zh").splitlines():
        assert not re.search(r"(?:\b[A-Za-z]{2,} ){3}[A-Za-z]{2,}\b", re.sub(r"skadvisor \w+( [A-Z]+)*", "", line)), (
            line
        )


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", [*SAMPLES, *REAL])
def test_a_terminal_shows_at_most_45_lines_and_breaks_no_name(name: str, language: str) -> None:
    result = result_of(PROFILES / name if name in SAMPLES else captures(*name.split("/")))
    document = describe_result(result, language)
    lines = render_text(document, width=100).splitlines()
    assert len(lines) <= 45
    assert max(map(cell_len, lines)) <= 100
    narrow = render_text(document, width=80)
    assert max(map(cell_len, narrow.splitlines())) <= 80
    # A word that only the narrow view has, and that is a part of a name, is a name in pieces.
    pieces = words_of(narrow) - words_of(render_text(document, width=1000))
    assert not {piece for piece in pieces for name in names(result) if piece in name and piece != name}
    assert not re.search(r"(?m)\d$\n\s*(?:%|µs)", narrow), "no line breaks before a unit"


def words_of(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z0-9_./:-]{3,}", text))


def names(result: Result) -> set[str]:
    """What has a name: templates, operators, regions, the capture."""
    found = {template.name for template in result.templates} | {region.region for region in result.regions}
    found |= {breaker.op_type for template in result.templates for breaker in template.breakers}
    return found | {part for capture in result.captures for part in capture.name.split("/")}


def test_what_holds_too_little_says_so_in_two_lines(tmp_path: Path) -> None:
    capture = before(load(PROFILES / "dense-ge-decode"), 0)
    with pytest.raises(SkadvisorError) as caught:
        analyze_capture(capture)
    assert str(caught.value).count("\n") <= 1
