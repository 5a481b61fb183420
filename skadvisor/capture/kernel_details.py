"""Read kernel_details.csv and op_summary_*.csv (with its slices): one row is one operator on the device.

pyarrow parses the text. Typed columns come first, because they are fast; a file with one value that does not
fit its type is read again as text and converted value by value, so that only the bad values are lost.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skadvisor.capture import collectives, columns
from skadvisor.capture.interface import ABSENT, Format, Part, Producer, notes_on_skipped
from skadvisor.capture.lines import Lines, Source, as_utf8, first_bytes
from skadvisor.errors import InputError
from skadvisor.events import SourceFile, host_table, kernel_table, task_table

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 4 << 20
#: Heading in lower case without blanks -> column of the kernel table; both producers, old and new.
HEADINGS = {
    "stepid": "step_id",
    "device_id": "device",
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
    "aicore_time(us)": "aic_ns",
    "aic_time(us)": "aic_ns",
    "aiv_time(us)": "aiv_ns",
}
TIMES = {"start_ns": 3, "dur_ns": 9, "wait_ns": 9, "aic_ns": 9, "aiv_ns": 9}
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
CLEAN: dict[str, Callable[[str], str | None]] = {
    "name": str.strip,
    "core": columns.clean_core,
    "input_shapes": columns.clean_shapes,
    "output_shapes": columns.clean_shapes,
}
#: Headings of counters of the cores (PMU), which vary with the metric that was recorded.
PMU = re.compile(
    r"^(aic|aiv|aicore|cube|vec|mac|mte|scalar|fixpipe|icache|total_cycles|memory|l[012]|ub|hbm|main_mem|gm)"
    r"|_bw\b|_ratio|_rate|_time\(us\)|cycles|utilization",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Header:
    """The headings of a file and what each of its columns holds: a table column, a counter, or nothing for us."""

    headings: tuple[str, ...]
    known: dict[str, int]
    counters: dict[str, int]

    @property
    def used(self) -> dict[str, int]:
        return {**self.known, **self.counters}


def recognises(head: bytes) -> bool:
    """Whether a file that begins with `head` is a table of operators, by its headings."""
    header = _header(head)
    return header is not None and {"name", "start_ns", "dur_ns"} <= set(header.known)


def is_summary(head: bytes) -> bool:
    """Whether the headings are those of msprof (op_summary) and not those of torch_npu (kernel_details)."""
    header = _header(head)
    return header is not None and "opname" in {_plain(heading) for heading in header.headings}


def read(paths: Sequence[Path], rank: int | None = None) -> Part:
    """Read the CSV file of one rank; several paths are slices of one table.

    `rank` chooses the device where the file holds several. Raises InputError where a file is no table of
    operators, or holds several devices without a choice.
    """
    readings = [_Reading(path) for path in paths]
    for reading in readings:
        reading.run()
    header = readings[0].header
    format: Format = "op_summary" if is_summary(first_bytes(paths[0])) else "kernel_details"
    made, skipped = _assemble(readings)
    files = tuple(
        SourceFile(
            path=str(reading.path),
            format=format,
            rows=reading.rows,
            state="truncated" if reading.cut else "complete",
            skipped=dict(reading.faults + (skipped if reading is readings[0] else Counter())),
        )
        for reading in readings
    )
    made, device = _one_device(made, paths[0], rank)
    notes = [note for file in files for note in notes_on_skipped(file.path, Counter(file.skipped))]
    notes += [f"{file.path}: the file is cut; what is whole was read" for file in files if file.state == "truncated"]
    producer: Producer = "msprof" if format == "op_summary" else "torch_npu"
    return Part(
        format=format,
        producer=producer,
        files=files,
        kernels=kernel_table(columns.with_null_columns(made)),
        tasks=task_table({"start_ns": [], "dur_ns": []}),
        host=host_table({"start_ns": [], "dur_ns": []}),
        level="level1" if "input_shapes" in header.known else "level0",
        device=device,
        notes=tuple(notes),
    )


def _one_device(made: dict[str, Any], path: Path, rank: int | None) -> tuple[dict[str, Any], int | None]:
    """The rows of one device and its number; several devices without a choice is an error."""
    values = made.pop("device", None)
    devices = [] if values is None else sorted(set(values.dropna().tolist()))
    if len(devices) < 2:
        return made, int(devices[0]) if devices else None
    if rank not in devices:
        raise InputError(f"{path} holds the devices {', '.join(map(str, devices))}", "Choose one of them with --rank.")
    kept = (values == rank).fillna(False).to_numpy(dtype=bool)
    return {column: series[kept].reset_index(drop=True) for column, series in made.items()}, rank


def _plain(heading: str) -> str:
    return heading.strip().strip("\ufeff").replace(" ", "").lower()


def _header(head: bytes) -> Header | None:
    """The header from the first bytes of a file; None where the first line cannot be headings."""
    lines = as_utf8(head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0]).decode("utf-8", errors="replace")
    if "," not in lines or "\x00" in lines:
        return None
    try:
        headings = tuple(next(csv.reader([lines.strip("\r")])))
    except (csv.Error, StopIteration):
        return None
    known: dict[str, int] = {}
    counters: dict[str, int] = {}
    for index, heading in enumerate(headings):
        column = HEADINGS.get(_plain(heading))
        if column is not None:
            known.setdefault(column, index)
        elif PMU.search(heading.strip()):
            counters.setdefault(heading.strip(), index)
    return Header(headings, known, counters)


class _Reading:
    """One file being read: its rows as an arrow table with one column per used heading, and what went wrong."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults: Counter[str] = Counter()
        self.cut = False
        self.rows = 0
        header = _header(first_bytes(path))
        if header is None or not {"name", "start_ns", "dur_ns"} <= set(header.known):
            raise InputError(f"{path} is no table of kernels: it lacks Name, Start Time(us) or Duration(us)")
        self.header = header
        self.table: pa.Table | None = None
        self.typed = True

    def run(self) -> None:
        import pyarrow as pa

        try:
            self.table = self._parsed(typed=True)
        except pa.ArrowInvalid:
            self.typed = False
            try:
                self.table = self._parsed(typed=False)
            except pa.ArrowInvalid:
                batches = list(self._row_by_row())
                self.table = pa.Table.from_batches(batches) if batches else None
        self.rows = 0 if self.table is None else self.table.num_rows

    def _parsed(self, typed: bool) -> pa.Table | None:
        """All rows, parsed by pyarrow in parallel; None where the file has only headings."""
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        self.faults.clear()
        source = Source(self.path)
        lines = Lines(source)
        names = [f"c{index}" for index in range(len(self.header.headings))]

        def count(row: Any) -> str:
            if row.text is not None and "\n" in row.text:
                return "error"  # an open quote swallowed the end of a line
            self.faults["row with a wrong number of columns"] += 1
            return "skip"

        try:
            table = arrow_csv.read_csv(
                lines,
                read_options=arrow_csv.ReadOptions(column_names=names, skip_rows=1, block_size=BLOCK_BYTES),
                parse_options=arrow_csv.ParseOptions(invalid_row_handler=count),
                convert_options=arrow_csv.ConvertOptions(
                    include_columns=[f"c{index}" for index in self.header.used.values()],
                    column_types={f"c{at}": _arrow_type(column, typed) for column, at in self.header.used.items()},
                    null_values=list(ABSENT),
                    strings_can_be_null=typed,
                ),
            )
        except pa.ArrowInvalid as empty:
            if "Empty CSV" not in str(empty):
                raise
            table = None
        if table is not None and any(_holds_line_end(column) for column in table.columns):
            raise pa.ArrowInvalid("an open quote swallowed the end of a line")
        self.faults.update(lines.faults)
        self.cut = lines.cut or source.cut
        source.close()
        return table

    def _row_by_row(self) -> Iterator[pa.RecordBatch]:
        """For damaged quotes, over which pyarrow stumbles: each line on its own, through the csv module."""
        import pyarrow as pa

        self.faults.clear()
        source = Source(self.path)
        lines = Lines(source)
        lines.read(0)
        used = list(self.header.used.values())
        schema = pa.schema([(f"c{index}", pa.string()) for index in used])
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
                    self.faults["row with damaged quotes"] += 1
                    continue
                if len(row) != len(self.header.headings):
                    self.faults["row with a wrong number of columns"] += 1
                    continue
                rows.append([row[index] for index in used])
            if rows:
                yield pa.record_batch([pa.array(column) for column in zip(*rows, strict=True)], schema=schema)
        self.faults.update(lines.faults)
        self.cut = lines.cut or source.cut
        source.close()


