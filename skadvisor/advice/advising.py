"""The advice as one: the choice, what it hangs on, and what to find out first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from skadvisor.accounting.situation import Situation
from skadvisor.accounting.timeline import Times
from skadvisor.advice.choice import recommend
from skadvisor.advice.dependence import find_dependences, say_dependence
from skadvisor.advice.experiment import choose_experiment
from skadvisor.gain import Assessment
from skadvisor.gain.outcomes import base_rate
from skadvisor.options import Risk
from skadvisor.records import BaseRate, Experiment, LabelQuality, Recommendation, Template
from skadvisor.text.messages import Message, _

#: So many of the things that the choice hangs on are said; all are in the records.
MOST_SAID = 3
#: A gain of a whole step that few have measured, percent.
MANY_PCT = 2.5


def advise(
    assessed: Assessment,
    situation: Situation,
    times: Times,
    labels: LabelQuality,
    risk: Risk,
    assess_under: Callable[[Situation], Assessment],
) -> Recommendation:
    """The recommendation with what it hangs on; `assess_under` assesses the capture under other facts."""

    def choose(templates: Sequence[Template]) -> Recommendation:
        return recommend(templates, situation, times, risk=risk, labels=labels)

    advised = choose(assessed.templates)
    hangs_on = find_dependences(assessed, situation, advised, choose, assess_under)
    has_pmu = any(scene.step.kernels[["aic_ns", "aiv_ns"]].notna().any(axis=None) for scene in assessed.scenes.values())
    experiment = choose_experiment(hangs_on, has_pmu=has_pmu, has_probe=assessed.model.machine is not None)
    rate = base_rate() if advised.confidence is not None else None
    said = advised.robustness if rate is None else (*advised.robustness, _say_base_rate(rate))
    return replace(
        advised,
        base_rate=rate,
        hangs_on=hangs_on,
        experiment=experiment,
        next=advised.next if experiment is None else (_say_first(experiment), *advised.next),
        robustness=(*(say_dependence(one) for one in hangs_on[:MOST_SAID]), *said),
    )


def _say_base_rate(rate: BaseRate) -> Message:
    return Message(
        _("of {count} public pairs of whole steps the median gained {median:.1f} %, and {above} more than {many:g} %"),
        count=len(rate.step_pct),
        median=rate.median_pct,
        above=rate.above(MANY_PCT),
        many=MANY_PCT,
    )


def _say_first(experiment: Experiment) -> Message:
    return Message(
        _("do this first: {what}; it settles {share:.0%} of the doubt"),
        what=experiment.message,
        share=experiment.settles,
    )
