"""SuperKernels in a planned capture: where scopes lie, what cuts them, and what fusing them really saves.

The rules here are those of the compiler that the builder plays, not those that the analysis assumes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sample_builder.noise import Noise
from sample_builder.operation import AI_CPU, COMMUNICATION, CUBE, MIX_AIC, MIX_AIV, Operation
from sample_builder.scheduling import Planned, schedule

TemplateName = Literal["attention-only", "moe-only", "full-model", "per-block"]
TEMPLATES: tuple[TemplateName, ...] = ("attention-only", "moe-only", "full-model", "per-block")

#: Matrix products that are TBE kernels on A2 and A3 (ops_legacy of CANN 9); V3 and quantised ones are not.
TBE_PRODUCTS = frozenset({"MatMul", "MatMulV2", "MatMulCommon", "BatchMatMul", "BatchMatMulV2"})

#: Kernels that are not Ascend C on A3, come from another library (ATB), or are black-listed; each ends a fragment.
#: Models that want the cache write inside use ScatterNdUpdateSk instead of ScatterNdUpdate.
BREAKERS = TBE_PRODUCTS | frozenset(
    {
        "Add", "ArgMaxV2", "AtbRopeKernel", "AutomaticBufferFusionOp", "Cast", "ConcatD", "ConcatV2D", "Equal", "Fill",
        "GatherV2", "Gelu", "Greater", "GreaterEqual", "Index", "LayerNorm", "LayerNormV3", "Less", "LogSoftmaxV2",
        "LogicalAnd", "LpNormV2", "MaskedFill", "MoeInitRoutingCustom", "MoeInitRoutingQuantV2", "MoeInitRoutingV2",
        "MoeInitRoutingV3", "Mul", "Muls", "Neg", "PagedAttentionMaskNdKernel", "PpMatMulBf16Kernel",
        "PpMatMulI8Bf16Kernel", "RealDiv", "ReduceMeanD", "ReduceSum", "Relu", "Reshape", "ReshapeAndCacheNdKernel",
        "RotaryMul", "ScatterNdUpdate", "Sigmoid", "Slice", "SoftmaxV2", "SplitV", "SplitVD", "StridedSlice",
        "StridedSliceD", "Sub", "SubGreaterEqualLessLogicalAnd", "Swish", "Tanh", "TensorMove", "Tile", "TransData",
        "Transpose", "TransposeD", "UnpadFlashAttentionBF16NdKernel", "ZerosLike",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FusionRules:
    """What the builder's compiler does. `saving_ns` is won at each boundary that vanishes, as far as there is room.

    A boundary cannot save more than its gap and half of the kernel after it. Without `stream_fusion` only kernels
    of the stream that holds most of the scope's time are fused, and a fragment ends where another stream branches off
    or comes back; with it, the other streams' kernels in scope run inside the SuperKernel, one after the other.
    """

    saving_ns: int = 2000
    breakers: frozenset[str] = field(default=BREAKERS)
    stream_fusion: bool = False
    fuse_collectives: bool = False

    @classmethod
    def drawn(cls, seed: int) -> FusionRules:
        """Rules of an unknown compiler: 0.4 to 5 us per boundary, about 1.5 us as a rule, and some breakers cured.

        Products without V3 are never cured: no CANN that was read has them in Ascend C.
        """
        noise = Noise(seed, "rules")
        saving = 400 + 4600 * noise.uniform(0, 1) * noise.uniform(0, 1)
        cured = {name for name in sorted(BREAKERS - TBE_PRODUCTS) if noise.chance(0.1)}
        return cls(saving_ns=round(saving), breakers=BREAKERS - cured)

    def fusible(self, operation: Operation) -> bool:
        """Whether the compiler takes this kernel into a SuperKernel."""
        if operation.triton or operation.core == AI_CPU or operation.op_type in self.breakers:
            return False
        return operation.core != COMMUNICATION or self.fuse_collectives


def in_scope(item: Planned, template: TemplateName) -> bool:
    """Whether a template's scope holds the kernel; the published expert template leaves the router outside."""
    place, operation = item.placed, item.placed.operation
    if place.layer is None or place.phase != "decode" or not item.captured:
        return False
    region = operation.owner if operation.region == "comm" else operation.region
    if template == "attention-only":
        return region == "attention"
    if template == "moe-only":
        return region == "moe" and operation.role != "router"
    return True


