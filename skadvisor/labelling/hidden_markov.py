"""The most likely sequence of states, and how sure each one is (Viterbi and forward-backward in log space).

The first-order model with known weights is Rabiner (1989), "A tutorial on hidden Markov models". Long sequences are
worked out as many pieces side by side, each of which begins a little earlier than it counts. What lies far away no
longer moves anything: where the end of one piece shows that it does, the pieces begin earlier still.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skadvisor.vocabulary.arrays import Flags, Floats, Ints

#: How much earlier than it counts a piece begins, kernels; a piece is never shorter than that.
LEAD = 64
#: Pieces of one sequence join where they say the same to this much: of log scores, and of probabilities.
SAME_SCORE, SAME_PROBABILITY = 1e-6, 1e-10
#: Kernels side by side cost as much as this fraction of one step of all pieces together.
_LANE_COST = 0.05


@dataclass(frozen=True)
class Order:
    """How states follow one another.

    `transitions` (K, S, S) scores state before -> state after, in K ways of which `ways` (N,) chooses one for the step
    into each kernel; way 0 is the usual one. `restart` (N,) is added to those transitions that `restarts` (S, S) marks:
    those that begin a new step.
    """

    transitions: Floats
    ways: NDArray[np.int8]
    restart: Floats
    restarts: Flags

    def backwards(self) -> Order:
        """The same order read from the end."""
        return replace(
            self,
            transitions=self.transitions.transpose(0, 2, 1),
            ways=np.append(0, self.ways[:0:-1]).astype(np.int8) if len(self.ways) else self.ways,
            restart=np.append(0.0, self.restart[:0:-1]) if len(self.restart) else self.restart,
            restarts=self.restarts.T,
        )


def decode(emissions: Floats, order: Order) -> NDArray[np.int8]:
    """The best state per kernel, (N,). `emissions` (N, S) scores each kernel in each state."""
    count, states = emissions.shape
    if count == 0:
        return np.zeros(0, dtype=np.int8)
    back, scores = _joined(_best_before, emissions, order)
    pointers = back.tobytes()
    state = int(scores.argmax())
    path = bytearray(count)
    for index in range(count - 1, 0, -1):
        path[index] = state
        state = pointers[index * states + state]
    path[0] = state
    return np.frombuffer(path, dtype=np.int8)


def posterior(emissions: Floats, order: Order) -> Floats:
    """Probability of each state per kernel given the whole sequence, (N, S); rows sum to 1."""
    if not len(emissions):
        return np.zeros(emissions.shape)
    likelihood = np.exp(emissions - emissions.max(axis=1, keepdims=True))
    upto, behind = _joined(_sweep, likelihood, order)
    joint = upto * behind
    joint /= joint.sum(axis=1, keepdims=True)
    return joint


@dataclass(frozen=True)
class _Pieces:
    """Pieces of a sequence side by side: each counts from its `begins` on for `length` kernels and leads by `lead`."""

    begins: Ints
    length: int
    lead: int

    @classmethod
    def of(cls, count: int, lead: int) -> _Pieces:
        length = max(lead, int((lead * count * _LANE_COST) ** 0.5))
        return cls(np.arange(0, count, length), length, lead) if count > 2 * length else cls(np.zeros(1, int), count, 0)

    def rows(self, count: int) -> Ints:
        """Which kernel each piece is at after so many steps, (steps, pieces); beyond the ends the nearest one."""
        steps = np.arange(self.lead + self.length)
        return np.clip(self.begins - self.lead + steps[:, None], 0, count - 1)


def _joined(sweep: Callable[[Floats, Order, _Pieces], tuple[Any, Any, bool]], seen: Floats, order: Order) -> Any:
    """What a sweep over pieces finds, which begin earlier until they join."""
    lead = LEAD
    while True:
        pieces = _Pieces.of(len(seen), lead)
        *found, joins = sweep(seen, order, pieces)
        if joins or len(pieces.begins) == 1:
            return found
        lead *= 4


def _best_before(emissions: Floats, order: Order, pieces: _Pieces) -> tuple[NDArray[np.int8], Floats, bool]:
    """The best state before each state of each kernel, the scores at the end, and whether the pieces join."""
    count, states = emissions.shape
    rows = pieces.rows(count)
    back = np.zeros((len(pieces.begins), pieces.length, states), dtype=np.int8)
    towards = np.ascontiguousarray(order.transitions.transpose(0, 2, 1))
    marked = np.flatnonzero(order.restarts.T.ravel())
    seen, ways, restart = emissions[rows], order.ways[rows], order.restart[rows][:, :, None]
    unusual = set(np.flatnonzero(ways.any(axis=1)).tolist())
    ends = met = score = seen[0]
    firsts = np.arange(0, score.size * states, states)
    last = count - 1 - int(pieces.begins[-1]) + pieces.lead
    for step in range(1, len(rows)):
        paths = score[:, None, :] + towards[0]
        if step in unusual:
            for lane in np.flatnonzero(ways[step]).tolist():
                paths[lane] = score[lane] + towards[ways[step, lane]]
        if len(marked):
            paths.reshape(len(score), -1)[:, marked] += restart[step]
        best = paths.argmax(axis=2)
        score = paths.take(firsts + best.ravel()).reshape(score.shape) + seen[step]
        if step <= pieces.lead:
            score[0] = emissions[0]
        if step == pieces.lead - 1:
            met = score
        if step >= pieces.lead:
            back[:, step - pieces.lead] = best
        if step <= last:
            ends = score
    apart = score[:-1] - met[1:]
    joins = bool((np.ptp(apart, axis=1) < SAME_SCORE).all()) if len(apart) else True
    return back.reshape(-1, states)[:count], ends[-1], joins


def _sweep(likelihood: Floats, order: Order, pieces: _Pieces) -> tuple[Floats, Floats, bool]:
    """How likely each state is given the kernels up to each one, and given those behind it; whether the pieces join.

    (N, S) each, in any unit. Both are worked out side by side, the second from the end.
    """
    count, states = likelihood.shape
    rows = pieces.rows(count)
    sides = (order, order.backwards())
    # a restart scales the marked transitions only: weights + (factor - 1) * (weights where marked)
    weights = np.exp([side.transitions for side in sides])
    both = np.concatenate([weights, np.where([[side.restarts] for side in sides], weights, 0.0)], axis=3)
    factor = np.stack([np.exp(side.restart[rows]) - 1.0 for side in sides], axis=1)[..., None]
    ways = np.stack([side.ways[rows] for side in sides], axis=1)
    seen = np.stack([likelihood[rows], likelihood[::-1][rows]], axis=1)
    unusual = set(np.flatnonzero(ways.any(axis=(1, 2))).tolist())
    values = met = seen[0] / seen[0].sum(axis=2, keepdims=True)
    reached = np.ones_like(values)
    found = np.empty((2, len(pieces.begins), pieces.length, states))
    if not pieces.lead:
        found[:, :, 0] = values[0], reached[1]
    for step in range(1, len(rows)):
        moved = values @ both[:, 0]
        if step in unusual:
            for side, lane in zip(*np.nonzero(ways[step]), strict=True):
                moved[side, lane] = values[side, lane] @ both[side, ways[step, side, lane]]
        reached = moved[..., :states] + factor[step] * moved[..., states:]
        if step <= pieces.lead:
            reached[:, 0] = 1.0
        values = reached * seen[step]
        values /= values.sum(axis=2, keepdims=True)
        if step == pieces.lead - 1:
            met = values
        if step >= pieces.lead:
            found[0, :, step - pieces.lead], found[1, :, step - pieces.lead] = values[0], reached[1]
    joins = bool((np.abs(values[:, :-1] - met[:, 1:]) < SAME_PROBABILITY).all())
    upto, behind = found.reshape(2, -1, states)[:, :count]
    return upto, behind[::-1], joins
