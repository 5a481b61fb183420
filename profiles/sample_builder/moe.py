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
    I64,
    MIX_AIC,
    MIX_AIV,
    Operation,
    Tensor,
    cast,
    collective,
    matmul,
    vector,
)


def experts(
    model: ModelDescription, step: Pass, *, lane: str = "main", quantised_input: bool = False
) -> list[Operation]:
    """The kernels of one expert block in the order in which the device starts them."""
    routing = router(model, step)
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
        routed = [_init_routing(model, step), _grouped(model, step, _expanded(model, step)), _finalize(model, step)]
    operations = list(routing)
    if shared and model.shared_stream and step.mode != "eager":
        operations += _interleave(shared, routed)
    else:
        operations += [*shared, *(op for part in routed for op in part)]
    if shared:
        hidden = Tensor((step.tokens, model.hidden))
        joins = ("shared",) if model.shared_stream and step.mode != "eager" else ()
        operations.append(
            vector(
                "Add", region="moe", role="combine", inputs=(hidden, hidden), outputs=(hidden,),
                api="aclnnAdd_AddAiCore", joins=joins,
            )
        )  # fmt: skip
    return [op if lane == "main" or op.lane != "main" else op.on(lane) for op in operations]


def _interleave(shared: list[Operation], routed: list[list[Operation]]) -> list[Operation]:
    """Shared experts on a stream of their own: up beside dispatch, activation after it, down after the experts."""
    products = ("MatMulV2", "MatMulV3", "QuantBatchMatmulV3", "DynamicQuant", "AscendQuantV2")
    middle = next(i for i, op in enumerate(shared) if op.op_type not in products)
    last = next(i for i in range(middle, len(shared)) if shared[i].op_type in products)
    stages = [shared[:middle], shared[middle:last], shared[last:]]
    aside = [[op.on("shared", fork=i == 0) for i, op in enumerate(stage)] for stage in stages]
    if len(routed) == 1:
        parts = [aside[0], routed[0], aside[1], aside[2]]
    else:
        parts = [aside[0], routed[0], aside[1], routed[1], aside[2], *routed[2:]]
    return [op for part in parts for op in part]


def router(model: ModelDescription, step: Pass) -> list[Operation]:
    """Gate projection (float32 where the model keeps it there) and the choice of experts."""
    rows = step.tokens
    operations: list[Operation] = []
    dtype = F32 if model.router_float32 else BF16
    if model.router_float32 and not (step.ge and model.norm_casts_for_router):
        operations.append(
            cast((rows, model.hidden), BF16, F32, region="moe", role="router", api="aclnnCast_CastAiCore")
        )
    operations.append(
        matmul(rows, model.hidden, model.experts, region="moe", role="router", dtype=dtype, op_type=model.matmul_type)
    )
    logits = Tensor((rows, model.experts), dtype)
    weights, chosen = Tensor((rows, model.top_k), dtype), Tensor((rows, model.top_k), I32)
    if model.router == "sigmoid_bias":
        return [
            *operations,
            vector(
                "MoeGatingTopKHash" if model.hyper_connections else "MoeGatingTopK",
                region="moe",
                role="router",
                inputs=(logits, Tensor((model.experts,), dtype)),
                outputs=(weights, chosen, Tensor((rows, model.experts), F32)),
                api="" if step.ge else "aclnnMoeGatingTopK_MoeGatingTopK",
                rows=rows,
            ),
        ]
    gating = vector(
        "MoeGatingTopKSoftmax",
        region="moe",
        role="router",
        inputs=(logits, None),
        outputs=(weights, chosen, chosen),
        api="" if step.ge else "aclnnMoeGatingTopKSoftmax_MoeGatingTopKSoftmax",
        rows=rows,
    )
    total = Tensor((rows, 1), dtype)
    axes = Tensor((1,), I64)
    return [
        *operations,
        gating,
        vector(
            "ReduceSum", region="moe", role="router", inputs=(weights, axes), outputs=(total,), core=MIX_AIV,
            api="aclnnReduceSum_ReduceSumOpAiCore",
        ),
        vector(
            "RealDiv", region="moe", role="router", inputs=(weights, total), outputs=(weights,),
            api="aclnnDiv_RealDivAiCore",
        ),
    ]  # fmt: skip


def shared_experts(model: ModelDescription, step: Pass) -> list[Operation]:
    """The experts that every token visits; empty where there are none."""
    if not model.shared_experts:
        return []
    width = model.shared_experts * model.expert_intermediate
    if model.expert_parallel == 1:
        width //= model.tensor_parallel
    operations = gated(
        model,
        step,
        width,
        region="moe",
        roles=("shared_expert", "shared_expert", "shared_expert"),
        quantised_input=False,
    )
    if model.shared_expert_gate:
        rows, hidden = step.tokens, Tensor((step.tokens, model.hidden))
        gate = Tensor((rows, 1))
        operations += [
            matmul(rows, model.hidden, 1, region="moe", role="shared_expert", op_type=model.matmul_type),
            vector(
                "Sigmoid", region="moe", role="shared_expert", inputs=(gate,), outputs=(gate,),
                api="aclnnSigmoid_SigmoidAiCore",
            ),
            vector(
                "Mul", region="moe", role="shared_expert", inputs=(gate, hidden), outputs=(hidden,),
                api="aclnnMul_MulAiCore",
            ),
        ]  # fmt: skip
    return operations


