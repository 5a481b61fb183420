"""Runs in every layout of folders, and what people give by mistake: a right answer, or one clear line."""

from __future__ import annotations

import gzip
import io
import json
import os
import sqlite3
import zipfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import reader_variants as variants
from reader_variants import ALWAYS, IN_TABLE, TRUTH, Kernel, check, written
from variant_databases import write_database

from skadvisor import capture
from skadvisor.cli import main
from skadvisor.errors import InputError

# Folders


def rank_folder(folder: Path, *, text: bool = True, database: bool = False, rank: int = 0) -> Path:
    """A rank's folder as Ascend/pytorch leaves it, its raw data beside its products."""
    output = folder / "ASCEND_PROFILER_OUTPUT"
    output.mkdir(parents=True)
    (folder / f"profiler_info_{rank}.json").write_text(json.dumps({"rank_id": rank, "torch_npu_version": "2.7.1"}))
    if text:
        (output / "kernel_details.csv").write_bytes(variants.operator_table(variants.HEADINGS["torch_npu Level0"]))
        (output / "trace_view.json").write_bytes(written(variants.current_trace()))
    if database:
        write_database(output / f"ascend_pytorch_profiler_{rank}.db", torch=True)
        with sqlite3.connect(output / "analysis.db") as connection:
            connection.execute("CREATE TABLE StepTraceTime (deviceId INTEGER, step TEXT, computing NUMERIC)")
        connection.close()
    (output / "communication.json").write_text("{}")
    (output / "step_trace_time.csv").write_text("Device_id,Step,Computing\n0,,1.5\n")
    (folder / "FRAMEWORK").mkdir()
    (folder / "FRAMEWORK" / "torch.op_range").write_bytes(bytes(range(256)))
    raw = folder / "PROF_000001_20250101120000000_ABC"
    for name in ("host/data", "host/sqlite", "device_0/data", "device_0/sqlite"):
        (raw / name).mkdir(parents=True)
    with sqlite3.connect(raw / "device_0" / "sqlite" / "ascend_task.db") as connection:
        connection.execute("CREATE TABLE AscendTask (model_id INTEGER, start_time INTEGER)")
    connection.close()
    return folder


@pytest.mark.parametrize("ending", ["ascend_pt", "ascend_ms"])
@pytest.mark.parametrize(("text", "database"), [(True, False), (False, True), (True, True)])
def test_rank_folders(tmp_path: Path, ending: str, text: bool, database: bool) -> None:
    folder = rank_folder(tmp_path / f"node_7_20250101120000000_{ending}", text=text, database=database, rank=3)
    (folder / "profiler_info_3.json").rename(folder / "ASCEND_PROFILER_OUTPUT" / "profiler_info_3.json")
    for path in (tmp_path, folder, folder / "ASCEND_PROFILER_OUTPUT"):
        read = capture.load(path)
        check(read, (*ALWAYS, "launch", "stream"))
        assert read.rank == 3 and len(capture.list_captures(path)) == 1
        assert not any("different runs" in note or "disagree" in str(note) for note in read.notes)


def test_names_that_mindspore_lengthens(tmp_path: Path) -> None:
    """MindSpore writes the operator that launched a kernel before its name, in the table but not in the trace."""
    folder = rank_folder(tmp_path / "node_7_20250101120000000_ascend_ms")
    longer = [Kernel(**{**vars(kernel), "name": f"Default/network-Net/MatMul-op1/{kernel.name}"}) for kernel in TRUTH]
    output = folder / "ASCEND_PROFILER_OUTPUT"
    (output / "kernel_details.csv").write_bytes(variants.operator_table(variants.HEADINGS["MindSpore"], longer))
    (output / "trace_view.json").write_bytes(written(variants.mindspore_trace()))
    read = capture.load(folder)
    check(read, (*IN_TABLE, "launch"), longer)
    assert read.notes == ()


#: Timelines that older msprof writes beside the one that holds them all.
OTHER_TIMELINES = (
    "acl_0_1",
    "ge_0_1",
    "runtime_api_0_1",
    "step_trace_0_1",
    "task_time_0_1",
    "thread_group_0_1",
    "hccl_0_1",
)


def test_the_old_layout_with_all_its_timelines(tmp_path: Path) -> None:
    device = tmp_path / "PROF_000001_20230101120000000_ABC" / "device_0"
    for name in ("summary", "timeline", "data", "sqlite"):
        (device / name).mkdir(parents=True)
    (device / "summary" / "op_summary_0_1.csv").write_bytes(
        variants.operator_table(variants.HEADINGS["msprof of CANN 6"])
    )
    (device / "summary" / "acl_0_1.csv").write_text(
        "Name,Type,Start Time,Duration(us),Process ID,Thread ID\na,b,1.0,2.0,3,4\n"
    )
    (device / "timeline" / "msprof_0_1.json").write_bytes(written(variants.old_trace()))
    for name in OTHER_TIMELINES:
        events = (
            variants.old_trace("Task Scheduler") if name.startswith("task_time") else variants.host_lane("AscendCL")
        )
        (device / "timeline" / f"{name}.json").write_bytes(written(events + variants.host_events()))
    assert len(capture.list_captures(tmp_path)) == 1
    read = capture.load(tmp_path)
    check(read)
    assert {Path(file.path).name for file in read.files} == {"op_summary_0_1.csv", "msprof_0_1.json"}


