"""The most likely sequence of states, and how sure each one is (Viterbi and forward-backward in log space).

The first-order model with known weights is Rabiner (1989), "A tutorial on hidden Markov models".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
#: Kernels per piece of a long sequence, and how far pieces reach into one another: several layers.
PIECE = 1024
OVERLAP = 256


@dataclass(frozen=True)
class Order:
    """How states follow one another.

    `transitions` (S, S) scores state before -> state after; `restart` (N,) is added to those transitions that
    `restarts` (S, S) marks: those that begin a new step. Into the kernels marked by `leaps` (N,) the scores of
    `leaping` (S, S) count instead.
    """

    transitions: Scores
    restart: Scores
    restarts: NDArray[np.bool_]
    leaps: NDArray[np.bool_]
    leaping: Scores


def decode(emissions: Scores, order: Order) -> NDArray[np.int8]:
    """The best state per kernel, (N,). `emissions` (N, S) scores each kernel in each state."""
    count, states = emissions.shape
    transitions, restart = order.transitions, order.restart
    if count == 0:
        return np.zeros(0, dtype=np.int8)
    back = np.zeros((count, states), dtype=np.int8)
    score = emissions[0].copy()
    marked = order.restarts.astype(np.float64)
    leaps = order.leaps.tolist()
    columns = np.arange(states)
    for index in range(1, count):
        paths = score[:, None] + (order.leaping if leaps[index] else transitions)
        if restart[index]:
            paths += restart[index] * marked
        best = paths.argmax(axis=0)
        back[index] = best
        score = paths[best, columns] + emissions[index]
    path = np.zeros(count, dtype=np.int8)
    path[-1] = score.argmax()
    for index in range(count - 1, 0, -1):
        path[index - 1] = back[index, path[index]]
    return path


def posterior(emissions: Scores, order: Order) -> Scores:
    """Probability of each state per kernel given the whole sequence, (N, S); rows sum to 1.

    Long sequences are worked out as many overlapping pieces side by side: what lies further away than the overlap
    no longer moves a probability.
    """
    count, states = emissions.shape
    if not count:
        return np.zeros((0, states))
    pieces = np.arange(0, count, PIECE)
    places = pieces[:, None] - OVERLAP + np.arange(PIECE + 2 * OVERLAP)
    if len(pieces) == 1:
        places = np.arange(count)[None]
    rows = np.clip(places, 0, count - 1)
    lanes = _Lanes(
        emissions[rows], order.restart[rows], order.leaps[rows], starts=places == 0, ends=places >= count - 1
    )
    found = _posterior(lanes, order)
    if len(pieces) == 1:
        return found[0]
    return found[:, OVERLAP : OVERLAP + PIECE].reshape(-1, states)[:count]


@dataclass(frozen=True)
class _Lanes:
    """Sequences of one length side by side: emissions (lanes, length, S), the others (lanes, length).

    `starts` marks where a sequence begins anew, `ends` where nothing of it follows.
    """

    emissions: Scores
    restart: Scores
    leaps: NDArray[np.bool_]
    starts: NDArray[np.bool_]
    ends: NDArray[np.bool_]


def _posterior(lanes: _Lanes, order: Order) -> Scores:
    """Forward-backward on every lane at once."""
    weights, leaping = np.exp(order.transitions), np.exp(order.leaping)
    likelihood = np.exp(lanes.emissions - lanes.emissions.max(axis=2, keepdims=True))
    forward = np.zeros_like(likelihood)
    backward = np.ones_like(likelihood)
    forward[:, 0] = likelihood[:, 0] / likelihood[:, 0].sum(axis=1, keepdims=True)
    # a restart scales the marked transitions only: weights + (factor - 1) * (weights where marked)
    marked = np.where(order.restarts, weights, 0.0)
    factor = (np.exp(lanes.restart) - 1.0)[:, :, None]
    leapt = set(np.flatnonzero(lanes.leaps.any(axis=0)).tolist())
    length = likelihood.shape[1]
    for index in range(1, length):
        before = forward[:, index - 1]
        reached = before @ weights + factor[:, index] * (before @ marked)
        if index in leapt:
            reached = np.where(lanes.leaps[:, index, None], before @ leaping, reached)
        step = np.where(lanes.starts[:, index, None], 1.0, reached) * likelihood[:, index]
        forward[:, index] = step / step.sum(axis=1, keepdims=True)
    for index in range(length - 2, -1, -1):
        after = likelihood[:, index + 1] * backward[:, index + 1]
        step = after @ weights.T + factor[:, index + 1] * (after @ marked.T)
        if index + 1 in leapt:
            step = np.where(lanes.leaps[:, index + 1, None], after @ leaping.T, step)
        step = np.where(lanes.ends[:, index, None], 1.0, step)
        backward[:, index] = step / step.sum(axis=1, keepdims=True)
    joint = forward * backward
    return joint / joint.sum(axis=2, keepdims=True)
