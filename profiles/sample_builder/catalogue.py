"""Published models in realistic deployments, and the captures that the benchmark builds from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sample_builder.build import BuiltCapture, Description, build
from sample_builder.convolution import ALEXNET
from sample_builder.model import ModelDescription

QWEN2_5_0_5B = ModelDescription(
    name="qwen2.5-0.5b", layers=24, hidden=896, heads=14, kv_heads=2, head_dim=64, intermediate=4864,
    vocabulary=151936, qkv_bias=True, norm="fused_bias", rope="triton",
)  # fmt: skip

QWEN2_5_7B = ModelDescription(
    name="qwen2.5-7b", layers=28, hidden=3584, heads=28, kv_heads=4, head_dim=128, intermediate=18944,
    vocabulary=152064, qkv_bias=True,
)  # fmt: skip

QWEN3_0_6B = ModelDescription(
    name="qwen3-0.6b", layers=28, hidden=1024, heads=16, kv_heads=8, head_dim=128, intermediate=3072,
    vocabulary=151936, qk_norm=True,
)  # fmt: skip

QWEN3_8B = ModelDescription(
    name="qwen3-8b", layers=36, hidden=4096, heads=32, kv_heads=8, head_dim=128, intermediate=12288,
    vocabulary=151936, qk_norm=True,
)  # fmt: skip

QWEN3_32B_W8A8 = ModelDescription(
    name="qwen3-32b-w8a8", layers=64, hidden=5120, heads=64, kv_heads=8, head_dim=128, intermediate=25600,
    vocabulary=151936, qk_norm=True, quantisation="w8a8", tensor_parallel=4,
)  # fmt: skip

LLAMA_3_1_8B = ModelDescription(
    name="llama-3.1-8b", layers=32, hidden=4096, heads=32, kv_heads=8, head_dim=128, intermediate=14336,
    vocabulary=128256,
)  # fmt: skip

LLAMA_3_1_70B = ModelDescription(
    name="llama-3.1-70b", layers=80, hidden=8192, heads=64, kv_heads=8, head_dim=128, intermediate=28672,
    vocabulary=128256, tensor_parallel=8, decode_kernel="PagedAttentionMaskNdKernel",
)  # fmt: skip

QWEN3_30B_A3B = ModelDescription(
    name="qwen3-30b-a3b", layers=48, hidden=2048, heads=32, kv_heads=4, head_dim=128, intermediate=6144,
    vocabulary=151936, qk_norm=True, experts=128, top_k=8, expert_intermediate=768, expert_parallel=8,
    expert_path="mc2",
)  # fmt: skip

QWEN3_235B_A22B = ModelDescription(
    name="qwen3-235b-a22b", layers=94, hidden=4096, heads=64, kv_heads=4, head_dim=128, intermediate=12288,
    vocabulary=151936, qk_norm=True, experts=128, top_k=8, expert_intermediate=1536, expert_parallel=16,
    quantisation="w8a8_dynamic", expert_path="dispatch_ffn_combine", rope="qkv_norm_rope", norm="fused_bias",
)  # fmt: skip

MIXTRAL_8X7B = ModelDescription(
    name="mixtral-8x7b", layers=32, hidden=4096, heads=32, kv_heads=8, head_dim=128, intermediate=14336,
    vocabulary=32000, experts=8, top_k=2, expert_intermediate=14336, tensor_parallel=4,
)  # fmt: skip

DEEPSEEK_V3 = ModelDescription(
    name="deepseek-v3", layers=61, hidden=7168, heads=128, kv_heads=128, head_dim=192, intermediate=18432,
    vocabulary=129280, attention="mla", q_lora_rank=1536, kv_lora_rank=512, rope_dim=64, nope_dim=128, value_dim=128,
    experts=256, top_k=8, expert_intermediate=2048, shared_experts=1, first_dense=3, router="sigmoid_bias",
    router_float32=True, quantisation="w8a8_dynamic", expert_parallel=64, expert_path="mc2", shared_stream=True,
)  # fmt: skip

DEEPSEEK_V3_2 = replace(
    DEEPSEEK_V3, name="deepseek-v3.2-exp", attention="sparse", index_heads=64, index_dim=128, index_topk=2048,
    quantisation="bf16", expert_parallel=128, norm_casts_for_router=True,
)  # fmt: skip

KIMI_K2 = replace(
    DEEPSEEK_V3, name="kimi-k2", heads=64, vocabulary=163840, experts=384, first_dense=1, expert_parallel=96,
    quantisation="w4a8", mla_prolog=False, grouped_swiglu=True, norm_casts_for_router=True,
)  # fmt: skip

GLM_4_5_AIR = ModelDescription(
    name="glm-4.5-air", layers=46, hidden=4096, heads=96, kv_heads=8, head_dim=128, intermediate=10944,
    vocabulary=151552, qkv_bias=True, experts=128, top_k=8, expert_intermediate=1408, shared_experts=1, first_dense=1,
    router="sigmoid_bias", expert_parallel=8, expert_path="allgather", norm="fused_bias", routing_kernels="custom",
)  # fmt: skip

QWEN3_NEXT = ModelDescription(
    name="qwen3-next-80b-a3b", layers=48, hidden=2048, heads=16, kv_heads=2, head_dim=256, intermediate=5120,
    vocabulary=151936, attention="linear_hybrid", qk_norm=True, attention_gate=True, linear_key_heads=16,
    linear_value_heads=32, linear_key_dim=128, linear_value_dim=128, full_attention_every=4, experts=512, top_k=10,
    expert_intermediate=512, shared_experts=1, shared_expert_gate=True, tensor_parallel=4, rope="triton",
    norm="fused_bias", routing_kernels="custom",
)  # fmt: skip

LONGCAT_FLASH = ModelDescription(
    name="longcat-flash", layers=28, hidden=6144, heads=64, kv_heads=64, head_dim=192, intermediate=12288,
    vocabulary=131072, attention="mla", q_lora_rank=1536, kv_lora_rank=512, rope_dim=64, nope_dim=128, value_dim=128,
    experts=512, top_k=12, expert_intermediate=2048, double_block=True, router="sigmoid_bias", router_float32=True,
    quantisation="w8a8_dynamic", expert_parallel=32, expert_path="mc2", shared_stream=True, mla_prolog=False,
)  # fmt: skip

DEEPSEEK_V4_FLASH = ModelDescription(
    name="deepseek-v4-flash", layers=43, hidden=4096, heads=64, kv_heads=1, head_dim=512, intermediate=8192,
    vocabulary=129280, attention="compressed", q_lora_rank=1024, kv_lora_rank=1024, rope_dim=64, index_heads=64,
    index_dim=128, index_topk=512, experts=256, top_k=6, expert_intermediate=2048, shared_experts=1,
    router="sigmoid_bias", router_float32=True, quantisation="w8a8_dynamic", expert_parallel=16, expert_path="mc2",
    shared_stream=True, grouped_swiglu=True, hyper_connections=4,
)  # fmt: skip

OLMOE_1B_7B = ModelDescription(
    name="olmoe-1b-7b", layers=16, hidden=2048, heads=16, kv_heads=16, head_dim=128, intermediate=1024,
    vocabulary=50304, qk_norm=True, experts=64, top_k=8, expert_intermediate=1024, expert_parallel=2,
    expert_path="mc2",
)  # fmt: skip

BERT_BASE = ModelDescription(
    name="bert-base", layers=12, hidden=768, heads=12, kv_heads=12, head_dim=64, intermediate=3072, vocabulary=30522,
    attention="encoder",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model and how it is run. `settings` go to `build.build`."""

    description: Description
    settings: Mapping[str, Any] = field(default_factory=dict)
    shows: str = ""


