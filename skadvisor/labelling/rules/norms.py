"""Rules about a chain: residual additions and norms, which stand between sub-blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skadvisor.labelling.kernel_class import KernelClass
from skadvisor.labelling.levels import CERTAIN, CLEAR, STRONG
from skadvisor.labelling.rules.votes import Chain, Votes, chain_rule
from skadvisor.text.messages import _
from skadvisor.vocabulary.states import ATTENTION_STATES, MLP_STATES, NORM_STATES, State

S = State
#: Kernels of a norm that is no single one: of a LayerNorm at the most, and with the residual addition before it.
MOST_BEFORE_ROOT, MOST_BEHIND_ROOT = 8, 4
#: A model that scales before it adds does so in this share of its residual additions, and in several.
MOSTLY_SCALED, FEWEST_SCALED = 0.8, 4
#: With this share of projections that an addition follows, projections have biases.
BIASED = 0.5
#: What stands between the norm of queries and the kernel that rotates them: the keys' norm, splits and casts.
MOST_BETWEEN_NORM_AND_ROPE = 6
#: Kernels from a norm of several kernels to the rotation, at the most: the keys' norm is as long.
MOST_BETWEEN_LOOSE_NORM_AND_ROPE = 24
SMALL = frozenset({"elementwise", "cast", "reduce", "add"})
_SCALING = frozenset({"elementwise", "cast", "add"})
_BETWEEN = frozenset({"norm", "layout", "cast"})
_NORM_ROLES = ["norm", "residual_norm", "fused_matmul_norm"]


def adds_whole_rows(item: KernelClass, hidden: int | None) -> bool:
    """Whether both operands are as large as the residual stream, unlike a bias."""
    return _is_sum(item, hidden) and len(item.inputs) == 2 and item.inputs[0] == item.inputs[1] and item.last == hidden


def _is_sum(item: KernelClass, hidden: int | None) -> bool:
    """An addition, or an operator without a known name that joins two tensors of the residual stream's width."""
    return item.role == "add" or (not item.known and item.role == "elementwise" and item.last == hidden)


class _Additions:
    """The additions of a chain that can be residual ones, masks (n,): by what stands before and behind them."""

    def __init__(self, chain: Chain) -> None:
        self.wide = chain.which(
            lambda item: (hidden := chain.hidden(item)) is None or not item.inputs or item.last == hidden
        )
        sums = chain.which(lambda item: _is_sum(item, chain.hidden(item))) & self.wide
        before = np.append("", chain.roles[:-1])
        wide_before, wide_behind = np.append(False, self.wide[:-1]), np.append(self.wide[1:], False)
        self.of_positions = sums & (before == "gather") & wide_before
        self.all = sums & ~self.of_positions & (before != "adapter")
        self.before_norm = self.all & (chain.next_roles == "norm") & wide_behind
        self.behind_norm = self.all & ~self.before_norm & (before == "norm") & wide_before
        self.whole = self.all & chain.which(lambda item: adds_whole_rows(item, chain.hidden(item)))


@chain_rule(_("additions round norms"))
def additions_round_norms(chain: Chain, votes: Votes) -> None:
    """An addition right before or behind a norm over the residual width adds a sub-block's result to the stream."""
    found = _Additions(chain)
    votes.add(found.before_norm | found.behind_norm, NORM_STATES, STRONG)
    if not chain.classes.has_experts:
        # nothing else is added up in whole rows
        votes.add(found.before_norm & found.whole, NORM_STATES, CLEAR)


@chain_rule(_("additions in pairs"))
def additions_in_pairs(chain: Chain, votes: Votes) -> None:
    """Where no bias has a kernel of its own, two additions add attention's and the feed-forward's result in turn.

    Stays for parallel blocks (GPT-J, Falcon) without shapes.
    """
    products = chain.roles == "matmul"
    biased = float((chain.next_roles[products] == "add").mean()) if products.any() else 0.0
    if biased < BIASED:
        found = _Additions(chain)
        unshaped = chain.which(lambda item: not item.inputs)
        votes.add(found.all & unshaped & np.append(found.before_norm[1:], False), NORM_STATES, STRONG)


@chain_rule(_("additions of whole rows"))
def additions_of_whole_rows(chain: Chain, votes: Votes) -> None:
    """Two operands as large as the stream are no bias: nothing within attention or a plain feed-forward adds so."""
    found = _Additions(chain)
    votes.add(found.whole & ~found.before_norm, [*ATTENTION_STATES, *MLP_STATES], -STRONG)


