"""Multi-head latent attention, dense or with the sparse indexer."""

from __future__ import annotations

from sample_builder.indexer import indexer
from sample_builder.model import ModelDescription, Pass
from sample_builder.norms import norm_quantises, projection, rms_norm
from sample_builder.operation import (
    BF16,
    CUBE,
    F32,
    I8,
    I32,
    I64,
    MIX_AIC,
    Operation,
    Tensor,
    vector,
)

BLOCK_SIZE = 128


def latent_attention(model: ModelDescription, step: Pass) -> list[Operation]:
    """Latent projections, (indexer,) absorbed attention and output projection; without absorption in prefill."""
    if step.phase == "prefill":
        return _prefill(model, step)
    operations = _prolog(model, step) if model.mla_prolog else _decomposed_prolog(model, step)
    if model.attention == "sparse":
        operations += indexer(model, step, _cache(model, step)[0].shape[0])
        operations.append(_sparse_core(model, step))
    else:
        operations.append(_core(model, step))
    operations.append(_absorbed("value", model, step))
    return operations + _output(model, step)


def _output(model: ModelDescription, step: Pass) -> list[Operation]:
    depth = model.local_heads * model.value_dim
    return projection(model, step, depth, model.hidden, region="attention", role="out_proj")


def _cache(model: ModelDescription, step: Pass) -> tuple[Tensor, Tensor]:
    blocks = max(64, 4 * step.sequences * -(-step.context // BLOCK_SIZE))
    return (
        Tensor((blocks, BLOCK_SIZE, 1, model.kv_lora_rank)),
        Tensor((blocks, BLOCK_SIZE, 1, model.rope_dim)),
    )


def _prolog(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, heads = step.tokens, model.local_heads
    latent, rope_cache = _cache(model, step)
    weights = [
        (model.hidden, model.q_lora_rank),
        (model.q_lora_rank, heads * (model.nope_dim + model.rope_dim)),
        (heads, model.nope_dim, model.kv_lora_rank),
        (model.hidden, model.kv_lora_rank + model.rope_dim),
    ]
    dtype = I8 if model.quantised else BF16
    angle = Tensor((rows, model.rope_dim))
    tensors = tuple(Tensor(shape, dtype if i != 2 else BF16, "FRACTAL_NZ") for i, shape in enumerate(weights))
    sizes = sum(tensor.bytes for tensor in tensors)
    out_query = Tensor((rows, heads, model.kv_lora_rank))
    operation = Operation(
        op_type="MlaPrologV2" if model.attention == "mla" else "MlaPrologV3",
        region="attention",
        role="qkv_proj",
        core=MIX_AIC,
        inputs=(
            Tensor((rows, model.hidden), dtype),
            *tensors,
            Tensor((model.q_lora_rank,)),
            Tensor((model.kv_lora_rank,)),
            angle,
            angle,
            Tensor((rows,), I64),
            latent,
            rope_cache,
            *([Tensor((rows, 1), F32), Tensor((1, weights[0][1]), F32)] if model.quantised else [None, None]),
        ),
        outputs=(out_query, Tensor((rows, heads, model.rope_dim)), latent, rope_cache),
        blocks=24,
        traffic=sizes + 3 * out_query.bytes,
        flops=2 * rows * sizes // (2 if dtype == BF16 else 1),
        depth=model.hidden,
    )
    if model.quantised and not norm_quantises(model, step):
        quant = vector(
            "DynamicQuant",
            region="attention",
            role="quantise",
            inputs=(Tensor((rows, model.hidden)), None),
            outputs=(Tensor((rows, model.hidden), I8), Tensor((rows,), F32)),
            api="aclnnDynamicQuantV2_DynamicQuantAiCore",
            rows=rows,
        )
        return [quant, operation]
    return [operation]


def _decomposed_prolog(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, heads = step.tokens, model.local_heads
    head = model.nope_dim + model.rope_dim
    latent_width = model.kv_lora_rank + model.rope_dim
    latent, rope_cache = _cache(model, step)
    operations = projection(
        model,
        step,
        model.hidden,
        model.q_lora_rank + latent_width,
        region="attention",
        role="qkv_proj",
        quantised_input=norm_quantises(model, step),
    )
    operations.append(_split(step, (rows, model.q_lora_rank + latent_width), (rows, model.q_lora_rank), latent_width))
    operations.append(rms_norm((rows,), model.q_lora_rank, region="attention", role="qk_norm"))
    operations += projection(model, step, model.q_lora_rank, heads * head, region="attention", role="qkv_proj")
    operations.append(_absorbed("key", model, step))
    moved = Tensor((rows, latent_width)).bytes
    operations.append(
        vector(
            "KvRmsNormRopeCache",
            region="attention",
            role="kv_cache",
            inputs=(
                Tensor((rows, 1, 1, latent_width)),
                Tensor((model.kv_lora_rank,)),
                Tensor((rows, 1, 1, model.rope_dim)),
                Tensor((rows, 1, 1, model.rope_dim)),
                Tensor((rows,), I64),
                rope_cache,
                latent,
            ),
            outputs=(rope_cache, latent),
            api="" if step.ge else "aclnnKvRmsNormRopeCache_KvRmsNormRopeCache",
            rows=rows,
            traffic=3 * moved,
        )
    )
    query_rope = Tensor((rows, heads, 1, model.rope_dim))
    operations.append(
        vector(
            "InterleaveRope",
            region="attention",
            role="rope",
            inputs=(query_rope, Tensor((rows, 1, 1, model.rope_dim)), Tensor((rows, 1, 1, model.rope_dim))),
            outputs=(query_rope,),
            api="" if step.ge else "aclnnInterleaveRope_InterleaveRope",
            rows=rows * heads,
        )
    )
    return operations


def _split(step: Pass, source: tuple[int, ...], first: tuple[int, ...], second: int) -> Operation:
    op_type = "SplitVD" if step.ge else "Slice"
    return vector(
        op_type,
        region="attention",
        role="layout",
        inputs=(Tensor(source),),
        outputs=(Tensor(first), Tensor((first[0], second))) if step.ge else (Tensor(first),),
        api="aclnnInplaceCopy_SliceAiCore",
        blocks=min(12, source[0]),
        traffic=2 * Tensor(source).bytes,
    )


def _absorbed(side: str, model: ModelDescription, step: Pass) -> Operation:
    rows, heads, rank = step.tokens, model.local_heads, model.kv_lora_rank
    inner, outer = (model.nope_dim, rank) if side == "key" else (rank, model.value_dim)
    weight = Tensor((heads, inner, outer))
    source = Tensor((heads, rows, inner))
    fused = side == "value"
    return Operation(
        op_type="TransposeBatchMatMul" if fused else "BatchMatMulV2",
        region="attention",
        role="absorbed_matmul",
        core=CUBE,
        inputs=(source, weight) if not fused else (source, weight, None, None),
        outputs=(Tensor((rows, heads, outer)) if fused else Tensor((heads, rows, outer)),),
        api="aclnnTransposeBatchMatMul_TransposeBatchMatMul" if fused else "aclnnBatchMatMul_BatchMatMulV2Nd",
        blocks=24,
        flops=2 * heads * rows * inner * outer,
        depth=inner,
    )


def _core(model: ModelDescription, step: Pass) -> Operation:
    from sample_builder.attention import infer_attention

    rows, heads = step.tokens, model.local_heads
    latent, rope_cache = _cache(model, step)
    query = Tensor((rows, heads, 1, model.kv_lora_rank))
    width = model.kv_lora_rank + model.rope_dim
    return infer_attention(
        query,
        latent,
        latent,
        query,
        traffic=step.sequences * step.context * width * 2 + 2 * query.bytes,
        flops=2 * heads * rows * step.context * (width + model.kv_lora_rank),
        block_table=Tensor((step.sequences, -(-step.context // BLOCK_SIZE)), I32),
        rope=(Tensor((rows, heads, 1, model.rope_dim)), rope_cache),
        sequences=step.sequences,
        efficiency=2.5,
    )


def _sparse_core(model: ModelDescription, step: Pass) -> Operation:
    rows, heads = step.tokens, model.local_heads
    latent, rope_cache = _cache(model, step)
    query = Tensor((rows, heads, model.kv_lora_rank))
    chosen = min(model.index_topk, step.context)
    width = model.kv_lora_rank + model.rope_dim
    return Operation(
        op_type="SparseFlashAttention",
        region="attention",
        role="attention_core",
        core=MIX_AIC,
        inputs=(
            query,
            latent,
            latent,
            Tensor((rows, 1, model.index_topk), I32),
            Tensor((step.sequences, -(-step.context // BLOCK_SIZE)), I32),
            Tensor((step.sequences,), I32),
            Tensor((step.sequences,), I32),
            Tensor((rows, heads, model.rope_dim)),
            rope_cache,
        ),
        outputs=(query,),
        blocks=24,
        traffic=rows * chosen * width * 2 + 2 * query.bytes,
        flops=2 * heads * rows * chosen * (width + model.kv_lora_rank),
        efficiency=2.0,
        leaves_graph=True,
    )


def _prefill(model: ModelDescription, step: Pass) -> list[Operation]:
    from sample_builder.attention import infer_attention, layout

    rows, heads = step.tokens, model.local_heads
    head, value = model.nope_dim + model.rope_dim, model.value_dim
    latent_width = model.kv_lora_rank + model.rope_dim
    operations = _decomposed_prolog(model, step)
    operations = [op for op in operations if op.role != "absorbed_matmul"]
    operations += projection(
        model, step, model.kv_lora_rank, heads * (model.nope_dim + value), region="attention", role="qkv_proj"
    )
    merged = (rows, heads, model.nope_dim + value)
    operations += [
        layout("Slice", merged, (rows, heads, model.nope_dim)),
        layout("Slice", merged, (rows, heads, value)),
        layout("ConcatD", (rows, heads, head), (rows, heads, head), "aclnnCat_ConcatD"),
    ]
    query = Tensor((rows, heads, head))
    length = rows // max(step.sequences, 1)
    operations.append(
        infer_attention(
            query,
            query,
            Tensor((rows, heads, value)),
            Tensor((rows, heads, value)),
            traffic=4 * query.bytes + rows * latent_width,
            flops=heads * (head + value) * rows * length,
            sequences=step.sequences,
        )
    )
    return operations + _output(model, step)
