"""The first screen of a report: the verdict in one sentence, the facts behind it, what blocks it, what to do next."""

from __future__ import annotations

from skadvisor.records import Breaker, Result, Template
from skadvisor.report.document import Summary
from skadvisor.report.subject import subject_template
from skadvisor.report.wording import MODE_NAMES, PHASE_NAMES, Wording, clip
from skadvisor.text.messages import _

MOST_BLOCKERS = 4
MOST_REGIONS = 4
#: A breaker that costs less per step reads as nothing, us.
LEAST_COST_US = 0.05


def title(result: Result, wording: Wording) -> str:
    """The title of the report."""
    return wording.say(_("SuperKernel advice for {capture}"), capture=capture_name(result))


def capture_name(result: Result) -> str:
    """The last part of the first capture's path: what people call it."""
    paths = [capture.path for capture in result.captures]
    name = paths[0].replace("\\", "/").rstrip("/").rpartition("/")[2] if paths else ""
    return clip(name, 80)


def headline(result: Result, wording: Wording) -> str:
    """The verdict in one sentence."""
    choice = result.recommendation.choice
    template = subject_template(result)
    if choice == "none":
        return wording.say(_("Place no SuperKernel scope for now."))
    name = wording.template(choice, result.recommendation.variant)
    if template is None or template.estimate is None:
        return wording.say(_("Place the {name} scope; this capture cannot say how much it wins."), name=name)
    estimate = template.estimate
    interval = wording.interval(estimate.low_pct, estimate.high_pct)
    values = {"name": name, "mid": wording.percent(estimate.mid_pct), "interval": interval}
    if template.verdict == "within_noise":
        return wording.say(
            _(
                "Try the {name} scope only if a trial is cheap: expect {mid} of the decode step ({interval}), which is "
                "within the noise."
            ),
            **values,
        )
    if template.claim is None:
        return wording.say(_("Place the {name} scope: expect {mid} of the decode step ({interval})."), **values)
    return wording.say(
        _("Place the {name} scope: expect {mid} of the decode step ({interval}); the published table claims {claim}."),
        claim=wording.interval(template.claim.low_pct, template.claim.high_pct),
        **values,
    )


def summarise(result: Result, wording: Wording) -> Summary:
    """Everything that the first screen says."""
    return Summary(
        headline=headline(result, wording),
        reason=wording.full_sentence(result.recommendation.reason),
        facts=_facts(result, wording),
        blockers=_blockers(result, wording),
        next=tuple(wording.full_sentence(message) for message in result.recommendation.next),
    )


def _facts(result: Result, wording: Wording) -> tuple[tuple[str, str], ...]:
    recommendation = result.recommendation
    facts = [
        (wording.say(_("Choice")), wording.template(recommendation.choice, recommendation.variant)),
    ]
    if recommendation.confidence is not None:
        chance = f"{recommendation.confidence:.0%}".replace("%", " %")
        title = _("Chance of more than 2 %") if recommendation.choice != "none" else _("Chance of at most 2 %")
        facts.append((wording.say(title), chance))
    if recommendation.runner_up:
        facts.append((wording.say(_("Runner-up")), _runner_up_words(result, wording)))
    facts.append((wording.say(_("Mode")), mode_words(result, wording)))
    facts.append((wording.say(_("Step")), _step_words(result, wording)))
    regions = _region_words(result, wording)
    if regions:
        facts.append((wording.say(_("Where the time goes")), regions))
    facts.append((wording.say(_("Layers")), _layer_words(result, wording)))
    return tuple(facts)


