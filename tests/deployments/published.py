"""Steps of published profiles: how often each kernel runs in a step, how long on average, in the order of the model.

Counts and average durations are those that people published of their captures (each step's docstring says what kind of
source). What a table does not tell, as a rule sizes and the small kernels round a step, follows the model's card and
code. `per_step` holds the published counts, so that a test can compare what is built with what was measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sample_builder.blocks import (
    AIC,
    AIV,
    MLP,
    MOE,
    NORM,
    A,
    Card,
    Layers,
    V,
    add_norm,
    cache,
    core,
    dense_layers,
    feed,
    forward,
    linear,
    norm,
    reduce,
    split,
    stack,
)
from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.recorder import Recorder

from skadvisor.capture.collectives import kinds


@dataclass(frozen=True)
class Published:
    """How a step is built, and how often each kernel runs in it by the source."""

    build: Callable[[], BuiltCapture]
    per_step: dict[str, int]
    layers: int


def decode(c: Card, layers: Layers, average: dict[str, float], mode: str = "graph", steps: int = 3) -> BuiltCapture:
    return _recorded(c, layers, average, mode, steps).finish()


def _recorded(c: Card, layers: Layers, average: dict[str, float], mode: str = "graph", steps: int = 3) -> Recorder:
    r = Recorder(mode=mode, gap_us=0.4 if mode == "graph" else 14.0, average=average)
    for step in r.steps(steps):
        forward(r, c, layers, step)
    return r


def as_read(recorded: BuiltCapture) -> BuiltCapture:
    """With the kinds that a reader gives the rows: collectives expanded on vector cores are known by their names."""
    kernels = recorded.capture.kernels
    columns = {name: kernels[name] for name in ("start_ns", "dur_ns", "name", "core")}
    found = kernels.assign(kind=kinds(columns))
    return replace(recorded, capture=replace(recorded.capture, kernels=found))


def listed_twice(r: Recorder) -> BuiltCapture:
    """Collectives that the profiler lists as a whole and, on the stream that runs them, as a kernel."""
    for row in [row for row in r.rows if row["kind"] == "collective"]:
        part = {"name": "AivKernel", "op_type": "AivKernel", "core": V, "stream": r.stream, "task": len(r.rows)}
        r.rows.append({**row, **part})
    return as_read(r.finish())


def experts_at_hand(r: Recorder, c: Card) -> None:
    """Qwen3-MoE without expert parallelism: routed, computed and put back on each rank, then summed over the ranks."""
    rows, chosen, inter = c.rows * c.top_k, (c.rows, c.top_k), c.expert_inter // c.tp
    wide: Shape = (rows, c.hidden)
    linear(r, c, MOE, c.hidden, c.experts, quant="")
    r.put("MoeGatingTopK", MOE, [(c.rows, c.experts), None], [chosen, chosen, (c.rows, c.experts)])
    r.put("Cast", MOE, chosen)
    r.put("Cast", MOE, chosen)
    scales = [(rows,)] if c.quant else []
    r.put("MoeInitRoutingV3", MOE, [c.wide, chosen, None], [wide, (rows,), (c.experts,), *scales], core=AIV)
    up, down = (c.experts, c.hidden, 2 * inter), (c.experts, inter, c.hidden)
    if c.quant:
        r.put("Cumsum", MOE, [(c.experts,), (1,)], core=V)
        r.put("GroupedMatmulSwigluQuant", MOE, [wide, up, None], [(rows, inter), (rows,)], core=AIC)
    else:
        r.put("GroupedMatmul", MOE, [wide, up], (rows, 2 * inter), core=AIC)
        r.put("SwiGlu", MOE, (rows, 2 * inter), (rows, inter))
    r.put("GroupedMatmul", MOE, [(rows, inter), down], wide, core=AIC)
    r.put("MoeTokenUnpermute", MOE, [wide, (rows,), chosen], c.wide)
    reduce(r, c)


def scattered(r: Recorder, c: Card) -> None:
    """Paged attention behind one kernel for split, norms and rotation; the cache is written by ScatterPaKvCache."""
    if c.quant and r.layer == 0:
        r.put("AscendQuantV2", A, [c.wide, (c.hidden,), (c.hidden,)])
    project = "QuantBatchMatmulV3" if c.quant else "MatMulV2"
    r.put(project, A, [c.wide, (c.qkv_width, c.hidden)], (c.rows, c.qkv_width))
    r.put("split_qkv_rmsnorm_rope_kernel", A, core=V)
    cache(r, c, "ScatterPaKvCache")
    core(r, c)
    if c.quant:
        r.put("AscendQuantV2", A, [(c.rows, c.q_width), (c.q_width,), (c.q_width,)])
    r.put(project, A, [(c.rows, c.q_width), (c.hidden, c.q_width)], c.wide)
    reduce(r, c)


QWEN3_MOE = Card(
    hidden=2048, heads=32, kv=4, dim=128, inter=6144, vocab=151936, layers=48, rows=16, tp=4, local=128, top_k=8,
)  # fmt: skip


def qwen3_moe_bf16() -> BuiltCapture:
    """Qwen3-30B-A3B, four A2 cards, vLLM-Ascend, whole decode graphs: counts and averages of all four ranks."""
    average = {
        "GroupedMatmul": 89.4, "FusedInferAttentionScore": 62.4, "hcom_allReduce_": 14.1, "MatMulV2": 9.2,
        "MoeInitRoutingV3": 16.5, "split_qkv_rmsnorm_rope_kernel": 13.9, "AddRmsNormBias": 5.0, "Cast": 3.5,
        "MoeGatingTopK": 7.5, "MoeTokenUnpermute": 6.4, "ScatterPaKvCache": 5.2, "SwiGlu": 4.3,
    }  # fmt: skip
    layers = stack(("moe", scattered, experts_at_hand))
    return listed_twice(_recorded(QWEN3_MOE, layers, average))


def qwen3_moe_w8a8() -> BuiltCapture:
    """The same with quantised weights: from the second layer on the norm before attention quantises too."""
    average = {
        "GroupedMatmulSwigluQuant": 66.2, "hcom_allReduce_": 14.7, "FusedInferAttentionScore": 58.8,
        "GroupedMatmul": 35.0, "Cumsum": 30.7, "QuantBatchMatmulV3": 14.9, "MoeInitRoutingV3": 18.2,
        "split_qkv_rmsnorm_rope_kernel": 16.8, "AscendQuantV2": 11.4, "MatMulV2": 8.8, "Cast": 3.6,
        "MoeGatingTopK": 7.7,
    }  # fmt: skip
    card = replace(QWEN3_MOE, quant="static")

    def layers(r: Recorder, c: Card) -> None:
        for number in r.layers(c.layers, "moe"):
            if number == 0:
                norm(r, c)
            scattered(r, c)
            add_norm(r, c)
            experts_at_hand(r, c)
            if number < c.layers - 1:
                ins: list[Shape | None] = [c.wide, c.wide, (c.hidden,), (c.hidden,), None, (c.hidden,)]
                r.put("AddRmsNormQuant", NORM, ins, [c.wide, c.wide, c.wide], 5.0)
            else:
                add_norm(r, c)

    return listed_twice(_recorded(card, layers, average))


QWEN3_32B = Card(hidden=5120, heads=64, kv=8, dim=128, inter=25600, vocab=151936, layers=64, rows=16, tp=16)
CUT_OUT = replace(QWEN3_32B, cut="slices", qk_norm=True, positions=40960)


def qwen3_eager() -> BuiltCapture:
    """Qwen3-32B, sixteen A3 dies, vLLM-Ascend without graphs: counts of 61 forward passes; the sampler draws."""
    average = {
        "MatMulV2": 18.9, "FusedInferAttentionScore": 25.2, "RmsNorm": 11.9, "AddRmsNormBias": 6.1, "Slice": 2.6,
        "SwiGlu": 5.6, "_triton_rope": 5.5, "ReshapeAndCacheNdKernel": 3.9, "Sort": 223.7, "ArgMaxV2": 88.2,
        "DSARandomUniform": 88.2, "SoftmaxV2": 52.3, "MaskedFill": 17.8, "ApplyTopKTopPCustom": 30.0, "RealDiv": 12.4,
        "Cast": 2.4, "Mul": 4.7, "hcom_allReduce_": 160.0,
    }  # fmt: skip
    r = Recorder(mode="eager", gap_us=14.0, average=average)
    drawn = "RealDiv Sort MaskedFill ApplyTopKTopPCustom MaskedFill SoftmaxV2 DSARandomUniform RealDiv Mul"
    for step in r.steps(3):
        forward(r, CUT_OUT, dense_layers, step)
        for op in drawn.split():
            r.put(op, "sampling", (CUT_OUT.rows, CUT_OUT.vocab))
    return r.finish()


QWEN25 = Card(
    hidden=896, heads=14, kv=2, dim=64, inter=4864, vocab=151936, layers=24, rows=8, tp=2, bias=False,
)  # fmt: skip


def rotated_by_library(r: Recorder, c: Card) -> None:
    """Qwen2.5: a projection with biases, the transformer library's rotation, collectives run by vector cores."""
    linear(r, replace(c, bias=True), A, c.hidden, c.qkv_width)
    split(r, c, A, c.qkv_width, c.q_width, c.kv_width, c.kv_width)
    q, k = (c.rows, c.q_width), (c.rows, c.kv_width)
    r.put("AtbRopeKernel", A, [q, k, (c.rows, c.dim), (c.rows, c.dim), (c.rows,)], [q, k], core=V)
    cache(r, c)
    core(r, c)
    linear(r, c, A, c.q_width, c.hidden)
    reduce(r, c, "aiv_all_reduce_bfloat16_t")


