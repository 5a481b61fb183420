"""The dense feed-forward: gate and up projection, activation, down projection."""

from __future__ import annotations

from sample_builder.model import ModelDescription, Pass
from sample_builder.norms import norm_quantises, projection, reduce_over_ranks
from sample_builder.operation import BF16, F32, I8, I32, Operation, Tensor, quant_matmul, vector


def feed_forward(model: ModelDescription, step: Pass) -> list[Operation]:
    """The kernels of a dense feed-forward block, with the all-reduce after it where ranks share it."""
    width = model.local_intermediate
    operations = gated(model, step, width, region="mlp", roles=("gate_up", "activation", "down"))
    return reduce_over_ranks(model, step, operations, "mlp")


def gated(
    model: ModelDescription,
    step: Pass,
    width: int,
    *,
    region: str,
    roles: tuple[str, str, str],
    quantised_input: bool | None = None,
) -> list[Operation]:
    """Gate, up, activation, down for the rows of the pass, in bfloat16 or int8."""
    rows, gate_up, activate, down = step.tokens, *roles
    ready = norm_quantises(model, step) if quantised_input is None else quantised_input
    if model.quantisation in ("w8a8_dynamic", "w4a8") and step.ge:
        first = projection(model, step, model.hidden, 2 * width, region=region, role=gate_up, quantised_input=ready)
        first[-1] = quant_matmul(rows, model.hidden, 2 * width, region=region, role=gate_up, out=I32)
        fused = dequant_swiglu_quant(rows, width, region=region, role=activate)
        return [*first, fused, quant_matmul(rows, width, model.hidden, region=region, role=down)]
    operations = projection(model, step, model.hidden, 2 * width, region=region, role=gate_up, quantised_input=ready)
    operations += activation(model, rows, width, region=region, role=activate)
    return operations + projection(model, step, width, model.hidden, region=region, role=down)


def dequant_swiglu_quant(rows: int, width: int, *, region: str, role: str) -> Operation:
    """Dequantise, SwiGLU and quantise in one kernel."""
    return vector(
        "DequantSwigluQuant",
        region=region,
        role=role,
        inputs=(
            Tensor((rows, 2 * width), I32),
            Tensor((1, 2 * width), F32),
            Tensor((rows,), F32),
            None,
            Tensor((1, width), F32),
            None,
            None,
        ),
        outputs=(Tensor((rows, width), I8), Tensor((rows,), F32)),
        api="aclnnDequantSwigluQuant_DequantSwigluQuant",
        rows=rows,
    )


def activation(model: ModelDescription, rows: int, width: int, *, region: str, role: str) -> list[Operation]:
    """SwiGLU as one kernel, or as slices, SiLU and a product."""
    merged, half = Tensor((rows, 2 * width)), Tensor((rows, width), BF16)
    if model.activation == "swiglu":
        return [vector("SwiGlu", region=region, role=role, inputs=(merged,), outputs=(half,), rows=rows)]
    silu = vector("Swish", region=region, role=role, inputs=(half,), outputs=(half,), api="aclnnSilu_SiluAiCore")
    product = vector("Mul", region=region, role=role, inputs=(half, half), outputs=(half,), api="aclnnMul_MulAiCore")
    split = [
        vector(
            "Slice",
            region=region,
            role="layout",
            inputs=(merged, Tensor((2,), "INT64"), Tensor((2,), "INT64")),
            outputs=(half,),
            api="aclnnInplaceCopy_SliceAiCore",
            blocks=min(12, rows),
        )
        for _ in range(2)
    ]
    return [*split, silu, product]
