"""The first screen of an analysis: the answer to the question of this capture, the facts behind it, what to do next."""

from __future__ import annotations

from skadvisor.records import NOISE_PCT, Breaker, Claim, Result, Template, find_template
from skadvisor.report.document import Points, Summary
from skadvisor.report.figures import Part, answer_parts, step_figures
from skadvisor.report.wording import (
    ATTENTION_NAMES,
    LAYER_KIND_NAMES,
    MODE_NAMES,
    PHASE_NAMES,
    Wording,
    clip,
)
from skadvisor.text.messages import _

MOST_BLOCKERS = 3
MOST_REGIONS = 4
MOST_DOUBTS = 2
MOST_WARNINGS = 2
#: A longer name would be broken in a terminal of 80 columns.
LONGEST_CAPTURE = 48
#: A breaker that costs less per step reads as nothing, us.
LEAST_COST_US = 0.05
#: Grounds of an answer that weighed gains; the others follow from a plain fact of the capture.
WEIGHED = ("gain", "noise", "risk", "blocked")
#: Waits that take less of the step are not named, percent.
LEAST_WAIT_PCT = 1.0


def title(result: Result, wording: Wording) -> str:
    """The title of the report."""
    return wording.say(_("SuperKernel advice for {capture}"), capture=capture_name(result))


def capture_name(result: Result) -> str:
    """What people call the first capture: its folder's name alone where the profiler's own beneath is too long."""
    name = result.captures[0].name if result.captures else ""
    return clip(name if len(name) <= LONGEST_CAPTURE else name.partition("/")[0], LONGEST_CAPTURE)


def subject_template(result: Result) -> Template | None:
    """The template that the report speaks of: the recommended one, else the one that promises most, else None."""
    chosen = find_template(result.templates, result.recommendation.choice, result.recommendation.variant)
    if chosen is not None:
        return chosen
    assessed = [template for template in result.templates if template.estimate is not None]
    if assessed:
        return max(assessed, key=lambda template: template.estimate.mid_us if template.estimate else 0.0)
    return next(iter(result.templates), None)


def headline(result: Result, wording: Wording) -> str:
    """The answer in one sentence."""
    ground = result.recommendation.ground
    if result.recommendation.choice != "none":
        return _placement(result, wording)
    template = subject_template(result)
    if ground == "noise" and template is not None and template.estimate is not None:
        return _noise(template, wording)
    if ground == "superkernel" and result.superkernels is not None:
        return wording.say(
            _("SuperKernel is on: {count} SuperKernels hold {share} of the decode step."),
            count=result.superkernels.count,
            share=wording.share(result.superkernels.share),
        )
    if ground in ("host", "wait"):
        sentence = (
            _("Host-bound: the device waits for the host during {share} of the decode step.")
            if ground == "host"
            else _("The device waits for another stream or rank during {share} of the decode step.")
        )
        return wording.say(sentence, share=wording.percent(_gap_pct(result, ground)))
    return wording.say(_("No scope for now: {reason}."), reason=wording.sentence(result.recommendation.reason))


def _noise(best: Template, wording: Wording) -> str:
    """That nothing pays, with the most that could be won."""
    estimate = best.estimate
    assert estimate is not None
    if round(estimate.mid_pct, 1) <= 0:
        return wording.say(_("No scope pays here: none is expected to make the decode step shorter."))
    return wording.say(
        _(
            "No scope pays here: the best one, {name}, is expected to make the decode step {mid} shorter (80 % "
            "interval {interval}), below the noise floor of {floor} %."
        ),
        name=wording.template(best.name, best.variant),
        mid=wording.percent(estimate.mid_pct),
        interval=wording.interval(estimate.low_pct, estimate.high_pct),
        floor=f"{NOISE_PCT:g}",
    )


def _placement(result: Result, wording: Wording) -> str:
    template = subject_template(result)
    name = wording.template(result.recommendation.choice, result.recommendation.variant)
    if template is None or template.estimate is None:
        return wording.say(_("Try {name}; this capture cannot say how much it wins."), name=name)
    estimate = template.estimate
    interval = wording.interval(estimate.low_pct, estimate.high_pct)
    values = {"name": name, "mid": wording.percent(estimate.mid_pct), "interval": interval}
    if template.verdict == "within_noise":
        return wording.say(
            _("Try {name} only if a trial is cheap: {mid} of the decode step ({interval}) is within the noise."),
            **values,
        )
    return wording.say(
        _("Try {name}: expect the decode step to get {mid} shorter (80 % interval {interval})."), **values
    )


