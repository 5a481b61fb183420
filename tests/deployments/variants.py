"""Captures by name: each function writes one deployment down with its truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.perturb import change, from_trace, keep, level0, without_shapes
from sample_builder.recorder import Recorder
from sample_builder.renaming import renamed

from deployments.small_blocks import (
    ATB,
    PLAIN,
    Block,
    Model,
    activate,
    add,
    add_norm,
    attention,
    core,
    dense,
    embed,
    experts,
    feed_forward,
    grouped,
    head,
    join,
    latent,
    looped,
    mlp,
    norm,
    pre_norm,
    project,
    qkv,
    routed,
    router,
    shared,
)

Layers = Callable[[Recorder, Model], None]


def run(
    m: Model, layers: Layers | None = None, steps: int = 3, mode: str = "graph", bare: bool = False, seed: int = 0
) -> BuiltCapture:
    """Some decode steps: embedding, layers, head, sampling; `bare` leaves all but the layers away."""
    r = Recorder(mode=mode, gap_us=0.2 if mode == "graph" else 12.0, seed=seed)
    for step in range(steps):
        forward(r, m, layers, step, bare=bare)
        r.pause(350.0)
    return r.finish()


def forward(
    r: Recorder,
    m: Model,
    layers: Layers | None,
    step: int,
    phase: str = "decode",
    bare: bool = False,
    head_rows: int = 0,
) -> None:
    r.step, r.phase = step, phase
    if not bare:
        embed(r, m)
    (layers or (lambda r, m: pre_norm(r, m, dense(m))))(r, m)
    if not bare:
        head(r, m, head_rows)


def stack(*kinds: tuple[str, Block, Block]) -> Layers:
    """These layers, over and over until the model is full."""
    return lambda r, m: pre_norm(r, m, [kinds[number % len(kinds)] for number in range(m.layers)])


def moe_of(feed: Block, first_dense: int = 0, attend: Block = attention) -> Layers:
    def layers(r: Recorder, m: Model) -> None:
        kinds = [
            ("dense", attend, mlp) if number < first_dense else ("moe", attend, feed) for number in range(m.layers)
        ]
        pre_norm(r, m, kinds)

    return layers


def sandwich(r: Recorder, m: Model) -> None:
    """Norms before and after each sub-block (Gemma 2 and 3, GLM-4-0414)."""
    for number in range(m.layers):
        r.layer, r.kind = number, "dense"
        for block in (attention, mlp):
            norm(r, m)
            block(r, m)
            norm(r, m)
            add(r, m)
    norm(r, m)


def parallel(r: Recorder, m: Model) -> None:
    """One norm, attention and MLP beside one another (GPT-J, Falcon, Cohere)."""
    for number in range(m.layers):
        r.layer, r.kind = number, "dense"
        norm(r, m)
        attention(r, m)
        mlp(r, m)
        add(r, m)
        add(r, m)
    norm(r, m)


def post_norm(r: Recorder, m: Model) -> None:
    """Norms on the sub-blocks' results only (OLMo 2)."""
    for number in range(m.layers):
        r.layer, r.kind = number, "dense"
        for block in (attention, mlp):
            block(r, m)
            norm(r, m)
            add(r, m)
    norm(r, m)


