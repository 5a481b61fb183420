"""Roles: what a kernel does within its region, told by its operator, its state and the kernels round it."""

from __future__ import annotations

from functools import cache

import pytest
from label_scores import score
from label_variants import build_variant
from small_tables import capture_of

from skadvisor.labelling.labels import Labelled, label
from skadvisor.vocabulary.operators import load_vocabulary

VOCABULARY = load_vocabulary()


@cache
def labelled(architecture: str) -> Labelled:
    return label(build_variant(architecture, "plain").capture, VOCABULARY)


@pytest.mark.parametrize(
    ("architecture", "role"),
    [
        ("qwen3-30b-a3b-eager", "dispatch"),
        ("deepseek-v3.2-ge", "indexer"),
        ("deepseek-v3.2-ge", "absorbed_matmul"),
        ("qwen3-next-acl", "shared_expert"),
        ("qwen3-next-acl", "conv"),
        ("llama-3.1-8b-plain", "rope"),
        ("llama-3.1-8b-plain", "activation"),
        ("deepseek-v4-flash", "compressor"),
    ],
)
def test_every_kernel_of_a_role_is_found(architecture: str, role: str) -> None:
    truth = build_variant(architecture, "plain").truth["role"].astype(str)
    found = labelled(architecture).kernels["role"].astype(str)
    assert (found == role).tolist() == (truth == role).tolist()


@pytest.mark.parametrize("architecture", ["qwen3-30b-a3b-ge", "glm-4.5-air-level0", "longcat-flash-ge"])
def test_confidence_is_that_of_the_role(architecture: str) -> None:
    built = build_variant(architecture, "plain")
    one = score(built, labelled(architecture), architecture=architecture, variant="plain")
    assert one.role_accuracy > 0.99
    assert one.role_calibration is not None
    assert one.role_calibration > 0.99


def test_the_scores_tell_wrong_roles_from_right_ones() -> None:
    built = build_variant("qwen2.5-7b-ge", "plain")
    found = labelled("qwen2.5-7b-ge")
    swapped = found.kernels["role"].astype(object).replace("gate_up", "down").astype("category")
    wrong = Labelled(**{**vars(found), "kernels": found.kernels.assign(role=swapped)})
    one = score(built, wrong, architecture="qwen2.5-7b-ge", variant="plain")
    assert one.time_accuracy == 1.0
    assert one.role_accuracy < 0.8
    assert set(one.roles_wrong) == {("mlp", "gate_up", "down")}


def test_a_network_without_decoder_layers_has_no_roles() -> None:
    assert set(labelled("alexnet").kernels["role"].astype(str)) <= {"unknown", "backward", "collective"}


def test_training_samples_nothing() -> None:
    kernels = labelled("qwen3-0.6b-training").kernels
    assert "sampling" not in set(kernels["region"]) | set(kernels["role"])
    losses = kernels[kernels["op_type"].astype(str).str.startswith("LogSoftmaxV2")]
    assert set(losses["role"]) == {"loss"}


def test_products_round_a_softmax_are_attention() -> None:
    """Attention without a kernel of its own, as old models run it: queries with keys, weights with values."""
    rows: list[tuple[str, str, str]] = []
    for _layer in range(8):
        rows += [
            ("RmsNorm", "4,4096;4096", "4,4096;4,1"),
            *[("MatMulV2", "4,4096;4096,4096", "4,4096")] * 3,
            ("BatchMatMulV2", "4,32,1,128;4,32,128,512", "4,32,1,512"),
            ("RealDiv", "4,32,1,512;", "4,32,1,512"),
            ("SoftmaxV2", "4,32,1,512", "4,32,1,512"),
            ("BatchMatMulV2", "4,32,1,512;4,32,512,128", "4,32,1,128"),
            ("MatMulV2", "4,4096;4096,4096", "4,4096"),
            ("Add", "4,4096;4,4096", "4,4096"),
            ("RmsNorm", "4,4096;4096", "4,4096;4,1"),
            ("MatMulV2", "4,4096;22016,4096", "4,22016"),
            ("SwiGlu", "4,22016", "4,11008"),
            ("MatMulV2", "4,11008;4096,11008", "4,4096"),
            ("Add", "4,4096;4,4096", "4,4096"),
        ]
    kernels = label(capture_of(rows), VOCABULARY).kernels
    products = kernels["op_type"].isin(["BatchMatMulV2", "RealDiv", "SoftmaxV2"])
    assert products.sum() == 32
    assert set(kernels.loc[products, "role"]) == {"attention_core"}
    assert set(kernels.loc[~products, "role"]) == {
        "residual_norm", "qkv_proj", "out_proj", "gate_up", "activation", "down",
    }  # fmt: skip
