"""Models with experts, with latent or sparse attention: how each one routes, shares, and attends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sample_builder.blocks import (
    BLOCKS,
    MOE,
    NORM,
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
    grouped,
    layers_of,
    linear,
    mlp,
    moe,
    norm,
    permuted,
    phased,
    reduce,
    run,
    split,
    swiglu,
)
from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.recorder import Recorder

QWEN3_MOE = Card(hidden=2048, heads=32, kv=4, dim=128, inter=6144, vocab=151936)
GLM = Card(hidden=4096, heads=96, kv=8, dim=128, inter=10944, vocab=151552, tp=8, expert_inter=1408, bias=True)
GPT_OSS = Card(hidden=2880, heads=64, kv=8, dim=64, inter=2880, vocab=201088, experts=32, top_k=4, expert_inter=2880)
DEEPSEEK = Card(
    hidden=7168, heads=16, kv=1, dim=128, inter=18432, vocab=129280, experts=256, expert_inter=2048, quant="dynamic"
)
MIXTRAL = Card(hidden=4096, heads=32, kv=8, dim=128, inter=14336, vocab=32000, experts=8, top_k=2, expert_inter=14336)
MINIMAX = Card(hidden=3072, heads=48, kv=8, dim=128, inter=1536, vocab=200064, experts=256, expert_inter=1536, tp=4)
HUNYUAN = Card(hidden=4096, heads=32, kv=8, dim=128, inter=3072, vocab=128167, experts=64, expert_inter=3072)
ARCTIC = Card(hidden=7168, heads=56, kv=8, dim=128, inter=4864, vocab=32000, experts=128, top_k=2, expert_inter=4864)
LLAMA4 = Card(hidden=5120, heads=40, kv=8, dim=128, inter=16384, vocab=202048, experts=16, top_k=1, expert_inter=8192)


def shared(r: Recorder, c: Card) -> None:
    swiglu(r, c, MOE, c.expert_inter * c.tp)


def with_shared(r: Recorder, c: Card) -> None:
    """Shared expert first, experts, sum scaled by one Triton kernel."""
    shared(r, c)
    moe(r, c)
    r.put("muls_add_kernel", MOE, [c.wide, c.wide], [c.wide], 2.2, "AI_VECTOR_CORE")
    reduce(r, c)


def gated_shared(r: Recorder, c: Card) -> None:
    """A shared expert with a gate of its own (Qwen2-MoE, Qwen3-Next)."""
    gating(r, c, "MoeGatingTopKSoftmax", cast=False)
    permuted(r, c, "MoeInitRoutingV2", "MoeFinalizeRoutingV2")
    shared(r, c)
    linear(r, replace(c, quant=""), MOE, c.hidden, 1)
    r.put("Sigmoid", MOE, [(c.rows, 1)], [(c.rows, 1)], 1.6)
    r.put("Mul", MOE, [(c.rows, 1), c.wide], [c.wide], 2.0)
    add(r, c, MOE)


def all_to_all(r: Recorder, c: Card) -> None:
    """Stand-alone exchanges: counts first, then tokens, there and back."""
    rows = c.rows * c.top_k
    wide: Shape = (rows, c.hidden)
    gating(r, c)
    r.put("MoeTokenPermute", MOE, [c.wide, (c.rows, c.top_k)], [wide, (rows,)], 8.0)
    r.put("Histc", MOE, [(rows,)], [(c.experts,)], 3.0)
    r.put("hcom_alltoall_", "comm", [(c.experts,)], [(c.experts,)], 9.0)
    r.put("hcom_alltoallv_", "comm", [wide], [wide], 24.0)
    r.put("MoeReRouting", MOE, [wide, (8, c.local)], [wide], 5.0)
    grouped(r, c, rows)
    r.put("IndexSelect", MOE, [wide, (rows,)], [wide], 4.0)
    r.put("hcom_alltoallv_", "comm", [wide], [wide], 24.0)
    r.put("MoeTokenUnpermute", MOE, [wide, (rows,), (c.rows, c.top_k)], [c.wide], 6.0)


def one_kernel(r: Recorder, c: Card) -> None:
    gating(r, c)
    up: Shape = (c.local, c.hidden // 32, 2 * c.expert_inter // 16, 16, 32)
    r.put("DispatchFFNCombine", MOE, [c.wide, up, (c.rows, c.top_k)], [c.wide], 110.0, "MIX_AIC")


def with_sinks(r: Recorder, c: Card) -> None:
    """Biases in every projection, sinks in the attention kernel, no norm on heads."""
    gqa(r, replace(c, bias=True), fused="")


def clamped(r: Recorder, c: Card) -> None:
    """gpt-oss: router with bias, clamped SwiGLU of loose kernels, experts with biases."""
    rows = c.rows * c.top_k
    wide, mid, half = (rows, c.hidden), (rows, 2 * c.expert_inter), (rows, c.expert_inter)
    linear(r, replace(c, bias=True), MOE, c.hidden, c.experts)
    r.put("MoeGatingTopKSoftmax", MOE, [(c.rows, c.experts)], [(c.rows, c.top_k), (c.rows, c.top_k)], 3.0)
    r.put("MoeInitRoutingV2", MOE, [c.wide, (c.rows, c.top_k)], [wide, (rows,)], 8.0)
    up: Shape = (c.experts, c.hidden, 2 * c.expert_inter)
    r.put("GroupedMatmul", MOE, [wide, up, (c.experts, 2 * c.expert_inter)], [mid], 60.0, "MIX_AIC")
    for op, out in (("StridedSlice", half), ("StridedSlice", half), ("ClipByValueV2", half), ("ClipByValueV2", half)):
        r.put(op, MOE, [mid if op == "StridedSlice" else half], [out], 2.4)
    for op in ("Muls", "Sigmoid", "Mul", "Adds", "Mul"):
        r.put(op, MOE, [half, half] if op == "Mul" else [half], [half], 2.4)
    r.put("GroupedMatmul", MOE, [half, (c.experts, c.expert_inter, c.hidden)], [wide], 34.0, "MIX_AIC")
    r.put("MoeFinalizeRoutingV2", MOE, [wide, (c.rows, c.top_k)], [c.wide], 6.0)


def minimax(r: Recorder, c: Card) -> None:
    """Norms over all heads of all ranks: the ranks reduce the variances in between."""
    linear(r, c, A, c.hidden, c.q + 2 * c.kv_width)
    r.put("_split_qkv_and_compute_local_qk_var_kernel", A, us=4.0, core="AI_VECTOR_CORE")
    r.put("hcom_allReduce_", "comm", [(c.rows, 2)], [(c.rows, 2)], 8.0)
    r.put("_apply_global_rmsnorm_kernel", A, us=3.5, core="AI_VECTOR_CORE")
    cache(r, c)
    core(r, c)
    linear(r, c, A, c.q, c.hidden)
    reduce(r, c)


def rope_then_norm(keys: bool) -> Block:
    """HunYuan: heads are normalised behind the rotation; layers that share keys and values make none."""

    def attend(r: Recorder, c: Card) -> None:
        width = c.q + (2 * c.kv_width if keys else 0)
        linear(r, c, A, c.hidden, width)
        q, k = (c.rows, c.heads, c.dim), (c.rows, c.kv, c.dim)
        if keys:
            split(r, c, A, width, c.q, c.kv_width, c.kv_width)
        for shape in (q, k) if keys else (q,):
            r.put("RotaryPositionEmbedding", A, [shape, (c.rows, 1, c.dim)], [shape], 2.4)
        for shape in (q, k) if keys else (q,):
            r.put("RmsNorm", A, [shape, (c.dim,)], [shape, (*shape[:2], 1)], 2.3)
        if keys:
            cache(r, c)
        core(r, c)
        linear(r, c, A, c.q, c.hidden)

    return attend


def residual_dense(r: Recorder, c: Card) -> None:
    """Arctic: a small dense MLP keeps the residual, the experts read the layer's own input beside it."""
    for number in range(c.layers):
        r.layer, r.kind = number, "moe"
        if number == 0:
            norm(r, c)
        gqa(r, c, fused="")
        add_norm(r, c)
        mlp(r, c)
        add(r, c)
        norm(r, c)
        gating(r, c)
        permuted(r, c, "MoeInitRoutingV2", "MoeFinalizeRoutingV2")
        add_norm(r, c)


