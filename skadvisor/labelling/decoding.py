"""Decoding a chain: what each kernel says by itself, in order, with what its like and the host say.

The main chain is one sequence of steps. Chains beside it are read against what it does meanwhile.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skadvisor.events import idle_before
from skadvisor.labelling import grammar, hidden_markov, superkernel_spans
from skadvisor.labelling.class_table import Classes
from skadvisor.labelling.consensus import consensus_scores, same_work_scores
from skadvisor.labelling.hidden_markov import Order
from skadvisor.labelling.levels import CERTAIN, CLEAR, SLIGHT, STRONG
from skadvisor.labelling.superkernel_spans import Tokens
from skadvisor.vocabulary.arrays import Flags, Floats, Ints
from skadvisor.vocabulary.states import MLP_STATES, MOE_STATES, REGION_NUMBER, STATES, State

S = State
_LATE = [S.FINAL_NORM, S.HEAD, S.SAMPLING]
#: What a step without a head ends with, and what no layer holds.
_LAST, _FIRST = [S.MLP_DOWN, S.EXPERTS, S.COMBINE, S.SHARED_AFTER, S.INPUT_NORM], [S.PREPARE, S.EMBEDDING]
_EARLY = [S.PREPARE, S.EMBEDDING, S.INPUT_NORM, S.ATTENTION_IN]
#: A chain beside the main one jumps between sub-blocks freely: order counts for this much of its weight there.
SIDE_ORDER_WEIGHT = 0.3
#: With this share of expert operators a chain beside the main one holds whole expert blocks.
EXPERT_CHAIN_SHARE = 0.15
ROUTED = [S.ROUTER, S.DISPATCH, S.EXPERTS]
EXPERT_ROLES = ["router", "dispatch", "expert_matmul", "combine"]
#: A capture rarely begins in the middle of sampling.
START_LATE = CLEAR
#: It rather ends with a whole step.
END_LATE = STRONG


@dataclass(frozen=True, eq=False)
class MainChain:
    """The kernels of a chain that are read, (n,) each: class, whether shapes are known, whether one `closes` a
    sub-block with the next one's norm in it, the part that it is decoded in, the score of the pause before it, how many
    kernels it stands for; and what the host says, (n, STATES).
    """

    classes: Ints
    shaped: Flags
    closes: Flags
    parts: Ints
    pauses: Floats
    weight: Ints
    said: Floats | None


def decode_main(chain: MainChain, tokens: Tokens, emissions: Floats) -> tuple[NDArray[np.int8], Floats, Floats]:
    """Decode what each kernel says by itself and in order, then once more with what its like and the host say.

    Returns the states of the tokens, how likely each is, and how likely it was at first.
    """
    restarts = np.zeros((STATES, STATES), dtype=bool)
    restarts[np.ix_(_LATE, _EARLY)] = True
    restarts[np.ix_(_LAST, _FIRST)] = True
    place = tokens.place
    emissions[0, [S.FINAL_NORM, S.HEAD, S.SAMPLING]] -= START_LATE
    emissions[-1, _LATE] += END_LATE
    # into a kernel as usual, right behind a norm in a projection, and to the other end of a SuperKernel
    transitions = np.stack([grammar.transitions(), grammar.transitions_behind_norms(), superkernel_spans.leap_scores()])
    ways = np.where(tokens.leaps, 2, np.append(False, chain.closes[place][:-1])).astype(np.int8)
    pauses = np.where(tokens.leaps, 0.0, chain.pauses[place])
    edges = [0, *(np.flatnonzero(np.diff(chain.parts[place])) + 1).tolist(), len(place)]
    parts = [
        (begin, end, Order(transitions, ways[begin:end], pauses[begin:end], restarts))
        for begin, end in itertools.pairwise(edges)
    ]
    first = np.concatenate([hidden_markov.posterior(emissions[begin:end], order) for begin, end, order in parts])
    alike = tokens.looks(chain.classes), first, chain.shaped[place], chain.weight[place]
    consensus = consensus_scores(*alike)
    if chain.said is not None:
        # what the host says of a kernel itself counts, not what the order alone made of its likes
        told = chain.said[place]
        consensus = np.where(told.any(axis=1, keepdims=True), told, consensus)
    emissions = emissions + consensus + same_work_scores(*alike)
    paths, sures = [], []
    for begin, end, order in parts:
        paths.append(hidden_markov.decode(emissions[begin:end], order))
        sures.append(hidden_markov.posterior(emissions[begin:end], order))
    return np.concatenate(paths), np.concatenate(sures), first


def changes(step_ids: Floats) -> Flags:
    """Before which rows but the first another step id begins, (n - 1,); rows without one belong to those before."""
    return np.diff(pd.Series(step_ids).ffill().bfill().fillna(-1).to_numpy()) != 0


def segments(step_ids: Floats) -> list[tuple[int, int]]:
    """Runs of one step id."""
    return list(itertools.pairwise([0, *(np.flatnonzero(changes(step_ids)) + 1).tolist(), len(step_ids)]))


def find_pauses(kernels: pd.DataFrame, rows: Ints) -> tuple[Ints, Floats]:
    """The part that each kernel is decoded in, one per step id, and the score of the pause before it there, (n,)."""
    parts, pauses = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows))
    step_ids = kernels["step_id"].to_numpy(dtype="float64", na_value=np.nan)[rows]
    start = kernels["start_ns"].to_numpy()[rows]
    length = kernels["dur_ns"].to_numpy()[rows]
    for number, (first, last) in enumerate(segments(step_ids)):
        parts[first:last] = number
        pauses[first:last] = _restart_bonus(idle_before(start[first:last], length[first:last]))
    return parts, pauses


def _restart_bonus(gap: Ints) -> Floats:
    """A new step is likelier after a pause: log of the gap before each kernel (ns) over the typical gap.

    Beyond the bound only as much more as tells the longest of several pauses.
    """
    typical = max(1_000.0, float(np.median(gap)))
    longer = np.log1p(gap / typical)
    return np.minimum(4.0, 0.8 * longer) + 0.15 * np.maximum(0.0, longer - 5.0)


def meanwhile(kernels: pd.DataFrame, rows: Ints, main: Ints, state: NDArray[np.int8]) -> tuple[NDArray[np.int8], Flags]:
    """For each of these rows the state of the main chain's kernel that runs, or ran last, when it starts.

    And whether that one's layer has experts.
    """
    start = kernels["start_ns"].to_numpy()
    at = np.clip(np.searchsorted(start[main], start[rows], side="right") - 1, 0, len(main) - 1)
    return state[main[at]], _in_moe_layer(state[main])[at]


def _side_scores(kernels: pd.DataFrame, rows: Ints, main: Ints, state: NDArray[np.int8]) -> Floats:
    """What the main chain does meanwhile, as scores for kernels beside it, (len(rows), STATES)."""
    beside, in_moe_layer = meanwhile(kernels, rows, main, state)
    scores = np.where(REGION_NUMBER[beside, None] == REGION_NUMBER, SLIGHT, 0.0)
    scores[np.ix_(in_moe_layer, np.array(MLP_STATES))] -= CERTAIN
    return scores


def _in_moe_layer(main_state: NDArray[np.int8]) -> Flags:
    """Whether each kernel of the main chain is in a layer with experts: between two attentions, any MoE state."""
    attention = np.isin(main_state, [S.ATTENTION_IN, S.ATTENTION_CORE])
    begins = attention & ~np.append(False, attention[:-1])
    layer = np.cumsum(begins)
    has_moe = np.bincount(layer, weights=np.isin(main_state, MOE_STATES), minlength=layer.max(initial=0) + 1) > 0
    return has_moe[layer]


def decode_side(
    kernels: pd.DataFrame,
    rows: Ints,
    main: Ints,
    state: NDArray[np.int8],
    classes: Classes,
    emissions: Floats,
    said: Floats | None,
) -> tuple[NDArray[np.int8], Floats]:
    """A chain of whole expert blocks has an order of its own; any other is read by what the main chain does."""
    roles = classes.roles_of(classes.of_kernel[rows])
    if float(np.isin(roles, EXPERT_ROLES).mean()) >= EXPERT_CHAIN_SHARE:
        transitions = grammar.side_transitions()
        emissions = emissions + 0.0
        emissions[:, [state for state in State if state not in MOE_STATES]] -= STRONG
    else:
        transitions = grammar.transitions() * SIDE_ORDER_WEIGHT
        emissions = emissions + _side_scores(kernels, rows, main, state)
        on_main = np.isin(classes.roles_of(classes.of_kernel[main]), EXPERT_ROLES).any()
        if on_main and not np.isin(roles, EXPERT_ROLES).any():
            # experts are chosen and work on the main chain: what runs beside them is shared
            emissions[:, [*ROUTED, S.COMBINE]] -= STRONG
    if said is not None:
        emissions = emissions + said
    count = len(emissions)
    never = np.zeros((STATES, STATES), dtype=bool)
    order = Order(transitions[None], np.zeros(count, dtype=np.int8), np.zeros(count), never)
    return hidden_markov.decode(emissions, order), hidden_markov.posterior(emissions, order)
