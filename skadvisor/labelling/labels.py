"""From a capture's kernel table to the labelled one: structure, steps, phases, layers and regions in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skadvisor.events import LABEL_COLUMNS, STEP_COLUMNS, Capture, start_and_end
from skadvisor.labelling import host_steps, phases
from skadvisor.labelling.fit import judge_fit
from skadvisor.labelling.host_evidence import disagreements, layer_disagreements
from skadvisor.labelling.kernel_class import KernelClass
from skadvisor.labelling.layers import Layer, expert_joins, find_layers
from skadvisor.labelling.mode import mode_of
from skadvisor.labelling.outside import label_outside
from skadvisor.labelling.regions import OPERATOR_REGIONS, Labels, label_regions
from skadvisor.labelling.roles import OWN_ROLES
from skadvisor.labelling.steps import Ends, Step, find_ends, find_steps
from skadvisor.labelling.structure import Structure, find_structure
from skadvisor.options import Options
from skadvisor.records import Mode
from skadvisor.text.messages import Message, _
from skadvisor.vocabulary.arrays import Flags, Ints
from skadvisor.vocabulary.operators import Vocabulary, load_vocabulary
from skadvisor.vocabulary.states import ATTENTION_STATES, State

ATTENTION_KINDS = ("unknown", "gqa", "mla", "sparse", "linear")
MOST_MISFITS = 20
#: Where nothing repeats like a decoder layer, a generic operator is only probably none of its parts.
UNPLACED = 0.5
#: With this share of its kernels in whole layers a reading is not doubted.
MOSTLY_WHOLE = 0.5


@dataclass(frozen=True, eq=False)
class Labelled:
    """The labelled kernel table and the steps table, with what was found on the way.

    `misfits` says what does not fit the repetition of whole layers, `disagreements` where host and order differ,
    `outside_grammar` why a capture is no decoder although layers seemed to repeat (None for all others).
    `kernels`: events.KERNEL_COLUMNS and LABEL_COLUMNS; `steps`: events.STEP_COLUMNS.
    """

    kernels: pd.DataFrame
    steps: pd.DataFrame
    structure: Structure
    mode: Mode
    graph_kind: str | None
    training: bool
    misfits: tuple[Message, ...]
    rank: int | None = None
    disagreements: tuple[Message, ...] = ()
    outside_grammar: Message | None = None


def label_path(path: Path, options: Options) -> Labelled:
    """Read a capture and label it; see `skadvisor.capture.load` for what `path` may be."""
    from skadvisor.capture import load

    return label(load(path, rank=options.rank), load_vocabulary(options.operators))


def label(capture: Capture, vocabulary: Vocabulary, *, without: Collection[str] = ()) -> Labelled:
    """Label every kernel of a capture, by all rules (`rules.RULES`) but those named in `without`."""
    kernels = capture.kernels
    structure, layers = _reading(kernels, vocabulary, without)
    training = structure.training
    fit = judge_fit(structure, layers) if layers and not training else None
    outside_grammar = fit.doubt if fit else None
    if outside_grammar is not None:
        layers = []
    steps, announced = _steps(capture, structure, layers)
    facts = phases.gather_facts(kernels, structure, steps, announced)
    mode, graph_kind = mode_of([fact.graph_share for fact in facts], kernels)
    labels = label_regions(structure, fit.trust if fit else 1.0)
    if not layers:
        _leave_open(labels, structure, outside_grammar is not None)
    if training:
        _name_loss(labels, structure, layers)
    joins = expert_joins(structure, layers)
    labels.region[joins], labels.role[joins] = "moe", "combine"
    owner = label_outside(labels, kernels, structure)
    step = _step_column(kernels, structure, steps)
    layer, layer_kind = _layer_columns(kernels, structure, steps, layers, labels.region)
    nowhere = (step < 0) | structure.crosses | structure.apart
    layer[nowhere], layer_kind[nowhere] = -1, None
    served = np.flatnonzero(structure.served >= 0)
    for column in (step, layer, layer_kind):
        column[served] = column[structure.served[served]]
    found = None if outside_grammar is None else [phases.UNKNOWN] * len(steps)
    ends = find_ends(structure, layers, steps)
    step_table = _step_table(kernels, step, layer >= 0, steps, facts, ends, training, mode, found)
    added = {
        "step": step,
        "phase": np.array([*step_table["phase"], None], dtype=object)[step],
        "layer": pd.Series(layer, dtype="Int32").mask(layer < 0),
        "layer_kind": layer_kind,
        "attention_kind": _attention_kinds(structure, step, layer),
        "region": labels.region,
        "role": labels.role,
        "owner": owner,
        "confidence": labels.confidence,
        "evidence": labels.evidence,
    }
    columns = {
        name: _category(added[name]) if dtype == "category" else pd.Series(added[name], dtype=dtype)
        for name, (dtype, _meaning) in LABEL_COLUMNS.items()
    }
    return Labelled(
        kernels.assign(**columns),
        step_table,
        structure,
        mode,
        graph_kind,
        training,
        _misfits(steps, layers),
        capture.rank,
        _disagreements(structure, step, layer),
        outside_grammar,
    )


def _category(words: NDArray[np.object_]) -> pd.Categorical:
    """Words as a column of categories, in their order; pandas alone would make text of them first."""
    codes, distinct = pd.factorize(words, sort=True)
    return pd.Categorical.from_codes(codes, categories=pd.Index(distinct))


def _steps(
    capture: Capture, structure: Structure, layers: list[Layer]
) -> tuple[list[Step], list[host_steps.Announced | None]]:
    """The steps, and what the host announced of each; it may cut more steps than the kernels alone show."""
    kernels = capture.kernels
    announced = host_steps.announced_steps(capture.host)
    steps = find_steps(kernels, structure, layers)
    launched = host_steps.launched_in(announced, kernels["launch_ns"])
    if len(np.unique(launched[launched >= 0])) > len(steps):
        steps = find_steps(host_steps.with_step_marks(kernels, announced), structure, layers)
    rows = [structure.main[step.begin : step.end] for step in steps]
    return steps, host_steps.of_steps(announced, kernels, rows)


def _reading(kernels: pd.DataFrame, vocabulary: Vocabulary, without: Collection[str]) -> tuple[Structure, list[Layer]]:
    """The structure and its layers, by what was learned from other captures unless more layers are whole without it.

    What alike kernels did elsewhere can mislead where there are no shapes; whole layers that repeat hardly do.
    """
    structure = find_structure(kernels, vocabulary, without=without)
    layers = find_layers(kernels, structure)
    if structure.training or not structure.learned.any() or _whole(structure, layers) >= MOSTLY_WHOLE:
        return structure, layers
    unaided = find_structure(kernels, vocabulary, with_learned=False, without=without)
    found = find_layers(kernels, unaided)
    return (unaided, found) if _whole(unaided, found) > _whole(structure, layers) else (structure, layers)


def _whole(structure: Structure, layers: list[Layer]) -> float:
    """The share of the main chain's kernels that are in layers with both sub-blocks."""
    return sum(layer.end - layer.begin for layer in layers if layer.complete) / max(1, len(structure.main))


