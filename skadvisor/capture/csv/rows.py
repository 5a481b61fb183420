"""Parse tables of operators: headings to columns, rows to an arrow table, damage to counts.

pyarrow parses the text. Typed columns come first, because they are fast, straight from the file where it is plain
UTF-8; a file with one value that does not fit its type is read again as text, to be converted value by value;
damaged quotes are met line by line.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skadvisor.capture.columns import decimal_nanoseconds, thousandths
from skadvisor.capture.interface import ABSENT
from skadvisor.capture.lines import Lines, Source, as_utf8, first_bytes, is_plain
from skadvisor.errors import InputError
from skadvisor.text.messages import _

if TYPE_CHECKING:
    import pyarrow as pa

#: Small enough for the caches of a processor, and large enough that its columns need few calls.
BLOCK_BYTES = 3 << 19
#: `plain_heading` -> column of the kernel table; both producers, old and new.
HEADINGS = {
    "stepid": "step_id",
    # offline models: one inference after the other
    "inferid": "step_id",
    "deviceid": "device",
    "modelid": "model",
    "taskid": "task",
    "streamid": "stream",
    "name": "name",
    "opname": "name",
    "type": "op_type",
    "optype": "op_type",
    "opstate": "state",
    "acceleratorcore": "core",
    "tasktype": "core",
    "starttime(us)": "start_ns",
    "taskstarttime(us)": "start_ns",
    # the first releases leave the unit out, which is us all the same
    "starttime": "start_ns",
    "taskstarttime": "start_ns",
    "duration(us)": "dur_ns",
    "taskduration(us)": "dur_ns",
    "waittime(us)": "wait_ns",
    "taskwaittime(us)": "wait_ns",
    "blockdim": "blocks",
    "blocknum": "blocks",
    "mixblockdim": "mix_blocks",
    "mixblocknum": "mix_blocks",
    "inputshapes": "input_shapes",
    "inputdatatypes": "input_types",
    "inputformats": "input_formats",
    "outputshapes": "output_shapes",
    "outputdatatypes": "output_types",
    "outputformats": "output_formats",
    "aicoretime(us)": "aic_ns",
    "aictime(us)": "aic_ns",
    "aictotaltime(us)": "aic_ns",
    "aivtime(us)": "aiv_ns",
    "aivtotaltime(us)": "aiv_ns",
}
#: The columns without which a table of operators says nothing, as their headings are written.
REQUIRED = {"name": "Name", "start_ns": "Start Time(us)", "dur_ns": "Duration(us)"}
TIMES = ("start_ns", "dur_ns", "wait_ns", "aic_ns", "aiv_ns")
INTEGERS = ("step_id", "device", "model", "task", "stream", "blocks", "mix_blocks")
WORDS = (
    "name",
    "op_type",
    "state",
    "core",
    "input_shapes",
    "input_types",
    "input_formats",
    "output_shapes",
    "output_types",
    "output_formats",
)


@dataclass(frozen=True)
class Header:
    """The headings of a file, and where the columns of the kernel table stand in it."""

    headings: tuple[str, ...]
    known: dict[str, int]

    @property
    def of_operators(self) -> bool:
        """Whether this is a table of device operators: tables of host calls name the thread of each."""
        host = any(plain_heading(heading) == "threadid" for heading in self.headings)
        return not self.missing and not host

    @property
    def missing(self) -> tuple[str, ...]:
        """Headings of `REQUIRED` that are not there."""
        return tuple(heading for column, heading in REQUIRED.items() if column not in self.known)


def plain_heading(heading: str) -> str:
    """A heading in lower case without blanks and underscores, microseconds written as us."""
    return re.sub(r"[\s_\ufeff]", "", heading).lower().replace("\u03bc", "u").replace("\u00b5", "u")


def read_header(head: bytes) -> Header | None:
    """The header from the first bytes of a file; None where the first line cannot be headings."""
    lines = as_utf8(head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0]).decode("utf-8", errors="replace")
    if "," not in lines or "\x00" in lines:
        return None
    try:
        headings = tuple(next(csv.reader([lines.strip("\r")])))
    except (csv.Error, StopIteration):
        return None
    known: dict[str, int] = {}
    for index, heading in enumerate(headings):
        column = HEADINGS.get(plain_heading(heading))
        if column is not None:
            known.setdefault(column, index)
    return Header(headings, known)


class Reading:
    """One file being read: its rows as an arrow table with one column per known heading, and what went wrong."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults: Counter[str] = Counter()
        self.cut = False
        self.rows = 0
        header = read_header(first_bytes(path))
        if header is None or not header.of_operators:
            raise InputError(
                _("{path} is no table of kernels: it lacks Name, Start Time(us) or Duration(us)"), path=path
            )
        self.header = header
        self.table: pa.Table | None = None
        self.typed = True

    def run(self) -> None:
        import pyarrow as pa

        for typed, straight in ((True, True), (True, False), (False, False)):
            if straight and not is_plain(self.path, len(self.header.headings)):
                continue
            self.typed = typed
            try:
                self.table = self._from_file() if straight else self._from_lines(typed)
                break
            except pa.ArrowInvalid:
                continue
        else:
            batches = list(self._row_by_row())
            self.table = pa.Table.from_batches(batches) if batches else None
        self.rows = 0 if self.table is None else self.table.num_rows

    def _from_file(self) -> pa.Table | None:
        """All rows of a plain file; raises ArrowInvalid where anything is odd: encoding, columns, length, decimals."""
        import pyarrow as pa

        with pa.OSFile(str(self.path)) as file:
            return self._parsed(file, typed=True, skip=None)

    def _from_lines(self, typed: bool) -> pa.Table | None:
        """All rows of a file that is packed, cut, not UTF-8, or holds rows to pass over."""
        lines = Lines(Source(self.path))

        def skip(row: Any) -> str:
            if row.text is not None and "\n" in row.text:
                return "error"  # an open quote swallowed the end of a line
            self.faults[_("row with a wrong number of columns")] += 1
            return "skip"

        try:
            table = self._parsed(lines, typed, skip)
        finally:
            lines.end()
        self.faults.update(lines.faults)
        self.cut = lines.cut
        return table

    def _parsed(self, source: Any, typed: bool, skip: Callable[[Any], str] | None) -> pa.Table | None:
        """All rows, parsed by pyarrow in parallel; None where the file has only headings."""
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        self.faults.clear()
        names = [f"c{index}" for index in range(len(self.header.headings))]
        try:
            table = arrow_csv.read_csv(
                source,
                read_options=arrow_csv.ReadOptions(column_names=names, skip_rows=1, block_size=BLOCK_BYTES),
                parse_options=arrow_csv.ParseOptions(invalid_row_handler=skip),
                convert_options=arrow_csv.ConvertOptions(
                    include_columns=[f"c{index}" for index in self.header.known.values()],
                    column_types={
                        f"c{at}": _arrow_type(column, typed, usual=skip is None)
                        for column, at in self.header.known.items()
                    },
                    null_values=list(ABSENT),
                    strings_can_be_null=typed,
                ),
                # arrow's own pool gives back the memory of each block and takes it anew, which costs more system time
                memory_pool=pa.system_memory_pool(),
            )
        except pa.ArrowInvalid as empty:
            if "Empty CSV" not in str(empty):
                raise
            table = None
        if table is not None and any(_holds_line_end(column) for column in table.columns):
            raise pa.ArrowInvalid("an open quote swallowed the end of a line")
        return self._with_times(table) if table is not None and typed else table

    def _with_times(self, table: pa.Table) -> pa.Table:
        """The table with its times as int64 ns; raises ArrowInvalid where one is no number of one line."""
        for column, at in self.header.known.items():
            if column in TIMES:
                place = table.column_names.index(f"c{at}")
                table = table.set_column(place, f"c{at}", decimal_nanoseconds(table.column(place)))
        return table

    def _row_by_row(self) -> Iterator[pa.RecordBatch]:
        """For damaged quotes, over which pyarrow stumbles: each line on its own, through the csv module."""
        import pyarrow as pa

        self.faults.clear()
        lines = Lines(Source(self.path))
        lines.read(0)
        known = list(self.header.known.values())
        schema = pa.schema([(f"c{index}", pa.string()) for index in known])
        first = True
        while block := lines.read(BLOCK_BYTES):
            rows: list[list[str]] = []
            for line in block.decode("utf-8", errors="replace").replace("\x00", "").splitlines():
                if first or not line:
                    first = False
                    continue
                try:
                    row = next(csv.reader(io.StringIO(line), strict=True))
                except (csv.Error, StopIteration):
                    self.faults[_("row with damaged quotes")] += 1
                    continue
                if len(row) != len(self.header.headings):
                    self.faults[_("row with a wrong number of columns")] += 1
                    continue
                rows.append([row[index] for index in known])
            if rows:
                yield pa.record_batch([pa.array(column) for column in zip(*rows, strict=True)], schema=schema)
        lines.end()
        self.faults.update(lines.faults)
        self.cut = lines.cut


def _holds_line_end(column: pa.ChunkedArray) -> bool:
    import numpy as np
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        texts = [chunk.dictionary for chunk in column.chunks]
    else:
        texts = column.chunks if pa.types.is_string(column.type) else []
    # the characters of a text column are its third buffer
    return any((np.frombuffer(text.buffers()[2] or b"", dtype="uint8") == ord("\n")).any() for text in texts)


def _arrow_type(column: str, typed: bool, *, usual: bool) -> Any:
    """What a column is parsed as. Times have three decimals at most in a `usual` file, else they are read as text."""
    import pyarrow as pa

    if not typed:
        return pa.string()
    if column in WORDS:
        return pa.dictionary(pa.int32(), pa.string())
    if column in TIMES:
        return thousandths() if usual else pa.string()
    return pa.int64()
