"""The runs worth doing, in order: which scope, with which options, how often, and when to stop.

How often follows from the predicted gain and from how far the median of a run varies: within a run by the spread of
its steps, between runs by what a start and a compile change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist, stdev
from typing import TYPE_CHECKING, Any, Literal

from skadvisor.records import Result, Template, Trial, find_template
from skadvisor.text.messages import Message, _

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.plan.patch import Dialect

#: Two-sided error of the first kind, and the chance to see a gain that is there.
ALPHA = 0.05
POWER = 0.8
Z_ALPHA, Z_POWER = NormalDist().inv_cdf(1 - ALPHA / 2), NormalDist().inv_cdf(POWER)
#: How far the median of a run moves from start to start, percent, where nothing was measured. In the published cases
#: a recompile alone moved a step by about 2 %, which is two of these.
BETWEEN_RUNS_PCT = 1.0
#: At least so many runs with SuperKernel off, and on. Source: SuperKernel measuring guides.
FEWEST_OFF, FEWEST_ON = 5, 3
#: More runs than this are not worth the gain that they would show.
MOST_RUNS = 30


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
    kind: Literal["baseline", "smoke_test", "screen", "confirm"]
    template: str | None = None
    variant: str = ""
    options: str = ""
    repeats: int
    expected_low_pct: float | None = None
    expected_mid_pct: float | None = None
    expected_high_pct: float | None = None
    go_on_if: Message
    stop_if: Message


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The runs in order, the power analysis behind their numbers, and what was left out."""

    runs: tuple[Run, ...]
    power: tuple[Power, ...]
    left_out: tuple[Message, ...]
    total_runs: int


def runs_needed(gain_pct: float, run_cv_pct: float) -> int | None:
    """Runs per side to see a difference of medians of `gain_pct` percent; None beyond MOST_RUNS or without a gain.

    The usual two-sample formula with the normal quantiles, plus z^2/4 for the small samples (Guenther 1981).
    """
    if gain_pct <= 0:
        return None
    needed = 2 * ((Z_ALPHA + Z_POWER) * run_cv_pct / gain_pct) ** 2 + Z_ALPHA**2 / 4
    runs = max(2, math.ceil(needed))
    return runs if runs <= MOST_RUNS else None


def smallest_visible(runs: int, run_cv_pct: float) -> float:
    """The smallest gain, percent, that `runs` runs per side show with the given power."""
    counted = max(1.0, runs - Z_ALPHA**2 / 4)
    return (Z_ALPHA + Z_POWER) * run_cv_pct * math.sqrt(2 / counted)


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
    """The sheet for an analysed capture: baseline, then the scopes in the order of the advice, then to confirm.

    Scopes that the advice does not try, and those that too many runs would be needed for, are left out with the reason.
    """
    chosen = []
    left_out = _left_out(result, {trial.template for trial in result.recommendation.order})
    for trial in result.recommendation.order:
        template = _template(result, trial)
        power = analyse_power(result, trial.mid_pct, steps_per_run, between_pct)
        if power.runs is None and trial.purpose != "smoke_test":
            name = _name(template.name, template.variant)
            left_out.append(
                Message(
                    _("{name}: {gain:.1f} % would need more than {most} runs per side"),
                    name=name,
                    gain=trial.mid_pct,
                    most=MOST_RUNS,
                )
            )
        else:
            chosen.append((trial, template, power))
    target = next((template for trial, template, _power in chosen if trial.purpose == "target"), None)
    if target is None:
        return Sheet(runs=(), power=(), left_out=tuple(left_out), total_runs=0)
    counted = [power for trial, _template, power in chosen if trial.purpose != "smoke_test"]
    runs = [_baseline(max(power.runs or FEWEST_OFF for power in counted))]
    for trial, template, power in chosen:
        runs.append(_screen(trial, template, kernels, result.mode, dialect, power.runs or FEWEST_ON, len(runs)))
    runs.append(_confirm(target, len(runs)))
    return Sheet(
        runs=tuple(runs),
        power=tuple(counted),
        left_out=tuple(left_out),
        total_runs=sum(run.repeats for run in runs),
    )


def _template(result: Result, trial: Trial) -> Template:
    found = find_template(result.templates, trial.template, trial.variant)
    assert found is not None, "a trial is of a template of the result"
    return found


def _left_out(result: Result, tried: set[str]) -> list[Message]:
    """Why the other templates are not on the sheet: those that do not win, then those that win too little."""
    others = [template for template in result.templates if template.name not in tried]
    said = []
    for template in sorted(others, key=lambda template: template.verdict == "worthwhile"):
        worthwhile = template.verdict == "worthwhile"
        wins = _("{name}: {mid:.1f} % expected; another scope wins as much with less")
        text = wins if worthwhile else _("{name}: {reason}")
        mid = template.estimate.mid_pct if template.estimate else 0.0
        said.append(Message(text, name=_name(template.name, template.variant), mid=mid, reason=template.reason))
    return said


def _name(template: str, variant: str) -> str:
    return f"{template}-{variant}" if variant else template


def _baseline(repeats: int) -> Run:
    return Run(
        order=1,
        name="baseline",
        kind="baseline",
        repeats=max(FEWEST_OFF, repeats),
        go_on_if=Message(_("the run medians vary by less than 5 %")),
        stop_if=Message(_("they vary by more than 20 %: find the cause first")),
    )


def _screen(
    trial: Trial, template: Template, kernels: pd.DataFrame, mode: str, dialect: Dialect, repeats: int, before: int
) -> Run:
    from skadvisor.plan.compile_options import options_text, scope_kernels, weigh_options

    assert template.estimate is not None
    inside = scope_kernels(kernels, template.name, template.variant)
    smoke = trial.purpose == "smoke_test"
    if smoke:
        go_on = Message(_("it compiles and the output is the same, whatever it wins"))
        stop = Message(_("it does not compile or the output differs: find out why before anything wider"))
    else:
        go_on = Message(_("it compiles, the output is the same, and the median gains more than 2 %"))
        stop = Message(
            _("the output differs, or after {few} runs the median gains less than {low:.1f} %"),
            few=FEWEST_ON,
            low=min(0.0, template.estimate.low_pct),
        )
    return Run(
        order=before + 1,
        name=_name(template.name, template.variant),
        kind="smoke_test" if smoke else "screen",
        template=template.name,
        variant=template.variant,
        options=options_text(weigh_options(inside, mode)) if dialect in ("ge", "recipes") else "",
        repeats=1 if smoke else max(FEWEST_ON, repeats),
        **_expected(template),
        go_on_if=go_on,
        stop_if=stop,
    )


def _confirm(target: Template, before: int) -> Run:
    return Run(
        order=before + 1,
        name="confirm the best",
        kind="confirm",
        repeats=2 * FEWEST_OFF,
        **_expected(target),
        go_on_if=Message(_("off and on in turns, freshly compiled each: compare --runs says beneficial")),
        stop_if=Message(_("compare says neutral: keep SuperKernel off")),
    )


def _expected(template: Template) -> dict[str, Any]:
    assert template.estimate is not None
    return {f"expected_{part}_pct": getattr(template.estimate, f"{part}_pct") for part in ("low", "mid", "high")}
