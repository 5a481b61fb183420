"""Rules about one class: what its operator, shapes and core say wherever it runs."""

from __future__ import annotations

from skadvisor.labelling.class_table import MOST_EXPERTS, Classes, takes_expert_weights
from skadvisor.labelling.kernel_class import KernelClass
from skadvisor.labelling.levels import CERTAIN, CLEAR, SLIGHT, STRONG
from skadvisor.labelling.rules.votes import Votes, class_rule
from skadvisor.text.messages import _
from skadvisor.vocabulary.shapes import MatmulDims
from skadvisor.vocabulary.states import (
    ATTENTION_STATES,
    ELSEWHERE,
    MLP_STATES,
    MOE_STATES,
    NORM_STATES,
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


@class_rule(_("named scopes"))
def named_scopes(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """A SuperKernel whose scope is named after a sub-block works for that sub-block.

    Stays for captures with SuperKernels on, whose scope is named by the user.
    """
    if item.fused is not None:
        votes.only(number, (item.fused,), CERTAIN)


def _of_head(dims: MatmulDims, classes: Classes) -> bool:
    """Whether a projection leads to the vocabulary, or takes fewer rows than any layer has."""
    few = bool(classes.norm_rows) and dims.rows < min(classes.norm_rows)
    return dims.inner == classes.hidden and (dims.outer == classes.vocabulary or few)


@class_rule(_("heads by size"))
def heads_by_size(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """The projection to the vocabulary is the head, and so is one of fewer rows than any layer has."""
    dims = item.matmul
    if _subject(item, classes) != "projection" or dims is None:
        return
    if _of_head(dims, classes):
        votes.add(number, [S.HEAD], SLIGHT)
        sure = CERTAIN if classes.vocabulary_confirmed else CLEAR
        votes.only(number, [S.HEAD], sure if dims.outer == classes.vocabulary else STRONG)
    else:
        votes.add(number, [S.HEAD], -STRONG)


def _in_layers(item: KernelClass, classes: Classes) -> MatmulDims | None:
    """The sizes of a projection that is none of the head; None for all other kernels."""
    dims = item.matmul
    return dims if dims and _subject(item, classes) == "projection" and not _of_head(dims, classes) else None


@class_rule(_("ways out of the stream"))
def ways_out_of_the_stream(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """A projection out of the residual stream begins a sub-block and does not end one."""
    dims = _in_layers(item, classes)
    if dims and dims.inner == classes.hidden != dims.outer:
        votes.add(number, [S.ATTENTION_OUT, S.MLP_DOWN], -STRONG)


@class_rule(_("widths that nothing reads"))
def widths_that_nothing_reads(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """What a feed-forward's first projection makes, or half of it, its last one reads; experts are few."""
    dims = _in_layers(item, classes)
    if dims and dims.inner == classes.hidden != dims.outer:
        if dims.outer not in classes.read_widths and dims.outer / 2 not in classes.read_widths:
            votes.add(number, [S.MLP_UP, *SHARED], -STRONG)
        if dims.outer > MOST_EXPERTS:
            votes.add(number, [S.ROUTER], -STRONG)


@class_rule(_("ways into the stream"))
def ways_into_the_stream(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """A projection into the residual stream ends a sub-block and does not begin one."""
    dims = _in_layers(item, classes)
    if dims and dims.outer == classes.hidden != dims.inner:
        votes.add(number, [S.ATTENTION_IN, S.MLP_UP, S.ROUTER], -STRONG)
        votes.add(number, [S.ATTENTION_CORE], -CLEAR)


@class_rule(_("ways beside the stream"))
def ways_beside_the_stream(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """A feed-forward's projections and the router's touch the residual stream; only attention's latents do not."""
    dims = _in_layers(item, classes)
    if dims and dims.inner == classes.hidden == dims.outer:
        votes.add(number, [S.ROUTER], -STRONG)
    elif dims and classes.hidden not in (dims.inner, dims.outer):
        votes.add(number, [*MLP_STATES, *SHARED, S.ROUTER], -STRONG)


@class_rule(_("norms by width"))
def norms_by_width(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """A norm over the residual width stands between sub-blocks; one over heads, latents or groups inside attention."""
    if _subject(item, classes) != "norm":
        return
    if item.last == classes.hidden and "norms_groups" not in item.properties:
        votes.add(number, [S.ATTENTION_IN, S.ATTENTION_OUT], -STRONG)
    else:
        votes.add(number, NORM_STATES, -CERTAIN)
        votes.add(number, [S.ATTENTION_IN, S.ATTENTION_OUT], CLEAR)


@class_rule(_("lookups by table"))
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


@class_rule(_("picked rows"))
def picked_rows(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """What takes some of the residual stream's rows takes the tokens to predict from, for the head.

    Stays for a model run without sampler: nothing else begins the head.
    """
    if _subject(item, classes) == "picked rows":
        votes.add(number, [S.HEAD], CLEAR)
        votes.only(number, [S.HEAD], CLEAR)


@class_rule(_("splits of heads"))
def splits_of_heads(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """What cuts rows into query, key and value (the last two alike), or into two unlike latents, is attention's.

    Stays for SuperKernels over whole layers: the split is all of attention that is left between them.
    """
    if _subject(item, classes) == "small" and _splits_heads(item):
        votes.add(number, [S.ATTENTION_IN], SLIGHT)
        votes.only(number, [S.ATTENTION_IN], CLEAR)


@class_rule(_("halving kernels"))
def halving_kernels(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """An unnamed kernel that makes half the width that it reads is the activation of a gate and what it lets pass.

    Stays for W8A8 under unknown names, where the activation quantises as well.
    """
    halves = bool(item.last and item.out) and item.last == 2 * (item.out or 0)
    if _subject(item, classes) == "unnamed" and halves and len([shape for shape in item.inputs if shape]) <= 3:
        votes.add(number, [S.MLP_ACTIVATION, S.EXPERTS, *SHARED], SLIGHT)
        votes.add(number, ATTENTION_STATES, -CLEAR)


@class_rule(_("expert weights"))
def expert_weights(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """Only experts have one weight matrix each.

    Stays for experts in one unnamed kernel.
    """
    hidden = classes.hidden
    if _subject(item, classes) == "unnamed" and hidden and takes_expert_weights(item.inputs, hidden):
        votes.add(number, [S.EXPERTS], STRONG)
        votes.only(number, [S.EXPERTS], CLEAR)


@class_rule(_("models without experts"))
def models_without_experts(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """Where no kernel of the capture is an expert operator, and none could be an unnamed one, there are no experts."""
    if not classes.has_experts and item.role != "superkernel" and item.fused is None:
        votes.add(number, MOE_STATES, -STRONG)


@class_rule(_("work of the ai cpu"))
def work_of_the_ai_cpu(item: KernelClass, classes: Classes, number: int, votes: Votes) -> None:
    """An AI CPU chooses, counts and copies: it multiplies no matrices and normalises nothing.

    Stays for attention that the AI CPU prepares (DeepSeek-V3.2): an AI CPU task was taken for experts.
    """
    if item.core == "AI_CPU" and item.role in ("matmul", "cast", "layout", "add", "elementwise"):
        votes.only(number, (S.PREPARE, S.SAMPLING), SLIGHT)
    elif item.core == "AI_CPU" and item.role == "unknown":
        votes.only(number, (S.PREPARE, S.SAMPLING, S.ROUTER, S.DISPATCH, S.COMBINE), STRONG)


def _takes_rows(item: KernelClass, classes: Classes) -> bool:
    """Whether a kernel picks some of the residual stream's rows: the tokens to predict from."""
    table, out = (item.inputs[0] if item.inputs else None), (item.outputs[0] if item.outputs else None)
    if not table or not out or len(table) != 2 or len(out) != 2:
        return False
    return table[1] == out[1] == classes.hidden and table[0] in classes.norm_rows and out[0] < table[0]


def _splits_heads(item: KernelClass) -> bool:
    """Whether a kernel cuts rows into query, key and value (the last two alike) or two unlike latents."""
    widths = [shape[-1] for shape in item.outputs if shape]
    if sum(widths) != item.last:
        return False
    return (len(widths) == 3 and widths[1] == widths[2]) or (len(widths) == 2 and widths[0] != widths[1])
