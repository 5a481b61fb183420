"""Every form in which a producer or a release writes a run reads back as the one run that it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import reader_variants as variants
from reader_variants import ALWAYS, COLUMNS, COMPUTE, IN_TABLE, TRUTH, check, written
from variant_databases import write_database

from skadvisor import capture
from skadvisor.errors import NotEnoughError

# Tables of operators


@pytest.mark.parametrize("form", sorted(variants.HEADINGS))
def test_headings_of_every_release(tmp_path: Path, form: str) -> None:
    headings = variants.HEADINGS[form]
    (tmp_path / "table.csv").write_bytes(variants.operator_table(headings))
    read = capture.load(tmp_path / "table.csv")
    held = {
        "type": True,
        "core": True,
        "stream": "Stream ID" in headings,
        "task": "Task ID" in headings,
        "blocks": True,
        "shapes": "Input Shapes" in headings,
        "core_time": "aicore_time" in headings or "aic_total_time" in headings,
    }
    check(read, [*ALWAYS, *(name for name, holds in held.items() if holds)])
    assert all(read.kernels[COLUMNS.get(name, name)].isna().all() for name, holds in held.items() if not holds)
    assert read.notes == ()


def test_a_table_of_collectives_only(tmp_path: Path) -> None:
    """Where no operator ran, op_summary has the first headings and the context."""
    headings = variants.CURRENT.split(",Block Num")[0] + ",Context ID"
    (tmp_path / "op_summary.csv").write_bytes(variants.operator_table(headings, [TRUTH[2]]))
    check(capture.load(tmp_path), ("start", "duration", "name", "kind", "type", "core"), [TRUTH[2]])


# Traces

TRACES: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "current torch_npu": variants.current_trace,
    "newest torch_npu": variants.newest_trace,
    "MindSpore": variants.mindspore_trace,
}


@pytest.mark.parametrize("form", sorted(TRACES))
@pytest.mark.parametrize("others", [False, True])
def test_traces_of_every_framework(tmp_path: Path, form: str, others: bool) -> None:
    events = TRACES[form]() + (variants.no_kernels() if others else [])
    (tmp_path / "trace_view.json").write_bytes(written(events))
    read = capture.load(tmp_path / "trace_view.json")
    in_ns = ("launch",) if form != "newest torch_npu" else ()
    check(read, (*ALWAYS, "core", "stream", "task", *in_ns))
    assert read.kernels["launch_ns"].notna().all() and read.kernels["module"].eq("DecoderLayer_0").all()
    away = read.kernels["launch_ns"] - pd.Series([kernel.launch for kernel in TRUTH], dtype="Int64")
    assert away.abs().max() <= 250
    assert len(read.host) == len(TRUTH) + 1 and len(read.tasks) == (len(variants.no_kernels()) if others else 0)
    assert set(read.tasks["kind"]) <= {"wait", "other"}


@pytest.mark.parametrize("process", ["Ascend Hardware", "Task Scheduler"])
def test_traces_of_old_msprof(tmp_path: Path, process: str) -> None:
    (tmp_path / "msprof_0_1.json").write_bytes(written(variants.old_trace(process)))
    check(capture.load(tmp_path / "msprof_0_1.json"), ("start", "duration", "name", "kind", "core", "stream", "task"))


def test_times_as_numbers_in_old_traces(tmp_path: Path) -> None:
    """CANN 5 and 6 count us since the start of the machine, as numbers."""
    events = variants.old_trace()
    for event in events:
        if "ts" in event:
            event["ts"] = float(variants.microseconds(int(event["ts"].replace(".", "")) - variants.EPOCH_NS + 10**15))
    (tmp_path / "msprof_0_1.json").write_bytes(written(events))
    read = capture.load(tmp_path / "msprof_0_1.json")
    assert read.kernels["start_ns"].tolist() == [kernel.start - variants.EPOCH_NS + 10**15 for kernel in TRUTH]


def test_parts_of_a_trace_and_a_table(tmp_path: Path) -> None:
    """Names stand in one part only, and part 10 follows part 9."""
    output = tmp_path / "PROF_000001_20250101120000000_ABC" / "mindstudio_profiler_output"
    output.mkdir(parents=True)
    events = variants.device_lanes() + variants.device_events()
    for part in range(11):
        piece = [events[0], *events[1 + part :: 11]]
        (output / f"msprof_slice_{part}_20250101120000.json").write_bytes(written(piece))
        table = variants.operator_table(variants.CURRENT, TRUTH[part : part + 1])
        (output / f"op_summary_slice_{part}_20250101120000.csv").write_bytes(table)
    read = capture.load(tmp_path)
    check(read)
    assert read.notes == () and len(read.files) == 22


# Databases


@pytest.mark.parametrize("torch", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_databases_of_every_schema(tmp_path: Path, torch: bool, first: bool) -> None:
    read = capture.load(write_database(tmp_path / "msprof_20250101120000.db", torch=torch, first=first))
    check(read, (*IN_TABLE, "launch"))
    assert read.producer == ("torch_npu" if torch else "msprof")
    assert read.kernels["state"].eq("dynamic").sum() == (0 if first else len(COMPUTE))
    assert read.kernels["module"].eq("DecoderLayer_0").all() == torch
    assert (read.rank, read.device) == (5 if torch else None, 0)


def test_counters_of_replayed_tasks(tmp_path: Path) -> None:
    """A task that a graph runs again keeps its id; its counters follow one another in the order of the runs."""
    read = capture.load(write_database(tmp_path / "d.db", counters=True))
    check(read, (*ALWAYS, "core_time"))
    ratios = [None if kernel.collective else 0.125 * place for place, kernel in enumerate(TRUTH)]
    assert [None if pd.isna(value) else value for value in read.kernels["aic_mac_ratio"]] == ratios


def test_kernels_that_run_a_collective_have_a_table_of_their_own(tmp_path: Path) -> None:
    read = capture.load(write_database(tmp_path / "d.db", scheduled=True))
    part = read.kernels[read.kernels["kind"] == "collective_part"]
    assert part["name"].tolist() == ["allreduceAicpuKernel"] and part["stream"].tolist() == [60]
    rest = read.kernels[read.kernels["kind"] != "collective_part"].reset_index(drop=True)
    assert rest["start_ns"].tolist() == [kernel.start for kernel in TRUTH]


def test_a_database_of_tasks_only_holds_no_kernels(tmp_path: Path) -> None:
    path = write_database(tmp_path / "d.db")
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE COMPUTE_TASK_INFO")
        connection.execute("DROP TABLE COMMUNICATION_OP")
    connection.close()
    with pytest.raises(NotEnoughError):
        capture.load(path)
