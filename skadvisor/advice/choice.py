"""The choice: which template to try, what next, how sure; or a refusal with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import TYPE_CHECKING

from skadvisor.advice.refusal import refusal, refuse
from skadvisor.fusion.templates import template_scope
from skadvisor.options import Risk
from skadvisor.records import LabelQuality, Recommendation, Template, find_template
from skadvisor.text.messages import Message, _

if TYPE_CHECKING:
    from skadvisor.accounting.situation import Situation
    from skadvisor.accounting.timeline import Times

#: Nobody can tell a smaller gain from noise, percent of the step.
NOISE_PCT = 2.0
#: An easier template has to win at least this part of the best one's estimate to be preferred.
ENOUGH_OF_THE_BEST = 2 / 3
#: The experts clearly dominate when their share of the step is this many times that of attention.
DOMINANCE = 1.5
#: A chance to be above the noise that a refusal mentions and that high risk takes, as a fraction.
WORTH_MENTIONING = 0.25
#: With a smaller share of the device time unlabelled no choice hangs on it, a fraction.
LEAST_SHARE = 0.001
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

    `low` risk means attention-only unless the experts clearly dominate. `balanced` takes a template that more likely
    than not wins more than the noise: the greatest estimate, or an easier template within the noise of it that wins
    most of it. `high` takes the greatest estimate, and where none is above the noise also one that has at least the
    chance WORTH_MENTIONING to be. A refusal within noise names the best template as its runner-up.
    """
    refused = refuse(templates, situation, times)
    if refused is not None:
        return refused
    allowed = _allowed(templates, risk)
    pool = _published(allowed) if risk == "low" else _published(allowed) or allowed
    if not pool:
        return _nothing_to_win(templates, risk, labels)
    chosen = _choose(pool, risk)
    others = sorted((other for other in pool if other.name != chosen.name), key=_mid_us, reverse=True)
    further = [template for template in allowed if template not in pool]
    runner_up = next(iter([*others, *further]), None)
    return Recommendation(
        choice=chosen.name,
        variant=chosen.variant,
        reason=_reason(chosen, runner_up),
        confidence=round(_confidence(chosen, labels), 2),
        runner_up=runner_up.name if runner_up else None,
        margin_us=round(_mid_us(chosen) - _mid_us(runner_up), 3) if runner_up else None,
        next=_order_to_try(chosen, others, further),
        robustness=_robustness(chosen, runner_up, situation, times, labels),
    )


def _allowed(templates: Sequence[Template], risk: Risk) -> list[Template]:
    """The templates that may be taken at this risk."""
    worthwhile = [template for template in templates if template.verdict == "worthwhile"]
    if risk == "low":
        return [template for template in worthwhile if template_scope(template.name).risk != "high"]
    return worthwhile if worthwhile or risk == "balanced" else _worth_a_trial(templates)


def _worth_a_trial(templates: Sequence[Template]) -> list[Template]:
    """Templates within the noise that win on average and have a fair chance to win more than the noise."""
    within = [template for template in templates if template.verdict == "within_noise" and _mid_us(template) > 0]
    return [template for template in within if _chance_above_noise(template) >= WORTH_MENTIONING]


def _published(templates: Sequence[Template]) -> list[Template]:
    return [template for template in templates if template_scope(template.name).published]


