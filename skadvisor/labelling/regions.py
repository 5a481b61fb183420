"""Labels: from the state of each kernel to region, role, owner, confidence and evidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skadvisor.labelling.roles import OWN_ROLES, find_roles
from skadvisor.labelling.structure import Structure
from skadvisor.vocabulary.states import ATTENTION_STATES, REGION_OF_STATE, STATES, State

S = State
#: Below this probability a kernel's region is not stated.
LEAST_CONFIDENCE = 0.35
#: From this probability on another region is stated instead.
LIKELY = 0.6
#: How sure it is that layers of another width are another model's.
APART = 0.95

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
    roles = find_roles(structure, likely, confidence)
    role = roles.role
    draft = _draft_projections(structure)
    region[draft], role[draft] = "other", "draft_proj"
    unsure = (confidence < LEAST_CONFIDENCE) & (structure.state >= 0)
    region[unsure], role[unsure] = "unattributed", "unknown"
    return Labels(region, role, np.where(draft | unsure, confidence, roles.confidence), _evidence(structure))


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


def _evidence(structure: Structure) -> NDArray[np.object_]:
    """What each label rests on, in a few words."""
    items = structure.classes.items
    words = []
    learned = np.asarray(structure.learned.any(axis=1))
    for number, item in enumerate(items):
        basis = ["operator" if item.known else "learned" if learned[number] else "order"]
        if item.matmul or (item.inputs and item.role in ("norm", "gather", "unknown")):
            basis.append("shapes")
        if learned[number] or (
            item.known and item.role not in OWN_ROLES and item.role not in ("residual_norm", "expert_matmul")
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
    _label_exchanges(labels, kernels, structure, owner)
    return owner


def _label_exchanges(labels: Labels, kernels: pd.DataFrame, structure: Structure, owner: NDArray[np.object_]) -> None:
    """Collectives that deal rows out to other ranks' experts dispatch them; behind the experts they bring them back.

    A part of a collective does what the collective does in whose time it runs.
    """
    exchanges = np.array(["exchanges_rows" in item.properties for item in structure.classes.items], dtype=bool)
    rows = np.flatnonzero((owner == "moe") & exchanges[structure.classes.of_kernel])
    experts = np.flatnonzero(structure.state == S.EXPERTS)
    if not len(rows) or not len(experts):
        return
    attention = np.flatnonzero(np.isin(structure.state, ATTENTION_STATES))
    count = len(structure.state)
    next_experts, next_attention = (
        np.append(places, count)[np.searchsorted(places, rows)] for places in (experts, attention)
    )
    labels.role[rows] = np.where(next_experts < next_attention, "dispatch", "combine")
    nearest = experts[np.clip(np.searchsorted(experts, rows), 0, len(experts) - 1)]
    labels.confidence[rows] = labels.confidence[nearest]
    parts = np.flatnonzero((kernels["kind"] == "collective_part").to_numpy())
    start = kernels["start_ns"].to_numpy()
    middle = start[parts] + kernels["dur_ns"].to_numpy()[parts] // 2
    place = np.searchsorted(start[rows], middle, side="right") - 1
    held = rows[np.maximum(place, 0)]
    inside = (place >= 0) & (start[held] + kernels["dur_ns"].to_numpy()[held] >= middle)
    labels.role[parts[inside]] = labels.role[held[inside]]
    labels.confidence[parts[inside]] = labels.confidence[held[inside]]