def _expanded(model: ModelDescription, step: Pass) -> int:
    """Rows after each token was copied to the local experts that it visits."""
    return max(1, step.tokens * model.top_k)


def _mc2(model: ModelDescription, step: Pass) -> list[list[Operation]]:
    rows, hidden = step.tokens, model.hidden
    slots = rows * model.expert_parallel * min(model.local_experts, model.top_k)
    received = max(1, rows * model.top_k)
    dtype = I8 if model.quantised else BF16
    chosen, scales = Tensor((rows, model.top_k), I32), Tensor((rows, model.top_k), F32)
    counts = Tensor((model.local_experts * model.expert_parallel,), I32)
    expanded, tokens = Tensor((slots, hidden), dtype), Tensor((model.local_experts,), I64)
    info = Tensor((max(rows * model.top_k, slots) * 128,), I32)
    dispatch = Operation(
        op_type="MoeDistributeDispatchV2",
        region="moe",
        role="dispatch",
        core=MIX_AIV if rows < 4 else "AI_VECTOR_CORE",
        inputs=(Tensor((rows, hidden)), chosen, None, None, scales),
        outputs=(expanded, Tensor((slots,), F32), info, tokens, counts, Tensor((1,), I32), Tensor((1,), F32)),
        api="" if step.ge else "aclnnMoeDistributeDispatchV2_MoeDistributeDispatchV2",
        blocks=48,
        traffic=received * hidden * 2,
        skew_us=9.0,
    )
    combine = Operation(
        op_type="MoeDistributeCombineV2",
        region="moe",
        role="combine",
        core="AI_VECTOR_CORE",
        inputs=(Tensor((slots, hidden)), chosen, info, counts, scales, Tensor((1,), I32)),
        outputs=(Tensor((rows, hidden)),),
        api="" if step.ge else "aclnnMoeDistributeCombineV2_MoeDistributeCombineV2",
        blocks=48,
        traffic=2 * received * hidden * 2,
        skew_us=7.0,
    )
    return [[dispatch], _grouped(model, step, received, slots), [combine]]


def _dispatch_ffn_combine(model: ModelDescription, step: Pass) -> Operation:
    rows, hidden, width = step.tokens, model.hidden, model.expert_intermediate
    weights = [Tensor((model.local_experts, hidden, 2 * width), I8), Tensor((model.local_experts, width, hidden), I8)]
    active = min(model.local_experts, rows * model.top_k)
    return Operation(
        op_type="DispatchFFNCombine",
        region="moe",
        role="expert_matmul",
        core=MIX_AIC,
        inputs=(Tensor((rows, hidden)), *weights, Tensor((rows, model.top_k), I32), Tensor((rows, model.top_k), F32)),
        outputs=(Tensor((rows, hidden)), Tensor((model.local_experts,), I32)),
        api="aclnnDispatchFFNCombine_DispatchFFNCombine",
        blocks=24,
        traffic=active * 3 * hidden * width,
        flops=3 * rows * model.top_k * hidden * width,
        depth=hidden,
        skew_us=14.0,
    )


def _grouped(model: ModelDescription, step: Pass, rows: int, slots: int | None = None) -> list[Operation]:
    """The two grouped matmuls with the activation between them; `rows` carry work, `slots` is the buffer."""
    slots = rows if slots is None else slots
    sharded = model.expert_intermediate // (model.tensor_parallel if model.expert_parallel == 1 else 1)
    hidden, local = model.hidden, model.local_experts
    active = min(local, rows)
    groups = Tensor((local,), I64)
    quantised = model.quantised
    size = {"bf16": 2.0, "w8a8": 1.0, "w8a8_dynamic": 1.0, "w4a8": 0.5}[model.quantisation]

    def product(depth: int, columns: int, out: str, op_type: str = "GroupedMatmul") -> Operation:
        weight = Tensor((local, depth, columns), I8 if quantised else BF16, "FRACTAL_NZ" if quantised else "ND")
        scales = (None, Tensor((local, columns), BF16), None, None, None, None) if quantised else ()
        return Operation(
            op_type=op_type,
            region="moe",
            role="expert_matmul",
            core=CUBE if out == I32 else MIX_AIC,
            inputs=(Tensor((slots, depth), I8 if quantised else BF16), weight, *scales, groups),
            outputs=(Tensor((slots, columns), out),),
            api="aclnnGroupedMatmulV4_GroupedMatmul",
            blocks=24,
            traffic=int(active * depth * columns * size) + rows * (depth + columns) * 2,
            flops=rows * depth * columns * (1 if quantised else 2),
            depth=depth,
        )

    if quantised and model.grouped_swiglu:
        fused = replace(product(hidden, 2 * sharded, I8, "GroupedMatmulSwigluQuant"), core=MIX_AIC)
        fused = replace(
            fused,
            api="aclnnGroupedMatmulSwigluQuant_GroupedMatmulSwigluQuant",
            outputs=(Tensor((slots, sharded), I8), Tensor((slots,), F32)),
        )
        return [fused, product(sharded, hidden, BF16)]
    if quantised:
        activate = dequant_swiglu_quant(slots, sharded, region="moe", role="activation")
        activate = replace(activate, traffic=rows * sharded * 9)
        return [product(hidden, 2 * sharded, I32), activate, product(sharded, hidden, BF16)]
    swiglu = vector(
        "SwiGlu",
        region="moe",
        role="activation",
        inputs=(Tensor((slots, 2 * sharded)),),
        outputs=(Tensor((slots, sharded)),),
        rows=slots,
        traffic=rows * sharded * 6,
    )
    return [product(hidden, 2 * sharded, BF16), swiglu, product(sharded, hidden, BF16)]


