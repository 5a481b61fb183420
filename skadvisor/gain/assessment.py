"""Assess every template: share, claim, ceiling, estimate, fragments, breakers, findings, verdict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from skadvisor.accounting.representative import step_kernels
from skadvisor.accounting.situation import Situation
from skadvisor.accounting.timeline import Times
from skadvisor.fusion import Preview, check, exchanges_with_ranks, judge_step, preview_scope
from skadvisor.fusion.rules import Fusible
from skadvisor.fusion.templates import TemplateScope, template_scopes
from skadvisor.gain.bands import estimate, terms
from skadvisor.gain.capture_check import Rescaling, rescale
from skadvisor.gain.claim import published_claim
from skadvisor.gain.fragments import fragment_scopes, number_repetitions
from skadvisor.gain.interface import Draws, Scene
from skadvisor.gain.overhead import OverheadModel
from skadvisor.gain.replay import Constraints, read_constraints
from skadvisor.options import Options
from skadvisor.records import NOISE_PCT, Breaker, Estimate, Finding, Measured, Template, Verdict
from skadvisor.text.messages import Message, _
from skadvisor.units import NS_PER_US, us
from skadvisor.vocabulary.operators import load_vocabulary

#: How likely an operator is to fuse -> how likely it is to end a fragment.
BREAKS: dict[str, Literal["likely", "unlikely", "unknown"]] = {
    "likely": "unlikely",
    "unlikely": "likely",
    "unknown": "unknown",
}
#: Phases that a SuperKernel scope makes sense for.
FUSIBLE_PHASES = ("decode", "mixed")
NO_OPTIONS = Options()


@dataclass(frozen=True, eq=False)
class Assessment:
    """All templates, each variant a record of its own, the scene behind each (by name and variant), and the model."""

    templates: tuple[Template, ...] = ()
    scenes: Mapping[tuple[str, str], Scene] = field(default_factory=dict)
    model: OverheadModel = field(default_factory=OverheadModel)


def assess(labelled: pd.DataFrame, times: Times, situation: Situation, options: Options = NO_OPTIONS) -> Assessment:
    """Assess all templates on the representative step of `situation.phase`; empty where no scope can be placed at all.

    That is: training, or no step of a fusible phase. Where a graph without decoder layers runs, the whole graph and
    what repeats in it are assessed, in percent of its own time without the waits for the host. Of the options the
    ledger (the user's own outcomes, which refine the estimate) and the rules (files of the user, which come before
    ours) are used.
    """
    step = times.representative.get(situation.phase)
    if situation.training or situation.phase not in FUSIBLE_PHASES or step is None:
        return Assessment()
    kernels = step_kernels(labelled, times, step)
    scopes = template_scopes()
    if not situation.decoder_layers:
        if not situation.graph_alone or len(kernels.kernels) < 2:
            return Assessment()
        scopes, kernels = fragment_scopes(), number_repetitions(kernels)
    judged = judge_step(kernels, situation, options.rules)
    scale = rescale(times, step, situation)
    # What is saved before a wait is waited away; a graph alone is judged by its own time, whatever launches it next.
    waits = ("host", "wait") if situation.decoder_layers else ("wait",)
    held = times.gaps[(times.gaps["step"] == step) & times.gaps["kind"].isin(waits)]["after"].to_numpy()
    constraints = read_constraints(kernels.plain, held)
    collective = bool((kernels.plain.words("region") == "comm").any())
    waits_for_ranks = collective or exchanges_with_ranks(kernels.plain, load_vocabulary(options.operators))
    model, measured = _own_outcomes(options.ledger, situation)
    templates: list[Template] = []
    scenes: dict[tuple[str, str], Scene] = {}
    for scope in scopes:
        for variant in scope.variants:
            scene = make_scene(preview_scope(judged, variant), scale, constraints, situation, waits_for_ranks)
            templates.append(_assess_one(scope, scene, model.draw(scene), measured.get(scope.name)))
            scenes[scope.name, variant.name] = scene
    return Assessment(tuple(templates), scenes, model)


def reassess(assessed: Assessment, op_types: Collection[str], fusible: Fusible) -> tuple[Template, ...]:
    """The templates if kernels of these types had another verdict: estimate, chance and verdict; the rest stays."""
    return tuple(_reassess_one(template, assessed, op_types, fusible) for template in assessed.templates)


def _reassess_one(template: Template, assessed: Assessment, op_types: Collection[str], fusible: Fusible) -> Template:
    scene = assessed.scenes[template.name, template.variant]
    preview = scene.preview
    if template.estimate is None or not np.isin(preview.judged.op_type[preview.inside], list(op_types)).any():
        return template
    draws = assessed.model.draw(scene, op_types, fusible)
    found = estimate(draws, scene)
    verdict, reason = _verdict(scene, template.findings, found, None, template.measured)
    chance = round(_chance_above_noise(scene, draws), 4)
    return replace(template, estimate=found, chance_above_noise=chance, verdict=verdict, reason=reason)


def make_scene(
    found: Preview, scale: Rescaling, constraints: Constraints, situation: Situation, waits_for_ranks: bool
) -> Scene:
    """Everything that the gain model needs of one variant on one step."""
    step = found.judged.step
    in_scope = step.exposed.inside(found.inside) if found.inside.any() else 0
    wall_ns, gap_scale, basis = scale.wall_ns, scale.gap_scale, scale.basis
    return Scene(found, situation, wall_ns, float(in_scope), constraints, gap_scale, basis, waits_for_ranks)


def _own_outcomes(ledger: Path | None, situation: Situation) -> tuple[OverheadModel, Mapping[str, Measured]]:
    """What the user's ledger has to say: the model refitted to it, and what was measured on this very model."""
    if ledger is None:
        return OverheadModel(), {}
    from skadvisor.gain.ledger import Ledger
    from skadvisor.gain.refit import refit_model

    with Ledger.open(ledger) as opened:
        gains = {
            scope.name: opened.gains_pct(situation.model, situation.tokens, scope.name) for scope in template_scopes()
        }
        return refit_model(opened) or OverheadModel(), {
            name: _measured(found) for name, found in gains.items() if found
        }


