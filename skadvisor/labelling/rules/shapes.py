"""Rules about one class: what its operator, shapes and core say wherever it runs."""

from __future__ import annotations

from skadvisor.labelling.class_table import MOST_EXPERTS, Classes, takes_expert_weights
from skadvisor.labelling.kernel_class import KernelClass
from skadvisor.labelling.rules.votes import CERTAIN, CLEAR, HINT, SETTLED, SLIGHT, STRONG, Votes, class_rule
from skadvisor.vocabulary.states import (
    ATTENTION_STATES,
    ELSEWHERE,
    MLP_STATES,
    MOE_STATES,
    NORM_STATES,
    REGION_OF_STATE,
    ROLES,
    State,
)

S = State
SHARED = (S.SHARED_BEFORE, S.SHARED_AFTER)
_GENERIC = frozenset({"layout", "cast", "elementwise", "add", "reduce", "quantise"})


def _subject(item: KernelClass, classes: Classes) -> str:
    """What the shapes of a class can speak of: one thing each."""
    if item.fused is not None or item.role == "superkernel":
        return "superkernel"
    if item.matmul and classes.hidden:
        return "projection"
    if item.role == "norm" and item.last and classes.hidden:
        return "norm"
    if item.role == "gather" and classes.hidden and item.inputs:
        return "lookup"
    may_sample = ROLES[item.role].get(S.SAMPLING, ELSEWHERE) > ELSEWHERE
    if classes.vocabulary and classes.vocabulary in (item.last, item.out) and may_sample:
        return "logits"
    if item.role in ("layout", "gather") and _takes_rows(item, classes):
        return "picked rows"
    return "unnamed" if item.role == "unknown" else "small" if item.role in _GENERIC else ""


