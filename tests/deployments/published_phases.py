"""Steps of published profiles: prompts beside decode, and eager decode of another engine; published.py says how
they are made."""

from __future__ import annotations

from dataclasses import replace

from sample_builder.blocks import (
    AIC,
    BLOCKS,
    MLP,
    A,
    Card,
    V,
    add_norm,
    cache,
    core,
    feed,
    forward,
    heads_norm,
    linear,
    norm,
    quantised,
    stack,
    static,
)
from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.recorder import Recorder

from deployments.published import QWEN3_32B, Published, as_read
from deployments.published_latent import RANK, ROPE, V3, absorbed, v3_layers
from deployments.written import cached_keys, turned_queries


def gathered(r: Recorder, c: Card, back: bool = False) -> None:
    """A collective that the AICPU drives: listed as a whole and as the task that drives it."""
    op = "hcom_reduceScatter_" if back else "hcom_allGather_"
    part: Shape = (c.rows // c.tp, c.hidden)
    r.put(op, "comm", c.wide if back else part, part if back else c.wide, 900.0)
    row = r.rows[-1]
    name = "reduce_scatterAicpuKernel" if back else "allgatherAicpuKernel"
    driver = {"name": name, "op_type": name, "core": "AI_CPU", "kind": "kernel", "stream": 21, "task": len(r.rows)}
    r.rows.append({**row, **driver})


def long_prompt(r: Recorder, c: Card) -> None:
    """Large projections are other kernels than in decode; a layer's first norm and rotation stay apart."""
    part = c.at(c.rows // c.tp)
    width, inter = c.qkv_width, c.inter // c.tp
    q, k = c.query, c.key
    for number in r.layers(c.layers):
        if number == 0:
            norm(r, part)
        gathered(r, c)
        r.put("MatMulV2", A, [c.wide, (width, c.hidden)], (c.rows, width), 640.0)
        if number == 0:
            heads_norm(r, c, q, us=300.0)
            heads_norm(r, c, k, us=300.0)
            r.put("_triton_rope", A, [q, k, (40960, c.dim)], [q, k], 280.0, V)
        else:
            r.put("split_qkv_rmsnorm_rope_kernel", A, us=983.0, core=V)
        cache(r, c)
        r.put("FusedInferAttentionScore", A, [q, k, k, None, (2048, 2048)], [q, None], 1083.0, AIC)
        r.put("MatMulV2", A, [(c.rows, c.q_width), (c.hidden, c.q_width)], c.wide, 1030.0)
        r.put("TensorMove", A, c.wide, us=33.0)
        gathered(r, c, back=True)
        add_norm(r, part)
        gathered(r, c)
        r.put("MatMulV3", MLP, [c.wide, (2 * inter, c.hidden)], (c.rows, 2 * inter), 3700.0)
        r.put("SwiGlu", MLP, (c.rows, 2 * inter), (c.rows, inter), 281.0)
        r.put("MatMulV3", MLP, [(c.rows, inter), (c.hidden, inter)], c.wide, 1950.0)
        r.put("TensorMove", MLP, c.wide, us=33.0)
        gathered(r, c, back=True)
        add_norm(r, part)


def graph_layers(r: Recorder, c: Card) -> None:
    """Decode in a graph: split, norms, rotation and cache by Triton kernels, collectives by vector cores."""
    for number in r.layers(c.layers):
        if number == 0:
            norm(r, c)
        linear(r, c, A, c.hidden, c.qkv_width)
        r.put("split_qkv_rmsnorm_rope_kernel_0", A, us=6.0, core=V)
        r.put("reshape_and_cache_200000000", A, us=4.0, core=V, name="reshape_and_cache_200000000")
        core(r, c)
        linear(r, c, A, c.q_width, c.hidden)
        r.put("hcom_allReduce_", "comm", c.wide, us=79.9)
        add_norm(r, c)
        feed(r, c)
        r.put("hcom_allReduce_", "comm", c.wide, us=79.9)
        add_norm(r, c)


def qwen3_phases() -> BuiltCapture:
    """Qwen3-32B, sixteen A3 dies, vLLM-Ascend: ten prompts of 4104 tokens, then decode graphs."""
    r = Recorder(mode="graph", gap_us=0.4)
    for step, (phase, rows) in enumerate([("prefill", 41040), ("decode", 16), ("decode", 16), ("decode", 16)]):
        c = QWEN3_32B.at(rows, 10 if phase == "prefill" else 16)
        r.mode = "eager" if phase == "prefill" else "graph"
        forward(r, c, long_prompt if phase == "prefill" else graph_layers, step, phase, rows=c.sequences)
        r.pause(320.0)
    return as_read(r.finish())


def chunked(r: Recorder, c: Card) -> None:
    """Keys and values are projected anew; the part before this chunk is loaded, and two results are joined."""
    rows, heads, rank = c.rows, c.heads, 1536
    static(r, c, A, rows, c.hidden)
    quantised(r, c, A, rows, c.hidden, rank + RANK + ROPE)
    norm(r, c, A, rank, "RmsNorm")
    static(r, c, A, rows, rank)
    quantised(r, c, A, rows, rank, heads * (c.dim + ROPE))
    pages = [(BLOCKS, 128, 1, ROPE), (BLOCKS, 128, 1, RANK)]
    cached_keys(r, c)
    turned_queries(r, c, 20.0)
    query: Shape = (rows, heads, c.dim + ROPE)
    for past in (False, True):
        if past:
            r.put("PagedCacheLoadNdKernel", A, [*pages, (8, 64), (8,)], [(rows, 1, RANK), (rows, 1, ROPE)], 18.0, V)
        r.put("MatMulV2", A, [(rows, RANK), (2 * heads * c.dim, RANK)], (rows, 2 * heads * c.dim), 90.0)
        r.put("FusedInferAttentionScore", A, [query, query, (rows, heads, c.dim)], (rows, heads, c.dim), 700.0)
    parts: list[Shape | None] = [(rows * heads,)] * 2 + [(rows * heads, c.dim)] * 2
    r.put("AttentionUpdate", A, parts, (rows * heads, c.dim), 714.0, V)
    static(r, c, A, rows, heads * c.dim)
    quantised(r, c, A, rows, heads * c.dim, c.hidden)
    r.put("hcom_reduceScatter_", "comm", c.wide, (max(1, rows // c.tp), c.hidden), 320.0)


def latent_layers(r: Recorder, c: Card) -> None:
    v3_layers(r, c, chunked if r.phase == "prefill" else absorbed)


def deepseek_v3_phases() -> BuiltCapture:
    """DeepSeek-V3 W8A8 on A3, vLLM-Ascend: three chunks of a prompt, then decode."""
    average = {"DispatchFFNCombine": 912.0}
    r = Recorder(mode="graph", gap_us=0.4, average=average)
    plan = [("prefill", 2048)] * 3 + [("decode", 24)] * 3
    for step, (phase, rows) in enumerate(plan):
        c = replace(V3, layers=61).at(rows, 8 if phase == "prefill" else 24)
        r.mode = "eager" if phase == "prefill" else "graph"
        forward(r, c, latent_layers, step, phase, rows=c.sequences)
        r.pause(320.0)
    return r.finish()


QWEN25_3B = Card(
    hidden=2048, heads=16, kv=2, dim=128, inter=11008, vocab=151936, layers=36, rows=8, add_norm_op="AddRmsNorm"
)


def paged(r: Recorder, c: Card) -> None:
    width = c.qkv_width
    linear(r, replace(c, bias=True), A, c.hidden, width)
    q, k = (c.rows, c.q_width), (c.rows, c.kv_width)
    r.put("AtbRopeKernel", A, [q, k, (c.rows, c.dim), (c.rows, c.dim), (c.rows,)], [q, k], 1.5, V)
    cache(r, c)
    out: Shape = (c.rows, c.heads, c.dim)
    r.put("ZerosLike", A, out)
    pages: Shape = (BLOCKS, 128, c.kv, c.dim)
    r.put("PagedAttentionMaskNdKernel", A, [out, pages, pages, (c.rows, 64), (c.rows,)], us=4.5, core=AIC)
    linear(r, c, A, c.q_width, c.hidden)


def other_engine() -> BuiltCapture:
    """Qwen2.5-3B on one 910B4, another engine in eager mode: kinds and times of its kernels, which sampler and all."""
    r = Recorder(mode="eager", gap_us=14.0)
    c = QWEN25_3B
    drawn = "RealDiv Sort LessEqual MaskedFill SoftmaxV2 DSARandomUniform Less Log Neg DSAGenBitMask DropOutDoMask"
    for step in r.steps(3):
        r.outside()
        r.put("Cumsum", "prepare", [(c.rows,), (1,)], us=40.0)
        forward(r, c, stack(("dense", paged, feed)), step)
        logits: Shape = (c.rows, c.vocab)
        for op in (*drawn.split(), "RealDiv", "ArgMaxV2"):
            r.put(op, "sampling", logits, us=36.0)
    return r.finish()


#: name -> how it is built and what was counted.
PHASES: dict[str, Published] = {
    "qwen3-32b prompt and graphs from kernel statistics": Published(
        qwen3_phases,
        {
            "MatMulV2": 129, "MatMulV3": 128, "split_qkv_rmsnorm_rope_kernel": 63, "_triton_rope": 1,
            "ReshapeAndCacheNdKernel": 64, "FusedInferAttentionScore": 64, "SwiGlu": 64, "AddRmsNormBias": 128,
        },
        64,
    ),
    "deepseek-v3-w8a8 chunks and graphs from kernel statistics": Published(
        deepseek_v3_phases,
        {"AttentionUpdate": 61, "PagedCacheLoadNdKernel": 61, "KvRmsNormRopeCache": 61, "DispatchFFNCombine": 58},
        61,
    ),
    "qwen2.5-3b in another engine from kernel statistics": Published(
        other_engine, {"PagedAttentionMaskNdKernel": 36, "AtbRopeKernel": 36, "ZerosLike": 36, "AddRmsNorm": 72}, 36
    ),
}  # fmt: skip
