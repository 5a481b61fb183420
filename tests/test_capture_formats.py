"""One capture, written in every format, reads back as one kernel table."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from capture_examples import IN_CSV, IN_DATABASE, IN_TRACE, example
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_builder.formats import (
    write_ascend_pt_folder,
    write_database,
    write_kernel_details,
    write_op_summary,
    write_trace_view,
)

from skadvisor import capture
from skadvisor.events import KERNEL_COLUMNS, Capture


def same(read: Capture, written: Capture, columns: list[str]) -> None:
    for column in columns:
        pd.testing.assert_series_equal(read.kernels[column], written.kernels[column])


@pytest.mark.parametrize("name", ["kernel_details.csv", "renamed.txt", "kernel_details.csv.gz"])
def test_kernel_details(tmp_path: Path, name: str) -> None:
    written = example()
    read = capture.load(write_kernel_details(written, tmp_path / name, pmu=True))
    same(read, written, IN_CSV)
    assert (read.producer, read.level, read.state, read.notes) == ("torch_npu", "level1", "complete", ())
    assert read.files[0].format == "kernel_details"


@pytest.mark.parametrize("write", [partial(write_kernel_details, pmu=True), write_database])
def test_counters_that_no_column_stands_for_are_passed_over(tmp_path: Path, write: Callable[..., Path]) -> None:
    assert "aic_mac_ratio" in example().kernels
    assert list(capture.load(write(example(), tmp_path / "written")).kernels) == list(KERNEL_COLUMNS)


@pytest.mark.parametrize("write", [write_kernel_details, write_database])
def test_the_table_can_be_changed_column_by_column(tmp_path: Path, write: Callable[..., Path]) -> None:
    kernels = capture.load(write(example(), tmp_path / "written")).kernels
    for column in kernels.columns:
        others = kernels.drop(columns=column).copy(deep=True)
        kernels.loc[0, column] = 1 if kernels[column].dtype == "int64" else None
        pd.testing.assert_frame_equal(kernels.drop(columns=column), others)


def test_op_summary(tmp_path: Path) -> None:
    written = example()
    read = capture.load(write_op_summary(written, tmp_path / "op_summary_20250101.csv", pmu=True))
    same(read, written, IN_CSV)
    assert read.producer == "msprof"


@pytest.mark.parametrize("name", ["trace_view.json", "trace_view.json.gz"])
def test_trace_view(tmp_path: Path, name: str) -> None:
    written = example()
    read = capture.load(write_trace_view(written, tmp_path / name))
    same(read, written, IN_TRACE)
    pd.testing.assert_frame_equal(read.tasks, written.tasks)
    pd.testing.assert_frame_equal(read.host, written.host)
    assert read.kernels["op_type"].isna().all()


def test_database(tmp_path: Path) -> None:
    written = example()
    read = capture.load(write_database(written, tmp_path / "ascend_pytorch_profiler_3.db"))
    same(read, written, IN_DATABASE)
    pd.testing.assert_frame_equal(read.tasks, written.tasks)
    assert (read.rank, read.device) == (3, 0)


@pytest.mark.slow
@given(seed=st.integers(0, 10**6), kernels=st.integers(1, 60), links=st.booleans())
@settings(max_examples=15, deadline=None)
def test_all_formats_agree_for_any_capture(tmp_path_factory: pytest.TempPathFactory, seed, kernels, links) -> None:
    folder = tmp_path_factory.mktemp("formats")
    written = example(seed, kernels, links=links)
    table = capture.load(write_kernel_details(written, folder / "k.csv", pmu=True))
    trace = capture.load(write_trace_view(written, folder / "t.json"))
    database = capture.load(write_database(written, folder / "d.db"))
    same(table, written, IN_CSV)
    same(trace, written, IN_TRACE)
    same(database, written, [name for name in IN_DATABASE if name in written.kernels])


def test_folder_joins_what_each_file_has(tmp_path: Path) -> None:
    written = example()
    formats = ("kernel_details", "trace_view.gz", "database")
    read = capture.load(write_ascend_pt_folder(written, tmp_path / "host_1_ascend_pt", formats, pmu=True))
    same(read, written, [*IN_CSV, "launch_ns", "module", "range"])
    assert read.notes == ()
    assert read.rank == 3
    assert {file.format for file in read.files} == {"kernel_details", "trace_view", "database"}
    assert read.metadata["schedule"]["active"] == 1


def test_level0_takes_streams_and_types_from_the_other_files(tmp_path: Path) -> None:
    written = example()
    folder = write_ascend_pt_folder(written, tmp_path / "x", ("kernel_details", "database"), level=0)
    alone = capture.load(folder / "ASCEND_PROFILER_OUTPUT" / "kernel_details.csv")
    assert alone.level == "level0"
    assert alone.kernels["op_type"].isna().all() and alone.kernels["stream"].isna().all()
    joined = capture.load(folder)
    same(joined, written, ["op_type", "stream", "task", "input_shapes", "launch_ns", "module"])


def test_level0_collectives_are_known_by_their_names(tmp_path: Path) -> None:
    """Without a core on any row, an hcom row is still a collective."""
    read = capture.load(write_kernel_details(example(), tmp_path / "k.csv", level=0))
    assert read.kernels["kind"].tolist() == example().kernels["kind"].tolist()


def test_step_ids(tmp_path: Path) -> None:
    written = example(kernels=20)
    written.kernels["step_id"] = pd.array([4] * 10 + [5] * 10, dtype="Int64")
    for path in (
        write_kernel_details(written, tmp_path / "k.csv", step_ids=True),
        write_trace_view(written, tmp_path / "t.json"),
        write_database(written, tmp_path / "d.db"),
    ):
        same(capture.load(path), written, ["step_id"])


@pytest.mark.parametrize("unit", ["\u00b5s", "\u03bcs"])
def test_headings_may_be_spelled_otherwise(tmp_path: Path, unit: str) -> None:
    path = write_kernel_details(example(), tmp_path / "k.csv", pmu=True)
    header, rest = path.read_text(encoding="utf-8").split("\n", 1)
    spelled = header.lower().replace(" ", "_").replace("(us)", f"({unit})")
    (tmp_path / "spelled.csv").write_text(f"{spelled}\n{rest}", encoding="utf-8")
    assert capture.load(tmp_path / "spelled.csv").kernels.equals(capture.load(path).kernels)


@pytest.mark.parametrize("decimals", [3, 6])
def test_times_may_have_more_decimals_than_ns(tmp_path: Path, decimals: int) -> None:
    path = write_kernel_details(example(), tmp_path / "k.csv")
    header, first, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
    first[header.index("Duration(us)")] = "27.0805" if decimals == 6 else "27.081"
    first[header.index("Wait Time(us)")] = "114.940000"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, first, *rows])
    read = capture.load(path)
    assert (read.kernels["dur_ns"].iloc[0], read.kernels["wait_ns"].iloc[0]) == (27_081, 114_940)
    assert not read.files[0].skipped


def test_order_of_rows_and_line_ends_change_nothing(tmp_path: Path) -> None:
    written = example()
    path = write_kernel_details(written, tmp_path / "a.csv", pmu=True)
    header, *rows = path.read_text().splitlines()
    (tmp_path / "b.csv").write_text("\ufeff" + "\n".join([header, *reversed(rows)]) + "\n", encoding="utf-8")
    pd.testing.assert_frame_equal(capture.load(path).kernels, capture.load(tmp_path / "b.csv").kernels)


def test_gbk(tmp_path: Path) -> None:
    written = example()
    path = write_kernel_details(written, tmp_path / "a.csv")
    assert any("算子" in name for name in written.kernels["name"].cat.categories)
    path.write_bytes(path.read_text(encoding="utf-8").encode("gbk"))
    same(capture.load(path), written, IN_CSV[:19])


def test_slices_are_one_table(tmp_path: Path) -> None:
    written = example()
    whole = write_op_summary(written, tmp_path / "whole.csv")
    header, *rows = whole.read_bytes().splitlines(keepends=True)
    whole.unlink()
    for number, part in enumerate((rows[:13], rows[13:30], rows[30:])):
        (tmp_path / f"op_summary_slice_{number}_20250101.csv").write_bytes(header + b"".join(part))
    for path in (tmp_path, tmp_path / "op_summary_slice_1_20250101.csv"):
        read = capture.load(path)
        same(read, written, IN_CSV[:19])
        assert len(read.files) == 3


def test_trace_slices_are_one_trace(tmp_path: Path) -> None:
    written = example()
    events = json.loads(write_trace_view(written, tmp_path / "whole.json").read_text())
    (tmp_path / "whole.json").unlink()
    for number in range(2):
        (tmp_path / f"msprof_slice_{number}_20250101.json").write_text(json.dumps(events[number::2]))
    same(capture.load(tmp_path), written, IN_TRACE)


VARIANTS = {
    "object form with a trailer": lambda events: json.dumps(
        {"schemaVersion": 1, "traceEvents": events, "displayTimeUnit": "ns", "other": [{"name": "x", "ph": "X"}]}
    ),
    "no blanks": lambda events: json.dumps(events, separators=(",", ":")),
    "indented": lambda events: json.dumps(events, indent=2),
    "keys in another order": lambda events: json.dumps([dict(sorted(event.items())) for event in events]),
    "numeric timestamps": lambda events: numeric(json.dumps(events)),
    "old stream key": lambda events: json.dumps(events).replace("Physic Stream Id", "Stream Id"),
    "string flow ids": lambda events: json.dumps(
        [event | {"id": f"flow-{event['id']}"} if "id" in event else event for event in events]
    ),
    "text in braces": lambda events: json.dumps(
        [event | {"args": event.get("args", {}) | {"note": '}, {"ph": "X", "name": "}, {'}} for event in events]
    ),
}


def numeric(text: str) -> str:
    """Timestamps without quotes."""
    import re

    return re.sub(r'"ts": "([\d.]+)"', r'"ts": \1', text)


@pytest.mark.parametrize("variant", VARIANTS)
def test_other_ways_to_write_a_trace(tmp_path: Path, variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from skadvisor.capture.trace import blocks

    written = example()
    events = json.loads(write_trace_view(written, tmp_path / "a.json").read_text())
    (tmp_path / "b.json").write_text(VARIANTS[variant](events))
    for block in (1 << 20, 3_000):
        monkeypatch.setattr(blocks, "BLOCK_BYTES", block)
        read = capture.load(tmp_path / "b.json")
        same(read, written, IN_TRACE)
        assert (read.state, read.notes) == ("complete", ())


def test_one_arrow_with_several_ends(tmp_path: Path) -> None:
    written = example(kernels=6)
    events = json.loads(write_trace_view(written, tmp_path / "a.json").read_text())
    first = next(event for event in events if event["ph"] == "s")
    for event in events:
        if event["ph"] == "f":
            event["id"] = first["id"]
    (tmp_path / "a.json").write_text(json.dumps(events))
    assert capture.load(tmp_path / "a.json").kernels["launch_ns"].nunique() == 1


@pytest.mark.parametrize("phase", ["Z", "complete", "", None])
def test_events_of_an_unknown_phase_change_nothing(tmp_path: Path, phase: str | None) -> None:
    path = write_trace_view(example(kernels=6), tmp_path / "t.json")
    before = capture.load(path)
    events = json.loads(path.read_text())
    strange = dict(next(event for event in events if event["ph"] == "X"))
    strange.pop("ph")
    path.write_text(json.dumps([*events, strange if phase is None else {"ph": phase} | strange]))
    after = capture.load(path)
    pd.testing.assert_frame_equal(before.kernels, after.kernels)
    pd.testing.assert_frame_equal(before.host, after.host)
    assert after.files[0].rows == before.files[0].rows + 1


def test_unusual_values_of_a_trace_are_read(tmp_path: Path) -> None:
    """Durations in text, arrows without a number, tasks with text for ids, arguments that are none."""
    events = json.loads(write_trace_view(example(kernels=60), tmp_path / "t.json").read_text())
    usual = capture.load(tmp_path / "t.json")
    for number, event in enumerate(events):
        if "id" in event:
            event["id"] = f"arrow {event['id']}"
        if number % 3 == 0 and "dur" in event:
            event["dur"] = str(event["dur"])
        if "Physic Stream Id" in event.get("args", {}):
            event["args"]["Physic Stream Id"] = str(event["args"]["Physic Stream Id"])
        event.setdefault("args", ("none", [1], 2.5, None)[number % 4])
    events.append({"ph": "X", "name": "x", "pid": 1, "tid": 1, "ts": "soon", "dur": 1.0})
    # The arrows to the kernels of the first half begin in the second one.
    (tmp_path / "t.json").write_text(json.dumps([*events[len(events) // 2 :], *events[: len(events) // 2]]))
    unusual = capture.load(tmp_path / "t.json")
    assert unusual.files[0].skipped == {"event without a time": 1}
    pd.testing.assert_frame_equal(unusual.kernels, usual.kernels)
    pd.testing.assert_frame_equal(unusual.host, usual.host)


def test_two_processes_read_what_one_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from skadvisor.capture.trace import halves

    path = write_trace_view(example(kernels=60), tmp_path / "t.json")
    alone = capture.load(path)
    monkeypatch.setattr(halves, "TWO_PROCESSES_BYTES", 1)
    together = capture.load(path)
    pd.testing.assert_frame_equal(alone.kernels, together.kernels)
    pd.testing.assert_frame_equal(alone.host, together.host)
    assert together.files == alone.files


@pytest.mark.parametrize("fails", [False, True])
def test_two_processes_read_unusual_values_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    """Durations in text, arrows without a number, tasks with text for ids; and a second process that does not start."""
    from skadvisor.capture.trace import events as trace_events
    from skadvisor.capture.trace import halves

    events = json.loads(write_trace_view(example(kernels=60), tmp_path / "t.json").read_text())
    for number, event in enumerate(events):
        if "id" in event:
            event["id"] = f"arrow {event['id']}"
        if number % 3 == 0 and "dur" in event:
            event["dur"] = str(event["dur"])
        if "Stream Id" in event.get("args", {}):
            event["args"]["Stream Id"] = str(event["args"]["Stream Id"])
    events.append({"ph": "X", "name": "x", "pid": 1, "tid": 1, "ts": "soon", "dur": 1.0})
    # The arrows to the kernels of the first half begin in the second one.
    (tmp_path / "t.json").write_text(json.dumps([*events[len(events) // 2 :], *events[: len(events) // 2]]))
    alone = capture.load(tmp_path / "t.json")
    assert alone.kernels["launch_ns"].notna().all()
    assert alone.files[0].skipped == {"event without a time": 1}
    monkeypatch.setattr(halves, "TWO_PROCESSES_BYTES", 1)
    here = []
    monkeypatch.setattr(halves, "gather", lambda *part: here.append(part) or trace_events.gather(*part))
    if fails:
        monkeypatch.setattr(halves, "SECOND", "raise SystemExit(1)")
    together = capture.load(tmp_path / "t.json")
    assert len(here) == (2 if fails else 1)
    pd.testing.assert_frame_equal(alone.kernels, together.kernels)
    pd.testing.assert_frame_equal(alone.host, together.host)
    assert (together.files, together.notes) == (alone.files, alone.notes)


def test_columns_follow_the_contract(tmp_path: Path) -> None:
    for path in (
        write_kernel_details(example(), tmp_path / "k.csv"),
        write_trace_view(example(), tmp_path / "t.json"),
        write_database(example(), tmp_path / "d.db"),
    ):
        kernels = capture.load(path).kernels
        assert list(kernels.columns)[: len(KERNEL_COLUMNS)] == list(KERNEL_COLUMNS)
        assert {name: str(kernels[name].dtype) for name in KERNEL_COLUMNS} == {
            name: dtype for name, (dtype, _) in KERNEL_COLUMNS.items()
        }


def test_gzip_of_several_members(tmp_path: Path) -> None:
    data = write_kernel_details(example(), tmp_path / "k.csv").read_bytes()
    (tmp_path / "k.csv.gz").write_bytes(gzip.compress(data[:2000]) + gzip.compress(data[2000:]))
    read = capture.load(tmp_path / "k.csv.gz")
    pd.testing.assert_frame_equal(read.kernels, capture.load(tmp_path / "k.csv").kernels)