def expanded_mlp(r: Recorder, c: Card) -> None:
    feed(r, c)
    reduce(r, c, "aiv_all_reduce_bfloat16_t")


def expanded_collectives() -> BuiltCapture:
    """Qwen2.5-0.5B, two cards, graphs: a published tree of what repeats; vector cores run the collectives."""
    average = {
        "MatMulV2": 10.3, "AtbRopeKernel": 4.3, "aiv_all_reduce_bfloat16_t": 6.6, "AddRmsNormBias": 2.6, "SwiGlu": 3.7,
        "FusedInferAttentionScore": 9.0, "RmsNorm": 6.7,
    }  # fmt: skip
    r = _recorded(QWEN25, stack(("dense", rotated_by_library, expanded_mlp)), average)
    for row in r.rows:
        if row["op_type"] == "aiv_all_reduce_bfloat16_t":
            row["truth"] = (*row["truth"][:4], "comm")
    return as_read(r.finish())


EXPORTED = Card(
    hidden=896, heads=14, kv=2, dim=64, inter=4864, vocab=151936, layers=24, rows=2080, sequences=10, norm_op="RmsNorm",
)  # fmt: skip


def exported() -> BuiltCapture:
    """Qwen2.5-0.5B as an offline model that scores whole prompts, without a cache: feed-forward is one kernel."""
    average = {
        "FFN": 386.5, "FusedInferAttentionScore": 125.0, "MatMulV2": 24.4, "InplaceAddRmsNorm": 27.8,
        "ApplyRotaryPosEmb": 25.6, "TransData": 162.3, "GatherV2": 49.2, "RmsNorm": 15.6,
    }  # fmt: skip
    c, r = EXPORTED, Recorder(gap_us=0.4, average=average)
    for _step in r.steps(3, phase="prefill"):
        r.outside()
        r.put("GatherV2", "embedding", [(c.vocab, c.hidden), (c.rows,), (1,)], c.wide)
        r.put("GatherV2", "prepare", [(32768, c.dim), (c.rows,), (1,)], (c.rows, c.dim))
        for number in r.layers(c.layers):
            _exported_layer(r, c, number)
        r.put("RmsNorm", NORM, [c.wide, (c.hidden,)], [c.wide, (c.rows, 1)])
        r.outside()
        last: Shape = (c.sequences, c.hidden)
        r.put("Slice", "head", [c.wide, (2,), (2,)], last)
        r.put("TransData", "head", last)
        r.put("MatMulV2", "head", [last, (c.vocab, c.hidden)], (c.sequences, c.vocab))
    return r.finish()


