"""What was measured of a capture: its steps, phases, regions, operators, layers, and the trust in its labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from skadvisor.records.words import LayerKindName, Phase, PhaseEvidence, Region
from skadvisor.text.messages import Message


@dataclass(frozen=True, kw_only=True)
class CaptureRecord:
    """One capture that was read. `fingerprint` identifies its kernel table, whatever the format it came in."""

    path: str
    producer: str
    rank: int | None
    level: str
    state: str
    kernels: int
    span_us: float
    files: tuple[str, ...]
    skipped: dict[str, int] = field(default_factory=dict)
    fingerprint: str = ""

    @property
    def name(self) -> str:
        """What people call it: the last part of its path, with the folder above where the profiler named the last."""
        parts = self.path.replace("\\", "/").rstrip("/").split("/")
        if len(parts) > 1 and parts[-2] and parts[-1].endswith(("_ascend_pt", "_ascend_ms")):
            return f"{parts[-2]}/{parts[-1]}"
        return parts[-1]


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One forward pass. `tokens` is the number of rows that pass through a layer, None when shapes are missing."""

    index: int
    phase: Phase
    start_us: float
    wall_us: float
    busy_us: float
    gap_us: float
    host_gap_us: float
    kernels: int
    tokens: int | None
    layers: int
    steady: bool
    note: Message | None = None
    phase_evidence: PhaseEvidence = "none"


@dataclass(frozen=True, kw_only=True)
class GapRecord:
    """Idle time of a step by kind: within a region of a layer, between regions, waiting for the host.

    `wait_us` passes inside one replay of one graph, where the device waits for another stream or rank.
    """

    inside_us: float
    between_us: float
    host_us: float
    wait_us: float = 0.0

    @property
    def parts(self) -> tuple[tuple[str, float], ...]:
        """The kinds of gap with their time, us; `wait` only where there is any."""
        waiting = (("wait", self.wait_us),) if self.wait_us else ()
        return (("inside", self.inside_us), ("between", self.between_us), *waiting, ("host", self.host_us))


@dataclass(frozen=True, kw_only=True)
class PhaseRecord:
    """One phase by its representative step: the steady one whose wall time is nearest their median, number `step`.

    Times are of that step, so that `busy_us` and the parts of `gap` add up to `wall_us`. `phase_evidence` is how most
    of the steady steps are known.
    """

    phase: Phase
    step: int
    steps: int
    steady_steps: int
    wall_us: float
    busy_us: float
    gap_us: float
    gap: GapRecord
    tokens: int | None
    phase_evidence: PhaseEvidence = "none"


@dataclass(frozen=True, kw_only=True)
class RegionRecord:
    """One region in the representative step of a phase. `share` = exposed / wall, a fraction."""

    phase: Phase
    region: Region
    kernels: int
    busy_us: float
    exposed_us: float
    share: float
    gap_inside_us: float


@dataclass(frozen=True, kw_only=True)
class OperatorUse:
    """What an operator type is used for in one step: kernels and summed durations of one role in one region."""

    region: Region
    role: str
    kernels: int
    total_us: float


@dataclass(frozen=True, kw_only=True)
class OperatorRecord:
    """An operator type in the representative step of `Result.phase`. Durations are summed, overlap or not.

    `share` is the fraction of all kernels' durations, `fusible` None where no scope was looked at, `cuts` how often it
    cuts the scope that the report speaks of, per step.
    """

    op_type: str
    kernels: int
    total_us: float
    mean_us: float
    share: float
    uses: tuple[OperatorUse, ...]
    fusible: Literal["likely", "unlikely", "unknown", "mixed"] | None = None
    cuts: int = 0


@dataclass(frozen=True, kw_only=True)
class SuperKernelUse:
    """SuperKernels that the representative step of `Result.phase` has already: how many, and what they hold of it.

    `exposed_us` is the time in them, `share` that as a fraction of the step's wall time.
    """

    count: int
    exposed_us: float
    share: float


@dataclass(frozen=True, kw_only=True)
class LayerKindRecord:
    """Layers of one kind. `layers` lists them as ranges ("0-2, 5"); kernels and time are medians per layer."""

    kind: LayerKindName
    attention_kind: str
    count: int
    layers: str
    kernels: int
    wall_us: float


@dataclass(frozen=True, kw_only=True)
class LayersRecord:
    """The decoder layers of one step. `misfits` says in words what did not fit the repetition.

    `hidden` is the model's hidden width, None where no shapes tell it.
    """

    count: int
    kinds: tuple[LayerKindRecord, ...]
    confidence: float
    misfits: tuple[Message, ...] = ()
    hidden: int | None = None

    @property
    def model(self) -> str:
        """What tells one model from another in a ledger: its layers by kind, and its hidden width."""
        kinds = ", ".join(f"{kind.count} {kind.kind} {kind.attention_kind}" for kind in self.kinds)
        return f"{kinds}, hidden {self.hidden}" if self.hidden else kinds


@dataclass(frozen=True, kw_only=True)
class TimelineKernel:
    """One kernel of a typical layer; `start_us` counts from the layer's first kernel."""

    start_us: float
    dur_us: float
    gap_before_us: float
    stream: int | None
    name: str
    op_type: str
    region: Region
    role: str
    confidence: float
    input_shapes: str
    output_shapes: str
    core: str
    blocks: int | None
    fusible: Literal["likely", "unlikely", "unknown"]
    fragment: int | None
    in_scope: bool = False


@dataclass(frozen=True, kw_only=True)
class LayerFragment:
    """A fragment that has kernels in a layer: its number in the step, all its kernels, and the layers it reaches."""

    fragment: int
    kernels: int
    first_layer: int | None
    last_layer: int | None


@dataclass(frozen=True, kw_only=True)
class TypicalLayer:
    """The layer whose time is nearest the median of its kind, in the representative step of a phase."""

    phase: Phase
    step: int
    layer: int
    kind: LayerKindName
    wall_us: float
    kernels: tuple[TimelineKernel, ...]
    fragments: tuple[LayerFragment, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LayerTime:
    """One layer of the typical step: wall time and exposed time per region."""

    layer: int
    kind: LayerKindName
    wall_us: float
    regions_us: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class LabelQuality:
    """How far the labels can be trusted, in shares of the decode steps' device time (fractions)."""

    unattributed_share: float
    low_confidence_share: float
    learned_share: float
    host_checked_share: float
    advice_depends_on_unattributed: bool