def top_one(r: Recorder, c: Card) -> None:
    """Llama 4: the score scales the expert's input; the shared expert reads it unscaled."""
    linear(r, c, MOE, c.hidden, c.experts)
    r.put("TopKV2", MOE, [(c.rows, c.experts)], [(c.rows, 1), (c.rows, 1)], 6.0)
    r.put("Sigmoid", MOE, [(c.rows, 1)], [(c.rows, 1)], 1.6)
    r.put("Mul", MOE, [c.wide, (c.rows, 1)], [c.wide], 2.0)
    permuted(r, c, "MoeInitRoutingV2", "MoeTokenUnpermute")
    shared(r, c)
    add(r, c, MOE)


RANK, KV_RANK, ROPE = 1536, 512, 64


def latent(prolog: str = "", op: str = "FusedInferAttentionScore", rope: bool = True) -> Block:
    """Latent attention in its absorbed form: separate kernels, or one (`prolog`) for all before the core."""

    def attend(r: Recorder, c: Card) -> None:
        query: Shape = (c.rows, c.heads, KV_RANK)
        if prolog:
            r.put(prolog, A, us=38.0, core="MIX_AIC", name=prolog if prolog.islower() else None)
        else:
            linear(r, c, A, c.hidden, RANK + KV_RANK + ROPE)
            split(r, c, A, RANK + KV_RANK + ROPE, RANK)
            norm(r, c, A, RANK, "RmsNorm")
            linear(r, c, A, RANK, c.heads * (c.dim + ROPE))
            nope = (c.heads, c.rows, c.dim)
            r.put("BatchMatMulV2", A, [nope, (c.heads, c.dim, KV_RANK)], [(c.heads, c.rows, KV_RANK)], 9.0)
            r.put("Transpose", A, [(c.heads, c.rows, KV_RANK)], [query], 3.0)
            if rope:
                turned = (c.rows, c.heads, 1, ROPE)
                r.put("InterleaveRope", A, [turned, (c.rows, 1, 1, ROPE), (c.rows, 1, 1, ROPE)], [turned], 2.6)
            pages = [(BLOCKS, 128, 1, ROPE), (BLOCKS, 128, 1, KV_RANK)]
            ins: list[Shape | None] = [(c.rows, 1, 1, KV_RANK + ROPE), (KV_RANK,), (c.rows,), *pages]
            r.put("KvRmsNormRopeCache", A, ins, pages, 5.0, "AI_VECTOR_CORE")
        cached: Shape = (BLOCKS, 128, 1, KV_RANK)
        ins = [query, cached, cached, *[None] * 11, (c.sequences or c.rows, 64)]
        r.put(op, A, ins, [query, None], 34.0, "MIX_AIC")
        out = (c.rows, c.heads * c.dim)
        r.put("TransposeBatchMatMul", A, [query, (c.heads, KV_RANK, c.dim)], [out], 9.0)
        linear(r, replace(c, quant="static" if c.quant else ""), A, c.heads * c.dim, c.hidden)
        reduce(r, c)

    return attend


