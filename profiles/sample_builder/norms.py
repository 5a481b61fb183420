"""Residual adds and the norms between sub-blocks, and the projection that all blocks share."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from sample_builder.model import ModelDescription, Pass
from sample_builder.operation import (
    BF16,
    CUBE_CORES,
    F32,
    MIX_AIC,
    Operation,
    Shape,
    Stated,
    Tensor,
    cast,
    collective,
    f32,
    i8,
    i32,
    matmul,
    quant_matmul,
    vector,
)


def rms_norm(rows: Shape, width: int, region: str = "norm", role: str = "residual_norm") -> Operation:
    """RMS norm over the last axis; `rows` are the leading dimensions."""
    full = (*rows, width)
    return vector("RmsNorm", region, role, (full, (width,)), (full, f32(*rows, 1)), rows=prod(rows))


def add_norm(
    model: ModelDescription, step: Pass, *, quantise: bool = False, for_router: bool = False
) -> list[Operation]:
    """The residual add and the norm after a sub-block, fused or not.

    `quantise`: the next projection is int8. `for_router`: the GE graph may fuse the router's Cast into the norm.
    """
    rows, width = step.tokens, model.hidden
    hidden, scale, weight, int8 = Tensor((rows, width)), f32(rows, 1), Tensor((width,)), i8(rows, width)

    def fused(op_type: str, *extra: Stated, outputs: tuple[Tensor, ...]) -> list[Operation]:
        return [vector(op_type, "norm", "residual_norm", (hidden, hidden, weight, *extra), outputs, rows=rows)]

    if model.norm == "decomposed":
        return [vector("Add", "norm", "residual_norm", (hidden, hidden), hidden), rms_norm((rows,), width)]
    if quantise and step.ge and model.quantisation == "w8a8_dynamic":
        return fused("AddRmsNormDynamicQuant", weight, None, outputs=(int8, i8(1), hidden, f32(rows), f32(1)))
    if quantise and model.quantisation == "w8a8":
        return fused("AddRmsNormQuant", weight, None, i32(width), None, outputs=(int8, i8(1), hidden))
    if model.norm == "fused_bias":
        return fused("AddRmsNormBias", None, outputs=(hidden, scale, hidden))
    if for_router and step.ge and model.norm_casts_for_router:
        return fused("AddRmsNormCast", outputs=(hidden, f32(rows, width), scale, hidden))
    return fused(
        "InplaceAddRmsNorm" if step.ge and model.kv_lora_rank else "AddRmsNorm", outputs=(hidden, scale, hidden)
    )


def dynamic_quant(rows: int, width: int, region: str) -> Operation:
    """Per-token quantisation of an activation."""
    return vector("DynamicQuant", region, "quantise", ((rows, width), None), (i8(rows, width), f32(rows)), rows=rows)


def static_quant(rows: int, width: int, region: str) -> Operation:
    """Quantisation of an activation with a scale known beforehand."""
    return vector("AscendQuantV2", region, "quantise", ((rows, width), (width,), (width,)), i8(rows, width))


def projection(
    model: ModelDescription, step: Pass, depth: int, columns: int, region: str, role: str, *, bias: bool = False,
    quantised_input: bool = False,
) -> list[Operation]:  # fmt: skip
    """A linear layer with the quantisation that it needs. `quantised_input`: the norm before it already quantised."""
    rows = step.tokens
    if not model.quantised:
        product = matmul(rows, depth, columns, region, role, op_type=model.matmul_type, bias=bias)
        return [bias_cast(columns, region), product] if bias and not step.ge else [product]
    per_token = model.quantisation != "w8a8"
    product = quant_matmul(rows, depth, columns, region, role, per_token=per_token)
    return (
        [product] if quantised_input else [(dynamic_quant if per_token else static_quant)(rows, depth, region), product]
    )


def bias_cast(columns: int, region: str, role: str = "") -> Operation:
    """The conversion of a bias before an eager matmul."""
    role = role or ("qkv_proj" if region == "attention" else "layout")
    return cast((columns,), BF16, F32, region, role, api="aclnnAddmm_CastAiCore")


def reduce_over_ranks(model: ModelDescription, step: Pass, operations: list[Operation], owner: str) -> list[Operation]:
    """A block that ends in a row-parallel projection, with the all-reduce after it or fused into it."""
    if model.tensor_parallel == 1:
        return operations
    if model.matmul_allreduce and not model.quantised:
        fused = replace(
            operations[-1], op_type="MatmulAllReduce", core=MIX_AIC, api=None, blocks=CUBE_CORES, skew_us=6.0
        )
        return [*operations[:-1], fused]
    moved = Tensor((step.tokens, model.hidden))
    return [*operations, collective("allReduce", moved, owner=owner, ranks=model.tensor_parallel)]


def norm_quantises(model: ModelDescription, step: Pass) -> bool:
    """Whether the fused norm before a projection hands over int8."""
    if model.norm == "decomposed" or not model.quantised:
        return False
    return model.quantisation == "w8a8" or (step.ge and model.quantisation == "w8a8_dynamic")
