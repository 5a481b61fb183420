"""Replay a step with shorter kernels and without some gaps: what is saved off the critical path is worth nothing.

The step's timeline is read as a graph of constraints. A kernel starts when

- the kernel before it on its stream has ended, plus the gap that was seen there;
- the kernel that ended last on another stream while this stream was idle has ended, plus the delay seen there: an
  inferred event wait, because the capture does not say who waits for whom;
- the host has launched it: after a host gap its start stays where it was, so that what is saved before a host gap
  only makes the device wait longer.

With nothing saved the replay gives the timeline back exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skadvisor.accounting.timeline import before_on_stream
from skadvisor.events import PlainColumns
from skadvisor.vocabulary.arrays import Flags, Floats, Ints


@dataclass(frozen=True, eq=False)
class Pieces:
    """Kernels that follow one another on a stream: the first of each piece, in time order, and the time it takes, ns.

    `of_kernel` (kernels,) tells which piece each kernel is of.
    """

    first: Ints
    of_kernel: Ints
    took_ns: Floats


@dataclass(frozen=True, eq=False)
class SavedPlaces:
    """Where in the pieces of a step something is saved: at the kernels of some positions."""

    constraints: Constraints
    at: Ints

    @cached_property
    def order(self) -> Ints:
        """The places by piece."""
        return np.argsort(self.constraints.pieces.of_kernel[self.at], kind="stable")

    def summed(self, saved_ns: Floats) -> Floats:
        """What each piece saves, (pieces, draws), given a row for each place in the order of `order`."""
        pieces = self.constraints.pieces
        won = np.zeros((len(pieces.first), saved_ns.shape[1]))
        if len(self.at):
            held, starts = np.unique(pieces.of_kernel[self.at[self.order]], return_index=True)
            won[held] = np.add.reduceat(saved_ns, starts, axis=0)
        return won


@dataclass(frozen=True, eq=False)
class Constraints:
    """The constraints of a step's kernels, in time order; times in ns from the step's start.

    `before` and `waits_for` are positions (-1 without), `lag_ns` and `wait_lag_ns` the delays after them;
    `held_until_ns` is the earliest start that the host or the step's beginning allows (minus infinity without).
    """

    start_ns: Floats
    dur_ns: Floats
    before: Ints
    lag_ns: Floats
    waits_for: Ints
    wait_lag_ns: Floats
    held_until_ns: Floats

    @cached_property
    def waited_for(self) -> Flags:
        """Which kernels another one waits for."""
        waited = np.zeros(len(self.before), dtype=bool)
        waited[self.waits_for[self.waits_for >= 0]] = True
        return waited

    @cached_property
    def pieces(self) -> Pieces:
        """The kernels parted so that a piece ends last at its end, which alone is waited for from elsewhere."""
        first: list[int] = []
        number = [0] * len(self.before)
        begins = (self.before < 0) | (self.waits_for >= 0) | np.isfinite(self.held_until_ns)
        begins |= self.waited_for[self.before] | (self.lag_ns < 0)
        for position, (before, new) in enumerate(zip(self.before.tolist(), begins.tolist(), strict=True)):
            if new:
                first.append(position)
            number[position] = len(first) - 1 if new else number[before]
        piece = np.array(number, dtype="int64")
        took = self.dur_ns + np.where(begins, 0.0, self.lag_ns)
        return Pieces(np.array(first, dtype="int64"), piece, np.bincount(piece, took, len(first)).astype(float))

    @cached_property
    def chain(self) -> bool:
        """Whether the step is one chain of kernels, so that every saving reaches its end."""
        return bool(
            (self.waits_for < 0).all()
            and (self.before[1:] >= 0).all()
            and not np.isfinite(self.held_until_ns[1:]).any()
        )

    @property
    def wall_ns(self) -> float:
        """The step's wall time as it was."""
        return float((self.start_ns + self.dur_ns).max(initial=0.0))


def read_constraints(kernels: PlainColumns, host_gap_rows: Ints) -> Constraints:
    """Infer the constraints of one step; `host_gap_rows` are the index labels of kernels that follow a host gap."""
    start, stream = kernels.whole("start_ns"), kernels.whole("stream")
    origin = int(start.min()) if len(start) else 0
    start = start - origin
    end = start + kernels.whole("dur_ns")
    before = before_on_stream(stream)
    waits_for = _waited_for(start, end, stream, before)
    held = np.full(len(start), -np.inf)
    held[np.isin(kernels.table.index, host_gap_rows)] = 1.0
    held[(before < 0) & (waits_for < 0)] = 1.0
    held = np.where(held > 0, start, -np.inf)
    own_end = np.where(before >= 0, end[before], 0)
    other_end = np.where(waits_for >= 0, end[waits_for], 0)
    waiting = waits_for >= 0
    lag = np.where(before >= 0, start - own_end, 0).astype(float)
    # A stream that waited for another had no gap of its own to speak of: only the wait holds it.
    lag = np.where(waiting & (before >= 0), np.minimum(lag, start - other_end), lag)
    return Constraints(
        start_ns=start.astype(float),
        dur_ns=(end - start).astype(float),
        before=before,
        lag_ns=lag,
        waits_for=waits_for,
        wait_lag_ns=np.where(waiting, start - other_end, 0).astype(float),
        held_until_ns=held,
    )


def replay_step(constraints: Constraints, saved_ns: Floats) -> Floats:
    """The step's wall time for each draw, ns, where `saved_ns` (pieces, draws) shortens each piece.

    Negative savings lengthen it. Nothing may save more than a kernel and the delay before it take.
    """
    pieces, first = constraints.pieces, constraints.pieces.first
    ends = pieces.took_ns[:, None] - saved_ns
    waits = [
        (np.where(kernel >= 0, pieces.of_kernel[kernel], -1).tolist(), lag[first].tolist())
        for kernel, lag in (
            (constraints.before[first], constraints.lag_ns),
            (constraints.waits_for[first], constraints.wait_lag_ns),
        )
    ]
    for piece, held in enumerate(constraints.held_until_ns[first].tolist()):
        start: Floats | float = held
        for others, lags in waits:
            if others[piece] >= 0:
                start = np.maximum(start, ends[others[piece]] + lags[piece])
        ends[piece] += start
    return ends.max(axis=0, initial=0.0)


def _waited_for(start: Ints, end: Ints, stream: Ints, before: Ints) -> Ints:
    """The kernel of another stream that ended last while this kernel's stream was idle before it; -1 without."""
    waited = np.full(len(start), -1, dtype="int64")
    by_end = np.argsort(end, kind="stable")
    latest = np.searchsorted(end[by_end], start, side="right") - 1
    idle_from = np.where(before >= 0, end[before], -1)
    candidates = np.flatnonzero((latest >= 0) & (end[by_end[latest]] > idle_from)) if len(start) else latest
    ends, order, streams = end.tolist(), by_end.tolist(), stream.tolist()
    for position in candidates.tolist():
        place = int(latest[position])
        while place >= 0 and ends[order[place]] > idle_from[position]:
            candidate = order[place]
            if streams[candidate] != streams[position] and candidate < position:
                waited[position] = candidate
                break
            place -= 1
    return waited
