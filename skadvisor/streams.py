"""Chains: streams whose kernels follow one another, told from streams that run beside them.

Every piece of a replayed graph may have a stream of its own, so a stream is no unit of work. Streams that never
run at the same time form one chain, read in time order; a stream that overlaps the main chain is a chain beside it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: Two kernels overlap when they share more than this, and more than a tenth of the later one.
OVERLAP_FLOOR_NS = 300


def find_chains(kernels: pd.DataFrame, inside: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Row numbers per chain in time order, the main chain first, of the rows that `inside` (N,) marks.

    Rows without a stream are taken as one stream of their own.
    """
    rows = np.flatnonzero(inside)
    if not len(rows):
        return []
    streams, names = pd.factorize(kernels["stream"].fillna(-1).to_numpy()[rows])
    start = kernels["start_ns"].to_numpy()[rows]
    end = start + kernels["dur_ns"].to_numpy()[rows]
    conflicts = _conflicts(streams, start, end, len(names))
    sizes = np.bincount(streams, minlength=len(names))
    groups: list[list[int]] = []
    for stream in np.argsort(-sizes, kind="stable"):
        for group in groups:
            if not conflicts[stream, group].any():
                group.append(int(stream))
                break
        else:
            groups.append([int(stream)])
    return [rows[np.isin(streams, group)] for group in groups]


def _conflicts(
    streams: NDArray[np.int64], start: NDArray[np.int64], end: NDArray[np.int64], count: int
) -> NDArray[np.bool_]:
    """Which streams run at the same time, (count, count): more than stray kernels of the smaller one overlap."""
    overlaps = np.zeros((count, count), dtype=np.int64)
    if count == 1:
        return np.zeros((1, 1), dtype=bool)
    latest = np.full(count, np.iinfo(np.int64).min)
    for stream, begin, finish in zip(streams, start, end, strict=True):
        floor = max(OVERLAP_FLOOR_NS, (finish - begin) // 10)
        overlaps[stream, latest > begin + floor] += 1
        latest[stream] = max(latest[stream], finish)
    np.fill_diagonal(overlaps, 0)
    both = overlaps + overlaps.T
    sizes = np.bincount(streams, minlength=count)
    smaller = np.minimum(sizes[:, None], sizes[None, :])
    return both >= np.maximum(2, smaller // 50)
