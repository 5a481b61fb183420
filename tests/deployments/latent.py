"""Models with latent, sparse or compressed attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sample_builder.blocks import (
    AIC,
    BLOCKS,
    MOE,
    NORM,
    A,
    Block,
    Card,
    Layers,
    V,
    add,
    add_norm,
    heads_norm,
    linear,
    mlp,
    moe,
    norm,
    reduce,
    split,
)
from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.recorder import Recorder
from sample_builder.runs import first_dense, phased, run

from deployments.experts import one_kernel, with_shared

DEEPSEEK = Card(
    hidden=7168, heads=16, kv=1, dim=128, inter=18432, vocab=129280, experts=256, expert_inter=2048, quant="dynamic"
)

RANK, KV_RANK, ROPE = 1536, 512, 64


def cached_keys(r: Recorder, c: Card, us: float = 5.0) -> None:
    """Latent keys are normalised, rotated and written by one kernel."""
    pages = [(BLOCKS, 128, 1, ROPE), (BLOCKS, 128, 1, KV_RANK)]
    angle = (c.rows, 1, 1, ROPE)
    ins = [(c.rows, 1, 1, KV_RANK + ROPE), (KV_RANK,), angle, *pages]
    r.put("KvRmsNormRopeCache", A, ins, pages, us, V)


def turned_queries(r: Recorder, c: Card, us: float = 2.6) -> None:
    angle: Shape = (c.rows, 1, 1, ROPE)
    r.put("InterleaveRope", A, [(c.rows, c.heads, 1, ROPE), angle, angle], us=us)


def absorbed_keys(r: Recorder, c: Card) -> None:
    """The key projection on the side of the queries."""
    latent: Shape = (c.heads, c.rows, KV_RANK)
    r.put("BatchMatMulV2", A, [(c.heads, c.rows, c.dim), (c.heads, c.dim, KV_RANK)], latent, 9.0)
    r.put("Transpose", A, latent, (c.rows, c.heads, KV_RANK))


def latent(prolog: str = "", op: str = "FusedInferAttentionScore", rope: bool = True) -> Block:
    """Latent attention in its absorbed form: separate kernels, or one (`prolog`) for all before the core."""

    def attention(r: Recorder, c: Card) -> None:
        query: Shape = (c.rows, c.heads, KV_RANK)
        if prolog:
            r.put(prolog, A, us=38.0, core=AIC, name=prolog if prolog.islower() else None)
        else:
            linear(r, c, A, c.hidden, RANK + KV_RANK + ROPE)
            split(r, c, A, RANK + KV_RANK + ROPE, RANK)
            norm(r, c, A, RANK, "RmsNorm")
            linear(r, c, A, RANK, c.heads * (c.dim + ROPE))
            absorbed_keys(r, c)
            if rope:
                turned_queries(r, c)
            cached_keys(r, c)
        cached: Shape = (BLOCKS, 128, 1, KV_RANK)
        r.put(op, A, [query, cached, cached, *[None] * 11, (c.sequences or c.rows, 64)], [query, None], 34.0, AIC)
        r.put("TransposeBatchMatMul", A, [query, (c.heads, KV_RANK, c.dim)], (c.rows, c.heads * c.dim), 9.0)
        linear(r, replace(c, quant="static" if c.quant else ""), A, c.heads * c.dim, c.hidden)
        reduce(r, c)

    return attention


def chunked_latent(r: Recorder, c: Card) -> None:
    """Latent attention on a chunk of a prompt: keys and values made anew for the chunk and the cached context."""
    query, turned = (c.rows, c.heads, c.dim), (c.rows, c.heads, ROPE)
    linear(r, c, A, c.hidden, RANK + KV_RANK + ROPE)
    norm(r, c, A, RANK, "RmsNorm")
    linear(r, c, A, RANK, c.heads * (c.dim + ROPE))
    turned_queries(r, c, 6.0)
    cached_keys(r, c, 8.0)
    for part in range(3):
        if part:
            pages = [(BLOCKS, 128, 1, ROPE), (BLOCKS, 128, 1, KV_RANK), (1, 64)]
            r.put("PagedCacheLoadNdKernel", A, pages, (2048, 1, KV_RANK), 18.0, V)
        r.mm(A, 2048 if part else c.rows, KV_RANK, c.heads * 2 * c.dim)
        r.put("ConcatD", A, [query, turned], (c.rows, c.heads, c.dim + ROPE), 8.0)
        r.put("RINGMLAPrefillBF16Kernel", A, [query, turned, query], us=160.0, core=AIC)
    linear(r, replace(c, quant="static"), A, c.heads * c.dim, c.hidden)


def index_keys(r: Recorder, c: Card) -> None:
    r.put("ScatterNdUpdate", A, [(BLOCKS * 128, 128), (c.rows, 1), (c.rows, 128)], us=2.4)


def indexed(r: Recorder, c: Card) -> None:
    """DeepSeek V3.2 and GLM-5: the prolog is opaque, the indexer's small kernels follow it."""
    plain = replace(c, quant="")
    r.put("mla_preprocess_0_mix_aic", A, us=42.0, core=AIC, name="mla_preprocess_0_mix_aic")
    linear(r, plain, A, c.hidden, 128)
    r.put("LayerNormV3", A, [(c.rows, 128), (128,), (128,)], [(c.rows, 128), (c.rows, 1), (c.rows, 1)], 2.6)
    r.put("_triton_rope_siso", A, us=2.4, core=V)
    index_keys(r, c)
    linear(r, plain, A, RANK, 64 * 128)
    r.put("_triton_rope_siso_2", A, us=2.8, core=V)
    linear(r, plain, A, c.hidden, 64)
    chosen, latent = (c.rows, 1, 2048), (BLOCKS, 128, 1, KV_RANK)
    r.put("LightningIndexer", A, [(c.rows, 64, 128), (BLOCKS, 128, 1, 128), (c.rows, 64)], chosen, 30.0, AIC)
    r.put("SparseFlashAttention", A, [(c.rows, c.heads, KV_RANK), latent, latent, chosen], us=36.0, core=AIC)
    r.put("batch_matmul_transpose_0", A, us=9.0, core=AIC)
    linear(r, replace(c, quant="static"), A, c.heads * c.dim, c.hidden)
    reduce(r, c)