def indexed(r: Recorder, c: Card) -> None:
    """DeepSeek V3.2 and GLM-5: the prolog is opaque, the indexer's small kernels follow it."""
    r.put("mla_preprocess_0_mix_aic", A, us=42.0, core="MIX_AIC", name="mla_preprocess_0_mix_aic")
    plain = replace(c, quant="")
    linear(r, plain, A, c.hidden, 128)
    r.put("LayerNormV3", A, [(c.rows, 128), (128,), (128,)], [(c.rows, 128), (c.rows, 1), (c.rows, 1)], 2.6)
    r.put("_triton_rope_siso", A, us=2.4, core="AI_VECTOR_CORE")
    r.put("ScatterNdUpdate", A, [(BLOCKS * 128, 128), (c.rows, 1), (c.rows, 128)], [(BLOCKS * 128, 128)], 2.4)
    linear(r, plain, A, RANK, 64 * 128)
    r.put("_triton_rope_siso_2", A, us=2.8, core="AI_VECTOR_CORE")
    linear(r, plain, A, c.hidden, 64)
    pages: Shape = (BLOCKS, 128, 1, 128)
    r.put("LightningIndexer", A, [(c.rows, 64, 128), pages, (c.rows, 64)], [(c.rows, 1, 2048)], 30.0, "MIX_AIC")
    query: Shape = (c.rows, c.heads, KV_RANK)
    ins: list[Shape | None] = [query, (BLOCKS, 128, 1, KV_RANK), (BLOCKS, 128, 1, KV_RANK), (c.rows, 1, 2048)]
    r.put("SparseFlashAttention", A, ins, [query], 36.0, "MIX_AIC")
    r.put("batch_matmul_transpose_0", A, us=9.0, core="MIX_AIC")
    linear(r, replace(c, quant="static"), A, c.heads * c.dim, c.hidden)
    reduce(r, c)


