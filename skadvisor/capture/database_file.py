"""A profiler database open for reading: real tables only, numbers by column, strings once.

Tables of whole numbers come through ADBC, which fills arrow columns without a Python object for each value; tables
with other values, and damaged files, come row by row through sqlite3.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from skadvisor.capture.interface import MAX_ROWS
from skadvisor.errors import InputError

#: What a damaged database raises; its error messages themselves may be no text.
DAMAGE = (sqlite3.Error, UnicodeDecodeError)
FETCHED_ROWS = 4096
#: Rows of one arrow batch.
BATCH_ROWS = 65536
#: Ids that lie at most so far apart are found by marking them in a table rather than by sorting.
MARKED_SPAN = 1 << 24
#: What an absent number is read as.
ABSENT = -1
#: Strings longer than this in all are refused: names and shapes of real captures need a few MB.
MAX_STRING_BYTES = 1 << 30


@dataclass
class Database:
    """A database open for reading, the columns of its tables, and what could not be read."""

    path: Path
    tables: dict[str, list[str]] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    cut: bool = False
    rows: int = 0

    def __enter__(self) -> Database:
        journals = any(Path(f"{self.path}{ending}").exists() for ending in ("-wal", "-journal"))
        options = "mode=ro" if journals else "mode=ro&immutable=1"
        self.uri = f"{self.path.resolve().as_uri()}?{options}"
        self.connection = sqlite3.connect(self.uri, uri=True)
        self.connection.execute("PRAGMA trusted_schema = OFF")
        self.connection.text_factory = lambda raw: raw.decode("utf-8", errors="replace")
        try:
            names = self.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (name,) in names:
                information = self.connection.execute("SELECT name FROM pragma_table_info(?)", (name,)).fetchall()
                self.tables[name] = [column for (column,) in information]
        except DAMAGE:
            self.connection.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def numbers(self, table: str, wanted: dict[str, tuple[str, ...]]) -> dict[str, np.ndarray]:
        """Integer columns of a table; a column that is missing, or a null in one, reads as `ABSENT`.

        A table that turns out to be damaged gives the rows before the damage.
        """
        present = self.tables.get(table, [])
        chosen = {name: next((column for column in names if column in present), None) for name, names in wanted.items()}
        if not present:
            return {name: np.empty(0, dtype="int64") for name in chosen}
        plain = [f'"{column}"' if column else str(ABSENT) for column in chosen.values()]
        columns = self._whole_numbers(f'SELECT {", ".join(plain)} FROM "{table}" LIMIT {MAX_ROWS + 1}')
        if columns is not None:
            self._count(len(columns[0]))
            return dict(zip(chosen, columns, strict=True))
        careful = [f"CAST(COALESCE({term}, {ABSENT}) AS INTEGER)" for term in plain]
        dtype = np.dtype([(name, "int64") for name in chosen])
        values = np.fromiter(self.read_rows(f'SELECT {", ".join(careful)} FROM "{table}"'), dtype=dtype)
        return {name: np.ascontiguousarray(values[name]) for name in chosen}

    def _whole_numbers(self, query: str) -> list[np.ndarray] | None:
        """The columns of a query that gives nothing but whole numbers and nulls; None for any other, and for damage."""
        import adbc_driver_manager
        import adbc_driver_sqlite.dbapi as adbc
        import pyarrow as pa

        try:
            with adbc.connect(self.uri) as connection, connection.cursor() as cursor:
                cursor.execute("PRAGMA trusted_schema = OFF")
                cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(BATCH_ROWS)})
                cursor.execute(query)
                reader = cursor.fetch_record_batch()
                if any(not pa.types.is_int64(column.type) for column in reader.schema):
                    return None
                table = reader.read_all()
        except (adbc_driver_manager.Error, OSError, pa.ArrowException):
            return None
        return [np.array(column.fill_null(ABSENT).to_numpy()) for column in table.columns]

    def read_rows(self, query: str) -> Any:
        try:
            cursor = self.connection.execute(f"{query} LIMIT {MAX_ROWS + 1}")
            while rows := cursor.fetchmany(FETCHED_ROWS):
                self._count(len(rows))
                yield from rows
        except DAMAGE:
            self.cut = True

    def _count(self, rows: int) -> None:
        self.rows += rows
        if self.rows > 4 * MAX_ROWS:
            raise InputError(f"{self.path} holds more than {MAX_ROWS} rows", "Record a shorter time.")

    def strings(self, *ids: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """The sorted distinct ids among all `ids`, and their strings ("" where the file lacks one)."""
        distinct = np.unique(np.concatenate([_distinct(some) for some in ids]))
        wanted = dict.fromkeys(distinct.tolist(), "")
        size = 0
        if "STRING_IDS" in self.tables:
            for number, value in self.read_rows("SELECT id, value FROM STRING_IDS"):
                if number in wanted and value is not None:
                    size += len(value)
                    if size > MAX_STRING_BYTES:
                        raise InputError(f"{self.path} holds more than {MAX_STRING_BYTES >> 20} MB of names")
                    wanted[number] = str(value)
        return distinct, list(wanted.values())


def _distinct(ids: np.ndarray) -> np.ndarray:
    """The distinct ids that are not absent."""
    ids = ids[ids >= 0]
    if not len(ids):
        return ids
    low = int(ids.min())
    span = int(ids.max()) - low + 1
    if span > MARKED_SPAN:
        return np.unique(ids)
    seen = np.zeros(span, dtype=bool)
    seen[ids - low] = True
    return np.flatnonzero(seen) + low
