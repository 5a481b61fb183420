"""What the kernels round a kernel say about its state: residual additions before norms, projections in pairs."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from skadvisor.labelling.class_table import EXPERT_OPERATORS, Classes
from skadvisor.labelling.kernel_class import KernelClass
from skadvisor.vocabulary.states import ATTENTION_STATES, MLP_STATES, NORM_STATES, STATES, State

S = State
#: Kernels from the first projection of a sub-block to its last one, at the most.
LONGEST_SUB_BLOCK = 60
#: Kernels of a norm that is no single one: of a LayerNorm at the most, and with the residual addition before it.
MOST_BEFORE_ROOT, MOST_BEHIND_ROOT = 8, 4
#: A projection is hardly ever anything but part of a sub-block: this outweighs what speaks against it.
DRAFT_INPUT = 9.0
#: A model that scales before it adds does so in this share of its residual additions, and in several.
MOSTLY_SCALED, FEWEST_SCALED = 0.8, 4
#: Kernels that finish a choice of experts, at the most.
MOST_BEHIND_ROUTER = 8
_SMALL = {"elementwise", "cast", "reduce", "add"}
_SCALING = {"elementwise", "cast", "add"}
#: With this share of projections that an addition follows, projections have biases.
BIASED = 0.5
#: What stands between the norm of queries and the kernel that rotates them: the keys' norm, splits and casts.
_BETWEEN = {"norm", "layout", "cast"}
MOST_BETWEEN_NORM_AND_ROPE = 6
#: Kernels from a norm of several kernels to the rotation, at the most: the keys' norm is as long.
MOST_BETWEEN_LOOSE_NORM_AND_ROPE = 24
_NORMS = np.array(NORM_STATES, dtype=np.intp)
_ATTENTION = np.array(ATTENTION_STATES, dtype=np.intp)
_FEED_FORWARD = np.array([*MLP_STATES, S.SHARED_BEFORE, S.SHARED_AFTER], dtype=np.intp)


def neighbour_scores(classes: Classes, chain: NDArray[np.int64]) -> NDArray[np.float64]:
    """Log scores per kernel of a chain, (len(chain), STATES), that follow from the kernels round it.

    `chain` holds row numbers of the kernel table in the order in which the chain runs.
    """
    of_chain = classes.of_kernel[chain]
    scores = np.zeros((len(chain), STATES))
    _score_residual_adds(scores, classes, of_chain)
    _score_gain_offsets(scores, classes, of_chain)
    _score_loose_norms(scores, classes, of_chain)
    _score_router_logits(scores, classes, of_chain)
    _score_chosen_weights(scores, classes, of_chain)
    _score_shared_gates(scores, classes, of_chain)
    _score_draft_inputs(scores, classes, of_chain)
    _score_query_norms(scores, classes, of_chain)
    if classes.hidden:
        _score_work_on_heads(scores, classes, of_chain)
        _score_projection_pairs(scores, classes, of_chain)
    return scores


def _score_residual_adds(scores: NDArray[np.float64], classes: Classes, of_chain: NDArray[np.int64]) -> None:
    """An addition right before or behind a plain norm is the residual's, right behind a lookup that of positions.

    Of two operands as large as the residual stream it is no bias either: in attention or a plain feed-forward nothing
    else is added like that, only experts' results are. Elsewhere it belongs to the sub-block round it.
    """
    roles = classes.roles_of(of_chain)
    sums = np.array([_is_sum(item, classes.seen_by(item).hidden) for item in classes.items], dtype=bool)[of_chain]
    wide = np.array([_is_residual_width(item, classes.seen_by(item).hidden) for item in classes.items], dtype=bool)[
        of_chain
    ]
    adds = sums & wide
    following = np.append(roles[1:], "")
    before = np.append("", roles[:-1])
    positions = adds & (before == "gather") & np.append(False, wide[:-1])
    scores[positions, S.EMBEDDING] += 4.0
    adds &= ~positions
    residual = adds & (following == "norm") & np.append(wide[1:], False)
    behind = adds & ~residual & (before == "norm") & np.append(False, wide[:-1])
    whole = (
        np.array([adds_whole_rows(item, classes.seen_by(item).hidden) for item in classes.items], dtype=bool)[of_chain]
        & adds
    )
    scores[np.ix_(residual, _NORMS)] += 4.0
    if not classes.has_experts:
        # nothing else is added up in whole rows
        scores[np.ix_(residual & whole, _NORMS)] += 2.0
    matmuls = roles == "matmul"
    biased = float((following[matmuls] == "add").mean()) if matmuls.any() else 0.0
    if biased < BIASED:
        # attention's and the feed-forward's result, added one after the other; no bias is added by a kernel of its own
        unshaped = np.array([not item.inputs for item in classes.items], dtype=bool)[of_chain]
        scores[np.ix_(adds & unshaped & np.append(residual[1:], False), _NORMS)] += 4.0
    scores[np.ix_(_scalings(classes, of_chain, residual | (roles == "residual_norm")), _NORMS)] += 4.0
    scores[np.ix_(behind, _NORMS)] += 3.0
    scores[np.ix_(whole & ~residual, [*ATTENTION_STATES, *MLP_STATES])] -= 4.0
    scores[np.ix_(adds & ~residual & ~behind & ~whole, _NORMS)] -= 2.0


def _score_gain_offsets(scores: NDArray[np.float64], classes: Classes, of_chain: NDArray[np.int64]) -> None:
    """A number added right before a norm is added to its gain, which some models keep as a distance from one."""
    roles = classes.roles_of(of_chain)
    sums = [
        item.role == "add" and "adds_number" in item.properties and item.last in (None, classes.hidden)
        for item in classes.items
    ]
    norms = np.append(np.isin(roles[1:], ["norm", "residual_norm", "fused_matmul_norm"]), False)
    found = np.array(sums, dtype=bool)[of_chain] & norms
    scores[np.ix_(found, _NORMS)] += 6.0


def _scalings(classes: Classes, of_chain: NDArray[np.int64], residual: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Scalings of whole rows right before residual additions, (N,): part of them where nearly every addition has one.

    Experts' results are scaled as well, but not those of attention.
    """
    scales = np.array([_is_scaling(item, classes.seen_by(item).hidden) for item in classes.items], dtype=bool)[of_chain]
    found = np.zeros(len(scales), dtype=bool)
    additions = np.flatnonzero(residual).tolist()
    scaled = 0
    for addition in additions:
        first = addition
        while first > 0 and scales[first - 1]:
            first -= 1
        found[first:addition] = True
        scaled += first < addition
    return found if scaled >= max(FEWEST_SCALED, MOSTLY_SCALED * len(additions)) else np.zeros_like(found)


