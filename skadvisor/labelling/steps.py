"""Steps: one forward pass each, from the profiler's own marks or from what happens once per pass.

A pass ends where head or sampling give way to preparation, embedding or a first layer. A short pass right behind a
long one (a draft layer behind its main model) is part of the same step.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skadvisor.labelling.decoding import changes, segments
from skadvisor.labelling.layers import Layer
from skadvisor.labelling.repetition import step_cuts
from skadvisor.labelling.structure import Structure
from skadvisor.vocabulary.arrays import Flags, Floats
from skadvisor.vocabulary.states import LAYER_STATES, State

S = State
_LATE = [S.FINAL_NORM, S.HEAD, S.SAMPLING]
_OPENING, _CLOSING = [S.PREPARE, S.EMBEDDING], [S.HEAD, S.SAMPLING]
_EDGES = [*_OPENING, *_CLOSING]
#: A pass with at most this share of the layers of the pass before it belongs to the same step.
DRAFT_SHARE = 0.25


@dataclass(frozen=True)
class Step:
    """One forward pass: positions [begin, end) on the main chain; `layers` and `draft_layers` index the layer list."""

    begin: int
    end: int
    layers: tuple[int, ...]
    draft_layers: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Ends:
    """Which steps were recorded from their beginning to their end, (steps,) each.

    `whole` is true where that is known; `begins_cut` and `ends_cut` where it is known that the rest is missing.
    """

    whole: Flags
    begins_cut: Flags
    ends_cut: Flags


def find_steps(kernels: pd.DataFrame, structure: Structure, layers: list[Layer]) -> list[Step]:
    """All steps in time order; main-chain kernels in none of them stand outside every step."""
    state = structure.state[structure.main]
    if not len(state):
        return []
    step_ids = kernels["step_id"].to_numpy(dtype="float64", na_value=np.nan)[structure.main]
    if structure.training:
        return _training_steps(structure, step_ids, layers)
    cuts = _pass_starts(state, step_ids)
    if not layers:
        # only the profiler's own marks tell steps apart; without those all is one step
        return [Step(begin, end, (), ()) for begin, end in segments(step_ids)]
    passes = _with_repeated(kernels, structure, layers, _passes(cuts, len(state), layers))
    marks = pd.Series(step_ids).ffill().bfill().to_numpy()[[one.begin for one in passes]]
    # preparation without shapes is easily taken for sampling, but not by its name
    chosen = structure.classes.roles_of(structure.classes.of_kernel[structure.main]) == "sampling"
    return _merge(passes, marks.tolist(), np.isin(state, _LATE), (state == S.HEAD) | chosen)


def find_ends(structure: Structure, layers: list[Layer], steps: list[Step]) -> Ends:
    """Whether the recording began or ended within its first or last step.

    A step begins where another one ended, or with preparation or embedding; it ends where another one begins, or with
    head or sampling. A stage of a pipeline lacks them in all its steps, a step that is cut only where others have them.
    """
    state = structure.state[structure.main]
    opened, closed = np.ones(len(steps), dtype=bool), np.ones(len(steps), dtype=bool)
    for number, step in enumerate(steps):
        if held := [layers[index] for index in (*step.layers, *step.draft_layers)]:
            opened[number] = np.isin(state[step.begin : held[0].begin], _OPENING).any()
            closed[number] = np.isin(state[held[-1].begin : step.end], _CLOSING).any()
    first, last = (np.arange(len(steps)) == edge for edge in (0, len(steps) - 1))
    return Ends(
        whole=(opened | ~first) & (closed | ~last),
        begins_cut=first & ~opened & opened.any(),
        ends_cut=last & ~closed & closed.any(),
    )


def _with_repeated(kernels: pd.DataFrame, structure: Structure, layers: list[Layer], passes: list[Step]) -> list[Step]:
    """Passes of layers alone are cut where the layers begin anew."""
    edges = np.isin(structure.state[structure.main], _EDGES)
    whole = Counter(len(one.layers) for one in passes if one.layers and edges[one.begin : one.end].any())
    usual = max(whole, key=lambda count: (whole[count], count)) if whole else None
    found: list[Step] = []
    for one in passes:
        held = one.layers
        if not held or edges[one.begin : one.end].any():
            found.append(one)
            continue
        cuts = step_cuts(kernels, structure, [layers[index] for index in held], usual)
        places = [one.begin, *(layers[held[cut]].begin for cut in cuts), one.end]
        found.extend(
            Step(begin, end, held[first:last], ())
            for (begin, end), (first, last) in zip(
                itertools.pairwise(places), itertools.pairwise([0, *cuts, len(held)]), strict=True
            )
        )
    return found


def _training_steps(structure: Structure, step_ids: Floats, layers: list[Layer]) -> list[Step]:
    """In training the main chain holds forward passes only, each cut from the next by its backward pass."""
    passed = np.cumsum(structure.backward)[structure.main]
    cuts = [0, *(np.flatnonzero((np.diff(passed) > 0) | changes(step_ids)) + 1).tolist()]
    return _passes(cuts, len(structure.main), layers)


def _pass_starts(state: NDArray[np.int8], step_ids: Floats) -> list[int]:
    late = np.isin(state, _LATE)
    # without a head in the capture, preparation or embedding begins a pass
    looked_up = np.isin(state[:-1], LAYER_STATES) & np.isin(state[1:], [S.PREPARE, S.EMBEDDING])
    turns = (late[:-1] & ~late[1:]) | looked_up
    return [0, *(np.flatnonzero(turns | changes(step_ids)) + 1).tolist()]


def _passes(cuts: list[int], length: int, layers: list[Layer]) -> list[Step]:
    edges = [*cuts, length]
    first = np.searchsorted([layer.begin for layer in layers], edges).tolist()
    return [
        Step(begin, end, tuple(range(*held)), ())
        for (begin, end), held in zip(itertools.pairwise(edges), itertools.pairwise(first), strict=True)
    ]


def _merge(passes: list[Step], marks: list[float], late: Flags, predicts: Flags) -> list[Step]:
    """Join draft passes to the step before them, and passes without layers to the step that they serve.

    `marks` are the profiler's step numbers of the passes, nan where it wrote none. Kernels that are `late` stand behind
    all layers; those of them that surely make or choose a token are in `predicts`.
    """
    steps: list[Step] = []
    step_marks: list[float] = []
    pending: int | None = None
    for current, mark in zip(passes, marks, strict=True):
        same_mark = not steps or step_marks[-1] == mark or (np.isnan(mark) and np.isnan(step_marks[-1]))
        if not current.layers:
            if steps and same_mark and pending is None and not np.isnan(mark):
                steps[-1] = replace(steps[-1], end=current.end)
            # a recording that begins with a head begins with the end of a step that nobody saw
            elif pending is None and (steps or not np.isnan(mark) or not predicts[current.begin : current.end].any()):
                pending = current.begin
            continue
        draft = (
            steps
            and same_mark
            and pending is None
            and len(steps[-1].layers) >= 4
            and len(current.layers) <= max(1, DRAFT_SHARE * len(steps[-1].layers))
            # a step that the capture's end cuts short is no draft: drafts have a head of their own
            and (current is not passes[-1] or late[current.begin : current.end].any())
        )
        if draft:
            steps[-1] = replace(steps[-1], end=current.end, draft_layers=steps[-1].draft_layers + current.layers)
        else:
            begin = pending if pending is not None else current.begin
            steps.append(Step(begin, current.end, current.layers, ()))
            step_marks.append(mark)
        pending = None
    return steps
