"""The decode steps of a capture with SuperKernels, found with the help of the same model's capture without.

Fused layers no longer repeat as kernels, so steps cannot always be found from the capture alone. A replayed graph
runs each SuperKernel once per step: its occurrences count the steps, and the kernels that a step of the other
capture begins with say where each of them starts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from skadvisor.events import idle_before, start_and_end
from skadvisor.vocabulary import superkernel_names
from skadvisor.vocabulary.arrays import Flags, Ints
from skadvisor.vocabulary.names import base_operator

Token = tuple[str, str]
#: How many of a step's first kernels are compared.
PREFIX = 6


@dataclass(frozen=True, eq=False)
class Step:
    """One steady decode step: its kernels in program order without fragments of collectives, and their tokens."""

    run: int
    kernels: pd.DataFrame

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        return tuple(self.kernels["token"])

    @cached_property
    def wall_ns(self) -> int:
        start, end = start_and_end(self.kernels)
        return int(end.max() - start.min())


def with_tokens(kernels: pd.DataFrame, *, shapes: bool, types: bool) -> pd.DataFrame:
    """The kernels with a column `token`: what each is, for comparing two captures, (operator, input shapes).

    `shapes` and `types` say whether both captures have them. A SuperKernel's token is its name
    without what changes from build to build.
    """
    names = kernels["name"].astype("object").fillna("").astype(str)
    if types:
        operators = list(kernels["op_type"].astype("object").fillna("").astype(str))
    else:
        bases = {name: base_operator(None, name) for name in set(names)}
        operators = [bases[name] for name in names]
    sizes = kernels["input_shapes"].astype("object").fillna("").astype(str) if shapes else [""] * len(kernels)
    fused = superkernel_names.superkernel_rows(kernels)
    tokens = [
        (superkernel_names.TYPE, superkernel_names.without_build(name)) if sk else (operator, size)
        for sk, name, operator, size in zip(fused, names, operators, sizes, strict=True)
    ]
    return kernels.assign(token=pd.Series(tokens, index=kernels.index, dtype="object"))


def whole_kernels(kernels: pd.DataFrame) -> pd.DataFrame:
    """The kernels without fragments of collectives, in time order."""
    return kernels[kernels["kind"].astype("object") != "collective_part"].sort_values("start_ns", kind="stable")


def steps_of(run: int, kernels: pd.DataFrame, numbers: Ints) -> list[Step]:
    """The steps of a run, given the number of each kernel's; what has none (-1) is in no step."""
    inside = numbers >= 0
    parts = kernels[inside].groupby(numbers[inside], sort=True)
    return [Step(run, _in_program_order(whole_kernels(rows))) for _number, rows in parts]


def _in_program_order(kernels: pd.DataFrame) -> pd.DataFrame:
    """Stream by stream, in the order in which streams begin: how they interleave differs from step to step."""
    streams = pd.factorize(kernels["stream"].fillna(-1).to_numpy(dtype="int64"))[0]
    return kernels.iloc[np.argsort(streams, kind="stable")]


def usual_steps(steps: Sequence[Step]) -> list[Step]:
    """The steps with the most common program."""
    usual = Counter(step.tokens for step in steps).most_common(1)[0][0]
    return [step for step in steps if step.tokens == usual]


def typical(steps: Sequence[Step]) -> Step:
    """Of the steps with the most common program, the one nearest the median time."""
    same = usual_steps(steps)
    middle = float(np.median([step.wall_ns for step in same]))
    return min(same, key=lambda step: abs(step.wall_ns - middle))


def number_steps(kernels: pd.DataFrame, prefix: Sequence[Token]) -> Ints:
    """A step number per row of kernels with SuperKernels, -1 outside steps; a step begins with the tokens `prefix`.

    Steps that the capture's labels have right are kept.
    """
    labelled = kernels["step"].to_numpy(dtype="int64")
    fused = superkernel_names.superkernel_rows(kernels)
    leader = _leader(kernels, fused)
    if _labels_hold(kernels, labelled, fused, leader):
        return np.where(np.isin(labelled, labelled[leader]), labelled, -1)
    starts = _step_starts(kernels, prefix, leader)
    return np.searchsorted(starts, np.arange(len(kernels)), side="right") - 1


def _labels_hold(kernels: pd.DataFrame, labelled: Ints, fused: Flags, leader: Ints) -> bool:
    """Whether the capture's own steps are whole: one leader each, and nothing of decode between them or beside."""
    steps = labelled[leader]
    if (steps < 0).any() or len(set(steps)) != len(steps):
        return False
    prefill = kernels["phase"].astype("object").isin(["prefill", "mixed"]).to_numpy(dtype=bool)
    known = np.isin(labelled, steps)
    between = np.zeros(len(kernels), dtype=bool)
    between[leader[0] : leader[-1] + 1] = True
    return bool(known[fused].all() and (known | prefill)[between].all())


def _leader(kernels: pd.DataFrame, fused: Flags) -> Ints:
    """Rows of the SuperKernel that comes first among those that occur most often."""
    names = kernels["name"].astype("object").astype(str).to_numpy()
    rows = np.flatnonzero(fused)
    counts = pd.Series(names[rows]).value_counts()
    usual = set(counts[counts == counts.max()].index)
    first = next(names[row] for row in rows if names[row] in usual)
    return rows[names[rows] == first]


def _step_starts(kernels: pd.DataFrame, prefix: Sequence[Token], leader: Ints) -> Ints:
    """The first row of each step: the best match of the prefix before its leader, else behind the longest pause."""
    own = kernels["token"].tolist()
    pause = idle_before(kernels["start_ns"].to_numpy(), kernels["dur_ns"].to_numpy())
    wanted = list(prefix[:PREFIX])
    starts = []
    previous = 0
    for row in leader:
        window = range(previous, int(row) + 1)
        scores = [_agreement(own, place, wanted) for place in window]
        best = max(scores, default=0)
        if best > 0:
            starts.append(max(place for place, score in zip(window, scores, strict=True) if score == best))
        else:
            starts.append(previous + int(np.argmax(pause[previous : row + 1])))
        previous = int(row) + 1
    return np.asarray(starts, dtype=np.int64)


def _agreement(own: Sequence[Token], place: int, wanted: Sequence[Token]) -> int:
    """How many tokens from `place` on are the wanted ones; 0 unless the first is."""
    if not wanted or own[place] != wanted[0]:
        return 0
    return sum(mine == theirs for mine, theirs in zip(own[place : place + len(wanted)], wanted, strict=False))
