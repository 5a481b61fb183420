"""What a model is made of: the figures and switches from which its kernels follow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

AttentionKind = Literal["gqa", "mla", "sparse", "linear_hybrid", "compressed", "encoder"]
Quantisation = Literal["bf16", "w8a8", "w8a8_dynamic", "w4a8"]
LaunchMode = Literal["eager", "ge_graph", "acl_graph", "piecewise_graph"]
ExpertPath = Literal["mc2", "alltoall", "allgather", "routing", "dispatch_ffn_combine"]


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """A decoder (or encoder) and how it is deployed on one rank.

    Sizes are those of the whole model; kernels divide heads and feed-forward by `tensor_parallel` and experts by
    `expert_parallel`. `first_dense` layers come before the expert layers. `full_attention_every` is the period
    of full attention in a hybrid model. `double_block` gives each layer two attentions and two dense
    feed-forwards with the experts beside them on another stream. `hyper_connections` is the number of residual
    streams (0: the ordinary residual). The switches say which fused kernels the implementation uses.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    attention: AttentionKind = "gqa"
    qk_norm: bool = False
    qkv_bias: bool = False

    q_lora_rank: int = 0
    kv_lora_rank: int = 0
    rope_dim: int = 0
    nope_dim: int = 0
    value_dim: int = 0

    index_heads: int = 0
    index_dim: int = 0
    index_topk: int = 0

    linear_key_heads: int = 0
    linear_value_heads: int = 0
    linear_key_dim: int = 0
    linear_value_dim: int = 0
    conv_width: int = 4
    full_attention_every: int = 0
    attention_gate: bool = False

    experts: int = 0
    top_k: int = 0
    expert_intermediate: int = 0
    shared_experts: int = 0
    shared_expert_gate: bool = False
    first_dense: int = 0
    router: Literal["softmax", "sigmoid_bias"] = "softmax"
    router_float32: bool = False
    norm_casts_for_router: bool = False

    double_block: bool = False
    hyper_connections: int = 0
    mtp_layers: int = 0

    quantisation: Quantisation = "bf16"
    tensor_parallel: int = 1
    expert_parallel: int = 1

    expert_path: ExpertPath = "routing"
    shared_stream: bool = False
    fused_qkv: bool = True
    norm: Literal["fused", "fused_bias", "decomposed"] = "fused"
    activation: Literal["swiglu", "decomposed"] = "swiglu"
    rope: Literal["fused", "triton", "decomposed", "qkv_norm_rope"] = "fused"
    mla_prolog: bool = True
    grouped_swiglu: bool = False
    matmul_allreduce: bool = False
    library: Literal["aclnn", "atb"] = "aclnn"
    routing_kernels: Literal["v2", "custom"] = "v2"
    decode_kernel: Literal["FusedInferAttentionScore", "PagedAttentionMaskNdKernel"] = "FusedInferAttentionScore"

    matmul_type: Literal["MatMulV2", "MatMulV3"] = "MatMulV2"

    def but(self, **changes: Any) -> ModelDescription:
        """The same model with some figures changed."""
        return replace(self, **changes)

    @property
    def local_heads(self) -> int:
        """Query heads on this rank."""
        return max(1, self.heads // self.tensor_parallel)

    @property
    def local_kv_heads(self) -> int:
        """Key and value heads on this rank."""
        return max(1, self.kv_heads // self.tensor_parallel)

    @property
    def local_intermediate(self) -> int:
        """Width of the dense feed-forward on this rank."""
        return self.intermediate // self.tensor_parallel

    @property
    def local_experts(self) -> int:
        """Routed experts whose weights lie on this rank."""
        return max(1, self.experts // self.expert_parallel)

    @property
    def quantised(self) -> bool:
        """Whether projections run in int8."""
        return self.quantisation != "bf16"

    def layer_kind(self, layer: int) -> str:
        """`dense` or `moe`; layers beyond the main model are `mtp`."""
        if layer >= self.layers:
            return "mtp"
        return "moe" if self.experts and layer >= self.first_dense else "dense"

    def has_full_attention(self, layer: int) -> bool:
        """False for the linear attention layers of a hybrid model."""
        if self.attention != "linear_hybrid" or layer >= self.layers:
            return True
        return (layer + 1) % self.full_attention_every == 0


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One forward pass: how many tokens go through, for how many sequences, over how much context.

    `tokens` is the number of rows that pass through a layer, `sequences` the number of requests, `context` the
    tokens of KV cache per request. `mode` is how the host launches it.
    """

    phase: Literal["prefill", "decode", "mixed", "training", "unknown"]
    tokens: int
    sequences: int
    context: int
    mode: LaunchMode

    @property
    def ge(self) -> bool:
        """Whether a GE graph runs, whose operators differ from the eager ones."""
        return self.mode == "ge_graph"
