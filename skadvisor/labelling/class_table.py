"""Kernels that look alike: one class per operator, shapes and core, with the model's sizes read off them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skadvisor.labelling import model_size
from skadvisor.labelling.fractal_shapes import plain_shapes
from skadvisor.labelling.kernel_class import KernelClass
from skadvisor.vocabulary import superkernel_names
from skadvisor.vocabulary.arrays import Flags, Ints
from skadvisor.vocabulary.names import base_operator, distinct_names, is_missing
from skadvisor.vocabulary.operators import Vocabulary
from skadvisor.vocabulary.shapes import Shape, matmul_dims, parse_shapes
from skadvisor.vocabulary.unknown_operators import guess_role

EXPERT_OPERATORS = {"router", "dispatch", "expert_matmul", "combine", "shared_expert", "topk"}
MOST_EXPERTS = 1_024
MATMULS = {"matmul", "fused_matmul_comm", "fused_matmul_norm"}


@dataclass(frozen=True)
class Classes:
    """All classes, the class of each kernel (N,), and the model's dimensions read off them (None without shapes).

    `read_widths` are the widths that projections take, alone or fused with an activation. `second` are the same classes
    with the sizes of another model in the capture, such as a draft model, None as a rule.
    """

    items: tuple[KernelClass, ...]
    of_kernel: Ints
    hidden: int | None
    vocabulary: int | None
    vocabulary_confirmed: bool
    token_rows: frozenset[int]
    norm_rows: frozenset[int]
    has_experts: bool
    read_widths: frozenset[int]
    second: Classes | None = None

    def seen_by(self, item: KernelClass) -> Classes:
        """These classes with the sizes of the model that a class belongs to: the main one's, or its draft model's."""
        if self.second is None or not self.hidden or item.touches(self.hidden):
            return self
        return self.second if item.touches(self.second.hidden or 0) else self

    @property
    def residual_widths(self) -> frozenset[int]:
        """The widths of the residual streams of all models in the capture."""
        return frozenset({self.hidden, self.second.hidden if self.second else None} - {None})  # type: ignore[arg-type]

    def without_sampling(self) -> Classes:
        """These classes in a training run: random numbers there are dropout's, a softmax over the logits the loss's."""
        items = tuple(replace(item, role="elementwise") if item.role == "sampling" else item for item in self.items)
        return replace(self, items=items)

    def which(self, holds: Callable[[KernelClass], object]) -> Flags:
        """Of which classes something holds, (classes,)."""
        return np.array([bool(holds(item)) for item in self.items], dtype=bool)

    def kernels_where(self, holds: Callable[[KernelClass], object]) -> Flags:
        """Of which kernels something holds, (N,); it is asked once per class."""
        return self.which(holds)[self.of_kernel]

    def roles_of(self, classes: Ints) -> NDArray[np.object_]:
        """Role by name of each class number."""
        return np.array([item.role for item in self.items], dtype=object)[classes]


def classify(kernels: pd.DataFrame, vocabulary: Vocabulary) -> Classes:
    """Group the kernels into classes and read the model's dimensions off their shapes."""
    bases, base_codes = _bases(kernels)
    columns = [*plain_shapes(kernels), kernels["core"]]
    codes_of = [base_codes, *(column.cat.codes.to_numpy().astype(np.int64) for column in columns)]
    of_kernel, unique = _factorize(codes_of)
    counts = np.bincount(of_kernel, minlength=len(unique))
    texts = [_categories(column) for column in columns]
    operators = {base: vocabulary.find(base) for base in bases}
    properties = {base: vocabulary.properties(base) for base in bases}
    items = []
    for (base, *codes), count in zip(unique, counts, strict=True):
        shapes_in, shapes_out, core = (text[code] for text, code in zip(texts, codes, strict=True))
        operator = operators[bases[base]]
        inputs, outputs = parse_shapes(shapes_in), parse_shapes(shapes_out)
        role = operator.role if operator else guess_role(inputs, outputs)
        is_superkernel = bases[base].startswith(superkernel_names.PREFIX)
        items.append(
            KernelClass(
                base=bases[base],
                role=role,
                known=operator is not None,
                core=core or "",
                inputs=inputs,
                outputs=outputs,
                matmul=matmul_dims(shapes_in, shapes_out) if role in MATMULS else None,
                count=int(count),
                fused=superkernel_names.state_of(bases[base], vocabulary) if is_superkernel else None,
                ends=superkernel_names.end_roles(bases[base], vocabulary) if is_superkernel else (),
                label=operator.label if operator else role,
                region=operator.region if operator else "",
                properties=properties[bases[base]],
            )
        )
    widths = model_size.hidden_sizes(items)
    rows = model_size.token_rows(items, widths[0] if widths else None)
    items = [
        replace(item, role="adapter", label="adapter", matmul=None) if _adapts(item, rows) else item for item in items
    ]
    main = _with_sizes(tuple(items), np.asarray(of_kernel, dtype=np.int64), widths[0] if widths else None)
    if len(widths) < 2:
        return main
    return replace(main, second=_with_sizes(main.items, main.of_kernel, widths[1]))