def summarise(result: Result, wording: Wording) -> Summary:
    """Everything that the first screen says."""
    steps = tuple(wording.full_sentence(message) for message in result.recommendation.next)
    return Summary(
        headline=headline(result, wording),
        reason=_reason(result, wording),
        facts=_facts(result, wording),
        lists=(*_doubts(result, wording), *first_lists(wording, _blockers(result, wording), steps)),
    )


def _reason(result: Result, wording: Wording) -> str:
    """Why, where the sentence above does not say it."""
    recommendation = result.recommendation
    chosen = recommendation.choice != "none"
    return wording.full_sentence(recommendation.reason) if chosen or recommendation.ground in ("host", "wait") else ""


def _doubts(result: Result, wording: Wording) -> tuple[Points, ...]:
    """What the choice hangs on, the likeliest first, and what the reader has to be warned of."""
    recommendation = result.recommendation
    # The sentences on what the choice hangs on come first.
    said = recommendation.robustness[: min(len(recommendation.hangs_on), MOST_DOUBTS)]
    lists = (
        Points(wording.say(_("What it hangs on")), tuple(wording.full_sentence(message) for message in said)),
        Points(
            wording.say(_("Warnings")),
            tuple(wording.full_sentence(notice.message) for notice in result.warnings[:MOST_WARNINGS]),
        ),
    )
    return tuple(points for points in lists if points.lines)


def first_lists(wording: Wording, blockers: tuple[str, ...], next_steps: tuple[str, ...]) -> tuple[Points, ...]:
    """What costs gain and what to do next, without empty lists."""
    made = (
        Points(wording.say(_("What costs gain")), blockers, brief=2),
        Points(wording.say(_("What to do next")), next_steps),
    )
    return tuple(points for points in made if points.lines)


def _facts(result: Result, wording: Wording) -> tuple[tuple[str, str], ...]:
    recommendation = result.recommendation
    facts = [(wording.say(_("Capture")), _capture_words(result, wording))]
    if recommendation.ground in WEIGHED:
        facts += _gain_facts(result, wording)
    facts.append((wording.say(_("Mode")), mode_words(result, wording)))
    facts.append((wording.say(_("Step")), _step_words(result, wording)))
    regions = _region_words(result, wording)
    if regions:
        facts.append((wording.say(_("Where the time goes")), regions))
    facts.append((wording.say(_("Layers")), _layer_words(result, wording)))
    return tuple(facts)


def _capture_words(result: Result, wording: Wording) -> str:
    name = capture_name(result)
    if len(result.ranks) > 1:
        return wording.say(_("{name}, {count} ranks"), name=name, count=len(result.ranks))
    return name


def _gain_facts(result: Result, wording: Wording) -> list[tuple[str, str]]:
    """The chance with the base rate beside it, the claim, and what comes second."""
    recommendation = result.recommendation
    facts = []
    if recommendation.confidence is not None:
        chance = f"{recommendation.confidence:.0%}".replace("%", " %")
        title = _("Chance of more than 2 %") if recommendation.choice != "none" else _("Chance of at most 2 %")
        facts.append((wording.say(title), chance + _base_rate_words(result, wording)))
    template = subject_template(result)
    if template is not None and template.claim is not None:
        facts.append((wording.say(_("Claim by share")), _claim_words(template.claim, wording)))
    if recommendation.runner_up and recommendation.choice != "none":
        facts.append((wording.say(_("Runner-up")), _runner_up_words(result, wording)))
    return facts


def _base_rate_words(result: Result, wording: Wording) -> str:
    rate = result.recommendation.base_rate
    if rate is None:
        return ""
    return wording.say(
        _(" (of {pairs} published runs {above} gained more than {floor}; median {median})"),
        pairs=len(rate.step_pct),
        above=rate.above(NOISE_PCT),
        floor=f"{NOISE_PCT:g} %",
        median=wording.percent(rate.median_pct),
    )


def _runner_up_words(result: Result, wording: Wording) -> str:
    """What comes second and how far it is from the choice; why a better one comes second."""
    recommendation = result.recommendation
    name = wording.template(recommendation.runner_up or "none")
    margin = recommendation.margin_us
    if margin is None:
        return name
    time = wording.us(abs(margin))
    if round(margin, 1) == 0:
        return wording.say(_("{name}, which wins as much"), name=name)
    if margin >= 0:
        return wording.say(_("{name}, {time} behind"), name=name, time=time)
    return wording.say(_("{name}, {time} better, but riskier"), name=name, time=time)


