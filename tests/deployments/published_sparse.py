"""Steps of published profiles: latent attention that chooses its keys, with drafts in GE graphs, and with one kernel
for the experts; published.py says how they are made."""

from __future__ import annotations

from sample_builder.blocks import AIC, AIV, BLOCKS, MLP, MOE, NORM, A, Card, V, dynamic, forward, norm, quantised
from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.recorder import Recorder

from deployments.published import Published, listed_twice
from deployments.published_latent import RANK, ROPE

V32 = Card(
    hidden=7168, heads=128, kv=1, dim=128, inter=18432, vocab=129280, layers=6, rows=8, experts=256, top_k=8, local=16,
    expert_inter=2048, tp=8,
)  # fmt: skip


def prolog(r: Recorder, c: Card) -> None:
    """All before the core by one kernel; what it writes, it writes to the cache."""
    ins: list[Shape | None] = [c.wide, (c.hidden, 1536), (1536, c.heads * (c.dim + ROPE)), (c.heads, c.dim, RANK)]
    pages: list[Shape | None] = [(BLOCKS, 128, 1, RANK), (BLOCKS, 128, 1, ROPE)]
    outs: list[Shape | None] = [(c.rows, c.heads, RANK), (c.rows, c.heads, ROPE), *pages]
    r.put("MlaPrologV3", A, [*ins, (c.hidden, RANK + ROPE), *pages], outs, 36.0, AIC)


def indexer(r: Recorder, c: Card) -> None:
    """Queries and keys of the indexer are cut, rotated, joined again, turned by a fixed matrix and quantised."""
    rows, heads, width = c.rows, 64, 128
    quantised(r, c, A, rows, 1536, heads * width)
    r.put("MatMulV2", A, [c.wide, (width, c.hidden)], (rows, width))
    r.put("LayerNormV3", A, [(rows, width), (width,), (width,)], [(rows, width), (rows, 1), (rows, 1)])
    for many in (heads, 1):
        whole: Shape = (rows, many, width)
        r.put("SplitV", A, whole, [(rows, many, ROPE), (rows, many, width - ROPE)], 2.2)
        r.put("RotaryMul", A, [(rows, many, ROPE), (rows, 1, ROPE), (rows, 1, ROPE)], us=2.4)
        r.put("ConcatV2", A, [(rows, many, ROPE), (rows, many, width - ROPE)], whole, 2.2)
        r.put("MatMulV2", A, [(rows * many, width), (width, width)], us=5.0)
        r.put("Cast", A, whole, us=1.6)
    dynamic(r, c, A, rows * heads, width)
    for page in (width, 1):
        cached: Shape = (BLOCKS * 128, page)
        r.put("ScatterNdUpdate", A, [cached, (rows, 1), (rows, page)])
    r.put("MatMulV2", A, [c.wide, (heads, c.hidden)], (rows, heads))
    keys: list[Shape | None] = [(rows, heads, width), (BLOCKS, 128, 1, width), (rows, heads), (rows, heads)]
    r.put("LightningIndexerQuant", A, keys, (rows, 1, 2048), 40.0, AIC)


def chosen(r: Recorder, c: Card, quant: str = "DynamicQuant") -> None:
    """Attention to the chosen keys, back from latent width, and out."""
    query: Shape = (c.rows, c.heads, RANK)
    pages: Shape = (BLOCKS, 128, 1, RANK + 2 * ROPE)
    r.put("KvQuantSparseFlashAttention", A, [query, pages, pages, (c.rows, 1, 2048)], us=52.0, core=AIC)
    r.put("TransposeBatchMatMul", A, [query, (c.heads, RANK, c.dim)], (c.rows, c.heads * c.dim), 12.0)
    inner = c.heads * c.dim
    r.put(quant, A, (c.rows, inner), [(c.rows, inner), (c.rows,)], 3.4)
    quantised(r, c, A, c.rows, inner, c.hidden)


def recipe_layer(r: Recorder, c: Card, dense: bool, first: bool, fused_next: bool) -> None:
    if first:
        norm(r, c, NORM, op="RmsNorm")
    r.put("Cast", A, c.wide, us=1.6)
    prolog(r, c)
    dynamic(r, c, A, c.rows, c.hidden)
    indexer(r, c)
    chosen(r, c)
    sums: list[Shape | None] = [c.wide, c.wide, (c.hidden,)]
    if dense:
        r.put("AddRmsNormDynamicQuant", NORM, [*sums, None, None], [c.wide, c.wide, c.wide, (c.rows,)], 5.0)
        width = c.inter // c.tp
        quantised(r, c, MLP, c.rows, c.hidden, 2 * width)
        r.put("DequantSwigluQuant", MLP, [(c.rows, 2 * width), (2 * width,)], [(c.rows, width), (c.rows,)], 4.0)
        quantised(r, c, MLP, c.rows, width, c.hidden)
    else:
        r.put("AddRmsNormCast", NORM, sums, [c.wide, c.wide, (c.rows, 1), c.wide], 5.0)
        routed_and_shared(r, c)
    if fused_next:
        r.put("InplaceAddRmsNorm", NORM, sums, [c.wide, (c.rows, 1), c.wide], 4.0)


