"""The choice: which template to try, what next, how sure; or a refusal with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from skadvisor.advice.expected import chance_above_noise, expected_pct, expected_us
from skadvisor.advice.order import order_trials, say_order
from skadvisor.advice.refusal import make_refusal, refuse
from skadvisor.fusion.templates import template_scope
from skadvisor.options import Risk
from skadvisor.records import NOISE_PCT, LabelQuality, Recommendation, Template, find_template
from skadvisor.text.messages import Message, _

if TYPE_CHECKING:
    from skadvisor.accounting.situation import Situation
    from skadvisor.accounting.timeline import Times

#: An easier template has to win at least this part of the best one's estimate to be preferred.
ENOUGH_OF_THE_BEST = 2 / 3
#: The experts clearly dominate when their share of the step is this many times that of attention.
DOMINANCE = 1.5
#: A chance to be above the noise that a refusal mentions and that high risk takes, as a fraction.
WORTH_MENTIONING = 0.25
#: With a smaller share of the device time unlabelled no choice hangs on it, a fraction.
LEAST_SHARE = 0.001
#: A smaller chance reads as none, a fraction.
LEAST_CHANCE = 0.005


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
    refused = refuse(templates, situation)
    if refused is not None:
        return refused
    allowed = _allowed(templates, risk)
    pool = [one for one in allowed if risk != "low" or template_scope(one.name).published]
    if not pool:
        return _nothing_to_win(templates, risk, labels)
    chosen = _choose(pool, risk)
    others = sorted((other for other in pool if other.name != chosen.name), key=expected_us, reverse=True)
    further = [template for template in allowed if template not in pool]
    runner_up = next(iter([*others, *further]), None)
    order = order_trials(templates, chosen, allowed)
    labelled = 1.0 - labels.unattributed_share if labels is not None else 1.0
    return Recommendation(
        choice=chosen.name,
        variant=chosen.variant,
        reason=_reason(chosen, runner_up),
        confidence=round(chance_above_noise(chosen) * labelled, 2),
        runner_up=runner_up.name if runner_up else None,
        margin_us=round(expected_us(chosen) - expected_us(runner_up), 3) if runner_up else None,
        order=order,
        next=tuple(say_order(order, chosen)),
        robustness=tuple(_robustness(chosen, runner_up, situation, times, labels)),
    )


def _allowed(templates: Sequence[Template], risk: Risk) -> list[Template]:
    """The templates that may be taken at this risk."""
    worthwhile = [template for template in templates if template.verdict == "worthwhile"]
    if risk == "low":
        return [template for template in worthwhile if template.risk != "high"]
    return worthwhile if worthwhile or risk == "balanced" else _worth_a_trial(templates)


def _worth_a_trial(templates: Sequence[Template]) -> list[Template]:
    """Templates within the noise that win on average and have a fair chance to win more than the noise."""
    within = [template for template in templates if template.verdict == "within_noise" and expected_us(template) > 0]
    return [template for template in within if chance_above_noise(template) >= WORTH_MENTIONING]


def _nothing_to_win(templates: Sequence[Template], risk: Risk, labels: LabelQuality | None) -> Recommendation:
    assessed = [template for template in templates if template.estimate is not None and template.verdict != "blocked"]
    if not assessed:
        blocked = next((template for template in templates if template.verdict == "blocked"), None)
        return make_refusal("blocked", blocked.reason if blocked else _("no template applies to this capture"))
    # The template that more risk would take, so that what is said of it holds; else the one that wins most.
    riskier = _allowed(templates, "high")
    best = max(riskier or assessed, key=expected_us)
    figures = {
        "name": best.name,
        "mid": expected_pct(best),
        "low": best.estimate.low_pct if best.estimate else 0.0,
        "high": best.estimate.high_pct if best.estimate else 0.0,
        "floor": NOISE_PCT,
        "chance": chance_above_noise(best),
    }
    if best.verdict == "worthwhile":
        reason = Message(
            _("at low risk nothing is worth it; {name} would win about {mid:.1f} % of the step"), **figures
        )
        found = make_refusal("risk", reason, _("ask again with --risk balanced"))
    else:
        reason = Message(
            _(
                "within noise, not worth it: the best template, {name}, would win {mid:.1f} % of the step "
                "({low:.1f} to {high:.1f}), below the noise floor of {floor:g} %"
            ),
            **figures,
        )
        leave_it = Message(_leave_it(best in riskier, chance_above_noise(best)), **figures)
        by_hand = _("look at the breakers and at the largest region first; fusing kernels by hand may win more")
        found = make_refusal("noise", reason, leave_it, by_hand)
        order = order_trials(templates, best, [best]) if best in riskier else ()
        chance = 1.0 - max(chance_above_noise(other) for other in assessed)
        found = replace(found, confidence=round(chance, 2), order=order)
    return replace(
        found, runner_up=best.name, margin_us=round(-expected_us(best), 3), robustness=_label_sentences(labels)
    )


def _leave_it(worth_a_trial: bool, chance: float) -> str:
    if worth_a_trial:
        return _(
            "leave it off; if a trial is cheap, try {name}: the chance that it wins more than {floor:g} % is "
            "{chance:.0%}, and --risk high takes it"
        )
    if chance < LEAST_CHANCE:
        return _("leave it off; a gain of more than {floor:g} % is out of reach")
    return _("leave it off; the chance that {name} wins more than {floor:g} % is only {chance:.0%}")


def _choose(worthwhile: Sequence[Template], risk: Risk) -> Template:
    best = max(worthwhile, key=expected_us)
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
        if not _leads(best, template) and expected_us(template) >= ENOUGH_OF_THE_BEST * expected_us(best)
    ]
    return min(near, key=lambda template: (template.effort, -expected_us(template)))


def _leads(template: Template, other: Template) -> bool:
    """Whether the estimate is greater by more than the noise."""
    return expected_pct(template) - expected_pct(other) > NOISE_PCT


def _reason(chosen: Template, runner_up: Template | None) -> Message:
    """Why this one; its interval stands beside it wherever the reason is shown, except where it decides."""
    figures = {
        "name": chosen.name,
        "share": chosen.share,
        "us": expected_us(chosen),
        "mid": expected_pct(chosen),
        "floor": NOISE_PCT,
        "chance": chance_above_noise(chosen),
    }
    if runner_up is not None:
        figures |= {"other": runner_up.name, "other_mid": expected_pct(runner_up)}
    if chosen.verdict == "within_noise":
        text = _(
            "{name}: about {us:.0f} us per step, {mid:.1f} %, with {share:.0%} of the step in scope; its middle is "
            "within the noise; the chance that it wins more than {floor:g} % is {chance:.0%}, and high risk takes it"
        )
    elif runner_up is None:
        text = _(
            "{name}: about {us:.0f} us per step, {mid:.1f} %, with {share:.0%} of the step in scope; no other "
            "template is above the noise"
        )
    elif expected_us(runner_up) > expected_us(chosen):
        text = _(
            "{name}: about {us:.0f} us per step, {mid:.1f} %, with {share:.0%} of the step in scope; {other} might "
            "win {other_mid:.1f} % but is riskier, and comes second"
        )
    else:
        text = _(
            "{name}: about {us:.0f} us per step, {mid:.1f} %, with {share:.0%} of the step in scope; {other} would win "
            "{other_mid:.1f} %"
        )
    return Message(text, **figures)


def _robustness(
    chosen: Template,
    runner_up: Template | None,
    situation: Situation,
    times: Times,
    labels: LabelQuality | None,
) -> Iterator[Message]:
    decode = _decode_share(times)
    if decode < 1.0:
        yield Message(_("decode is {share:.0%} of the time of the captured steps; prefill gains nothing"), share=decode)
    if runner_up is not None and abs(expected_pct(chosen) - expected_pct(runner_up)) <= NOISE_PCT:
        yield Message(_("{other} is within the noise of it; ease decided, not the estimate"), other=runner_up.name)
    yield from _label_sentences(labels)
    if situation.phase == "mixed":
        yield Message(_("steps mix prefill and decode; with pure decode steps the shares will differ"))
    if chosen.claim is not None and chosen.estimate is not None and chosen.claim.low_pct > chosen.estimate.high_pct:
        text = _("the published claim ({low:.0f} to {high:.0f} %) is above everything this capture supports")
        yield Message(text, low=chosen.claim.low_pct, high=chosen.claim.high_pct)


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
