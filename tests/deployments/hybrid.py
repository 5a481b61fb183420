"""Hybrid decoders: state-space and linear attention beside full attention, with the kernels of their libraries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sample_builder.blocks import (
    MLP,
    MOE,
    A,
    Block,
    Card,
    Layers,
    add,
    add_norm,
    cache,
    core,
    gating,
    gqa,
    layers_of,
    linear,
    mlp,
    norm,
    run,
    split,
)
from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.recorder import Recorder

from deployments.experts import gated_shared, latent, with_shared

NEXT = Card(
    hidden=2048, heads=16, kv=2, dim=256, inter=5120, vocab=151936, experts=512, top_k=10, expert_inter=512,
    norm="GemmaRmsNorm", add_norm="", layers=8,
)  # fmt: skip
KIMI = Card(hidden=2304, heads=32, kv=32, dim=128, inter=9216, vocab=163840, experts=256, expert_inter=1024, layers=8)
MINIMAX_01 = Card(
    hidden=6144,
    heads=64,
    kv=8,
    dim=128,
    inter=9216,
    vocab=200064,
    experts=32,
    top_k=2,
    expert_inter=9216,
    layers=8,
    tp=8,
    local=4,
)
JAMBA = Card(
    hidden=4096, heads=32, kv=8, dim=128, inter=14336, vocab=65536, experts=16, top_k=2, expert_inter=14336, layers=8
)
NEMOTRON = Card(hidden=4480, heads=40, kv=8, dim=128, inter=15680, vocab=131072, layers=12, add_norm="AddRmsNorm")
V, AIV = "AI_VECTOR_CORE", "MIX_AIV"


def delta(prefill: bool = False) -> Block:
    """Gated delta net of Qwen3-Next: two projections, convolution, gates, delta rule, gated norm, projection."""

    def attend(r: Recorder, c: Card) -> None:
        value, key = 4096, 2048
        mixed = 2 * key + value
        linear(r, c, A, c.hidden, mixed + value)
        linear(r, c, A, c.hidden, 64)
        r.put("fused_qkvzba_split_reshape_cat_kernel", A, us=4.0, core=V)
        if prefill:
            r.put("causal_conv1d_fwd_kernel", A, us=9.0, core=V)
            r.put("fused_gdn_gating_kernel", A, us=3.0, core=V)
            for name, us in (
                ("l2norm_fwd_kernel2", 3.0),
                ("l2norm_fwd_kernel2", 3.0),
                ("chunk_local_cumsum_scalar_kernel", 5.0),
                ("chunk_scaled_dot_kkt_fwd_kernel", 12.0),
                ("solve_tril_16x16_kernel", 9.0),
                ("merge_16x16_to_64x64_inverse_kernel", 9.0),
                ("recompute_w_u_fwd_kernel", 14.0),
                ("chunk_gated_delta_rule_fwd_kernel_h_blockdim64", 40.0),
                ("chunk_fwd_kernel_o", 22.0),
            ):
                r.put(name, A, us=us, core=AIV)
        else:
            r.put("causal_conv1d_update", A, us=5.0, core=V)
            r.put("fused_sigmoid_gating_delta_rule_update_kernel", A, us=22.0, core=AIV)
        r.put("layer_norm_fwd_1pass_kernel_npu_smid", A, us=4.0, core=V)
        linear(r, c, A, value, c.hidden)

    return attend


def gated(r: Recorder, c: Card) -> None:
    """Full attention of Qwen3-Next: the query projection also makes the gate of the result."""
    width = 2 * c.q + 2 * c.kv_width
    linear(r, c, A, c.hidden, width)
    r.put("split_qkv_rmsnorm_mrope_kernel", A, us=5.0, core=V)
    cache(r, c)
    core(r, c)
    out = (c.rows, c.q)
    r.put("Sigmoid", A, [out], [out], 2.2)
    r.put("Mul", A, [out, out], [out], 2.2)
    linear(r, c, A, c.q, c.hidden)


def kda(r: Recorder, c: Card) -> None:
    """Kimi Delta Attention: low-rank gates of two projections each, three convolutions, recurrent kernel."""
    for _part in range(3):
        linear(r, c, A, c.hidden, c.q)
    for _gate in range(2):
        linear(r, c, A, c.hidden, 128)
        linear(r, c, A, 128, c.q)
    linear(r, c, A, c.hidden, 32)
    for _part in range(3):
        r.put("causal_conv1d_update", A, us=3.0, core=V)
    r.put("RecurrentKda", A, [(c.rows, 32, 128)] * 3 + [(c.rows, 32)], [(c.rows, 32, 128)], 24.0, AIV)
    r.put("layer_norm_gated_fwd_kernel", A, us=4.0, core=V)
    linear(r, c, A, c.q, c.hidden)


def lightning(r: Recorder, c: Card) -> None:
    """MiniMax-01: SiLU on q, k and v, decayed linear attention, norm over heads, sigmoid gate."""
    width = c.q
    linear(r, c, A, c.hidden, 3 * width)
    r.put("Silu", A, [(c.rows, 3 * width)], [(c.rows, 3 * width)], 2.4)
    split(r, c, A, 3 * width, width, width, width)
    r.put("_linear_attn_decode_kernel", A, us=16.0, core=AIV)
    norm(r, c, A, width, "RmsNorm")
    linear(r, c, A, c.hidden, width)
    r.put("Sigmoid", A, [(c.rows, width)], [(c.rows, width)], 2.0)
    r.put("Mul", A, [(c.rows, width), (c.rows, width)], [(c.rows, width)], 2.0)
    linear(r, c, A, width, c.hidden)
    r.put("hcom_allReduce_", "comm", [c.wide], [c.wide], 12.0)


def scaled_residual(*kinds: tuple[str, Block, Block]) -> Layers:
    """Both the residual and the sub-block's result are scaled before they are added (MiniMax-01)."""

    def layers(r: Recorder, c: Card) -> None:
        for number in range(c.layers):
            r.layer, (r.kind, attend, feed) = number, kinds[number % len(kinds)]
            for block in (attend, feed):
                norm(r, c)
                block(r, c)
                if block is feed:
                    r.put("hcom_allReduce_", "comm", [c.wide], [c.wide], 12.0)
                r.put("Muls", "norm", [c.wide], [c.wide], 1.8)
                r.put("Muls", "norm", [c.wide], [c.wide], 1.8)
                add(r, c)
        norm(r, c)

    return layers