def _entry(description: Description, shows: str, **settings: Any) -> Entry:
    return Entry(description=description, settings=settings, shows=shows)


_PREFILL_DECODE = ("prefill", "decode")
_DECOMPOSED = replace(
    LLAMA_3_1_8B, name="llama-3.1-8b-plain", fused_qkv=False, norm="decomposed", activation="decomposed",
    rope="decomposed", matmul_type="MatMulV3",
)  # fmt: skip

#: name -> entry. Every entry is deterministic for a seed.
CATALOGUE: dict[str, Entry] = {
    "qwen2.5-0.5b-eager": _entry(
        QWEN2_5_0_5B,
        "eager, host-bound",
        mode="eager",
        phases=_PREFILL_DECODE,
        steps=4,
        batch=1,
        prompt=126,
        context=126,
    ),
    "qwen2.5-0.5b-piecewise": _entry(
        QWEN2_5_0_5B, "pieces with streams of their own", mode="piecewise_graph", steps=3, batch=1, context=126
    ),
    "qwen2.5-7b-ge": _entry(QWEN2_5_7B, "GE graph", mode="ge_graph", steps=3, batch=16),
    "qwen2.5-7b-level0": _entry(QWEN2_5_7B, "names only", mode="eager", steps=3, batch=4, level="level0"),
    "qwen3-8b-ge": _entry(QWEN3_8B, "q/k norm", mode="ge_graph", steps=3, batch=16, context=4096),
    "qwen3-8b-ge-level0": _entry(QWEN3_8B, "GE names only", mode="ge_graph", steps=3, batch=16, level="level0"),
    "qwen3-8b-static": _entry(
        replace(QWEN3_8B, rope="qkv_norm_rope", norm="fused_bias"),
        "static kernels and Triton",
        mode="acl_graph",
        static_kernels=True,
        steps=3,
        batch=8,
    ),
    "qwen2.5-7b-atb": _entry(
        replace(
            QWEN2_5_7B,
            name="qwen2.5-7b-atb",
            qkv_bias=False,
            library="atb",
            norm="decomposed",
            rope="triton",
            decode_kernel="PagedAttentionMaskNdKernel",
        ),
        "kernels of the ATB library, a fast host",
        mode="eager",
        phases=_PREFILL_DECODE,
        steps=4,
        batch=16,
        prompt=1024,
        host_scale=0.25,
    ),
    "qwen3-8b-host-ranges": _entry(
        QWEN3_8B,
        "nn.Module ranges, Step Id and PMU columns",
        mode="eager",
        steps=2,
        batch=4,
        host_ranges=True,
        step_ids=True,
        pmu=True,
    ),
    "qwen3-8b-mixed": _entry(
        QWEN3_8B,
        "chunked prefill, changing batch",
        mode="eager",
        phases=("prefill", "mixed", "decode"),
        steps=6,
        batch=(1, 4, 5, 8, 7, 6),
        prompt=256,
    ),
    "qwen3-32b-w8a8-tp4": _entry(QWEN3_32B_W8A8, "int8, all-reduce", mode="ge_graph", steps=3, batch=32),
    "llama-3.1-8b-plain": _entry(_DECOMPOSED, "nothing fused", mode="eager", phases=_PREFILL_DECODE, steps=3, batch=8),
    "llama-3.1-70b-tp8": _entry(LLAMA_3_1_70B, "hcom rows and fragments", mode="eager", steps=2, batch=16),
    "llama-3.1-70b-matmul-allreduce": _entry(
        replace(LLAMA_3_1_70B, matmul_allreduce=True), "fused MatmulAllReduce", mode="acl_graph", steps=2, batch=16
    ),
    "qwen3-30b-a3b-ge": _entry(QWEN3_30B_A3B, "MC2 experts", mode="ge_graph", steps=2, batch=16),
    "qwen3-30b-a3b-eager": _entry(
        replace(QWEN3_30B_A3B, expert_path="alltoall", routing_kernels="custom"),
        "all-to-all experts",
        mode="eager",
        phases=_PREFILL_DECODE,
        steps=3,
        batch=8,
    ),
    "qwen3-30b-a3b-piecewise": _entry(
        replace(QWEN3_30B_A3B, norm="fused_bias", rope="triton"),
        "experts in pieces of a graph",
        mode="piecewise_graph",
        steps=2,
        batch=8,
    ),
    "glm-4.5-air-level0": _entry(
        GLM_4_5_AIR, "experts, names only", mode="acl_graph", steps=2, batch=16, level="level0"
    ),
    "qwen3-235b-a22b-acl": _entry(QWEN3_235B_A22B, "DispatchFFNCombine", mode="acl_graph", steps=2, batch=16),
    "mixtral-8x7b-ge": _entry(MIXTRAL_8X7B, "routing without EP", mode="ge_graph", steps=3, batch=8),
    "deepseek-v3-ge": _entry(DEEPSEEK_V3, "MLA, shared expert aside", mode="ge_graph", steps=2, batch=32),
    "deepseek-v3-mtp": _entry(
        replace(DEEPSEEK_V3, name="deepseek-v3-mtp", mtp_layers=1),
        "draft layer after the model",
        mode="ge_graph",
        steps=2,
        batch=16,
    ),
    "deepseek-v3-acl": _entry(
        replace(DEEPSEEK_V3, name="deepseek-v3-unfused", mla_prolog=False, norm="fused_bias", shared_stream=False),
        "MLA without prolog",
        mode="acl_graph",
        phases=_PREFILL_DECODE,
        steps=3,
        batch=16,
    ),
    "deepseek-v3.2-ge": _entry(DEEPSEEK_V3_2, "sparse indexer", mode="ge_graph", steps=2, batch=4, context=65536),
    "kimi-k2-ge": _entry(KIMI_K2, "384 experts, int4", mode="ge_graph", steps=2, batch=16),
    "glm-4.5-air-eager": _entry(
        GLM_4_5_AIR, "all-gather experts", mode="eager", phases=_PREFILL_DECODE, steps=3, batch=8
    ),
    "glm-4.5-air-acl": _entry(GLM_4_5_AIR, "shared expert in line", mode="acl_graph", steps=2, batch=16),
    "qwen3-next-acl": _entry(QWEN3_NEXT, "linear and full attention", mode="acl_graph", steps=2, batch=8),
    "qwen3-next-eager": _entry(
        QWEN3_NEXT, "chunked delta rule in prefill", mode="eager", phases=_PREFILL_DECODE, steps=3, batch=4
    ),
    "longcat-flash-ge": _entry(LONGCAT_FLASH, "two attentions, experts aside", mode="ge_graph", steps=2, batch=32),
    "deepseek-v4-flash": _entry(
        DEEPSEEK_V4_FLASH, "hyper-connections", mode="acl_graph", static_kernels=True, steps=2, batch=16, context=8192
    ),
    "qwen3-0.6b-training": _entry(
        QWEN3_0_6B, "training", mode="eager", phases=("training",), steps=2, prompt=4096, batch=1
    ),
    "bert-base": _entry(BERT_BASE, "encoder", mode="eager", phases=("unknown",), steps=3, prompt=1024, batch=8),
    "alexnet": _entry(ALEXNET, "convolutions", mode="eager", phases=("unknown",), steps=3, batch=32),
}


def build_entry(name: str, *, seed: int = 0, **overrides: Any) -> BuiltCapture:
    """Build a catalogue entry; `overrides` replace its settings. Raises KeyError for an unknown name."""
    entry = CATALOGUE[name]
    return build(entry.description, **{**entry.settings, "seed": seed, **overrides})
