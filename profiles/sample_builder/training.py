"""A training step: forward, backward and optimiser, after the kernels of a real Qwen3 run."""

from __future__ import annotations

from sample_builder.model import ModelDescription, Pass
from sample_builder.norms import rms_norm
from sample_builder.operation import (
    BF16,
    BOOL,
    F32,
    MIX_AIV,
    Operation,
    Shape,
    Some,
    Stated,
    Tensor,
    cast,
    collective,
    f32,
    i64,
    matmul,
    mixed,
    vector,
)
from sample_builder.step import Placed
from sample_builder.surroundings import embedding


def training_step(model: ModelDescription, step: Pass, index: int) -> list[Placed]:
    """Forward through all layers, loss, backward in reverse, gradient norm and optimiser."""

    def outside(operations: list[Operation]) -> list[Placed]:
        return [Placed(op, index, "training") for op in operations]

    def inside(operations: list[Operation], layer: int) -> list[Placed]:
        return [Placed(op, index, "training", layer, model.layer_kind(layer), "gqa") for op in operations]

    gradients = f32(model.layers * 12 * model.hidden * model.hidden)
    placed = outside([vector("ZerosLike", "other", "optimiser", gradients, gradients), *embedding(model, step)])
    for layer in range(model.layers):
        placed += inside(_forward_layer(model, step), layer)
    placed += outside(_loss(model, step))
    for layer in reversed(range(model.layers)):
        placed += inside(_backward_layer(model, step), layer)
    return placed + outside(_optimiser(model))


def _add(stated: Stated, region: str, role: str, other: Stated = None) -> Operation:
    return vector("Add", region, role, (stated, other or stated), stated)


def _product(rows: int, depth: int, columns: int, region: str, role: str) -> Operation:
    return matmul(rows, depth, columns, region, role, op_type="MatMulV3")


