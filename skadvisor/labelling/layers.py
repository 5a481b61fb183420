"""Decoder layers: the repetition of attention and feed-forward along the main chain, and what each one is.

Conventions: a residual addition (alone or fused with the next norm) ends the layer whose result it adds; a norm of
its own begins the next one; the first layer also holds the first norm, the last layer the final norm.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skadvisor.events import idle_before
from skadvisor.labelling.rules.norms import adds_whole_rows
from skadvisor.labelling.structure import Structure
from skadvisor.labelling.superkernel_spans import reach
from skadvisor.vocabulary.arrays import Flags, Ints
from skadvisor.vocabulary.states import (
    ATTENTION_STATES,
    FIRST_TO_LAST,
    LAYER_STATES,
    MLP_STATES,
    MOE_STATES,
    NORM_STATES,
    State,
)
from skadvisor.vocabulary.superkernel_names import NO_SCOPE, scope_of

S = State
#: Kernels between the fragments of one scope, at the most.
MOST_FRAGMENTS = 6
#: What holds for this share of the layers holds for the model; the rest was misread.
MOSTLY = 0.9
#: Blocks that take turns do so in this many layers at least.
FEWEST_PAIRS = 2
#: The device waits this long, and this many times longer than before other layers, for another step.
LONG_PAUSE_NS, LONG_PAUSE_RATIO = 20_000, 3.0
_ATTENTION_ROLES = ["attention_core", "rope", "kv_cache", "indexer"]
# as plain numbers, because they are compared with many
_OPENING_NORMS = (int(S.INPUT_NORM), int(S.POST_NORM))
_BEFORE_LAYERS = (int(S.EMBEDDING), int(S.PREPARE), int(S.HEAD), int(S.SAMPLING))
#: Roles of kernels that add the sub-block's result to the residual stream, and so close a layer.
_CLOSING_ROLES = {"residual_norm", "add", "fused_matmul_norm"}
_LAST_OF_ATTENTION = FIRST_TO_LAST[State.ATTENTION_OUT]
_FIRST_OF_FEED_FORWARD = FIRST_TO_LAST[State.SHARED_BEFORE]
_LAST_OF_FEED_FORWARD = FIRST_TO_LAST[State.SHARED_AFTER]


@dataclass(frozen=True)
class Layer:
    """Kernels of one layer on the main chain: positions [begin, end) in it, and which sub-blocks it holds.

    `paired` marks a layer of two attentions that share one set of experts.
    """

    begin: int
    end: int
    attention: bool
    mlp: bool
    moe: bool
    cut_kind: str = ""
    paired: bool = False

    @property
    def kind(self) -> str:
        """`moe` wherever experts work, `dense` with a plain feed-forward, else `other`.

        A layer that the capture's end cuts before its feed-forward is taken to be as the layer before it.
        """
        if self.cut_kind:
            return self.cut_kind
        if self.moe:
            return "moe"
        return "dense" if self.mlp else "other"

    @property
    def complete(self) -> bool:
        """Whether both sub-blocks are there."""
        return self.attention and (self.mlp or self.moe)


def find_layers(kernels: pd.DataFrame, structure: Structure) -> list[Layer]:
    """All decoder layers along the main chain, in order, over all steps; empty where nothing repeats like one."""
    layers = _with_experts_beside(kernels, structure, _after_pauses(kernels, structure, _split(kernels, structure)))
    if not _is_decoder(structure, layers):
        return []
    layers = _without_keys_alone(structure, layers)
    if structure.training:
        # what follows the last forward layer is the first matmuls of the backward pass
        return [layer for layer in layers if layer.complete]
    return _pair(kernels, structure, _with_cut_end(structure, layers))


def _without_keys_alone(structure: Structure, layers: list[Layer]) -> list[Layer]:
    """Without runs that only make keys for layers to come: no attention core, no feed-forward, between whole layers."""
    state = structure.state[structure.main]
    return [
        layer
        for number, layer in enumerate(layers)
        if layer.kind != "other"
        or number in (0, len(layers) - 1)
        or (state[layer.begin : layer.end] == S.ATTENTION_CORE).any()
        or not (layers[number - 1].complete and layers[number + 1].complete)
    ]


def _with_cut_end(structure: Structure, layers: list[Layer]) -> list[Layer]:
    last = layers[-1]
    if last.end < len(structure.main) or last.kind != "other":
        return layers
    return [*layers[:-1], replace(last, cut_kind=layers[-2].kind)]


def _is_decoder(structure: Structure, layers: list[Layer]) -> bool:
    """Whether these are transformer layers: attention or norms recognised by name or shape in most of them."""
    if len(layers) < 2:
        return False
    hints = structure.hints
    roles = structure.classes.roles_of(structure.classes.of_kernel[structure.main])
    attention = np.isin(roles, _ATTENTION_ROLES)
    if hints is not None:
        attention |= (hints.agrees(structure.state) & np.isin(structure.state, ATTENTION_STATES))[structure.main]
    norms = np.isin(roles, ["norm", "residual_norm", "fused_matmul_norm", "rsqrt"])
    state = structure.state[structure.main]
    learned = np.asarray(structure.learned.any(axis=1))[structure.classes.of_kernel[structure.main]]
    attention |= learned & (state == S.ATTENTION_CORE)
    norms |= learned & np.isin(state, [S.INPUT_NORM, S.POST_NORM])
    matmuls = np.isin(roles, ["matmul", "fused_matmul_comm", "fused_matmul_norm", "expert_matmul", "superkernel"])
    convolved = _held_by(layers, roles == "vision") > 0
    if 2 * int(convolved.sum()) >= len(layers):
        return False
    fused = int(structure.fused.sum())
    if fused and 2 * fused >= len(layers):
        return True
    if not any(layer.attention for layer in layers):
        return int((_held_by(layers, roles == "expert_matmul") > 0).sum()) >= 2
    if hints is not None and len(np.unique(hints.layer[hints.layer >= 0])) >= 2:
        return True
    whole = [layer for layer in layers if layer.attention]
    named = _held_by(whole, attention) > 0
    shaped = (_held_by(whole, norms) > 0) & (_held_by(whole, matmuls) >= 2)
    return len(whole) >= 1 and 2 * max(int(named.sum()), int(shaped.sum())) >= len(whole)


def _held_by(layers: list[Layer], marked: Flags) -> Ints:
    """How many of the marked kernels of the main chain each layer holds, (layers,)."""
    counts = np.append(0, np.cumsum(marked))
    return counts[[layer.end for layer in layers]] - counts[[layer.begin for layer in layers]]


def _pair(kernels: pd.DataFrame, structure: Structure, layers: list[Layer]) -> list[Layer]:
    """Join two attention blocks to one layer where one set of experts serves both (shortcut-connected experts).

    Told by experts beside the main chain that come once per two dense blocks, all along.
    """
    roles = structure.classes.roles_of(structure.classes.of_kernel)
    routers = np.flatnonzero((structure.chain >= 0) & (roles == "router"))
    alternating = _join_alternating(layers)
    if alternating is not None:
        return alternating
    blocks = [layer for layer in layers if layer.attention]
    dense = [layer for layer in blocks if layer.kind == "dense"]
    if not len(routers) or float((structure.chain[routers] > 0).mean()) < MOSTLY:
        return layers
    if abs(2 * len(routers) - len(blocks)) > 1 or len(dense) < MOSTLY * len(layers):
        return layers
    start = kernels["start_ns"].to_numpy()
    begins = np.array([start[structure.main[layer.begin]] for layer in layers])
    first = np.unique(np.clip(np.searchsorted(begins, start[routers], side="right") - 1, 0, len(layers) - 1))
    paired: list[Layer] = []
    rest = iter(enumerate(layers))
    for number, layer in rest:
        if number in first and number + 1 < len(layers):
            _number, follower = next(rest)
            layer = Layer(layer.begin, follower.end, True, True, True, paired=True)
        paired.append(layer)
    return paired


def _join_alternating(layers: list[Layer]) -> list[Layer] | None:
    """Layers of two attention blocks each, where such blocks take turns from first to last; None elsewhere.

    Attention to an encoder's output follows self-attention with no feed-forward between them. Or experts follow the
    first attention beside its dense feed-forward, and the second one has the dense one alone.
    """
    if len(layers) < 2 * FEWEST_PAIRS or len(layers) % 2:
        return None
    first, second = layers[::2], layers[1::2]
    crossed = all(layer.kind == "other" and layer.attention for layer in first) and all(
        layer.complete for layer in second
    )
    shortcut = all(layer.attention and layer.moe and layer.mlp for layer in first) and all(
        layer.attention and layer.mlp and not layer.moe for layer in second
    )
    if not crossed and not shortcut:
        return None
    return [
        Layer(one.begin, other.end, True, other.mlp, one.moe or other.moe, paired=shortcut)
        for one, other in zip(first, second, strict=True)
    ]


def expert_joins(structure: Structure, layers: list[Layer]) -> Ints:
    """Rows of the additions that join experts on another stream to a layer's result, in layers with two attentions."""
    state = structure.state[structure.main]
    classes = structure.classes.of_kernel[structure.main]
    adds = structure.classes.roles_of(classes) == "add"
    hidden = structure.classes.hidden
    whole = structure.classes.which(lambda item: not item.inputs or adds_whole_rows(item, hidden))
    joins = adds & whole[classes] & np.isin(state, [S.MLP_DOWN, S.INPUT_NORM])
    paired = np.zeros(len(state), dtype=bool)
    for layer in layers:
        paired[layer.begin : layer.end] = layer.paired
    return structure.main[joins & paired]


