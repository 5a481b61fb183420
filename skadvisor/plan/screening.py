"""The runs worth doing, in order: which scope, with which options, how often, and when to stop.

How often follows from the predicted gain and from how far the median of a run varies: within a run by the spread of
its steps, between runs by what a start and a compile change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist, stdev
from typing import TYPE_CHECKING, Literal

from skadvisor.records import Result, Template
from skadvisor.text.messages import Message, _

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.plan.patch import Dialect

#: Two-sided error of the first kind, and the chance to see a gain that is there.
ALPHA = 0.05
POWER = 0.8
#: How far the median of a run moves from start to start, percent, where nothing was measured. In the published cases
#: a recompile alone moved a step by about 2 %, which is two of these.
BETWEEN_RUNS_PCT = 1.0
#: At least so many runs with SuperKernel off, and on. Source: SuperKernel measuring guides.
FEWEST_OFF, FEWEST_ON = 5, 3
#: More runs than this are not worth the gain that they would show.
MOST_RUNS = 30
#: A gain smaller than this is within the noise of a step, percent.
NOISE_PCT = 2.0


@dataclass(frozen=True, kw_only=True)
class Power:
    """What it takes to see a gain. `runs` is None where more than `MOST_RUNS` per side would be needed.

    `step_cv_pct` is the spread of steady steps in the capture, None where it has too few; `run_cv_pct` that of the
    median of a run, of which `between_pct` is the part between runs, assumed unless the user measured it.
    """

    gain_pct: float
    step_cv_pct: float | None
    steps_per_run: int
    between_pct: float
    between_assumed: bool
    run_cv_pct: float
    runs: int | None
    smallest_visible_pct: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """One line of the sheet. Times off and on alternate, so that a drift of the machine hits both."""

    order: int
    name: str
    kind: Literal["baseline", "screen", "confirm"]
    template: str | None
    variant: str
    options: str
    repeats: int
    expected_low_pct: float | None
    expected_mid_pct: float | None
    expected_high_pct: float | None
    go_on_if: Message
    stop_if: Message


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The runs in order, the power analysis behind their numbers, and what was left out."""

    runs: tuple[Run, ...]
    power: tuple[Power, ...]
    left_out: tuple[Message, ...]
    total_runs: int


def runs_needed(gain_pct: float, run_cv_pct: float, alpha: float = ALPHA, power: float = POWER) -> int | None:
    """Runs per side to see a difference of medians of `gain_pct` percent; None beyond MOST_RUNS or without a gain.

    The usual two-sample formula with the normal quantiles, plus z^2/4 for the small samples (Guenther 1981).
    """
    if gain_pct <= 0:
        return None
    z_alpha, z_power = NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(power)
    needed = 2 * ((z_alpha + z_power) * run_cv_pct / gain_pct) ** 2 + z_alpha**2 / 4
    runs = max(2, math.ceil(needed))
    return runs if runs <= MOST_RUNS else None


def smallest_visible(runs: int, run_cv_pct: float, alpha: float = ALPHA, power: float = POWER) -> float:
    """The smallest gain, percent, that `runs` runs per side show with the given power."""
    z_alpha, z_power = NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(power)
    counted = max(1.0, runs - z_alpha**2 / 4)
    return (z_alpha + z_power) * run_cv_pct * math.sqrt(2 / counted)


def measure_spread(result: Result) -> tuple[float | None, int]:
    """The coefficient of variation of the steady decode steps, percent (None below three), and their number."""
    walls = [step.wall_us for step in result.steps if step.phase == "decode" and step.steady]
    if len(walls) < 3:
        return None, len(walls)
    return 100 * stdev(walls) / (sum(walls) / len(walls)), len(walls)


def analyse_power(result: Result, gain_pct: float, steps_per_run: int = 100, between_pct: float | None = None) -> Power:
    """How many runs a gain needs, from the capture's own spread.

    `between_pct` is the measured spread of run medians, percent; without it BETWEEN_RUNS_PCT is assumed. A median of
    n steps varies by 1.2533 cv / sqrt(n) where the steps are independent.
    """
    step_cv, _count = measure_spread(result)
    between = BETWEEN_RUNS_PCT if between_pct is None else between_pct
    within = (step_cv or 0.0) * 1.2533 / math.sqrt(steps_per_run)
    run_cv = math.hypot(within, between)
    runs = runs_needed(gain_pct, run_cv)
    return Power(
        gain_pct=gain_pct,
        step_cv_pct=step_cv,
        steps_per_run=steps_per_run,
        between_pct=between,
        between_assumed=between_pct is None,
        run_cv_pct=run_cv,
        runs=runs,
        smallest_visible_pct=smallest_visible(max(FEWEST_ON, runs or MOST_RUNS), run_cv),
    )


