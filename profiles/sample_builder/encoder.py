"""An encoder pass (BERT): attention in both directions, no cache, no decode."""

from __future__ import annotations

from sample_builder.model import ModelDescription, Pass
from sample_builder.operation import CUBE, F32, I64, Operation, Tensor, cast, matmul, vector
from sample_builder.step import Placed


def encode(model: ModelDescription, step: Pass, index: int) -> list[Placed]:
    """Embeddings, all layers, pooler and classifier."""
    placed = [Placed(op, index, "unknown") for op in _embeddings(model, step)]
    for layer in range(model.layers):
        placed += [Placed(op, index, "unknown", layer, "other", "unknown") for op in _layer(model, step)]
    return placed + [Placed(op, index, "unknown") for op in _pooler(model, step)]


def _simple(
    op_type: str, inputs: tuple[Tensor, ...], output: Tensor, region: str, role: str, api: str = ""
) -> Operation:
    return vector(op_type, region=region, role=role, inputs=inputs, outputs=(output,), api=api)


def _linear(rows: int, depth: int, columns: int, region: str, role: str) -> list[Operation]:
    return [
        cast((columns,), "DT_BF16", F32, region=region, role=role, api="aclnnAddmm_CastAiCore"),
        matmul(rows, depth, columns, region=region, role=role, bias=True),
    ]


def _norm(rows: int, width: int, region: str = "norm") -> Operation:
    hidden, weight = Tensor((rows, width)), Tensor((width,))
    return vector(
        "LayerNormV3",
        region=region,
        role="residual_norm",
        inputs=(hidden, weight, weight),
        outputs=(hidden, Tensor((rows, 1), F32), Tensor((rows, 1), F32)),
        api="aclnnLayerNorm_LayerNormV3AiCore",
        rows=rows,
    )


def _embeddings(model: ModelDescription, step: Pass) -> list[Operation]:
    hidden = Tensor((step.tokens, model.hidden))
    lookups = [
        _simple(
            "GatherV2",
            (Tensor((count, model.hidden)), Tensor((step.tokens,), I64), Tensor((1,), I64)),
            hidden,
            "embedding",
            "embedding",
            "aclnnEmbedding_GatherV2AiCore",
        )
        for count in (2, 512, 512)
    ]
    add = _simple("Add", (hidden, hidden), hidden, "embedding", "embedding", "aclnnAdd_AddAiCore")
    return [lookups[0], lookups[1], add, lookups[2], add, _norm(step.tokens, model.hidden, "embedding")]


def _layer(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, hidden, heads, head = step.tokens, model.hidden, model.heads, model.head_dim
    length = rows // step.sequences
    split = Tensor((step.sequences, heads, length, head))
    scores = Tensor((step.sequences, heads, length, length))
    stream = Tensor((rows, hidden))
    turn = _simple("Transpose", (Tensor((step.sequences, length, heads, head)), Tensor((4,), I64)), split, "attention",
                   "layout", "aclnnInplaceCopy_TransposeAiCore")  # fmt: skip

    def batch(first: Tensor, second: Tensor, output: Tensor, depth: int) -> Operation:
        return Operation(
            op_type="BatchMatMulV2", region="attention", role="attention_core", core=CUBE, inputs=(first, second),
            outputs=(output,), api="aclnnMatmul_BatchMatMulV2Nd", blocks=24,
            flops=2 * step.sequences * heads * length * length * head, depth=depth,
        )  # fmt: skip

    operations: list[Operation] = []
    for _ in range(3):
        operations += [*_linear(rows, hidden, hidden, "attention", "qkv_proj"), turn]
    operations += [
        batch(split, split, scores, head),
        _simple("Muls", (scores,), scores, "attention", "attention_core", "aclnnMuls_Muls"),
        _simple("Add", (scores, scores), scores, "attention", "attention_core", "aclnnAdd_AddAiCore"),
        _simple("SoftmaxV2", (scores,), scores, "attention", "attention_core", "aclnnSoftmax_SoftmaxV2AiCore"),
        batch(scores, split, split, length),
        turn,
        *_linear(rows, hidden, hidden, "attention", "out_proj"),
        _simple("Add", (stream, stream), stream, "norm", "residual_norm", "aclnnAdd_AddAiCore"),
        _norm(rows, hidden),
        *_linear(rows, hidden, model.intermediate, "mlp", "gate_up"),
        _simple("Gelu", (Tensor((rows, model.intermediate)),), Tensor((rows, model.intermediate)), "mlp", "activation",
                "aclnnGelu_GeluAiCore"),
        *_linear(rows, model.intermediate, hidden, "mlp", "down"),
        _simple("Add", (stream, stream), stream, "norm", "residual_norm", "aclnnAdd_AddAiCore"),
        _norm(rows, hidden),
    ]  # fmt: skip
    return operations


def _pooler(model: ModelDescription, step: Pass) -> list[Operation]:
    first = Tensor((step.sequences, model.hidden))
    return [
        _simple("Slice", (Tensor((step.tokens, model.hidden)),), first, "head", "head", "aclnnInplaceCopy_SliceAiCore"),
        *_linear(step.sequences, model.hidden, model.hidden, "head", "head"),
        _simple("Tanh", (first,), first, "head", "head", "aclnnTanh_TanhAiCore"),
        *_linear(step.sequences, model.hidden, 2, "head", "head"),
    ]