def _exported_layer(r: Recorder, c: Card, number: int) -> None:
    if number == 0:
        norm(r, c)
    q, k = (c.rows, c.heads, c.dim), (c.rows, c.kv, c.dim)
    for width in (c.heads * c.dim, c.kv * c.dim, c.kv * c.dim):
        r.put("MatMulV2", A, [c.wide, (width, c.hidden), (width,)], (c.rows, width))
    r.put("ApplyRotaryPosEmb", A, [q, k, (c.rows, 1, c.dim), (c.rows, 1, c.dim)], [q, k])
    r.put("FusedInferAttentionScore", A, [q, k, k, None, (2048, 2048)], [q, None], core=AIC)
    r.put("MatMulV2", A, [c.wide, (c.hidden, c.hidden)])
    sums: list[Shape | None] = [c.wide, c.wide, (c.hidden,)]
    r.put("InplaceAddRmsNorm", NORM, sums, [c.wide, (c.rows, 1), c.wide])
    ffn: list[Shape | None] = [c.wide, (c.hidden, 2 * c.inter), (c.inter, c.hidden)]
    r.put("FFN", MLP, ffn, c.wide, core=AIC)
    if number < c.layers - 1:
        r.put("InplaceAddRmsNorm", NORM, sums, [c.wide, (c.rows, 1), c.wide])
    else:
        r.put("Add", NORM, [c.wide, c.wide])


