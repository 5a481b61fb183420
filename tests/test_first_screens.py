"""The first screens as people see them, and the figures in the printed reports added up."""

from __future__ import annotations

import gzip
import json
import re
from functools import cache
from pathlib import Path

import pytest
from conftest import REPOSITORY
from example_results import eager_refusal, moe_decode, toy_decode, training_refusal
from rich.cells import cell_len

from skadvisor.analysis import Analysis, analyze
from skadvisor.records import Result
from skadvisor.report.build import describe_result
from skadvisor.report.document import Document, Table
from skadvisor.report.html import render_html
from skadvisor.report.text import render_text
from skadvisor.report.trace import render_trace

GOLDEN = Path(__file__).parent / "first_screens"
SAMPLES = ("moe-decode", "dense-eager-host-bound", "superkernel-on", "dense-prefill-decode")
#: Kind of answer -> a result of that kind.
KINDS = {
    "scope": moe_decode,
    "noise": toy_decode,
    "host-bound": eager_refusal,
    "training": training_refusal,
    "superkernel-on": lambda: sample("superkernel-on"),
}


@cache
def analysed(name: str) -> Analysis:
    return analyze(REPOSITORY / "profiles" / name)


def sample(name: str) -> Result:
    return analysed(name).result


def first_screen(document: Document) -> str:
    """What a terminal shows above the tables."""
    return render_text(document).partition("\n\n")[0] + "\n"


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_first_screen_is_the_one_that_was_reviewed(kind: str, language: str) -> None:
    """Refresh a file only for a change that is meant: it is what people see first."""
    shown = first_screen(describe_result(KINDS[kind](), language))
    assert shown.count("\n") <= 25
    assert shown == (GOLDEN / f"{kind}.{language}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_terminal_shows_at_most_45_lines_and_breaks_no_name(name: str, language: str) -> None:
    result = sample(name)
    document = describe_result(result, language)
    lines = render_text(document, width=100).splitlines()
    assert len(lines) <= 45
    narrow = render_text(document, width=80)
    assert max(cell_len(line) for line in narrow.splitlines()) <= 80
    for template in result.templates if result.recommendation.ground in ("gain", "noise") else ():
        assert template.estimate is None or template.name in narrow


def figure(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-"))


def column(table: Table, title: str) -> int:
    return next(place for place, one in enumerate(table.columns) if one.title == title)


@pytest.mark.parametrize("name", SAMPLES)
def test_printed_figures_add_up(name: str) -> None:
    """Regions and gaps to the step in each phase, kernels and gaps too; the same step stands in text and picture."""
    result = sample(name)
    document = describe_result(result)
    tables = {table.name: table for section in document.sections for table in section.tables}
    regions, phases = tables["regions"], tables["phases"]
    for row in phases.rows:
        phase, wall = row[0].text, figure(row[column(phases, "Wall time")].text)
        busy = figure(row[column(phases, "Kernels")].text)
        idle = [place for place, one in enumerate(phases.columns) if one.title.startswith("gaps")]
        gaps = [figure(row[place].text) for place in idle]
        assert round(busy + sum(gaps), 1) == wall
        for rows in (regions.rows, regions.brief if phase == result.phase else regions.rows):
            mine = [one for one in rows if one[0].text == phase]
            assert round(sum(figure(one[column(regions, "Exposed")].text) for one in mine), 1) == wall
            assert round(sum(figure(one[column(regions, "Share of step")].text) for one in mine), 1) == 100.0
    wall = figure(next(row for row in phases.rows if row[0].text == result.phase)[column(phases, "Wall time")].text)
    said = re.search(r"step \d+: ([\d,.]+) µs = kernels ([\d,.]+) µs \+ gaps ([\d,.]+) µs", render_text(document))
    assert said and figure(said[1]) == wall == round(figure(said[2]) + figure(said[3]), 1)
    assert f"{wall:,.1f}\N{NO-BREAK SPACE}µs" in render_html(document)


def test_fragments_of_the_picture_are_those_of_the_records() -> None:
    result = sample("moe-decode")
    template = next(one for one in result.templates if one.name == result.recommendation.choice)
    assert template.fragments is not None
    for layer in result.typical_layers:
        numbers = {kernel.fragment for kernel in layer.kernels} - {None}
        assert numbers == {fragment.fragment for fragment in layer.fragments}
        assert max(numbers) < template.fragments.count
        for fragment in layer.fragments:
            here = sum(kernel.fragment == fragment.fragment for kernel in layer.kernels)
            assert here <= fragment.kernels
            alone = fragment.first_layer == fragment.last_layer == layer.layer
            assert (here == fragment.kernels) == alone or fragment.first_layer is None


def test_the_trace_has_every_fragment_of_the_records_in_one_lane() -> None:
    found = analysed("moe-decode")
    template = next(one for one in found.result.templates if one.name == found.result.recommendation.choice)
    events = json.loads(gzip.decompress(render_trace(found.result, found.kernels, found.steps)))["traceEvents"]
    (lane,) = [event["tid"] for event in events if event["ph"] == "M" and event["args"].get("name") == "fragments"]
    drawn = [event["args"] for event in events if event["ph"] == "X" and event["tid"] == lane]
    step = found.result.phases[found.result.phase].step
    mine = [fragment for fragment in drawn if fragment["step"] == step]
    assert template.fragments is not None
    assert len({fragment["fragment"] for fragment in mine}) == len(mine) == template.fragments.count


def test_operators_count_every_kernel_of_the_step_once() -> None:
    result = sample("moe-decode")
    step = next(one for one in result.steps if one.index == result.phases[result.phase].step)
    assert sum(operator.kernels for operator in result.operators) == step.kernels
    assert sum(operator.share for operator in result.operators) == pytest.approx(1.0)
    for operator in result.operators:
        assert sum(use.kernels for use in operator.uses) == operator.kernels
        assert sum(use.total_us for use in operator.uses) == pytest.approx(operator.total_us)
