"""Durations from shapes: a floor per kernel kind, a price per core that takes part, and a roofline.

The constants reproduce the real Qwen2.5-0.5B captures on a 910B2C: the 9728x896 projection of one row takes
19.5 us, the 151936x896 head 222 us, AddRmsNormBias 1.7 us for one row and 13 us for 126 rows, rope 2.9 us
and 12.4 us. Rates are bytes and floating-point operations per microsecond.
"""

from __future__ import annotations

from sample_builder.noise import Noise
from sample_builder.operation import (
    AI_CPU,
    COMMUNICATION,
    CUBE,
    CUBE_CORES,
    MIX_AIC,
    Operation,
)

#: Resolution of the device clock, ns.
TICK_NS = 20

CUBE_BANDWIDTH, CUBE_RATE, CUBE_FLOOR = 1.25e6, 2.4e8, 3.9
DEPTH_PRICE = 0.0008
VECTOR_BANDWIDTH, VECTOR_FLOOR, BLOCK_PRICE, ROW_BLOCK_PRICE = 1.5e6, 0.9, 0.13, 0.22
CACHE_RATE = 5e6
ATTENTION_RATE, ATTENTION_BANDWIDTH = 8e7, 0.95e6
LINK_BANDWIDTH = 9e4

#: op type -> time that does not depend on the shapes, us.
FLOORS = {
    "FusedInferAttentionScore": 21.0,
    "SparseFlashAttention": 22.0,
    "LightningIndexer": 14.0,
    "FlashAttentionScore": 14.0,
    "MlaPrologV2": 16.0,
    "MlaPrologV3": 16.0,
    "GroupedMatmul": 9.0,
    "GroupedMatmulSwigluQuant": 11.0,
    "DispatchFFNCombine": 40.0,
    "MoeDistributeDispatchV2": 14.0,
    "MoeDistributeCombineV2": 16.0,
    "MoeGatingTopK": 5.5,
    "MoeGatingTopKHash": 6.0,
    "AddRmsNormCast": 2.4,
    "InplaceAddRmsNorm": 1.7,
    "MoeGatingTopKSoftmax": 4.5,
    "MoeInitRoutingV2": 11.0,
    "MoeInitRoutingQuantV2": 12.0,
    "MoeFinalizeRoutingV2": 5.0,
    "MoeInitRoutingCustom": 10.0,
    "MoeTokenUnpermute": 4.5,
    "PagedAttentionMaskNdKernel": 17.0,
    "SparseAttnSharedkv": 24.0,
    "QuantLightningIndexer": 14.0,
    "Compressor": 12.0,
    "InplacePartialRotaryMul": 3.2,
    "ScatterNdUpdateSk": 2.0,
    "RmsNormDynamicQuant": 4.0,
    "ConcatD": 1.8,
    "SoftmaxV2": 3.0,
    "Conv2D": 20.0,
    "TransData": 3.0,
    "MoeReRouting": 6.0,
    "RmsNorm": 4.6,
    "AddRmsNorm": 1.7,
    "AddRmsNormBias": 1.7,
    "AddRmsNormQuant": 2.1,
    "AddRmsNormDynamicQuant": 3.2,
    "ReshapeAndCacheNdKernel": 1.5,
    "GatherV3": 2.1,
    "Tile": 1.4,
    "SwiGlu": 3.0,
    "DequantSwigluQuant": 3.6,
    "DynamicQuant": 2.4,
    "_triton_rope": 2.8,
    "split_qkv_rmsnorm_rope_kernel": 4.5,
    "fused_recurrent_gated_delta_rule_fwd_kernel": 9.0,
    "layer_norm_fwd_kernel": 4.0,
    "_causal_conv1d_update_kernel_npu_tiled": 4.5,
    "fused_qkvzba_split_reshape_cat_kernel": 4.0,
    "ScatterNdUpdate": 2.0,
    "KvRmsNormRopeCache": 4.0,
    "InterleaveRope": 2.6,
    "RotaryMul": 3.0,
    "LayerNormV3": 3.0,
    "GatherV2": 2.4,
    "_compute_slot_mapping_kernel": 119.0,
    "token_bin_counts_and_mask_kernel": 62.0,
    "apply_all_penalties_kernel": 73.0,
    "MaskedFill": 150.0,
    "ArgMaxV2": 17.5,
    "Index": 1.5,
    "HcPre": 26.0,
    "HcPost": 5.0,
    "HcHead": 10.0,
}

