"""The labelled benchmark: floors on a part of it, and scores that tell right labels from wrong ones.

`python profiles/score_labels.py --check` runs all of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
import score_labels
from label_scores import Score, confusion_table, merge_confusions, score
from label_variants import VARIANTS, build_variant, is_decoder, rename_by_vocabulary
from sample_builder.catalogue import CATALOGUE
from unknown_names import BENCHMARK_NAMES, SPECIFIC_ROLES

from skadvisor.labelling.labels import Labelled, label
from skadvisor.vocabulary.names import base_operator
from skadvisor.vocabulary.operators import load_vocabulary

pytestmark = pytest.mark.slow

#: Captures of the benchmark that every run of the tests scores: each design and each change once or more.
PART = [
    ("qwen2.5-0.5b-piecewise", "plain"),
    ("llama-3.1-8b-plain", "plain"),
    ("deepseek-v3-mtp", "plain"),
    ("longcat-flash-ge", "plain"),
    ("qwen3-next-eager", "plain"),
    ("deepseek-v4-flash", "plain"),
    ("qwen3-8b-mixed", "jitter"),
    ("qwen3-32b-w8a8-tp4", "renumbered_streams"),
    ("glm-4.5-air-eager", "inserted_casts"),
    ("mixtral-8x7b-ge", "split"),
    ("qwen2.5-7b-ge", "merged"),
    ("deepseek-v3-acl", "merged"),
    ("qwen2.5-0.5b-eager", "renamed"),
    ("qwen3-235b-a22b-acl", "renamed"),
    ("deepseek-v3-ge", "renamed"),
    ("deepseek-v3.2-ge", "renamed_telling"),
    ("qwen3-30b-a3b-eager", "renamed_telling"),
    ("llama-3.1-70b-tp8", "level0"),
    ("qwen3-8b-static", "level0"),
    ("kimi-k2-ge", "level0"),
    ("llama-3.1-8b-plain", "level0_renamed"),
    ("qwen3-30b-a3b-ge", "level0_renamed"),
]
#: Every specific name gone, norms kept: shapes, order and learned scores are left.
UNNAMED = ("qwen3-8b-ge", "qwen3-30b-a3b-ge", "mixtral-8x7b-ge", "glm-4.5-air-acl", "deepseek-v3-acl")


@cache
def scored(architecture: str, variant: str) -> Score:
    return score_labels.run(architecture, variant)


@cache
def labelled(architecture: str) -> Labelled:
    return label(build_variant(architecture, "plain").capture, load_vocabulary())


def scored_with(region: str, share: float) -> Score:
    """The score of labels that call this share of the attention kernels `region`."""
    built, found = build_variant("mixtral-8x7b-ge", "plain"), labelled("mixtral-8x7b-ge")
    names = found.kernels["region"].astype("object").copy()
    rows = names.index[(names == "attention").to_numpy()]
    names.loc[rows[: round(share * len(rows))]] = region
    changed = replace(found, kernels=found.kernels.assign(region=names.astype("category")))
    return score(built, changed, architecture="mixtral-8x7b-ge", variant="plain")


@pytest.mark.parametrize(("architecture", "variant"), PART)
def test_floors(architecture: str, variant: str) -> None:
    assert variant in score_labels.FLOORS
    assert score_labels.misses([scored(architecture, variant)]) == []


@pytest.mark.parametrize("architecture", UNNAMED)
def test_shapes_and_order_are_enough_where_no_operator_is_known(architecture: str) -> None:
    one = scored(architecture, "all_but_norms_renamed")
    assert one.time_accuracy >= score_labels.RENAMED.accuracy
    assert one.layers_exact
    assert one.calibration is not None and one.calibration >= score_labels.CALIBRATION


@pytest.mark.parametrize("architecture", [name for name in CATALOGUE if not is_decoder(name)])
def test_what_is_no_decoder_inference_is_recognised(architecture: str) -> None:
    assert score_labels.recognised(architecture)


def test_benchmark_is_as_wide_as_it_says() -> None:
    designs = {str(CATALOGUE[name].description.name) for name in CATALOGUE if is_decoder(name)}
    assert len(designs) >= 12
    assert len(VARIANTS) >= 12
    assert set(score_labels.FLOORS) <= set(VARIANTS)
    assert {variant for _, variant in PART} >= set(score_labels.FLOORS)


@pytest.mark.parametrize("names", [None, BENCHMARK_NAMES], ids=["meaningless", "telling"])
def test_renaming_leaves_no_specific_name(names: dict[str, tuple[str, ...]] | None) -> None:
    built = build_variant("deepseek-v3-ge", "plain")
    changed = rename_by_vocabulary(built, names=names)
    vocabulary = load_vocabulary()
    kernels = changed.capture.kernels
    inside = kernels[(kernels["kind"] == "kernel").to_numpy()]
    found = {
        operator.role
        for op_type, name in set(zip(inside["op_type"].astype("object"), inside["name"].astype("object"), strict=True))
        if (operator := vocabulary.find(base_operator(op_type, name)))
    }
    assert found.isdisjoint(SPECIFIC_ROLES)
    assert "matmul" in found
    assert changed.truth.equals(built.truth)
    per_type = inside.groupby("op_type", observed=True).size().sort_values()
    before = built.capture.kernels[(built.capture.kernels["kind"] == "kernel").to_numpy()]
    assert sorted(per_type) == sorted(before.groupby("op_type", observed=True).size())


@pytest.mark.parametrize("wrong", ["mlp", "unattributed"])
def test_score_counts_wrong_and_unattributed_alike(wrong: str) -> None:
    right, half = scored_with("attention", 1.0), scored_with(wrong, 0.5)
    assert right.regions["attention"] == (1.0, 1.0)
    assert half.regions["attention"][1] == pytest.approx(0.5, abs=0.01)
    assert half.count_accuracy < right.count_accuracy
    assert half.time_accuracy < right.time_accuracy
    assert half.share_error is not None and right.share_error is not None
    assert half.share_error > right.share_error + 1.0
    attention = right.confusion_count["attention", "attention"]
    assert half.confusion_count["attention", wrong] == round(0.5 * attention)
    assert (half.unattributed > 0.02) == (wrong == "unattributed")
    assert score_labels.misses([half])


def test_confident_errors_are_counted() -> None:
    right, half = scored_with("attention", 1.0), scored_with("mlp", 0.5)
    assert right.confident == half.confident
    assert half.confident_right < right.confident_right
    assert half.calibration is not None and half.calibration < score_labels.CALIBRATION
    assert any("confident" in text for text in score_labels.misses([half]))


def test_confusion_is_a_matrix_of_all_time() -> None:
    half = scored_with("mlp", 0.5)
    built = build_variant("mixtral-8x7b-ge", "plain")
    assert sum(half.confusion.values()) == built.capture.kernels["dur_ns"].sum()
    assert sum(half.confusion_count.values()) == len(built.truth) == half.kernels
    twice = merge_confusions([half, half], counts=True)
    assert twice == Counter({pair: 2 * count for pair, count in half.confusion_count.items()})
    table = confusion_table(half.confusion_count)
    assert "50.0" in next(text for text in table.splitlines() if text.startswith("attention"))


def test_command_prints_scores_and_fails_where_a_floor_is_missed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--architecture", "mixtral-8x7b-ge", "--architecture", "alexnet", "--variant", "plain", "--check"]
    assert score_labels.main(arguments) == 0
    out = capsys.readouterr().out
    assert "mixtral-8x7b-ge" in out and "true / found" in out and "all floors reached" in out
    assert "alexnet: declined" in out
    monkeypatch.setitem(score_labels.FLOORS, "plain", score_labels.Floor(1.01))
    assert score_labels.main(arguments) == 1
    assert "floors missed" in capsys.readouterr().out
    assert score_labels.main(arguments[:-1]) == 0
