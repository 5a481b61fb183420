"""Off against on: what SuperKernel really changed, whether that is more than noise, and what to do about it.

Source of the limits: SuperKernel measuring guides. A baseline that varies by more than 20 % proves nothing and one
by more than 5 % is a warning; below 2 % of the step, and below 3 % or 1 us of a SuperKernel, nobody can tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skadvisor.comparison import statistics
from skadvisor.comparison.alignment import AlignedRuns, SuperKernelSite, lay_beside
from skadvisor.comparison.captures import Given, Pair, read_pair
from skadvisor.comparison.changes import gap_changes, layer_changes, median, phase_changes, region_changes
from skadvisor.comparison.differences import find_differences
from skadvisor.comparison.records import Comparison, ForecastCheck, Outcome, SuperKernelChange, Unmapped
from skadvisor.comparison.statistics import CV_REFUSES_PCT, FEWEST, Interval, Shown, Spread
from skadvisor.comparison.superkernel_steps import Step
from skadvisor.gain.population import recompile_pct
from skadvisor.options import Options, choose_options
from skadvisor.plan.planning import wider_scope
from skadvisor.records import NOISE_PCT, Result, find_template
from skadvisor.text.messages import Message, _
from skadvisor.units import percent, us
from skadvisor.vocabulary.superkernel_names import NO_SCOPE, scope_of

if TYPE_CHECKING:
    from skadvisor.analysis import Analysis

CV_WARNS_PCT = 5.0
SUPERKERNEL_FLOOR_PCT = 3.0
SUPERKERNEL_FLOOR_US = 1.0


def compare(
    before: Given,
    after: Given,
    template: str | None = None,
    options: Options | None = None,
    **chosen: Any,
) -> Comparison:
    """Judge the runs in `after` (SuperKernel on) against those in `before` (off): one or several each.

    A run is an analysis, or the path of a capture, analysed with `options` (single ones may be given by name, as for
    `skadvisor.analyze`; `tpot_ms` is of BEFORE). Where both are folders of many ranks and none is chosen, the rank that
    sets the pace of BEFORE is compared and the step of every rank is shown. `template` names the scope that was used;
    without it the SuperKernels tell.
    Differences that forbid a comparison are an answer (verdict not_comparable with reasons), not an error. Raises
    InputError and NotEnoughError where a capture cannot be analysed.
    """
    return compare_pair(read_pair(before, after, choose_options(options, chosen)), template)


def compare_pair(pair: Pair, template: str | None = None) -> Comparison:
    """As `compare`, for runs that are analysed."""
    before, after = _different(pair.before), _different(pair.after)
    copies = len(pair.before) + len(pair.after) - len(before) - len(after)
    runs = lay_beside(before, after)
    reasons = find_differences(before, after, runs)
    if reasons:
        return Comparison(
            verdict="not_comparable",
            reasons=reasons,
            unit="steps",
            runs_before=len(before),
            runs_after=len(after),
            action=Message(_("capture both again with the same model, batch, shapes and ranks")),
            ranks=pair.ranks,
            notes=tuple(_copied(copies)),
        )
    unit, first, second = _samples(runs, len(before), len(after))
    spread_before, spread_after = statistics.describe(first), statistics.describe(second)
    same = _same_files(before, after)
    measured = statistics.improvement_pct(first, second)
    judged = measured
    if not same:
        share, count = _share_in_scope(runs), min(len(before), len(after))
        judged = statistics.with_recompile(measured, count, share, level=_level(runs))
    chosen = template or used_template(runs.sites, runs.unit)
    wider = wider_scope(chosen, before[0].result) if chosen else None
    verdict, why = _judge_step(measured, judged, spread_before, min(len(first), len(second)), same, wider)
    if not (same or runs.superkernels):
        verdict, why = _without_superkernels(verdict, why)
    return Comparison(
        verdict=verdict,
        reasons=(),
        unit=unit,
        runs_before=len(before),
        runs_after=len(after),
        before=spread_before,
        after=spread_after,
        improvement_us=round(spread_before.median_us - spread_after.median_us, 3),
        improvement_pct=round(judged.mid, 3),
        improvement_low_pct=round(judged.low, 3),
        improvement_high_pct=round(judged.high, 3),
        action=why,
        phases=phase_changes(before, after, spread_before, spread_after, runs),
        regions=region_changes(runs),
        layers=layer_changes(runs),
        gaps=gap_changes(runs),
        kernels_before=median([len(step.kernels) for step in runs.before]),
        kernels_after=median([len(step.kernels) for step in runs.after]),
        superkernels=tuple(_judge_superkernel(site) for site in runs.sites),
        unmapped=tuple(Unmapped(name=name, reason=reason) for name, reason in runs.unmapped),
        template=chosen,
        forecast=_check_forecast(before[0].result, chosen, judged.mid) if chosen else None,
        ranks=pair.ranks,
        notes=(*_copied(copies), *_notes(runs, unit, first, second, same)),
    )


def _different(side: Sequence[Analysis]) -> tuple[Analysis, ...]:
    """The runs without copies of one: no two runs take the same times, to the nanosecond."""
    found: dict[object, Analysis] = {}
    for number, item in enumerate(side):
        known = [record.fingerprint for record in item.result.captures]
        found.setdefault(tuple(known) if all(known) else number, item)
    return tuple(found.values())


def _copied(copies: int) -> Iterator[Message]:
    if copies:
        yield Message(
            _("{count} runs hold the same kernels as another to the nanosecond: copies count once."), count=copies
        )


def _samples(
    runs: AlignedRuns, runs_before: int, runs_after: int
) -> tuple[Literal["steps", "executions", "blocks", "runs"], list[float], list[float]]:
    """The times to compare, us: the median of each run where there are enough runs, else all steps."""
    if min(runs_before, runs_after) >= FEWEST:
        first, second = (_run_medians(steps) for steps in (runs.before, runs.after))
        return "runs", first, second
    return runs.unit, [us(step.wall_ns) for step in runs.before], [us(step.wall_ns) for step in runs.after]


def _run_medians(steps: Sequence[Step]) -> list[float]:
    walls: dict[int, list[int]] = {}
    for step in sorted(steps, key=lambda step: step.run):
        walls.setdefault(step.run, []).append(step.wall_ns)
    return [us(median(times)) for times in walls.values()]


def _level(runs: AlignedRuns) -> Literal["step", "block"]:
    return "step" if runs.unit == "steps" else "block"


def _share_in_scope(runs: AlignedRuns) -> float:
    """The part of the step that the SuperKernels replaced; all of it where none was mapped."""
    if not runs.sites:
        return 1.0
    return min(1.0, sum(median(site.before_ns) for site in runs.sites) / median([s.wall_ns for s in runs.before]))


def _same_files(before: Sequence[Analysis], after: Sequence[Analysis]) -> bool:
    first, second = (
        sorted(record.fingerprint for item in side for record in item.result.captures) for side in (before, after)
    )
    return first == second and all(first)


def _judge_step(
    measured: Interval, judged: Interval, spread: Spread, samples: int, same: bool, wider: str | None
) -> tuple[Outcome, Message]:
    """`measured` is the interval of the samples, `judged` the one that holds a recompile, too."""
    if same:
        return "neutral", Message(_("both sides are the same capture: nothing to keep or to prune"))
    if samples < FEWEST:
        return "insufficient_evidence", Message(
            _("measure more: at least {count} steady decode steps, executions or runs"), count=FEWEST
        )
    if spread.cv_pct is not None and spread.cv_pct > CV_REFUSES_PCT:
        return "insufficient_evidence", Message(
            _("make the baseline steady first: it varies by {cv:.1f} %, more than {limit:.0f} % proves nothing"),
            cv=spread.cv_pct,
            limit=CV_REFUSES_PCT,
        )
    outcome, template = _SHOWN[statistics.judge(measured, judged)]
    if outcome == "beneficial" and wider is None:
        template = _("keep it; there is no wider scope")
    return outcome, Message(template, name=wider, count=FEWEST, floor=NOISE_PCT)


#: What is shown -> the verdict, and what to do.
_SHOWN: dict[Shown, tuple[Outcome, str]] = {
    "faster": ("beneficial", _("keep it, and try the next wider scope: {name}")),
    "perhaps_faster": (
        "promising",
        _("one run a side, and a recompile alone may move as much: compare {count} runs or more each with --runs"),
    ),
    "slower": ("regressed", _("take the scope out, or make it smaller: see which SuperKernels lost")),
    "perhaps_slower": (
        "insufficient_evidence",
        _("slower, but a recompile alone may move as much: compare {count} runs or more each with --runs"),
    ),
    "same": ("neutral", _("within the noise of {floor:.0f} % per step: keep it only if it costs nothing")),
    "open": ("insufficient_evidence", _("measure more: the interval still holds gain and loss")),
}


def _without_superkernels(verdict: Outcome, why: Message) -> tuple[Outcome, Message]:
    """What a step shows where nothing was fused: no scope is to be kept for what another cause won, nor taken out."""
    if verdict == "insufficient_evidence":
        return verdict, why
    won = verdict in ("beneficial", "promising")
    return "insufficient_evidence" if won else verdict, Message(
        _("see that the scope is compiled in: without a SuperKernel this says nothing about it")
    )


def _judge_superkernel(site: SuperKernelSite) -> SuperKernelChange:
    before, after = ([us(value) for value in times] for times in (site.before_ns, site.after_ns))
    saving = statistics.saved(before, after)
    middle = float(np.median(before))
    floor = max(SUPERKERNEL_FLOOR_US, SUPERKERNEL_FLOOR_PCT / 100 * middle)
    verdict, action = _verdict_of_superkernel(saving, floor, min(len(before), len(after)))
    return SuperKernelChange(
        name=site.name,
        scope=scope_of(site.name),
        regions=site.regions,
        layers=site.layers,
        children=len(site.operators),
        operators=site.operators,
        occurrences_before=len(before),
        occurrences_after=len(after),
        before_us=round(middle, 3),
        after_us=round(float(np.median(after)), 3),
        saved_us=round(saving.mid, 3),
        saved_low_us=round(saving.low, 3),
        saved_high_us=round(saving.high, 3),
        floor_us=round(floor, 3),
        verdict=verdict,
        action=action,
    )


def _verdict_of_superkernel(saving: Interval, floor: float, occurrences: int) -> tuple[Outcome, Message]:
    if occurrences < FEWEST:
        return "insufficient_evidence", Message(_("measure more: it ran less than {count} times"), count=FEWEST)
    if saving.mid > floor and saving.low > 0:
        return "beneficial", Message(_("keep"))
    if saving.mid < -floor and saving.high < 0:
        return "regressed", Message(_("prune: take it out of the scope"))
    if abs(saving.mid) <= floor:
        return "neutral", Message(_("keep or prune: less than its noise of {floor:.1f} us"), floor=floor)
    return "insufficient_evidence", Message(
        _("measure more: {low:+.1f} to {high:+.1f} us are possible"), low=saving.low, high=saving.high
    )


def used_template(sites: Sequence[SuperKernelSite], unit: str = "steps") -> str | None:
    """The template that these SuperKernels come from, by what they replaced; None where there are none.

    Without decoder layers (`unit` is executions or blocks) only the names of the scopes tell.
    """
    if not sites:
        return None
    if unit == "blocks":
        return "per-block"
    layers = unit == "steps"
    scopes = {scope_of(site.name) for site in sites}
    if scopes == {NO_SCOPE}:
        return "automatic"
    # A norm before a block belongs to its scope in some variants; collectives go with the region that they serve.
    regions = {region for site in sites for region in site.regions} - {"norm", "comm", "other"}
    if layers and regions <= {"attention"}:
        return "attention-only"
    if layers and regions <= {"moe"}:
        return "moe-only"
    # Scopes per layer have a name each, even if a norm of the next layer is in one of them.
    several = not layers or len({layer for site in sites for layer in site.layers}) > 1
    return "full-model" if len(scopes) == 1 and several else "per-block"


def _check_forecast(before: Result, template: str, outcome_pct: float) -> ForecastCheck | None:
    """The forecast that BEFORE's analysis makes; one scope round everything is what no scope at all gives."""
    alike = ("full-model", "automatic") if template in ("full-model", "automatic") else ()
    records = [find_template(before.templates, name) for name in dict.fromkeys((template, *alike))]
    record = next((record for record in records if record is not None and record.estimate is not None), None)
    if record is None or record.estimate is None:
        return None
    estimate = record.estimate
    return ForecastCheck(
        template=record.name,
        low_pct=estimate.low_pct,
        mid_pct=estimate.mid_pct,
        high_pct=estimate.high_pct,
        outcome_pct=round(outcome_pct, 3),
        inside=estimate.low_pct <= outcome_pct <= estimate.high_pct,
    )