def hyper(r: Recorder, c: Card) -> None:
    """DeepSeek V4: four residual streams mixed round each sub-block, shared keys, grouped low-rank output."""
    streams: Shape = (c.rows, 4, c.hidden)

    def mixed(block: Block) -> None:
        r.put("HcPre", NORM, [streams, (24, 4 * c.hidden)], [c.wide, (c.rows, 4), (c.rows, 4, 4)], 9.0)
        norm(r, c)
        block(r, c)
        r.put("HcPost", NORM, [c.wide, streams, (c.rows, 4), (c.rows, 4, 4)], [streams], 6.0)

    for number in range(c.layers):
        r.layer, r.kind = number, "moe"
        mixed(shared_keys(compressed=number % 2 == 1))
        mixed(with_shared)
    r.put("HcHead", NORM, [streams], [c.wide], 6.0)
    norm(r, c)


def shared_keys(compressed: bool) -> Block:
    def attend(r: Recorder, c: Card) -> None:
        plain = replace(c, quant="mx")
        linear(r, plain, A, c.hidden, 1024)
        norm(r, c, A, 1024, "RmsNorm")
        linear(r, plain, A, 1024, c.heads * 512)
        heads: Shape = (c.rows, c.heads, 512)
        r.put("RmsNorm", A, [heads, (512,)], [heads, (c.rows, c.heads, 1)], 2.6)
        r.put("InplacePartialRotaryMul", A, [heads, (c.rows, 1, 64)], [heads], 2.6)
        linear(r, plain, A, c.hidden, 512)
        norm(r, c, A, 512, "RmsNorm")
        r.put("InplacePartialRotaryMul", A, [(c.rows, 1, 512), (c.rows, 1, 64)], [(c.rows, 1, 512)], 2.2)
        r.put("ScatterNdUpdateV2", A, [(BLOCKS, 128, 512), (c.rows, 1), (c.rows, 512)], [(BLOCKS, 128, 512)], 2.2)
        if compressed:
            r.put("Compressor", A, [c.wide, (1024, c.hidden), (1024, c.hidden)], [(c.rows, 512)], 12.0, "MIX_AIC")
            linear(r, plain, A, 1024, 64 * 128)
            r.put("InplacePartialRotaryMul", A, [(c.rows, 64, 128), (c.rows, 1, 64)], [(c.rows, 64, 128)], 2.4)
            linear(r, replace(c, quant=""), A, c.hidden, 64)
            index_pages: Shape = (BLOCKS, 128, 1, 128)
            out: Shape = (c.rows, 1, 512)
            r.put("QuantLightningIndexer", A, [(c.rows, 64, 128), index_pages], [out], 18.0, "MIX_AIC")
        ins: list[Shape | None] = [heads, (BLOCKS, 128, 1, 512), (BLOCKS, 128, 1, 512)]
        r.put("SparseFlashMla", A, ins, [heads], 30.0, "MIX_AIC")
        r.put("InplacePartialRotaryMul", A, [heads, (c.rows, 1, 64)], [heads], 2.6)
        low = (8, c.heads * 64, 1024)
        r.put("TransposeQuantBatchMatMul", A, [(8, c.rows, c.heads * 64), low], [(c.rows, 8, 1024)], 12.0, "MIX_AIC")
        linear(r, plain, A, 8 * 1024, c.hidden)

    return attend