def mode_words(result: Result, wording: Wording) -> str:
    """The execution mode, with the kind of graph and whether the host limits it."""
    words = wording.name(MODE_NAMES, result.mode)
    if result.graph_kind:
        words += wording.say(_(" ({meaning})"), meaning=clip(result.graph_kind, 40))
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
    record, figures = result.phases[phase], step_figures(result, phase)
    named = _("{phase} step {step}: {wall} = kernels {busy} + gaps {gap}")
    return wording.say(
        named if phase != "unknown" else _("step {step}: {wall} = kernels {busy} + gaps {gap}"),
        phase=wording.name(PHASE_NAMES, phase),
        wall=wording.us(figures.wall_us),
        busy=wording.us(figures.busy_us),
        gap=wording.us(figures.gap_us),
        step=record.step,
    )


def _region_words(result: Result, wording: Wording) -> str:
    """The largest parts of the step, regions and gaps alike."""
    phase = main_phase(result)
    if phase is None:
        return ""
    parts = sorted(answer_parts(result, phase), key=lambda part: -part.us)[:MOST_REGIONS]
    named = (f"{wording.region(part.key)} {wording.percent(part.pct)}" for part in parts if part.pct > 0)
    return wording.say(_(", ")).join(named)


def _layer_words(result: Result, wording: Wording) -> str:
    if not result.layers.count:
        return wording.say(_("no decoder layers were found"))
    kinds = [
        wording.say(
            _("{count} {kind} ({attention})"),
            count=kind.count,
            kind=wording.name(LAYER_KIND_NAMES, kind.kind),
            attention=wording.name(ATTENTION_NAMES, kind.attention_kind),
        )
        for kind in result.layers.kinds
    ]
    return wording.say(_(", ")).join(kinds)


def _blockers(result: Result, wording: Wording) -> tuple[str, ...]:
    """What keeps the step from gaining, the dearest first: waits where they decide, else findings or breakers.

    What the reason says already is not said again, and what costs nothing that a report shows is left out.
    """
    recommendation = result.recommendation
    if recommendation.ground in ("host", "wait", "mode"):
        return _waits(result, wording)
    template = subject_template(result)
    if template is None or recommendation.ground not in WEIGHED:
        return ()
    blocking = [finding.message for finding in template.findings if finding.status == "block"]
    if blocking:
        lines = [wording.sentence(message) for message in blocking if message != recommendation.reason]
    else:
        dearest = sorted(template.breakers, key=lambda breaker: -breaker.cost_us)
        lines = [_breaker_line(breaker, wording) for breaker in dearest if breaker.cost_us >= LEAST_COST_US]
    return tuple(dict.fromkeys(lines[:MOST_BLOCKERS]))


def _waits(result: Result, wording: Wording) -> tuple[str, ...]:
    phase = main_phase(result)
    gaps = step_figures(result, phase).gaps if phase else ()
    told = sorted((part for part in gaps if part.pct >= LEAST_WAIT_PCT), key=lambda part: -part.us)
    return tuple(_wait_line(part, wording) for part in told)


def _wait_line(part: Part, wording: Wording) -> str:
    return wording.say(
        _("{gap}: {time} per step, {share} of it"),
        gap=wording.region(part.key),
        time=wording.us(part.us),
        share=wording.percent(part.pct),
    )


def _gap_pct(result: Result, kind: str) -> float:
    phase = main_phase(result)
    gaps = step_figures(result, phase).gaps if phase else ()
    return sum(part.pct for part in gaps if part.key == kind)


def _breaker_line(breaker: Breaker, wording: Wording) -> str:
    sentence = (
        _("{op} cuts the scope {times} per layer and costs {cost} per step")
        if breaker.likelihood == "likely"
        else _("{op} may cut the scope {times} per layer, which would cost {cost} per step")
    )
    times = wording.times(breaker.cuts_per_layer)
    op = f"{clip(breaker.op_type, 60)}{wording.say(_(' ({meaning})'), meaning=wording.role(breaker.role))}"
    return wording.say(sentence, op=op, times=times, cost=wording.us(breaker.cost_us))


def _claim_words(claim: Claim, wording: Wording) -> str:
    """What the templates' rule gives at this share, and the row of their table that comes nearest, as it is printed."""
    return wording.say(
        _("{interval}; the published row: {low:g} to {high:g} %"),
        interval=wording.interval(claim.low_pct, claim.high_pct),
        low=claim.row_low_pct,
        high=claim.row_high_pct,
    )


def claim_line(template: Template, wording: Wording) -> str:
    """The claim as a range, or that there is none."""
    claim = template.claim
    return wording.interval(claim.low_pct, claim.high_pct) if claim else wording.say(_("no claim"))


def step_wall(result: Result) -> float | None:
    """Wall time of the step that the advice speaks of, us."""
    record = result.phases.get(result.phase)
    return record.wall_us if record else None