def unshared(r: Recorder, c: Card) -> None:
    gating(r, c, "MoeGatingTopKSoftmax")
    rows, chosen = c.rows * c.top_k, (c.rows, c.top_k)
    wide: Shape = (rows, c.hidden)
    inter = c.expert_inter // c.tp
    r.put("MoeInitRoutingV3", MOE, [c.wide, chosen], [wide, (rows,)], 8.0, AIV)
    r.put("GroupedMatmul", MOE, [wide, (c.experts, c.hidden, 2 * inter)], [(rows, 2 * inter)], 60.0, "MIX_AIC")
    r.put("SwiGlu", MOE, [(rows, 2 * inter)], [(rows, inter)], 3.0)
    r.put("GroupedMatmul", MOE, [(rows, inter), (c.experts, inter, c.hidden)], [wide], 40.0, "MIX_AIC")
    r.put("MoeFinalizeRoutingV2", MOE, [wide, chosen], [c.wide], 6.0)


def mamba(r: Recorder, c: Card) -> None:
    """Jamba's Mamba: input-dependent step, B and C from a narrow projection, each normalised."""
    inner, state, step = 2 * c.hidden, 16, 256
    linear(r, c, A, c.hidden, 2 * inner)
    r.put("_causal_conv1d_update_kernel", A, us=5.0, core=V)
    linear(r, c, A, inner, step + 2 * state)
    split(r, c, A, step + 2 * state, step, state, state)
    for width in (step, state, state):
        norm(r, c, A, width, "RmsNorm")
    linear(r, c, A, step, inner)
    r.put("_selective_scan_update_kernel", A, us=20.0, core=AIV)
    linear(r, c, A, inner, c.hidden)


