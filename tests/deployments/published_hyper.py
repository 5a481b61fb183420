"""Steps of published profiles: DeepSeek-V4 and V4.1 with their hyper-connections; published.py says how they
are made."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from sample_builder.blocks import (
    AIC,
    AIV,
    BLOCKS,
    MOE,
    NORM,
    A,
    Block,
    Card,
    V,
    add,
    dynamic,
    embed,
    head,
    norm,
    prepare,
    quantised,
    reduce,
)
from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.recorder import Recorder

from deployments.published import Published, decode
from deployments.published_latent import RANK, ROPE

V41 = Card(
    hidden=5120, heads=8, kv=1, dim=512, inter=2304, vocab=129280, layers=40, rows=1, tp=8, experts=384, top_k=6,
    local=48, expert_inter=2304,
)  # fmt: skip
#: Layers that choose keys, and those of them that also compress keys of their own.
CHOOSES, OWNS = (2, 8, 14, 20, 24, 28, 32, 36), (2, 8, 14, 20)
Beside = Callable[[int], AbstractContextManager[None]]


def hyper_pre(r: Recorder, c: Card) -> None:
    streams: Shape = (c.rows, 4, c.hidden)
    r.put("HcPre", NORM, [streams, (24, 4 * c.hidden), (3,), (24,)], [c.wide, (c.rows, 4), (c.rows, 4, 4)], core=AIC)


def hyper_post(r: Recorder, c: Card) -> None:
    streams: Shape = (c.rows, 4, c.hidden)
    r.put("HcPost", NORM, [c.wide, streams, (c.rows, 4), (c.rows, 4, 4)], streams, core=V)


def turn(r: Recorder, rows: int, heads: int, width: int) -> None:
    r.put("InplacePartialRotaryMul", A, [(rows, heads, width), (rows, 1, ROPE)], core=V)


def write(r: Recorder, rows: int, block: int, width: int) -> None:
    pages: Shape = (34000, block, width)
    r.put("ScatterNdUpdateSk", A, [pages, (rows, 2), (rows, width)], core=AIV)


def merged(r: Recorder, c: Card) -> None:
    """Each rank attends to its part of the compressed keys: results and sums of exponents meet and are joined."""
    out, packed = (c.rows, c.heads, c.dim), (c.rows, 8 * c.heads, c.dim + 128)
    r.each("Cast Cast Sub Mul ViewCopy ViewCopy", A, out, 1.9)
    r.put("hcom_allReduce_", "comm", packed, us=13.0)
    r.put("Slice", A, [packed, (3,), (3,)], out, 1.7)
    r.each("Sub Mul Sub Sub Cast Mul Cast", A, out, 1.9)


def source_attention(r: Recorder, c: Card, beside: Beside, spread: bool = False) -> None:
    """Every layer attends to a window; some compress keys and some choose among them, for the layers that follow."""
    rows, rank, number = c.rows, 1280, r.layer or 0
    norm(r, c, NORM, op="RmsNorm")
    dynamic(r, c, A, rows, c.hidden)
    quantised(r, c, A, rows, c.hidden, rank)
    with beside(132):
        quantised(r, c, A, rows, c.hidden, RANK)
        norm(r, c, A, RANK, "RmsNorm")
        turn(r, rows, 1, RANK)
        write(r, rows, 128, RANK)
    norm(r, c, A, rank, "RmsNorm")
    dynamic(r, c, A, rows, rank)
    quantised(r, c, A, rows, rank, c.heads * c.dim)
    turn(r, rows, c.heads, c.dim)
    if number in OWNS:
        norm(r, c, A, RANK, "RmsNorm")
        turn(r, rows, 1, RANK)
        write(r, rows, 64, RANK)
        norm(r, c, A, 128, "RmsNorm")
        turn(r, rows, 1, 128)
        dynamic(r, c, A, rows, 128)
        write(r, rows, 64, 128)
        write(r, rows, 64, 1)
    if number in CHOOSES:
        quantised(r, c, A, rows, rank, 32 * 128)
        turn(r, rows, 32, 128)
        dynamic(r, c, A, rows * 32, 128)
        r.put("MatMulV2", A, [c.wide, (32, c.hidden)], (rows, 32))
        keys: list[Shape | None] = [(rows, 32, 128), (34000, 64, 1, 128), (rows, 32), (rows, 32), (34000, 64, 1)]
        r.put("QuantLightningIndexerV2", A, keys, (rows, 1, 512), core=AIC)
    query: Shape = (rows, c.heads, c.dim)
    ins: list[Shape | None] = [query, (34000, 128, 1, RANK), (34000, 64, 1, RANK), None, (rows, 1, 512)]
    r.put("SparseFlashMla", A, ins, query, core=AIC)
    if spread and number >= 2:
        r.put("SparseFlashMla", A, ins, [query, (rows, c.heads)], core=AIC)
        merged(r, c)
    turn(r, rows, c.heads, c.dim)
    wide = c.heads * c.dim
    r.put("TransposeBatchMatMul", A, [(rows, 1, wide), (1, wide, 1024)], (rows, 1, 1024))
    r.put("MatMulV2", A, [(rows, 1024), (c.hidden, 1024)], c.wide)
    reduce(r, c)


def hashed_experts(r: Recorder, c: Card, beside: Beside, casts: int = 0) -> None:
    rows, routed, chosen = c.rows, c.rows * c.top_k, (c.rows, c.top_k)
    width, part = c.expert_inter, c.expert_inter // c.tp
    r.put("RmsNormCast", NORM, [c.wide, (c.hidden,)], [c.wide, c.wide], core=V)
    r.put("MatMulV3", MOE, [c.wide, (c.experts, c.hidden)], (rows, c.experts))
    r.put("MoeGatingTopKHash", MOE, [(rows, c.experts), (c.experts,), (rows,), (c.vocab, c.top_k)], [chosen, chosen])
    for _cast in range(casts):
        r.put("Cast", MOE, chosen, us=1.3)
    with beside(133):
        dynamic(r, c, MOE, rows, c.hidden)
        quantised(r, c, MOE, rows, c.hidden, 2 * part, "AI_CORE")
        r.put("DequantSwigluQuant", MOE, [(rows, 2 * part), (2 * part,), (rows,)], [(rows, part), (rows,)], core=V)
        quantised(r, c, MOE, rows, part, c.hidden)
    wide: Shape = (routed, c.hidden)
    r.put("MoeInitRoutingV3", MOE, [c.wide, chosen], [wide, (routed,), (c.local,), (routed,)], core=AIV)
    up: list[Shape | None] = [wide, (routed,), (c.local,), (c.local, 2 * width // 64, c.hidden // 16, 16, 64)]
    r.put("GroupedMatmulSwigluQuantV2", MOE, [*up, (c.local, 2 * width)], [(routed, width), (routed,)], core=AIC)
    down: list[Shape | None] = [(routed, width), (c.local, width, c.hidden), (c.local, c.hidden), None, (c.local,)]
    r.put("GroupedMatmul", MOE, down, wide, core=AIC)
    r.put("MoeTokenUnpermute", MOE, [wide, (routed,), chosen], c.wide, core=V)
    add(r, c, MOE)
    reduce(r, c)


def spread_work(r: Recorder, rows: int) -> None:
    """The AICPU spreads each attention's work over the cores, once for each ratio of compression."""
    with r.beside(35):
        for op, times in (("SparseFlashMlaMetadata", 3), ("QuantLightningIndexerV2Metadata", 2)):
            for _ratio in range(times):
                r.put(op, "prepare", [(rows + 1,), (rows,)], (1024,), core="AI_CPU")