_EACH = ("FusedInferAttentionScore", "MoeInitRoutingV3", "split_qkv_rmsnorm_rope_kernel", "MoeGatingTopK")
_MOE = dict.fromkeys(_EACH, 48)
#: name -> how it is built and what was counted.
STEPS: dict[str, Published] = {
    "qwen3-30b-a3b from kernel statistics": Published(
        qwen3_moe_bf16,
        {
            **_MOE, "GroupedMatmul": 96, "MatMulV2": 145, "AddRmsNormBias": 96, "MoeTokenUnpermute": 48,
            "ScatterPaKvCache": 48, "SwiGlu": 48,
        },
        48,
    ),
    "qwen3-30b-a3b-w8a8 from kernel statistics": Published(
        qwen3_moe_w8a8,
        {
            **_MOE, "GroupedMatmulSwigluQuant": 48, "GroupedMatmul": 48, "Cumsum": 48, "QuantBatchMatmulV3": 96,
            "AscendQuantV2": 49, "MatMulV2": 49,
        },
        48,
    ),
    "qwen3-32b eager from kernel statistics": Published(
        qwen3_eager,
        {
            "MatMulV2": 257, "FusedInferAttentionScore": 64, "RmsNorm": 129, "AddRmsNormBias": 128, "SwiGlu": 64,
            "_triton_rope": 64, "ReshapeAndCacheNdKernel": 64, "Sort": 1, "ArgMaxV2": 1, "DSARandomUniform": 1,
            "MaskedFill": 2, "RealDiv": 2,
        },
        64,
    ),
    "qwen2.5-0.5b from a tree of repetitions": Published(
        expanded_collectives, {"AtbRopeKernel": 24, "AddRmsNormBias": 48, "SwiGlu": 24, "MatMulV2": 97}, 24
    ),
    "qwen2.5-0.5b offline model from operator statistics": Published(
        exported,
        {
            "FFN": 24, "FusedInferAttentionScore": 24, "MatMulV2": 97, "InplaceAddRmsNorm": 47,
            "ApplyRotaryPosEmb": 24, "GatherV2": 2, "RmsNorm": 2,
        },
        24,
    ),
}  # fmt: skip
