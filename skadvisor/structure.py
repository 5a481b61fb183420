"""The structure of a capture: the state of every kernel, found from names, shapes, neighbours and order together.

The main chain is decoded as one sequence; chains beside it are decoded against what the main chain does at that time.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skadvisor import evidence, grammar, learning, neighbours, sequence
from skadvisor.consensus import consensus_scores
from skadvisor.grammar import MLP_STATES, MOE_STATES, REGION_OF_STATE, STATES, State
from skadvisor.host_evidence import HostHints, host_hints
from skadvisor.kernel_classes import Classes, classify
from skadvisor.operators import Vocabulary
from skadvisor.streams import find_chains

S = State
_LATE = [S.FINAL_NORM, S.HEAD, S.SAMPLING]
_EARLY = [S.PREPARE, S.EMBEDDING, S.INPUT_NORM, S.ATTENTION_IN]
#: A chain beside the main one jumps between sub-blocks freely: order counts for this much of its weight there.
SIDE_ORDER_WEIGHT = 0.3
#: With this share of expert operators a chain beside the main one holds whole expert blocks.
EXPERT_CHAIN_SHARE = 0.15
_LAYER_ROLES = {
    "matmul", "fused_matmul_comm", "fused_matmul_norm", "attention_core", "indexer", "kv_cache", "rope", "qkv_proj",
    "router", "dispatch", "expert_matmul", "combine", "activation",
}  # fmt: skip
EXPERT_ROLES = ["router", "dispatch", "expert_matmul", "combine"]
OPTIMIZER = ("apply", "foreach", "lpnorm", "adam", "sgd")
#: With this share of training operators a capture is a training run.
TRAINING_SHARE = 0.02
#: A capture rarely begins in the middle of sampling.
START_LATE = 2.0
#: It rather ends with a whole step.
END_LATE = 3.5


@dataclass(frozen=True)
class Structure:
    """What every kernel works for.

    `state` (N,) is -1 for collectives, SuperKernels over several sub-blocks and `backward` kernels, `chain` (N,)
    likewise; `probability` (N, STATES) says how sure each state is; `main` are the rows of the main chain; `learned`
    (classes, STATES) are the scores of unknown operators that were learned, 0 where the operator is known. `hints` is
    what the host says, `structural` (N, STATES) how sure each state would be without it (None where it is silent).
    """

    classes: Classes
    state: NDArray[np.int8]
    probability: NDArray[np.float64]
    chain: NDArray[np.int16]
    main: NDArray[np.int64]
    backward: NDArray[np.bool_]
    learned: NDArray[np.float64]
    hints: HostHints | None = None
    structural: NDArray[np.float64] | None = None

    @property
    def training(self) -> bool:
        """Whether gradients, losses and optimizers make the capture a training run."""
        return bool(self.backward.any())


def find_structure(kernels: pd.DataFrame, vocabulary: Vocabulary) -> Structure:
    """Decode every kernel's state. `kernels` is a kernel table (events.KERNEL_COLUMNS), N rows in time order."""
    classes = classify(kernels, vocabulary)
    learned = learning.unknown_scores(classes, kernels)
    by_class = evidence.class_scores(classes) + learned
    state = np.full(len(kernels), -1, dtype=np.int8)
    probability = np.zeros((len(kernels), STATES))
    chain_of = np.full(len(kernels), -1, dtype=np.int16)
    spans = _spanning(classes)
    backward = _after_forward(kernels, classes)
    inside = (kernels["kind"] == "kernel").to_numpy() & ~spans[classes.of_kernel] & ~backward
    chains = find_chains(kernels, inside)
    hints = host_hints(kernels)
    structural = np.zeros_like(probability) if hints else None
    for number, rows in enumerate(chains):
        emissions = by_class[classes.of_kernel[rows]] + neighbours.neighbour_scores(classes, rows)
        said = hints.scores(rows) if hints else None
        if number == 0:
            path, sure, unaided = _decode_main(kernels, rows, emissions, classes.of_kernel[rows], said)
            if structural is not None:
                structural[rows] = unaided
        else:
            path, sure = _decode_side(kernels, rows, chains[0], state, classes, emissions, said)
        state[rows], probability[rows], chain_of[rows] = path, sure, number
    main = chains[0] if chains else np.zeros(0, dtype=np.int64)
    return Structure(classes, state, probability, chain_of, main, backward, learned, hints, structural)


def _spanning(classes: Classes) -> NDArray[np.bool_]:
    """Classes of SuperKernels over several sub-blocks that stand beside others (C,): they tell nothing about order.

    Where they hold nearly all the work, they are the layers themselves (state WHOLE_LAYER) and none is left out.
    """
    spans = np.array([item.role == "superkernel" and item.fused is None for item in classes.items], dtype=bool)
    working = np.array([item.role in _LAYER_ROLES for item in classes.items], dtype=bool)
    counts = np.array([item.count for item in classes.items])
    return spans & bool(2 * counts[working].sum() > counts[spans].sum())


def _after_forward(kernels: pd.DataFrame, classes: Classes) -> NDArray[np.bool_]:
    """Kernels from the first loss, gradient or optimizer operator of each training step on, (N,)."""
    training = classes.roles_of(classes.of_kernel) == "training"
    after = np.zeros(len(kernels), dtype=bool)
    if not len(training) or training.mean() < TRAINING_SHARE:
        return after
    step_ids = kernels["step_id"].to_numpy(dtype="float64", na_value=np.nan)
    optimizer = np.array([item.base.startswith(OPTIMIZER) for item in classes.items])[classes.of_kernel]
    for begin, end in _segments(step_ids):
        for first, last in _iterations(begin, end, training, optimizer):
            after[first:last] = np.logical_or.accumulate(training[first:last])
    return after


