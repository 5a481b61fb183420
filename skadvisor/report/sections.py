"""The sections of a report after its first screen, one function each, in reading order."""

from __future__ import annotations

from collections.abc import Iterable

from skadvisor.records import LayerTime, Result, TimelineKernel, TypicalLayer
from skadvisor.report.cells import number, percent, text
from skadvisor.report.derivation import derivation
from skadvisor.report.document import Cell, Column, Item, Section, Table
from skadvisor.report.gain_sections import breakers, findings, templates, terms
from skadvisor.report.rank_section import ranks
from skadvisor.report.wording import (
    LAYER_KIND_NAMES,
    LIKELIHOOD_NAMES,
    LONGEST_VALUE,
    PHASE_NAMES,
    STATUS_NAMES,
    Wording,
    clip,
)
from skadvisor.text.messages import _

#: Steps in the table; with more, the ones that are not steady and the first steady ones are shown.
MOST_STEPS = 60
#: Steps named as left out of the medians.
MOST_ODD_STEPS = 8
#: Kernels of one layer in the table.
MOST_KERNELS = 400
#: Characters of one line of the plan.
LONGEST_LINE = 600
#: A layer is an outlier when its time is off the median of its kind by more than this fraction.
OUTLIER = 0.2


def write_sections(result: Result, wording: Wording, plan: str = "") -> tuple[Section, ...]:
    """All sections that this result can fill."""
    made = (
        templates(result, wording),
        steps(result, wording),
        regions(result, wording),
        layer(result, wording),
        breakers(result, wording),
        terms(result, wording),
        layer_strip(result, wording),
        findings(result, wording),
        ranks(result, wording),
        plan_section(plan, wording),
        derivation(result, wording),
    )
    return tuple(section for section in made if section is not None)


def plan_section(plan: str, wording: Wording) -> Section | None:
    """What to type, as the plan command prints it."""
    if not plan.strip():
        return None
    lines = tuple(clip(line, LONGEST_LINE) for line in plan.strip("\n").splitlines())
    return Section("plan", wording.say(_("What to type")), typed="\n".join(lines))


def steps(result: Result, wording: Wording) -> Section | None:
    """Phases as medians, then the steps they come from."""
    if not result.steps:
        return None
    phase_rows = tuple(
        (
            text(wording.name(PHASE_NAMES, record.phase)),
            Cell(f"{record.steady_steps} / {record.steps}", record.steps),
            number(record.wall_us, wording),
            number(record.busy_us, wording),
            number(record.gap.inside_us, wording),
            number(record.gap.between_us, wording),
            number(record.gap.wait_us, wording),
            number(record.gap.host_us, wording),
            number(record.tokens, wording, 0),
        )
        for record in result.phases.values()
    )
    phase_columns = (
        Column(wording.say(_("Phase"))),
        Column(wording.say(_("Steady steps")), "", True),
        Column(wording.say(_("Step")), "µs", True),
        Column(wording.say(_("Kernels")), "µs", True),
        Column(wording.say(_("Gaps inside")), "µs", True, 1),
        Column(wording.say(_("Gaps between")), "µs", True, 2),
        Column(wording.say(_("Waits in a graph")), "µs", True, 2),
        Column(wording.say(_("Host gaps")), "µs", True),
        Column(wording.say(_("Tokens")), "", True, 1),
    )
    return Section(
        "steps",
        wording.say(_("Phases and steps")),
        wording.say(_("A step is one forward pass on the device. Phase figures are medians over steady steps.")),
        (
            Table("phases", wording.say(_("Phases")), phase_columns, phase_rows),
            _step_table(result, wording),
        ),
        _odd_steps(result, wording),
        picture="steps",
    )


