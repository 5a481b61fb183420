"""One forward pass: what comes before the layers, the layers, and what comes after, each kernel with its truth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sample_builder.attention import attention, attention_kind
from sample_builder.feed_forward import feed_forward
from sample_builder.model import ModelDescription, Pass
from sample_builder.moe import experts
from sample_builder.norms import add_norm, norm_quantises, rms_norm
from sample_builder.operation import AI_CPU, BF16, BOOL, F32, I32, I64, Operation, Tensor, cast, matmul, vector


@dataclass(frozen=True)
class Placed:
    """A kernel with its place in the model: the truth."""

    operation: Operation
    step: int
    phase: str
    layer: int | None = None
    layer_kind: str | None = None
    attention_kind: str | None = None


def forward(model: ModelDescription, step: Pass, index: int) -> list[Placed]:
    """All kernels of one forward pass in the order in which the host issues them."""
    placed = [Placed(op, index, step.phase) for op in (*prepare(model, step), embedding(model, step))]
    total = model.layers + (model.mtp_layers if step.phase == "decode" else 0)
    for layer in range(total):
        if layer == model.layers:
            placed += [Placed(op, index, step.phase) for op in between_models(model, step)]
        placed += _place(decoder_layer(model, step, layer), model, step, index, layer)
    placed += [Placed(op, index, step.phase) for op in head(model, step)]
    return placed + [Placed(op, index, step.phase) for op in sampling(model, step)]


def between_models(model: ModelDescription, step: Pass) -> list[Operation]:
    """The main model's head and choice of tokens, and their embedding for the draft layer."""
    rows = step.tokens
    columns = model.vocabulary // model.tensor_parallel
    choice = vector(
        "ArgMaxV2",
        region="sampling",
        role="sampling",
        inputs=(Tensor((rows, columns)), Tensor((), I64)),
        outputs=(Tensor((rows,), I32),),
        api="aclnnArgMax_ArgMaxV2AiCore",
        blocks=min(48, rows),
    )
    return [*head(model, step), choice, embedding(model, step)]


def _place(
    operations: Iterable[Operation], model: ModelDescription, step: Pass, index: int, layer: int
) -> list[Placed]:
    kind, attends = model.layer_kind(layer), attention_kind(model, layer)
    return [Placed(op, index, step.phase, layer, kind, attends) for op in operations]


def decoder_layer(model: ModelDescription, step: Pass, layer: int) -> list[Operation]:
    """One decoder layer. Its residual add and norm after the feed-forward are its own, as in the real truth."""
    if model.hyper_connections:
        from sample_builder.hyper_connections import layer_with_hyper_connections

        return layer_with_hyper_connections(model, step, layer)
    operations = _before(model, step, layer)
    if model.double_block:
        from sample_builder.double_block import double_block

        return operations + double_block(model, step, layer)
    operations += attention(model, step, layer)
    dense = model.layer_kind(layer) == "dense"
    operations += add_norm(model, step, quantise=dense and norm_quantises(model, step))
    operations += feed_forward(model, step) if dense or not model.experts else experts(model, step)
    last = layer in (model.layers - 1, model.layers + model.mtp_layers - 1)
    return operations + add_norm(model, step, quantise=not last)


def _before(model: ModelDescription, step: Pass, layer: int) -> list[Operation]:
    rows, hidden = step.tokens, model.hidden
    if layer == 0:
        return first_norm(model, step)
    if layer < model.layers:
        return []
    both = Tensor((rows, 2 * hidden))
    joined = vector(
        "ConcatD",
        region="norm",
        role="layout",
        inputs=(Tensor((rows, hidden)), Tensor((rows, hidden))),
        outputs=(both,),
        api="aclnnCat_ConcatD",
        rows=rows,
    )
    project = matmul(rows, 2 * hidden, hidden, region="other", role="mtp_proj", op_type=model.matmul_type)
    return [rms_norm((rows,), hidden), rms_norm((rows,), hidden), joined, project, *first_norm(model, step)]


def first_norm(model: ModelDescription, step: Pass) -> list[Operation]:
    """The input norm of the first layer, which no residual add precedes."""
    from sample_builder.norms import dynamic_quant, static_quant

    operations = [rms_norm((step.tokens,), model.hidden)]
    if norm_quantises(model, step):
        quant = static_quant if model.quantisation == "w8a8" else dynamic_quant
        operations.append(quant(step.tokens, model.hidden, region="attention"))
    return operations


