"""One kernel as the builder thinks of it: what it computes on which shapes, before it has a name or a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

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
    the op type (`aclnnMatmul_MatMulCommon`); empty where the eager name is the op type alone. `traffic` and
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
    api: str = ""
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


def matmul(
    rows: int,
    depth: int,
    columns: int,
    *,
    region: str,
    role: str,
    op_type: str = "MatMulV2",
    api: str | None = None,
    bias: bool = False,
    dtype: str = BF16,
    out: str | None = None,
) -> Operation:
    """An unquantised projection: (rows, depth) times the transposed (columns, depth) weight."""
    inputs = [Tensor((rows, depth), dtype), Tensor((columns, depth), dtype)]
    if bias:
        inputs.append(Tensor((columns,), F32))
    prefix = ("aclnnAddmm_" if bias else "aclnnMatmul_") + (
        "MatMulV3Common" if op_type == "MatMulV3" else "MatMulCommon"
    )
    return Operation(
        op_type=op_type,
        region=region,
        role=role,
        core=CUBE,
        inputs=tuple(inputs),
        outputs=(Tensor((rows, columns), out or dtype),),
        api=prefix if api is None else api,
        blocks=tiles(rows, columns),
        flops=2 * rows * depth * columns * (2 if dtype == F32 else 1),
        depth=depth,
    )


def quant_matmul(
    rows: int, depth: int, columns: int, *, region: str, role: str, per_token: bool = True, out: str = BF16
) -> Operation:
    """An int8 projection; the weight lies in FRACTAL_NZ. `per_token` scales come from a dynamic quantise."""
    weight = Tensor((-(-columns // 32), -(-depth // 16), 16, 32), I8, "FRACTAL_NZ")
    scale = None if out == I32 else Tensor((columns,), BF16)
    token_scale = Tensor((rows,), F32) if per_token and out != I32 else None
    return Operation(
        op_type="QuantBatchMatmulV3",
        region=region,
        role=role,
        core=MIX_AIC if token_scale else CUBE,
        inputs=(Tensor((rows, depth), I8), weight, scale, None, None, token_scale),
        outputs=(Tensor((rows, columns), out),),
        api="aclnnQuantMatmulWeightNz_QuantBatchMatmulV3",
        blocks=tiles(rows, columns),
        flops=rows * depth * columns,
        depth=depth,
    )


def vector(
    op_type: str,
    *,
    region: str,
    role: str,
    inputs: tuple[Tensor | None, ...],
    outputs: tuple[Tensor | None, ...],
    api: str = "",
    rows: int | None = None,
    blocks: int | None = None,
    core: str = VECTOR,
    **more: object,
) -> Operation:
    """A vector kernel; cores follow from `rows` (row-wise kernels) or from the output's elements."""
    if blocks is None and rows is not None:
        blocks = row_blocks(max(rows, 1))
    if blocks is None:
        shape = outputs[0].shape if outputs and outputs[0] is not None else ()
        blocks = element_blocks(prod(shape) if shape else 1)
    return Operation(
        op_type=op_type,
        region=region,
        role=role,
        core=core,
        inputs=inputs,
        outputs=outputs,
        api=api,
        blocks=blocks,
        **more,  # type: ignore[arg-type]
    )


def cast(shape: tuple[int, ...], source: str, target: str, *, region: str, role: str, api: str) -> Operation:
    """A type conversion."""
    return vector(
        "Cast", region=region, role=role, inputs=(Tensor(shape, source),), outputs=(Tensor(shape, target),), api=api
    )


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
