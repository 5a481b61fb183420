"""Realistic results for the tests of reports, plots and languages: what an analysis would hand over.

Numbers inside one result agree with each other (walls, shares, gaps, terms), so that a test can check a
report against them. Nothing here is measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from skadvisor.records import (
    REGIONS,
    Breaker,
    CaptureRecord,
    Claim,
    Estimate,
    Finding,
    Fragments,
    GapRecord,
    LabelQuality,
    LayerKindRecord,
    LayersRecord,
    LayerTime,
    Notice,
    PhaseRecord,
    Recommendation,
    RegionRecord,
    Result,
    StepRecord,
    Template,
    Term,
    TimelineKernel,
    Tool,
    TypicalLayer,
)
from skadvisor.text.messages import Message, _
from skadvisor.version import SCHEMA_VERSION

HOSTILE_NAMES = (
    "<script>document.title='owned'</script>",
    "\"'><img src=x onerror=alert(1)>",
    '=HYPERLINK("http://example.invalid","click")',
    "x" * 10_000,
    "emoji 🚀 and | pipe ` tick [link](http://example.invalid)",
    "right-to-left \u202egnp.exe \u05e9\u05dc\u05d5\u05dd",
    "terminal \x1b[31mred\x1b[0m \x07",
    "{braces} {0} {{twice}} %(percent)s",
)


@dataclass(frozen=True)
class Op:
    """One kernel of an example layer: times in microseconds."""

    op_type: str
    role: str
    region: str
    dur_us: float
    stream: int = 20
    fusible: str = "likely"
    shapes: str = "48,5120;5120,1536"


def dense_layer() -> tuple[Op, ...]:
    """A dense decoder layer with grouped-query attention, as a GE graph runs it."""
    return (
        Op("AddRmsNorm", "residual_norm", "norm", 6.1),
        Op("QuantBatchMatmulV3", "qkv_proj", "attention", 17.4),
        Op("SplitVD", "layout", "attention", 3.2, fusible="unlikely"),
        Op("RotaryMul", "rope", "attention", 4.8),
        Op("RotaryMul", "rope", "attention", 4.1),
        Op("ScatterNdUpdate", "kv_cache", "attention", 5.2),
        Op("FusedInferAttentionScore", "attention_core", "attention", 22.9),
        Op("Cast", "quantise", "attention", 2.6, fusible="unlikely"),
        Op("MatMulV2", "out_proj", "attention", 13.1),
        Op("hcom_allReduce_", "collective", "comm", 18.0, 32),
        Op("AddRmsNorm", "residual_norm", "norm", 6.4),
        Op("MatMulV2", "gate_up", "mlp", 38.2),
        Op("SwiGlu", "activation", "mlp", 6.6),
        Op("MatMulV2", "down", "mlp", 20.3),
        Op("hcom_allReduce_", "collective", "comm", 18.4, 32),
    )


def moe_layer() -> tuple[Op, ...]:
    """A DeepSeek-like layer: latent attention, routed experts, a shared expert on a second stream."""
    attention = (
        Op("InplaceAddRmsNorm", "residual_norm", "norm", 5.4),
        Op("MlaProlog", "qkv_proj", "attention", 38.7, shapes="96,7168;7168,1536;1536,24576"),
        Op("RotaryMul", "rope", "attention", 3.1),
        Op("Transpose", "layout", "attention", 2.9, fusible="unlikely"),
        Op("FusedInferAttentionScore", "attention_core", "attention", 61.8, shapes="96,128,512;;;1024,128,512"),
        Op("TransposeBatchMatMul", "attention_core", "attention", 12.6),
        Op("QuantBatchMatmulV3", "out_proj", "attention", 21.9, shapes="96,16384;16384,7168"),
        Op("hcom_reduceScatter_", "collective", "comm", 14.6, 48),
        Op("InplaceAddRmsNorm", "residual_norm", "norm", 5.7),
    )
    experts = (
        Op("MatMulV2", "router", "moe", 6.4, shapes="96,7168;7168,256"),
        Op("MoeGatingTopK", "router", "moe", 5.8),
        Op("MoeInitRoutingV2", "dispatch", "moe", 6.1, fusible="unlikely"),
        Op("QuantBatchMatmulV3", "shared_expert", "moe", 14.8, 36),
        Op("DequantSwigluQuant", "shared_expert", "moe", 4.9, 36),
        Op("MoeDistributeDispatchV2", "dispatch", "moe", 47.5),
        Op("GroupedMatmul", "expert_matmul", "moe", 58.2, shapes="768,7168;16,7168,4096"),
        Op("DequantSwigluQuant", "activation", "moe", 8.9),
        Op("QuantBatchMatmulV3", "shared_expert", "moe", 9.9, 36),
        Op("GroupedMatmul", "expert_matmul", "moe", 34.4, shapes="768,2048;16,2048,7168"),
        Op("MoeDistributeCombineV2", "combine", "moe", 52.1),
    )
    return attention + experts


def timeline(ops: tuple[Op, ...], gap_us: float = 0.4) -> tuple[TimelineKernel, ...]:
    """Lay the kernels out: in a row on their main stream, side streams beside it; fragments end at breakers."""
    clock = 0.0
    side: dict[int, float] = {}
    kernels = []
    fragment = 0
    main = ops[0].stream
    for ordinal, op in enumerate(ops):
        beside = op.stream != main and op.region != "comm"
        start = max(clock, side.get(op.stream, 0.0)) if beside else clock
        fusible = op.fusible == "likely" and op.region != "comm"
        if not fusible:
            fragment += 1
        kernels.append(
            TimelineKernel(
                start_us=round(start, 3),
                dur_us=op.dur_us,
                gap_before_us=gap_us if ordinal else 0.0,
                stream=op.stream,
                name=f"{op.op_type}_{ordinal}",
                op_type=op.op_type,
                region=op.region,
                role=op.role,
                confidence=0.97 if op.role != "unknown" else 0.5,
                input_shapes=op.shapes,
                output_shapes=op.shapes.split(";")[0],
                core="MIX_AIC" if "atmul" in op.op_type else "AI_VECTOR_CORE",
                blocks=24,
                fusible=op.fusible if op.region != "comm" else "unlikely",
                fragment=fragment if fusible else None,
                in_scope=True,
            )
        )
        if beside:
            side[op.stream] = start + op.dur_us + gap_us
        else:
            clock = start + op.dur_us + gap_us
    return tuple(kernels)


def _wall(kernels: tuple[TimelineKernel, ...]) -> float:
    return round(max(kernel.start_us + kernel.dur_us for kernel in kernels), 3)


def _exposed(kernels: tuple[TimelineKernel, ...]) -> dict[str, float]:
    times: dict[str, float] = {}
    for kernel in kernels:
        if kernel.role != "shared_expert":
            times[kernel.region] = round(times.get(kernel.region, 0.0) + kernel.dur_us, 3)
    return times


def _layer_times(kinds: list[tuple[str, tuple[TimelineKernel, ...]]], slow: int | None) -> tuple[LayerTime, ...]:
    rows = []
    for index, (kind, kernels) in enumerate(kinds):
        factor = 1.0 + 0.004 * (index % 5) + (0.6 if index == slow else 0.0)
        regions = {name: round(time * factor, 3) for name, time in _exposed(kernels).items()}
        rows.append(LayerTime(layer=index, kind=kind, wall_us=round(_wall(kernels) * factor, 3), regions_us=regions))
    return tuple(rows)


def _gap(wall: float, layers: tuple[LayerTime, ...], outside: dict[str, float], host: float) -> GapRecord:
    worked = sum(sum(layer.regions_us.values()) for layer in layers) + sum(outside.values())
    small = max(wall - worked - host, 0.0)
    return GapRecord(inside_us=round(small * 0.8, 3), between_us=round(small * 0.2, 3), host_us=round(host, 3))


def _regions(
    phase: str, wall: float, layers: tuple[LayerTime, ...], outside: dict[str, float]
) -> tuple[RegionRecord, ...]:
    times = dict(outside)
    for layer in layers:
        for region, time in layer.regions_us.items():
            times[region] = times.get(region, 0.0) + time
    return tuple(
        RegionRecord(
            phase=phase,
            region=region,
            kernels=3 * len(layers),
            busy_us=round(times[region] * 1.02, 3),
            exposed_us=round(times[region], 3),
            share=times[region] / wall,
            gap_inside_us=round(times[region] * 0.01, 3),
        )
        for region in REGIONS
        if region in times
    )


def _steps(phases: list[tuple[str, float, GapRecord, int | None]], layers: int) -> tuple[StepRecord, ...]:
    clock = 0.0
    steps = []
    for index, (phase, wall, gap, tokens) in enumerate(phases):
        idle = gap.inside_us + gap.between_us + gap.host_us
        factor = 1.9 if index == 0 and len(phases) > 1 else 1.0 + 0.003 * (index % 4)
        steps.append(
            StepRecord(
                index=index,
                phase=phase,
                start_us=round(clock, 3),
                wall_us=round(wall * factor, 3),
                busy_us=round((wall - idle) * factor, 3),
                gap_us=round(idle * factor, 3),
                host_gap_us=round(gap.host_us * factor, 3),
                kernels=16 * layers + 14,
                tokens=tokens,
                layers=layers,
                steady=factor < 1.5,
                note=Message(_("warm-up: {ratio:.1f} times the median"), ratio=factor) if factor >= 1.5 else None,
            )
        )
        clock += wall * factor + 40.0
    return tuple(steps)


def _phase(phase: str, wall: float, gap: GapRecord, steps: tuple[StepRecord, ...], tokens: int | None) -> PhaseRecord:
    mine = [step for step in steps if step.phase == phase]
    idle = gap.inside_us + gap.between_us + gap.host_us
    return PhaseRecord(
        phase=phase,
        step=next((step.index for step in mine if step.steady), 0),
        steps=len(mine),
        steady_steps=sum(step.steady for step in mine),
        wall_us=round(wall, 3),
        busy_us=round(wall - idle, 3),
        gap_us=round(idle, 3),
        gap=gap,
        tokens=tokens,
    )


def _capture(path: str, kernels: int, span: float, producer: str = "torch_npu") -> CaptureRecord:
    return CaptureRecord(
        path=path,
        producer=producer,
        rank=0,
        level="level1",
        state="complete",
        kernels=kernels,
        span_us=round(span, 3),
        files=(f"{path}/ASCEND_PROFILER_OUTPUT/kernel_details.csv",),
        skipped={"rows without a start time": 2},
        fingerprint="3f0c5a9e",
    )


def assessed(
    name: str, share: float, wall: float, claim: tuple[float, float], saved: tuple[float, float, float], verdict: str
) -> Template:
    """A template with all its parts; `saved` are the low, mid and high estimate in percent of the step."""
    low, mid, high = (round(value * wall / 100, 3) for value in saved)
    loss = round(-0.12 * mid, 3)
    return Template(
        name=name,
        risk="low" if name == "attention-only" else "high" if name == "full-model" else "medium",
        effort=1 if name == "attention-only" else 3 if name == "full-model" else 2,
        chance_above_noise=0.6,
        share=share,
        in_scope_us=round(share * wall, 3),
        claim=Claim(
            low_pct=claim[0],
            high_pct=claim[1],
            row="ordinary transformer",
            row_low_pct=10.0,
            row_high_pct=15.0,
            rule=Message(_("share of {share:.0%} times a saving of 29 to 43 % of the scope"), share=share),
            source="SuperKernel template guide",
        ),
        ceiling_us=round(high * 1.5, 3),
        estimate=Estimate(
            low_us=low,
            mid_us=mid,
            high_us=high,
            low_pct=saved[0],
            mid_pct=saved[1],
            high_pct=saved[2],
            block_low_pct=round(saved[0] / share, 2),
            block_mid_pct=round(saved[1] / share, 2),
            block_high_pct=round(saved[2] / share, 2),
        ),
        terms={
            "visible_gaps": Term(
                low_us=round(mid * 0.12, 3),
                mid_us=round(mid * 0.2, 3),
                high_us=round(mid * 0.25, 3),
                basis="measured",
                inputs={"boundaries": 192.0},
                source="this capture",
            ),
            "head_overhead": Term(
                low_us=round(low * 1.02, 3),
                mid_us=round(mid * 0.92, 3),
                high_us=round(high * 0.9, 3),
                basis="assumed",
                inputs={"boundaries": 192.0, "us_per_boundary": 1.7},
                source="published measurements",
            ),
            "stream_overlap": Term(
                low_us=round(loss * 2, 3),
                mid_us=loss,
                high_us=0.0,
                basis="derived",
                inputs={"overlap_us": -loss},
                source="this capture",
            ),
        },
        fragments=Fragments(
            count=96, per_layer=4.0, kernels=288, single_kernel=24, boundaries=264, boundaries_removed=192
        ),
        breakers=(
            Breaker(
                op_type="Cast",
                role="quantise",
                cuts_per_layer=1.0,
                cuts_per_step=24,
                cost_us=round(mid * 0.22, 3),
                likelihood="likely",
                reason="OP_UNSUPPORT",
                source="SuperKernel constraints, CANN 8.5",
                remedy=Message(_("keep the tensor in bfloat16 so that no Cast is needed")),
            ),
            Breaker(
                op_type="SplitVD",
                role="layout",
                cuts_per_layer=1.0,
                cuts_per_step=24,
                cost_us=round(mid * 0.19, 3),
                likelihood="unknown",
                reason="DYNAMIC_TASK_UNSUPPORT",
                source="SuperKernel constraints, CANN 8.5",
                remedy=Message(_("use one fused {op} kernel"), op="split_qkv_rmsnorm_rope"),
            ),
        ),
        findings=(
            Finding(check="graph_mode", status="pass", message=Message(_("the decode steps run as a GE graph"))),
            Finding(
                check="streams",
                status="warn",
                message=Message(_("the scope spans {count} streams"), count=2),
                remedy=Message(_("set stream-fusion=1, or place one scope per stream")),
                source="SuperKernel constraints",
            ),
            Finding(
                check="tiling_sink",
                status="unknown",
                message=Message(_("the capture does not say whether FusedInferAttentionScore is tiling-sunk")),
            ),
        ),
        verdict=verdict,
        reason=Message(_("the middle of the estimate is {mid:.1f} % of the decode step"), mid=saved[1]),
    )


def _quality(unattributed: float = 0.004) -> LabelQuality:
    return LabelQuality(
        unattributed_share=unattributed,
        low_confidence_share=0.02,
        learned_share=0.05,
        host_checked_share=0.0,
        advice_depends_on_unattributed=False,
    )


def _graph_result(
    path: str, kinds: list[tuple[str, tuple[Op, ...]]], slow: int | None, templates: tuple[tuple, ...], choice: str
) -> Result:
    """A steady graph-mode decode with the given layers; all figures follow from the layers' kernels."""
    drawn = [(kind, timeline(ops)) for kind, ops in kinds]
    layer_times = _layer_times(drawn, slow)
    outside = {"prepare": 21.0, "embedding": 9.5, "head": 96.2, "sampling": 33.8, "other": 4.0, "unattributed": 12.0}
    wall = sum(layer.wall_us for layer in layer_times) + sum(outside.values()) + 30.0
    gap = _gap(wall, layer_times, outside, 0.0)
    steps = _steps([("decode", wall, gap, 96)] * 12, len(kinds))
    groups = {kind: [index for index, (name, _ops) in enumerate(kinds) if name == kind] for kind, _ops in kinds}
    typical = dict(drawn)
    assessments = tuple(assessed(name, share, wall, *rest) for name, share, *rest in templates)
    chosen = next((template for template in assessments if template.name == choice), None)
    return Result(
        schema_version=SCHEMA_VERSION,
        tool=Tool(name="skadvisor", version="0.1.0"),
        captures=(_capture(path, 12 * (16 * len(kinds) + 14), 12 * (wall + 40)),),
        mode="graph",
        graph_kind="ge_graph",
        host_bound=False,
        phase="decode",
        steps=steps,
        phases={"decode": _phase("decode", wall, gap, steps, 96)},
        layers=LayersRecord(
            count=len(kinds),
            kinds=tuple(
                LayerKindRecord(
                    kind=kind,
                    attention_kind="mla" if any(k.op_type == "MlaProlog" for k in typical[kind]) else "gqa",
                    count=len(members),
                    layers=f"{members[0]}-{members[-1]}",
                    kernels=len(typical[kind]),
                    wall_us=_wall(typical[kind]),
                )
                for kind, members in groups.items()
            ),
            confidence=0.99,
        ),
        regions=_regions("decode", wall, layer_times, outside),
        layer_times=layer_times,
        typical_layers=tuple(
            TypicalLayer(phase="decode", step=6, layer=groups[kind][-1], kind=kind, wall_us=_wall(ks), kernels=ks)
            for kind, ks in typical.items()
        ),
        labels=_quality(12.0 / wall),
        templates=assessments,
        recommendation=Recommendation(
            choice=choice,
            ground="gain" if choice != "none" else "noise",
            reason=chosen.reason if chosen else Message(_("no template reaches 2 % of the decode step")),
            confidence=0.72,
            runner_up=assessments[-1].name if assessments else None,
            margin_us=round(0.004 * wall, 3),
            next=(
                Message(_("Record five baseline runs; their spread must stay below {limit:.0f} %."), limit=5),
                Message(_("Remove the {op} inside attention: it costs {us:.1f} us per step."), op="Cast", us=31.4),
                Message(_("Place the scope as `skadvisor plan` prints it, then run `skadvisor compare`.")),
            ),
            robustness=(Message(_("The choice holds as long as the boundary cost stays above {us:.1f} us."), us=0.9),),
        ),
        warnings=(Notice(code="no_pmu", message=Message(_("No PMU columns: the head of kernels is assumed."))),),
    )


