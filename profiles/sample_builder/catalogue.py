"""Published models in realistic deployments, as descriptions to build captures from."""

from __future__ import annotations

from sample_builder.model import ModelDescription

QWEN2_5_0_5B = ModelDescription(
    name="qwen2.5-0.5b", layers=24, hidden=896, heads=14, kv_heads=2, head_dim=64, intermediate=4864,
    vocabulary=151936, qkv_bias=True, norm="fused_bias", rope="triton",
)  # fmt: skip

QWEN3_8B = ModelDescription(
    name="qwen3-8b", layers=36, hidden=4096, heads=32, kv_heads=8, head_dim=128, intermediate=12288,
    vocabulary=151936, qk_norm=True,
)  # fmt: skip

QWEN3_30B_A3B = ModelDescription(
    name="qwen3-30b-a3b", layers=48, hidden=2048, heads=32, kv_heads=4, head_dim=128, intermediate=6144,
    vocabulary=151936, qk_norm=True, experts=128, top_k=8, expert_intermediate=768, expert_parallel=8,
    expert_path="mc2",
)  # fmt: skip

DEEPSEEK_V3 = ModelDescription(
    name="deepseek-v3", layers=61, hidden=7168, heads=128, kv_heads=128, head_dim=192, intermediate=18432,
    vocabulary=129280, attention="mla", q_lora_rank=1536, kv_lora_rank=512, rope_dim=64, nope_dim=128, value_dim=128,
    experts=256, top_k=8, expert_intermediate=2048, shared_experts=1, first_dense=3, router="sigmoid_bias",
    router_float32=True, quantisation="w8a8_dynamic", expert_parallel=64, expert_path="mc2", shared_stream=True,
)  # fmt: skip