def _disagreements(structure: Structure, step: NDArray[np.int32], layer: NDArray[np.int32]) -> tuple[Message, ...]:
    """Where the host names another region, or counts other layers, than the order of the kernels says."""
    if structure.hints is None or structure.structural is None:
        return ()
    return (
        *disagreements(structure.hints, structure.structural, structure.state),
        *layer_disagreements(structure.hints, step, layer, structure.state),
    )


def _leave_open(labels: Labels, structure: Structure, outside_grammar: bool) -> None:
    """Where no decoder layers repeat, order says nothing: keep only what an operator's own name settles.

    Names of parts of a decoder layer settle the role as well; beside them no role is known.
    """
    roles = structure.classes.roles_of(structure.classes.of_kernel)
    settled = np.isin(roles, list(OPERATOR_REGIONS))
    nothing_known = (roles == "unknown") | outside_grammar
    labels.region[~settled] = np.where(nothing_known[~settled], "unattributed", "other")
    labels.role[:] = np.where(np.isin(roles, list(OWN_ROLES)) & ~structure.backward, labels.role, "unknown")
    labels.role[roles == "superkernel"] = "superkernel"
    declined = structure.training or bool((roles == "vision").any())
    labels.confidence[:] = np.where(nothing_known & ~settled, 0.0, np.where(settled | declined, 1.0, UNPLACED))
    for role, region in OPERATOR_REGIONS.items():
        labels.region[roles == role] = region


def _name_loss(labels: Labels, structure: Structure, layers: list[Layer]) -> None:
    """Training samples nothing: behind the first layer what looks like it is the loss, elsewhere it is no part."""
    sampled = labels.region == "sampling"
    behind = np.zeros(len(sampled), dtype=bool)
    behind[structure.main[layers[0].begin :] if layers else []] = True
    labels.region[sampled] = np.where(behind[sampled], "head", "other")
    labels.role[sampled] = np.where(behind[sampled], "loss", "unknown")


