"""Effects that the sample builder plants, against the interval, the chance and the choice.

Each seed plants its own saving per boundary that vanishes, drawn from the published range (0.4 to 5 us), and the
builder's compiler cuts by its own rules. Labels are the builder's truth, so that only the gain is judged. What a
boundary saves shows in no capture.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sample_builder import catalogue
from sample_builder.build import build
from sample_builder.superkernel import FusionRules
from small_tables import step_table

from skadvisor import analyze, gain
from skadvisor.accounting import timeline
from skadvisor.accounting.situation import Situation
from skadvisor.advice import choice
from skadvisor.events import LABEL_COLUMNS
from skadvisor.files.data_files import read_toml

pytestmark = pytest.mark.slow

SEEDS = 50
LAYERS = 5
NOISE_PCT = 2.0
#: What a boundary that vanishes saves: the published range, taken as the central 95 %.
SAVING_US = (0.4, 5.0)
PUBLISHED = ("attention-only", "moe-only", "full-model", "none")
#: BF16 products cut every scope on A3, so half of the dense models are quantised.
MODELS = (
    replace(catalogue.QWEN2_5_7B, quantisation="w8a8"),
    replace(catalogue.QWEN3_8B, quantisation="w8a8"),
    catalogue.LLAMA_3_1_8B,
    catalogue.QWEN3_30B_A3B,
    catalogue.DEEPSEEK_V3,
    catalogue.DEEPSEEK_V3_2,
    catalogue.MIXTRAL_8X7B,
    catalogue.QWEN3_32B_W8A8,
    catalogue.GLM_4_5_AIR,
    catalogue.LONGCAT_FLASH,
)


def labelled_by_truth(built):
    labelled = built.capture.kernels.copy()
    for name, (dtype, _) in LABEL_COLUMNS.items():
        if name in built.truth:
            labelled[name] = built.truth[name].astype("object").astype(dtype)
    labelled["confidence"], labelled["evidence"] = 1.0, "truth"
    return labelled


def assess_planted(seed):
    random = np.random.default_rng([seed, 7])
    low_us, high_us = SAVING_US
    middle, sigma = np.log(low_us * high_us) / 2, np.log(high_us / low_us) / 3.92
    saving_us = np.clip(random.lognormal(middle, sigma), low_us, high_us)
    rules = FusionRules(saving_ns=round(1000 * saving_us))
    model = replace(MODELS[seed % len(MODELS)], layers=LAYERS)
    built = build(model, phases=("decode",), steps=1, seed=seed, rules=rules, pmu=bool(seed % 2))
    labelled = labelled_by_truth(built)
    steps = step_table(labelled)
    times = timeline.measure(labelled, steps)
    kinds = Counter(labelled.drop_duplicates("layer")["layer_kind"].dropna())
    situation = Situation(
        mode="graph",
        phase="decode",
        graph_kind="ge_graph",
        decoder_layers=LAYERS,
        layer_kinds=dict(kinds),
        hardware="A3",
        cann="8.3.RC1",
    )
    templates = gain.assess(labelled, times, situation).templates
    return built.planted, templates, partial(choice.recommend, templates, situation, times)


@pytest.fixture(scope="module")
def planted():
    return [assess_planted(seed) for seed in range(SEEDS)]


def effects_of(truth):
    """What each template would win, percent of the step; nothing wins nothing."""
    return {name: effect["saving_pct"] for name, effect in truth["templates"].items()} | {"none": 0.0}


def clear_best(effects):
    """The published placement that leads every other, and nothing, by more than the noise; None without one."""
    published = {name: effect for name, effect in effects.items() if name in PUBLISHED}
    best, second = sorted(published, key=published.get, reverse=True)[:2]
    return best if best != "none" and published[best] - published[second] > NOISE_PCT else None


def near(chosen, best, truth):
    """Whether a placement wins as much as the best, but for the noise; one scope per layer can replace one for all."""
    effects = effects_of(truth)
    return effects[best] - effects[chosen] <= NOISE_PCT


def estimated(planted):
    """Pairs of template and planted gain, percent of the step, wherever there is an estimate."""
    return [
        (template, effects_of(truth)[template.name])
        for truth, templates, _ in planted
        for template in templates
        if template.estimate is not None and template.name in truth["templates"]
    ]


def test_the_interval_holds_the_planted_effect_in_most_seeds_and_is_narrow(planted):
    pairs = estimated(planted)
    inside = [template.estimate.low_pct <= effect <= template.estimate.high_pct for template, effect in pairs]
    widths = [template.estimate.high_pct - template.estimate.low_pct for template, _ in pairs]
    assert len(pairs) >= 3 * SEEDS
    assert np.mean(inside) >= 0.8
    assert np.median(widths) <= 6.0


def test_the_chance_above_the_noise_is_calibrated_and_better_than_a_constant(planted):
    chance, above = np.array([(t.chance_above_noise, effect > NOISE_PCT) for t, effect in estimated(planted)]).T
    brier, constant = np.mean((chance - above) ** 2), above.mean() * (1 - above.mean())
    bins = [(chance >= low) & (chance < low + 0.25) for low in (0.0, 0.25, 0.5, 0.75)]
    reliability = [(int(rows.sum()), chance[rows].mean(), above[rows].mean()) for rows in bins if rows.any()]
    print(f"Brier {brier:.3f}, constant {constant:.3f}; reliability (templates, stated, seen):", reliability)
    assert brier < 0.8 * constant
    assert all(abs(stated - seen) < 0.2 for count, stated, seen in reliability if count >= 20)


def test_what_is_recommended_wins_and_what_wins_is_not_refused(planted):
    chosen = [effects_of(truth)[choice] for truth, _, recommend in planted if (choice := recommend().choice) != "none"]
    refused = [
        recommend().choice == "none" for truth, _, recommend in planted if max(effects_of(truth).values()) >= 3.0
    ]
    assert len(chosen) >= 10 and np.mean(np.array(chosen) < 1.0) <= 0.1
    assert len(refused) >= 5 and np.mean(refused) <= 0.2


def test_scopes_that_breakers_cut_into_single_kernels_are_never_recommended(planted):
    cut = [
        (recommend().choice, templates)
        for truth, templates, recommend in planted
        if not any(effect["boundaries_removed"] for effect in truth["templates"].values())
    ]
    assert len(cut) >= 5
    for choice_, templates in cut:
        assert choice_ == "none"
        assert all(template.chance_above_noise < 0.05 for template in templates if template.estimate is not None)


def test_the_ceiling_is_never_below_the_planted_effect(planted):
    for truth, templates, _ in planted:
        for template in templates:
            effect = truth["templates"].get(template.name)
            if effect is not None and template.ceiling_us is not None:
                assert effect["saving_us"] <= template.ceiling_us + 0.5


def test_with_any_saving_the_best_comes_first_wherever_it_leads_by_more_than_the_noise(planted):
    """Where the saving is far above the centre, which no capture shows, a refusal still names the right template."""
    led = 0
    for truth, _, recommend in planted:
        best = clear_best(effects_of(truth))
        if best is not None:
            led += 1
            usual = recommend()
            assert near(usual.runner_up if usual.choice == "none" else usual.choice, best, truth)
            assert near(recommend(risk="high").choice, best, truth)
    assert led >= 5


def test_where_a_template_is_chosen_no_other_leads_it_by_more_than_the_noise(planted):
    chosen, easy_would_fail = 0, 0
    for truth, _, recommend in planted:
        effects, choice = effects_of(truth), recommend().choice
        if choice != "none":
            chosen += 1
            easy_would_fail += max(effects.values()) - effects["attention-only"] > NOISE_PCT
            assert max(effects.values()) - effects[choice] <= NOISE_PCT
    assert chosen >= 10 and easy_would_fail >= 3


def test_the_expected_boundaries_are_near_those_that_vanished(planted):
    for truth, templates, _ in planted:
        for template in templates:
            effect = truth["templates"].get(template.name)
            if template.name == "per-block" and effect is not None:
                assert template.fragments.boundaries_removed >= effect["boundaries_removed"]
                assert effect["boundaries_removed"] >= 0.5 * template.fragments.boundaries_removed


def shipped_samples():
    profiles = Path(__file__).resolve().parents[1] / "profiles"
    return sorted(path.parent for path in profiles.glob("*/manifest.toml") if "planted" in read_toml(path))


@pytest.mark.parametrize("sample", shipped_samples(), ids=lambda path: path.name)
def test_shipped_samples_hold_their_planted_effects_with_our_own_labels(sample):
    manifest = read_toml(sample / "manifest.toml")
    if manifest.get("super_kernel", "none") != "none" or manifest.get("ranks", 1) > 1:
        pytest.skip("no single baseline")
    result = analyze(sample).result
    effects = manifest["planted"]["templates"]
    for template in result.templates:
        if template.name in effects and template.estimate is not None:
            planted = effects[template.name]["saving_us"]
            assert template.estimate.low_us <= planted <= template.estimate.high_us, template.name
