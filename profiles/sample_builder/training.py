"""A training step: forward, backward and optimiser, after the kernels of a real Qwen3 run."""

from __future__ import annotations

from sample_builder.model import ModelDescription, Pass
from sample_builder.norms import rms_norm
from sample_builder.operation import (
    BF16,
    BOOL,
    F32,
    I64,
    MIX_AIC,
    MIX_AIV,
    Operation,
    Tensor,
    cast,
    collective,
    matmul,
    vector,
)
from sample_builder.step import Placed
from sample_builder.surroundings import embedding


def training_step(model: ModelDescription, step: Pass, index: int) -> list[Placed]:
    """Forward through all layers, loss, backward in reverse, gradient norm and optimiser."""

    def outside(operations: list[Operation]) -> list[Placed]:
        return [Placed(op, index, "training") for op in operations]

    def inside(operations: list[Operation], layer: int) -> list[Placed]:
        kind = model.layer_kind(layer)
        return [Placed(op, index, "training", layer, kind, "gqa") for op in operations]

    placed = outside([_zero_gradients(model), *embedding(model, step)])
    for layer in range(model.layers):
        placed += inside(_forward_layer(model, step), layer)
    placed += outside(_loss(model, step))
    for layer in reversed(range(model.layers)):
        placed += inside(_backward_layer(model, step), layer)
    return placed + outside(_optimiser(model, step))


def _zero_gradients(model: ModelDescription) -> Operation:
    gradients = Tensor((model.layers * 12 * model.hidden * model.hidden,), F32)
    return _plain("ZerosLike", (gradients,), gradients, "other", "optimiser", "aclnnInplaceZero_ZerosLikeAiCore")


def _plain(
    op_type: str,
    inputs: tuple[Tensor | None, ...],
    output: Tensor,
    region: str,
    role: str,
    api: str = "",
    core: str = "AI_VECTOR_CORE",
) -> Operation:
    return vector(op_type, region=region, role=role, inputs=inputs, outputs=(output,), api=api, core=core)


def _add(tensor: Tensor, region: str, role: str, other: Tensor | None = None) -> Operation:
    return _plain("Add", (tensor, other or tensor), tensor, region, role, "aclnnAdd_AddAiCore")


def _product(rows: int, depth: int, columns: int, region: str, role: str) -> Operation:
    return matmul(rows, depth, columns, region=region, role=role, op_type="MatMulV3")


