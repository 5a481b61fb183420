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
from numpy.typing import NDArray

from skadvisor.accounting.timeline import before_on_stream
from skadvisor.events import PlainColumns

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


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
    def waited_for(self) -> NDArray[np.bool_]:
        """Which kernels another one waits for."""
        waited = np.zeros(len(self.before), dtype=bool)
        waited[self.waits_for[self.waits_for >= 0]] = True
        return waited

    @cached_property
    def runs(self) -> tuple[Ints, ...]:
        """The positions of kernels that follow one another on a stream and wait for nothing else, in order of begin."""
        alone = (self.before < 0) | (self.waits_for >= 0) | np.isfinite(self.held_until_ns)
        run = np.empty(len(alone), dtype="int64")
        for position, (before, begins) in enumerate(zip(self.before.tolist(), alone.tolist(), strict=True)):
            run[position] = position if begins else run[before]
        order = np.argsort(run, kind="stable")
        return tuple(np.split(order, np.flatnonzero(np.diff(run[order])) + 1)) if len(order) else ()

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
    """The step's wall time for each draw, ns, where `saved_ns` (kernels, draws) shortens each kernel.

    Negative savings lengthen it.
    """
    took = constraints.dur_ns[:, None] - saved_ns
    ends = np.empty_like(took)
    lag, wait_lag, held = constraints.lag_ns, constraints.wait_lag_ns, constraints.held_until_ns
    for run in constraints.runs:
        first, rest = int(run[0]), run[1:]
        before, waited = int(constraints.before[first]), int(constraints.waits_for[first])
        start: Floats | float = held[first]
        if before >= 0:
            start = np.maximum(start, ends[before] + lag[first])
        if waited >= 0:
            start = np.maximum(start, ends[waited] + wait_lag[first])
        ends[first] = start + took[first]
        if len(rest):
            ends[rest] = ends[first] + np.cumsum(took[rest] + lag[rest, None], axis=0)
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
