"""Grouped-query attention, and the choice among the attention kinds."""

from __future__ import annotations

from sample_builder import latent_attention, linear_attention
from sample_builder.model import ModelDescription, Pass
from sample_builder.norms import norm_quantises, projection, reduce_over_ranks, rms_norm
from sample_builder.operation import BF16, F32, I8, I32, I64, MIX_AIC, Operation, Tensor, vector

BLOCK_SIZE = 128
#: Slots for optional tensors in the signature of FusedInferAttentionScore.
INFER_ATTENTION_INPUTS = 31


def attention(model: ModelDescription, step: Pass, layer: int) -> list[Operation]:
    """The kernels of one attention block from the projections to the output projection and its all-reduce."""
    if model.attention in ("mla", "sparse"):
        operations = latent_attention.latent_attention(model, step)
    elif not model.has_full_attention(layer):
        operations = linear_attention.gated_delta(model, step)
    else:
        operations = grouped_query(model, step)
    return reduce_over_ranks(model, step, operations, "attention")


def attention_kind(model: ModelDescription, layer: int) -> str:
    """The attention kind of a layer in the words of the kernel table."""
    if model.attention == "linear_hybrid":
        return "gqa" if model.has_full_attention(layer) else "linear"
    return {"gqa": "gqa", "mla": "mla", "sparse": "sparse", "compressed": "sparse", "encoder": "unknown"}[
        model.attention
    ]


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
            model,
            step,
            model.hidden,
            width,
            region="attention",
            role="qkv_proj",
            bias=model.qkv_bias,
            quantised_input=ready or number > 0,
        )
    operations += _split_norm_rope(model, step, sum(widths))
    operations += _cache_write(model, step)
    if step.phase == "prefill" and model.fused_qkv and model.rope != "qkv_norm_rope":
        merged = (rows, sum(widths) // head, head)
        operations.append(layout("Slice", merged, (rows, model.local_kv_heads, head), "aclnnContiguous_SliceAiCore"))
    operations.append(_core(model, step))
    if gate:
        operations += _output_gate(rows, query)
    return operations + projection(model, step, query, model.hidden, region="attention", role="out_proj")


def layout(op_type: str, source: tuple[int, ...], target: tuple[int, ...], api: str = "") -> Operation:
    """A slice, split, concatenation or transpose inside attention."""
    axes = Tensor((len(source),), I64)
    blocks = min(12, source[0]) if op_type == "Slice" else None
    return vector(
        op_type,
        region="attention",
        role="layout",
        inputs=(Tensor(source), axes, axes),
        outputs=(Tensor(target),),
        api=api or f"aclnnInplaceCopy_{op_type}AiCore",
        blocks=blocks,
        traffic=2 * Tensor(target).bytes,
    )


def _split_norm_rope(model: ModelDescription, step: Pass, width: int) -> list[Operation]:
    rows, head = step.tokens, model.head_dim
    heads, kv_heads = model.local_heads, model.local_kv_heads
    query, key = (rows, heads, head), (rows, kv_heads, head)
    if model.rope == "qkv_norm_rope":
        return [_fused_norm_rope(rows, width, heads * head, kv_heads * head)]
    operations: list[Operation] = []
    separate = rows > 1 or model.attention_gate
    merged = (rows, width // head, head)
    if model.fused_qkv and step.ge:
        operations.append(
            vector(
                "SplitVD",
                region="attention",
                role="layout",
                inputs=(Tensor((rows, width)),),
                outputs=(
                    Tensor((rows, heads * head)),
                    Tensor((rows, kv_heads * head)),
                    Tensor((rows, kv_heads * head)),
                ),
            )
        )
    elif model.fused_qkv and separate:
        operations += [layout("Slice", merged, query), layout("Slice", merged, key)]
    if model.qk_norm:
        operations += [rms_norm((rows, count), head, region="attention", role="qk_norm") for count in (heads, kv_heads)]
    operations += rope(model, step, query, key)
    if model.fused_qkv and separate and not step.ge:
        operations.append(layout("Slice", merged, key))
    return operations


def rope(
    model: ModelDescription, step: Pass, query: tuple[int, int, int], key: tuple[int, int, int]
) -> list[Operation]:
    """Rotary embedding of queries and keys as one kernel, as a Triton kernel, or decomposed."""
    rows, _, head = query
    if model.rope == "triton":
        return [
            vector(
                "_triton_rope",
                region="attention",
                role="rope",
                inputs=(Tensor(query), Tensor(key), Tensor((32768, head))),
                outputs=(Tensor(query), Tensor(key)),
                rows=rows,
                triton=True,
                traffic=2 * (Tensor(query).bytes + Tensor(key).bytes),
            )
        ]
    angle = Tensor((rows, 1, head))
    if model.rope == "fused" and step.ge:
        return [
            vector(
                "ApplyRotaryPosEmb",
                region="attention",
                role="rope",
                inputs=(Tensor((rows, 1, *query[1:])), Tensor((rows, 1, *key[1:])), angle, angle),
                outputs=(Tensor((rows, 1, *query[1:])), Tensor((rows, 1, *key[1:]))),
                rows=rows,
            )
        ]
    if model.rope == "fused":
        return [
            vector(
                "RotaryPositionEmbedding",
                region="attention",
                role="rope",
                inputs=(Tensor(shape), angle, angle),
                outputs=(Tensor(shape),),
                rows=rows,
            )
            for shape in (query, key)
        ]
    return [part for shape in (query, key) for part in _decomposed_rope(shape, angle)]


def _decomposed_rope(shape: tuple[int, int, int], angle: Tensor) -> list[Operation]:
    half = (*shape[:2], shape[2] // 2)
    full = Tensor(shape)

    def step(op_type: str, inputs: tuple[Tensor, ...], output: Tensor, api: str) -> Operation:
        return vector(op_type, region="attention", role="rope", inputs=inputs, outputs=(output,), api=api)

    return [
        step("Slice", (full,), Tensor(half), "aclnnInplaceCopy_SliceAiCore"),
        step("Neg", (Tensor(half),), Tensor(half), "aclnnNeg_NegAiCore"),
        step("ConcatD", (Tensor(half), Tensor(half)), full, "aclnnCat_ConcatD"),
        step("Mul", (full, angle), full, "aclnnMul_MulAiCore"),
        step("Mul", (full, angle), full, "aclnnMul_MulAiCore"),
        step("Add", (full, full), full, "aclnnAdd_AddAiCore"),
    ]


def _fused_norm_rope(rows: int, width: int, query: int, key: int) -> Operation:
    return vector(
        "split_qkv_rmsnorm_rope_kernel",
        region="attention",
        role="rope",
        inputs=(Tensor((rows, width)), Tensor((32768, 128))),
        outputs=(Tensor((rows, query)), Tensor((rows, key)), Tensor((rows, key))),
        rows=rows,
        triton=True,
        traffic=2 * Tensor((rows, width)).bytes,
    )


def cache_blocks(step: Pass) -> int:
    """Blocks in the KV cache of one layer."""
    return max(64, 4 * step.sequences * -(-step.context // BLOCK_SIZE))


def _cache_write(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, head, kv_heads = step.tokens, model.head_dim, model.local_kv_heads
    blocks = cache_blocks(step)
    new = Tensor((rows, kv_heads, head))
    moved = 2 * new.bytes
    if step.ge:
        cache = Tensor((blocks * BLOCK_SIZE, kv_heads * head))
        return [
            vector(
                "ScatterNdUpdate",
                region="attention",
                role="kv_cache",
                inputs=(cache, Tensor((rows, 1), I64), Tensor((rows, kv_heads * head))),
                outputs=(cache,),
                rows=rows,
                traffic=moved,
            )
            for _ in range(2)
        ]
    cache = Tensor((blocks, BLOCK_SIZE, kv_heads, head))
    return [
        vector(
            "ReshapeAndCacheNdKernel",
            region="attention",
            role="kv_cache",
            inputs=(new, new, cache, cache, Tensor((rows,), I32)),
            outputs=(cache, cache),
            rows=rows,
            traffic=2 * moved,
            leaves_graph=True,
        )
    ]


def infer_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    *,
    traffic: int,
    flops: int,
    block_table: Tensor | None = None,
    rope: tuple[Tensor, Tensor] | None = None,
    sequences: int = 1,
    efficiency: float = 1.0,
) -> Operation:
    """FusedInferAttentionScore with its many optional slots."""
    slots: list[Tensor | None] = [None] * INFER_ATTENTION_INPUTS
    slots[0:3] = [query, key, value]
    slots[4] = Tensor((2048, 2048), I8)
    slots[5] = slots[6] = Tensor((sequences,), I64)
    slots[14] = block_table
    if rope:
        slots[24], slots[25] = rope
    return Operation(
        op_type="FusedInferAttentionScore",
        region="attention",
        role="attention_core",
        core=MIX_AIC,
        inputs=tuple(slots),
        outputs=(output, Tensor((), F32)),
        blocks=24,
        traffic=traffic,
        flops=flops,
        efficiency=efficiency,
        leaves_graph=True,
    )


def _core(model: ModelDescription, step: Pass) -> Operation:
    rows, head, heads, kv_heads = step.tokens, model.head_dim, model.local_heads, model.local_kv_heads
    query = Tensor((rows, heads, head))
    if step.phase == "prefill":
        own = Tensor((rows, kv_heads, head))
        length = rows // max(step.sequences, 1)
        return infer_attention(
            query,
            own,
            own,
            query,
            traffic=4 * query.bytes,
            flops=2 * heads * head * rows * length,
            sequences=step.sequences,
        )
    if model.decode_kernel == "PagedAttentionMaskNdKernel":
        return _paged_attention(model, step)
    blocks = cache_blocks(step)
    cache = Tensor((blocks, BLOCK_SIZE, kv_heads * head), BF16)
    return infer_attention(
        query,
        cache,
        cache,
        query,
        traffic=2 * step.sequences * step.context * kv_heads * head * 2,
        flops=4 * heads * head * rows * step.context,
        block_table=Tensor((step.sequences, -(-step.context // BLOCK_SIZE)), I32),
        sequences=step.sequences,
    )


def _paged_attention(model: ModelDescription, step: Pass) -> Operation:
    heads, kv_heads, head = model.local_heads, model.local_kv_heads, model.head_dim
    query = Tensor((step.tokens, heads, head))
    cache = Tensor((cache_blocks(step), BLOCK_SIZE, kv_heads, head))
    table = Tensor((step.sequences, -(-step.context // BLOCK_SIZE)), I32)
    return Operation(
        op_type="PagedAttentionMaskNdKernel",
        region="attention",
        role="attention_core",
        core=MIX_AIC,
        inputs=(query, cache, cache, table, Tensor((step.sequences,), I32)),
        outputs=(query,),
        blocks=24,
        traffic=2 * step.sequences * step.context * kv_heads * head * 2,
        flops=4 * heads * head * step.tokens * step.context,
        leaves_graph=True,
    )


def _output_gate(rows: int, width: int) -> list[Operation]:
    gate = Tensor((rows, width))
    return [
        vector(
            "Sigmoid",
            region="attention",
            role="gate",
            inputs=(gate,),
            outputs=(gate,),
            api="aclnnSigmoid_SigmoidAiCore",
        ),
        vector("Mul", region="attention", role="gate", inputs=(gate, gate), outputs=(gate,), api="aclnnMul_MulAiCore"),
    ]