def _forward_layer(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, hidden, width = step.tokens, model.hidden, model.intermediate
    stream = Tensor((rows, 1, hidden), BF16, "NCL")
    swiglu = vector(
        "SwiGlu",
        region="mlp",
        role="activation",
        inputs=(Tensor((rows, 2 * width)),),
        outputs=(Tensor((rows, width)),),
        rows=rows,
    )
    return [
        rms_norm((rows, 1), hidden),
        *_forward_attention(model, rows),
        _add(stream, "norm", "residual_norm"),
        rms_norm((rows, 1), hidden),
        _product(rows, hidden, 2 * width, "mlp", "gate_up"),
        swiglu,
        _product(rows, width, hidden, "mlp", "down"),
        _add(stream, "norm", "residual_norm"),
    ]


def _forward_attention(model: ModelDescription, rows: int) -> list[Operation]:
    hidden, head = model.hidden, model.head_dim
    query, key = Tensor((rows, 1, model.heads, head)), Tensor((rows, 1, model.kv_heads, head))
    merged = (model.heads + 2 * model.kv_heads) * head
    source, angle = (Tensor((rows, merged)),), Tensor((rows, 1, 1, head))

    def inside(op_type: str, inputs: tuple[Tensor, ...], output: Tensor, role: str, api: str = "") -> Operation:
        return _plain(op_type, inputs, output, "attention", role, api)

    sliced = [inside("Slice", source, part, "layout", "aclnnInplaceCopy_SliceAiCore") for part in (query, key, key)]
    turned = [inside("RotaryPositionEmbedding", (part, angle, angle), part, "rope") for part in (query, key)]
    moved = [inside("TensorMove", (part,), part, "layout", "aclnnCat_TensorMoveAiCore") for part in (query, key)]
    return [
        _product(rows, hidden, merged, "attention", "qkv_proj"),
        sliced[0],
        rms_norm((rows, 1, model.heads), head, region="attention", role="qk_norm"),
        sliced[1],
        rms_norm((rows, 1, model.kv_heads), head, region="attention", role="qk_norm"),
        turned[0],
        moved[0],
        turned[1],
        moved[1],
        sliced[2],
        _flash_attention(model, rows),
        _product(rows, model.heads * head, hidden, "attention", "out_proj"),
    ]


def _flash_attention(model: ModelDescription, rows: int) -> Operation:
    query = Tensor((rows, 1, model.heads * model.head_dim), BF16, "NCL")
    key = Tensor((rows, 1, model.kv_heads * model.head_dim), BF16, "NCL")
    statistics = Tensor((1, model.heads, rows, 8), F32)
    return Operation(
        op_type="FlashAttentionScore",
        region="attention",
        role="attention_core",
        core=MIX_AIC,
        inputs=(query, key, key, None, None, None, Tensor((2048, 2048), BOOL)),
        outputs=(statistics, statistics, None, query),
        api="aclnnFlashAttentionScore_FlashAttentionScore",
        blocks=20,
        flops=2 * rows * rows * model.heads * model.head_dim,
    )


def _loss(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, columns = step.tokens, model.vocabulary
    logits = Tensor((rows, columns), F32)
    return [
        rms_norm((rows, 1), model.hidden),
        _product(rows, model.hidden, columns, "head", "head"),
        cast((rows, columns), BF16, F32, region="head", role="loss", api="aclnnCast_CastAiCore"),
        _plain("LogSoftmaxV2", (logits,), logits, "head", "loss", "aclnnLogSoftmax_LogSoftmaxAiCore"),
        _plain("NLLLoss", (logits, Tensor((rows,), I64)), Tensor((1,), F32), "head", "loss", core=MIX_AIV),
        _plain("LogSoftmaxGrad", (logits, logits), logits, "head", "loss"),
        _product(rows, columns, model.hidden, "head", "head"),
        _product(columns, rows, model.hidden, "head", "head"),
    ]


def _weight_step(rows: int, columns: int, depth: int, region: str, role: str) -> list[Operation]:
    """Gradient of the input, gradient of the weight, and its sum into the float32 gradient."""
    weight = Tensor((columns, depth), F32)
    return [
        _product(rows, columns, depth, region, role),
        _product(columns, rows, depth, region, role),
        _add(weight, region, role, Tensor((columns, depth))),
    ]


def _norm_step(rows: tuple[int, ...], width: int, region: str, role: str) -> list[Operation]:
    full = Tensor((*rows, width))
    scale = Tensor((width,), F32)
    return [
        vector(
            "RmsNormGrad", region=region, role=role,
            inputs=(full, full, Tensor((*rows, 1), F32), Tensor((width,))),
            outputs=(full, scale), core=MIX_AIV, rows=rows[0],
        ),
        cast((width,), F32, BF16, region=region, role=role, api="aclnnCast_CastAiCore"),
        _add(scale, region, role, Tensor((width,))),
    ]  # fmt: skip


def _backward_layer(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, hidden, head, width = step.tokens, model.hidden, model.head_dim, model.intermediate
    query, key = Tensor((rows, 1, model.heads, head)), Tensor((rows, 1, model.kv_heads, head))
    angle = Tensor((rows, 1, 1, head))
    stream = Tensor((rows, 1, hidden), BF16, "NCL")
    core = Operation(
        op_type="FlashAttentionScoreGrad",
        region="attention",
        role="attention_core",
        core=MIX_AIC,
        inputs=(
            Tensor((rows, 1, model.heads * head), BF16, "NCL"),
            Tensor((rows, 1, model.kv_heads * head), BF16, "NCL"),
            Tensor((rows, 1, model.kv_heads * head), BF16, "NCL"),
            Tensor((rows, 1, model.heads * head), BF16, "NCL"),
        ),
        outputs=(Tensor((rows, 1, model.heads * head)), Tensor((rows, 1, model.kv_heads * head)), None),
        api="aclnnFlashAttentionScoreGrad_FlashAttentionScoreGrad",
        blocks=20,
        flops=5 * rows * rows * model.heads * head,
    )
    operations = _weight_step(rows, hidden, width, "mlp", "down")
    operations.append(
        vector(
            "SwiGluGrad", region="mlp", role="activation",
            inputs=(Tensor((rows, width)), Tensor((rows, 2 * width))), outputs=(Tensor((rows, 2 * width)),), rows=rows,
        )
    )  # fmt: skip
    operations += _weight_step(rows, 2 * width, hidden, "mlp", "gate_up")
    operations += [*_norm_step((rows, 1), hidden, "norm", "residual_norm"), _add(stream, "norm", "residual_norm")]
    operations += _weight_step(rows, hidden, model.heads * head, "attention", "out_proj")
    operations.append(core)
    for part in (key, query):
        operations += [
            _plain("RotaryPositionEmbeddingGrad", (part, angle, angle, None), part, "attention", "rope"),
            _plain("ZerosLike", (part,), part, "attention", "rope", "aclnnInplaceZero_ZerosLikeAiCore"),
            _add(part, "attention", "rope"),
        ]
    for heads in (model.kv_heads, model.heads):
        operations += _norm_step((rows, 1, heads), head, "attention", "qk_norm")
    merged = Tensor((rows, 1, (model.heads + 2 * model.kv_heads) * head))
    operations.append(_plain("ConcatD", (query, key, key), merged, "attention", "layout", "aclnnCat_ConcatD"))
    operations += _weight_step(rows, merged.shape[2], hidden, "attention", "qkv_proj")
    return [*operations, *_norm_step((rows, 1), hidden, "norm", "residual_norm"), _add(stream, "norm", "residual_norm")]


def _optimiser(model: ModelDescription, step: Pass) -> list[Operation]:
    sizes = [12 * model.hidden * model.hidden] * model.layers + [model.vocabulary * model.hidden]
    operations = [
        collective("reduceScatter", Tensor((sum(sizes) // 4,), F32), owner="other", ranks=4),
    ]
    for size in sizes:
        flat, one = Tensor((size // 4,), F32), Tensor((1,), F32)
        operations.append(
            _plain(
                "LpNormV2", (flat,), Tensor((), F32), "other", "optimiser", "aclnnLinalgVectorNorm_LpNormV2", MIX_AIV
            )
        )
        operations.append(_plain("Pows", (one,), one, "other", "optimiser", "aclnnPowTensorScalar_PowsAiCore"))
        operations.append(_add(one, "other", "optimiser"))
    for size in sizes:
        flat = Tensor((size // 4,), F32)
        operations.append(
            _plain(
                "ApplyAdamWV2", (flat, flat, flat, flat, Tensor((1,), F32)), flat, "other", "optimiser",
                "aclnnApplyAdamWV2_ApplyAdamWV2",
            )
        )  # fmt: skip
    operations.append(collective("allGather", Tensor((sum(sizes) // 4,)), owner="other", ranks=4))
    return operations
