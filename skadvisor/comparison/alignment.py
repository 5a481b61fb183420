"""Two sets of runs of one model laid beside each other: decode steps matched, SuperKernels mapped, labels carried over.

The kernels of AFTER take the labels of their twins in BEFORE. So both sides are measured with the same labels, also
where fused layers can no longer be recognised in AFTER.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skadvisor.accounting.timeline import Times, measure
from skadvisor.comparison.superkernel_mapping import Mapping, intervals, map_step
from skadvisor.comparison.superkernel_steps import Token, is_superkernel, number_steps, tokens
from skadvisor.text.messages import Message

if TYPE_CHECKING:
    from skadvisor.analysis import Analysis

#: A step this much longer than the median is an outlier. The rest is judged by the spread.
OUTLIER = 1.5


@dataclass(frozen=True, eq=False)
class Step:
    """One steady decode step: its kernels in program order without fragments of collectives, and their tokens."""

    run: int
    kernels: pd.DataFrame
    tokens: tuple[Token, ...]

    @property
    def wall_ns(self) -> int:
        start = self.kernels["start_ns"]
        return int((start + self.kernels["dur_ns"]).max() - start.min())


@dataclass(frozen=True, eq=False)
class SuperKernelSite:
    """One SuperKernel over all steps: intervals before and durations after, ns."""

    name: str
    regions: tuple[str, ...]
    layers: tuple[int, ...]
    children: int
    before_ns: tuple[int, ...]
    after_ns: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class AlignedRuns:
    """Steady decode steps of both sides, and what was matched between their typical programs.

    `times_before` and `times_after` hold one entry per run. `matched_share` is the share of AFTER's own kernels
    that have a twin.
    """

    before: tuple[Step, ...]
    after: tuple[Step, ...]
    times_before: tuple[Times, ...]
    times_after: tuple[Times, ...]
    sites: tuple[SuperKernelSite, ...]
    unmapped: tuple[tuple[str, Message], ...]
    matched_share: float
    superkernels: bool


def lay_beside(before: Sequence[Analysis], after: Sequence[Analysis]) -> AlignedRuns:
    """Match the decode steps of the runs. Either side may have no steady decode step; then nothing is matched."""
    everything = [*before, *after]
    shapes = all(bool(run.kernels["input_shapes"].notna().any()) for run in everything)
    types = all(bool(run.kernels["op_type"].notna().any()) for run in everything)
    steps_before = [step for run, item in enumerate(before) for step in _labelled_steps(run, item, shapes, types)]
    prefix = _typical(steps_before).tokens if steps_before else ()
    steps_after = [step for run, item in enumerate(after) for step in _after_steps(run, item, prefix, shapes, types)]
    fused = any(bool(is_superkernel(item.kernels).any()) for item in after)
    if not steps_before or not steps_after:
        return AlignedRuns(tuple(steps_before), tuple(steps_after), (), (), (), (), 0.0, fused)
    usual_before, usual_after = _typical(steps_before), _typical(steps_after)
    maps = {
        program: map_step(usual_before.kernels, step.kernels, usual_before.tokens, program)
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
        matched_share=chosen.matched_share(is_superkernel(usual_after.kernels).tolist()),
        superkernels=fused,
    )


def _labelled_steps(run: int, item: Analysis, shapes: bool, types: bool) -> list[Step]:
    chosen = item.times.steps
    chosen = chosen[(chosen["phase"] == "decode") & chosen["steady"].astype(bool)]
    inside = item.kernels[item.kernels["step"].isin(chosen["step"])]
    return _steps_of(run, inside, inside["step"].to_numpy(dtype="int64"), shapes, types)


def _after_steps(run: int, item: Analysis, prefix: Sequence[Token], shapes: bool, types: bool) -> list[Step]:
    """Steady steps of AFTER: as labelled, or, where SuperKernels hide them, those of the usual program."""
    kernels = item.kernels[item.kernels["kind"].astype("object") != "collective_part"]
    kernels = kernels.sort_values("start_ns", kind="stable")
    if not is_superkernel(kernels).any():
        return _labelled_steps(run, item, shapes, types)
    numbers = number_steps(kernels, tokens(kernels, shapes=shapes, types=types), prefix)
    if np.array_equal(numbers[numbers >= 0], kernels["step"].to_numpy(dtype="int64")[numbers >= 0]):
        unsteady = item.times.steps.loc[~item.times.steps["steady"].astype(bool), "step"]
        numbers = np.where(np.isin(numbers, unsteady), -1, numbers)
    steps = _steps_of(run, kernels[numbers >= 0], numbers[numbers >= 0], shapes, types)
    if not steps:
        return []
    usual = Counter(step.tokens for step in steps).most_common(1)[0][0]
    same = [step for step in steps if step.tokens == usual] if len(steps) > 2 else steps
    middle = float(np.median([step.wall_ns for step in same]))
    return [step for step in same if step.wall_ns <= OUTLIER * middle]


def _steps_of(run: int, kernels: pd.DataFrame, numbers: NDArray[np.int64], shapes: bool, types: bool) -> list[Step]:
    steps = []
    for _number, rows in kernels.groupby(numbers, sort=True):
        own = _in_program_order(rows[rows["kind"].astype("object") != "collective_part"])
        steps.append(Step(run, own, tuple(tokens(own, shapes=shapes, types=types))))
    return steps


def _in_program_order(kernels: pd.DataFrame) -> pd.DataFrame:
    """Stream by stream, in the order in which streams begin: how they interleave differs from step to step."""
    ordered = kernels.sort_values("start_ns", kind="stable")
    streams = pd.factorize(ordered["stream"].fillna(-1).to_numpy(dtype="int64"))[0]
    return ordered.iloc[np.argsort(streams, kind="stable")]


def _typical(steps: Sequence[Step]) -> Step:
    """Of the steps with the most common program, the one nearest the median time."""
    usual = Counter(step.tokens for step in steps).most_common(1)[0][0]
    same = [step for step in steps if step.tokens == usual]
    middle = float(np.median([step.wall_ns for step in same]))
    return min(same, key=lambda step: abs(step.wall_ns - middle))


def _gather(
    mapping: Mapping, before: Sequence[Step], after: Sequence[Step], usual_before: Step, usual_after: Step
) -> tuple[tuple[SuperKernelSite, ...], tuple[tuple[str, Message], ...]]:
    """The times of each SuperKernel over all steps that run the usual programs."""
    same_before = [step.kernels for step in before if step.tokens == usual_before.tokens]
    same_after = [step.kernels["dur_ns"].to_numpy(dtype="int64") for step in after if step.tokens == usual_after.tokens]
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
                children=len(site.children),
                before_ns=tuple(intervals(kernels, site.children) for kernels in same_before),
                after_ns=tuple(int(durations[site.row]) for durations in same_after),
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
        start = kernels["start_ns"].to_numpy(dtype="int64")
        end = start + kernels["dur_ns"].to_numpy(dtype="int64")
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


def _relabel(kernels: pd.DataFrame, mapping: Mapping, usual: pd.DataFrame) -> pd.DataFrame:
    """Take over the labels of the twins; a SuperKernel gets what its children share, others keep their own."""
    source = {name: usual[name].astype("object").to_numpy() for name in _CARRIED}
    made = {name: kernels[name].astype("object").to_numpy(copy=True) for name in _CARRIED}
    children = {site.row: list(site.children) for site in mapping.sites}
    for row, twin in enumerate(mapping.twins):
        places = [twin] if twin >= 0 else children.get(row)
        if places:
            for name in _CARRIED:
                values = {None if pd.isna(value) else value for value in source[name][places]}
                made[name][row] = values.pop() if len(values) == 1 else _SEVERAL[name]
    columns = {name: pd.Series(values, index=kernels.index, dtype="object") for name, values in made.items()}
    columns["layer"] = columns["layer"].astype("Int32")
    return kernels.assign(**columns)


#: What a SuperKernel over several of them is labelled as.
_SEVERAL = {"region": "other", "layer": None, "layer_kind": None, "owner": None}