def _notes(
    runs: AlignedRuns, unit: str, first: Sequence[float], second: Sequence[float], same: bool
) -> Iterator[Message]:
    cv_pct = statistics.describe(first).cv_pct
    if same:
        yield Message(_("BEFORE and AFTER hold the same kernels to the nanosecond."))
    elif not runs.superkernels:
        yield Message(_("AFTER has no SuperKernel: nothing was fused, the change has another cause."))
    if cv_pct is not None and CV_WARNS_PCT < cv_pct <= CV_REFUSES_PCT:
        text = _("The baseline varies by {cv:.1f} %; below {limit:.0f} % is good.")
        yield Message(text, cv=cv_pct, limit=CV_WARNS_PCT)
    if unit == "executions" and len(first) == len(second) > 1:
        text = _("The first may hold warm-up; the last alone: {before:.1f} -> {after:.1f} us, {pct:+.1f} %.")
        gain = percent(first[-1] - second[-1], first[-1])
        yield Message(text, before=first[-1], after=second[-1], pct=gain)
    if unit != "runs" and not same:
        text = _(
            "One run a side: the interval holds what another compilation alone moves the step by "
            "({sigma:.1f} %, from published repeats). Compare {count} runs or more each with --runs."
        )
        yield Message(text, sigma=_share_in_scope(runs) * recompile_pct(_level(runs)), count=FEWEST)
    if runs.unmapped:
        yield Message(_("{count} SuperKernels could not be mapped to what they replaced."), count=len(runs.unmapped))
