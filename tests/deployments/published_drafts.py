"""Steps of published profiles: DeepSeek-V4.1 as served, with the runner's small kernels on a stream of their own and
drafts; published.py says how they are made."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

from sample_builder.blocks import AIC, NORM, A, Card, V, dynamic, embed, norm, quantised, reduce
from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.recorder import Recorder

from deployments.published import Published
from deployments.published_hyper import (
    AVERAGE_V41,
    V41,
    V41_COUNTS,
    Beside,
    hashed_experts,
    hyper_layers,
    hyper_post,
    hyper_pre,
    spread_work,
    turn,
    write,
)
from deployments.published_latent import RANK

GROUPS = 17  # groups of pages, each with a table and slots of its own


def eager(r: Recorder, region: str, *ops: str, shape: Shape = (8,), us: float = 2.0) -> None:
    """Kernels that the host dispatches one by one, outside the graph."""
    mode, r.mode = r.mode, "eager"
    for op in ops:
        r.put(op, region, shape, us=us)
    r.mode = mode


def runner(r: Recorder, c: Card) -> None:
    """Slots of each group of pages by loose kernels, as often as counted on this stream."""
    r.outside()
    eager(r, "prepare", "ZerosLike", "ZerosLike", "ZerosLike", us=22.0)
    for _group in range(GROUPS):
        eager(r, "prepare", "Fill", "Cast", "FloorDiv", "FloorMod", "ClipByValueV2", "GreaterEqual", "Cast")
        eager(r, "prepare", "IndexCheck", us=3.7)
        eager(r, "prepare", "Index", us=9.8)
        eager(r, "prepare", "GatherV3", "SelectV2", "Cast", "Fill", "Cast")
        eager(r, "prepare", "ViewCopy", us=8.0)
    eager(r, "prepare", "SparseAttnSharedkvMetadata", us=165.0)


def picked(r: Recorder, c: Card, times: int = 1) -> None:
    """Rows, logits and greedy choice outside the graph, once for each place that is predicted."""
    r.outside()
    mode, r.mode = r.mode, "eager"
    part: Shape = (c.rows, c.vocab // c.tp)
    r.put("Index", "head", [c.wide, (1,), (2,), (c.rows,)], us=9.8)
    r.put("MatMulV2", "head", [c.wide, (c.vocab // c.tp, c.hidden)], part, 88.0)
    r.put("hcom_allGather_", "comm", part, (c.rows, c.vocab), 20.0)
    r.put("Cast", "sampling", (c.rows, c.vocab))
    for place in range(times):
        if place:
            r.put("MatMulV2", "head", [(1, 256), (c.vocab, 256)], (1, c.vocab), 31.3)
            r.put("Add", "sampling", [(1, c.vocab), (1, c.vocab)])
        r.put("ArgMaxV2", "sampling", [(c.rows if times == 1 else 1, c.vocab), (1,)], (1,), 16.6)
    r.mode = mode


def draft_context(r: Recorder, c: Card) -> None:
    """Keys of the draft layers for what the main model read, right behind its layers."""
    norm(r, c, NORM, op="RmsNorm")
    dynamic(r, c, A, c.rows, c.hidden)
    for number in range(3):
        r.layer, r.kind = c.layers + number, "mtp"
        quantised(r, c, A, c.rows, c.hidden, RANK)
        norm(r, c, A, RANK, "RmsNorm")
        write(r, c.rows, 128, RANK)


def draft_layer(r: Recorder, c: Card, number: int) -> None:
    """A layer of the draft model: a window of shared keys, experts of its own."""
    r.layer, r.kind = number, "mtp"
    rows, rank = c.rows, 1280
    hyper_pre(r, c)
    r.put("RmsNormDynamicQuant", NORM, [c.wide, (c.hidden,)], [c.wide, (rows,)], core=V)
    quantised(r, c, A, rows, c.hidden, rank)
    quantised(r, c, A, rows, c.hidden, RANK)
    norm(r, c, A, RANK, "RmsNorm")
    turn(r, rows, 1, RANK)
    write(r, rows, 128, RANK)
    norm(r, c, A, rank, "RmsNorm")
    dynamic(r, c, A, rows, rank)
    quantised(r, c, A, rows, rank, c.heads * c.dim)
    turn(r, rows, c.heads, c.dim)
    query: Shape = (rows, c.heads, c.dim)
    r.put("SparseAttnSharedkv", A, [query, (34000, 128, 1, RANK)], core=AIC)
    turn(r, rows, c.heads, c.dim)
    wide = c.heads * c.dim
    r.put("TransposeBatchMatMul", A, [(rows, 1, wide), (1, wide, 1024)], (rows, 1, 1024))
    r.put("MatMulV2", A, [(rows, 1024), (c.hidden, 1024)], c.wide)
    reduce(r, c)
    hyper_post(r, c)
    hyper_pre(r, c)
    hashed_experts(r, c, lambda stream: nullcontext())
    hyper_post(r, c)


def served(drafts: bool, spread: bool) -> BuiltCapture:
    """The whole step of rank 0: the runner's stream, the graph's streams and, with `drafts`, three draft layers that
    guess seven tokens at once. `spread`: compressed keys lie on eight ranks, partial results are joined."""
    c = replace(V41, rows=8 if drafts else 1)
    r = Recorder(gap_us=0.4, average=AVERAGE_V41, stream=47)
    beside: Beside = r.beside
    for _step in r.steps(3, 120.0):
        runner(r, c)
        spread_work(r, c.rows)
        with r.beside(158):
            embed(r, c)
            hyper_layers(r, c, beside, spread)
            if drafts:
                draft_context(r, c)
        picked(r, c)
        if drafts:
            eager(r, "sampling", "rejection_greedy_sample_triton", us=3.0)
            draft(r, c.at(7))
    return r.finish()


def draft(r: Recorder, c: Card) -> None:
    r.outside()
    eager(r, "prepare", "copy_and_expand_dflash_and_dspark_inputs_kernel", us=39.0)
    for _layer in range(3):
        eager(r, "prepare", "Index", "GatherV3", "Slice", "Slice", "GatherV3", us=4.0)
    with r.beside(154):
        embed(r, c)
        for number in range(3):
            draft_layer(r, c, V41.layers + number)
        norm(r, c, NORM, op="RmsNorm")
    picked(r, c, times=7)


_DRAFTED = {
    "HcPre": 86, "HcPost": 86, "GroupedMatmulSwigluQuantV2": 43, "GroupedMatmul": 43, "MoeInitRoutingV3": 43,
    "QuantBatchMatmulV3": 226, "InplacePartialRotaryMul": 145, "DequantSwigluQuant": 43, "SparseAttnSharedkv": 3,
    "RmsNormDynamicQuant": 3, "ScatterNdUpdateSk": 58, "ArgMaxV2": 8,
}  # fmt: skip
#: name -> how it is built and what was counted.
DRAFTS: dict[str, Published] = {
    "deepseek-v4.1-flash with its runner from kernel statistics": Published(
        lambda: served(drafts=False, spread=False),
        {
            **V41_COUNTS,
            "FloorDiv": 17,
            "FloorMod": 17,
            "GreaterEqual": 17,
            "ZerosLike": 3,
            "SparseAttnSharedkvMetadata": 1,
        },
        40,
    ),
    "deepseek-v4.1-flash with keys over ranks from kernel statistics": Published(
        lambda: served(drafts=False, spread=True), {**V41_COUNTS, "SparseFlashMla": 78}, 40
    ),
    "deepseek-v4.1-flash with drafts from kernel statistics": Published(
        lambda: served(drafts=True, spread=False), _DRAFTED, 43
    ),
    "deepseek-v4.1-flash with drafts and keys over ranks from kernel statistics": Published(
        lambda: served(drafts=True, spread=True), {**_DRAFTED, "SparseFlashMla": 78}, 43
    ),
}
