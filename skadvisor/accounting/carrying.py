"""What was judged of the kernels of one step, carried to the steps that run the same kernels in the same order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

#: Columns that `carry_judgements` adds: likely | unlikely | unknown, fragment in the step, whether the scope holds it.
CARRIED = ("fusible", "fragment", "in_scope")


def carry_judgements(labelled: pd.DataFrame, judged: pd.DataFrame | None) -> pd.DataFrame:
    """The labelled kernel table with the columns CARRIED; null where nothing is known.

    `judged` holds the kernels of one step in time order: index row of the labelled table; columns scope (-1 outside),
    fusible, fragment (-1 without). A step is alike whose operator types on their streams follow each other as there.
    """
    count = len(labelled)
    fusible = np.full(count, None, dtype=object)
    fragment = np.full(count, -1, dtype="int64")
    inside = np.zeros(count, dtype=bool)
    if judged is not None and len(judged):
        names, _known = pd.factorize(labelled["op_type"].astype("object").fillna(labelled["name"].astype("object")))
        stream = labelled["stream"].fillna(-1).to_numpy(dtype="int64")
        pattern = labelled.index.get_indexer(judged.index)
        for rows in _steps(labelled):
            if np.array_equal(names[rows], names[pattern]) and np.array_equal(stream[rows], stream[pattern]):
                fusible[rows] = judged["fusible"].to_numpy()
                fragment[rows] = judged["fragment"].to_numpy()
                inside[rows] = judged["scope"].to_numpy() >= 0
    numbers = pd.array(fragment, dtype="Int64")
    numbers[fragment < 0] = pd.NA
    return labelled.assign(fusible=pd.Categorical(fusible), fragment=numbers, in_scope=inside)


def _steps(labelled: pd.DataFrame) -> list[Any]:
    """The row positions of each step's kernels in time order, without fragments of collectives."""
    step = labelled["step"].to_numpy()
    whole = (labelled["kind"] != "collective_part").to_numpy()
    rows = np.flatnonzero((step >= 0) & whole)
    rows = rows[np.lexsort((labelled["start_ns"].to_numpy()[rows], step[rows]))]
    return np.split(rows, np.flatnonzero(np.diff(step[rows])) + 1) if len(rows) else []
