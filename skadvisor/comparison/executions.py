"""The executions of a graph in which no decoder layers are found, so that it has no decode steps to compare.

A graph repeats its tasks whenever it is replayed. Where the capture numbers the tasks, a task that comes again opens
the next execution; where not, every kernel of the graph occurs equally often. A stack of equal blocks looks the same
as one block that is replayed: which of both it is, only the capture with SuperKernels tells, because a SuperKernel's
name occurs once in an execution.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from skadvisor.comparison.superkernel_mapping import map_step
from skadvisor.comparison.superkernel_steps import Step, Token, steps_of, typical, whole_kernels
from skadvisor.events import idle_before, start_and_end
from skadvisor.vocabulary.arrays import Ints
from skadvisor.vocabulary.superkernel_names import TYPE, superkernel_rows

if TYPE_CHECKING:
    from skadvisor.analysis import Analysis

Unit = Literal["executions", "blocks"]
_DECODER_KINDS = {"dense", "moe", "mtp"}
#: More ways to divide a capture are not tried.
MOST_DIVISIONS = 64


def is_plain_graph(before: Sequence[Analysis], after: Sequence[Analysis]) -> bool:
    """Whether these are runs of a graph without decoder layers (BEFORE tells: fusing hides layers)."""
    layers = any(kind.kind in _DECODER_KINDS for item in before for kind in item.result.layers.kinds)
    phases = {phase for item in (*before, *after) for phase in item.result.phases}
    eager = any(item.result.mode == "eager" for item in (*before, *after))
    return not eager and not layers and phases <= {"decode", "unknown"}


def cut_executions(before: Sequence[Analysis], after: Sequence[Analysis]) -> tuple[list[Step], list[Step], Unit]:
    """The executions of both sides, divided so that what runs in one of BEFORE is what runs in one of AFTER.

    Where one side shows more of a stack of equal blocks than the other, the blocks are compared.
    """
    tables = [[_graph_kernels(item.kernels) for item in analyses] for analyses in (before, after)]
    ways = [[_divisions(run, table) for run, table in enumerate(side)] for side in tables]
    fused = [_once_per_name(divisions) for divisions in ways[1]]
    if not all(fused):
        return (*_same_programs(ways), "executions")
    found = _fitting(ways[0], fused)
    if _left_over(found, typical(_flat(fused)))[0]:
        blocks = [_blocks(run, table) for run, table in enumerate(tables[1])]
        of_blocks = _fitting(ways[0], blocks)
        if _left_over(of_blocks, typical(_flat(blocks))) == (0, 0.0):
            return of_blocks, _flat(blocks), "blocks"
    return found, _flat(fused), "executions"


def _flat(runs: Sequence[list[Step]]) -> list[Step]:
    return [step for steps in runs for step in steps]


def _fitting(ways: Sequence[list[list[Step]]], after: Sequence[list[Step]]) -> list[Step]:
    """Of each run of BEFORE the division whose executions hold what the SuperKernels of AFTER replaced."""
    model = typical(_flat(after))
    return _flat([min(divisions, key=lambda way: _left_over(way, model)) for divisions in ways])


def _same_programs(ways: Sequence[Sequence[list[list[Step]]]]) -> tuple[list[Step], list[Step]]:
    """Nothing was fused: the shortest executions that are most alike."""
    pairs = [(one, other) for one in ways[0][0] for other in ways[1][0]]
    _before, model = min(pairs, key=lambda pair: _unlike(pair[0], pair[1]))
    before, after = ([min(divisions, key=lambda way: _unlike(way, model)) for divisions in side] for side in ways)
    return _flat(before), _flat(after)


def _blocks(run: int, kernels: pd.DataFrame) -> list[Step]:
    """The shortest equal parts of a run in which the names of scopes are alike but for their numbers."""
    own = [(operator, re.sub(r"\d+", "*", name)) for operator, name in kernels["token"]]
    numbers = next(
        (numbers for numbers in _number_by_token(own) if _follow_each_other(kernels, numbers)),
        np.zeros(len(kernels), dtype=np.int64),
    )
    return steps_of(run, kernels.assign(token=pd.Series(own, index=kernels.index, dtype="object")), numbers)


def _graph_kernels(kernels: pd.DataFrame) -> pd.DataFrame:
    """What ran in a graph, in time order: with SuperKernels the graphs that hold them."""
    kernels = whole_kernels(kernels)
    fused = superkernel_rows(kernels)
    models = kernels["model"]
    if models[fused].notna().any():
        return kernels[models.isin(models[fused].dropna()).to_numpy(dtype=bool)]
    return kernels[models.notna().to_numpy(dtype=bool)] if models.notna().any() else kernels


def _divisions(run: int, kernels: pd.DataFrame) -> list[list[Step]]:
    """Every way to divide the kernels into equal executions, the shortest executions first; at least the whole."""
    by_task = _number_by_task(kernels)
    found = [by_task] if by_task is not None else _number_by_token(kernels["token"].tolist())
    whole = np.zeros(len(kernels), dtype=np.int64)
    return [steps_of(run, kernels, numbers) for numbers in (*found, whole) if _follow_each_other(kernels, numbers)]


def _number_by_task(kernels: pd.DataFrame) -> Ints | None:
    """Executions by the numbers of the graph's tasks, -1 in one that the capture cuts off; None where none repeats."""
    keys = kernels[["model", "stream", "task"]]
    if kernels.empty or keys[["model", "task"]].isna().any(axis=None):
        return None
    task = keys.groupby(["model", "stream", "task"], sort=False, dropna=False).ngroup()
    counts = task.value_counts()
    if counts.max() == 1 or kernels["token"].groupby(task).nunique().max() > 1:
        return None
    if counts.nunique() == 1:
        return task.groupby(task).cumcount().to_numpy(dtype=np.int64)
    # The capture begins or ends within an execution: one begins with the task that waits longest for the host.
    idle = idle_before(kernels["start_ns"].to_numpy(), kernels["dur_ns"].to_numpy())
    pause = pd.Series(idle, index=kernels.index)
    leader = pause.groupby(task).median().idxmax()
    numbers = np.cumsum((task == leader).to_numpy()) - 1
    sizes = np.bincount(numbers[numbers >= 0])
    return np.where((numbers >= 0) & (sizes[numbers] == sizes.max()), numbers, -1)