def scope_label(item: Planned, template: TemplateName) -> str:
    """The scope's name; only the full model shares one scope."""
    layer = item.placed.layer
    prefix = {"attention-only": "attention_layer", "moe-only": "moe_layer", "per-block": "layer"}
    return "model" if template == "full-model" else f"{prefix[template]}_{layer}"


def fragments(step: Sequence[Planned], template: TemplateName, rules: FusionRules) -> list[list[int]]:
    """Positions of the kernels of each fragment with two kernels or more."""
    return [run for run in _runs(step, template, rules)[0] if len(run) > 1]


@dataclass
class _Run:
    """The fragment being collected: its positions, its stream, and what closed the one before it in this scope."""

    label: str = ""
    lane: str = "main"
    positions: list[int] = field(default_factory=list)
    cause: str = ""
    resumed: bool = False


def _runs(step: Sequence[Planned], template: TemplateName, rules: FusionRules) -> tuple[list[list[int]], Counter[str]]:
    """All runs of fusible kernels, and the cuts within scopes by cause."""
    runs: list[list[int]] = []
    cuts: Counter[str] = Counter()
    lanes = _scope_lanes(step, template)
    current = _Run()

    def close(cause: str) -> None:
        if current.positions:
            runs.append(current.positions)
            current.positions = []
        current.cause = cause

    for position, item in enumerate(step):
        operation = item.placed.operation
        label = scope_label(item, template) if in_scope(item, template) else ""
        if not label or (operation.lane != lanes[label] and not rules.stream_fusion):
            if operation.lane == current.lane:
                close(operation.op_type)
            elif operation.fork and current.lane == "main":
                close(operation.op_type if operation.core == COMMUNICATION else "stream")
            continue
        if label != current.label or (current.positions and step[current.positions[-1]].piece != item.piece):
            close("")
            current = _Run(label=label, lane=lanes[label])
        if not rules.fusible(operation):
            close(operation.op_type)
            continue
        if operation.joins and not rules.stream_fusion and current.positions:
            close("stream")
        if not current.positions and current.cause and current.resumed:
            cuts[current.cause] += 1
        current.resumed = True
        current.positions.append(position)
    close("")
    return runs, cuts


def _scope_lanes(step: Sequence[Planned], template: TemplateName) -> dict[str, str]:
    """The stream of each scope that holds most of its time."""
    counts: dict[str, Counter[str]] = {}
    for item in step:
        if in_scope(item, template):
            counts.setdefault(scope_label(item, template), Counter())[item.placed.operation.lane] += item.duration_ns
    return {label: lanes.most_common(1)[0][0] for label, lanes in counts.items()}


