"""What the advice hangs on: operator types, facts and priors that would flip the choice if they were otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from skadvisor.advice.expected import chance_above_noise, expected_pct, expected_us
from skadvisor.gain import Assessment, reassess
from skadvisor.gain.interface import priors
from skadvisor.records import NOISE_PCT, Dependence, Recommendation, Template, find_template
from skadvisor.text.messages import Message, _

if TYPE_CHECKING:
    from skadvisor.accounting.situation import Situation
    from skadvisor.fusion.rules import Fusible

#: Verdicts that nothing could change: the kernel ran on the AI CPU.
CERTAIN_REASONS = frozenset({"DEFAULT_NODE"})
#: So many operator types, those at most boundaries first, are turned over; the others lie at too few to matter.
MOST_OPERATORS = 12

Choose = Callable[[Sequence[Template]], Recommendation]


def find_dependences(
    assessed: Assessment,
    situation: Situation,
    advised: Recommendation,
    choose: Choose,
    assess_under: Callable[[Situation], Assessment],
) -> tuple[Dependence, ...]:
    """What would flip the choice, the likeliest first; empty where a plain fact of the capture decides.

    `choose` gives the recommendation for other templates, `assess_under` assesses the capture under other facts.
    """
    if advised.confidence is None:
        return ()
    found = [*_operators(assessed, advised, choose), *_facts(assessed, situation, advised, choose, assess_under)]
    found += _saving(assessed.templates, advised)
    return tuple(sorted(found, key=lambda one: (-one.chance, one.name, one.otherwise)))


def _operators(assessed: Assessment, advised: Recommendation, choose: Choose) -> Iterator[Dependence]:
    for op_type, given in _judged_types(assessed).items():
        for otherwise, chance in _other_verdicts(given):
            templates = reassess(assessed, op_type, otherwise)
            becomes = choose(templates).choice
            if _flips(templates, advised, becomes):
                yield Dependence(
                    kind="operator", name=op_type, given=given, otherwise=otherwise, becomes=becomes, chance=chance
                )


def _judged_types(assessed: Assessment) -> dict[str, Fusible]:
    """The operator types of the widest scope with their verdicts, those at most boundaries first."""
    widest = max((scene.preview for scene in assessed.scenes.values()), key=lambda one: one.fragments.kernels)
    table = widest.kernels[(widest.kernels["scope"] >= 0) & ~widest.kernels["reason"].isin(CERTAIN_REASONS)]
    counts = table["op_type"].value_counts(sort=True)
    verdicts = dict(zip(table["op_type"], table["fusible"], strict=True))
    return {str(name): verdicts[name] for name in list(counts.index)[:MOST_OPERATORS]}


def _other_verdicts(given: Fusible) -> list[tuple[Fusible, float]]:
    """The verdicts that an operator could have instead, each with its chance, from the chances that it fuses."""
    fuses = priors()["fuses"]
    if given == "likely":
        return [("unlikely", 1.0 - fuses["likely"])]
    if given == "unlikely":
        return [("likely", fuses["unlikely"])]
    return [("likely", fuses["unknown"]), ("unlikely", 1.0 - fuses["unknown"])]


def _facts(
    assessed: Assessment,
    situation: Situation,
    advised: Recommendation,
    choose: Choose,
    assess_under: Callable[[Situation], Assessment],
) -> Iterator[Dependence]:
    """Facts that the capture does not tell and that some verdict in scope needs."""
    needed = {need for scene in assessed.scenes.values() for need in scene.preview.kernels["needs"].dropna()}
    for name in ("tiling_sink", "aiv_expansion"):
        if name in needed and getattr(situation, name) is None:
            for value in (True, False):
                templates = assess_under(_under(situation, name, value)).templates
                becomes = choose(templates).choice
                if _flips(templates, advised, becomes):
                    yield Dependence(
                        kind="fact",
                        name=name,
                        given="unknown",
                        otherwise="yes" if value else "no",
                        becomes=becomes,
                        chance=0.5,
                    )


def _under(situation: Situation, name: str, value: bool) -> Situation:
    if name == "tiling_sink":
        return replace(situation, tiling_sink=value)
    return replace(situation, aiv_expansion=value)


def _flips(templates: Sequence[Template], advised: Recommendation, becomes: str) -> bool:
    """Whether another choice would follow that wins more than today's by what anyone can tell."""
    if becomes == advised.choice:
        return False
    today, then = find_template(templates, advised.choice), find_template(templates, becomes)
    if today is None or then is None:
        return True
    return today.verdict != "worthwhile" or abs(expected_pct(then) - expected_pct(today)) > NOISE_PCT


def _saving(templates: Sequence[Template], advised: Recommendation) -> Iterator[Dependence]:
    """What a boundary wins shows in no capture: the chance that it is so little, or so much, that the choice flips."""
    assessed = [one for one in templates if one.estimate is not None and one.verdict != "blocked"]
    chosen = [one for one in assessed if (one.name, one.variant) == (advised.choice, advised.variant)]
    best = max(chosen or assessed, key=expected_us, default=None)
    if best is None or best.measured is not None:
        return
    above = chance_above_noise(best)
    lower, chance = ("less", 1.0 - above) if chosen else ("more", above)
    becomes = "none" if chosen else best.name
    if chance > 0:
        yield Dependence(
            kind="prior", name="saving", given="middle", otherwise=lower, becomes=becomes, chance=round(chance, 4)
        )


def say_dependence(one: Dependence) -> Message:
    """What the choice hangs on, in words."""
    sentences = {
        ("operator", "unlikely"): _("flips to {becomes} if {name} does not fuse (chance {chance:.0%})"),
        ("operator", "likely"): _("flips to {becomes} if {name} fuses after all (chance {chance:.0%})"),
        ("fact", "yes"): _("flips to {becomes} if {name} holds"),
        ("fact", "no"): _("flips to {becomes} if {name} does not hold"),
        ("prior", "less"): _("flips to {becomes} if a boundary wins less than assumed (chance {chance:.0%})"),
        ("prior", "more"): _("flips to {becomes} if a boundary wins more than assumed (chance {chance:.0%})"),
    }
    return Message(sentences[one.kind, one.otherwise], becomes=one.becomes, name=one.name, chance=one.chance)
