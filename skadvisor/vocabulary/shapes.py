"""Tensor shapes as the profiler writes them: tensors split by `;`, dimensions by `,`, empty slots kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

Shape = tuple[int, ...]


@lru_cache(maxsize=65536)
def parse_shapes(text: str | None) -> tuple[Shape | None, ...]:
    """Shapes of all slots; an empty slot is None, a scalar is `()` never (the profiler writes both as nothing).

    Text that is no list of shapes gives an empty tuple, as does None.
    """
    if not text:
        return ()
    shapes: list[Shape | None] = []
    for slot in text.split(";"):
        slot = slot.strip()
        if not slot:
            shapes.append(None)
            continue
        try:
            shapes.append(tuple(int(dimension) for dimension in slot.split(",")))
        except ValueError:
            return ()
    return tuple(shapes)


def first(text: str | None) -> Shape | None:
    """The first tensor's shape, None where it is missing."""
    shapes = parse_shapes(text)
    return shapes[0] if shapes else None


def rows(shape: Shape) -> int:
    """Product of all dimensions but the last."""
    count = 1
    for dimension in shape[:-1]:
        count *= dimension
    return count


@dataclass(frozen=True)
class MatmulDims:
    """`rows` x `inner` times `inner` x `outer`; `batched` where the operands have a batch dimension of weights."""

    rows: int
    inner: int
    outer: int
    batched: bool


def matmul_dims(input_shapes: str | None, output_shapes: str | None) -> MatmulDims | None:
    """Dimensions of a matmul from its activations and its output; None where shapes are missing.

    The weight is not looked at where it can be avoided: its layout (ND or fractal NZ, transposed or not) varies.
    """
    left, out = first(input_shapes), first(output_shapes)
    if left is None or len(left) < 2:
        return None
    if out is None or not out:
        inputs = parse_shapes(input_shapes)
        weight = inputs[1] if len(inputs) > 1 else None
        if weight is None or len(weight) != 2:
            return None
        outer = weight[0] if weight[1] == left[-1] else weight[1]
        return MatmulDims(rows(left), left[-1], outer, False)
    inputs = parse_shapes(input_shapes)
    weight = inputs[1] if len(inputs) > 1 else None
    batched = weight is not None and len(weight) == 3 and weight[0] > 1 and len(left) == 3
    return MatmulDims(rows(left), left[-1], out[-1], batched)
