"""One small model in the variants that its blocks, its surroundings and its captures come in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
from sample_builder.blocks import (
    AIC,
    PAGED,
    A,
    add_norm,
    cache,
    core,
    dense_layers,
    embed,
    forward,
    gqa,
    head,
    linear,
    mlp,
    moe,
    norm,
    phased,
    qkv,
    run,
    sandwiched,
    stack,
)
from sample_builder.build import BuiltCapture
from sample_builder.perturb import change, from_trace, keep, level0, without_shapes
from sample_builder.recorder import Recorder
from sample_builder.renaming import named, renamed

from deployments.written import (
    ATB,
    SMALL,
    convolution_scan,
    exchanged,
    fused_sum,
    gathered,
    latent_prolog,
    looped,
    moe_of,
    mtp,
    one_kernel,
    overlapping,
    parallel_layers,
    separate_indexed,
    separate_latent,
    sequence_parallel,
    shared_after,
    shared_before,
    shared_beside,
    shared_between,
    small,
    unnamed_delta,
)


def warm_up() -> BuiltCapture:
    r = Recorder()
    for step in r.steps(4, 300.0):
        r.slow = 5.0 if step == 0 else 1.0
        forward(r, SMALL, dense_layers, step)
    return r.finish()


def cut(built: BuiltCapture, first: int, last: int) -> BuiltCapture:
    """Without the first and the last kernels."""
    count = len(built.truth)
    return keep(built, [first <= row < count - last for row in range(count)])


def without(built: BuiltCapture, *regions: str) -> BuiltCapture:
    return keep(built, ~built.truth["region"].isin(regions).to_numpy())


def thinned(built: BuiltCapture, every: int) -> BuiltCapture:
    return keep(built, [row % every != every // 2 for row in range(len(built.truth))])


def two_models() -> BuiltCapture:
    """A draft model of its own, of other width, that runs four times behind the main model's check."""
    r = Recorder()
    draft = small(layers=2, hidden=1024, heads=8, kv=2, inter=2816, rows=4)
    for step in r.steps(3, 300.0):
        forward(r, small(sequences=4), dense_layers, step)
        for number in range(4):
            r.pause(15.0)
            embed(r, draft)
            for layer in r.layers(draft.layers, "mtp", 8 + 2 * number):
                if layer == 8 + 2 * number:
                    norm(r, draft)
                for block in (gqa, mlp):
                    block(r, draft)
                    add_norm(r, draft)
            head(r, draft)
    return r.finish()


def pieces() -> BuiltCapture:
    """Graph pieces with a stream each, attention eager on another stream."""
    r, c = Recorder(), SMALL
    for r.step in range(3):
        streams = iter(range(100, 200))
        r.clock = dict.fromkeys([*r.clock, 7, *range(100, 200)], max(r.clock.values()) + 300)
        r.stream = next(streams)
        embed(r, c)
        for number in r.layers(c.layers):
            if number == 0:
                norm(r, c)
            qkv(r, c)
            for stream in (7, next(streams)):
                now = max(r.clock.values()) + 250
                r.stream, r.clock[stream] = stream, now
                if stream == 7:
                    cache(r, c)
                    core(r, c)
            linear(r, c, A, c.q_width, c.hidden)
            add_norm(r, c)
            mlp(r, c)
            add_norm(r, c)
        head(r, c)
    return r.finish()


def fused_rows(scope: str, whole: bool) -> BuiltCapture:
    """A capture with SuperKernels on: one for the `whole` layer, or one for its attention."""
    r, c = Recorder(), SMALL
    region, us = ("other", 75.0) if whole else (A, 40.0)
    for _step in r.steps(3, 300.0):
        embed(r, c)
        for number in r.layers(c.layers, "other" if whole else "dense"):
            if number == 0 and not whole:
                norm(r, c)
            name = f"sk_{scope}_{number}_start_MatMulV2_{4 * number}_end_MatMulV2_{4 * number + 1}"
            r.put("SuperKernel", region, c.wide, us=us, core=AIC, name=name)
            if not whole:
                add_norm(r, c)
                mlp(r, c)
                add_norm(r, c)
        head(r, c)
    return r.finish()


def mindspore() -> BuiltCapture:
    """Names as MindSpore writes them: the path of the cell, then the operator with its number."""
    built = run(small(add_norm_op="", cut="separate", form="swish"))
    cells = {A: "attention-LlamaAttention", "mlp": "feed_forward-LlamaFeedForward", "norm": "norm-RMSNorm"}
    truth = built.truth
    names = [
        f"Default/network-LlamaForCausalLM/model-LlamaModel/layers-CellList/{layer}-LlamaDecodeLayer/"
        f"{cells.get(region, region)}/{op}-op{number}"
        for number, (op, layer, region) in enumerate(
            zip(built.capture.kernels["op_type"], truth["layer"].fillna(-1), truth["region"], strict=True)
        )
    ]
    return change(built, name=pd.Series(names), op_type=None, input_shapes=None, output_shapes=None)


