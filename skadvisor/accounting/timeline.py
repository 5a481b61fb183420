"""Where the time of each step goes: busy, exposed and idle nanoseconds per region and per layer.

One sweep line over the labelled kernels. At each instant the time is shared equally by the distinct regions then
running, and a region's part by its layers then running; instants with nothing running are gaps. All arithmetic is
on integers and what does not divide goes to the first in the order of `records.REGIONS` (then of layers), so the
exposed times and the gaps of a step add up to its wall time to the nanosecond. The cost is that of sorting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skadvisor.accounting.gaps import GAP_KINDS, find_gaps
from skadvisor.accounting.steady import representative_steps
from skadvisor.records import REGIONS

Ints = NDArray[np.int64]

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
    table = _kernel_cells(labelled)
    shared = pd.concat([_share(part) for part in _by_steps(table)] or [_share(table)], ignore_index=True)
    regions = _region_times(table, shared, gaps)
    layer_regions = _layer_region_times(table, shared)
    step_times = _step_times(table, steps, gaps, tasks)
    return Times(
        steps=step_times,
        regions=regions,
        layers=_layer_times(table, labelled, layer_regions),
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


def exposed_inside(kernels: pd.DataFrame, inside: NDArray[np.bool_]) -> int:
    """The exposed time of some kernels of labelled steps, ns; within a region it is shared with the others running."""
    table = _kernel_cells(kernels.assign(layer=pd.array(inside.astype("int32"), dtype="Int32")))
    shared = _share(table)
    return int(shared.loc[shared["layer"] == 1, "exposed"].sum())


def before_on_stream(kernels: pd.DataFrame) -> Ints:
    """Position of the kernel just before each on its stream, -1 without, (N,); `kernels` in order of their start.

    Kernels without a stream follow each other.
    """
    stream = kernels["stream"].fillna(-1).to_numpy(dtype="int64")
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


def _kernel_cells(labelled: pd.DataFrame) -> pd.DataFrame:
    start = labelled["start_ns"].to_numpy(dtype="int64")
    table = pd.DataFrame(
        {
            "step": labelled["step"].to_numpy(dtype="int64"),
            "layer": layer_numbers(labelled),
            "region": region_codes(labelled),
            "start": start,
            "end": start + labelled["dur_ns"].to_numpy(dtype="int64"),
            "counted": (labelled["kind"].astype("object") != "collective_part").to_numpy(dtype="int64"),
        }
    )
    return table[table["step"] >= 0].sort_values(["step", "start"], kind="stable")


def _by_steps(table: pd.DataFrame) -> list[pd.DataFrame]:
    sizes = table.groupby("step").size()
    batches = (sizes.cumsum() - sizes) // KERNELS_AT_ONCE
    batch = table["step"].map(batches)
    return [part for _, part in table.groupby(batch, sort=True)]


def _share(table: pd.DataFrame) -> pd.DataFrame:
    """Exposed time of each (step, layer, region) and busy time of each (step, region), summed over instants.

    Returns rows of step, layer, region, exposed and busy; `busy` of a region's instant is written on its first layer.
    """
    table = table[table["end"] > table["start"]]
    step, layer, region = (table[name].to_numpy() for name in ("step", "layer", "region"))
    cell, members = _group((step, region, layer))
    cell, start, end = merge_intervals(cell, table["start"].to_numpy(), table["end"].to_numpy())
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
    return (
        pd.DataFrame(
            {
                "step": step[piece],
                "layer": layer[piece],
                "region": region[piece],
                "exposed": exposed,
                "busy": np.where(first_of_pair, lengths[segment], 0),
            }
        )
        .groupby(["step", "layer", "region"], as_index=False)
        .sum()
    )


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


def _region_times(table: pd.DataFrame, shared: pd.DataFrame, gaps: pd.DataFrame) -> pd.DataFrame:
    keys = ["step", "region"]
    times = table.groupby(keys).agg(kernels=("counted", "sum"))
    times = times.join(shared.groupby(keys)[["busy", "exposed"]].sum())
    inside = gaps[gaps["kind"] == "inside"]
    inside_codes = table["region"].reindex(inside["after"]).to_numpy()
    gap_inside = inside["dur_ns"].groupby([inside["step"].to_numpy(), inside_codes]).sum()
    gap_inside.index = gap_inside.index.set_names(keys)
    times = times.join(gap_inside.rename("gap_inside")).fillna(0).astype("int64").reset_index()
    times["region"] = _region_names(times["region"])
    return times.rename(columns={"busy": "busy_ns", "exposed": "exposed_ns", "gap_inside": "gap_inside_ns"})


def _layer_region_times(table: pd.DataFrame, shared: pd.DataFrame) -> pd.DataFrame:
    keys = ["step", "layer", "region"]
    times = table.groupby(keys).agg(kernels=("counted", "sum"))
    times = times.join(shared.set_index(keys)["exposed"].rename("exposed_ns")).fillna(0).astype("int64").reset_index()
    times = times[times["layer"] >= 0].reset_index(drop=True)
    times["region"] = _region_names(times["region"])
    return times


def _layer_times(table: pd.DataFrame, labelled: pd.DataFrame, layer_regions: pd.DataFrame) -> pd.DataFrame:
    inside = table[table["layer"] >= 0]
    inside = inside.assign(kind=labelled["layer_kind"].astype("object").to_numpy()[inside.index])
    keys = ["step", "layer"]
    times = inside.groupby(keys).agg(
        kind=("kind", "first"), kernels=("counted", "sum"), start_ns=("start", "min"), end=("end", "max")
    )
    times["wall_ns"] = times.pop("end") - times["start_ns"]
    times["kind"] = times["kind"].fillna("other")
    return times.join(layer_regions.groupby(keys)["exposed_ns"].sum()).reset_index()


def _step_times(
    table: pd.DataFrame, steps: pd.DataFrame, gaps: pd.DataFrame, tasks: pd.DataFrame | None
) -> pd.DataFrame:
    times = table.groupby("step").agg(kernels=("counted", "sum"), start_ns=("start", "min"), end=("end", "max"))
    times["wall_ns"] = times.pop("end") - times["start_ns"]
    by_kind = gaps.pivot_table(index="step", columns="kind", values="dur_ns", aggfunc="sum", observed=False)
    for kind in GAP_KINDS:
        found = by_kind[kind] if kind in by_kind else pd.Series(dtype="int64")
        times[f"gap_{kind}_ns"] = found.reindex(times.index).fillna(0).astype("int64")
    times["gap_ns"] = times[[f"gap_{kind}_ns" for kind in GAP_KINDS]].sum(axis=1)
    times["busy_ns"] = times["wall_ns"] - times["gap_ns"]
    for name, kind in (("idle_waiting_ns", "wait"), ("idle_copying_ns", "copy")):
        covered = _covered(gaps, tasks[tasks["kind"] == kind] if tasks is not None else None)
        times[name] = covered.groupby(gaps["step"]).sum().reindex(times.index).fillna(0).astype("int64")
    about = steps[["step", "phase", "mode", "steady"]].astype({"phase": "object", "mode": "object"})
    return about.merge(times.reset_index(), on="step", how="inner").sort_values("step", ignore_index=True)


def _covered(gaps: pd.DataFrame, tasks: pd.DataFrame | None) -> pd.Series[Any]:
    """How much of each gap the tasks cover, ns."""
    if tasks is None or tasks.empty or gaps.empty:
        return pd.Series(np.zeros(len(gaps), dtype="int64"), index=gaps.index)
    start = tasks["start_ns"].to_numpy(dtype="int64")
    _, start, end = merge_intervals(np.zeros(len(tasks), dtype="int64"), start, start + tasks["dur_ns"].to_numpy())
    before = np.append(0, np.cumsum(end - start))

    def running_until(moment: Ints) -> Ints:
        done = np.searchsorted(start, moment, side="right")
        last = np.maximum(done - 1, 0)
        return before[done] - np.where(done > 0, np.maximum(end[last] - moment, 0), 0)

    begin = gaps["start_ns"].to_numpy()
    return pd.Series(running_until(begin + gaps["dur_ns"].to_numpy()) - running_until(begin), index=gaps.index)


def _region_names(codes: pd.Series[Any]) -> NDArray[Any]:
    return np.array(REGIONS, dtype=object)[codes.to_numpy()]