def _init_routing(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, hidden, expanded = step.tokens, model.hidden, _expanded(model, step)
    dtype = I8 if model.quantised else BF16
    name = "MoeInitRoutingQuantV2" if model.quantised else "MoeInitRoutingV2"
    if model.routing_kernels == "custom" and not step.ge:
        name = "MoeInitRoutingCustom"
    return [
        vector(
            name,
            region="moe",
            role="dispatch",
            inputs=(Tensor((rows, hidden)), Tensor((rows, model.top_k), I32)),
            outputs=(
                Tensor((expanded, hidden), dtype),
                Tensor((expanded,), I32),
                Tensor((model.experts,), I32),
                *([Tensor((expanded,), F32)] if model.quantised else []),
            ),
            core=MIX_AIV,
            api=f"aclnn{name}_{name}",
            rows=expanded,
        )
    ]


def _finalize(model: ModelDescription, step: Pass) -> list[Operation]:
    rows, hidden, expanded = step.tokens, model.hidden, _expanded(model, step)
    name = "MoeTokenUnpermute" if model.routing_kernels == "custom" and not step.ge else "MoeFinalizeRoutingV2"
    operations = [
        vector(
            name,
            region="moe",
            role="combine",
            inputs=(
                Tensor((expanded, hidden)),
                Tensor((expanded,), I32),
                None,
                None,
                None,
                Tensor((rows, model.top_k)),
                None,
            ),
            outputs=(Tensor((rows, hidden)),),
            api=f"aclnn{name}_{name}",
            rows=rows,
        )
    ]
    if model.tensor_parallel > 1 and model.expert_parallel == 1:
        operations.append(collective("allReduce", Tensor((rows, hidden)), owner="moe", ranks=model.tensor_parallel))
    return operations


def _all_gather(model: ModelDescription, step: Pass) -> list[list[Operation]]:
    """Every rank sees all tokens, computes its experts, and the results are scattered back."""
    hidden = Tensor((step.tokens, model.hidden))
    gather = collective("allGather", hidden, owner="moe", ranks=model.expert_parallel, role="dispatch")
    scatter = collective("reduceScatter", hidden, owner="moe", ranks=model.expert_parallel, role="combine")
    expanded = max(1, _expanded(model, step) // 2)
    return [
        [gather, *_init_routing(model, step)],
        _grouped(model, step, expanded),
        [*_finalize(model, step), scatter],
    ]


def _all_to_all(model: ModelDescription, step: Pass) -> list[list[Operation]]:
    expanded, hidden = _expanded(model, step), model.hidden
    payload = Tensor((expanded, hidden), I8 if model.quantised else BF16)
    send = collective("alltoallv", payload, owner="moe", ranks=model.expert_parallel, role="dispatch")
    back = collective("alltoallv", Tensor((expanded, hidden)), owner="moe", ranks=model.expert_parallel, role="combine")
    reroute = vector(
        "MoeReRouting",
        region="moe",
        role="dispatch",
        inputs=(payload, Tensor((model.expert_parallel, model.local_experts), I32)),
        outputs=(payload, Tensor((expanded,), I32), Tensor((model.local_experts,), I32)),
        api="aclnnMoeReRouting_MoeReRouting",
        rows=expanded,
    )
    ordered = vector(
        "GatherV3",
        region="moe",
        role="combine",
        inputs=(Tensor((expanded, hidden)), Tensor((expanded,), I32), Tensor((1,), I64)),
        outputs=(Tensor((expanded, hidden)),),
        api="aclnnIndexSelect_GatherV3AiCore",
        rows=expanded,
    )
    return [
        [*_init_routing(model, step), send, reroute],
        _grouped(model, step, expanded),
        [ordered, back, *_finalize(model, step)],
    ]
