"""An encoder pass (BERT): attention in both directions, no cache, no decode."""

from __future__ import annotations

from sample_builder.model import ModelDescription, Pass
from sample_builder.norms import bias_cast
from sample_builder.operation import CUBE, Operation, Shape, f32, i64, matmul, mixed, vector
from sample_builder.step import Placed


def encode(model: ModelDescription, step: Pass, index: int) -> list[Placed]:
    """Embeddings, all layers, pooler and classifier."""
    placed = [Placed(op, index, "unknown") for op in _embeddings(model, step)]
    for layer in range(model.layers):
        placed += [Placed(op, index, "unknown", layer, "other", "unknown") for op in _layer(model, step)]
    return placed + [Placed(op, index, "unknown") for op in _pooler(model, step)]


def _linear(rows: int, depth: int, columns: int, region: str, role: str) -> list[Operation]:
    return [bias_cast(columns, region, role), matmul(rows, depth, columns, region, role, bias=True)]


def _norm(hidden: Shape, region: str = "norm") -> Operation:
    rows, weight = hidden[0], hidden[1:]
    outputs = (hidden, f32(rows, 1), f32(rows, 1))
    return vector("LayerNormV3", region, "residual_norm", (hidden, weight, weight), outputs, rows=rows)


def _embeddings(model: ModelDescription, step: Pass) -> list[Operation]:
    hidden = (step.tokens, model.hidden)
    words, positions, segments = (
        vector("GatherV2", "embedding", "embedding", ((count, model.hidden), i64(step.tokens), i64(1)), hidden)
        for count in (2, 512, 512)
    )
    add = vector("Add", "embedding", "embedding", (hidden, hidden), hidden)
    return [words, positions, add, segments, add, _norm(hidden, "embedding")]


def _layer(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, hidden, heads, head, inner = step.tokens, model.hidden, model.heads, model.head_dim, model.intermediate
    count, length = step.sequences, rows // step.sequences
    split, scores, stream = (count, heads, length, head), (count, heads, length, length), (rows, hidden)
    turn = vector("Transpose", "attention", "layout", ((count, length, heads, head), i64(4)), split)
    total = vector("Add", "norm", "residual_norm", (stream, stream), stream)

    def batch(first: Shape, second: Shape, output: Shape, depth: int) -> Operation:
        return mixed(
            "BatchMatMulV2", "attention", "attention_core", (first, second), output, core=CUBE,
            api="aclnnMatmul_BatchMatMulV2Nd", flops=2 * count * heads * length * length * head, depth=depth,
        )  # fmt: skip

    return [
        *3 * [*_linear(rows, hidden, hidden, "attention", "qkv_proj"), turn],
        batch(split, split, scores, head),
        vector("Muls", "attention", "attention_core", scores, scores),
        vector("Add", "attention", "attention_core", (scores, scores), scores),
        vector("SoftmaxV2", "attention", "attention_core", scores, scores),
        batch(scores, split, split, length),
        turn,
        *_linear(rows, hidden, hidden, "attention", "out_proj"),
        total,
        _norm(stream),
        *_linear(rows, hidden, inner, "mlp", "gate_up"),
        vector("Gelu", "mlp", "activation", (rows, inner), (rows, inner)),
        *_linear(rows, inner, hidden, "mlp", "down"),
        total,
        _norm(stream),
    ]


def _pooler(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, hidden = step.sequences, model.hidden
    return [
        vector("Slice", "head", "head", (step.tokens, hidden), (rows, hidden)),
        *_linear(rows, hidden, hidden, "head", "head"),
        vector("Tanh", "head", "head", (rows, hidden), (rows, hidden)),
        *_linear(rows, hidden, 2, "head", "head"),
    ]