def _step_column(kernels: pd.DataFrame, structure: Structure, steps: list[Step]) -> NDArray[np.int32]:
    """The step of every kernel: its own on the main chain, elsewhere the one in whose time it starts."""
    column = np.full(len(kernels), -1, dtype=np.int32)
    if not steps:
        return column
    start = kernels["start_ns"].to_numpy()
    begins = np.array([start[structure.main[step.begin]] for step in steps])
    column[:] = np.searchsorted(begins, start, side="right") - 1
    column[:] = _nearer_step(kernels, structure, steps, column, begins)
    column[structure.main] = -1
    for number, step in enumerate(steps):
        column[structure.main[step.begin : step.end]] = number
    return column


def _nearer_step(
    kernels: pd.DataFrame, structure: Structure, steps: list[Step], column: NDArray[np.int32], begins: Ints
) -> NDArray[np.int32]:
    """Kernels between two steps, such as a receive, belong to the one that follows if it is nearer."""
    start, end = start_and_end(kernels)
    ends = np.array([end[structure.main[step.begin : step.end]].max() for step in steps])
    following = np.minimum(column + 1, len(steps) - 1)
    since = np.where(column >= 0, start - ends[np.maximum(column, 0)], np.iinfo(np.int64).max)
    nearer = (following > column) & (since > 0) & (begins[following] - end < since)
    return np.where(nearer, following, column).astype(np.int32)


def _layer_columns(
    kernels: pd.DataFrame, structure: Structure, steps: list[Step], layers: list[Layer], region: NDArray[np.object_]
) -> tuple[NDArray[np.int32], NDArray[np.object_]]:
    """Layer ordinal and kind of every kernel; kernels beside the main chain take the layer that they meet."""
    on_main = np.full(len(structure.main), -1, dtype=np.int32)
    kind_on_main = np.full(len(structure.main), None, dtype=object)
    for step in steps:
        for ordinal, index in enumerate([*step.layers, *step.draft_layers]):
            layer = layers[index]
            on_main[layer.begin : layer.end] = ordinal
            kind_on_main[layer.begin : layer.end] = "mtp" if index in step.draft_layers else layer.kind
    number = np.full(len(kernels), -1, dtype=np.int32)
    kind = np.full(len(kernels), None, dtype=object)
    if not len(structure.main):
        return number, kind
    start = kernels["start_ns"].to_numpy()
    place = np.clip(np.searchsorted(start[structure.main], start, side="right") - 1, 0, len(structure.main) - 1)
    place = _behind_norms(structure, region, place)
    number[:], kind[:] = on_main[place], kind_on_main[place]
    number[structure.main], kind[structure.main] = on_main, kind_on_main
    for chain in range(1, int(structure.chain.max(initial=0)) + 1):
        rows, own = _own_layers(kernels, structure, chain, steps)
        number[rows[own >= 0]] = own[own >= 0]
    # transfers from one stage of a pipeline to the next stand outside its layers
    transfers = structure.classes.kernels_where(lambda item: "transfers" in item.properties)
    outside = np.isin(region, ["prepare", "embedding", "head", "sampling"]) | transfers
    number[outside], kind[outside] = -1, None
    return number, kind


def _own_layers(
    kernels: pd.DataFrame, structure: Structure, chain: int, steps: list[Step]
) -> tuple[Ints, NDArray[np.int32]]:
    """Rows of a chain beside the main one and the layer ordinal of each, by its own repetition.

    -1 where the chain does not run as many layers in a step as the main one: the halves of a batch do.
    """
    rows = np.flatnonzero(structure.chain == chain)
    ordinal = np.full(len(rows), -1, dtype=np.int32)
    if not np.isin(structure.state[rows], ATTENTION_STATES).any() or structure.fused.any():
        return rows, ordinal
    layers = find_layers(kernels, replace(structure, main=rows, joined=None))
    start = kernels["start_ns"].to_numpy()
    begins = start[rows[[layer.begin for layer in layers]]] if layers else start[:0]
    for step in steps:
        first, last = start[structure.main[step.begin]], start[structure.main[step.end - 1]]
        held = np.flatnonzero((begins >= first) & (begins <= last))
        if len(held) and len(held) == len(step.layers):
            for count, index in enumerate(held.tolist()):
                ordinal[layers[index].begin : layers[index].end] = count
    return rows, ordinal


