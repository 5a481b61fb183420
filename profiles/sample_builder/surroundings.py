"""What comes before layer 0 and after the last layer: positions, embedding, head, sampling."""

from __future__ import annotations

from typing import Any

from sample_builder.model import ModelDescription, Pass
from sample_builder.operation import (
    AI_CPU,
    BF16,
    BOOL,
    F32,
    I32,
    I64,
    Operation,
    Tensor,
    cast,
    collective,
    matmul,
    vector,
)


def prepare(model: ModelDescription, step: Pass) -> list[Operation]:
    """Positions, slot mapping and rope tables before the embedding."""
    positions, one, scalar = Tensor((step.tokens,), I64), Tensor((1,), I32), Tensor((), I32)
    to_int64 = cast((step.tokens,), I32, I64, region="prepare", role="prepare", api="aclnnInplaceCopy_CastAiCore")
    if step.ge:
        shifted = _prepared("Add", (positions, Tensor((), I64)), positions, "")
        return [_refresh_addresses(), to_int64, shifted, *_rope_tables(model, step)]
    fill = _prepared("Fill", (one, scalar), one, "aclnnInplaceFillScalar_FillAiCore")
    chosen = []
    if step.phase == "prefill":
        tokens = Tensor((step.tokens,), I32)
        inputs = (one, Tensor((1,), I64), Tensor((1,), I64), Tensor((step.tokens,), I64))
        chosen.append(_prepared("Index", inputs, tokens, "aclnnIndex_IndexAiCore", rows=step.tokens))
    slots = _prepared(
        "_compute_slot_mapping_kernel",
        (Tensor((step.sequences + 1,), I32), positions, Tensor((step.sequences, 16), I32)),
        Tensor((2048 + step.tokens,), I64),
        "",
        blocks=1 + step.sequences,
        triton=True,
        host_us=220.0,
    )
    cosine, sine = _rope_tables(model, step)
    return [
        fill,
        fill,
        *chosen,
        to_int64,
        _prepared("Add", (positions, positions), positions, "aclnnAdd_AddAiCore"),
        _prepared("Add", (one, one), one, "aclnnAdd_AddAiCore"),
        slots,
        _prepared("Sub", (one, scalar), one, "aclnnSubs_SubAiCore"),
        cosine,
        _repeat(model, step),
        sine,
        _repeat(model, step),
    ]


def _prepared(op_type: str, inputs: tuple[Tensor, ...], output: Tensor, api: str, **more: Any) -> Operation:
    return vector(op_type, region="prepare", role="prepare", inputs=inputs, outputs=(output,), api=api, **more)


def _rope_tables(model: ModelDescription, step: Pass) -> list[Operation]:
    """The rows of the cosine and the sine table for the positions of the pass."""
    width = model.rope_dim or model.head_dim
    angle = Tensor((step.tokens, width))
    inputs = (Tensor((32768, width)), Tensor((step.tokens,), I64), Tensor((1,), I64))
    op_type = "GatherV2" if step.ge else "GatherV3"
    gather = _prepared(
        op_type, inputs, angle, f"aclnnIndexSelect_{op_type}AiCore", rows=step.tokens, traffic=2 * angle.bytes
    )
    return [gather, gather]