def _forward_layer(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, hidden, width = step.tokens, model.hidden, model.intermediate
    add = _add(Tensor((rows, 1, hidden), BF16, "NCL"), "norm", "residual_norm")
    return [
        rms_norm((rows, 1), hidden),
        *_forward_attention(model, rows),
        add,
        rms_norm((rows, 1), hidden),
        _product(rows, hidden, 2 * width, "mlp", "gate_up"),
        vector("SwiGlu", "mlp", "activation", (rows, 2 * width), (rows, width), rows=rows),
        _product(rows, width, hidden, "mlp", "down"),
        add,
    ]


def _forward_attention(model: ModelDescription, rows: int) -> list[Operation]:
    hidden, head = model.hidden, model.head_dim
    query, key = (rows, 1, model.heads, head), (rows, 1, model.kv_heads, head)
    merged, angle = (model.heads + 2 * model.kv_heads) * head, (rows, 1, 1, head)

    def inside(op_type: str, role: str, inputs: Some, output: Shape) -> Operation:
        return vector(op_type, "attention", role, inputs, output)

    def turned(part: Shape) -> list[Operation]:
        rotate = inside("RotaryPositionEmbedding", "rope", (part, angle, angle), part)
        return [rotate, inside("TensorMove", "layout", part, part)]

    sliced = [inside("Slice", "layout", (rows, merged), part) for part in (query, key)]
    wide = [Tensor((rows, 1, count * head), BF16, "NCL") for count in (model.heads, model.kv_heads)]
    statistics = f32(1, model.heads, rows, 8)
    return [
        _product(rows, hidden, merged, "attention", "qkv_proj"),
        sliced[0],
        rms_norm((rows, 1, model.heads), head, "attention", "qk_norm"),
        sliced[1],
        rms_norm((rows, 1, model.kv_heads), head, "attention", "qk_norm"),
        *turned(query),
        *turned(key),
        sliced[1],
        mixed(
            "FlashAttentionScore", "attention", "attention_core",
            (*wide, wide[1], None, None, None, Tensor((2048, 2048), BOOL)), (statistics, statistics, None, wide[0]),
            blocks=20, flops=2 * rows * rows * model.heads * head,
        ),
        _product(rows, model.heads * head, hidden, "attention", "out_proj"),
    ]  # fmt: skip


def _loss(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, columns = step.tokens, model.vocabulary
    logits = f32(rows, columns)
    return [
        rms_norm((rows, 1), model.hidden),
        _product(rows, model.hidden, columns, "head", "head"),
        cast((rows, columns), BF16, F32, "head", "loss"),
        vector("LogSoftmaxV2", "head", "loss", logits, logits),
        vector("NLLLoss", "head", "loss", (logits, i64(rows)), f32(1), core=MIX_AIV),
        vector("LogSoftmaxGrad", "head", "loss", (logits, logits), logits),
        _product(rows, columns, model.hidden, "head", "head"),
        _product(columns, rows, model.hidden, "head", "head"),
    ]


def _weight_step(rows: int, columns: int, depth: int, region: str, role: str) -> list[Operation]:
    """Gradient of the input, gradient of the weight, and its sum into the float32 gradient."""
    return [
        _product(rows, columns, depth, region, role),
        _product(columns, rows, depth, region, role),
        _add(f32(columns, depth), region, role, (columns, depth)),
    ]


def _norm_step(rows: Shape, width: int, region: str, role: str) -> list[Operation]:
    full, scale = (*rows, width), f32(width)
    inputs = (full, full, f32(*rows, 1), (width,))
    return [
        vector("RmsNormGrad", region, role, inputs, (full, scale), core=MIX_AIV, rows=rows[0]),
        cast((width,), F32, BF16, region, role),
        _add(scale, region, role, (width,)),
    ]


def _backward_layer(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, hidden, head, width = step.tokens, model.hidden, model.head_dim, model.intermediate
    query, key, angle = (rows, 1, model.heads, head), (rows, 1, model.kv_heads, head), (rows, 1, 1, head)
    wide, narrow = (rows, 1, model.heads * head), (rows, 1, model.kv_heads * head)
    merged = (model.heads + 2 * model.kv_heads) * head
    q, k = Tensor(wide, BF16, "NCL"), Tensor(narrow, BF16, "NCL")
    residual = [
        *_norm_step((rows, 1), hidden, "norm", "residual_norm"),
        _add(Tensor((rows, 1, hidden), BF16, "NCL"), "norm", "residual_norm"),
    ]
    operations = [
        *_weight_step(rows, hidden, width, "mlp", "down"),
        vector("SwiGluGrad", "mlp", "activation", ((rows, width), (rows, 2 * width)), (rows, 2 * width), rows=rows),
        *_weight_step(rows, 2 * width, hidden, "mlp", "gate_up"),
        *residual,
        *_weight_step(rows, hidden, model.heads * head, "attention", "out_proj"),
        mixed(
            "FlashAttentionScoreGrad", "attention", "attention_core", (q, k, k, q), (wide, narrow, None), blocks=20,
            flops=5 * rows * rows * model.heads * head,
        ),
    ]  # fmt: skip
    for part in (key, query):
        operations += [
            vector("RotaryPositionEmbeddingGrad", "attention", "rope", (part, angle, angle, None), part),
            vector("ZerosLike", "attention", "rope", part, part),
            _add(part, "attention", "rope"),
        ]
    for heads in (model.kv_heads, model.heads):
        operations += _norm_step((rows, 1, heads), head, "attention", "qk_norm")
    operations.append(vector("ConcatD", "attention", "layout", (query, key, key), (rows, 1, merged)))
    return [*operations, *_weight_step(rows, merged, hidden, "attention", "qkv_proj"), *residual]


def _optimiser(model: ModelDescription) -> list[Operation]:
    sizes = [12 * model.hidden * model.hidden] * model.layers + [model.vocabulary * model.hidden]
    one, parts = f32(1), [f32(size // 4) for size in sizes]
    operations = [collective("reduceScatter", f32(sum(sizes) // 4), owner="other", ranks=4)]
    for part in parts:
        operations.append(vector("LpNormV2", "other", "optimiser", part, f32(), core=MIX_AIV))
        operations.append(vector("Pows", "other", "optimiser", one, one))
        operations.append(_add(one, "other", "optimiser"))
    operations += [vector("ApplyAdamWV2", "other", "optimiser", (part, part, part, part, one), part) for part in parts]
    return [*operations, collective("allGather", Tensor((sum(sizes) // 4,)), owner="other", ranks=4)]
