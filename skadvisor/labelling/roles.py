"""Roles: what a kernel does within its region, from its state, its operator and the kernels round it.

A state says which stage of a sub-block a kernel is in; an operator can say more (a rotation, a cache write), and a few
kernels are told by others of their sub-block alone: the parts of a rotation, of an indexer or of attention that is no
single kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skadvisor.labelling.class_table import MATMULS, Classes
from skadvisor.labelling.kernel_class import KernelClass
from skadvisor.labelling.rules import Chain
from skadvisor.labelling.structure import Structure
from skadvisor.vocabulary.arrays import Flags, Floats, Ints
from skadvisor.vocabulary.states import (
    ATTENTION_STATES,
    MLP_STATES,
    NORM_STATES,
    REGION_NUMBER,
    REGION_OF_STATE,
    STATES,
    State,
)

S = State
#: Kernels from a rotation's negation to its ends, from a softmax to its products, of an indexer: at the most.
MOST_OF_ROTATION, MOST_OF_PRODUCTS, MOST_OF_INDEXER = 6, 8, 24
#: A head, or what latent attention keeps for all of them, is at most this wide.
WIDEST_HEAD = 1_024
#: Roles that an operator has wherever it runs in a layer.
OWN_ROLES = frozenset({"rope", "kv_cache", "indexer", "qkv_proj", "attention_core", "router", "dispatch", "combine"})
_OF_STATE = {
    S.PREPARE: "prepare",
    S.EMBEDDING: "embedding",
    S.INPUT_NORM: "residual_norm",
    S.POST_NORM: "residual_norm",
    S.FINAL_NORM: "residual_norm",
    S.ATTENTION_IN: "qkv_proj",
    S.ATTENTION_CORE: "attention_core",
    S.ATTENTION_OUT: "gate",
    S.MLP_UP: "gate_up",
    S.MLP_ACTIVATION: "activation",
    S.MLP_DOWN: "down",
    S.SHARED_BEFORE: "shared_expert",
    S.SHARED_AFTER: "shared_expert",
    S.ROUTER: "router",
    S.DISPATCH: "dispatch",
    S.EXPERTS: "expert_matmul",
    S.COMBINE: "combine",
    S.HEAD: "head",
    S.SAMPLING: "sampling",
    S.WHOLE_LAYER: "superkernel",
}
#: States whose every kernel but a quantisation has the state's role: what is moved or cast there is moved for it.
_WHOLE_STATES = frozenset({S.PREPARE, S.EMBEDDING, S.HEAD, S.SAMPLING, *NORM_STATES, S.ROUTER, S.DISPATCH, S.COMBINE})


def find_roles(
    structure: Structure, state: NDArray[np.int8], region_confidence: Floats
) -> tuple[NDArray[np.object_], Floats]:
    """The roles that follow from `state` (N,), and how sure each is together with its region, a probability.

    A state of -1 is that of kernels in no chain: those are collectives.

    A role that a kernel's surroundings settle is as sure as its region (`region_confidence` (N,)); any other counts
    all states in which the kernel would have this region and this role.
    """
    names, of_class = _roles_of_classes(structure.classes)
    of_kernel = structure.classes.of_kernel
    codes = of_class[of_kernel, np.maximum(state, 0)] if len(of_kernel) else np.zeros(0, dtype=np.int64)
    confidence = np.zeros(len(of_kernel))
    if len(of_kernel):
        # kernels that share their probabilities were read alike: one of them answers for all
        distinct, place = structure.probability.distinct, structure.probability.place
        one = np.zeros(len(distinct), dtype=np.int64)
        one[place] = np.arange(len(place))
        same = (of_class[of_kernel[one]] == codes[one][:, None]) & (REGION_NUMBER[state[one]][:, None] == REGION_NUMBER)
        confidence = (distinct * same).sum(axis=1)[place]
    role = np.array(names, dtype=object)[codes]
    told = _told_by_others(structure, state)
    settled = told != ""
    role[settled], confidence[settled] = told[settled], region_confidence[settled]
    role[state < 0] = "collective"
    return role, confidence


def labels_of_states(classes: Classes, number: int) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """The region and the role that a kernel of a class has in each state, (STATES,) each."""
    kind = _kind(classes.items[number])
    regions = np.array([REGION_OF_STATE[state] for state in State], dtype=object)
    return regions, np.array([_role(kind, state) for state in State], dtype=object)


class _Kind(NamedTuple):
    """What the role of a class in a state depends on."""

    operator: str
    label: str
    known: bool
    counts: bool
    on_vector: bool
    multiplies: bool


def _kind(item: KernelClass) -> _Kind:
    return _Kind(
        operator=item.role,
        label=item.label,
        known=item.known,
        counts="counts_rows" in item.properties,
        on_vector=item.core == "AI_VECTOR_CORE",
        multiplies=item.core in ("AI_CORE", "MIX_AIC"),
    )


def _roles_of_classes(classes: Classes) -> tuple[list[str], Ints]:
    """The distinct roles, and which of them a kernel of each class has in each state, (classes, STATES)."""
    kinds = [_kind(item) for item in classes.items]
    rows = {kind: [_role(kind, state) for state in State] for kind in dict.fromkeys(kinds)}
    names = list(dict.fromkeys(role for row in rows.values() for role in row))
    numbers = {kind: [names.index(role) for role in row] for kind, row in rows.items()}
    return names, np.array([numbers[kind] for kind in kinds], dtype=np.int64).reshape(-1, STATES)


def _role(kind: _Kind, state: State) -> str:
    """The role of a kind of operator in a state."""
    operator = kind.operator
    if operator == "superkernel":
        return "superkernel"
    if operator == "quantise" and state not in (S.PREPARE, S.EMBEDDING, S.HEAD, S.SAMPLING, *NORM_STATES):
        return "quantise"
    if operator in OWN_ROLES and state not in (S.PREPARE, S.SAMPLING):
        return kind.label
    if state in _WHOLE_STATES:
        return _OF_STATE[state]
    if state in ATTENTION_STATES:
        return _in_attention(kind, state)
    if operator in ("layout", "gather"):
        return "layout"
    if state == S.EXPERTS and operator != "expert_matmul":
        return _among_experts(kind)
    return _OF_STATE[state]


def _in_attention(kind: _Kind, state: State) -> str:
    operator = kind.operator
    if operator in MATMULS and state != S.ATTENTION_CORE:
        return "out_proj" if state == S.ATTENTION_OUT else "qkv_proj"
    if operator in ("norm", "rsqrt", "residual_norm"):
        return "qk_norm"
    if operator in ("layout", "gather"):
        return "layout"
    if kind.label != operator:
        return kind.label
    if operator == "cast" and state == S.ATTENTION_OUT:
        return "out_proj"
    return _OF_STATE[state] if kind.known or state == S.ATTENTION_CORE else "unknown"


def _among_experts(kind: _Kind) -> str:
    """Counting how many rows each expert gets is dispatch; vector cores multiply no matrices."""
    if kind.counts:
        return "dispatch"
    if kind.operator in ("activation", "elementwise", "add") or (not kind.known and kind.on_vector):
        return "activation"
    return "expert_matmul" if kind.known or kind.multiplies else "unknown"


def _told_by_others(structure: Structure, state: NDArray[np.int8]) -> NDArray[np.object_]:
    """Roles that a kernel's surroundings settle, (N,), empty where they settle none."""
    told = np.full(len(state), "", dtype=object)
    heads = _head_counts(structure.classes)
    for number in range(int(structure.chain.max(initial=-1)) + 1):
        rows = structure.main if number == 0 else np.flatnonzero(structure.chain == number)
        chain = _Chain(structure.classes, structure.classes.of_kernel[rows], state[rows])
        found = np.full(len(rows), "", dtype=object)
        for rule in (_caches, _activations, _absorbed, _products, _rotations, _indexers):
            rule(chain, found, heads)
        told[rows] = found
    return told