def test_timelines_beside_that_of_msprof(tmp_path: Path) -> None:
    root = tmp_path / "PROF_000001_20250101120000000_ABC"
    output = root / "mindstudio_profiler_output"
    output.mkdir(parents=True)
    stamp = "20250101120000"
    (output / f"op_summary_{stamp}.csv").write_bytes(variants.operator_table(variants.CURRENT))
    (output / f"msprof_{stamp}.json").write_bytes(written(variants.device_lanes() + variants.device_events()))
    for name in ("step_trace", "msprof_tx", "task_time"):
        (output / f"{name}_{stamp}.json").write_bytes(written(variants.device_lanes() + variants.no_kernels()))
    write_database(root / f"msprof_{stamp}.db")
    read = capture.load(tmp_path)
    check(read, (*IN_TABLE, "launch"))
    assert len(read.files) == 3 and not any("disagree" in str(note) for note in read.notes)


def test_folders_of_msprof_are_chosen_by_device(tmp_path: Path) -> None:
    """Each process leaves a folder for its device, and no rank."""
    for number, device in enumerate((3, 6)):
        root = tmp_path / f"PROF_00000{number}_20250101120000000_ABC"
        for name in ("mindstudio_profiler_output", "host/data", f"device_{device}/data"):
            (root / name).mkdir(parents=True)
        table = variants.operator_table(variants.CURRENT, TRUTH[number:])
        (root / "mindstudio_profiler_output" / "op_summary_20250101120000.csv").write_bytes(table)
    with pytest.raises(InputError, match=r"device 3 \(PROF_000000.*device 6 \(PROF_000001"):
        capture.load(tmp_path)
    check(capture.load(tmp_path, rank=6), IN_TABLE, TRUTH[1:])
    with pytest.raises(InputError, match="no rank 4"):
        capture.load(tmp_path, rank=4)


def test_databases_of_many_ranks_in_one_folder(tmp_path: Path) -> None:
    for rank in (0, 1, 12):
        write_database(tmp_path / f"ascend_pytorch_profiler_{rank}.db", torch=True)
    write_database(tmp_path / "msmonitor_4321_20250101120000000_7.db", torch=True)
    assert [rank for rank, _ in capture.list_captures(tmp_path)] == [0, 1, 7, 12]
    check(capture.load(tmp_path, rank=12), IN_TABLE)


def test_raw_data_of_many_ranks_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skadvisor.capture.folder.MAX_FILES", 60)
    for rank in range(4):
        folder = rank_folder(tmp_path / f"node_{rank}_ascend_pt", rank=rank)
        for name in ("FRAMEWORK", "PROF_000001_20250101120000000_ABC/device_0/data"):
            for number in range(40):
                (folder / name / f"stars_soc.data.0.slice_{number}").write_bytes(b"\0" * 8)
    assert [rank for rank, _ in capture.list_captures(tmp_path)] == [0, 1, 2, 3]
    assert capture.load(tmp_path, rank=2).rank == 2


def test_a_damaged_file_does_not_hide_the_whole_ones(tmp_path: Path) -> None:
    folder = rank_folder(tmp_path / "node_1_ascend_pt", database=True)
    damaged = folder / "ASCEND_PROFILER_OUTPUT" / "ascend_pytorch_profiler_0.db"
    damaged.write_bytes(damaged.read_bytes()[:100] + bytes(2_000))
    read = capture.load(folder)
    check(read, (*ALWAYS, "launch"))
    assert any("ascend_pytorch_profiler_0.db" in str(note) for note in read.notes)
    with pytest.raises(InputError, match="cannot be read as a profiler database"):
        capture.load(damaged)


LONG = "/".join(letter * 200 for letter in "abc")


@pytest.mark.parametrize("name", ["采集 结果/推理 性能", "with space/and 'quotes'", "100% #?&[x]*", LONG])
def test_odd_path_names(tmp_path: Path, name: str) -> None:
    written_first = rank_folder(tmp_path / "node_1_ascend_pt", database=True)
    (tmp_path / name).mkdir(parents=True)
    folder = written_first.rename(tmp_path / name / written_first.name)
    database = folder / "ASCEND_PROFILER_OUTPUT" / "ascend_pytorch_profiler_0.db"
    read = capture.load(folder)
    if name != LONG:
        check(read, (*ALWAYS, "launch", "blocks", "shapes"))
        check(capture.load(database))
        return
    check(read, (*ALWAYS, "launch", "blocks"))
    assert any(database.name in str(note) for note in read.notes)
    with pytest.raises(InputError) as refusal:
        capture.load(database)
    assert "511 characters" in refusal.value.hint


