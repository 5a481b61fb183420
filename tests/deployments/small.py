"""A small model and the blocks that its variants are made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sample_builder.blocks import (
    AIC,
    AIV,
    MOE,
    A,
    Block,
    Card,
    Layers,
    add,
    add_norm,
    dispatched,
    gating,
    gqa,
    linear,
    moe,
    norm,
    permuted,
    shared,
)
from sample_builder.recorder import Recorder
from sample_builder.runs import first_dense

SMALL = Card(
    hidden=2048, heads=16, kv=4, dim=128, inter=5632, vocab=64000, layers=8, rows=16, experts=64, expert_inter=1408,
    local=8, add_norm="AddRmsNorm", cut="split", rope="RotaryMul", cache="ReshapeAndCache", runner=False,
)  # fmt: skip


def small(**changes: Any) -> Card:
    """The small model with other sizes or blocks."""
    return replace(SMALL, **changes)


def moe_of(feed: Block, dense: int = 0, attention: Block = gqa) -> Layers:
    return first_dense(dense, attention, feed)


def looped(r: Recorder, c: Card, used: int = 5) -> None:
    """A router of loose kernels, then each expert by itself: pick its tokens, three matmuls, add its part."""
    gating(r, c, "")
    r.put("Sort", MOE, (c.rows * c.top_k,), [(c.rows * c.top_k,)] * 2, 9.0)
    rows = max(1, c.rows // 4)
    part, inside = (rows, c.hidden), (rows, c.expert_inter)
    for _expert in range(used):
        r.put("Index", MOE, [c.wide, (rows,)], part)
        r.mm(MOE, rows, c.hidden, c.expert_inter)
        r.each("Swish", MOE, inside, 2.0)
        r.mm(MOE, rows, c.hidden, c.expert_inter)
        r.each("Mul", MOE, inside, 2.0)
        r.mm(MOE, rows, c.expert_inter, c.hidden)
        r.put("Mul", MOE, [part, (rows, 1)], us=2.0)
        r.put("IndexPutV2", MOE, [c.wide, part], us=4.0)


def shared_before(r: Recorder, c: Card) -> None:
    shared(r, c)
    gating(r, c)
    permuted(r, c)
    add(r, c, MOE)


def shared_after(r: Recorder, c: Card) -> None:
    gating(r, c)
    permuted(r, c)
    shared(r, c, gate=True)
    add(r, c, MOE)


def shared_between(r: Recorder, c: Card) -> None:
    gating(r, c)
    shared(r, c)
    dispatched_sum(r, c)


def shared_beside(r: Recorder, c: Card) -> None:
    gating(r, c)
    with r.beside(9, wait=False):
        shared(r, c)
    dispatched_sum(r, c, 9)


def dispatched_sum(r: Recorder, c: Card, stream: int = 0) -> None:

    dispatched(r, c)
    if stream:
        r.join(stream)
    add(r, c, MOE)


def gathered(r: Recorder, c: Card) -> None:
    """Attention data parallel, experts parallel: every rank sees all tokens of all."""
    everyone = c.at(c.rows * 4)
    r.put("hcom_allGather_", "comm", c.wide, everyone.wide, 14.0)
    gating(r, everyone)
    permuted(r, everyone)
    r.put("hcom_reduceScatter_", "comm", everyone.wide, c.wide, 14.0)


def overlapping(r: Recorder, c: Card) -> None:
    """Experts on a second stream while the next layer's attention already runs."""
    norm(r, c)
    for number in r.layers(c.layers, "moe"):
        gqa(r, c)
        if number:
            r.join(9)
        add_norm(r, c)
        with r.beside(9, wait=False):
            moe(r, c)
        r.pause(0)
        r.clock[7] -= 60.0
        add_norm(r, c)


