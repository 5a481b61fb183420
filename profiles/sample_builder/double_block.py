"""Layers of two attentions and two dense feed-forwards with the experts beside them (LongCat-Flash).

The experts start from the first post-attention norm and run on a stream of their own until the end of the layer.
"""

from __future__ import annotations

from sample_builder.attention import attention
from sample_builder.feed_forward import feed_forward
from sample_builder.model import ModelDescription, Pass
from sample_builder.moe import experts
from sample_builder.norms import add_norm, norm_quantises
from sample_builder.operation import Operation, vector


def double_block(model: ModelDescription, step: Pass, layer: int) -> list[Operation]:
    """Attention, norm, (experts aside,) feed-forward, norm, attention, norm, feed-forward, sum, norm."""
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
