"""The result of an analysis as frozen records: what reports, plots, plans and JSON are made from.

Times are microseconds (`_us`), shares are fractions of 1, `_pct` are percent. Where something was not
measured the value is None, never 0. `to_json` and `from_json` go round without loss (sentences come back
in the language they were written in).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from skadvisor.text.messages import Message

Phase = Literal["prefill", "decode", "mixed", "training", "unknown"]
#: How a phase is known: the host's ranges, the attention kernels, rows and sequences, a replayed graph, lengths alone.
PhaseEvidence = Literal["host", "attention", "tokens", "replay", "length", "training", "none"]
Mode = Literal["eager", "graph", "unknown"]
Region = Literal[
    "attention",
    "mlp",
    "moe",
    "norm",
    "comm",
    "embedding",
    "head",
    "sampling",
    "prepare",
    "other",
    "unattributed",
]
LayerKindName = Literal["dense", "moe", "mtp", "other"]
TemplateName = Literal["attention-only", "moe-only", "full-model", "per-block", "automatic"]
Choice = Literal["attention-only", "moe-only", "full-model", "per-block", "automatic", "none"]
Basis = Literal["measured", "derived", "assumed"]
WholeTime = Literal["captured_step", "time_per_token", "graph"]
Status = Literal["pass", "warn", "block", "unknown"]
Verdict = Literal["worthwhile", "within_noise", "not_applicable", "blocked", "unknown"]

REGIONS: tuple[str, ...] = get_args(Region)
#: What an advice rests on: a gain, or why there is no scope to place.
Ground = Literal[
    "gain",
    "noise",
    "risk",
    "blocked",
    "host",
    "wait",
    "mode",
    "superkernel",
    "training",
    "no_decoder",
    "no_decode",
]
#: A smaller gain of the step cannot be told from noise, percent; a recompile alone moved a published step by as much.
NOISE_PCT = 2.0
#: Regions that lie inside decoder layers.
LAYER_REGIONS = ("attention", "mlp", "moe", "norm", "comm")


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


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What the template promises, as percent of the decode step.

    `low_pct` to `high_pct` follow from the share of the step in scope, `row_low_pct` to `row_high_pct` are what the row
    of the published table says that comes nearest, unchanged.
    """

    low_pct: float
    high_pct: float
    row: str
    row_low_pct: float
    row_high_pct: float
    rule: Message
    source: str


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Our interval for the decode step (P10, P50, P90); `block_` is percent of the time in scope.

    Percent refer to `of_us`: the captured step, the step by the user's time per token, or, where no decoder layers
    were found, the graph's own time without waits for the host. One before/after pair, compiled anew between its sides,
    shows the gain moved by `recompile_pct` points (standard deviation), which is no part of the interval.
    """

    low_us: float
    mid_us: float
    high_us: float
    low_pct: float
    mid_pct: float
    high_pct: float
    block_low_pct: float | None = None
    block_mid_pct: float | None = None
    block_high_pct: float | None = None
    of_us: float | None = None
    of: WholeTime = "captured_step"
    recompile_pct: float | None = None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the user's own runs showed: gains of the step in percent, median and range, from outcomes in the ledger."""

    runs: int
    low_pct: float
    mid_pct: float
    high_pct: float


@dataclass(frozen=True, kw_only=True)
class Term:
    """One named part of the estimate, per decode step; losses are negative. `inputs` are what it follows from."""

    low_us: float
    mid_us: float
    high_us: float
    basis: Basis
    inputs: dict[str, float]
    source: str


@dataclass(frozen=True, kw_only=True)
class Fragments:
    """How the compiler is expected to cut the scope, per decode step unless the name says per layer."""

    count: int
    per_layer: float
    kernels: int
    single_kernel: int
    boundaries: int
    boundaries_removed: int


