"""Gated delta attention of hybrid models: a recurrent state instead of a growing cache."""

from __future__ import annotations

from sample_builder.model import ModelDescription, Pass
from sample_builder.norms import projection
from sample_builder.operation import BF16, F32, I32, Operation, Tensor, matmul, vector

CHUNK = 64


def gated_delta(model: ModelDescription, step: Pass) -> list[Operation]:
    """Projections, short convolution, gates, delta rule (recurrent in decode, chunked in prefill), gated norm."""
    rows = step.tokens
    key_heads = model.linear_key_heads // model.tensor_parallel
    value_heads = model.linear_value_heads // model.tensor_parallel
    key, value = key_heads * model.linear_key_dim, value_heads * model.linear_value_dim
    operations = projection(model, step, model.hidden, 2 * key + 2 * value, region="attention", role="qkv_proj")
    operations.append(
        matmul(rows, model.hidden, 2 * value_heads, region="attention", role="qkv_proj", op_type=model.matmul_type)
    )
    if step.phase == "prefill":
        operations += _chunked(model, step, key, value, value_heads)
    else:
        operations += _recurrent(model, step, key, value, value_heads)
    gated = Tensor((rows * value_heads, model.linear_value_dim))
    operations.append(
        _triton("layer_norm_fwd_kernel", "qk_norm", (gated, gated, Tensor((model.linear_value_dim,))), (gated,), rows)
    )
    return operations + projection(model, step, value, model.hidden, region="attention", role="out_proj")


def _triton(
    name: str,
    role: str,
    inputs: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
    rows: int,
    traffic: int | None = None,
) -> Operation:
    return vector(
        name,
        region="attention",
        role=role,
        inputs=inputs,
        outputs=outputs,
        rows=rows,
        triton=True,
        traffic=traffic,
    )


def _recurrent(model: ModelDescription, step: Pass, key: int, value: int, value_heads: int) -> list[Operation]:
    rows = step.tokens
    mixed = Tensor((rows, 2 * key + value))
    packed = Tensor((rows, 2 * key + 2 * value))
    gates = Tensor((rows, value_heads), F32)
    state = Tensor((4 * step.sequences, value_heads, model.linear_key_dim, model.linear_value_dim), F32)
    conv_state = Tensor((4 * step.sequences, 2 * key + value, model.conv_width - 1))
    one_state = value_heads * model.linear_key_dim * model.linear_value_dim * 4
    return [
        _triton(
            "fused_qkvzba_split_reshape_cat_kernel",
            "layout",
            (packed, Tensor((rows, 2 * value_heads))),
            (mixed, Tensor((rows, value)), Tensor((rows, value_heads)), Tensor((rows, value_heads))),
            rows,
        ),
        _triton(
            "_causal_conv1d_update_kernel_npu_tiled",
            "conv",
            (mixed, Tensor((2 * key + value, model.conv_width)), conv_state, Tensor((rows,), I32)),
            (mixed,),
            rows,
            traffic=6 * mixed.bytes,
        ),
        _triton(
            "fused_gdn_gating_kernel",
            "gate",
            (Tensor((value_heads,), F32), Tensor((rows, value_heads)), Tensor((value_heads,), F32)),
            (gates, gates),
            rows,
        ),
        _triton(
            "fused_recurrent_gated_delta_rule_fwd_kernel",
            "attention_core",
            (mixed, gates, gates, state, Tensor((rows + 1,), I32)),
            (Tensor((rows, value_heads, model.linear_value_dim)), state),
            rows,
            traffic=2 * step.sequences * one_state,
        ),
    ]


def _chunked(model: ModelDescription, step: Pass, key: int, value: int, value_heads: int) -> list[Operation]:
    rows = step.tokens
    chunks = max(1, -(-rows // CHUNK))
    mixed = Tensor((rows, 2 * key + value))
    values = Tensor((1, rows, value_heads, model.linear_value_dim))
    keys = Tensor((1, rows, value_heads, model.linear_key_dim))
    square = Tensor((1, rows, value_heads, CHUNK), F32)
    gates = Tensor((1, rows, value_heads), F32)
    states = Tensor((1, chunks, value_heads, model.linear_key_dim, model.linear_value_dim))

    def core(name: str, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Operation:
        return _triton(name, "attention_core", inputs, outputs, rows)

    flops = 2 * rows * CHUNK * value_heads * model.linear_key_dim * 2
    return [
        vector(
            "CausalConv1d",
            region="attention",
            role="conv",
            inputs=(mixed, Tensor((model.conv_width, 2 * key + value))),
            outputs=(mixed,),
            rows=rows,
            api="aclnnCausalConv1d_CausalConv1d",
        ),
        _triton("fused_gdn_gating_kernel", "gate", (Tensor((rows, value_heads)),), (gates, gates), rows),
        _triton("l2norm_fwd_kernel2_loop", "qk_norm", (keys,), (keys,), rows),
        _triton("l2norm_fwd_kernel2_loop", "qk_norm", (keys,), (keys,), rows),
        core("chunk_local_cumsum_scalar_kernel", (gates,), (gates,)),
        core("chunk_scaled_dot_kkt_fwd_kernel", (keys, gates), (square,)),
        core("merge_16x16_to_64x64_inverse_kernel", (square,), (Tensor(square.shape, BF16),)),
        core("recompute_w_u_fwd_kernel", (keys, values, gates, square), (keys, values)),
        Operation(
            op_type="ChunkGatedDeltaRuleFwdH",
            region="attention",
            role="attention_core",
            core="MIX_AIC",
            inputs=(keys, values, values, gates),
            outputs=(states, values),
            api="aclnnChunkGatedDeltaRuleFwdH_ChunkGatedDeltaRuleFwdH",
            blocks=24,
            flops=flops,
        ),
        Operation(
            op_type="ChunkFwdO",
            region="attention",
            role="attention_core",
            core="MIX_AIC",
            inputs=(keys, keys, values, states, gates),
            outputs=(values,),
            api="aclnnChunkFwdO_ChunkFwdO",
            blocks=24,
            flops=flops,
        ),
    ]
