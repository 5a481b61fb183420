"""Blocks of real deployments as kernel sequences, with the names and shapes that Ascend captures hold.

The sequences follow the model descriptions (what a layer computes) and the operators that vLLM-Ascend, SGLang, MindIE
(ATB), torchair and cann-recipes call for them; slots, layouts and small helper kernels are those of the real eager
capture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sample_builder.operation import Shape
from sample_builder.recorder import Recorder, projection_us

A, MLP, MOE, NORM = "attention", "mlp", "moe", "norm"
V, AIC, AIV = "AI_VECTOR_CORE", "MIX_AIC", "MIX_AIV"
BLOCKS = 4096  # pages of the KV cache
INFER, PAGED = "FusedInferAttentionScore", "PagedAttentionMaskNdKernel"


@dataclass(frozen=True)
class Card:
    """A model card: sizes per rank where tensor parallelism splits them, and which kernels its blocks are made of.

    `quant` is how projections are stored: dynamic, static, mx, w4, w4a8; `dequant` puts a kernel behind them. `bias` is
    added inside a projection, `bias_add` by a kernel behind it. `cut` says how q, k and v come apart: by one `kernel`
    that also normalises and rotates, by `slices`, by slices with that of v behind the rotation (`late`), by a `split`,
    or by `separate` projections. `mlp` is `gated`, `plain`, or gated by loose kernels: `sliced`, `swish`,
    `swish-between`, `sigmoid`. `runner` is whether the small kernels round a step are there.
    """

    hidden: int
    heads: int
    kv: int
    dim: int
    inter: int
    vocab: int
    layers: int = 6
    rows: int = 24
    sequences: int = 0
    tp: int = 1
    quant: str = ""
    dequant: bool = False
    bias: bool = False
    bias_add: bool = False
    norm: str = "RmsNorm"
    add_norm: str = "AddRmsNormBias"
    cut: str = "kernel"
    qk_norm: bool = False
    rope: str = "_triton_rope"
    positions: int = 32768
    cache: str = "ReshapeAndCacheNdKernel"
    core: str = INFER
    mlp: str = "gated"
    act: str = "SwiGlu"
    experts: int = 128
    top_k: int = 8
    expert_inter: int = 768
    local: int = 16
    runner: bool = True

    @property
    def wide(self) -> Shape:
        """The residual stream."""
        return (self.rows, self.hidden)

    @property
    def q(self) -> int:
        """Width of the queries on this rank."""
        return self.heads // self.tp * self.dim

    @property
    def kv_width(self) -> int:
        """Width of the keys on this rank."""
        return max(1, self.kv // self.tp) * self.dim

    @property
    def qkv(self) -> int:
        """Width of queries, keys and values together."""
        return self.q + 2 * self.kv_width

    @property
    def query(self) -> Shape:
        """Queries by heads."""
        return (self.rows, self.q // self.dim, self.dim)

    @property
    def key(self) -> Shape:
        """Keys by heads."""
        return (self.rows, self.kv_width // self.dim, self.dim)

    def at(self, rows: int, sequences: int = 0) -> Card:
        """The same model on another batch."""
        return replace(self, rows=rows, sequences=sequences)


Block = Callable[[Recorder, Card], None]
Layers = Block


def dynamic(r: Recorder, region: str, rows: int, width: int, us: float = 2.5) -> None:
    """A quantisation with a scale for each row."""
    r.put("DynamicQuant", region, (rows, width), [(rows, width), (rows,)], us)


def static(r: Recorder, region: str, rows: int, width: int, us: float = 2.2) -> None:
    """A quantisation with scales known beforehand."""
    r.put("AscendQuantV2", region, [(rows, width), (width,), (width,)], us=us)


def quantised(r: Recorder, region: str, rows: int, inner: int, outer: int, core: str = AIC) -> None:
    """A product alone: quantised weights in fractals and a scale for each row."""
    packed = (outer // 32 or 1, inner // 16 or 1, 16, 32)
    r.put("QuantBatchMatmulV3", region, [(rows, inner), packed, (outer,), (rows,)], (rows, outer), core=core)


def quantised_feed(r: Recorder, c: Card, region: str, width: int, ready: bool = False) -> None:
    """A gated feed-forward with a scale for each row; `ready` where the norm before already quantised."""
    if not ready:
        dynamic(r, region, c.rows, c.hidden)
    quantised(r, region, c.rows, c.hidden, 2 * width)
    r.put("SwiGlu", region, (c.rows, 2 * width), (c.rows, width))
    dynamic(r, region, c.rows, width)
    quantised(r, region, c.rows, width, c.hidden)


def linear(r: Recorder, c: Card, region: str, inner: int, outer: int, rows: int = 0, quant: str | None = None) -> None:
    """A projection as the card stores its weights; quantised weights lie in NZ fractals."""
    rows = rows or c.rows
    how = c.quant if quant is None else quant
    us, source, result = projection_us(rows, inner, outer), (rows, inner), (rows, outer)
    packed = (outer // 32 or 1, inner // 16 or 1, 16, 32)
    if how == "dynamic":
        dynamic(r, region, rows, inner)
        r.put("QuantBatchMatmulV3", region, [source, packed, (outer,), None, None, (rows,)], result, us)
    elif how == "static":
        static(r, region, rows, inner)
        r.put("QuantBatchMatmulV3", region, [source, packed, (outer,), None, (outer,)], result, us)
    elif how == "mx":
        r.put("DynamicMxQuant", region, source, [source, (rows, inner // 64, 2)], 2.5)
        r.put("QuantBatchMatmulV4", region, [source, (outer, inner), (outer, inner // 64, 2)], result, us)
    elif how in ("w4", "w4a8"):
        if how == "w4a8":
            dynamic(r, region, rows, inner)
        r.put("WeightQuantBatchMatmulV2", region, [source, (inner, outer // 8)], result, us)
    elif c.bias:
        r.put("Cast", region, (outer,), us=1.5)
        r.put("MatMulV2", region, [source, (outer, inner), (outer,)], result, us)
    else:
        r.put("MatMulV2", region, [source, (outer, inner)], result, us)
    if c.dequant:
        r.put("AscendDequant", region, result, us=2.0)
    if c.bias_add:
        r.put("Add", region, [result, (outer,)], us=1.8)


def norm(r: Recorder, c: Card, region: str = NORM, width: int = 0, op: str = "") -> None:
    """A norm of rows."""
    width, op = width or c.hidden, op or c.norm
    r.put(op, region, [(c.rows, width), *[(width,)] * (2 if "Layer" in op else 1)], [(c.rows, width), (c.rows, 1)], 2.6)


def heads_norm(r: Recorder, heads: Shape, op: str = "RmsNorm", us: float = 2.4) -> None:
    """A norm of each head."""
    r.put(op, A, [heads, heads[-1:]], [heads, (*heads[:-1], 1)], us)


def add(r: Recorder, c: Card, region: str = NORM, op: str = "Add") -> None:
    """A sum of two residual streams."""
    r.put(op, region, [c.wide, c.wide], us=2.0)


def add_norm(r: Recorder, c: Card) -> None:
    """Residual addition and norm in one kernel, or two where no fused one is used."""
    if not c.add_norm:
        add(r, c)
        norm(r, c)
        return
    r.put(c.add_norm, NORM, [c.wide, c.wide, (c.hidden,), None], [c.wide, (c.rows, 1), c.wide], 3.2)


def reduce(r: Recorder, c: Card, op: str = "hcom_allReduce_") -> None:
    """The sum over the ranks that share a block."""
    if c.tp > 1:
        r.put(op, "comm", c.wide, us=12.0)


def split(r: Recorder, c: Card, region: str, width: int, *parts: int) -> None:
    """A slice for each part."""
    for part in parts:
        r.put("Slice", region, [(c.rows, width), (2,), (2,)], (c.rows, part), 1.9)


def qkv(r: Recorder, c: Card) -> None:
    """Queries, keys and values, cut out, normalised and rotated."""
    widths = (c.q, c.kv_width, c.kv_width)
    if c.cut == "separate":
        for width in widths:
            linear(r, c, A, c.hidden, width)
    else:
        linear(r, c, A, c.hidden, c.qkv)
    if c.cut == "kernel":
        r.put("split_qkv_rmsnorm_rope_kernel", A, us=4.5, core=V)
        return
    if c.cut == "split":
        r.put("SplitVD", A, (c.rows, c.qkv), [(c.rows, width) for width in widths], 2.0)
    elif c.cut in ("late", "slices"):
        split(r, c, A, c.qkv, *widths[: 2 if c.cut == "late" else 3])
    if c.qk_norm:
        heads_norm(r, c.query, c.norm)
        heads_norm(r, c.key, c.norm)
    if c.rope == "RotaryMul":
        for rows, heads, dim in (c.query, c.key):
            r.put("RotaryMul", A, [(rows, 1, heads, dim), (rows, 1, 1, dim)], us=2.4)
    elif c.rope:
        r.put(c.rope, A, [c.query, c.key, (c.positions, c.dim)], [c.query, c.key], 3.0, V)
    if c.cut == "late":
        split(r, c, A, c.qkv, c.kv_width)


def cache(r: Recorder, c: Card, op: str = "") -> None:
    """New keys and values are written to their pages."""
    pages = (BLOCKS, 128, *c.key[1:])
    r.put(op or c.cache, A, [c.key, c.key, pages, pages, (c.rows,)], [pages, pages], 2.6, V)


def core(r: Recorder, c: Card, op: str = "", us: float = 0.0) -> None:
    """Paged attention; the block table sits in slot 14."""
    pages = (BLOCKS, 128, c.kv_width)
    ins = [c.query, pages, pages, None, (2048, 2048), *[None] * 9, (c.sequences or c.rows, 64)]
    r.put(op or c.core, A, ins, [c.query, None], us or 16.0 + 0.02 * c.rows, AIC)


def attend(r: Recorder, c: Card) -> None:
    """Attention on this rank."""
    qkv(r, c)
    if c.cache:
        cache(r, c)
    core(r, c)
    linear(r, c, A, c.q, c.hidden)


def gqa(r: Recorder, c: Card) -> None:
    """Attention, summed over the ranks."""
    attend(r, c)
    reduce(r, c)


def feed(r: Recorder, c: Card, region: str = MLP, inter: int = 0) -> None:
    """A feed-forward on this rank: of an MLP or of a shared expert."""
    inter = (inter or c.inter) // c.tp
    mid = (c.rows, inter)
    if c.mlp in ("gated", "sliced"):
        linear(r, c, region, c.hidden, 2 * inter)
    elif c.mlp != "plain":
        linear(r, c, region, c.hidden, inter)
        if c.mlp == "swish-between":
            r.put("Swish", region, mid, us=2.0)
        linear(r, c, region, c.hidden, inter)
    if c.mlp == "gated":
        r.put(c.act, region, (c.rows, 2 * inter), mid, 2.8)
    elif c.mlp == "plain":
        linear(r, c, region, c.hidden, inter)
        r.each(c.act, region, mid, 2.4)
    elif c.mlp == "sliced":
        split(r, c, region, 2 * inter, inter, inter)
        r.each("Gelu Mul", region, mid, 3.0)
    else:
        r.each({"swish": "Swish Mul", "sigmoid": "Sigmoid Mul Mul", "swish-between": "Mul"}[c.mlp], region, mid, 2.0)
    linear(r, c, region, inter, c.hidden)


def mlp(r: Recorder, c: Card) -> None:
    """A dense feed-forward, summed over the ranks."""
    feed(r, c)
    reduce(r, c)


def gating(r: Recorder, c: Card, op: str = "MoeGatingTopK", cast: bool = True) -> None:
    """Router logits in float32, then the choice; by loose kernels with `op` empty."""
    if cast:
        r.put("Cast", MOE, c.wide, us=1.8)
    linear(r, replace(c, bias=False, bias_add=False, dequant=False), MOE, c.hidden, c.experts, quant="")
    logits, chosen = (c.rows, c.experts), (c.rows, c.top_k)
    if op:
        r.put(op, MOE, [logits, (c.experts,)], [chosen, chosen, logits], 3.4)
        return
    r.put("SoftmaxV2", MOE, logits, us=2.2)
    r.put("TopKV2", MOE, logits, [chosen, chosen], 6.0)
    r.put("ReduceSum", MOE, chosen, (c.rows, 1), 2.0)
    r.put("RealDiv", MOE, [chosen, (c.rows, 1)], us=2.0)


def grouped(r: Recorder, c: Card, rows: int, act: str = "SwiGlu") -> None:
    """The matmuls of all experts on this rank."""
    inter, wide, mid = c.expert_inter, (rows, c.hidden), (rows, c.expert_inter)
    up, down = (c.local, c.hidden, 2 * inter), (c.local, inter, c.hidden)
    if c.quant:
        r.put("GroupedMatmulSwigluQuant", MOE, [wide, up, None], [mid, (rows,)], 46.0, AIC)
    else:
        r.put("GroupedMatmul", MOE, [wide, up], (rows, 2 * inter), 40.0, AIC)
        r.put(act, MOE, (rows, 2 * inter), mid, 3.0)
    r.put("GroupedMatmul", MOE, [mid, down], wide, 26.0, AIC)


def dispatched(r: Recorder, c: Card, version: str = "V2") -> None:
    """Expert parallelism through the memory of other ranks."""
    rows, chosen = c.rows * c.top_k, (c.rows, c.top_k)
    r.put(f"MoeDistributeDispatch{version}", MOE, [c.wide, chosen], [(rows, c.hidden), (rows,)], 24.0, AIV)
    grouped(r, c, rows)
    r.put(f"MoeDistributeCombine{version}", MOE, [(rows, c.hidden), chosen], c.wide, 20.0, AIV)


def permuted(r: Recorder, c: Card, route: str = "MoeInitRoutingV2", back: str = "MoeFinalizeRoutingV2") -> None:
    """All experts at hand: tokens in order of their experts, and back."""
    rows, chosen = c.rows * c.top_k, (c.rows, c.top_k)
    r.put(route, MOE, [c.wide, chosen], [(rows, c.hidden), (rows,), (c.experts,)], 9.0, AIV)
    grouped(r, c, rows)
    r.put(back, MOE, [(rows, c.hidden), (rows,), chosen], c.wide, 6.0)


def moe(r: Recorder, c: Card) -> None:
    """Router and experts."""
    gating(r, c)
    dispatched(r, c)


def shared(r: Recorder, c: Card, gate: bool = False) -> None:
    """The expert that every token visits, with a `gate` of its own (Qwen2-MoE, Qwen3-Next)."""
    feed(r, c, MOE, c.expert_inter * c.tp)
    if gate:
        linear(r, replace(c, quant=""), MOE, c.hidden, 1)
        r.put("Sigmoid", MOE, (c.rows, 1), us=1.6)
        r.put("Mul", MOE, [(c.rows, 1), c.wide], c.wide, 2.0)