@dataclass(frozen=True, kw_only=True)
class Breaker:
    """An operator that ends fragments, how likely, the compiler's reason word, and the saving lost per step (us)."""

    op_type: str
    role: str
    cuts_per_layer: float
    cuts_per_step: int
    cost_us: float
    likelihood: Literal["likely", "unlikely", "unknown"]
    reason: str
    source: str
    remedy: Message


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The outcome of one eligibility check."""

    check: str
    status: Status
    message: Message
    remedy: Message | None = None
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Template:
    """One placement assessed. `share` is the fraction of the decode step's wall time inside the scope.

    `variant` tells placements of one template apart (a and b of attention-only), "" where there is one. `risk` and
    `effort` (1 is least) are those of trying it. `chance_above_noise` is the chance that the step gains more than the
    noise floor, a fraction, None without an estimate. `measured` is what the user's own runs of this model showed.
    `features` are what the calibrated gain model sees; a ledger keeps them with the forecast.
    """

    name: TemplateName
    variant: str = ""
    risk: Literal["low", "medium", "high"]
    effort: int
    share: float
    in_scope_us: float
    claim: Claim | None
    ceiling_us: float | None
    estimate: Estimate | None
    chance_above_noise: float | None
    measured: Measured | None = None
    terms: dict[str, Term]
    fragments: Fragments | None
    breakers: tuple[Breaker, ...]
    findings: tuple[Finding, ...]
    verdict: Verdict
    reason: Message
    features: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One scope to try. A `smoke_test` shows that the toolchain builds and the output is the same, nothing else."""

    purpose: Literal["smoke_test", "target", "wider", "fallback"]
    template: TemplateName
    variant: str
    risk: Literal["low", "medium", "high"]
    effort: int
    mid_pct: float


@dataclass(frozen=True, kw_only=True)
class Dependence:
    """Something that the choice hangs on: were it otherwise, the choice would be another one.

    `name` is an operator type, a fact (hardware, tiling_sink, aiv_expansion), or a prior (saving). `given` is what was
    taken, `otherwise` what it could be, `becomes` the choice then, `chance` how likely it is otherwise, a fraction.
    """

    kind: Literal["operator", "fact", "prior"]
    name: str
    given: str
    otherwise: str
    becomes: Choice
    chance: float


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The cheapest next step: which part of the doubt it settles (a fraction), and its effort in hours, assumed."""

    name: Literal["compile_log", "probe", "pmu_capture", "timed_runs"]
    settles: float
    effort_hours: float
    message: Message


@dataclass(frozen=True, kw_only=True)
class BaseRate:
    """What public pairs of whole steps gained, percent of the step, whatever is known of their scopes."""

    step_pct: tuple[float, ...]
    median_pct: float
    source: str

    def above(self, gain_pct: float) -> int:
        """How many of the pairs gained more than this, percent."""
        return sum(value > gain_pct for value in self.step_pct)


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """What to do. `order` are the scopes to try, `next` the steps in words; `robustness` says what could change it.

    `hangs_on` names what would flip the choice, the likeliest first; `experiment` is what to find out first.

    `confidence` is the chance, a fraction, that the choice gains more than the noise floor (of `none`: that no template
    does), None where a plain fact of the capture decides and no gain was computed.

    `variant` is that of the chosen template, `ground` what the choice rests on, `base_rate` what others gained where a
    gain was weighed.
    `margin_us` is what the choice's estimate leads the runner-up's by; where the choice is `none`, the runner-up is the
    template that comes nearest to being worth it, and the margin is minus its estimate.
    """

    choice: Choice
    reason: Message
    confidence: float | None
    runner_up: TemplateName | None
    ground: Ground = "gain"
    variant: str = ""
    order: tuple[Trial, ...] = ()
    hangs_on: tuple[Dependence, ...] = ()
    experiment: Experiment | None = None
    margin_us: float | None = None
    next: tuple[Message, ...] = ()
    robustness: tuple[Message, ...] = ()
    base_rate: BaseRate | None = None


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something the reader of the report has to know. `code` is stable, for scripts."""

    code: str
    message: Message


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


def find_template(templates: Iterable[Template], name: str, variant: str | None = None) -> Template | None:
    """The template of this name and variant; of any variant (None) the one that promises most. None without one."""
    named = [one for one in templates if one.name == name and variant in (None, one.variant)]
    return max(named, key=lambda one: one.estimate.mid_us if one.estimate else float("-inf"), default=None)


def to_json(record: Any, translate: Callable[[str], str] = str) -> bytes:
    """Encode a record as JSON; sentences are rendered with `translate`."""
    import msgspec

    def encode(value: Any) -> Any:
        if isinstance(value, Message):
            return value.render(translate)
        raise NotImplementedError(f"no JSON form for {type(value).__name__}")

    return msgspec.json.format(msgspec.json.encode(record, enc_hook=encode, order="deterministic"), indent=2)


def from_json(text: bytes, kind: Any = Result) -> Any:
    """Decode and check JSON made by `to_json`. Raises `msgspec.ValidationError` where it does not fit `kind`."""
    import msgspec

    return msgspec.json.decode(text, type=kind, dec_hook=lambda _, value: Message(str(value)))


def json_schema(kind: Any = Result) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a record type."""
    import msgspec

    return msgspec.json.schema(kind, schema_hook=lambda _: {"type": "string"})