def dense_decode() -> Result:
    """24 dense layers in graph mode; attention-only wins by a little."""
    return _graph_result(
        "/data/alice/runs/node17_4711_20260101_ascend_pt",
        [("dense", dense_layer())] * 24,
        17,
        (
            ("attention-only", 0.38, (11.0, 16.3), (0.9, 2.6, 4.4), "worthwhile"),
            ("full-model", 0.94, (27.3, 40.4), (-0.8, 2.2, 5.9), "within_noise"),
        ),
        "attention-only",
    )


def moe_decode() -> Result:
    """61 layers like DeepSeek-V3: three dense, 58 with experts; moe-only wins."""
    dense = (
        *moe_layer()[:9],
        Op("QuantBatchMatmulV3", "gate_up", "mlp", 41.0),
        Op("DequantSwigluQuant", "activation", "mlp", 7.7),
        Op("QuantBatchMatmulV3", "down", "mlp", 24.1),
    )
    return _graph_result(
        "/home/bob/prof/worker-3_991_20260203_ascend_pt",
        [("dense", dense)] * 3 + [("moe", moe_layer())] * 58,
        40,
        (
            ("moe-only", 0.53, (15.4, 22.8), (1.4, 3.3, 6.2), "worthwhile"),
            ("attention-only", 0.36, (10.4, 15.5), (0.4, 1.5, 2.9), "within_noise"),
            ("full-model", 0.96, (27.8, 41.3), (-2.0, 2.9, 8.0), "blocked"),
        ),
        "moe-only",
    )


