"""The section about operators: every operator type of the step, then what each is used for."""

from __future__ import annotations

from dataclasses import replace

from skadvisor.records import OperatorRecord, OperatorUse, Result
from skadvisor.report.cells import Grid
from skadvisor.report.document import Document, Section, Summary, Table
from skadvisor.report.figures import apportion
from skadvisor.report.glossary import explain_words
from skadvisor.report.summary import capture_name
from skadvisor.report.wording import FUSIBLE_NAMES, LONGEST_VALUE, Wording
from skadvisor.text.messages import _

#: Operator types in the table.
MOST_OPERATORS = 200
#: Operator types that a terminal shows.
MOST_BRIEF = 25


def operators(result: Result, wording: Wording) -> Section | None:
    """One row per operator type, and one per region, role and type to drill down."""
    if not result.operators:
        return None
    shown = result.operators[:MOST_OPERATORS]
    times = apportion([record.total_us for record in result.operators], sum(one.total_us for one in result.operators))
    cut = _("The first {shown} of {all} rows; all are in the JSON file.")
    table = _types(result.operators, times, wording.cut_note(cut, len(shown), len(result.operators)), wording)
    return Section(
        "operators",
        wording.say(_("Operators")),
        wording.say(
            _(
                "Kernels of the representative step by operator type. Durations are summed, so kernels that run at the "
                "same time count in full."
            )
        ),
        (
            replace(table, rows=table.rows[:MOST_OPERATORS], brief=table.rows[:MOST_BRIEF]),
            _uses(shown, times[:MOST_OPERATORS], wording),
        ),
    )


def describe_operators(result: Result, language: str = "en") -> Document:
    """The operators alone as a document."""
    wording = Wording(language)
    section = operators(result, wording)
    counts = {"kernels": sum(record.kernels for record in result.operators), "types": len(result.operators)}
    headline = wording.say(_("The representative step runs {kernels} kernels of {types} operator types."), **counts)
    sections = (section,) if section is not None else ()
    summary = Summary(headline, facts=((wording.say(_("Capture")), capture_name(result)),))
    return explain_words(Document(headline, language, summary, sections), wording)


def _types(records: tuple[OperatorRecord, ...], times: list[float], note: str, wording: Wording) -> Table:
    """One row per type; shares and `times` add up to 100 % and to the printed sum."""
    shares = apportion([100 * record.share for record in records], 100 * sum(record.share for record in records))
    grid = Grid([*zip(records, times, shares, strict=True)], wording)
    grid.words(_("Operator"), lambda row: row[0].op_type)
    grid.numbers(_("Kernels"), lambda row: row[0].kernels, _("count"), 0)
    grid.numbers(_("Total"), lambda row: row[1], "µs")
    grid.numbers(_("Mean"), lambda row: row[0].mean_us, "µs", 2, 2)
    grid.numbers(_("Share of kernels"), lambda row: row[2], "%")
    grid.words(_("Region"), lambda row: _regions(row[0], wording), 1, LONGEST_VALUE)
    grid.words(_("Fusible"), lambda row: wording.name(FUSIBLE_NAMES, row[0].fusible) if row[0].fusible else None, 1)
    grid.numbers(_("Cuts per step"), lambda row: row[0].cuts, "", 0, 2)
    return grid.table("operators", wording.say(_("Operator types")), note)


def _regions(record: OperatorRecord, wording: Wording) -> str:
    names = dict.fromkeys(wording.region(use.region) for use in record.uses)
    return wording.say(_(", ")).join(names)


def _uses(records: tuple[OperatorRecord, ...], printed: list[float], wording: Wording) -> Table:
    """What each type is used for; the times of a type add up to its `printed` one."""
    uses: list[tuple[OperatorUse, str, float]] = []
    totals: dict[str, float] = {}
    for record, total in zip(records, printed, strict=True):
        times = apportion([use.total_us for use in record.uses], total)
        uses += [(use, record.op_type, time) for use, time in zip(record.uses, times, strict=True)]
    for use, _op_type, time in uses:
        totals[use.region] = totals.get(use.region, 0.0) + time
    uses.sort(key=lambda one: (-totals[one[0].region], one[0].region, -one[0].total_us))
    grid = Grid(uses, wording)
    grid.regions(_("Region"), lambda row: row[0].region)
    grid.words(_("Role"), lambda row: wording.role(row[0].role))
    grid.words(_("Operator"), lambda row: row[1])
    grid.numbers(_("Kernels"), lambda row: row[0].kernels, _("count"), 0)
    grid.numbers(_("Total"), lambda row: row[2], "µs")
    return grid.table("uses", wording.say(_("By region and role")), detail=True)
