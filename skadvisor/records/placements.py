"""What was assessed of a placement, and what is advised: claim, estimate, breakers, findings, the choice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from skadvisor.records.words import Basis, Choice, Ground, Status, TemplateName, Verdict, WholeTime
from skadvisor.text.messages import Message


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


def finding(check: str, status: Status, text: str, remedy: str = "", source: str = "", **values: Any) -> Finding:
    """A finding in words; `values` fill the text and the remedy."""
    said = Message(text, **values)
    return Finding(
        check=check, status=status, message=said, remedy=Message(remedy, **values) if remedy else None, source=source
    )


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


def find_template(templates: Iterable[Template], name: str, variant: str | None = None) -> Template | None:
    """The template of this name and variant; of any variant (None) the one that promises most. None without one."""
    named = [one for one in templates if one.name == name and variant in (None, one.variant)]
    return max(named, key=lambda one: one.estimate.mid_us if one.estimate else float("-inf"), default=None)