def marked(several: int, lost: bool) -> BuiltCapture:
    """Profiler step ids that hold several passes each, or lack on some rows."""
    built = run(SMALL, steps=4)
    ids = pd.Series([10 + step // several for step in built.truth["step"]], dtype=object)
    if lost:
        ids[[row % 7 == 3 for row in range(len(ids))]] = None
    return change(built, step_id=ids)


def without_pause() -> BuiltCapture:
    """Graph replays back to back: only the repetition of layers is left."""
    r = Recorder()
    for step in r.steps(4, 8.0):
        forward(r, SMALL, dense_layers, step, outside=False)
    return r.finish()


PLAIN = small(add_norm_op="", cut="separate", form="swish")
GEMMA = small(add_norm_op="", kv=8, inter=6144, qk_norm=True)
GPT = small(
    norm_op="LayerNormV4", add_norm_op="", rope="", kv=16, inter=8192, cut="separate", form="plain", act="Gelu",
    bias_add=True,
)  # fmt: skip
OLD = small(add_norm_op="", core_op=PAGED)
MLA = small(hidden=4096, heads=32, kv=32, quant="dynamic")
HYBRID = stack(("moe", unnamed_delta, moe), ("moe", unnamed_delta, moe), ("moe", gqa, moe))
SCANS = stack(*[("dense", convolution_scan, mlp)] * 3, ("dense", gqa, mlp))
EXPERTS = run(SMALL, moe_of(shared_between))
BARE = run(SMALL, steps=4, outside=False)
CHUNKED = [("prefill", 512, 1), ("mixed", 300, 5), ("decode", 6, 6)]
BATCHES = [("decode", 16, 16), ("decode", 4, 4), ("decode", 24, 24)]
TRITON = small(cut="kernel", qk_norm=True)

#: name -> how it is made. Every capture is the same in every run.
BLOCK_VARIANTS: dict[str, Callable[[], BuiltCapture]] = {
    "sandwich": lambda: run(GEMMA, sandwiched(gqa, mlp)),
    "sandwich-level0": lambda: level0(run(GEMMA, sandwiched(gqa, mlp))),
    "parallel": lambda: run(replace(GEMMA, form="plain", act="Gelu"), parallel_layers()),
    "parallel-swiglu": lambda: run(GEMMA, parallel_layers()),
    "post-norm": lambda: run(replace(GEMMA, kv=16), sandwiched(gqa, mlp, before=False)),
    "gpt": lambda: run(GPT),
    "gpt-level0": lambda: level0(run(GPT)),
    "gpt-eager": lambda: run(GPT, mode="eager"),
    "mqa": lambda: run(small(kv=1)),
    "square": lambda: run(small(kv=16, cut="separate")),
    "square-renamed": lambda: renamed(run(small(kv=16, cut="separate"))),
    "tiny": lambda: run(small(hidden=64, heads=4, kv=2, dim=16, inter=172, vocab=512, rows=2)),
    "hidden-is-intermediate": lambda: run(small(inter=2048, form="swish", cut="separate", kv=16)),
    "qkv-like-gated": lambda: run(small(kv=8)),
    "qkv-like-gated-renamed": lambda: renamed(run(small(kv=8))),
    "separate-tp": lambda: run(small(cut="separate", tp=4)),
    "sequence-parallel": lambda: run(small(rows=64, tp=4), sequence_parallel),
    "fused-reduce": lambda: run(small(tp=2), fused_sum),
    "sigmoid-mul": lambda: run(small(form="sigmoid")),
    "swish-mul": lambda: run(small(form="swish", cut="separate")),
    "swish-between": lambda: run(small(form="swish-between", add_norm_op="")),
    "w8a8-static": lambda: run(small(quant="static", dequant=True)),
    "w8a8-static-level0": lambda: level0(run(small(quant="static", dequant=True))),
    "w4a8": lambda: run(small(quant="w4a8")),
    "mx": lambda: run(small(quant="mx")),
    "atb": lambda: named(run(OLD), ATB),
    "atb-level0": lambda: level0(named(run(OLD), ATB)),
    "mindspore": mindspore,
    "moe-unfused-loop": lambda: run(SMALL, moe_of(looped)),
    "moe-loop-eager": lambda: run(SMALL, moe_of(looped), mode="eager"),
    "moe-shared-before": lambda: run(SMALL, moe_of(shared_before)),
    "moe-shared-after": lambda: run(SMALL, moe_of(shared_after)),
    "moe-shared-between": lambda: EXPERTS,
    "moe-shared-between-level0": lambda: level0(EXPERTS),
    "moe-shared-beside": lambda: run(SMALL, moe_of(shared_beside)),
    "moe-shared-beside-trace": lambda: from_trace(run(SMALL, moe_of(shared_beside))),
    "moe-shared-beside-level0": lambda: level0(run(SMALL, moe_of(shared_beside))),
    "moe-all-to-all": lambda: run(SMALL, moe_of(exchanged("MoeInitRoutingV2", "MoeFinalizeRoutingV2", counted=False))),
    "moe-all-gather": lambda: run(SMALL, moe_of(gathered)),
    "moe-one-kernel": lambda: run(SMALL, moe_of(one_kernel)),
    "moe-overlapping": lambda: run(SMALL, overlapping),
    "moe-first-dense": lambda: run(SMALL, moe_of(shared_between, 3)),
    "moe-first-dense-level0": lambda: level0(run(SMALL, moe_of(shared_between, 3))),
    "moe-interleaved": lambda: run(SMALL, stack(("dense", gqa, mlp), ("moe", gqa, shared_between))),
    "moe-renamed": lambda: renamed(EXPERTS),
    "hybrid-scan": lambda: run(SMALL, SCANS),
    "hybrid-delta": lambda: run(small(layers=9), HYBRID),
    "hybrid-delta-level0": lambda: level0(run(small(layers=9), HYBRID)),
    "only-scan": lambda: run(SMALL, stack(("dense", convolution_scan, mlp))),
    "mla": lambda: run(MLA, moe_of(shared_beside, 1, separate_latent())),
    "mla-two-streams": lambda: run(MLA, moe_of(shared_between, 1, separate_latent(11))),
    "mla-prolog": lambda: run(MLA, moe_of(shared_between, 1, latent_prolog)),
    "mla-prolog-level0": lambda: level0(run(MLA, moe_of(shared_between, 1, latent_prolog))),
    "indexer": lambda: run(MLA, moe_of(shared_between, 1, separate_indexed)),
    "drafts-3": lambda: mtp(SMALL, dense_layers, mlp, gqa, 3),
    "drafts-1": lambda: mtp(SMALL, moe_of(shared_between), mlp, gqa, 1),
    "speculative": lambda: phased(SMALL, dense_layers, [("decode", 64, 16)] * 3, "graph"),
    "chunked": lambda: phased(SMALL, dense_layers, CHUNKED),
    "batches": lambda: phased(SMALL, dense_layers, BATCHES, "graph"),
    "no-head": lambda: without(run(SMALL, steps=4), "head", "sampling"),
    "no-embedding": lambda: without(run(SMALL, steps=4), "embedding"),
    "no-sampling": lambda: without(run(SMALL, steps=4), "sampling"),
    "head-level0": lambda: level0(without(run(SMALL, steps=4), "sampling")),
    "cut-early": lambda: cut(run(SMALL), 0, 80),
    "cut-in-layer": lambda: cut(run(SMALL), 22, 30),
    "cut-in-moe": lambda: cut(EXPERTS, 40, 31),
    "bare": lambda: BARE,
    "bare-no-pause": without_pause,
    "bare-moe": lambda: run(SMALL, moe_of(shared_between, 2), outside=False),
    "bare-level0": lambda: level0(BARE),
    "warm-up": warm_up,
    "thinned": lambda: thinned(run(small(layers=24)), 61),
    "one-layer": lambda: run(small(layers=1), steps=5),
    "two-models": two_models,
    "pieces": pieces,
    "trace": lambda: from_trace(run(small(qk_norm=True))),
    "sk-layers": lambda: fused_rows("decode_layer", whole=True),
    "sk-attention": lambda: fused_rows("attention_layer", whole=False),
    "garbage": lambda: change(run(SMALL), op_type=lambda op: op if "MatMul" in op else f"\x00\xff{len(op)}"),
    "triton": lambda: run(TRITON),
    "triton-level0": lambda: level0(run(TRITON)),
    "renamed": lambda: renamed(run(SMALL)),
    "renamed-plain": lambda: renamed(run(replace(PLAIN, qk_norm=True))),
    "some-shapes": lambda: without_shapes(run(SMALL), 0.4),
    "some-shapes-moe": lambda: without_shapes(EXPERTS, 0.4),
    "several-per-id": lambda: marked(2, lost=False),
    "ids-lost": lambda: marked(1, lost=True),
}
