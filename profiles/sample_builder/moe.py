"""The experts: router, dispatch, grouped matmuls, combine, shared experts."""

from __future__ import annotations

from dataclasses import replace

from sample_builder.feed_forward import dequant_swiglu_quant, gated
from sample_builder.model import ModelDescription, Pass
from sample_builder.operation import (
    BF16,
    CUBE,
    F32,
    I8,
    I32,
    MIX_AIC,
    MIX_AIV,
    VECTOR,
    VECTOR_CORES,
    Operation,
    Tensor,
    cast,
    collective,
    f32,
    i8,
    i32,
    i64,
    matmul,
    mixed,
    vector,
)


def experts(model: ModelDescription, step: Pass) -> list[Operation]:
    """The kernels of one expert block in the order in which the device starts them."""
    shared = shared_experts(model, step)
    if model.expert_path == "dispatch_ffn_combine" and step.phase == "decode":
        routed = [[_dispatch_ffn_combine(model, step)]]
    elif model.expert_path in ("mc2", "dispatch_ffn_combine") and step.phase == "decode":
        routed = _mc2(model, step)
    elif model.expert_path == "allgather":
        routed = _all_gather(model, step)
    elif model.expert_parallel > 1:
        routed = _all_to_all(model, step)
    else:
        routed = [[_init_routing(model, step)], _grouped(model, step, _expanded(model, step)), _finalize(model, step)]
    operations = router(model, step)
    beside = bool(shared) and model.shared_stream and step.mode != "eager"
    operations += _interleave(shared, routed) if beside else [*shared, *(op for part in routed for op in part)]
    if shared:
        hidden = (step.tokens, model.hidden)
        joins = ("shared",) if beside else ()
        operations.append(vector("Add", "moe", "combine", (hidden, hidden), hidden, joins=joins))
    return operations


def _interleave(shared: list[Operation], routed: list[list[Operation]]) -> list[Operation]:
    """Shared experts on a stream of their own: up beside dispatch, activation after it, down after the experts."""
    products = ("MatMulV2", "MatMulV3", "QuantBatchMatmulV3", "DynamicQuant", "AscendQuantV2")
    middle = next(i for i, op in enumerate(shared) if op.op_type not in products)
    last = next(i for i in range(middle, len(shared)) if shared[i].op_type in products)
    stages = [shared[:middle], shared[middle:last], shared[last:]]
    up, activate, down = ([op.on("shared", fork=i == 0) for i, op in enumerate(stage)] for stage in stages)
    parts = [up, routed[0], activate, *routed[1:2], down, *routed[2:]]
    return [op for part in parts for op in part]


def router(model: ModelDescription, step: Pass) -> list[Operation]:
    """Gate projection (float32 where the model keeps it there) and the choice of experts."""
    rows, dtype = step.tokens, F32 if model.router_float32 else BF16
    operations: list[Operation] = []
    if model.router_float32 and not (step.ge and model.norm_casts_for_router):
        operations.append(cast((rows, model.hidden), BF16, F32, "moe", "router"))
    operations.append(
        matmul(rows, model.hidden, model.experts, "moe", "router", dtype=dtype, op_type=model.matmul_type)
    )
    logits, bias = Tensor((rows, model.experts), dtype), Tensor((model.experts,), dtype)
    weights, chosen, total = Tensor((rows, model.top_k), dtype), i32(rows, model.top_k), Tensor((rows, 1), dtype)
    if model.router == "sigmoid_bias":
        name, outputs = "MoeGatingTopK", (weights, chosen, f32(rows, model.experts))
        name += "Hash" if model.hyper_connections else ""
        return [*operations, vector(name, "moe", "router", (logits, bias), outputs, rows=rows)]
    return [
        *operations,
        vector("MoeGatingTopKSoftmax", "moe", "router", (logits, None), (weights, chosen, chosen), rows=rows),
        vector("ReduceSum", "moe", "router", (weights, i64(1)), total, core=MIX_AIV),
        vector("RealDiv", "moe", "router", (weights, total), weights),
    ]