@dataclass(frozen=True)
class _Chain(Chain):
    """A chain with the state of each kernel, (n,)."""

    state: NDArray[np.int8]

    @cached_property
    def attention(self) -> Flags:
        return np.isin(self.state, ATTENTION_STATES)


def _head_counts(classes: Classes) -> frozenset[int]:
    """Numbers that can be the heads of attention: the inner dimensions of what its cores read."""
    cores = [item.inputs[0] for item in classes.items if item.role == "attention_core" and item.inputs]
    return frozenset(size for shape in cores if shape for size in shape[:-1] if size > 1)


def _caches(chain: _Chain, found: NDArray[np.object_], _heads: frozenset[int]) -> None:
    """What writes rows into a larger tensor before attention writes the cache of keys and values."""
    writes = chain.which(lambda item: "writes_rows" in item.properties)
    found[writes & (chain.state == S.ATTENTION_IN)] = "kv_cache"


def _activations(chain: _Chain, found: NDArray[np.object_], _heads: frozenset[int]) -> None:
    """Between gate and down projection, small kernels are the activation: what the down projection has yet to read."""
    roles, mlp = chain.roles, np.isin(chain.state, MLP_STATES)
    products = np.isin(roles, list(MATMULS))
    count = len(roles)
    nearest = np.where(products | ~mlp, np.arange(count), count)
    following = np.minimum.accumulate(nearest[::-1])[::-1] if count else nearest
    padded = np.append(products & (chain.state == S.MLP_DOWN), False)
    small = np.isin(roles, ["elementwise", "activation", "cast"]) & (chain.state == S.MLP_DOWN)
    found[small & padded[following]] = "activation"


