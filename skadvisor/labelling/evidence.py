"""What a kernel's name, shapes and core say about its state, before its neighbours and the order are considered.

Worked out once per class. Sources of the weights: `grammar.ROLES` for names, the dataflow of a decoder layer for
shapes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skadvisor.labelling.class_table import MOST_EXPERTS, Classes, takes_expert_weights
from skadvisor.labelling.kernel_class import KernelClass
from skadvisor.vocabulary.shapes import MatmulDims
from skadvisor.vocabulary.states import (
    ATTENTION_STATES,
    ELSEWHERE,
    MLP_STATES,
    MOE_STATES,
    NEVER,
    NORM_STATES,
    REGION_OF_STATE,
    STATES,
    State,
    role_scores,
)

S = State
#: What speaks against experts where no kernel of the capture is an expert operator or could be an unnamed one.
NO_EXPERTS = 5.0
#: An operator that the vocabulary ties to a region is hardly ever elsewhere: this outweighs order and shapes.
TIED = 14.0
#: What an AI CPU does: choose, count, copy. It multiplies no matrices and normalises nothing.
_ON_AI_CPU = [S.PREPARE, S.SAMPLING, S.ROUTER, S.DISPATCH, S.COMBINE]
_GENERIC_ROLES = {"layout", "cast", "elementwise", "add", "reduce", "quantise"}


def class_scores(classes: Classes) -> NDArray[np.float64]:
    """Log scores per class and state, (classes, STATES), from name, shapes and core."""
    scores = (
        np.stack([_scores(item, classes.seen_by(item)) for item in classes.items])
        if classes.items
        else np.zeros((0, STATES))
    )
    return scores


def _scores(item: KernelClass, classes: Classes) -> NDArray[np.float64]:
    scores = role_scores(item.role)
    hidden, vocabulary = classes.hidden, classes.vocabulary
    if item.fused is not None:
        return scores + _only((item.fused,), 0.0, ELSEWHERE)
    if item.role == "superkernel":
        return _only((S.WHOLE_LAYER,), 0.0, NEVER)
    if item.matmul and hidden:
        _score_matmul(scores, item.matmul, classes)
    elif item.role == "norm" and item.last and hidden:
        _score_norm(scores, item, hidden)
    elif item.role == "gather" and hidden and item.inputs:
        _score_gather(scores, item, classes)
    elif vocabulary and vocabulary in (item.last, item.out) and scores[S.SAMPLING] > ELSEWHERE:
        scores += _only((S.SAMPLING, S.HEAD), 0.0, -5.0)
        # logits that are capped or scaled by a number are the model's still, what reads more than them is sampling
        scores[S.HEAD] += 0.5 if item.role == "elementwise" and len([s for s in item.inputs if s]) == 1 else -1.0
    elif item.role in ("layout", "gather") and _takes_rows(item, classes):
        scores += _only((S.HEAD,), 2.0, -2.0)
    elif item.role in _GENERIC_ROLES and _splits_heads(item):
        scores += _only((S.ATTENTION_IN,), 1.5, -2.0)
    elif item.role in _GENERIC_ROLES and _per_head(item, classes):
        scores[list(ATTENTION_STATES)] += 1.5
        scores[[*MLP_STATES, S.SHARED_BEFORE, S.SHARED_AFTER]] -= 2.0
    elif item.role in _GENERIC_ROLES and hidden and item.last == hidden:
        scores[[S.PREPARE, S.SAMPLING]] -= 3.0
    elif item.role == "unknown":
        _score_unknown(scores, item, classes)
    if item.role == "activation" and "lu" in item.base and "silu" not in item.base:
        scores[list(ATTENTION_STATES)] -= 4.0  # gates inside attention are sigmoids and SiLUs
    if not classes.has_experts:
        scores[list(MOE_STATES)] -= NO_EXPERTS
    if item.role in ("matmul", "cast", "layout", "add", "elementwise") and item.core == "AI_CPU":
        scores += _only((S.PREPARE, S.SAMPLING), 0.0, -1.0)
    elif item.role == "unknown" and item.core == "AI_CPU":
        scores += _only(tuple(_ON_AI_CPU), 0.0, -6.0)
    if item.region:
        scores -= np.array([TIED * (REGION_OF_STATE[state] != item.region) for state in State])
    return scores


def _takes_rows(item: KernelClass, classes: Classes) -> bool:
    """Whether a kernel picks some of the residual stream's rows: the tokens to predict from."""
    table, out = (item.inputs[0] if item.inputs else None), (item.outputs[0] if item.outputs else None)
    if not table or not out or len(table) != 2 or len(out) != 2:
        return False
    return table[1] == out[1] == classes.hidden and table[0] in classes.norm_rows and out[0] < table[0]


