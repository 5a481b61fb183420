"""Rules about a chain: what projections, choices and work on heads say of the sub-block round them."""

from __future__ import annotations

import itertools

import numpy as np

from skadvisor.labelling.class_table import EXPERT_OPERATORS
from skadvisor.labelling.kernel_class import KernelClass
from skadvisor.labelling.levels import CERTAIN, CLEAR, SLIGHT, STRONG
from skadvisor.labelling.rules.norms import SMALL
from skadvisor.labelling.rules.votes import Chain, Votes, chain_rule
from skadvisor.text.messages import _
from skadvisor.vocabulary.arrays import Ints
from skadvisor.vocabulary.states import ATTENTION_STATES, MLP_STATES, State

S = State
SHARED = (S.SHARED_BEFORE, S.SHARED_AFTER)
FEED_FORWARD = (*MLP_STATES, *SHARED)
#: Kernels from the first projection of a sub-block to its last one, at the most.
LONGEST_SUB_BLOCK = 60
#: Kernels that finish a choice of experts, at the most.
MOST_BEHIND_ROUTER = 8


@chain_rule(_("router logits"))
def router_logits(chain: Chain, votes: Votes) -> None:
    """The projection that makes what a router chooses from right behind it is the router's, with the cast before it."""
    makes = np.array([item.matmul.outer if item.matmul else 0 for item in chain.classes.items], dtype=np.int64)
    takes = np.array([item.last or 0 if item.role == "router" else -1 for item in chain.classes.items], dtype=np.int64)
    made, taken = makes[chain.of_chain], takes[chain.of_chain]
    for distance in (1, 2):
        _vote_router(chain, votes, np.flatnonzero((made[:-distance] > 0) & (made[:-distance] == taken[distance:])))
    bare = chain.which(lambda item: item.role == "matmul" and not item.inputs)
    unshaped = chain.which(lambda item: item.role == "router" and not item.inputs)
    _vote_router(chain, votes, np.flatnonzero(bare[:-1] & unshaped[1:]))


def _vote_router(chain: Chain, votes: Votes, projections: Ints) -> None:
    votes.add(projections, [S.ROUTER], STRONG)
    before = projections[projections > 0] - 1
    votes.add(before[chain.roles[before] == "cast"], [S.ROUTER], CLEAR)


@chain_rule(_("projections without a choice"))
def projections_without_a_choice(chain: Chain, votes: Votes) -> None:
    """Where operators choose experts, a projection that none of them follows makes nothing to choose from."""
    roles = chain.roles
    bare = chain.which(lambda item: item.role == "matmul" and not item.inputs)
    if not chain.which(lambda item: item.role == "router" and not item.inputs).any():
        return
    telling = np.where(np.isin(roles, list(SMALL)), len(roles), np.arange(len(roles)))
    following = np.append(np.minimum.accumulate(telling[::-1])[::-1][1:], len(roles))
    chosen_from = np.append(np.isin(roles, ["router", "topk", "softmax"]), False)[following]
    votes.add(bare & ~chosen_from, [S.ROUTER], -STRONG)


@chain_rule(_("weights of the chosen"))
def weights_of_the_chosen(chain: Chain, votes: Votes) -> None:
    """Small kernels right behind a router, with a number per chosen expert or one per token, finish its choice."""
    roles = chain.roles
    small = np.isin(roles, list(SMALL))
    for place in np.flatnonzero(roles == "router").tolist():
        choice = chain.item(place)
        following = place + 1
        while following < min(len(roles), place + MOST_BEHIND_ROUTER) and small[following]:
            item = chain.item(following)
            if item.last not in (choice.out, 1) and (item.inputs or item.role not in ("reduce", "elementwise")):
                break
            votes.add(following, [S.ROUTER], STRONG)
            following += 1
        if following < len(roles) and roles[following] == "matmul":
            votes.add(following, [S.ROUTER], -STRONG)  # the choice is made


@chain_rule(_("work between experts products"))
def work_between_experts_products(chain: Chain, votes: Votes) -> None:
    """Small kernels between two products of the experts are their activation, in parts.

    Stays for gpt-oss, which clamps its activation with kernels of its own.
    """
    roles = chain.roles
    small = np.isin(roles, [*SMALL, "layout", "activation", "quantise"])
    places = np.flatnonzero(~small)
    for begin, end in itertools.pairwise(places[roles[places] != "collective"].tolist()):
        if roles[begin] == roles[end] == "expert_matmul":
            votes.add(np.arange(begin + 1, end), [S.EXPERTS], CLEAR)


@chain_rule(_("gates of shared experts"))
def gates_of_shared_experts(chain: Chain, votes: Votes) -> None:
    """A projection to one number per token weighs the shared expert, with what is done to this number: no choice."""
    roles = chain.roles
    gates = chain.which(lambda item: chain.classes.has_experts and item.matmul and item.matmul.outer == 1)
    for place in np.flatnonzero(gates).tolist():
        last = place
        while last + 1 < len(roles) and roles[last + 1] in SMALL and chain.item(last + 1).last == 1:
            last += 1
        votes.add(np.arange(place, last + 1), SHARED, STRONG)
        votes.add(np.arange(place, last + 1), [S.ROUTER], -STRONG)