def _is_scaling(item: KernelClass, hidden: int | None) -> bool:
    """Whether a kernel multiplies rows of the residual stream's width by one number."""
    if item.role == "unknown":
        return list(item.inputs) == list(item.outputs) and len(item.inputs) == 1 and item.last == hidden
    if item.role != "elementwise" or not item.base.startswith(("muls", "mul")):
        return False
    present = [shape for shape in item.inputs if shape and shape != (1,)]
    return len(present) == 1 and present[0][-1] == hidden if present else item.base.startswith("muls")


def _score_loose_norms(scores: NDArray[np.float64], classes: Classes, of_chain: NDArray[np.int64]) -> None:
    """The small kernels round a reciprocal root are one norm: squares, mean and epsilon before it, scalings behind.

    Its width says whether it stands between sub-blocks or works on heads.
    """
    roles = classes.roles_of(of_chain)
    whole = np.array([adds_whole_rows(item, classes.seen_by(item).hidden) for item in classes.items], dtype=bool)[
        of_chain
    ]
    for root in np.flatnonzero(roles == "rsqrt").tolist():
        first = root
        while first > max(0, root - MOST_BEFORE_ROOT) and roles[first - 1] in _SMALL and not whole[first]:
            first -= 1
        last = root
        while last < min(len(roles) - 1, root + MOST_BEHIND_ROOT) and roles[last + 1] in _SCALING:
            last += 1
        widths = {classes.items[of_chain[row]].last for row in range(first, root)} - {None, 1}
        per_head = bool(widths) and bool(classes.hidden) and not widths & _residuals(classes)
        per_head |= not widths and _before_rotation(roles, last)
        scores[first : last + 1, _ATTENTION if per_head else _NORMS] += 4.0