def make_sheet(
    result: Result,
    kernels: pd.DataFrame,
    dialect: Dialect,
    steps_per_run: int = 100,
    between_pct: float | None = None,
) -> Sheet:
    """The sheet for an analysed capture: baseline, then the scopes by expected gain, cheap ones first, then to confirm.

    Scopes that are blocked, not applicable or expected below the noise are left out with the reason.
    """
    chosen, left_out = _choose(result)
    powers = [(item, analyse_power(result, _mid(item), steps_per_run, between_pct)) for item in chosen]
    visible = [(item, power) for item, power in powers if power.runs is not None]
    left_out += [
        Message(
            _("{name}: {gain:.1f} % would need more than {most} runs per side"),
            name=item.name,
            gain=_mid(item),
            most=MOST_RUNS,
        )
        for item, power in powers
        if power.runs is None
    ]
    if not visible:
        return Sheet(runs=(), power=tuple(power for _item, power in powers), left_out=tuple(left_out), total_runs=0)
    runs = [_baseline(max(power.runs or 0 for _item, power in visible))]
    for item, power in visible:
        runs.append(_screen(item, kernels, result.mode, dialect, power.runs or FEWEST_ON, len(runs)))
    runs.append(_confirm([item for item, _power in visible], len(runs)))
    return Sheet(
        runs=tuple(runs),
        power=tuple(power for _item, power in powers),
        left_out=tuple(left_out),
        total_runs=sum(run.repeats for run in runs),
    )


def _mid(template: Template) -> float:
    return template.estimate.mid_pct if template.estimate else 0.0


_EFFORT = {"attention-only": 1, "moe-only": 2, "per-block": 2, "automatic": 1, "full-model": 3}


def _choose(result: Result) -> tuple[list[Template], list[Message]]:
    """Templates that can win more than the noise at the top of their interval; the least effort first."""
    left_out: list[Message] = []
    chosen: list[Template] = []
    for template in result.templates:
        if template.verdict in ("blocked", "not_applicable") or template.estimate is None:
            left_out.append(Message(_("{name}: {reason}"), name=template.name, reason=template.reason))
        elif template.estimate.high_pct < NOISE_PCT or template.estimate.mid_pct <= 0:
            left_out.append(
                Message(
                    _("{name}: {low:.1f} to {high:.1f} % expected, which nobody can tell from noise"),
                    name=template.name,
                    low=template.estimate.low_pct,
                    high=template.estimate.high_pct,
                )
            )
        else:
            chosen.append(template)
    return sorted(chosen, key=lambda item: (_EFFORT.get(item.name, 9), -_mid(item))), left_out


def _baseline(repeats: int) -> Run:
    return Run(
        order=1,
        name="baseline",
        kind="baseline",
        template=None,
        variant="",
        options="",
        repeats=max(FEWEST_OFF, repeats),
        expected_low_pct=None,
        expected_mid_pct=None,
        expected_high_pct=None,
        go_on_if=Message(_("the run medians vary by less than 5 %")),
        stop_if=Message(_("they vary by more than 20 %: find the cause first")),
    )


def _screen(template: Template, kernels: pd.DataFrame, mode: str, dialect: Dialect, repeats: int, before: int) -> Run:
    from skadvisor.plan.compile_options import options_text, scope_kernels, weigh_options

    estimate = template.estimate
    assert estimate is not None
    inside = scope_kernels(kernels, template.name, template.variant)
    return Run(
        order=before + 1,
        name=f"{template.name}-{template.variant}" if template.variant else template.name,
        kind="screen",
        template=template.name,
        variant=template.variant,
        options=options_text(weigh_options(inside, mode)) if dialect in ("ge", "recipes") else "",
        repeats=max(FEWEST_ON, repeats),
        expected_low_pct=estimate.low_pct,
        expected_mid_pct=estimate.mid_pct,
        expected_high_pct=estimate.high_pct,
        go_on_if=Message(_("it compiles, the output is the same, and the median gains more than 2 %")),
        stop_if=Message(
            _("the output differs, or after {few} runs the median gains less than {low:.1f} %"),
            few=FEWEST_ON,
            low=min(0.0, estimate.low_pct),
        ),
    )


def _confirm(visible: list[Template], before: int) -> Run:
    best = max(visible, key=_mid)
    estimate = best.estimate
    assert estimate is not None
    return Run(
        order=before + 1,
        name="confirm the best",
        kind="confirm",
        template=None,
        variant="",
        options="",
        repeats=2 * FEWEST_OFF,
        expected_low_pct=estimate.low_pct,
        expected_mid_pct=estimate.mid_pct,
        expected_high_pct=estimate.high_pct,
        go_on_if=Message(_("off and on in turns, freshly compiled each: compare --runs says beneficial")),
        stop_if=Message(_("compare says neutral: keep SuperKernel off")),
    )
