"""Where the time of each step goes: busy, exposed and idle nanoseconds per region and per layer.

One sweep line over the labelled kernels. At each instant the time is shared equally by the distinct regions then
running, and a region's part by its layers then running; instants with nothing running are gaps. All arithmetic is
on integers and what does not divide goes to the first in the order of `records.REGIONS` (then of layers), so the
exposed times and the gaps of a step add up to its wall time to the nanosecond. The cost is that of sorting.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skadvisor.accounting.gaps import GAP_KINDS, find_gaps
from skadvisor.accounting.steady import representative_steps
from skadvisor.records import REGIONS
from skadvisor.vocabulary.arrays import Flags, Ints

#: Steps are measured in groups of about this many kernels, so that memory stays bounded.
KERNELS_AT_ONCE = 400_000


@dataclass(frozen=True, eq=False)
class Times:
    """The measured times of a capture, int64 nanoseconds.

    `steps`: step, phase, mode, steady, kernels, start_ns, wall_ns, busy_ns, gap_ns, gap_inside_ns, gap_between_ns,
    gap_wait_ns, gap_host_ns, idle_waiting_ns and idle_copying_ns (parts of gap_ns in which event waits or copies run).
    `regions`: step, region, kernels, busy_ns, exposed_ns, gap_inside_ns; regions without kernels have no row.
    `layers`: step, layer, kind, kernels, start_ns, wall_ns, exposed_ns.
    `layer_regions`: step, layer, region, kernels, exposed_ns.
    `gaps`: step, start_ns, dur_ns, before, after (row numbers in the labelled table), kind, host_limit_ns.
    `representative`: for each phase the step that stands for it, chosen here once for all that speaks of one step.
    """

    steps: pd.DataFrame
    regions: pd.DataFrame
    layers: pd.DataFrame
    layer_regions: pd.DataFrame
    gaps: pd.DataFrame
    representative: dict[str, int]


def measure(labelled: pd.DataFrame, steps: pd.DataFrame, tasks: pd.DataFrame | None = None) -> Times:
    """Measure every step of a labelled kernel table (`events.KERNEL_COLUMNS` and `LABEL_COLUMNS`).

    A step's wall time runs from its first kernel's start to its last kernel's end. Fragments of collectives
    (`kind` collective_part) take part in the union of intervals but are not counted as kernels. `tasks`
    (`events.TASK_COLUMNS`) only tells which idle time passes in event waits or copies.
    """
    gaps = find_gaps(labelled, steps)
    cells = _kernel_cells(labelled, layer_numbers(labelled))
    shared = _joined([_share(part) for part in _by_steps(cells)] or [_share(cells)])
    layer_regions = _layer_region_times(cells, shared)
    step_times = _step_times(cells, steps, gaps, tasks)
    return Times(
        steps=step_times,
        regions=_region_times(cells, shared, gaps),
        layers=_layer_times(cells, labelled, layer_regions),
        layer_regions=layer_regions,
        gaps=gaps,
        representative=representative_steps(step_times),
    )


def region_codes(labelled: pd.DataFrame) -> Ints:
    """The regions of the kernels as places in `records.REGIONS`; unnamed ones are unattributed."""
    codes = pd.Categorical(labelled["region"].astype("object"), categories=list(REGIONS)).codes.astype("int64")
    return np.where(codes < 0, REGIONS.index("unattributed"), codes)


def layer_numbers(labelled: pd.DataFrame) -> Ints:
    """The layers of the kernels, -1 outside layers."""
    return labelled["layer"].fillna(-1).to_numpy(dtype="int64")


class Exposed:
    """What runs at each instant of labelled steps, to be asked for the exposed time of any of their kernels."""

    def __init__(self, kernels: pd.DataFrame) -> None:
        cells = _kernel_cells(kernels, np.zeros(len(kernels), dtype="int64"))
        self._row, self._region = cells.row, cells.region
        self._begin, self._end, lengths = _segments(cells.step, cells.start, cells.end)
        self._lengths = np.append(lengths, 0)
        self._running = self._count(slice(None))

    def inside(self, chosen: Flags) -> int:
        """The exposed time of the `chosen` kernels (N,), ns; within a region it is shared with the others running."""
        running = self._count(chosen[self._row])
        mine, others = running > 0, running < self._running
        # What does not divide is given once for a time in which the same runs, whatever kernels follow each other.
        changed = np.any((mine[1:] != mine[:-1]) | (others[1:] != others[:-1]), axis=1)
        heads = np.flatnonzero(np.append(True, changed))
        length = np.add.reduceat(self._lengths, heads)[:, None]
        mine, others = mine[heads], others[heads]
        runs = mine | others
        regions = np.maximum(runs.sum(axis=1, keepdims=True), 1)
        share = length // regions + (np.cumsum(runs, axis=1) - 1 < length % regions)
        return int(share[mine & ~others].sum() + (share[mine & others] // 2).sum())

    def _count(self, chosen: Any) -> Ints:
        """How many of the chosen kernels run in each segment and region, (segments + 1, regions)."""
        shape = (len(self._lengths), len(REGIONS))
        changes = np.zeros(shape[0] * shape[1], dtype="int64")
        for places, change in ((self._begin, 1), (self._end, -1)):
            at = places[chosen] * shape[1] + self._region[chosen]
            changes += change * np.bincount(at, minlength=len(changes))
        return np.cumsum(changes.reshape(shape), axis=0)


def before_on_stream(stream: Ints) -> Ints:
    """Position of the kernel just before each on its stream, -1 without, (N,).

    `stream` are the streams of kernels in order of their start; those without one (-1) follow each other.
    """
    before = np.full(len(stream), -1, dtype="int64")
    order = np.argsort(stream, kind="stable")
    same = stream[order][1:] == stream[order][:-1]
    before[order[1:][same]] = order[:-1][same]
    return before


def merge_intervals(group: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints, Ints]:
    """The union of the intervals of each group: arrays group, start, end of the disjoint pieces, in order."""
    order = np.lexsort((start, group))
    group, start, end = group[order], start[order], end[order]
    reach = pd.Series(end).groupby(group, sort=False).cummax().to_numpy()
    first = np.ones(len(group), dtype=bool)
    first[1:] = (group[1:] != group[:-1]) | (start[1:] > reach[:-1])
    heads = np.flatnonzero(first)
    tails = np.append(heads[1:], len(group)) - 1
    return group[heads], start[heads], reach[tails] if len(heads) else end


@dataclass(frozen=True, eq=False)
class _Cells:
    """Kernels by step and start: row in the labelled table, step, layer, region, start, end, counted as one or not."""

    row: Ints
    step: Ints
    layer: Ints
    region: Ints
    start: Ints
    end: Ints
    counted: Ints

    def of(self, chosen: NDArray[Any]) -> _Cells:
        return _Cells(*(column[chosen] for column in vars(self).values()))


@dataclass(frozen=True, eq=False)
class _Shared:
    """Exposed and busy time of each step, layer and region; `busy` is written on a region's first layer only."""

    step: Ints
    layer: Ints
    region: Ints
    exposed: Ints
    busy: Ints


