"""Labels: from the state of each kernel to region, role, owner, confidence and evidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skadvisor.labelling.roles import OWN_ROLES, find_roles
from skadvisor.labelling.structure import Structure
from skadvisor.vocabulary.arrays import Flags, Floats
from skadvisor.vocabulary.states import REGION_NUMBER, STATE_REGIONS, State, by_region

S = State
#: Below this probability a kernel's region is not stated.
LEAST_CONFIDENCE = 0.35
#: From this probability on another region is stated instead.
LIKELY = 0.6

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
    confidence: Floats
    evidence: NDArray[np.object_]


def label_regions(structure: Structure, trust: float = 1.0) -> Labels:
    """Label every kernel that is in a chain; collectives are left to `outside`.

    `trust` is how likely the order can be believed at all, a probability: no label is surer.
    """
    of_region = by_region(structure.probability.distinct)
    likely = _likely_states(structure, of_region)
    decided = np.where(likely >= 0, REGION_NUMBER[likely], 0)
    confidence = trust * of_region[structure.probability.place, decided]
    region = np.array(STATE_REGIONS, dtype=object)[decided]
    role, sure = find_roles(structure, likely, confidence)
    draft = _draft_projections(structure)
    region[draft], role[draft] = "other", "draft_proj"
    unsure = (confidence < LEAST_CONFIDENCE) & (structure.state >= 0)
    region[unsure], role[unsure] = "unattributed", "unknown"
    sure = np.minimum(trust, np.where(draft | unsure, confidence, sure))
    return Labels(region, role, sure, _evidence(structure))


def _likely_states(structure: Structure, of_region: Floats) -> NDArray[np.int8]:
    """The decoded state of every kernel, (N,), or another one where that one's region is unlikely and another likely.

    The best sequence as a whole can differ from what most sequences say of one kernel. `of_region` are the regions'
    shares of the distinct probabilities.
    """
    state, place = structure.state.copy(), structure.probability.place
    decided = np.where(state >= 0, REGION_NUMBER[state], 0)
    unlikely = (of_region[place, decided] < LEAST_CONFIDENCE) & (of_region.max(axis=1) >= LIKELY)[place]
    swap = np.flatnonzero(unlikely & (state >= 0))
    best = of_region[place[swap]].argmax(axis=1)
    inside = best[:, None] == REGION_NUMBER
    state[swap] = np.where(inside, structure.probability.of(swap), -1.0).argmax(axis=1)
    return state


def _draft_projections(structure: Structure) -> Flags:
    """Projections of embedding and hidden state, side by side, to the input of a draft layer, (N,).

    The kernel right before that puts the two side by side belongs to it.
    """
    hidden = structure.classes.hidden
    wide = structure.classes.kernels_where(
        lambda item: (
            (item.matmul and hidden and (item.matmul.inner, item.matmul.outer) == (2 * hidden, hidden))
            or (item.role == "matmul" and not item.inputs)
        )
    )
    joining = structure.classes.kernels_where(
        lambda item: (
            item.role == "layout"
            and (item.out == 2 * hidden if hidden and item.out else "joins_rows" in item.properties)
        )
    )
    projections = wide & np.isin(structure.state, [S.EMBEDDING, S.INPUT_NORM])
    main, found = structure.main, projections.copy()
    joins = joining[main]
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
