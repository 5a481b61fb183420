"""The sizes of a model that can be read off its kernels' shapes: hidden width, head width, rows per step."""

from __future__ import annotations

import numpy as np

from skadvisor.labelling.kernel_class import KernelClass
from skadvisor.vocabulary.shapes import Shape
from skadvisor.vocabulary.unknown_operators import SMALLEST_TABLE

#: A last dimension from here on is a vocabulary, unless it occurs in every layer.
VOCABULARY_SIZE = 8_192
#: A head that is split over many ranks can be this narrow.
SMALLEST_HEAD = 1_024
_ON_LOGITS = {"sampling", "topk", "softmax", "cast", "elementwise", "reduce", "layout"}


def _residual_widths(items: list[KernelClass]) -> list[int]:
    """Widths by how well they fit a residual stream: normalised, read by projections and written by others."""
    norms: dict[int, float] = {}
    inner: dict[int, int] = {}
    outer: dict[int, int] = {}
    for item in items:
        if item.role in ("residual_norm", "norm") and item.last:
            norms[item.last] = norms.get(item.last, 0) + item.count * (2.0 if item.role == "residual_norm" else 1.0)
        if item.matmul:
            inner[item.matmul.inner] = inner.get(item.matmul.inner, 0) + item.count
            outer[item.matmul.outer] = outer.get(item.matmul.outer, 0) + item.count
    scores = {
        size: norms.get(size, 0.0) + 2.0 * min(inner.get(size, 0), outer.get(size, 0))
        for size in {*norms, *(inner.keys() & outer.keys())}
    }
    return sorted(scores, key=lambda size: (-scores[size], -size))


def hidden_sizes(items: list[KernelClass]) -> list[int]:
    """The widths of the models in a capture, the largest first where there are several; empty without shapes.

    As a rule there is one. A draft model of its own has an embedding table of its own, of its own width, beside that
    it is normalised, read and written like any residual stream.
    """
    looked_up = [_first(item) for item in items if item.role == "gather" and len(_first(item)) == 2]
    tables = {table[1] for table in looked_up if table[0] >= VOCABULARY_SIZE}
    # where SuperKernels hold the layers, only the embedding and the head are left
    ranked = _residual_widths(items) or sorted(tables & {item.matmul.inner for item in items if item.matmul})
    normed = {item.last for item in items if item.role in ("norm", "residual_norm")}
    read = {item.matmul.inner for item in items if item.matmul}
    written = {item.matmul.outer for item in items if item.matmul}
    models = sorted((width for width in ranked if width in tables & normed & read & written), reverse=True)
    if models and ranked[0] not in models:
        # what runs before the decoder, such as a vision tower, can have more layers than the capture has decoder layers
        rows = {table[1]: table[0] for table in looked_up}
        headed = [w for w in models if any(_is_head(item, w, rows[w]) for item in items)]
        return headed[:1] or ranked[:1]
    if len(models) < 2:
        return ranked[:1]
    return models[:2]


def _is_head(item: KernelClass, hidden: int, table_rows: int) -> bool:
    """Whether this is a projection from the residual stream to the vocabulary of an embedding table, or part of it."""
    dims = item.matmul
    return bool(dims and dims.inner == hidden and dims.outer >= SMALLEST_HEAD and _divides(dims.outer, table_rows))


def vocabulary_size(items: list[KernelClass], hidden: int | None) -> tuple[int | None, bool]:
    """The output width of the head (of this rank's part of it), and whether other kernels confirm it.

    The width that tokens are chosen from, with an embedding table as long, is certain. Else
    it is a wide projection out of the residual stream that is rare among matmuls. Kernels that work on its output,
    or an embedding table with as many rows (or a whole multiple), confirm that it is no layer's own.
    """
    logits = {item.last for item in items if item.role in _ON_LOGITS and len(_first(item)) > 1}
    chosen_from = {item.last for item in items if item.role == "sampling" and len(_first(item)) > 1}
    looked_up = (_first(item) for item in items if item.role == "gather")
    tables = {table[0] for table in looked_up if len(table) == 2 and table[1] == hidden}
    outers = {item.matmul.outer for item in items if item.matmul and item.matmul.inner == hidden}
    certain = [
        outer
        for outer in outers & chosen_from
        if outer >= SMALLEST_TABLE and any(_divides(outer, rows) for rows in tables)
    ]
    if certain:
        return max(certain), True
    busiest = max((item.count for item in items if item.matmul), default=0)
    norms = sum(item.count for item in items if item.role in ("norm", "residual_norm") and item.last == hidden)
    counts: dict[int, int] = {}
    for item in items:
        if item.matmul and item.matmul.inner == hidden and item.matmul.outer >= SMALLEST_HEAD:
            counts[item.matmul.outer] = counts.get(item.matmul.outer, 0) + item.count
    rare = [outer for outer, count in counts.items() if count * 2 <= busiest and (not norms or count * 3 <= norms)]
    tables = {rows for rows in tables if rows >= SMALLEST_HEAD}
    confirmed = [outer for outer in rare if outer in logits or any(_divides(outer, rows) for rows in tables)]
    if confirmed:
        return max(confirmed), True
    return max((outer for outer in rare if outer >= VOCABULARY_SIZE), default=None), False


def token_rows(items: list[KernelClass], hidden: int | None) -> frozenset[int]:
    """How many rows the residual stream has, in any step: the rows of its norms and projections."""
    projections = {item.matmul.rows for item in items if item.matmul and item.matmul.inner == hidden}
    return norm_rows(items, hidden) | projections


def norm_rows(items: list[KernelClass], hidden: int | None) -> frozenset[int]:
    return frozenset(
        int(np.prod(_first(item)[:-1]))
        for item in items
        if item.role in ("norm", "residual_norm") and hidden and item.last == hidden and _first(item)
    )


def _first(item: KernelClass) -> Shape:
    return (item.inputs[0] if item.inputs else None) or ()


def _divides(part: int, whole: int) -> bool:
    """Whether `part` is one of up to 64 equal parts of `whole`, padding allowed."""
    ranks = round(whole / part)
    return 1 <= ranks <= 64 and abs(ranks * part - whole) <= 0.01 * whole
