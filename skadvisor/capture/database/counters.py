"""The counters of a profiler database: one row for each counter of each run of a task."""

from __future__ import annotations

from typing import Any

import numpy as np

from skadvisor.capture.database import ids
from skadvisor.capture.database.file import Database

CORE_TIMES = {"aic_total_time": "aic_ns", "aicore_time": "aic_ns", "aiv_total_time": "aiv_ns", "aiv_time": "aiv_ns"}


def add_counters(database: Database, kernels: dict[str, Any]) -> None:
    """The counters of TASK_PMU_INFO as columns: ratios and cycles as they are, times in us, core times in ns."""
    import pandas as pd

    if "TASK_PMU_INFO" not in database.tables:
        return
    dtype = np.dtype([("task", "int64"), ("name", "int64"), ("value", "float64")])
    query = "SELECT CAST(globalTaskId AS INTEGER), CAST(name AS INTEGER), CAST(value AS REAL) FROM TASK_PMU_INFO"
    whole = " WHERE globalTaskId IS NOT NULL AND name IS NOT NULL AND value IS NOT NULL"
    values = np.fromiter(database.read_rows(query + whole), dtype=dtype)
    known, words = database.strings(values["name"])
    runs = ids.Runs(kernels["global"])
    for number, word in zip(known.tolist(), words, strict=True):
        chosen = values[values["name"] == number]
        rows = runs.rows(chosen["task"])
        mine = rows >= 0
        made = np.zeros(len(kernels["global"]))
        missing = np.ones(len(made), dtype=bool)
        made[rows[mine]] = chosen["value"][mine]
        missing[rows[mine]] = False
        if word in CORE_TIMES:
            whole_ns = np.floor(np.where(np.isfinite(made), made, 0) + 0.5).astype("int64")
            kernels[CORE_TIMES[word]] = pd.Series(pd.arrays.IntegerArray(whole_ns, missing))
        elif word:
            name, scale = (f"{word}(us)", 1000.0) if word.endswith("_time") else (word, 1.0)
            kernels[name] = pd.Series(pd.arrays.FloatingArray(made / scale, missing))