def _behind_norms(structure: Structure, region: NDArray[np.object_], place: Ints) -> Ints:
    """Collectives behind a norm gather its result for what follows on the main chain, and belong to its layer, (N,)."""
    collective = (structure.state < 0) & (region == "comm")
    following = np.minimum(place + 1, len(structure.main) - 1)
    opens = (region[structure.main[place]] == "norm") & (region[structure.main[following]] != "norm")
    return np.where(collective & opens, following, place)


def _step_table(
    kernels: pd.DataFrame,
    step: NDArray[np.int32],
    in_layer: Flags,
    steps: list[Step],
    facts: list[phases.StepFacts],
    ends: Ends,
    training: bool,
    mode: Mode,
    found: list[phases.StepPhase] | None,
) -> pd.DataFrame:
    start, end = start_and_end(kernels)
    inside = step >= 0
    begins = np.full(len(steps), np.iinfo(np.int64).max)
    last = np.zeros(len(steps), dtype=np.int64)
    busy = np.zeros(len(steps), dtype=np.int64)
    np.minimum.at(begins, step[inside], start[inside])
    np.maximum.at(last, step[inside], end[inside])
    np.add.at(busy, step[inside & in_layer], (end - start)[inside & in_layer])
    found = found or phases.find_phases(facts, busy, training)
    names = [one.phase for one in found]
    counts = [len(one.layers) + len(one.draft_layers) for one in steps]
    unsteady = phases.steady_steps(last - begins, [str(name) for name in names], counts, ends)
    notes = [dummy or note for dummy, note in zip(phases.dummy_steps(facts), unsteady, strict=True)]
    said = [fact.announced.tokens if fact.announced else None for fact in facts]
    table = {
        "step": range(len(steps)),
        "phase": names,
        "phase_evidence": [one.evidence for one in found],
        "start_ns": begins,
        "end_ns": last,
        "mode": [mode] * len(steps),
        "tokens": [told if fact.tokens is None else fact.tokens for fact, told in zip(facts, said, strict=True)],
        "layers": counts,
        "whole": ends.whole,
        "steady": [reason is None for reason in notes],
        "note": notes,
    }
    return pd.DataFrame(
        {name: pd.Series(table[name], dtype="object").astype(dtype) for name, (dtype, _meaning) in STEP_COLUMNS.items()}
    )


def _attention_kinds(structure: Structure, step: NDArray[np.int32], layer: NDArray[np.int32]) -> NDArray[np.object_]:
    """The kind of attention in each kernel's layer: the most special one that any of its kernels shows."""
    of_class = np.array([_attention_kind(item) for item in structure.classes.items], dtype=np.int8)
    shown = np.where(structure.state >= 0, of_class[structure.classes.of_kernel], 0) if len(of_class) else step * 0
    shown = np.where(np.isin(structure.state, ATTENTION_STATES), shown, 0)
    group = step.astype(np.int64) * (int(layer.max(initial=0)) + 2) + layer + 1
    codes, _unique = pd.factorize(group)
    strongest = np.zeros(codes.max(initial=0) + 1, dtype=np.int8)
    np.maximum.at(strongest, codes, shown.astype(np.int8))
    has_core = np.bincount(codes, weights=structure.state == State.ATTENTION_CORE, minlength=len(strongest)) > 0
    # a layer that was cut before its core is taken to be as the one before it
    for number in np.flatnonzero(~has_core[1:] & (strongest[1:] == 0)) + 1:
        strongest[number] = strongest[number - 1]
    kinds = np.array(ATTENTION_KINDS, dtype=object)[strongest[codes]]
    kinds[layer < 0] = None
    return kinds


def _attention_kind(item: KernelClass) -> int:
    if item.role == "attention_core" and "linear_attention" in item.properties:
        return 4
    if item.role == "indexer" or "sparse_attention" in item.properties:
        return 3
    if "latent_attention" in item.properties:
        return 2
    return 1 if item.role == "attention_core" else 0


def _misfits(steps: list[Step], layers: list[Layer]) -> tuple[Message, ...]:
    """What does not fit the repetition of whole layers."""
    partial = Counter(
        (number, ordinal)
        for number, step in enumerate(steps)
        for ordinal, index in enumerate(step.layers)
        if not layers[index].complete
    )
    return tuple(
        Message(_("step {step}: layer {layer} is incomplete"), step=number, layer=ordinal)
        for number, ordinal in list(partial)[:MOST_MISFITS]
    )
