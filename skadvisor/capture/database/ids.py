"""Find rows and strings by their ids: by marking ids that lie close together in a table, by sorting the others."""

from __future__ import annotations

import numpy as np

#: Ids are found by marking them in a table, if it needs no more places in all, and no more for each id, than this.
MARKED_SPAN = 1 << 24
MARKED_PLACES = 64
#: What an absent number is read as.
ABSENT = -1


def distinct(ids: np.ndarray) -> np.ndarray:
    """The distinct ids that are not absent, in order."""
    ids = ids[ids >= 0]
    if not len(ids):
        return ids
    low, span = int(ids.min()), _span(ids)
    if not _is_dense(span, len(ids)):
        return np.unique(ids)
    seen = np.zeros(span, dtype=bool)
    seen[ids - low] = True
    return np.flatnonzero(seen) + low


def place(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The first row of `keys` that equals each of `wanted`, -1 where none does."""
    if not len(keys) or not len(wanted):
        return np.full(len(wanted), -1, dtype="int64")
    low, span = int(keys.min()), _span(keys)
    if _is_dense(span, len(keys) + len(wanted)):
        # Of several assignments to one element the last one stays: the first row.
        table = np.full(span, -1, dtype="int64")
        table[keys[::-1] - low] = np.arange(len(keys) - 1, -1, -1)
        within = (wanted >= low) & (wanted < low + span)
        if within.all():
            return table[wanted - low]
        return np.where(within, table[np.where(within, wanted, low) - low], -1)
    order = np.argsort(keys, kind="stable")
    rows = order[np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)]
    return np.where(keys[rows] == wanted, rows, -1)


def codes(ids: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Positions in the sorted distinct `known`, which holds all ids but absent ones; -1 for those."""
    if not len(known):
        return np.full(len(ids), -1, dtype="int64")
    low, span = int(known[0]), _span(known)
    if not _is_dense(span, len(known) + len(ids)):
        return np.where(ids >= 0, np.searchsorted(known, np.maximum(ids, low)), -1)
    table = np.full(span + 1, -1, dtype="int64")
    table[known - low + 1] = np.arange(len(known))
    return table[np.maximum(ids - (low - 1), 0)]


class Runs:
    """The rows of tasks that may run several times under one id: `keys` are the ids, -1 for none, in order of time."""

    def __init__(self, keys: np.ndarray) -> None:
        self._known = np.flatnonzero(keys >= 0)
        self._keys = keys[self._known]
        once = (place(self._keys, self._keys) == np.arange(len(self._keys))).all()
        self._order = None if once else np.argsort(self._keys, kind="stable")

    def rows(self, wanted: np.ndarray) -> np.ndarray:
        """The row of each of `wanted`, -1 where there is none; of equal ids the nth means the nth run."""
        if not len(self._keys):
            return np.full(len(wanted), ABSENT, dtype="int64")
        if self._order is None:
            found = place(self._keys, wanted)
        else:
            import pandas as pd

            ordered = self._keys[self._order]
            earlier = pd.Series(wanted).groupby(wanted).cumcount().to_numpy()
            at = np.searchsorted(ordered, wanted) + earlier
            inside = np.minimum(at, len(ordered) - 1)
            found = np.where((at < len(ordered)) & (ordered[inside] == wanted), self._order[inside], ABSENT)
        return np.where(found >= 0, self._known[found], ABSENT)


def _span(ids: np.ndarray) -> int:
    return int(ids.max()) - int(ids.min()) + 1


def _is_dense(span: int, count: int) -> bool:
    return span <= min(MARKED_SPAN, MARKED_PLACES * count)
