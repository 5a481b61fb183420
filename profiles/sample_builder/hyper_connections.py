"""Layers with hyper-connections and compressed sparse attention (DeepSeek-V4).

HcPre mixes the residual streams into the input of a sub-block, HcPost spreads its output over them again: they take
the place of the residual add and are compute, although their names look like the collectives' prefix.
"""

from __future__ import annotations

from sample_builder.model import ModelDescription, Pass
from sample_builder.moe import experts
from sample_builder.norms import projection, reduce_over_ranks, rms_norm
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
    quant_matmul,
    vector,
)

BLOCK_SIZE = 128
WINDOW = 128


def layer_with_hyper_connections(model: ModelDescription, step: Pass, layer: int) -> list[Operation]:
    """Mix, norm, attention, spread, mix, norm, experts, spread; the last layer also mixes and norms for the head."""
    rows = step.tokens
    operations = [mix(model, step), rms_norm((rows,), model.hidden)]
    operations += compressed_attention(model, step, compression(layer))
    operations += [spread(model, step), mix(model, step), rms_norm((rows,), model.hidden)]
    operations += [*experts(model, step), spread(model, step)]
    if layer == model.layers - 1:
        operations += [_reduce(model, step), rms_norm((rows,), model.hidden)]
    return operations


def compression(layer: int) -> int:
    """How far the cache of a layer is compressed: two layers see only a window, then 4 and 128 take turns."""
    return 1 if layer < 2 else (4 if layer % 2 == 0 else 128)


def _streams(model: ModelDescription, step: Pass) -> Tensor:
    return Tensor((step.tokens, model.hyper_connections, model.hidden))


def mix(model: ModelDescription, step: Pass) -> Operation:
    """HcPre: the residual streams become one input."""
    count = model.hyper_connections
    width = (2 + count) * count
    return Operation(
        op_type="HcPre",
        region="norm",
        role="residual_norm",
        core=MIX_AIC,
        inputs=(
            _streams(model, step),
            Tensor((width, count * model.hidden), F32),
            Tensor((3,), F32),
            Tensor((width,), F32),
        ),
        outputs=(
            Tensor((step.tokens, model.hidden)),
            Tensor((step.tokens, count), F32),
            Tensor((step.tokens, count, count), F32),
        ),
        api="" if step.ge else "aclnnHcPre_HcPre",
        blocks=24,
        depth=model.hidden,
    )


def spread(model: ModelDescription, step: Pass) -> Operation:
    """HcPost: the output of a sub-block goes back to the residual streams."""
    count = model.hyper_connections
    return vector(
        "HcPost",
        region="norm",
        role="residual_norm",
        inputs=(
            Tensor((step.tokens, model.hidden)),
            _streams(model, step),
            Tensor((step.tokens, count), F32),
            Tensor((step.tokens, count, count), F32),
        ),
        outputs=(_streams(model, step),),
        api="" if step.ge else "aclnnHcPost_HcPost",
        rows=step.tokens,
    )


def _reduce(model: ModelDescription, step: Pass) -> Operation:
    return vector(
        "HcHead",
        region="norm",
        role="residual_norm",
        inputs=(_streams(model, step), Tensor((model.hyper_connections, model.hidden), F32)),
        outputs=(Tensor((step.tokens, model.hidden)),),
        rows=step.tokens,
    )


def compressed_attention(model: ModelDescription, step: Pass, ratio: int) -> list[Operation]:
    """Low-rank queries, one shared key-value head, compressor, indexer (ratio 4), sparse attention, grouped output."""
    rows, heads, head = step.tokens, model.local_heads, model.head_dim
    query = Tensor((rows, heads, head))
    operations = projection(model, step, model.hidden, model.q_lora_rank, region="attention", role="qkv_proj")
    operations.append(_norm_quant(rows, model.q_lora_rank))
    operations += projection(model, step, model.hidden, head, region="attention", role="qkv_proj", quantised_input=True)
    operations.append(rms_norm((rows,), head, region="attention", role="qk_norm"))
    operations.append(rotary(model, Tensor((rows, 1, 1, head))))
    operations.append(quant_matmul(rows, model.q_lora_rank, heads * head, region="attention", role="qkv_proj"))
    operations.append(rms_norm((rows, heads), head, region="attention", role="qk_norm"))
    operations.append(rotary(model, Tensor((rows, 1, heads, head))))
    operations.append(_scatter(step, head))
    if ratio > 1:
        operations.append(_compressor(model, step, ratio))
    if ratio == 4:
        operations += _indexer(model, step, ratio)
    operations.append(_core(model, step, ratio, query))
    operations.append(rotary(model, Tensor((rows, 1, heads, head))))
    operations += _grouped_output(model, step)
    return reduce_over_ranks(model, step, operations, "attention")


def _norm_quant(rows: int, width: int) -> Operation:
    return vector(
        "RmsNormDynamicQuant",
        region="attention",
        role="qk_norm",
        inputs=(Tensor((rows, width)), Tensor((width,))),
        outputs=(Tensor((rows, width), I8), Tensor((rows,), F32)),
        rows=rows,
    )


