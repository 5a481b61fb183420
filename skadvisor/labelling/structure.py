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

from skadvisor.labelling import learning, superkernel_spans
from skadvisor.labelling.chains import find_chains, find_companions, other_models
from skadvisor.labelling.class_table import Classes, classify
from skadvisor.labelling.decoding import (
    EXPERT_ROLES,
    ROUTED,
    MainChain,
    decode_main,
    decode_side,
    find_pauses,
    meanwhile,
    segments,
)
from skadvisor.labelling.host_evidence import HostHints, host_hints
from skadvisor.labelling.levels import STRONG
from skadvisor.labelling.repeats import Repeats, find_repeats
from skadvisor.labelling.rules import Votes, chain_votes, class_votes
from skadvisor.labelling.superkernel_spans import Joined
from skadvisor.vocabulary.arrays import Flags, Floats, Ints
from skadvisor.vocabulary.operators import Vocabulary
from skadvisor.vocabulary.states import NEVER, REGION_NUMBER, STATE_REGIONS, STATES, State, role_scores

S = State
#: A chain of this length, compared with the main one's, and this share of kernels like its is the batch's other half.
TWIN_LENGTH, TWIN_LIKENESS = 0.5, 0.8
_LAYER_ROLES = {
    "matmul", "fused_matmul_comm", "fused_matmul_norm", "attention_core", "indexer", "kv_cache", "rope", "qkv_proj",
    "router", "dispatch", "expert_matmul", "combine", "activation",
}  # fmt: skip
#: With this share of training operators a capture is a training run.
TRAINING_SHARE = 0.02


@dataclass(frozen=True, eq=False)
class Probabilities:
    """How sure each state of each kernel is, kept once for all that were read alike.

    `place` (N,) is each kernel's row in `distinct` (M, STATES), whose first one, all zeros, is of those in no chain.
    """

    distinct: Floats
    place: Ints

    @classmethod
    def of_chains(cls, count: int, read: list[tuple[Ints, Ints, Floats]]) -> Probabilities:
        """Of `count` kernels, from each chain's rows, which of those read each one is like, and how sure these are."""
        distinct, place = [np.zeros((1, STATES))], np.zeros(count, dtype=np.int64)
        for rows, like, sure in read:
            place[rows] = sum(map(len, distinct)) + like
            distinct.append(sure)
        return cls(np.concatenate(distinct), place)

    def of(self, rows: Ints | int) -> Floats:
        """Those of some kernels, (rows, STATES)."""
        return self.distinct[self.place[rows]]