def _odd_steps(result: Result, wording: Wording) -> tuple[Item, ...]:
    odd = [step for step in result.steps if not step.steady]
    items = []
    for step in odd[:MOST_ODD_STEPS]:
        note = wording.sentence(step.note) or wording.say(_("not steady"))
        sentence = wording.say(
            _("step {step}, {wall}: {note}"), step=step.index, wall=wording.us(step.wall_us), note=note
        )
        items.append(Item(sentence, "warn", wording.say(_("left out of the medians"))))
    if len(odd) > MOST_ODD_STEPS:
        more = wording.say(_("{count} more steps are left out of the medians"), count=len(odd) - MOST_ODD_STEPS)
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
    rows = tuple(
        (
            number(step.index, wording, 0),
            text(wording.name(PHASE_NAMES, step.phase)),
            number(step.wall_us, wording),
            number(step.busy_us, wording),
            number(step.gap_us, wording),
            number(step.host_gap_us, wording),
            number(step.kernels, wording, 0),
            number(step.tokens, wording, 0),
            number(step.layers, wording, 0),
            text(
                wording.sentence(step.note) if step.note else wording.say(_("steady")) if step.steady else "",
                LONGEST_VALUE,
            ),
        )
        for step in shown
    )
    columns = (
        Column(wording.say(_("Step")), "", True),
        Column(wording.say(_("Phase"))),
        Column(wording.say(_("Wall")), "µs", True),
        Column(wording.say(_("Kernels")), "µs", True, 1),
        Column(wording.say(_("Gaps")), "µs", True, 1),
        Column(wording.say(_("Host gaps")), "µs", True, 2),
        Column(wording.say(_("Kernels")), wording.say(_("count")), True, 2),
        Column(wording.say(_("Tokens")), "", True, 2),
        Column(wording.say(_("Layers")), "", True, 2),
        Column(wording.say(_("Note"))),
    )
    return Table("steps", wording.say(_("Steps")), columns, rows, note, detail=True)


def regions(result: Result, wording: Wording) -> Section | None:
    """What each region takes of each phase, and what is gap."""
    rows = []
    for phase, record in result.phases.items():
        name = text(wording.name(PHASE_NAMES, phase))
        for region in result.regions:
            if region.phase == phase:
                rows.append(
                    (
                        name,
                        Cell(wording.region(region.region), wording.region(region.region), region.region),
                        percent(region.share, wording),
                        number(region.exposed_us, wording),
                        number(region.busy_us, wording),
                        number(region.gap_inside_us, wording),
                        number(region.kernels, wording, 0),
                    )
                )
        for kind, time in record.gap.parts:
            share = time / record.wall_us if record.wall_us else None
            nothing = Cell("")
            rows.append(
                (
                    name,
                    Cell(wording.region(kind), wording.region(kind), kind),
                    percent(share, wording),
                    number(time, wording),
                    nothing,
                    nothing,
                    nothing,
                )
            )
    if not result.regions:
        return None
    columns = (
        Column(wording.say(_("Phase"))),
        Column(wording.say(_("Region"))),
        Column(wording.say(_("Share of step")), "%", True),
        Column(wording.say(_("Exposed")), "µs", True),
        Column(wording.say(_("Busy")), "µs", True, 1),
        Column(wording.say(_("Gaps inside")), "µs", True, 2),
        Column(wording.say(_("Kernels")), wording.say(_("count")), True, 1),
    )
    return Section(
        "regions",
        wording.say(_("Where the step's time goes")),
        wording.say(_("Exposed time counts each moment once, so that the regions and the gaps add up to the step.")),
        (Table("regions", wording.say(_("Regions")), columns, tuple(rows)),),
        picture="regions",
    )


def layer_title(typical: TypicalLayer, wording: Wording) -> str:
    """What a typical layer is called."""
    return wording.say(
        _("Layer {layer} ({kind}, {phase} step {step}): {wall}, {count} kernels"),
        layer=typical.layer,
        kind=wording.name(LAYER_KIND_NAMES, typical.kind),
        phase=wording.name(PHASE_NAMES, typical.phase),
        step=typical.step,
        wall=wording.us(typical.wall_us),
        count=len(typical.kernels),
    )


def layer(result: Result, wording: Wording) -> Section | None:
    """One typical layer of each kind, kernel by kernel."""
    if not result.typical_layers:
        return None
    tables = tuple(
        kernel_table(typical, f"layer-{place}", wording) for place, typical in enumerate(result.typical_layers)
    )
    return Section(
        "layer",
        wording.say(_("One typical layer")),
        wording.say(
            _("The layer nearest the median of its kind. Bands show the fragments, crosses the breakers that end them.")
        ),
        tables,
        picture="layer",
    )


