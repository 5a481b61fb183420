"""Learned scores of unknown operators: what they add on captures of another builder, and how sure they are."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import train_labels
from conftest import captures
from deployments.catalogue import built
from label_scores import score
from label_variants import build_variant, rename_by_vocabulary
from sample_builder.build import BuiltCapture
from sample_builder.catalogue import build_entry
from sample_builder.perturb import level0
from sample_builder.renaming import renamed
from unknown_names import BENCHMARK_NAMES, SPECIFIC_ROLES, TRAINING_NAMES

from skadvisor.labelling import learning
from skadvisor.labelling.class_table import Classes, classify
from skadvisor.labelling.labels import label
from skadvisor.labelling.structure import find_structure
from skadvisor.vocabulary.names import base_operator
from skadvisor.vocabulary.operators import load_vocabulary
from skadvisor.vocabulary.states import STATES, State

pytestmark = pytest.mark.slow

VOCABULARY = load_vocabulary()
#: Captures that tests/deployments/variants.py writes down by itself, and the names that a renamed form keeps.
FOREIGN = (
    "moe-one-kernel",
    "moe-unfused-loop",
    "some-shapes",
    "mla",
    "hybrid-delta",
    "swish-mul",
    "batches",
    "cut-in-moe",
)


@cache
def classes_of(architecture: str, variant: str) -> tuple[Classes, pd.DataFrame]:
    kernels = build_variant(architecture, variant).capture.kernels
    return classify(kernels, VOCABULARY), kernels


@cache
def held_out(family: str) -> tuple[learning.Model, pd.DataFrame]:
    """A model that has seen no architecture of this family, and the family's examples."""
    table = train_labels.read_examples()
    held = table["family"] == family
    return train_labels.fit(table[~held]), table[held]


def accuracy(recorded: BuiltCapture, weight: float) -> float:
    with mock.patch.object(learning, "WEIGHT", weight):
        return score(recorded, label(recorded.capture, VOCABULARY)).time_accuracy


def test_examples_are_many_small_and_of_every_state() -> None:
    table = train_labels.read_examples()
    assert train_labels.EXAMPLES.stat().st_size < 1_000_000
    assert list(table.columns) == ["family", "name", "facts", "group", "weight"]
    assert table["family"].nunique() >= 10
    assert set(table["group"]) == set(learning.GROUPS)
    assert not table.duplicated(["family", "name", "facts", "group"]).any()
    assert table["weight"].between(0.01, 2.0).all()


def test_every_state_is_learned_in_one_group() -> None:
    states = [state for group in learning.GROUPS.values() for state in group]
    assert len(states) == len(set(states))
    assert set(State) - set(states) == {State.WHOLE_LAYER}


def test_same_catalogue_same_examples() -> None:
    one, two = (train_labels.make_examples(["qwen3-8b-ge"]) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)
    assert set(one["family"]) == {"qwen3-8b"}
    assert one.groupby("group")["weight"].sum().min() > 0


def test_same_examples_same_model() -> None:
    table = train_labels.read_examples()
    part = table[table["family"].isin(["qwen3-8b", "mixtral-8x7b"])]
    shown = train_labels.pairs(part.head(50))
    np.testing.assert_array_equal(train_labels.fit(part).log_odds(shown), train_labels.fit(part).log_odds(shown))


def test_what_ships_is_what_the_examples_teach() -> None:
    """The kept arrays are those of a fresh fit, and say by themselves what scikit-learn's pipeline says."""
    table = train_labels.read_examples()
    fresh, shipped = train_labels.fit(table), learning.Model.read()
    for name in ("groups", "letters", "facts"):
        np.testing.assert_array_equal(getattr(shipped, name), getattr(fresh, name))
    np.testing.assert_allclose(shipped.weights, fresh.weights, rtol=0, atol=1e-9)
    expected = train_labels.fit_pipeline(table).predict_proba(table[["name", "facts"]])
    found = shipped.probability(train_labels.pairs(table))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(found.argmax(axis=1), expected.argmax(axis=1))


def test_names_and_facts_never_seen_change_nothing() -> None:
    model = learning.Model.read()
    nothing = model.probability([("", "")])
    np.testing.assert_array_equal(model.probability([("", "no=such fact=ever")]), nothing)
    assert model.probability([]).shape == (0, len(model.groups))