@dataclass(frozen=True)
class Structure:
    """What every kernel works for.

    `state` and `chain` (N,) are -1 for collectives, `backward` kernels, those `apart` (layers of another model before
    the decoder, such as a vision tower), companions (`served` (N,) is the row that they belong to, -1 for all others)
    and what the vocabulary puts outside the order of a step. `probability` says how sure each state is; `main` are
    the rows of the main chain; `learned` (classes, STATES) are the scores of unknown operators that were learned, 0
    where the operator is known. `joined` says where on the main chain SuperKernels begin and end (None where there is
    no main chain), `of_classes` and `of_chains` are the rules' votes, `overruled` is how much evidence per kernel is
    against the states of the main chain. `hints` is what the host says, `structural` (N, STATES) how sure each state
    would be without it (None where it is silent).
    """

    classes: Classes
    state: NDArray[np.int8]
    probability: Probabilities
    chain: NDArray[np.int16]
    main: Ints
    backward: Flags
    apart: Flags
    served: Ints
    learned: Floats
    joined: Joined | None
    of_classes: Votes
    of_chains: tuple[Votes, ...]
    overruled: float = 0.0
    hints: HostHints | None = None
    structural: Floats | None = None

    @property
    def fused(self) -> Flags:
        """SuperKernels that are no sub-block by their scope's name, (N,)."""
        return self.classes.kernels_where(lambda item: item.spans)

    @property
    def crosses(self) -> Flags:
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
    state = np.full(len(kernels), -1, dtype=np.int8)
    chain_of = np.full(len(kernels), -1, dtype=np.int16)
    joined, overruled = None, 0.0
    inside = (kernels["kind"] == "kernel").to_numpy() & ~backward & ~classes.kernels_where(lambda item: item.outside)
    served = find_companions(kernels, classes, inside)
    inside &= served < 0
    chains = find_chains(kernels, inside, classes.roles_of(classes.of_kernel) == "superkernel")
    apart = np.zeros(len(kernels), dtype=bool)
    if chains and not backward.any():
        apart[chains[0]] = other_models(classes, chains[0])
        chains[0] = chains[0][~apart[chains[0]]]
    hints = host_hints(kernels)
    structural = np.zeros((len(kernels), STATES)) if hints else None
    of_classes = class_votes(classes, without)
    given = _Given.of(kernels, classes, of_classes.scores + learned, hints, without)
    of_chains: list[Votes] = []
    read: list[tuple[Ints, Ints, Floats]] = []
    for number, rows in enumerate(chains):
        if number and not _is_twin(classes.of_kernel[rows], classes.of_kernel[chains[0]], classes):
            votes, path, sure, like = given.read_side(rows, chains[0], state)
        else:
            experts_beside = number == 0 and _experts_beside(classes, rows, inside)
            votes, decoded, like, against = given.read_main(rows, experts_beside)
            path, sure = decoded.state, decoded.sure
            if structural is not None:
                structural[rows] = decoded.unaided[like]
            if number == 0:
                joined, overruled = decoded, against
        of_chains.append(votes)
        read.append((rows, like, sure))
        state[rows], chain_of[rows] = path, number
    return Structure(
        classes,
        state,
        Probabilities.of_chains(len(kernels), read),
        chain_of,
        chains[0] if chains else np.zeros(0, dtype=np.int64),
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


@dataclass(frozen=True, eq=False)
class _Given:
    """What chains are read by: the kernel table, its classes, and what is known of them before any order."""

    kernels: pd.DataFrame
    classes: Classes
    by_class: Floats
    spans: Flags
    ends: tuple[Floats, Floats]
    hints: HostHints | None
    without: Collection[str]

    @classmethod
    def of(
        cls, kernels: pd.DataFrame, classes: Classes, scores: Floats, hints: HostHints | None, without: Collection[str]
    ) -> _Given:
        """From what rules and learning say of each class, `scores` (classes, STATES)."""
        spans = superkernel_spans.spanning_classes(classes, classes.which(lambda item: item.role in _LAYER_ROLES))
        ends = superkernel_spans.end_scores(classes, spans)
        by_class = name_scores(classes) + scores
        by_class[spans] = np.maximum(*ends)[spans]
        return cls(kernels, classes, by_class, spans, ends, hints, without)

    def read_main(self, rows: Ints, routed_beside: bool) -> tuple[Votes, Joined, Ints, float]:
        """The votes, what the kernels do, which of those read each is like, and how much is against it.

        `routed_beside`: no expert works on this chain.
        """
        of_chain = self.classes.of_kernel[rows]
        said = self.hints.scores(rows) if self.hints else None
        parts, pauses = find_pauses(self.kernels, rows)
        if said is not None or self.spans[of_chain].any():
            repeats = Repeats.none(len(rows))
        else:
            repeats = find_repeats(2 * of_chain + np.append(0, np.diff(parts))[: len(rows)], pauses)
        kept, of_kept = repeats.kept, of_chain[repeats.kept]
        votes = chain_votes(self.classes, of_kept, self.without, repeats.like)
        emissions = self.by_class[of_kept] + votes.scores
        if routed_beside:
            emissions[:, ROUTED] -= STRONG
        spanning = self.spans[of_kept]
        tokens = superkernel_spans.split_in_tokens(spanning)
        scores = superkernel_spans.token_scores(tokens, spanning, emissions, self.ends, of_kept)
        shaped = self.kernels["input_shapes"].notna().to_numpy()[rows[kept]]
        closes = self.classes.which(lambda item: "ends_with_norm" in item.properties)[of_kept]
        chain = MainChain(of_kept, shaped, closes, parts[kept], pauses[kept], repeats.weight, said)
        halves = decode_main(chain, tokens, scores)
        decoded = superkernel_spans.join_tokens(tokens, *halves).of(repeats.like)
        return votes, decoded, repeats.like, _overruled(scores, halves[0], repeats.weight[tokens.place])

    def read_side(
        self, rows: Ints, main: Ints, state: NDArray[np.int8]
    ) -> tuple[Votes, NDArray[np.int8], Floats, Ints]:
        """The votes and the states of a chain beside the main one, whose `state` is known.

        Beside them how likely each state of the kernels is that were read, and which of these each kernel is like.
        """
        of_chain = self.classes.of_kernel[rows]
        said = self.hints.scores(rows) if self.hints else None
        met, with_experts = meanwhile(self.kernels, rows, main, state)
        look = (of_chain * len(STATE_REGIONS) + REGION_NUMBER[met]) * 2 + with_experts
        repeats = Repeats.none(len(rows)) if said is not None else find_repeats(look)
        of_kept = of_chain[repeats.kept]
        votes = chain_votes(self.classes, of_kept, self.without, repeats.like)
        emissions = self.by_class[of_kept] + votes.scores
        path, sure = decode_side(self.kernels, rows[repeats.kept], main, state, self.classes, emissions, said)
        return votes, path[repeats.like], sure, repeats.like


def _overruled(emissions: Floats, state: NDArray[np.int8], weight: Ints) -> float:
    """How much better the best state by itself is than the decoded one, natural-log odds, mean over kernels."""
    if not len(state):
        return 0.0
    lost = emissions.max(axis=1) - emissions[np.arange(len(state)), state]
    return float(np.average(lost, weights=weight))


def name_scores(classes: Classes) -> Floats:
    """What each class's role by its name says of its states, (classes, STATES)."""
    scores = np.array([role_scores(item.role) for item in classes.items]).reshape(-1, STATES)
    whole = classes.which(lambda item: item.spans)
    scores[whole] = NEVER
    scores[whole, S.WHOLE_LAYER] = 0.0
    return scores


def _is_twin(of_chain: Ints, of_main: Ints, classes: Classes) -> bool:
    """Whether a chain beside the main one runs whole layers of its own: the other half of the batch.

    It is about as long, of the same kernels, and has norms that the main chain's sub-blocks stand between.
    """
    if len(of_chain) < TWIN_LENGTH * len(of_main):
        return False
    same = float(np.isin(of_chain, of_main).mean())
    norms = np.isin(classes.roles_of(of_chain), ["norm", "residual_norm", "fused_matmul_norm"])
    return same >= TWIN_LIKENESS and bool(norms.any())


def _experts_beside(classes: Classes, main: Ints, inside: Flags) -> bool:
    """Whether experts are chosen and work on other streams only."""
    expert = np.isin(classes.roles_of(classes.of_kernel), EXPERT_ROLES) & inside
    return bool(expert.any()) and not expert[main].any()


def _after_forward(kernels: pd.DataFrame, classes: Classes) -> Flags:
    """Kernels from the first loss, gradient or optimizer operator of each training step on, (N,)."""
    training = classes.roles_of(classes.of_kernel) == "training"
    after = np.zeros(len(kernels), dtype=bool)
    if not len(training) or training.mean() < TRAINING_SHARE:
        return after
    step_ids = kernels["step_id"].to_numpy(dtype="float64", na_value=np.nan)
    optimizer = classes.kernels_where(lambda item: "updates_weights" in item.properties)
    for begin, end in segments(step_ids):
        for first, last in _iterations(begin, end, training, optimizer):
            after[first:last] = np.logical_or.accumulate(training[first:last])
    return after


def _iterations(begin: int, end: int, training: Flags, optimizer: Flags) -> list[tuple[int, int]]:
    """Training iterations within rows [begin, end): each ends with its optimizer, before gradients come again."""
    marked = begin + np.flatnonzero(training[begin:end])
    cuts = [
        int(row) + 1
        for row, following in itertools.pairwise(marked)
        if optimizer[row] and not optimizer[following] and training[row + 1 : following].sum() == 0
    ]
    return list(itertools.pairwise([begin, *cuts, end]))
