"""The columns of the kernel table and of the truth, from kernels on the clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sample_builder import timing
from sample_builder.operation import CUBE, MIX_AIC, MIX_AIV, Operation, Tensor
from sample_builder.scheduling import Started


def kernel_columns(started: Sequence[Started], *, level: str, step_ids: bool, pmu: bool) -> dict[str, list[Any]]:
    """Columns for `skadvisor.events.kernel_table`; at Level0 only names, times and cores used remain."""
    rows = [_row(item, number, step_ids=step_ids, pmu=pmu) for number, item in enumerate(started)]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    if level == "level0":
        kept = ("start_ns", "dur_ns", "name", "kind", "blocks", "step_id")
        return {name: columns[name] for name in kept}
    return columns


def _row(item: Started, number: int, *, step_ids: bool, pmu: bool) -> dict[str, Any]:
    operation, planned = item.planned.placed.operation, item.planned
    part = item.kind == "collective_part"
    bare = item.kind != "kernel" or (planned.captured and operation.triton)
    inputs = None if bare else operation.inputs
    outputs = None if bare else operation.outputs
    work = item.duration_ns - timing.head_ns(operation, item.duration_ns)
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
        "aic_ns": (work if on_cube else 0) if pmu and item.kind == "kernel" else None,
        "aiv_ns": (work if not on_cube or mix else 0) if pmu and item.kind == "kernel" else None,
        "step_id": planned.placed.step if step_ids else None,
        "connection": number if not planned.captured else None,
        "launch_ns": None,
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
    if tensors is None:
        return None
    return ";".join(",".join(map(str, tensor.shape)) if tensor else "" for tensor in tensors)


def types(tensors: Sequence[Tensor | None] | None) -> str | None:
    """Data types by semicolon."""
    if tensors is None:
        return None
    return ";".join(tensor.dtype if tensor else "DT_UNDEFINED" for tensor in tensors)


def formats(tensors: Sequence[Tensor | None] | None) -> str | None:
    """Memory formats by semicolon."""
    if tensors is None:
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
