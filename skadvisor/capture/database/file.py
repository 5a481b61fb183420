"""A profiler database open for reading: real tables only, numbers by column, strings once.

Tables of whole numbers come through ADBC, which fills arrow columns without a Python object for each value; tables
with other values, and damaged files, come row by row through sqlite3.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from skadvisor.capture.database.ids import ABSENT, distinct
from skadvisor.capture.interface import MAX_ROWS
from skadvisor.errors import InputError
from skadvisor.text.messages import _

#: What a damaged database raises; its error messages themselves may be no text.
DAMAGE = (sqlite3.Error, UnicodeDecodeError)
FETCHED_ROWS = 4096
#: Rows of one arrow batch.
BATCH_ROWS = 65536
#: Tables that are read at the same time.
THREADS = 2
#: Strings longer than this in all are refused: names and shapes of real captures need a few MB.
MAX_STRING_BYTES = 1 << 30
#: What a column is called here -> its names in the file, newest first.
Columns = dict[str, tuple[str, ...]]


@dataclass
class Database:
    """A database open for reading, the columns of its tables, and what could not be read."""

    path: Path
    tables: dict[str, list[str]] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    cut: bool = False
    rows: int = 0

    def __enter__(self) -> Database:
        beside = [Path(f"{self.path}{ending}") for ending in ("-wal", "-journal")]
        journals = any(journal.exists() and journal.stat().st_size for journal in beside)
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

    def numbers(self, table: str, wanted: Columns) -> dict[str, np.ndarray]:
        """Integer columns of a table; a column that is missing, or a null in one, reads as `ABSENT`.

        A table that turns out to be damaged gives the rows before the damage.
        """
        return self.numbers_of({table: wanted})[0]

    def numbers_of(self, wanted: dict[str, Columns]) -> list[dict[str, np.ndarray]]:
        """`numbers` of several tables, which are read at the same time."""
        queries = [self._terms(table, columns) for table, columns in wanted.items()]
        with ThreadPoolExecutor(THREADS) as threads:
            read = list(threads.map(self._whole_numbers, queries, wanted))
        made = []
        for columns, (table, names), terms in zip(read, wanted.items(), queries, strict=True):
            if columns is not None:
                self._count(len(columns[0]))
                made.append(dict(zip(names, columns, strict=True)))
                continue
            careful = [f"CAST(COALESCE({term}, {ABSENT}) AS INTEGER)" for term in terms]
            dtype = np.dtype([(name, "int64") for name in names])
            values = np.fromiter(self.read_rows(f'SELECT {", ".join(careful)} FROM "{table}"'), dtype=dtype)
            made.append({name: np.ascontiguousarray(values[name]) for name in names})
        return made

    def _terms(self, table: str, wanted: Columns) -> list[str]:
        """How each column is written in a query: the newest of its names that the table has."""
        present = self.tables.get(table, [])
        chosen = [next((column for column in names if column in present), None) for names in wanted.values()]
        return [f'"{column}"' if column else str(ABSENT) for column in chosen]

    def _whole_numbers(self, terms: list[str], table: str) -> list[np.ndarray] | None:
        """Columns that hold nothing but whole numbers and nulls; None where there are others, and for damage.

        Through a connection of its own, and not through the driver's `dbapi`, which loads data frame libraries.
        """
        import adbc_driver_manager as adbc
        import adbc_driver_sqlite
        import pyarrow as pa

        if not self.tables.get(table):
            return [np.empty(0, dtype="int64") for _ in terms]
        query = f'SELECT {", ".join(terms)} FROM "{table}" LIMIT {MAX_ROWS + 1}'
        try:
            with (
                adbc_driver_sqlite.connect(self.uri) as database,
                adbc.AdbcConnection(database) as connection,
                adbc.AdbcStatement(connection) as statement,
            ):
                statement.set_sql_query("PRAGMA trusted_schema = OFF")
                statement.execute_update()
                statement.set_options(**{"adbc.sqlite.query.batch_rows": str(BATCH_ROWS)})
                statement.set_sql_query(query)
                stream, _ = statement.execute_query()
                reader = pa.RecordBatchReader._import_from_c(stream.address)
                if any(not pa.types.is_int64(column.type) for column in reader.schema):
                    return None
                read = reader.read_all()
        except (adbc.Error, OSError, pa.ArrowException):
            return None
        return [(column.fill_null(ABSENT) if column.null_count else column).to_numpy() for column in read.columns]

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
            raise InputError(
                _("{path} holds more than {max_rows} rows"),
                _("Record a shorter time."),
                path=self.path,
                max_rows=MAX_ROWS,
            )

    def strings(self, *ids: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """The sorted distinct ids among all `ids`, and their strings ("" where the file lacks one)."""
        ids_in_order = np.unique(np.concatenate([distinct(some) for some in ids]))
        wanted = dict.fromkeys(ids_in_order.tolist(), "")
        size = 0
        if "STRING_IDS" in self.tables:
            for number, value in self.read_rows("SELECT id, value FROM STRING_IDS"):
                if number in wanted and value is not None:
                    size += len(value)
                    if size > MAX_STRING_BYTES:
                        raise InputError(
                            _("{path} holds more than {value} MB of names"),
                            path=self.path,
                            value=MAX_STRING_BYTES >> 20,
                        )
                    wanted[number] = str(value)
        return ids_in_order, list(wanted.values())
