"""The operator types of one step: how often each runs, how long, what for, and whether it fuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from skadvisor.accounting.representative import step_kernels
from skadvisor.records import Breaker, OperatorRecord, OperatorUse, Region
from skadvisor.units import us
from skadvisor.vocabulary.labels_of_kernels import operator_labels

if TYPE_CHECKING:
    from skadvisor.accounting.timeline import Times


def operator_records(
    labelled: pd.DataFrame,
    times: Times,
    phase: str,
    judged: pd.DataFrame | None = None,
    breakers: Iterable[Breaker] = (),
) -> tuple[OperatorRecord, ...]:
    """The operator types of the phase's representative step, the longest total first.

    `judged` (index: row of the labelled table; column fusible) and `breakers` are what the fusion preview found.
    """
    step = times.representative.get(phase)
    if step is None:
        return ()
    chosen = step_kernels(labelled, times, step)
    kernels, names = chosen.kernels, operator_labels(chosen.plain)
    table = pd.DataFrame({name: kernels[name].to_numpy(dtype=object) for name in ("region", "role")})
    cuts: dict[str, int] = {}
    for breaker in breakers:
        cuts[breaker.op_type] = cuts.get(breaker.op_type, 0) + breaker.cuts_per_step
    verdicts: dict[str, set[str]] = {}
    if judged is not None:
        fusible = judged["fusible"].reindex(kernels.index).to_numpy(dtype=object)
        for name, verdict in zip(names, fusible, strict=True):
            verdicts.setdefault(name, set()).add(verdict)
    durations = kernels["dur_ns"].to_numpy()
    uses: dict[str, dict[tuple[str, str], list[int]]] = {}
    for name, region, role, duration in zip(
        names, table["region"].tolist(), table["role"].tolist(), durations.tolist(), strict=True
    ):
        uses.setdefault(name, {}).setdefault((region, role), []).append(duration)
    total = int(durations.sum())
    records = [_record(name, parts, total, verdicts.get(name), cuts.get(name, 0)) for name, parts in uses.items()]
    return tuple(sorted(records, key=lambda record: (-record.total_us, record.op_type)))


def _record(
    name: str, parts: Mapping[tuple[Any, Any], list[int]], total: int, verdicts: set[str] | None, cuts: int
) -> OperatorRecord:
    kernels = sum(map(len, parts.values()))
    duration = sum(map(sum, parts.values()))
    uses = [
        OperatorUse(region=cast("Region", region), role=str(role), kernels=len(part), total_us=us(sum(part)))
        for (region, role), part in parts.items()
        if isinstance(region, str) and isinstance(role, str)
    ]
    return OperatorRecord(
        op_type=name,
        kernels=kernels,
        total_us=us(duration),
        mean_us=us(duration / kernels),
        share=duration / total if total else 0.0,
        uses=tuple(sorted(uses, key=lambda use: (-use.total_us, use.region, use.role))),
        fusible=None if verdicts is None else next(iter(verdicts)) if len(verdicts) == 1 else "mixed",  # type: ignore[arg-type]
        cuts=cuts,
    )
