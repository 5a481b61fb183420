"""Two sets of runs of one model laid beside each other: decode steps matched, SuperKernels mapped, labels carried over.

The kernels of AFTER take the labels of their twins in BEFORE. So both sides are measured with the same labels, also
where fused layers can no longer be recognised in AFTER.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from skadvisor.accounting.timeline import Times, measure
from skadvisor.comparison.executions import cut_executions, is_plain_graph
from skadvisor.comparison.superkernel_mapping import Mapping, intervals, map_step, unshared_ns
from skadvisor.comparison.superkernel_steps import (
    Step,
    Token,
    number_steps,
    steps_of,
    typical,
    usual_steps,
    whole_kernels,
    with_tokens,
)
from skadvisor.events import start_and_end
from skadvisor.text.messages import Message
from skadvisor.vocabulary.arrays import Floats
from skadvisor.vocabulary.superkernel_names import superkernel_rows

if TYPE_CHECKING:
    from skadvisor.analysis import Analysis

#: A step this much longer than the median is an outlier. The rest is judged by the spread.
OUTLIER = 1.5


@dataclass(frozen=True, eq=False)
class SuperKernelSite:
    """One SuperKernel over all steps: the operators that it replaced, intervals before and durations after, ns."""

    name: str
    regions: tuple[str, ...]
    layers: tuple[int, ...]
    operators: tuple[str, ...]
    before_ns: tuple[int, ...]
    after_ns: tuple[int, ...]


@dataclass(frozen=True)
class Unshared:
    """Operators that a run (of AFTER or BEFORE) lost against the usual step of BEFORE, or else added to it.

    They take `share` of that step.
    """

    after: bool
    run: int
    lost: bool
    share: float
    operators: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class AlignedRuns:
    """Steady decode steps of both sides, and what was matched between their typical programs.

    Where a graph has no decoder layers, its executions or its equal blocks (`unit`) stand for the steps.

    `times_before` and `times_after` hold one entry per run. `matched_share` is the share of AFTER's own kernels
    that have a twin, `held_share` the share of BEFORE's that AFTER still has, alone or in a SuperKernel. `unshared`
    is what each run lost or added that no SuperKernel explains.
    """

    before: tuple[Step, ...]
    after: tuple[Step, ...]
    times_before: tuple[Times, ...]
    times_after: tuple[Times, ...]
    sites: tuple[SuperKernelSite, ...]
    unmapped: tuple[tuple[str, Message], ...]
    matched_share: float
    held_share: float
    superkernels: bool
    unshared: tuple[Unshared, ...] = ()
    unit: Literal["steps", "executions", "blocks"] = "steps"


def lay_beside(before: Sequence[Analysis], after: Sequence[Analysis]) -> AlignedRuns:
    """Match the decode steps of the runs. Either side may have no steady decode step; then nothing is matched."""
    everything = [*before, *after]
    shapes = all(bool(run.kernels["input_shapes"].notna().any()) for run in everything)
    types = all(bool(run.kernels["op_type"].notna().any()) for run in everything)
    before, after = (
        [replace(run, kernels=with_tokens(run.kernels, shapes=shapes, types=types)) for run in side]
        for side in (before, after)
    )
    unit: Literal["steps", "executions", "blocks"] = "steps"
    if is_plain_graph(before, after):
        steps_before, steps_after, unit = cut_executions(before, after)
    else:
        steps_before = [step for run, item in enumerate(before) for step in _labelled_steps(run, item)]
        prefix = typical(steps_before).tokens if steps_before else ()
        steps_after = [step for run, item in enumerate(after) for step in _after_steps(run, item, prefix)]
    fused = any(bool(superkernel_rows(item.kernels).any()) for item in after)
    if not steps_before or not steps_after:
        return AlignedRuns(tuple(steps_before), tuple(steps_after), (), (), (), (), 0.0, 0.0, fused)
    usual_before, usual_after = typical(steps_before), typical(steps_after)
    maps = {
        program: map_step(usual_before, step)
        for program, step in {step.tokens: step for step in (*steps_before, *steps_after)}.items()
    }
    chosen = maps[usual_after.tokens]
    sites, unmapped = _gather(chosen, steps_before, steps_after, usual_before, usual_after)
    return AlignedRuns(
        before=tuple(steps_before),
        after=tuple(steps_after),
        times_before=_measure_runs(steps_before, before, maps, usual_before),
        times_after=_measure_runs(steps_after, after, maps, usual_before),
        sites=sites,
        unmapped=unmapped,
        matched_share=chosen.matched_share(superkernel_rows(usual_after.kernels).tolist()),
        held_share=chosen.held_share(len(usual_before.kernels)),
        superkernels=fused,
        unshared=_unshared(steps_before, steps_after, maps, usual_before),
        unit=unit,
    )


def _labelled_steps(run: int, item: Analysis) -> list[Step]:
    chosen = item.times.steps
    chosen = chosen[(chosen["phase"] == "decode") & chosen["steady"].astype(bool)]
    number = item.kernels["step"].where(item.kernels["step"].isin(chosen["step"]), -1)
    return steps_of(run, item.kernels, number.to_numpy(dtype="int64"))


def _after_steps(run: int, item: Analysis, prefix: Sequence[Token]) -> list[Step]:
    """Steady steps of AFTER: as labelled, or, where SuperKernels hide them, those of the usual program."""
    kernels = whole_kernels(item.kernels)
    if not superkernel_rows(kernels).any():
        return _labelled_steps(run, item)
    numbers = number_steps(kernels, prefix)
    if np.array_equal(numbers[numbers >= 0], kernels["step"].to_numpy(dtype="int64")[numbers >= 0]):
        unsteady = item.times.steps.loc[~item.times.steps["steady"].astype(bool), "step"]
        numbers = np.where(np.isin(numbers, unsteady), -1, numbers)
    steps = steps_of(run, kernels, numbers)
    if not steps:
        return []
    same = usual_steps(steps) if len(steps) > 2 else steps
    middle = float(np.median([step.wall_ns for step in same]))
    return [step for step in same if step.wall_ns <= OUTLIER * middle]


def _unshared(
    before: Sequence[Step], after: Sequence[Step], maps: dict[tuple[Token, ...], Mapping], usual: Step
) -> tuple[Unshared, ...]:
    """What the usual step of each run lost against that of BEFORE, and what it added."""
    found: list[Unshared] = []
    for is_after, steps in ((False, before), (True, after)):
        for run in sorted({step.run for step in steps}):
            step = typical([one for one in steps if one.run == run])
            lost, added = unshared_ns(usual, step, maps[step.tokens])
            for is_lost, times in ((True, lost), (False, added)):
                operators = tuple(operator for operator, _time in times.most_common())
                found.append(Unshared(is_after, run, is_lost, times.total() / usual.wall_ns, operators))
    return tuple(found)


def _gather(
    mapping: Mapping, before: Sequence[Step], after: Sequence[Step], usual_before: Step, usual_after: Step
) -> tuple[tuple[SuperKernelSite, ...], tuple[tuple[str, Message], ...]]:
    """The times of each SuperKernel over all steps that run the usual programs."""
    same_before = usual_steps(before)
    durations_after = [step.kernels["dur_ns"].to_numpy(dtype="int64") for step in usual_steps(after)]
    names = list(usual_after.kernels["name"].astype("object").astype(str))
    sites = []
    for site in mapping.sites:
        rows = usual_before.kernels.iloc[list(site.children)]
        regions = tuple(dict.fromkeys(rows["region"].astype("object").fillna("unattributed").astype(str)))
        layers = tuple(sorted({int(layer) for layer in rows["layer"].dropna()}))
        sites.append(
            SuperKernelSite(
                name=names[site.row],
                regions=regions,
                layers=layers,
                operators=tuple(operator for operator, _shapes in (usual_before.tokens[i] for i in site.children)),
                before_ns=tuple(intervals(step.kernels, site.children) for step in same_before),
                after_ns=tuple(int(durations[site.row]) for durations in durations_after),
            )
        )
    return tuple(sites), tuple((names[row], reason) for row, reason in mapping.unmapped)


def _measure_runs(
    steps: Sequence[Step], analyses: Sequence[Analysis], maps: dict[tuple[Token, ...], Mapping], usual: Step
) -> tuple[Times, ...]:
    """The times of each run that has steps, all with the labels of the usual step of BEFORE."""
    return tuple(
        _measure_run([step for step in steps if step.run == run], analyses[run].result.mode, maps, usual)
        for run in sorted({step.run for step in steps})
    )


def _measure_run(steps: Sequence[Step], mode: str, maps: dict[tuple[Token, ...], Mapping], usual: Step) -> Times:
    parts = []
    rows = []
    for number, step in enumerate(steps):
        kernels = _relabel(step.kernels, maps[step.tokens], usual.kernels)
        parts.append(kernels.assign(step=np.int32(number), phase="decode"))
        start, end = start_and_end(kernels)
        rows.append(
            {
                "step": number,
                "phase": "decode",
                "start_ns": int(start.min()),
                "end_ns": int(end.max()),
                "mode": mode,
                "tokens": None,
                "layers": int(kernels["layer"].nunique()),
                "steady": True,
                "note": None,
            }
        )
    return measure(pd.concat(parts, ignore_index=True), pd.DataFrame(rows))


_CARRIED = ("region", "layer", "layer_kind", "owner")


@dataclass(frozen=True, eq=False)
class _Pieces:
    """What a kernel is taken apart into: labels of each piece, and where it ends, as a fraction of the kernel."""

    labels: tuple[tuple[object, ...], ...]
    ends: tuple[float, ...]


def _relabel(kernels: pd.DataFrame, mapping: Mapping, usual: pd.DataFrame) -> pd.DataFrame:
    """Take over the labels of the twins. A SuperKernel becomes pieces, one per stretch of equal labels in it.

    Its time is shared out by the durations that its kernels had before; only its first piece in a region counts as
    a kernel.
    """
    source = _labels(usual)
    durations = usual["dur_ns"].to_numpy(dtype="float64")
    pieces = [
        _Pieces((source[twin] if twin >= 0 else own,), (1.0,))
        for own, twin in zip(_labels(kernels), mapping.twins, strict=True)
    ]
    for site in mapping.sites:
        children = list(site.children)
        pieces[site.row] = _stretches([source[child] for child in children], durations[children])
    rows = np.repeat(np.arange(len(kernels)), [len(piece.ends) for piece in pieces])
    taken = kernels.iloc[rows].reset_index(drop=True)
    start, duration = (taken[name].to_numpy(dtype="int64") for name in ("start_ns", "dur_ns"))
    ends = np.round(np.concatenate([piece.ends for piece in pieces]) * duration).astype("int64")
    begins = np.concatenate([[0], np.where(rows[1:] == rows[:-1], ends[:-1], 0)])
    labels = [label for piece in pieces for label in piece.labels]
    columns = {name: pd.Series([label[i] for label in labels], dtype="object") for i, name in enumerate(_CARRIED)}
    again = pd.DataFrame({"row": rows, "region": columns["region"]}).duplicated().to_numpy()
    kind = np.where(again, "collective_part", taken["kind"].astype("object"))  # a fragment: timed, not counted
    columns["layer"] = columns["layer"].astype("Int32")
    return taken.assign(start_ns=start + begins, dur_ns=ends - begins, kind=kind, **columns)


def _labels(kernels: pd.DataFrame) -> list[tuple[object, ...]]:
    columns = [kernels[name].astype("object") for name in _CARRIED]
    return list(zip(*(column.where(column.notna(), None) for column in columns), strict=True))


def _stretches(labels: Sequence[tuple[object, ...]], durations: Floats) -> _Pieces:
    """Neighbours with equal labels are one piece; without any duration all kernels get the same part."""
    parts = durations if durations.sum() else np.ones(len(durations))
    ends = np.cumsum(parts) / parts.sum()
    last = [i for i in range(len(labels)) if i + 1 == len(labels) or labels[i + 1] != labels[i]]
    return _Pieces(tuple(labels[i] for i in last), tuple(float(ends[i]) for i in last))
