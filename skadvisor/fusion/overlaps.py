"""Streams of a scope, and what overlaps on them: the time that one SuperKernel on one stream could lose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skadvisor.vocabulary.arrays import Flags, Ints

if TYPE_CHECKING:
    from skadvisor.events import PlainColumns


#: Kinds of core that can run side by side when one kernel uses only Cube and the other only Vector cores.
CUBE = ("AI_CORE",)
VECTOR = ("AI_VECTOR_CORE",)


def count_streams(kernels: PlainColumns, scope: Ints) -> int:
    """The most streams that one scope spans, 0 where no kernel in a scope has a stream; scope -1 is outside.

    Pieces of one scope that are graphs of their own (`model`) have streams of their own, and are not fused together:
    a piece counts alone.
    """
    stream = kernels.whole("stream")
    known = (scope >= 0) & (stream >= 0)
    if not known.any():
        return 0
    rows = np.unique(np.stack([scope[known], kernels.whole("model")[known], stream[known]]), axis=1)
    return int(np.unique(rows[:2], axis=1, return_counts=True)[1].max())


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Pairs of kernels of one scope on different streams that run at the same time.

    `earlier` and `later` are positions in the table that was given, `overlap_ns` is the common time, and
    `complementary` tells pairs of pure Cube beside pure Vector work.
    """

    earlier: Ints
    later: Ints
    overlap_ns: Ints
    complementary: Flags

    @property
    def total_ns(self) -> int:
        """The overlapping time, each pair counted."""
        return int(self.overlap_ns.sum())


def find_overlaps(kernels: PlainColumns, scope: Ints) -> Overlaps:
    """All overlapping pairs across streams inside one scope; `kernels` in time order, scope -1 is outside.

    On each other stream the kernel that ends last is the partner, for kernels of one stream follow each other.
    """
    start, stream, core = kernels.whole("start_ns"), kernels.whole("stream"), kernels.words("core")
    end = start + kernels.whole("dur_ns")
    pairs: list[tuple[int, int, int]] = []
    running: dict[int, int] = {}
    starts, ends, streams, scopes = start.tolist(), end.tolist(), stream.tolist(), scope.tolist()
    for later in np.flatnonzero(scope >= 0).tolist():
        for other, earlier in running.items():
            common = min(ends[earlier], ends[later]) - starts[later]
            if common > 0 and other != streams[later] and scopes[earlier] == scopes[later]:
                pairs.append((earlier, later, common))
        mine = running.get(streams[later])
        if mine is None or ends[mine] <= ends[later]:
            running[streams[later]] = later
    earlier, later, overlap = np.array(pairs, dtype="int64").reshape(-1, 3).T
    cube, vector = np.isin(core, CUBE), np.isin(core, VECTOR)
    complementary = (cube[earlier] & vector[later]) | (vector[earlier] & cube[later])
    return Overlaps(earlier, later, overlap, complementary)