def boundary_savings(step: Sequence[Planned], run: Sequence[int], rules: FusionRules) -> list[int]:
    """What each vanished boundary of a fragment saves, ns."""
    return [min(rules.saving_ns, step[i].gap_ns + step[i].duration_ns // 2) for i in run[1:]]


def fuse(step: Sequence[Planned], template: TemplateName, rules: FusionRules) -> list[Planned]:
    """The step with each fragment replaced by one SuperKernel."""
    runs = fragments(step, template, rules)
    first = {run[0]: run for run in runs}
    inside = {position for run in runs for position in run}
    counts: Counter[str] = Counter()
    fused: list[Planned] = []
    for position, item in enumerate(step):
        if position in first:
            fused.append(_super_kernel(step, first[position], template, rules, counts))
        elif position not in inside:
            fused.append(item)
    return fused


def _super_kernel(
    step: Sequence[Planned],
    run: Sequence[int],
    template: TemplateName,
    rules: FusionRules,
    counts: Counter[str],
) -> Planned:
    members = [step[i] for i in run]
    label = scope_label(members[0], template)
    number = counts[label]
    counts[label] += 1
    work = sum(member.duration_ns for member in members) + sum(member.gap_ns for member in members[1:])
    first, last = members[0], members[-1]
    cube = any(member.placed.operation.core in (CUBE, MIX_AIC) for member in members)
    regions = {member.placed.operation.region for member in members}
    worked_for = regions - {"norm", "comm"} or regions
    same_layer = len({member.placed.layer for member in members}) == 1
    operation = Operation(
        op_type="SuperKernel",
        # a SuperKernel over several sub-blocks works for none of them alone
        region=worked_for.pop() if len(worked_for) == 1 else "other",
        role="superkernel",
        core=MIX_AIC if cube else MIX_AIV,
        blocks=max(member.placed.operation.blocks for member in members),
        lane=first.placed.operation.lane,
        fork=first.placed.operation.fork,
        joins=first.placed.operation.joins,
        inputs=() if first.ge else tuple(t for member in members for t in member.placed.operation.inputs),
        outputs=() if first.ge else tuple(t for member in members for t in member.placed.operation.outputs),
    )
    middle = "" if number == 0 else f"_split_{number}_{number + 1}"
    name = f"sk_{label}{middle}_start_{first.name}_end_{last.name}"
    if not first.ge:
        name = f"sk_{sum(counts.values())}_{label}_start_{first.name}_end_{last.name}"
    return replace(
        first,
        placed=replace(
            first.placed,
            operation=operation,
            layer=first.placed.layer if same_layer else None,
            layer_kind=first.placed.layer_kind if same_layer else None,
            attention_kind=first.placed.attention_kind if same_layer else None,
        ),
        name=name.replace("/", "_"),
        duration_ns=work - sum(boundary_savings(step, run, rules)),
        members=tuple(members),
    )


def planted_effects(plan: Sequence[Sequence[Planned]], rules: FusionRules | None = None) -> dict[str, Any]:
    """For each template what fusing saves in the last captured decode step, found by running it with and without.

    Keys: `saving_us_per_boundary`, `step_us`, `best_template` (None where nothing can be fused), and `templates`:
    name -> `in_scope`, `fragments`, `single_kernels`, `boundaries_removed`, `cuts` (cause -> count),
    `fragment_saving_us` (sum over fragments), `saving_us` (of the step), `saving_pct`.
    """
    chosen = rules or FusionRules()
    steps = [step for step in plan if step and step[0].placed.phase == "decode" and any(k.captured for k in step)]
    empty: dict[str, Any] = {
        "saving_us_per_boundary": chosen.saving_ns / 1000,
        "step_us": None,
        "best_template": None,
        "templates": {},
    }
    if not steps:
        return empty
    step = steps[-1]
    before = _wall(step)
    found = {name: _effect(step, name, chosen, before) for name in TEMPLATES}
    found = {name: effect for name, effect in found.items() if effect["in_scope"]}
    winning = [name for name in found if found[name]["saving_us"] > 0]
    best = max(winning, key=lambda name: found[name]["saving_us"], default=None)
    return {**empty, "step_us": before / 1000, "best_template": best, "templates": found}


def _effect(step: Sequence[Planned], template: TemplateName, rules: FusionRules, before: int) -> dict[str, Any]:
    runs, cuts = _runs(step, template, rules)
    joined = [run for run in runs if len(run) > 1]
    after = _wall(fuse(step, template, rules)) if joined else before
    return {
        "in_scope": sum(in_scope(item, template) for item in step),
        "fragments": len(joined),
        "single_kernels": sum(len(run) == 1 for run in runs),
        "boundaries_removed": sum(len(run) - 1 for run in joined),
        "cuts": dict(cuts),
        "fragment_saving_us": sum(sum(boundary_savings(step, run, rules)) for run in joined) / 1000,
        "saving_us": (before - after) / 1000,
        "saving_pct": round(100 * (before - after) / before, 3),
    }


def _wall(step: Sequence[Planned]) -> int:
    started = schedule([step], start_ns=0, between_steps_ns=[0], first_stream=46)
    return max(item.end_ns for item in started) - min(item.start_ns for item in started)
