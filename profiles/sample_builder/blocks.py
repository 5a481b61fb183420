"""Blocks of real deployments as kernel sequences, with the names and shapes that Ascend captures hold.

The sequences follow the model descriptions (what a layer computes) and the operators that vLLM-Ascend, SGLang, MindIE
(ATB) and cann-recipes call for them; slots, layouts and small helper kernels are those of the real eager capture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.recorder import Recorder

A, MLP, MOE, NORM = "attention", "mlp", "moe", "norm"
BLOCKS = 4096  # pages of the KV cache


@dataclass(frozen=True)
class Card:
    """A model card: sizes per rank where tensor parallelism splits them, and how its projections are stored."""

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
    bias: bool = False
    norm: str = "RmsNorm"
    add_norm: str = "AddRmsNormBias"
    core: str = "FusedInferAttentionScore"
    experts: int = 128
    top_k: int = 8
    expert_inter: int = 768
    local: int = 16

    @property
    def wide(self) -> Shape:
        return (self.rows, self.hidden)

    @property
    def q(self) -> int:
        return self.heads // self.tp * self.dim

    @property
    def kv_width(self) -> int:
        return max(1, self.kv // self.tp) * self.dim

    def at(self, rows: int, sequences: int = 0) -> Card:
        return replace(self, rows=rows, sequences=sequences)


Block = Callable[[Recorder, Card], None]


def linear(r: Recorder, c: Card, region: str, inner: int, outer: int, rows: int = 0, quant: str | None = None) -> None:
    """A projection as the card stores its weights; quantised weights lie in NZ fractals."""
    rows = rows or c.rows
    how = c.quant if quant is None else quant
    us = 3 + inner * outer * 2 / 1.2e6 + rows * inner * outer * 2 / 2.5e8
    packed = (outer // 32 or 1, inner // 16 or 1, 16, 32)
    if how == "dynamic":
        r.put("DynamicQuant", region, [(rows, inner)], [(rows, inner), (rows,)], 2.5)
        r.put("QuantBatchMatmulV3", region, [(rows, inner), packed, (outer,), None, None, (rows,)], [(rows, outer)], us)
    elif how == "static":
        r.put("AscendQuantV2", region, [(rows, inner), (inner,), (inner,)], [(rows, inner)], 2.2)
        r.put("QuantBatchMatmulV3", region, [(rows, inner), packed, (outer,), None, (outer,)], [(rows, outer)], us)
    elif how == "mx":
        r.put("DynamicMxQuant", region, [(rows, inner)], [(rows, inner), (rows, inner // 64, 2)], 2.5)
        scale = (outer, inner // 64, 2)
        r.put("QuantBatchMatmulV4", region, [(rows, inner), (outer, inner), scale], [(rows, outer)], us)
    elif how == "w4":
        r.put("WeightQuantBatchMatmulV2", region, [(rows, inner), (inner, outer // 8)], [(rows, outer)], us)
    elif c.bias:
        r.put("Cast", region, [(outer,)], [(outer,)], 1.5)
        r.put("MatMulV2", region, [(rows, inner), (outer, inner), (outer,)], [(rows, outer)], us)
    else:
        r.put("MatMulV2", region, [(rows, inner), (outer, inner)], [(rows, outer)], us)


def norm(r: Recorder, c: Card, region: str = NORM, width: int = 0, op: str = "") -> None:
    width = width or c.hidden
    op = op or c.norm
    extra = [(width,)] * (2 if op.startswith("LayerNorm") else 1)
    r.put(op, region, [(c.rows, width), *extra], [(c.rows, width), (c.rows, 1)], 2.6)


def add(r: Recorder, c: Card, region: str = NORM, op: str = "Add") -> None:
    r.put(op, region, [c.wide, c.wide], [c.wide], 2.0)


def add_norm(r: Recorder, c: Card) -> None:
    """Residual addition and norm in one kernel, or two where no fused one is used."""
    if not c.add_norm:
        add(r, c)
        norm(r, c)
        return
    r.put(c.add_norm, NORM, [c.wide, c.wide, (c.hidden,), None], [c.wide, (c.rows, 1), c.wide], 3.2)


def reduce(r: Recorder, c: Card, op: str = "hcom_allReduce_") -> None:
    if c.tp > 1:
        r.put(op, "comm", [c.wide], [c.wide], 12.0)


def split(r: Recorder, c: Card, region: str, width: int, *parts: int) -> None:
    for part in parts:
        r.put("Slice", region, [(c.rows, width), (2,), (2,)], [(c.rows, part)], 1.9)


def qkv(r: Recorder, c: Card, fused: str = "split_qkv_rmsnorm_rope_kernel") -> None:
    """One projection to q, k and v, then one kernel that splits, normalises and rotates (no shapes: Triton)."""
    linear(r, c, A, c.hidden, c.q + 2 * c.kv_width)
    if fused:
        r.put(fused, A, us=4.5, core="AI_VECTOR_CORE")
        return
    split(r, c, A, c.q + 2 * c.kv_width, c.q, c.kv_width)
    q, k = (c.rows, c.q // c.dim, c.dim), (c.rows, c.kv_width // c.dim, c.dim)
    r.put("_triton_rope", A, [q, k, (32768, c.dim)], [q, k], 3.0, "AI_VECTOR_CORE")
    split(r, c, A, c.q + 2 * c.kv_width, c.kv_width)


def cache(r: Recorder, c: Card, op: str = "ReshapeAndCacheNdKernel") -> None:
    heads = c.kv_width // c.dim
    new, pages = (c.rows, heads, c.dim), (BLOCKS, 128, heads, c.dim)
    r.put(op, A, [new, new, pages, pages, (c.rows,)], [pages, pages], 2.6, "AI_VECTOR_CORE")


def core(r: Recorder, c: Card, op: str = "", us: float = 0.0) -> None:
    """Paged attention; the block table sits in slot 14."""
    pages = (BLOCKS, 128, c.kv_width)
    query = (c.rows, c.q // c.dim, c.dim)
    ins: list[Shape | None] = [query, pages, pages, None, (2048, 2048), *[None] * 9, (c.sequences or c.rows, 64)]
    r.put(op or c.core, A, ins, [query, None], us or 16.0 + 0.02 * c.rows, "MIX_AIC")


def gqa(r: Recorder, c: Card, fused: str = "split_qkv_rmsnorm_rope_kernel") -> None:
    qkv(r, c, fused)
    cache(r, c)
    core(r, c)
    linear(r, c, A, c.q, c.hidden)
    reduce(r, c)


def swiglu(r: Recorder, c: Card, region: str = MLP, inter: int = 0, act: str = "SwiGlu") -> None:
    """Gate and up as one projection, activation, down."""
    inter = (inter or c.inter) // c.tp
    linear(r, c, region, c.hidden, 2 * inter)
    r.put(act, region, [(c.rows, 2 * inter)], [(c.rows, inter)], 2.8)
    linear(r, c, region, inter, c.hidden)


def mlp(r: Recorder, c: Card) -> None:
    swiglu(r, c)
    reduce(r, c)


def gating(r: Recorder, c: Card, op: str = "MoeGatingTopK", cast: bool = True) -> None:
    """Router logits in float32, then the choice."""
    if cast:
        r.put("Cast", MOE, [c.wide], [c.wide], 1.8)
    linear(r, replace(c, bias=False), MOE, c.hidden, c.experts, quant="")
    logits, chosen = (c.rows, c.experts), (c.rows, c.top_k)
    r.put(op, MOE, [logits, (c.experts,)], [chosen, chosen, logits], 3.4)


def grouped(r: Recorder, c: Card, rows: int, act: str = "SwiGlu") -> None:
    inter = c.expert_inter
    up, down = (c.local, c.hidden, 2 * inter), (c.local, inter, c.hidden)
    if c.quant:
        r.put("GroupedMatmulSwigluQuant", MOE, [(rows, c.hidden), up, None], [(rows, inter), (rows,)], 46.0, "MIX_AIC")
    else:
        r.put("GroupedMatmul", MOE, [(rows, c.hidden), up], [(rows, 2 * inter)], 40.0, "MIX_AIC")
        r.put(act, MOE, [(rows, 2 * inter)], [(rows, inter)], 3.0)
    r.put("GroupedMatmul", MOE, [(rows, inter), down], [(rows, c.hidden)], 26.0, "MIX_AIC")


def dispatched(r: Recorder, c: Card, version: str = "V2") -> None:
    """Expert parallelism through the memory of other ranks."""
    rows, chosen = c.rows * c.top_k, (c.rows, c.top_k)
    wide = (rows, c.hidden)
    r.put(f"MoeDistributeDispatch{version}", MOE, [c.wide, chosen], [wide, (rows,)], 24.0, "MIX_AIV")
    grouped(r, c, rows)
    r.put(f"MoeDistributeCombine{version}", MOE, [wide, chosen], [c.wide], 20.0, "MIX_AIV")


def permuted(r: Recorder, c: Card, route: str = "MoeInitRoutingCustom", back: str = "MoeTokenUnpermute") -> None:
    """All experts at hand: tokens in order of their experts, and back."""
    rows, chosen = c.rows * c.top_k, (c.rows, c.top_k)
    wide = (rows, c.hidden)
    r.put(route, MOE, [c.wide, chosen], [wide, (rows,), (c.experts,)], 9.0, "MIX_AIV")
    grouped(r, c, rows)
    r.put(back, MOE, [wide, (rows,), chosen], [c.wide], 6.0)


def moe(r: Recorder, c: Card) -> None:
    gating(r, c)
    dispatched(r, c)


def prepare(r: Recorder, c: Card) -> None:
    """What a model runner does before the forward pass."""
    r.layer = r.kind = None
    for op in ("Fill", "Index", "Cast", "Add"):
        r.put(op, "prepare", [(c.rows,)], [(c.rows,)], 1.5)
    r.put("_compute_slot_mapping_kernel", "prepare", [(2,), (c.rows,), (1, 16)], [(2050,)], 2.5, "AI_VECTOR_CORE")
    for _table in range(2):
        r.put("GatherV3", "prepare", [(32768, 64), (c.rows,), (1,)], [(c.rows, 64)], 2.0)


def embed(r: Recorder, c: Card) -> None:
    r.layer = r.kind = None
    r.put("GatherV2", "embedding", [(c.vocab // c.tp, c.hidden), (c.rows,), (1,)], [c.wide], 4.0)
    reduce(r, c)


def head(r: Recorder, c: Card, rows: int = 0) -> None:
    """The rows to predict from, logits, float32 logits, greedy choice."""
    r.layer = r.kind = None
    rows = rows or c.sequences or c.rows
    r.put("Index", "head", [c.wide, (1,), (2,), (rows,)], [(rows, c.hidden)], 2.8)
    linear(r, replace(c, bias=False), "head", c.hidden, c.vocab // c.tp, rows, quant="")
    if c.tp > 1:
        r.put("hcom_allGather_", "comm", [(rows, c.vocab // c.tp)], [(rows, c.vocab)], 9.0)
    r.put("Cast", "sampling", [(rows, c.vocab)], [(rows, c.vocab)], 3.0)
    r.put("ArgMaxV2", "sampling", [(rows, c.vocab), (1,)], [(rows,)], 9.0)


def stack(r: Recorder, c: Card, *kinds: tuple[str, Block, Block]) -> None:
    """Pre-norm layers of these kinds, over and over; a sum carries the next norm, or the next layer opens with it."""
    for number in range(c.layers):
        r.layer, (r.kind, attend, feed) = number, kinds[number % len(kinds)]
        if number == 0 or not c.add_norm:
            norm(r, c)
        attend(r, c)
        add_norm(r, c)
        feed(r, c)
        if c.add_norm:
            add_norm(r, c)
        else:
            add(r, c)
    if not c.add_norm:
        norm(r, c)


Layers = Callable[[Recorder, Card], None]


def layers_of(*kinds: tuple[str, Block, Block]) -> Layers:
    return lambda r, c: stack(r, c, *kinds)


def run(c: Card, layers: Layers, steps: int = 3, mode: str = "graph", outside: bool = True) -> BuiltCapture:
    """Decode steps; `outside` adds what comes before and after the layers."""
    r = Recorder(mode=mode, gap_us=0.2 if mode == "graph" else 14.0)
    for step in range(steps):
        forward(r, c, layers, step, outside=outside)
        r.pause(320.0)
    return r.finish()


def forward(
    r: Recorder, c: Card, layers: Layers, step: int, phase: str = "decode", outside: bool = True, rows: int = 0
) -> None:
    r.step, r.phase = step, phase
    if outside:
        prepare(r, c)
        embed(r, c)
    layers(r, c)
    if outside:
        head(r, c, rows)


def phased(c: Card, layers: Layers, plan: list[tuple[str, int, int]], mode: str = "eager") -> BuiltCapture:
    """Steps of (phase, rows, sequences)."""
    r = Recorder(mode=mode, gap_us=14.0 if mode == "eager" else 0.2)
    for step, (phase, rows, sequences) in enumerate(plan):
        forward(r, c.at(rows, sequences), layers, step, phase, rows=sequences)
        r.pause(320.0)
    return r.finish()
