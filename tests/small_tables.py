"""Small labelled kernel tables for tests that need the accounting, the fusion preview and the gain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skadvisor.events import (
    KERNEL_COLUMNS,
    LABEL_COLUMNS,
    STEP_COLUMNS,
    Capture,
    host_table,
    kernel_table,
    task_table,
)

#: What a kernel is where a test does not say otherwise.
USUAL: dict[str, Any] = {
    "name": "MatMulV2_1",
    "op_type": "MatMulV2",
    "kind": "kernel",
    "core": "AI_CORE",
    "state": "static",
    "stream": 1,
    "model": 7,
    "blocks": 24,
    "step": 0,
    "phase": "decode",
    "layer": None,
    "layer_kind": None,
    "attention_kind": None,
    "region": "attention",
    "role": "qkv_proj",
    "owner": None,
    "confidence": 0.95,
    "evidence": "test",
}


def labelled_table(kernels: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A labelled table of kernels given as dicts with at least start_ns and dur_ns, in time order."""
    rows = [USUAL | {"task": number} | dict(kernel) for number, kernel in enumerate(kernels)]
    columns = {name: dtype for name, (dtype, _) in (KERNEL_COLUMNS | LABEL_COLUMNS).items()}
    made = {
        name: pd.Series([row.get(name) for row in rows], dtype="object").astype(dtype)
        for name, dtype in columns.items()
    }
    table = pd.DataFrame(made)
    return table.sort_values(["start_ns", "stream", "task"], kind="stable", ignore_index=True)


def step_table(labelled: pd.DataFrame, mode: str = "graph", steady: bool = True) -> pd.DataFrame:
    """The steps of a labelled table, as the step detection would describe them."""
    rows = []
    end = labelled["start_ns"] + labelled["dur_ns"]
    for step in sorted(set(labelled["step"]) - {-1}):
        inside = labelled["step"] == step
        rows.append(
            {
                "step": step,
                "phase": labelled.loc[inside, "phase"].iloc[0],
                "phase_evidence": "tokens",
                "start_ns": int(labelled.loc[inside, "start_ns"].min()),
                "end_ns": int(end[inside].max()),
                "mode": mode,
                "tokens": 1,
                "layers": int(labelled.loc[inside, "layer"].nunique()),
                "whole": True,
                "steady": steady,
                "note": None,
            }
        )
    table = pd.DataFrame(rows, columns=list(STEP_COLUMNS))
    return table.astype({name: dtype for name, (dtype, _) in STEP_COLUMNS.items()})


#: One dense decoder layer of a decode step: op type, role, region, core, duration in ns.
DENSE_LAYER = (
    ("AddRmsNorm", "residual_norm", "norm", "AI_VECTOR_CORE", 3_000),
    ("MatMulV2", "qkv_proj", "attention", "AI_CORE", 12_000),
    ("RotaryMul", "rope", "attention", "AI_VECTOR_CORE", 4_000),
    ("ScatterPaKvCache", "kv_cache", "attention", "AI_VECTOR_CORE", 4_000),
    ("IncreFlashAttention", "attention_core", "attention", "MIX_AIC", 20_000),
    ("MatMulV2", "out_proj", "attention", "AI_CORE", 10_000),
    ("AddRmsNorm", "residual_norm", "norm", "AI_VECTOR_CORE", 3_000),
    ("MatMulV2", "gate_up", "mlp", "AI_CORE", 20_000),
    ("SwiGlu", "activation", "mlp", "AI_VECTOR_CORE", 4_000),
    ("MatMulV2", "down", "mlp", "AI_CORE", 17_000),
)

#: The same layer quantised, of operators that all fuse on A2 and A3.
W8A8_LAYER = tuple(
    ({"MatMulV2": "QuantBatchMatmulV3", "RotaryMul": "RotaryPositionEmbedding"}.get(op_type, op_type), *rest)
    for op_type, *rest in DENSE_LAYER
)

#: One mixture-of-experts layer, attention abridged.
MOE_LAYER = (
    *DENSE_LAYER[:7],
    ("MatMulV2", "router", "moe", "AI_CORE", 6_000),
    ("MoeGatingTopK", "router", "moe", "AI_VECTOR_CORE", 5_000),
    ("MoeDistributeDispatchV2", "dispatch", "moe", "MIX_AIV", 20_000),
    ("GroupedMatmul", "expert_matmul", "moe", "AI_CORE", 45_000),
    ("SwiGlu", "activation", "moe", "AI_VECTOR_CORE", 5_000),
    ("GroupedMatmul", "expert_matmul", "moe", "AI_CORE", 40_000),
    ("MoeDistributeCombineV2", "combine", "moe", "MIX_AIV", 20_000),
)


