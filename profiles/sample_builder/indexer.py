"""The lightning indexer of sparse attention: it scores the whole cache cheaply and picks what attention reads."""

from __future__ import annotations

from typing import Any

from sample_builder.attention_kernels import BLOCK_SIZE
from sample_builder.model import ModelDescription, Pass
from sample_builder.norms import projection
from sample_builder.operation import BF16, F32, Operation, Some, Tensor, cast, f32, i32, i64, matmul, mixed, vector


def indexer(model: ModelDescription, step: Pass, blocks: int) -> list[Operation]:
    """Index queries and keys with rope, the write to the index cache of `blocks` blocks, head weights, the choice."""
    rows, heads, width = step.tokens, model.index_heads, model.index_dim
    query, key, weights = Tensor((rows, heads, width)), Tensor((rows, 1, width)), Tensor((rows, heads))
    cache = Tensor((blocks, BLOCK_SIZE, 1, width))
    plain, scale = f32(rows, width), f32(width)
    written = "aclnnScatterNdUpdate_ScatterNdUpdateAiCore"
    return [
        *projection(model, step, model.q_lora_rank, heads * width, "attention", "indexer"),
        *_rotate(model, step, query),
        *projection(model, step, model.hidden, width, "attention", "indexer"),
        cast((rows, width), BF16, F32, "attention", "indexer"),
        _plain("LayerNormV3", (plain, scale, scale), plain, rows),
        cast((rows, width), F32, BF16, "attention", "indexer"),
        *_rotate(model, step, key),
        _plain("ScatterNdUpdate", (cache, i64(rows, 1), key), cache, rows, api=written, traffic=3 * key.bytes),
        matmul(rows, model.hidden, heads, "attention", "indexer", op_type=model.matmul_type),
        _plain("Mul", (weights, Tensor(())), weights, rows, api="aclnnMuls_MulAiCore"),
        mixed(
            "LightningIndexer", "attention", "indexer", (query, cache, weights, i32(step.sequences), None, None),
            i32(rows, 1, model.index_topk), traffic=step.sequences * step.context * width * 2,
            flops=2 * rows * heads * step.context * width, efficiency=0.8,
        ),
    ]  # fmt: skip


def _plain(op_type: str, inputs: Some, outputs: Some, rows: int, **more: Any) -> Operation:
    return vector(op_type, "attention", "indexer", inputs, outputs, rows=rows, **more)


def _rotate(model: ModelDescription, step: Pass, tensor: Tensor) -> list[Operation]:
    """Split off the rotary part, turn it, put it back."""
    rows, heads, width = tensor.shape
    parts = turned, _ = (rows, heads, model.rope_dim), (rows, heads, width - model.rope_dim)
    angle = (rows, 1, model.rope_dim)
    if step.ge:
        split = [_plain("SplitVD", tensor, parts, rows)]
    else:
        split = [_plain("Slice", tensor, part, rows) for part in parts]
    rotary = "aclnnRotaryPositionEmbedding_RotaryMul"
    return [
        *split,
        _plain("RotaryMul", (turned, angle, angle), turned, rows, api=rotary),
        _plain("ConcatD", parts, tensor, rows),
    ]
