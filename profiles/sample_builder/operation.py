"""One kernel as the builder thinks of it: what it computes on which shapes, before it has a name or a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from sample_builder.calls import eager_call

BF16, F16, F32, I8, I32, I64, BOOL, U8 = "DT_BF16", "FLOAT16", "FLOAT", "INT8", "INT32", "INT64", "BOOL", "UINT8"
_BYTES = {BF16: 2, F16: 2, F32: 4, I8: 1, I32: 4, I64: 8, BOOL: 1, U8: 1}

CUBE, VECTOR, MIX_AIC, MIX_AIV, AI_CPU, COMMUNICATION = (
    "AI_CORE",
    "AI_VECTOR_CORE",
    "MIX_AIC",
    "MIX_AIV",
    "AI_CPU",
    "COMMUNICATION",
)
CUBE_CORES, VECTOR_CORES = 24, 48


@dataclass(frozen=True)
class Tensor:
    """A tensor of a kernel. An empty shape is a scalar."""

    shape: tuple[int, ...]
    dtype: str = BF16
    layout: str = "ND"

    @property
    def bytes(self) -> int:
        """Size in memory, bytes."""
        return prod(self.shape) * _BYTES[self.dtype] if self.shape else 8


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A kernel without name and time.

    `inputs` may hold None for optional tensors that are not given. `api` is the part of the eager name before
    the op type (`aclnnMatmul_MatMulCommon`); None where it is that of the op type, see `call`. `traffic` and
    `flops` override what the shapes say, for kernels that touch only part of a tensor; `efficiency` scales the
    rate of arithmetic. `lane` is the logical
    stream. `fork` makes the kernel wait for the main lane at its place, `joins` for the named lane.
    `skew_us` is the mean wait for other ranks that the duration contains. `fixed_name` is for kernels that are called
    the same everywhere.
    """

    op_type: str
    region: str
    role: str
    core: str
    inputs: tuple[Tensor | None, ...] = ()
    outputs: tuple[Tensor | None, ...] = ()
    api: str | None = None
    owner: str | None = None
    blocks: int = 1
    traffic: int | None = None
    flops: int = 0
    depth: int = 0
    efficiency: float = 1.0
    lane: str = "main"
    fork: bool = False
    joins: tuple[str, ...] = ()
    triton: bool = False
    leaves_graph: bool = False
    host_us: float | None = None
    skew_us: float = 0.0
    fixed_name: str = ""

    @property
    def bytes(self) -> int:
        """Bytes moved to and from memory."""
        if self.traffic is not None:
            return self.traffic
        return sum(tensor.bytes for tensor in (*self.inputs, *self.outputs) if tensor is not None)

    @property
    def call(self) -> str:
        """The eager call that starts the kernel; empty where the eager name is the op type alone."""
        return eager_call(self.op_type) if self.api is None else self.api

    def on(self, lane: str, *, fork: bool = False) -> Operation:
        """The same kernel on another logical stream."""
        return replace(self, lane=lane, fork=fork)


