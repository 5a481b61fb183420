"""Kernels that several kinds of attention share, and the sizes of their caches."""

from __future__ import annotations

from typing import Any

from sample_builder.model import Pass
from sample_builder.operation import Operation, Shape, Stated, Tensor, f32, i8, i32, i64, mixed, vector

BLOCK_SIZE = 128
#: Slots for optional tensors in the signature of FusedInferAttentionScore.
INFER_ATTENTION_INPUTS = 31


def cache_blocks(step: Pass) -> int:
    """Blocks in the KV cache of one layer."""
    return max(64, 4 * step.sequences * -(-step.context // BLOCK_SIZE))


def block_table(step: Pass) -> Tensor:
    """The blocks of each sequence."""
    return i32(step.sequences, -(-step.context // BLOCK_SIZE))


def layout(op_type: str, source: Shape, target: Shape, api: str | None = None) -> Operation:
    """A slice or concatenation inside attention."""
    axes = i64(len(source))
    blocks = min(12, source[0]) if op_type == "Slice" else None
    return vector(
        op_type, "attention", "layout", (source, axes, axes), target, api=api, blocks=blocks,
        traffic=2 * Tensor(target).bytes,
    )  # fmt: skip


def triton(name: str, role: str, inputs: Any, outputs: Any, rows: int, traffic: int | None = None) -> Operation:
    """A Triton kernel of attention."""
    return vector(name, "attention", role, inputs, outputs, rows=rows, triton=True, traffic=traffic)


def infer_attention(
    query: Tensor, key: Stated, value: Stated, output: Stated, *, table: Tensor | None = None,
    rope: tuple[Stated, Stated] | None = None, sequences: int = 1, **more: Any,
) -> Operation:  # fmt: skip
    """FusedInferAttentionScore with its many optional slots; `more` is for the operation."""
    slots: list[Stated] = [None] * INFER_ATTENTION_INPUTS
    slots[0:3] = [query, key, value]
    slots[4] = i8(2048, 2048)
    slots[5] = slots[6] = i64(sequences)
    slots[14] = table
    if rope:
        slots[24], slots[25] = rope
    name = "FusedInferAttentionScore"
    return mixed(name, "attention", "attention_core", slots, (output, f32()), leaves_graph=True, **more)
