"""Grouped-query attention, and the choice among the attention kinds."""

from __future__ import annotations

from sample_builder.attention_kernels import BLOCK_SIZE, block_table, cache_blocks, infer_attention, layout, triton
from sample_builder.latent_attention import latent_attention
from sample_builder.linear_attention import gated_delta
from sample_builder.model import ModelDescription, Pass
from sample_builder.norms import norm_quantises, projection, reduce_over_ranks, rms_norm
from sample_builder.operation import Operation, Shape, Tensor, i32, i64, mixed, vector


def attention(model: ModelDescription, step: Pass, layer: int) -> list[Operation]:
    """The kernels of one attention block from the projections to the output projection and its all-reduce."""
    if model.attention in ("mla", "sparse"):
        operations = latent_attention(model, step)
    elif not model.has_full_attention(layer):
        operations = gated_delta(model, step)
    else:
        operations = grouped_query(model, step)
    return reduce_over_ranks(model, step, operations, "attention")


def attention_kind(model: ModelDescription, layer: int) -> str:
    """The attention kind of a layer in the words of the kernel table."""
    if model.attention == "linear_hybrid":
        return "gqa" if model.has_full_attention(layer) else "linear"
    return {"compressed": "sparse", "encoder": "unknown"}.get(model.attention, model.attention)


def grouped_query(model: ModelDescription, step: Pass) -> list[Operation]:
    """q/k/v projection, q/k norms, rope, KV-cache write, attention, output projection."""
    rows, head = step.tokens, model.head_dim
    query, key = model.local_heads * head, model.local_kv_heads * head
    gate = query if model.attention_gate else 0
    ready = norm_quantises(model, step)
    operations: list[Operation] = []
    widths = [query + gate + 2 * key] if model.fused_qkv else [query + gate, key, key]
    for number, width in enumerate(widths):
        operations += projection(
            model, step, model.hidden, width, "attention", "qkv_proj", bias=model.qkv_bias,
            quantised_input=ready or number > 0,
        )  # fmt: skip
    operations += _split_norm_rope(model, step, sum(widths))
    operations += _cache_write(model, step)
    if step.phase == "prefill" and model.fused_qkv and model.rope != "qkv_norm_rope":
        merged = (rows, sum(widths) // head, head)
        operations.append(layout("Slice", merged, (rows, model.local_kv_heads, head), "aclnnContiguous_SliceAiCore"))
    operations.append(_core(model, step))
    if gate:
        wide = (rows, query)
        operations.append(vector("Sigmoid", "attention", "gate", wide, wide))
        operations.append(vector("Mul", "attention", "gate", (wide, wide), wide))
    return operations + projection(model, step, query, model.hidden, "attention", "out_proj")


def _split_norm_rope(model: ModelDescription, step: Pass, width: int) -> list[Operation]:
    rows, head = step.tokens, model.head_dim
    heads, kv_heads = model.local_heads, model.local_kv_heads
    query, key = (rows, heads, head), (rows, kv_heads, head)
    parts = ((rows, heads * head), (rows, kv_heads * head), (rows, kv_heads * head))
    if model.rope == "qkv_norm_rope":
        source = Tensor((rows, width))
        name = "split_qkv_rmsnorm_rope_kernel"
        return [triton(name, "rope", (source, (32768, 128)), parts, rows, traffic=2 * source.bytes)]
    operations: list[Operation] = []
    separate = rows > 1 or model.attention_gate
    merged = (rows, width // head, head)
    if model.fused_qkv and step.ge:
        operations.append(vector("SplitVD", "attention", "layout", (rows, width), parts))
    elif model.fused_qkv and separate:
        operations += [layout("Slice", merged, query), layout("Slice", merged, key)]
    if model.qk_norm:
        operations += [rms_norm((rows, count), head, "attention", "qk_norm") for count in (heads, kv_heads)]
    operations += rope(model, step, query, key)
    if model.fused_qkv and separate and not step.ge:
        operations.append(layout("Slice", merged, key))
    return operations


def rope(model: ModelDescription, step: Pass, query: Shape, key: Shape) -> list[Operation]:
    """Rotary embedding of queries and keys as one kernel, as a Triton kernel, or decomposed."""
    rows, _, head = query
    if model.rope == "triton":
        moved = 2 * (Tensor(query).bytes + Tensor(key).bytes)
        return [triton("_triton_rope", "rope", (query, key, (32768, head)), (query, key), rows, traffic=moved)]
    angle = (rows, 1, head)
    if model.rope == "fused" and step.ge:
        both = ((rows, 1, *query[1:]), (rows, 1, *key[1:]))
        return [vector("ApplyRotaryPosEmb", "attention", "rope", (*both, angle, angle), both, rows=rows)]
    if model.rope == "fused":
        return [
            vector("RotaryPositionEmbedding", "attention", "rope", (shape, angle, angle), shape, rows=rows)
            for shape in (query, key)
        ]
    return [part for shape in (query, key) for part in _decomposed_rope(shape, angle)]


def _decomposed_rope(full: Shape, angle: Shape) -> list[Operation]:
    half = (*full[:2], full[2] // 2)
    return [
        vector(op_type, "attention", "rope", inputs, output)
        for op_type, inputs, output in (
            ("Slice", full, half),
            ("Neg", half, half),
            ("ConcatD", (half, half), full),
            ("Mul", (full, angle), full),
            ("Mul", (full, angle), full),
            ("Add", (full, full), full),
        )
    ]


def _cache_write(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, head, kv_heads = step.tokens, model.head_dim, model.local_kv_heads
    new = Tensor((rows, kv_heads, head))
    if step.ge:
        pages = (cache_blocks(step) * BLOCK_SIZE, kv_heads * head)
        inputs = (pages, i64(rows, 1), (rows, kv_heads * head))
        write = vector("ScatterNdUpdate", "attention", "kv_cache", inputs, pages, rows=rows, traffic=2 * new.bytes)
        return [write, write]
    cache = (cache_blocks(step), BLOCK_SIZE, kv_heads, head)
    return [
        vector(
            "ReshapeAndCacheNdKernel", "attention", "kv_cache", (new, new, cache, cache, i32(rows)), (cache, cache),
            rows=rows, traffic=4 * new.bytes, leaves_graph=True,
        )
    ]  # fmt: skip


def _core(model: ModelDescription, step: Pass) -> Operation:
    rows, head, heads, kv_heads = step.tokens, model.head_dim, model.local_heads, model.local_kv_heads
    query, count = Tensor((rows, heads, head)), step.sequences
    if step.phase == "prefill":
        own, flops = (rows, kv_heads, head), 2 * heads * head * rows * (rows // max(count, 1))
        return infer_attention(query, own, own, query, traffic=4 * query.bytes, flops=flops, sequences=count)
    traffic, flops = 4 * count * step.context * kv_heads * head, 4 * heads * head * rows * step.context
    if model.decode_kernel == "PagedAttentionMaskNdKernel":
        cache = (cache_blocks(step), BLOCK_SIZE, kv_heads, head)
        return mixed(
            "PagedAttentionMaskNdKernel", "attention", "attention_core",
            (query, cache, cache, block_table(step), i32(count)), query, traffic=traffic, flops=flops,
            leaves_graph=True,
        )  # fmt: skip
    flat = (cache_blocks(step), BLOCK_SIZE, kv_heads * head)
    return infer_attention(
        query, flat, flat, query, traffic=traffic, flops=flops, table=block_table(step), sequences=count
    )
