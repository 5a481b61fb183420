"""Whole steps of written models: what comes before the layers, stacks of them, and what comes after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sample_builder.blocks import NORM, Block, Card, Layers, V, add, add_norm, gqa, linear, mlp, moe, norm, reduce
from sample_builder.build import BuiltCapture
from sample_builder.recorder import Recorder


def embed(r: Recorder, c: Card, vocab: int = 0) -> None:
    """The rows of the tokens, from this rank's part of the table."""
    r.outside()
    r.put("GatherV2", "embedding", [((vocab or c.vocab) // c.tp, c.hidden), (c.rows,), (1,)], c.wide, 4.0)
    reduce(r, c)


def prepare(r: Recorder, c: Card) -> None:
    """What a model runner does before the forward pass."""
    r.outside()
    for op in ("Fill", "Index", "Cast", "Add"):
        r.put(op, "prepare", (c.rows,), us=1.5)
    r.put("_compute_slot_mapping_kernel", "prepare", [(2,), (c.rows,), (1, 16)], (2050,), 2.5, V)
    for _table in range(2):
        r.put("GatherV3", "prepare", [(32768, 64), (c.rows,), (1,)], (c.rows, 64), 2.0)


def head(r: Recorder, c: Card, rows: int = 0) -> None:
    """The rows to predict from, logits, float32 logits, greedy choice."""
    r.outside()
    rows = rows or c.sequences or c.rows
    if c.runner:
        r.put("Index", "head", [c.wide, (1,), (2,), (rows,)], (rows, c.hidden), 2.8)
    elif rows != c.rows:
        r.put("GatherV2", "head", [c.wide, (rows,)], (rows, c.hidden), 3.0)
    linear(r, replace(c, bias=False, bias_add=False, dequant=False), "head", c.hidden, c.vocab // c.tp, rows, quant="")
    if c.runner:
        if c.tp > 1:
            r.put("hcom_allGather_", "comm", (rows, c.vocab // c.tp), (rows, c.vocab), 9.0)
        r.put("Cast", "sampling", (rows, c.vocab), us=3.0)
    r.put("ArgMaxV2", "sampling", [(rows, c.vocab), (1,)], (rows,), 9.0)


def stack(r: Recorder, c: Card, *kinds: tuple[str, Block, Block]) -> None:
    """Pre-norm layers of these kinds, over and over; a sum carries the next norm, or the next layer opens with it."""
    for number in range(c.layers):
        r.layer, (r.kind, attention, feed_forward) = number, kinds[number % len(kinds)]
        if number == 0 or not c.add_norm:
            norm(r, c)
        attention(r, c)
        add_norm(r, c)
        feed_forward(r, c)
        if c.add_norm:
            add_norm(r, c)
        else:
            add(r, c)
    if not c.add_norm:
        norm(r, c)


def layers_of(*kinds: tuple[str, Block, Block]) -> Layers:
    """A stack of these kinds."""
    return lambda r, c: stack(r, c, *kinds)


DENSE_LAYERS, MOE_LAYERS = layers_of(("dense", gqa, mlp)), layers_of(("moe", gqa, moe))


def first_dense(count: int, attention: Block, experts: Block) -> Layers:
    """Some dense layers, then layers with experts."""

    def layers(r: Recorder, c: Card) -> None:
        dense, sparse = ("dense", attention, mlp), ("moe", attention, experts)
        stack(r, c, *[dense] * count, *[sparse] * (c.layers - count))

    return layers


def sandwiched(*blocks: Block, before: bool = True, after: bool = True, scales: int = 0, kind: str = "dense") -> Layers:
    """Blocks with a norm `before` and `after` each, multiplied (`scales` kernels) ahead of the sum, and a last norm."""

    def layers(r: Recorder, c: Card) -> None:
        for _number in r.layers(c.layers, kind):
            for block in blocks:
                if before:
                    norm(r, c)
                block(r, c)
                if after:
                    norm(r, c)
                r.each("Muls " * scales, NORM, c.wide, 1.8)
                add(r, c)
        norm(r, c)

    return layers


def run(
    c: Card, layers: Layers = DENSE_LAYERS, steps: int = 3, mode: str = "graph", outside: bool = True
) -> BuiltCapture:
    """Decode steps; `outside` adds what comes before and after the layers."""
    r = Recorder(mode=mode, gap_us=0.2 if mode == "graph" else 14.0)
    for step in r.steps(steps):
        forward(r, c, layers, step, outside=outside)
    return r.finish()


def forward(
    r: Recorder, c: Card, layers: Layers, step: int, phase: str = "decode", outside: bool = True, rows: int = 0
) -> None:
    """One step."""
    r.step, r.phase = step, phase
    if outside and c.runner:
        prepare(r, c)
    if outside:
        embed(r, c)
    layers(r, c)
    if outside:
        head(r, c, rows)


Plan = Sequence[tuple[str, int, int]]


def phased(c: Card, layers: Layers | Sequence[Layers], plan: Plan, mode: str = "eager") -> BuiltCapture:
    """Steps of (phase, rows, sequences), with layers of the same kind or of the step's own."""
    r = Recorder(mode=mode, gap_us=14.0 if mode == "eager" else 0.2)
    each = [layers] * len(plan) if callable(layers) else layers
    for step, (phase, rows, sequences) in enumerate(plan):
        forward(r, c.at(rows, sequences), each[step], step, phase, rows=sequences)
        r.pause(320.0)
    return r.finish()
