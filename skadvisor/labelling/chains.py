"""Chains: streams whose kernels follow one another, told from streams that run beside them.

Every piece of a replayed graph may have a stream of its own, so a stream is no unit of work. Streams that never
run at the same time form one chain, read in time order; a stream that overlaps the main chain is a chain beside it.
Tasks of the AI CPU that serve one kernel, such as the server that feeds its tiles, are in no chain: they run on streams
of their own, and belong to the kernel that they serve.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from skadvisor.events import start_and_end
from skadvisor.vocabulary.arrays import Flags, Ints

if TYPE_CHECKING:
    from skadvisor.labelling.class_table import Classes
    from skadvisor.labelling.kernel_class import KernelClass

#: Two kernels overlap when they share more than this, and more than a tenth of the later one.
OVERLAP_FLOOR_NS = 300
#: More kernels than this do not run at the same time.
MOST_LANES = 8
#: So many kernels a SuperKernel counts for, where streams are compared by the number of theirs.
KERNELS_IN_SUPERKERNEL = 6
#: A tower of layers beside the decoder's has more kernels, norms and projections than latent attention has.
SHORTEST_TOWER, FEWEST_NORMS, FEWEST_PROJECTIONS = 16, 3, 4
AI_CPU = "AI_CPU"
#: A task runs beside a kernel for its whole time with this share of it, and beside another with more than this one.
WHOLE, TOUCHING = 0.9, 0.05
#: A task that overlaps more kernels than this is no kernel's own.
MOST_BESIDE = 8


def find_chains(kernels: pd.DataFrame, inside: Flags, fused: Flags) -> list[Ints]:
    """Row numbers per chain in time order, the main chain first, of the rows that `inside` (N,) marks.

    The stream with most kernels is the main one; SuperKernels, which `fused` (N,) marks, stand for several. Rows
    without a stream are one stream of their own; where no row has one, kernels that run at the same time are taken
    apart.
    """
    rows = np.flatnonzero(inside)
    if not len(rows):
        return []
    start, end = (edge[rows] for edge in start_and_end(kernels))
    named = kernels["stream"]
    streams = pd.factorize(named.fillna(-1).to_numpy()[rows])[0] if named.notna().any() else _lanes(start, end)
    count = int(streams.max()) + 1
    conflicts = _conflicts(streams, start, end, count)
    sizes = np.bincount(streams, weights=np.where(fused[rows], KERNELS_IN_SUPERKERNEL, 1), minlength=count)
    groups: list[list[int]] = []
    for stream in np.argsort(-sizes, kind="stable"):
        for group in groups:
            if not conflicts[stream, group].any():
                group.append(int(stream))
                break
        else:
            groups.append([int(stream)])
    return [rows[np.isin(streams, group)] for group in groups]


def _lanes(start: Ints, end: Ints) -> Ints:
    """A lane per kernel such that kernels of one lane do not overlap; lane 0 is taken for the main stream.

    While the device is busy without a pause, a kernel goes to the free lane that ended last, for kernels of a graph
    follow one another closely; the lane with most kernels of such a busy time is the main one.
    """
    busy_until = np.append(start[:1], np.maximum.accumulate(end)[:-1])
    period = np.cumsum(start >= busy_until)
    lanes = np.zeros(len(start), dtype=np.int64)
    for members in np.split(np.arange(len(start)), np.flatnonzero(np.diff(period)) + 1):
        if len(members) > 1:
            lanes[members] = _lanes_of_period(start[members].tolist(), end[members].tolist())
    return lanes


def _lanes_of_period(start: list[int], end: list[int]) -> Ints:
    ends: list[int] = []
    taken = np.zeros(len(start), dtype=np.int64)
    for place, (begin, finish) in enumerate(zip(start, end, strict=True)):
        free = [lane for lane, last in enumerate(ends) if last <= begin + OVERLAP_FLOOR_NS]
        if free:
            lane = max(free, key=lambda one: ends[one])
        elif len(ends) < MOST_LANES:
            lane = len(ends)
            ends.append(0)
        else:
            lane = MOST_LANES - 1
        taken[place] = lane
        ends[lane] = max(ends[lane], finish)
    by_size = np.argsort(-np.bincount(taken, minlength=len(ends)), kind="stable")
    rank = np.empty_like(by_size)
    rank[by_size] = np.arange(len(by_size))
    return rank[taken]


def _conflicts(streams: Ints, start: Ints, end: Ints, count: int) -> Flags:
    """Which streams run at the same time, (count, count): more than stray kernels of the smaller one overlap."""
    overlaps = np.zeros((count, count), dtype=np.int64)
    if count == 1:
        return np.zeros((1, 1), dtype=bool)
    # Only what begins while anything before it still runs can share time, and only such times are looked at.
    shared = start + np.maximum(OVERLAP_FLOOR_NS, (end - start) // 10)
    reach = np.append(start[:1], np.maximum.accumulate(end)[:-1])
    alone = np.flatnonzero(start >= reach)
    inside = np.diff(np.append(alone, len(start))) > 1
    chosen = np.repeat(inside, np.diff(np.append(alone, len(start))))
    stream, finish, until = streams[chosen], end[chosen], shared[chosen]
    for other in range(count):
        # how long the other stream runs, as far as it began before each kernel
        runs = np.maximum.accumulate(np.where(stream == other, finish, np.iinfo(np.int64).min))
        overlaps[:, other] = np.bincount(stream[1:], weights=runs[:-1] > until[1:], minlength=count)
    np.fill_diagonal(overlaps, 0)
    both = overlaps + overlaps.T
    sizes = np.bincount(streams, minlength=count)
    smaller = np.minimum(sizes[:, None], sizes[None, :])
    return both >= np.maximum(2, smaller // 50)


def find_companions(kernels: pd.DataFrame, classes: Classes, inside: Flags) -> Ints:
    """The row of the kernel that each row serves, (N,), -1 for all others; `inside` (N,) marks kernels.

    A task whose name means nothing serves a kernel where that one alone runs during its whole time.
    """
    served = np.full(len(kernels), -1, dtype=np.int64)
    on_cpu = classes.kernels_where(lambda item: item.core == AI_CPU)
    tasks = np.flatnonzero(on_cpu & inside & (classes.roles_of(classes.of_kernel) == "unknown"))
    others = np.flatnonzero(inside & ~on_cpu)
    if not len(tasks) or not len(others):
        return served
    start, end = start_and_end(kernels)
    latest = np.maximum.accumulate(end[others])
    first = np.searchsorted(latest, start[tasks], side="right")
    last = np.searchsorted(start[others], end[tasks], side="left")
    for task, low, high in zip(tasks.tolist(), first.tolist(), last.tolist(), strict=True):
        beside = others[low:high][:MOST_BESIDE]
        length = max(1, int(end[task] - start[task]))
        shared = (np.minimum(end[beside], end[task]) - np.maximum(start[beside], start[task])) / length
        touching = beside[shared > TOUCHING]
        if len(touching) == 1 and high - low <= MOST_BESIDE and shared.max() >= WHOLE:
            served[task] = touching[0]
    return served


def other_models(classes: Classes, chain: Ints) -> Flags:
    """Kernels of the chain that are layers of another width than the decoder's, (len(chain),): a vision tower's.

    A long run of kernels that leaves the decoder's residual stream alone and has one of its own: normalised several
    times, read and written by projections. What flows out of its end belongs to it, the projection to the decoder's
    width with it.
    """
    found = _convolved_towers(classes, chain)
    widths = {classes.hidden, classes.second.hidden if classes.second else None} - {None}
    if not widths:
        return found
    of_chain = classes.of_kernel[chain]
    touching = classes.which(lambda item: any(item.touches(width or 0) for width in widths))
    edges = [-1, *np.flatnonzero(touching[of_chain]).tolist(), len(chain)]
    for before, after in itertools.pairwise(edges):
        if after - before <= SHORTEST_TOWER:
            continue
        items = [classes.items[number] for number in of_chain[before + 1 : after + 1]]
        own = _own_width(items[: after - before - 1])
        if own is not None:
            first, last = _extent(items, own)
            found[before + 1 + first : before + 2 + last] = True
    return found


def _convolved_towers(classes: Classes, chain: Ints) -> Flags:
    """Kernels from a convolution on, up to the last projection before a lookup, that attend but keep nothing cached.

    Only beside a decoder that does keep keys and values; needs no shapes.
    """
    found = np.zeros(len(chain), dtype=bool)
    roles = classes.roles_of(classes.of_kernel[chain])
    cached = np.flatnonzero(roles == "kv_cache")
    free_from = 0
    for start in np.flatnonzero(roles == "vision").tolist():
        following = np.searchsorted(cached, start)
        if start < free_from or following == len(cached):
            continue
        limit = int(cached[following])
        cores = start + np.flatnonzero(roles[start:limit] == "attention_core")
        last = int(cores[-1]) if len(cores) else limit
        lookups = last + np.flatnonzero(np.isin(roles[last:limit], ["gather", "prepare"]))
        end = int(lookups[0]) if len(lookups) else start
        projections = np.flatnonzero(roles[start:end] == "matmul")
        if len(projections) >= FEWEST_PROJECTIONS:
            free_from = start + int(projections[-1]) + 1
            found[start:free_from] = True
    return found


def _own_width(items: list[KernelClass]) -> int | None:
    """The width of a residual stream that these kernels have for themselves."""
    normed = Counter(item.last for item in items if item.role in ("norm", "residual_norm") and item.last)
    for width, count in normed.most_common(1):
        projections = sum(bool(item.matmul and width in (item.matmul.inner, item.matmul.outer)) for item in items)
        if count >= FEWEST_NORMS and projections >= FEWEST_PROJECTIONS:
            return width
    return None


def _extent(items: list[KernelClass], width: int) -> tuple[int, int]:
    """The first and the last kernel of a tower of this width."""
    inside = [number for number, item in enumerate(items) if item.touches(width) or item.role == "vision"]
    last = inside[-1]
    while last + 1 < len(items) and (items[last + 1].last or 1) % width == 0:
        last += 1
    return inside[0], last
