"""What a kernel's name, shapes and neighbours say about its state, before the order of the step is considered.

Kernels of the same operator, shapes and core form one class; all but the neighbours' evidence is worked out
once per class. Sources of the weights: `grammar.ROLES` for names, the dataflow of a decoder layer for shapes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skadvisor.grammar import (
    ATTENTION_STATES,
    ELSEWHERE,
    MLP_STATES,
    MOE_STATES,
    NORM_STATES,
    STATES,
    State,
    role_scores,
)
from skadvisor import superkernel_names
from skadvisor.names import base_operator
from skadvisor.operators import Vocabulary
from skadvisor.shapes import MatmulDims, Shape, matmul_dims, parse_shapes

S = State
MATMULS = {"matmul", "fused_matmul_comm", "fused_matmul_norm"}
#: A last dimension from here on is a vocabulary, unless it occurs in every layer.
VOCABULARY_SIZE = 8_192
LARGEST_EXPERT_COUNT = 1_024


@dataclass(frozen=True)
class KernelClass:
    """Kernels that look alike. `last` is the last dimension of the first input, `out` of the first output.

    `fused` is the state that stands for a SuperKernel, None for one that spans several sub-blocks.
    """

    base: str
    role: str
    known: bool
    core: str
    inputs: tuple[Shape | None, ...]
    outputs: tuple[Shape | None, ...]
    matmul: MatmulDims | None
    count: int
    fused: State | None = None

    @property
    def last(self) -> int | None:
        shape = next((shape for shape in self.inputs if shape), None)
        return shape[-1] if shape else None

    @property
    def out(self) -> int | None:
        shape = self.outputs[0] if self.outputs else None
        return shape[-1] if shape else None


@dataclass(frozen=True)
class Classes:
    """All classes, the class of each kernel (N,), and the model's dimensions read off them (None without shapes)."""

    items: tuple[KernelClass, ...]
    of_kernel: NDArray[np.int64]
    hidden: int | None
    vocabulary: int | None
    fused_residual: bool

    def roles_of(self, classes: NDArray[np.int64]) -> NDArray[np.object_]:
        """Role by name of each class number."""
        return np.array([item.role for item in self.items], dtype=object)[classes]


def classify(kernels: pd.DataFrame, vocabulary: Vocabulary) -> Classes:
    """Group the kernels into classes and read the model's dimensions off their shapes."""
    bases, base_codes = _bases(kernels)
    columns = [base_codes] + [
        kernels[name].cat.codes.to_numpy().astype(np.int64) for name in ("input_shapes", "output_shapes", "core")
    ]
    key = pd.MultiIndex.from_arrays(columns)
    of_kernel, unique = pd.factorize(key)
    counts = np.bincount(of_kernel, minlength=len(unique))
    texts = [_categories(kernels[name]) for name in ("input_shapes", "output_shapes", "core")]
    operators = {base: vocabulary.find(base) for base in bases}
    items = []
    for (base, *codes), count in zip(unique, counts, strict=True):
        shapes_in, shapes_out, core = (text[code] for text, code in zip(texts, codes, strict=True))
        operator = operators[bases[base]]
        role = operator.role if operator else "unknown"
        fused = superkernel_names.state_of(bases[base], vocabulary) if bases[base].startswith("sk:") else None
        items.append(
            KernelClass(
                base=bases[base],
                role=role,
                known=operator is not None,
                core=core or "",
                inputs=parse_shapes(shapes_in),
                outputs=parse_shapes(shapes_out),
                matmul=matmul_dims(shapes_in, shapes_out) if role in MATMULS else None,
                count=int(count),
                fused=fused,
            )
        )
    hidden = _hidden_size(items)
    return Classes(
        items=tuple(items),
        of_kernel=np.asarray(of_kernel, dtype=np.int64),
        hidden=hidden,
        vocabulary=_vocabulary_size(items, hidden),
        fused_residual=sum(item.count for item in items if item.role in ("residual_norm", "fused_matmul_norm")) > 1,
    )


def _bases(kernels: pd.DataFrame) -> tuple[list[str], NDArray[np.int64]]:
    """Distinct base operators and the code of each kernel's, from its type or, where that is null, its name."""
    pair = pd.MultiIndex.from_arrays([kernels["op_type"].cat.codes, kernels["name"].cat.codes])
    codes, unique = pd.factorize(pair)
    types, names = _categories(kernels["op_type"]), _categories(kernels["name"])
    bases = [_base(types[type_code], names[name_code]) for type_code, name_code in unique]
    base_of_pair, distinct = pd.factorize(np.array(bases, dtype=object))
    return list(distinct), base_of_pair[codes]