def _repeat(model: ModelDescription, step: Pass) -> Operation:
    width = model.rope_dim or model.head_dim
    half = Tensor((step.tokens, 2, width // 2), BF16, "NCL")
    whole = Tensor((step.tokens, 2, width))
    return _prepared("Tile", (half, Tensor((3,), I64)), whole, "aclnnRepeat_TileAiCore", rows=step.tokens)


def _refresh_addresses() -> Operation:
    """What each replay of a GE graph begins with."""
    return vector(
        "Data",
        region="prepare",
        role="prepare",
        inputs=(),
        outputs=(),
        blocks=48,
        fixed_name="UpdateModelParam_static_bin",
    )


def embedding(model: ModelDescription, step: Pass) -> list[Operation]:
    """The token embedding; across ranks each looks up its part of the vocabulary and the parts are added up."""
    rows = Tensor((step.tokens, model.hidden))
    ids = Tensor((step.tokens,), I64)
    lookup = vector(
        "GatherV2",
        region="embedding",
        role="embedding",
        inputs=(Tensor((model.vocabulary // model.tensor_parallel, model.hidden)), ids, Tensor((1,), I64)),
        outputs=(rows,),
        api="aclnnEmbedding_GatherV2AiCore",
        rows=max(step.tokens, 42),
        traffic=2 * rows.bytes,
    )
    if model.tensor_parallel == 1:
        return [lookup]

    def plain(op_type: str, source: Tensor, target: Tensor, api: str, name: str = "") -> Operation:
        return vector(
            op_type,
            region="embedding",
            role="embedding",
            inputs=(source, source),
            outputs=(target,),
            api=api,
            fixed_name=name,
        )

    mask = Tensor((step.tokens,), BOOL)
    if step.ge:
        masking = [plain("AutomaticBufferFusionOp", ids, mask, "", "SubGreaterEqualLessLogicalAnd")]
    else:
        masking = [
            plain("GreaterEqual", ids, mask, "aclnnGeScalar_GreaterEqualAiCore"),
            plain("Less", ids, mask, "aclnnLtScalar_LessAiCore"),
            plain("LogicalAnd", mask, mask, "aclnnBitwiseAndTensor_LogicalAndAiCore"),
            plain("Sub", ids, ids, "aclnnSubs_SubAiCore"),
        ]
    fill = plain("Mul", rows, rows, "aclnnMul_MulAiCore")
    total = collective("allReduce", rows, owner="embedding", ranks=model.tensor_parallel)
    return [*masking, plain("Mul", ids, ids, "aclnnMul_MulAiCore"), lookup, fill, total]


def head(model: ModelDescription, step: Pass) -> list[Operation]:
    """The rows that are sampled from, and their projection onto the vocabulary."""
    wanted = step.sequences if step.phase != "decode" else step.tokens
    columns = model.vocabulary // model.tensor_parallel
    operations = []
    if not step.ge or wanted != step.tokens:
        chosen = Tensor((wanted, model.hidden))
        operations.append(
            vector(
                "Index",
                region="head",
                role="head",
                inputs=(
                    Tensor((step.tokens, model.hidden)),
                    Tensor((1,), I64),
                    Tensor((2,), I64),
                    Tensor((wanted,), I32),
                ),
                outputs=(chosen,),
                api="aclnnIndex_IndexAiCore",
                blocks=48,
                traffic=2 * chosen.bytes,
                leaves_graph=True,
            )
        )
    operations.append(matmul(wanted, model.hidden, columns, region="head", role="head", op_type=model.matmul_type))
    if model.tensor_parallel > 1:
        operations.append(collective("allGather", Tensor((wanted, columns)), owner="head", ranks=model.tensor_parallel))
    return operations


def sampling(model: ModelDescription, step: Pass) -> list[Operation]:
    """Greedy sampling; the eager engine applies penalties first, as vLLM does."""
    rows = step.sequences if step.phase != "decode" else step.tokens
    logits = Tensor((rows, model.vocabulary), F32)
    ids = Tensor((rows,), I32)

    def make(op_type: str, inputs: tuple[Tensor, ...], output: Tensor, api: str = "", **more: Any) -> Operation:
        return vector(op_type, region="sampling", role="sampling", inputs=inputs, outputs=(output,), api=api, **more)

    best = make("ArgMaxV2", (logits, Tensor((), I64)), ids, "aclnnArgMax_ArgMaxV2AiCore", blocks=min(48, rows))
    last = cast((rows,), I32, I64, region="sampling", role="sampling", api="aclnnArgMax_CastAiCore")
    to_float = cast(logits.shape, BF16, F32, region="sampling", role="sampling", api="aclnnInplaceCopy_CastAiCore")
    if step.mode in ("ge_graph", "acl_graph"):
        return [to_float, best, last]
    counts, mask = Tensor(logits.shape, I32), Tensor(logits.shape, BOOL)
    small = Tensor((rows, 1), I64)
    operations = [to_float]
    if step.phase == "decode":
        operations += [
            make("Equal", (small, Tensor((), I64)), Tensor((rows, 1), BOOL), "aclnnEqScalar_EqualAiCore"),
            make(
                "MaskedFill",
                (small, Tensor((rows, 1), BOOL), Tensor((), I64)),
                small,
                "aclnnInplaceMaskedFillScalar_MaskedFillAiCpu",
                core=AI_CPU,
                blocks=0,
            ),
        ]
    for _ in range(2):
        operations += [
            make("ZerosLike", (counts,), counts, "aclnnInplaceZero_ZerosLikeAiCore"),
            make("token_bin_counts_and_mask_kernel", (small, logits), logits, triton=True, blocks=min(rows, 48)),
            cast(logits.shape, I32, I64, region="sampling", role="sampling", api="aclnnGtScalar_CastAiCore"),
            make("Greater", (Tensor(logits.shape, I64), Tensor((), I64)), mask, "aclnnGtScalar_GreaterAiCore"),
        ]
    operations.append(
        make("apply_all_penalties_kernel", (logits, mask, mask, counts), logits, triton=True, blocks=min(rows, 48))
    )
    final = cast((rows,), I64, I32, region="sampling", role="sampling", api="aclnnInplaceCopy_CastAiCore")
    return [*operations, best, last, final]