def _iterations(
    begin: int, end: int, training: NDArray[np.bool_], optimizer: NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """Training iterations within rows [begin, end): each ends with its optimizer, before gradients come again."""
    marked = begin + np.flatnonzero(training[begin:end])
    cuts = [
        int(row) + 1
        for row, following in itertools.pairwise(marked)
        if optimizer[row] and not optimizer[following] and training[row + 1 : following].sum() == 0
    ]
    return list(itertools.pairwise([begin, *cuts, end]))


def _decode_main(
    kernels: pd.DataFrame,
    rows: NDArray[np.int64],
    emissions: NDArray[np.float64],
    of_chain: NDArray[np.int64],
    said: NDArray[np.float64] | None,
) -> tuple[NDArray[np.int8], NDArray[np.float64], NDArray[np.float64]]:
    """Decode what each kernel says by itself and in order, then once more with what its like and the host say.

    Returns the states, how likely each is, and how likely it was at first.
    """
    transitions = grammar.transitions()
    restarts = np.zeros((STATES, STATES), dtype=bool)
    restarts[np.ix_(_LATE, _EARLY)] = True
    step_ids = kernels["step_id"].to_numpy(dtype="float64", na_value=np.nan)[rows]
    emissions[0, [S.FINAL_NORM, S.HEAD, S.SAMPLING]] -= START_LATE
    emissions[-1, _LATE] += END_LATE
    parts = [(begin, end, _restart_bonus(kernels, rows[begin:end])) for begin, end in _segments(step_ids)]
    first = np.concatenate(
        [sequence.posterior(emissions[begin:end], transitions, pause, restarts) for begin, end, pause in parts]
    )
    shaped = kernels["input_shapes"].notna().to_numpy()[rows]
    consensus = consensus_scores(of_chain, first, shaped)
    if said is not None:
        # what the host says of a kernel itself counts, not what the order alone made of its likes
        consensus = np.where(said.any(axis=1, keepdims=True), said, consensus)
    emissions = emissions + consensus
    paths, sures = [], []
    for begin, end, pause in parts:
        paths.append(sequence.decode(emissions[begin:end], transitions, pause, restarts))
        sures.append(sequence.posterior(emissions[begin:end], transitions, pause, restarts))
    return np.concatenate(paths), np.concatenate(sures), first


def _segments(step_ids: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Runs of one step id; rows without an id belong to the run before them."""
    known = pd.Series(step_ids).ffill().bfill().fillna(-1).to_numpy()
    cuts = np.flatnonzero(np.diff(known)) + 1
    edges = [0, *cuts.tolist(), len(step_ids)]
    return list(itertools.pairwise(edges))


def _restart_bonus(kernels: pd.DataFrame, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """A new step is likelier after a pause: log of the gap before each kernel over the typical gap.

    Beyond the bound only as much more as tells the longest of several pauses.
    """
    start = kernels["start_ns"].to_numpy()[rows]
    end = start + kernels["dur_ns"].to_numpy()[rows]
    gap = np.zeros(len(rows))
    gap[1:] = np.maximum(0, start[1:] - np.maximum.accumulate(end)[:-1])
    typical = max(1_000.0, float(np.median(gap)))
    longer = np.log1p(gap / typical)
    return np.minimum(4.0, 0.8 * longer) + 0.15 * np.maximum(0.0, longer - 5.0)


def _side_scores(
    kernels: pd.DataFrame, rows: NDArray[np.int64], main: NDArray[np.int64], state: NDArray[np.int8]
) -> NDArray[np.float64]:
    """What the main chain does meanwhile, as scores for kernels beside it, (len(rows), STATES)."""
    start = kernels["start_ns"].to_numpy()
    at = np.clip(np.searchsorted(start[main], start[rows], side="right") - 1, 0, len(main) - 1)
    beside = state[main[at]]
    same_region = np.array([[REGION_OF_STATE[a] == REGION_OF_STATE[b] for b in State] for a in State])
    scores = np.where(same_region[beside], 1.5, 0.0)
    in_moe_layer = _in_moe_layer(state[main])[at]
    scores[np.ix_(in_moe_layer, np.array(MLP_STATES))] -= 8.0
    return scores


def _in_moe_layer(main_state: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Whether each kernel of the main chain is in a layer with experts: between two attentions, any MoE state."""
    attention = np.isin(main_state, [S.ATTENTION_IN, S.ATTENTION_CORE])
    begins = attention & ~np.append(False, attention[:-1])
    layer = np.cumsum(begins)
    has_moe = np.bincount(layer, weights=np.isin(main_state, MOE_STATES), minlength=layer.max(initial=0) + 1) > 0
    return has_moe[layer]


def _decode_side(
    kernels: pd.DataFrame,
    rows: NDArray[np.int64],
    main: NDArray[np.int64],
    state: NDArray[np.int8],
    classes: Classes,
    emissions: NDArray[np.float64],
    said: NDArray[np.float64] | None,
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """A chain of whole expert blocks has an order of its own; any other is read by what the main chain does."""
    roles = classes.roles_of(classes.of_kernel[rows])
    if float(np.isin(roles, EXPERT_ROLES).mean()) >= EXPERT_CHAIN_SHARE:
        transitions = grammar.side_transitions()
        emissions = emissions + 0.0
        emissions[:, [state for state in State if state not in MOE_STATES]] -= 4.0
    else:
        transitions = grammar.transitions() * SIDE_ORDER_WEIGHT
        emissions = emissions + _side_scores(kernels, rows, main, state)
    if said is not None:
        emissions = emissions + said
    nothing = np.zeros(len(emissions))
    none = np.zeros((STATES, STATES), dtype=bool)
    return (
        sequence.decode(emissions, transitions, nothing, none),
        sequence.posterior(emissions, transitions, nothing, none),
    )
