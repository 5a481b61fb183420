"""Effects that the sample builder plants, against the interval and the choice.

Each seed plants its own saving per boundary, drawn from the published range (0.5 to 6 us, centre 2), and the
builder's compiler cuts by its own rules. Labels are the builder's truth, so that only the estimate is judged.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sample_builder import catalogue
from sample_builder.build import build
from sample_builder.superkernel import FusionRules
from small_tables import step_table

from skadvisor import advice, analyze, gain, timeline
from skadvisor.datafiles import read_toml
from skadvisor.events import LABEL_COLUMNS
from skadvisor.situation import Situation

SEEDS = 50
LAYERS = 5
NOISE_PCT = 2.0
MODELS = (
    catalogue.QWEN2_5_7B,
    catalogue.QWEN3_8B,
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


def assess_planted(seed, saving_us=None):
    random = np.random.default_rng(seed)
    drawn_us = float(np.clip(random.lognormal(np.log(2.0), np.log(12) / 3.92), 0.5, 6.0))
    rules = FusionRules(saving_ns=round(1000 * (saving_us or drawn_us)))
    model = replace(MODELS[seed % len(MODELS)], layers=LAYERS)
    built = build(model, phases=("decode",), steps=1, seed=seed, rules=rules, pmu=bool(seed % 2))
    labelled = labelled_by_truth(built)
    steps = step_table(labelled)
    times = timeline.measure(labelled, steps)
    kinds = Counter(labelled.drop_duplicates("layer")["layer_kind"].dropna())
    situation = Situation(
        mode="graph", phase="decode", graph_kind="ge_graph", decoder_layers=LAYERS, layer_kinds=dict(kinds)
    )
    templates = gain.assess(labelled, steps, times, situation)
    return built.planted, templates, advice.recommend(templates, situation, times)


@pytest.fixture(scope="module")
def planted():
    return [assess_planted(seed) for seed in range(SEEDS)]


def test_the_interval_holds_the_planted_effect_in_most_seeds(planted):
    inside = []
    for truth, templates, _ in planted:
        for template in templates:
            effect = truth["templates"].get(template.name)
            if effect is not None and template.estimate is not None:
                inside.append(template.estimate.low_us <= effect["saving_us"] <= template.estimate.high_us)
    assert len(inside) >= 3 * SEEDS
    assert np.mean(inside) >= 0.8


def test_the_ceiling_is_never_below_the_planted_effect(planted):
    for truth, templates, _ in planted:
        for template in templates:
            effect = truth["templates"].get(template.name)
            if effect is not None and template.ceiling_us is not None:
                assert effect["saving_us"] <= template.ceiling_us + 0.5


def test_where_a_template_is_chosen_no_other_leads_it_by_more_than_the_noise(planted):
    """Seeds with little on average and much by luck are told "none": nobody can know their saving beforehand."""
    chosen, easy_would_fail = 0, 0
    for truth, _, recommendation in planted:
        effects = {name: effect["saving_pct"] for name, effect in truth["templates"].items()}
        if recommendation.choice != "none":
            chosen += 1
            easy_would_fail += max(effects.values()) - effects["attention-only"] > NOISE_PCT
            assert max(effects.values()) - effects[recommendation.choice] <= NOISE_PCT
    assert chosen >= 10 and easy_would_fail >= 3


def test_at_the_centre_of_the_range_what_is_worth_it_is_recommended():
    worth_it = 0
    for seed in (1, 3, 6, 7):
        truth, _, recommendation = assess_planted(seed, saving_us=2.0)
        effects = {name: effect["saving_pct"] for name, effect in truth["templates"].items()}
        if max(effects.values()) > 1.5 * NOISE_PCT:
            worth_it += 1
            assert effects[recommendation.choice] >= 2 / 3 * max(effects.values())
        elif max(effects.values()) < NOISE_PCT / 2:
            assert recommendation.choice == "none"
    assert worth_it >= 2


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
