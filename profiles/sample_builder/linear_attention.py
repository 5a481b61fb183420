"""Gated delta attention of hybrid models: a recurrent state instead of a growing cache."""

from __future__ import annotations

from sample_builder.attention_kernels import triton
from sample_builder.model import ModelDescription, Pass
from sample_builder.norms import projection
from sample_builder.operation import Operation, Some, Tensor, f32, i32, matmul, mixed, vector

CHUNK = 64


def gated_delta(model: ModelDescription, step: Pass) -> list[Operation]:
    """Projections, short convolution, gates, delta rule (recurrent in decode, chunked in prefill), gated norm."""
    rows = step.tokens
    key_heads = model.linear_key_heads // model.tensor_parallel
    heads = model.linear_value_heads // model.tensor_parallel
    key, value = key_heads * model.linear_key_dim, heads * model.linear_value_dim
    gated = (rows * heads, model.linear_value_dim)
    rule = _chunked if step.phase == "prefill" else _recurrent
    return [
        *projection(model, step, model.hidden, 2 * key + 2 * value, "attention", "qkv_proj"),
        matmul(rows, model.hidden, 2 * heads, "attention", "qkv_proj", op_type=model.matmul_type),
        *rule(model, step, key, value, heads),
        triton("layer_norm_fwd_kernel", "qk_norm", (gated, gated, (model.linear_value_dim,)), gated, rows),
        *projection(model, step, value, model.hidden, "attention", "out_proj"),
    ]


def _recurrent(model: ModelDescription, step: Pass, key: int, value: int, heads: int) -> list[Operation]:
    rows, slots = step.tokens, 4 * step.sequences
    joined = Tensor((rows, 2 * key + value))
    scalars, gates = (rows, heads), f32(rows, heads)
    size = (heads, model.linear_key_dim, model.linear_value_dim)
    state, convolved = f32(slots, *size), (slots, 2 * key + value, model.conv_width - 1)
    packed = ((rows, 2 * key + 2 * value), (rows, 2 * heads))
    split = (joined, (rows, value), scalars, scalars)
    window = (joined, (2 * key + value, model.conv_width), convolved, i32(rows))
    rule = ((joined, gates, gates, state, i32(rows + 1)), ((rows, heads, model.linear_value_dim), state))
    moved = 2 * step.sequences * f32(*size).bytes
    return [
        triton("fused_qkvzba_split_reshape_cat_kernel", "layout", packed, split, rows),
        triton("_causal_conv1d_update_kernel_npu_tiled", "conv", window, joined, rows, traffic=6 * joined.bytes),
        triton("fused_gdn_gating_kernel", "gate", (f32(heads), scalars, f32(heads)), (gates, gates), rows),
        triton("fused_recurrent_gated_delta_rule_fwd_kernel", "attention_core", *rule, rows, traffic=moved),
    ]


def _chunked(model: ModelDescription, step: Pass, key: int, value: int, heads: int) -> list[Operation]:
    rows, chunks = step.tokens, max(1, -(-step.tokens // CHUNK))
    joined, weight = (rows, 2 * key + value), (model.conv_width, 2 * key + value)
    values, keys = (1, rows, heads, model.linear_value_dim), (1, rows, heads, model.linear_key_dim)
    square, gates = f32(1, rows, heads, CHUNK), f32(1, rows, heads)
    states = (1, chunks, heads, model.linear_key_dim, model.linear_value_dim)
    flops = 4 * rows * CHUNK * heads * model.linear_key_dim

    def core(name: str, inputs: Some, outputs: Some) -> Operation:
        return triton(name, "attention_core", inputs, outputs, rows)

    def chunk(name: str, inputs: Some, outputs: Some) -> Operation:
        return mixed(name, "attention", "attention_core", inputs, outputs, flops=flops)

    return [
        vector("CausalConv1d", "attention", "conv", (joined, weight), joined, rows=rows),
        triton("fused_gdn_gating_kernel", "gate", (rows, heads), (gates, gates), rows),
        triton("l2norm_fwd_kernel2_loop", "qk_norm", keys, keys, rows),
        triton("l2norm_fwd_kernel2_loop", "qk_norm", keys, keys, rows),
        core("chunk_local_cumsum_scalar_kernel", gates, gates),
        core("chunk_scaled_dot_kkt_fwd_kernel", (keys, gates), square),
        core("merge_16x16_to_64x64_inverse_kernel", square, square.shape),
        core("recompute_w_u_fwd_kernel", (keys, values, gates, square), (keys, values)),
        chunk("ChunkGatedDeltaRuleFwdH", (keys, values, values, gates), (states, values)),
        chunk("ChunkFwdO", (keys, keys, values, states, gates), values),
    ]