@class_rule
def named_scopes(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """A SuperKernel whose scope is named after a sub-block works for that sub-block."""
    if item.fused is not None:
        votes.only(number, (item.fused,), CERTAIN)


@class_rule
def heads_by_size(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """The projection to the vocabulary is the head, and so is one of fewer rows than any layer has."""
    dims = item.matmul
    if _subject(item, classes) != "projection" or dims is None:
        return
    if dims.inner == classes.hidden and dims.outer == classes.vocabulary:
        votes.add(number, [S.HEAD], HINT)
        votes.only(number, [S.HEAD], CERTAIN if classes.vocabulary_confirmed else CLEAR)
    elif dims.inner == classes.hidden and classes.norm_rows and dims.rows < min(classes.norm_rows):
        votes.add(number, [S.HEAD], HINT)
        votes.only(number, [S.HEAD], STRONG)
    else:
        votes.add(number, [S.HEAD], -STRONG)


def _in_layers(item: KernelClass, classes: Classes) -> bool:
    """Whether a projection is none of the head."""
    dims = item.matmul
    if _subject(item, classes) != "projection" or dims is None:
        return False
    few = bool(classes.norm_rows) and dims.rows < min(classes.norm_rows, default=0)
    return not (dims.inner == classes.hidden and (dims.outer == classes.vocabulary or few))


@class_rule
def ways_out_of_the_stream(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """A projection out of the residual stream begins a sub-block and does not end one."""
    dims = item.matmul
    if dims and _in_layers(item, classes) and dims.inner == classes.hidden != dims.outer:
        votes.add(number, [S.ATTENTION_OUT, S.MLP_DOWN], -STRONG)


@class_rule
def widths_that_nothing_reads(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """What a feed-forward's first projection makes, or half of it, its last one reads; experts are few."""
    dims = item.matmul
    if dims is None or not _in_layers(item, classes) or dims.inner != classes.hidden or dims.outer == classes.hidden:
        return
    if dims.outer not in classes.read_widths and dims.outer / 2 not in classes.read_widths:
        votes.add(number, [S.MLP_UP, *SHARED], -STRONG)
    if dims.outer > MOST_EXPERTS:
        votes.add(number, [S.ROUTER], -STRONG)


@class_rule
def ways_into_the_stream(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """A projection into the residual stream ends a sub-block and does not begin one."""
    dims = item.matmul
    if dims and _in_layers(item, classes) and dims.outer == classes.hidden != dims.inner:
        votes.add(number, [S.ATTENTION_IN, S.MLP_UP, S.ROUTER], -STRONG)
        votes.add(number, [S.ATTENTION_CORE], -CLEAR)


@class_rule
def ways_beside_the_stream(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """A feed-forward's projections and the router's touch the residual stream; only attention's latents do not."""
    dims = item.matmul
    if dims is None or not _in_layers(item, classes):
        return
    if dims.inner == classes.hidden == dims.outer:
        votes.add(number, [S.ROUTER], -STRONG)
    elif classes.hidden not in (dims.inner, dims.outer):
        votes.add(number, [*MLP_STATES, *SHARED, S.ROUTER], -STRONG)


@class_rule
def matrices_per_head(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """A product with a batch of matrices multiplies by heads: feed-forward and router have one matrix for all."""
    if item.matmul and item.matmul.batched and _in_layers(item, classes):
        votes.add(number, [*MLP_STATES, *SHARED, S.ROUTER], -STRONG)
        votes.add(number, [S.ATTENTION_CORE], SLIGHT)


@class_rule
def norms_by_width(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """A norm over the residual width stands between sub-blocks; one over heads, latents or groups inside attention."""
    if _subject(item, classes) != "norm":
        return
    if item.last == classes.hidden and "norms_groups" not in item.properties:
        votes.add(number, [S.ATTENTION_IN, S.ATTENTION_OUT], -STRONG)
    else:
        votes.add(number, NORM_STATES, -CERTAIN)
        votes.add(number, [S.ATTENTION_IN, S.ATTENTION_OUT], CLEAR)


@class_rule
def lookups_by_table(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """Rows of a table as wide as the residual stream are embeddings, unless the table is the stream itself."""
    table = item.inputs[0] if item.inputs else None
    if _subject(item, classes) != "lookup" or table is None or len(table) < 2:
        return
    if classes.hidden not in (item.out, table[-1]):
        return
    if len(table) == 2 and table[0] not in classes.token_rows:
        votes.only(number, [S.EMBEDDING], STRONG)
    else:
        votes.add(number, [S.HEAD], SLIGHT)
        votes.add(number, [S.PREPARE, S.SAMPLING, S.EMBEDDING], -CLEAR)


@class_rule
def work_on_logits(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """What reads or writes rows of the vocabulary samples; what caps or scales them by a number is the head's still."""
    if _subject(item, classes) == "logits":
        votes.only(number, (S.SAMPLING, S.HEAD), STRONG)
        alone = item.role == "elementwise" and len([shape for shape in item.inputs if shape]) == 1
        votes.add(number, [S.HEAD], HINT if alone else -SLIGHT)


@class_rule
def picked_rows(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """What takes some of the residual stream's rows takes the tokens to predict from, for the head."""
    if _subject(item, classes) == "picked rows":
        votes.add(number, [S.HEAD], CLEAR)
        votes.only(number, [S.HEAD], CLEAR)


@class_rule
def splits_of_heads(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """What cuts rows into query, key and value (the last two alike), or into two unlike latents, is attention's."""
    if _subject(item, classes) == "small" and _splits_heads(item):
        votes.add(number, [S.ATTENTION_IN], SLIGHT)
        votes.only(number, [S.ATTENTION_IN], CLEAR)


@class_rule
def rows_of_heads(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """A small kernel on rows of heads works for attention, no feed-forward has heads."""
    if _subject(item, classes) == "small" and not _splits_heads(item) and _per_head(item, classes):
        votes.add(number, ATTENTION_STATES, SLIGHT)
        votes.add(number, [*MLP_STATES, *SHARED], -CLEAR)


@class_rule
def rows_of_the_stream(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """What reads rows of the residual stream is part of the pass: preparation and sampling know no hidden states."""
    heads = _splits_heads(item) or _per_head(item, classes)
    if _subject(item, classes) == "small" and not heads and classes.hidden and item.last == classes.hidden:
        votes.add(number, [S.PREPARE, S.SAMPLING], -STRONG)


@class_rule
def halving_kernels(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """An unnamed kernel that makes half the width that it reads is the activation of a gate and what it lets pass."""
    halves = bool(item.last and item.out) and item.last == 2 * (item.out or 0)
    if _subject(item, classes) == "unnamed" and halves and len([shape for shape in item.inputs if shape]) <= 3:
        votes.add(number, [S.MLP_ACTIVATION, S.EXPERTS, *SHARED], SLIGHT)
        votes.add(number, ATTENTION_STATES, -CLEAR)


@class_rule
def expert_weights(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """Only experts have one weight matrix each."""
    if _multiplies_experts(item, classes):
        votes.add(number, [S.EXPERTS], STRONG)
        votes.only(number, [S.EXPERTS], CLEAR)


@class_rule
def unnamed_widths(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """An unnamed kernel on another width than the residual stream's is no norm between sub-blocks."""
    other = bool(item.last and classes.hidden) and item.last != classes.hidden
    if _subject(item, classes) == "unnamed" and other and not _multiplies_experts(item, classes):
        votes.add(number, NORM_STATES, -STRONG)


@class_rule
def unnamed_ranks(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """An unnamed kernel with a tensor of three dimensions or more rather has heads than a feed-forward."""
    deep = any(len(shape) >= 3 for shape in item.inputs if shape)
    if _subject(item, classes) == "unnamed" and deep and not _multiplies_experts(item, classes):
        votes.add(number, ATTENTION_STATES, SLIGHT)
        votes.add(number, [*MLP_STATES, *MOE_STATES], -SLIGHT)


@class_rule
def mixed_cores(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """An unnamed kernel on both kinds of cores multiplies and does more between: attention is fused like that."""
    if _subject(item, classes) == "unnamed" and item.core.startswith("MIX") and not _multiplies_experts(item, classes):
        votes.add(number, [S.ATTENTION_CORE], SLIGHT)


@class_rule
def linear_units(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """ReLU and GELU are activations of feed-forwards: gates inside attention are sigmoids and SiLUs."""
    if item.role == "activation" and "lu" in item.base and "silu" not in item.base:
        votes.add(number, ATTENTION_STATES, -STRONG)


@class_rule
def models_without_experts(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """Where no kernel of the capture is an expert operator, and none could be an unnamed one, there are no experts."""
    if not classes.has_experts and item.role != "superkernel" and item.fused is None:
        votes.add(number, MOE_STATES, -STRONG)


@class_rule
def work_of_the_ai_cpu(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """An AI CPU chooses, counts and copies: it multiplies no matrices and normalises nothing."""
    if item.core == "AI_CPU" and item.role in ("matmul", "cast", "layout", "add", "elementwise"):
        votes.only(number, (S.PREPARE, S.SAMPLING), SLIGHT)
    elif item.core == "AI_CPU" and item.role == "unknown":
        votes.only(number, (S.PREPARE, S.SAMPLING, S.ROUTER, S.DISPATCH, S.COMBINE), STRONG)


@class_rule
def ties_to_a_region(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """What the vocabulary ties to a region is hardly ever elsewhere."""
    if item.region:
        votes.only(number, [state for state in State if REGION_OF_STATE[state] == item.region], SETTLED)


def _multiplies_experts(item: KernelClass, classes: Classes) -> bool:
    unnamed = _subject(item, classes) == "unnamed"
    return unnamed and bool(classes.hidden) and takes_expert_weights(item.inputs, classes.hidden or 0)


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
