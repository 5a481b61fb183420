"""The section about ranks: how the ranks of one run differ, where several were read."""

from __future__ import annotations

from skadvisor.records import RankRecord, Result
from skadvisor.report.cells import number, text
from skadvisor.report.document import Cell, Column, Section, Table
from skadvisor.report.wording import LONGEST_VALUE, Wording
from skadvisor.text.messages import _

#: Ranks in the table; with more, the reference, the slow and the unreadable ones come first.
MOST_RANKS = 64


def ranks(result: Result, wording: Wording) -> Section | None:
    """One row per rank; None for a capture of a single rank."""
    if len(result.ranks) < 2:
        return None
    shown = list(result.ranks)
    note = ""
    if len(shown) > MOST_RANKS:
        shown.sort(key=lambda rank: not (rank.reference or rank.slow or rank.state == "unreadable"))
        shown = shown[:MOST_RANKS]
        counts = {"shown": MOST_RANKS, "all": len(result.ranks)}
        note = wording.say(_("{shown} of {all} ranks; all are in the JSON file."), **counts)
    columns = (
        Column(wording.say(_("Rank")), "", True),
        Column(wording.say(_("Step")), "µs", True),
        Column(wording.say(_("Computing")), "µs", True, 1),
        Column(wording.say(_("Collectives")), "µs", True, 1),
        Column(wording.say(_("Waiting in them")), "µs", True),
        Column(wording.say(_("Expert matmuls")), "µs", True, 2),
        Column(wording.say(_("Choice alone")), priority=1),
        Column(wording.say(_("Note"))),
    )
    rows = tuple(_row(rank, wording) for rank in shown)
    return Section(
        "ranks",
        wording.say(_("Ranks compared")),
        wording.say(_("All other sections show the reference rank: the one of the slowest stage that waits least.")),
        (Table("ranks", wording.say(_("Ranks")), columns, rows, note),),
    )


def _row(rank: RankRecord, wording: Wording) -> tuple[Cell, ...]:
    notes = []
    if rank.reference:
        notes.append(wording.say(_("reference")))
    if rank.slow:
        notes.append(wording.say(_("slow")))
    if rank.state == "unreadable":
        notes.append(wording.sentence(rank.reason) or wording.say(_("unreadable")))
    name = wording.say(_("unknown")) if rank.rank is None else str(rank.rank)
    return (
        Cell(name, rank.rank),
        number(rank.wall_us, wording),
        number(rank.compute_us, wording),
        number(rank.comm_us, wording),
        number(rank.wait_us, wording),
        number(rank.expert_us, wording),
        text(wording.template(rank.choice) if rank.choice else wording.say(_("unknown"))),
        text(wording.say(_(", ")).join(notes), LONGEST_VALUE),
    )
