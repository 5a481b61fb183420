"""The states that a kernel can be in during a decode step, and what each operator role says about them.

Scores are natural logarithms of odds; only their differences matter. They are weights of evidence, chosen once
for all models: a specific operator outweighs any order, order outweighs a generic operator.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


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

# What a role says: weight per state it can occur in; all other states get ELSEWHERE.
ELSEWHERE = -7.0
#: Only a SuperKernel can be whole layers.
NEVER = -60.0
_ATTENTION_GENERIC = {S.ATTENTION_IN: 0.0, S.ATTENTION_CORE: -1.2, S.ATTENTION_OUT: -0.2}
_FEED_FORWARD = {S.MLP_UP: 0.0, S.MLP_ACTIVATION: -1.0, S.MLP_DOWN: 0.0}
_MOE = {
    S.ROUTER: 0.0,
    S.DISPATCH: 0.0,
    S.EXPERTS: -0.3,
    S.COMBINE: 0.0,
    S.SHARED_BEFORE: -0.3,
    S.SHARED_AFTER: -0.3,
}
_OUTSIDE = {S.PREPARE: 0.0, S.EMBEDDING: -2.0, S.HEAD: -1.0, S.SAMPLING: 0.0}
_NORMS = {S.INPUT_NORM: 0.0, S.POST_NORM: 0.0, S.FINAL_NORM: 0.0}
_GENERIC = {**_ATTENTION_GENERIC, **_FEED_FORWARD, **_MOE, **_OUTSIDE, **dict.fromkeys(NORM_STATES, -2.5)}

ROLES: dict[str, dict[State, float]] = {
    "attention_core": {S.ATTENTION_CORE: 0.0},
    "indexer": {S.ATTENTION_IN: 0.0, S.ATTENTION_CORE: -2.0},
    "kv_cache": {S.ATTENTION_IN: 0.0, S.ATTENTION_CORE: -2.0},
    "rope": {S.ATTENTION_IN: 0.0, S.ATTENTION_OUT: -0.7, S.PREPARE: -4.0},
    "qkv_proj": {S.ATTENTION_IN: 0.0},
    "out_proj": {S.ATTENTION_OUT: 0.0},
    "router": {S.ROUTER: 0.0},
    "dispatch": {S.DISPATCH: 0.0},
    "expert_matmul": {S.EXPERTS: 0.0},
    "shared_expert": {S.SHARED_BEFORE: 0.0, S.SHARED_AFTER: 0.0},
    "combine": {S.COMBINE: 0.0},
    "gate_up": {S.MLP_UP: 0.0},
    "down": {S.MLP_DOWN: 0.0},
    "fused_ffn": {S.MLP_UP: -0.5, S.MLP_ACTIVATION: 0.0},
    "residual_norm": {S.INPUT_NORM: 0.0, S.POST_NORM: 0.0, S.FINAL_NORM: 0.0},
    "norm": {**_NORMS, S.ATTENTION_IN: -1.5, S.ATTENTION_OUT: -2.5},
    "activation": {
        S.MLP_ACTIVATION: 0.0,
        S.EXPERTS: -0.3,
        S.SHARED_BEFORE: -0.5,
        S.SHARED_AFTER: -0.5,
        S.ATTENTION_IN: -4.0,
        S.ATTENTION_OUT: -3.5,
    },
    "matmul": {
        S.ATTENTION_IN: 0.0,
        S.ATTENTION_OUT: 0.0,
        S.ATTENTION_CORE: -3.0,
        S.MLP_UP: 0.0,
        S.MLP_DOWN: 0.0,
        S.ROUTER: -0.5,
        S.EXPERTS: -2.5,
        S.SHARED_BEFORE: -0.5,
        S.SHARED_AFTER: -0.5,
        S.HEAD: -0.5,
    },
    "fused_matmul_comm": {S.ATTENTION_OUT: 0.0, S.MLP_DOWN: 0.0, S.MLP_UP: -1.0, S.ATTENTION_IN: -1.0, S.HEAD: -2.0},
    "fused_matmul_norm": {S.ATTENTION_OUT: 0.0, S.MLP_DOWN: 0.0},
    "gather": {
        **dict.fromkeys(State, -4.0),
        S.WHOLE_LAYER: NEVER,
        S.PREPARE: 0.0,
        S.EMBEDDING: -0.5,
        S.HEAD: -0.7,
        S.SAMPLING: -0.7,
        S.ATTENTION_IN: -1.5,
        S.DISPATCH: -1.0,
        S.ROUTER: -1.0,
        S.COMBINE: -1.0,
    },
    "softmax": {S.ATTENTION_CORE: -0.5, S.ROUTER: -0.3, S.SAMPLING: -0.5, S.ATTENTION_IN: -4.0},
    "topk": {S.ROUTER: 0.0, S.SAMPLING: -0.5, S.ATTENTION_IN: -4.5, S.DISPATCH: -2.0},
    "reduce": {**_GENERIC, **dict.fromkeys(NORM_STATES, -1.5)},
    "rsqrt": {**_NORMS, S.ATTENTION_IN: -1.5, S.ATTENTION_OUT: -2.5},
    "quantise": {**_GENERIC, S.PREPARE: -4.0, S.SAMPLING: -4.0, S.HEAD: -2.0},
    "layout": _GENERIC,
    "cast": _GENERIC,
    "add": {**_GENERIC, **dict.fromkeys(NORM_STATES, -2.0)},
    "elementwise": _GENERIC,
    "adapter": {**_GENERIC, **dict.fromkeys(NORM_STATES, -6.0), S.PREPARE: -5.0, S.SAMPLING: -5.0},
    "sampling": {S.SAMPLING: 0.0, S.PREPARE: -3.0, S.ROUTER: -4.0},
    "prepare": {S.PREPARE: 0.0, S.SAMPLING: -3.0},
    "collective": {**dict.fromkeys(State, 0.0), S.WHOLE_LAYER: NEVER},
    "training": {**dict.fromkeys(State, 0.0), S.WHOLE_LAYER: NEVER},
    "exchange": {**dict.fromkeys(State, 0.0), S.WHOLE_LAYER: NEVER},
    "mark": {**dict.fromkeys(State, 0.0), S.WHOLE_LAYER: NEVER},
    "vision": {**dict.fromkeys(State, 0.0), S.WHOLE_LAYER: NEVER},
    "superkernel": {**dict.fromkeys(State, 0.0), S.WHOLE_LAYER: NEVER},
    "unknown": {**_GENERIC, S.ATTENTION_CORE: 0.0, S.MLP_ACTIVATION: 0.0, **dict.fromkeys(NORM_STATES, -3.0)},
}

#: What operators of several roles have in common, and what it means; `operators.toml` says which have it.
PROPERTIES: dict[str, str] = {
    "writes_rows": "writes rows into a larger tensor: before attention, into the cache of keys and values",
    "negates": "changes the sign: half of a rotation in several kernels",
    "counts_rows": "counts how many rows each expert gets",
    "exchanges_rows": "a collective that gives each rank other rows, unlike a sum over ranks",
    "adds_number": "adds one number to every element",
    "updates_weights": "part of an optimizer: a training step ends with it",
    "transfers": "sends to or receives from another stage of a pipeline",
    "norms_groups": "normalises groups of columns, not whole rows",
    "linear_attention": "keeps a state of fixed size for earlier tokens",
    "sparse_attention": "attends to chosen keys only",
    "latent_attention": "keeps one latent row per token instead of keys and values of every head",
    "one_matrix_per_head": "multiplies by a batch of matrices, whatever shapes say",
}


def role_scores(role: str) -> NDArray[np.float64]:
    """What a role says about each state, (STATES,)."""
    scores = np.full(STATES, ELSEWHERE)
    scores[S.WHOLE_LAYER] = NEVER
    for state, score in ROLES[role].items():
        scores[state] = score
    return scores