#: Kernels of another library that take the time of a known one.
SAME_FLOOR = {
    "RmsNormKernel": "RmsNorm",
    "SwigluForwardBF16Kernel": "SwiGlu",
    "AtbRopeKernel": "_triton_rope",
    "UnpadFlashAttentionBF16NdKernel": "FusedInferAttentionScore",
    "Gather16I64Kernel": "GatherV2",
}
FLOORS |= {name: FLOORS[same] for name, same in SAME_FLOOR.items()}

#: Collectives by kind: time without payload, us.
COLLECTIVE_FLOOR = 11.0


def duration_us(operation: Operation) -> float:
    """Expected duration in microseconds, without noise and waiting."""
    if operation.core == COMMUNICATION:
        return COLLECTIVE_FLOOR + operation.bytes / LINK_BANDWIDTH
    if operation.core == AI_CPU:
        return FLOORS.get(operation.op_type, 40.0)
    if operation.op_type in ("MoeDistributeDispatchV2", "MoeDistributeCombineV2"):
        return FLOORS[operation.op_type] + operation.bytes / LINK_BANDWIDTH
    rows = operation.inputs[0].shape[0] if operation.inputs and operation.inputs[0] and operation.inputs[0].shape else 1
    if operation.role == "attention_core" and operation.core == MIX_AIC:
        return (
            FLOORS.get(operation.op_type, 16.0)
            + min(6.0, 0.05 * rows)
            + max(operation.bytes / ATTENTION_BANDWIDTH, operation.flops / (ATTENTION_RATE * operation.efficiency))
        )
    if operation.core in (CUBE, MIX_AIC):
        used = 0.5 + 0.5 * operation.blocks / CUBE_CORES
        work = max(operation.bytes / (CUBE_BANDWIDTH * used), operation.flops / (CUBE_RATE * operation.efficiency))
        plain = operation.traffic is None
        spread = min(1.5, 0.1 * rows) + (rows * operation.depth * operation.blocks / CACHE_RATE if plain else 0.0)
        return FLOORS.get(operation.op_type, CUBE_FLOOR) + operation.depth * DEPTH_PRICE + spread + work
    floor = FLOORS.get(operation.op_type, VECTOR_FLOOR)
    price = ROW_BLOCK_PRICE if operation.op_type in FLOORS else BLOCK_PRICE
    return floor + price * max(operation.blocks - 1, 0) + operation.bytes / VECTOR_BANDWIDTH


def sample_ns(operation: Operation, noise: Noise, spread: float = 0.03) -> int:
    """A duration with noise and, where the kernel waits for other ranks, a wait; whole clock ticks, ns."""
    value = duration_us(operation) * noise.factor(spread)
    if operation.skew_us:
        value += noise.waiting(operation.skew_us)
    return max(TICK_NS, round(value * 1000 / TICK_NS) * TICK_NS)


def head_ns(operation: Operation, duration_ns: int) -> int:
    """The part of a duration that the cores do not work in (scheduling, completion), ns.

    From the real training capture's PMU columns: about 0.54 us for a small vector kernel, growing with the cores;
    1 to 3 us for cube kernels.
    """
    wanted = 0.5 + 0.03 * operation.blocks if operation.core not in (CUBE, MIX_AIC) else 1.2 + 0.06 * operation.blocks
    return min(round(wanted * 1000), duration_ns // 2)