def test_links_lead_to_one_capture(tmp_path: Path) -> None:
    folder = rank_folder(tmp_path / "real" / "node_1_ascend_pt")
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "rank0").symlink_to(folder, target_is_directory=True)
    (linked / "again").symlink_to(folder, target_is_directory=True)
    (linked / "loop").symlink_to(linked, target_is_directory=True)
    (linked / "nowhere").symlink_to(tmp_path / "missing")
    assert len(capture.list_captures(linked)) == 1
    check(capture.load(linked), (*ALWAYS, "launch"))
    output = folder / "ASCEND_PROFILER_OUTPUT"
    (output / "latest.csv").symlink_to(output / "kernel_details.csv")
    (output / "circle.csv").symlink_to(output / "circle.csv")
    check(capture.load(folder), (*ALWAYS, "launch"))


# What a person may give by mistake


def refused(*words: str | Path) -> None:
    """The command ends with exit code 2 or 3 and says why in a line or two (a diagnosis may be longer)."""
    output, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(errors), pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    assert stop.value.code in (2, 3), output.getvalue() + errors.getvalue()
    lines = [line for line in errors.getvalue().splitlines() if line.strip()]
    assert len(lines) <= 2 and (lines or output.getvalue())
    assert "Traceback" not in output.getvalue() + errors.getvalue()


def mistakes(folder: Path) -> dict[str, Path]:
    made = {
        name: folder / name for name in ("capture.zip", "capture.tar.gz", "trace_view.json", "empty.csv", "link.csv")
    }
    with zipfile.ZipFile(made["capture.zip"], "w") as packed:
        packed.writestr("kernel_details.csv", variants.operator_table(variants.CURRENT))
    made["capture.tar.gz"].write_bytes(gzip.compress(b"kernel_details.csv" + bytes(600)))
    made["trace_view.json"].mkdir()
    made["empty.csv"].write_bytes(b"")
    made["link.csv"].symlink_to(folder / "missing.csv")
    made["headings.csv"] = folder / "headings.csv"
    made["headings.csv"].write_bytes(variants.operator_table(variants.CURRENT, []))
    made["empty.json"] = folder / "empty.json"
    made["empty.json"].write_bytes(b"[]")
    made["pipe"] = folder / "pipe"
    os.mkfifo(made["pipe"])
    made["long"] = folder / ("x" * 300)
    return made


@pytest.mark.parametrize("command", ["analyze", "doctor"])
@pytest.mark.parametrize(
    "name",
    [
        *["capture.zip", "capture.tar.gz", "trace_view.json", "empty.csv", "link.csv", "headings.csv", "empty.json"],
        *["pipe", "long"],
    ],
)
def test_mistakes_end_in_a_line(tmp_path: Path, command: str, name: str) -> None:
    refused(command, mistakes(tmp_path)[name])


def test_a_folder_with_mistakes_only_and_one_with_a_capture_among_them(tmp_path: Path) -> None:
    mistakes(tmp_path)
    (tmp_path / "headings.csv").unlink()
    refused("analyze", tmp_path)
    (tmp_path / "table.csv").write_bytes(variants.operator_table(variants.CURRENT))
    check(capture.load(tmp_path))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "kernel_details.csv"
    path.write_bytes(variants.operator_table(variants.CURRENT))
    path.chmod(0)
    refused("analyze", path)
    refused("analyze", tmp_path)


@pytest.mark.parametrize("failing", ["first_bytes", "stat"])
def test_a_file_that_the_system_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    path = tmp_path / "kernel_details.csv"
    path.write_bytes(variants.operator_table(variants.CURRENT))

    def refuse(*_: object, **__: object) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    if failing == "first_bytes":
        monkeypatch.setattr("skadvisor.capture.folder.first_bytes", refuse)
    else:
        monkeypatch.setattr("skadvisor.capture.lines.Source.read", refuse)
    refused("analyze", path)


def test_many_ranks_and_a_choice(tmp_path: Path) -> None:
    for rank in (0, 1, 2):
        rank_folder(tmp_path / f"node_{rank}_ascend_pt", rank=rank)

    (tmp_path / "cluster_analysis_output").mkdir()
    with sqlite3.connect(tmp_path / "cluster_analysis_output" / "cluster_analysis.db") as connection:
        connection.execute("CREATE TABLE CommAnalyzerTime (hccl_op_name TEXT)")
    connection.close()
    assert capture.load(tmp_path, rank=1).rank == 1
    with pytest.raises(InputError, match="holds 3 captures"):
        capture.load(tmp_path)
    refused("analyze", tmp_path, "--rank", "7")
