"""Plain framework code without fused operators, fused quantisation, adapters, encoders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sample_builder.blocks import (
    AIC,
    MLP,
    MOE,
    NORM,
    A,
    Block,
    Card,
    add,
    add_norm,
    cache,
    core,
    dispatched,
    feed,
    gating,
    gqa,
    linear,
    mlp,
    norm,
    qkv,
)
from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.perturb import level0
from sample_builder.recorder import Recorder
from sample_builder.runs import DENSE_LAYERS, embed, head, layers_of, run

from deployments.hybrid import gated
from deployments.small import SMALL, moe_of, separate_latent, small


def loose_norm(r: Recorder, region: str, wide: Shape, residual: bool = False) -> None:
    """A norm of eight small kernels, behind the residual addition where there is one."""
    one = (*wide[:-1], 1)
    if residual:
        r.each("Add", region, wide, 2.0)
    r.put("Cast", region, wide, us=1.3)
    r.put("Pows", region, wide, us=2.5)
    r.put("ReduceMean", region, wide, one)
    r.put("Adds", region, one, us=1.5)
    r.put("Rsqrt", region, one, us=1.5)
    r.put("Mul", region, [wide, one])
    r.put("Cast", region, wide, us=1.3)
    r.put("Mul", region, [wide, wide[-1:]])


def loose_rope(r: Recorder, c: Card, heads: int) -> None:
    whole, half = (1, heads, c.rows, c.dim), (1, heads, c.rows, c.dim // 2)
    turn = (1, 1, c.rows, c.dim)
    r.put("Mul", A, [whole, turn], us=2.0)
    r.put("Slice", A, whole, half, 1.7)
    r.put("Slice", A, whole, half, 1.7)
    r.put("Neg", A, half, us=1.6)
    r.put("ConcatD", A, [half, half], whole, 1.9)
    r.put("Mul", A, [whole, turn], us=2.0)
    r.each("Add", A, whole, 2.0)


def loose_attention(r: Recorder, c: Card, keys: int) -> None:
    """Scores, softmax and values as matmuls, the cache by concatenation."""
    for heads in (c.heads, c.kv, c.kv):
        r.mm(A, c.rows, c.hidden, heads * c.dim)
    for heads in (c.heads, c.kv, c.kv):
        r.put("Transpose", A, (1, c.rows, heads, c.dim), (1, heads, c.rows, c.dim), 2.0)
    for heads in (c.heads, c.kv):
        loose_rope(r, c, heads)
    cached, grown = (1, c.kv, keys - c.rows, c.dim), (1, c.kv, keys, c.dim)
    repeated, scores, query = (1, c.heads, keys, c.dim), (1, c.heads, c.rows, keys), (1, c.heads, c.rows, c.dim)
    for _half in range(2):
        r.put("ConcatD", A, [cached, (1, c.kv, c.rows, c.dim)], grown, 4.0)
        r.put("BroadcastTo", A, (1, c.kv, 1, keys, c.dim), (1, c.kv, c.heads // c.kv, keys, c.dim), 5.0)
    r.put("BatchMatMulV2", A, [query, repeated], scores, 9.0)
    r.put("Muls", A, scores, us=2.0)
    r.put("Add", A, [scores, (1, 1, c.rows, keys)], us=2.0)
    r.each("SoftmaxV2 Cast", A, scores, 2.4)
    r.put("BatchMatMulV2", A, [scores, repeated], query, 9.0)
    r.put("Transpose", A, query, (1, c.rows, c.heads, c.dim), 2.0)
    r.mm(A, c.rows, c.heads * c.dim, c.hidden)


def framework(c: Card) -> BuiltCapture:
    """A model run by plain framework code, eager, one request: prefill, then decode."""
    r = Recorder(mode="eager", gap_us=15.0)
    for step in r.steps(3, 400.0):
        r.phase = "prefill" if step == 0 else "decode"
        now = c.at(200 if step == 0 else 1)
        embed(r, now)
        for number in r.layers(c.layers):
            loose_norm(r, NORM, now.wide, residual=number > 0)
            loose_attention(r, now, 200 + step)
            loose_norm(r, NORM, now.wide, residual=True)
            feed(r, now)
        loose_norm(r, NORM, now.wide, residual=True)
        head(r, now, 1)
    return r.finish()


def fused_quantisation(r: Recorder, c: Card) -> None:
    """Quantisation inside norms and activation, no kernel of its own but before the output projection."""
    scale, wide, mid = (c.rows,), c.wide, (c.rows, c.inter)

    def project(region: str, inner: int, outer: int) -> None:
        r.mm(region, c.rows, inner, outer, "QuantBatchMatmulV3")

    for number in r.layers(c.layers):
        if number == 0:
            r.put("RmsNormDynamicQuant", NORM, [wide, (c.hidden,)], [wide, scale])
        project(A, c.hidden, c.qkv)
        r.put("split_qkv_rmsnorm_rope_kernel", A, us=4.0)
        cache(r, c)
        core(r, c)
        r.put("DynamicQuant", A, (c.rows, c.q), [(c.rows, c.q), scale], 2.2)
        project(A, c.q, c.hidden)
        r.put("AddRmsNormDynamicQuant", NORM, [wide, wide, (c.hidden,)], [wide, wide, scale], 3.5)
        project(MLP, c.hidden, 2 * c.inter)
        r.put("DequantSwigluQuant", MLP, [(c.rows, 2 * c.inter), scale], [mid, scale])
        project(MLP, c.inter, c.hidden)
        if number < c.layers - 1:
            r.put("AddRmsNormDynamicQuant", NORM, [wide, wide, (c.hidden,)], [wide, wide, scale], 3.5)
        else:
            add_norm(r, c)


def lora(r: Recorder, c: Card) -> None:
    """Beside each projection a shrinking and an expanding kernel."""

    def adapt(region: str, inner: int, outer: int) -> None:
        r.put("bgmv_shrink", region, [(c.rows, inner), (8, 16, inner)], (c.rows, 16))
        r.put("bgmv_expand", region, [(c.rows, 16), (8, outer, 16)], (c.rows, outer))

    for number in r.layers(c.layers):
        if number == 0:
            norm(r, c)
        qkv(r, c)
        adapt(A, c.hidden, c.q)
        cache(r, c)
        core(r, c)
        linear(r, c, A, c.q, c.hidden)
        adapt(A, c.q, c.hidden)
        add_norm(r, c)
        linear(r, c, MLP, c.hidden, 2 * c.inter)
        adapt(MLP, c.hidden, 2 * c.inter)
        r.put("SwiGlu", MLP, (c.rows, 2 * c.inter), (c.rows, c.inter), 2.6)
        linear(r, c, MLP, c.inter, c.hidden)
        adapt(MLP, c.inter, c.hidden)
        add_norm(r, c)


def stage(r: Recorder, c: Card) -> None:
    """A middle stage of a pipeline: receive, layers, send."""
    r.put("hcom_receive_", "comm", (), c.wide, 9.0)
    DENSE_LAYERS(r, c)
    r.put("hcom_send_", "comm", c.wide, (), 9.0)


def grouped_finish(r: Recorder, c: Card) -> None:
    """Experts whose last matmul also adds the results up."""
    rows, chosen = c.rows * c.top_k, (c.rows, c.top_k)
    wide, mid = (rows, c.hidden), (rows, c.expert_inter)
    gating(r, c)
    r.put("MoeInitRoutingQuantV2", MOE, [c.wide, chosen], [wide, (rows,)], 8.0)
    r.put("GroupedMatmulSwigluQuant", MOE, [wide, (8, c.hidden, 2 * c.expert_inter)], [mid, (rows,)], 42.0, AIC)
    r.put("GroupedMatmulFinalizeRouting", MOE, [mid, (8, c.expert_inter, c.hidden)], c.wide, 30.0, AIC)


def two_shared(r: Recorder, c: Card) -> None:
    feed(r, c, MOE, 2 * c.expert_inter)
    gating(r, c, "")
    dispatched(r, c)
    add(r, c, MOE)


def encoder(core: str) -> BuiltCapture:
    """Bidirectional layers without a cache, pooled to one vector."""
    r = Recorder(mode="eager", gap_us=9.0, phase="unknown")
    c = small(
        norm="LayerNormV4", add_norm="", rope="", cache="", core=core, kv=16, cut="separate",
        mlp="plain", act="Gelu", bias_add=True, rows=256,
    )  # fmt: skip
    for _step in r.steps(3, 300.0):
        embed(r, c)
        norm(r, c)
        for _number in r.layers(c.layers):
            for block in (gqa, mlp):
                block(r, c)
                add(r, c)
                norm(r, c)
    return r.finish()


FRAMEWORK = small(add_norm="", mlp="swish-between")
GATED: Block = gated(own=True)
#: name -> how it is made.
LOOSE_KERNELS: dict[str, Callable[[], BuiltCapture]] = {
    "framework": lambda: framework(FRAMEWORK),
    "framework-swish": lambda: framework(replace(FRAMEWORK, mlp="swish")),
    "fused-quantisation": lambda: run(SMALL, fused_quantisation),
    "fused-quantisation-level0": lambda: level0(run(SMALL, fused_quantisation)),
    "adapters": lambda: run(SMALL, lora),
    "adapters-level0": lambda: level0(run(SMALL, lora)),
    "gated": lambda: run(SMALL, layers_of(("dense", GATED, mlp))),
    "gated-level0": lambda: level0(run(SMALL, layers_of(("dense", GATED, mlp)))),
    "stage": lambda: run(SMALL, stage, outside=False),
    "grouped-finish": lambda: run(SMALL, moe_of(grouped_finish)),
    "mla-bf16": lambda: run(small(hidden=5120, heads=32, kv=32, inter=12288), moe_of(two_shared, 1, separate_latent())),
    "eight-layers-of-one-expert": lambda: run(small(experts=4, top_k=1), moe_of(grouped_finish)),
    "long-decode": lambda: run(small(layers=60, rows=1), steps=6),
    "one-request-level0": lambda: level0(run(small(layers=12, rows=1), steps=6, mode="eager")),
}
