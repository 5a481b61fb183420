"""What a phase looks like: the step nearest the median of its steady ones, and a typical layer of it, as records."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from skadvisor.accounting.steady import steady_steps
from skadvisor.accounting.timeline import Exposed, Times
from skadvisor.events import PlainColumns, idle_before
from skadvisor.records import (
    GapRecord,
    LayerFragment,
    LayerTime,
    PhaseRecord,
    RegionRecord,
    StepRecord,
    SuperKernelUse,
    TimelineKernel,
    TypicalLayer,
)
from skadvisor.units import us
from skadvisor.vocabulary.arrays import Floats
from skadvisor.vocabulary.superkernel_names import superkernel_rows


@dataclass(frozen=True, eq=False)
class StepKernels:
    """The kernels of one step in time order, without fragments of collectives; indexed as the labelled table."""

    step: int
    mode: str
    kernels: pd.DataFrame

    @cached_property
    def plain(self) -> PlainColumns:
        """The columns of `kernels` as plain arrays."""
        return PlainColumns(self.kernels)

    @cached_property
    def exposed(self) -> Exposed:
        """How the time is shared among the kernels that run at once."""
        return Exposed(self.kernels)

    @cached_property
    def core_ns(self) -> Floats:
        """The longer of the kernels' times on Cube and Vector cores, ns; nan where no PMU column shows one."""
        return np.fmax(self.plain.numbers("aic_ns"), self.plain.numbers("aiv_ns"))


def step_kernels(labelled: pd.DataFrame, times: Times, step: int) -> StepKernels:
    """The kernels of one step, as the fusion preview and the replay need them."""
    inside = labelled[(labelled["step"] == step) & (labelled["kind"] != "collective_part")]
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
    """The representative step of each phase, whose kernels and kinds of gap add up to its wall time."""
    records = {}
    measured = times.steps.set_index("step")
    about = steps.set_index("step")
    for phase, step in times.representative.items():
        row = measured.loc[step]
        of_phase = measured[measured["phase"] == phase]
        steady = about.loc[steady_steps(times.steps, phase)]
        records[phase] = PhaseRecord(
            phase=phase,  # type: ignore[arg-type]
            step=step,
            steps=len(of_phase),
            steady_steps=int(of_phase["steady"].astype(bool).sum()),
            wall_us=us(row["wall_ns"]),
            busy_us=us(row["busy_ns"]),
            gap_us=us(row["gap_ns"]),
            gap=GapRecord(
                inside_us=us(row["gap_inside_ns"]),
                between_us=us(row["gap_between_ns"]),
                wait_us=us(row["gap_wait_ns"]),
                host_us=us(row["gap_host_ns"]),
            ),
            tokens=_whole(about.loc[step, "tokens"]),
            phase_evidence=steady["phase_evidence"].mode().iloc[0],
        )
    return records


def region_records(times: Times, phase: str) -> tuple[RegionRecord, ...]:
    """The regions of the phase's representative step, the largest share first."""
    step = times.representative.get(phase)
    wall = times.steps.loc[times.steps["step"] == step, "wall_ns"].sum()
    records = [
        RegionRecord(
            phase=phase,  # type: ignore[arg-type]
            region=row.region,
            kernels=int(row.kernels),
            busy_us=us(row.busy_ns),
            exposed_us=us(row.exposed_ns),
            share=float(row.exposed_ns / wall) if wall else 0.0,
            gap_inside_us=us(row.gap_inside_ns),
        )
        for row in times.regions[times.regions["step"] == step].itertuples(index=False)
    ]
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

    `judged` (index: row of the labelled table; columns scope, fusible, fragment) brings what the fusion preview found.
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
                fragments=_fragments(labelled, judged, inside.index),
            )
        )
    return tuple(records)


def _fragments(labelled: pd.DataFrame, judged: pd.DataFrame | None, inside: pd.Index[Any]) -> tuple[LayerFragment, ...]:
    """The whole fragments that have kernels among the rows `inside`, however far they reach."""
    if judged is None:
        return ()
    numbers = judged.loc[judged.index.intersection(inside), "fragment"]
    records = []
    for number in sorted({int(number) for number in numbers if number >= 0}):
        members = judged.index[judged["fragment"] == number]
        layers = labelled.loc[members, "layer"].dropna()
        first, last = (int(layers.min()), int(layers.max())) if len(layers) else (None, None)
        records.append(LayerFragment(fragment=number, kernels=len(members), first_layer=first, last_layer=last))
    return tuple(records)


def superkernel_use(labelled: pd.DataFrame, times: Times, phase: str) -> SuperKernelUse | None:
    """What SuperKernels hold of the phase's representative step; None where it has none."""
    step = times.representative.get(phase)
    if step is None:
        return None
    kernels = step_kernels(labelled, times, step)
    fused = superkernel_rows(kernels.kernels)
    if not fused.any():
        return None
    exposed = kernels.exposed.inside(fused)
    wall = int(times.steps.loc[times.steps["step"] == step, "wall_ns"].iloc[0])
    return SuperKernelUse(count=int(fused.sum()), exposed_us=us(exposed), share=exposed / wall if wall else 0.0)


def _timeline_kernels(kernels: pd.DataFrame, judged: pd.DataFrame | None) -> tuple[TimelineKernel, ...]:
    columns = PlainColumns(kernels)
    start, duration = columns.whole("start_ns"), columns.whole("dur_ns")
    names = ("name", "op_type", "region", "role", "input_shapes", "output_shapes", "core")
    words = {name: columns.words(name).tolist() for name in names}
    stream, blocks = columns.whole("stream").tolist(), columns.whole("blocks").tolist()
    confidence = columns.numbers("confidence").tolist()
    gaps = idle_before(start, duration).tolist()
    verdicts: dict[Any, tuple[Any, Any, Any]] = {}
    if judged is not None:
        found = judged.loc[judged.index.intersection(kernels.index)]
        verdicts = dict(
            zip(found.index, zip(found["fusible"], found["fragment"], found["scope"], strict=True), strict=True)
        )
    records = []
    for row, (index, begins, lasts) in enumerate(
        zip(kernels.index, (start - start.min()).tolist(), duration.tolist(), strict=True)
    ):
        fusible, fragment, scope = verdicts.get(index, ("unknown", -1, -1))
        records.append(
            TimelineKernel(
                start_us=us(begins),
                dur_us=us(lasts),
                gap_before_us=us(gaps[row]),
                stream=_known(stream[row]),
                name=words["name"][row] or "",
                op_type=words["op_type"][row] or "",
                region=words["region"][row],
                role=words["role"][row] or "",
                confidence=confidence[row],
                input_shapes=words["input_shapes"][row] or "",
                output_shapes=words["output_shapes"][row] or "",
                core=words["core"][row] or "",
                blocks=_known(blocks[row]),
                fusible=fusible,
                fragment=int(fragment) if fragment >= 0 else None,
                in_scope=bool(scope >= 0),
            )
        )
    return tuple(records)


def _known(number: int) -> int | None:
    return number if number >= 0 else None


def _missing(value: Any) -> bool:
    return bool(pd.isna(value)) if not isinstance(value, (list, tuple, str)) else False


def _whole(value: Any) -> int | None:
    return None if _missing(value) else int(value)