def _absorbed(chain: _Chain, found: NDArray[np.object_], heads: frozenset[int]) -> None:
    """One matrix per head, in or out of the latent space of attention: a projection that attention absorbed."""
    latent = any("latent_attention" in item.properties for item in chain.classes.items)
    per_head = chain.which(lambda item: _is_per_head(item, heads, latent))
    found[per_head & chain.attention] = "absorbed_matmul"


def _is_per_head(item: KernelClass, heads: frozenset[int], latent: bool) -> bool:
    """Told by the number of matrices; where that or the heads are not known, by names and by how wide a head can be."""
    if not item.multiplies_batches:
        return False
    if heads and _batch(item):
        return _batch(item) in heads
    return item.matmul.inner <= WIDEST_HEAD if item.matmul else latent


def _batch(item: KernelClass) -> int | None:
    weight = item.inputs[1] if len(item.inputs) > 1 else None
    return weight[0] if weight and len(weight) >= 3 else None


def _products(chain: _Chain, found: NDArray[np.object_], _heads: frozenset[int]) -> None:
    """Batched products round a softmax are queries with keys and its weights with values: attention itself."""
    roles, attention = chain.roles, chain.attention
    batched = chain.which(lambda item: item.multiplies_batches)
    for place in np.flatnonzero((roles == "softmax") & attention).tolist():
        for way in (-1, 1):
            ends = range(place + way, place + way * (MOST_OF_PRODUCTS + 1), way)
            inside = [at for at in ends if 0 <= at < len(roles)]
            last = next((at for at in inside if not attention[at] or roles[at] in MATMULS), None)
            if last is not None and attention[last] and batched[last]:
                found[min(place, last) : max(place, last) + 1] = "attention_core"


def _rotations(chain: _Chain, found: NDArray[np.object_], _heads: frozenset[int]) -> None:
    """Halves that are parted, one negated, joined, scaled and summed up are a rotation in several kernels."""
    roles, attention = chain.roles, chain.attention
    negations = chain.which(lambda item: "negates" in item.properties)
    for place in np.flatnonzero(negations & attention).tolist():
        first = last = place
        for operator in ("layout", "elementwise"):
            while first > max(0, place - MOST_OF_ROTATION) and roles[first - 1] == operator and not found[first - 1]:
                first -= 1
        while last + 1 < min(len(roles), place + MOST_OF_ROTATION) and roles[last] != "add":
            if roles[last + 1] not in ("layout", "elementwise", "add", "cast"):
                break
            last += 1
        whole = np.arange(first, last + 1)
        found[whole[attention[whole]]] = "rope"


def _indexers(chain: _Chain, found: NDArray[np.object_], _heads: frozenset[int]) -> None:
    """From the projection to its queries, keys or weights on, all before an indexer is the indexer's."""
    roles, attention = chain.roles, chain.attention
    chosen = chain.which(lambda item: item.role == "indexer" and item.label == "indexer")
    for place in np.flatnonzero(chosen & attention).tolist():
        query = chain.item(place).inputs[0] if chain.item(place).inputs else None
        made = {query[-1] * query[-2], query[-1], query[-2]} if query and len(query) >= 3 else set()
        first = at = place
        while at > max(0, place - MOST_OF_INDEXER) and attention[at - 1]:
            at -= 1
            dims = chain.item(at).matmul
            if roles[at] in ("qkv_proj", "attention_core") or (dims and dims.outer not in made):
                # without shapes: all that is not in the operator that projects for attention itself
                first = first if made or roles[at] != "qkv_proj" else at + 1
                break
            if dims:
                first = at
        inside = np.arange(first, place)
        found[inside[roles[inside] != "indexer"]] = "indexer"
