"""The most likely sequence of states, and how sure each one is (Viterbi and forward-backward in log space).

The first-order model with known weights is Rabiner (1989), "A tutorial on hidden Markov models".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]


def decode(emissions: Scores, transitions: Scores, restart: Scores, restarts: NDArray[np.bool_]) -> NDArray[np.int8]:
    """The best state per kernel, (N,).

    `emissions` (N, S) scores each kernel in each state, `transitions` (S, S) scores state before -> state after;
    `restart` (N,) is added to those transitions that `restarts` (S, S) marks: those that begin a new step.
    """
    count, states = emissions.shape
    if count == 0:
        return np.zeros(0, dtype=np.int8)
    back = np.zeros((count, states), dtype=np.int8)
    score = emissions[0].copy()
    marked = restarts.astype(np.float64)
    columns = np.arange(states)
    for index in range(1, count):
        paths = score[:, None] + transitions
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


def posterior(emissions: Scores, transitions: Scores, restart: Scores, restarts: NDArray[np.bool_]) -> Scores:
    """Probability of each state per kernel given the whole sequence, (N, S); rows sum to 1."""
    count, states = emissions.shape
    if count == 0:
        return np.zeros((0, states))
    weights = np.exp(transitions)
    marked = np.where(restarts, 1.0, 0.0)
    likelihood = np.exp(emissions - emissions.max(axis=1, keepdims=True))
    forward = np.zeros((count, states))
    backward = np.ones((count, states))
    forward[0] = likelihood[0] / likelihood[0].sum()
    moves = [weights] * count
    for index in np.flatnonzero(restart):
        moves[index] = weights * np.exp(restart[index] * marked)
    for index in range(1, count):
        step = (forward[index - 1] @ moves[index]) * likelihood[index]
        forward[index] = step / step.sum()
    for index in range(count - 2, -1, -1):
        step = moves[index + 1] @ (likelihood[index + 1] * backward[index + 1])
        backward[index] = step / step.sum()
    joint = forward * backward
    return joint / joint.sum(axis=1, keepdims=True)
