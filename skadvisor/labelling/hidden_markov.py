"""The most likely sequence of states, and how sure each one is (Viterbi and forward-backward in log space).

The first-order model with known weights is Rabiner (1989), "A tutorial on hidden Markov models".
"""

from __future__ import annotations

from collections.abc import Callable
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

    `transitions` (K, S, S) scores state before -> state after, in K ways of which `ways` (N,) chooses one for the step
    into each kernel; way 0 is the usual one. `restart` (N,) is added to those transitions that `restarts` (S, S) marks:
    those that begin a new step.
    """

    transitions: Scores
    ways: NDArray[np.int8]
    restart: Scores
    restarts: NDArray[np.bool_]


def decode(emissions: Scores, order: Order) -> NDArray[np.int8]:
    """The best state per kernel, (N,). `emissions` (N, S) scores each kernel in each state."""
    count, states = emissions.shape
    restart = order.restart
    if count == 0:
        return np.zeros(0, dtype=np.int8)
    back = np.zeros((count, states), dtype=np.int8)
    score = emissions[0].copy()
    marked = order.restarts.astype(np.float64)
    ways = order.ways.tolist()
    columns = np.arange(states)
    for index in range(1, count):
        paths = score[:, None] + order.transitions[ways[index]]
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
    lanes = _Lanes(emissions[rows], order.ways[rows], order.restart[rows], starts=places == 0, ends=places >= count - 1)
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
    ways: NDArray[np.int8]
    restart: Scores
    starts: NDArray[np.bool_]
    ends: NDArray[np.bool_]


def _posterior(lanes: _Lanes, order: Order) -> Scores:
    """Forward-backward on every lane at once."""
    weights = np.exp(order.transitions)
    likelihood = np.exp(lanes.emissions - lanes.emissions.max(axis=2, keepdims=True))
    forward = np.zeros_like(likelihood)
    backward = np.ones_like(likelihood)
    forward[:, 0] = likelihood[:, 0] / likelihood[:, 0].sum(axis=1, keepdims=True)
    # a restart scales the marked transitions only: weights + (factor - 1) * (weights where marked)
    marked = np.where(order.restarts, weights, 0.0)
    factor = (np.exp(lanes.restart) - 1.0)[:, :, None]
    other_ways = [np.unique(ways[ways > 0]).tolist() for ways in lanes.ways.T]

    def moved(values: Scores, index: int, turn: Callable[[Scores], Scores]) -> Scores:
        """`values` (lanes, S) through the transitions into the kernels at `index`, which `turn` may transpose."""
        reached = values @ turn(weights[0]) + factor[:, index] * (values @ turn(marked[0]))
        for way in other_ways[index]:
            through = values @ turn(weights[way]) + factor[:, index] * (values @ turn(marked[way]))
            reached = np.where(lanes.ways[:, index, None] == way, through, reached)
        return reached

    length = likelihood.shape[1]
    for index in range(1, length):
        reached = moved(forward[:, index - 1], index, np.asarray)
        step = np.where(lanes.starts[:, index, None], 1.0, reached) * likelihood[:, index]
        forward[:, index] = step / step.sum(axis=1, keepdims=True)
    for index in range(length - 2, -1, -1):
        reached = moved(likelihood[:, index + 1] * backward[:, index + 1], index + 1, np.transpose)
        step = np.where(lanes.ends[:, index, None], 1.0, reached)
        backward[:, index] = step / step.sum(axis=1, keepdims=True)
    joint = forward * backward
    return joint / joint.sum(axis=2, keepdims=True)
