"""How kernels are called: eager aclnn names, GE node names, static kernels, Triton."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Literal

from sample_builder.operation import COMMUNICATION, Operation

Dialect = Literal["eager", "ge", "static_kernel"]

#: GE keeps the name of the node that the converter made, while the type is that of the chosen kernel.
GE_STEMS = {"MatMulV2": "MatMul", "MatMulV3": "MatMul", "BatchMatMulV2": "BatchMatMul", "SplitVD": "SplitV"}


class Namer:
    """Gives each kernel of a capture its name; graph nodes keep theirs from replay to replay."""

    def __init__(self, dialect: Dialect, group: int = 586) -> None:
        self.dialect = dialect
        self.group = group
        self._counts: Counter[str] = Counter()
        self._collectives: Counter[str] = Counter()

    def restart(self) -> None:
        """Begin another replay of the same graph."""
        self._counts.clear()

    def name(self, operation: Operation) -> str:
        """The name as the profiler would write it."""
        if operation.core == COMMUNICATION:
            number = self._collectives[operation.op_type]
            self._collectives[operation.op_type] += 1
            return f"{operation.op_type}_{self.group}_{number}_1"
        if operation.triton:
            return operation.op_type
        if self.dialect == "ge":
            return self._ge_name(operation)
        if self.dialect == "static_kernel":
            shapes = ";".join(str(tensor.shape) if tensor else "" for tensor in operation.inputs)
            digest = hashlib.sha256(f"{operation.op_type}{shapes}".encode()).hexdigest()[:16]
            return f"static_kernel_{operation.op_type}_{digest}"
        return f"{operation.api}_{operation.op_type}" if operation.api else operation.op_type

    def _ge_name(self, operation: Operation) -> str:
        stem = GE_STEMS.get(operation.op_type, operation.op_type)
        number = self._counts[stem]
        self._counts[stem] += 1
        base = f"{stem}_{number}" if number else stem
        return f"{base}{operation.suffix}"
