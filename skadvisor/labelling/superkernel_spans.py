"""SuperKernels over several sub-blocks: read as two kernels, their first and their last operator, with a leap between.

The rows of a capture with SuperKernels on name only the operators that a SuperKernel begins and ends with. Where these
or the kernels between SuperKernels still tell the order, both have places in it, and what lies between them follows
from the grammar of a layer. A SuperKernel that begins in one layer and ends in the next belongs to neither.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skadvisor.labelling.class_table import Classes
from skadvisor.labelling.grammar import as_probabilities
from skadvisor.labelling.levels import CERTAIN, SETTLED, SLIGHT
from skadvisor.vocabulary.arrays import Flags, Floats, Ints
from skadvisor.vocabulary.states import (
    FIRST_TO_LAST,
    MLP_STATES,
    MOE_STATES,
    NORM_STATES,
    REGION_OF_STATE,
    STATES,
    State,
    role_scores,
)

S = State
#: Costs of a leap: per stage that it passes, into the next layer, within one norm, and to where no scope reaches.
_PER_STAGE, _NEXT_LAYER, _ONE_NORM, _OUT_OF_LAYERS = SLIGHT / 7, SLIGHT, CERTAIN, 2 * SETTLED
#: The stage that stands for a SuperKernel within one region.
_STAGE_OF_REGION = {"attention": S.ATTENTION_CORE, "mlp": S.MLP_UP, "moe": S.EXPERTS, "norm": S.POST_NORM}
#: Operators that may stand anywhere in a layer: as ends of a SuperKernel they tell nothing.
_ANYWHERE = {"matmul", "layout", "cast", "add", "elementwise", "reduce", "quantise", "adapter", "gather", "unknown"}


@dataclass(frozen=True)
class Tokens:
    """The kernels of a chain, each SuperKernel over several sub-blocks twice.

    `place` (T,) is the position in the chain, `leaps` (T,) marks the second half of a SuperKernel.
    """

    place: Ints
    leaps: Flags

    def looks(self, of_chain: Ints) -> Ints:
        """A number per token that kernels which look alike share; `of_chain` (N,) are the kernels' classes."""
        return of_chain[self.place] + self.leaps * (int(of_chain.max(initial=0)) + 1)


@dataclass(frozen=True)
class Joined:
    """What the kernels of a chain do, (N,): `begins` and `ends` differ in SuperKernels only.

    `spans` marks those; `state` is WHOLE_LAYER where one works for several regions, `crosses` marks those that end in
    another layer than they begin in; `sure` (read, STATES) says how likely each state of the kernels is that were read,
    `unaided` what it was at first.
    """

    state: NDArray[np.int8]
    begins: NDArray[np.int8]
    ends: NDArray[np.int8]
    spans: Flags
    crosses: Flags
    sure: Floats
    unaided: Floats

    def of(self, like: Ints) -> Joined:
        """What the kernels of a longer chain do of which each is like one of these, `like` (N,) says which."""
        return Joined(**{name: values[like] if values.ndim == 1 else values for name, values in vars(self).items()})


def split_in_tokens(spanning: Flags) -> Tokens:
    """The tokens of a chain whose `spanning` (N,) kernels stand for two."""
    place = np.repeat(np.arange(len(spanning)), 1 + spanning)
    leaps = np.append(False, place[1:] == place[:-1]) if len(place) else np.zeros(0, dtype=bool)
    return Tokens(place, leaps)


def spanning_classes(classes: Classes, working: Flags) -> Flags:
    """Classes of SuperKernels over several sub-blocks whose begin and end have a place in the order, (C,).

    Where the order tells nothing they are the layers themselves (state WHOLE_LAYER), and none is marked: they follow
    directly upon their like, or hold nearly all the work (`working` (C,) are other kernels' classes that do layers'
    work) without saying with what they begin.
    """
    spans = classes.which(lambda item: item.spans)
    if not spans.any():
        return spans
    counts = np.array([item.count for item in classes.items])
    telling = classes.which(lambda item: not set(item.ends) <= _ANYWHERE)
    fused = int(counts[spans].sum())
    rows = classes.of_kernel
    repeated = int((spans[rows[1:]] & (rows[1:] == rows[:-1])).sum())
    if 2 * repeated > fused or 2 * int(counts[working | (spans & telling)].sum()) <= fused:
        return np.zeros_like(spans)
    return spans


def end_scores(classes: Classes, spans: Flags) -> tuple[Floats, Floats]:
    """What the first and the last operator of the classes that span sub-blocks say, (classes, STATES) twice."""
    scores = np.zeros((2, len(classes.items), STATES))
    for number in np.flatnonzero(spans).tolist():
        for end, role in enumerate(classes.items[number].ends):
            scores[end, number] = role_scores(role)
    return scores[0], scores[1]