def rotary(model: ModelDescription, tensor: Tensor) -> Operation:
    """Rotary embedding in place on the last dimensions of each head."""
    rows = tensor.shape[0]
    angle = Tensor((rows, 1, 1, model.rope_dim))
    return vector(
        "InplacePartialRotaryMul",
        region="attention",
        role="rope",
        inputs=(tensor, angle, angle),
        outputs=(tensor,),
        rows=rows,
        traffic=2 * Tensor((*tensor.shape[:-1], model.rope_dim)).bytes,
    )


def _scatter(step: Pass, width: int) -> Operation:
    cache = Tensor((2 * step.sequences * WINDOW, width))
    return vector(
        "ScatterNdUpdateSk",
        region="attention",
        role="kv_cache",
        inputs=(cache, Tensor((step.tokens, 1), I64), Tensor((step.tokens, width))),
        outputs=(cache,),
        rows=step.tokens,
        traffic=3 * Tensor((step.tokens, width)).bytes,
    )


def _cache(step: Pass, ratio: int, width: int) -> Tensor:
    return Tensor((max(8, 2 * step.sequences * -(-step.context // (BLOCK_SIZE * ratio))), BLOCK_SIZE, 1, width))


def _compressor(model: ModelDescription, step: Pass, ratio: int) -> Operation:
    head = model.head_dim
    return Operation(
        op_type="Compressor",
        region="attention",
        role="compressor",
        core=MIX_AIC,
        inputs=(
            Tensor((step.tokens, model.hidden)),
            Tensor((2 * head, model.hidden)),
            Tensor((ratio, 2 * head), F32),
            _cache(step, ratio, head),
        ),
        outputs=(Tensor((step.tokens, head)),),
        blocks=24,
        traffic=4 * head * model.hidden,
        depth=model.hidden,
    )


def _indexer(model: ModelDescription, step: Pass, ratio: int) -> list[Operation]:
    rows, heads, width = step.tokens, model.index_heads, model.index_dim
    query = Tensor((rows, heads, width))
    operations = [
        quant_matmul(rows, model.q_lora_rank, heads * width, region="attention", role="indexer"),
        vector(
            "InplacePartialRotaryMul",
            region="attention",
            role="indexer",
            inputs=(
                Tensor((rows, 1, heads, width)),
                Tensor((rows, 1, 1, model.rope_dim)),
                Tensor((rows, 1, 1, model.rope_dim)),
            ),
            outputs=(Tensor((rows, 1, heads, width)),),
            rows=rows,
        ),
        vector(
            "DynamicQuant",
            region="attention",
            role="indexer",
            inputs=(query, None),
            outputs=(Tensor(query.shape, I8), Tensor((rows, heads), F32)),
            rows=rows,
        ),
    ]
    operations += projection(model, step, model.hidden, heads, region="attention", role="indexer", quantised_input=True)
    cache = _cache(step, ratio, width)
    operations.append(
        Operation(
            op_type="QuantLightningIndexer",
            region="attention",
            role="indexer",
            core=MIX_AIC,
            inputs=(Tensor(query.shape, I8), Tensor(cache.shape, I8), Tensor((rows, heads), BF16)),
            outputs=(Tensor((rows, 1, model.index_topk), I32),),
            blocks=24,
            traffic=step.sequences * (step.context // ratio) * width,
            flops=rows * heads * (step.context // ratio) * width,
        )
    )
    return operations


def _core(model: ModelDescription, step: Pass, ratio: int, query: Tensor) -> Operation:
    compressed = 0 if ratio == 1 else step.context // ratio
    seen = WINDOW + (min(model.index_topk, compressed) if ratio == 4 else compressed)
    return Operation(
        op_type="SparseAttnSharedkv",
        region="attention",
        role="attention_core",
        core=MIX_AIC,
        inputs=(
            query,
            _cache(step, 1, model.head_dim),
            None if ratio == 1 else _cache(step, ratio, model.head_dim),
            Tensor((query.shape[0], 1, model.index_topk), I32) if ratio == 4 else None,
            Tensor((step.sequences, 1), I32),
            Tensor((model.local_heads,), F32),
        ),
        outputs=(query,),
        blocks=24,
        traffic=query.shape[0] * seen * model.head_dim * 2 + 2 * query.bytes,
        flops=4 * query.shape[0] * query.shape[1] * seen * model.head_dim,
        efficiency=2.0,
    )


def _grouped_output(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, groups, rank = step.tokens, 8, model.kv_lora_rank
    inner = model.local_heads * model.head_dim // groups
    grouped = Operation(
        op_type="TransposeBatchMatMul",
        region="attention",
        role="out_proj",
        core=CUBE,
        inputs=(Tensor((rows, groups, inner)), Tensor((groups, inner, rank)), None, None),
        outputs=(Tensor((rows, groups, rank)),),
        api="aclnnTransposeBatchMatMul_TransposeBatchMatMul",
        blocks=24,
        flops=2 * rows * groups * inner * rank,
        depth=inner,
    )
    return [
        grouped,
        *projection(model, step, groups * rank, model.hidden, region="attention", role="out_proj"),
    ]