def hyper(r: Recorder, c: Card) -> None:
    """DeepSeek V4: four residual streams mixed round each sub-block, shared keys, grouped low-rank output."""
    streams, mixes = (c.rows, 4, c.hidden), [(c.rows, 4), (c.rows, 4, 4)]
    for number in r.layers(c.layers, "moe"):
        for block in (shared_keys(compressed=number % 2 == 1), with_shared):
            r.put("HcPre", NORM, [streams, (24, 4 * c.hidden)], [c.wide, *mixes], 9.0)
            norm(r, c)
            block(r, c)
            r.put("HcPost", NORM, [c.wide, streams, *mixes], streams, 6.0)
    r.put("HcHead", NORM, streams, c.wide, 6.0)
    norm(r, c)


def shared_keys(compressed: bool) -> Block:
    """One key and value head; every other layer also compresses keys and chooses among them."""

    def attention(r: Recorder, c: Card) -> None:
        plain = replace(c, quant="mx")
        heads, key, angle, pages = (c.rows, c.heads, 512), (c.rows, 512), (c.rows, 1, 64), (BLOCKS, 128, 1, 512)

        def turn(shape: Shape, us: float) -> None:
            r.put("InplacePartialRotaryMul", A, [shape, angle], us=us)

        linear(r, plain, A, c.hidden, 1024)
        norm(r, c, A, 1024, "RmsNorm")
        linear(r, plain, A, 1024, c.heads * 512)
        heads_norm(r, heads)
        turn(heads, 2.6)
        linear(r, plain, A, c.hidden, 512)
        norm(r, c, A, 512, "RmsNorm")
        turn((c.rows, 1, 512), 2.2)
        r.put("ScatterNdUpdateV2", A, [(BLOCKS, 128, 512), (c.rows, 1), key], us=2.2)
        if compressed:
            r.put("Compressor", A, [c.wide, (1024, c.hidden), (1024, c.hidden)], key, 12.0, AIC)
            linear(r, plain, A, 1024, 64 * 128)
            turn((c.rows, 64, 128), 2.4)
            linear(r, replace(c, quant=""), A, c.hidden, 64)
            index = [(c.rows, 64, 128), (BLOCKS, 128, 1, 128)]
            r.put("QuantLightningIndexer", A, index, (c.rows, 1, 512), 18.0, AIC)
        r.put("SparseFlashMla", A, [heads, pages, pages], us=30.0, core=AIC)
        turn(heads, 2.6)
        group = c.heads * 64
        r.put("TransposeQuantBatchMatMul", A, [(8, c.rows, group), (8, group, 1024)], (c.rows, 8, 1024), 12.0, AIC)
        linear(r, plain, A, 8 * 1024, c.hidden)

    return attention


def shortcut(one_stream: bool) -> Layers:
    """LongCat: two attentions and two MLPs a layer; experts read behind the first one and are added at the end."""

    def layers(r: Recorder, c: Card) -> None:
        attention = latent()
        for number in r.layers(c.layers, "moe"):
            if number == 0:
                norm(r, c)
            attention(r, c)
            add_norm(r, c)
            if one_stream:
                moe(r, c)
            else:
                with r.beside(9, wait=False):
                    moe(r, c)
            mlp(r, c)
            add_norm(r, c)
            attention(r, c)
            add_norm(r, c)
            mlp(r, c)
            if not one_stream:
                r.join(9)
            add(r, c, MOE)
            add_norm(r, c)

    return layers


CHUNKS = [("prefill", 1024, 1), ("decode", 8, 8), ("decode", 8, 8)]
V3_LAYERS, BF16_LAYERS = first_dense(2, latent(), with_shared), first_dense(2, latent("MlaPrologV3"), with_shared)
HYBRID_V4 = replace(DEEPSEEK, hidden=4096, heads=64, layers=4, experts=256, top_k=6)
KIMI_K2 = replace(DEEPSEEK, heads=8, experts=384, quant="w4")
#: name -> how it is made.
LATENT_MODELS: dict[str, Callable[[], BuiltCapture]] = {
    "deepseek-v3": lambda: run(DEEPSEEK, V3_LAYERS),
    "deepseek-v3-bf16-prolog": lambda: run(replace(DEEPSEEK, quant=""), BF16_LAYERS),
    "deepseek-v3.2": lambda: run(DEEPSEEK, first_dense(2, indexed, with_shared)),
    "deepseek-v3.2-one-kernel": lambda: run(replace(DEEPSEEK, tp=2), first_dense(2, indexed, one_kernel)),
    "deepseek-v4": lambda: run(HYBRID_V4, hyper),
    "kimi-k2": lambda: run(KIMI_K2, first_dense(1, latent(), with_shared)),
    "longcat-one-stream": lambda: run(replace(DEEPSEEK, layers=4), shortcut(one_stream=True)),
    "longcat": lambda: run(replace(DEEPSEEK, layers=4), shortcut(one_stream=False)),
    "chunked-latent": lambda: phased(
        DEEPSEEK, [first_dense(2, chunked_latent, with_shared), V3_LAYERS, V3_LAYERS], CHUNKS
    ),
}
