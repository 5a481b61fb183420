"""The section about operators: every operator type of the step, then what each is used for."""

from __future__ import annotations

from skadvisor.records import OperatorRecord, OperatorUse, Result
from skadvisor.report.cells import number, text
from skadvisor.report.document import Cell, Column, Document, Section, Summary, Table
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
    rows, shown = _rows(result.operators, wording)[:MOST_OPERATORS], result.operators[:MOST_OPERATORS]
    note = ""
    if len(result.operators) > len(shown):
        counts = {"shown": len(shown), "all": len(result.operators)}
        note = wording.say(_("The first {shown} of {all} rows; all are in the JSON file."), **counts)
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
            Table(
                "operators",
                wording.say(_("Operator types")),
                _columns(wording),
                rows,
                note,
                brief=rows[:MOST_BRIEF],
            ),
            _uses(shown, [row[2] for row in rows], wording),
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


def _columns(wording: Wording) -> tuple[Column, ...]:
    return (
        Column(wording.say(_("Operator"))),
        Column(wording.say(_("Kernels")), wording.say(_("count")), True),
        Column(wording.say(_("Total")), "µs", True),
        Column(wording.say(_("Mean")), "µs", True, 2),
        Column(wording.say(_("Share of kernels")), "%", True),
        Column(wording.say(_("Region")), priority=1),
        Column(wording.say(_("Fusible")), priority=1),
        Column(wording.say(_("Cuts per step")), "", True, 2),
    )


def _rows(records: tuple[OperatorRecord, ...], wording: Wording) -> tuple[tuple[Cell, ...], ...]:
    """One row per type; shares and times add up to 100 % and to the printed sum."""
    times = apportion([record.total_us for record in records], sum(record.total_us for record in records))
    shares = apportion([100 * record.share for record in records], 100 * sum(record.share for record in records))
    return tuple(
        (
            text(record.op_type),
            number(record.kernels, wording, 0),
            number(time, wording),
            number(record.mean_us, wording, 2),
            number(share, wording),
            text(_regions(record, wording), LONGEST_VALUE),
            text(wording.name(FUSIBLE_NAMES, record.fusible)) if record.fusible else Cell(""),
            number(record.cuts, wording, 0),
        )
        for record, time, share in zip(records, times, shares, strict=True)
    )


def _regions(record: OperatorRecord, wording: Wording) -> str:
    names = dict.fromkeys(wording.region(use.region) for use in record.uses)
    return wording.say(_(", ")).join(names)


def _uses(records: tuple[OperatorRecord, ...], printed: list[Cell], wording: Wording) -> Table:
    """What each type is used for; the times of a type add up to its `printed` one."""
    uses: list[tuple[OperatorUse, str, float]] = []
    totals: dict[str, float] = {}
    for record, cell in zip(records, printed, strict=True):
        times = apportion([use.total_us for use in record.uses], float(cell.value or 0.0))
        uses += [(use, record.op_type, time) for use, time in zip(record.uses, times, strict=True)]
    for use, _op_type, time in uses:
        totals[use.region] = totals.get(use.region, 0.0) + time
    uses.sort(key=lambda one: (-totals[one[0].region], one[0].region, -one[0].total_us))
    columns = (
        Column(wording.say(_("Region"))),
        Column(wording.say(_("Role"))),
        Column(wording.say(_("Operator"))),
        Column(wording.say(_("Kernels")), wording.say(_("count")), True),
        Column(wording.say(_("Total")), "µs", True),
    )
    rows = tuple(_use_row(use, op_type, time, wording) for use, op_type, time in uses)
    return Table("uses", wording.say(_("By region and role")), columns, rows, detail=True)


def _use_row(use: OperatorUse, op_type: str, time: float, wording: Wording) -> tuple[Cell, ...]:
    name = wording.region(use.region)
    return (
        Cell(name, name, use.region),
        text(wording.role(use.role)),
        text(op_type),
        number(use.kernels, wording, 0),
        number(time, wording),
    )
