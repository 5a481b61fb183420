"""Residual adds and the norms between sub-blocks, and the projection that all blocks share."""

from __future__ import annotations

from dataclasses import replace

from sample_builder.model import ModelDescription, Pass
from sample_builder.operation import (
    BF16,
    F32,
    I8,
    I32,
    MIX_AIC,
    Operation,
    Tensor,
    collective,
    matmul,
    quant_matmul,
    vector,
)


def rms_norm(
    rows: tuple[int, ...],
    width: int,
    *,
    region: str = "norm",
    role: str = "residual_norm",
) -> Operation:
    """RMS norm over the last axis; `rows` are the leading dimensions."""
    full = (*rows, width)
    leading = 1
    for size in rows:
        leading *= size
    return vector(
        "RmsNorm",
        region=region,
        role=role,
        inputs=(Tensor(full), Tensor((width,))),
        outputs=(Tensor(full), Tensor((*rows, 1), F32)),
        rows=leading,
    )


def add_norm(
    model: ModelDescription, step: Pass, *, quantise: bool = False, for_router: bool = False
) -> list[Operation]:
    """The residual add and the norm after a sub-block, fused or not.

    `quantise`: the next projection is int8. `for_router`: the GE graph may fuse the router's Cast into the norm.
    """
    rows, width = step.tokens, model.hidden
    hidden, scale, weight = Tensor((rows, width)), Tensor((rows, 1), F32), Tensor((width,))
    int8, unused = Tensor((rows, width), I8), Tensor((1,), I8)

    def fused(op_type: str, *extra: Tensor | None, outputs: tuple[Tensor, ...], api: str = "") -> list[Operation]:
        inputs = (hidden, hidden, weight, *extra)
        return [
            vector(op_type, region="norm", role="residual_norm", inputs=inputs, outputs=outputs, api=api, rows=rows)
        ]

    if model.norm == "decomposed":
        add = vector(
            "Add",
            region="norm",
            role="residual_norm",
            inputs=(hidden, hidden),
            outputs=(hidden,),
            api="aclnnAdd_AddAiCore",
        )
        return [add, rms_norm((rows,), width)]
    if quantise and step.ge and model.quantisation == "w8a8_dynamic":
        scales = (Tensor((rows,), F32), Tensor((1,), F32))
        return fused("AddRmsNormDynamicQuant", weight, None, outputs=(int8, unused, hidden, *scales))
    if quantise and model.quantisation == "w8a8":
        return fused("AddRmsNormQuant", weight, None, Tensor((width,), I32), None, outputs=(int8, unused, hidden))
    if model.norm == "fused_bias":
        return fused("AddRmsNormBias", None, outputs=(hidden, scale, hidden))
    if for_router and step.ge and model.norm_casts_for_router:
        return fused("AddRmsNormCast", outputs=(hidden, Tensor((rows, width), F32), scale, hidden))
    name = "InplaceAddRmsNorm" if step.ge and model.kv_lora_rank else "AddRmsNorm"
    return fused(name, outputs=(hidden, scale, hidden), api="" if step.ge else "aclnnAddRmsNorm_AddRmsNorm")


def dynamic_quant(rows: int, width: int, *, region: str) -> Operation:
    """Per-token quantisation of an activation."""
    return vector(
        "DynamicQuant",
        region=region,
        role="quantise",
        inputs=(Tensor((rows, width)), None),
        outputs=(Tensor((rows, width), I8), Tensor((rows,), F32)),
        api="aclnnDynamicQuantV2_DynamicQuantAiCore",
        rows=rows,
    )


def static_quant(rows: int, width: int, *, region: str) -> Operation:
    """Quantisation of an activation with a scale known beforehand."""
    return vector(
        "AscendQuantV2",
        region=region,
        role="quantise",
        inputs=(Tensor((rows, width)), Tensor((width,)), Tensor((width,))),
        outputs=(Tensor((rows, width), I8),),
        api="aclnnAscendQuantV3_AscendQuantV2AiCore",
    )


def projection(
    model: ModelDescription,
    step: Pass,
    depth: int,
    columns: int,
    *,
    region: str,
    role: str,
    bias: bool = False,
    quantised_input: bool = False,
    rows: int | None = None,
) -> list[Operation]:
    """A linear layer with the quantisation that it needs. `quantised_input`: the norm before it already quantised."""
    rows = step.tokens if rows is None else rows
    if not model.quantised:
        operations = [matmul(rows, depth, columns, region=region, role=role, op_type=model.matmul_type, bias=bias)]
        if bias and not step.ge:
            operations.insert(0, _bias_cast(columns, region))
        return operations
    per_token = model.quantisation != "w8a8"
    product = quant_matmul(rows, depth, columns, region=region, role=role, per_token=per_token)
    if quantised_input:
        return [product]
    quant = dynamic_quant(rows, depth, region=region) if per_token else static_quant(rows, depth, region=region)
    return [quant, product]


def _bias_cast(columns: int, region: str) -> Operation:
    return vector(
        "Cast",
        region=region,
        role="qkv_proj" if region == "attention" else "layout",
        inputs=(Tensor((columns,), BF16),),
        outputs=(Tensor((columns,), F32),),
        api="aclnnAddmm_CastAiCore",
    )


def reduce_over_ranks(model: ModelDescription, step: Pass, operations: list[Operation], owner: str) -> list[Operation]:
    """A block that ends in a row-parallel projection, with the all-reduce after it or fused into it."""
    if model.tensor_parallel == 1:
        return operations
    if model.matmul_allreduce and not model.quantised:
        fused = replace(
            operations[-1],
            op_type="MatmulAllReduce",
            core=MIX_AIC,
            api="" if step.ge else "aclnnMatmulAllReduce_MatmulAllReduce",
            blocks=24,
            skew_us=6.0,
        )
        return [*operations[:-1], fused]
    moved = Tensor((step.tokens, model.hidden))
    return [*operations, collective("allReduce", moved, owner=owner, ranks=model.tensor_parallel)]


def norm_quantises(model: ModelDescription, step: Pass) -> bool:
    """Whether the fused norm before a projection hands over int8."""
    if model.norm == "decomposed" or not model.quantised:
        return False
    return model.quantisation == "w8a8" or (step.ge and model.quantisation == "w8a8_dynamic")