def shared_experts(model: ModelDescription, step: Pass) -> list[Operation]:
    """The experts that every token visits; empty where there are none."""
    if not model.shared_experts:
        return []
    width = model.shared_experts * model.expert_intermediate
    width //= model.tensor_parallel if model.expert_parallel == 1 else 1
    operations = gated(model, step, width, "moe", ("shared_expert",) * 3, quantised_input=False)
    if model.shared_expert_gate:
        hidden, gate = (step.tokens, model.hidden), (step.tokens, 1)
        operations += [
            matmul(step.tokens, model.hidden, 1, "moe", "shared_expert", op_type=model.matmul_type),
            vector("Sigmoid", "moe", "shared_expert", gate, gate),
            vector("Mul", "moe", "shared_expert", (gate, hidden), hidden),
        ]
    return operations


def _expanded(model: ModelDescription, step: Pass) -> int:
    """Rows after each token was copied to the local experts that it visits."""
    return max(1, step.tokens * model.top_k)


def _mc2(model: ModelDescription, step: Pass) -> list[list[Operation]]:
    rows, hidden = step.tokens, model.hidden
    slots = rows * model.expert_parallel * min(model.local_experts, model.top_k)
    received = max(1, rows * model.top_k)
    chosen, scales = i32(rows, model.top_k), f32(rows, model.top_k)
    counts = i32(model.local_experts * model.expert_parallel)
    expanded, tokens = Tensor((slots, hidden), I8 if model.quantised else BF16), i64(model.local_experts)
    info = i32(max(rows * model.top_k, slots) * 128)
    dispatch = mixed(
        "MoeDistributeDispatchV2", "moe", "dispatch", ((rows, hidden), chosen, None, None, scales),
        (expanded, f32(slots), info, tokens, counts, i32(1), f32(1)), core=MIX_AIV if rows < 4 else VECTOR,
        blocks=VECTOR_CORES, traffic=received * hidden * 2, skew_us=9.0,
    )  # fmt: skip
    combine = mixed(
        "MoeDistributeCombineV2", "moe", "combine", ((slots, hidden), chosen, info, counts, scales, i32(1)),
        (rows, hidden), core=VECTOR, blocks=VECTOR_CORES, traffic=2 * received * hidden * 2, skew_us=7.0,
    )  # fmt: skip
    return [[dispatch], _grouped(model, step, received, slots), [combine]]


def _dispatch_ffn_combine(model: ModelDescription, step: Pass) -> Operation:
    rows, hidden, width, local = step.tokens, model.hidden, model.expert_intermediate, model.local_experts
    weights = (i8(local, hidden, 2 * width), i8(local, width, hidden))
    return mixed(
        "DispatchFFNCombine", "moe", "expert_matmul",
        ((rows, hidden), *weights, i32(rows, model.top_k), f32(rows, model.top_k)), ((rows, hidden), i32(local)),
        traffic=min(local, rows * model.top_k) * 3 * hidden * width, flops=3 * rows * model.top_k * hidden * width,
        depth=hidden, skew_us=14.0,
    )  # fmt: skip


