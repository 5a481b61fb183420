"""The printed reports read back: columns add up to the printed digit, and the trace holds what the records hold."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from conftest import captures
from test_first_screens import PROFILES, REAL, SAMPLES, analysed, result_of

from skadvisor.analysis import analyze
from skadvisor.records import Result
from skadvisor.report.build import describe_result
from skadvisor.report.html import render_html
from skadvisor.report.markdown import render_markdown
from skadvisor.report.text import render_text
from skadvisor.report.trace import render_trace


@dataclass(frozen=True)
class Printed:
    """A table as a reader of the file sees it: its headings and its rows of text."""

    headings: list[str]
    rows: list[list[str]]

    def column(self, heading: str, rows: Iterable[list[str]] | None = None) -> list[float]:
        place = self.headings.index(heading)
        return [figure(row[place]) for row in (self.rows if rows is None else rows)]


def figure(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-"))


def markdown_tables(text: str) -> list[Printed]:
    """All tables of a Markdown file."""
    found = []
    for block in re.findall(r"(?m)(?:^\|.*\n?)+", text):
        heading, _ruler, *rows = [
            [re.sub(r"\\(.)", r"\1", cell).strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in block.strip().splitlines()
        ]
        found.append(Printed(heading, rows))
    return found


def text_tables(text: str) -> list[Printed]:
    """All tables of the plain text: below a heading, a line of dashes and rows whose cells stand under the headings."""
    lines = text.splitlines()
    found = []
    for place, line in enumerate(lines):
        if re.fullmatch(r"─+", line.strip()):
            heading = lines[place - 1]
            rows = [row for row in _until_blank(lines[place + 1 :]) if re.search(r" {2,}", row.strip())]
            found.append(Printed(_cells(heading), [_cells(row) for row in rows]))
    return found


def _until_blank(lines: list[str]) -> list[str]:
    return lines[: next((place for place, line in enumerate(lines) if not line.strip()), len(lines))]


def _cells(line: str) -> list[str]:
    return re.split(r" {2,}", line.strip())


def with_headings(tables: list[Printed], *headings: str) -> Printed:
    return next(table for table in tables if set(headings) <= set(table.headings))


def sample(name: str) -> Result:
    return result_of(PROFILES / name if name in SAMPLES else captures(*name.split("/")))


@cache
def tables_of(name: str, kind: str) -> list[Printed]:
    document = describe_result(sample(name))
    if kind == "markdown":
        return markdown_tables(render_markdown(document))
    return text_tables(render_text(document, width=2000, detail=True))


def adds_up(parts: Iterable[float], whole: float) -> bool:
    return round(sum(parts), 1) == round(whole, 1)


NAMES = [*SAMPLES, *REAL]
FORMATS = ("markdown", "text")
WAITS = ("gaps inside regions (µs)", "gaps between regions (µs)", "gaps waiting for the host (µs)")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", NAMES)
def test_regions_and_gaps_add_up_to_the_step(name: str, kind: str) -> None:
    tables = tables_of(name, kind)
    regions = with_headings(tables, "Phase", "Region", "Exposed (µs)")
    phases = with_headings(tables, "Phase", "Wall time (µs)", "Tokens")
    steps = with_headings(tables, "Step (#)", "Gaps (µs)")
    assert {row[0] for row in phases.rows} == {row[0] for row in regions.rows} and phases.rows
    for row in phases.rows:
        (wall,), (busy,) = phases.column("Wall time (µs)", [row]), phases.column("Kernels (µs)", [row])
        gaps = [
            phases.column(heading, [row])[0] for heading in phases.headings if heading.startswith(("gaps", "waits"))
        ]
        assert len(gaps) >= 3 and adds_up([busy, *gaps], wall)
        mine = [one for one in regions.rows if one[0] == row[0]]
        assert adds_up(regions.column("Exposed (µs)", mine), wall)
        assert adds_up(regions.column("Share of step (%)", mine), 100.0)
    for row in steps.rows:
        (wall,) = steps.column("Wall time (µs)", [row])
        assert adds_up([*steps.column("Kernels (µs)", [row]), *steps.column("Gaps (µs)", [row])], wall)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", NAMES)
def test_operators_add_up_to_the_kernels_of_the_step(name: str, kind: str) -> None:
    tables, result = tables_of(name, kind), sample(name)
    operators = with_headings(tables, "Operator", "Share of kernels (%)")
    uses = with_headings(tables, "Role", "Kernels (count)", "Total (µs)")
    step = next(one for one in result.steps if one.index == result.phases[result.phase].step)
    assert sum(operators.column("Kernels (count)")) == sum(uses.column("Kernels (count)")) == step.kernels
    assert adds_up(operators.column("Share of kernels (%)"), 100.0)
    assert adds_up(uses.column("Total (µs)"), sum(operators.column("Total (µs)")))
    for row in operators.rows:
        (total,) = operators.column("Total (µs)", [row])
        mine = [use for use in uses.rows if use[uses.headings.index("Operator")] == row[0]]
        assert adds_up(uses.column("Total (µs)", mine), total)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in ("dense-eager-host-bound", "superkernel-on")])
def test_terms_add_up_to_the_estimate(name: str, kind: str) -> None:
    tables = tables_of(name, kind)
    terms, templates = with_headings(tables, "Term", "Basis"), with_headings(tables, "Template", "Estimate (µs)")
    for band in ("Low (µs)", "Middle (µs)", "High (µs)"):
        *parts, whole = terms.column(band)
        assert adds_up(parts, whole)
    shown = {row[templates.headings.index("Estimate (µs)")] for row in templates.rows}
    assert terms.rows[-1][terms.headings.index("Middle (µs)")] in shown


@pytest.mark.parametrize("name", NAMES)
def test_one_step_has_one_figure_everywhere(name: str) -> None:
    """The first screen, the tables, the picture and the JSON speak of the same step."""
    result = sample(name)
    document = describe_result(result)
    said = re.search(
        r"step \d+: ([\d,.]+) µs = kernels ([\d,.]+) µs \+ gaps ([\d,.]+) µs", render_text(document, width=200)
    )
    assert said
    wall, busy, gaps = map(figure, said.groups())
    record = result.phases[result.phase]
    assert adds_up([busy, gaps], wall) and wall == round(record.wall_us, 1)
    assert f"{wall:,.1f}\N{NO-BREAK SPACE}µs" in render_html(document)
    brief = with_headings(text_tables(render_text(document, width=200)), "Region", "Exposed (µs)")
    assert adds_up(brief.column("Exposed (µs)"), wall) and adds_up(brief.column("Share of step (%)"), 100.0)
    if result.recommendation.ground in ("host", "wait"):
        pct = re.search(r"([\d.]+) % of the (?:decode )?step", document.summary.headline)
        assert pct and pct[1] in next(points.lines[0] for points in document.summary.lists if "costs" in points.title)


def trace_of(name: str) -> tuple[Result, list[dict[str, Any]]]:
    found = analysed(name) if name in SAMPLES else analyze(captures(*name.split("/")))
    return found.result, json.loads(gzip.decompress(render_trace(found.result, found.kernels, found.steps)))[
        "traceEvents"
    ]


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "moe-two-ranks"] + ["qwen2.5-0.5b-vllm-eager"])
def test_the_trace_is_read_strictly_and_holds_the_records(name: str) -> None:
    """Lanes nest, no event is lost, and each fragment of the records is one slice with its kernels."""
    result, events = trace_of(name)
    slices = [event for event in events if event["ph"] == "X"]
    assert {event["ph"] for event in events} == {"M", "X"}
    lanes: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for event in slices:
        assert event["ts"] >= 0 and event["dur"] >= 0 and event["name"] and json.dumps(event["args"])
        lanes.setdefault((event["pid"], event["tid"]), []).append(event)
    for lane in lanes.values():
        end = 0
        for event in sorted(lane, key=lambda one: (one["ts"], one["dur"])):
            start = round(event["ts"] * 1000)
            assert start >= end, "slices of a lane follow each other"
            end = start + round(event["dur"] * 1000)
    step = result.phases[result.phase].step
    mine = {event["tid"] for event in events if event["args"].get("name", "").startswith("fragments")}
    inside = [one for (process, tid), lane in lanes.items() if process == 1 and tid in mine for one in lane]
    fragments = [one["args"] for one in inside if one["args"]["step"] == step]
    chosen = [one for one in result.templates if one.name == result.recommendation.choice] or [None]
    if chosen[0] is not None:
        assert chosen[0].fragments is not None and len(fragments) == chosen[0].fragments.count
    drawn = {one["fragment"]: one["kernels"] for one in fragments}
    for layer in result.typical_layers:
        if layer.step == step:
            for fragment in layer.fragments:
                assert drawn[fragment.fragment] == fragment.kernels
    shown = [event for event in slices if event["pid"] == 2]
    assert len(shown) == sum(capture.kernels for capture in result.captures[:1])


def test_fragments_of_the_picture_are_those_of_the_records() -> None:
    result = analysed("moe-decode").result
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