def _measured(gains: Sequence[float]) -> Measured:
    return Measured(
        runs=len(gains),
        low_pct=round(min(gains), 3),
        mid_pct=round(float(np.median(gains)), 3),
        high_pct=round(max(gains), 3),
    )


def _assess_one(scope: TemplateScope, scene: Scene, draws: Draws, measured: Measured | None) -> Template:
    situation = scene.situation
    share = min(scene.in_scope_ns / scene.wall_ns, 1.0) if scene.wall_ns else 0.0
    findings = check(situation, scene.preview)
    refused = _not_applicable(scope, scene, situation)
    found = None if refused else estimate(draws, scene)
    verdict, reason = _verdict(scene, findings, found, refused, measured)
    return Template(
        name=scope.name,
        variant=scene.preview.variant.name,
        risk=scope.risk,
        effort=scope.effort,
        share=round(share, 6),
        in_scope_us=us(scene.in_scope_ns),
        claim=None if refused else published_claim(scope.name, share, situation.moe),
        ceiling_us=None if refused else round(draws.ceiling_us, 3),
        estimate=found,
        chance_above_noise=None if refused else round(_chance_above_noise(scene, draws), 4),
        measured=measured,
        terms={} if refused else terms(draws),
        fragments=None if refused else scene.preview.fragments,
        breakers=() if refused else _breakers(scene, draws),
        findings=findings,
        verdict=verdict,
        reason=reason,
        features={} if refused else _features(scene, draws),
    )


def _chance_above_noise(scene: Scene, draws: Draws) -> float:
    """The part of the draws in which the step gains more than the noise floor."""
    return float(np.mean(100 * NS_PER_US * draws.saving_us > NOISE_PCT * scene.wall_ns))


def _features(scene: Scene, draws: Draws) -> dict[str, float]:
    """What a ledger keeps to learn from; see `population.Observation`."""
    overhead = 100 * draws.overhead_us * NS_PER_US / scene.wall_ns if scene.wall_ns else 0.0
    return {
        "overhead_pct": round(overhead, 6),
        "step": float(scene.level == "step"),
        "shared": float(scene.waits_for_ranks),
    }


def _not_applicable(scope: TemplateScope, scene: Scene, situation: Situation) -> Message | None:
    if scope.needs == "moe" and not situation.moe:
        return Message(_("the model has no mixture-of-experts layers"))
    kind = situation.graph_kind
    # An ACL graph of a net alone can be compiled by npugraph_ex as well.
    alone = scene.level == "block" and kind == "acl_graph"
    if scope.graph_kinds and kind is not None and kind not in scope.graph_kinds and not alone:
        return Message(
            _("only {kinds} fuses without scopes; this capture is {kind}"), kinds=scope.graph_kinds[0], kind=kind
        )
    if not scene.preview.inside.any():
        return Message(_("no kernel of this step lies in the scope"))
    return None


def _verdict(
    scene: Scene,
    findings: tuple[Finding, ...],
    found: Estimate | None,
    refused: Message | None,
    measured: Measured | None,
) -> tuple[Verdict, Message]:
    if refused is not None or found is None:
        return "not_applicable", refused or Message(_("nothing to assess"))
    blocking = next((finding for finding in findings if finding.status == "block"), None)
    if blocking is not None:
        return "blocked", Message(_("not possible as captured: {why}"), why=blocking.message)
    # What was measured on this very model decides, whatever the forecast says.
    decides = measured or found
    verdict: Verdict = "worthwhile" if decides.mid_pct >= NOISE_PCT else "within_noise"
    if measured is not None:
        text = _("measured here: {mid:.1f} % of the step in {runs} runs ({low:.1f} to {high:.1f})")
    elif verdict == "within_noise":
        text = _(
            "within noise: {mid:.1f} % of the step ({low:.1f} to {high:.1f}), below the noise floor of {floor:g} %"
        )
    else:
        text = _("about {us:.0f} us, {mid:.1f} % of the step ({low:.1f} to {high:.1f}): {where}")
    return verdict, Message(
        text,
        low=decides.low_pct,
        mid=decides.mid_pct,
        high=decides.high_pct,
        us=found.mid_us,
        runs=measured.runs if measured else 0,
        where=Message(scene.preview.variant.where),
        floor=NOISE_PCT,
    )


def _breakers(scene: Scene, draws: Draws) -> tuple[Breaker, ...]:
    layers = max(scene.preview.layers, 1)
    found = [
        Breaker(
            op_type=cut.op_type,
            role=cut.role,
            cuts_per_layer=round(cut.cuts / layers, 3),
            cuts_per_step=cut.cuts,
            cost_us=round(cost, 3),
            likelihood=BREAKS[cut.judgement.fusible],
            reason=cut.judgement.reason,
            source=cut.judgement.source,
            remedy=cut.judgement.remedy,
        )
        for cut, cost in zip(scene.preview.cuts, draws.price_breakers(), strict=True)
    ]
    # an operator type is taken out or swapped as a whole, so types come by what they cost over all their roles
    by_type: dict[str, float] = defaultdict(float)
    for breaker in found:
        by_type[breaker.op_type] += breaker.cost_us
    return tuple(sorted(found, key=lambda one: (-by_type[one.op_type], one.op_type, -one.cost_us, one.role)))
