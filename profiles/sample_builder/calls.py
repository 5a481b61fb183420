"""The eager calls that start kernels: what stands before the op type in a kernel's name."""

from __future__ import annotations

#: Calls named like the op type, and like it with AiCore behind.
_ALIKE = frozenset(
    (
        "AddRmsNorm", "ApplyAdamWV2", "CausalConv1d", "ChunkFwdO", "ChunkGatedDeltaRuleFwdH", "DequantSwigluQuant",
        "DispatchFFNCombine", "FlashAttentionScore", "FlashAttentionScoreGrad", "GroupedMatmulSwigluQuant", "HcPost",
        "HcPre", "InterleaveRope", "KvRmsNormRopeCache", "MatmulAllReduce", "MoeDistributeCombineV2",
        "MoeDistributeDispatchV2", "MoeFinalizeRoutingV2", "MoeGatingTopK", "MoeGatingTopKSoftmax",
        "MoeInitRoutingCustom", "MoeInitRoutingQuantV2", "MoeInitRoutingV2", "MoeReRouting", "MoeTokenUnpermute",
        "Muls", "TransposeBatchMatMul",
    )
)  # fmt: skip
_ALIKE_ON_CORES = frozenset(("Add", "Cast", "Gelu", "Index", "Mul", "Neg", "Sigmoid", "Tanh"))
_CALLS = {
    "ArgMaxV2": "ArgMax_ArgMaxV2AiCore", "AscendQuantV2": "AscendQuantV3_AscendQuantV2AiCore", "ConcatD": "Cat_ConcatD",
    "BatchMatMulV2": "BatchMatMul_BatchMatMulV2Nd", "Conv2D": "Convolution",
    "DynamicQuant": "DynamicQuantV2_DynamicQuantAiCore", "Equal": "EqScalar_EqualAiCore",
    "Fill": "InplaceFillScalar_FillAiCore", "GatherV2": "Embedding_GatherV2AiCore",
    "GatherV3": "IndexSelect_GatherV3AiCore", "Greater": "GtScalar_GreaterAiCore",
    "GreaterEqual": "GeScalar_GreaterEqualAiCore", "GroupedMatmul": "GroupedMatmulV4_GroupedMatmul",
    "LayerNormV3": "LayerNorm_LayerNormV3AiCore", "Less": "LtScalar_LessAiCore",
    "LogSoftmaxV2": "LogSoftmax_LogSoftmaxAiCore", "LogicalAnd": "BitwiseAndTensor_LogicalAndAiCore",
    "LpNormV2": "LinalgVectorNorm_LpNormV2", "MaskedFill": "InplaceMaskedFillScalar_MaskedFillAiCpu",
    "MatMulV2": "Matmul_MatMulCommon", "MatMulV3": "Matmul_MatMulV3Common",
    "MaxPoolWithArgmaxV1": "MaxPool2dWithMask_MaxPoolWithArgmaxV1AiCore",
    "MoeGatingTopKHash": "MoeGatingTopK_MoeGatingTopK",
    "Pows": "PowTensorScalar_PowsAiCore", "QuantBatchMatmulV3": "QuantMatmulWeightNz_QuantBatchMatmulV3",
    "RealDiv": "Div_RealDivAiCore", "ReduceSum": "ReduceSum_ReduceSumOpAiCore", "Relu": "InplaceRelu_Relu",
    "Slice": "InplaceCopy_SliceAiCore", "SoftmaxV2": "Softmax_SoftmaxV2AiCore", "Sub": "Subs_SubAiCore",
    "Swish": "Silu_SiluAiCore", "TensorMove": "Cat_TensorMoveAiCore", "Tile": "Repeat_TileAiCore",
    "Transpose": "InplaceCopy_TransposeAiCore", "ZerosLike": "InplaceZero_ZerosLikeAiCore",
}  # fmt: skip


def eager_call(op_type: str) -> str:
    """The call that starts kernels of this type as a rule; empty where the type is the whole name."""
    if op_type in _ALIKE:
        return f"aclnn{op_type}_{op_type}"
    if op_type in _ALIKE_ON_CORES:
        return f"aclnn{op_type}_{op_type}AiCore"
    return f"aclnn{_CALLS[op_type]}" if op_type in _CALLS else ""