def sequence_parallel(r: Recorder, m: Model) -> None:
    """Each rank normalises its part of the tokens; the sub-blocks gather and scatter them."""
    part = m.at(m.rows // 4)
    for number in range(m.layers):
        r.layer, r.kind = number, "dense"
        for number_of_block, block in enumerate((attention, mlp)):
            if number == 0 and number_of_block == 0:
                norm(r, part)
            r.put("hcom_allGather_", "comm", [(part.rows, m.hidden)], [(m.rows, m.hidden)], 11.0)
            block(r, replace(m, tp=1))
            r.put("hcom_reduceScatter_", "comm", [(m.rows, m.hidden)], [(part.rows, m.hidden)], 11.0)
            add_norm(r, part)


def fused_reduce(r: Recorder, m: Model) -> None:
    """Projection, all-reduce, residual and norm as one operator."""
    for number in range(m.layers):
        r.layer, r.kind = number, "dense"
        if number == 0:
            norm(r, m)
        wide = (m.rows, m.hidden)
        qkv(r, m)
        core(r, m)
        width = m.heads // m.tp * m.dim
        r.put("MatmulAllReduceAddRmsNorm", "attention", [(m.rows, width), (m.hidden, width), wide], [wide, wide], 24.0)
        project(r, m, "mlp", m.hidden, 2 * m.inter // m.tp)
        activate(r, m, "mlp", m.inter // m.tp)
        inner = m.inter // m.tp
        r.put("MatmulAllReduceAddRmsNorm", "mlp", [(m.rows, inner), (m.hidden, inner), wide], [wide, wide], 26.0)


def unfused(r: Recorder, m: Model) -> None:
    router(r, m, fused=False)
    looped(r, m)


def shared_before(r: Recorder, m: Model) -> None:
    shared(r, m)
    router(r, m)
    routed(r, m)
    join(r, m)


def shared_after(r: Recorder, m: Model) -> None:
    router(r, m)
    routed(r, m)
    shared(r, m, gate=True)
    join(r, m)


def shared_between(r: Recorder, m: Model) -> None:
    router(r, m)
    shared(r, m)
    experts(r, m)
    join(r, m)


def shared_beside(r: Recorder, m: Model) -> None:
    router(r, m)
    with r.beside(9, wait=False):
        shared(r, m)
    experts(r, m)
    r.join(9)
    join(r, m)


def plain_experts(r: Recorder, m: Model) -> None:
    router(r, m)
    experts(r, m)


def all_to_all(r: Recorder, m: Model) -> None:
    """Expert parallelism by stand-alone collectives."""
    rows = m.rows * m.top_k
    wide = (rows, m.hidden)
    router(r, m)
    r.put("MoeInitRoutingV2", "moe", [(m.rows, m.hidden), (m.rows, m.top_k)], [wide, (rows,)], 8.0)
    r.put("hcom_alltoallv_", "comm", [wide], [wide], 22.0)
    r.put("MoeReRouting", "moe", [wide, (8, 8)], [wide], 5.0)
    grouped(r, m, rows)
    r.put("IndexSelect", "moe", [wide, (rows,)], [wide], 3.0)
    r.put("hcom_alltoallv_", "comm", [wide], [wide], 22.0)
    r.put("MoeFinalizeRoutingV2", "moe", [wide, (m.rows, m.top_k)], [(m.rows, m.hidden)], 5.0)


def gathered(r: Recorder, m: Model) -> None:
    """Attention data parallel, experts parallel: every rank sees all tokens of all."""
    everyone = m.at(m.rows * 4)
    r.put("hcom_allGather_", "comm", [(m.rows, m.hidden)], [(everyone.rows, m.hidden)], 14.0)
    router(r, everyone)
    routed(r, everyone)
    r.put("hcom_reduceScatter_", "comm", [(everyone.rows, m.hidden)], [(m.rows, m.hidden)], 14.0)


def one_kernel(r: Recorder, m: Model) -> None:
    router(r, m, dtype_cast=False)
    up = (8, m.hidden, 2 * m.expert_inter)
    r.put("DispatchFFNCombine", "moe", [(m.rows, m.hidden), up], [(m.rows, m.hidden)], 90.0, "MIX_AIC")


def overlapping(r: Recorder, m: Model) -> None:
    """Experts on a second stream while the next layer's attention already runs."""
    norm(r, m)
    for number in range(m.layers):
        r.layer, r.kind = number, "moe"
        attention(r, m)
        if number:
            r.join(9)
        add_norm(r, m)
        with r.beside(9, wait=False):
            plain_experts(r, m)
        r.pause(0)
        r.clock[7] -= 60.0
        add_norm(r, m)


def convolution_scan(r: Recorder, m: Model) -> None:
    """A linear attention whose kernels have names of nobody: convolution and scan (Mamba 2)."""
    inner = 2 * m.hidden
    project(r, m, "attention", m.hidden, 2 * inner + 288)
    r.put("ssm_conv_upd", "attention", [(m.rows, inner + 256)], [(m.rows, inner + 256)], 4.0)
    r.put("ssd_state_k", "attention", [(m.rows, 64, 64), (m.rows, 64)], [(m.rows, 64, 64)], 16.0, "MIX_AIV")
    r.put("RmsNorm", "attention", [(m.rows, inner), (inner,)], [(m.rows, inner)], 2.5)
    project(r, m, "attention", inner, m.hidden)


def delta(r: Recorder, m: Model) -> None:
    """Gated delta net under unknown names (Qwen3-Next)."""
    project(r, m, "attention", m.hidden, 3 * m.hidden)
    project(r, m, "attention", m.hidden, 64)
    r.put("upd_conv_state_x", "attention", [(m.rows, 2 * m.hidden)], [(m.rows, 2 * m.hidden)], 4.0)
    r.put("fgdr_step_k", "attention", [(m.rows, 16, 128), (m.rows, 16, 128)], [(m.rows, 32, 128)], 15.0)
    r.put("RmsNorm", "attention", [(m.rows * 32, 128), (128,)], [(m.rows * 32, 128)], 2.5)
    r.put("Swish", "attention", [(m.rows, m.hidden)], [(m.rows, m.hidden)], 2.0)
    r.put("Mul", "attention", [(m.rows, m.hidden), (m.rows, m.hidden)], [(m.rows, m.hidden)], 2.0)
    project(r, m, "attention", m.hidden, m.hidden)


def latent_prolog(r: Recorder, m: Model) -> None:
    wide = (m.rows, m.hidden)
    query = (m.rows, m.heads, 512)
    r.put("MlaPrologV2", "attention", [wide, (m.hidden, 1536), (1536, m.heads * 192)], [query], 34.0, "MIX_AIC")
    r.put("FusedInferAttentionScore", "attention", [query, (900, 128, 512)], [query], 30.0, "MIX_AIC")
    out = (m.rows, m.heads * m.dim)
    r.put("TransposeBatchMatMul", "attention", [query, (m.heads, 512, m.dim)], [out], 9.0)
    project(r, m, "attention", m.heads * m.dim, m.hidden)


def latent_two_streams(r: Recorder, m: Model) -> None:
    latent(r, m, kv_stream=11)


def indexed(r: Recorder, m: Model) -> None:
    """Sparse attention with an indexer in front."""
    project(r, m, "attention", m.hidden, 64 * 128)
    project(r, m, "attention", m.hidden, 128)
    r.put("LayerNormV4", "attention", [(m.rows, 128), (128,)], [(m.rows, 128)], 2.5)
    project(r, m, "attention", m.hidden, 64)
    r.put("LightningIndexer", "attention", [(m.rows, 64, 128), (900, 128, 128)], [(m.rows, 2048)], 20.0, "MIX_AIC")
    latent(r, m, op="SparseFlashAttention")


def draft(r: Recorder, m: Model, number: int, kind_of: Block = mlp) -> None:
    """One draft layer behind the main model (EAGLE, MTP)."""
    r.layer = r.kind = None
    wide = (m.rows, m.hidden)
    r.put("GatherV2", "embedding", [(m.vocab, m.hidden), (m.rows,)], [wide], 4.0)
    r.layer, r.kind = number, "mtp"
    norm(r, m)
    norm(r, m)
    r.layer = r.kind = None
    r.put("ConcatD", "other", [wide, wide], [(m.rows, 2 * m.hidden)], 2.0)
    r.mm("other", m.rows, 2 * m.hidden, m.hidden)
    r.layer, r.kind = number, "mtp"
    norm(r, m)
    attention(r, m)
    add_norm(r, m)
    kind_of(r, m)
    add_norm(r, m)
    head(r, m)


def drafted(m: Model, drafts: int, layers: Layers | None = None, steps: int = 2) -> BuiltCapture:
    """A main model that checks several tokens, then `drafts` runs of its draft layer."""
    r = Recorder()
    for step in range(steps):
        forward(r, replace(m, sequences=m.rows // 4), layers, step)
        for number in range(drafts):
            r.pause(20.0)
            draft(r, m.at(m.rows // 4), m.layers + number)
        r.pause(350.0)
    return r.finish()


def phases(
    m: Model, plan: list[tuple[str, int, int]], mode: str = "eager", layers: Layers | None = None
) -> BuiltCapture:
    """Steps of (phase, rows, sequences)."""
    r = Recorder(mode=mode, gap_us=12.0 if mode == "eager" else 0.2)
    for step, (phase, rows, sequences) in enumerate(plan):
        forward(r, replace(m, rows=rows, sequences=sequences), layers, step, phase, head_rows=sequences)
        r.pause(300.0)
    return r.finish()


def warm_up() -> BuiltCapture:
    r = Recorder()
    for step in range(4):
        r.slow = 5.0 if step == 0 else 1.0
        forward(r, Model(), None, step)
        r.pause(300.0)
    return r.finish()


def cut(recorded: BuiltCapture, first: int, last: int) -> BuiltCapture:
    """Without the first and the last kernels."""
    count = len(recorded.truth)
    return keep(recorded, [first <= row < count - last for row in range(count)])


def without(recorded: BuiltCapture, *regions: str) -> BuiltCapture:
    return keep(recorded, ~recorded.truth["region"].isin(regions).to_numpy())


def thinned(recorded: BuiltCapture, every: int) -> BuiltCapture:
    return keep(recorded, [row % every != every // 2 for row in range(len(recorded.truth))])


def two_models() -> BuiltCapture:
    """A draft model of its own, of other width, that runs four times behind the main model's check."""
    r = Recorder()
    small = Model(layers=2, hidden=1024, heads=8, kv=2, dim=128, inter=2816, vocab=64000, rows=4)
    for step in range(3):
        forward(r, Model(sequences=4), None, step)
        for number in range(4):
            r.pause(15.0)
            embed(r, small)
            for layer in range(small.layers):
                r.layer, r.kind = 8 + 2 * number + layer, "mtp"
                if layer == 0:
                    norm(r, small)
                attention(r, small)
                add_norm(r, small)
                mlp(r, small)
                add_norm(r, small)
            head(r, small)
        r.pause(300.0)
    return r.finish()


def pieces(m: Model) -> BuiltCapture:
    """Graph pieces with a stream each, attention eager on another stream."""
    r = Recorder()
    for step in range(3):
        r.step = step
        streams = iter(range(100, 200))
        r.clock = dict.fromkeys([*r.clock, 7, *range(100, 200)], max(r.clock.values()) + 300)
        r.stream = next(streams)
        embed(r, m)
        for number in range(m.layers):
            r.layer, r.kind = number, "dense"
            if number == 0:
                norm(r, m)
            qkv(r, m)
            for stream in (7, next(streams)):
                now = max(r.clock.values()) + 250
                r.stream, r.clock[stream] = stream, now
                if stream == 7:
                    core(r, m)
            project(r, m, "attention", m.heads * m.dim, m.hidden)
            add_norm(r, m)
            mlp(r, m)
            add_norm(r, m)
        head(r, m)
    return r.finish()


def fused_rows(scope: str, parts: Callable[[str], str]) -> BuiltCapture:
    """A capture with SuperKernels on; `parts(sub-block)` is `keep` or the scope that swallows it."""
    m = Model()
    r = Recorder()
    wide: Shape = (m.rows, m.hidden)
    for step in range(3):
        r.step = step
        embed(r, m)
        for number in range(m.layers):
            r.layer, r.kind = number, "dense" if parts("mlp") == "keep" else "other"
            if number == 0 and parts("norm") == "keep":
                norm(r, m)
            if parts("attention") == "keep":
                attention(r, m)
            else:
                name = f"sk_{scope}_{number}_start_MatMulV2_{4 * number}_end_MatMulV2_{4 * number + 1}"
                region = "attention" if parts("mlp") == "keep" else "other"
                us = 40.0 if region == "attention" else 75.0
                r.put("SuperKernel", region, [wide], [wide], us, "MIX_AIC", name=name)
            if parts("mlp") == "keep":
                add_norm(r, m)
                mlp(r, m)
                add_norm(r, m)
        head(r, m)
        r.pause(300.0)
    return r.finish()


def mindspore(m: Model) -> BuiltCapture:
    """Names as MindSpore writes them: the path of the cell, then the operator with its number."""
    recorded = run(replace(m, names=PLAIN, qkv="separate", mlp="swish"))
    cells = {"attention": "attention-LlamaAttention", "mlp": "feed_forward-LlamaFeedForward", "norm": "norm-RMSNorm"}
    names = [
        f"Default/network-LlamaForCausalLM/model-LlamaModel/layers-CellList/{layer}-LlamaDecodeLayer/"
        f"{cells.get(region, region)}/{op}-op{number}"
        for number, (op, layer, region) in enumerate(
            zip(
                recorded.capture.kernels["op_type"],
                recorded.truth["layer"].fillna(-1),
                recorded.truth["region"],
                strict=True,
            )
        )
    ]
    import pandas as pd

    return change(recorded, name=pd.Series(names), op_type=None, input_shapes=None, output_shapes=None)


def marked(several: int, lost: bool) -> BuiltCapture:
    """Profiler step ids that hold several passes each, or lack on some rows."""
    import pandas as pd

    recorded = run(Model(), steps=4)
    ids = pd.Series([10 + step // several for step in recorded.truth["step"]], dtype=object)
    if lost:
        ids[[row % 7 == 3 for row in range(len(ids))]] = None
    return change(recorded, step_id=ids)


GEMMA = Model(names=PLAIN, heads=16, kv=8, dim=128, inter=6144, qk_norm=True)
GPT = Model(
    names={**PLAIN, "norm": "LayerNormV4", "rope": ""}, kv=16, inter=8192, qkv="separate", mlp="gelu", bias=True
)  # fmt: skip
MLA = Model(hidden=4096, heads=32, kv=32, quant="dynamic")
HYBRID = stack(("moe", delta, plain_experts), ("moe", delta, plain_experts), ("moe", attention, plain_experts))
BARE = run(Model(), steps=4, bare=True)
EXPERTS = run(Model(), moe_of(shared_between))

#: name -> how it is made. Every capture is the same in every run.
BLOCK_VARIANTS: dict[str, Callable[[], BuiltCapture]] = {
    "sandwich": lambda: run(GEMMA, sandwich),
    "sandwich-level0": lambda: level0(run(GEMMA, sandwich)),
    "parallel": lambda: run(replace(GEMMA, mlp="gelu"), parallel),
    "parallel-swiglu": lambda: run(GEMMA, parallel),
    "post-norm": lambda: run(replace(GEMMA, kv=16), post_norm),
    "gpt": lambda: run(GPT),
    "gpt-level0": lambda: level0(run(GPT)),
    "gpt-eager": lambda: run(GPT, mode="eager"),
    "mqa": lambda: run(Model(kv=1)),
    "square": lambda: run(Model(kv=16, qkv="separate")),
    "square-renamed": lambda: renamed(run(Model(kv=16, qkv="separate"))),
    "tiny": lambda: run(Model(hidden=64, heads=4, kv=2, dim=16, inter=172, vocab=512, rows=2)),
    "hidden-is-intermediate": lambda: run(Model(inter=2048, mlp="swish", qkv="separate", kv=16)),
    "qkv-like-gated": lambda: run(Model(kv=8, heads=16)),
    "qkv-like-gated-renamed": lambda: renamed(run(Model(kv=8, heads=16))),
    "separate-tp": lambda: run(Model(qkv="separate", tp=4)),
    "sequence-parallel": lambda: run(Model(rows=64), sequence_parallel),
    "fused-reduce": lambda: run(Model(tp=2), fused_reduce),
    "sigmoid-mul": lambda: run(Model(mlp="sigmoid")),
    "swish-mul": lambda: run(Model(mlp="swish", qkv="separate")),
    "swish-between": lambda: run(Model(mlp="swish-between", names=PLAIN)),
    "w8a8-static": lambda: run(Model(quant="static")),
    "w8a8-static-level0": lambda: level0(run(Model(quant="static"))),
    "w4a8": lambda: run(Model(quant="w4a8")),
    "mx": lambda: run(Model(quant="mx")),
    "atb": lambda: run(Model(names=ATB)),
    "atb-level0": lambda: level0(run(Model(names=ATB))),
    "mindspore": lambda: mindspore(Model()),
    "moe-unfused-loop": lambda: run(Model(), moe_of(unfused)),
    "moe-loop-eager": lambda: run(Model(), moe_of(unfused), mode="eager"),
    "moe-shared-before": lambda: run(Model(), moe_of(shared_before)),
    "moe-shared-after": lambda: run(Model(), moe_of(shared_after)),
    "moe-shared-between": lambda: EXPERTS,
    "moe-shared-between-level0": lambda: level0(EXPERTS),
    "moe-shared-beside": lambda: run(Model(), moe_of(shared_beside)),
    "moe-shared-beside-trace": lambda: from_trace(run(Model(), moe_of(shared_beside))),
    "moe-shared-beside-level0": lambda: level0(run(Model(), moe_of(shared_beside))),
    "moe-all-to-all": lambda: run(Model(), moe_of(all_to_all)),
    "moe-all-gather": lambda: run(Model(), moe_of(gathered)),
    "moe-one-kernel": lambda: run(Model(), moe_of(one_kernel)),
    "moe-overlapping": lambda: run(Model(), overlapping),
    "moe-first-dense": lambda: run(Model(), moe_of(shared_between, 3)),
    "moe-first-dense-level0": lambda: level0(run(Model(), moe_of(shared_between, 3))),
    "moe-interleaved": lambda: run(Model(), stack(("dense", attention, mlp), ("moe", attention, shared_between))),
    "moe-renamed": lambda: renamed(EXPERTS),
    "hybrid-scan": lambda: run(Model(), stack(*[("dense", convolution_scan, mlp)] * 3, ("dense", attention, mlp))),
    "hybrid-delta": lambda: run(Model(layers=9), HYBRID),
    "hybrid-delta-level0": lambda: level0(run(Model(layers=9), HYBRID)),
    "only-scan": lambda: run(Model(), stack(("dense", convolution_scan, mlp))),
    "mla": lambda: run(MLA, moe_of(shared_beside, 1, latent)),
    "mla-two-streams": lambda: run(MLA, moe_of(shared_between, 1, latent_two_streams)),
    "mla-prolog": lambda: run(MLA, moe_of(shared_between, 1, latent_prolog)),
    "mla-prolog-level0": lambda: level0(run(MLA, moe_of(shared_between, 1, latent_prolog))),
    "indexer": lambda: run(MLA, moe_of(shared_between, 1, indexed)),
    "eagle-3": lambda: drafted(Model(), 3),
    "mtp-1": lambda: drafted(Model(), 1, moe_of(shared_between)),
    "speculative": lambda: phases(Model(), [("decode", 64, 16)] * 3, "graph"),
    "chunked": lambda: phases(Model(), [("prefill", 512, 1), ("mixed", 300, 5), ("decode", 6, 6)]),
    "batches": lambda: phases(Model(), [("decode", 16, 16), ("decode", 4, 4), ("decode", 24, 24)], "graph"),
    "no-head": lambda: without(run(Model(), steps=4), "head", "sampling"),
    "no-embedding": lambda: without(run(Model(), steps=4), "embedding"),
    "no-sampling": lambda: without(run(Model(), steps=4), "sampling"),
    "head-level0": lambda: level0(without(run(Model(), steps=4), "sampling")),
    "cut-early": lambda: cut(run(Model()), 0, 80),
    "cut-in-layer": lambda: cut(run(Model()), 22, 30),
    "cut-in-moe": lambda: cut(EXPERTS, 40, 31),
    "bare": lambda: BARE,
    "bare-no-pause": lambda: bare_without_pause(),
    "bare-moe": lambda: run(Model(), moe_of(shared_between, 2), bare=True),
    "bare-level0": lambda: level0(BARE),
    "warm-up": warm_up,
    "thinned": lambda: thinned(run(Model(layers=24)), 61),
    "one-layer": lambda: run(Model(layers=1), steps=5),
    "two-models": two_models,
    "pieces": lambda: pieces(Model()),
    "trace": lambda: from_trace(run(Model(qk_norm=True))),
    "sk-layers": lambda: fused_rows("decode_layer", lambda part: "layer"),
    "sk-attention": lambda: fused_rows("attention_layer", lambda part: "attn" if part == "attention" else "keep"),
    "garbage": lambda: change(run(Model()), op_type=lambda op: op if "MatMul" in op else f"\x00\xff{len(op)}"),
    "triton": lambda: run(Model(qkv="triton", qk_norm=True)),
    "triton-level0": lambda: level0(run(Model(qkv="triton", qk_norm=True))),
    "renamed": lambda: renamed(run(Model())),
    "renamed-plain": lambda: renamed(run(Model(names=PLAIN, qkv="separate", mlp="swish", qk_norm=True))),
    "some-shapes": lambda: without_shapes(run(Model()), 0.4),
    "some-shapes-moe": lambda: without_shapes(EXPERTS, 0.4),
    "several-per-id": lambda: marked(2, lost=False),
    "ids-lost": lambda: marked(1, lost=True),
}


def bare_without_pause() -> BuiltCapture:
    """Graph replays back to back: only the repetition of layers is left."""
    r = Recorder()
    for step in range(4):
        forward(r, Model(), None, step, bare=True)
        r.pause(8.0)
    return r.finish()


__all__ = ["BLOCK_VARIANTS", "activate", "feed_forward"]
