"""The sections about time: the phases and their steps, and what each region takes of a step."""

from __future__ import annotations

from skadvisor.records import Result
from skadvisor.report.cells import number, text
from skadvisor.report.document import Cell, Column, Item, Section, Table
from skadvisor.report.figures import Part, split_step, step_figures
from skadvisor.report.summary import main_phase
from skadvisor.report.wording import LONGEST_VALUE, PHASE_EVIDENCE_NAMES, PHASE_NAMES, Wording
from skadvisor.text.messages import _

#: Steps in the table; with more, the ones that are not steady and the first steady ones are shown.
MOST_STEPS = 60
#: Steps named as not steady.
MOST_ODD_STEPS = 8
#: Regions and gaps that a terminal names one by one.
MOST_BRIEF_PARTS = 5


def regions(result: Result, wording: Wording) -> Section | None:
    """What each region takes of a phase's representative step, and what is gap; each column adds up to the step."""
    if not result.regions:
        return None
    rows = tuple(_part_row(result, phase, part, wording) for phase in result.phases for part in _parts(result, phase))
    columns = (
        Column(wording.say(_("Phase"))),
        Column(wording.say(_("Region"))),
        Column(wording.say(_("Share of step")), "%", True),
        Column(wording.say(_("Exposed")), "µs", True),
        Column(wording.say(_("Busy")), "µs", True, 1),
        Column(wording.say(_("Kernels")), wording.say(_("count")), True, 1),
    )
    return Section(
        "regions",
        wording.say(_("Where the step's time goes")),
        wording.say(
            _("Of the representative step; overlapping kernels share the time, so that the rows add up to it.")
        ),
        (Table("regions", wording.say(_("Regions")), columns, rows, brief=_brief_rows(result, wording)),),
    )


def _parts(result: Result, phase: str) -> tuple[Part, ...]:
    return step_figures(result, phase).parts


def _brief_rows(result: Result, wording: Wording) -> tuple[tuple[Cell, ...], ...]:
    """The rows of the main phase, the largest first; what is small is one row, so that they still add up."""
    phase = main_phase(result)
    if phase is None:
        return ()
    parts = sorted(_parts(result, phase), key=lambda part: -part.us)
    kept, small = parts[:MOST_BRIEF_PARTS], parts[MOST_BRIEF_PARTS:]
    rows = [_part_row(result, phase, part, wording) for part in kept]
    if small:
        rest = Part("rest", sum(part.us for part in small), sum(part.pct for part in small))
        rows.append(_part_row(result, phase, rest, wording))
    return tuple(rows)


def _part_row(result: Result, phase: str, part: Part, wording: Wording) -> tuple[Cell, ...]:
    found = next((one for one in result.regions if one.phase == phase and one.region == part.key), None)
    name = wording.say(_("the rest")) if part.key == "rest" else wording.region(part.key)
    nothing = Cell("")
    return (
        text(wording.name(PHASE_NAMES, phase)),
        Cell(name, name, part.key),
        number(part.pct, wording),
        number(part.us, wording),
        number(found.busy_us, wording) if found else nothing,
        number(found.kernels, wording, 0) if found else nothing,
    )


def steps(result: Result, wording: Wording) -> Section | None:
    """Each phase by its representative step, then all steps."""
    if not result.steps:
        return None
    waits = any(record.gap.wait_us for record in result.phases.values())
    kinds = ("inside", "between", *(("wait",) if waits else ()), "host")
    rows = []
    for phase, record in result.phases.items():
        figures = step_figures(result, phase)
        gaps = {part.key: part.us for part in figures.gaps}
        rows.append(
            (
                text(wording.name(PHASE_NAMES, phase)),
                text(wording.name(PHASE_EVIDENCE_NAMES, record.phase_evidence)),
                Cell(f"{record.steady_steps} / {record.steps}", record.steps),
                number(record.step, wording, 0),
                number(figures.wall_us, wording),
                number(figures.busy_us, wording),
                *(number(gaps.get(kind, 0.0), wording) for kind in kinds),
                number(record.tokens, wording, 0),
            )
        )
    columns = (
        Column(wording.say(_("Phase"))),
        Column(wording.say(_("Phase known by")), priority=1),
        Column(wording.say(_("Steady steps")), "", True, 1),
        Column(wording.say(_("Step")), "#", True),
        Column(wording.say(_("Wall time")), "µs", True),
        Column(wording.say(_("Kernels")), "µs", True),
        *(Column(wording.region(kind), "µs", True, 1) for kind in kinds),
        Column(wording.say(_("Tokens")), "", True, 2),
    )
    return Section(
        "steps",
        wording.say(_("Phases and steps")),
        wording.say(
            _(
                "A step is one forward pass on the device. Each phase is shown by its representative step, the steady "
                "one nearest the median."
            )
        ),
        (Table("phases", wording.say(_("Phases")), columns, tuple(rows)), _step_table(result, wording)),
        _odd_steps(result, wording),
    )


def _odd_steps(result: Result, wording: Wording) -> tuple[Item, ...]:
    odd = [step for step in result.steps if not step.steady]
    items = []
    for step in odd[:MOST_ODD_STEPS]:
        note = wording.sentence(step.note) or wording.say(_("not steady"))
        sentence = wording.say(
            _("step {step}, {wall}: {note}"), step=step.index, wall=wording.us(step.wall_us), note=note
        )
        items.append(Item(sentence, "warn", wording.say(_("not steady"))))
    if len(odd) > MOST_ODD_STEPS:
        more = wording.say(_("{count} more steps are not steady"), count=len(odd) - MOST_ODD_STEPS)
        items.append(Item(more, "warn"))
    return tuple(items)


def _step_table(result: Result, wording: Wording) -> Table:
    shown = list(result.steps)
    note = ""
    if len(shown) > MOST_STEPS:
        odd = [step for step in shown if not step.steady][:MOST_STEPS]
        steady = [step for step in shown if step.steady][: max(MOST_STEPS - len(odd), 0)]
        shown = sorted(odd + steady, key=lambda step: step.index)
        note = wording.say(
            _("{shown} of {all} steps; all are in the JSON file."), shown=len(shown), all=len(result.steps)
        )
    rows = []
    for step in shown:
        busy, gap = split_step(step.wall_us, step.busy_us, step.gap_us)
        state = wording.say(_("steady")) if step.steady else ""
        rows.append(
            (
                number(step.index, wording, 0),
                text(wording.name(PHASE_NAMES, step.phase)),
                number(step.wall_us, wording),
                number(busy, wording),
                number(gap, wording),
                number(step.host_gap_us, wording),
                number(step.kernels, wording, 0),
                number(step.tokens, wording, 0),
                number(step.layers, wording, 0),
                text(wording.sentence(step.note) or state, LONGEST_VALUE),
            )
        )
    columns = (
        Column(wording.say(_("Step")), "#", True),
        Column(wording.say(_("Phase"))),
        Column(wording.say(_("Wall time")), "µs", True),
        Column(wording.say(_("Kernels")), "µs", True, 1),
        Column(wording.say(_("Gaps")), "µs", True, 1),
        Column(wording.say(_("Host gaps")), "µs", True, 2),
        Column(wording.say(_("Kernels")), wording.say(_("count")), True, 2),
        Column(wording.say(_("Tokens")), "", True, 2),
        Column(wording.say(_("Layers")), "", True, 2),
        Column(wording.say(_("Note"))),
    )
    return Table("steps", wording.say(_("Steps")), columns, tuple(rows), note, detail=True)
