"""What the capture itself teaches: kernels that look alike, among alike neighbours, work for the same thing.

A layer that lacks a kernel, or whose shapes were lost, is read like the many whole ones. It is one step of
expectation-maximisation: the mean posterior of a look becomes evidence for each of its kernels.
"""

from __future__ import annotations

import numpy as np

from skadvisor.labelling.class_table import number_rows
from skadvisor.labelling.levels import CERTAIN, SLIGHT, STRONG
from skadvisor.vocabulary.arrays import Flags, Floats, Ints
from skadvisor.vocabulary.states import LAYER_STATES, MLP_STATES, STATES, State, by_region

#: Fewer kernels of one look than this teach nothing.
FEWEST = 5
#: They must agree on the region in this share.
AGREEMENT = 0.9
#: The most that consensus weighs, in natural-log odds.
WEIGHT = STRONG
#: What comes once per step is rare among its like by nature: against it consensus weighs this much.
OUTSIDE_WEIGHT = SLIGHT

#: A class of kernels that is surely dense in this share of its places, and a shared expert in as many ...
SURE_DENSE, OFTEN = 0.8, 0.25
#: ... is dense everywhere, with this weight (natural-log odds).
SAME_WORK = CERTAIN

_SHARED = [State.SHARED_BEFORE, State.SHARED_AFTER]
_OUTSIDE = np.array([state for state in State if state not in LAYER_STATES], dtype=np.intp)
_FEED_FORWARD = np.array(
    [*MLP_STATES, State.SHARED_BEFORE, State.SHARED_AFTER, State.ROUTER, State.EXPERTS], dtype=np.intp
)


def consensus_scores(of_chain: Ints, posterior: Floats, shaped: Flags, weight: Ints) -> Floats:
    """Log scores per kernel and state, (N, STATES), from what kernels of the same look are in.

    `of_chain` (N,) is each kernel's class, `posterior` (N, STATES) how likely each state is, `weight` (N,) for how many
    kernels it stands. The narrowest look that enough kernels share counts: the class between both its neighbours',
    beside one of them, at last the class alone.
    Without shapes (`shaped` (N,) is False) a dense feed-forward looks like the many shared experts: between these two
    the look says nothing there.
    """
    before, after = np.append(-1, of_chain[:-1]), np.append(of_chain[1:], -1)
    scores = np.zeros((len(of_chain), STATES))
    open_rows = np.ones(len(of_chain), dtype=bool)
    for keys in ((before, of_chain, after), (before, of_chain), (of_chain, after), (of_chain,)):
        codes = number_rows(keys)
        counts = np.bincount(codes, weights=weight).astype(np.float64)
        mean = _means(codes, counts, posterior, weight)
        useful = ((counts >= FEWEST) & (by_region(mean).max(axis=1) >= AGREEMENT))[codes] & open_rows
        scores[useful] = np.maximum(np.log(np.maximum(mean[codes[useful]], 1e-9)), -WEIGHT)
        open_rows &= ~useful
    blind = ~shaped
    scores[np.ix_(blind, _FEED_FORWARD)] = scores[np.ix_(blind, _FEED_FORWARD)].max(axis=1, keepdims=True)
    scores[:, _OUTSIDE] = np.maximum(scores[:, _OUTSIDE], -OUTSIDE_WEIGHT)
    return scores


def same_work_scores(of_chain: Ints, posterior: Floats, shaped: Flags, weight: Ints) -> Floats:
    """Log scores per kernel and state, (N, STATES), for feed-forwards that are shared experts in some layers only.

    Shared experts have sizes of their own. Where pairs of kernels of two classes (`of_chain`) with shapes are surely a
    dense feed-forward in many layers, they are one beside the experts of other layers too.
    """
    scores = np.zeros((len(of_chain), STATES))
    sure_dense = (posterior[:, MLP_STATES].sum(axis=1) > SURE_DENSE) & shaped
    shared = (posterior[:, _SHARED].sum(axis=1) > 0.5) & shaped
    before, after = np.append(-1, of_chain[:-1]), np.append(of_chain[1:], -1)
    for keys in ((before, of_chain), (of_chain, after)):
        codes = number_rows(keys)
        counts = np.bincount(codes, weights=weight).astype(np.float64)
        often = [np.bincount(codes, weights=rows * weight) / counts for rows in (sure_dense, shared)]
        both = ((often[0] >= OFTEN) & (often[1] >= OFTEN))[codes]
        scores[np.ix_(both, np.array(MLP_STATES))] = SAME_WORK
    return scores


def _means(codes: Ints, counts: Floats, values: Floats, weight: Ints) -> Floats:
    """The mean of the values (N, S) of each look, (looks, S); `counts` (looks,) are the sums of `weight` (N,)."""
    if not len(codes):
        return np.zeros((0, values.shape[1]))
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    weighed = values[order] if (weight == 1).all() else values[order] * weight[order, None]
    return np.add.reduceat(weighed, np.cumsum(sizes) - sizes) / counts[:, None]