def kernel_table(typical: TypicalLayer, name: str, wording: Wording) -> Table:
    """The strip that engineers build by hand: the kernels of a layer in order."""
    rows = tuple(
        _kernel_row(place, kernel, typical, wording) for place, kernel in enumerate(typical.kernels[:MOST_KERNELS])
    )
    columns = (
        Column("#", "", True),
        Column(wording.say(_("Operator"))),
        Column(wording.say(_("Region"))),
        Column(wording.say(_("Role")), priority=1),
        Column(wording.say(_("Start")), "µs", True, 2),
        Column(wording.say(_("Duration")), "µs", True),
        Column(wording.say(_("Share of layer")), "%", True, 1),
        Column(wording.say(_("Gap before")), "µs", True, 1),
        Column(wording.say(_("Stream")), "", True, 2),
        Column(wording.say(_("Fusible")), priority=1),
        Column(wording.say(_("Fragment")), "", True, 2),
        Column(wording.say(_("Input shapes")), priority=3),
        Column(wording.say(_("Name")), priority=4),
    )
    note = ""
    if len(typical.kernels) > MOST_KERNELS:
        note = wording.say(
            _("The first {shown} of {all} kernels; all are in the JSON file."),
            shown=MOST_KERNELS,
            all=len(typical.kernels),
        )
    return Table(name, layer_title(typical, wording), columns, rows, note, detail=True)


def _kernel_row(place: int, kernel: TimelineKernel, typical: TypicalLayer, wording: Wording) -> tuple[Cell, ...]:
    share = kernel.dur_us / typical.wall_us if typical.wall_us else None
    none = Cell("")
    return (
        number(place, wording, 0),
        text(kernel.op_type or kernel.name),
        Cell(wording.region(kernel.region), wording.region(kernel.region), kernel.region),
        text(kernel.role),
        number(kernel.start_us, wording, 2),
        number(kernel.dur_us, wording, 2),
        percent(share, wording),
        number(kernel.gap_before_us, wording, 2),
        none if kernel.stream is None else Cell(str(kernel.stream), kernel.stream),
        text(wording.name(LIKELIHOOD_NAMES, kernel.fusible)),
        none if kernel.fragment is None else Cell(str(kernel.fragment), kernel.fragment),
        text(kernel.input_shapes),
        text(kernel.name),
    )


def layer_strip(result: Result, wording: Wording) -> Section | None:
    """The layers of one step beside each other, and the ones that stand out."""
    if not result.layers.kinds and not result.layers.misfits:
        return None
    rows = tuple(
        (
            text(wording.name(LAYER_KIND_NAMES, kind.kind)),
            text(kind.attention_kind),
            number(kind.count, wording, 0),
            text(kind.layers),
            number(kind.kernels, wording, 0),
            number(kind.wall_us, wording),
        )
        for kind in result.layers.kinds
    )
    columns = (
        Column(wording.say(_("Kind"))),
        Column(wording.say(_("Attention"))),
        Column(wording.say(_("Layers")), wording.say(_("count")), True),
        Column(wording.say(_("Which"))),
        Column(wording.say(_("Kernels per layer")), wording.say(_("count")), True),
        Column(wording.say(_("Time per layer")), "µs", True),
    )
    items = [
        Item(wording.sentence(message), "warn", wording.name(STATUS_NAMES, "warn")) for message in result.layers.misfits
    ]
    for found, usual in outliers(result.layer_times):
        sentence = wording.say(
            _("layer {layer} takes {wall}, the median of its kind is {usual}"),
            layer=found.layer,
            wall=wording.us(found.wall_us),
            usual=wording.us(usual),
        )
        items.append(Item(sentence, "warn", wording.say(_("outlier"))))
    return Section(
        "layers",
        wording.say(_("All layers")),
        wording.say(_("Layers repeat with a confidence of {share}."), share=wording.share(result.layers.confidence)),
        (Table("layers", wording.say(_("Kinds of layers")), columns, rows),) if rows else (),
        tuple(items),
        picture="layers",
    )


def outliers(layers: Iterable[LayerTime]) -> list[tuple[LayerTime, float]]:
    """Layers whose wall time is far from the median of their kind, with that median in us."""
    from statistics import median

    by_kind: dict[str, list[LayerTime]] = {}
    for one in layers:
        by_kind.setdefault(one.kind, []).append(one)
    found = []
    for members in by_kind.values():
        usual = median(member.wall_us for member in members)
        if len(members) > 2:
            found += [(one, usual) for one in members if abs(one.wall_us - usual) > OUTLIER * usual]
    return sorted(found, key=lambda pair: pair[0].layer)
