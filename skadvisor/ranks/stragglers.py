"""Tell the work of collectives from the waiting in them, by comparing ranks.

A collective ends on all its ranks together, so the rank that comes last is in it for the shortest time: that is the
work, and what the others spend beyond it is waiting. The same collective is found on other ranks by its exact name,
where the name counts up (eager mode writes group and number into it), else by its step, its name and its order in
the step.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skadvisor.vocabulary.arrays import Ints, Words

if TYPE_CHECKING:
    import pandas as pd

#: Kernels that compute and communicate in one, and so contain waiting. Those with whole expert matmuls inside are
#: left out: they differ between ranks by work, not only by waiting.
WAITING_KERNELS = re.compile(
    r"MoeDistribute(Dispatch|Combine)|AllReduce|AllGather|ReduceScatter|AlltoAll", re.IGNORECASE
)
#: Clocks of different hosts agree well enough to tell steps apart if the starts of steps differ by less than this
#: part of the time between steps.
CLOCK_TOLERANCE = 0.2


@dataclass(frozen=True, eq=False)
class Collectives:
    """The collectives in the steps of one rank, ns. `step` is the place in `step_starts` of each collective's step."""

    step_starts: Ints
    step: Ints
    name: Words
    duration: Ints


def collect(kernels: pd.DataFrame, steps: pd.DataFrame) -> Collectives:
    """The collectives of a labelled kernel table within the given rows of a step table."""
    import pandas as pd

    chosen = steps.sort_values("start_ns")
    place = pd.Series(np.arange(len(chosen)), index=chosen["step"].to_numpy())
    of_step = kernels["step"].map(place)
    kind = kernels["kind"].astype("object")
    waits = (kind == "collective") | ((kind == "kernel") & (_hits(kernels["op_type"]) | _hits(kernels["name"])))
    rows = kernels[waits & of_step.notna()]
    return Collectives(
        step_starts=chosen["start_ns"].to_numpy(dtype="int64"),
        step=of_step.loc[rows.index].to_numpy(dtype="int64"),
        name=rows["name"].astype("object").to_numpy(),
        duration=rows["dur_ns"].to_numpy(dtype="int64"),
    )


def compare(ranks: Sequence[Collectives]) -> list[Ints | None]:
    """For each rank its waiting in each step, ns; None where none of its collectives was found on another rank."""
    unique = all(len(set(rank.name)) == len(rank.name) for rank in ranks)
    numbers: dict[str, int] = {}
    owner, key, step, name, lasts = [], [], [], [], []
    for number, (rank, places) in enumerate(zip(ranks, align([rank.step_starts for rank in ranks]), strict=True)):
        if unique or places is not None:
            owner.append(np.full(len(rank.step), number))
            key.append(np.zeros_like(rank.step) if places is None or unique else places[rank.step])
            step.append(rank.step)
            lasts.append(rank.duration)
            name.append(np.array([numbers.setdefault(word, len(numbers)) for word in rank.name], dtype="int64"))
    if not owner:
        return [None] * len(ranks)
    of_rank, of_name, in_step, duration = map(np.concatenate, (owner, name, step, lasts))
    order, heads, sizes = _alike(of_rank, in_step, of_name)
    nth = np.empty_like(order)
    nth[order] = np.arange(len(order)) - np.repeat(heads, sizes)
    order, heads, sizes = _alike(np.concatenate(key), of_name, nth)
    work, members = np.empty_like(duration), np.empty_like(order)
    work[order] = np.repeat(np.minimum.reduceat(duration[order], heads) if len(heads) else heads, sizes)
    members[order] = np.repeat(sizes, sizes)
    found: list[Ints | None] = []
    for number, rank in enumerate(ranks):
        rows = np.flatnonzero((of_rank == number) & (members > 1))
        wait = np.bincount(in_step[rows], weights=(duration - work)[rows], minlength=len(rank.step_starts))
        found.append(wait.astype("int64") if len(rows) else None)
    return found


def _alike(*columns: Ints) -> tuple[Ints, Ints, Ints]:
    """Rows put together by their columns, otherwise in order: the order, where each group begins, and its size."""
    order = np.lexsort(columns)
    changes = [column[order][1:] != column[order][:-1] for column in columns]
    heads = np.flatnonzero(np.append(True, np.any(changes, axis=0))) if len(order) else order
    return order, heads, np.diff(np.append(heads, len(order)))


def align(starts: Sequence[Ints]) -> list[Ints | None]:
    """Which step of the longest rank each step of each rank is; None for ranks whose steps cannot be matched.

    By the clock where the steps of two ranks begin at nearly the same instants, else by order where ranks have
    equally many steps.
    """
    longest = max(starts, key=len, default=np.zeros(0, dtype="int64"))
    return [_align(own, longest) for own in starts]


def _align(own: Ints, longest: Ints) -> Ints | None:
    if not len(own):
        return None
    if len(longest) > 1:
        period = float(np.median(np.diff(longest)))
        after = np.clip(np.searchsorted(longest, own), 1, len(longest) - 1)
        nearest = np.where(own - longest[after - 1] <= longest[after] - own, after - 1, after)
        offset = np.abs(own - longest[nearest])
        if np.median(offset) < CLOCK_TOLERANCE * period and len(set(nearest.tolist())) == len(own):
            return nearest.astype("int64")
    return np.arange(len(own), dtype="int64") if len(own) == len(longest) else None


def _hits(words: pd.Series) -> pd.Series:
    """Where a categorical column names a waiting kernel; each distinct word is looked at once."""
    return words.isin([word for word in words.cat.categories if WAITING_KERNELS.search(str(word))])
