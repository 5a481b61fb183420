"""Rules about a chain: heads behind the first one, which predict further tokens from the same pass."""

from __future__ import annotations

import itertools

import numpy as np

from skadvisor.labelling.kernel_class import KernelClass
from skadvisor.labelling.levels import CERTAIN, STRONG
from skadvisor.labelling.rules.votes import Chain, Votes, chain_rule
from skadvisor.text.messages import _
from skadvisor.vocabulary.states import State

S = State
#: What a further head may be made of. What attends, keeps keys or normalises is of a layer.
_PLAIN = [
    "matmul", "fused_matmul_comm", "adapter", "activation", "quantise", "gather", "layout", "cast", "elementwise",
    "add", "reduce", "softmax", "topk", "prepare", "sampling",
]  # fmt: skip


@chain_rule(_("further heads"))
def further_heads(chain: Chain, votes: Votes) -> None:
    """Projections between two choices of a token, with nothing that attends or normalises, are heads and no layers.

    Stays for Medusa, which predicts several tokens from one pass.
    """
    roles = chain.roles
    products = roles == "matmul"
    # what reads one tensor alone neither attends nor normalises, whatever its name
    plain = np.isin(roles, _PLAIN) | chain.which(lambda item: item.role == "unknown" and _reads_one(item))
    layered = ~plain | chain.which(lambda item: item.multiplies_batches)
    for begin, end in itertools.pairwise(np.flatnonzero(roles == "sampling").tolist()):
        if products[begin:end].any() and not layered[begin:end].any():
            votes.only(np.arange(begin, end + 1), (S.EMBEDDING, S.HEAD, S.SAMPLING), CERTAIN)
            votes.add(begin + np.flatnonzero(products[begin:end]), [S.HEAD], STRONG)
            # against the order, which knows one head per step
            votes.add(np.array([begin, end]), [S.SAMPLING], CERTAIN)


def _reads_one(item: KernelClass) -> bool:
    return sum(shape is not None for shape in item.inputs) == 1
