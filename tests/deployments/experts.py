"""Models with experts, with latent or sparse attention: how each one routes, shares, and attends."""

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
    V,
    add,
    add_norm,
    cache,
    core,
    gating,
    gqa,
    grouped,
    heads_norm,
    linear,
    mlp,
    moe,
    norm,
    permuted,
    reduce,
    shared,
    split,
)
from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.recorder import Recorder
from sample_builder.runs import MOE_LAYERS, first_dense, layers_of, phased, run, sandwiched

QWEN3_MOE = Card(hidden=2048, heads=32, kv=4, dim=128, inter=6144, vocab=151936)
GLM = Card(hidden=4096, heads=96, kv=8, dim=128, inter=10944, vocab=151552, tp=8, expert_inter=1408, bias=True)
GPT_OSS = Card(
    hidden=2880, heads=64, kv=8, dim=64, inter=2880, vocab=201088, experts=32, top_k=4, expert_inter=2880, cut="late"
)
MIXTRAL = Card(
    hidden=4096, heads=32, kv=8, dim=128, inter=14336, vocab=32000, experts=8, top_k=2, expert_inter=14336, local=8,
    cut="late",
)  # fmt: skip
MINIMAX = Card(hidden=3072, heads=48, kv=8, dim=128, inter=1536, vocab=200064, experts=256, expert_inter=1536, tp=4)
HUNYUAN = Card(hidden=4096, heads=32, kv=8, dim=128, inter=3072, vocab=128167, experts=64, expert_inter=3072)
ARCTIC = Card(hidden=7168, heads=56, kv=8, dim=128, inter=4864, vocab=32000, top_k=2, expert_inter=4864, cut="late")
LLAMA4 = Card(
    hidden=5120, heads=40, kv=8, dim=128, inter=16384, vocab=202048, experts=16, top_k=1, expert_inter=8192, cut="late"
)
#: Norms before and behind both sub-blocks, experts instead of an MLP.
GROK = Card(
    hidden=6144, heads=48, kv=8, dim=128, inter=9216, vocab=256000, add_norm="", cut="late", experts=8, top_k=2,
    expert_inter=16384, local=8,
)  # fmt: skip
STEP3 = Card(hidden=7168, heads=64, kv=1, dim=256, inter=18432, vocab=128815, experts=48, top_k=3, expert_inter=5120)


def with_shared(r: Recorder, c: Card) -> None:
    """Shared expert first, experts, sum scaled by one Triton kernel."""
    shared(r, c)
    moe(r, c)
    r.put("muls_add_kernel", MOE, [c.wide, c.wide], us=2.2, core=V)
    reduce(r, c)


def gated_shared(r: Recorder, c: Card) -> None:
    """A shared expert with a gate of its own (Qwen2-MoE, Qwen3-Next)."""
    gating(r, c, "MoeGatingTopKSoftmax", cast=False)
    permuted(r, c)
    shared(r, c, gate=True)
    add(r, c, MOE)


def exchanged(route: str = "MoeTokenPermute", back: str = "MoeTokenUnpermute", counted: bool = True) -> Block:
    """Expert parallelism by stand-alone exchanges: counts first if `counted`, then tokens, there and back."""

    def block(r: Recorder, c: Card) -> None:
        rows, chosen = c.rows * c.top_k, (c.rows, c.top_k)
        wide: Shape = (rows, c.hidden)
        gating(r, c)
        r.put(route, MOE, [c.wide, chosen], [wide, (rows,)], 8.0)
        if counted:
            r.put("Histc", MOE, (rows,), (c.experts,))
            r.put("hcom_alltoall_", "comm", (c.experts,), us=9.0)
        r.put("hcom_alltoallv_", "comm", wide, us=24.0)
        r.put("MoeReRouting", MOE, [wide, (8, c.local)], us=5.0)
        grouped(r, c, rows)
        r.put("IndexSelect", MOE, [wide, (rows,)], us=4.0)
        r.put("hcom_alltoallv_", "comm", wide, us=24.0)
        r.put(back, MOE, [wide, (rows,), chosen], c.wide, 6.0)

    return block


