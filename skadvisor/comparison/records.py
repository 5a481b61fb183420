"""What a comparison says, as frozen records. Times are microseconds per decode step; `_pct` is percent.

`change` is after minus before; `improvement` and `saved` are before minus after, so that positive is faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from skadvisor.comparison.statistics import Spread
from skadvisor.records import Basis
from skadvisor.text.messages import Message

#: promising: faster than the noise of the steps, but one run a side, and a recompile alone may move as much.
Outcome = Literal["beneficial", "promising", "neutral", "regressed", "insufficient_evidence", "not_comparable"]


@dataclass(frozen=True, kw_only=True)
class PhaseChange:
    """The wall time of a step of one phase, medians over steady steps."""

    phase: str
    steps_before: int
    steps_after: int
    before_us: float
    after_us: float
    change_us: float
    change_pct: float


@dataclass(frozen=True, kw_only=True)
class RegionChange:
    """Exposed time and kernels of a region; a SuperKernel counts in every region that it holds kernels of.

    `basis` is derived where a SuperKernel joined the region with others: its time is shared out as it was before.
    """

    region: str
    basis: Basis
    before_us: float
    after_us: float
    change_us: float
    kernels_before: float
    kernels_after: float


@dataclass(frozen=True, kw_only=True)
class LayerChange:
    """Exposed time of one decoder layer; `basis` as for regions."""

    layer: int
    kind: str
    basis: Basis
    before_us: float
    after_us: float
    change_us: float


@dataclass(frozen=True, kw_only=True)
class GapChange:
    """Idle time of the step by kind: inside, between, host."""

    kind: str
    before_us: float
    after_us: float
    change_us: float


@dataclass(frozen=True, kw_only=True)
class SuperKernelChange:
    """One SuperKernel against the interval that it replaced: `children` kernels, whose `operators` are in order.

    `floor_us` is the noise floor, `saved_*` its gain.
    """

    name: str
    scope: str
    regions: tuple[str, ...]
    layers: tuple[int, ...]
    children: int
    operators: tuple[str, ...]
    occurrences_before: int
    occurrences_after: int
    before_us: float
    after_us: float
    saved_us: float
    saved_low_us: float
    saved_high_us: float
    floor_us: float
    verdict: Outcome
    action: Message


@dataclass(frozen=True, kw_only=True)
class Unmapped:
    """A SuperKernel whose children were not found before."""

    name: str
    reason: Message


@dataclass(frozen=True, kw_only=True)
class ForecastCheck:
    """What the analysis of BEFORE expected of the template, against what came; percent of the decode step."""

    template: str
    low_pct: float
    mid_pct: float
    high_pct: float
    outcome_pct: float
    inside: bool


@dataclass(frozen=True, kw_only=True)
class RankChange:
    """The median decode step of one rank; None where a side does not have it."""

    rank: int | None
    before_us: float | None
    after_us: float | None
    compared: bool


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why two captures cannot be compared; `code` is batch, shapes, layers, kernels, ranks, mode, order, phase."""

    code: str
    message: Message


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The answer. Where the captures are not comparable the figures are None or empty and `reasons` says why.

    `unit` says what the spreads count: decode steps of one run, executions of a graph without decoder layers, its
    equal blocks, or runs. `ranks` has every rank where whole folders of ranks were given.
    """

    verdict: Outcome
    reasons: tuple[Reason, ...]
    unit: Literal["steps", "executions", "blocks", "runs"]
    runs_before: int
    runs_after: int
    before: Spread | None = None
    after: Spread | None = None
    improvement_us: float | None = None
    improvement_pct: float | None = None
    improvement_low_pct: float | None = None
    improvement_high_pct: float | None = None
    action: Message
    phases: tuple[PhaseChange, ...] = ()
    regions: tuple[RegionChange, ...] = ()
    layers: tuple[LayerChange, ...] = ()
    gaps: tuple[GapChange, ...] = ()
    kernels_before: float | None = None
    kernels_after: float | None = None
    superkernels: tuple[SuperKernelChange, ...] = ()
    unmapped: tuple[Unmapped, ...] = ()
    template: str | None = None
    forecast: ForecastCheck | None = None
    ranks: tuple[RankChange, ...] = ()
    notes: tuple[Message, ...] = ()
