"""What is known of a class of kernels besides its name, as words: sizes, core, neighbours, time and frequency.

Sizes are told relative to one another and to the model's, so that what holds for one model holds for another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import log2, prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skadvisor.labelling.class_table import Classes
from skadvisor.labelling.kernel_class import KernelClass
from skadvisor.vocabulary.arrays import Floats, Ints
from skadvisor.vocabulary.shapes import Shape

if TYPE_CHECKING:
    import pandas as pd

#: Roles that occur everywhere: a neighbour of interest is looked for beyond them.
EVERYWHERE = {"unknown", "layout", "cast", "elementwise", "quantise", "collective", "add", "reduce"}
#: The role of most neighbours is told where it holds for this share of the class.
MOST = 0.5
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True)
class Context:
    """The classes and, for each of them, what goes on round its kernels.

    `beside` gives, per class, the usual role right before, right after, and of the nearest telling kernel before and
    after; `time` the median duration over the median of all kernels; `often` the kernels of the class over those of
    the most frequent one.
    """

    classes: Classes
    beside: NDArray[np.object_]
    time: Floats
    often: Floats

    @classmethod
    def of(cls, classes: Classes, kernels: pd.DataFrame) -> Context:
        """The context of all classes, from the kernel table in time order."""
        of_kernel = classes.of_kernel
        duration = kernels["dur_ns"].to_numpy()
        counts = np.bincount(of_kernel, minlength=len(classes.items))
        order = np.lexsort((duration, of_kernel))
        middle = np.cumsum(counts) - counts + counts // 2
        median = duration[order][np.minimum(middle, len(duration) - 1)]
        return cls(
            classes,
            _neighbour_roles(classes),
            median / max(1.0, float(np.median(duration))),
            counts / max(1, counts.max(initial=1)),
        )


def name_pieces(base: str) -> str:
    """A base name as text whose letter groups can be compared.

    >>> name_pieces("_fwd_grouped_kernel_stage1")
    'fwd grouped kernel stage'
    """
    return " ".join(re.sub(r"[^a-z]+", " ", _HUMP.sub(" ", base).lower()).split())


def facts_of_class(number: int, context: Context) -> list[str]:
    """The facts of one class as words `what=value`."""
    item = context.classes.items[number]
    before, after, telling_before, telling_after = context.beside[number]
    found = [
        f"core={item.core or 'none'}",
        f"time={_bin(context.time[number], 6)}",
        *_at_least("longer", context.time[number]),
        *_at_least("rarer", 1.0 / context.often[number]),
        f"before={before}",
        f"after={after}",
        f"near_before={telling_before}",
        f"near_after={telling_after}",
        f"between={telling_before}|{telling_after}",
    ]
    present = [shape for shape in item.inputs if shape]
    if not present:
        return [*found, "shapes=none"]
    return found + _shape_facts(item, present, context.classes)


def _shape_facts(item: KernelClass, present: list[Shape], classes: Classes) -> list[str]:
    first = present[0]
    written = [shape for shape in item.outputs if shape]
    out = written[0] if written else ()
    reads, writes = _size(first[-1], classes), _size(out[-1], classes) if out else "none"
    facts = [
        f"inputs={min(len(present), 6)}",
        f"slots={_bin(len(item.inputs), 5)}",
        f"outputs={min(len(written), 4)}",
        f"rank={len(first)}",
        f"rank_out={len(out)}",
        f"rank_most={max(len(shape) for shape in present)}",
        f"reads={reads}",
        f"writes={writes}",
        f"reads_writes={reads}|{writes}",
        f"width={_ratio(out[-1], first[-1]) if out else 'none'}",
        f"rows={_ratio(prod(out[:-1]), prod(first[:-1])) if out else 'none'}",
        f"elements={_bin(prod(out) / max(1, prod(first)), 6) if out else 'none'}",
        f"alike={min(present.count(first), 3)}",
        f"second={_second(first, present[1]) if len(present) > 1 else 'none'}",
        f"vectors={min(sum(len(shape) == 1 for shape in present), 4)}",
        f"vectors_wide={min(present[1:].count((first[-1],)), 3)}",
        f"largest={_largest(first, present)}",
        f"token_rows={prod(first[:-1]) in classes.token_rows}",
    ]
    if written[1:]:
        facts.append(f"second_out={_second(first, written[1])}")
    return facts


def _largest(first: Shape, present: list[Shape]) -> str:
    """The largest tensor: its dimensions, whether it is the first one, and how much larger, in powers of eight."""
    largest = max(present, key=prod)
    times = _power(prod(largest) / max(1, prod(first))) // 3
    return f"{len(largest)}d_{'first' if largest == first else 'other'}_{min(4, max(0, times))}"


def _size(width: int, classes: Classes) -> str:
    """A width in terms of the model: the residual stream, twice it, the vocabulary, a head, or another."""
    hidden = classes.hidden
    if hidden and width == hidden:
        return "hidden"
    if classes.vocabulary and width == classes.vocabulary:
        return "vocabulary"
    if width <= 16:
        return "few"
    if width in (64, 80, 96, 128, 192, 256):
        return "head"
    if not hidden:
        return "other"
    if width == 2 * hidden:
        return "twice_hidden"
    return "narrow" if width < hidden else "wide"


def _ratio(one: int, other: int) -> str:
    """How one number compares with another, whole multiples named."""
    if one == other:
        return "same"
    for times in (2, 3, 4):
        if one == times * other:
            return f"x{times}"
        if other == times * one:
            return f"/{times}"
    return "less" if one < other else "more"


def _second(first: Shape, shape: Shape) -> str:
    """The second tensor in terms of the first."""
    if shape == first:
        return "same"
    if len(shape) == 1:
        return "vector_wide" if shape[0] == first[-1] else "vector_rows" if shape[0] == first[0] else "vector"
    if len(shape) == 2 and first[-1] in shape:
        return "matrix_reads"
    if shape[-1] == first[-1]:
        return f"as_wide_{len(shape)}d"
    return f"{len(shape)}d"


def _bin(ratio: float, most: int) -> int:
    return max(-most, min(most, _power(ratio)))


def _at_least(what: str, ratio: float) -> list[str]:
    """One fact for each power of two that a ratio reaches, so that neighbouring ratios share most of them."""
    return [f"{what}_than={2**power}" for power in range(1, 7) if ratio >= 2**power]


def _power(ratio: float) -> int:
    return round(log2(ratio)) if ratio > 0 else -99


def _neighbour_roles(classes: Classes) -> NDArray[np.object_]:
    """The usual roles round each class, (classes, 4); `mixed` where no role is usual, `edge` beyond the ends."""
    names = [_shown_role(item, classes) for item in classes.items]
    shown = [*dict.fromkeys(names), "edge"]
    of_class = np.array([shown.index(name) for name in names], dtype=np.int64)
    telling = classes.kernels_where(lambda item: item.role not in EVERYWHERE)
    role = of_class[classes.of_kernel]
    edge, count = len(shown) - 1, len(role)
    before = np.append(edge, role[:-1]) if count else role
    after = np.append(role[1:], edge) if count else role
    last = np.maximum.accumulate(np.where(telling, np.arange(count), -1))
    following = np.minimum.accumulate(np.where(telling, np.arange(count), count)[::-1])[::-1]
    padded = np.append(role, edge)
    near_before = padded[np.append(-1, last[:-1])] if count else role
    near_after = padded[np.append(following[1:], count)] if count else role
    columns = [_usual(classes, values, len(shown)) for values in (before, after, near_before, near_after)]
    return np.array([*shown, "mixed"], dtype=object)[np.stack(columns, axis=1)]


def _usual(classes: Classes, values: Ints, kinds: int) -> Ints:
    """The value of most kernels of each class, `kinds` where none has MOST of them, (classes,)."""
    table = np.bincount(classes.of_kernel * kinds + values, minlength=len(classes.items) * kinds)
    table = table.reshape(len(classes.items), kinds)
    best = table.argmax(axis=1)
    sure = table.max(axis=1, initial=0) >= MOST * table.sum(axis=1)
    return np.where(sure, best, kinds)


def _shown_role(item: KernelClass, classes: Classes) -> str:
    """A neighbour's role; a projection says whether it leads out of the residual stream or back into it."""
    hidden, dims = classes.hidden, item.matmul
    if not dims or not hidden:
        return item.role
    if dims.inner == hidden:
        return "matmul_square" if dims.outer == hidden else "matmul_out_of"
    return "matmul_into" if dims.outer == hidden else "matmul_within"