def _with_experts_beside(kernels: pd.DataFrame, structure: Structure, layers: list[Layer]) -> list[Layer]:
    """Layers whose whole feed-forward is experts on another stream: those in whose time the experts' work begins."""
    begun = _begun_experts(structure)
    if not len(begun) or all(layer.mlp or layer.moe for layer in layers):
        return layers
    start = kernels["start_ns"].to_numpy()
    edges = start[structure.main[[layer.begin for layer in layers]]]
    holding = set((np.searchsorted(edges, start[begun], side="right") - 1).tolist())
    return [
        replace(layer, moe=True) if number in holding and layer.attention and not layer.mlp else layer
        for number, layer in enumerate(layers)
    ]


def _begun_experts(structure: Structure) -> Ints:
    """Rows beside the main chain with which expert blocks begin: their routers, or what else stands first in them."""
    roles = structure.classes.roles_of(structure.classes.of_kernel)
    for role in ("router", "dispatch", "expert_matmul"):
        found = np.flatnonzero((structure.chain > 0) & (roles == role))
        if len(found):
            return found
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class _Parts:
    """Along the main chain, each (N,): what a kernel holds of the layer that it begins in.

    `leaves_attention` marks kernels that end within attention, `crosses` those that end in the next layer.
    """

    attention: Flags
    mlp: Flags
    moe: Flags
    leaves_attention: Flags
    crosses: Flags