def shortcut(one_stream: bool) -> Layers:
    """LongCat: two attentions and two MLPs a layer; experts read behind the first one and are added at the end."""

    def layers(r: Recorder, c: Card) -> None:
        attend = latent()
        for number in range(c.layers):
            r.layer, r.kind = number, "moe"
            if number == 0:
                norm(r, c)
            attend(r, c)
            add_norm(r, c)
            if one_stream:
                moe(r, c)
            else:
                with r.beside(9, wait=False):
                    moe(r, c)
            mlp(r, c)
            add_norm(r, c)
            attend(r, c)
            add_norm(r, c)
            mlp(r, c)
            if not one_stream:
                r.join(9)
            add(r, c, MOE)
            add_norm(r, c)

    return layers


def first_dense(count: int, attend: Block, feed: Block) -> Layers:
    def layers(r: Recorder, c: Card) -> None:
        for number in range(c.layers):
            r.layer, r.kind = number, "dense" if number < count else "moe"
            if number == 0:
                norm(r, c)
            attend(r, c)
            add_norm(r, c)
            (mlp if number < count else feed)(r, c)
            add_norm(r, c)

    return layers


PHASES = [("prefill", 700, 1), ("decode", 6, 6), ("decode", 6, 6)]
HYBRID_V4 = replace(DEEPSEEK, hidden=4096, heads=64, layers=4, experts=256, top_k=6)
#: name -> how it is made.
EXPERTS: dict[str, Callable[[], BuiltCapture]] = {
    "qwen3-moe": lambda: run(QWEN3_MOE, layers_of(("moe", gqa, moe))),
    "qwen3-moe-w8a8": lambda: run(replace(QWEN3_MOE, quant="dynamic"), layers_of(("moe", gqa, moe))),
    "qwen3-moe-permuted": lambda: phased(
        QWEN3_MOE, layers_of(("moe", gqa, lambda r, c: (gating(r, c), permuted(r, c))[0])), PHASES
    ),
    "qwen3-moe-all-to-all": lambda: run(QWEN3_MOE, layers_of(("moe", gqa, all_to_all))),
    "qwen3-moe-one-kernel": lambda: run(replace(QWEN3_MOE, quant="dynamic"), layers_of(("moe", gqa, one_kernel))),
    "qwen2-moe": lambda: run(QWEN3_MOE, layers_of(("moe", lambda r, c: gqa(r, c, ""), gated_shared))),
    "mixtral": lambda: run(replace(MIXTRAL, local=8), layers_of(("moe", lambda r, c: gqa(r, c, ""), moe))),
    "glm-4.5": lambda: run(replace(GLM, quant="dynamic"), first_dense(1, gqa, with_shared)),
    "glm-4.5-bf16": lambda: run(GLM, first_dense(1, gqa, with_shared)),
    "gpt-oss": lambda: run(GPT_OSS, layers_of(("moe", with_sinks, clamped))),
    "minimax-m2": lambda: run(MINIMAX, layers_of(("moe", minimax, moe))),
    "hunyuan": lambda: run(HUNYUAN, layers_of(("moe", rope_then_norm(True), with_shared))),
    "hunyuan-shared-keys": lambda: run(
        HUNYUAN, layers_of(("moe", rope_then_norm(True), with_shared), ("moe", rope_then_norm(False), with_shared))
    ),
    "arctic": lambda: run(ARCTIC, residual_dense),
    "llama-4": lambda: run(
        LLAMA4, layers_of(("dense", lambda r, c: gqa(r, c, ""), mlp), ("moe", lambda r, c: gqa(r, c, ""), top_one))
    ),
    "deepseek-v3": lambda: run(DEEPSEEK, first_dense(2, latent(), with_shared)),
    "deepseek-v3-bf16-prolog": lambda: run(
        replace(DEEPSEEK, quant=""), first_dense(2, latent("MlaPrologV3"), with_shared)
    ),
    "deepseek-v3.2": lambda: run(DEEPSEEK, first_dense(2, indexed, with_shared)),
    "deepseek-v3.2-one-kernel": lambda: run(replace(DEEPSEEK, tp=2), first_dense(2, indexed, one_kernel)),
    "deepseek-v4": lambda: run(HYBRID_V4, hyper),
    "kimi-k2": lambda: run(replace(DEEPSEEK, heads=8, experts=384, quant="w4"), first_dense(1, latent(), with_shared)),
    "longcat-one-stream": lambda: run(replace(DEEPSEEK, layers=4), shortcut(one_stream=True)),
    "longcat": lambda: run(replace(DEEPSEEK, layers=4), shortcut(one_stream=False)),
}