def toy_decode() -> Result:
    """Three small dense layers: the report of a tiny model must look right too; nothing is worth fusing."""
    result = _graph_result(
        "toy",
        [("dense", dense_layer())] * 3,
        None,
        (("full-model", 0.6, (17.0, 26.0), (0.2, 0.9, 1.8), "within_noise"),),
        "none",
    )
    return replace(result, recommendation=replace(result.recommendation, runner_up="full-model", margin_us=None))


def eager_refusal() -> Result:
    """Prefill then decode in eager mode: 2.8 ms of kernels in a step of 24 ms."""
    base = _graph_result("qwen", [("dense", dense_layer())] * 24, None, (), "none")
    wall, busy = 24_060.0, 2_810.0
    gap = GapRecord(inside_us=90.0, between_us=35.0, host_us=round(wall - busy - 125.0, 3))
    steps = _steps([("decode", wall, gap, 1)] * 2, 24)
    steps = (replace(steps[0], phase="prefill", steady=True, note=None, tokens=126), replace(steps[1], phase="decode"))
    scale = busy / sum(region.exposed_us for region in base.regions)
    regions = tuple(
        replace(
            region,
            phase=phase,
            exposed_us=region.exposed_us * scale,
            busy_us=region.busy_us * scale,
            share=region.exposed_us * scale / wall,
        )
        for phase in ("prefill", "decode")
        for region in base.regions
    )
    return replace(
        base,
        mode="eager",
        graph_kind=None,
        host_bound=True,
        steps=steps,
        phases={phase: _phase(phase, wall, gap, steps, 1) for phase in ("prefill", "decode")},
        regions=regions,
        recommendation=Recommendation(
            choice="none",
            ground="host",
            reason=Message(
                _("the decode step is eager and waits for the host: {busy:.1f} ms of kernels in {wall:.1f} ms"),
                busy=busy / 1000,
                wall=wall / 1000,
            ),
            confidence=0.98,
            runner_up=None,
            next=(Message(_("Run the model in graph mode first, then record again.")),),
        ),
    )


