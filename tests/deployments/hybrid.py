"""Hybrid decoders: state-space and linear attention beside full attention, with the kernels of their libraries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sample_builder.blocks import (
    AIC,
    AIV,
    MOE,
    A,
    Block,
    Card,
    Layers,
    V,
    add,
    add_norm,
    attend,
    cache,
    core,
    gating,
    gqa,
    linear,
    mlp,
    norm,
    qkv,
    split,
)
from sample_builder.build import BuiltCapture
from sample_builder.recorder import Recorder
from sample_builder.runs import layers_of, phased, run

from deployments.experts import gated_shared, with_shared
from deployments.latent import latent

NEXT = Card(
    hidden=2048, heads=16, kv=2, dim=256, inter=5120, vocab=151936, experts=512, top_k=10, expert_inter=512,
    norm="GemmaRmsNorm", add_norm="", layers=8,
)  # fmt: skip
KIMI = Card(hidden=2304, heads=32, kv=32, dim=128, inter=9216, vocab=163840, experts=256, expert_inter=1024, layers=8)
MINIMAX_01 = Card(
    hidden=6144, heads=64, kv=8, dim=128, inter=9216, vocab=200064, experts=32, top_k=2, expert_inter=9216, layers=8,
    tp=8, local=4,
)  # fmt: skip
JAMBA = Card(
    hidden=4096, heads=32, kv=8, dim=128, inter=14336, vocab=65536, experts=16, top_k=2, expert_inter=14336, layers=8,
    cut="slices", rope="",
)  # fmt: skip
NEMOTRON = Card(
    hidden=4480, heads=40, kv=8, dim=128, inter=15680, vocab=131072, layers=12, add_norm="AddRmsNorm", mlp="plain",
    act="Relu Mul", cut="slices", rope="",
)  # fmt: skip


def opaque(r: Recorder, names: str, us: float, core: str = V) -> None:
    """Triton kernels of attention, of which no shapes are told."""
    for name in names.split():
        r.put(name, A, us=us, core=core)


def delta(prefill: bool = False) -> Block:
    """Gated delta net of Qwen3-Next: two projections, convolution, gates, delta rule, gated norm, projection."""

    def attention(r: Recorder, c: Card) -> None:
        value, key = 4096, 2048
        linear(r, c, A, c.hidden, 2 * key + 2 * value)
        linear(r, c, A, c.hidden, 64)
        opaque(r, "fused_qkvzba_split_reshape_cat_kernel", 4.0)
        if prefill:
            opaque(r, "causal_conv1d_fwd_kernel", 9.0)
            opaque(r, "fused_gdn_gating_kernel", 3.0)
            opaque(r, "l2norm_fwd_kernel2 l2norm_fwd_kernel2", 3.0, AIV)
            opaque(r, "chunk_local_cumsum_scalar_kernel", 5.0, AIV)
            opaque(r, "chunk_scaled_dot_kkt_fwd_kernel", 12.0, AIV)
            opaque(r, "solve_tril_16x16_kernel merge_16x16_to_64x64_inverse_kernel", 9.0, AIV)
            opaque(r, "recompute_w_u_fwd_kernel", 14.0, AIV)
            opaque(r, "chunk_gated_delta_rule_fwd_kernel_h_blockdim64", 40.0, AIV)
            opaque(r, "chunk_fwd_kernel_o", 22.0, AIV)
        else:
            opaque(r, "causal_conv1d_update", 5.0)
            opaque(r, "fused_sigmoid_gating_delta_rule_update_kernel", 22.0, AIV)
        opaque(r, "layer_norm_fwd_1pass_kernel_npu_smid", 4.0)
        linear(r, c, A, value, c.hidden)

    return attention


def gated(kernel: str = "", own: bool = False) -> Block:
    """Full attention whose result is gated: by a projection of its `own`, or by what the one for queries also makes."""

    def attention(r: Recorder, c: Card) -> None:
        if own:
            qkv(r, c)
            linear(r, c, A, c.hidden, c.q)
        else:
            linear(r, c, A, c.hidden, 2 * c.q + 2 * c.kv_width)
            opaque(r, kernel, 5.0)
        cache(r, c)
        core(r, c)
        r.each("Sigmoid Mul", A, (c.rows, c.q), 2.2)
        linear(r, c, A, c.q, c.hidden)

    return attention


def kda(r: Recorder, c: Card) -> None:
    """Kimi Delta Attention: low-rank gates of two projections each, three convolutions, recurrent kernel."""
    for _part in range(3):
        linear(r, c, A, c.hidden, c.q)
    for _gate in range(2):
        linear(r, c, A, c.hidden, 128)
        linear(r, c, A, 128, c.q)
    linear(r, c, A, c.hidden, 32)
    opaque(r, "causal_conv1d_update causal_conv1d_update causal_conv1d_update", 3.0)
    r.put("RecurrentKda", A, [(c.rows, 32, 128)] * 3 + [(c.rows, 32)], us=24.0, core=AIV)
    opaque(r, "layer_norm_gated_fwd_kernel", 4.0)
    linear(r, c, A, c.q, c.hidden)


def lightning(r: Recorder, c: Card) -> None:
    """MiniMax-01: SiLU on q, k and v, decayed linear attention, norm over heads, sigmoid gate."""
    width = c.q
    linear(r, c, A, c.hidden, 3 * width)
    r.put("Silu", A, (c.rows, 3 * width), us=2.4)
    split(r, c, A, 3 * width, width, width, width)
    opaque(r, "_linear_attn_decode_kernel", 16.0, AIV)
    norm(r, c, A, width, "RmsNorm")
    linear(r, c, A, c.hidden, width)
    r.each("Sigmoid Mul", A, (c.rows, width), 2.0)
    linear(r, c, A, width, c.hidden)
    r.put("hcom_allReduce_", "comm", c.wide, us=12.0)


def scaled_residual(*kinds: Block) -> Layers:
    """Both the residual and the sub-block's result are scaled before they are added (MiniMax-01)."""

    def layers(r: Recorder, c: Card) -> None:
        for number in r.layers(c.layers, "moe"):
            for block in (kinds[number % len(kinds)], unshared):
                norm(r, c)
                block(r, c)
                if block is unshared:
                    r.put("hcom_allReduce_", "comm", c.wide, us=12.0)
                r.each("Muls Muls", "norm", c.wide, 1.8)
                add(r, c)
        norm(r, c)

    return layers