def _number_by_token(own: Sequence[Token]) -> list[Ints]:
    """Executions by how often each kind of kernel occurs: one way for each number that divides all counts."""
    counts = Counter(own)
    common = math.gcd(*counts.values()) if counts else 1
    answers = []
    for number in [n for n in range(common, 1, -1) if common % n == 0][:MOST_DIVISIONS]:
        seen: Counter[Token] = Counter()
        places = []
        for token in own:
            places.append(seen[token] // (counts[token] // number))
            seen[token] += 1
        answers.append(np.asarray(places, dtype=np.int64))
    return answers


def _follow_each_other(kernels: pd.DataFrame, numbers: Ints) -> bool:
    """Whether each execution ends before the next begins."""
    used = numbers >= 0
    start, end = (edge[used] for edge in start_and_end(kernels))
    spans = pd.DataFrame({"n": numbers[used], "start": start, "end": end})
    bounds = spans.groupby("n").agg(start=("start", "min"), end=("end", "max"))
    return bool((bounds["start"].to_numpy()[1:] >= bounds["end"].to_numpy()[:-1]).all())


def _once_per_name(ways: Sequence[list[Step]]) -> list[Step]:
    """The division in which every SuperKernel runs once in an execution; empty where nothing was fused."""
    for steps in reversed(ways):
        named = Counter(token for token in steps[0].tokens if token[0] == TYPE)
        if not named:
            return []
        if max(named.values()) == 1:
            return steps
    return ways[0]


def _left_over(before: Sequence[Step], after: Step) -> tuple[int, float]:
    """SuperKernels of an execution after without kernels before, and the share of the kernels before that is gone."""
    mapping = map_step(before[0], after)
    return len(mapping.unmapped), 1 - mapping.held_share(len(before[0].tokens))


def _unlike(one: Sequence[Step], other: Sequence[Step]) -> int:
    """How many kernels of an execution the other does not have, either way."""
    first, second = Counter(one[0].tokens), Counter(other[0].tokens)
    return ((first - second) + (second - first)).total()
