"""The structure of a capture: the state of every kernel, found from names, shapes, neighbours and order together.

The main chain is decoded as one sequence; chains beside it are decoded against what the main chain does at that time.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skadvisor.events import idle_before
from skadvisor.labelling import grammar, hidden_markov, learning, superkernel_spans
from skadvisor.labelling.chains import find_chains, other_models
from skadvisor.labelling.class_table import Classes, classify
from skadvisor.labelling.companions import find_companions
from skadvisor.labelling.consensus import consensus_scores, same_work_scores
from skadvisor.labelling.hidden_markov import Order
from skadvisor.labelling.host_evidence import HostHints, host_hints
from skadvisor.labelling.rules import Votes, chain_votes, class_votes
from skadvisor.labelling.rules.votes import STRONG
from skadvisor.labelling.superkernel_spans import Joined, Tokens
from skadvisor.vocabulary.operators import Vocabulary
from skadvisor.vocabulary.states import MLP_STATES, MOE_STATES, NEVER, REGION_OF_STATE, STATES, State, role_scores

S = State
_LATE = [S.FINAL_NORM, S.HEAD, S.SAMPLING]
#: What a step without a head ends with, and what no layer holds.
_LAST, _FIRST = [S.MLP_DOWN, S.EXPERTS, S.COMBINE, S.SHARED_AFTER, S.INPUT_NORM], [S.PREPARE, S.EMBEDDING]
_EARLY = [S.PREPARE, S.EMBEDDING, S.INPUT_NORM, S.ATTENTION_IN]
#: A chain beside the main one jumps between sub-blocks freely: order counts for this much of its weight there.
SIDE_ORDER_WEIGHT = 0.3
#: With this share of expert operators a chain beside the main one holds whole expert blocks.
EXPERT_CHAIN_SHARE = 0.15
#: A chain of this length, compared with the main one's, and this share of kernels like its is the batch's other half.
TWIN_LENGTH, TWIN_LIKENESS = 0.5, 0.8
_LAYER_ROLES = {
    "matmul", "fused_matmul_comm", "fused_matmul_norm", "attention_core", "indexer", "kv_cache", "rope", "qkv_proj",
    "router", "dispatch", "expert_matmul", "combine", "activation",
}  # fmt: skip
_ROUTED = [S.ROUTER, S.DISPATCH, S.EXPERTS]
EXPERT_ROLES = ["router", "dispatch", "expert_matmul", "combine"]
#: With this share of training operators a capture is a training run.
TRAINING_SHARE = 0.02
#: A capture rarely begins in the middle of sampling.
START_LATE = 2.0
#: It rather ends with a whole step.
END_LATE = 3.5


@dataclass(frozen=True)
class Structure:
    """What every kernel works for.

    `state` and `chain` (N,) are -1 for collectives, `backward` kernels, those `apart` (layers of another model before
    the decoder, such as a vision tower), companions (`served` (N,) is the row that they belong to, -1 for all others)
    and what the vocabulary puts outside the order of a step. `probability` (N, STATES) says how sure each state is;
    `main` are the rows of the main chain; `learned` (classes, STATES) are the scores of unknown operators that were
    learned, 0 where the operator is known. `joined` says where on the main chain SuperKernels begin and end (None where
    there is no main chain), `of_classes` and `of_chains` are the rules' votes, `overruled` is how much evidence per
    kernel is against the states of the main chain. `hints` is what the host says, `structural` (N, STATES) how sure
    each state would be without it (None where it is silent).
    """

    classes: Classes
    state: NDArray[np.int8]
    probability: NDArray[np.float64]
    chain: NDArray[np.int16]
    main: NDArray[np.int64]
    backward: NDArray[np.bool_]
    apart: NDArray[np.bool_]
    served: NDArray[np.int64]
    learned: NDArray[np.float64]
    joined: Joined | None
    of_classes: Votes
    of_chains: tuple[Votes, ...]
    overruled: float = 0.0
    hints: HostHints | None = None
    structural: NDArray[np.float64] | None = None

    @property
    def fused(self) -> NDArray[np.bool_]:
        """SuperKernels that are no sub-block by their scope's name, (N,)."""
        several = [item.role == "superkernel" and item.fused is None for item in self.classes.items]
        return np.array(several, dtype=bool)[self.classes.of_kernel]

    @property
    def crosses(self) -> NDArray[np.bool_]:
        """SuperKernels that end in another layer than they begin in, (N,)."""
        found = np.zeros(len(self.state), dtype=bool)
        if self.joined is not None:
            found[self.main] = self.joined.crosses
        return found

    @property
    def training(self) -> bool:
        """Whether gradients, losses and optimizers make the capture a training run."""
        return bool(self.backward.any())


