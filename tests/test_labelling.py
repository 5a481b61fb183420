"""Labels of the real captures and of built ones, and what must not change them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import captures
from deployments.catalogue import built, labelled
from hypothesis import given, settings
from hypothesis import strategies as st
from label_scores import score

from skadvisor.capture import load
from skadvisor.events import LABEL_COLUMNS, STEP_COLUMNS, Capture, kernel_table
from skadvisor.labelling.labels import Labelled, label
from skadvisor.records import REGIONS
from skadvisor.vocabulary.operators import load_vocabulary

VOCABULARY = load_vocabulary()
LABELS = ["step", "phase", "layer", "layer_kind", "region", "role", "owner"]


def labelled_at(*parts: str) -> Labelled:
    return label(load(captures(*parts)), VOCABULARY)


def layers_per_step(labelled: Labelled) -> list[list[int]]:
    inside = labelled.kernels[labelled.kernels["layer"].notna() & (labelled.kernels["step"] >= 0)]
    return [sorted(set(group["layer"].astype(int))) for _step, group in inside.groupby("step")]


def texts(column: pd.Series) -> list[str]:
    return column.astype(object).where(column.notna(), None).map(str).tolist()


def test_eager_capture_agrees_with_its_truth() -> None:
    labelled = labelled_at("qwen2.5-0.5b-vllm-eager")
    truth = pd.read_csv(captures("qwen2.5-0.5b-vllm-eager", "truth.csv")).sort_values("start_ns", ignore_index=True)
    kernels = labelled.kernels
    assert (kernels["start_ns"].to_numpy() == truth["start_ns"].to_numpy()).all()
    right = kernels["region"].astype(str).to_numpy() == truth["region"].to_numpy()
    time = kernels["dur_ns"].to_numpy()
    assert time[right].sum() >= 0.99 * time.sum()
    assert labelled.steps["phase"].astype(str).tolist() == ["prefill", "decode"]
    assert layers_per_step(labelled) == [list(range(24)), list(range(24))]
    assert set(kernels["layer_kind"].dropna()) == {"dense"}
    assert set(kernels["attention_kind"].dropna()) == {"gqa"}
    assert (labelled.mode, labelled.training) == ("eager", False)
    assert labelled.steps["tokens"].tolist() == [126, 1]


def test_piecewise_capture_is_graph_decode_of_six_layers() -> None:
    labelled = labelled_at("qwen2.5-0.5b-vllm-piecewise-graph")
    assert (labelled.mode, labelled.graph_kind) == ("graph", "acl_graph")
    assert labelled.steps["phase"].astype(str).tolist() == ["decode"]
    assert layers_per_step(labelled) == [list(range(6))]
    assert any("layer 5" in str(message) for message in labelled.misfits)


@pytest.mark.parametrize("rank", [0, 2])
def test_language_model_training_is_recognised(rank: int) -> None:
    labelled = labelled_at("qwen3-0.6b-training", f"rank_{rank}_ascend_pt")
    assert labelled.training
    assert set(labelled.steps["phase"].astype(str)) == {"training"}


@pytest.mark.parametrize("kind", ["text", "db"])
def test_convolution_training_has_no_decoder_layers(kind: str) -> None:
    labelled = labelled_at("alexnet-training-modules", kind)
    assert labelled.training
    assert labelled.kernels["layer"].isna().all()
    assert labelled.mode == "eager"


def test_optimizer_trace_is_training_without_layers() -> None:
    labelled = labelled_at("optimizer-trace")
    assert labelled.training
    assert labelled.kernels["layer"].isna().all()


@pytest.fixture(scope="module")
def dense() -> Capture:
    return built("swish-mul").capture


@pytest.fixture(scope="module")
def experts() -> Capture:
    return built("moe-shared-beside").capture


def changed(capture: Capture, **columns: Any) -> Capture:
    table = {name: capture.kernels[name] for name in capture.kernels}
    return replace(capture, kernels=kernel_table({**table, **columns}))


def assert_same_labels(one: Labelled, other: Labelled) -> None:
    for column in LABELS:
        assert texts(one.kernels[column]) == texts(other.kernels[column]), column
    assert np.allclose(one.kernels["confidence"], other.kernels["confidence"])


def test_columns_are_those_of_the_contract(dense: Capture) -> None:
    labelled = label(dense, VOCABULARY)
    for name, (dtype, _meaning) in LABEL_COLUMNS.items():
        assert str(labelled.kernels[name].dtype) == dtype
    assert list(labelled.steps.columns) == list(STEP_COLUMNS)
    assert set(labelled.kernels["region"]) <= set(REGIONS)
    assert labelled.kernels["confidence"].between(0, 1).all()


@given(shift=st.integers(-(10**15), 10**15))
@settings(max_examples=5, deadline=None)
def test_another_clock_changes_nothing(shift: int) -> None:
    capture = built("moe-shared-beside").capture
    moved = changed(capture, start_ns=capture.kernels["start_ns"] + shift)
    assert_same_labels(label(capture, VOCABULARY), label(moved, VOCABULARY))


@given(seed=st.integers(0, 2**16))
@settings(max_examples=4, deadline=None)
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    capture = built("moe-shared-beside").capture
    shuffled = capture.kernels.sample(frac=1.0, random_state=seed)
    again = replace(capture, kernels=kernel_table({name: shuffled[name] for name in shuffled}))
    assert_same_labels(label(capture, VOCABULARY), label(again, VOCABULARY))


@given(factor=st.integers(1, 9), offset=st.integers(0, 1000))
@settings(max_examples=4, deadline=None)
def test_the_numbers_of_streams_change_nothing(factor: int, offset: int) -> None:
    capture = built("moe-shared-beside").capture
    renumbered = changed(capture, stream=capture.kernels["stream"] * factor + offset)
    assert_same_labels(label(capture, VOCABULARY), label(renumbered, VOCABULARY))


def test_a_table_without_kernels_is_labelled() -> None:
    capture = built("tiny").capture
    labelled = label(replace(capture, kernels=capture.kernels.iloc[:0]), VOCABULARY)
    assert len(labelled.kernels) == 0
    assert len(labelled.steps) == 0


def test_a_user_vocabulary_names_a_custom_kernel(tmp_path: Path) -> None:
    file = tmp_path / "operators.toml"
    file.write_text('[[operator]]\nrole = "activation"\nnames = ["ourgate"]\nsource = "ours"\n')
    recorded = built("mqa")
    kernels = recorded.capture.kernels
    renamed = kernels["op_type"].astype(object).replace("SwiGlu", "OurGate").astype("category")
    capture = replace(recorded.capture, kernels=kernels.assign(op_type=renamed))
    labelled = label(capture, load_vocabulary(file))
    ours = labelled.kernels[labelled.kernels["op_type"] == "OurGate"]
    assert set(ours["region"]) == {"mlp"}
    assert set(ours["role"]) == {"activation"}


def test_collectives_bear_the_region_whose_result_they_move() -> None:
    kernels = labelled("separate-tp").kernels
    collectives = kernels[kernels["kind"] == "collective"]
    assert set(collectives["region"]) == {"comm"}
    assert texts(collectives["owner"])[:5] == ["embedding", "attention", "mlp", "attention", "mlp"]


@pytest.mark.parametrize(
    ("name", "layer_kind", "attention_kind"),
    [("mla", "moe", "mla"), ("indexer", "moe", "sparse"), ("mla-prolog", "moe", "mla"), ("mqa", "dense", "gqa")],
)
def test_the_kind_of_attention_is_named(name: str, layer_kind: str, attention_kind: str) -> None:
    kernels = labelled(name).kernels
    inside = kernels[kernels["layer_kind"] == layer_kind]
    assert set(inside["attention_kind"].astype(str)) == {attention_kind}


def test_a_slow_first_step_is_named() -> None:
    steps = labelled("warm-up").steps
    assert steps["steady"].tolist() == [False, True, True, True]
    assert "warm-up" in str(steps["note"].iloc[0])


@pytest.mark.parametrize(
    "entry", ["qwen2.5-7b-ge", "deepseek-v3-mtp", "longcat-flash-ge", "qwen3-next-acl", "mixtral-8x7b-ge"]
)
def test_published_models_are_labelled(entry: str) -> None:
    from sample_builder.catalogue import build_entry

    built = build_entry(entry, seed=11)
    labelled = label(built.capture, VOCABULARY)
    truth = built.truth
    kernels = labelled.kernels
    inside = truth["region"].isin(["attention", "mlp", "moe", "norm", "comm"]).to_numpy()
    right = kernels["region"].astype(str).to_numpy() == truth["region"].astype(str).to_numpy()
    time = kernels["dur_ns"].to_numpy()
    assert time[right & inside].sum() >= 0.99 * time[inside].sum()
    found = kernels[kernels["layer"].notna()].groupby(["step", "layer_kind"], observed=True)["layer"].nunique()
    known = truth[truth["layer"].notna()].groupby(["step", "layer_kind"], observed=True)["layer"].nunique()
    assert found.to_dict() == known.to_dict()


def test_confident_labels_are_right_where_names_and_shapes_are_gone() -> None:
    from sample_builder.perturb import from_trace, level0
    from sample_builder.renaming import renamed

    hits = total = 0
    for change in (from_trace, level0, renamed):
        for name in ("gpt", "moe-first-dense", "swish-mul", "mla", "sandwich", "w8a8-static"):
            recorded = change(built(name))
            found = score(recorded, label(recorded.capture, VOCABULARY))
            hits, total = hits + found.confident_right, total + found.confident
    assert hits >= 0.98 * total