def row_blocks(rows: int, cores: int = VECTOR_CORES) -> int:
    """Cores used when rows are dealt out evenly: 126 rows over 48 cores are 42 blocks of 3 rows."""
    return -(-rows // -(-rows // cores))


def element_blocks(elements: int, per_core: int = 1024) -> int:
    """Cores used by an element-wise kernel."""
    return max(1, min(VECTOR_CORES, -(-elements // per_core)))


def tiles(rows: int, columns: int, cores: int = CUBE_CORES) -> int:
    """Cube cores used by a matmul with an output of this size: columns are dealt out in tiles of 48."""
    return row_blocks(-(-rows // 256) * -(-columns // 48), cores)


Shape = tuple[int, ...]
#: How a call states a tensor: a plain shape is of bfloat16, None is an optional one that is not given.
Stated = Tensor | Shape | None
#: One tensor alone, or several.
Some = Stated | Sequence[Stated]


def f32(*shape: int) -> Tensor:
    """A float32 tensor."""
    return Tensor(shape, F32)


def i8(*shape: int) -> Tensor:
    """An int8 tensor."""
    return Tensor(shape, I8)


def i32(*shape: int) -> Tensor:
    """An int32 tensor."""
    return Tensor(shape, I32)


def i64(*shape: int) -> Tensor:
    """An int64 tensor."""
    return Tensor(shape, I64)


def tensors(stated: Some) -> tuple[Tensor | None, ...]:
    """What a call states as tensors; an empty tuple is none at all."""
    if stated is None or isinstance(stated, Tensor) or (stated and isinstance(stated[0], int)):
        stated = (stated,)  # type: ignore[assignment]
    return tuple(Tensor(one) if isinstance(one, tuple) else one for one in stated)  # type: ignore[union-attr]


def mixed(
    op_type: str, region: str, role: str, inputs: Some = (), outputs: Some = (), *, core: str = MIX_AIC,
    blocks: int = CUBE_CORES, **more: Any,
) -> Operation:  # fmt: skip
    """A kernel of cube and vector cores, as a rule on all of them."""
    return Operation(
        op_type=op_type, region=region, role=role, core=core, inputs=tensors(inputs), outputs=tensors(outputs),
        blocks=blocks, **more,
    )  # fmt: skip


def vector(
    op_type: str, region: str, role: str, inputs: Some = (), outputs: Some = (), *, rows: int | None = None,
    blocks: int | None = None, core: str = VECTOR, **more: Any,
) -> Operation:  # fmt: skip
    """A vector kernel; cores follow from `rows` (row-wise kernels) or from the output's elements."""
    made = tensors(outputs)
    if blocks is None and rows is not None:
        blocks = row_blocks(max(rows, 1))
    if blocks is None:
        blocks = element_blocks(prod(made[0].shape) if made and made[0] is not None else 1)
    return mixed(op_type, region, role, inputs, made, core=core, blocks=blocks, **more)


def matmul(
    rows: int, depth: int, columns: int, region: str, role: str, *, op_type: str = "MatMulV2", bias: bool = False,
    dtype: str = BF16,
) -> Operation:  # fmt: skip
    """An unquantised projection: (rows, depth) times the transposed (columns, depth) weight."""
    inputs = [Tensor((rows, depth), dtype), Tensor((columns, depth), dtype)]
    kind = "MatMulV3Common" if op_type == "MatMulV3" else "MatMulCommon"
    return mixed(
        op_type, region, role, [*inputs, f32(columns)] if bias else inputs, Tensor((rows, columns), dtype), core=CUBE,
        api=f"aclnnAddmm_{kind}" if bias else None, blocks=tiles(rows, columns),
        flops=2 * rows * depth * columns * (2 if dtype == F32 else 1), depth=depth,
    )  # fmt: skip


def quant_matmul(
    rows: int, depth: int, columns: int, region: str, role: str, *, per_token: bool = True, out: str = BF16
) -> Operation:
    """An int8 projection; the weight lies in FRACTAL_NZ. `per_token` scales come from a dynamic quantise."""
    weight = Tensor((-(-columns // 32), -(-depth // 16), 16, 32), I8, "FRACTAL_NZ")
    token_scale = f32(rows) if per_token and out != I32 else None
    return mixed(
        "QuantBatchMatmulV3", region, role,
        (i8(rows, depth), weight, None if out == I32 else (columns,), None, None, token_scale),
        Tensor((rows, columns), out), core=MIX_AIC if token_scale else CUBE, blocks=tiles(rows, columns),
        flops=rows * depth * columns, depth=depth,
    )  # fmt: skip


def cast(shape: Shape, source: str, target: str, region: str, role: str, *, api: str | None = None) -> Operation:
    """A type conversion."""
    return vector("Cast", region, role, Tensor(shape, source), Tensor(shape, target), api=api)


def collective(
    kind: str, tensor: Tensor, *, owner: str, ranks: int, role: str = "collective", lane: str = "comm"
) -> Operation:
    """A stand-alone collective such as `allReduce` or `allGather`; `owner` is the region whose result it moves."""
    return Operation(
        op_type=f"hcom_{kind}_",
        region="comm",
        role=role,
        core=COMMUNICATION,
        inputs=(tensor,),
        outputs=(tensor,),
        owner=owner,
        blocks=0,
        traffic=tensor.bytes * 2 * (ranks - 1) // ranks,
        lane=lane,
        fork=True,
        skew_us=6.0,
    )