def _before_rotation(roles: NDArray[np.object_], last: int) -> bool:
    """Whether rotation, cache or attention core come next, behind nothing but small kernels and other such norms."""
    following, farthest = last + 1, min(len(roles), last + MOST_BETWEEN_LOOSE_NORM_AND_ROPE)
    while following < farthest and roles[following] in (*_SMALL, "layout", "rsqrt"):
        following += 1
    return following < len(roles) and roles[following] in ("rope", "kv_cache", "attention_core")


def _score_router_logits(scores: NDArray[np.float64], classes: Classes, of_chain: NDArray[np.int64]) -> None:
    """The projection that makes what a router operator right behind it chooses from, and the cast of what it reads."""
    makes = np.array([item.matmul.outer if item.matmul else 0 for item in classes.items], dtype=np.int64)[of_chain]
    takes = np.array([item.last or 0 if item.role == "router" else -1 for item in classes.items], dtype=np.int64)[
        of_chain
    ]
    casts = np.array([item.role == "cast" for item in classes.items], dtype=bool)[of_chain]
    for distance in (1, 2):
        found = np.flatnonzero((makes[:-distance] > 0) & (makes[:-distance] == takes[distance:]))
        scores[found, S.ROUTER] += 4.0
        before = found[found > 0] - 1
        scores[before[casts[before]], S.ROUTER] += 2.0
    bare = np.array([item.role == "matmul" and not item.inputs for item in classes.items], dtype=bool)[of_chain]
    unshaped = np.array([item.role == "router" and not item.inputs for item in classes.items], dtype=bool)[of_chain]
    if unshaped.any():
        # where operators choose experts, a projection that none of them follows makes nothing to choose from
        roles = classes.roles_of(of_chain)
        telling = np.where(np.isin(roles, list(_SMALL)), len(roles), np.arange(len(roles)))
        following = np.append(np.minimum.accumulate(telling[::-1])[::-1][1:], len(roles))
        chosen_from = np.append(np.isin(roles, ["router", "topk", "softmax"]), False)[following]
        scores[bare & ~chosen_from, S.ROUTER] -= 3.0
    found = np.flatnonzero(bare[:-1] & unshaped[1:])
    scores[found, S.ROUTER] += 2.5
    before = found[found > 0] - 1
    scores[before[casts[before]], S.ROUTER] += 2.0


def _score_chosen_weights(scores: NDArray[np.float64], classes: Classes, of_chain: NDArray[np.int64]) -> None:
    """Small kernels right behind a router, with a number per chosen expert or one per token, finish its choice."""
    roles = classes.roles_of(of_chain)
    small = np.isin(roles, list(_SMALL))
    for place in np.flatnonzero(roles == "router").tolist():
        choice = classes.items[of_chain[place]]
        following = place + 1
        while following < min(len(roles), place + MOST_BEHIND_ROUTER) and small[following]:
            item = classes.items[of_chain[following]]
            if item.last not in (choice.out, 1) and (item.inputs or item.role not in ("reduce", "elementwise")):
                break
            scores[following, S.ROUTER] += 3.0
            following += 1
        if following < len(roles) and roles[following] == "matmul":
            scores[following, S.ROUTER] -= 3.0  # the choice is made


