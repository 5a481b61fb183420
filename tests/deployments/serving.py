"""The same models as services run them: split over ranks, streams and stages, with drafts, adapters and pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sample_builder.blocks import (
    AIC,
    AIV,
    MLP,
    MOE,
    A,
    Block,
    Card,
    Layers,
    V,
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
    moe_layers,
    norm,
    phased,
    prepare,
    qkv,
    run,
    stack,
)
from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.recorder import Recorder

from deployments.written import DEEPSEEK, QWEN3, QWEN3_MOE, latent, with_shared

WIDE4 = replace(QWEN3, tp=4)


def fused_sum(r: Recorder, c: Card) -> None:
    """Projection, all-reduce, residual and norm in one kernel."""
    for number in r.layers(c.layers):
        if number == 0:
            norm(r, c)
        qkv(r, c)
        cache(r, c)
        core(r, c)
        for region, inner in ((A, c.q_width), (MLP, c.inter // c.tp)):
            if region == MLP:
                linear(r, c, MLP, c.hidden, 2 * inner)
                r.put("SwiGlu", MLP, (c.rows, 2 * inner), (c.rows, inner), 2.8)
            ins = [(c.rows, inner), (inner, c.hidden), None, c.wide, (c.hidden,)]
            r.put("MatmulAllReduceAddRmsNorm", region, ins, [c.wide, c.wide], 28.0, AIC)


def gathered_matmul(r: Recorder, c: Card) -> None:
    """Sequence parallel: gathering inside the first projection, scattering inside the last one."""
    part, inter = c.at(c.rows // c.tp), c.inter // c.tp

    def gather(region: str, width: int, us: float) -> None:
        r.put("AllGatherMatmul", region, [part.wide, (c.hidden, width)], [(c.rows, width), c.wide], us, AIC)

    def scatter(region: str, width: int, us: float) -> None:
        r.put("MatmulReduceScatter", region, [(c.rows, width), (width, c.hidden)], part.wide, us, AIC)

    for number in r.layers(c.layers):
        if number == 0:
            norm(r, part)
        gather(A, c.qkv_width, 30.0)
        r.put("split_qkv_rmsnorm_rope_kernel_0", A, us=4.0, core=V)
        cache(r, c)
        core(r, c)
        scatter(A, c.q_width, 24.0)
        add_norm(r, part)
        gather(MLP, 2 * inter, 44.0)
        r.put("SwiGlu", MLP, (c.rows, 2 * inter), (c.rows, inter), 2.8)
        scatter(MLP, inter, 30.0)
        add_norm(r, part)


def sequence_parallel(r: Recorder, c: Card) -> None:
    """vLLM-Ascend's flash communication: reduce-scatter and all-gather of their own."""
    part = c.at(c.rows // c.tp)
    for number in r.layers(c.layers):
        if number == 0:
            norm(r, part)
        for block in (attend, feed):
            r.put("hcom_allGather_", "comm", part.wide, c.wide, 11.0)
            block(r, c)
            r.put("hcom_reduceScatter_", "comm", c.wide, part.wide, 11.0)
            add_norm(r, part)


def joined_parts(r: Recorder, c: Card, us: float) -> None:
    """Two partial results of attention become one."""
    rows = c.rows * c.heads
    r.put("AttentionUpdate", A, [(rows,), (rows,), (rows, c.dim), (rows, c.dim)], (rows, c.dim), us)


def context_parallel_decode(r: Recorder, c: Card) -> None:
    """Each rank attends to its part of the context; partial results and their sums of exponents meet."""
    packed = (c.rows, c.heads, c.dim + 1)
    qkv(r, c)
    cache(r, c)
    core(r, c)
    r.put("ConcatD", A, [(c.rows, c.heads, c.dim), (c.rows, c.heads, 1)], packed, 2.2)
    r.put("hcom_alltoall_", "comm", packed, us=12.0)
    joined_parts(r, c, 5.0)
    linear(r, c, A, c.q_width, c.hidden)


def context_parallel_prefill(r: Recorder, c: Card) -> None:
    """All keys and values are gathered, then two half attentions are merged."""
    qkv(r, c)
    r.put("hcom_allGather_", "comm", (c.rows, 2 * c.kv_width), (2 * c.rows, 2 * c.kv_width), 16.0)
    cache(r, c)
    for _half in range(2):
        r.put("FusedInferAttentionScore", A, [c.query, c.key, c.key], [c.query, (c.rows, c.heads, 1)], 90.0, AIC)
    joined_parts(r, c, 12.0)
    linear(r, c, A, c.q_width, c.hidden)


def context_parallel() -> BuiltCapture:
    blocks = (context_parallel_prefill, context_parallel_decode, context_parallel_decode)
    plan = [("prefill", 1024, 1), ("decode", 8, 8), ("decode", 8, 8)]
    return phased(QWEN3, [stack(("dense", block, mlp)) for block in blocks], plan)


def split_cores(r: Recorder, c: Card) -> None:
    """A mixed batch: prompts by one kernel, decoding sequences by another, results side by side."""
    decoding = 6
    prompt, keys = (c.rows - decoding, c.heads, c.dim), (c.rows - decoding, c.kv, c.dim)
    qkv(r, c)
    cache(r, c)
    r.put("FusedInferAttentionScore", A, [prompt, keys, keys], [prompt, None], 60.0, AIC)
    core(r, c.at(decoding), "PagedAttentionMaskNdKernel")
    r.put("ConcatD", A, [prompt, (decoding, c.heads, c.dim)], c.query)
    linear(r, c, A, c.q_width, c.hidden)


def mixed_batch() -> BuiltCapture:
    plan = [("mixed", 262, 7), ("decode", 7, 7), ("decode", 7, 7)]
    return phased(QWEN3, [stack(("dense", split_cores, mlp)), dense_layers, dense_layers], plan)


def adapted(r: Recorder, c: Card, region: str, inner: int, outer: int, slices: int) -> None:
    """LoRA: behind each projection shrinking and expanding kernels."""
    linear(r, c, region, inner, outer)
    r.put("Fill", region, (c.rows, 16), us=1.5)
    for name in ("sgmv_shrink_kernel", "sgmv_expand_slice_kernel") * slices:
        r.put(name, region, us=4.0, core=V)


def lora_attention(r: Recorder, c: Card) -> None:
    adapted(r, c, A, c.hidden, c.qkv_width, 3)
    r.put("split_qkv_rmsnorm_rope_kernel", A, us=4.0, core=V)
    cache(r, c)
    core(r, c)
    adapted(r, c, A, c.q_width, c.hidden, 1)


def lora_mlp(r: Recorder, c: Card) -> None:
    adapted(r, c, MLP, c.hidden, 2 * c.inter, 2)
    r.put("SwiGlu", MLP, (c.rows, 2 * c.inter), (c.rows, c.inter), 2.8)
    adapted(r, c, MLP, c.inter, c.hidden, 1)


def two_batches() -> BuiltCapture:
    """Two halves of a batch on two streams, half a layer apart, so that one's exchange hides the other's work."""
    r, c = Recorder(), replace(QWEN3_MOE, rows=48)
    half = c.at(24)
    for _step in r.steps(3):
        prepare(r, c)
        embed(r, c)
        with r.beside(8, wait=False):
            r.clock[8] += 40.0
            moe_layers(r, half)
        moe_layers(r, half)
        r.join(8)
        head(r, c)
    return r.finish()


def away(r: Recorder, c: Card) -> None:
    """Attention here, experts on other ranks: tokens leave behind the router and come back combined."""
    chosen = (c.rows, c.top_k)
    gating(r, c)
    r.put("AttentionToFFN", MOE, [c.wide, chosen], (1,), 14.0, AIV)
    r.put("AttentionWorkerCombine", MOE, [(*chosen, c.hidden), chosen], c.wide, 40.0, AIV)


def expert_rank() -> BuiltCapture:
    """Only experts: tokens of other ranks' layers come in and go out, layer after layer."""
    r, c, rows = Recorder(), QWEN3_MOE, 384
    wide: Shape = (rows, c.hidden)
    for _step in r.steps(3, 900.0):
        for _number in r.layers(c.layers, "moe"):
            r.put("FFNWorkerBatching", MOE, (64,), [wide, (rows,), (c.local,)], 16.0, AIV)
            grouped(r, c, rows)
            r.put("FFNToAttention", MOE, [wide, (rows,)], (1,), 14.0, AIV)
    return r.finish()


def stage(first: bool, last: bool) -> BuiltCapture:
    """A stage of a pipeline: the outer ones hold the embedding or the head."""
    r, c = Recorder(), QWEN3
    for _step in r.steps(4, 400.0):
        r.outside()
        if first:
            prepare(r, c)
            embed(r, c)
        else:
            r.put("hcom_receive_", "comm", (1,), c.wide, 9.0)
            r.put("hcom_receive_", "comm", (1,), c.wide, 9.0)
        for number in r.layers(c.layers):
            if number == 0:
                norm(r, c) if first else add_norm(r, c)
            gqa(r, c)
            add_norm(r, c)
            mlp(r, c)
            if number < c.layers - 1 or last:
                add_norm(r, c)
        if last:
            head(r, c)
        else:
            r.outside()
            r.put("hcom_send_", "comm", c.wide, (1,), 9.0)
            r.put("hcom_send_", "comm", c.wide, (1,), 9.0)
    return r.finish()


def draft_layer(r: Recorder, c: Card, number: int, feed_forward: Block, attention: Block) -> None:
    """MTP and EAGLE: embedding and hidden state, both normalised, side by side through one projection."""
    r.outside()
    r.put("GatherV2", "embedding", [(c.vocab, c.hidden), (c.rows,), (1,)], c.wide, 4.0)
    r.layer, r.kind = number, "mtp"
    norm(r, c)
    norm(r, c)
    r.outside()
    r.put("ConcatD", "other", [c.wide, c.wide], (c.rows, 2 * c.hidden), 2.0)
    linear(r, replace(c, quant=""), "other", 2 * c.hidden, c.hidden)
    r.layer, r.kind = number, "mtp"
    norm(r, c)
    attention(r, c)
    add_norm(r, c)
    feed_forward(r, c)
    add_norm(r, c)
    head(r, c)


def mtp(c: Card, layers: Layers, feed_forward: Block, attention: Block, drafts: int) -> BuiltCapture:
    """The main model checks the drafts of the last step, then the draft layer runs once per new draft."""
    r = Recorder()
    sequences = c.rows // (drafts + 1)
    for step in r.steps(3):
        forward(r, replace(c, sequences=sequences), layers, step, rows=c.rows)
        if c.runner:
            r.put("rejection_greedy_sample_triton", "sampling", us=3.0, core=V)
        for draft in range(drafts):
            r.pause(15.0)
            draft_layer(r, c.at(sequences, sequences), c.layers + draft, feed_forward, attention)
    return r.finish()


def three_states(drafts: int = 3) -> BuiltCapture:
    """EAGLE-3: hidden states of three layers are mixed once; the draft's q, k, v read two states side by side."""
    r, c = Recorder(), replace(QWEN3, rows=32)
    sequences = c.rows // (drafts + 1)
    for step in r.steps(3):
        forward(r, replace(c, sequences=sequences), dense_layers, step, rows=c.rows)
        r.outside()
        r.put("ConcatD", "other", [c.wide] * 3, (c.rows, 3 * c.hidden), 2.2)
        r.mm("other", c.rows, 3 * c.hidden, c.hidden)
        for draft in range(drafts):
            r.pause(12.0)
            now = replace(c, vocab=32000).at(sequences)
            embed(r, now, c.vocab)
            r.layer, r.kind = c.layers + draft, "mtp"
            norm(r, now)
            norm(r, now)
            r.put("ConcatD", A, [now.wide, now.wide], (now.rows, 2 * c.hidden), 2.0)
            linear(r, now, A, 2 * c.hidden, now.qkv_width)
            r.put("_triton_rope", A, core=V)
            cache(r, now)
            core(r, now)
            linear(r, now, A, now.q_width, now.hidden)
            add_norm(r, now)
            mlp(r, now)
            add_norm(r, now)
            head(r, now)
    return r.finish()


def eager_then_graph() -> BuiltCapture:
    """Prompts run eagerly on one stream, decoding is replayed from a graph on another."""
    r = Recorder(mode="eager", gap_us=14.0)
    forward(r, QWEN3_MOE.at(600, 1), moe_layers, 0, "prefill", rows=1)
    r.pause(900.0)
    r.mode, r.gap_us, r.stream = "graph", 0.2, 21
    r.clock[21] = max(r.clock.values())
    for step in range(1, 4):
        forward(r, QWEN3_MOE.at(8, 8), moe_layers, step, "decode", rows=8)
        r.pause(350.0)
    return r.finish()


def full_sampling() -> BuiltCapture:
    """A vocabulary split over ranks; penalties, temperature, top-k and top-p, a draw; log probabilities beside it."""
    r, c = Recorder(), replace(QWEN3, tp=2)
    logits, ids = (c.rows, c.vocab), (c.rows,)
    for _step in r.steps(4, 400.0):
        prepare(r, c)
        r.put("get_masked_input_and_mask", "embedding", ids, [ids, ids], 2.0, V)
        r.put("GatherV2", "embedding", [(c.vocab // c.tp, c.hidden), ids, (1,)], c.wide, 4.0)
        r.put("MaskedFill", "embedding", [c.wide, (c.rows, 1), (1,)], us=2.0)
        r.put("hcom_allReduce_", "comm", c.wide, us=12.0)
        dense_layers(r, c)
        r.outside()
        r.put("Index", "head", [c.wide, (1,), (2,), ids], c.wide, 2.8)
        linear(r, c, "head", c.hidden, c.vocab // c.tp)
        r.put("hcom_allGather_", "comm", (c.rows, c.vocab // c.tp), logits, 9.0)
        r.put("Transpose", "head", (2, c.rows, c.vocab // 2), (c.rows, 2, c.vocab // 2), 6.0)
        r.put("Cast", "sampling", logits, us=4.0)
        r.put("token_bin_counts_and_mask_kernel", "sampling", us=8.0, core=V)
        r.put("apply_penalties_kernel", "sampling", us=9.0, core=V)
        r.put("RealDiv", "sampling", [logits, (c.rows, 1)], us=6.0)
        r.put("ApplyTopKTopPCustom", "sampling", [logits, ids, ids], us=60.0)
        r.put("SoftmaxV2", "sampling", logits, us=8.0)
        r.put("DSARandomUniform", "sampling", (1,), logits, 5.0)
        r.each("Log Neg RealDiv", "sampling", logits, 6.0)
        r.put("ArgMaxV2", "sampling", [logits, (1,)], ids, 9.0)
        r.put("LogSoftmaxV2", "sampling", logits, us=9.0)
        r.put("GatherElements", "sampling", [logits, (c.rows, 1)], (c.rows, 1))
    return r.finish()


MTP_LAYERS = first_dense(1, latent(), with_shared)
#: name -> how it is made.
SERVING: dict[str, Callable[[], BuiltCapture]] = {
    "matmul-all-reduce-norm": lambda: run(WIDE4, fused_sum),
    "all-gather-matmul": lambda: run(replace(WIDE4, rows=64), gathered_matmul),
    "flash-communication": lambda: run(replace(WIDE4, rows=64), sequence_parallel),
    "context-parallel": context_parallel,
    "mixed-batch": mixed_batch,
    "lora": lambda: run(QWEN3, stack(("dense", lora_attention, lora_mlp))),
    "two-batches": two_batches,
    "attention-rank": lambda: run(QWEN3_MOE, stack(("moe", gqa, away))),
    "expert-rank": expert_rank,
    "first-stage": lambda: stage(first=True, last=False),
    "middle-stage": lambda: stage(first=False, last=False),
    "last-stage": lambda: stage(first=False, last=True),
    "deepseek-mtp": lambda: mtp(DEEPSEEK, MTP_LAYERS, with_shared, latent(), 1),
    "deepseek-mtp-3": lambda: mtp(replace(DEEPSEEK, rows=32), MTP_LAYERS, with_shared, latent(), 3),
    "qwen3-eagle": lambda: mtp(replace(QWEN3, rows=32), dense_layers, mlp, gqa, 3),
    "eagle-3": three_states,
    "eager-then-graph": eager_then_graph,
    "full-sampling": full_sampling,
    "bare-graph": lambda: run(QWEN3_MOE, moe_layers, steps=4, outside=False),
}