def _holds_line_end(column: pa.ChunkedArray) -> bool:
    import pyarrow as pa
    from pyarrow import compute

    if pa.types.is_dictionary(column.type):
        texts = [chunk.dictionary for chunk in column.chunks]
    else:
        texts = column.chunks if pa.types.is_string(column.type) else []
    return any(compute.any(compute.match_substring(text, "\n")).as_py() for text in texts)


def _arrow_type(column: str, typed: bool) -> Any:
    import pyarrow as pa

    if column in WORDS:
        return pa.dictionary(pa.int32(), pa.string()) if typed else pa.string()
    if not typed:
        return pa.string()
    if column in TIMES:
        return pa.decimal128(38, TIMES[column])
    return pa.int64() if column in INTEGERS else pa.float64()


def _assemble(readings: Sequence[_Reading]) -> tuple[dict[str, Any], Counter[str]]:
    """The columns of the kernel table from all slices, without the rows that cannot be used."""
    import pandas as pd

    faults: Counter[str] = Counter()
    made: dict[str, list[Any]] = {}
    total = 0
    for reading in readings:
        if reading.table is None:
            continue
        rows = reading.table.num_rows
        part = _converted(reading, faults)
        for column in part:
            made.setdefault(column, [pd.Series([None] * total, dtype="object")] if total else [])
        for column, pieces in made.items():
            pieces.append(part[column] if column in part else pd.Series([None] * rows, dtype="object"))
        total += rows
    joined = {column: pieces[0] if len(pieces) == 1 else _joined(pieces) for column, pieces in made.items()}
    if not joined:
        return {"start_ns": [], "dur_ns": []}, faults
    return _usable(joined, faults), faults


