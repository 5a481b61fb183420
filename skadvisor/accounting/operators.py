"""The operator types of one step: how often each runs, how long, what for, and whether it fuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from skadvisor.accounting.representative import step_kernels
from skadvisor.records import Breaker, OperatorRecord, OperatorUse
from skadvisor.units import us

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
    kernels = step_kernels(labelled, times, step).kernels
    names = kernels["op_type"].astype("object").where(kernels["op_type"].notna(), kernels["name"].astype("object"))
    cuts: dict[str, int] = {}
    for breaker in breakers:
        cuts[breaker.op_type] = cuts.get(breaker.op_type, 0) + breaker.cuts_per_step
    fusible = {} if judged is None else dict(judged["fusible"].groupby(names.reindex(judged.index)).agg(_verdict))
    total = int(kernels["dur_ns"].sum())
    records = [
        _record(str(name), rows, total, fusible, cuts) for name, rows in kernels.groupby(names.astype(str), sort=True)
    ]
    return tuple(sorted(records, key=lambda record: (-record.total_us, record.op_type)))


def _verdict(verdicts: pd.Series[Any]) -> str:
    return str(verdicts.iloc[0]) if verdicts.nunique() == 1 else "mixed"


def _record(
    name: str, rows: pd.DataFrame, total: int, fusible: Mapping[Any, str], cuts: Mapping[str, int]
) -> OperatorRecord:
    duration = int(rows["dur_ns"].sum())
    uses = [
        OperatorUse(
            region=region,  # type: ignore[arg-type]
            role=str(role),
            kernels=len(part),
            total_us=us(int(part["dur_ns"].sum())),
        )
        for (region, role), part in rows.groupby(["region", "role"], observed=True, sort=True)
    ]
    return OperatorRecord(
        op_type=name,
        kernels=len(rows),
        total_us=us(duration),
        mean_us=us(duration / len(rows)),
        share=duration / total if total else 0.0,
        uses=tuple(sorted(uses, key=lambda use: (-use.total_us, use.region, use.role))),
        fusible=fusible.get(name),  # type: ignore[arg-type]
        cuts=cuts.get(name, 0),
    )
