"""Plain framework code without fused operators, fused quantisation, LoRA, encoders, training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.perturb import level0
from sample_builder.recorder import Recorder

from deployments.small_blocks import (
    PLAIN,
    Model,
    add,
    add_norm,
    attention,
    core,
    embed,
    experts,
    feed_forward,
    head,
    latent,
    mlp,
    norm,
    pre_norm,
    project,
    qkv,
    router,
)
from deployments.variants import moe_of, run


def loose_norm(r: Recorder, m: Model, residual: bool = True) -> None:
    """The residual addition and a norm of seven small kernels."""
    wide, one = (m.rows, m.hidden), (m.rows, 1)
    if residual:
        r.put("Add", "norm", [wide, wide], [wide], 2.0)
    for op, ins, out in (
        ("Cast", [wide], wide),
        ("Pows", [wide], wide),
        ("ReduceMean", [wide], one),
        ("Adds", [one], one),
        ("Rsqrt", [one], one),
        ("Mul", [wide, one], wide),
        ("Cast", [wide], wide),
        ("Mul", [(m.hidden,), wide], wide),
    ):
        r.put(op, "norm", ins, [out], 1.8)


def loose_rope(r: Recorder, m: Model, heads: int) -> None:
    whole, half = (1, heads, m.rows, m.dim), (1, heads, m.rows, m.dim // 2)
    turn = (1, 1, m.rows, m.dim)
    r.put("Mul", "attention", [whole, turn], [whole], 2.0)
    r.put("Slice", "attention", [whole], [half], 1.7)
    r.put("Slice", "attention", [whole], [half], 1.7)
    r.put("Neg", "attention", [half], [half], 1.6)
    r.put("ConcatD", "attention", [half, half], [whole], 1.9)
    r.put("Mul", "attention", [whole, turn], [whole], 2.0)
    r.put("Add", "attention", [whole, whole], [whole], 2.0)


def loose_attention(r: Recorder, m: Model, keys: int) -> None:
    """Scores, softmax and values as matmuls, the cache by concatenation."""
    for width in (m.heads * m.dim, m.kv * m.dim, m.kv * m.dim):
        r.mm("attention", m.rows, m.hidden, width)
    for heads in (m.heads, m.kv, m.kv):
        r.put("Transpose", "attention", [(1, m.rows, heads, m.dim)], [(1, heads, m.rows, m.dim)], 2.0)
    for heads in (m.heads, m.kv):
        loose_rope(r, m, heads)
    cache, grown = (1, m.kv, keys - m.rows, m.dim), (1, m.kv, keys, m.dim)
    repeated, scores = (1, m.heads, keys, m.dim), (1, m.heads, m.rows, keys)
    for _half in range(2):
        r.put("ConcatD", "attention", [cache, (1, m.kv, m.rows, m.dim)], [grown], 4.0)
        r.put("BroadcastTo", "attention", [(1, m.kv, 1, keys, m.dim)], [(1, m.kv, m.heads // m.kv, keys, m.dim)], 5.0)
    query = (1, m.heads, m.rows, m.dim)
    r.put("BatchMatMulV2", "attention", [query, repeated], [scores], 9.0)
    r.put("Muls", "attention", [scores], [scores], 2.0)
    r.put("Add", "attention", [scores, (1, 1, m.rows, keys)], [scores], 2.0)
    r.put("SoftmaxV2", "attention", [scores], [scores], 3.0)
    r.put("Cast", "attention", [scores], [scores], 1.8)
    r.put("BatchMatMulV2", "attention", [scores, repeated], [query], 9.0)
    r.put("Transpose", "attention", [query], [(1, m.rows, m.heads, m.dim)], 2.0)
    r.mm("attention", m.rows, m.heads * m.dim, m.hidden)


def framework(m: Model, steps: int = 3) -> BuiltCapture:
    """A model run by plain framework code, eager, one request: prefill, then decode."""
    r = Recorder(mode="eager", gap_us=15.0)
    for step in range(steps):
        r.step, r.phase = step, "prefill" if step == 0 else "decode"
        now = replace(m, rows=200 if step == 0 else 1)
        embed(r, now)
        for number in range(m.layers):
            r.layer, r.kind = number, "dense"
            loose_norm(r, now, residual=number > 0)
            loose_attention(r, now, 200 + step)
            loose_norm(r, now)
            feed_forward(r, now, "mlp", m.inter)
        loose_norm(r, now)
        head(r, now, 1)
        r.pause(400.0)
    return r.finish()


def quant_norm(r: Recorder, m: Model, first: bool = False) -> None:
    wide = (m.rows, m.hidden)
    if first:
        r.put("RmsNormDynamicQuant", "norm", [wide, (m.hidden,)], [wide, (m.rows,)], 3.0)
    else:
        r.put("AddRmsNormDynamicQuant", "norm", [wide, wide, (m.hidden,)], [wide, wide, (m.rows,)], 3.5)


def fused_quantisation(r: Recorder, m: Model) -> None:
    """Quantisation inside norms and activation, no kernel of its own but before the output projection."""
    for number in range(m.layers):
        r.layer, r.kind = number, "dense"
        if number == 0:
            quant_norm(r, m, first=True)
        width = (m.heads + 2 * m.kv) * m.dim
        r.mm("attention", m.rows, m.hidden, width, "QuantBatchMatmulV3")
        r.put("split_qkv_rmsnorm_rope_kernel", "attention", us=4.0)
        core(r, m)
        r.put("DynamicQuant", "attention", [(m.rows, m.heads * m.dim)], [(m.rows, m.heads * m.dim), (m.rows,)], 2.2)
        r.mm("attention", m.rows, m.heads * m.dim, m.hidden, "QuantBatchMatmulV3")
        quant_norm(r, m)
        r.mm("mlp", m.rows, m.hidden, 2 * m.inter, "QuantBatchMatmulV3")
        r.put("DequantSwigluQuant", "mlp", [(m.rows, 2 * m.inter), (m.rows,)], [(m.rows, m.inter), (m.rows,)], 3.0)
        r.mm("mlp", m.rows, m.inter, m.hidden, "QuantBatchMatmulV3")
        if number < m.layers - 1:
            quant_norm(r, m)
        else:
            add_norm(r, m)


def adapted(r: Recorder, m: Model) -> None:
    """LoRA: beside each projection a shrinking and an expanding kernel."""

    def adapt(region: str, inner: int, outer: int) -> None:
        r.put("bgmv_shrink", region, [(m.rows, inner), (8, 16, inner)], [(m.rows, 16)], 3.0)
        r.put("bgmv_expand", region, [(m.rows, 16), (8, outer, 16)], [(m.rows, outer)], 3.0)

    for number in range(m.layers):
        r.layer, r.kind = number, "dense"
        if number == 0:
            norm(r, m)
        qkv(r, m)
        adapt("attention", m.hidden, m.heads * m.dim)
        core(r, m)
        project(r, m, "attention", m.heads * m.dim, m.hidden)
        adapt("attention", m.heads * m.dim, m.hidden)
        add_norm(r, m)
        project(r, m, "mlp", m.hidden, 2 * m.inter)
        adapt("mlp", m.hidden, 2 * m.inter)
        r.put("SwiGlu", "mlp", [(m.rows, 2 * m.inter)], [(m.rows, m.inter)], 2.6)
        project(r, m, "mlp", m.inter, m.hidden)
        adapt("mlp", m.inter, m.hidden)
        add_norm(r, m)


def gated(r: Recorder, m: Model) -> None:
    """Attention whose result is gated before the output projection."""
    wide = (m.rows, m.heads * m.dim)
    qkv(r, m)
    r.mm("attention", m.rows, m.hidden, m.heads * m.dim)
    core(r, m)
    r.put("Sigmoid", "attention", [wide], [wide], 2.0)
    r.put("Mul", "attention", [wide, wide], [wide], 2.0)
    project(r, m, "attention", m.heads * m.dim, m.hidden)


def stage(r: Recorder, m: Model) -> None:
    """A middle stage of a pipeline: receive, layers, send."""
    r.put("hcom_receive_", "comm", [], [(m.rows, m.hidden)], 9.0)
    pre_norm(r, m, [("dense", attention, mlp)] * m.layers)
    r.put("hcom_send_", "comm", [(m.rows, m.hidden)], [], 9.0)


def grouped_finish(r: Recorder, m: Model) -> None:
    """Experts whose last matmul also adds the results up."""
    rows = m.rows * m.top_k
    wide: Shape = (rows, m.hidden)
    router(r, m)
    r.put("MoeInitRoutingQuantV2", "moe", [(m.rows, m.hidden), (m.rows, m.top_k)], [wide, (rows,)], 8.0)
    up = (8, m.hidden, 2 * m.expert_inter)
    r.put("GroupedMatmulSwigluQuant", "moe", [wide, up], [(rows, m.expert_inter), (rows,)], 42.0, "MIX_AIC")
    down = (8, m.expert_inter, m.hidden)
    r.put("GroupedMatmulFinalizeRouting", "moe", [(rows, m.expert_inter), down], [(m.rows, m.hidden)], 30.0, "MIX_AIC")


def encoder(names: bool = True) -> BuiltCapture:
    """Bidirectional layers without a cache, pooled to one vector."""
    m = Model(
        names={**PLAIN, "norm": "LayerNormV4", "rope": "", "cache": ""}, kv=16, qkv="separate", mlp="gelu", bias=True
    )
    r = Recorder(mode="eager", gap_us=9.0, phase="unknown")
    for step in range(3):
        r.step = step
        m = replace(m, rows=256)
        embed(r, m)
        norm(r, m)
        for number in range(m.layers):
            r.layer, r.kind = number, "dense"
            qkv(r, m)
            core(r, m, "PromptFlashAttention" if names else "FlashAttentionScore")
            project(r, m, "attention", m.heads * m.dim, m.hidden)
            add(r, m)
            norm(r, m)
            feed_forward(r, m, "mlp", m.inter)
            add(r, m)
            norm(r, m)
        r.pause(300.0)
    return r.finish()


#: name -> how it is made.
LOOSE_KERNELS: dict[str, Callable[[], BuiltCapture]] = {
    "framework": lambda: framework(Model(names=PLAIN, mlp="swish-between")),
    "framework-swish": lambda: framework(Model(names=PLAIN, mlp="swish")),
    "fused-quantisation": lambda: run(Model(), fused_quantisation),
    "fused-quantisation-level0": lambda: level0(run(Model(), fused_quantisation)),
    "lora": lambda: run(Model(), adapted),
    "lora-level0": lambda: level0(run(Model(), adapted)),
    "gated": lambda: run(Model(), lambda r, m: pre_norm(r, m, [("dense", gated, mlp)] * m.layers)),
    "gated-level0": lambda: level0(run(Model(), lambda r, m: pre_norm(r, m, [("dense", gated, mlp)] * m.layers))),
    "stage": lambda: run(Model(), stage, bare=True),
    "grouped-finish": lambda: run(Model(), moe_of(grouped_finish)),
    "mla-bf16": lambda: run(Model(hidden=5120, heads=32, kv=32, inter=12288), moe_of(two_shared, 1, latent)),
    "eight-layers-of-one-expert": lambda: run(Model(experts=4, top_k=1), moe_of(grouped_finish)),
    "long-decode": lambda: run(Model(layers=60, rows=1), steps=6),
    "one-request-level0": lambda: level0(run(Model(layers=12, rows=1), steps=6, mode="eager")),
}


def two_shared(r: Recorder, m: Model) -> None:
    feed_forward(r, m, "moe", 2 * m.expert_inter)
    router(r, m, fused=False)
    experts(r, m)
    r.put("Add", "moe", [(m.rows, m.hidden), (m.rows, m.hidden)], [(m.rows, m.hidden)], 2.0)
