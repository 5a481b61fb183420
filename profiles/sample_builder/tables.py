"""The columns of the kernel table and of the truth, from kernels on the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sample_builder import timing
from sample_builder.host_ranges import host_columns, modules
from sample_builder.operation import CUBE, MIX_AIC, MIX_AIV, Operation, Tensor
from sample_builder.scheduling import Started

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.events import Capture


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What the profiler was told to record, and on which rank."""

    level: Literal["level0", "level1"] = "level1"
    step_ids: bool = False
    pmu: bool = False
    host_ranges: bool = False
    rank: int = 0


def tables(started: Sequence[Started], model: str, recording: Recording) -> tuple[Capture, pd.DataFrame]:
    """The capture in memory and its truth, both in the order of the kernel table."""
    import pandas as pd

    from skadvisor.events import Capture, SourceFile, host_table, kernel_table, task_table

    columns = kernel_columns(started, recording)
    table = kernel_table({**columns, "row": list(range(len(started)))})
    order = table.pop("row").astype("int64").to_numpy()
    truth = pd.DataFrame(truth_columns(started)).iloc[order].reset_index(drop=True)
    for column in ("stream", "layer"):
        truth[column] = truth[column].astype("Int64")
    if recording.level == "level0":
        truth["stream"] = pd.array([None] * len(truth), dtype="Int64")
    table["wait_ns"] = _waits(table)
    empty: dict[str, Any] = {"start_ns": [], "dur_ns": []}
    capture = Capture(
        path=Path(f"synthetic/{model}"),
        producer="torch_npu",
        kernels=table,
        tasks=task_table(empty),
        host=host_table(host_columns(started, steps=recording.step_ids) if recording.host_ranges else empty),
        files=(SourceFile("memory", "kernel_details", len(table)),),
        rank=recording.rank,
        device=recording.rank,
        level=recording.level,
    )
    return capture, truth


def _waits(table: pd.DataFrame) -> pd.Series:
    import numpy as np
    import pandas as pd

    starts = table["start_ns"].to_numpy()
    ends = starts + table["dur_ns"].to_numpy()
    waits = np.concatenate([[0], np.maximum(starts[1:] - ends[:-1], 0)])
    return pd.Series(waits, dtype="Int64")


def kernel_columns(started: Sequence[Started], recording: Recording) -> dict[str, list[Any]]:
    """Columns for `skadvisor.events.kernel_table`; at Level0 only names, times and cores used remain."""
    called = modules(started)
    rows = [_row(item, number, called[number][0], recording) for number, item in enumerate(started)]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    if recording.level == "level0":
        kept = ("start_ns", "dur_ns", "name", "kind", "blocks", "step_id")
        return {name: columns[name] for name in kept}
    return columns


def _row(item: Started, number: int, module: str | None, recording: Recording) -> dict[str, Any]:
    operation, planned = item.planned.placed.operation, item.planned
    part = item.kind == "collective_part"
    bare = item.kind != "kernel" or (planned.captured and operation.triton)
    inputs = None if bare else operation.inputs
    outputs = None if bare else operation.outputs
    work = item.duration_ns - timing.head_ns(operation, item.duration_ns)
    hosted = recording.host_ranges and not planned.captured and item.kind == "kernel"
    mix = operation.core in (MIX_AIC, MIX_AIV)
    on_cube = operation.core in (CUBE, MIX_AIC)
    return {
        "start_ns": item.start_ns,
        "dur_ns": item.duration_ns,
        "name": "AivKernel" if part else planned.name,
        "op_type": "AivKernel" if part else _type(item),
        "kind": item.kind,
        "core": "AI_VECTOR_CORE" if part else operation.core,
        "state": _state(item),
        "stream": item.stream,
        "task": item.task,
        "model": item.model,
        "blocks": 8 if part else 0 if bare else operation.blocks,
        "mix_blocks": None if item.kind == "collective" else 2 * operation.blocks if mix and not bare else 0,
        "input_shapes": shapes(inputs),
        "output_shapes": shapes(outputs),
        "input_types": types(inputs),
        "output_types": types(outputs),
        "input_formats": formats(inputs),
        "output_formats": formats(outputs),
        "aic_ns": (work if on_cube else 0) if recording.pmu and item.kind == "kernel" else None,
        "aiv_ns": (work if not on_cube or mix else 0) if recording.pmu and item.kind == "kernel" else None,
        "step_id": planned.placed.step if recording.step_ids else None,
        "connection": 2 * number + 1 if hosted else None,
        "launch_ns": item.launch_ns if hosted else None,
        "module": module if hosted else None,
    }


def _type(item: Started) -> str:
    operation = item.planned.placed.operation
    if item.planned.captured and operation.triton:
        return item.planned.name
    return operation.op_type


def _state(item: Started) -> str | None:
    operation, captured = item.planned.placed.operation, item.planned.captured
    if item.kind != "kernel" or (captured and operation.triton):
        return None
    return "static" if captured or operation.triton else "dynamic"


def shapes(tensors: Sequence[Tensor | None] | None) -> str | None:
    """Shapes as the reader keeps them: dimensions by comma, tensors by semicolon, empty slots kept."""
    if not tensors:
        return None
    return ";".join(",".join(map(str, tensor.shape)) if tensor else "" for tensor in tensors)


def types(tensors: Sequence[Tensor | None] | None) -> str | None:
    """Data types by semicolon."""
    if not tensors:
        return None
    return ";".join(tensor.dtype if tensor else "DT_UNDEFINED" for tensor in tensors)


def formats(tensors: Sequence[Tensor | None] | None) -> str | None:
    """Memory formats by semicolon."""
    if not tensors:
        return None
    return ";".join(tensor.layout if tensor else "NULL" for tensor in tensors)


def truth_columns(started: Sequence[Started]) -> dict[str, list[Any]]:
    """The truth of each row."""
    places = [item.planned.placed for item in started]

    def operation(index: int) -> Operation:
        return places[index].operation

    rows = range(len(started))
    return {
        "start_ns": [item.start_ns for item in started],
        "stream": [item.stream for item in started],
        "step": [place.step for place in places],
        "phase": [place.phase for place in places],
        "layer": [place.layer for place in places],
        "layer_kind": [place.layer_kind for place in places],
        "region": [operation(i).region for i in rows],
        "role": [operation(i).role for i in rows],
        "owner": [operation(i).owner for i in rows],
        "attention_kind": [place.attention_kind for place in places],
    }