def find_structure(
    kernels: pd.DataFrame, vocabulary: Vocabulary, *, with_learned: bool = True, without: Collection[str] = ()
) -> Structure:
    """Decode every kernel's state. `kernels` is a kernel table (events.KERNEL_COLUMNS), N rows in time order.

    Without `with_learned`, what was learned from other captures is left out, as are the rules named in `without`.
    """
    classes = classify(kernels, vocabulary)
    backward = _after_forward(kernels, classes)
    if backward.any():
        classes = classes.without_sampling()
    learned = learning.unknown_scores(classes, kernels) if with_learned else np.zeros((len(classes.items), STATES))
    working = np.array([item.role in _LAYER_ROLES for item in classes.items], dtype=bool)
    spans = superkernel_spans.spanning_classes(classes, working)
    ends = superkernel_spans.end_scores(classes, spans)
    of_classes = class_votes(classes, without)
    by_class = name_scores(classes) + of_classes.scores + learned
    by_class[spans] = np.maximum(*ends)[spans]
    state = np.full(len(kernels), -1, dtype=np.int8)
    probability = np.zeros((len(kernels), STATES))
    chain_of = np.full(len(kernels), -1, dtype=np.int16)
    joined: Joined | None = None
    overruled = 0.0
    outside = np.array([item.outside for item in classes.items], dtype=bool)[classes.of_kernel]
    inside = (kernels["kind"] == "kernel").to_numpy() & ~backward & ~outside
    served = find_companions(kernels, classes, inside)
    inside &= served < 0
    chains = find_chains(kernels, inside, classes.roles_of(classes.of_kernel) == "superkernel")
    apart = np.zeros(len(kernels), dtype=bool)
    if chains and not backward.any():
        beside = other_models(classes, chains[0])
        apart[chains[0][beside]] = True
        chains[0] = chains[0][~beside]
    hints = host_hints(kernels)
    structural = np.zeros_like(probability) if hints else None
    of_chains: list[Votes] = []
    for number, rows in enumerate(chains):
        of_chain = classes.of_kernel[rows]
        votes = chain_votes(classes, of_chain, without)
        of_chains.append(votes)
        emissions = by_class[of_chain] + votes.scores
        said = hints.scores(rows) if hints else None
        if number == 0 or _is_twin(of_chain, classes.of_kernel[chains[0]], classes):
            if number == 0 and _experts_beside(classes, rows, inside):
                emissions[:, _ROUTED] -= STRONG
            tokens = superkernel_spans.split_in_tokens(spans[of_chain])
            scores = superkernel_spans.token_scores(tokens, spans[of_chain], emissions, ends, of_chain)
            closes = np.array(["ends_with_norm" in item.properties for item in classes.items], dtype=bool)[of_chain]
            halves = _decode_main(kernels, rows, tokens, scores, of_chain, closes, said)
            decoded = superkernel_spans.join_tokens(tokens, *halves)
            path, sure = decoded.state, decoded.sure
            if structural is not None:
                structural[rows] = decoded.unaided
            if number == 0:
                joined = decoded
                overruled = _overruled(scores, halves[0])
        else:
            path, sure = _decode_side(kernels, rows, chains[0], state, classes, emissions, said)
        state[rows], probability[rows], chain_of[rows] = path, sure, number
    main = chains[0] if chains else np.zeros(0, dtype=np.int64)
    return Structure(
        classes,
        state,
        probability,
        chain_of,
        main,
        backward,
        apart,
        served,
        learned,
        joined,
        of_classes,
        tuple(of_chains),
        overruled,
        hints,
        structural,
    )


def _overruled(emissions: NDArray[np.float64], state: NDArray[np.int8]) -> float:
    """How much better the best state by itself is than the decoded one, natural-log odds, mean over kernels."""
    return float((emissions.max(axis=1) - emissions[np.arange(len(state)), state]).mean()) if len(state) else 0.0


def name_scores(classes: Classes) -> NDArray[np.float64]:
    """What each class's role by its name says of its states, (classes, STATES)."""
    scores = np.array([role_scores(item.role) for item in classes.items]).reshape(-1, STATES)
    whole = np.array([item.role == "superkernel" and item.fused is None for item in classes.items], dtype=bool)
    scores[whole] = NEVER
    scores[whole, S.WHOLE_LAYER] = 0.0
    return scores


