"""The same models as services run them: split over ranks, streams and stages, with drafts, adapters and pictures."""

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
    add_norm,
    cache,
    core,
    embed,
    forward,
    gating,
    gqa,
    grouped,
    head,
    layers_of,
    linear,
    mlp,
    moe,
    norm,
    prepare,
    qkv,
    run,
    swiglu,
)
from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.recorder import Recorder

from deployments.dense import LLAMA, QWEN3
from deployments.experts import DEEPSEEK, QWEN3_MOE, first_dense, latent, with_shared

WIDE4 = replace(QWEN3, tp=4)


def fused_sum(r: Recorder, c: Card) -> None:
    """Projection, all-reduce, residual and norm in one kernel."""
    for number in range(c.layers):
        r.layer, r.kind = number, "dense"
        if number == 0:
            norm(r, c)
        qkv(r, c)
        cache(r, c)
        core(r, c)
        for region, inner in ((A, c.q), (MLP, c.inter // c.tp)):
            if region == MLP:
                linear(r, c, MLP, c.hidden, 2 * inner)
                r.put("SwiGlu", MLP, [(c.rows, 2 * inner)], [(c.rows, inner)], 2.8)
            ins = [(c.rows, inner), (inner, c.hidden), None, c.wide, (c.hidden,)]
            r.put("MatmulAllReduceAddRmsNorm", region, ins, [c.wide, c.wide], 28.0, "MIX_AIC")


def gathered_matmul(r: Recorder, c: Card) -> None:
    """Sequence parallel: gathering inside the first projection, scattering inside the last one."""
    part = c.at(c.rows // c.tp)
    for number in range(c.layers):
        r.layer, r.kind = number, "dense"
        if number == 0:
            norm(r, part)
        width, inter = c.q + 2 * c.kv_width, c.inter // c.tp
        r.put("AllGatherMatmul", A, [part.wide, (c.hidden, width)], [(c.rows, width), c.wide], 30.0, "MIX_AIC")
        r.put("split_qkv_rmsnorm_rope_kernel_0", A, us=4.0, core="AI_VECTOR_CORE")
        cache(r, c)
        core(r, c)
        r.put("MatmulReduceScatter", A, [(c.rows, c.q), (c.q, c.hidden)], [part.wide], 24.0, "MIX_AIC")
        add_norm(r, part)
        r.put(
            "AllGatherMatmul", MLP, [part.wide, (c.hidden, 2 * inter)], [(c.rows, 2 * inter), c.wide], 44.0, "MIX_AIC"
        )
        r.put("SwiGlu", MLP, [(c.rows, 2 * inter)], [(c.rows, inter)], 2.8)
        r.put("MatmulReduceScatter", MLP, [(c.rows, inter), (inter, c.hidden)], [part.wide], 30.0, "MIX_AIC")
        add_norm(r, part)


def sequence_parallel(r: Recorder, c: Card) -> None:
    """vLLM-Ascend's flash communication: reduce-scatter and all-gather of their own."""
    part, plain = c.at(c.rows // c.tp), replace(c)
    for number in range(c.layers):
        r.layer, r.kind = number, "dense"
        if number == 0:
            norm(r, part)
        for block in ("attention", "mlp"):
            r.put("hcom_allGather_", "comm", [part.wide], [c.wide], 11.0)
            if block == "attention":
                qkv(r, plain)
                cache(r, plain)
                core(r, plain)
                linear(r, plain, A, c.q, c.hidden)
            else:
                swiglu(r, plain)
            r.put("hcom_reduceScatter_", "comm", [c.wide], [part.wide], 11.0)
            add_norm(r, part)


def context_parallel_decode(r: Recorder, c: Card) -> None:
    """Each rank attends to its part of the context; partial results and their sums of exponents meet."""
    qkv(r, c)
    cache(r, c)
    core(r, c)
    out: Shape = (c.rows, c.heads, c.dim)
    r.put("ConcatD", A, [out, (c.rows, c.heads, 1)], [(c.rows, c.heads, c.dim + 1)], 2.2)
    r.put("hcom_alltoall_", "comm", [(c.rows, c.heads, c.dim + 1)], [(c.rows, c.heads, c.dim + 1)], 12.0)
    parts: list[Shape | None] = [(c.rows * c.heads,)] * 2 + [(c.rows * c.heads, c.dim)] * 2
    r.put("AttentionUpdate", A, parts, [(c.rows * c.heads, c.dim)], 5.0)
    linear(r, c, A, c.q, c.hidden)


def context_parallel_prefill(r: Recorder, c: Card) -> None:
    """All keys and values are gathered, then two half attentions are merged."""
    qkv(r, c)
    new: Shape = (c.rows, 2 * c.kv_width)
    r.put("hcom_allGather_", "comm", [new], [(2 * c.rows, 2 * c.kv_width)], 16.0)
    cache(r, c)
    query = (c.rows, c.heads, c.dim)
    keys = (c.rows, c.kv, c.dim)
    for _half in range(2):
        r.put("FusedInferAttentionScore", A, [query, keys, keys], [query, (c.rows, c.heads, 1)], 90.0, "MIX_AIC")
    parts: list[Shape | None] = [(c.rows * c.heads,)] * 2 + [(c.rows * c.heads, c.dim)] * 2
    r.put("AttentionUpdate", A, parts, [(c.rows * c.heads, c.dim)], 12.0)
    linear(r, c, A, c.q, c.hidden)


def context_parallel() -> BuiltCapture:
    r = Recorder(mode="eager", gap_us=14.0)
    plan: list[tuple[str, int, int, Block]] = [("prefill", 1024, 1, context_parallel_prefill)]
    plan += [("decode", 8, 8, context_parallel_decode)] * 2
    for step, (phase, rows, sequences, attend) in enumerate(plan):
        forward(r, QWEN3.at(rows, sequences), layers_of(("dense", attend, mlp)), step, phase, rows=sequences)
        r.pause(320.0)
    return r.finish()


def split_cores(r: Recorder, c: Card) -> None:
    """A mixed batch: prompts by one kernel, decoding sequences by another, results side by side."""
    qkv(r, c)
    cache(r, c)
    decoding = 6
    prompt: Shape = (c.rows - decoding, c.heads, c.dim)
    keys: Shape = (c.rows - decoding, c.kv, c.dim)
    r.put("FusedInferAttentionScore", A, [prompt, keys, keys], [prompt, None], 60.0, "MIX_AIC")
    core(r, c.at(decoding), "PagedAttentionMaskNdKernel")
    r.put("ConcatD", A, [prompt, (decoding, c.heads, c.dim)], [(c.rows, c.heads, c.dim)], 3.0)
    linear(r, c, A, c.q, c.hidden)


def mixed_batch() -> BuiltCapture:
    r = Recorder(mode="eager", gap_us=14.0)
    plan: list[tuple[str, int, int, Block]] = [
        ("mixed", 262, 7, split_cores),
        ("decode", 7, 7, gqa),
        ("decode", 7, 7, gqa),
    ]
    for step, (phase, rows, sequences, attend) in enumerate(plan):
        forward(r, QWEN3.at(rows, sequences), layers_of(("dense", attend, mlp)), step, phase, rows=7)
        r.pause(320.0)
    return r.finish()


def adapted(region: str, r: Recorder, c: Card, inner: int, outer: int, slices: int) -> None:
    linear(r, c, region, inner, outer)
    r.put("Fill", region, [(c.rows, 16)], [(c.rows, 16)], 1.5)
    for _slice in range(slices):
        r.put("sgmv_shrink_kernel", region, us=4.0, core="AI_VECTOR_CORE")
        r.put("sgmv_expand_slice_kernel", region, us=4.0, core="AI_VECTOR_CORE")


def lora_attention(r: Recorder, c: Card) -> None:
    adapted(A, r, c, c.hidden, c.q + 2 * c.kv_width, 3)
    r.put("split_qkv_rmsnorm_rope_kernel", A, us=4.0, core="AI_VECTOR_CORE")
    cache(r, c)
    core(r, c)
    adapted(A, r, c, c.q, c.hidden, 1)


def lora_mlp(r: Recorder, c: Card) -> None:
    adapted(MLP, r, c, c.hidden, 2 * c.inter, 2)
    r.put("SwiGlu", MLP, [(c.rows, 2 * c.inter)], [(c.rows, c.inter)], 2.8)
    adapted(MLP, r, c, c.inter, c.hidden, 1)


def two_batches(layers_count: int = 6) -> BuiltCapture:
    """Two halves of a batch on two streams, half a layer apart, so that one's exchange hides the other's work."""
    r = Recorder()
    c = replace(QWEN3_MOE, rows=48, layers=layers_count)
    half = c.at(24)
    for step in range(3):
        r.step = step
        prepare(r, c)
        embed(r, c)
        with r.beside(8, wait=False):
            r.clock[8] += 40.0
            _half_stack(r, half)
        _half_stack(r, half)
        r.join(8)
        head(r, c)
        r.pause(320.0)
    return r.finish()


def _half_stack(r: Recorder, c: Card) -> None:
    for number in range(c.layers):
        r.layer, r.kind = number, "moe"
        if number == 0:
            norm(r, c)
        gqa(r, c)
        add_norm(r, c)
        moe(r, c)
        add_norm(r, c)


def attention_rank() -> BuiltCapture:
    """Attention here, experts on other ranks: tokens leave behind the router and come back combined."""
    r = Recorder()
    c = QWEN3_MOE

    def away(r: Recorder, c: Card) -> None:
        gating(r, c)
        r.put("AttentionToFFN", MOE, [c.wide, (c.rows, c.top_k)], [(1,)], 14.0, "MIX_AIV")
        r.put(
            "AttentionWorkerCombine", MOE, [(c.rows, c.top_k, c.hidden), (c.rows, c.top_k)], [c.wide], 40.0, "MIX_AIV"
        )

    for step in range(3):
        forward(r, c, layers_of(("moe", gqa, away)), step)
        r.pause(320.0)
    return r.finish()


def expert_rank() -> BuiltCapture:
    """Only experts: tokens of other ranks' layers come in and go out, layer after layer."""
    r = Recorder()
    c = QWEN3_MOE
    rows = 384
    wide: Shape = (rows, c.hidden)
    for step in range(3):
        r.step = step
        for number in range(c.layers):
            r.layer, r.kind = number, "moe"
            r.put("FFNWorkerBatching", MOE, [(64,)], [wide, (rows,), (c.local,)], 16.0, "MIX_AIV")
            grouped(r, c, rows)
            r.put("FFNToAttention", MOE, [wide, (rows,)], [(1,)], 14.0, "MIX_AIV")
        r.pause(900.0)
    return r.finish()


def stage(first: bool, last: bool) -> BuiltCapture:
    """A stage of a pipeline: the outer ones hold the embedding or the head."""
    r = Recorder()
    c = QWEN3
    for step in range(4):
        r.step = step
        r.layer = r.kind = None
        if first:
            prepare(r, c)
            embed(r, c)
        else:
            r.put("hcom_receive_", "comm", [(1,)], [c.wide], 9.0)
            r.put("hcom_receive_", "comm", [(1,)], [c.wide], 9.0)
        for number in range(c.layers):
            r.layer, r.kind = number, "dense"
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
            r.layer = r.kind = None
            r.put("hcom_send_", "comm", [c.wide], [(1,)], 9.0)
            r.put("hcom_send_", "comm", [c.wide], [(1,)], 9.0)
        r.pause(400.0)
    return r.finish()


def draft_layer(r: Recorder, c: Card, number: int, feed: Block, attend: Block, joined: int = 2) -> None:
    """MTP and EAGLE: embedding and hidden state, both normalised, side by side through one projection."""
    r.layer = r.kind = None
    r.put("GatherV2", "embedding", [(c.vocab, c.hidden), (c.rows,), (1,)], [c.wide], 4.0)
    r.layer, r.kind = number, "mtp"
    norm(r, c)
    norm(r, c)
    r.layer = r.kind = None
    r.put("ConcatD", "other", [c.wide] * joined, [(c.rows, joined * c.hidden)], 2.0)
    linear(r, replace(c, quant=""), "other", joined * c.hidden, c.hidden)
    r.layer, r.kind = number, "mtp"
    norm(r, c)
    attend(r, c)
    add_norm(r, c)
    feed(r, c)
    add_norm(r, c)
    head(r, c)


def mtp(c: Card, layers: Layers, feed: Block, attend: Block, drafts: int) -> BuiltCapture:
    """The main model checks the drafts of the last step, then the draft layer runs once per new draft."""
    r = Recorder()
    sequences = c.rows // (drafts + 1)
    for step in range(3):
        r.step = step
        full = replace(c, sequences=sequences)
        prepare(r, full)
        embed(r, full)
        layers(r, full)
        head(r, full, c.rows)
        r.put("rejection_greedy_sample_triton", "sampling", us=3.0, core="AI_VECTOR_CORE")
        for draft in range(drafts):
            r.pause(15.0)
            draft_layer(r, c.at(sequences, sequences), c.layers + draft, feed, attend)
        r.pause(320.0)
    return r.finish()


def pictures() -> BuiltCapture:
    """A vision tower runs once before the prompt; then tokens are decoded without it."""
    r = Recorder(mode="eager", gap_us=12.0)
    plan = [("prefill", 640, 1), ("decode", 1, 1), ("decode", 1, 1), ("decode", 1, 1)]
    for step, (phase, rows, sequences) in enumerate(plan):
        c = LLAMA.at(rows, sequences)
        r.step, r.phase = step, phase
        if step == 0:
            tower(r)
        prepare(r, c)
        embed(r, c)
        if step == 0:
            r.put("MaskedScatter", "embedding", [c.wide, c.wide, (576, c.hidden)], [c.wide], 12.0)
        layers_of(("dense", gqa, mlp))(r, c)
        head(r, c, sequences)
        r.pause(320.0)
    return r.finish()


def tower(r: Recorder) -> None:
    """A vision transformer of 6 layers on 2304 patches, merged by four; all of it is `other`."""
    r.layer = r.kind = None
    rows, width, inter, heads = 2304, 1280, 5120, 16
    wide: Shape = (rows, width)
    r.put("Conv3DV2", "other", [(rows, 3, 2, 14, 14), (width, 3, 2, 14, 14)], [(rows, width, 1, 1, 1)], 60.0)
    for _layer in range(6):
        r.put("LayerNormV4", "other", [wide, (width,), (width,)], [wide, (rows, 1), (rows, 1)], 8.0)
        r.mm("other", rows, width, 3 * width)
        r.put("RotaryMul", "other", [(1, rows, heads, 80), (1, rows, 1, 80)], [(1, rows, heads, 80)], 9.0)
        r.put("FlashAttentionScore", "other", [(rows, heads, 80)] * 3, [(rows, heads, 80)], 80.0, "MIX_AIC")
        r.mm("other", rows, width, width)
        r.put("Add", "other", [wide, wide], [wide], 6.0)
        r.put("LayerNormV4", "other", [wide, (width,), (width,)], [wide, (rows, 1), (rows, 1)], 8.0)
        r.mm("other", rows, width, inter)
        r.put("Gelu", "other", [(rows, inter)], [(rows, inter)], 9.0)
        r.mm("other", rows, inter, width)
        r.put("Add", "other", [wide, wide], [wide], 6.0)
    r.put("LayerNormV4", "other", [(rows // 4, 4 * width), (4 * width,)], [(rows // 4, 4 * width)], 8.0)
    r.mm("other", rows // 4, 4 * width, 4 * width)
    r.put("Gelu", "other", [(rows // 4, 4 * width)], [(rows // 4, 4 * width)], 9.0)
    r.mm("other", rows // 4, 4 * width, 4096)


MTP_CARD = replace(DEEPSEEK, rows=24)
#: name -> how it is made.
SERVING: dict[str, Callable[[], BuiltCapture]] = {
    "matmul-all-reduce-norm": lambda: run(WIDE4, fused_sum),
    "all-gather-matmul": lambda: run(replace(WIDE4, rows=64), gathered_matmul),
    "flash-communication": lambda: run(replace(WIDE4, rows=64), sequence_parallel),
    "context-parallel": context_parallel,
    "mixed-batch": mixed_batch,
    "lora": lambda: run(QWEN3, layers_of(("dense", lora_attention, lora_mlp))),
    "two-batches": two_batches,
    "attention-rank": attention_rank,
    "expert-rank": expert_rank,
    "first-stage": lambda: stage(first=True, last=False),
    "middle-stage": lambda: stage(first=False, last=False),
    "last-stage": lambda: stage(first=False, last=True),
    "deepseek-mtp": lambda: mtp(MTP_CARD, first_dense(1, latent(), with_shared), with_shared, latent(), 1),
    "deepseek-mtp-3": lambda: mtp(
        replace(MTP_CARD, rows=32), first_dense(1, latent(), with_shared), with_shared, latent(), 3
    ),
    "qwen3-eagle": lambda: mtp(replace(QWEN3, rows=32), layers_of(("dense", gqa, mlp)), mlp, gqa, 3),
    "pictures": pictures,
    "bare-graph": lambda: run(QWEN3_MOE, layers_of(("moe", gqa, moe)), steps=4, outside=False),
}
