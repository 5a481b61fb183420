"""Layers with hyper-connections and compressed sparse attention (DeepSeek-V4).

HcPre mixes the residual streams into the input of a sub-block, HcPost spreads its output over them again: they take
the place of the residual add and are compute, although their names look like the collectives' prefix.
"""

from __future__ import annotations

from sample_builder.attention_kernels import BLOCK_SIZE
from sample_builder.model import ModelDescription, Pass
from sample_builder.moe import experts
from sample_builder.norms import projection, reduce_over_ranks, rms_norm
from sample_builder.operation import CUBE, Operation, Shape, Tensor, f32, i8, i32, i64, mixed, quant_matmul, vector

WINDOW = 128


def layer_with_hyper_connections(model: ModelDescription, step: Pass, layer: int) -> list[Operation]:
    """Mix, norm, attention, spread, mix, norm, experts, spread; the last layer also mixes and norms for the head."""
    norm = rms_norm((step.tokens,), model.hidden)
    operations = [mix(model, step), norm, *compressed_attention(model, step, compression(layer))]
    operations += [spread(model, step), mix(model, step), norm, *experts(model, step), spread(model, step)]
    if layer == model.layers - 1:
        streams = (_streams(model, step), f32(model.hyper_connections, model.hidden))
        hidden = (step.tokens, model.hidden)
        operations += [vector("HcHead", "norm", "residual_norm", streams, hidden, rows=step.tokens), norm]
    return operations


def compression(layer: int) -> int:
    """How far the cache of a layer is compressed: two layers see only a window, then 4 and 128 take turns."""
    return 1 if layer < 2 else (4 if layer % 2 == 0 else 128)


def _streams(model: ModelDescription, step: Pass) -> Shape:
    return (step.tokens, model.hyper_connections, model.hidden)


def mix(model: ModelDescription, step: Pass) -> Operation:
    """HcPre: the residual streams become one input."""
    count, rows = model.hyper_connections, step.tokens
    width = (2 + count) * count
    inputs = (_streams(model, step), f32(width, count * model.hidden), f32(3), f32(width))
    outputs = ((rows, model.hidden), f32(rows, count), f32(rows, count, count))
    return mixed("HcPre", "norm", "residual_norm", inputs, outputs, depth=model.hidden)


def spread(model: ModelDescription, step: Pass) -> Operation:
    """HcPost: the output of a sub-block goes back to the residual streams."""
    count, rows, streams = model.hyper_connections, step.tokens, _streams(model, step)
    inputs = ((rows, model.hidden), streams, f32(rows, count), f32(rows, count, count))
    return vector("HcPost", "norm", "residual_norm", inputs, streams, rows=rows)


def compressed_attention(model: ModelDescription, step: Pass, ratio: int) -> list[Operation]:
    """Low-rank queries, one shared key-value head, compressor, indexer (ratio 4), sparse attention, grouped output."""
    rows, heads, head, rank = step.tokens, model.local_heads, model.head_dim, model.q_lora_rank
    query = Tensor((rows, 1, heads, head))
    quantised = (i8(rows, rank), f32(rows))
    operations = [
        *projection(model, step, model.hidden, rank, "attention", "qkv_proj"),
        vector("RmsNormDynamicQuant", "attention", "qk_norm", ((rows, rank), (rank,)), quantised, rows=rows),
        *projection(model, step, model.hidden, head, "attention", "qkv_proj", quantised_input=True),
        rms_norm((rows,), head, "attention", "qk_norm"),
        rotary(model, Tensor((rows, 1, 1, head))),
        quant_matmul(rows, rank, heads * head, "attention", "qkv_proj"),
        rms_norm((rows, heads), head, "attention", "qk_norm"),
        rotary(model, query),
        _scatter(step, head),
    ]
    if ratio > 1:
        operations.append(_compressor(model, step, ratio))
    if ratio == 4:
        operations += _indexer(model, step, ratio)
    operations += [_core(model, step, ratio), rotary(model, query), *_grouped_output(model, step)]
    return reduce_over_ranks(model, step, operations, "attention")


