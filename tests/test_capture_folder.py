"""Finding captures: by content, by rank, and with a clear answer where there is none."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from capture_examples import example
from sample_builder.formats import (
    write_ascend_pt_folder,
    write_database,
    write_kernel_details,
    write_op_summary,
    write_trace_view,
)

from skadvisor import capture
from skadvisor.errors import InputError, NotEnoughError


def test_every_way_to_name_a_rank_folder(tmp_path: Path) -> None:
    folder = write_ascend_pt_folder(example(), tmp_path / "dp0_pp0_tp0_rank0_77_2025_ascend_pt")
    for path in (folder, folder / "ASCEND_PROFILER_OUTPUT", tmp_path, str(folder)):
        read = capture.load(path)
        assert (read.rank, len(read.kernels)) == (3, 40)
        assert read.metadata["torch_npu_version"] == "2.7.1"


def test_names_of_files_and_folders_do_not_decide(tmp_path: Path) -> None:
    write_kernel_details(example(), tmp_path / "data.bin")
    write_trace_view(example(), tmp_path / "notes.txt")
    read = capture.load(tmp_path)
    assert {file.format for file in read.files} == {"kernel_details", "trace_view"}
    assert read.kernels["launch_ns"].notna().all()


def test_ranks_under_a_parent(tmp_path: Path) -> None:
    for rank in (11, 2):
        write_ascend_pt_folder(example(seed=rank, rank=rank), tmp_path / f"node_{99 - rank}_ascend_pt")
    found = capture.list_captures(tmp_path)
    assert [rank for rank, _ in found] == [2, 11]
    assert capture.load(tmp_path, rank=11).rank == 11
    with pytest.raises(InputError, match="2 captures") as refused:
        capture.load(tmp_path)
    assert "--rank" in refused.value.hint
    with pytest.raises(InputError, match="no rank 5"):
        capture.load(tmp_path, rank=5)


def test_profiler_info_without_a_number_names_the_rank_inside(tmp_path: Path) -> None:
    folder = write_ascend_pt_folder(example(), tmp_path / "x_ascend_pt")
    (folder / "profiler_info_3.json").rename(folder / "profiler_info.json")
    assert capture.load(folder).rank == 3
    (folder / "profiler_info.json").write_text('{"rank_id": -1}')
    assert capture.load(folder).rank is None


def test_old_msprof_layout_keeps_devices_apart(tmp_path: Path) -> None:
    for device in (0, 1):
        summary = tmp_path / "PROF_000001_2023_ABC" / f"device_{device}" / "summary"
        timeline = summary.parent / "timeline"
        summary.mkdir(parents=True)
        timeline.mkdir()
        write_op_summary(example(seed=device), summary / f"op_summary_{device}_1.csv")
        write_trace_view(example(seed=device), timeline / f"msprof_{device}_1.json")
    assert [path.name for _, path in capture.list_captures(tmp_path)] == ["device_0", "device_1"]
    read = capture.load(tmp_path / "PROF_000001_2023_ABC" / "device_1")
    assert len(read.files) == 2 and read.notes == ()


def test_new_msprof_layout(tmp_path: Path) -> None:
    output = tmp_path / "PROF_000001_2025_ABC" / "mindstudio_profiler_output"
    output.mkdir(parents=True)
    write_op_summary(example(), output / "op_summary_20250101120000.csv")
    write_op_summary(example(kernels=10), output / "op_summary_20240101120000.csv")
    write_trace_view(example(), output / "msprof_20250101120000.json")
    for path in (tmp_path, output.parent, output):
        read = capture.load(path)
        assert len(read.kernels) == 40
        assert any("2 exports" in str(note) for note in read.notes)


def test_nested_msprof_output_does_not_double_the_kernels(tmp_path: Path) -> None:
    folder = write_ascend_pt_folder(example(), tmp_path / "x_ascend_pt")
    nested = folder / "PROF_000001_2025_ABC" / "mindstudio_profiler_output"
    nested.mkdir(parents=True)
    write_op_summary(example(), nested / "op_summary_20250101120000.csv")
    write_trace_view(example(), nested / "msprof_20250101120000.json")
    assert len(capture.list_captures(folder)) == 1
    read = capture.load(folder)
    assert len(read.kernels) == 40
    assert {Path(file.path).name for file in read.files} == {"kernel_details.csv", "trace_view.json"}


@pytest.mark.parametrize("raw", ["FRAMEWORK", "PROF_000001_2025_ABC/device_0/data", "PROF_000001_2025_ABC/host/data"])
def test_an_unparsed_capture_says_how_to_parse_it(tmp_path: Path, raw: str) -> None:
    (tmp_path / "x_ascend_pt" / raw).mkdir(parents=True)
    (tmp_path / "x_ascend_pt" / raw / "torch.op_range").write_bytes(b"\x00\x01binary")
    for path in (tmp_path, tmp_path / "x_ascend_pt"):
        with pytest.raises(InputError, match="not parsed yet") as refused:
            capture.load(path)
        assert "torch_npu.profiler.profiler import analyse" in refused.value.hint


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.csv", b""),
        ("other.csv", b"a,b,c\n1,2,3\n"),
        ("op_statistic.csv", b"Device_id,OP Type,Core Type,Count,Total Time(us)\n0,Add,AI_CORE,1,2\n"),
        ("other.json", b'{"a": 1}'),
        ("list.json", b"[1, 2, 3]"),
        ("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(200)),
        ("half.db", b"SQLite format 3\x00" + bytes(20)),
        ("text.gz", b"\x1f\x8bnot gzip at all"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    for path in (tmp_path / name, tmp_path):
        with pytest.raises(InputError) as refused:
            capture.load(path)
        assert refused.value.exit_code == 2
        assert "\n" not in refused.value.message


def test_missing_path_and_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        capture.load(tmp_path / "nothing")
    with pytest.raises(InputError, match="holds no profiler capture"):
        capture.load(tmp_path)


def test_a_capture_without_kernels_is_not_enough(tmp_path: Path) -> None:
    header = write_kernel_details(example(), tmp_path / "k.csv").read_text().splitlines()[0]
    (tmp_path / "k.csv").write_text(header + "\r\n")
    (tmp_path / "t.json").write_text(
        json.dumps([{"ph": "M", "name": "process_name", "pid": 1, "args": {"name": "Python"}}])
    )
    database = write_database(example(kernels=1), tmp_path / "d.db")
    with sqlite3.connect(database) as connection:
        connection.execute("DELETE FROM TASK")
    connection.close()
    for name in ("k.csv", "t.json", "d.db"):
        with pytest.raises(NotEnoughError) as refused:
            capture.load(tmp_path / name)
        assert refused.value.exit_code == 3


def test_several_devices_in_one_table_need_a_choice(tmp_path: Path) -> None:
    path = write_kernel_details(example(), tmp_path / "k.csv")
    header, *rows = path.read_text().splitlines()
    other = [row.replace("0,", "5,", 1) for row in rows[:7]]
    path.write_text("\n".join([header, *rows[7:], *other]) + "\n")
    with pytest.raises(InputError, match="devices 0, 5"):
        capture.load(path)
    assert len(capture.load(path, rank=5).kernels) == 7
    assert capture.load(path, rank=0).device == 0


def test_several_devices_in_one_trace_need_a_choice(tmp_path: Path) -> None:
    events = json.loads(write_trace_view(example(), tmp_path / "t.json").read_text())
    for event in json.loads(write_trace_view(example(kernels=9), tmp_path / "u.json").read_text()):
        if event["pid"] >= 1_000_000:
            event["pid"] += 1
            if event["name"] == "process_labels":
                event["args"] = {"labels": "NPU 1"} if event["args"]["labels"] == "NPU 0" else event["args"]
            events.append(event)
    (tmp_path / "t.json").write_text(json.dumps(events))
    with pytest.raises(InputError, match="devices 0, 1"):
        capture.load(tmp_path / "t.json")
    chosen = {rank: capture.load(tmp_path / "t.json", rank=rank) for rank in (0, 1)}
    assert {rank: (read.device, len(read.kernels)) for rank, read in chosen.items()} == {0: (0, 40), 1: (1, 9)}


def test_files_of_different_runs_are_not_mixed(tmp_path: Path) -> None:
    write_kernel_details(example(), tmp_path / "k.csv")
    later = example(seed=1)
    later.kernels["start_ns"] += 10**12
    later.kernels["launch_ns"] += 10**12
    write_trace_view(later, tmp_path / "t.json")
    read = capture.load(tmp_path)
    assert read.kernels["launch_ns"].isna().all() and read.host.empty
    assert any("different runs" in str(note) for note in read.notes)


def test_disagreement_between_files_is_said(tmp_path: Path) -> None:
    write_kernel_details(example(), tmp_path / "k.csv")
    other = example()
    kept = other.kernels.drop(index=[2, 3]).reset_index(drop=True)
    kept.loc[5, "dur_ns"] += 40
    write_trace_view(
        type(other)(**{**vars(other), "kernels": kept}),
        tmp_path / "t.json",
    )
    notes = capture.load(tmp_path).notes
    assert any("40 and 38 kernels 2 and 0 are in one only" in str(note) for note in notes)
    assert any("duration of 1 kernels, by 40 ns at most" in str(note) for note in notes)