def _parts_held(structure: Structure) -> _Parts:
    """The parts that every kernel of the main chain holds.

    The feed-forward that a SuperKernel hides is taken for experts where it begins or ends with them, or where the
    model has experts and no kernel outside SuperKernels shows them; else it is a dense one.
    """
    state = structure.state[structure.main]
    attention, mlp, moe = (np.isin(state, states) for states in (ATTENTION_STATES, MLP_STATES, MOE_STATES))
    found = _Parts(attention, mlp, moe, attention.copy(), np.zeros(len(state), dtype=bool))
    joined = structure.joined
    if joined is None or not joined.spans.any():
        return found
    spans = joined.spans
    first, last = reach(joined)
    passes_attention = (first <= _LAST_OF_ATTENTION) & (last >= 1)
    passes_feed_forward = (first <= _LAST_OF_FEED_FORWARD) & (last >= _FIRST_OF_FEED_FORWARD)
    at_experts = np.isin(joined.begins, MOE_STATES) | (np.isin(joined.ends, MOE_STATES) & ~joined.crosses)
    at_dense = np.isin(joined.begins, MLP_STATES) | (np.isin(joined.ends, MLP_STATES) & ~joined.crosses)
    hidden_experts = structure.classes.has_experts and not (moe & ~spans).any() and not at_experts.any()
    experts = at_experts | (hidden_experts & ~at_dense)
    found.attention[spans] = passes_attention[spans]
    found.mlp[spans] = (passes_feed_forward & ~experts)[spans]
    found.moe[spans] = (passes_feed_forward & experts)[spans]
    found.leaves_attention[spans] = np.isin(joined.ends, ATTENTION_STATES)[spans]
    found.crosses[:] = joined.crosses
    return found


def _split(kernels: pd.DataFrame, structure: Structure) -> list[Layer]:
    state = structure.state[structure.main]
    roles = structure.classes.roles_of(structure.classes.of_kernel[structure.main])
    held = _parts_held(structure)
    starts = _layer_starts(state, roles, held, _scopes(kernels, structure, state))
    inside = np.isin(state, [*LAYER_STATES, S.FINAL_NORM])
    # position of the next kernel outside layers, for every position
    outside = np.where(inside, len(state), np.arange(len(state)))
    next_outside = np.minimum.accumulate(outside[::-1])[::-1]
    begins = np.array(starts, dtype=np.int64)
    ends = np.minimum(np.append(begins[1:], len(state)), next_outside[begins])
    counts = [np.append(0, np.cumsum(part)) for part in (held.attention, held.mlp, held.moe)]
    attention, mlp, moe = (count[ends] > count[begins] for count in counts)
    attention |= np.append(False, held.crosses)[begins]
    columns = (column.tolist() for column in (begins, ends, attention, mlp, moe))
    return list(itertools.starmap(Layer, zip(*columns, strict=True)))


