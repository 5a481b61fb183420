"""Steps of published profiles: an engine whose norms are loose kernels; published.py says how they are made."""

from __future__ import annotations

from sample_builder.blocks import AIC, AIV, MOE, NORM, A, Card, add, forward, linear, reduce, split
from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.recorder import Recorder

from deployments.published import Published
from deployments.written import loose_norm

CARD = Card(
    hidden=4096, heads=64, kv=4, dim=128, inter=12288, vocab=151936, layers=94, rows=4, tp=8, experts=128, top_k=8,
    expert_inter=1536, local=128, add_norm_op="",
)  # fmt: skip


def gathered_keys(r: Recorder, c: Card) -> None:
    """Keys and values of all pages are gathered to one tensor before each attention."""
    linear(r, c, A, c.hidden, c.qkv_width)
    split(r, c, A, c.qkv_width, c.q_width, c.kv_width, c.kv_width)
    q, k = c.query, c.key
    for heads in (q, k):
        loose_norm(r, c, A, heads)
    r.put("ApplyRotaryPosEmb", A, [q, k, (c.rows, 1, c.dim), (c.rows, 1, c.dim)], [q, k], 4.0)
    cached: Shape = (4096 * 128, 1, c.dim)
    for _part in range(2):
        r.put("ScatterNdUpdate", A, [cached, (c.rows, 1), k])
    for _part in range(2):
        r.put("Index", A, [(4096, 128, c.dim), (c.rows, 32)], (c.rows, 4096, c.dim))
    keys: Shape = (c.rows, 4096, c.dim)
    r.put("IncreFlashAttention", A, [(c.rows, 1, c.q_width), keys, keys, None, (c.rows, 4096)], us=14.0)
    linear(r, c, A, c.q_width, c.hidden)
    reduce(r, c)


def gathered_experts(r: Recorder, c: Card) -> None:
    """Rows of both halves of the batch are gathered as a list and put side by side; each rank has a part of each."""
    both, routed, inter = c.at(2 * c.rows), 2 * c.rows * c.top_k, c.expert_inter // c.tp
    wide, picks = (routed, c.hidden), (both.rows, c.top_k)
    r.put("hcom_allGather_", "comm", c.wide, both.wide, 12.0)
    r.put("ConcatD", MOE, [c.wide, c.wide], both.wide)
    linear(r, both, MOE, c.hidden, c.experts)
    r.put("MoeGatingTopKSoftmax", MOE, (both.rows, c.experts), [picks, picks])
    r.put("MoeInitRoutingV3", MOE, [both.wide, picks], [wide, (routed,), (c.experts,)], core=AIV)
    r.put("GroupedMatmul", MOE, [wide, (c.experts, c.hidden, 2 * inter)], (routed, 2 * inter), core=AIC)
    r.put("SwiGlu", MOE, (routed, 2 * inter), (routed, inter))
    r.put("GroupedMatmul", MOE, [(routed, inter), (c.experts, inter, c.hidden)], wide, core=AIC)
    r.put("MoeTokenUnpermute", MOE, [wide, (routed,), picks], both.wide)
    reduce(r, both)
    r.put("Slice", MOE, [both.wide, (2,), (2,)], c.wide, 2.0)


def loose_layers(r: Recorder, c: Card) -> None:
    for number in r.layers(c.layers, "moe"):
        if number == 0:
            loose_norm(r, c, NORM, c.wide)
        for block in (gathered_keys, gathered_experts):
            block(r, c)
            add(r, c)
            loose_norm(r, c, NORM, c.wide)


def loose() -> BuiltCapture:
    """Qwen3-MoE of 94 layers, eight cards, an engine in its first eager state: averages over twice as many steps."""
    average = {
        "GroupedMatmul": 34.8, "Index": 10.6, "ConcatD": 8.0, "Mul": 2.8, "MoeInitRoutingV3": 8.5, "SwiGlu": 3.3,
        "MoeGatingTopKSoftmax": 5.3, "MoeTokenUnpermute": 4.4,
    }  # fmt: skip
    r = Recorder(mode="eager", gap_us=14.0, average=average)
    for step in r.steps(3):
        forward(r, CARD, loose_layers, step)
    return r.finish()


#: name -> how it is built and what was counted.
LOOSE: dict[str, Published] = {
    "qwen3-235b with loose norms from operator statistics": Published(
        loose, {"GroupedMatmul": 188, "IncreFlashAttention": 94, "ConcatD": 94, "MoeGatingTopKSoftmax": 94}, 94
    )
}