def decode_kernels(
    layers: int = 4,
    steps: int = 1,
    gap_ns: int = 300,
    block: Iterable[tuple[str, str, str, str, int]] = DENSE_LAYER,
    step_gap_ns: int = 200_000,
    **every: Any,
) -> list[dict[str, Any]]:
    """The kernels of decode steps with equal layers and equal gaps, as dicts that a test can change."""
    block = tuple(block)
    moe = any(region == "moe" for _, _, region, _, _ in block)
    kernels = []
    now = 1_000_000_000
    for step in range(steps):
        for layer in range(layers):
            for op_type, role, region, core, duration in block:
                kernel = {"start_ns": now, "dur_ns": duration, "op_type": op_type, "name": f"{op_type}_{len(kernels)}"}
                kernel |= {"core": core, "region": region, "role": role, "step": step, "layer": layer}
                kernel |= {"layer_kind": "moe" if moe else "dense", "attention_kind": "gqa"} | every
                kernels.append(kernel)
                now += duration + gap_ns
        now += step_gap_ns
    return kernels


def random_labels(draw_from: np.random.Generator, size: int) -> list[dict[str, Any]]:
    """Kernels with random overlap, layers and regions, for checks against a slow reference."""
    regions = ["attention", "mlp", "moe", "comm", "unattributed"]
    return [
        {
            "start_ns": int(draw_from.integers(0, 60)),
            "dur_ns": int(draw_from.integers(0, 25)),
            "stream": int(draw_from.integers(0, 3)),
            "region": regions[draw_from.integers(0, len(regions))],
            "layer": [None, 0, 1][draw_from.integers(0, 3)],
            "step": int(draw_from.integers(-1, 2)),
        }
        for _ in range(size)
    ]


#: A dense decoder layer: op type, input shapes, output shapes.
DENSE_ROWS = [
    ("RmsNorm", "4,2048;2048", "4,2048;4,1"),
    ("MatMulV2", "4,2048;3072,2048", "4,3072"),
    ("RotaryPositionEmbedding", "4,16,128;4,1,128", "4,16,128"),
    ("FusedInferAttentionScore", "4,16,128;900,128,512;900,128,512", "4,16,128"),
    ("MatMulV2", "4,2048;2048,2048", "4,2048"),
    ("AddRmsNorm", "4,2048;4,2048;2048", "4,2048;4,1;4,2048"),
    ("MatMulV2", "4,2048;11264,2048", "4,11264"),
    ("SwiGlu", "4,11264", "4,5632"),
    ("MatMulV2", "4,5632;2048,5632", "4,2048"),
    ("Add", "4,2048;4,2048", "4,2048"),
]


def capture_of(rows: Iterable[tuple[Any, ...]], gap_us: float = 0.3, **every: Any) -> Capture:
    """A capture of rows (op type, input shapes, output shapes[, columns that differ]), one after the other.

    `dur_us` and `start_us` (instead of following the row before) may be among the columns.
    """
    table: list[dict[str, Any]] = []
    now = 1_000_000.0
    for number, (op_type, inputs, outputs, *others) in enumerate(rows):
        own = {"dur_us": 8.0, "start_us": now, **(others[0] if others else {})}
        start, length = own.pop("start_us"), own.pop("dur_us")
        shapes = {"input_shapes": inputs or None, "output_shapes": outputs or None}
        row = {"kind": "kernel", "core": "AI_VECTOR_CORE", "state": "static", "stream": 1, "model": 7, "task": number}
        row |= {"name": f"{op_type}_{number}", "op_type": op_type, **shapes, **every, **own}
        table.append(row | {"start_ns": round(start * 1000), "dur_ns": round(length * 1000)})
        now = max(now, start + length + gap_us)
    columns = {name: [row.get(name) for row in table] for name in dict.fromkeys(name for row in table for name in row)}
    nothing: dict[str, Any] = {"start_ns": [], "dur_ns": []}
    kernels = kernel_table(columns)
    return Capture(Path("small"), "torch_npu", kernels, task_table(nothing), host_table(nothing), ())
