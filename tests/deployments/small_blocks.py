"""Sub-blocks of decoder layers as kernel sequences, in the variants that deployments really show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sample_builder.recorder import Recorder

#: Names that one software stack gives to the operators of a layer.
ACLNN = {
    "matmul": "MatMulV2", "norm": "RmsNorm", "add_norm": "AddRmsNorm", "rope": "RotaryMul", "cache": "ReshapeAndCache",
    "core": "FusedInferAttentionScore", "act": "SwiGlu", "gather": "GatherV2", "add": "Add", "argmax": "ArgMaxV2",
}  # fmt: skip
ATB = {
    "matmul": "PpMatMulBf16Kernel", "norm": "RmsNormBf16Kernel", "add_norm": "", "rope": "RopeBf16Kernel",
    "cache": "ReshapeAndCacheNdKernel", "core": "PagedAttentionMaskNdKernel", "act": "SwigluForwardBf16Kernel",
    "gather": "Gather16I64Kernel", "add": "AddBf16Kernel", "argmax": "TopkDescF32Kernel",
}  # fmt: skip
PLAIN = {**ACLNN, "add_norm": ""}


@dataclass(frozen=True)
class Model:
    """Sizes, names and the variant of every sub-block."""

    layers: int = 8
    hidden: int = 2048
    heads: int = 16
    kv: int = 4
    dim: int = 128
    inter: int = 5632
    vocab: int = 64000
    names: dict[str, str] = None  # type: ignore[assignment]
    qkv: str = "fused"
    qk_norm: bool = False
    bias: bool = False
    mlp: str = "fused"
    quant: str = ""
    tp: int = 1
    experts: int = 64
    top_k: int = 8
    expert_inter: int = 1408
    norms: str = "pre"
    rows: int = 16
    sequences: int = 0

    def op(self, what: str) -> str:
        return (self.names or ACLNN)[what]

    def at(self, rows: int) -> Model:
        return replace(self, rows=rows)


def norm(r: Recorder, m: Model) -> None:
    r.put(m.op("norm"), "norm", [(m.rows, m.hidden), (m.hidden,)], [(m.rows, m.hidden), (m.rows, 1)], 2.5)


def add(r: Recorder, m: Model) -> None:
    r.put(m.op("add"), "norm", [(m.rows, m.hidden), (m.rows, m.hidden)], [(m.rows, m.hidden)], 2.0)


def add_norm(r: Recorder, m: Model) -> None:
    """The residual addition and the next norm, in one kernel or two."""
    if m.op("add_norm"):
        wide = (m.rows, m.hidden)
        r.put(m.op("add_norm"), "norm", [wide, wide, (m.hidden,)], [wide, (m.rows, 1), wide], 3.0)
    else:
        add(r, m)
        norm(r, m)


def project(r: Recorder, m: Model, region: str, inner: int, outer: int) -> None:
    """A projection with the quantisation of the model round it."""
    rows = m.rows
    if m.quant == "dynamic":
        r.put("DynamicQuant", region, [(rows, inner)], [(rows, inner), (rows,)], 2.5)
        r.mm(region, rows, inner, outer, "QuantBatchMatmulV3")
    elif m.quant == "static":
        r.put("AscendQuantV2", region, [(rows, inner), (inner,)], [(rows, inner)], 2.2)
        r.mm(region, rows, inner, outer, "QuantBatchMatmulV3")
        r.put("AscendDequant", region, [(rows, outer)], [(rows, outer)], 2.0)
    elif m.quant == "w4a8":
        r.put("DynamicQuant", region, [(rows, inner)], [(rows, inner), (rows,)], 2.5)
        r.mm(region, rows, inner, outer, "WeightQuantBatchMatmulV2")
    elif m.quant == "mx":
        r.put("DynamicMxQuant", region, [(rows, inner)], [(rows, inner), (rows, inner // 32)], 2.5)
        r.mm(region, rows, inner, outer, "QuantBatchMatmulV4")
    else:
        r.mm(region, rows, inner, outer, m.op("matmul"))
    if m.bias:
        r.put(m.op("add"), region, [(rows, outer), (outer,)], [(rows, outer)], 1.8)


def qkv(r: Recorder, m: Model) -> None:
    heads, kv = m.heads // m.tp, max(1, m.kv // m.tp)
    q_width, kv_width = heads * m.dim, kv * m.dim
    if m.qkv == "triton":
        project(r, m, "attention", m.hidden, q_width + 2 * kv_width)
        r.put("split_qkv_rmsnorm_rope_kernel", "attention", us=4.0)
        return
    if m.qkv == "fused":
        project(r, m, "attention", m.hidden, q_width + 2 * kv_width)
        r.put("SplitVD", "attention", [(m.rows, q_width + 2 * kv_width)], [(m.rows, q_width), (m.rows, kv_width)], 2.0)
    else:
        for width in (q_width, kv_width, kv_width):
            project(r, m, "attention", m.hidden, width)
    if m.qk_norm:
        for count in (heads, kv):
            shape = (m.rows, count, m.dim)
            r.put(m.op("norm"), "attention", [shape, (m.dim,)], [shape, (m.rows, count, 1)], 2.2)
    if m.op("rope"):
        q, k = (m.rows, 1, heads, m.dim), (m.rows, 1, kv, m.dim)
        r.put(m.op("rope"), "attention", [q, (m.rows, 1, 1, m.dim)], [q], 2.5)
        r.put(m.op("rope"), "attention", [k, (m.rows, 1, 1, m.dim)], [k], 2.2)


def core(r: Recorder, m: Model, name: str = "") -> None:
    heads, kv = m.heads // m.tp, max(1, m.kv // m.tp)
    cache = (900, 128, kv * m.dim)
    op = name or m.op("core")
    if m.op("cache"):
        shape = (m.rows, kv, m.dim)
        r.put(m.op("cache"), "attention", [shape, shape, cache, cache, (m.rows,)], [cache, cache], 2.4)
    query = (m.rows, heads, m.dim)
    ins = [query, cache, cache]
    if op == "FusedInferAttentionScore":
        ins = [query, cache, cache, *[None] * 11, (m.sequences or m.rows, 16)]  # type: ignore[list-item]
    r.put(op, "attention", ins, [query], 14.0 + 0.02 * m.rows, "MIX_AIC")


def attention(r: Recorder, m: Model) -> None:
    qkv(r, m)
    core(r, m)
    project(r, m, "attention", m.heads // m.tp * m.dim, m.hidden)
    if m.tp > 1:
        r.put("hcom_allReduce_", "comm", [(m.rows, m.hidden)], [(m.rows, m.hidden)], 12.0)


def activate(r: Recorder, m: Model, region: str, inter: int, rows: int = 0, op: str = "") -> None:
    rows = rows or m.rows
    r.put(op or m.op("act"), region, [(rows, 2 * inter)], [(rows, inter)], 2.6)


def mlp(r: Recorder, m: Model) -> None:
    inter = m.inter // m.tp
    feed_forward(r, m, "mlp", inter)
    if m.tp > 1:
        r.put("hcom_allReduce_", "comm", [(m.rows, m.hidden)], [(m.rows, m.hidden)], 12.0)


def feed_forward(r: Recorder, m: Model, region: str, inter: int) -> None:
    """Gate, up, activation and down; of an MLP or of a shared expert."""
    wide = (m.rows, inter)
    if m.mlp == "gelu":
        project(r, m, region, m.hidden, inter)
        r.put("Gelu", region, [wide], [wide], 2.4)
    elif m.mlp == "fused":
        project(r, m, region, m.hidden, 2 * inter)
        activate(r, m, region, inter)
    else:
        project(r, m, region, m.hidden, inter)
        if m.mlp == "swish-between":
            r.put("Swish", region, [wide], [wide], 2.0)
        project(r, m, region, m.hidden, inter)
        if m.mlp == "sigmoid":
            r.put("Sigmoid", region, [wide], [wide], 2.0)
            r.put("Mul", region, [wide, wide], [wide], 2.0)
        elif m.mlp == "swish":
            r.put("Swish", region, [wide], [wide], 2.0)
        r.put("Mul", region, [wide, wide], [wide], 2.0)
    project(r, m, region, inter, m.hidden)


def router(r: Recorder, m: Model, fused: bool = True, dtype_cast: bool = True) -> None:
    logits, chosen = (m.rows, m.experts), (m.rows, m.top_k)
    if dtype_cast:
        r.put("Cast", "moe", [(m.rows, m.hidden)], [(m.rows, m.hidden)], 1.8)
    r.mm("moe", m.rows, m.hidden, m.experts)
    if fused:
        r.put("MoeGatingTopK", "moe", [logits, (m.experts,)], [chosen, chosen, logits], 3.0)
        return
    r.put("SoftmaxV2", "moe", [logits], [logits], 2.2)
    r.put("TopKV2", "moe", [logits], [chosen, chosen], 6.0)
    r.put("ReduceSum", "moe", [chosen], [(m.rows, 1)], 2.0)
    r.put("RealDiv", "moe", [chosen, (m.rows, 1)], [chosen], 2.0)


def experts(r: Recorder, m: Model, local: int = 8) -> None:
    """Grouped expert matmuls with dispatch and combine over all ranks."""
    rows = m.rows * m.top_k
    wide = (rows, m.hidden)
    chosen = (m.rows, m.top_k)
    r.put("MoeDistributeDispatchV2", "moe", [(m.rows, m.hidden), chosen], [wide, (rows,)], 18.0, "MIX_AIV")
    grouped(r, m, rows, local)
    r.put("MoeDistributeCombineV2", "moe", [wide, chosen], [(m.rows, m.hidden)], 16.0, "MIX_AIV")


def grouped(r: Recorder, m: Model, rows: int, local: int = 8) -> None:
    inter = m.expert_inter
    up, down = (local, m.hidden, 2 * inter), (local, inter, m.hidden)
    r.put("GroupedMatmul", "moe", [(rows, m.hidden), up], [(rows, 2 * inter)], 40.0, "MIX_AIC")
    r.put("SwiGlu", "moe", [(rows, 2 * inter)], [(rows, inter)], 3.0)
    r.put("GroupedMatmul", "moe", [(rows, inter), down], [(rows, m.hidden)], 24.0, "MIX_AIC")


def routed(r: Recorder, m: Model) -> None:
    """Permute, grouped matmuls and unpermute on one rank."""
    rows = m.rows * m.top_k
    wide = (rows, m.hidden)
    chosen = (m.rows, m.top_k)
    r.put("MoeInitRoutingV2", "moe", [(m.rows, m.hidden), chosen], [wide, (rows,), (m.experts,)], 8.0)
    grouped(r, m, rows)
    r.put("MoeFinalizeRoutingV2", "moe", [wide, chosen], [(m.rows, m.hidden)], 5.0)


def looped(r: Recorder, m: Model, used: int = 5) -> None:
    """Each expert by itself: pick its tokens, three matmuls, add its part."""
    r.put("Sort", "moe", [(m.rows * m.top_k,)], [(m.rows * m.top_k,), (m.rows * m.top_k,)], 9.0)
    for _expert in range(used):
        rows = max(1, m.rows // 4)
        part, inside = (rows, m.hidden), (rows, m.expert_inter)
        r.put("Index", "moe", [(m.rows, m.hidden), (rows,)], [part], 3.0)
        r.mm("moe", rows, m.hidden, m.expert_inter)
        r.put("Swish", "moe", [inside], [inside], 2.0)
        r.mm("moe", rows, m.hidden, m.expert_inter)
        r.put("Mul", "moe", [inside, inside], [inside], 2.0)
        r.mm("moe", rows, m.expert_inter, m.hidden)
        r.put("Mul", "moe", [part, (rows, 1)], [part], 2.0)
        r.put("IndexPutV2", "moe", [(m.rows, m.hidden), part], [(m.rows, m.hidden)], 4.0)


def shared(r: Recorder, m: Model, gate: bool = False) -> None:
    feed_forward(r, m, "moe", m.expert_inter)
    if gate:
        r.mm("moe", m.rows, m.hidden, 1)
        r.put("Sigmoid", "moe", [(m.rows, 1)], [(m.rows, 1)], 1.8)
        r.put("Mul", "moe", [(m.rows, 1), (m.rows, m.hidden)], [(m.rows, m.hidden)], 2.0)


def join(r: Recorder, m: Model) -> None:
    """Experts and shared expert added up."""
    r.put("Add", "moe", [(m.rows, m.hidden), (m.rows, m.hidden)], [(m.rows, m.hidden)], 2.0)


def latent(r: Recorder, m: Model, kv_stream: int = 0, op: str = "FusedInferAttentionScore") -> None:
    """Multi-head latent attention of separate kernels, its kv branch on the same stream or on one of its own."""
    rank, kv_rank, rope = 1536, 512, 64

    def keys() -> None:
        project(r, m, "attention", m.hidden, kv_rank + rope)
        r.put("KvRmsNormRopeCache", "attention", [(m.rows, 1, 1, kv_rank + rope), (kv_rank,)], [(900, 128, 1, rope)], 4)

    if kv_stream:
        with r.beside(kv_stream, wait=False):
            keys()
    project(r, m, "attention", m.hidden, rank)
    r.put("RmsNorm", "attention", [(m.rows, rank), (rank,)], [(m.rows, rank)], 2.2)
    project(r, m, "attention", rank, m.heads * (m.dim + rope))
    if not kv_stream:
        keys()
    per_head = (m.heads, m.rows, m.dim)
    r.put("TransposeBatchMatMul", "attention", [per_head, (m.heads, m.dim, kv_rank)], [(m.rows, m.heads, kv_rank)], 9)
    r.put("InterleaveRope", "attention", [(m.rows, m.heads, 1, rope)], [(m.rows, m.heads, 1, rope)], 2.4)
    if kv_stream:
        r.join(kv_stream)
    latent_query = (m.rows, m.heads, kv_rank)
    r.put(op, "attention", [latent_query, (900, 128, kv_rank)], [latent_query], 30.0, "MIX_AIC")
    r.put(
        "TransposeBatchMatMul", "attention", [latent_query, (m.heads, kv_rank, m.dim)], [(m.rows, m.heads * m.dim)], 9
    )
    project(r, m, "attention", m.heads * m.dim, m.hidden)


Block = Callable[[Recorder, Model], None]


def embed(r: Recorder, m: Model) -> None:
    r.layer = r.kind = None
    r.put(m.op("gather"), "embedding", [(m.vocab // m.tp, m.hidden), (m.rows,)], [(m.rows, m.hidden)], 4.0)


def head(r: Recorder, m: Model, rows: int = 0) -> None:
    """The rows to predict from, their logits, the greedy choice."""
    r.layer = r.kind = None
    rows = rows or m.rows
    if rows != m.rows:
        r.put(m.op("gather"), "head", [(m.rows, m.hidden), (rows,)], [(rows, m.hidden)], 3.0)
    r.mm("head", rows, m.hidden, m.vocab // m.tp, m.op("matmul"))
    r.put(m.op("argmax"), "sampling", [(rows, m.vocab // m.tp)], [(rows,)], 9.0)


def pre_norm(r: Recorder, m: Model, kinds: list[tuple[str, Block, Block]], first: bool = True) -> None:
    """Layers of (kind, attention, feed-forward) with a norm before each sub-block, and the final norm."""
    for number, (kind, attend, feed) in enumerate(kinds):
        r.layer, r.kind = number, kind
        if number == 0 and first:
            norm(r, m)
        attend(r, m)
        add_norm(r, m)
        feed(r, m)
        add_norm(r, m)


def dense(m: Model) -> list[tuple[str, Block, Block]]:
    return [("dense", attention, mlp)] * m.layers