def hyper_layers(r: Recorder, c: Card, beside: Beside, spread: bool = False) -> None:
    for _number in r.layers(c.layers, "moe"):
        hyper_pre(r, c)
        source_attention(r, c, beside, spread)
        hyper_post(r, c)
        hyper_pre(r, c)
        hashed_experts(r, c, beside, casts=4 if spread else 0)
        hyper_post(r, c)
    norm(r, c, NORM, op="RmsNorm")


AVERAGE_V41 = {
    "GroupedMatmulSwigluQuantV2": 78.6, "GroupedMatmul": 37.2, "HcPre": 29.5, "HcPost": 7.6, "SparseFlashMla": 33.0,
    "QuantLightningIndexerV2": 110.0, "TransposeBatchMatMul": 47.3, "MatMulV2": 14.6, "MatMulV3": 15.4,
    "QuantBatchMatmulV3": 10.3, "RmsNorm": 5.9, "RmsNormCast": 4.1, "DynamicQuant": 3.5, "MoeInitRoutingV3": 13.9,
    "MoeGatingTopKHash": 4.2, "ScatterNdUpdateSk": 6.3, "InplacePartialRotaryMul": 4.0, "DequantSwigluQuant": 6.1,
    "MoeTokenUnpermute": 8.4, "SparseFlashMlaMetadata": 165.0, "QuantLightningIndexerV2Metadata": 190.0,
    "SparseAttnSharedkv": 85.0, "SparseAttnSharedkvMetadata": 115.0, "ArgMaxV2": 16.6, "RmsNormDynamicQuant": 6.0,
}  # fmt: skip