def convolution_scan(r: Recorder, c: Card) -> None:
    """A linear attention whose kernels have names of nobody: convolution and scan (Mamba 2)."""
    inner, state = 2 * c.hidden, (c.rows, 64, 64)
    linear(r, c, A, c.hidden, 2 * inner + 288)
    r.put("ssm_conv_upd", A, (c.rows, inner + 256), us=4.0)
    r.put("ssd_state_k", A, [state, (c.rows, 64)], us=16.0, core=AIV)
    norm(r, c, A, inner)
    linear(r, c, A, inner, c.hidden)


def unnamed_delta(r: Recorder, c: Card) -> None:
    """Gated delta net under unknown names (Qwen3-Next)."""
    state = (c.rows, 16, 128)
    linear(r, c, A, c.hidden, 3 * c.hidden)
    linear(r, c, A, c.hidden, 64)
    r.put("upd_conv_state_x", A, (c.rows, 2 * c.hidden), us=4.0)
    r.put("fgdr_step_k", A, [state, state], (c.rows, 32, 128), 15.0)
    r.put("RmsNorm", A, [(c.rows * 32, 128), (128,)], (c.rows * 32, 128), 2.5)
    r.each("Swish Mul", A, c.wide, 2.0)
    linear(r, c, A, c.hidden, c.hidden)


def separate_latent(stream: int = 0, op: str = "FusedInferAttentionScore") -> Block:
    """Multi-head latent attention of separate kernels, its kv branch on the same stream or on one of its own."""
    rank, kv_rank, rope = 1536, 512, 64

    def keys(r: Recorder, c: Card) -> None:
        linear(r, c, A, c.hidden, kv_rank + rope)
        r.put("KvRmsNormRopeCache", A, [(c.rows, 1, 1, kv_rank + rope), (kv_rank,)], (900, 128, 1, rope), 4.0)

    def block(r: Recorder, c: Card) -> None:
        query, out = (c.rows, c.heads, kv_rank), (c.rows, c.heads * c.dim)
        if stream:
            with r.beside(stream, wait=False):
                keys(r, c)
        linear(r, c, A, c.hidden, rank)
        norm(r, c, A, rank)
        linear(r, c, A, rank, c.heads * (c.dim + rope))
        if not stream:
            keys(r, c)
        r.put("TransposeBatchMatMul", A, [(c.heads, c.rows, c.dim), (c.heads, c.dim, kv_rank)], query, 9.0)
        r.put("InterleaveRope", A, (c.rows, c.heads, 1, rope), us=2.4)
        if stream:
            r.join(stream)
        r.put(op, A, [query, (900, 128, kv_rank)], us=30.0, core=AIC)
        r.put("TransposeBatchMatMul", A, [query, (c.heads, kv_rank, c.dim)], out, 9.0)
        linear(r, c, A, c.heads * c.dim, c.hidden)

    return block


def latent_prolog(r: Recorder, c: Card) -> None:
    query, out = (c.rows, c.heads, 512), (c.rows, c.heads * c.dim)
    r.put("MlaPrologV2", A, [c.wide, (c.hidden, 1536), (1536, c.heads * 192)], query, 34.0, AIC)
    r.put("FusedInferAttentionScore", A, [query, (900, 128, 512)], us=30.0, core=AIC)
    r.put("TransposeBatchMatMul", A, [query, (c.heads, 512, c.dim)], out, 9.0)
    linear(r, c, A, c.heads * c.dim, c.hidden)


def separate_indexed(r: Recorder, c: Card) -> None:
    """Sparse attention with an indexer in front."""
    linear(r, c, A, c.hidden, 64 * 128)
    linear(r, c, A, c.hidden, 128)
    norm(r, c, A, 128, "LayerNormV4")
    linear(r, c, A, c.hidden, 64)
    r.put("LightningIndexer", A, [(c.rows, 64, 128), (900, 128, 128)], (c.rows, 2048), 20.0, AIC)
    separate_latent(op="SparseFlashAttention")(r, c)
