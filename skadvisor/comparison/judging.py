"""Off against on: what SuperKernel really changed, whether that is more than noise, and what to do about it.

Source of the limits: SuperKernel measuring guides. A baseline that varies by more than 20 % proves nothing and one
by more than 5 % is a warning; below 2 % of the step, and below 3 % or 1 us of a SuperKernel, nobody can tell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skadvisor.comparison import statistics
from skadvisor.comparison.alignment import AlignedRuns, SuperKernelSite, lay_beside
from skadvisor.comparison.changes import gap_changes, layer_changes, median, phase_changes, region_changes
from skadvisor.comparison.records import (
    Comparison,
    ForecastCheck,
    Outcome,
    Reason,
    SuperKernelChange,
    Unmapped,
)
from skadvisor.comparison.statistics import FEWEST, Interval
from skadvisor.comparison.superkernel_steps import is_superkernel
from skadvisor.records import find_template
from skadvisor.text.messages import Message, _
from skadvisor.units import us

if TYPE_CHECKING:
    from skadvisor.analysis import Analysis

CV_REFUSES_PCT = 20.0
CV_WARNS_PCT = 5.0
STEP_FLOOR_PCT = 2.0
SUPERKERNEL_FLOOR_PCT = 3.0
SUPERKERNEL_FLOOR_US = 1.0
#: Below this share of AFTER's kernels with a twin in BEFORE, the two are different programs.
SAME_PROGRAM = 0.8


def compare(
    before: Analysis | Sequence[Analysis], after: Analysis | Sequence[Analysis], template: str | None = None
) -> Comparison:
    """Judge the runs in `after` (SuperKernel on) against those in `before` (off): one analysis or several each.

    `template` names the scope that was used; without it the SuperKernels tell. Differences that forbid a comparison
    are an answer (verdict not_comparable with reasons), not an error.
    """
    before = before if isinstance(before, Sequence) else [before]
    after = after if isinstance(after, Sequence) else [after]
    runs = lay_beside(before, after)
    reasons = find_differences(before, after, runs)
    if reasons:
        return _not_comparable(reasons, len(before), len(after))
    unit, first, second = _samples(runs, len(before), len(after))
    spread_before, spread_after = statistics.describe(first), statistics.describe(second)
    improvement = statistics.improvement_pct(first, second)
    same = _same_files(before, after)
    verdict, why = _judge_step(improvement, spread_before.cv_pct, min(len(first), len(second)), same)
    superkernels = tuple(_judge_superkernel(site) for site in runs.sites)
    chosen = template or used_template(runs.sites)
    forecast = _check_forecast(before[0], chosen, improvement.mid) if chosen else None
    return Comparison(
        verdict=verdict,
        reasons=(),
        unit=unit,
        runs_before=len(before),
        runs_after=len(after),
        before=spread_before,
        after=spread_after,
        improvement_us=round(spread_before.median_us - spread_after.median_us, 3),
        improvement_pct=round(improvement.mid, 3),
        improvement_low_pct=round(improvement.low, 3),
        improvement_high_pct=round(improvement.high, 3),
        action=why,
        phases=phase_changes(before, after, spread_before, spread_after, runs),
        regions=region_changes(runs),
        layers=layer_changes(runs),
        gaps=gap_changes(runs),
        kernels_before=median([len(step.kernels) for step in runs.before]),
        kernels_after=median([len(step.kernels) for step in runs.after]),
        superkernels=superkernels,
        unmapped=tuple(Unmapped(name=name, reason=reason) for name, reason in runs.unmapped),
        template=chosen,
        forecast=forecast,
        notes=_notes(runs, spread_before.cv_pct, len(before), len(after), same),
    )


def find_differences(before: Sequence[Analysis], after: Sequence[Analysis], runs: AlignedRuns) -> tuple[Reason, ...]:
    """What forbids comparing: phase, mode, ranks, batch, layers, shapes. Empty where nothing does."""
    found: list[Reason] = []

    def differ(code: str, template: str, **values: Any) -> None:
        found.append(Reason(code=code, message=Message(template, **values)))

    for name, steps in (("BEFORE", runs.before), ("AFTER", runs.after)):
        if not steps:
            differ("phase", _("{name} has no steady decode step"), name=name)
    if found:
        return tuple(found)
    if any(is_superkernel(item.kernels).any() for item in before) and not runs.superkernels:
        differ("order", _("BEFORE has SuperKernels and AFTER has none: give them the other way round"))
    first, second = before[0].result, after[0].result
    modes = {item.result.mode for item in (*before, *after)} - {"unknown"}
    if len(modes) > 1:
        differ("mode", _("one is eager, the other a graph: the change of mode would be counted as gain"))
    ranks_before, ranks_after = _ranks(before), _ranks(after)
    if ranks_before and ranks_after and ranks_before != ranks_after:
        differ(
            "ranks",
            _("the ranks differ: {before} and {after}"),
            before=sorted(ranks_before),
            after=sorted(ranks_after),
        )
    tokens = [item.result.phases["decode"].tokens for item in (*before, *after) if "decode" in item.result.phases]
    known = {number for number in tokens if number is not None}
    if len(known) > 1:
        differ("batch", _("the batch differs: {tokens} tokens per decode step"), tokens=sorted(known))
    if not runs.superkernels and first.layers.count != second.layers.count:
        differ(
            "layers",
            _("the number of decoder layers differs: {before} and {after}"),
            before=first.layers.count,
            after=second.layers.count,
        )
    if runs.superkernels and (missing := _missing_layers(runs)):
        differ("layers", _("layers of BEFORE are not in AFTER: {layers}"), layers=missing)
    if runs.matched_share < SAME_PROGRAM:
        differ(
            "shapes",
            _("only {share:.0%} of the kernels of AFTER occur in BEFORE with the same operator and shapes"),
            share=runs.matched_share,
        )
    return tuple(found)


def _missing_layers(runs: AlignedRuns) -> list[int]:
    """Layers of BEFORE of which AFTER holds nothing, neither as kernels nor inside a SuperKernel."""
    wanted = {int(layer) for layer in runs.before[0].kernels["layer"].dropna()}
    held = {layer for site in runs.sites for layer in site.layers}
    for times in runs.times_after:
        held |= {int(layer) for layer in times.layers["layer"]}
    return sorted(wanted - held) if not runs.unmapped else []


def _ranks(analyses: Sequence[Analysis]) -> set[int]:
    return {record.rank for item in analyses for record in item.result.captures if record.rank is not None}


def _not_comparable(reasons: tuple[Reason, ...], runs_before: int, runs_after: int) -> Comparison:
    return Comparison(
        verdict="not_comparable",
        reasons=reasons,
        unit="steps",
        runs_before=runs_before,
        runs_after=runs_after,
        before=None,
        after=None,
        improvement_us=None,
        improvement_pct=None,
        improvement_low_pct=None,
        improvement_high_pct=None,
        action=Message(_("capture both again with the same model, batch, shapes and ranks")),
    )


def _samples(
    runs: AlignedRuns, runs_before: int, runs_after: int
) -> tuple[Literal["steps", "runs"], list[float], list[float]]:
    """The times to compare, us: the median of each run where there are enough runs, else all steps."""
    if min(runs_before, runs_after) >= FEWEST:
        sides = []
        for steps in (runs.before, runs.after):
            numbers = sorted({step.run for step in steps})
            sides.append([us(float(np.median([s.wall_ns for s in steps if s.run == run]))) for run in numbers])
        return "runs", sides[0], sides[1]
    return "steps", [us(step.wall_ns) for step in runs.before], [us(step.wall_ns) for step in runs.after]


def _same_files(before: Sequence[Analysis], after: Sequence[Analysis]) -> bool:
    first, second = (
        sorted(record.fingerprint for item in side for record in item.result.captures) for side in (before, after)
    )
    return first == second and all(first)


def _judge_step(improvement: Interval, cv_pct: float | None, samples: int, same: bool) -> tuple[Outcome, Message]:
    if same:
        return "neutral", Message(_("both sides are the same capture: nothing to keep or to prune"))
    if samples < FEWEST:
        return "insufficient_evidence", Message(
            _("measure more: at least {count} steady decode steps or runs"), count=FEWEST
        )
    if cv_pct is not None and cv_pct > CV_REFUSES_PCT:
        return "insufficient_evidence", Message(
            _("make the baseline steady first: it varies by {cv:.1f} %, more than {limit:.0f} % proves nothing"),
            cv=cv_pct,
            limit=CV_REFUSES_PCT,
        )
    if improvement.mid >= STEP_FLOOR_PCT and improvement.low > 0:
        return "beneficial", Message(_("keep it, and try the next wider scope"))
    if improvement.mid <= -STEP_FLOOR_PCT and improvement.high < 0:
        return "regressed", Message(_("take the scope out, or make it smaller: see which SuperKernels lost"))
    if abs(improvement.mid) < STEP_FLOOR_PCT and not (
        improvement.low <= -STEP_FLOOR_PCT and improvement.high >= STEP_FLOOR_PCT
    ):
        return "neutral", Message(
            _("within the noise of {floor:.0f} % per step: keep it only if it costs nothing"), floor=STEP_FLOOR_PCT
        )
    return "insufficient_evidence", Message(_("measure more: the interval still holds gain and loss"))


def _judge_superkernel(site: SuperKernelSite) -> SuperKernelChange:
    before, after = ([us(value) for value in times] for times in (site.before_ns, site.after_ns))
    saving = statistics.saved(before, after)
    middle = float(np.median(before))
    floor = max(SUPERKERNEL_FLOOR_US, SUPERKERNEL_FLOOR_PCT / 100 * middle)
    verdict: Outcome
    if min(len(before), len(after)) < FEWEST:
        verdict, action = "insufficient_evidence", Message(_("measure more"))
    elif saving.mid > floor and saving.low > 0:
        verdict, action = "beneficial", Message(_("keep"))
    elif saving.mid < -floor and saving.high < 0:
        verdict, action = "regressed", Message(_("prune: take it out of the scope"))
    elif abs(saving.mid) <= floor:
        verdict, action = "neutral", Message(_("keep or prune, it makes no difference"))
    else:
        verdict, action = "insufficient_evidence", Message(_("measure more"))
    return SuperKernelChange(
        name=site.name,
        scope=scope_of(site.name),
        regions=site.regions,
        layers=site.layers,
        children=site.children,
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


def scope_of(name: str) -> str:
    """The scope that a SuperKernel's name carries, with its layer number, without npugraph_ex's id and the split.

    >>> scope_of("sk_attention_layer_3_split_1_2_start_RmsNorm_1_end_MatMul_1")
    'attention_layer_3'
    """
    head = name.partition("_start_")[0].removeprefix("sk_")
    return re.sub(r"^\d+_|_split_\d+_\d+$", "", head)


def used_template(sites: Sequence[SuperKernelSite]) -> str | None:
    """The template that these SuperKernels come from, by what they replaced; None where there are none."""
    if not sites:
        return None
    # A norm before a block belongs to its scope in some variants; collectives go with the region that they serve.
    regions = {region for site in sites for region in site.regions} - {"norm", "comm", "other"}
    if regions <= {"attention"}:
        return "attention-only"
    if regions <= {"moe"}:
        return "moe-only"
    # Scopes per layer have a name each, even if a norm of the next layer is in one of them.
    one_name = len({scope_of(site.name) for site in sites}) == 1
    return "full-model" if one_name and len({layer for site in sites for layer in site.layers}) > 1 else "per-block"


def _check_forecast(before: Analysis, template: str, outcome_pct: float) -> ForecastCheck | None:
    record = find_template(before.result.templates, template)
    if record is None or record.estimate is None:
        return None
    estimate = record.estimate
    return ForecastCheck(
        template=template,
        low_pct=estimate.low_pct,
        mid_pct=estimate.mid_pct,
        high_pct=estimate.high_pct,
        outcome_pct=round(outcome_pct, 3),
        inside=estimate.low_pct <= outcome_pct <= estimate.high_pct,
    )


def _notes(
    runs: AlignedRuns, cv_pct: float | None, runs_before: int, runs_after: int, same: bool
) -> tuple[Message, ...]:
    notes: list[Message] = []
    if same:
        notes.append(Message(_("BEFORE and AFTER hold the same kernels to the nanosecond.")))
    elif not runs.superkernels:
        notes.append(Message(_("AFTER has no SuperKernel: nothing was fused, the change has another cause.")))
    if cv_pct is not None and CV_WARNS_PCT < cv_pct <= CV_REFUSES_PCT:
        notes.append(
            Message(_("The baseline varies by {cv:.1f} %; below {limit:.0f} % is good."), cv=cv_pct, limit=CV_WARNS_PCT)
        )
    if min(runs_before, runs_after) < FEWEST and not same:
        notes.append(
            Message(
                _(
                    "The interval is that of steps within one run; a recompile alone can move the step by 2 %. "
                    "Compare {count} runs or more each with --runs."
                ),
                count=FEWEST,
            )
        )
    if runs.unmapped:
        notes.append(
            Message(_("{count} SuperKernels could not be mapped to what they replaced."), count=len(runs.unmapped))
        )
    return tuple(notes)
