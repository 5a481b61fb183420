"""Layers of two attentions and two dense feed-forwards with the experts beside them (LongCat-Flash).

The experts start from the first post-attention norm and run on a stream of their own until the end of the layer.
"""

from __future__ import annotations

from dataclasses import replace

from sample_builder.attention import attention
from sample_builder.feed_forward import feed_forward
from sample_builder.model import ModelDescription, Pass
from sample_builder.moe import experts
from sample_builder.norms import add_norm, norm_quantises
from sample_builder.operation import Operation, Tensor, vector


def double_block(model: ModelDescription, step: Pass, layer: int) -> list[Operation]:
    """Attention, norm, (experts aside,) feed-forward, norm, attention, norm, feed-forward, sum, norm."""
    beside = model.shared_stream and step.mode != "eager"
    routed = experts(model, step)
    first, second = attention(model, step, layer), attention(model, step, layer)
    dense = feed_forward(model, step)
    middle = add_norm(model, step)
    main = [
        *dense,
        *add_norm(model, step, quantise=norm_quantises(model, step)),
        *second,
        *add_norm(model, step, quantise=norm_quantises(model, step)),
        *feed_forward(model, step),
    ]
    body = _beside(routed, main) if beside else [*routed, *main]
    hidden = Tensor((step.tokens, model.hidden))
    joined = vector(
        "Add",
        region="moe",
        role="combine",
        inputs=(hidden, hidden),
        outputs=(hidden,),
        api="aclnnAdd_AddAiCore",
        joins=("experts",) if beside else (),
    )
    last = layer == model.layers - 1
    return [*first, *middle, *body, joined, *add_norm(model, step, quantise=not last)]


def _beside(routed: list[Operation], main: list[Operation]) -> list[Operation]:
    """Issue the expert kernels between the main ones, as the host does; each waits only for its own stream."""
    aside = [replace(op, lane="experts", fork=index == 0) for index, op in enumerate(routed)]
    every = max(1, len(main) // (len(aside) + 1))
    merged: list[Operation] = []
    for index, operation in enumerate(main):
        if index % every == 0 and aside:
            merged.append(aside.pop(0))
        merged.append(operation)
    return merged + aside