def deepseek_v41(streams: bool, rows: int = 1) -> BuiltCapture:
    """DeepSeek-V4.1-Flash W4A8, eight A3 dies, vLLM-Ascend, whole graphs, without drafts: an audit of calls against
    the model's code. `streams`: keys and values, and shared experts, on streams of their own. The n-gram memory
    (two of 40 layers) is left out."""
    c, r = replace(V41, rows=rows), Recorder(gap_us=0.4, average=AVERAGE_V41)
    beside: Beside = r.beside if streams else (lambda stream: nullcontext())
    for _step in r.steps(3):
        prepare(r, c)
        spread_work(r, rows)
        embed(r, c)
        hyper_layers(r, c, beside)
        head(r, c)
    return r.finish()


V4 = Card(
    hidden=4096, heads=64, kv=1, dim=512, inter=2048, vocab=129280, layers=43, rows=1, experts=256, top_k=6, local=32,
    expert_inter=2048,
)  # fmt: skip


def mx(r: Recorder, region: str, rows: int, inner: int, outer: int) -> None:
    """A projection in micro-scaled eight bits: the scales are the third input."""
    ins: list[Shape | None] = [(rows, inner), (outer, inner), (outer, inner // 64, 2)]
    r.put("QuantBatchMatmulV3", region, ins, (rows, outer))


def mx_quant(r: Recorder, region: str, rows: int, width: int) -> None:
    r.put("DynamicMxQuant", region, (rows, width), [(rows, width), (rows, width // 64, 2)], core=V)


def shared_key(ratio: int) -> Block:
    """One key and value head for all queries; behind the window, keys compressed by `ratio` (0: none)."""

    def attend(r: Recorder, c: Card) -> None:
        rows, rank = c.rows, 1024
        mx_quant(r, A, rows, c.hidden)
        mx(r, A, rows, c.hidden, rank)
        norm(r, c, A, rank, "RmsNorm")
        mx_quant(r, A, rows, rank)
        mx(r, A, rows, rank, c.heads * c.dim)
        turn(r, rows, c.heads, c.dim)
        mx(r, A, rows, c.hidden, RANK)
        norm(r, c, A, RANK, "RmsNorm")
        turn(r, rows, 1, RANK)
        pages: Shape = (BLOCKS, 128, RANK)
        r.put("ScatterNdUpdateV2", A, [pages, (rows, 1), (rows, RANK)])
        if ratio:
            r.put("Compressor", A, [c.wide, (1024, c.hidden), (1024, c.hidden)], (rows, RANK), core=AIC)
        if ratio == 4:
            mx(r, A, rows, rank, 64 * 128)
            turn(r, rows, 64, 128)
            r.put("Compressor", A, [c.wide, (256, c.hidden), (256, c.hidden)], (rows, 128), core=AIC)
            r.put("MatMulV2", A, [c.wide, (64, c.hidden)], (rows, 64))
            keys: list[Shape | None] = [(rows, 64, 128), (BLOCKS, 128, 1, 128), (rows, 64)]
            r.put("QuantLightningIndexer", A, keys, (rows, 1, 512), core=AIC)
        query: Shape = (rows, c.heads, c.dim)
        r.put("SparseAttnSharedkv", A, [query, (BLOCKS, 128, 1, RANK), (BLOCKS, 128, 1, RANK)], core=AIC)
        turn(r, rows, c.heads, c.dim)
        group = c.heads * c.dim // 8
        r.put("TransposeQuantBatchMatMul", A, [(8, rows, group), (8, group, 1024)], (rows, 8, 1024), core=AIC)
        mx_quant(r, A, rows, 8 * 1024)
        mx(r, A, rows, 8 * 1024, c.hidden)

    return attend


def dispatched_experts(r: Recorder, c: Card) -> None:
    rows, routed, chosen, width = c.rows, c.rows * c.top_k, (c.rows, c.top_k), c.expert_inter
    r.put("MatMulV2", MOE, [c.wide, (c.experts, c.hidden)], (rows, c.experts))
    r.put("MoeGatingTopK", MOE, [(rows, c.experts), (c.experts,)], [chosen, chosen, (rows, c.experts)])
    wide: Shape = (routed, c.hidden)
    r.put("MoeDistributeDispatchV3", MOE, [(4100,), c.wide, chosen], [wide, (routed,)], core=AIV)
    r.put("GroupedMatmul", MOE, [wide, (c.local, c.hidden, 2 * width)], (routed, 2 * width), core=AIC)
    r.put("SwigluGroupQuant", MOE, [(routed, 2 * width), None, (c.local,)], [(routed, width), (routed, width // 64)])
    r.put("GroupedMatmul", MOE, [(routed, width), (c.local, width, c.hidden)], wide, core=AIC)
    mx_quant(r, MOE, rows, c.hidden)
    mx(r, MOE, rows, c.hidden, 2 * width)
    r.put("SwigluGroupQuant", MOE, (rows, 2 * width), [(rows, width), (rows, width // 64)])
    mx(r, MOE, rows, width, c.hidden)
    r.put("MoeDistributeCombineV3", MOE, [(4100,), wide, chosen, c.wide], c.wide, core=AIV)


def deepseek_v4() -> BuiltCapture:
    """DeepSeek-V4-Flash in micro-scaled formats, eight 950PR, recipe: 2 window, 21 sparse and 20 dense layers."""
    average = {
        "QuantBatchMatmulV3": 14.8, "MoeDistributeDispatchV3": 43.0, "SwigluGroupQuant": 19.2, "HcPre": 11.7,
        "HcPost": 4.3, "Compressor": 20.0, "GroupedMatmul": 35.0, "MoeDistributeCombineV3": 30.0,
    }  # fmt: skip

    def layers(r: Recorder, c: Card) -> None:
        for number in r.layers(c.layers, "moe"):
            ratio = 0 if number < 2 else 4 if number % 2 == 0 else 128
            for block in (shared_key(ratio), dispatched_experts):
                hyper_pre(r, c)
                norm(r, c)
                block(r, c)
                hyper_post(r, c)
        r.put("HcHead", NORM, (c.rows, 4, c.hidden), c.wide, 10.1)
        norm(r, c)

    return decode(V4, layers, average)


V41_COUNTS = {
    "HcPre": 80, "HcPost": 80, "QuantBatchMatmulV3": 208, "RmsNorm": 129, "ScatterNdUpdateSk": 52, "DynamicQuant": 132,
    "InplacePartialRotaryMul": 136, "GroupedMatmul": 40, "GroupedMatmulSwigluQuantV2": 40, "MoeInitRoutingV3": 40,
    "SparseFlashMla": 40, "QuantLightningIndexerV2": 8, "DequantSwigluQuant": 40, "RmsNormCast": 40,
    "SparseFlashMlaMetadata": 3, "QuantLightningIndexerV2Metadata": 2,
}  # fmt: skip
#: name -> how it is built and what was counted.
HYPER: dict[str, Published] = {
    "deepseek-v4.1-flash from an audit of calls": Published(lambda: deepseek_v41(streams=False), V41_COUNTS, 40),
    "deepseek-v4.1-flash on streams from an audit of calls": Published(
        lambda: deepseek_v41(streams=True), V41_COUNTS, 40
    ),
    "deepseek-v4.1-flash verifying drafts from an audit of calls": Published(
        lambda: deepseek_v41(streams=True, rows=8), V41_COUNTS, 40
    ),
    "deepseek-v4-flash from counts in an issue": Published(
        deepseek_v4, {"QuantBatchMatmulV3": 279, "MoeDistributeDispatchV3": 43, "SwigluGroupQuant": 86, "HcPre": 86}, 43
    ),
}
