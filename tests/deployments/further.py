"""Further models and runtimes: widths that coincide, loose kernels round the layers, other expert exchanges, drafts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sample_builder.blocks import (
    BLOCKS,
    MLP,
    MOE,
    NORM,
    A,
    Card,
    Layers,
    add,
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
    split,
    swiglu,
)
from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.recorder import Recorder

from deployments.dense import GEMMA, LAYERNORM, LLAMA, QWEN3, fc
from deployments.experts import DEEPSEEK, KV_RANK, QWEN3_MOE, ROPE, first_dense, latent, with_shared

OLMO = Card(hidden=4096, heads=32, kv=32, dim=128, inter=11008, vocab=100352)
BLOOM = Card(hidden=4096, heads=32, kv=32, dim=128, inter=16384, vocab=250880, bias=True, **LAYERNORM)  # type: ignore[arg-type]
GRANITE = Card(hidden=2048, heads=32, kv=8, dim=64, inter=8192, vocab=49155, add_norm="")
GROK = replace(
    GEMMA, hidden=6144, heads=48, kv=8, dim=128, norm="RmsNorm", experts=8, top_k=2, expert_inter=16384, local=8
)
STEP3 = Card(hidden=7168, heads=64, kv=1, dim=256, inter=18432, vocab=128815, experts=48, top_k=3, expert_inter=5120)
PANGU = Card(hidden=5120, heads=40, kv=8, dim=128, inter=20480, vocab=153600, tp=4, quant="static")
PHI3 = Card(hidden=3072, heads=32, kv=32, dim=96, inter=8192, vocab=32064)


def whole_norms(c_norm_first: bool) -> Layers:
    """OLMo 2: q and k are normalised over all heads, as wide as the residual stream; norms behind sub-blocks."""

    def attend(r: Recorder, c: Card) -> None:
        linear(r, c, A, c.hidden, 3 * c.hidden)
        split(r, c, A, 3 * c.hidden, c.hidden, c.hidden, c.hidden)
        norm(r, c, A)
        norm(r, c, A)
        heads = (c.rows, c.heads, c.dim)
        r.put("_triton_rope", A, [heads, heads, (4096, c.dim)], [heads, heads], 3.0, "AI_VECTOR_CORE")
        cache(r, c)
        core(r, c)
        linear(r, c, A, c.hidden, c.hidden)

    def layers(r: Recorder, c: Card) -> None:
        for number in range(c.layers):
            r.layer, r.kind = number, "dense"
            for block in (attend, mlp):
                if c_norm_first:
                    norm(r, c)
                block(r, c)
                if not c_norm_first:
                    norm(r, c)
                add(r, c)
        norm(r, c)

    return layers


def embedded_norm(r: Recorder, c: Card) -> None:
    """BLOOM: a norm on the embeddings, slopes instead of positions, biases everywhere."""

    def attend(r: Recorder, c: Card) -> None:
        linear(r, c, A, c.hidden, 3 * c.hidden)
        split(r, c, A, 3 * c.hidden, c.hidden, c.hidden, c.hidden)
        cache(r, c)
        core(r, c, "PagedAttentionMaskNdKernel")
        linear(r, c, A, c.hidden, c.hidden)

    r.layer, r.kind = 0, "dense"
    norm(r, c)
    layers_of(("dense", attend, fc("Gelu")))(r, c)


def multiplied(r: Recorder, c: Card) -> None:
    """Granite: each sub-block's result is multiplied before it is added; so are embeddings and logits."""
    r.put("Muls", "embedding", [c.wide], [c.wide], 1.8)
    for number in range(c.layers):
        r.layer, r.kind = number, "dense"
        for block in (lambda r, c: gqa(r, c, ""), mlp):
            norm(r, c)
            block(r, c)
            r.put("Muls", NORM, [c.wide], [c.wide], 1.8)
            add(r, c)
    norm(r, c)


def four_norms(r: Recorder, c: Card) -> None:
    """Grok: norms before and behind both sub-blocks, experts instead of an MLP."""
    for number in range(c.layers):
        r.layer, r.kind = number, "moe"
        for block in (lambda r, c: gqa(r, c, ""), moe):
            norm(r, c)
            block(r, c)
            norm(r, c)
            add(r, c)
    norm(r, c)


def factorised(r: Recorder, c: Card) -> None:
    """Step 3: one narrow query that is normalised and widened, one key and value head."""
    rank = 2048
    linear(r, c, A, c.hidden, rank + 2 * c.dim)
    split(r, c, A, rank + 2 * c.dim, rank, c.dim, c.dim)
    norm(r, c, A, rank)
    linear(r, c, A, rank, c.heads * c.dim)
    q, k = (c.rows, c.heads, c.dim), (c.rows, 1, c.dim)
    r.put("_triton_rope", A, [q, k, (65536, c.dim)], [q, k], 3.5, "AI_VECTOR_CORE")
    cache(r, c)
    core(r, c)
    linear(r, c, A, c.heads * c.dim, c.hidden)