def _grouped(model: ModelDescription, step: Pass, rows: int, slots: int | None = None) -> list[Operation]:
    """The two grouped matmuls with the activation between them; `rows` carry work, `slots` is the buffer."""
    slots = rows if slots is None else slots
    width = model.expert_intermediate // (model.tensor_parallel if model.expert_parallel == 1 else 1)
    hidden, local, quantised = model.hidden, model.local_experts, model.quantised
    dtype, form = (I8, "FRACTAL_NZ") if quantised else (BF16, "ND")
    size = {"bf16": 2.0, "w4a8": 0.5}.get(model.quantisation, 1.0)

    def product(depth: int, columns: int, out: str = BF16) -> Operation:
        scales = (None, (local, columns), None, None, None, None) if quantised else ()
        return mixed(
            "GroupedMatmul", "moe", "expert_matmul",
            (Tensor((slots, depth), dtype), Tensor((local, depth, columns), dtype, form), *scales, i64(local)),
            Tensor((slots, columns), out), core=CUBE if out == I32 else MIX_AIC,
            traffic=int(min(local, rows) * depth * columns * size) + rows * (depth + columns) * 2,
            flops=rows * depth * columns * (1 if quantised else 2), depth=depth,
        )  # fmt: skip

    down = product(width, hidden)
    if quantised and model.grouped_swiglu:
        up = product(hidden, 2 * width, I8)
        return [replace(up, op_type="GroupedMatmulSwigluQuant", outputs=(i8(slots, width), f32(slots))), down]
    if quantised:
        activate = replace(dequant_swiglu_quant(slots, width, "moe", "activation"), traffic=rows * width * 9)
        return [product(hidden, 2 * width, I32), activate, down]
    wide, half = (slots, 2 * width), (slots, width)
    activate = vector("SwiGlu", "moe", "activation", wide, half, rows=slots, traffic=rows * width * 6)
    return [product(hidden, 2 * width), activate, down]


def _init_routing(model: ModelDescription, step: Pass) -> Operation:
    rows, hidden, expanded = step.tokens, model.hidden, _expanded(model, step)
    name = "MoeInitRoutingQuantV2" if model.quantised else "MoeInitRoutingV2"
    if model.routing_kernels == "custom" and not step.ge:
        name = "MoeInitRoutingCustom"
    routed = Tensor((expanded, hidden), I8 if model.quantised else BF16)
    outputs = (routed, i32(expanded), i32(model.experts), *([f32(expanded)] if model.quantised else []))
    inputs = ((rows, hidden), i32(rows, model.top_k))
    return vector(name, "moe", "dispatch", inputs, outputs, core=MIX_AIV, rows=expanded)


def _finalize(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, expanded, moved = step.tokens, _expanded(model, step), Tensor((step.tokens, model.hidden))
    name = "MoeTokenUnpermute" if model.routing_kernels == "custom" and not step.ge else "MoeFinalizeRoutingV2"
    inputs = ((expanded, model.hidden), i32(expanded), None, None, None, (rows, model.top_k), None)
    operations = [vector(name, "moe", "combine", inputs, moved, rows=rows)]
    if model.tensor_parallel > 1 and model.expert_parallel == 1:
        operations.append(collective("allReduce", moved, owner="moe", ranks=model.tensor_parallel))
    return operations


def _exchange(model: ModelDescription, kind: str, tensor: Tensor, role: str) -> Operation:
    return collective(kind, tensor, owner="moe", ranks=model.expert_parallel, role=role)


def _all_gather(model: ModelDescription, step: Pass) -> list[list[Operation]]:
    """Every rank sees all tokens, computes its experts, and the results are scattered back."""
    hidden = Tensor((step.tokens, model.hidden))
    gather, scatter = (
        _exchange(model, "allGather", hidden, "dispatch"),
        _exchange(model, "reduceScatter", hidden, "combine"),
    )
    expanded = max(1, _expanded(model, step) // 2)
    return [[gather, _init_routing(model, step)], _grouped(model, step, expanded), [*_finalize(model, step), scatter]]


def _all_to_all(model: ModelDescription, step: Pass) -> list[list[Operation]]:
    expanded, local = _expanded(model, step), model.local_experts
    payload = Tensor((expanded, model.hidden), I8 if model.quantised else BF16)
    results = Tensor((expanded, model.hidden))
    counts, outputs = i32(model.expert_parallel, local), (payload, i32(expanded), i32(local))
    send = _exchange(model, "alltoallv", payload, "dispatch")
    reroute = vector("MoeReRouting", "moe", "dispatch", (payload, counts), outputs, rows=expanded)
    ordered = vector("GatherV3", "moe", "combine", (results, i32(expanded), i64(1)), results, rows=expanded)
    back = _exchange(model, "alltoallv", results, "combine")
    return [
        [_init_routing(model, step), send, reroute],
        _grouped(model, step, expanded),
        [ordered, back, *_finalize(model, step)],
    ]