def _base(op_type: str | None, name: str | None) -> str:
    return (superkernel_names.base_of(name) if name else None) or base_operator(op_type, name)


def _categories(column: pd.Series) -> list[str | None]:
    """Categories by code; the last entry, code -1, is None."""
    return [*(str(category) for category in column.cat.categories), None]


def _hidden_size(items: list[KernelClass]) -> int | None:
    """The width of the residual stream: normalised, read by projections and written by others in every layer."""
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
    return max(scores, key=lambda size: (scores[size], size)) if scores else None


def _vocabulary_size(items: list[KernelClass], hidden: int | None) -> int | None:
    """The output width of the head: a wide projection out of the residual stream that is rare among matmuls."""
    busiest = max((item.count for item in items if item.matmul), default=0)
    wide = [
        (item.matmul.outer, item.count)
        for item in items
        if item.matmul and item.matmul.inner == hidden and item.matmul.outer >= VOCABULARY_SIZE
    ]
    rare = [outer for outer, _ in wide if sum(count for other, count in wide if other == outer) * 2 <= busiest]
    return max(rare, default=None)


def class_scores(classes: Classes) -> NDArray[np.float64]:
    """Log scores per class and state, (classes, STATES), from name, shapes and core."""
    scores = np.stack([_scores(item, classes) for item in classes.items]) if classes.items else np.zeros((0, STATES))
    return scores


def _scores(item: KernelClass, classes: Classes) -> NDArray[np.float64]:
    scores = role_scores(item.role)
    hidden, vocabulary = classes.hidden, classes.vocabulary
    if item.fused is not None:
        return scores + _only((item.fused,), 0.0, ELSEWHERE)
    if item.matmul and hidden:
        _score_matmul(scores, item.matmul, hidden, vocabulary)
    elif item.role == "norm" and item.last and hidden:
        _score_norm(scores, item, hidden)
    elif item.role == "gather" and hidden and item.inputs:
        _score_gather(scores, item, hidden)
    elif vocabulary and vocabulary in (item.last, item.out) and scores[S.SAMPLING] > ELSEWHERE:
        scores += _only((S.SAMPLING, S.HEAD), 0.0, -5.0)
        scores[S.HEAD] -= 1.0
    elif item.role == "unknown":
        _score_unknown(scores, item, classes)
    if item.role in ("matmul", "cast", "layout", "add", "elementwise") and item.core == "AI_CPU":
        scores += _only((S.PREPARE, S.SAMPLING), 0.0, -1.0)
    return scores


def _only(states: tuple[State, ...], inside: float, outside: float) -> NDArray[np.float64]:
    scores = np.full(STATES, outside)
    scores[list(states)] = inside
    return scores


def _score_matmul(scores: NDArray[np.float64], dims: MatmulDims, hidden: int, vocabulary: int | None) -> None:
    """Projections out of the residual stream begin a sub-block, projections back into it end one."""
    shared = (S.SHARED_BEFORE, S.SHARED_AFTER)
    reads, writes = dims.inner == hidden, dims.outer == hidden
    if reads and dims.outer == vocabulary:
        scores += _only((S.HEAD,), 0.5, -9.0)
        return
    scores[S.HEAD] -= 5.0
    if reads and not writes:
        scores[[S.ATTENTION_OUT, S.MLP_DOWN]] -= 5.0
        if dims.outer > LARGEST_EXPERT_COUNT:
            scores[S.ROUTER] -= 6.0
    elif writes and not reads:
        scores[[S.ATTENTION_IN, S.MLP_UP, S.ROUTER]] -= 5.0
        scores[S.ATTENTION_CORE] -= 2.0
    elif not reads:
        scores[list(MLP_STATES)] -= 5.0
        scores[list(shared)] -= 4.0
        scores[S.ROUTER] -= 5.0
    else:
        scores[S.ROUTER] -= 5.0
    if dims.batched:
        scores[[*MLP_STATES, *shared, S.ROUTER]] -= 3.0
        scores[S.ATTENTION_CORE] += 1.5


def _score_norm(scores: NDArray[np.float64], item: KernelClass, hidden: int) -> None:
    """A norm over the residual width stands between sub-blocks, any other inside attention."""
    if item.last == hidden:
        scores[[S.ATTENTION_IN, S.ATTENTION_OUT]] -= 4.0
    else:
        scores[list(NORM_STATES)] -= 8.0
        scores[[S.ATTENTION_IN, S.ATTENTION_OUT]] = (0.0, -0.5)


