"""What the advice hangs on: operator types, facts and priors that would flip the choice if they were otherwise."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from skadvisor.advice.expected import chance_above_noise, expected_pct, expected_us
from skadvisor.gain import Assessment, reassess
from skadvisor.gain.stated_priors import chances_to_fuse
from skadvisor.records import NOISE_PCT, Dependence, Recommendation, Template, find_template
from skadvisor.text.messages import Message, _
from skadvisor.units import NS_PER_US

if TYPE_CHECKING:
    from skadvisor.accounting.situation import Situation
    from skadvisor.fusion import Preview
    from skadvisor.fusion.rules import Fusible, Judgement

#: Verdicts that nothing could change: the kernel ran on the AI CPU.
CERTAIN_REASONS = frozenset({"DEFAULT_NODE"})
#: So many operator types, those at most boundaries first, are turned over; the others lie at too few to matter.
MOST_OPERATORS = 12
#: What a verdict moves is taken so many times before it is said that it cannot flip the choice.
SLACK = 2.0
#: The families of chips that have SuperKernel at all.
FUSING_CHIPS = ("A2", "A3", "950")
#: The chance that a condition does not hold of which nobody said anything.
UNKNOWN_FACT = 0.5

Choose = Callable[[Sequence[Template]], Recommendation]
#: The templates if something were otherwise, and what makes the record of that, given the choice that it becomes.
_Change = tuple[Sequence[Template], Callable[..., Dependence]]


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
    if advised.confidence is None or not assessed.scenes:
        return ()
    found = list(_saving(assessed.templates, advised))
    changes = (_operators(assessed, advised), _facts(assessed, situation), _chips(assessed, situation, assess_under))
    for templates, dependence in itertools.chain(*changes):
        becomes = choose(templates).choice
        if _flips(templates, advised, becomes):
            found.append(dependence(becomes=becomes))
    return tuple(sorted(found, key=lambda one: (-one.chance, one.name, one.otherwise)))


def _operators(assessed: Assessment, advised: Recommendation) -> Iterator[_Change]:
    for op_type, judgement in _judged_types(assessed).items():
        given = judgement.fusible
        for otherwise, chance in _other_verdicts(judgement):
            if _may_flip(assessed, advised, op_type, otherwise):
                yield (
                    reassess(assessed, {op_type}, otherwise),
                    partial(Dependence, kind="operator", name=op_type, given=given, otherwise=otherwise, chance=chance),
                )


def _judged_types(assessed: Assessment) -> dict[str, Judgement]:
    """The operator types of the widest scope with their verdicts, those at most boundaries first."""
    widest = max((scene.preview for scene in assessed.scenes.values()), key=lambda one: one.fragments.kernels)
    judged = widest.judged
    open_ = widest.inside & ~np.isin(judged.reason, tuple(CERTAIN_REASONS))
    verdicts = {judged.op_type[row]: judged.judgements[row] for row in np.flatnonzero(open_).tolist()}
    counts = Counter(judged.op_type[open_].tolist())
    return {name: verdicts[name] for name, _count in counts.most_common(MOST_OPERATORS)}


def _other_verdicts(judgement: Judgement) -> list[tuple[Fusible, float]]:
    """The verdicts that an operator could have instead, each with its chance, from the chances that it fuses."""
    chances = chances_to_fuse(judgement.verdicts)
    fuses = sum(chances) / len(chances)
    others: list[tuple[Fusible, float]] = [("likely", fuses), ("unlikely", 1.0 - fuses)]
    return [(verdict, chance) for verdict, chance in others if verdict != judgement.fusible]


def _may_flip(assessed: Assessment, advised: Recommendation, op_type: str, otherwise: Fusible) -> bool:
    """Whether another verdict could matter at all: what it moves, with slack, against the choice and the noise."""
    lives = [template for template in assessed.templates if template.estimate is not None]
    moved = SLACK * max((_moved_pct(assessed, one, op_type, otherwise) for one in lives), default=0.0)
    best = max((expected_pct(one) for one in lives), default=0.0)
    if advised.choice == "none":
        return otherwise == "likely" and best + moved >= NOISE_PCT
    chosen = find_template(lives, advised.choice, advised.variant)
    falls = otherwise == "unlikely" and chosen is not None and expected_pct(chosen) - moved < NOISE_PCT
    return falls or moved > NOISE_PCT


def _moved_pct(assessed: Assessment, template: Template, op_type: str, otherwise: Fusible) -> float:
    """About how much the estimate would move, percent of the step: a breaker's cost, or its part of what is won."""
    scene = assessed.scenes[template.name, template.variant]
    if otherwise == "likely":
        cost_us = sum(one.cost_us for one in template.breakers if one.op_type == op_type)
        return 100 * NS_PER_US * cost_us / scene.wall_ns if scene.wall_ns else 0.0
    mine = scene.preview.judged.op_type == op_type
    before, after = scene.preview.joined
    part = float((mine[after] | mine[before]).sum()) / max(len(after), 1)
    return max(expected_pct(template), 0.0) * part


def _facts(assessed: Assessment, situation: Situation) -> Iterator[_Change]:
    """Conditions of rules that nobody told: where they do not hold, the operators that need them do not fuse."""
    needing: dict[str, set[str]] = {}
    for scene in assessed.scenes.values():
        judged, inside = scene.preview.judged, scene.preview.inside
        for name, op_type in set(zip(judged.needs[inside].tolist(), judged.op_type[inside].tolist(), strict=True)):
            if name is not None:
                needing.setdefault(name, set()).add(op_type)
    for name, op_types in sorted(needing.items()):
        if situation.conditions.get(name) is None:
            yield (
                reassess(assessed, op_types, "unlikely"),
                partial(Dependence, kind="fact", name=name, given="unknown", otherwise="no", chance=UNKNOWN_FACT),
            )


def _chips(
    assessed: Assessment, situation: Situation, assess_under: Callable[[Situation], Assessment]
) -> Iterator[_Change]:
    """The families of chips that are left, where the capture does not tell and some verdict in scope depends on it."""
    if not any(_hangs_on_chip(scene.preview) for scene in assessed.scenes.values()):
        return
    left = FUSING_CHIPS if situation.hardware == "unknown" else tuple(situation.hardware.split("/"))
    for family in left:
        given, chance = situation.hardware, round(1.0 / len(left), 4)
        yield (
            assess_under(replace(situation, hardware=family)).templates,
            partial(Dependence, kind="fact", name="hardware", given=given, otherwise=family, chance=chance),
        )


def _hangs_on_chip(preview: Preview) -> bool:
    judgements = preview.judged.judgements
    return any("hardware" in judgements[row].depends_on for row in np.flatnonzero(preview.inside).tolist())


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
        ("fact", "no"): _("flips to {becomes} if {name} does not hold"),
        ("prior", "less"): _("flips to {becomes} if a task boundary saves less than assumed (chance {chance:.0%})"),
        ("prior", "more"): _("flips to {becomes} if a task boundary saves more than assumed (chance {chance:.0%})"),
    }
    on_chip = _("flips to {becomes} on {otherwise}: the capture does not tell the chip")
    sentence = on_chip if one.name == "hardware" else sentences[one.kind, one.otherwise]
    becomes = Message(_("none")) if one.becomes == "none" else one.becomes
    return Message(sentence, becomes=becomes, name=one.name, otherwise=one.otherwise, chance=one.chance)