@chain_rule(_("inputs of drafts"))
def inputs_of_drafts(chain: Chain, votes: Votes) -> None:
    """A draft layer reads embedding and hidden state side by side, each behind its norm, through one projection."""
    hidden = chain.classes.hidden or 0
    if hidden:
        doubled = chain.which(
            lambda item: item.matmul and (item.matmul.inner, item.matmul.outer) == (2 * hidden, hidden)
        )
        beside = chain.which(
            lambda item: (
                (item.role == "norm" and item.last == hidden) or (item.out == 2 * hidden and _joins_rows(item, hidden))
            )
        )
        votes.add(doubled & np.append(False, beside[:-1]), [S.EMBEDDING, S.INPUT_NORM], CERTAIN)
    roles = chain.roles
    norms = roles == "norm"
    joins = chain.which(lambda item: "joins_rows" in item.properties)
    at = np.flatnonzero(joins[2:-2]) + 2
    at = at[norms[at - 1] & norms[at - 2] & (roles[at + 1] == "matmul") & norms[at + 2]]
    votes.add(np.concatenate([at, at + 1]), [S.EMBEDDING, S.INPUT_NORM], CERTAIN)


def _joins_rows(item: KernelClass, hidden: int) -> bool:
    """Whether a kernel reads rows of the residual stream from several tensors and only lays them out."""
    return item.role == "layout" and sum(shape is not None and shape[-1] == hidden for shape in item.inputs) > 1


@chain_rule(_("work on heads"))
def work_on_heads(chain: Chain, votes: Votes) -> None:
    """From a norm over the residual stream to the last kernel that works on heads all is attention, or time mixing.

    Stays for state-space mixers beside attention, and RWKV.
    """
    classes = chain.classes
    if not classes.hidden:
        return
    widths = {width for item in classes.items if item.matmul for width in (item.matmul.inner, item.matmul.outer)}
    between = chain.which(
        lambda item: (
            item.role in ("norm", "residual_norm")
            and item.last in classes.residual_widths
            and "norms_groups" not in item.properties
        )
    )
    heads = chain.which(lambda item: _works_on_heads(item, widths, chain.hidden(item)))
    experts = chain.which(lambda item: item.role in EXPERT_OPERATORS)
    for begin, end in itertools.pairwise([*np.flatnonzero(between).tolist(), len(chain)]):
        working = np.flatnonzero(heads[begin:end])
        if len(working) and not experts[begin:end].any():
            votes.add(np.arange(begin + 1, begin + int(working[-1]) + 1), FEED_FORWARD, -STRONG)


def _works_on_heads(item: KernelClass, widths: set[int], hidden: int | None) -> bool:
    """Whether it reads rows of heads, (..., heads, width), that together are as wide as something projected."""
    shape = next((shape for shape in item.inputs if shape), None)
    if shape is None or len(shape) < 3 or min(shape[-2:]) < 2 or item.matmul:
        return False
    whole = shape[-1] * shape[-2]
    return whole == hidden or (whole in widths and shape[-1] not in widths)


@chain_rule(_("widths of sub blocks"))
def widths_of_sub_blocks(chain: Chain, votes: Votes) -> None:
    """A feed-forward's last projection reads what the first ones make, or half of it; attention's widths differ."""
    if not chain.classes.hidden:
        return
    dims = [(item.matmul, chain.hidden(item)) for item in chain.classes.items]
    makes = np.array([d.outer if d and d.inner == hidden != d.outer else 0 for d, hidden in dims])[chain.of_chain]
    reads = np.array([d.inner if d and d.outer == hidden != d.inner else 0 for d, hidden in dims])[chain.of_chain]
    ups = np.flatnonzero(makes)
    previous = -1
    for down in np.flatnonzero(reads).tolist():
        first = max(previous + 1, down - LONGEST_SUB_BLOCK)
        before = ups[np.searchsorted(ups, first) : np.searchsorted(ups, down)]
        previous = down
        if len(before):
            _vote_pair(votes, before, down, makes[before].tolist(), int(reads[down]))


def _vote_pair(votes: Votes, before: Ints, down: int, widths: list[int], read: int) -> None:
    """One sub-block: `widths` are made by the projections at `before`, `read` by the one at `down`."""
    gated = widths[-1] == 2 * read or widths[-2:] == [read, read] != widths[-3:-1]
    if gated or widths == [read]:
        chosen = before[-2:] if widths[-1] == read and len(widths) > 1 else before[-1:]
        votes.add(chosen, FEED_FORWARD, CLEAR if gated else SLIGHT)
        votes.add(down, FEED_FORWARD, SLIGHT)
        if gated:
            votes.add(chosen, ATTENTION_STATES, -CLEAR)
            votes.add(down, ATTENTION_STATES, -SLIGHT)
    elif (len(widths) == 1 and (read < widths[0] < 2 * read or widths[0] == 3 * read)) or (
        len(widths) == 3 and widths[0] == read and widths[1] == widths[2] <= read
    ):
        votes.add(before, ATTENTION_STATES, SLIGHT)
        votes.add(before, FEED_FORWARD, -CLEAR)
