"""The sections about time: the phases and their steps, and what each region takes of a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from skadvisor.records import PhaseRecord, Result, StepRecord
from skadvisor.report.cells import Grid
from skadvisor.report.document import Cell, Item, Section, Table
from skadvisor.report.figures import Part, StepFigures, split_step, step_figures
from skadvisor.report.summary import main_phase
from skadvisor.report.wording import GAP_NAMES, LONGEST_VALUE, PHASE_EVIDENCE_NAMES, PHASE_NAMES, Wording
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
    parts = [(phase, part) for phase in result.phases for part in step_figures(result, phase).parts]
    table = replace(_parts(result, parts, wording), brief=_parts(result, _brief_parts(result), wording).rows)
    return Section(
        "regions",
        wording.say(_("Where the step's time goes")),
        wording.say(
            _("Of the representative step; overlapping kernels share the time, so that the rows add up to it.")
        ),
        (table,),
    )


def _brief_parts(result: Result) -> list[tuple[str, Part]]:
    """The parts of the main phase, the largest first; what is small is one part, so that they still add up."""
    phase = main_phase(result)
    if phase is None:
        return []
    parts = sorted(step_figures(result, phase).parts, key=lambda part: -part.us)
    kept, small = parts[:MOST_BRIEF_PARTS], parts[MOST_BRIEF_PARTS:]
    if small:
        kept.append(Part("rest", sum(part.us for part in small), sum(part.pct for part in small)))
    return [(phase, part) for part in kept]


def _parts(result: Result, parts: Sequence[tuple[str, Part]], wording: Wording) -> Table:
    """The table of parts, each with its phase."""
    records = {(str(one.phase), str(one.region)): one for one in result.regions}
    rows = [(phase, part, records.get((phase, part.key))) for phase, part in parts]
    grid = Grid(rows, wording)
    grid.words(_("Phase"), lambda row: wording.name(PHASE_NAMES, row[0]))
    grid.regions(_("Region"), lambda row: row[1].key)
    grid.numbers(_("Share of step"), lambda row: row[1].pct, "%")
    grid.numbers(_("Exposed"), lambda row: row[1].us, "µs")
    grid.numbers(_("Busy"), lambda row: row[2].busy_us if row[2] else None, "µs", priority=1, missing="")
    grid.numbers(_("Kernels"), lambda row: row[2].kernels if row[2] else None, _("count"), 0, 1, missing="")
    return grid.table("regions", wording.say(_("Regions")))


def steps(result: Result, wording: Wording) -> Section | None:
    """Each phase by its representative step, then all steps."""
    if not result.steps:
        return None
    return Section(
        "steps",
        wording.say(_("Phases and steps")),
        wording.say(
            _(
                "A step is one forward pass on the device. Each phase is shown by its representative step, the steady "
                "one nearest the median."
            )
        ),
        (_phase_table(result, wording), _step_table(result, wording)),
        _odd_steps(result, wording),
    )


def _phase_table(result: Result, wording: Wording) -> Table:
    waits = any(record.gap.wait_us for record in result.phases.values())
    grid = Grid([(phase, record, step_figures(result, phase)) for phase, record in result.phases.items()], wording)
    grid.words(_("Phase"), lambda row: wording.name(PHASE_NAMES, row[0]))
    grid.words(_("Phase known by"), lambda row: wording.name(PHASE_EVIDENCE_NAMES, row[1].phase_evidence), 1)
    grid.cells(
        _("Steady steps"),
        lambda row: Cell(f"{row[1].steady_steps} / {row[1].steps}", row[1].steps),
        numeric=True,
        priority=1,
    )
    grid.numbers(_("Step"), lambda row: row[1].step, "#", 0)
    grid.numbers(_("Wall time"), lambda row: row[2].wall_us, "µs")
    grid.numbers(_("Kernels"), lambda row: row[2].busy_us, "µs")
    for kind in ("inside", "between", *(("wait",) if waits else ()), "host"):
        grid.numbers(GAP_NAMES[kind], partial(_gap_us, kind), "µs", priority=1)
    grid.numbers(_("Tokens"), lambda row: row[1].tokens, "", 0, 2)
    return grid.table("phases", wording.say(_("Phases")))


def _gap_us(kind: str, row: tuple[str, PhaseRecord, StepFigures]) -> float:
    return next((part.us for part in row[2].gaps if part.key == kind), 0.0)


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
    if len(shown) > MOST_STEPS:
        odd = [step for step in shown if not step.steady][:MOST_STEPS]
        steady = [step for step in shown if step.steady][: max(MOST_STEPS - len(odd), 0)]
        shown = sorted(odd + steady, key=lambda step: step.index)
    note = wording.cut_note(_("{shown} of {all} steps; all are in the JSON file."), len(shown), len(result.steps))
    grid = Grid([(step, *split_step(step.wall_us, step.busy_us, step.gap_us)) for step in shown], wording)
    grid.numbers(_("Step"), lambda row: row[0].index, "#", 0)
    grid.words(_("Phase"), lambda row: wording.name(PHASE_NAMES, row[0].phase))
    grid.numbers(_("Wall time"), lambda row: row[0].wall_us, "µs")
    grid.numbers(_("Kernels"), lambda row: row[1], "µs", priority=1)
    grid.numbers(_("Gaps"), lambda row: row[2], "µs", priority=1)
    grid.numbers(_("Host gaps"), lambda row: row[0].host_gap_us, "µs", priority=2)
    grid.numbers(_("Kernels"), lambda row: row[0].kernels, _("count"), 0, 2)
    grid.numbers(_("Tokens"), lambda row: row[0].tokens, "", 0, 2)
    grid.numbers(_("Layers"), lambda row: row[0].layers, "", 0, 2)
    grid.words(_("Note"), lambda row: _step_note(row[0], wording), longest=LONGEST_VALUE)
    return grid.table("steps", wording.say(_("Steps")), note, detail=True)


def _step_note(step: StepRecord, wording: Wording) -> str:
    return wording.sentence(step.note) or (wording.say(_("steady")) if step.steady else "")