def token_scores(
    tokens: Tokens, spanning: Flags, emissions: Floats, ends: tuple[Floats, Floats], of_chain: Ints
) -> Floats:
    """The scores of the tokens, (T, STATES), from those of the kernels and of the operators at SuperKernels' ends."""
    scores = emissions[tokens.place]
    halves = spanning[tokens.place]
    for chosen, end in zip((halves & ~tokens.leaps, halves & tokens.leaps), ends, strict=True):
        scores[chosen] = end[of_chain[tokens.place[chosen]]]
    return scores


def leap_scores() -> Floats:
    """Log scores from the first to the last stage of a SuperKernel, (STATES, STATES): no further than one layer.

    A norm at the end closes the layer that it ends.
    """
    scores = np.full((STATES, STATES), -_OUT_OF_LAYERS)
    closing = FIRST_TO_LAST[S.FINAL_NORM]
    for begin, place in FIRST_TO_LAST.items():
        for end, other in FIRST_TO_LAST.items():
            if other >= place or end == S.INPUT_NORM:
                scores[begin, end] = -_PER_STAGE * (closing - place if end == S.INPUT_NORM else other - place)
            else:
                scores[begin, end] = -_NEXT_LAYER - _PER_STAGE * (other - place + closing)
    scores[NORM_STATES, NORM_STATES] -= _ONE_NORM
    scores[np.ix_(MLP_STATES, MOE_STATES)] = -_OUT_OF_LAYERS
    scores[np.ix_(MOE_STATES, MLP_STATES)] = -_OUT_OF_LAYERS
    return as_probabilities(scores)


def join_tokens(tokens: Tokens, path: NDArray[np.int8], sure: Floats, unaided: Floats) -> Joined:
    """What the kernels do, from the state of each token (T,) and its probabilities (T, STATES) twice."""
    begun = ~tokens.leaps
    leaps = np.flatnonzero(tokens.leaps)
    rows = tokens.place[leaps]
    joined = Joined(
        path[begun].copy(),
        path[begun],
        path[begun].copy(),
        np.zeros(int(begun.sum()), dtype=bool),
        np.zeros(int(begun.sum()), dtype=bool),
        sure[begun],
        unaided[begun],
    )
    joined.ends[rows] = path[leaps]
    joined.spans[rows] = True
    joined.crosses[rows] = _crossings(path, leaps)
    for leap, row in zip(leaps.tolist(), rows.tolist(), strict=True):
        begin, end = State(path[leap - 1]), State(path[leap])
        joined.state[row] = _stage(begin, end, bool(joined.crosses[row]))
        for values, kept in ((sure, joined.sure), (unaided, joined.unaided)):
            likely = min(values[leap - 1, begin], values[leap, end])
            kept[row] = (1.0 - likely) / STATES
            kept[row, joined.state[row]] += likely
    return joined


def _crossings(path: NDArray[np.int8], leaps: Ints) -> Flags:
    """Which leaps end in another layer than they begin in. A norm that ends one closes its layer.

    A leap back to the stage that it comes from runs through a whole layer only where nothing else shows a feed-forward.
    """
    place = np.array([FIRST_TO_LAST.get(state, 0) for state in State])
    begins, ends = path[leaps - 1], path[leaps]
    crosses = (place[ends] < place[begins]) & (ends != S.INPUT_NORM)
    alone = np.ones(len(path), dtype=bool)
    alone[leaps] = alone[leaps - 1] = False
    within = crosses | (ends == S.INPUT_NORM) | (place[ends] >= FIRST_TO_LAST[S.SHARED_BEFORE])
    through = within & (place[begins] <= FIRST_TO_LAST[S.SHARED_AFTER])
    if not through.any() and not np.isin(path[alone], [*MLP_STATES, *MOE_STATES]).any():
        crosses |= begins == ends
    return crosses


def reach(joined: Joined) -> tuple[Ints, Ints]:
    """First and last place (grammar.FIRST_TO_LAST) that each kernel takes in the layer that it begins in, -1 outside.

    A norm that ends a SuperKernel within the layer is the one that closes it.
    """
    place = np.array([FIRST_TO_LAST.get(state, -1) for state in State])
    first = place[joined.begins]
    runs_on = joined.crosses | (joined.ends == S.INPUT_NORM) & joined.spans
    return first, np.where(runs_on, FIRST_TO_LAST[S.FINAL_NORM], place[joined.ends])


def _stage(begin: State, end: State, crosses: bool) -> State:
    """What stands for a SuperKernel from one stage to another: WHOLE_LAYER for several regions beside norms."""
    first, last = FIRST_TO_LAST.get(begin, 0), FIRST_TO_LAST.get(end, 0)
    onwards = crosses or end == S.INPUT_NORM
    regions = {
        REGION_OF_STATE[state]
        for state, place in FIRST_TO_LAST.items()
        if (first <= place and (onwards or place <= last)) or (crosses and place <= last)
    }
    if regions >= {"mlp", "moe"}:
        # they stand in the same place, and only one of them can be meant
        regions.discard("mlp" if {begin, end} & {*MOE_STATES} else "moe")
    regions = regions - {"norm"} or {"norm"}
    return _STAGE_OF_REGION[regions.pop()] if len(regions) == 1 else S.WHOLE_LAYER
