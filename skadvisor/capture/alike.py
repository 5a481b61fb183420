"""What kernels that are alike say about each other's times: they last about as long, and the same follows as fast.

A table whose durations do not go with what runs was put together wrongly: a column was sorted by itself, or a part
stands in another unit. A pause where the same two kernels follow each other at once everywhere else is the clock's.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

#: Of kernels that are fewer, or of fewer kinds, nothing is concluded.
ENOUGH_KERNELS, ENOUGH_KINDS, ENOUGH_ALIKE = 100, 5, 3
#: What a kernel is explains less of its duration than this only where the two do not belong together: measured on
#: captures of eight sources it explains 0.97 and more.
LEAST_EXPLAINED = 0.3
#: A kernel lasts this many times as long as most alike, or as short, only if it waits or stands in another unit.
MANY_TIMES = 50
#: Kernels that wait for others are of one kind or two; a unit is wrong for kernels of every kind.
KINDS_IN_A_UNIT = 3
#: A pause of this length and more, ns, is the clock's where all others like it are shorter by MANY_TIMES.
SHORTEST_JUMP_NS = 200 * 10**6
#: More pauses than this are the host's, which compiles kernels, for example.
MOST_JUMPS = 2
#: The number goes back at most so many times per step: where two steps overlap.
MOST_TURNS = 8
#: A pair of kernels that follow each other this often, compared with the most frequent one, stands within a step.
WITHIN_STEPS, FEWEST_PAIRS = 0.25, 10


def kinds_of(kernels: pd.DataFrame, *, shapes: bool = True) -> Ints:
    """A number per kernel that those share which are of one type, name (digits apart) and `shapes`, (N,)."""
    columns = [kernels[column].cat for column in ("op_type", "name", "input_shapes")]
    names = np.append(columns[1].categories.astype(str).str.replace(r"\d+", "", regex=True), "").astype(object)
    bare = pd.factorize(names)[0][columns[1].codes.to_numpy()]
    number = bare.astype(np.int64)
    for column in (columns[0], columns[2])[: 2 if shapes else 1]:
        number = number * (len(column.categories) + 1) + column.codes.to_numpy() + 1
    return pd.factorize(number)[0].astype(np.int64)


def in_another_unit(kernels: pd.DataFrame, judged: Flags) -> tuple[Flags, bool]:
    """Kernels that last far longer or shorter than those alike, (N,), and whether durations go with what runs at all.

    Only kernels with shapes are judged: without them prompts and single tokens look alike.
    """
    wrong = np.zeros(len(kernels), dtype=bool)
    rows = np.flatnonzero(judged & kernels["input_shapes"].notna().to_numpy())
    kind = kinds_of(kernels)[rows]
    often = np.bincount(kind)[kind] >= ENOUGH_ALIKE if len(rows) else np.zeros(0, dtype=bool)
    rows = rows[often]
    kind = pd.factorize(kind[often])[0]
    if len(rows) < ENOUGH_KERNELS or kind.max() + 1 < ENOUGH_KINDS:
        return wrong, True
    length = np.log(np.maximum(1, kernels["dur_ns"].to_numpy()[rows]))
    order = np.lexsort((length, kind))
    counts = np.bincount(kind)
    usual = length[order][np.cumsum(counts) - counts + counts // 2][kind]
    far = np.abs(length - usual) > np.log(MANY_TIMES)
    if len(np.unique(kind[far])) >= KINDS_IN_A_UNIT:
        wrong[rows[far]] = True
    mean = np.bincount(kind, weights=length) / counts
    spread = float(length.var())
    explained = 1.0 - float(((length - mean[kind]) ** 2).mean()) / spread if spread else 0.0
    return wrong, explained >= LEAST_EXPLAINED


def jumps(kernels: pd.DataFrame) -> tuple[dict[int, int], int]:
    """Rows that begin far later than where the same two kernels follow each other elsewhere: row -> ns too late.

    Beside them the number of pauses that stand where steps may meet: there the device may have had nothing to do.
    Where the launch is known, only if it came long before: else the host was late, not the clock.
    """
    start = kernels["start_ns"].to_numpy()
    pause = start[1:] - np.maximum.accumulate(start + kernels["dur_ns"].to_numpy())[:-1]
    long = np.flatnonzero(pause >= SHORTEST_JUMP_NS)
    if len(start) < ENOUGH_KERNELS or not 0 < len(long) <= MOST_JUMPS:
        return {}, 0
    kind = kinds_of(kernels, shapes=False)
    pair = pd.factorize(kind[:-1] * (int(kind.max()) + 1) + kind[1:])[0]
    counts = np.bincount(pair)
    launch = kernels["launch_ns"].to_numpy(dtype="float64", na_value=np.nan)
    found: dict[int, int] = {}
    open_ones = 0
    for place in long.tolist():
        others = np.delete(pause, place)[np.delete(pair, place) == pair[place]]
        late = launch[place + 1] > start[place + 1] - pause[place] // 2
        if late or (len(others) and others.max() * MANY_TIMES >= pause[place]):
            continue
        if counts[pair[place]] >= max(FEWEST_PAIRS, WITHIN_STEPS * counts.max()):
            found[place + 1] = int(pause[place] - np.median(others))
        else:
            open_ones += 1
    return found, open_ones


def steps_out_of_order(kernels: pd.DataFrame) -> int:
    """How many step numbers are smaller than the one before, if so many that they mark no steps; else 0.

    Steps that overlap on several streams go back a few times each.
    """
    numbers = kernels["step_id"].dropna().to_numpy(dtype="int64")
    back = int((numbers[1:] < numbers[:-1]).sum())
    return back if back > MOST_TURNS * len(np.unique(numbers)) else 0
