"""The grammar of a decode step: in which order the states follow.

A step runs prepare -> embedding -> (norm -> attention -> norm -> feed-forward) per layer -> norm -> head -> sampling.
Scores are natural logarithms of odds, as those of the roles (`vocabulary.states`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skadvisor.vocabulary.states import STATES, S, State

# How likely one state follows another, as costs (0 = expected). What is not listed is a jump, at JUMP.
JUMP = 9.0
STAY = 0.35
_NEXT: dict[State, dict[State, float]] = {
    S.PREPARE: {S.EMBEDDING: 0.9, S.INPUT_NORM: 2.4, S.ATTENTION_IN: 3.4},
    S.EMBEDDING: {S.PREPARE: 1.5, S.INPUT_NORM: 0.5, S.ATTENTION_IN: 1.5},
    S.INPUT_NORM: {S.ATTENTION_IN: 0.5, S.ATTENTION_CORE: 4.5, S.HEAD: 5.0, S.EMBEDDING: 6.5},
    S.ATTENTION_IN: {S.ATTENTION_CORE: 0.7},
    S.ATTENTION_CORE: {S.ATTENTION_OUT: 0.5, S.POST_NORM: 4.0, S.ATTENTION_IN: 6.0},
    S.ATTENTION_OUT: {S.POST_NORM: 0.5, S.MLP_UP: 4.0, S.ROUTER: 4.0, S.DISPATCH: 5.0, S.SHARED_BEFORE: 5.0},
    S.POST_NORM: {
        S.MLP_UP: 0.5,
        S.ROUTER: 0.7,
        S.SHARED_BEFORE: 1.0,
        S.DISPATCH: 2.0,
        S.EXPERTS: 2.5,
        S.INPUT_NORM: 4.0,
    },
    S.MLP_UP: {S.MLP_ACTIVATION: 0.5, S.MLP_DOWN: 3.0, S.INPUT_NORM: 5.0},
    S.MLP_ACTIVATION: {S.MLP_DOWN: 0.5, S.MLP_UP: 2.5, S.INPUT_NORM: 4.5},
    S.MLP_DOWN: {
        S.INPUT_NORM: 0.5,
        S.FINAL_NORM: 3.0,
        S.ATTENTION_IN: 4.0,
        S.HEAD: 5.0,
        S.EMBEDDING: 6.5,
        S.PREPARE: 6.5,
        S.POST_NORM: 6.5,
    },
    S.SHARED_BEFORE: {S.ROUTER: 0.7, S.DISPATCH: 1.0, S.EXPERTS: 1.5},
    S.ROUTER: {S.DISPATCH: 0.7, S.EXPERTS: 1.5, S.SHARED_BEFORE: 1.2},
    S.DISPATCH: {S.EXPERTS: 0.5, S.SHARED_BEFORE: 1.5},
    S.EXPERTS: {S.COMBINE: 0.5, S.SHARED_AFTER: 2.0, S.INPUT_NORM: 3.0, S.FINAL_NORM: 5.0},
    S.COMBINE: {
        S.INPUT_NORM: 0.5,
        S.SHARED_AFTER: 1.0,
        S.FINAL_NORM: 3.0,
        S.ATTENTION_IN: 4.0,
        S.HEAD: 5.0,
        S.PREPARE: 6.5,
        S.MLP_UP: 7.5,
    },
    S.SHARED_AFTER: {S.COMBINE: 0.7, S.INPUT_NORM: 0.7, S.FINAL_NORM: 3.0, S.ATTENTION_IN: 4.0},
    S.FINAL_NORM: {S.HEAD: 0.3, S.PREPARE: 2.5, S.EMBEDDING: 2.5},
    S.HEAD: {S.SAMPLING: 0.5, S.PREPARE: 2.5, S.EMBEDDING: 2.5, S.INPUT_NORM: 4.0},
    S.SAMPLING: {S.PREPARE: 1.0, S.EMBEDDING: 1.5, S.INPUT_NORM: 4.0},
}


def transitions() -> NDArray[np.float64]:
    """Log scores, (STATES, STATES): row = state before, column = state after."""
    scores = np.full((STATES, STATES), -JUMP)
    np.fill_diagonal(scores, -STAY)
    for state, following in _NEXT.items():
        for other, cost in following.items():
            scores[state, other] = -cost
    scores = as_probabilities(scores)
    # beside the others' sum: no kernel can be both
    for state in (S.PREPARE, S.EMBEDDING, S.INPUT_NORM):
        scores[state, S.WHOLE_LAYER] = -1.0
    scores[S.WHOLE_LAYER, [S.FINAL_NORM, S.HEAD, S.EMBEDDING, S.PREPARE]] = -1.0
    return scores


def as_probabilities(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row's weights made to sum to one: else sub-blocks of many states gain by the mere number of ways in them."""
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


def transitions_behind_norms() -> NDArray[np.float64]:
    """Log scores into a kernel right behind a projection that also adds and normalises: the next sub-block begins."""
    scores = transitions()
    closing, opening = [S.ATTENTION_OUT, S.MLP_DOWN, S.COMBINE], [S.MLP_UP, S.ROUTER, S.SHARED_BEFORE, S.DISPATCH]
    scores[closing] = -JUMP
    scores[np.ix_([S.ATTENTION_OUT], opening)] = -0.7
    scores[np.ix_([S.MLP_DOWN, S.COMBINE], [S.ATTENTION_IN])] = -0.5
    scores[np.ix_([S.MLP_DOWN, S.COMBINE], [S.HEAD, S.PREPARE, S.EMBEDDING])] = -3.0
    return as_probabilities(scores)


def side_transitions() -> NDArray[np.float64]:
    """Log scores for a chain beside the main one that holds expert blocks: they follow one another directly."""
    scores = transitions()
    ends, begins = [S.EXPERTS, S.COMBINE, S.SHARED_AFTER], [S.ROUTER, S.DISPATCH, S.SHARED_BEFORE]
    scores[np.ix_(ends, begins)] = -0.7
    return as_probabilities(scores)