def _score_shared_gates(scores: NDArray[np.float64], classes: Classes, of_chain: NDArray[np.int64]) -> None:
    """A projection to one number per token weighs the shared expert, with what is done to this number: no choice."""
    roles = classes.roles_of(of_chain)
    gates = [bool(item.matmul and item.matmul.outer == 1 and classes.has_experts) for item in classes.items]
    for place in np.flatnonzero(np.array(gates, dtype=bool)[of_chain]).tolist():
        last = place
        while last + 1 < len(roles) and roles[last + 1] in _SMALL and classes.items[of_chain[last + 1]].last == 1:
            last += 1
        scores[place : last + 1, [S.SHARED_BEFORE, S.SHARED_AFTER]] += 3.0
        scores[place : last + 1, S.ROUTER] -= 3.0


def _score_draft_inputs(scores: NDArray[np.float64], classes: Classes, of_chain: NDArray[np.int64]) -> None:
    """Two norms, a join and a projection before a further norm: embedding and hidden state become a draft's input.

    By shapes, a projection from twice the residual's width to it, right behind a norm or what puts rows side by side.
    """
    roles = classes.roles_of(of_chain)
    hidden = classes.hidden or 0
    doubled = [
        item.matmul is not None and (item.matmul.inner, item.matmul.outer) == (2 * hidden, hidden)
        for item in classes.items
    ]
    side_by_side = [
        (item.role == "norm" and item.last == hidden) or (item.out == 2 * hidden and _joins_rows(item, hidden))
        for item in classes.items
    ]
    projects = np.array(doubled, dtype=bool)[of_chain] & np.append(
        False, np.array(side_by_side, dtype=bool)[of_chain][:-1]
    )
    if hidden:
        scores[np.ix_(projects, [S.EMBEDDING, S.INPUT_NORM])] += DRAFT_INPUT
    norms = np.isin(roles, ["norm"])
    joins = np.array([item.base.startswith("concat") for item in classes.items], dtype=bool)[of_chain]
    at = np.flatnonzero(joins[2:-2]) + 2
    at = at[norms[at - 1] & norms[at - 2] & (roles[at + 1] == "matmul") & norms[at + 2]]
    for place in (at, at + 1):
        scores[np.ix_(place, [S.EMBEDDING, S.INPUT_NORM])] += DRAFT_INPUT


def _joins_rows(item: KernelClass, hidden: int) -> bool:
    """Whether a kernel reads rows of the residual stream from several tensors and only lays them out."""
    return item.role == "layout" and sum(shape is not None and shape[-1] == hidden for shape in item.inputs) > 1


def _score_query_norms(scores: NDArray[np.float64], classes: Classes, of_chain: NDArray[np.int64]) -> None:
    """Norms right before rotation, cache or attention core are of queries and keys, even if as wide as the residual.

    So are those right behind a projection that makes several times the residual's width.
    """
    roles = classes.roles_of(of_chain)
    following = np.isin(roles, ["rope", "kv_cache", "attention_core"])
    several = [
        bool(item.matmul and item.matmul.outer >= 2 * item.matmul.inner == 2 * (classes.hidden or 0))
        for item in classes.items
    ]
    for position in np.flatnonzero(roles == "norm").tolist():
        nearest = position + 1
        while nearest < min(len(roles), position + MOST_BETWEEN_NORM_AND_ROPE) and roles[nearest] in _BETWEEN:
            nearest += 1
        before = position - 1
        while before > max(0, position - MOST_BETWEEN_NORM_AND_ROPE) and roles[before] in _BETWEEN:
            before -= 1
        if (nearest < len(roles) and following[nearest]) or (before >= 0 and several[of_chain[before]]):
            scores[position, S.ATTENTION_IN] += 8.0


