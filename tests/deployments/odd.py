"""Deployments that are put together unlike most: two mixers in one layer, shared keys, tokens without text, drafts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sample_builder.blocks import (
    AIC,
    AIV,
    BLOCKS,
    INFER,
    MLP,
    MOE,
    A,
    Block,
    Card,
    V,
    add,
    add_norm,
    attend,
    cache,
    core,
    dense_layers,
    embed,
    feed,
    first_dense,
    forward,
    gating,
    gqa,
    grouped,
    head,
    linear,
    mlp,
    norm,
    phased,
    prepare,
    qkv,
    reduce,
    run,
    stack,
)
from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.recorder import Recorder

from deployments.written import DEEPSEEK, KV_RANK, QWEN3, QWEN3_MOE, latent, with_shared

FALCON_H1 = Card(hidden=2048, heads=16, kv=2, dim=128, inter=6144, vocab=65537, add_norm_op="AddRmsNorm", cut="slices")
SPEECH = Card(hidden=896, heads=14, kv=2, dim=64, inter=4864, vocab=6564, layers=8, rows=4, cut="slices", bias=True)
GEMMA3N = Card(
    hidden=2048, heads=8, kv=2, dim=256, inter=8192, vocab=262400, norm_op="RmsNorm", add_norm_op="", cut="slices",
    qk_norm=True, form="sliced", rope="RotaryMul",
)  # fmt: skip
GPT_OSS = Card(
    hidden=2880, heads=64, kv=8, dim=64, inter=2880, vocab=201088, experts=128, top_k=4, expert_inter=2880, cut="split",
    bias=True, rope="RotaryMul", cache_op="ScatterPaKvCache", tp=2,
)  # fmt: skip
PLAIN = Card(hidden=3072, heads=24, kv=8, dim=128, inter=8192, vocab=128256, layers=5, rows=8)


def scan(r: Recorder, c: Card) -> None:
    """A state-space mixer as its library runs it, without the projection out."""
    inner = 3072
    linear(r, c, A, c.hidden, 2 * inner + 2 * 256 + 24)
    for name, us, cores in (("_causal_conv1d_update_kernel", 5.0, V), ("_selective_scan_update_kernel", 20.0, AIV)):
        r.put(name, A, us=us, core=cores)
    linear(r, c, A, inner, c.hidden)


def both_mixers(r: Recorder, c: Card) -> None:
    """Falcon-H1: state space and attention read one norm, both results are scaled and added."""
    scan(r, c)
    r.put("Muls", A, c.wide, us=1.8)
    attend(r, c)
    r.put("Muls", A, c.wide, us=1.8)
    add(r, c, A)


def gated_by_scan(r: Recorder, c: Card) -> None:
    """Granite 4: state space in most layers, experts and a shared expert behind each."""
    gating(r, c, "MoeGatingTopKSoftmax", cast=False)
    rows, chosen = c.rows * c.top_k, (c.rows, c.top_k)
    r.put("MoeInitRoutingV2", MOE, [c.wide, chosen], [(rows, c.hidden), (rows,)], 8.0, AIV)
    grouped(r, c, rows)
    r.put("MoeFinalizeRoutingV2", MOE, [(rows, c.hidden), (rows,), chosen], c.wide, 6.0)
    feed(r, c, MOE, 1024)
    add(r, c, MOE)


def windowed(window: bool) -> Block:
    """Attention with sinks and biases, over a window or over all that came before."""

    def attention(r: Recorder, c: Card) -> None:
        qkv(r, c)
        cache(r, c)
        pages = (BLOCKS, 128, c.kv_width)
        mask = (2048, 2048) if window else None
        ins = [
            c.query,
            pages,
            pages,
            None,
            mask,
            *[None] * 9,
            (c.sequences or c.rows, 64),
            *[None] * 8,
            (c.heads // c.tp,),
        ]
        r.put("FusedInferAttentionScoreV2", A, ins, [c.query, None], 14.0 if window else 40.0, AIC)
        linear(r, c, A, c.q_width, c.hidden)
        reduce(r, c)

    return attention


def loose_choice(r: Recorder, c: Card) -> None:
    """gpt-oss as vLLM-Ascend runs it: top-k first, softmax of the chosen, experts with biases, clamped by hand."""
    rows, chosen = c.rows * c.top_k, (c.rows, c.top_k)
    inter = c.expert_inter // c.tp
    wide, mid, half = (rows, c.hidden), (rows, 2 * inter), (rows, inter)
    linear(r, c, MOE, c.hidden, c.experts)
    r.put("TopKV2", MOE, (c.rows, c.experts), [chosen, chosen], 7.0)
    r.put("SoftmaxV2", MOE, chosen, us=2.0)
    r.put("Cast", MOE, chosen, us=1.5)
    r.put("MoeInitRoutingV2", MOE, [c.wide, chosen], [wide, (rows,)], 8.0)
    r.put("GroupedMatmul", MOE, [wide, (c.experts, c.hidden, 2 * inter), (c.experts, 2 * inter)], mid, 60.0, AIC)
    r.put("swiglu_oai_kernel", MOE, mid, half, 6.0, V)
    r.put("GroupedMatmul", MOE, [half, (c.experts, inter, c.hidden), (c.experts, c.hidden)], wide, 34.0, AIC)
    r.put("MoeTokenUnpermute", MOE, [wide, (rows,), chosen], c.wide, 6.0)
    reduce(r, c)


def sharing(keys: bool) -> Block:
    """Attention that reads an earlier layer's keys and values where it makes none itself."""

    def attention(r: Recorder, c: Card) -> None:
        if keys:
            qkv(r, c)
            cache(r, c)
        else:
            linear(r, c, A, c.hidden, c.q_width)
            r.put("RmsNorm", A, [c.query, (c.dim,)], [c.query, (*c.query[:-1], 1)], 2.4)
            r.put("RotaryMul", A, [(c.rows, 1, *c.query[1:]), (c.rows, 1, 1, c.dim)], us=2.4)
        core(r, c)
        linear(r, c, A, c.q_width, c.hidden)

    return attention