def test_the_same_model_is_kept_in_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        learning.Model.read().write(tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_names_of_tests_are_not_taught() -> None:
    taught = {name for names in TRAINING_NAMES.values() for name in names}
    tested = {name for names in BENCHMARK_NAMES.values() for name in names}
    assert not taught & tested
    assert set(BENCHMARK_NAMES) == set(TRAINING_NAMES)
    seen = set(train_labels.read_examples()["name"])
    assert not {learning.name_pieces(base_operator(name, None)) for name in tested} & seen


@pytest.mark.parametrize("variant", ["plain", "all_renamed", "level0_telling"])
def test_scores_are_bounded_and_leave_known_operators_alone(variant: str) -> None:
    classes, kernels = classes_of("qwen3-30b-a3b-ge", variant)
    scores = learning.unknown_scores(classes, kernels)
    assert scores.shape == (len(classes.items), STATES)
    assert np.abs(scores).max() <= learning.BOUND
    known = np.array([item.role != "unknown" for item in classes.items])
    assert not scores[known].any()
    assert scores[~known].any() == (variant != "plain")


def test_scores_do_not_depend_on_clock_or_stream_numbers() -> None:
    classes, kernels = classes_of("qwen3-30b-a3b-ge", "all_renamed")
    moved = kernels.assign(start_ns=kernels["start_ns"] + 10**12, stream=kernels["stream"] + 5)
    again = classify(moved, VOCABULARY)
    np.testing.assert_allclose(learning.unknown_scores(classes, kernels), learning.unknown_scores(again, moved))


def test_a_telling_name_is_understood_where_nothing_else_is_known() -> None:
    """At Level0 there are no shapes; the pieces of a name nobody taught still say what the kernel does."""
    built = build_entry("qwen3-30b-a3b-ge", level="level0")
    names = {"expert_matmul": ("experts_gemm_w8a8",), "kv_cache": ("paged_kv_put",), "activation": ("glu_mul_kernel",)}
    kernels = rename_by_vocabulary(built, names, names=names).capture.kernels
    structure = find_structure(kernels, VOCABULARY)
    expected = {"experts_gemm_w": State.EXPERTS, "paged_kv_put": State.ATTENTION_IN, "glu_mul_kernel": State.EXPERTS}
    for number, item in enumerate(structure.classes.items):
        wanted = next((state for name, state in expected.items() if item.base.startswith(name)), None)
        if wanted is not None:
            assert structure.learned[number, wanted] > 0.5, item.base
            assert (structure.state[structure.classes.of_kernel == number] == wanted).mean() > 0.95


@pytest.mark.parametrize("name", FOREIGN)
def test_learning_does_no_harm_on_captures_of_another_builder(name: str) -> None:
    recorded = built(name)
    assert accuracy(recorded, learning.WEIGHT) >= accuracy(recorded, 0.0) - 0.002
    other = renamed(recorded, ("matmul", "norm"))
    assert accuracy(other, learning.WEIGHT) >= accuracy(other, 0.0) - 0.002


def test_learning_helps_where_neither_names_nor_shapes_are_left() -> None:
    bare = [level0(renamed(built(name), ("matmul", "norm", "quant", "cast", "add"))) for name in FOREIGN]
    without = [accuracy(recorded, 0.0) for recorded in bare]
    learned = [accuracy(recorded, learning.WEIGHT) for recorded in bare]
    assert np.mean(learned) > np.mean(without) + 0.02
    assert np.median(learned) > 0.97


def test_learning_carries_a_real_capture_without_names_and_shapes() -> None:
    """The recorded Qwen2.5 run as the lowest level would tell it, all specific names but the norms' unknown."""
    from skadvisor.capture import load

    truth = pd.read_csv(captures("qwen2.5-0.5b-vllm-eager", "truth.csv"))
    real = load(captures("qwen2.5-0.5b-vllm-eager"))
    bare = level0(BuiltCapture(real, truth, "eager"))
    built = replace(build_entry("qwen2.5-0.5b-eager"), capture=bare.capture, truth=truth)
    unnamed = rename_by_vocabulary(built, set(SPECIFIC_ROLES) - {"norm", "residual_norm"})
    time = unnamed.capture.kernels["dur_ns"].to_numpy()
    shares = []
    for weight in (0.0, learning.WEIGHT):
        with mock.patch.object(learning, "WEIGHT", weight):
            found = label(unnamed.capture, VOCABULARY).kernels["region"].astype("object")
        shares.append(time[found.to_numpy() == truth["region"].to_numpy()].sum() / time.sum())
    without, learned = shares
    assert learned >= 0.97
    assert learned > without


@pytest.mark.parametrize("family", ["qwen3-moe", "glm-4.5", "deepseek-v3"])
def test_probabilities_are_calibrated_on_a_family_never_seen(family: str) -> None:
    model, held = held_out(family)
    probability = model.probability(train_labels.pairs(held))
    weight = held["weight"].to_numpy()
    right = model.groups[probability.argmax(axis=1)] == held["group"].to_numpy()
    sure = probability.max(axis=1) >= 0.9
    assert np.average(right[sure], weights=weight[sure]) >= 0.95
    said, was = np.average(probability.max(axis=1), weights=weight), np.average(right, weights=weight)
    assert abs(said - was) < 0.12
    assert was > 0.65


def test_scikit_learn_is_not_loaded_even_for_unknown_operators() -> None:
    script = """
import sys
sys.path[:0] = {paths!r}
from label_variants import build_variant
from skadvisor.labelling.labels import label
from skadvisor.vocabulary.operators import load_vocabulary
found = label(build_variant("mixtral-8x7b-ge", "renamed").capture, load_vocabulary())
assert found.structure.learned.any(), "nothing was learned of"
assert not {{"sklearn", "scipy"}} & set(sys.modules)
"""
    code = script.format(paths=[path for path in sys.path if path])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_whole_layers_outweigh_what_was_learned() -> None:
    """Without shapes, a multiplication that is mostly part of the rotation must not turn feed-forwards to attention."""
    built = build_variant("llama-3.1-8b-plain", "level0_renamed")
    found = label(built.capture, VOCABULARY)
    assert found.kernels["layer"].nunique() == built.truth["layer"].nunique()
    right = (found.kernels["region"].astype(str) == built.truth["region"]).to_numpy()
    assert right.mean() > 0.99
