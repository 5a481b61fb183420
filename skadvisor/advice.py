"""The choice: which template to try, what next, how sure; or a refusal with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

from skadvisor.messages import Message, _
from skadvisor.records import LabelQuality, Recommendation, Template
from skadvisor.templates import template_scope
from skadvisor.typical import typical_step
from skadvisor.units import NS_PER_MS

if TYPE_CHECKING:
    from skadvisor.situation import Situation
    from skadvisor.timeline import Times

Risk = Literal["low", "balanced", "high"]

#: Nobody can tell a smaller gain from noise, percent of the step.
NOISE_PCT = 2.0
#: An easier template has to win at least this part of the best one's estimate to be preferred.
ENOUGH_OF_THE_BEST = 2 / 3
#: The experts clearly dominate when their share of the step is this many times that of attention.
DOMINANCE = 1.5
#: A chance to be above the noise that a refusal mentions, as a fraction.
WORTH_MENTIONING = 0.25
#: How sure a refusal is that follows from a plain fact of the capture, as a fraction; labels can still be wrong.
PLAIN_FACT = 0.95
#: Standard normal quantile of P90.
P90 = NormalDist().inv_cdf(0.9)


def recommend(
    templates: Sequence[Template],
    situation: Situation,
    times: Times,
    *,
    risk: Risk = "balanced",
    labels: LabelQuality | None = None,
) -> Recommendation:
    """Choose a template by estimate, risk and effort, or refuse with the reason.

    `low` risk means attention-only unless the experts clearly dominate; `balanced` takes the greatest estimate but
    prefers an easier template within the noise that wins most of it; `high` takes the greatest estimate.
    """
    refused = _refuse(templates, situation, times)
    if refused is not None:
        return refused
    worthwhile = [template for template in templates if template.verdict == "worthwhile"]
    if risk == "low":
        worthwhile = [template for template in worthwhile if template_scope(template.name).risk != "high"]
    published = [template for template in worthwhile if template_scope(template.name).published]
    if not published:
        return _nothing_to_win(templates, risk)
    chosen = _choose(published, risk)
    others = sorted((other for other in published if other is not chosen), key=_mid_us, reverse=True)
    further = [template for template in worthwhile if template not in published]
    runner_up = next(iter([*others, *further]), None)
    return Recommendation(
        choice=chosen.name,
        reason=_reason(chosen, runner_up, risk),
        confidence=round(_confidence(chosen, labels), 2),
        runner_up=runner_up.name if runner_up else None,
        margin_us=round(_mid_us(chosen) - _mid_us(runner_up), 3) if runner_up else None,
        next=_order_to_try(chosen, others, further),
        robustness=_robustness(chosen, runner_up, situation, times, labels),
    )


def _refuse(templates: Sequence[Template], situation: Situation, times: Times) -> Recommendation | None:
    if situation.training:
        reason = (
            _("this is training; SuperKernel scopes are for the decode phase of inference")
            if situation.decoder_layers
            else _("this is training, and no decoder layers were found; SuperKernel scopes are for decode")
        )
        return _none(Message(reason), [Message(_("record decode steps of the inference service"))])
    if situation.superkernels:
        return _none(
            Message(_("SuperKernel is on already: {count} of them run in the step"), count=situation.superkernels),
            [Message(_("judge it with: skadvisor compare BEFORE AFTER; for a forecast, record with SuperKernel off"))],
        )
    if not situation.decoder_layers:
        return _none(
            Message(_("no decoder layers were found; there is nothing to place a scope round")),
            [Message(_("record a decode step of a transformer model, at Level1 so that shapes are there"))],
        )
    if situation.phase not in ("decode", "mixed"):
        return _none(
            Message(_("no decode step in the capture; prefill has dynamic shapes and does not gain")),
            [Message(_("record at least three decode steps after warm-up"))],
        )
    if situation.mode == "eager" or situation.host_bound:
        return _graph_first(situation, times)
    if not templates:
        return _none(Message(_("no template could be assessed on this capture")), [])
    fused = next((finding for finding in templates[0].findings if finding.check == "superkernel"), None)
    if fused is not None:
        return _none(fused.message, [fused.remedy] if fused.remedy else [])
    return None


def _graph_first(situation: Situation, times: Times) -> Recommendation:
    step = typical_step(times, situation.phase)
    row = times.steps[times.steps["step"] == step].iloc[0]
    figures = {
        "busy": row["busy_ns"] / NS_PER_MS,
        "wall": row["wall_ns"] / NS_PER_MS,
        "host": row["gap_host_ns"] / NS_PER_MS,
    }
    again = Message(_("then record again and ask again: the shares will have moved"))
    if situation.mode == "eager" and situation.host_bound:
        reason = Message(
            _(
                "no scope yet, first graph mode: eager and host-bound, {busy:.1f} ms of kernels in a {wall:.1f} ms "
                "step; SuperKernel needs a graph and cannot remove the {host:.1f} ms in which the device waits for "
                "the host"
            ),
            **figures,
        )
    elif situation.mode == "eager":
        reason = Message(
            _(
                "no scope yet, first graph mode: SuperKernel does not work in eager mode "
                "({busy:.1f} ms of kernels in a {wall:.1f} ms step)"
            ),
            **figures,
        )
    else:
        reason = Message(
            _(
                "no scope yet, first one whole graph: the device waits {host:.1f} ms of a {wall:.1f} ms step for the "
                "host ({busy:.1f} ms of kernels), and what fusion saves there would be waited away"
            ),
            **figures,
        )
        return _none(reason, [Message(_("capture decode as one graph instead of pieces (full decode graph)")), again])
    mode = Message(_("switch decode to graph mode (exe_mode ge_graph or npugraph_ex, static shapes)"))
    return _none(reason, [mode, again])


def _nothing_to_win(templates: Sequence[Template], risk: Risk) -> Recommendation:
    assessed = [template for template in templates if template.estimate is not None and template.verdict != "blocked"]
    if not assessed:
        blocked = next((template for template in templates if template.verdict == "blocked"), None)
        return _none(blocked.reason if blocked else Message(_("no template applies to this capture")), [])
    best = max(assessed, key=_mid_us)
    figures = {
        "name": best.name,
        "mid": _mid_pct(best),
        "low": best.estimate.low_pct if best.estimate else 0.0,
        "high": best.estimate.high_pct if best.estimate else 0.0,
        "floor": NOISE_PCT,
    }
    if best.verdict == "worthwhile":
        reason = Message(
            _("at low risk nothing is worth it; {name} would win about {mid:.1f} % of the step"), **figures
        )
        return _none(reason, [Message(_("ask again with --risk balanced"))])
    reason = Message(
        _(
            "within noise, not worth it: the best template, {name}, would win {mid:.1f} % of the step "
            "({low:.1f} to {high:.1f}), and below {floor:g} % nobody can tell"
        ),
        **figures,
    )
    chance = max(_chance_above_noise(template) for template in assessed)
    steps = [Message(_("look at the breakers and at the largest region first; fusing kernels by hand may win more"))]
    return Recommendation(
        choice="none",
        reason=reason,
        confidence=round(1.0 - chance, 2),
        runner_up=None,
        next=tuple(steps),
        robustness=_chance_sentences(best, chance),
    )


def _chance_sentences(best: Template, chance: float) -> tuple[Message, ...]:
    if chance < WORTH_MENTIONING:
        return ()
    sentence = _("there is a chance of {chance:.0%} that {name} wins more than {floor:g} %: try it if a trial is cheap")
    return (Message(sentence, chance=chance, name=best.name, floor=NOISE_PCT),)


def _none(reason: Message, steps: Sequence[Message]) -> Recommendation:
    return Recommendation(
        choice="none", reason=reason, confidence=PLAIN_FACT, runner_up=None, next=tuple(steps), robustness=()
    )


def _choose(worthwhile: Sequence[Template], risk: Risk) -> Template:
    best = max(worthwhile, key=_mid_us)
    if risk == "high":
        return best
    named = {template.name: template for template in worthwhile}
    attention, experts = named.get("attention-only"), named.get("moe-only")
    if risk == "low":
        if attention and experts and experts.share >= DOMINANCE * attention.share and _leads(experts, attention):
            return experts
        return attention or experts or best
    near = [
        template
        for template in worthwhile
        if not _leads(best, template) and _mid_us(template) >= ENOUGH_OF_THE_BEST * _mid_us(best)
    ]
    return min(near, key=lambda template: (_ease(template), -_mid_us(template)))


def _ease(template: Template) -> int:
    """The work and risk of trying a template, 1 is least."""
    return template_scope(template.name).effort


def _leads(template: Template, other: Template) -> bool:
    """Whether the estimate is greater by more than the noise."""
    return _mid_pct(template) - _mid_pct(other) > NOISE_PCT


def _reason(chosen: Template, runner_up: Template | None, risk: Risk) -> Message:
    figures = {
        "name": chosen.name,
        "share": chosen.share,
        "us": _mid_us(chosen),
        "mid": _mid_pct(chosen),
        "low": chosen.estimate.low_pct if chosen.estimate else 0.0,
        "high": chosen.estimate.high_pct if chosen.estimate else 0.0,
    }
    if runner_up is None:
        return Message(
            _(
                "{name}: {share:.0%} of the step lies in scope; about {us:.0f} us per step, {mid:.1f} % "
                "({low:.1f} to {high:.1f}); no other template is above the noise"
            ),
            **figures,
        )
    figures |= {"other": runner_up.name, "other_mid": _mid_pct(runner_up)}
    if _mid_us(runner_up) > _mid_us(chosen):
        return Message(
            _(
                "{name}: about {us:.0f} us per step, {mid:.1f} % ({low:.1f} to {high:.1f}), {share:.0%} of the step in "
                "scope; {other} might win {other_mid:.1f} % but is riskier, and comes second"
            ),
            **figures,
        )
    return Message(
        _(
            "{name}: about {us:.0f} us per step, {mid:.1f} % ({low:.1f} to {high:.1f}), {share:.0%} of the step in "
            "scope; {other} would win {other_mid:.1f} %"
        ),
        **figures,
    )


def _order_to_try(chosen: Template, others: Sequence[Template], further: Sequence[Template]) -> tuple[Message, ...]:
    steps = [
        finding.remedy
        for finding in chosen.findings
        if finding.check == "mode" and finding.status in ("warn", "unknown") and finding.remedy is not None
    ]
    steps += [
        Message(_("five baseline runs without SuperKernel, spread (CV) below 5 %")),
        Message(_("then {name}; compare outputs first, then three or more timed runs"), name=chosen.name),
    ]
    greater = next((other for other in others if _mid_us(other) > _mid_us(chosen)), None)
    easier = next((other for other in others if _ease(other) < _ease(chosen)), None)
    if greater is not None:
        steps.append(Message(_("if it works, {name}"), name=greater.name))
    finer = next((other for other in further if _ease(other) < _ease(chosen)), None)
    if finer is not None:
        steps.append(
            Message(
                _("if it does not compile or is hard to debug, {name} ({mid:.1f} %)"),
                name=finer.name,
                mid=_mid_pct(finer),
            )
        )
    if chosen.breakers and chosen.breakers[0].cost_us > 0:
        worst = chosen.breakers[0]
        steps.append(
            Message(
                _("if it wins less than {low:.1f} %, look at {op} first ({us:.1f} us per step): {remedy}"),
                low=max(chosen.estimate.low_pct if chosen.estimate else 0.0, NOISE_PCT),
                op=worst.op_type,
                us=worst.cost_us,
                remedy=worst.remedy,
            )
        )
    if easier is not None:
        steps.append(Message(_("if it fails or is slower, {name}, else nothing"), name=easier.name))
    else:
        steps.append(Message(_("if it fails or is slower, leave it off")))
    return tuple(steps)


def _robustness(
    chosen: Template,
    runner_up: Template | None,
    situation: Situation,
    times: Times,
    labels: LabelQuality | None,
) -> tuple[Message, ...]:
    sentences = []
    decode = _decode_share(times)
    if decode < 1.0:
        sentences.append(
            Message(_("decode is {share:.0%} of the time of the captured steps; prefill gains nothing"), share=decode)
        )
    if chosen.estimate is not None and chosen.estimate.low_pct < NOISE_PCT:
        sentences.append(
            Message(
                _("the interval reaches down to {low:.1f} %: one run in {odds:.0f} may show nothing"),
                low=chosen.estimate.low_pct,
                odds=1 / max(1.0 - _chance_above_noise(chosen), 0.01),
            )
        )
    if runner_up is not None and abs(_mid_pct(chosen) - _mid_pct(runner_up)) <= NOISE_PCT:
        sentences.append(
            Message(_("{other} is within the noise of it; ease decided, not the estimate"), other=runner_up.name)
        )
    if labels is not None and labels.unattributed_share > 0:
        sentence = (
            _("{share:.1%} of device time has no label; enough to change the choice")
            if labels.advice_depends_on_unattributed
            or depends_on_unattributed(chosen, runner_up, labels.unattributed_share)
            else _("{share:.1%} of device time has no label; too little to change the choice")
        )
        sentences.append(Message(sentence, share=labels.unattributed_share))
    if situation.phase == "mixed":
        sentences.append(Message(_("steps mix prefill and decode; with pure decode steps the shares will differ")))
    if chosen.claim is not None and chosen.estimate is not None and chosen.claim.low_pct > chosen.estimate.high_pct:
        sentences.append(
            Message(
                _("the published claim ({low:.0f} to {high:.0f} %) is above everything this capture supports"),
                low=chosen.claim.low_pct,
                high=chosen.claim.high_pct,
            )
        )
    return tuple(sentences)


def could_change(recommendation: Recommendation, templates: Sequence[Template], labels: LabelQuality) -> bool:
    """Whether the choice could be another if all time without a label went to one region."""
    named = {template.name: template for template in templates}
    if recommendation.choice == "none":
        return any(_above_noise_with(template, labels.unattributed_share) for template in templates)
    runner_up = named.get(recommendation.runner_up) if recommendation.runner_up else None
    return depends_on_unattributed(named[recommendation.choice], runner_up, labels.unattributed_share)


def _above_noise_with(template: Template, unattributed_share: float) -> bool:
    """Whether a template within the noise would rise above it, were all time without a label in its scope."""
    if template.verdict != "within_noise" or template.estimate is None or template.share <= 0:
        return False
    return _mid_pct(template) * (1.0 + unattributed_share / template.share) > NOISE_PCT


def depends_on_unattributed(chosen: Template, runner_up: Template | None, unattributed_share: float) -> bool:
    """Whether time without a label could change the choice, were it all the runner-up's and as rich in savings.

    `unattributed_share` is a fraction of the step.
    """
    if runner_up is None or runner_up.estimate is None or runner_up.share <= 0:
        return False
    per_share = _mid_pct(runner_up) / runner_up.share
    return _mid_pct(runner_up) + per_share * unattributed_share > max(_mid_pct(chosen), _mid_pct(runner_up)) + NOISE_PCT


def _decode_share(times: Times) -> float:
    by_phase = times.steps.groupby("phase")["wall_ns"].sum()
    total = float(by_phase.sum())
    return float(by_phase.get("decode", 0) + by_phase.get("mixed", 0)) / total if total else 1.0


def _confidence(chosen: Template, labels: LabelQuality | None) -> float:
    """Chance that the gain can be told from noise, less what is not labelled."""
    return _chance_above_noise(chosen) * (1.0 - labels.unattributed_share if labels is not None else 1.0)


def _chance_above_noise(template: Template) -> float:
    """From the interval's half that the noise floor lies in, read as half of a normal distribution."""
    found = template.estimate
    if found is None:
        return 0.0
    side = found.mid_pct - found.low_pct if found.mid_pct > NOISE_PCT else found.high_pct - found.mid_pct
    if side <= 0:
        return 1.0 if found.mid_pct > NOISE_PCT else 0.0
    return NormalDist().cdf((found.mid_pct - NOISE_PCT) / (side / P90))


def _mid_us(template: Template) -> float:
    return template.estimate.mid_us if template.estimate is not None else 0.0


def _mid_pct(template: Template) -> float:
    return template.estimate.mid_pct if template.estimate is not None else 0.0