def routed_and_shared(r: Recorder, c: Card) -> None:
    rows, routed, picks, width = c.rows, c.rows * c.top_k, (c.rows, c.top_k), c.expert_inter
    r.put("MatMulV2", MOE, [c.wide, (c.experts, c.hidden)], (rows, c.experts), 9.0)
    r.put("MoeGatingTopKHash", MOE, [(rows, c.experts), (c.experts,)], [picks, picks, (rows, c.experts)], 5.0)
    dynamic(r, c, MOE, rows, c.hidden)
    quantised(r, c, MOE, rows, c.hidden, 2 * width)
    r.put("DequantSwigluQuant", MOE, [(rows, 2 * width), (2 * width,)], [(rows, width), (rows,)], 4.0)
    quantised(r, c, MOE, rows, width, c.hidden)
    wide: Shape = (routed, c.hidden)
    r.put("MoeDistributeDispatchV2", MOE, [c.wide, picks], [wide, (routed,)], 30.0, AIV)
    r.put("GroupedMatmul", MOE, [wide, (c.local, c.hidden, 2 * width)], (routed, 2 * width), 60.0, AIC)
    r.put("DequantSwigluQuant", MOE, [(routed, 2 * width), (c.local, 2 * width)], [(routed, width), (routed,)], 6.0)
    r.put("GroupedMatmul", MOE, [(routed, width), (c.local, width, c.hidden)], wide, 40.0, AIC)
    r.put("MoeDistributeCombineV2", MOE, [wide, picks, c.wide], c.wide, 25.0, AIV)


