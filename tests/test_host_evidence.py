"""What modules, scopes and node paths say, and what happens where the order of kernels says otherwise."""

from __future__ import annotations

import pandas as pd
import pytest
from deployments.catalogue import built
from label_scores import score
from sample_builder.build import BuiltCapture
from sample_builder.perturb import change, from_trace, level0

from skadvisor.labelling.host_evidence import layer_of, regions_of
from skadvisor.labelling.labels import label
from skadvisor.vocabulary.operators import load_vocabulary

VOCABULARY = load_vocabulary()


@pytest.mark.parametrize(
    ("text", "regions"),
    [
        ("Qwen2Attention_3", ("attention",)),
        ("Qwen2DecoderLayer_3", ()),
        ("Qwen3MoeForCausalLM_0", ()),
        ("Qwen3MoeSparseMoeBlock_2", ("moe",)),
        ("Qwen3MoeAttention_2", ("attention",)),
        ("DeepseekV3MoE_4", ("moe",)),
        ("model.layers.3.self_attn.q_norm", ("attention",)),
        ("model.layers.3.input_layernorm", ("norm",)),
        ("model.layers.3.mlp.down_proj", ("mlp", "moe")),
        ("model.layers.3.mlp.experts", ("moe",)),
        ("model.layers.3.mlp.shared_experts.up_proj", ("moe",)),
        ("model.embed_tokens", ("embedding",)),
        ("lm_head", ("head", "sampling")),
        ("Sampler_0", ("sampling",)),
        ("RotaryEmbedding_0", ("attention", "prepare")),
        ("Default/network-Net/layers-CellList/3-LlamaDecodeLayer/attention-LLamaAttention/wo-Linear", ("attention",)),
        ("Conv2d_0", ()),
        ("DistributedDataParallel.forward", ()),
        ("execute_model", ()),
    ],
)
def test_words_of_the_host(text: str, regions: tuple[str, ...]) -> None:
    assert regions_of(text) == regions


@pytest.mark.parametrize(
    ("text", "layer"),
    [
        ("Qwen2DecoderLayer_17", 17),
        ("model.layers.3.mlp", 3),
        ("Default/net/layers-CellList/12-LlamaDecodeLayer/attention-X", 12),
        ("attention_layer_5", 5),
        ("Linear_4", -1),
    ],
)
def test_layers_that_the_host_counts(text: str, layer: int) -> None:
    assert layer_of(text) == layer


def with_modules(recorded: BuiltCapture, names: dict[str, str], launches: bool = True) -> BuiltCapture:
    """As an eager trace with modules would say it: each kernel's region by a module of this name, numbered by layer."""
    modules = [
        f"{names[region]}_{0 if pd.isna(layer) else int(layer)}" if region in names else None
        for region, layer in zip(recorded.truth["region"], recorded.truth["layer"], strict=True)
    ]
    launch = recorded.capture.kernels["start_ns"] - 50_000 if launches else recorded.capture.kernels["start_ns"].iloc[0]
    return change(recorded, module=pd.Series(modules, dtype=object), launch_ns=launch)


WORDS = {
    "attention": "NetAttention", "mlp": "NetMLP", "moe": "NetSparseMoeBlock", "norm": "NetRMSNorm",
    "head": "ParallelLMHead", "sampling": "Sampler", "embedding": "VocabParallelEmbedding",
}  # fmt: skip


@pytest.mark.parametrize("name", ["moe-first-dense", "gpt", "mla", "hybrid-delta"])
def test_modules_decide_where_nothing_else_is_left(name: str) -> None:
    """Names of nobody, no shapes: only the host knows."""
    recorded = change(level0(built(name)), name=lambda text: "kernel_x" if "hcom" not in text else text)
    told = with_modules(recorded, WORDS)
    labelled = label(told.capture, VOCABULARY)
    assert score(told, labelled).time_accuracy >= 0.97
    inside = labelled.kernels["region"].isin(["attention", "mlp", "moe"])
    assert labelled.kernels.loc[inside, "evidence"].astype(str).str.contains("host").mean() > 0.97


def test_agreement_is_silent_and_shown_as_evidence() -> None:
    labelled = label(with_modules(built("swish-mul"), WORDS).capture, VOCABULARY)
    assert labelled.disagreements == ()
    attention = labelled.kernels[labelled.kernels["region"] == "attention"]
    assert attention["evidence"].astype(str).str.contains("host").all()


def test_the_host_is_followed_and_the_disagreement_reported() -> None:
    told = with_modules(built("swish-mul"), {**WORDS, "mlp": "NetAttention"})
    labelled = label(told.capture, VOCABULARY)
    feed_forward = labelled.kernels[(told.truth["region"] == "mlp").to_numpy()]
    assert set(feed_forward["region"]) == {"attention"}
    assert any("NetAttention" in str(message) and "mlp" in str(message) for message in labelled.disagreements)


def test_the_launch_of_a_whole_graph_says_nothing_of_its_kernels() -> None:
    told = with_modules(built("swish-mul"), dict.fromkeys(WORDS, "NetAttention"), launches=False)
    labelled = label(told.capture, VOCABULARY)
    assert score(told, labelled).time_accuracy >= 0.99
    assert not labelled.kernels["evidence"].astype(str).str.contains("host").any()


def test_other_layers_than_the_repetition_are_reported() -> None:
    recorded = built("swish-mul")
    layers = recorded.truth["layer"].fillna(0).astype(int) // 2
    scopes = pd.Series([f"model.layers.{layer}.block" for layer in layers], dtype=object)
    told = change(recorded, range=scopes, launch_ns=recorded.capture.kernels["start_ns"])
    labelled = label(told.capture, VOCABULARY)
    assert any("layers" in str(message) for message in labelled.disagreements)


def test_paths_in_node_names_count() -> None:
    recorded = built("mindspore")
    labelled = label(recorded.capture, VOCABULARY)
    assert score(recorded, labelled).time_accuracy >= 0.99
    assert labelled.kernels["evidence"].astype(str).str.contains("host").mean() > 0.5


def test_a_timeline_with_modules_is_labelled_like_one_without() -> None:
    recorded = from_trace(built("moe-shared-between"))
    assert score(recorded, label(with_modules(recorded, WORDS).capture, VOCABULARY)).time_accuracy >= 0.99