def one_kernel(r: Recorder, c: Card) -> None:
    gating(r, c)
    up: Shape = (c.local, c.hidden // 32, 2 * c.expert_inter // 16, 16, 32)
    r.put("DispatchFFNCombine", MOE, [c.wide, up, (c.rows, c.top_k)], us=110.0, core=AIC)


def with_sinks(r: Recorder, c: Card) -> None:
    """Biases in every projection, sinks in the attention kernel, no norm on heads."""
    gqa(r, replace(c, bias=True))


def clamped(r: Recorder, c: Card) -> None:
    """gpt-oss: router with bias, clamped SwiGLU of loose kernels, experts with biases."""
    rows, chosen = c.rows * c.top_k, (c.rows, c.top_k)
    wide, mid, half = (rows, c.hidden), (rows, 2 * c.expert_inter), (rows, c.expert_inter)
    linear(r, replace(c, bias=True), MOE, c.hidden, c.experts)
    r.put("MoeGatingTopKSoftmax", MOE, (c.rows, c.experts), [chosen, chosen])
    r.put("MoeInitRoutingV2", MOE, [c.wide, chosen], [wide, (rows,)], 8.0)
    up: Shape = (c.experts, c.hidden, 2 * c.expert_inter)
    r.put("GroupedMatmul", MOE, [wide, up, (c.experts, 2 * c.expert_inter)], mid, 60.0, AIC)
    for _half in range(2):
        r.put("StridedSlice", MOE, mid, half, 2.4)
    r.each("ClipByValueV2 ClipByValueV2 Muls Sigmoid Mul Adds Mul", MOE, half, 2.4)
    r.put("GroupedMatmul", MOE, [half, (c.experts, c.expert_inter, c.hidden)], wide, 34.0, AIC)
    r.put("MoeFinalizeRoutingV2", MOE, [wide, chosen], c.wide, 6.0)


def minimax(r: Recorder, c: Card) -> None:
    """Norms over all heads of all ranks: the ranks reduce the variances in between."""
    linear(r, c, A, c.hidden, c.qkv)
    r.put("_split_qkv_and_compute_local_qk_var_kernel", A, us=4.0, core=V)
    r.put("hcom_allReduce_", "comm", (c.rows, 2), us=8.0)
    r.put("_apply_global_rmsnorm_kernel", A, us=3.5, core=V)
    cache(r, c)
    core(r, c)
    linear(r, c, A, c.q, c.hidden)
    reduce(r, c)


def rope_then_norm(keys: bool) -> Block:
    """HunYuan: heads are normalised behind the rotation; layers that share keys and values make none."""

    def attention(r: Recorder, c: Card) -> None:
        linear(r, c, A, c.hidden, c.qkv if keys else c.q)
        turned = (c.query, c.key) if keys else (c.query,)
        if keys:
            split(r, c, A, c.qkv, c.q, c.kv_width, c.kv_width)
        for shape in turned:
            r.put("RotaryPositionEmbedding", A, [shape, (c.rows, 1, c.dim)], us=2.4)
        for shape in turned:
            heads_norm(r, shape)
        if keys:
            cache(r, c)
        core(r, c)
        linear(r, c, A, c.q, c.hidden)

    return attention


def residual_dense(r: Recorder, c: Card) -> None:
    """Arctic: a small dense MLP keeps the residual, the experts read the layer's own input beside it."""
    for number in r.layers(c.layers, "moe"):
        if number == 0:
            norm(r, c)
        gqa(r, c)
        add_norm(r, c)
        mlp(r, c)
        add(r, c)
        norm(r, c)
        gating(r, c)
        permuted(r, c)
        add_norm(r, c)


def top_one(r: Recorder, c: Card) -> None:
    """Llama 4: the score scales the expert's input; the shared expert reads it unscaled."""
    linear(r, c, MOE, c.hidden, c.experts)
    r.put("TopKV2", MOE, (c.rows, c.experts), [(c.rows, 1), (c.rows, 1)], 6.0)
    r.put("Sigmoid", MOE, (c.rows, 1), us=1.6)
    r.put("Mul", MOE, [c.wide, (c.rows, 1)], us=2.0)
    permuted(r, c, back="MoeTokenUnpermute")
    shared(r, c)
    add(r, c, MOE)


def factorised(r: Recorder, c: Card) -> None:
    """Step 3: one narrow query that is normalised and widened, one key and value head."""
    rank = 2048
    linear(r, c, A, c.hidden, rank + 2 * c.dim)
    split(r, c, A, rank + 2 * c.dim, rank, c.dim, c.dim)
    norm(r, c, A, rank)
    linear(r, c, A, rank, c.heads * c.dim)
    r.put("_triton_rope", A, [c.query, c.key, (65536, c.dim)], [c.query, c.key], 3.5, V)
    cache(r, c)
    core(r, c)
    linear(r, c, A, c.heads * c.dim, c.hidden)


def deep_exchange(r: Recorder, c: Card) -> None:
    """SGLang with DeepEP for prompts: layout, notice, dispatch, experts, combine."""
    rows, chosen = c.rows * c.top_k, (c.rows, c.top_k)
    gating(r, c)
    r.put("DispatchLayout", MOE, chosen, [(64,), (c.experts,)], 6.0, AIV)
    r.put("NotifyDispatch", MOE, (c.experts,), us=16.0, core=AIV)
    r.put("MoeDispatchNormal", MOE, [c.wide, chosen], [(rows, c.hidden), (rows,)], 60.0, AIV)
    grouped(r, c, rows)
    r.put("MoeCombineNormal", MOE, [(rows, c.hidden), chosen], c.wide, 50.0, AIV)


def deep_fused(r: Recorder, c: Card) -> None:
    gating(r, c, "MoeGatingTopKSoftmax", cast=False)
    up: Shape = (c.local, c.hidden, 2 * c.expert_inter)
    r.put("FusedDeepMoe", MOE, [c.wide, (c.rows, c.top_k), up], us=120.0, core=AIC)


def custom_routing(r: Recorder, c: Card) -> None:
    gating(r, c)
    permuted(r, c, "MoeInitRoutingCustom", "MoeTokenUnpermute")


PHASES = [("prefill", 700, 1), ("decode", 6, 6), ("decode", 6, 6)]
QUANTISED_MOE = replace(QWEN3_MOE, quant="dynamic")
HUNYUAN_LAYER, HUNYUAN_SHARING = ("moe", rope_then_norm(True), with_shared), ("moe", rope_then_norm(False), with_shared)
#: name -> how it is made.
EXPERTS: dict[str, Callable[[], BuiltCapture]] = {
    "qwen3-moe": lambda: run(QWEN3_MOE, MOE_LAYERS),
    "qwen3-moe-w8a8": lambda: run(QUANTISED_MOE, MOE_LAYERS),
    "qwen3-moe-permuted": lambda: phased(QWEN3_MOE, layers_of(("moe", gqa, custom_routing)), PHASES),
    "qwen3-moe-all-to-all": lambda: run(QWEN3_MOE, layers_of(("moe", gqa, exchanged()))),
    "qwen3-moe-one-kernel": lambda: run(QUANTISED_MOE, layers_of(("moe", gqa, one_kernel))),
    "qwen2-moe": lambda: run(replace(QWEN3_MOE, cut="late"), layers_of(("moe", gqa, gated_shared))),
    "mixtral": lambda: run(MIXTRAL, MOE_LAYERS),
    "glm-4.5": lambda: run(replace(GLM, quant="dynamic"), first_dense(1, gqa, with_shared)),
    "glm-4.5-bf16": lambda: run(GLM, first_dense(1, gqa, with_shared)),
    "gpt-oss": lambda: run(GPT_OSS, layers_of(("moe", with_sinks, clamped))),
    "minimax-m2": lambda: run(MINIMAX, layers_of(("moe", minimax, moe))),
    "hunyuan": lambda: run(HUNYUAN, layers_of(HUNYUAN_LAYER)),
    "hunyuan-shared-keys": lambda: run(HUNYUAN, layers_of(HUNYUAN_LAYER, HUNYUAN_SHARING)),
    "arctic": lambda: run(ARCTIC, residual_dense),
    "llama-4": lambda: run(LLAMA4, layers_of(("dense", gqa, mlp), ("moe", gqa, top_one))),
    "grok": lambda: run(GROK, sandwiched(gqa, moe, kind="moe")),
    "step-3": lambda: run(STEP3, first_dense(1, factorised, with_shared)),
    "deep-exchange": lambda: run(QWEN3_MOE, layers_of(("moe", gqa, deep_exchange)), mode="eager"),
    "deep-fused": lambda: run(QUANTISED_MOE, layers_of(("moe", gqa, deep_fused))),
}