def _score_gather(scores: NDArray[np.float64], item: KernelClass, hidden: int) -> None:
    """Rows of a vocabulary-sized table are embeddings; rows of the hidden states are the tokens to predict from."""
    table = item.inputs[0]
    if table is None or len(table) < 2:
        return
    if item.out == hidden or table[-1] == hidden:
        if table[0] >= VOCABULARY_SIZE // 8 and len(table) == 2 and item.count * 4 < max(8, table[0]):
            scores += _only((S.EMBEDDING,), 0.0, -6.0)
        else:
            scores[S.HEAD] += 1.0
            scores[[S.PREPARE, S.SAMPLING, S.EMBEDDING]] -= 2.0


def _score_unknown(scores: NDArray[np.float64], item: KernelClass, classes: Classes) -> None:
    """An unnamed kernel: what the number and width of its tensors suggest."""
    present = [shape for shape in item.inputs if shape]
    if not present:
        if item.core.startswith("MIX"):
            scores[S.ATTENTION_CORE] += 0.7
        return
    if item.last and item.out and item.last == 2 * item.out and len(present) <= 3:
        scores[[S.MLP_ACTIVATION, S.EXPERTS, S.SHARED_BEFORE, S.SHARED_AFTER]] += 1.5
        scores[list(ATTENTION_STATES)] -= 2.0
    if any(len(shape) >= 3 for shape in present):
        scores[list(ATTENTION_STATES)] += 1.0
        scores[[*MLP_STATES, *MOE_STATES]] -= 1.0
    if item.core.startswith("MIX"):
        scores[S.ATTENTION_CORE] += 1.0


def neighbour_scores(classes: Classes, chain: NDArray[np.int64]) -> NDArray[np.float64]:
    """Log scores per kernel of a chain, (len(chain), STATES), that follow from the kernels round it.

    `chain` holds row numbers of the kernel table in the order in which the chain runs.
    """
    of_chain = classes.of_kernel[chain]
    scores = np.zeros((len(chain), STATES))
    _score_residual_adds(scores, classes, of_chain)
    if classes.hidden:
        _score_projection_pairs(scores, classes, of_chain)
    return scores


def _score_residual_adds(scores: NDArray[np.float64], classes: Classes, of_chain: NDArray[np.int64]) -> None:
    """An addition right before a plain norm is the residual's; elsewhere it belongs to the sub-block round it."""
    roles = classes.roles_of(of_chain)
    wide = np.array([_is_residual_width(item, classes.hidden) for item in classes.items], dtype=bool)[of_chain]
    adds = (roles == "add") & wide
    following = np.append(roles[1:], "")
    residual = adds & (following == "norm") & np.append(wide[1:], False)
    scores[np.ix_(residual, list(NORM_STATES))] += 4.0
    scores[np.ix_(adds & ~residual, list(NORM_STATES))] -= 2.0


def _is_residual_width(item: KernelClass, hidden: int | None) -> bool:
    return hidden is None or not item.inputs or item.last == hidden


def _score_projection_pairs(scores: NDArray[np.float64], classes: Classes, of_chain: NDArray[np.int64]) -> None:
    """Widths tell feed-forward from attention: gate and up make twice (or as much as) what down reads."""
    hidden = classes.hidden
    dims = [item.matmul for item in classes.items]
    reads = np.array([d.outer if d and d.inner == hidden != d.outer else 0 for d in dims])[of_chain]
    writes = np.array([d.inner if d and d.outer == hidden != d.inner else 0 for d in dims])[of_chain]
    mlp = [*MLP_STATES, S.SHARED_BEFORE, S.SHARED_AFTER]
    ups = np.flatnonzero(reads)
    downs = np.flatnonzero(writes)
    for position in ups:
        after = np.searchsorted(downs, position)
        if after == len(downs) or downs[after] - position > 60:
            continue
        down = downs[after]
        made, read = int(reads[position]), int(writes[down])
        if made == 2 * read:
            scores[position, mlp] += 2.0
            scores[position, list(ATTENTION_STATES)] -= 2.0
            scores[down, mlp] += 1.0
            scores[down, list(ATTENTION_STATES)] -= 1.0
        elif read < made < 2 * read or made == 3 * read:
            scores[position, list(ATTENTION_STATES)] += 1.0
            scores[position, mlp] -= 1.5
