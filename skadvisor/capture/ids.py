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


def _span(ids: np.ndarray) -> int:
    return int(ids.max()) - int(ids.min()) + 1


def _is_dense(span: int, count: int) -> bool:
    return span <= min(MARKED_SPAN, MARKED_PLACES * count)
