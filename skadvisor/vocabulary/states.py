"""The states that a kernel can be in during a decode step, and what each operator role says about them.

Scores are natural logarithms of odds; only their differences matter.
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skadvisor.files.data_files import read_toml


class State(IntEnum):
    """What a kernel works for, finer than region: the sub-blocks' stages."""

    PREPARE = 0
    EMBEDDING = 1
    INPUT_NORM = 2
    ATTENTION_IN = 3
    ATTENTION_CORE = 4
    ATTENTION_OUT = 5
    POST_NORM = 6
    MLP_UP = 7
    MLP_ACTIVATION = 8
    MLP_DOWN = 9
    SHARED_BEFORE = 10
    ROUTER = 11
    DISPATCH = 12
    EXPERTS = 13
    COMBINE = 14
    SHARED_AFTER = 15
    FINAL_NORM = 16
    HEAD = 17
    SAMPLING = 18
    WHOLE_LAYER = 19


STATES = len(State)
S = State

ATTENTION_STATES = (S.ATTENTION_IN, S.ATTENTION_CORE, S.ATTENTION_OUT)
MLP_STATES = (S.MLP_UP, S.MLP_ACTIVATION, S.MLP_DOWN)
MOE_STATES = (S.SHARED_BEFORE, S.ROUTER, S.DISPATCH, S.EXPERTS, S.COMBINE, S.SHARED_AFTER)
NORM_STATES = (S.INPUT_NORM, S.POST_NORM, S.FINAL_NORM)
LAYER_STATES = (S.INPUT_NORM, *ATTENTION_STATES, S.POST_NORM, *MLP_STATES, *MOE_STATES, S.WHOLE_LAYER)

#: Where a stage stands in its layer; dense and expert feed-forward stand in the same place.
FIRST_TO_LAST: dict[State, int] = {
    S.INPUT_NORM: 0,
    S.ATTENTION_IN: 1,
    S.ATTENTION_CORE: 2,
    S.ATTENTION_OUT: 3,
    S.POST_NORM: 4,
    S.SHARED_BEFORE: 5,
    S.ROUTER: 6,
    S.MLP_UP: 6,
    S.DISPATCH: 7,
    S.MLP_ACTIVATION: 7,
    S.EXPERTS: 8,
    S.MLP_DOWN: 8,
    S.COMBINE: 9,
    S.SHARED_AFTER: 10,
    S.FINAL_NORM: 11,
}

REGION_OF_STATE: dict[State, str] = {
    S.PREPARE: "prepare",
    S.EMBEDDING: "embedding",
    S.HEAD: "head",
    S.SAMPLING: "sampling",
    S.WHOLE_LAYER: "other",
    **dict.fromkeys(NORM_STATES, "norm"),
    **dict.fromkeys(ATTENTION_STATES, "attention"),
    **dict.fromkeys(MLP_STATES, "mlp"),
    **dict.fromkeys(MOE_STATES, "moe"),
}
#: The regions that states belong to, in alphabetical order, and the place of each state's region among them, (STATES,).
STATE_REGIONS = tuple(sorted(set(REGION_OF_STATE.values())))
REGION_NUMBER = np.array([STATE_REGIONS.index(REGION_OF_STATE[state]) for state in State])

#: Only a SuperKernel can be whole layers.
NEVER = -60.0
_DATA = read_toml(Path(__file__).with_name("roles.toml"))
#: What a state gets that a role does not list.
ELSEWHERE: float = _DATA["levels"]["elsewhere"]
_NOT_WHOLE = [state.name for state in State if state is not S.WHOLE_LAYER]


def _weights(name: str) -> dict[State, float]:
    """What a role says of each state that it lists, by the levels of roles.toml."""
    entry = _DATA["roles"][name]
    if "like" in entry:
        return _weights(entry["like"])
    return {
        State[state]: float(_DATA["levels"][level])
        for level, states in entry.items()
        for state in (_NOT_WHOLE if states == ["*"] else states)
    }


ROLES: dict[str, dict[State, float]] = {name: _weights(name) for name in _DATA["roles"]}

#: What operators of several roles have in common, and what it means; `operators.toml` says which have it.
PROPERTIES: dict[str, str] = {
    "writes_rows": "writes rows into a larger tensor: before attention, into the cache of keys and values",
    "negates": "changes the sign: half of a rotation in several kernels",
    "counts_rows": "counts how many rows each expert gets",
    "exchanges_rows": "a collective that gives each rank other rows, unlike a sum over ranks",
    "multiplies": "multiplies its operands",
    "multiplies_number": "multiplies every element by one number",
    "joins_rows": "puts tensors side by side",
    "adds_number": "adds one number to every element",
    "updates_weights": "part of an optimizer: a training step ends with it",
    "waits_for_ranks": "computes, and exchanges rows with other ranks on the way, for which it may wait",
    "transfers": "sends to or receives from another stage of a pipeline",
    "norms_groups": "normalises groups of columns, not whole rows",
    "paged": "reads a paged cache",
    "decodes": "attends for tokens that follow others only",
    "prefills": "attends for whole prompts",
    "prefills_as_well": "attends for prompts, whatever else its name says",
    "keeps_state": "reads or writes what earlier tokens left",
    "linear_attention": "keeps a state of fixed size for earlier tokens",
    "sparse_attention": "attends to chosen keys only",
    "latent_attention": "keeps one latent row per token instead of keys and values of every head",
    "ends_with_norm": "adds its result to the residual stream and normalises the sum: the next sub-block follows",
    "one_matrix_per_head": "multiplies by a batch of matrices, whatever shapes say",
}


def role_scores(role: str) -> NDArray[np.float64]:
    """What a role says about each state, (STATES,)."""
    scores = np.full(STATES, ELSEWHERE)
    scores[S.WHOLE_LAYER] = NEVER
    for state, score in ROLES[role].items():
        scores[state] = score
    return scores


def by_region(values: NDArray[np.float64] | NDArray[np.bool_]) -> NDArray[np.float64]:
    """Sums over the states of each region, (N, regions in the order of STATE_REGIONS), of values (N, STATES)."""
    found = np.zeros((len(STATE_REGIONS), len(values)))
    # column by column: a product of matrices this narrow would wake the threads of the linear algebra library
    for state, region in enumerate(REGION_NUMBER.tolist()):
        found[region] += values[:, state]
    return found.T