def _runner_up_words(result: Result, wording: Wording) -> str:
    """The runner-up and how far it is from the choice; why a better one comes second."""
    recommendation = result.recommendation
    name = wording.template(recommendation.runner_up or "none")
    margin = recommendation.margin_us
    if margin is None:
        return name
    time = wording.us(abs(margin))
    if margin >= 0:
        return wording.say(_("{name}, {time} behind"), name=name, time=time)
    if recommendation.choice != "none":
        return wording.say(_("{name}, {time} better, but riskier"), name=name, time=time)
    within_noise = {template.name for template in result.templates if template.verdict == "within_noise"}
    if recommendation.runner_up in within_noise:
        return wording.say(_("{name}, {time} better than none, but within the noise"), name=name, time=time)
    return wording.say(_("{name}, {time} better than none, but riskier"), name=name, time=time)


def mode_words(result: Result, wording: Wording) -> str:
    """The execution mode, with the kind of graph and whether the host limits it."""
    words = wording.name(MODE_NAMES, result.mode)
    if result.graph_kind:
        words = f"{words} ({clip(result.graph_kind, 40)})"
    if result.host_bound:
        words = wording.say(_("{mode}, the device waits for the host"), mode=words)
    return words


def main_phase(result: Result) -> str | None:
    """The phase that the report looks at first: the one that the advice speaks of, else the first there is."""
    return result.phase if result.phase in result.phases else next(iter(result.phases), None)


def _step_words(result: Result, wording: Wording) -> str:
    phase = main_phase(result)
    if phase is None:
        return wording.say(_("no step was found"))
    record = result.phases[phase]
    return wording.say(
        _("{phase}, {wall}: kernels {busy}, gaps {gap}, of these {host} wait for the host (median of {steps} steps)"),
        phase=wording.name(PHASE_NAMES, phase),
        wall=wording.us(record.wall_us),
        busy=wording.us(record.busy_us),
        gap=wording.us(record.gap_us),
        host=wording.us(record.gap.host_us),
        steps=record.steady_steps,
    )


def _region_words(result: Result, wording: Wording) -> str:
    phase = main_phase(result)
    regions = sorted((region for region in result.regions if region.phase == phase), key=lambda region: -region.share)
    parts = [f"{wording.region(region.region)} {wording.share(region.share)}" for region in regions[:MOST_REGIONS]]
    return wording.say(_(", ")).join(parts)


def _layer_words(result: Result, wording: Wording) -> str:
    from skadvisor.report.wording import LAYER_KIND_NAMES

    if not result.layers.count:
        return wording.say(_("no decoder layers were found"))
    kinds = [f"{kind.count} {wording.name(LAYER_KIND_NAMES, kind.kind)}" for kind in result.layers.kinds]
    return wording.say(_("{count} ({kinds})"), count=result.layers.count, kinds=wording.say(_(", ")).join(kinds))


def _blockers(result: Result, wording: Wording) -> tuple[str, ...]:
    """The blocking findings of the template that the report speaks of, else its dearest breakers.

    What the reason says already is not said again, and what costs nothing that a report shows is left out.
    """
    template = subject_template(result)
    if template is None:
        return ()
    reason = result.recommendation.reason
    blocking = [finding.message for finding in template.findings if finding.status == "block"]
    if blocking:
        lines = [wording.sentence(message) for message in blocking if message != reason]
    else:
        dearest = sorted(template.breakers, key=lambda breaker: -breaker.cost_us)
        lines = [_breaker_line(breaker, wording) for breaker in dearest if breaker.cost_us >= LEAST_COST_US]
    return tuple(dict.fromkeys(lines[:MOST_BLOCKERS]))


def _breaker_line(breaker: Breaker, wording: Wording) -> str:
    sentence = (
        _("{op} cuts the scope {cuts:.1f} times per layer and costs {cost} per step")
        if breaker.likelihood == "likely"
        else _("{op} may cut the scope {cuts:.1f} times per layer, which would cost {cost} per step")
    )
    return wording.say(
        sentence, op=clip(breaker.op_type, 60), cuts=breaker.cuts_per_layer, cost=wording.us(breaker.cost_us)
    )


def claim_line(template: Template, wording: Wording) -> str:
    """The claim as a range, or that there is none."""
    claim = template.claim
    return wording.interval(claim.low_pct, claim.high_pct) if claim else wording.say(_("no claim"))
