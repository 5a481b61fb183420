"""Companions: tasks of the AI CPU that serve one kernel, such as the server that feeds its tiles.

They run on streams of their own beside the kernel that they serve, and belong to it, not to the order of a layer.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skadvisor.labelling.class_table import Classes

AI_CPU = "AI_CPU"
#: A task runs beside a kernel for its whole time with this share of it, and beside another with more than this one.
WHOLE, TOUCHING = 0.9, 0.05
#: A task that overlaps more kernels than this is no kernel's own.
MOST_BESIDE = 8


def find_companions(kernels: pd.DataFrame, classes: Classes, inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The row of the kernel that each row serves, (N,), -1 for all others; `inside` (N,) marks kernels.

    A task whose name means nothing serves a kernel where that one alone runs during its whole time.
    """
    served = np.full(len(kernels), -1, dtype=np.int64)
    unknown = [item.role == "unknown" and item.core == AI_CPU for item in classes.items]
    on_cpu = np.array([item.core == AI_CPU for item in classes.items], dtype=bool)[classes.of_kernel]
    tasks = np.flatnonzero(np.array(unknown, dtype=bool)[classes.of_kernel] & inside)
    others = np.flatnonzero(inside & ~on_cpu)
    if not len(tasks) or not len(others):
        return served
    start = kernels["start_ns"].to_numpy()
    end = start + kernels["dur_ns"].to_numpy()
    latest = np.maximum.accumulate(end[others])
    first = np.searchsorted(latest, start[tasks], side="right")
    last = np.searchsorted(start[others], end[tasks], side="left")
    for task, low, high in zip(tasks.tolist(), first.tolist(), last.tolist(), strict=True):
        beside = others[low:high][:MOST_BESIDE]
        length = max(1, int(end[task] - start[task]))
        shared = (np.minimum(end[beside], end[task]) - np.maximum(start[beside], start[task])) / length
        touching = beside[shared > TOUCHING]
        if len(touching) == 1 and high - low <= MOST_BESIDE and shared.max() >= WHOLE:
            served[task] = touching[0]
    return served
