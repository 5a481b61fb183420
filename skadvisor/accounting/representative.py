"""What a phase typically looks like: medians over its steady steps, and one step and layer to show, as records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from skadvisor.accounting.steady import steady_steps
from skadvisor.records import (
    GapRecord,
    LayerTime,
    PhaseRecord,
    RegionRecord,
    StepRecord,
    TimelineKernel,
    TypicalLayer,
)
from skadvisor.units import us

if TYPE_CHECKING:
    from skadvisor.accounting.timeline import Times


@dataclass(frozen=True, eq=False)
class StepKernels:
    """The kernels of one step in time order, without fragments of collectives; indexed as the labelled table."""

    step: int
    mode: str
    kernels: pd.DataFrame


def step_kernels(labelled: pd.DataFrame, times: Times, step: int) -> StepKernels:
    """The kernels of one step, as the fusion preview and the replay need them."""
    inside = labelled[(labelled["step"] == step) & (labelled["kind"].astype("object") != "collective_part")]
    mode = str(times.steps.loc[times.steps["step"] == step, "mode"].iloc[0])
    return StepKernels(step, mode, inside.sort_values("start_ns", kind="stable"))


def step_records(times: Times, steps: pd.DataFrame) -> tuple[StepRecord, ...]:
    """One record per step; `start_us` counts from the first step's first kernel."""
    if times.steps.empty:
        return ()
    about = steps.set_index("step")
    origin = int(times.steps["start_ns"].min())
    records = []
    row: Any
    for row in times.steps.itertuples(index=False):
        facts = about.loc[row.step]
        records.append(
            StepRecord(
                index=int(row.step),
                phase=row.phase,
                start_us=us(row.start_ns - origin),
                wall_us=us(row.wall_ns),
                busy_us=us(row.busy_ns),
                gap_us=us(row.gap_ns),
                host_gap_us=us(row.gap_host_ns),
                kernels=int(row.kernels),
                tokens=_whole(facts["tokens"]),
                layers=int(facts["layers"]),
                steady=bool(row.steady),
                phase_evidence=facts["phase_evidence"],
                note=facts["note"] if facts["note"] is not None and not _missing(facts["note"]) else None,
            )
        )
    return tuple(records)


def phase_records(times: Times, steps: pd.DataFrame) -> dict[str, PhaseRecord]:
    """Medians over the steady steps of each phase. The parts of a gap are medians too and need not add up."""
    records = {}
    for phase in dict.fromkeys(times.steps["phase"]):
        chosen = times.steps[times.steps["step"].isin(steady_steps(times.steps, phase))]
        middle = chosen.median(numeric_only=True)
        tokens = steps.loc[steps["step"].isin(chosen["step"]), "tokens"].dropna()
        records[str(phase)] = PhaseRecord(
            phase=phase,
            steps=int((times.steps["phase"] == phase).sum()),
            steady_steps=int(chosen["steady"].astype(bool).sum()),
            wall_us=us(middle["wall_ns"]),
            busy_us=us(middle["busy_ns"]),
            gap_us=us(middle["gap_ns"]),
            gap=GapRecord(
                inside_us=us(middle["gap_inside_ns"]),
                between_us=us(middle["gap_between_ns"]),
                wait_us=us(middle["gap_wait_ns"]),
                host_us=us(middle["gap_host_ns"]),
            ),
            tokens=int(tokens.median()) if len(tokens) else None,
            phase_evidence=steps.loc[steps["step"].isin(chosen["step"]), "phase_evidence"].mode().iloc[0],
        )
    return records


def region_records(times: Times, phase: str) -> tuple[RegionRecord, ...]:
    """Medians of each region over the steady steps of a phase, the largest share first; absent in a step counts 0."""
    chosen = steady_steps(times.steps, phase)
    if not chosen:
        return ()
    wall = times.steps.set_index("step")["wall_ns"].reindex(chosen)
    inside = times.regions[times.regions["step"].isin(chosen)]
    records = []
    region: Any
    for region, rows in inside.groupby("region"):
        per_step = rows.set_index("step").drop(columns="region").reindex(chosen, fill_value=0)
        middle = per_step.median()
        records.append(
            RegionRecord(
                phase=phase,  # type: ignore[arg-type]
                region=region,
                kernels=int(middle["kernels"]),
                busy_us=us(middle["busy_ns"]),
                exposed_us=us(middle["exposed_ns"]),
                share=float((per_step["exposed_ns"] / wall.where(wall > 0)).median()),
                gap_inside_us=us(middle["gap_inside_ns"]),
            )
        )
    return tuple(sorted(records, key=lambda record: (-record.share, record.region)))


