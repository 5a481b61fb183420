"""The idle intervals of each step, and what the device waits for in them.

A gap is `host` or `wait` when the next kernel was not yet there to run, so that no fusion can remove it; `host`, unless
rule 4 says otherwise:

1. the host launched the next kernel after the device fell idle (`launch_ns`);
2. eager kernels: the gap is longer than `EAGER_LIMIT_NS`. Kernels are eager in an eager step, in a step of unknown
   mode (read strictly, because a host gap must never be counted as winnable), and in a graph step when the next
   kernel is outside every graph model while others are inside one;
3. graph steps: the kernels on both sides are of different graph models, and the gap is longer than `EAGER_LIMIT_NS`;
4. graph steps otherwise: the gap is longer than a limit taken from the capture, ten times its median positive gap,
   but at least `GRAPH_FLOOR_NS` and at most `GRAPH_CAP_NS`. Gaps between tasks of one graph are 0.02 to 1.4 us in
   public measurements, so the floor is several times the largest of them. Within one replay of one graph (the same
   model id, and task numbers that go on) the host has launched everything already: the stream waits for another stream
   or rank, `wait`.

Other gaps are `inside` where the kernels on both sides belong to one region of one layer, else `between`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from skadvisor.vocabulary.arrays import Flags, Ints

EAGER_LIMIT_NS = 3_000
GRAPH_FLOOR_NS = 10_000
GRAPH_CAP_NS = 50_000
MEDIANS_OF_A_HOST_GAP = 10

GAP_KINDS = ("inside", "between", "wait", "host")


def find_gaps(labelled: pd.DataFrame, steps: pd.DataFrame) -> pd.DataFrame:
    """Every maximal idle interval inside a step, in time order.

    Columns: step, start_ns, dur_ns, before and after (row numbers of the kernel that ended last and of the one
    that starts next), kind (one of GAP_KINDS), host_limit_ns (the longest gap not taken for a host gap by size).
    """
    gaps = _idle(labelled)
    modes = steps.set_index("step")["mode"].astype("object")
    graph = gaps["step"].map(modes).eq("graph").to_numpy(dtype=bool)
    before, after = gaps["before"].to_numpy(), gaps["after"].to_numpy()
    limit = _limits(labelled, gaps, graph, before, after)
    duration = gaps["dur_ns"].to_numpy()
    late = _launched_late(labelled, gaps)
    wait = (duration > limit) & graph & ~late & _in_one_replay(labelled, before, after)
    same = _same(labelled["region"], before, after) & _same(labelled["layer"], before, after)
    inside, between, host, waiting = map(GAP_KINDS.index, ("inside", "between", "host", "wait"))
    small = np.where(same, inside, between)
    kind = np.where(wait, waiting, np.where((duration > limit) | late, host, small))
    gaps["kind"] = pd.Categorical.from_codes(kind, categories=pd.Index(GAP_KINDS))
    gaps["host_limit_ns"] = limit
    return gaps


def _idle(labelled: pd.DataFrame) -> pd.DataFrame:
    step = labelled["step"].to_numpy(dtype="int64")
    rows = np.flatnonzero(step >= 0)
    start = labelled["start_ns"].to_numpy(dtype="int64")
    rows = rows[np.lexsort((start[rows], step[rows]))]
    step, start = step[rows], start[rows]
    end = start + labelled["dur_ns"].to_numpy(dtype="int64")[rows]
    reach = pd.Series(end).groupby(step, sort=False).cummax().to_numpy()
    latest = np.maximum.accumulate(np.where(end == reach, np.arange(len(rows)), 0)) if len(rows) else rows
    idle = np.zeros(len(rows), dtype=bool)
    idle[1:] = (step[1:] == step[:-1]) & (start[1:] > reach[:-1])
    after = np.flatnonzero(idle)
    return pd.DataFrame(
        {
            "step": step[after],
            "start_ns": reach[after - 1],
            "dur_ns": start[after] - reach[after - 1],
            "before": rows[latest[after - 1]],
            "after": rows[after],
        }
    )


def _limits(labelled: pd.DataFrame, gaps: pd.DataFrame, graph: Flags, before: Ints, after: Ints) -> Ints:
    model = labelled["model"].fillna(-1).to_numpy(dtype="int64")
    any_model = bool((model >= 0).any())
    strict = ~graph
    if any_model:
        strict |= (model[after] < 0) | (model[before] != model[after])
    unbroken = gaps["dur_ns"].to_numpy()[~strict]
    typical = int(np.median(unbroken)) if len(unbroken) else 0
    graph_limit = min(max(GRAPH_FLOOR_NS, MEDIANS_OF_A_HOST_GAP * typical), GRAPH_CAP_NS)
    return np.where(strict, EAGER_LIMIT_NS, graph_limit).astype("int64")


def _in_one_replay(labelled: pd.DataFrame, before: Ints, after: Ints) -> Flags:
    """Whether the kernels on both sides belong to one replay of one graph: task numbers begin anew with each replay."""
    model = labelled["model"].fillna(-1).to_numpy(dtype="int64")
    stream = labelled["stream"].fillna(-1).to_numpy(dtype="int64")
    task = labelled["task"].fillna(-1).to_numpy(dtype="int64")
    last = pd.Series(np.where(task >= 0, task, np.nan)).groupby([model, stream]).shift().to_numpy()
    begins_anew = task <= np.where(np.isnan(last), -1, last)
    return np.asarray(
        (model[after] >= 0) & (model[before] == model[after]) & ~(begins_anew[after] & (task[after] >= 0))
    )


def _launched_late(labelled: pd.DataFrame, gaps: pd.DataFrame) -> Flags:
    launch = labelled["launch_ns"].fillna(-1).to_numpy(dtype="int64")[gaps["after"].to_numpy()]
    return launch > gaps["start_ns"].to_numpy()


def _same(column: pd.Series[Any], before: Ints, after: Ints) -> Flags:
    codes, _ = pd.factorize(column)
    return codes[before] == codes[after]