def _after_pauses(kernels: pd.DataFrame, structure: Structure, layers: list[Layer]) -> list[Layer]:
    """A sum right behind a long pause opens the layer that follows: a pipeline's stage begins with the one before's."""
    norm = np.isin(structure.state[structure.main], NORM_STATES).tolist()
    idle = idle_before(*(kernels[name].to_numpy()[structure.main] for name in ("start_ns", "dur_ns")))
    firsts = []
    for layer in layers:
        first = layer.begin
        while first > 0 and norm[first - 1]:
            first -= 1
        firsts.append(first + int(idle[first : layer.begin + 1].argmax()))
    pauses = idle[firsts] if firsts else idle[:0]
    long = max(LONG_PAUSE_NS, LONG_PAUSE_RATIO * float(np.median(pauses))) if firsts else 0
    found: list[Layer] = []
    for layer, first, pause in zip(layers, firsts, pauses, strict=True):
        if found and first < layer.begin and pause >= long and found[-1].end >= layer.begin:
            found[-1] = replace(found[-1], end=first)
            layer = replace(layer, begin=first)
        found.append(layer)
    return found


def _scopes(kernels: pd.DataFrame, structure: Structure, state: NDArray[np.int8]) -> list[str]:
    """The scope of each SuperKernel whose begin and end tell nothing, along the main chain; empty for all others."""
    scopes = [""] * len(state)
    if structure.joined is None or structure.joined.spans.any():
        return scopes
    names = kernels["name"].astype(object).to_numpy()[structure.main]
    for position in np.flatnonzero(state == S.WHOLE_LAYER).tolist():
        scope = scope_of(str(names[position]))
        scopes[position] = str(names[position]) if scope == NO_SCOPE else scope
    return scopes


def _layer_starts(state: NDArray[np.int8], roles: NDArray[np.object_], held: _Parts, scopes: list[str]) -> list[int]:
    """Positions where a layer begins: an attention sub-block begins, or a feed-forward without one before it."""
    outside = np.isin(state, [S.HEAD, S.SAMPLING, S.PREPARE, S.EMBEDDING, S.FINAL_NORM]).tolist()
    attention, left, crosses = held.attention.tolist(), held.leaves_attention.tolist(), held.crosses.tolist()
    feed_forward = (held.mlp | held.moe).tolist()
    starts: list[int] = []
    open_layer, has_feed_forward = False, False
    anew = _experts_anew(state) if not any(attention) else np.zeros(len(state), dtype=bool)
    for position in range(len(state)):
        if crosses[position]:
            # the next layer has begun within the SuperKernel
            starts.append(position + 1)
            open_layer, has_feed_forward = True, False
        elif attention[position]:
            entering = position == 0 or not left[position - 1]
            if not open_layer or has_feed_forward or (entering and starts[-1] != position):
                starts.append(_with_norm_before(state, roles, position))
                open_layer = True
            has_feed_forward = feed_forward[position]
        elif feed_forward[position]:
            if not open_layer or anew[position]:
                starts.append(_with_norm_before(state, roles, position))
                open_layer = True
            has_feed_forward = True
        elif scopes[position]:
            # fragments of one layer's scope are one layer
            if scopes[position] not in scopes[max(0, position - MOST_FRAGMENTS) : position]:
                starts.append(_with_norm_before(state, roles, position))
        elif outside[position]:
            open_layer = False
    return [start for start in starts if start < len(state)]


def _experts_anew(state: NDArray[np.int8]) -> Flags:
    """Where experts begin again behind others, (N,): layers of a rank that holds no attention."""
    begins = np.isin(state, [S.ROUTER, S.DISPATCH])
    done = np.isin(state, [S.EXPERTS, S.COMBINE, S.SHARED_AFTER])
    return begins & np.append(False, done[:-1])


def _with_norm_before(state: NDArray[np.int8], roles: NDArray[np.object_], position: int) -> int:
    """The begin of a layer whose first kernel behind the norm is at `position`: its own norm belongs to it."""
    first = position
    while first > 0 and state[first - 1] in _OPENING_NORMS:
        first -= 1
    opens_stack = first == 0 or state[first - 1] in _BEFORE_LAYERS
    if opens_stack:
        return first
    for index in range(position - 1, first - 1, -1):
        if roles[index] in _CLOSING_ROLES:
            return index + 1
    return first
