"""Work that a chain repeats: blocks of the same kernels in the same order, of which one is read for all.

A step that runs again is cut where a kernel stands that comes once per block. A block is carried over from its like
where its neighbours on both sides are the same too, and where no kernel of it comes after another kind of pause.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from skadvisor.vocabulary.arrays import Floats, Ints

#: Blocks of fewer kernels could read otherwise among other neighbours; fewer blocks are all read themselves.
SHORTEST, FEWEST = 256, 8
#: Pauses differ where their scores (natural-log odds for a new step) do by this much.
OTHER_PAUSE = 2.0
#: How many kinds of kernels are tried as the one that comes once per block.
MOST_ANCHORS = 4


@dataclass(frozen=True, eq=False)
class Repeats:
    """`kept` (K,) are the places of a chain that are read, `like` (N,) says which of them each kernel is read as.

    `weight` (K,) is how many kernels each stands for.
    """

    kept: Ints
    like: Ints
    weight: Ints

    @classmethod
    def none(cls, count: int) -> Repeats:
        """Every kernel is read."""
        every = np.arange(count)
        return cls(every, every, np.ones(count, dtype=np.int64))


def find_repeats(looks: Ints, pauses: Floats | None = None) -> Repeats:
    """What a chain repeats; `looks` (N,) are equal where kernels are, `pauses` (N,) score the pause before each."""
    count = len(looks)
    pauses = np.zeros(count) if pauses is None else pauses
    best = np.arange(count)
    for anchor in _anchors(looks):
        places = np.flatnonzero(looks == anchor)
        like = _carried(looks, pauses, places[:: _every(len(places), count)])
        if (like == np.arange(count)).sum() < (best == np.arange(count)).sum():
            best = like
    read = best == np.arange(count)
    if 2 * int(read.sum()) > count:
        return Repeats.none(count)
    number = np.cumsum(read) - 1
    like = number[best]
    return Repeats(np.flatnonzero(read), like, np.bincount(like))


def _anchors(looks: Ints) -> list[int]:
    """Kernels that may begin a block: one for each of the commonest numbers of times that kernels come."""
    codes, kinds = pd.factorize(looks)
    counts = np.bincount(codes, minlength=len(kinds))
    fit = np.flatnonzero(counts >= FEWEST)
    first: dict[int, int] = {}
    for number in fit.tolist():
        first.setdefault(int(counts[number]), int(kinds[number]))
    common = [times for times, _ in Counter(counts[fit].tolist()).most_common()]
    once = sorted(common, key=lambda times: _every(times, len(looks)) > 1)
    return [first[times] for times in once[:MOST_ANCHORS]]


def _every(times: int, count: int) -> int:
    """At which of the kernels that come so often blocks begin, so that they are not too short: every so manieth."""
    return max(1, -(-times * SHORTEST // count))


def _carried(looks: Ints, pauses: Floats, anchors: Ints) -> Ints:
    """The place that each kernel is read as, its own where it is read itself; blocks begin at `anchors`."""
    like = np.arange(len(looks))
    edges = np.unique(np.concatenate([[0], anchors, [len(looks)]]))
    blocks = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    said = [looks[begin:end].tobytes() for begin, end in blocks]
    read: dict[bytes, int] = {}
    for number in range(1, len(blocks) - 1):
        begin, end = blocks[number]
        if not said[number - 1] == said[number] == said[number + 1] or end - begin < SHORTEST:
            continue
        first = read.setdefault(said[number], begin)
        apart = pauses[begin:end] - pauses[first : first + end - begin]
        if first < begin and float(np.abs(apart).max()) < OTHER_PAUSE:
            like[begin:end] = np.arange(first, first + end - begin)
    return like
