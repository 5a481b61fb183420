"""Operators that no vocabulary names: the role that the number and the widths of their tensors give away."""

from __future__ import annotations

from skadvisor.vocabulary.shapes import Shape

#: Rows of a table that can be an embedding's.
SMALLEST_TABLE = 256


def guess_role(inputs: tuple[Shape | None, ...], outputs: tuple[Shape | None, ...]) -> str:
    """A role that only tensors of these shapes have, `unknown` where several would do.

    A norm reads rows and one vector as wide as they are, and writes the rows and one number for each of them; with the
    residual it reads the rows twice and writes them twice. A lookup reads a long table and as many numbers as it
    writes rows.
    """
    present = [shape for shape in inputs if shape]
    written = [shape for shape in outputs if shape]
    if not present or not written or len(present[0]) < 2:
        return "unknown"
    wide, out = present[0], written[0]
    vectors = present[1:].count((wide[-1],))
    same = present.count(wide)
    if out == wide and 1 <= vectors <= 2 and same <= 2 and any(_is_statistic(shape, wide) for shape in written[1:]):
        return "residual_norm" if same == 2 else "norm"
    looked_up = len(present) >= 2 and len(wide) == 2 and wide[0] >= SMALLEST_TABLE and len(present[1]) == 1
    if looked_up and out == (*present[1], wide[1]) and present[1] != (wide[1],):
        return "gather"
    if present == [wide, wide] and written == [wide]:
        return "elementwise"
    return "unknown"


def _is_statistic(shape: Shape, wide: Shape) -> bool:
    """Whether this is one number for each row."""
    return shape in (wide[:-1], (*wide[:-1], 1)) and wide[-1] > 1