def _joined(parts: list[_Shared]) -> _Shared:
    return _Shared(*map(np.concatenate, zip(*(vars(part).values() for part in parts), strict=True)))


def _kernel_cells(labelled: pd.DataFrame, layer: Ints) -> _Cells:
    start = labelled["start_ns"].to_numpy(dtype="int64")
    cells = _Cells(
        np.arange(len(start)),
        labelled["step"].to_numpy(dtype="int64"),
        layer,
        region_codes(labelled),
        start,
        start + labelled["dur_ns"].to_numpy(dtype="int64"),
        (labelled["kind"] != "collective_part").to_numpy().astype("int64"),
    )
    cells = cells.of(cells.step >= 0)
    return cells.of(np.lexsort((cells.start, cells.step)))


def _by_steps(cells: _Cells) -> list[_Cells]:
    sizes = np.bincount(cells.step)
    batch = ((np.cumsum(sizes) - sizes) // KERNELS_AT_ONCE)[cells.step]
    edges = [0, *(np.flatnonzero(np.diff(batch)) + 1).tolist(), len(batch)]
    return [cells.of(np.arange(begin, end)) for begin, end in itertools.pairwise(edges) if end > begin]


def _share(cells: _Cells) -> _Shared:
    """Exposed time of each (step, layer, region) and busy time of each (step, region), summed over instants."""
    cells = cells.of(cells.end > cells.start)
    step, layer, region = cells.step, cells.layer, cells.region
    cell, members = _group((step, region, layer))
    cell, start, end = merge_intervals(cell, cells.start, cells.end)
    step, region, layer = (column[cell] for column in members)

    segment_from, segment_to, lengths = _segments(step, start, end)
    counts = segment_to - segment_from
    piece = np.repeat(np.arange(len(cell)), counts)
    segment = segment_from[piece] + np.arange(len(piece)) - np.repeat(np.cumsum(counts) - counts, counts)

    order = np.lexsort((layer[piece], region[piece], segment))
    piece, segment = piece[order], segment[order]
    pair, pair_members = _group((segment, region[piece]))
    pair_segment = pair_members[0]
    part = _split(lengths[pair_segment], pair_segment)
    exposed = _split(part[pair], pair)
    first_of_pair = np.ones(len(pair), dtype=bool)
    first_of_pair[1:] = pair[1:] != pair[:-1]
    place, (of_step, of_layer, of_region) = _group((step[piece], layer[piece], region[piece]))
    return _Shared(
        step=of_step,
        layer=of_layer,
        region=of_region,
        exposed=_sum(place, exposed, len(of_step)),
        busy=_sum(place, np.where(first_of_pair, lengths[segment], 0), len(of_step)),
    )


def _sum(place: Ints, values: Ints, count: int) -> Ints:
    """The sum of the values at each of `count` places; exact, for no sum of times reaches 2**53 ns."""
    return np.bincount(place, weights=values, minlength=count).astype("int64")


def _group(columns: tuple[Ints, ...]) -> tuple[Ints, tuple[Ints, ...]]:
    """Number the distinct rows of `columns` in sorted order: the number of each row, and the distinct rows."""
    size = len(columns[0])
    order = np.lexsort(columns[::-1])
    changed = np.zeros(size, dtype=bool)
    for column in columns:
        in_order = column[order]
        changed[1:] |= in_order[1:] != in_order[:-1]
    number = np.empty(size, dtype="int64")
    number[order] = np.cumsum(changed)
    heads = order[np.append(True, changed[1:])] if size else order
    return number, tuple(column[heads] for column in columns)


def _segments(step: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints, Ints]:
    """Cut each step at every start and end: the first and last-plus-one segment of each interval, and all lengths."""
    place, (boundary_step, boundary) = _group((np.concatenate([step, step]), np.concatenate([start, end])))
    lengths = np.diff(boundary, append=boundary[-1:])
    lengths[np.flatnonzero(np.diff(boundary_step))] = 0
    return place[: len(start)], place[len(start) :], lengths


def _split(amount: Ints, group: Ints) -> Ints:
    """Split `amount` (equal within a group of adjacent rows) over the group's rows; the remainder to the first."""
    if not len(group):
        return amount
    head = np.ones(len(group), dtype=bool)
    head[1:] = group[1:] != group[:-1]
    heads = np.flatnonzero(head)
    sizes = np.diff(np.append(heads, len(group)))
    size = np.repeat(sizes, sizes)
    rank = np.arange(len(group)) - np.repeat(heads, sizes)
    return amount // size + (rank < amount % size)


def _sums_at(found: tuple[Ints, ...], keys: tuple[Ints, ...], values: Ints) -> Ints:
    """For each distinct row `found` in sorted order, the sum of the values whose `keys` are that row."""
    place, rows = _group(tuple(np.concatenate(pair) for pair in zip(found, keys, strict=True)))
    return _sum(place[len(found[0]) :], values, len(rows[0]))[place[: len(found[0])]]


def _region_times(cells: _Cells, shared: _Shared, gaps: pd.DataFrame) -> pd.DataFrame:
    place, found = _group((cells.step, cells.region))
    inside = gaps[gaps["kind"] == "inside"]
    region_of = np.zeros(int(cells.row.max(initial=-1)) + 1, dtype="int64")
    region_of[cells.row] = cells.region
    behind = (inside["step"].to_numpy(dtype="int64"), region_of[inside["after"].to_numpy()])
    keys = (shared.step, shared.region)
    return pd.DataFrame(
        {
            "step": found[0],
            "region": _region_names(found[1]),
            "kernels": _sum(place, cells.counted, len(found[0])),
            "busy_ns": _sums_at(found, keys, shared.busy),
            "exposed_ns": _sums_at(found, keys, shared.exposed),
            "gap_inside_ns": _sums_at(found, behind, inside["dur_ns"].to_numpy()),
        }
    )


def _layer_region_times(cells: _Cells, shared: _Shared) -> pd.DataFrame:
    cells = cells.of(cells.layer >= 0)
    place, found = _group((cells.step, cells.layer, cells.region))
    inside = shared.layer >= 0
    keys = tuple(column[inside] for column in (shared.step, shared.layer, shared.region))
    return pd.DataFrame(
        {
            "step": found[0],
            "layer": found[1],
            "region": _region_names(found[2]),
            "kernels": _sum(place, cells.counted, len(found[0])),
            "exposed_ns": _sums_at(found, keys, shared.exposed[inside]),
        }
    )


def _layer_times(cells: _Cells, labelled: pd.DataFrame, layer_regions: pd.DataFrame) -> pd.DataFrame:
    cells = cells.of(cells.layer >= 0)
    place, found = _group((cells.step, cells.layer))
    count = len(found[0])
    codes, kinds = pd.factorize(labelled["layer_kind"])
    said = codes[cells.row]
    known = said >= 0
    named, first = np.unique(place[known], return_index=True)
    kind = np.full(count, "other", dtype=object)
    kind[named] = np.asarray(kinds, dtype=object)[said[known][first]]
    start, end = np.full(count, np.iinfo(np.int64).max), np.zeros(count, dtype="int64")
    np.minimum.at(start, place, cells.start)
    np.maximum.at(end, place, cells.end)
    keys = (layer_regions["step"].to_numpy(), layer_regions["layer"].to_numpy())
    return pd.DataFrame(
        {
            "step": found[0],
            "layer": found[1],
            "kind": pd.Series(kind, dtype=object),
            "kernels": _sum(place, cells.counted, count),
            "start_ns": start,
            "wall_ns": end - start,
            "exposed_ns": _sums_at(found, keys, layer_regions["exposed_ns"].to_numpy()),
        }
    )


def _step_times(cells: _Cells, steps: pd.DataFrame, gaps: pd.DataFrame, tasks: pd.DataFrame | None) -> pd.DataFrame:
    place, (step,) = _group((cells.step,))
    about = steps[["step", "phase", "mode", "steady"]].astype({"phase": "object", "mode": "object"})
    about = about[about["step"].isin(step)].sort_values("step", ignore_index=True)
    at = np.searchsorted(step, about["step"].to_numpy())
    heads = np.flatnonzero(np.append(True, place[1:] != place[:-1])) if len(place) else place
    start = cells.start[heads]
    end = np.maximum.reduceat(cells.end, heads) if len(heads) else heads
    of_gap = gaps["step"].to_numpy(dtype="int64")
    columns = {"kernels": _sum(place, cells.counted, len(step)), "start_ns": start, "wall_ns": end - start}
    for kind in GAP_KINDS:
        held = (gaps["kind"] == kind).to_numpy()
        columns[f"gap_{kind}_ns"] = _sums_at((step,), (of_gap[held],), gaps["dur_ns"].to_numpy()[held])
    columns["gap_ns"] = sum((columns[f"gap_{kind}_ns"] for kind in GAP_KINDS), start=np.zeros(len(step), dtype="int64"))
    columns["busy_ns"] = columns["wall_ns"] - columns["gap_ns"]
    for name, kind in (("idle_waiting_ns", "wait"), ("idle_copying_ns", "copy")):
        covered = _covered(gaps, tasks[tasks["kind"] == kind] if tasks is not None else None)
        columns[name] = _sums_at((step,), (of_gap,), covered)
    return about.assign(**{name: values[at] for name, values in columns.items()})


def _covered(gaps: pd.DataFrame, tasks: pd.DataFrame | None) -> Ints:
    """How much of each gap the tasks cover, ns."""
    if tasks is None or tasks.empty or gaps.empty:
        return np.zeros(len(gaps), dtype="int64")
    start = tasks["start_ns"].to_numpy(dtype="int64")
    _, start, end = merge_intervals(np.zeros(len(tasks), dtype="int64"), start, start + tasks["dur_ns"].to_numpy())
    before = np.append(0, np.cumsum(end - start))

    def running_until(moment: Ints) -> Ints:
        done = np.searchsorted(start, moment, side="right")
        last = np.maximum(done - 1, 0)
        return before[done] - np.where(done > 0, np.maximum(end[last] - moment, 0), 0)

    begin = gaps["start_ns"].to_numpy()
    return running_until(begin + gaps["dur_ns"].to_numpy()) - running_until(begin)


def _region_names(codes: Ints) -> pd.Series[Any]:
    return pd.Series(np.array(REGIONS, dtype=object)[codes], dtype=object)
