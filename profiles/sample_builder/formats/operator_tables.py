"""Write kernel_details.csv (torch_npu) and op_summary_*.csv (msprof)."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from skadvisor.events import KERNEL_COLUMNS, Capture

NO_ID = 4294967295
ABSENT = "N/A"

#: Heading -> column, in the order of a Level1 file. `device` and the empty names are filled below.
LEVEL1 = {
    "Device_id": "device",
    "Model ID": "model",
    "Task ID": "task",
    "Stream ID": "stream",
    "Name": "name",
    "Type": "op_type",
    "OP State": "state",
    "Accelerator Core": "core",
    "Start Time(us)": "start_ns",
    "Duration(us)": "dur_ns",
    "Wait Time(us)": "wait_ns",
    "Block Num": "blocks",
    "Mix Block Num": "mix_blocks",
    "HF32 Eligible": "hf32",
    "Input Shapes": "input_shapes",
    "Input Data Types": "input_types",
    "Input Formats": "input_formats",
    "Output Shapes": "output_shapes",
    "Output Data Types": "output_types",
    "Output Formats": "output_formats",
    "Context ID": "context",
}
LEVEL0 = ("Name", "Type", "Accelerator Core", "Start Time(us)", "Duration(us)", "Wait Time(us)", "Block Num")
OP_SUMMARY = {
    "Name": "Op Name",
    "Type": "OP Type",
    "Accelerator Core": "Task Type",
    "Start Time(us)": "Task Start Time(us)",
    "Duration(us)": "Task Duration(us)",
    "Wait Time(us)": "Task Wait Time(us)",
}


def write_kernel_details(
    capture: Capture, path: Path | str, *, level: int = 1, step_ids: bool = False, pmu: bool = False
) -> Path:
    """Write `capture` as kernel_details.csv and return the path; `.gz` compresses.

    Level 0 has no stream, shapes or operator types. `step_ids` leads with the column that only runs with a
    schedule have; `pmu` adds core times and the counters that follow the known columns of the table.
    """
    headings = dict(LEVEL1) if level else {heading: LEVEL1[heading] for heading in LEVEL0}
    if level == 0:
        headings = {("Block Dim" if heading == "Block Num" else heading): name for heading, name in headings.items()}
    if step_ids:
        headings = {"Step Id": "step_id", **headings}
    if pmu and level:
        headings |= _counter_headings(capture.kernels)
    return _write(capture, Path(path), headings, hide=("op_type", "core") if level == 0 else ())


def write_op_summary(capture: Capture, path: Path | str, *, pmu: bool = False) -> Path:
    """Write `capture` as msprof's op_summary and return the path; `.gz` compresses."""
    headings = {OP_SUMMARY.get(heading, heading): name for heading, name in LEVEL1.items()}
    if pmu:
        headings |= _counter_headings(capture.kernels)
    return _write(capture, Path(path), headings)


def _counter_headings(kernels: pd.DataFrame) -> dict[str, str]:
    """Core times and counters in the order of real files: cube cores, vector cores, the rest."""
    counters = [str(name) for name in kernels.columns if name not in KERNEL_COLUMNS]
    cube = [name for name in counters if name.startswith("aic")]
    vector = [name for name in counters if name.startswith("aiv")]
    rest = [name for name in counters if name not in cube and name not in vector]
    ordered = ["aicore_time(us)", *cube, "aiv_time(us)", *vector, *rest]
    return {name: {"aicore_time(us)": "aic_ns", "aiv_time(us)": "aiv_ns"}.get(name, name) for name in ordered}


def _write(capture: Capture, path: Path, headings: dict[str, str], hide: tuple[str, ...] = ()) -> Path:
    rows = capture.kernels
    columns = [list(_cells(rows, name, capture.device, name in hide)) for name in headings.values()]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(headings)
    writer.writerows(zip(*columns, strict=True))
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def _cells(rows: pd.DataFrame, name: str, device: int | None, hidden: bool) -> Iterator[str]:
    """The cells of one column as a real file writes them."""
    if name == "hf32":
        return ("N/A" if kind == "collective" else "NO" for kind in rows["kind"])
    if name == "context" or hidden:
        return (ABSENT for _ in range(len(rows)))
    if name == "device":
        return (str(0 if device is None else device) for _ in range(len(rows)))
    if name == "blocks":
        pairs = zip(rows["blocks"].astype("object"), rows["kind"], strict=True)
        return (
            "0" if kind == "collective" else _cell(name, None if pd.isna(value) else value) for value, kind in pairs
        )
    return (_cell(name, value) for value in rows[name].astype("object").where(rows[name].notna(), None))


def _cell(name: str, value: Any) -> str:
    if value is None:
        return str(NO_ID) if name == "model" else ABSENT
    if name == "start_ns":
        return microseconds(int(value)) + "\t"
    if name in ("dur_ns", "aic_ns", "aiv_ns"):
        return microseconds(int(value))
    if name == "wait_ns":
        return "0" if value == 0 else microseconds(int(value)) + "000"
    if name in ("input_shapes", "output_shapes"):
        return f'"{value}"'
    return str(value)


def microseconds(nanoseconds: int) -> str:
    """ns as decimal microseconds with three digits, exact."""
    return f"{nanoseconds // 1000}.{nanoseconds % 1000:03d}"
