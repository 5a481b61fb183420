"""The published pairs beside what was foretold of them, put into words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skadvisor.gain.interface import DRAWS
from skadvisor.gain.outcomes import Level, Pair, base_rate, excluded
from skadvisor.gain.population import Fractions, published_population
from skadvisor.gain.published import RIVALS, Comparison, Triple, score
from skadvisor.report.cells import Grid, number
from skadvisor.report.document import Cell, Document, Item, Section, Summary, Table
from skadvisor.report.wording import LONGEST_VALUE, Wording
from skadvisor.text.messages import _

LEVELS: tuple[Level, ...] = ("step", "block")


def describe_published(comparisons: Sequence[Comparison], language: str = "en") -> Document:
    """A row per pair, what was won of heads and gaps, sums by level, and what was left out."""
    wording = Wording(language)
    rate = base_rate()
    headline = wording.say(
        _("Published pairs: {pairs}; of whole steps the median gain is {median:.1f} %, {above} of {all} above 2.5 %."),
        pairs=len(comparisons),
        median=rate.median_pct,
        above=rate.above(2.5),
        all=len(rate.step_pct),
    )
    title = wording.say(_("Published pairs beside what the other nets foretell of them"))
    left_out = tuple(Item(f"{what}: {reason}") for what, reason in excluded())
    sections = (
        Section("pairs", title, tables=(_pairs(comparisons, title, wording), _recovered(comparisons, wording))),
        Section("scores", wording.say(_("How well each foretells")), tables=_scores(comparisons, wording)),
        Section("left_out", wording.say(_("Published but left out")), items=left_out),
    )
    facts = ((wording.say(_("Source")), rate.source),)
    return Document(title, language, Summary(headline, facts=facts), sections)


def _pairs(comparisons: Sequence[Comparison], title: str, wording: Wording) -> Table:
    grid = Grid(comparisons, wording)
    grid.words(_("Net, pair"), lambda one: f"{one.pair.net}, {one.pair.what} ({one.pair.level})", 0, LONGEST_VALUE)
    grid.cells(_("Measured"), lambda one: _measured(one, wording), "%", numeric=True)
    grid.cells(_("Estimate (P10, P50, P90)"), lambda one: _estimate(one, wording), "%")
    grid.cells(_("Claim"), lambda one: Cell(f"{one.claim[0]:.0f}-{one.claim[2]:.0f}", one.claim[1]), "%")
    grid.cells(_("Constant (P10, P50, P90)"), lambda one: _triple_cell(one.constant), "%", priority=1)
    grid.cells(_("Previous model"), lambda one: _triple_cell(one.previous), "%", priority=2)
    return grid.table("pairs", title)


def _measured(one: Comparison, wording: Wording) -> Cell:
    return number(one.pair.measured_pct, wording) if one.pair.bound == "equal" else Cell("<= 0", 0.0)


def _estimate(one: Comparison, wording: Wording) -> Cell:
    outside = "" if one.pair.covered(one.estimate[0], one.estimate[2]) else wording.say(_(" (outside)"))
    return Cell(_triple(one.estimate) + outside, one.estimate[1])


def _triple_cell(values: Triple | None) -> Cell:
    return Cell(_triple(values), values[1] if values else None)


def _recovered(comparisons: Sequence[Comparison], wording: Wording) -> Table:
    """What was won of the heads and gaps that PMU columns show, beside what the other nets foretell."""
    grid = Grid([one.pair for one in comparisons if one.pair.overhead_us is not None], wording)
    grid.words(_("PMU columns show heads and gaps"), lambda pair: _shown(pair, wording), longest=LONGEST_VALUE)
    grid.cells(_("Won of them"), _won, numeric=True)
    grid.cells(_("Foretold from the other nets (P10, P50, P90)"), _foretold)
    return grid.table("recovered", wording.say(_("Heads and gaps won")))


def _shown(pair: Pair, wording: Wording) -> str:
    text = _("{net}: {time} us at {count} boundaries")
    return wording.say(text, net=pair.net, time=pair.overhead_us, count=pair.boundaries)


def _won(pair: Pair) -> Cell:
    won = (pair.before_us - pair.after_us) / float(pair.overhead_us or 1)
    return Cell(f"{won:.0%}", won)


def _foretold(pair: Pair) -> Cell:
    return Cell(say_recovered(published_population().draw(10 * DRAWS, without=frozenset({pair.net}))))


def say_recovered(fractions: Fractions) -> str:
    """P10, P50 and P90 of the part of heads and gaps that is won."""
    return ", ".join(f"{value:.0%}" for value in np.quantile(fractions.recovered, (0.1, 0.5, 0.9)))


def _scores(comparisons: Sequence[Comparison], wording: Wording) -> tuple[Table, ...]:
    made = []
    for level, title in zip(LEVELS, (_("Whole steps"), _("Blocks")), strict=True):
        mine = [one for one in comparisons if one.pair.level == level]
        found = [(name, one) for name, rival in RIVALS.items() if (one := score(mine, rival)) is not None]
        grid = Grid(found, wording)
        grid.words(_("Mean over nets left out"), lambda row: row[0])
        grid.words(_("Pairs (nets)"), lambda row: f"{row[1].pairs} ({row[1].nets})")
        grid.cells(_("Covered"), lambda row: Cell(f"{row[1].coverage:.0%}", row[1].coverage), numeric=True)
        grid.numbers(_("Width"), lambda row: row[1].width)
        grid.numbers(_("Interval score"), lambda row: row[1].interval_score)
        grid.numbers(_("Mean error"), lambda row: row[1].error)
        weights = ", ".join(f"{weight:g}" for weight in sorted({one.shrinkage.weight for one in mine}))
        note = wording.say(
            _("Weight of the capture's own estimate against the base rate, by net left out: {weights} (1: not drawn)."),
            weights=weights,
        )
        made.append(grid.table(level, wording.say(title), note))
    return tuple(made)


def _triple(values: Triple | None) -> str:
    return "-" if values is None else ", ".join(f"{value:.1f}" for value in values)
