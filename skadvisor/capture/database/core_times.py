"""How long kernels were in their cores, from the counters of a profiler database."""

from __future__ import annotations

from typing import Any

import numpy as np

from skadvisor.capture.database import ids
from skadvisor.capture.database.file import Database

CORE_TIMES = {"aic_total_time": "aic_ns", "aicore_time": "aic_ns", "aiv_total_time": "aiv_ns", "aiv_time": "aiv_ns"}


def add_core_times(database: Database, kernels: dict[str, Any]) -> None:
    """`aic_ns` and `aiv_ns` from TASK_PMU_INFO, which has one row for each counter of each run of a task."""
    import pandas as pd

    if not {"TASK_PMU_INFO", "STRING_IDS"} <= set(database.tables):
        return
    dtype = np.dtype([("task", "int64"), ("name", "int64"), ("value", "float64")])
    query = "SELECT CAST(globalTaskId AS INTEGER), CAST(name AS INTEGER), CAST(value AS REAL) FROM TASK_PMU_INFO"
    whole = " WHERE globalTaskId IS NOT NULL AND value IS NOT NULL"
    listed = ", ".join(f"'{word}'" for word in CORE_TIMES)
    chosen = f" AND CAST(name AS INTEGER) IN (SELECT id FROM STRING_IDS WHERE value IN ({listed}))"
    values = np.fromiter(database.read_rows(query + whole + chosen), dtype=dtype)
    runs = ids.Runs(kernels["global"])
    for number, word in zip(*database.strings(values["name"]), strict=True):
        given = values[values["name"] == number]
        rows = runs.rows(given["task"])
        mine = (rows >= 0) & (np.abs(given["value"]) < 2**63)
        times = np.zeros(len(kernels["global"]), dtype="int64")
        missing = np.ones(len(times), dtype=bool)
        times[rows[mine]] = np.floor(given["value"][mine] + 0.5).astype("int64")
        missing[rows[mine]] = False
        kernels[CORE_TIMES[word]] = pd.Series(pd.arrays.IntegerArray(times, missing))