def quantised_cache(r: Recorder, c: Card) -> None:
    """Keys and values are written as int8 and read back with scales."""
    qkv(r, c, fused="")
    for _part in range(2):
        new = (c.rows, c.kv_width)
        r.put("AscendQuantV2", A, [new, (c.kv_width,), (c.kv_width,)], [new], 2.2)
    cache(r, c, "ScatterPaKvCache")
    core(r, c)
    linear(r, c, A, c.q, c.hidden)


def cleared(block_of: Callable[[Recorder, Card], None]) -> Callable[[Recorder, Card], None]:
    """Deterministic mode: buffers are cleared before matmuls, formats converted before attention."""

    def block(r: Recorder, c: Card) -> None:
        region = A if block_of is gqa else MLP
        r.put("MemSet", region, [(c.rows * 64,)], [(c.rows * 64,)], 1.4)
        block_of(r, c)

    return block


def masked_embedding(r: Recorder, c: Card) -> None:
    """A vocabulary split over ranks: tokens of others are masked, rows are summed."""
    r.layer = r.kind = None
    r.put("get_masked_input_and_mask", "embedding", [(c.rows,)], [(c.rows,), (c.rows,)], 2.0, "AI_VECTOR_CORE")
    r.put("GatherV2", "embedding", [(c.vocab // c.tp, c.hidden), (c.rows,), (1,)], [c.wide], 4.0)
    r.put("MaskedFill", "embedding", [c.wide, (c.rows, 1), (1,)], [c.wide], 2.0)
    r.put("hcom_allReduce_", "comm", [c.wide], [c.wide], 12.0)


def full_sampling(r: Recorder, c: Card) -> None:
    """Penalties, temperature, top-k and top-p, a draw; log probabilities beside it."""
    logits, c_rows = (c.rows, c.vocab), c.rows
    r.put("Cast", "sampling", [logits], [logits], 4.0)
    r.put("token_bin_counts_and_mask_kernel", "sampling", us=8.0, core="AI_VECTOR_CORE")
    r.put("apply_penalties_kernel", "sampling", us=9.0, core="AI_VECTOR_CORE")
    r.put("RealDiv", "sampling", [logits, (c_rows, 1)], [logits], 6.0)
    r.put("ApplyTopKTopPCustom", "sampling", [logits, (c_rows,), (c_rows,)], [logits], 60.0)
    r.put("SoftmaxV2", "sampling", [logits], [logits], 8.0)
    r.put("DSARandomUniform", "sampling", [(1,)], [logits], 5.0)
    for op in ("Log", "Neg", "RealDiv"):
        r.put(op, "sampling", [logits, logits] if op == "RealDiv" else [logits], [logits], 6.0)
    r.put("ArgMaxV2", "sampling", [logits, (1,)], [(c_rows,)], 9.0)
    r.put("LogSoftmaxV2", "sampling", [logits], [logits], 9.0)
    r.put("GatherElements", "sampling", [logits, (c_rows, 1)], [(c_rows, 1)], 3.0)


def sampled() -> BuiltCapture:
    r = Recorder(mode="graph")
    c = replace(QWEN3, tp=2)
    for step in range(4):
        r.step = step
        prepare(r, c)
        masked_embedding(r, c)
        layers_of(("dense", gqa, mlp))(r, c)
        r.layer = r.kind = None
        r.put("Index", "head", [c.wide, (1,), (2,), (c.rows,)], [c.wide], 2.8)
        linear(r, c, "head", c.hidden, c.vocab // c.tp)
        r.put("hcom_allGather_", "comm", [(c.rows, c.vocab // c.tp)], [(c.rows, c.vocab)], 9.0)
        r.put("Transpose", "head", [(2, c.rows, c.vocab // 2)], [(c.rows, 2, c.vocab // 2)], 6.0)
        full_sampling(r, c)
        r.pause(400.0)
    return r.finish()


def deep_exchange(r: Recorder, c: Card) -> None:
    """SGLang with DeepEP for prompts: layout, notice, dispatch, experts, combine."""
    rows = c.rows * c.top_k
    wide: Shape = (rows, c.hidden)
    gating(r, c)
    r.put("DispatchLayout", MOE, [(c.rows, c.top_k)], [(64,), (c.experts,)], 6.0, "MIX_AIV")
    r.put("NotifyDispatch", MOE, [(c.experts,)], [(c.experts,)], 16.0, "MIX_AIV")
    r.put("MoeDispatchNormal", MOE, [c.wide, (c.rows, c.top_k)], [wide, (rows,)], 60.0, "MIX_AIV")
    grouped(r, c, rows)
    r.put("MoeCombineNormal", MOE, [wide, (c.rows, c.top_k)], [c.wide], 50.0, "MIX_AIV")


def deep_fused(r: Recorder, c: Card) -> None:
    gating(r, c, "MoeGatingTopKSoftmax", cast=False)
    up: Shape = (c.local, c.hidden, 2 * c.expert_inter)
    r.put("FusedDeepMoe", MOE, [c.wide, (c.rows, c.top_k), up], [c.wide], 120.0, "MIX_AIC")


def chunked_latent(r: Recorder, c: Card) -> None:
    """Latent attention on a chunk of a prompt: keys and values made anew for the chunk and the cached context."""
    rank, width = 1536, c.heads * (c.dim + ROPE)
    linear(r, c, A, c.hidden, rank + KV_RANK + ROPE)
    norm(r, c, A, rank, "RmsNorm")
    linear(r, c, A, rank, width)
    turned = (c.rows, c.heads, 1, ROPE)
    r.put("InterleaveRope", A, [turned, (c.rows, 1, 1, ROPE), (c.rows, 1, 1, ROPE)], [turned], 6.0)
    pages: list[Shape | None] = [(BLOCKS, 128, 1, ROPE), (BLOCKS, 128, 1, KV_RANK)]
    new: list[Shape | None] = [(c.rows, 1, 1, KV_RANK + ROPE), (KV_RANK,), (c.rows,), *pages]
    r.put("KvRmsNormRopeCache", A, new, pages, 8.0, "AI_VECTOR_CORE")
    query: Shape = (c.rows, c.heads, c.dim)
    for part in range(3):
        if part:
            r.put("PagedCacheLoadNdKernel", A, [*pages, (1, 64)], [(2048, 1, KV_RANK)], 18.0, "AI_VECTOR_CORE")
        r.mm(A, c.rows if not part else 2048, KV_RANK, c.heads * 2 * c.dim)
        r.put("ConcatD", A, [query, (c.rows, c.heads, ROPE)], [(c.rows, c.heads, c.dim + ROPE)], 8.0)
        r.put("RINGMLAPrefillBF16Kernel", A, [query, (c.rows, c.heads, ROPE), query], [query], 160.0, "MIX_AIC")
    linear(r, replace(c, quant="static"), A, c.heads * c.dim, c.hidden)


def chunked() -> BuiltCapture:
    r = Recorder(mode="eager", gap_us=14.0)
    plan: list[tuple[str, int, int, Layers]] = [("prefill", 1024, 1, first_dense(2, chunked_latent, with_shared))]
    plan += [("decode", 8, 8, first_dense(2, latent(), with_shared))] * 2
    for step, (phase, rows, sequences, layers) in enumerate(plan):
        forward(r, DEEPSEEK.at(rows, sequences), layers, step, phase, rows=sequences)
        r.pause(320.0)
    return r.finish()


def three_states(c: Card, drafts: int = 3) -> BuiltCapture:
    """EAGLE-3: hidden states of three layers are mixed once; the draft's q, k, v read two states side by side."""
    r = Recorder()
    small = replace(c, vocab=32000)
    for step in range(3):
        r.step = step
        full = replace(c, sequences=c.rows // (drafts + 1))
        prepare(r, full)
        embed(r, full)
        layers_of(("dense", gqa, mlp))(r, full)
        head(r, full, c.rows)
        r.layer = r.kind = None
        r.put("ConcatD", "other", [c.wide] * 3, [(c.rows, 3 * c.hidden)], 2.2)
        r.mm("other", c.rows, 3 * c.hidden, c.hidden)
        for draft in range(drafts):
            r.pause(12.0)
            now = small.at(c.rows // (drafts + 1))
            r.layer = r.kind = None
            r.put("GatherV2", "embedding", [(c.vocab, c.hidden), (now.rows,), (1,)], [now.wide], 4.0)
            r.layer, r.kind = c.layers + draft, "mtp"
            norm(r, now)
            norm(r, now)
            r.put("ConcatD", A, [now.wide, now.wide], [(now.rows, 2 * c.hidden)], 2.0)
            linear(r, now, A, 2 * c.hidden, now.q + 2 * now.kv_width)
            r.put("_triton_rope", A, us=3.0, core="AI_VECTOR_CORE")
            cache(r, now)
            core(r, now)
            linear(r, now, A, now.q, now.hidden)
            add_norm(r, now)
            mlp(r, now)
            add_norm(r, now)
            head(r, now)
        r.pause(320.0)
    return r.finish()


def eager_then_graph() -> BuiltCapture:
    """Prompts run eagerly on one stream, decoding is replayed from a graph on another."""
    r = Recorder(mode="eager", gap_us=14.0)
    layers = layers_of(("moe", gqa, moe))
    forward(r, QWEN3_MOE.at(600, 1), layers, 0, "prefill", rows=1)
    r.pause(900.0)
    r.mode, r.gap_us, r.stream = "graph", 0.2, 21
    r.clock[21] = max(r.clock.values())
    for step in range(1, 4):
        forward(r, QWEN3_MOE.at(8, 8), layers, step, "decode", rows=8)
        r.pause(350.0)
    recorded = r.finish()
    return recorded


def sound() -> BuiltCapture:
    """An audio encoder (two convolutions, layers of its own width) before the prompt of a text decoder."""
    r = Recorder(mode="eager", gap_us=12.0)
    for step, (phase, rows, sequences) in enumerate([("prefill", 200, 1), ("decode", 1, 1), ("decode", 1, 1)]):
        c = LLAMA.at(rows, sequences)
        r.step, r.phase = step, phase
        if step == 0:
            _hearing(r)
        forward(r, c, layers_of(("dense", gqa, mlp)), step, phase, rows=sequences)
        r.pause(320.0)
    return r.finish()


def _hearing(r: Recorder) -> None:
    r.layer = r.kind = None
    rows, width = 1500, 1280
    wide: Shape = (1, rows, width)
    for _convolution in range(2):
        r.put("Conv2D", "other", [(1, 128, 1, 2 * rows), (width, 128, 1, 3)], [(1, width, 1, rows)], 40.0)
        r.put("Gelu", "other", [(1, width, rows)], [(1, width, rows)], 6.0)
    r.put("Add", "other", [wide, (rows, width)], [wide], 4.0)
    for _layer in range(5):
        r.put("LayerNormV4", "other", [wide, (width,), (width,)], [wide, (1, rows, 1)], 6.0)
        for _part in range(3):
            r.put("MatMulV3", "other", [wide, (width, width), (width,)], [wide], 30.0, "AI_CORE")
        r.put("PromptFlashAttention", "other", [wide, wide, wide], [wide], 60.0, "MIX_AIC")
        r.put("MatMulV3", "other", [wide, (width, width), (width,)], [wide], 30.0, "AI_CORE")
        r.put("Add", "other", [wide, wide], [wide], 4.0)
        r.put("LayerNormV4", "other", [wide, (width,), (width,)], [wide, (1, rows, 1)], 6.0)
        r.put("MatMulV3", "other", [wide, (4 * width, width)], [(1, rows, 4 * width)], 60.0, "AI_CORE")
        r.put("Gelu", "other", [(1, rows, 4 * width)], [(1, rows, 4 * width)], 6.0)
        r.put("MatMulV3", "other", [(1, rows, 4 * width), (width, 4 * width)], [wide], 60.0, "AI_CORE")
        r.put("Add", "other", [wide, wide], [wide], 4.0)
    r.put("LayerNormV4", "other", [wide, (width,), (width,)], [wide, (1, rows, 1)], 6.0)
    r.put("MatMulV3", "other", [wide, (4096, width)], [(1, rows, 4096)], 50.0, "AI_CORE")


def gate_and_up(r: Recorder, c: Card) -> None:
    swiglu(r, c)


#: name -> how it is made.
FURTHER: dict[str, Callable[[], BuiltCapture]] = {
    "olmo-2": lambda: run(OLMO, whole_norms(False)),
    "olmoe-like-norms": lambda: run(OLMO, whole_norms(True)),
    "bloom": lambda: run(BLOOM, embedded_norm),
    "granite": lambda: run(GRANITE, multiplied),
    "grok": lambda: run(GROK, four_norms),
    "step-3": lambda: run(STEP3, first_dense(1, factorised, with_shared)),
    "pangu-static": lambda: run(PANGU, layers_of(("dense", lambda r, c: gqa(r, c, ""), mlp))),
    "phi-3": lambda: run(PHI3, layers_of(("dense", lambda r, c: gqa(r, c, ""), gate_and_up))),
    "quantised-cache": lambda: run(replace(QWEN3, quant="dynamic"), layers_of(("dense", quantised_cache, mlp))),
    "cleared-buffers": lambda: run(QWEN3, layers_of(("dense", cleared(gqa), cleared(mlp)))),
    "full-sampling": sampled,
    "deep-exchange": lambda: run(QWEN3_MOE, layers_of(("moe", gqa, deep_exchange)), mode="eager"),
    "deep-fused": lambda: run(replace(QWEN3_MOE, quant="dynamic"), layers_of(("moe", gqa, deep_fused))),
    "chunked-latent": chunked,
    "eagle-3": lambda: three_states(replace(QWEN3, rows=32)),
    "eager-then-graph": eager_then_graph,
    "sound": sound,
}