def _per_head(item: KernelClass, classes: Classes) -> bool:
    """Whether a kernel works on heads: three dimensions or more, the last one narrower than the residual stream."""
    shapes = [shape for shape in item.inputs if shape]
    return any(len(shape) >= 3 and shape[-1] < (classes.hidden or 0) and shape[-2] > 1 for shape in shapes[:1])


def _splits_heads(item: KernelClass) -> bool:
    """Whether a kernel cuts rows into query, key and value (the last two alike) or two unlike latents."""
    widths = [shape[-1] for shape in item.outputs if shape]
    if sum(widths) != item.last:
        return False
    return (len(widths) == 3 and widths[1] == widths[2]) or (len(widths) == 2 and widths[0] != widths[1])


def _only(states: tuple[State, ...], inside: float, outside: float) -> NDArray[np.float64]:
    scores = np.full(STATES, outside)
    scores[list(states)] = inside
    return scores


def _score_matmul(scores: NDArray[np.float64], dims: MatmulDims, classes: Classes) -> None:
    """Projections out of the residual stream begin a sub-block, projections back into it end one."""
    shared = (S.SHARED_BEFORE, S.SHARED_AFTER)
    hidden, vocabulary, confirmed = classes.hidden, classes.vocabulary, classes.vocabulary_confirmed
    assert hidden is not None
    reads, writes = dims.inner == hidden, dims.outer == hidden
    if reads and dims.outer == vocabulary:
        scores += _only((S.HEAD,), 0.5, -9.0 if confirmed else -1.5)
        return
    if reads and classes.norm_rows and dims.rows < min(classes.norm_rows):
        # fewer rows than any layer has: the tokens to predict from
        scores += _only((S.HEAD,), 0.5, -3.0)
        return
    scores[S.HEAD] -= 5.0
    if reads and not writes:
        scores[[S.ATTENTION_OUT, S.MLP_DOWN]] -= 5.0
        if dims.outer not in classes.read_widths and dims.outer / 2 not in classes.read_widths:
            scores[[S.MLP_UP, *shared]] -= 4.0  # no down projection takes what this one makes
        if dims.outer > MOST_EXPERTS:
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
    if "norms_groups" in item.properties:
        scores[list(NORM_STATES)] -= 8.0
        scores[[S.ATTENTION_IN, S.ATTENTION_OUT]] = (-0.5, 0.0)
    elif item.last == hidden:
        scores[[S.ATTENTION_IN, S.ATTENTION_OUT]] -= 4.0
    else:
        scores[list(NORM_STATES)] -= 8.0
        scores[[S.ATTENTION_IN, S.ATTENTION_OUT]] = (0.0, -0.5)


def _score_gather(scores: NDArray[np.float64], item: KernelClass, classes: Classes) -> None:
    """Rows of a table as wide as the residual stream are embeddings, unless it is the hidden states themselves."""
    hidden = classes.hidden
    table = item.inputs[0]
    if table is None or len(table) < 2:
        return
    if item.out == hidden or table[-1] == hidden:
        if len(table) == 2 and table[0] not in classes.token_rows:
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
    if classes.hidden and takes_expert_weights(item.inputs, classes.hidden):
        scores += _only((S.EXPERTS,), 3.0, -3.0)
        return
    if classes.hidden and item.last != classes.hidden:
        scores[list(NORM_STATES)] -= 4.0
    if any(len(shape) >= 3 for shape in present):
        scores[list(ATTENTION_STATES)] += 1.0
        scores[[*MLP_STATES, *MOE_STATES]] -= 1.0
    if item.core.startswith("MIX"):
        scores[S.ATTENTION_CORE] += 1.0