def _nothing_to_win(templates: Sequence[Template], risk: Risk, labels: LabelQuality | None) -> Recommendation:
    assessed = [template for template in templates if template.estimate is not None and template.verdict != "blocked"]
    if not assessed:
        blocked = next((template for template in templates if template.verdict == "blocked"), None)
        return refusal(blocked.reason if blocked else Message(_("no template applies to this capture")), [])
    # The template that more risk would take, so that what is said of it holds; else the one that wins most.
    riskier = _allowed(templates, "high")
    best = max(_published(riskier) or riskier or _published(assessed) or assessed, key=_mid_us)
    figures = {
        "name": best.name,
        "mid": _mid_pct(best),
        "low": best.estimate.low_pct if best.estimate else 0.0,
        "high": best.estimate.high_pct if best.estimate else 0.0,
        "floor": NOISE_PCT,
        "chance": _chance_above_noise(best),
    }
    if best.verdict == "worthwhile":
        reason = Message(
            _("at low risk nothing is worth it; {name} would win about {mid:.1f} % of the step"), **figures
        )
        found = refusal(reason, [Message(_("ask again with --risk balanced"))])
    else:
        reason = Message(
            _(
                "within noise, not worth it: the best template, {name}, would win {mid:.1f} % of the step "
                "({low:.1f} to {high:.1f}), and below {floor:g} % nobody can tell"
            ),
            **figures,
        )
        by_hand = Message(
            _("look at the breakers and at the largest region first; fusing kernels by hand may win more")
        )
        found = refusal(reason, [Message(_leave_it(best in riskier), **figures), by_hand])
        found = replace(found, confidence=round(1.0 - max(_chance_above_noise(other) for other in assessed), 2))
    return replace(found, runner_up=best.name, margin_us=round(-_mid_us(best), 3), robustness=_label_sentences(labels))


def _leave_it(worth_a_trial: bool) -> str:
    if worth_a_trial:
        return _(
            "leave it off; if a trial is cheap, try {name}: the chance that it wins more than {floor:g} % is "
            "{chance:.0%}, and --risk high takes it"
        )
    return _("leave it off; the chance that {name} wins more than {floor:g} % is only {chance:.0%}")


def _choose(worthwhile: Sequence[Template], risk: Risk) -> Template:
    best = max(worthwhile, key=_mid_us)
    if risk == "high":
        return best
    attention, experts = find_template(worthwhile, "attention-only"), find_template(worthwhile, "moe-only")
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


def _reason(chosen: Template, runner_up: Template | None) -> Message:
    """Why this one; its interval stands beside it wherever the reason is shown, except where it decides."""
    figures = {
        "name": chosen.name,
        "share": chosen.share,
        "us": _mid_us(chosen),
        "mid": _mid_pct(chosen),
        "floor": NOISE_PCT,
        "chance": _chance_above_noise(chosen),
    }
    if chosen.verdict == "within_noise":
        return Message(
            _(
                "{name}: about {us:.0f} us per step, {mid:.1f} %, with {share:.0%} of the step in scope; its middle is "
                "within the noise; the chance that it wins more than {floor:g} % is {chance:.0%}, and high risk takes "
                "it"
            ),
            **figures,
        )
    if runner_up is None:
        return Message(
            _(
                "{name}: about {us:.0f} us per step, {mid:.1f} %, with {share:.0%} of the step in scope; no other "
                "template is above the noise"
            ),
            **figures,
        )
    figures |= {"other": runner_up.name, "other_mid": _mid_pct(runner_up)}
    if _mid_us(runner_up) > _mid_us(chosen):
        return Message(
            _(
                "{name}: about {us:.0f} us per step, {mid:.1f} %, with {share:.0%} of the step in scope; {other} might "
                "win {other_mid:.1f} % but is riskier, and comes second"
            ),
            **figures,
        )
    return Message(
        _(
            "{name}: about {us:.0f} us per step, {mid:.1f} %, with {share:.0%} of the step in scope; {other} would win "
            "{other_mid:.1f} %"
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
    if chosen.estimate is not None and chosen.verdict == "worthwhile" and chosen.estimate.low_pct < NOISE_PCT:
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
    sentences += _label_sentences(labels)
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


def _label_sentences(labels: LabelQuality | None) -> tuple[Message, ...]:
    if labels is None or labels.unattributed_share < LEAST_SHARE:
        return ()
    sentence = (
        _("{share:.1%} of device time has no label: the choice would be another if all of it were of one region")
        if labels.advice_depends_on_unattributed
        else _("{share:.1%} of device time has no label: the choice stays the same whatever region it is of")
    )
    return (Message(sentence, share=labels.unattributed_share),)


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
