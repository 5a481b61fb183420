"""Labels: from the state of each kernel to region, role, owner, confidence and evidence."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skadvisor.labelling.structure import Structure
from skadvisor.vocabulary.states import MOE_STATES, REGION_OF_STATE, STATES, State

S = State
#: Below this probability a kernel's region is not stated.
LEAST_CONFIDENCE = 0.35
#: From this probability on another region is stated instead.
LIKELY = 0.6
#: How sure it is that layers of another width are another model's.
APART = 0.95

_ROLE_OF_STATE = {
    S.PREPARE: "prepare",
    S.EMBEDDING: "embedding",
    S.INPUT_NORM: "residual_norm",
    S.POST_NORM: "residual_norm",
    S.FINAL_NORM: "residual_norm",
    S.ATTENTION_CORE: "attention_core",
    S.MLP_UP: "gate_up",
    S.MLP_ACTIVATION: "activation",
    S.MLP_DOWN: "down",
    S.ROUTER: "router",
    S.DISPATCH: "dispatch",
    S.EXPERTS: "expert_matmul",
    S.COMBINE: "combine",
    S.SHARED_BEFORE: "shared_expert",
    S.SHARED_AFTER: "shared_expert",
    S.HEAD: "head",
    S.SAMPLING: "sampling",
}
#: Roles that say more than the state a kernel is in.
_NAMED_ROLES = {"rope", "kv_cache", "indexer", "qkv_proj", "attention_core", "router", "dispatch", "combine"}
#: Regions that an operator settles by itself, wherever it runs.
OPERATOR_REGIONS = {
    "attention_core": "attention",
    "indexer": "attention",
    "kv_cache": "attention",
    "rope": "attention",
    "qkv_proj": "attention",
    "router": "moe",
    "dispatch": "moe",
    "expert_matmul": "moe",
    "combine": "moe",
    "norm": "norm",
    "residual_norm": "norm",
    "training": "other",
    "vision": "other",
    "sampling": "sampling",
    "prepare": "prepare",
}
#: Operators that write rows into a larger tensor: before attention, that is the cache of keys and values.
_WRITING = re.compile(r"scatter|index_?put|index_?copy")
_LAYOUT_ROLES = {"layout": "layout", "cast": "cast", "quantise": "quantise", "gather": "layout"}


@dataclass(frozen=True)
class Labels:
    """Label columns, each (N,): see events.LABEL_COLUMNS."""

    region: NDArray[np.object_]
    role: NDArray[np.object_]
    confidence: NDArray[np.float64]
    evidence: NDArray[np.object_]


def label_regions(structure: Structure) -> Labels:
    """Label every kernel that is in a chain; collectives are left to `label_rest`."""
    region_names = sorted(set(REGION_OF_STATE.values()))
    membership = np.zeros((STATES, len(region_names)))
    for state, its_region in REGION_OF_STATE.items():
        membership[state, region_names.index(its_region)] = 1.0
    by_region = structure.probability @ membership
    region_of_state = np.array([region_names.index(REGION_OF_STATE[state]) for state in State])
    likely = _likely_states(structure, by_region, region_of_state)
    decided = np.where(likely >= 0, region_of_state[likely], 0)
    confidence = by_region[np.arange(len(decided)), decided]
    region = np.array(region_names, dtype=object)[decided]
    roles = structure.classes.roles_of(structure.classes.of_kernel)
    writing = np.array([bool(_WRITING.match(item.base)) for item in structure.classes.items], dtype=bool)
    role = _roles(likely, roles, writing[structure.classes.of_kernel])
    evidence = _evidence(structure, roles)
    draft = _draft_projections(structure)
    region[draft], role[draft] = "other", "draft_proj"
    unsure = (confidence < LEAST_CONFIDENCE) & (structure.state >= 0)
    region[unsure], role[unsure] = "unattributed", "unknown"
    return Labels(region, role, confidence, evidence)


def _likely_states(
    structure: Structure, by_region: NDArray[np.float64], region_of_state: NDArray[np.int64]
) -> NDArray[np.int8]:
    """The decoded state of every kernel, (N,), or another one where that one's region is unlikely and another likely.

    The best sequence as a whole can differ from what most sequences say of one kernel.
    """
    state = structure.state.copy()
    decided = np.where(state >= 0, region_of_state[state], 0)
    unlikely = (by_region[np.arange(len(state)), decided] < LEAST_CONFIDENCE) & (by_region.max(axis=1) >= LIKELY)
    swap = unlikely & (state >= 0)
    best = by_region[swap].argmax(axis=1)
    inside = region_of_state[None, :] == best[:, None]
    state[swap] = np.where(inside, structure.probability[swap], -1.0).argmax(axis=1)
    return state


def _draft_projections(structure: Structure) -> NDArray[np.bool_]:
    """Projections of embedding and hidden state, side by side, to the input of a draft layer, (N,).

    The kernel right before that puts the two side by side belongs to it.
    """
    hidden = structure.classes.hidden
    wide = [
        bool(item.matmul and hidden and item.matmul.inner == 2 * hidden and item.matmul.outer == hidden)
        or (item.role == "matmul" and not item.inputs)
        for item in structure.classes.items
    ]
    joining = [
        item.role == "layout" and (item.out == 2 * hidden if hidden and item.out else item.base.startswith("concat"))
        for item in structure.classes.items
    ]
    before = np.isin(structure.state, [S.EMBEDDING, S.INPUT_NORM])
    projections = np.array(wide, dtype=bool)[structure.classes.of_kernel] & before
    main, found = structure.main, projections.copy()
    joins = np.array(joining, dtype=bool)[structure.classes.of_kernel[main]]
    found[main[:-1][joins[:-1] & projections[main[1:]]]] = True
    return found


def _roles(state: NDArray[np.int8], known: NDArray[np.object_], writing: NDArray[np.bool_]) -> NDArray[np.object_]:
    """The role of each kernel, (N,), from its state and what its operator is known for."""
    role = np.array([_ROLE_OF_STATE.get(value, "") for value in State], dtype=object)
    found = np.where(state >= 0, role[state], "collective")
    named = np.isin(known, list(_NAMED_ROLES)) & np.isin(state, [s for s in State if s not in (S.PREPARE, S.SAMPLING)])
    found[named] = known[named]
    in_attention = np.isin(state, [S.ATTENTION_IN, S.ATTENTION_OUT])
    matmul = np.isin(known, ["matmul", "fused_matmul_comm", "fused_matmul_norm"])
    found[in_attention & matmul] = np.where(state[in_attention & matmul] == S.ATTENTION_OUT, "out_proj", "qkv_proj")
    found[in_attention & (known == "norm")] = "qk_norm"
    found[writing & (state == S.ATTENTION_IN)] = "kv_cache"
    routed = np.isin(state, MOE_STATES) & ~np.isin(state, [S.SHARED_BEFORE, S.SHARED_AFTER])
    found[routed & (known == "activation")] = "activation"
    for name, shown in _LAYOUT_ROLES.items():
        inside = np.isin(state, [s for s in State if s not in (S.PREPARE, S.SAMPLING, S.EMBEDDING, S.HEAD)])
        found[(known == name) & inside & (found != "residual_norm")] = shown
    found[known == "superkernel"] = "superkernel"
    found[found == ""] = "unknown"
    return found


def _evidence(structure: Structure, roles: NDArray[np.object_]) -> NDArray[np.object_]:
    """What each label rests on, in a few words."""
    items = structure.classes.items
    words = []
    learned = np.asarray(structure.learned.any(axis=1))
    for number, item in enumerate(items):
        basis = ["operator" if item.known else "learned" if learned[number] else "order"]
        if item.matmul or (item.inputs and item.role in ("norm", "gather", "unknown")):
            basis.append("shapes")
        if learned[number] or (
            item.known and item.role not in _NAMED_ROLES and item.role not in ("residual_norm", "expert_matmul")
        ):
            basis.append("order")
        words.append("+".join(dict.fromkeys(basis)))
    found = np.array(words, dtype=object)[structure.classes.of_kernel]
    found[structure.chain > 0] = found[structure.chain > 0] + "+window"
    if structure.hints is not None:
        agreed = structure.hints.agrees(structure.state)
        found[agreed] = "host+" + found[agreed]
    found[structure.state < 0] = "collective"
    return found


def label_rest(labels: Labels, kernels: pd.DataFrame, structure: Structure) -> NDArray[np.object_]:
    """Label what is in no chain; return the owner column: the region whose result a collective moves, (N,)."""
    owner = np.full(len(kernels), None, dtype=object)
    roles = structure.classes.roles_of(structure.classes.of_kernel)
    spanning = np.isin(structure.state, [-1, S.WHOLE_LAYER]) & (roles == "superkernel")
    labels.region[spanning], labels.role[spanning] = "other", "superkernel"
    labels.confidence[spanning], labels.evidence[spanning] = 1.0, "superkernel over several regions"
    labels.region[structure.backward], labels.role[structure.backward] = "other", "backward"
    labels.confidence[structure.backward], labels.evidence[structure.backward] = 1.0, "operator+order"
    labels.region[structure.apart], labels.role[structure.apart] = "other", "other_model"
    labels.confidence[structure.apart], labels.evidence[structure.apart] = APART, "shapes"
    collective = (kernels["kind"] != "kernel").to_numpy()
    if not collective.any():
        return owner
    start, main = kernels["start_ns"].to_numpy(), structure.main
    labels.region[collective], labels.role[collective] = "comm", "collective"
    labels.confidence[collective] = 1.0
    if not len(main):
        return owner
    place = np.searchsorted(start[main], start[collective], side="right") - 1
    before = labels.region[main[np.clip(place, 0, len(main) - 1)]]
    after = labels.region[main[np.clip(place + 1, 0, len(main) - 1)]]
    owner[collective] = np.where(before == "norm", after, before)
    return owner
