"""Multi-head latent attention, dense or with the sparse indexer."""

from __future__ import annotations

from typing import Any

from sample_builder.attention_kernels import BLOCK_SIZE, block_table, cache_blocks, infer_attention, layout
from sample_builder.model import ModelDescription, Pass
from sample_builder.norms import dynamic_quant, norm_quantises, projection, rms_norm
from sample_builder.operation import (
    BF16,
    CUBE,
    F32,
    I8,
    Operation,
    Shape,
    Some,
    Tensor,
    cast,
    f32,
    i32,
    i64,
    matmul,
    mixed,
    vector,
)  # fmt: skip


def latent_attention(model: ModelDescription, step: Pass) -> list[Operation]:
    """Latent projections, (indexer,) absorbed attention and output projection; without absorption in prefill."""
    output = projection(model, step, model.local_heads * model.value_dim, model.hidden, "attention", "out_proj")
    if step.phase == "prefill":
        return [*_prefill(model, step), *output]
    operations = _prolog(model, step) if model.mla_prolog else _decomposed_prolog(model, step)
    if model.attention == "sparse":
        operations += [*_indexer(model, step, cache_blocks(step)), _sparse_core(model, step)]
    else:
        operations.append(_core(model, step))
    return [*operations, _absorbed("value", model, step), *output]


def _cache(model: ModelDescription, step: Pass) -> tuple[Tensor, Tensor]:
    latent, rope = ((cache_blocks(step), BLOCK_SIZE, 1, width) for width in (model.kv_lora_rank, model.rope_dim))
    return Tensor(latent), Tensor(rope)


