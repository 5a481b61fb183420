"""A comparison put into words: the verdict and the picture of both steps, then what it rests on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from skadvisor.advice.summary import ranges
from skadvisor.comparison.records import Comparison, RankChange, SuperKernelChange
from skadvisor.comparison.statistics import Spread
from skadvisor.report.cells import Grid, Row, number, signed, text
from skadvisor.report.document import Cell, Document, Figure, Item, Points, Section, Summary, Table
from skadvisor.report.figures import DIGITS
from skadvisor.report.glossary import explain_words
from skadvisor.report.pictures import stack_bars
from skadvisor.report.wording import LAYER_KIND_NAMES, LONGEST_VALUE, Wording, clip
from skadvisor.text.messages import _
from skadvisor.vocabulary.superkernel_names import ends_of

VERDICTS = {
    "beneficial": _("beneficial"),
    "promising": _("promising, one run a side"),
    "neutral": _("neutral"),
    "regressed": _("regressed"),
    "insufficient_evidence": _("insufficient evidence"),
    "not_comparable": _("not comparable"),
}
UNITS = {
    "steps": _("decode steps"),
    "executions": _("executions"),
    "blocks": _("repeated blocks"),
    "runs": _("runs"),
}
#: What the times of the headline are of.
SUBJECTS = {
    "steps": _("{verdict}: the decode step goes from {before} to {after}, {pct}."),
    "executions": _("{verdict}: an execution of the graph goes from {before} to {after}, {pct}."),
    "blocks": _("{verdict}: a repeated block goes from {before} to {after}, {pct}."),
}
#: More SuperKernels than this are shown by group only.
MOST_ROWS = 12


def describe_comparison(comparison: Comparison, language: str = "en") -> Document:
    """The document of a comparison."""
    wording = Wording(language)
    made: tuple[Section | None, ...] = ()
    if comparison.before is not None and comparison.after is not None:
        made = (
            _changes(comparison, wording),
            _layers(comparison, wording),
            _ranks(comparison, wording),
            _superkernels(comparison, wording),
        )
    title = wording.say(_("SuperKernel off and on compared"))
    sections = tuple(section for section in made if section is not None)
    return explain_words(Document(title, language, _summary(comparison, wording), sections), wording)


def _summary(comparison: Comparison, wording: Wording) -> Summary:
    reasons = tuple(wording.full_sentence(reason.message) for reason in comparison.reasons)
    notes = tuple(wording.full_sentence(note) for note in comparison.notes)
    lists = (
        Points(wording.say(_("Why not comparable")), reasons),
        Points(wording.say(_("What to do next")), (wording.full_sentence(comparison.action),)),
        Points(wording.say(_("To know first")), notes),
    )
    verdict = wording.say(_("Verdict: {verdict}"), verdict=wording.name(VERDICTS, comparison.verdict))
    return Summary(
        _headline(comparison, verdict, wording),
        facts=_facts(comparison, wording),
        lists=tuple(points for points in lists if points.lines),
        figure=_steps_figure(comparison, wording),
    )


def _headline(comparison: Comparison, verdict: str, wording: Wording) -> str:
    if comparison.before is None or comparison.after is None or comparison.improvement_pct is None:
        return verdict
    sentence = SUBJECTS.get(comparison.unit, SUBJECTS["steps"])
    gain = comparison.improvement_pct
    shorter = wording.say(_("{pct} shorter") if gain >= 0 else _("{pct} longer"), pct=wording.percent(abs(gain)))
    before, after = wording.us(comparison.before.median_us), wording.us(comparison.after.median_us)
    return wording.say(sentence, verdict=verdict, before=before, after=after, pct=shorter)


def _facts(comparison: Comparison, wording: Wording) -> tuple[tuple[str, str], ...]:
    if comparison.before is None or comparison.after is None:
        return ()
    facts = []
    low, high = comparison.improvement_low_pct, comparison.improvement_high_pct
    if low is not None and high is not None and low < high:  # times that never differ have no interval
        facts.append((wording.say(_("Gain (95 % interval)")), wording.interval(low, high)))
    facts.append((wording.say(_("Before")), _spread(comparison.before, comparison, wording)))
    facts.append((wording.say(_("After")), _spread(comparison.after, comparison, wording)))
    if comparison.template is not None:
        facts.append((wording.say(_("Scope")), wording.template(comparison.template)))
        facts.append((wording.say(_("Forecast")), _forecast(comparison, wording)))
    return tuple(facts)


def _spread(spread: Spread, comparison: Comparison, wording: Wording) -> str:
    time = wording.us(spread.median_us)
    if spread.count == 1:
        return wording.say(_("{time}, measured once"), time=time)
    return wording.say(
        _("{time}, median of {count} {unit} (CV {cv})"),
        time=time,
        count=spread.count,
        unit=wording.name(UNITS, comparison.unit),
        cv=wording.percent(spread.cv_pct),
    )


def _forecast(comparison: Comparison, wording: Wording) -> str:
    found = comparison.forecast
    if found is None:
        return wording.say(_("the analysis of BEFORE makes none"))
    sentence = (
        _("{mid} ({interval}); {outcome} came, inside the interval")
        if found.inside
        else _("{mid} ({interval}); {outcome} came, outside the interval")
    )
    return wording.say(
        sentence,
        mid=wording.percent(found.mid_pct),
        interval=wording.interval(found.low_pct, found.high_pct),
        outcome=wording.percent(found.outcome_pct),
    )


def _steps_figure(comparison: Comparison, wording: Wording) -> Figure | None:
    """Both steps as bars of their regions and gaps on one scale."""
    if comparison.before is None or comparison.after is None or not comparison.regions:
        return None
    before = [(row.region, row.before_us) for row in comparison.regions]
    after = [(row.region, row.after_us) for row in comparison.regions]
    before += [(row.kind, row.before_us) for row in comparison.gaps]
    after += [(row.kind, row.after_us) for row in comparison.gaps]
    sides = (
        (wording.say(_("Before")), before, comparison.before.median_us),
        (wording.say(_("After")), after, comparison.after.median_us),
    )
    return Figure("stacks", stack_bars(sides, wording), wording.say(_("Where the step's time goes")))


class _Change(NamedTuple):
    """A row of what changed: a region, a kind of gap or a sum."""

    name: Cell
    times: tuple[Cell, Cell, Cell]
    kernels_before: Cell = Cell("")
    kernels_after: Cell = Cell("")
    basis: Cell = Cell("")


def _changes(comparison: Comparison, wording: Wording) -> Section:
    rows = [
        _Change(
            _region(row.region, wording),
            _times(row.before_us, row.after_us, wording),
            number(row.kernels_before, wording, 0),
            number(row.kernels_after, wording, 0),
            _basis(row.basis, wording),
        )
        for row in comparison.regions
    ]
    rows += [
        _Change(_region(row.kind, wording), _times(row.before_us, row.after_us, wording)) for row in comparison.gaps
    ]
    if comparison.before is not None and comparison.after is not None:
        rows += _whole_step(rows, comparison.before.median_us, comparison.after.median_us, wording)
    grid = Grid(rows, wording)
    grid.cells(_("Region"), lambda row: row.name)
    _add_times(grid, lambda row: row.times)
    grid.cells(_("Kernels before"), lambda row: row.kernels_before, _("count"), numeric=True, priority=1)
    grid.cells(_("Kernels after"), lambda row: row.kernels_after, _("count"), numeric=True, priority=1)
    grid.cells(_("Basis"), lambda row: row.basis, priority=2)
    title = wording.say(_("Where the time changed"))
    return Section("changes", title, tables=(grid.table("changes", title, _note(comparison, wording)),))


def _region(region: str, wording: Wording) -> Cell:
    return Cell(wording.region(region), wording.region(region), region)


def _add_times(grid: Grid[Row], times: Callable[[Row], tuple[Cell, Cell, Cell]]) -> None:
    grid.cells(_("Before"), lambda row: times(row)[0], "µs", numeric=True)
    grid.cells(_("After"), lambda row: times(row)[1], "µs", numeric=True)
    grid.cells(_("Change"), lambda row: times(row)[2], "µs", numeric=True)


def _times(before_us: float, after_us: float, wording: Wording) -> tuple[Cell, Cell, Cell]:
    """Before, after and the change between the two as they are printed."""
    before, after = round(before_us, DIGITS), round(after_us, DIGITS)
    return number(before, wording), number(after, wording), signed(after - before)


def _whole_step(rows: Sequence[_Change], before_us: float, after_us: float, wording: Wording) -> list[_Change]:
    """What the rows, each a median by itself, leave of the median step, and the step: the columns add up."""
    sums = [sum(float(row.times[place].value or 0.0) for row in rows) for place in (0, 1)]
    rest = [round(whole, DIGITS) - part for whole, part in zip((before_us, after_us), sums, strict=True)]
    return [
        _Change(text(wording.say(_("medians do not add up"))), _times(rest[0], rest[1], wording)),
        _Change(text(wording.say(_("Step"))), _times(before_us, after_us, wording)),
    ]


def _note(comparison: Comparison, wording: Wording) -> str:
    if all(row.basis != "derived" for row in comparison.regions):
        return ""
    return wording.say(_("shared: a SuperKernel joined the regions, and its time is shared out by the shares before."))


def _basis(basis: str, wording: Wording) -> Cell:
    return text(wording.say(_("shared") if basis == "derived" else _("measured")))


def _layers(comparison: Comparison, wording: Wording) -> Section | None:
    changed = sorted((row for row in comparison.layers if row.change_us), key=lambda row: row.change_us)
    if not changed:
        return None
    grid = Grid(changed, wording)
    grid.numbers(_("Layer"), lambda row: row.layer, digits=0)
    grid.words(_("Kind"), lambda row: wording.name(LAYER_KIND_NAMES, row.kind))
    _add_times(grid, lambda row: _times(row.before_us, row.after_us, wording))
    grid.cells(_("Basis"), lambda row: _basis(row.basis, wording), priority=1)
    title = wording.say(_("Layers"))
    return Section("layers", title, tables=(grid.table("layers", title, detail=True),), detail=True)


def _ranks(comparison: Comparison, wording: Wording) -> Section | None:
    grid = Grid(comparison.ranks, wording)
    grid.numbers(_("Rank"), lambda row: row.rank, digits=0)
    grid.numbers(_("Before"), lambda row: row.before_us, "µs")
    grid.numbers(_("After"), lambda row: row.after_us, "µs")
    grid.cells(_("Change"), lambda row: signed(_difference(row)), "µs", numeric=True)
    grid.words(_("Note"), lambda row: wording.say(_("compared here")) if row.compared else "")
    return grid.section("ranks", wording.say(_("Ranks")))


def _difference(row: RankChange) -> float | None:
    return None if row.before_us is None or row.after_us is None else row.after_us - row.before_us


def _superkernels(comparison: Comparison, wording: Wording) -> Section | None:
    changes = comparison.superkernels
    items = tuple(Item(f"{clip(item.name)}: {wording.sentence(item.reason)}", "warn") for item in comparison.unmapped)
    if not changes and not items:
        return None
    groups: dict[tuple[object, ...], list[SuperKernelChange]] = {}
    for change in changes:
        alike = (
            re.sub(r"\d+", "*", change.scope),
            ends_of(change.name),
            change.children,
            change.verdict,
        )
        groups.setdefault((change.name,) if len(changes) <= MOST_ROWS else alike, []).append(change)
    held = dict.fromkeys((ends_of(change.name), " + ".join(change.operators)) for change in changes)
    items += tuple(
        Item(f"{clip(ends)}: {clip(operators, LONGEST_VALUE)}") for ends, operators in list(held)[:MOST_ROWS]
    )
    title = wording.say(_("SuperKernels"))
    tables = (_superkernel_table([*groups.values()], title, wording),) if groups else ()
    return Section("superkernels", title, tables=tables, items=items)


def _superkernel_table(groups: Sequence[Sequence[SuperKernelChange]], title: str, wording: Wording) -> Table:
    """A row per group: the times of the member that saved the middle, so that they belong together."""
    grid = Grid([(group, sorted(group, key=lambda item: item.saved_us)[len(group) // 2]) for group in groups], wording)
    grid.words(_("Scope"), lambda row: _scopes(row[0]))
    grid.words(_("Layers"), lambda row: ranges(sorted({layer for one in row[0] for layer in one.layers})) or "-", 1)
    grid.words(_("From ... to"), lambda row: ends_of(row[1].name), 2)
    grid.numbers(_("SuperKernels"), lambda row: len(row[0]), _("count"), 0, 1)
    grid.numbers(_("Kernels in it"), lambda row: row[1].children, _("count"), 0, 2)
    grid.numbers(_("Before"), lambda row: row[1].before_us, "µs")
    grid.numbers(_("After"), lambda row: row[1].after_us, "µs")
    grid.cells(_("Change"), lambda row: signed(-row[1].saved_us), "µs", numeric=True)
    grid.words(_("Verdict"), lambda row: wording.name(VERDICTS, row[1].verdict))
    grid.words(_("What to do"), lambda row: wording.sentence(row[1].action), 3, LONGEST_VALUE)
    return grid.table("superkernels", title)


def _scopes(group: Sequence[SuperKernelChange]) -> str:
    scopes = list(dict.fromkeys(change.scope for change in group))
    return scopes[0] if len(scopes) == 1 else f"{scopes[0]} ... {scopes[-1]}"
