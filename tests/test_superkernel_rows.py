"""Labels of captures with SuperKernels on: what their rows' names and the kernels between them still tell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sample_builder.build import switch_on
from sample_builder.superkernel import BREAKERS, TBE_PRODUCTS, FusionRules
from test_samples import entry

from skadvisor.labelling.class_table import classify
from skadvisor.labelling.labels import label
from skadvisor.vocabulary.operators import load_vocabulary
from skadvisor.vocabulary.superkernel_names import base_of, end_roles, state_of

LAYER_REGIONS = ["attention", "mlp", "moe", "norm", "comm"]
ALL_PRODUCTS = FusionRules(breakers=BREAKERS - TBE_PRODUCTS)
FEWER_BREAKERS = FusionRules(breakers=ALL_PRODUCTS.breakers - {"SplitVD", "ScatterNdUpdate"})
#: Capture, template and compiler; then whether the rows that are left tell each layer and its kind.
CASES = [
    ("qwen3-8b-ge", "attention-only", None, True),
    ("qwen3-8b-ge", "full-model", None, True),
    ("qwen3-8b-ge", "full-model", ALL_PRODUCTS, True),
    ("qwen3-8b-ge", "per-block", None, True),
    ("qwen3-8b-static", "full-model", ALL_PRODUCTS, True),
    ("qwen3-8b-static", "per-block", FEWER_BREAKERS, True),
    ("qwen3-30b-a3b-ge", "moe-only", None, True),
    ("qwen3-30b-a3b-ge", "full-model", None, True),
    ("qwen3-30b-a3b-ge", "full-model", FEWER_BREAKERS, True),
    ("qwen3-30b-a3b-ge", "per-block", FEWER_BREAKERS, True),
    ("deepseek-v3-ge", "moe-only", None, True),
    ("deepseek-v3-ge", "per-block", None, True),
    # the first layers vanish in one SuperKernel that ends in the first layer with experts
    ("deepseek-v3-ge", "full-model", ALL_PRODUCTS, False),
    ("kimi-k2-ge", "full-model", FEWER_BREAKERS, False),
]


@pytest.mark.parametrize(("name", "template", "rules", "layers_told"), CASES)
def test_rows_of_superkernels_and_between_them_are_labelled(name, template, rules, layers_told):
    built = switch_on(entry(name), template, rules)
    kernels, truth = label(built.capture, load_vocabulary()).kernels, built.truth
    assert kernels["step"].tolist() == truth["step"].tolist()
    right = kernels["region"].astype(str).to_numpy() == truth["region"].to_numpy()
    duration = kernels["dur_ns"].to_numpy()
    inside = truth["region"].isin(LAYER_REGIONS).to_numpy()
    assert duration[right & inside].sum() >= 0.99 * duration[inside].sum()
    if layers_told:
        assert duration[right].sum() >= 0.99 * duration.sum()
        assert _layers(kernels) == _layers(truth)


def _layers(table):
    inside = table.dropna(subset=["layer"])
    triples = zip(inside["step"], inside["layer"], inside["layer_kind"], strict=True)
    return {(int(step), int(layer), str(kind)) for step, layer, kind in triples}


def test_a_superkernel_from_one_layer_to_the_next_is_in_neither():
    built = switch_on(entry("qwen3-8b-ge"), "full-model", ALL_PRODUCTS)
    kernels = label(built.capture, load_vocabulary()).kernels
    fused = (kernels["op_type"] == "SuperKernel").to_numpy()
    assert (kernels["layer"].isna() == pd.Series(built.truth["layer"]).isna())[fused].all()
    assert set(kernels["region"].astype(str)[fused & kernels["layer"].isna().to_numpy()]) == {"other"}
    assert (kernels["role"].astype(str)[fused] == "superkernel").all()


def test_experts_that_only_superkernels_name_are_known():
    built = switch_on(entry("qwen3-30b-a3b-ge"), "full-model", FEWER_BREAKERS)
    classes = classify(built.capture.kernels, load_vocabulary())
    assert classes.has_experts
    assert not any(item.role in ("router", "dispatch", "combine") for item in classes.items)


@pytest.mark.parametrize(
    ("name", "roles", "state"),
    [
        ("sk_attention_layer_3_start_MatMulV2_12_end_MatMulV2_15", ("matmul", "matmul"), "ATTENTION_CORE"),
        ("sk_model_split_1_2_start_FusedInferAttentionScore_end_MatMul_4", ("attention_core", "matmul"), None),
        ("sk_7_none_start_MoeDistributeDispatchV2_end_GroupedMatmul_3", ("dispatch", "expert_matmul"), "EXPERTS"),
        ("sk_7_none_start_ApplyRotaryPosEmb_end_MatMul_3", ("rope", "matmul"), None),
    ],
)
def test_names_of_superkernels(name, roles, state):
    base, vocabulary = base_of(name), load_vocabulary()
    assert end_roles(base, vocabulary) == roles
    found = state_of(base, vocabulary)
    assert (found.name if found is not None else None) == state


def test_probabilities_of_superkernels_are_probabilities():
    built = switch_on(entry("qwen3-30b-a3b-ge"), "full-model")
    found = label(built.capture, load_vocabulary())
    likely = found.structure.probability.of(found.structure.main)
    assert np.allclose(likely.sum(axis=1), 1.0)
    assert ((found.kernels["confidence"] >= 0) & (found.kernels["confidence"] <= 1)).all()