def half_batches(c: Card, phase: str) -> BuiltCapture:
    """Dual-batch overlap of a dense model: two halves on two streams, each with all-reduces of its own."""
    r = Recorder(mode="graph" if phase == "decode" else "eager", gap_us=0.2 if phase == "decode" else 9.0)
    half = c.at(c.rows // 2, c.sequences // 2)
    for _step in r.steps(3, 400.0, phase):
        prepare(r, c)
        embed(r, c)
        with r.beside(8, wait=False):
            r.clock[8] += 30.0
            dense_layers(r, half)
        dense_layers(r, half)
        r.join(8)
        head(r, c, c.sequences)
    return r.finish()


def attention_only_rank() -> BuiltCapture:
    """Attention on this rank, every feed-forward on others: rows are sent away and come back by exchange kernels."""
    r, c = Recorder(), QWEN3_MOE
    for _step in r.steps(3):
        prepare(r, c)
        embed(r, c)
        for number in r.layers(c.layers, "moe"):
            if number == 0:
                norm(r, c)
            gqa(r, c)
            add_norm(r, c)
            gating(r, c, cast=False)
            r.put("a2e_kernel", "comm", [c.wide, (c.rows, c.top_k)], (1,), 9.0, AIV)
            r.put("e2a_kernel", "comm", (1,), c.wide, 60.0, AIV)
            add_norm(r, c)
        head(r, c)
    return r.finish()


def four_bits(r: Recorder, c: Card) -> None:
    """W4A8: rows in int8, weights in int4 packed by eight, one kernel for up projection and activation."""
    rows, chosen = c.rows * c.top_k, (c.rows, c.top_k)
    gating(r, c)
    dispatched = [(rows, c.hidden), (rows,), (c.local,)]
    r.put("MoeDistributeDispatchV2", MOE, [c.wide, chosen], dispatched, 24.0, AIV)
    up: Shape = (c.local, c.hidden, 2 * c.expert_inter // 8)
    ins = [(rows, c.hidden), up, (c.local, 2 * c.expert_inter), (rows,), (c.local,)]
    r.put("GroupedMatmulSwigluQuantV2", MOE, ins, [(rows, c.expert_inter), (rows,)], 40.0, AIC)
    down: Shape = (c.local, c.expert_inter, c.hidden // 8)
    r.put(
        "GroupedMatmul", MOE, [(rows, c.expert_inter), down, None, (c.local, 1, c.hidden)], (rows, c.hidden), 25.0, AIC
    )
    r.put("MoeDistributeCombineV2", MOE, [(rows, c.hidden), chosen], c.wide, 20.0, AIV)
    feed(r, replace(c, quant="w4a8"), MOE, c.expert_inter)
    add(r, c, MOE)


def adapters(r: Recorder, c: Card, region: str, inner: int, outer: int) -> None:
    """LoRA by batched products: rows picked for their adapter, down to its rank, up again, added."""
    linear(r, c, region, inner, outer)
    r.put("BatchMatMulV2", region, [(c.rows, 1, inner), (c.rows, inner, 16)], (c.rows, 1, 16), 6.0)
    r.put("BatchMatMulV2", region, [(c.rows, 1, 16), (c.rows, 16, outer)], (c.rows, 1, outer), 6.0)
    r.put("Add", region, [(c.rows, outer), (c.rows, outer)], us=2.0)


def adapted_attention(r: Recorder, c: Card) -> None:
    adapters(r, c, A, c.hidden, c.qkv_width)
    r.put("split_qkv_rmsnorm_rope_kernel", A, us=4.0, core=V)
    cache(r, c)
    core(r, c)
    adapters(r, c, A, c.q_width, c.hidden)


def adapted_feed(r: Recorder, c: Card) -> None:
    adapters(r, c, MLP, c.hidden, 2 * c.inter)
    r.put("SwiGlu", MLP, (c.rows, 2 * c.inter), (c.rows, c.inter), 2.8)
    adapters(r, c, MLP, c.inter, c.hidden)


def out_of_parts(r: Recorder, c: Card) -> None:
    """The output projection split over ranks that hold other tokens: exchanged before it, scattered behind it."""
    everyone = c.at(c.rows * 4)
    query: Shape = (c.rows, c.heads, KV_RANK)
    cached: Shape = (BLOCKS, 128, 1, KV_RANK)
    r.put("MlaPrologV3", A, [c.wide, (c.hidden, 1536), (1536, c.heads * 192)], query, 38.0, AIC)
    r.put(INFER, A, [query, cached, cached, *[None] * 11, (c.rows, 64)], [query, None], 34.0, AIC)
    r.put("TransposeBatchMatMul", A, [query, (c.heads, KV_RANK, c.dim)], (c.rows, c.heads * c.dim), 9.0)
    r.put("hcom_alltoall_", "comm", (c.rows, c.heads * c.dim), (4 * c.rows, c.heads * c.dim // 4), 10.0)
    linear(r, everyone, A, c.heads * c.dim // 4, c.hidden)
    r.put("hcom_reduceScatter_", "comm", everyone.wide, c.wide, 12.0)


def head_of_parts(c: Card, layers: Block) -> BuiltCapture:
    """A vocabulary split over ranks that hold other tokens: their rows are gathered, their logits exchanged."""
    r = Recorder()
    for _step in r.steps(3):
        prepare(r, c)
        embed(r, c)
        layers(r, c)
        r.outside()
        rows = 4 * c.rows
        r.put("hcom_allGather_", "comm", c.wide, (rows, c.hidden), 9.0)
        linear(r, replace(c, quant=""), "head", c.hidden, c.vocab // 4, rows, quant="")
        r.put("hcom_alltoall_", "comm", (rows, c.vocab // 4), (c.rows, c.vocab), 14.0)
        r.put("ArgMaxV2", "sampling", [(c.rows, c.vocab), (1,)], (c.rows,), 9.0)
    return r.finish()


def speech_tokens() -> BuiltCapture:
    """A decoder of sound tokens: a vocabulary narrower than its feed-forward, sampling by nucleus."""
    r, c = Recorder(), SPEECH
    logits = (c.rows, c.vocab)
    for _step in r.steps(4, 300.0):
        embed(r, c)
        dense_layers(r, c)
        r.outside()
        linear(r, replace(c, bias=False), "head", c.hidden, c.vocab)
        r.put("LogSoftmaxV2", "sampling", logits, us=4.0)
        r.put("Sort", "sampling", logits, [logits, logits], 30.0)
        r.put("Cumsum", "sampling", logits, us=12.0)
        r.put("MultinomialWithReplacement", "sampling", logits, (c.rows, 1), 9.0)
    return r.finish()


def checked_drafts(guessed: int = 4) -> BuiltCapture:
    """Drafts looked up in the prompt: every pass checks several tokens per sequence, nothing drafts on the device."""
    c = replace(QWEN3, rows=8 * (guessed + 1), sequences=8)
    r = Recorder()
    for step in r.steps(4):
        r.outside()
        forward(r, c, dense_layers, step, rows=c.rows)
        for name in ("rejection_greedy_sample_kernel", "expand_kernel", "sample_recovered_tokens_kernel"):
            r.put(name, "sampling", us=4.0, core=V)
    return r.finish()


def chunk_beside_decoding() -> BuiltCapture:
    """Prompts found in the prefix cache: the rest of one rides along with seven decoding sequences, twice."""
    plan = [("mixed", 135, 8), ("decode", 8, 8), ("mixed", 71, 8), ("decode", 8, 8), ("prefill", 200, 1)]
    return phased(replace(QWEN3, tp=2), dense_layers, plan, mode="graph")


def quantised_router_beside() -> BuiltCapture:
    """Two streams in every layer: the shared expert beside dispatch and experts, with a wait on both sides."""

    def experts(r: Recorder, c: Card) -> None:
        gating(r, c)
        with r.beside(11, wait=False):
            feed(r, c, MOE, c.expert_inter)
        r.put("MoeDistributeDispatchV2", MOE, [c.wide, (c.rows, c.top_k)], [(c.rows * c.top_k, c.hidden)], 24.0, AIV)
        grouped(r, c, c.rows * c.top_k)
        r.put(
            "MoeDistributeCombineAddRmsNorm",
            MOE,
            [(c.rows * c.top_k, c.hidden), c.wide, (c.hidden,)],
            [c.wide] * 2,
            24.0,
            AIV,
        )
        r.join(11)

    def layers(r: Recorder, c: Card) -> None:
        for number in r.layers(c.layers, "moe"):
            if number == 0:
                norm(r, c)
            latent()(r, c)
            add_norm(r, c)
            experts(r, c)

    return run(DEEPSEEK, layers)


def embedding_model() -> BuiltCapture:
    """A decoder that only makes one vector per prompt: last token, no cache, no head, a vector of length one."""
    r = Recorder(mode="eager", gap_us=12.0)
    for step, rows in enumerate((512, 300, 700)):
        c = replace(PLAIN, rows=rows, runner=False)
        r.step, r.phase = step, "unknown"
        r.outside()
        embed(r, c)
        for number in r.layers(c.layers):
            if number == 0:
                norm(r, c)
            qkv(r, c)
            r.put("FlashAttentionScore", A, [c.query, c.key, c.key], c.query, 60.0, AIC)
            linear(r, c, A, c.q_width, c.hidden)
            add_norm(r, c)
            mlp(r, c)
            add_norm(r, c)
        r.outside()
        r.put("Index", "head", [c.wide, (4,)], (4, c.hidden), 3.0)
        r.put("LpNormV2", "head", (4, c.hidden), (4, 1), 3.0)
        r.put("RealDiv", "head", [(4, c.hidden), (4, 1)], us=2.0)
        r.pause(500.0)
    return r.finish()


#: name -> how it is made.
ODD: dict[str, Callable[[], BuiltCapture]] = {
    "falcon-h1": lambda: run(FALCON_H1, stack(("dense", both_mixers, mlp))),
    "granite-4": lambda: run(
        replace(FALCON_H1, experts=64, top_k=6, expert_inter=512, add_norm_op="", layers=8),
        stack(*[("moe", scan, gated_by_scan)] * 3, ("moe", gqa, gated_by_scan)),
    ),
    "gpt-oss-windows": lambda: run(
        GPT_OSS, stack(("moe", windowed(True), loose_choice), ("moe", windowed(False), loose_choice))
    ),
    "shared-keys": lambda: run(
        replace(GEMMA3N, add_norm_op="AddRmsNorm", layers=8),
        stack(*[("dense", sharing(True), mlp)] * 2, *[("dense", sharing(False), mlp)] * 2),
    ),
    "half-batches": lambda: half_batches(replace(QWEN3, tp=4, rows=64, sequences=64), "decode"),
    "half-prompts": lambda: half_batches(
        replace(QWEN3, tp=4, rows=2048, sequences=4, core_op="FlashAttentionScore"), "prefill"
    ),
    "feed-forward-elsewhere": attention_only_rank,
    "four-bits": lambda: run(replace(DEEPSEEK, quant="dynamic"), first_dense(1, latent("MlaPrologV3"), four_bits)),
    "adapters-by-token": lambda: run(PLAIN, stack(("dense", adapted_attention, adapted_feed))),
    "out-of-parts": lambda: run(DEEPSEEK, first_dense(1, out_of_parts, with_shared)),
    "head-of-parts": lambda: head_of_parts(DEEPSEEK, first_dense(1, latent(), with_shared)),
    "speech-tokens": speech_tokens,
    "checked-drafts": checked_drafts,
    "chunk-beside-decoding": chunk_beside_decoding,
    "norm-in-combine": quantised_router_beside,
    "embedding-model": embedding_model,
}