def _joined(pieces: list[Any]) -> Any:
    """Slices of one column under each other."""
    import pandas as pd

    if any(isinstance(piece.dtype, pd.CategoricalDtype) for piece in pieces):
        words = pd.concat([piece.astype("object") for piece in pieces], ignore_index=True)
        codes, uniques = pd.factorize(words)
        return pd.Series(columns.categorical(codes, [str(word) for word in uniques]))
    dtype = next((piece.dtype for piece in pieces if piece.dtype != object), pieces[0].dtype)
    return pd.concat([piece.astype(dtype) for piece in pieces], ignore_index=True)


def _converted(reading: _Reading, faults: Counter[str]) -> dict[str, Any]:
    import pandas as pd

    assert reading.table is not None
    made: dict[str, Any] = {}
    for column, at in reading.header.used.items():
        values = reading.table.column(f"c{at}")
        if column in WORDS:
            series = _words(values, column)
        elif reading.typed:
            series = _typed(values, column)
        else:
            convert, kind = _conversion(column)
            series, failed = columns.text_column(values.to_pylist(), convert, kind)
            if failed:
                faults[f"unreadable value in {reading.header.headings[at].strip()}"] += failed
        if series is not None:
            made[column] = pd.Series(series)
    return made


def _conversion(column: str) -> tuple[Any, str]:
    if column in TIMES:
        return columns.nanoseconds, "Int64"
    return (columns.integer, "Int64") if column in INTEGERS else (columns.number, "Float64")


def _words(values: pa.ChunkedArray, column: str) -> Any:
    import pyarrow as pa

    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    array = values.unify_dictionaries().combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], type=values.type)
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return columns.categorical(codes, array.dictionary.to_pylist(), CLEAN.get(column, columns.clean_text))


def _typed(values: pa.ChunkedArray, column: str) -> Any:
    import pandas as pd

    if column in TIMES:
        return pd.arrays.IntegerArray(*columns.decimal_nanoseconds(values, TIMES[column]))
    if column not in INTEGERS:
        data = np.array(values.to_numpy())
        return pd.arrays.FloatingArray(data, np.isnan(data))
    if values.null_count:
        return pd.arrays.IntegerArray(np.array(values.fill_null(0).to_numpy()), np.array(values.is_null().to_numpy()))
    return pd.arrays.IntegerArray(np.array(values.to_numpy()), np.zeros(len(values), dtype=bool))


def _usable(made: dict[str, Any], faults: Counter[str]) -> dict[str, Any]:
    """Without rows that lack a time, and without repeated rows; each is counted. Adds `kind`."""
    start, duration = made["start_ns"], made["dur_ns"]
    bad_time = (start.isna() | duration.isna()).to_numpy()
    negative = ((start.fillna(0) < 0) | (duration.fillna(0) < 0)).to_numpy() & ~bad_time
    repeated = collectives.repeated(made) & ~bad_time & ~negative
    for reason, rows in (
        ("row without a time", bad_time),
        ("row with a negative time", negative),
        ("repeated row", repeated),
    ):
        if rows.any():
            faults[reason] += int(rows.sum())
    keep = ~(bad_time | negative | repeated)
    if not keep.all():
        made = {column: values[keep].reset_index(drop=True) for column, values in made.items()}
    if "core" in made and "blocks" in made:
        # The file writes 0 for collectives, which run on no cores of their own.
        made["blocks"] = made["blocks"].mask((made["core"] == collectives.CORE).fillna(False).to_numpy(dtype=bool))
    if "model" in made:
        made["model"] = columns.without_no_id(made["model"])
    made["kind"] = collectives.kinds(made)
    return made
