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
    Some,
    Tensor,
    cast,
    collective,
    f32,
    i32,
    i64,
    matmul,
    vector,
)


def prepare(model: ModelDescription, step: Pass) -> list[Operation]:
    """Positions, slot mapping and rope tables before the embedding."""
    rows, count = step.tokens, step.sequences
    positions, one, scalar = i64(rows), i32(1), i32()
    to_int64 = cast((rows,), I32, I64, "prepare", "prepare", api="aclnnInplaceCopy_CastAiCore")
    if step.ge:
        # what each replay of a GE graph begins with
        refresh = vector("Data", "prepare", "prepare", blocks=48, fixed_name="UpdateModelParam_static_bin")
        return [refresh, to_int64, _prepared("Add", (positions, i64()), positions), *_rope_tables(model, step)]
    fill = _prepared("Fill", (one, scalar), one)
    chosen = _prepared("Index", (one, i64(1), i64(1), positions), i32(rows), rows=rows)
    slots = _prepared(
        "_compute_slot_mapping_kernel", (i32(count + 1), positions, i32(count, 16)), i64(2048 + rows),
        blocks=1 + count, triton=True, host_us=220.0,
    )  # fmt: skip
    width = _angle_width(model)
    repeat = _prepared("Tile", (Tensor((rows, 2, width // 2), BF16, "NCL"), i64(3)), (rows, 2, width), rows=rows)
    cosine, sine = _rope_tables(model, step)
    return [
        fill,
        fill,
        *([chosen] if step.phase == "prefill" else []),
        to_int64,
        _prepared("Add", (positions, positions), positions),
        _prepared("Add", (one, one), one),
        slots,
        _prepared("Sub", (one, scalar), one),
        cosine,
        repeat,
        sine,
        repeat,
    ]


def _prepared(op_type: str, inputs: Some, outputs: Some, **more: Any) -> Operation:
    return vector(op_type, "prepare", "prepare", inputs, outputs, **more)


def _angle_width(model: ModelDescription) -> int:
    return model.rope_dim or model.head_dim


def _rope_tables(model: ModelDescription, step: Pass) -> list[Operation]:
    """The rows of the cosine and the sine table for the positions of the pass."""
    width = _angle_width(model)
    angle, inputs = Tensor((step.tokens, width)), ((32768, width), i64(step.tokens), i64(1))
    gather = _prepared("GatherV2" if step.ge else "GatherV3", inputs, angle, rows=step.tokens, traffic=2 * angle.bytes)
    return [gather, gather]


def embedding(model: ModelDescription, step: Pass) -> list[Operation]:
    """The token embedding; across ranks each looks up its part of the vocabulary and the parts are added up."""
    rows, ids, mask = Tensor((step.tokens, model.hidden)), i64(step.tokens), Tensor((step.tokens,), BOOL)
    lookup = vector(
        "GatherV2", "embedding", "embedding", ((model.vocabulary // model.tensor_parallel, model.hidden), ids, i64(1)),
        rows, rows=max(step.tokens, 42), traffic=2 * rows.bytes,
    )  # fmt: skip
    if model.tensor_parallel == 1:
        return [lookup]

    def plain(op_type: str, source: Tensor, target: Tensor, name: str = "") -> Operation:
        return vector(op_type, "embedding", "embedding", (source, source), target, fixed_name=name)

    if step.ge:
        masking = [plain("AutomaticBufferFusionOp", ids, mask, "SubGreaterEqualLessLogicalAnd")]
    else:
        masking = [plain("GreaterEqual", ids, mask), plain("Less", ids, mask), plain("LogicalAnd", mask, mask)]
        masking.append(plain("Sub", ids, ids))
    total = collective("allReduce", rows, owner="embedding", ranks=model.tensor_parallel)
    return [*masking, plain("Mul", ids, ids), lookup, plain("Mul", rows, rows), total]


def head(model: ModelDescription, step: Pass) -> list[Operation]:
    """The rows that are sampled from, and their projection onto the vocabulary."""
    wanted = step.sequences if step.phase != "decode" else step.tokens
    columns = model.vocabulary // model.tensor_parallel
    operations = []
    if not step.ge or wanted != step.tokens:
        chosen = Tensor((wanted, model.hidden))
        operations.append(
            vector(
                "Index", "head", "head", ((step.tokens, model.hidden), i64(1), i64(2), i32(wanted)), chosen, blocks=48,
                traffic=2 * chosen.bytes, leaves_graph=True,
            )
        )  # fmt: skip
    operations.append(matmul(wanted, model.hidden, columns, "head", "head", op_type=model.matmul_type))
    if model.tensor_parallel > 1:
        operations.append(collective("allGather", Tensor((wanted, columns)), owner="head", ranks=model.tensor_parallel))
    return operations


def best_token(logits: Tensor) -> Operation:
    """The greedy choice."""
    rows = logits.shape[0]
    return vector("ArgMaxV2", "sampling", "sampling", (logits, i64()), i32(rows), blocks=min(48, rows))


def sampling(model: ModelDescription, step: Pass) -> list[Operation]:
    """Greedy sampling; the eager engine applies penalties first, as vLLM does."""
    rows = step.sequences if step.phase != "decode" else step.tokens
    logits, small, blocks = f32(rows, model.vocabulary), i64(rows, 1), min(rows, 48)

    def make(op_type: str, inputs: Some, outputs: Some, **more: Any) -> Operation:
        return vector(op_type, "sampling", "sampling", inputs, outputs, **more)

    def turn(shape: tuple[int, ...], source: str, target: str, call: str) -> Operation:
        return cast(shape, source, target, "sampling", "sampling", api=f"aclnn{call}_CastAiCore")

    to_float, best = turn(logits.shape, BF16, F32, "InplaceCopy"), best_token(logits)
    last = turn((rows,), I32, I64, "ArgMax")
    if step.mode in ("ge_graph", "acl_graph"):
        return [to_float, best, last]
    counts, mask, flag = i32(*logits.shape), Tensor(logits.shape, BOOL), Tensor((rows, 1), BOOL)
    operations = [to_float]
    if step.phase == "decode":
        operations.append(make("Equal", (small, i64()), flag))
        operations.append(make("MaskedFill", (small, flag, i64()), small, core=AI_CPU, blocks=0))
    for _ in range(2):
        operations += [
            make("ZerosLike", counts, counts),
            make("token_bin_counts_and_mask_kernel", (small, logits), logits, triton=True, blocks=blocks),
            turn(logits.shape, I32, I64, "GtScalar"),
            make("Greater", (i64(*logits.shape), i64()), mask),
        ]
    operations.append(
        make("apply_all_penalties_kernel", (logits, mask, mask, counts), logits, triton=True, blocks=blocks)
    )
    return [*operations, best, last, turn((rows,), I64, I32, "InplaceCopy")]
