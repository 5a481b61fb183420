"""The dense feed-forward: gate and up projection, activation, down projection."""

from __future__ import annotations

from sample_builder.model import ModelDescription, Pass
from sample_builder.norms import norm_quantises, projection, reduce_over_ranks
from sample_builder.operation import I32, Operation, f32, i8, i32, i64, quant_matmul, vector


def feed_forward(model: ModelDescription, step: Pass) -> list[Operation]:
    """The kernels of a dense feed-forward block, with the all-reduce after it where ranks share it."""
    operations = gated(model, step, model.local_intermediate, "mlp", ("gate_up", "activation", "down"))
    return reduce_over_ranks(model, step, operations, "mlp")


def gated(
    model: ModelDescription, step: Pass, width: int, region: str, roles: tuple[str, str, str],
    quantised_input: bool | None = None,
) -> list[Operation]:  # fmt: skip
    """Gate, up, activation, down for the rows of the pass, in bfloat16 or int8."""
    rows, gate_up, activate, down = step.tokens, *roles
    ready = norm_quantises(model, step) if quantised_input is None else quantised_input
    first = projection(model, step, model.hidden, 2 * width, region, gate_up, quantised_input=ready)
    if model.quantisation in ("w8a8_dynamic", "w4a8") and step.ge:
        first[-1] = quant_matmul(rows, model.hidden, 2 * width, region, gate_up, out=I32)
        fused = dequant_swiglu_quant(rows, width, region, activate)
        return [*first, fused, quant_matmul(rows, width, model.hidden, region, down)]
    middle = activation(model, rows, width, region, activate)
    return [*first, *middle, *projection(model, step, width, model.hidden, region, down)]


def dequant_swiglu_quant(rows: int, width: int, region: str, role: str) -> Operation:
    """Dequantise, SwiGLU and quantise in one kernel."""
    inputs = (i32(rows, 2 * width), f32(1, 2 * width), f32(rows), None, f32(1, width), None, None)
    return vector("DequantSwigluQuant", region, role, inputs, (i8(rows, width), f32(rows)), rows=rows)


def activation(model: ModelDescription, rows: int, width: int, region: str, role: str) -> list[Operation]:
    """SwiGLU as one kernel, or as slices, SiLU and a product."""
    merged, half = (rows, 2 * width), (rows, width)
    if model.activation == "swiglu":
        return [vector("SwiGlu", region, role, merged, half, rows=rows)]
    split = vector("Slice", region, "layout", (merged, i64(2), i64(2)), half, blocks=min(12, rows))
    return [split, split, vector("Swish", region, role, half, half), vector("Mul", region, role, (half, half), half)]
