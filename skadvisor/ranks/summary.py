"""What is kept of one rank's analysis to compare it with the others: its result and some numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skadvisor.ranks.stragglers import Collectives, collect
from skadvisor.records import Result
from skadvisor.units import us

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.analysis import Analysis


@dataclass(frozen=True, eq=False)
class RankAnswer:
    """One rank's answer. Times are medians over the steady steps of the result's phase, us; None: not measured.

    `collectives` covers those steps. `pipeline` is the rank's place in its pipeline group, where the capture's
    metadata says it. `hidden` is the width of the residual stream, `span_ns` the first start and the last end.
    """

    result: Result
    collectives: Collectives
    comm_us: float | None
    expert_us: float | None
    pipeline: int | None
    hidden: int | None = None
    span_ns: tuple[int, int] | None = None


def summarise(analysis: Analysis, result: Result) -> RankAnswer:
    """Reduce an analysis to what travels; the kernel table stays where it was read."""
    steps = analysis.steps
    chosen = steps[(steps["phase"].astype("object") == result.phase) & steps["steady"]]
    if chosen.empty:
        chosen = steps[steps["phase"].astype("object") == result.phase]
    kernels = analysis.kernels
    collectives = collect(kernels, chosen)
    expert = kernels[(kernels["role"].astype("object") == "expert_matmul") & kernels["step"].isin(chosen["step"])]
    return RankAnswer(
        result=result,
        collectives=collectives,
        comm_us=_per_step(collectives.step, collectives.duration, len(chosen)),
        expert_us=_expert_time(expert, chosen),
        pipeline=_pipeline_place(analysis.capture.metadata),
        hidden=analysis.labelled.structure.classes.hidden or None,
        span_ns=(int(kernels["start_ns"].min()), int((kernels["start_ns"] + kernels["dur_ns"]).max())),
    )


def _per_step(step: Any, duration: Any, steps: int) -> float | None:
    """The median over steps of the summed durations, us; None without any."""
    if not len(step):
        return None
    return us(float(np.median(np.bincount(step, weights=duration.astype("float64"), minlength=steps))))


def _expert_time(expert: pd.DataFrame, chosen: pd.DataFrame) -> float | None:
    if expert.empty:
        return None
    return us(float(expert.groupby("step")["dur_ns"].sum().reindex(chosen["step"]).fillna(0).median()))


def _pipeline_place(metadata: Mapping[str, Any]) -> int | None:
    """The rank's number in its pipeline group: torch_npu writes the groups of a distributed program."""
    written = metadata.get("profiler_metadata")
    groups = written.get("parallel_group_info") if isinstance(written, dict) else None
    if not isinstance(groups, dict):
        return None
    for group in groups.values():
        if isinstance(group, dict) and group.get("group_name") == "pp" and isinstance(group.get("group_rank"), int):
            return int(group["group_rank"])
    return None