def unshared(r: Recorder, c: Card) -> None:
    gating(r, c, "MoeGatingTopKSoftmax")
    rows, chosen, inter = c.rows * c.top_k, (c.rows, c.top_k), c.expert_inter // c.tp
    wide, mid = (rows, c.hidden), (rows, inter)
    r.put("MoeInitRoutingV3", MOE, [c.wide, chosen], [wide, (rows,)], 8.0, AIV)
    r.put("GroupedMatmul", MOE, [wide, (c.experts, c.hidden, 2 * inter)], (rows, 2 * inter), 60.0, AIC)
    r.put("SwiGlu", MOE, (rows, 2 * inter), mid)
    r.put("GroupedMatmul", MOE, [mid, (c.experts, inter, c.hidden)], wide, 40.0, AIC)
    r.put("MoeFinalizeRoutingV2", MOE, [wide, chosen], c.wide, 6.0)


def mamba(r: Recorder, c: Card) -> None:
    """Jamba's Mamba: input-dependent step, B and C from a narrow projection, each normalised."""
    inner, state, step = 2 * c.hidden, 16, 256
    linear(r, c, A, c.hidden, 2 * inner)
    opaque(r, "_causal_conv1d_update_kernel", 5.0)
    linear(r, c, A, inner, step + 2 * state)
    split(r, c, A, step + 2 * state, step, state, state)
    for width in (step, state, state):
        norm(r, c, A, width, "RmsNorm")
    linear(r, c, A, step, inner)
    opaque(r, "_selective_scan_update_kernel", 20.0, AIV)
    linear(r, c, A, inner, c.hidden)


def mamba2(r: Recorder, c: Card) -> None:
    inner = 2 * c.hidden
    linear(r, c, A, c.hidden, 2 * inner + 2 * 8 * 128 + 128)
    opaque(r, "_causal_conv1d_update_kernel", 5.0)
    opaque(r, "selective_state_update", 22.0, AIV)
    opaque(r, "_layer_norm_fwd_1pass_kernel", 4.0)
    linear(r, c, A, inner, c.hidden)


def one_mixer(r: Recorder, c: Card) -> None:
    """Nemotron-H: one norm and one mixer at a time, state space and MLP in turn, attention now and then.

    A state-space or attention mixer and the MLP behind it are one repetition of the block.
    """
    for number in r.layers(c.layers):
        if number == 0:
            norm(r, c)
        for block in (attend if number % 6 == 5 else mamba2, mlp):
            block(r, c)
            add_norm(r, c)


def mostly(often: Block, seldom: Block, feed: Block, kind: str = "moe", every: int = 4) -> Layers:
    return layers_of(*[(kind, often, feed)] * (every - 1), (kind, seldom, feed))


def jamba() -> Layers:
    kinds: list[tuple[str, Block, Block]] = []
    for number in range(8):
        attention = attend if number == 4 else mamba
        kinds.append(("moe", attention, unshared) if number % 2 else ("dense", attention, mlp))
    return layers_of(*kinds)


FULL = gated("split_qkv_rmsnorm_mrope_kernel")
PROMPT, RULE = mostly(delta(prefill=True), FULL, gated_shared), mostly(delta(), FULL, gated_shared)
PHASES = [("prefill", 800, 1), ("decode", 4, 4), ("decode", 4, 4)]
#: name -> how it is made.
HYBRID: dict[str, Callable[[], BuiltCapture]] = {
    "qwen3-next": lambda: run(NEXT, RULE),
    "qwen3-next-w8a8": lambda: run(replace(NEXT, quant="dynamic"), RULE),
    "qwen3.5-dense": lambda: run(NEXT, mostly(delta(), FULL, mlp, "dense")),
    "qwen3-next-phases": lambda: phased(NEXT, [PROMPT, RULE, RULE], PHASES),
    "kimi-linear": lambda: run(KIMI, mostly(kda, latent(rope=False), with_shared)),
    "minimax-01": lambda: run(MINIMAX_01, scaled_residual(*[lightning] * 7, gqa)),
    "jamba": lambda: run(JAMBA, jamba()),
    "nemotron-h": lambda: run(NEMOTRON, one_mixer),
}
