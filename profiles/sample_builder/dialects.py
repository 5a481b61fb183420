"""How kernels are called: eager aclnn names, GE node names, static kernels, Triton."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from typing import Literal

from sample_builder.operation import COMMUNICATION, Operation

Dialect = Literal["eager", "ge", "static_kernel"]

#: GE keeps the name of the node that the converter made, while the type is that of the chosen kernel.
GE_STEMS = {
    "MatMulV2": "MatMul",
    "MatMulV3": "MatMul",
    "BatchMatMulV2": "BatchMatMul",
    "SplitVD": "SplitV",
    "ConcatD": "ConcatV2",
    "AddRmsNormCast": "AddRmsNorm",
}
#: What a fusion of the GE graph appends to the node's name.
GE_SUFFIXES = {"BatchMatMulV2": "_to_tranpose_batch_matmul", "AddRmsNormCast": "/AddRmsNormCast"}
#: Kernels that static compilation leaves alone.
NOT_STATIC = ("MatMulV2", "MatMulV3", "AivKernel")


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
        if operation.fixed_name:
            return operation.fixed_name
        if operation.core == COMMUNICATION:
            return self._collective_name(operation)
        if operation.triton:
            return operation.op_type
        if self.dialect == "ge":
            return self._ge_name(operation)
        if self.dialect == "static_kernel" and operation.op_type not in NOT_STATIC:
            return _static_name(operation)
        return f"{operation.call}_{operation.op_type}" if operation.call else operation.op_type

    def _collective_name(self, operation: Operation) -> str:
        number = self._collectives[operation.op_type]
        self._collectives[operation.op_type] += 1
        if self.dialect == "ge":
            return f"{operation.op_type}_{_digest(operation.op_type, 10)}_{number}"
        return f"{operation.op_type}_{self.group}_{number}_1"

    def _ge_name(self, operation: Operation) -> str:
        stem = GE_STEMS.get(operation.op_type, operation.op_type)
        number = self._counts[stem]
        self._counts[stem] += 1
        base = f"{stem}_{number}" if number else stem
        return base + GE_SUFFIXES.get(operation.op_type, "")


#: What the kernels of the ATB library (MindIE) are called; the type is the name.
ATB_KERNELS = {
    "MatMulV2": "PpMatMulBf16Kernel",
    "QuantBatchMatmulV3": "PpMatMulI8Bf16Kernel",
    "RmsNorm": "RmsNormKernel",
    "Add": "AddBF16Kernel",
    "SwiGlu": "SwigluForwardBF16Kernel",
    "_triton_rope": "AtbRopeKernel",
    "FusedInferAttentionScore": "UnpadFlashAttentionBF16NdKernel",
    "GatherV2": "Gather16I64Kernel",
    "GatherV3": "Gather16I64Kernel",
}


def adapted(operation: Operation, library: str, *, ge: bool) -> Operation:
    """The kernel as this library or a GE graph types it."""
    if ge and operation.core == COMMUNICATION:
        return replace(operation, op_type=ge_type(operation.op_type))
    name = ATB_KERNELS.get(operation.op_type)
    if library != "atb" or name is None:
        return operation
    return replace(operation, op_type=name, api="", triton=False, inputs=tuple(t for t in operation.inputs if t))


def ge_type(op_type: str) -> str:
    """The type of a collective in a GE graph: `hcom_allReduce_` is HcomAllReduce there."""
    word = op_type.removeprefix("hcom_").rstrip("_")
    names = {"alltoallv": "AllToAllV", "allReduce": "AllReduce", "allGather": "AllGather"}
    return f"Hcom{names.get(word, word[:1].upper() + word[1:])}"


def _static_name(operation: Operation) -> str:
    shapes = ";".join(str(tensor.shape) if tensor else "" for tensor in operation.inputs)
    digest = hashlib.sha256(f"{operation.op_type}{shapes}".encode()).hexdigest()[:32]
    return f"static_kernel_{operation.op_type}_{digest}_{int(digest[:2], 16) % 20}_d0"


def _digest(word: str, base: int) -> int:
    return int(hashlib.sha256(word.encode()).hexdigest()[:15], 16) % base**19