@chain_rule(_("additions elsewhere"))
def additions_elsewhere(chain: Chain, votes: Votes) -> None:
    """Any other addition belongs to the sub-block round it."""
    found = _Additions(chain)
    votes.add(found.all & ~found.before_norm & ~found.behind_norm & ~found.whole, NORM_STATES, -CLEAR)


@chain_rule(_("scaled additions"))
def scaled_additions(chain: Chain, votes: Votes) -> None:
    """Scalings of whole rows right before residual additions are part of them where nearly every addition has one."""
    scales = chain.which(lambda item: _is_scaling(item, chain.hidden(item)))
    additions = np.flatnonzero(_Additions(chain).before_norm | (chain.roles == "residual_norm")).tolist()
    found = np.zeros(len(chain), dtype=bool)
    scaled = 0
    for addition in additions:
        first = addition
        while first > 0 and scales[first - 1]:
            first -= 1
        found[first:addition] = True
        scaled += first < addition
    if scaled >= max(FEWEST_SCALED, MOSTLY_SCALED * len(additions)):
        votes.add(found, NORM_STATES, STRONG)


def _is_scaling(item: KernelClass, hidden: int | None) -> bool:
    """Whether a kernel multiplies rows of the residual stream's width by one number."""
    if item.role == "unknown":
        return list(item.inputs) == list(item.outputs) and len(item.inputs) == 1 and item.last == hidden
    if item.role != "elementwise" or "multiplies" not in item.properties:
        return False
    present = [shape for shape in item.inputs if shape and shape != (1,)]
    return len(present) == 1 and present[0][-1] == hidden if present else "multiplies_number" in item.properties


@chain_rule(_("offsets of gains"))
def offsets_of_gains(chain: Chain, votes: Votes) -> None:
    """A number added right before a norm is added to its gain, which some models keep as a distance from one.

    Stays for Gemma-like norms, whose gain is a distance from one.
    """
    hidden = chain.classes.hidden
    adds = chain.which(
        lambda item: item.role == "add" and "adds_number" in item.properties and item.last in (None, hidden)
    )
    votes.add(adds & np.isin(chain.next_roles, _NORM_ROLES), NORM_STATES, CERTAIN)


@chain_rule(_("norms in parts"))
def norms_in_parts(chain: Chain, votes: Votes) -> None:
    """The small kernels round a reciprocal root are one norm: its width says whether of the stream or of heads."""
    roles = chain.roles
    whole = chain.which(lambda item: adds_whole_rows(item, chain.hidden(item)))
    residual = chain.classes.residual_widths
    for root in np.flatnonzero(roles == "rsqrt").tolist():
        first = root
        while first > max(0, root - MOST_BEFORE_ROOT) and roles[first - 1] in SMALL and not whole[first]:
            first -= 1
        last = root
        while last < min(len(roles) - 1, root + MOST_BEHIND_ROOT) and roles[last + 1] in _SCALING:
            last += 1
        widths = {chain.item(row).last for row in range(first, root)} - {None, 1}
        per_head = bool(widths) and bool(chain.classes.hidden) and not widths & residual
        per_head |= not widths and _before_rotation(roles, last)
        votes.add(np.arange(first, last + 1), ATTENTION_STATES if per_head else NORM_STATES, STRONG)


def _before_rotation(roles: NDArray[np.object_], last: int) -> bool:
    """Whether rotation, cache or attention core come next, behind nothing but small kernels and other such norms."""
    following, farthest = last + 1, min(len(roles), last + MOST_BETWEEN_LOOSE_NORM_AND_ROPE)
    while following < farthest and roles[following] in (*SMALL, "layout", "rsqrt"):
        following += 1
    return following < len(roles) and roles[following] in ("rope", "kv_cache", "attention_core")


@chain_rule(_("norms of queries"))
def norms_of_queries(chain: Chain, votes: Votes) -> None:
    """Norms right before rotation, cache or core, or behind a projection to several widths, are of queries, keys."""
    roles = chain.roles
    hidden = chain.classes.hidden or 0
    several = chain.which(lambda item: item.matmul and item.matmul.outer >= 2 * item.matmul.inner == 2 * hidden)
    following = np.isin(roles, ["rope", "kv_cache", "attention_core"])
    for place in np.flatnonzero(roles == "norm").tolist():
        nearest = place + 1
        while nearest < min(len(roles), place + MOST_BETWEEN_NORM_AND_ROPE) and roles[nearest] in _BETWEEN:
            nearest += 1
        before = place - 1
        while before > max(0, place - MOST_BETWEEN_NORM_AND_ROPE) and roles[before] in _BETWEEN:
            before -= 1
        if (nearest < len(roles) and following[nearest]) or (before >= 0 and several[before]):
            votes.add(place, [S.ATTENTION_IN], CERTAIN)