def mamba2(r: Recorder, c: Card) -> None:
    inner = 2 * c.hidden
    linear(r, c, A, c.hidden, 2 * inner + 2 * 8 * 128 + 128)
    r.put("_causal_conv1d_update_kernel", A, us=5.0, core=V)
    r.put("selective_state_update", A, us=22.0, core=AIV)
    r.put("_layer_norm_fwd_1pass_kernel", A, us=4.0, core=V)
    linear(r, c, A, inner, c.hidden)


def squared(r: Recorder, c: Card) -> None:
    linear(r, c, MLP, c.hidden, c.inter)
    r.put("Relu", MLP, [(c.rows, c.inter)], [(c.rows, c.inter)], 2.2)
    r.put("Mul", MLP, [(c.rows, c.inter), (c.rows, c.inter)], [(c.rows, c.inter)], 2.2)
    linear(r, c, MLP, c.inter, c.hidden)


def one_mixer(r: Recorder, c: Card) -> None:
    """Nemotron-H: one norm and one mixer at a time, state space and MLP in turn, attention now and then.

    A state-space or attention mixer and the MLP behind it are one repetition of the block.
    """
    for number in range(c.layers):
        r.layer, r.kind = number, "dense"
        if number == 0:
            norm(r, c)
        (unrotated if number % 6 == 5 else mamba2)(r, c)
        add_norm(r, c)
        squared(r, c)
        add_norm(r, c)


def unrotated(r: Recorder, c: Card) -> None:
    """Attention without positions: q, k and v go straight to the cache and the core."""
    linear(r, c, A, c.hidden, c.q + 2 * c.kv_width)
    split(r, c, A, c.q + 2 * c.kv_width, c.q, c.kv_width, c.kv_width)
    cache(r, c)
    core(r, c)
    linear(r, c, A, c.q, c.hidden)


def mostly(often: Block, seldom: Block, feed: Block, kind: str = "moe", every: int = 4) -> Layers:
    return layers_of(*[(kind, often, feed)] * (every - 1), (kind, seldom, feed))


def jamba() -> Layers:
    kinds: list[tuple[str, Block, Block]] = []
    for number in range(8):
        attend = unrotated if number == 4 else mamba
        kinds.append(("moe", attend, unshared) if number % 2 else ("dense", attend, mlp))
    return layers_of(*kinds)


def prefill_then_decode() -> BuiltCapture:
    """The chunked kernels of a prompt, then the recurrent ones."""
    from sample_builder.blocks import forward

    r = Recorder(mode="eager", gap_us=14.0)
    plan = [("prefill", 800, 1), ("decode", 4, 4), ("decode", 4, 4)]
    for step, (phase, rows, sequences) in enumerate(plan):
        layers = mostly(delta(phase == "prefill"), gated, gated_shared)
        forward(r, NEXT.at(rows, sequences), layers, step, phase, rows=sequences)
        r.pause(320.0)
    return r.finish()


NOPE = latent(rope=False)
#: name -> how it is made.
HYBRID: dict[str, Callable[[], BuiltCapture]] = {
    "qwen3-next": lambda: run(NEXT, mostly(delta(), gated, gated_shared)),
    "qwen3-next-w8a8": lambda: run(replace(NEXT, quant="dynamic"), mostly(delta(), gated, gated_shared)),
    "qwen3.5-dense": lambda: run(NEXT, mostly(delta(), gated, mlp, "dense")),
    "qwen3-next-phases": prefill_then_decode,
    "kimi-linear": lambda: run(KIMI, mostly(kda, NOPE, with_shared)),
    "minimax-01": lambda: run(MINIMAX_01, scaled_residual(*[("moe", lightning, unshared)] * 7, ("moe", gqa, unshared))),
    "jamba": lambda: run(JAMBA, jamba()),
    "nemotron-h": lambda: run(NEMOTRON, one_mixer),
}
