"""In which order to try scopes: first the least one that shows that the toolchain builds, then the target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from skadvisor.advice.expected import expected_pct, expected_us
from skadvisor.records import NOISE_PCT, Template, Trial
from skadvisor.text.messages import Message, _


def order_trials(templates: Sequence[Template], target: Template, allowed: Sequence[Template]) -> tuple[Trial, ...]:
    """The scopes to try, in order. `allowed` are the templates that may be taken, the target among them.

    The smoke test is the scope of least effort that can be placed at all, whatever it wins. What wins more than the
    target but is riskier comes behind it, what is easier and still worthwhile is what to fall back to.
    """
    placeable = [one for one in templates if one.estimate is not None and one.verdict != "blocked"]
    least = min(placeable, key=lambda one: (one.effort, one.share), default=target)
    others = [one for one in allowed if one.name != target.name]
    wider = max((one for one in others if expected_us(one) > expected_us(target)), key=expected_us, default=None)
    easier = max((one for one in others if one.effort < target.effort), key=expected_us, default=None)
    trials = [_trial("smoke_test", least)] if least.name != target.name else []
    trials.append(_trial("target", target))
    if wider is not None:
        trials.append(_trial("wider", wider))
    if easier is not None and easier is not wider:
        trials.append(_trial("fallback", easier))
    return tuple(trials)


def _trial(purpose: str, template: Template) -> Trial:
    return Trial(
        purpose=purpose,  # type: ignore[arg-type]
        template=template.name,
        variant=template.variant,
        risk=template.risk,
        effort=template.effort,
        mid_pct=expected_pct(template),
    )


def say_order(trials: Sequence[Trial], target: Template) -> Iterator[Message]:
    """The order in words, with what has to be true first and where to look when it wins less than expected."""
    for finding in target.findings:
        if finding.check == "mode" and finding.status in ("warn", "unknown") and finding.remedy is not None:
            yield finding.remedy
    names = {trial.purpose: _name(trial) for trial in trials}
    if "smoke_test" in names:
        text = _("first {name}, one compile: does it build, and is the output the same? It need not win anything")
        yield Message(text, name=names["smoke_test"])
    yield Message(_("five baseline runs without SuperKernel, spread (CV) below 5 %"))
    yield Message(_("then {name}; compare outputs first, then three or more timed runs"), name=names["target"])
    if "wider" in names:
        yield Message(_("if it works, {name}"), name=names["wider"])
    if target.breakers and target.breakers[0].cost_us > 0:
        worst = target.breakers[0]
        yield Message(
            _("if it wins less than {low:.1f} %, look at {op} first ({us:.1f} us per step): {remedy}"),
            low=max(target.estimate.low_pct if target.estimate else 0.0, NOISE_PCT),
            op=worst.op_type,
            us=worst.cost_us,
            remedy=worst.remedy,
        )
    if "fallback" in names:
        yield Message(_("if it fails or is slower, {name}, else nothing"), name=names["fallback"])
    else:
        yield Message(_("if it fails or is slower, leave it off"))


def _name(trial: Trial) -> str:
    return f"{trial.template} {trial.variant.upper()}" if trial.variant else trial.template
