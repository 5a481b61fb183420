"""Small captures with everything that a format can hold, for tests of the readers and writers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skadvisor.events import KERNEL_COLUMNS, Capture, host_table, kernel_table, task_table

EPOCH_NS = 1_790_085_076_508_658_982
MAIN, BACKWARD = 457065, 457380
#: Columns that every file of one capture holds.
IN_TRACE = ["start_ns", "dur_ns", "name", "kind", "core", "stream", "task", "model", "launch_ns", "module", "range"]
IN_CSV = [
    *["start_ns", "dur_ns", "wait_ns", "name", "op_type", "kind", "core", "state", "stream", "task", "model"],
    *["blocks", "mix_blocks", "input_shapes", "output_shapes", "input_types", "output_types"],
    *["input_formats", "output_formats", "aic_ns", "aiv_ns"],
]
IN_DATABASE = [column for column in IN_CSV if column != "state"] + ["launch_ns", "module", "range"]

_OPERATORS = [
    ("aclnnAddmm_MatMulCommon_MatMulV2", "MatMulV2", "AI_CORE", "126,896;896,1152", "126,1152"),
    ("AddRmsNorm_3/AddRmsNormCast", "AddRmsNorm", "AI_VECTOR_CORE", "126,896;126,896;896", "126,896;126,896"),
    ("FusedInferAttentionScore_7", "FusedInferAttentionScore", "MIX_AIC", "1,14,64;;;9,128,2,64;;", "1,14,64"),
    ("_triton_rope", "_triton_rope", "AI_VECTOR_CORE", None, None),
    ("aclnnArange_ArangeAiCore_Range", "Range", "AI_VECTOR_CORE", ";;", "4096"),
    ('算子_融合, "quoted" <b>', "Fused", "AI_CPU", "", ""),
]


def example(seed: int = 0, kernels: int = 40, *, links: bool = True, rank: int | None = 3) -> Capture:
    """A capture with eager and graph kernels, collectives, waits, copies, counters, modules and scopes."""
    random = np.random.default_rng(seed)
    host = _host(kernels) if links else []
    rows = [_kernel(random, number) for number in range(kernels)]
    time = EPOCH_NS
    for number, row in enumerate(rows):
        row["start_ns"] = time
        row["launch_ns"] = EPOCH_NS - 900_000 + 10_000 * number if links else None
        row["module"], row["range"] = _open_at(host, row["launch_ns"]) if links else (None, None)
        time += row["dur_ns"] + int(random.integers(0, 30_000))
    names = dict.fromkeys(name for row in rows for name in row)
    table = {name: _series([row.get(name) for row in rows]) for name in names}
    table = {name: values for name, values in table.items() if name not in KERNEL_COLUMNS or values.notna().any()}
    kinds = pd.Index(["kernel", "collective", "collective_part"])
    table["kind"] = pd.Series(pd.Categorical([row["kind"] for row in rows], categories=kinds))
    tasks = {
        "start_ns": [EPOCH_NS + 17, EPOCH_NS + 5_017, EPOCH_NS + 9_001],
        "dur_ns": [20, 1_500, 2_240],
        "name": ["EVENT_RECORD", "EVENT_WAIT", "MEMCPY_ASYNC"],
        "kind": ["record", "wait", "copy"],
        "stream": pd.array([46, 47, 46], dtype="Int64"),
    }
    columns = ("start_ns", "dur_ns", "name", "kind", "thread")
    return Capture(
        path=Path("example"),
        producer="torch_npu",
        kernels=kernel_table(table),
        tasks=task_table(tasks),
        host=host_table({name: [row[at] for row in host] for at, name in enumerate(columns)}),
        files=(),
        rank=rank,
        device=0,
        level="level1",
    )


def _series(values: list[Any]) -> pd.Series:
    if all(value is None or isinstance(value, int) for value in values):
        return pd.Series(pd.array(values, dtype="Int64"))
    if all(value is None or isinstance(value, (int, float)) for value in values):
        return pd.Series(pd.array(values, dtype="Float64"))
    words = sorted({value for value in values if value is not None})
    return pd.Series(pd.Categorical(values, categories=pd.Index(words)))


def _kernel(random: np.random.Generator, number: int) -> dict[str, Any]:
    duration = int(random.integers(0, 400_000))
    if number % 9 == 4:
        return {
            "dur_ns": duration,
            "wait_ns": int(random.integers(0, 50_000)),
            "name": f"hcom_allReduce__586_{number}_1",
            "op_type": "hcom_allReduce_",
            "kind": "collective",
            "core": "COMMUNICATION",
        }
    name, op_type, core, inputs, outputs = _OPERATORS[int(random.integers(len(_OPERATORS)))]
    graph = bool(random.integers(2))
    return {
        "dur_ns": duration,
        "wait_ns": int(random.integers(0, 50_000)),
        "name": name,
        "op_type": op_type,
        "kind": "kernel",
        "core": core,
        "state": "static" if graph else "dynamic",
        "stream": 46 + number % 3,
        "task": 65_530 + number,
        "model": 7 if graph else None,
        "blocks": int(random.integers(1, 49)),
        "mix_blocks": 40 if core.startswith("MIX") else 0,
        "input_shapes": inputs,
        "output_shapes": outputs,
        "input_types": None if inputs is None else "DT_BF16;DT_BF16",
        "output_types": None if outputs is None else "DT_BF16",
        "input_formats": None if inputs is None else "ND;ND",
        "output_formats": None if outputs is None else "ND",
        "aic_ns": duration // 2,
        "aiv_ns": duration // 3,
        "aic_mac_time(us)": float(random.integers(0, 10**6)) / 1000,
        "aic_mac_ratio": float(random.integers(0, 1000)) / 1000,
        "aiv_vec_time(us)": float(random.integers(0, 10**6)) / 1000,
        "cube_utilization(%)": float(random.integers(0, 10**5)) / 1000,
    }


def _host(kernels: int) -> list[tuple[int, int, str, str, int]]:
    """Modules and scopes that nest, two that overlap without nesting, and operators; launches lie 10 us apart."""
    begin, length = EPOCH_NS - 900_500, 10_000 * kernels
    half = length // 2
    return [
        (begin, length, "DecoderModel.forward", "range", MAIN),
        (begin + 100, half, "nn.Module: LlamaDecoderLayer_0", "module", MAIN),
        (begin + 200, half // 3, "nn.Module: LlamaAttention_0", "module", MAIN),
        (begin + 300, half // 4, "P09/step=3/Attention.forward", "range", MAIN),
        (begin + half // 6, half // 2, "P09/step=3/Overlapping.forward", "range", MAIN),
        (begin + 400, 9_000, "aten::linear", "op", MAIN),
        (begin + half // 6 + 50, 700, "aten::view", "op", MAIN),
        (begin + half // 2 + 90, 700, "aten::copy_", "op", MAIN),
        (begin + 450, 300, "Enqueue", "queue", MAIN),
        (begin + 500, 200, "torch/nn/functional.py(12): linear", "python", MAIN),
        (begin + 1_000, length, "nn.Module: NotTheLaunchingThread_0", "module", BACKWARD),
    ]


def _open_at(host: list[tuple[int, int, str, str, int]], time: int) -> tuple[str | None, str | None]:
    """The innermost module and scope on the main thread, by trying every range."""
    found: dict[str, tuple[int, str]] = {}
    for start, duration, name, kind, thread in host:
        if thread == MAIN and start <= time <= start + duration and start >= found.get(kind, (0, ""))[0]:
            found[kind] = (start, name)
    module = found.get("module", (0, None))[1]
    return (module.removeprefix("nn.Module: ") if module else None), found.get("range", (0, None))[1]