def split_words(r: Recorder, c: Card) -> None:
    """Opens a graph: addresses, rows of the split table that are here, sum over ranks; cosines and sines."""
    r.outside()
    r.put("Data", "prepare", us=7.8, core=V, name="UpdateModelParam_static_bin")
    r.put("SubGreaterEqualLessLogicalAnd", "embedding", (c.rows,), [(c.rows,), (c.rows,)], 2.0)
    r.put("GatherV2", "embedding", [(c.vocab // c.tp, c.hidden), (c.rows,), (1,)], c.wide, 4.0)
    r.put("Mul", "embedding", [c.wide, (c.rows, 1)], us=2.0)
    r.put("hcom_allReduce_", "comm", c.wide, us=20.0)
    for _table in range(2):
        r.put("GatherV2", "prepare", [(163840, ROPE), (c.rows,), (1,)], (c.rows, ROPE), 2.0)


def split_head(r: Recorder, c: Card) -> None:
    r.outside()
    part: Shape = (c.rows, c.vocab // c.tp)
    r.put("hcom_allGather_", "comm", (c.rows // c.tp or 1, c.hidden), c.wide, 12.0)
    r.put("MatMulV2", "head", [c.wide, (c.vocab // c.tp, c.hidden)], part, 110.0)
    r.put("hcom_alltoall_", "comm", part, (c.rows // c.tp or 1, c.vocab), 12.0)
    r.put("ArgMaxWithValue", "sampling", [part, (1,)], [(c.rows,), (c.rows,)], 20.0)
    r.put("Cast", "sampling", (c.rows,), us=1.4)


def recipe() -> BuiltCapture:
    """DeepSeek-V3.2 cut to six layers, recipe, GE graphs: the step's kernels by kind, three drafts in a row."""
    c, r = V32, Recorder(gap_us=0.6)
    for _step in r.steps(3, 300.0):
        split_words(r, c)
        for number in range(c.layers):
            r.layer, r.kind = number, "dense" if number < 3 else "moe"
            recipe_layer(r, c, dense=number < 3, first=number == 0, fused_next=True)
        split_head(r, c)
        r.put("ArgMaxV2", "sampling", [(c.rows, c.vocab), (1,)], (c.rows,), 12.0)
        for draft in range(3):
            r.pause(20.0)
            split_words(r, c)
            r.layer, r.kind = c.layers + draft, "mtp"
            norm(r, c, NORM, op="RmsNorm")
            norm(r, c, NORM, op="RmsNorm")
            r.outside()
            r.put("ConcatV2", "other", [c.wide, c.wide], (c.rows, 2 * c.hidden), 2.2)
            r.put("MatMulV2", "other", [(c.rows, 2 * c.hidden), (c.hidden, 2 * c.hidden)], c.wide, 60.0)
            r.layer, r.kind = c.layers + draft, "mtp"
            recipe_layer(r, c, dense=False, first=True, fused_next=True)
            split_head(r, c)
    return listed_twice(r)


GLM53 = Card(
    hidden=6144, heads=8, kv=1, dim=256, inter=12288, vocab=154880, layers=78, rows=1, tp=8, experts=256, top_k=8,
    local=32, expert_inter=2048,
)  # fmt: skip


def mega_layers(r: Recorder, c: Card) -> None:
    """Every fourth layer or so chooses keys for the next ones; the shared expert's result is added as a list of one."""
    rows = c.rows
    for number in range(c.layers):
        dense = number < 3
        r.layer, r.kind = number, "dense" if dense else "moe"
        if number == 0:
            norm(r, c, NORM, op="RmsNorm")
        r.put("DynamicMxQuant", A, c.wide, [c.wide, (rows, c.hidden // 64, 2)], 3.4)
        prolog(r, c)
        if number < 3 or (number % 4 == 2 and number > 3):
            quantised(r, c, A, rows, 2048, 32 * 128)
            r.put("MatMulV3", A, [c.wide, (128, c.hidden)], (rows, 128), 6.0)
            r.put("LayerNormV3", A, [(rows, 128), (128,), (128,)], [(rows, 128), (rows, 1), (rows, 1)])
            r.put("ScatterNdUpdate", A, [(BLOCKS * 128, 128), (rows, 1), (rows, 128)])
            r.put("MatMulV3", A, [c.wide, (32, c.hidden)], (rows, 32), 6.0)
            keys: list[Shape | None] = [(rows, 32, 128), (BLOCKS, 128, 1, 128), (rows, 32), (rows, 32)]
            r.put("LightningIndexerQuant", A, keys, (rows, 1, 2048), 30.0, AIC)
        chosen(r, c, "DynamicMxQuant")
        r.put("hcom_allReduce_", "comm", c.wide, us=30.0)
        r.put("AddRmsNormBias", NORM, [c.wide, c.wide, (c.hidden,), None], [c.wide, (rows, 1), c.wide], 6.5)
        if dense:
            mx_mlp(r, c, MLP, c.inter // c.tp)
            r.put("hcom_allReduce_", "comm", c.wide, us=30.0)
        else:
            one_kernel_and_list(r, c)
        r.put("AddRmsNormBias", NORM, [c.wide, c.wide, (c.hidden,), None], [c.wide, (rows, 1), c.wide], 6.5)


def mx_mlp(r: Recorder, c: Card, region: str, width: int) -> None:
    r.put("DynamicMxQuant", region, c.wide, [c.wide, (c.rows, c.hidden // 64, 2)], 3.4)
    quantised(r, c, region, c.rows, c.hidden, 2 * width)
    r.put("SwiGlu", region, (c.rows, 2 * width), (c.rows, width), 2.2)
    r.put("DynamicMxQuant", region, (c.rows, width), [(c.rows, width), (c.rows, width // 64, 2)], 3.4)
    quantised(r, c, region, c.rows, width, c.hidden)


def one_kernel_and_list(r: Recorder, c: Card) -> None:
    rows, picks = c.rows, (c.rows, c.top_k)
    r.put("MatMulV3", MOE, [c.wide, (c.experts, c.hidden)], (rows, c.experts), 8.0)
    r.put("MoeGatingTopK", MOE, [(rows, c.experts), (c.experts,)], [picks, picks, (rows, c.experts)], 2.9)
    for _cast in range(2):
        r.put("Cast", MOE, picks, us=1.6)
    experts: list[Shape | None] = [(2048,), c.wide, picks, picks, (c.local, 2 * c.expert_inter, c.hidden)]
    r.put("MegaMoe", MOE, [*experts, (c.local, c.hidden, c.expert_inter)], c.wide, 536.0, AIC)
    mx_mlp(r, c, MOE, c.expert_inter)
    r.put("Muls", MOE, c.wide, us=2.3)
    r.put("ForeachAddList", MOE, [c.wide, c.wide, ()], us=4.3)


def mega() -> BuiltCapture:
    """GLM-5.3 W4A4 on eight 950DT, vLLM-Ascend without graphs: counts of 256 forward passes."""
    r = Recorder(mode="eager", gap_us=14.0, average={"QuantBatchMatmulV3": 9.4, "MlaPrologV3": 26.0})
    for step in r.steps(3):
        forward(r, GLM53, mega_layers, step)
    return r.finish()


#: name -> how it is built and what was counted.
SPARSE_STEPS: dict[str, Published] = {
    "deepseek-v3.2 in graphs with drafts from a list of kernels": Published(
        recipe,
        {
            "MlaPrologV3": 9, "LightningIndexerQuant": 9, "KvQuantSparseFlashAttention": 9, "QuantBatchMatmulV3": 36,
            "DynamicQuant": 33, "RotaryMul": 18, "SplitV": 18, "ScatterNdUpdate": 18, "LayerNormV3": 9, "RmsNorm": 10,
            "InplaceAddRmsNorm": 9, "AddRmsNormDynamicQuant": 3, "AddRmsNormCast": 6, "DequantSwigluQuant": 15,
            "GroupedMatmul": 12, "MoeDistributeDispatchV2": 6, "MoeDistributeCombineV2": 6, "MatMulV2": 49,
            "GatherV2": 12, "ArgMaxWithValue": 4, "SubGreaterEqualLessLogicalAnd": 4, "Data": 4,
        },
        9,
    ),
    "glm-5.3-w4a4 eager from operator statistics": Published(
        mega,
        {
            "MegaMoe": 75, "QuantBatchMatmulV3": 255, "DynamicMxQuant": 312, "SwiGlu": 78, "ForeachAddList": 75,
            "Muls": 75,
        },
        78,
    ),
}  # fmt: skip
