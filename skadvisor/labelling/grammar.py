"""The grammar of a decode step: in which order the states follow.

A step runs prepare -> embedding -> (norm -> attention -> norm -> feed-forward) per layer -> norm -> head -> sampling.
Scores are natural logarithms of odds, as those of the roles (`vocabulary.states`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from skadvisor.files.data_files import read_toml
from skadvisor.vocabulary.arrays import Floats
from skadvisor.vocabulary.states import STATES, S, State

_DATA = read_toml(Path(__file__).with_name("order.toml"))
LEVELS: dict[str, float] = _DATA["levels"]
JUMP = LEVELS["jump"]


def transitions() -> Floats:
    """Log scores, (STATES, STATES): row = state before, column = state after."""
    scores = np.full((STATES, STATES), JUMP)
    np.fill_diagonal(scores, LEVELS["stay"])
    for state, following in _DATA["follows"].items():
        for level, others in following.items():
            scores[State[state], [State[other] for other in others]] = LEVELS[level]
    scores = as_probabilities(scores)
    # beside the others' sum: no kernel can be both
    for state in (S.PREPARE, S.EMBEDDING, S.INPUT_NORM):
        scores[state, S.WHOLE_LAYER] = LEVELS["likely"]
    scores[S.WHOLE_LAYER, [S.FINAL_NORM, S.HEAD, S.EMBEDDING, S.PREPARE]] = LEVELS["likely"]
    return scores


def as_probabilities(scores: Floats) -> Floats:
    """Each row's weights made to sum to one: else sub-blocks of many states gain by the mere number of ways in them."""
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


def transitions_behind_norms() -> Floats:
    """Log scores into a kernel right behind a projection that also adds and normalises: the next sub-block begins."""
    scores = transitions()
    closing, opening = [S.ATTENTION_OUT, S.MLP_DOWN, S.COMBINE], [S.MLP_UP, S.ROUTER, S.SHARED_BEFORE, S.DISPATCH]
    scores[closing] = JUMP
    scores[np.ix_([S.ATTENTION_OUT], opening)] = LEVELS["next"]
    scores[np.ix_([S.MLP_DOWN, S.COMBINE], [S.ATTENTION_IN])] = LEVELS["next"]
    scores[np.ix_([S.MLP_DOWN, S.COMBINE], [S.HEAD, S.PREPARE, S.EMBEDDING])] = LEVELS["possible"]
    return as_probabilities(scores)


def side_transitions() -> Floats:
    """Log scores for a chain beside the main one that holds expert blocks: they follow one another directly."""
    scores = transitions()
    ends, begins = [S.EXPERTS, S.COMBINE, S.SHARED_AFTER], [S.ROUTER, S.DISPATCH, S.SHARED_BEFORE]
    scores[np.ix_(ends, begins)] = LEVELS["next"]
    return as_probabilities(scores)
