"""Large captures of a chosen size, in the true formats: a small real-looking piece, repeated with shifted times."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2] / "profiles")]

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from capture_examples import example  # noqa: E402
from sample_builder.formats import write_database, write_kernel_details, write_trace_view  # noqa: E402

PIECE = 400
STEP_US = 1_000_000


def large_table(path: Path, rows: int) -> Path:
    """kernel_details.csv with `rows` rows and 44 columns, of which 23 are counters of the cores."""
    capture = example(kernels=PIECE)
    random = np.random.default_rng(0)
    for number in range(19):
        capture.kernels[f"aiv_counter{number}_ratio"] = pd.array(random.random(PIECE).round(3), dtype="Float64")
    with tempfile.TemporaryDirectory() as folder:
        text = write_kernel_details(capture, Path(folder) / "k.csv", step_ids=True, pmu=True).read_text("utf-8")
    header, *lines = text.splitlines()
    start = re.compile(r"(\d{16})(\.\d{3}\t)")
    pieces = [start.split(line, maxsplit=1) for line in lines]
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(header + "\r\n")
        for number in range(rows):
            before, whole, fraction, after = pieces[number % PIECE]
            file.write(f"{before}{int(whole) + number // PIECE * STEP_US}{fraction}{after}\r\n")
    return path


def large_trace(path: Path, size: int) -> Path:
    """trace_view.json of about `size` bytes: host ranges, counters, device tasks and arrows in a usual mixture."""
    with tempfile.TemporaryDirectory() as folder:
        events = json.loads(write_trace_view(example(kernels=PIECE), Path(folder) / "t.json").read_text())
    lanes = [event for event in events if event["ph"] == "M"]
    timed = [event for event in events if event["ph"] != "M"]
    timed += [_operator(number) for number in range(3 * PIECE)]
    timed += [_counter(number) for number in range(2 * PIECE)]
    written = 0
    with path.open("w", encoding="utf-8") as file:
        file.write("[" + ", ".join(json.dumps(event) for event in lanes))
        number = 0
        while written < size:
            shift = number * STEP_US
            for event in timed:
                whole, _, fraction = event["ts"].partition(".")
                moved = event | {"ts": f"{int(whole) + shift}.{fraction}"}
                if "id" in event:
                    moved["id"] = event["id"] + shift * 1000
                written += file.write(", " + json.dumps(moved))
            number += 1
        file.write("]")
    return path


def _operator(number: int) -> dict[str, object]:
    return {
        "ph": "X",
        "name": ("aten::empty", "aten::as_strided", "aclnnMul", "empty_tensor")[number % 4],
        "pid": 457065,
        "tid": 457065,
        "ts": f"{1790085076507758 + 7 * number}.{number % 1000:03d}",
        "dur": 3.5 + number % 7 / 1000,
        "cat": "cpu_op",
        "args": {
            "Sequence number": -1,
            "Fwd thread id": 0,
            "Input Dims": "1,126,896;\r\n896;\r\n;\r\n",
            "Input type": "c10::BFloat16;\r\nc10::BFloat16;\r\nScalar",
        },
    }


def _counter(number: int) -> dict[str, object]:
    return {
        "name": "read_bandwidth",
        "ts": f"{1790085076507758 + 11 * number}.{number % 1000:03d}",
        "pid": 3170820768,
        "tid": 0,
        "args": {"value": number % 50, "acc_id": 0},
        "ph": "C",
    }


def large_database(path: Path, rows: int) -> Path:
    """A profiler database with `rows` operators, made inside SQLite from a small one."""
    capture = example(kernels=PIECE, links=False)
    write_database(capture, path)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM TASK_PMU_INFO")
        columns = {
            table: [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]
            for table in ("TASK", "COMPUTE_TASK_INFO")
        }
        operators = connection.execute("SELECT COUNT(*) FROM COMPUTE_TASK_INFO").fetchone()[0]
        copies = -(-rows // operators) - 1
        connection.execute(
            "CREATE TEMP TABLE shift AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
            f"SELECT i + 1 FROM n WHERE i < {copies}) SELECT i FROM n"
        )
        for table, names in columns.items():
            terms = [
                f'"{name}" + i * {PIECE + 10}'
                if name == "globalTaskId"
                else f'"{name}" + i * {STEP_US * 1000}'
                if name in ("startNs", "endNs")
                else f'"{name}"'
                for name in names
            ]
            connection.execute(f"INSERT INTO {table} SELECT {', '.join(terms)} FROM {table}, shift")
    connection.close()
    return path