def rotary(model: ModelDescription, tensor: Tensor) -> Operation:
    """Rotary embedding in place on the last dimensions of each head."""
    angle = (tensor.shape[0], 1, 1, model.rope_dim)
    return vector(
        "InplacePartialRotaryMul", "attention", "rope", (tensor, angle, angle), tensor, rows=tensor.shape[0],
        traffic=2 * Tensor((*tensor.shape[:-1], model.rope_dim)).bytes,
    )  # fmt: skip


def _scatter(step: Pass, width: int) -> Operation:
    cache, new = (2 * step.sequences * WINDOW, width), Tensor((step.tokens, width))
    return vector(
        "ScatterNdUpdateSk", "attention", "kv_cache", (cache, i64(step.tokens, 1), new), cache, rows=step.tokens,
        traffic=3 * new.bytes,
    )  # fmt: skip


def _cache(step: Pass, ratio: int, width: int) -> Shape:
    return (max(8, 2 * step.sequences * -(-step.context // (BLOCK_SIZE * ratio))), BLOCK_SIZE, 1, width)


def _compressor(model: ModelDescription, step: Pass, ratio: int) -> Operation:
    head, hidden = model.head_dim, model.hidden
    inputs = ((step.tokens, hidden), (2 * head, hidden), f32(ratio, 2 * head), _cache(step, ratio, head))
    outputs = (step.tokens, head)
    return mixed("Compressor", "attention", "compressor", inputs, outputs, traffic=4 * head * hidden, depth=hidden)


def _indexer(model: ModelDescription, step: Pass, ratio: int) -> list[Operation]:
    rows, heads, width = step.tokens, model.index_heads, model.index_dim
    query, angle, quantised = (rows, 1, heads, width), (rows, 1, 1, model.rope_dim), i8(rows, heads, width)
    scored = (step.context // ratio) * width
    return [
        quant_matmul(rows, model.q_lora_rank, heads * width, "attention", "indexer"),
        vector("InplacePartialRotaryMul", "attention", "indexer", (query, angle, angle), query, rows=rows),
        vector(
            "DynamicQuant", "attention", "indexer", (quantised.shape, None), (quantised, f32(rows, heads)), rows=rows,
            api="",
        ),
        *projection(model, step, model.hidden, heads, "attention", "indexer", quantised_input=True),
        mixed(
            "QuantLightningIndexer", "attention", "indexer",
            (quantised, i8(*_cache(step, ratio, width)), (rows, heads)), i32(rows, 1, model.index_topk),
            traffic=step.sequences * scored, flops=rows * heads * scored,
        ),
    ]  # fmt: skip


def _core(model: ModelDescription, step: Pass, ratio: int) -> Operation:
    rows, heads, head = step.tokens, model.local_heads, model.head_dim
    query = Tensor((rows, heads, head))
    compressed = 0 if ratio == 1 else step.context // ratio
    seen = WINDOW + (min(model.index_topk, compressed) if ratio == 4 else compressed)
    keys = None if ratio == 1 else _cache(step, ratio, head)
    chosen = i32(rows, 1, model.index_topk) if ratio == 4 else None
    return mixed(
        "SparseAttnSharedkv", "attention", "attention_core",
        (query, _cache(step, 1, head), keys, chosen, i32(step.sequences, 1), f32(heads)), query,
        traffic=rows * seen * head * 2 + 2 * query.bytes, flops=4 * rows * heads * seen * head, efficiency=2.0,
    )  # fmt: skip


def _grouped_output(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, groups, rank = step.tokens, 8, model.kv_lora_rank
    inner = model.local_heads * model.head_dim // groups
    grouped = mixed(
        "TransposeBatchMatMul", "attention", "out_proj", ((rows, groups, inner), (groups, inner, rank), None, None),
        (rows, groups, rank), flops=2 * rows * groups * inner * rank, depth=inner, core=CUBE, api="",
    )  # fmt: skip
    return [grouped, *projection(model, step, groups * rank, model.hidden, "attention", "out_proj")]