def layer_times(times: Times, phase: str) -> tuple[LayerTime, ...]:
    """The layers of the phase's representative step with their exposed time per region."""
    step = times.representative.get(phase)
    parts = times.layer_regions[times.layer_regions["step"] == step]
    regions: dict[int, dict[str, float]] = {}
    row: Any
    for row in parts.itertuples(index=False):
        regions.setdefault(int(row.layer), {})[row.region] = us(row.exposed_ns)
    return tuple(
        LayerTime(layer=int(row.layer), kind=row.kind, wall_us=us(row.wall_ns), regions_us=regions[int(row.layer)])
        for row in times.layers[times.layers["step"] == step].itertuples(index=False)
    )


def typical_layers(
    labelled: pd.DataFrame, times: Times, phase: str, judged: pd.DataFrame | None = None
) -> tuple[TypicalLayer, ...]:
    """For each kind of layer the one nearest the median wall time, in the typical step of the phase.

    `judged` (index: row of the labelled table; columns fusible, fragment) brings what the fusion preview found.
    """
    step = times.representative.get(phase)
    if step is None:
        return ()
    layers = times.layers[times.layers["step"] == step]
    records = []
    kind: Any
    for kind, rows in layers.groupby("kind"):
        distance = (rows["wall_ns"] - rows["wall_ns"].median()).abs()
        chosen = rows.loc[distance.idxmin()]
        inside = labelled[(labelled["step"] == step) & (labelled["layer"] == chosen["layer"])]
        inside = inside[inside["kind"].astype("object") != "collective_part"]
        records.append(
            TypicalLayer(
                phase=phase,  # type: ignore[arg-type]
                step=step,
                layer=int(chosen["layer"]),
                kind=kind,
                wall_us=us(chosen["wall_ns"]),
                kernels=_timeline_kernels(inside, judged),
            )
        )
    return tuple(records)


def _timeline_kernels(kernels: pd.DataFrame, judged: pd.DataFrame | None) -> tuple[TimelineKernel, ...]:
    origin = int(kernels["start_ns"].min())
    reach = (kernels["start_ns"] + kernels["dur_ns"]).cummax().shift(fill_value=origin)
    gaps = (kernels["start_ns"] - reach).clip(lower=0)
    verdicts: dict[Any, tuple[Any, Any]] = {}
    if judged is not None:
        verdicts = dict(zip(judged.index, zip(judged["fusible"], judged["fragment"], strict=True), strict=True))
    records = []
    row: Any
    for (index, row), gap in zip(kernels.iterrows(), gaps, strict=True):
        fusible, fragment = verdicts.get(index, ("unknown", -1))
        records.append(
            TimelineKernel(
                start_us=us(row["start_ns"] - origin),
                dur_us=us(row["dur_ns"]),
                gap_before_us=us(gap),
                stream=_whole(row["stream"]),
                name=_text(row["name"]),
                op_type=_text(row["op_type"]),
                region=row["region"],
                role=_text(row["role"]),
                confidence=float(row["confidence"]),
                input_shapes=_text(row["input_shapes"]),
                output_shapes=_text(row["output_shapes"]),
                core=_text(row["core"]),
                blocks=_whole(row["blocks"]),
                fusible=fusible,
                fragment=int(fragment) if fragment >= 0 else None,
            )
        )
    return tuple(records)


def _missing(value: Any) -> bool:
    return bool(pd.isna(value)) if not isinstance(value, (list, tuple, str)) else False


def _whole(value: Any) -> int | None:
    return None if _missing(value) else int(value)


def _text(value: Any) -> str:
    return "" if _missing(value) else str(value)