def prepare(model: ModelDescription, step: Pass) -> list[Operation]:
    """Positions, slot mapping and rope tables before the embedding."""
    rows, width = step.tokens, model.rope_dim or model.head_dim

    def make(op_type: str, source: Tensor, target: Tensor, api: str, **more: object) -> Operation:
        others = more.pop("others", ())
        return vector(
            op_type, region="prepare", role="prepare", inputs=(source, *others), outputs=(target,), api=api, **more
        )  # type: ignore[arg-type, misc]

    positions, one = Tensor((rows,), I64), Tensor((1,), I32)
    table, angle = Tensor((32768, width)), Tensor((rows, width))
    gathers = [
        make(
            "GatherV3" if not step.ge else "GatherV2",
            table,
            angle,
            "aclnnIndexSelect_GatherV3AiCore",
            others=(positions, Tensor((1,), I64)),
            rows=rows,
            traffic=2 * angle.bytes,
        )
        for _ in range(2)
    ]
    if step.ge:
        return [
            cast((rows,), I32, I64, region="prepare", role="prepare", api=""),
            make("Add", positions, positions, "", others=(Tensor((), I64),)),
            *gathers,
        ]
    scalar = Tensor((), I32)
    fill = [make("Fill", one, one, "aclnnInplaceFillScalar_FillAiCore", others=(scalar,)) for _ in range(2)]
    tokens = []
    if step.phase == "prefill":
        tokens.append(
            make(
                "Index", one, Tensor((rows,), I32), "aclnnIndex_IndexAiCore", others=(Tensor((rows,), I64),), rows=rows
            )
        )
    tiles = [
        make(
            "Tile",
            Tensor((rows, 2, width // 2), BF16, "NCL"),
            Tensor((rows, 2, width)),
            "aclnnRepeat_TileAiCore",
            others=(Tensor((3,), I64),),
            rows=rows,
        )
        for _ in range(2)
    ]
    slots = make(
        "_compute_slot_mapping_kernel",
        Tensor((step.sequences + 1,), I32),
        Tensor((2048 + rows,), I64),
        "",
        others=(positions, Tensor((step.sequences, 16), I32)),
        blocks=1 + step.sequences,
        triton=True,
        host_us=220.0,
    )
    return [
        *fill,
        *tokens,
        cast((rows,), I32, I64, region="prepare", role="prepare", api="aclnnInplaceCopy_CastAiCore"),
        make("Add", positions, positions, "aclnnAdd_AddAiCore", others=(positions,)),
        make("Add", one, one, "aclnnAdd_AddAiCore", others=(one,)),
        slots,
        make("Sub", one, one, "aclnnSubs_SubAiCore", others=(Tensor((), I32),)),
        gathers[0],
        tiles[0],
        gathers[1],
        tiles[1],
    ]


def embedding(model: ModelDescription, step: Pass) -> Operation:
    """The token embedding."""
    rows = Tensor((step.tokens, model.hidden))
    return vector(
        "GatherV2",
        region="embedding",
        role="embedding",
        inputs=(Tensor((model.vocabulary, model.hidden)), Tensor((step.tokens,), I64), Tensor((1,), I64)),
        outputs=(rows,),
        api="aclnnEmbedding_GatherV2AiCore",
        rows=max(step.tokens, 42),
        traffic=2 * rows.bytes,
    )


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
        from sample_builder.operation import collective

        operations.append(collective("allGather", Tensor((wanted, columns)), owner="head", ranks=model.tensor_parallel))
    return operations


def sampling(model: ModelDescription, step: Pass) -> list[Operation]:
    """Greedy sampling; the eager engine applies penalties first, as vLLM does."""
    rows = step.sequences if step.phase != "decode" else step.tokens
    logits = Tensor((rows, model.vocabulary), F32)
    ids = Tensor((rows,), I32)

    def make(op_type: str, inputs: tuple[Tensor, ...], output: Tensor, api: str = "", **more: object) -> Operation:
        return vector(op_type, region="sampling", role="sampling", inputs=inputs, outputs=(output,), api=api, **more)  # type: ignore[arg-type]

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
