"""The sections of a report after its first screen, one function each, in reading order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from skadvisor.records import LayerTime, RankRecord, Result, TypicalLayer
from skadvisor.report.cells import Grid
from skadvisor.report.derivation import derivation_section
from skadvisor.report.document import Cell, Item, Section, Table
from skadvisor.report.gain_sections import breakers, findings, templates, terms
from skadvisor.report.operator_section import operators
from skadvisor.report.summary import WEIGHED
from skadvisor.report.time_sections import regions, steps
from skadvisor.report.wording import (
    ATTENTION_NAMES,
    FUSIBLE_NAMES,
    LAYER_KIND_NAMES,
    LONGEST_VALUE,
    PHASE_NAMES,
    STATUS_NAMES,
    Wording,
)
from skadvisor.text.messages import _

#: Kernels of one layer in the table.
MOST_KERNELS = 400
#: Ranks in the table; with more, the reference, the slow and the unreadable ones come first.
MOST_RANKS = 64
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
    shown, wall = typical.kernels[:MOST_KERNELS], typical.wall_us
    grid = Grid([*enumerate(shown)], wording)
    grid.numbers("#", lambda row: row[0], "", 0)
    grid.words(_("Operator"), lambda row: row[1].op_type or row[1].name)
    grid.regions(_("Region"), lambda row: row[1].region)
    grid.words(_("Role"), lambda row: wording.role(row[1].role), 1)
    grid.numbers(_("Start"), lambda row: row[1].start_us, "µs", 2, 2)
    grid.numbers(_("Duration"), lambda row: row[1].dur_us, "µs", 2)
    grid.numbers(_("Share of layer"), lambda row: 100 * (row[1].dur_us / wall) if wall else None, "%", priority=1)
    grid.numbers(_("Gap before"), lambda row: row[1].gap_before_us, "µs", 2, 1)
    grid.cells(_("Stream"), lambda row: _identity(row[1].stream), numeric=True, priority=2)
    grid.words(_("Fusible"), lambda row: wording.name(FUSIBLE_NAMES, row[1].fusible) if row[1].in_scope else None, 1)
    grid.cells(_("Fragment"), lambda row: _identity(row[1].fragment), numeric=True, priority=2)
    grid.words(_("Input shapes"), lambda row: row[1].input_shapes, 3)
    grid.words(_("Name"), lambda row: row[1].name, 4)
    sentence = _("The first {shown} of {all} kernels; all are in the JSON file.")
    note = wording.cut_note(sentence, len(shown), len(typical.kernels))
    return grid.table(name, layer_title(typical, wording), note, detail=True)


def _identity(number: int | None) -> Cell:
    return Cell("" if number is None else str(number), number)


def layer_strip(result: Result, wording: Wording) -> Section | None:
    """The layers of one step beside each other, and the ones that stand out."""
    if not result.layers.kinds and not result.layers.misfits:
        return None
    grid = Grid(result.layers.kinds, wording)
    grid.words(_("Kind"), lambda kind: wording.name(LAYER_KIND_NAMES, kind.kind))
    grid.words(_("Attention"), lambda kind: wording.name(ATTENTION_NAMES, kind.attention_kind))
    grid.numbers(_("Layers"), lambda kind: kind.count, _("count"), 0)
    grid.words(_("Which"), lambda kind: kind.layers)
    grid.numbers(_("Kernels per layer"), lambda kind: kind.kernels, _("count"), 0)
    grid.numbers(_("Time per layer"), lambda kind: kind.wall_us, "µs")
    table = grid.table("layers", wording.say(_("Kinds of layers")))
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
        (table,) if table.rows else (),
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
