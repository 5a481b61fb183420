"""One forward pass: what comes before the layers, the layers, and what comes after, each kernel with its truth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sample_builder.attention import attention, attention_kind
from sample_builder.feed_forward import feed_forward
from sample_builder.hyper_connections import layer_with_hyper_connections
from sample_builder.model import ModelDescription, Pass
from sample_builder.moe import experts
from sample_builder.norms import add_norm, dynamic_quant, norm_quantises, rms_norm, static_quant
from sample_builder.operation import Operation, Tensor, matmul, vector
from sample_builder.surroundings import best_token, embedding, head, prepare, sampling


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
    placed = [Placed(op, index, step.phase) for op in (*prepare(model, step), *embedding(model, step))]
    total = model.layers + (model.mtp_layers if step.phase == "decode" else 0)
    for layer in range(total):
        if layer == model.layers:
            placed += [Placed(op, index, step.phase) for op in between_models(model, step)]
        placed += _place(decoder_layer(model, step, layer), model, step, index, layer)
    placed += [Placed(op, index, step.phase) for op in head(model, step)]
    return placed + [Placed(op, index, step.phase) for op in sampling(model, step)]


def between_models(model: ModelDescription, step: Pass) -> list[Operation]:
    """The main model's head and choice of tokens, and their embedding for the draft layer."""
    logits = Tensor((step.tokens, model.vocabulary // model.tensor_parallel))
    return [*head(model, step), best_token(logits), *embedding(model, step)]


def _place(
    operations: Iterable[Operation], model: ModelDescription, step: Pass, index: int, layer: int
) -> list[Placed]:
    kind, attends = model.layer_kind(layer), attention_kind(model, layer)
    return [Placed(op, index, step.phase, layer, kind, attends) for op in operations]


def decoder_layer(model: ModelDescription, step: Pass, layer: int) -> list[Operation]:
    """One decoder layer. Its residual add and norm after the feed-forward are its own, as in the real truth."""
    if model.hyper_connections:
        return layer_with_hyper_connections(model, step, layer)
    operations = _before(model, step, layer)
    if model.double_block:
        return operations + _double_block(model, step, layer)
    operations += attention(model, step, layer)
    dense = model.layer_kind(layer) == "dense"
    operations += add_norm(model, step, quantise=dense and norm_quantises(model, step), for_router=not dense)
    operations += feed_forward(model, step) if dense or not model.experts else experts(model, step)
    last = layer in (model.layers - 1, model.layers + model.mtp_layers - 1)
    return operations + add_norm(model, step, quantise=not last)


def _before(model: ModelDescription, step: Pass, layer: int) -> list[Operation]:
    rows, hidden = step.tokens, model.hidden
    if layer == 0:
        return first_norm(model, step)
    if layer < model.layers:
        return []
    joined = vector("ConcatD", "norm", "layout", ((rows, hidden), (rows, hidden)), (rows, 2 * hidden), rows=rows)
    project = matmul(rows, 2 * hidden, hidden, "other", "mtp_proj", op_type=model.matmul_type)
    return [rms_norm((rows,), hidden), rms_norm((rows,), hidden), joined, project, *first_norm(model, step)]


def first_norm(model: ModelDescription, step: Pass) -> list[Operation]:
    """The input norm of the first layer, which no residual add precedes."""
    operations = [rms_norm((step.tokens,), model.hidden)]
    if norm_quantises(model, step):
        quant = static_quant if model.quantisation == "w8a8" else dynamic_quant
        operations.append(quant(step.tokens, model.hidden, "attention"))
    return operations


def _double_block(model: ModelDescription, step: Pass, layer: int) -> list[Operation]:
    """Attention, norm, (experts aside,) feed-forward, norm, attention, norm, feed-forward, sum, norm (LongCat-Flash).

    The experts start from the first of these norms and run on a stream of their own until the end of the layer.
    """
    beside = model.shared_stream and step.mode != "eager"
    dense, attend = feed_forward(model, step), attention(model, step, layer)
    norm = add_norm(model, step, quantise=norm_quantises(model, step))
    main, routed = [*dense, *norm, *attend, *norm, *dense], experts(model, step)
    body = _beside(routed, main) if beside else [*routed, *main]
    hidden = (step.tokens, model.hidden)
    joined = vector("Add", "moe", "combine", (hidden, hidden), hidden, joins=("experts",) if beside else ())
    last = layer == model.layers - 1
    return [*attend, *add_norm(model, step), *body, joined, *add_norm(model, step, quantise=not last)]


def _beside(routed: list[Operation], main: list[Operation]) -> list[Operation]:
    """Issue the expert kernels between the main ones, as the host does; each waits only for its own stream."""
    aside = [op.on("experts", fork=index == 0) for index, op in enumerate(routed)]
    every = max(1, len(main) // (len(aside) + 1))
    merged: list[Operation] = []
    for index, operation in enumerate(main):
        if index % every == 0 and aside:
            merged.append(aside.pop(0))
        merged.append(operation)
    return merged + aside