def _is_twin(of_chain: NDArray[np.int64], of_main: NDArray[np.int64], classes: Classes) -> bool:
    """Whether a chain beside the main one runs whole layers of its own: the other half of the batch.

    It is about as long, of the same kernels, and has norms that the main chain's sub-blocks stand between.
    """
    if len(of_chain) < TWIN_LENGTH * len(of_main):
        return False
    same = float(np.isin(of_chain, of_main).mean())
    norms = np.isin(classes.roles_of(of_chain), ["norm", "residual_norm", "fused_matmul_norm"])
    return same >= TWIN_LIKENESS and bool(norms.any())


def _experts_beside(classes: Classes, main: NDArray[np.int64], inside: NDArray[np.bool_]) -> bool:
    """Whether experts are chosen and work on other streams only."""
    expert = np.isin(classes.roles_of(classes.of_kernel), EXPERT_ROLES) & inside
    return bool(expert.any()) and not expert[main].any()


def _after_forward(kernels: pd.DataFrame, classes: Classes) -> NDArray[np.bool_]:
    """Kernels from the first loss, gradient or optimizer operator of each training step on, (N,)."""
    training = classes.roles_of(classes.of_kernel) == "training"
    after = np.zeros(len(kernels), dtype=bool)
    if not len(training) or training.mean() < TRAINING_SHARE:
        return after
    step_ids = kernels["step_id"].to_numpy(dtype="float64", na_value=np.nan)
    optimizer = np.array(["updates_weights" in item.properties for item in classes.items])[classes.of_kernel]
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
    tokens: Tokens,
    emissions: NDArray[np.float64],
    of_chain: NDArray[np.int64],
    closes: NDArray[np.bool_],
    said: NDArray[np.float64] | None,
) -> tuple[NDArray[np.int8], NDArray[np.float64], NDArray[np.float64]]:
    """Decode what each kernel says by itself and in order, then once more with what its like and the host say.

    `closes` (len(of_chain),) marks kernels that end a sub-block with the next one's norm in them.
    Returns the states of the tokens, how likely each is, and how likely it was at first.
    """
    restarts = np.zeros((STATES, STATES), dtype=bool)
    restarts[np.ix_(_LATE, _EARLY)] = True
    restarts[np.ix_(_LAST, _FIRST)] = True
    rows = rows[tokens.place]
    step_ids = kernels["step_id"].to_numpy(dtype="float64", na_value=np.nan)[rows]
    emissions[0, [S.FINAL_NORM, S.HEAD, S.SAMPLING]] -= START_LATE
    emissions[-1, _LATE] += END_LATE
    # into a kernel as usual, right behind a norm in a projection, and to the other end of a SuperKernel
    transitions = np.stack([grammar.transitions(), grammar.transitions_behind_norms(), superkernel_spans.leap_scores()])
    ways = np.where(tokens.leaps, 2, np.append(False, closes[tokens.place][:-1])).astype(np.int8)
    parts = [
        (begin, end, Order(transitions, ways[begin:end], _restart_bonus(kernels, rows[begin:end]), restarts))
        for begin, end in _segments(step_ids)
    ]
    first = np.concatenate([hidden_markov.posterior(emissions[begin:end], order) for begin, end, order in parts])
    shaped = kernels["input_shapes"].notna().to_numpy()[rows]
    consensus = consensus_scores(tokens.looks(of_chain), first, shaped)
    if said is not None:
        # what the host says of a kernel itself counts, not what the order alone made of its likes
        told = said[tokens.place]
        consensus = np.where(told.any(axis=1, keepdims=True), told, consensus)
    emissions = emissions + consensus + same_work_scores(tokens.looks(of_chain), first, shaped)
    paths, sures = [], []
    for begin, end, order in parts:
        paths.append(hidden_markov.decode(emissions[begin:end], order))
        sures.append(hidden_markov.posterior(emissions[begin:end], order))
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
    gap = idle_before(kernels["start_ns"].to_numpy()[rows], kernels["dur_ns"].to_numpy()[rows])
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
        on_main = np.isin(classes.roles_of(classes.of_kernel[main]), EXPERT_ROLES).any()
        if on_main and not np.isin(roles, EXPERT_ROLES).any():
            # experts are chosen and work on the main chain: what runs beside them is shared
            emissions[:, [*_ROUTED, S.COMBINE]] -= STRONG
    if said is not None:
        emissions = emissions + said
    count = len(emissions)
    never = np.zeros((STATES, STATES), dtype=bool)
    order = Order(transitions[None], np.zeros(count, dtype=np.int8), np.zeros(count), never)
    return hidden_markov.decode(emissions, order), hidden_markov.posterior(emissions, order)
