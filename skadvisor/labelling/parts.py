"""Which parts of a layer each kernel of the main chain holds: more than one only in SuperKernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skadvisor.labelling.structure import Structure
from skadvisor.labelling.superkernel_spans import reach
from skadvisor.vocabulary.states import ATTENTION_STATES, FIRST_TO_LAST, MLP_STATES, MOE_STATES, State

_LAST_OF_ATTENTION = FIRST_TO_LAST[State.ATTENTION_OUT]
_FIRST_OF_FEED_FORWARD = FIRST_TO_LAST[State.SHARED_BEFORE]
_LAST_OF_FEED_FORWARD = FIRST_TO_LAST[State.SHARED_AFTER]


@dataclass(frozen=True)
class PartsHeld:
    """Along the main chain, each (N,): what a kernel holds of the layer that it begins in.

    `leaves_attention` marks kernels that end within attention, `crosses` those that end in the next layer.
    """

    attention: NDArray[np.bool_]
    mlp: NDArray[np.bool_]
    moe: NDArray[np.bool_]
    leaves_attention: NDArray[np.bool_]
    crosses: NDArray[np.bool_]


def parts_held(structure: Structure) -> PartsHeld:
    """The parts that every kernel of the main chain holds.

    The feed-forward that a SuperKernel hides is taken for experts where it begins or ends with them, or where the
    model has experts and no kernel outside SuperKernels shows them; else it is a dense one.
    """
    state = structure.state[structure.main]
    attention, mlp, moe = (np.isin(state, states) for states in (ATTENTION_STATES, MLP_STATES, MOE_STATES))
    found = PartsHeld(attention, mlp, moe, attention.copy(), np.zeros(len(state), dtype=bool))
    joined = structure.joined
    if joined is None or not joined.spans.any():
        return found
    spans = joined.spans
    first, last = reach(joined)
    passes_attention = (first <= _LAST_OF_ATTENTION) & (last >= 1)
    passes_feed_forward = (first <= _LAST_OF_FEED_FORWARD) & (last >= _FIRST_OF_FEED_FORWARD)
    at_experts = np.isin(joined.begins, MOE_STATES) | (np.isin(joined.ends, MOE_STATES) & ~joined.crosses)
    at_dense = np.isin(joined.begins, MLP_STATES) | (np.isin(joined.ends, MLP_STATES) & ~joined.crosses)
    hidden_experts = structure.classes.has_experts and not (moe & ~spans).any() and not at_experts.any()
    experts = at_experts | (hidden_experts & ~at_dense)
    found.attention[spans] = passes_attention[spans]
    found.mlp[spans] = (passes_feed_forward & ~experts)[spans]
    found.moe[spans] = (passes_feed_forward & experts)[spans]
    found.leaves_attention[spans] = np.isin(joined.ends, ATTENTION_STATES)[spans]
    found.crosses[:] = joined.crosses
    return found