def training_refusal() -> Result:
    """A training capture: no decode, no layers assessed, nothing recommended."""
    base = toy_decode()
    gap = GapRecord(inside_us=10.0, between_us=5.0, host_us=100.0)
    steps = tuple(replace(step, phase="training", layers=0, tokens=None) for step in base.steps[:2])
    return replace(
        base,
        mode="unknown",
        graph_kind=None,
        phase="unknown",
        steps=steps,
        phases={"training": _phase("training", 52_000.0, gap, steps, None)},
        layers=LayersRecord(count=0, kinds=(), confidence=0.0, misfits=(Message(_("no block of kernels repeats")),)),
        regions=(),
        layer_times=(),
        typical_layers=(),
        labels=_quality(1.0),
        templates=(),
        recommendation=Recommendation(
            choice="none",
            ground="training",
            reason=Message(_("the capture shows training; SuperKernel is for decode in inference")),
            confidence=0.95,
            runner_up=None,
        ),
        warnings=(),
    )


def hostile() -> Result:
    """The dense decode with names that try to leave their place in every format."""
    base = dense_decode()
    typical = base.typical_layers[0]
    kernels = tuple(
        replace(
            kernel,
            name=HOSTILE_NAMES[index % len(HOSTILE_NAMES)],
            op_type=HOSTILE_NAMES[(index + 1) % len(HOSTILE_NAMES)],
            input_shapes=HOSTILE_NAMES[0],
        )
        for index, kernel in enumerate(typical.kernels)
    )
    template = base.templates[0]
    breakers = tuple(
        replace(template.breakers[0], op_type=name, remedy=Message(_("use one fused {op} kernel"), op=name))
        for name in HOSTILE_NAMES
    )
    return replace(
        base,
        captures=(replace(base.captures[0], path=HOSTILE_NAMES[0], files=HOSTILE_NAMES),),
        typical_layers=(replace(typical, kernels=kernels),),
        templates=(replace(template, breakers=breakers), *base.templates[1:]),
        warnings=tuple(Notice(code="hostile", message=Message("{name}", name=name)) for name in HOSTILE_NAMES),
    )


#: Every example by name, for tests that go through all of them.
ALL = {
    "dense": dense_decode,
    "moe": moe_decode,
    "toy": toy_decode,
    "eager": eager_refusal,
    "training": training_refusal,
    "hostile": hostile,
}