def _prolog(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, heads, quantised = step.tokens, model.local_heads, model.quantised
    pages = _cache(model, step)
    dtype = I8 if quantised else BF16
    shapes = (
        (model.hidden, model.q_lora_rank),
        (model.q_lora_rank, heads * (model.nope_dim + model.rope_dim)),
        (heads, model.nope_dim, model.kv_lora_rank),
        (model.hidden, model.kv_lora_rank + model.rope_dim),
    )
    weights = [Tensor(shape, dtype if i != 2 else BF16, "FRACTAL_NZ") for i, shape in enumerate(shapes)]
    sizes = sum(weight.bytes for weight in weights)
    angle, query = (rows, model.rope_dim), Tensor((rows, heads, model.kv_lora_rank))
    scales = (f32(rows, 1), f32(1, model.q_lora_rank)) if quantised else (None, None)
    operation = mixed(
        "MlaPrologV2" if model.attention == "mla" else "MlaPrologV3", "attention", "qkv_proj",
        (
            Tensor((rows, model.hidden), dtype), *weights, (model.q_lora_rank,), (model.kv_lora_rank,), angle, angle,
            i64(rows), *pages, *scales,
        ),
        (query, (rows, heads, model.rope_dim), *pages), traffic=sizes + 3 * query.bytes,
        flops=2 * rows * sizes // (2 if dtype == BF16 else 1), depth=model.hidden,
    )  # fmt: skip
    if quantised and not norm_quantises(model, step):
        return [dynamic_quant(rows, model.hidden, "attention"), operation]
    return [operation]


def _decomposed_prolog(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, heads, rank = step.tokens, model.local_heads, model.q_lora_rank
    latent_width = model.kv_lora_rank + model.rope_dim
    latent, rope_cache = _cache(model, step)
    both, angle, turned = rank + latent_width, (rows, 1, 1, model.rope_dim), (rows, heads, 1, model.rope_dim)
    ready = norm_quantises(model, step)
    entry = ((rows, 1, 1, latent_width), (model.kv_lora_rank,), angle, angle, i64(rows), rope_cache, latent)
    return [
        *projection(model, step, model.hidden, both, "attention", "qkv_proj", quantised_input=ready),
        vector(
            "SplitVD" if step.ge else "Slice", "attention", "layout", (rows, both),
            ((rows, rank), (rows, latent_width)) if step.ge else (rows, rank), blocks=min(12, rows),
            traffic=2 * Tensor((rows, both)).bytes,
        ),
        rms_norm((rows,), rank, "attention", "qk_norm"),
        *projection(model, step, rank, heads * (model.nope_dim + model.rope_dim), "attention", "qkv_proj"),
        _absorbed("key", model, step),
        vector(
            "KvRmsNormRopeCache", "attention", "kv_cache", entry, (rope_cache, latent), rows=rows,
            traffic=3 * Tensor((rows, latent_width)).bytes,
        ),
        vector("InterleaveRope", "attention", "rope", (turned, angle, angle), turned, rows=rows * heads),
    ]  # fmt: skip


def _absorbed(side: str, model: ModelDescription, step: Pass) -> Operation:
    rows, heads, rank = step.tokens, model.local_heads, model.kv_lora_rank
    inner, outer = (model.nope_dim, rank) if side == "key" else (rank, model.value_dim)
    inputs: list[Shape | None] = [(heads, rows, inner), (heads, inner, outer)]
    fused = side == "value"
    return mixed(
        "TransposeBatchMatMul" if fused else "BatchMatMulV2", "attention", "absorbed_matmul",
        [*inputs, None, None] if fused else inputs, (rows, heads, outer) if fused else (heads, rows, outer),
        flops=2 * heads * rows * inner * outer, depth=inner, core=CUBE,
    )  # fmt: skip


def _core(model: ModelDescription, step: Pass) -> Operation:
    rows, heads, width = step.tokens, model.local_heads, model.kv_lora_rank + model.rope_dim
    latent, rope_cache = _cache(model, step)
    query = Tensor((rows, heads, 1, model.kv_lora_rank))
    return infer_attention(
        query, latent, latent, query, traffic=step.sequences * step.context * width * 2 + 2 * query.bytes,
        flops=2 * heads * rows * step.context * (width + model.kv_lora_rank), table=block_table(step),
        rope=((rows, heads, 1, model.rope_dim), rope_cache), sequences=step.sequences, efficiency=2.5,
    )  # fmt: skip


def _sparse_core(model: ModelDescription, step: Pass) -> Operation:
    rows, heads, width = step.tokens, model.local_heads, model.kv_lora_rank + model.rope_dim
    latent, rope_cache = _cache(model, step)
    query = Tensor((rows, heads, model.kv_lora_rank))
    seen = rows * min(model.index_topk, step.context)
    lengths = i32(step.sequences)
    chosen, turned = i32(rows, 1, model.index_topk), (rows, heads, model.rope_dim)
    return mixed(
        "SparseFlashAttention", "attention", "attention_core",
        (query, latent, latent, chosen, block_table(step), lengths, lengths, turned, rope_cache), query,
        traffic=seen * width * 2 + 2 * query.bytes, flops=2 * heads * seen * (width + model.kv_lora_rank),
        efficiency=2.0, leaves_graph=True,
    )  # fmt: skip


def _prefill(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, heads, nope, value = step.tokens, model.local_heads, model.nope_dim, model.value_dim
    head = nope + model.rope_dim
    query, values, merged = Tensor((rows, heads, head)), (rows, heads, value), (rows, heads, nope + value)
    return [
        *(op for op in _decomposed_prolog(model, step) if op.role != "absorbed_matmul"),
        *projection(model, step, model.kv_lora_rank, heads * (nope + value), "attention", "qkv_proj"),
        layout("Slice", merged, (rows, heads, nope)),
        layout("Slice", merged, values),
        layout("ConcatD", query.shape, query.shape),
        infer_attention(
            query, query, values, values, traffic=4 * query.bytes + rows * (model.kv_lora_rank + model.rope_dim),
            flops=heads * (head + value) * rows * (rows // max(step.sequences, 1)), sequences=step.sequences,
        ),
    ]  # fmt: skip


def _indexer(model: ModelDescription, step: Pass, blocks: int) -> list[Operation]:
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
