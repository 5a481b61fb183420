"""Read kernel_details.csv and op_summary_*.csv (with its slices): one row is one operator on the device.

The rows come parsed from `rows`; here they become the columns of the kernel table, exact and checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skadvisor.capture import collectives, columns
from skadvisor.capture.csv.rows import TIMES, WORDS, Header, Reading, plain_heading, read_header
from skadvisor.capture.interface import UNREADABLE, Part, Producer, choose_device, notes_on_skipped
from skadvisor.events import SourceFile, host_table, kernel_table, task_table
from skadvisor.text.messages import Message, _

if TYPE_CHECKING:
    import pyarrow as pa

#: Threads that convert columns; the work between their calls into compiled code allows no more.
THREADS = 2
CLEAN: dict[str, Callable[[str], str | None]] = {
    "name": str.strip,
    "core": columns.clean_core,
    "input_shapes": columns.clean_shapes,
    "output_shapes": columns.clean_shapes,
}


def recognise(path: Path, head: bytes) -> str | None:
    """`op_summary` (msprof) or `kernel_details` (torch_npu) by the headings of a table of operators, else None."""
    header = read_header(head)
    return _format_of(header) if header is not None and header.of_operators else None


def _format_of(header: Header) -> str:
    return "op_summary" if "opname" in map(plain_heading, header.headings) else "kernel_details"


def read(paths: Sequence[Path], rank: int | None = None) -> Part:
    """Read the CSV file of one rank; several paths are slices of one table.

    `rank` chooses the device where the file holds several. Raises InputError where a file is no table of
    operators, or holds several devices without a choice.
    """
    readings = [Reading(path) for path in paths]
    for reading in readings:
        reading.run()
    header = readings[0].header
    format = _format_of(header)
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
    cut = _("{path}: the file is cut; what is whole was read")
    notes += [Message(cut, path=file.path) for file in files if file.state == "truncated"]
    producer: Producer = "msprof" if format == "op_summary" else "torch_npu"
    return Part(
        format=format,
        producer=producer,
        files=files,
        kernels=kernel_table(columns.with_null_columns(made), copy=False),
        tasks=task_table({"start_ns": [], "dur_ns": []}),
        host=host_table({"start_ns": [], "dur_ns": []}),
        level="level1" if "input_shapes" in header.known else "level0",
        device=device,
        notes=tuple(notes),
    )


def _one_device(made: dict[str, Any], path: Path, rank: int | None) -> tuple[dict[str, Any], int | None]:
    """The rows of one device and its number; several devices without a choice is an error."""
    values = made.pop("device", None)
    devices = [] if values is None else sorted(values.dropna().unique().tolist())
    device = choose_device([int(number) for number in devices], rank, path)
    if len(devices) < 2:
        return made, device
    kept = (values == device).fillna(False).to_numpy(dtype=bool)
    return {column: series[kept].reset_index(drop=True) for column, series in made.items()}, device


def _assemble(readings: Sequence[Reading]) -> tuple[dict[str, Any], Counter[str]]:
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


def _converted(reading: Reading, faults: Counter[str]) -> dict[str, Any]:
    """The columns of one file; its arrow table is given up."""
    import pandas as pd

    assert reading.table is not None
    arrow = dict(zip(reading.table.column_names, reading.table.columns, strict=True))
    reading.table = None

    def convert(item: tuple[str, int]) -> tuple[Any, int]:
        return _column(item[0], arrow.pop(f"c{item[1]}"), reading.typed)

    made: dict[str, Any] = {}
    with ThreadPoolExecutor(THREADS) as threads:
        for (column, at), (values, failed) in zip(
            reading.header.known.items(), threads.map(convert, reading.header.known.items()), strict=True
        ):
            if failed:
                faults[f"{UNREADABLE}{reading.header.headings[at].strip()}"] += failed
            if values is not None:
                made[column] = pd.Series(values, copy=False)
    return made


def _column(column: str, values: pa.ChunkedArray, typed: bool) -> tuple[Any, int]:
    """One column as a pandas array, None where it says nothing, and how many of its values are unreadable."""
    if column in WORDS:
        return _words(values, column), 0
    if typed:
        return _whole_numbers(values), 0
    return columns.text_column(values.to_pylist(), columns.nanoseconds if column in TIMES else columns.integer)


def _words(values: pa.ChunkedArray, column: str) -> Any:
    import pyarrow as pa

    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    array = values.unify_dictionaries().combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], type=values.type)
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return columns.categorical(codes, array.dictionary.to_pylist(), CLEAN.get(column, columns.clean_text))


def _whole_numbers(values: pa.ChunkedArray) -> Any:
    import pandas as pd

    return pd.arrays.IntegerArray(*columns.whole_numbers(values))


def _usable(made: dict[str, Any], faults: Counter[str]) -> dict[str, Any]:
    """Without rows that lack a time, and without repeated rows; each is counted. Adds `kind`."""
    start, duration = made["start_ns"], made["dur_ns"]
    bad_time = (start.isna() | duration.isna()).to_numpy()
    negative = ((start.fillna(0) < 0) | (duration.fillna(0) < 0)).to_numpy() & ~bad_time
    repeated = collectives.repeated(made) & ~bad_time & ~negative
    for reason, rows in (
        (_("row without a time"), bad_time),
        (_("row with a negative time"), negative),
        (_("repeated row"), repeated),
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