def _score_work_on_heads(scores: NDArray[np.float64], classes: Classes, of_chain: NDArray[np.int64]) -> None:
    """From a norm over the residual stream to the last kernel that works on heads all is attention, or time mixing."""
    widths = {width for item in classes.items if item.matmul for width in (item.matmul.inner, item.matmul.outer)}
    residual = _residuals(classes)
    norms = [
        item.role in ("norm", "residual_norm") and item.last in residual and "norms_groups" not in item.properties
        for item in classes.items
    ]
    heads = [_works_on_heads(item, widths, classes.seen_by(item).hidden) for item in classes.items]
    others = [item.role in EXPERT_OPERATORS for item in classes.items]
    between, per_head, expert = (np.array(flags, dtype=bool)[of_chain] for flags in (norms, heads, others))
    edges = np.flatnonzero(between)
    for begin, end in itertools.pairwise([*edges.tolist(), len(of_chain)]):
        working = np.flatnonzero(per_head[begin:end])
        if len(working) and not expert[begin:end].any():
            inside = slice(begin + 1, begin + int(working[-1]) + 1)
            scores[inside, _FEED_FORWARD] -= 4.0


def _works_on_heads(item: KernelClass, widths: set[int], hidden: int | None) -> bool:
    """Whether it reads rows of heads, (..., heads, width), that together are as wide as something projected."""
    shape = next((shape for shape in item.inputs if shape), None)
    if shape is None or len(shape) < 3 or min(shape[-2:]) < 2 or item.matmul:
        return False
    whole = shape[-1] * shape[-2]
    return whole == hidden or (whole in widths and shape[-1] not in widths)


def _residuals(classes: Classes) -> set[int | None]:
    return {classes.hidden, classes.second.hidden if classes.second else None} - {None}


def adds_whole_rows(item: KernelClass, hidden: int | None) -> bool:
    """Whether both operands are as large as the residual stream, unlike a bias."""
    return _is_sum(item, hidden) and len(item.inputs) == 2 and item.inputs[0] == item.inputs[1] and item.last == hidden


def _is_sum(item: KernelClass, hidden: int | None) -> bool:
    """An addition, or an operator without a known name that joins two tensors of the residual stream's width."""
    return item.role == "add" or (not item.known and item.role == "elementwise" and item.last == hidden)


def _is_residual_width(item: KernelClass, hidden: int | None) -> bool:
    return hidden is None or not item.inputs or item.last == hidden


def _score_projection_pairs(scores: NDArray[np.float64], classes: Classes, of_chain: NDArray[np.int64]) -> None:
    """Widths tell feed-forward from attention: what a sub-block's projections make, and what its last one reads."""
    dims = [(item.matmul, classes.seen_by(item).hidden) for item in classes.items]
    makes = np.array([d.outer if d and d.inner == hidden != d.outer else 0 for d, hidden in dims])[of_chain]
    reads = np.array([d.inner if d and d.outer == hidden != d.inner else 0 for d, hidden in dims])[of_chain]
    ups = np.flatnonzero(makes)
    previous = -1
    for down in np.flatnonzero(reads).tolist():
        first = max(previous + 1, down - LONGEST_SUB_BLOCK)
        before = ups[np.searchsorted(ups, first) : np.searchsorted(ups, down)]
        previous = down
        if len(before):
            _score_pair(scores, before, down, makes[before].tolist(), int(reads[down]))


def _score_pair(
    scores: NDArray[np.float64], before: NDArray[np.int64], down: int, widths: list[int], read: int
) -> None:
    """One sub-block: `widths` are made by the projections at `before`, `read` by the one at `down`."""
    gated = widths[-1] == 2 * read or widths[-2:] == [read, read] != widths[-3:-1]
    plain = widths == [read]
    if gated or plain:
        chosen = before[-2:] if widths[-1] == read and len(widths) > 1 else before[-1:]
        scores[np.ix_(chosen, _FEED_FORWARD)] += 2.0 if gated else 1.5
        scores[np.ix_(chosen, _ATTENTION)] -= 2.0 if gated else 0.5
        scores[down, _FEED_FORWARD] += 1.0
        scores[down, _ATTENTION] -= 1.0 if gated else 0.5
    elif (len(widths) == 1 and (read < widths[0] < 2 * read or widths[0] == 3 * read)) or (
        len(widths) == 3 and widths[0] == read and widths[1] == widths[2] <= read
    ):
        scores[np.ix_(before, _ATTENTION)] += 1.0
        scores[np.ix_(before, _FEED_FORWARD)] -= 1.5
