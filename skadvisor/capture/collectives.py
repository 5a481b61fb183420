"""Tell collectives from kernels, and count a collective once that the profiler lists twice."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

#: Device kernels that do the work of a collective which is also listed under its own name.
FRAGMENT = re.compile(r"^(\w*AivKernel|aiv_all|aiv_reduce|aiv_broadcast|hcom_\w+|\w*AicpuKernel)", re.IGNORECASE)
#: Those of them that are named after a collective: where none is listed whose part they could be, they are one.
_WORDS = r"all_?gather|all_?reduce|reduce_?scatter|all_?to_?all|broadcast|send|recv|receive"
NAMED = re.compile(
    rf"^(\w*AivKernel|aiv_all|aiv_reduce|aiv_broadcast|hcom_\w+|hccl\w*|\w*({_WORDS})\w*AicpuKernel)", re.IGNORECASE
)
#: How a collective as a whole is named.
SUMMARY = re.compile(r"^hcom_", re.IGNORECASE)
CORE = "COMMUNICATION"
KINDS = ("kernel", "collective", "collective_part")


def kinds(columns: Mapping[str, Any]) -> Any:
    """`kernel`, `collective` or `collective_part` for each row of `columns` (start_ns, dur_ns, name, core).

    A collective is a row whose core is COMMUNICATION, or hcom work on other cores that no such row covers; where
    no row has that core, one that is named hcom_*.
    A fragment whose interval lies inside a collective is a part of it, any other one is a collective only if it is
    named after one. A task of that core on a stream is a part, where collectives as a whole stand on none.
    """
    import pandas as pd

    rows = len(columns["start_ns"])
    name, core, stream = (columns.get(column) for column in ("name", "core", "stream"))
    collective = np.zeros(rows, bool) if core is None else (core == CORE).to_numpy(dtype=bool)
    if not collective.any():
        # Level0 writes no core: what is listed under its own name is the collective, kernels inside it are its parts
        collective = _matches(name, SUMMARY, rows)
    on_stream = np.zeros(rows, bool) if stream is None else collective & pd.Series(stream).notna().to_numpy()
    if (collective & ~on_stream).any():
        collective = collective & ~on_stream
    fragment = (_matches(name, FRAGMENT, rows) | on_stream) & ~collective
    codes = (collective | fragment).astype("int8")
    if collective.any():
        start = np.asarray(columns["start_ns"], dtype="int64")
        end = start + np.asarray(columns["dur_ns"], dtype="int64")
        codes[np.flatnonzero(fragment)[_inside(start, end, fragment, collective)]] = 2
    codes[(codes == 1) & fragment & ~on_stream & ~_matches(name, NAMED, rows)] = 0
    return pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(KINDS)))


def repeated(columns: Mapping[str, Any]) -> np.ndarray:
    """Which rows say again what an earlier row said: same start, duration, stream, task and name."""
    import pandas as pd

    start = np.asarray(pd.Series(columns["start_ns"]).fillna(-1), dtype="int64")
    if (start[1:] > start[:-1]).all():
        return np.zeros(len(start), dtype=bool)
    order = np.argsort(start, kind="stable")
    same = np.flatnonzero(np.diff(start[order]) == 0)
    result = np.zeros(len(start), dtype=bool)
    if len(same):
        rows = np.unique(np.concatenate([order[same], order[same + 1]]))
        named = ("start_ns", "dur_ns", "stream", "task", "name")
        table = pd.DataFrame({name: pd.Series(columns[name]).iloc[rows].array for name in named if name in columns})
        result[rows] = table.duplicated().to_numpy()
    return result


def _inside(start: np.ndarray, end: np.ndarray, inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """For each interval chosen by `inner`, whether its middle lies in one chosen by `outer`.

    The middle, because the two records of one collective may differ by some ns at their ends.
    """
    order = np.argsort(start[outer], kind="stable")
    starts, ends = start[outer][order], np.maximum.accumulate(end[outer][order])
    middle = start[inner] + (end[inner] - start[inner]) // 2
    place = np.searchsorted(starts, middle, side="right") - 1
    return (place >= 0) & (ends[np.maximum(place, 0)] >= middle)


def _matches(values: Any, pattern: re.Pattern[str], rows: int) -> np.ndarray:
    """Where a categorical's word matches; each distinct word is looked at once."""
    if values is None or not len(values.cat.categories):
        return np.zeros(rows, bool)
    hit = np.array([bool(pattern.match(str(word))) for word in values.cat.categories] + [False])
    return hit[values.cat.codes.to_numpy()]
