"""The lightning indexer of sparse attention: it scores the whole cache cheaply and picks what attention reads."""

from __future__ import annotations

from sample_builder.model import ModelDescription, Pass
from sample_builder.norms import projection
from sample_builder.operation import BF16, F32, I32, I64, MIX_AIC, Operation, Tensor, cast, matmul, vector

BLOCK_SIZE = 128


def indexer(model: ModelDescription, step: Pass, blocks: int) -> list[Operation]:
    """Index queries and keys with rope, the write to the index cache of `blocks` blocks, head weights, the choice."""
    rows, heads, width = step.tokens, model.index_heads, model.index_dim
    query, key = Tensor((rows, heads, width)), Tensor((rows, 1, width))
    cache = Tensor((blocks, BLOCK_SIZE, 1, width))
    operations = projection(model, step, model.q_lora_rank, heads * width, region="attention", role="indexer")
    operations += _rotate(model, step, query)
    operations += projection(model, step, model.hidden, width, region="attention", role="indexer")
    operations += [
        cast((rows, width), BF16, F32, region="attention", role="indexer", api="aclnnCast_CastAiCore"),
        _plain(
            "LayerNormV3",
            (Tensor((rows, width), F32), Tensor((width,), F32), Tensor((width,), F32)),
            Tensor((rows, width), F32),
            "aclnnLayerNorm_LayerNormV3AiCore",
            rows,
        ),
        cast((rows, width), F32, BF16, region="attention", role="indexer", api="aclnnCast_CastAiCore"),
    ]
    operations += _rotate(model, step, key)
    operations.append(
        vector(
            "ScatterNdUpdate",
            region="attention",
            role="indexer",
            inputs=(cache, Tensor((rows, 1), I64), key),
            outputs=(cache,),
            api="aclnnScatterNdUpdate_ScatterNdUpdateAiCore",
            rows=rows,
            traffic=3 * key.bytes,
        )
    )
    weights = Tensor((rows, heads))
    operations += [
        matmul(rows, model.hidden, heads, region="attention", role="indexer", op_type=model.matmul_type),
        _plain("Mul", (weights, Tensor((), BF16)), weights, "aclnnMuls_MulAiCore", rows),
        _choose(model, step, query, cache),
    ]
    return operations


def _plain(op_type: str, inputs: tuple[Tensor, ...], output: Tensor, api: str, rows: int) -> Operation:
    return vector(op_type, region="attention", role="indexer", inputs=inputs, outputs=(output,), api=api, rows=rows)


def _rotate(model: ModelDescription, step: Pass, tensor: Tensor) -> list[Operation]:
    """Split off the rotary part, turn it, put it back."""
    rows, heads, width = tensor.shape
    turned = Tensor((rows, heads, model.rope_dim))
    rest = Tensor((rows, heads, width - model.rope_dim))
    angle = Tensor((rows, 1, model.rope_dim))
    if step.ge:
        parts = [
            vector(
                "SplitVD",
                region="attention",
                role="indexer",
                inputs=(tensor,),
                outputs=(turned, rest),
                rows=rows,
            )
        ]
    else:
        parts = [_plain("Slice", (tensor,), part, "aclnnInplaceCopy_SliceAiCore", rows) for part in (turned, rest)]
    return [
        *parts,
        _plain("RotaryMul", (turned, angle, angle), turned, "aclnnRotaryPositionEmbedding_RotaryMul", rows),
        _plain("ConcatD", (turned, rest), tensor, "aclnnCat_ConcatD", rows),
    ]


def _choose(model: ModelDescription, step: Pass, query: Tensor, cache: Tensor) -> Operation:
    rows, heads, width = query.shape
    return Operation(
        op_type="LightningIndexer",
        region="attention",
        role="indexer",
        core=MIX_AIC,
        inputs=(query, cache, Tensor((rows, heads)), Tensor((step.sequences,), I32), None, None),
        outputs=(Tensor((rows, 1, model.index_topk), I32),),
        blocks=24,
        traffic=step.sequences * step.context * width * 2,
        flops=2 * rows * heads * step.context * width,
        efficiency=0.8,
    )
