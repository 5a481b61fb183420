"""The result of an analysis, of one rank or of many."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from skadvisor.records.measurements import (
    CaptureRecord,
    LabelQuality,
    LayersRecord,
    LayerTime,
    OperatorRecord,
    PhaseRecord,
    RegionRecord,
    StepRecord,
    SuperKernelUse,
    TypicalLayer,
)
from skadvisor.records.placements import Estimate, Recommendation, Template
from skadvisor.records.words import Choice, Mode, Phase
from skadvisor.text.messages import Message


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something the reader of the report has to know. `code` is stable, for scripts."""

    code: str
    message: Message


def notice(code: str, text: str, **values: Any) -> Notice:
    """A notice in words; `values` fill the text."""
    return Notice(code=code, message=Message(text, **values))


@dataclass(frozen=True, kw_only=True)
class RankRecord:
    """One rank among many. Times are medians over its steady steps of `Result.phase`; None where not measured.

    `reference` marks the rank whose times the rest of the result shows: of the slowest stage, the one that waits
    least. `stage` numbers the groups of ranks that hold the same layers, from 0. `comm_us` is the time in
    collectives, `wait_us` the part of it beyond the shortest of the ranks that took part, `expert_us` the time in
    expert matmuls, `compute_us` the exposed time of all that is no collective. `shares` are the regions' shares,
    `choice` and `estimate` what this rank alone would be told, the estimate that of the choice for all ranks.
    """

    rank: int | None
    path: str
    state: Literal["read", "unreadable"]
    reason: Message | None = None
    reference: bool = False
    slow: bool = False
    stage: int | None = None
    layers: str = ""
    wall_us: float | None = None
    busy_us: float | None = None
    compute_us: float | None = None
    comm_us: float | None = None
    wait_us: float | None = None
    expert_us: float | None = None
    shares: dict[str, float] = field(default_factory=dict)
    choice: Choice | None = None
    estimate: Estimate | None = None


@dataclass(frozen=True, kw_only=True)
class Tool:
    """The program that made the result."""

    name: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """Everything that an analysis answers. `phase` is the phase that templates and recommendation speak of."""

    schema_version: str
    tool: Tool
    captures: tuple[CaptureRecord, ...]
    mode: Mode
    graph_kind: str | None
    host_bound: bool
    phase: Phase
    steps: tuple[StepRecord, ...]
    phases: dict[str, PhaseRecord]
    layers: LayersRecord
    regions: tuple[RegionRecord, ...]
    layer_times: tuple[LayerTime, ...]
    typical_layers: tuple[TypicalLayer, ...]
    labels: LabelQuality
    templates: tuple[Template, ...]
    recommendation: Recommendation
    warnings: tuple[Notice, ...]
    ranks: tuple[RankRecord, ...] = ()
    operators: tuple[OperatorRecord, ...] = ()
    superkernels: SuperKernelUse | None = None
