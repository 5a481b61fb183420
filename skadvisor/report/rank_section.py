"""The section about ranks: how the ranks of one run differ, where several were read."""

from __future__ import annotations

from skadvisor.records import RankRecord, Result
from skadvisor.report.cells import Grid
from skadvisor.report.document import Cell, Section
from skadvisor.report.wording import LONGEST_VALUE, Wording
from skadvisor.text.messages import _

#: Ranks in the table; with more, the reference, the slow and the unreadable ones come first.
MOST_RANKS = 64


def ranks(result: Result, wording: Wording) -> Section | None:
    """One row per rank; None for a capture of a single rank."""
    if len(result.ranks) < 2:
        return None
    shown = list(result.ranks)
    if len(shown) > MOST_RANKS:
        shown.sort(key=lambda rank: not (rank.reference or rank.slow or rank.state == "unreadable"))
        shown = shown[:MOST_RANKS]
    note = wording.cut_note(_("{shown} of {all} ranks; all are in the JSON file."), len(shown), len(result.ranks))
    unknown = wording.say(_("unknown"))
    grid = Grid(shown, wording)
    grid.cells(_("Rank"), lambda one: Cell(unknown if one.rank is None else str(one.rank), one.rank), numeric=True)
    grid.numbers(_("Step"), lambda one: one.wall_us, "µs")
    grid.numbers(_("Computing"), lambda one: one.compute_us, "µs", priority=1)
    grid.numbers(_("Collectives"), lambda one: one.comm_us, "µs", priority=1)
    grid.numbers(_("Waiting in them"), lambda one: one.wait_us, "µs")
    grid.numbers(_("Expert matmuls"), lambda one: one.expert_us, "µs", priority=2)
    grid.words(_("Choice alone"), lambda one: wording.template(one.choice) if one.choice else unknown, 1)
    grid.words(_("Note"), lambda one: _note(one, wording), longest=LONGEST_VALUE)
    return Section(
        "ranks",
        wording.say(_("Ranks compared")),
        wording.say(_("All other sections show the reference rank: the one of the slowest stage that waits least.")),
        (grid.table("ranks", wording.say(_("Ranks")), note),),
    )


def _note(rank: RankRecord, wording: Wording) -> str:
    notes = []
    if rank.reference:
        notes.append(wording.say(_("reference")))
    if rank.slow:
        notes.append(wording.say(_("slow")))
    if rank.state == "unreadable":
        notes.append(wording.sentence(rank.reason) or wording.say(_("unreadable")))
    return wording.say(_(", ")).join(notes)
