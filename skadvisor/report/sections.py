"""The sections of a report after its first screen, one function each, in reading order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from skadvisor.records import LayerTime, Result, TimelineKernel, TypicalLayer
from skadvisor.report.cells import number, percent, text
from skadvisor.report.derivation import derivation_section
from skadvisor.report.document import Cell, Column, Item, Section, Table
from skadvisor.report.gain_sections import breakers, findings, templates, terms
from skadvisor.report.operator_section import operators
from skadvisor.report.rank_section import ranks
from skadvisor.report.summary import WEIGHED
from skadvisor.report.time_sections import regions, steps
from skadvisor.report.wording import (
    ATTENTION_NAMES,
    FUSIBLE_NAMES,
    LAYER_KIND_NAMES,
    PHASE_NAMES,
    STATUS_NAMES,
    Wording,
)
from skadvisor.text.messages import _

#: Kernels of one layer in the table.
MOST_KERNELS = 400
#: A layer is an outlier when its time is off the median of its kind by more than this fraction.
OUTLIER = 0.2


def write_sections(result: Result, wording: Wording, plan: Iterable[Section] = ()) -> tuple[Section, ...]:
    """The sections that say something for this kind of answer; gains are shown only where they were weighed."""
    weighed = result.recommendation.ground in WEIGHED
    shown = {section.name: section for section in brief_sections(result, wording)}
    made = (
        shown.get("templates"),
        shown.get("regions"),
        operators(result, wording),
        layer(result, wording),
        breakers(result, wording) if weighed else None,
        terms(result, wording) if weighed else None,
        findings(result, wording) if weighed else None,
        layer_strip(result, wording),
        steps(result, wording),
        shown.get("ranks"),
        *plan,
        shown["derivation"],
    )
    return tuple(replace(one, detail=shown.get(one.name) is not one or one.detail) for one in made if one is not None)


def brief_sections(result: Result, wording: Wording) -> tuple[Section, ...]:
    """The sections that a terminal shows without being asked for all, and one in detail, which says that there are."""
    weighed = result.recommendation.ground in WEIGHED
    shown = (templates(result, wording) if weighed else None, regions(result, wording), ranks(result, wording))
    return (*(one for one in shown if one is not None), replace(derivation_section(result, wording), detail=True))


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
            _(
                "The layer nearest the median of its kind. Bands are fragments, which may reach into other layers; a "
                "cross is a kernel that ends a fragment, a question mark one that may."
            )
        ),
        tables,
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
        text(wording.role(kernel.role)),
        number(kernel.start_us, wording, 2),
        number(kernel.dur_us, wording, 2),
        percent(share, wording),
        number(kernel.gap_before_us, wording, 2),
        none if kernel.stream is None else Cell(str(kernel.stream), kernel.stream),
        text(wording.name(FUSIBLE_NAMES, kernel.fusible)) if kernel.in_scope else none,
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
            text(wording.name(ATTENTION_NAMES, kind.attention_kind)),
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