def _with_sizes(items: tuple[KernelClass, ...], of_kernel: Ints, hidden: int | None) -> Classes:
    """The classes with the sizes of the model of this width."""
    known = list(items)
    vocabulary_width, confirmed = model_size.vocabulary_size(known, hidden)
    return Classes(
        items=items,
        of_kernel=of_kernel,
        hidden=hidden,
        vocabulary=vocabulary_width,
        vocabulary_confirmed=confirmed,
        token_rows=model_size.token_rows(known, hidden),
        norm_rows=model_size.norm_rows(known, hidden),
        has_experts=_has_experts(known, hidden),
        read_widths=frozenset(item.matmul.inner for item in items if item.matmul) | _read_by_fused(known, hidden),
    )


def _adapts(item: KernelClass, token_rows: frozenset[int]) -> bool:
    """Whether it multiplies each token by a matrix of its own: the adapter that its request chose."""
    if not item.matmul or not item.matmul.batched or not item.inputs[0]:
        return False
    tokens, each = item.inputs[0][:2]
    return each == 1 < tokens and tokens in token_rows


def _read_by_fused(items: list[KernelClass], hidden: int | None) -> frozenset[int]:
    """Widths that kernels take which do a down projection beside their own work: rows back in the residual stream."""
    fused = (item for item in items if item.role in ("activation", "unknown") and item.out == hidden)
    return frozenset(item.last for item in fused if hidden and item.last and item.last > hidden)


def _has_experts(items: list[KernelClass], hidden: int | None) -> bool:
    """Whether there may be experts: operators of theirs, choices by top-k, or shapes only they have.

    Those are a projection to one number per expert, of which a kernel chooses, and one weight matrix per expert.
    Without shapes operators that nobody knows leave it open.
    """
    if any(EXPERT_OPERATORS.intersection((item.role, *item.ends)) for item in items):
        return True
    if hidden is None:
        unknown = sum(item.count for item in items if not item.known)
        return unknown * 10 > sum(item.count for item in items)
    chosen_from = {item.last for item in items if not item.matmul and _chooses(item)}
    routed = any(item.matmul and item.matmul.inner == hidden and item.matmul.outer in chosen_from for item in items)
    return routed or any(takes_expert_weights(item.inputs, hidden) for item in items if not item.known)


def _chooses(item: KernelClass) -> bool:
    """Whether a kernel takes rows of one number per expert and leaves a few of each."""
    if not item.last or item.last > MOST_EXPERTS or len(item.inputs[0] or ()) != 2:
        return False
    return item.role == "softmax" or (not item.known and bool(item.out) and 2 * (item.out or 0) <= item.last)


def takes_expert_weights(inputs: tuple[Shape | None, ...], hidden: int) -> bool:
    """Whether an input is one matrix per expert, into or out of the residual stream, and no pair of paged caches."""
    return any(
        len(shape) == 3 and 1 < shape[0] <= MOST_EXPERTS and hidden in shape[1:] and min(shape[1:]) >= 256
        for shape in inputs[1:]
        if shape and inputs.count(shape) == 1
    )


def number_rows(columns: Iterable[Ints]) -> Ints:
    """A number that rows share which agree in all columns, codes from -1 up; numbered in order of appearance."""
    first, *others = columns
    numbers = pd.factorize(first)[0]
    for codes in others:
        numbers = pd.factorize(numbers * (int(codes.max(initial=0)) + 2) + codes + 1)[0]
    return numbers


def _factorize(columns: list[Ints]) -> tuple[Ints, list[tuple[int, ...]]]:
    """The number of each distinct row of these codes (-1 and up) and the distinct rows, in order of appearance."""
    numbers = number_rows(columns)
    first = np.zeros(int(numbers.max(initial=-1)) + 1, dtype=np.int64)
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]
    return numbers, list(zip(*(codes[first].tolist() for codes in columns), strict=True))


def _bases(kernels: pd.DataFrame) -> tuple[list[str], Ints]:
    """Distinct base operators and the code of each kernel's, from its type or, where that is null, its name."""
    types = _categories(kernels["op_type"])
    of_type = kernels["op_type"].cat.codes.to_numpy().astype(np.int64)
    names, of_name = distinct_names(kernels["name"])
    fused = [superkernel_names.base_of(name) for name in names]
    # a name tells nothing that the type does not, but of a SuperKernel
    typed = np.array([not is_missing(text) for text in types])[of_type]
    of_name = np.where(typed & np.array([base is None for base in [*fused, None]])[of_name], -1, of_name)
    codes, unique = _factorize([of_type, of_name])
    fused, known = [*fused, None], [*names, None]
    bases = [fused[name] or base_operator(types[op_type], known[name]) for op_type, name in unique]
    base_of_pair, distinct = pd.factorize(np.array(bases, dtype=object))
    return list(distinct), base_of_pair[codes]


def _categories(column: pd.Series) -> list[str | None]:
    """Categories by code; the last entry, code -1, is None."""
    return [*map(str, column.cat.categories.tolist()), None]
