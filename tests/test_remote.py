"""Captures behind URLs, on fsspec's memory and file systems."""

from __future__ import annotations

from pathlib import Path

import pytest

from skadvisor.capture import list_captures
from skadvisor.errors import InputError
from skadvisor.ranks import remote

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed (extra `cluster`)")


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()


def put(system, name: str, text: str = "x") -> None:
    with system.open(name, "wb") as file:
        file.write(text.encode())


def test_ranks_are_listed_by_folder_and_raw_data_is_left_alone(memory):
    for rank in (0, 1):
        put(memory, f"/prof/host_{rank}_ascend_pt/profiler_info_{rank}.json")
        put(memory, f"/prof/host_{rank}_ascend_pt/ASCEND_PROFILER_OUTPUT/kernel_details.csv", f"rank {rank}")
        put(memory, f"/prof/host_{rank}_ascend_pt/FRAMEWORK/torch.op_range", "raw")
        put(memory, f"/prof/host_{rank}_ascend_pt/PROF_1/host/sqlite/api.db", "raw")
    put(memory, "/prof/PROF_7/mindstudio_profiler_output/op_summary_1.csv")
    put(memory, "/prof/readme.txt")
    sources = remote.list_urls("memory://prof")
    assert sources == [
        "memory:///prof/PROF_7",
        "memory:///prof/host_0_ascend_pt",
        "memory:///prof/host_1_ascend_pt",
    ]
    with remote.fetch(sources[2]) as folder:
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        assert files == ["ASCEND_PROFILER_OUTPUT/kernel_details.csv", "profiler_info_1.json"]
        assert (folder / files[0]).read_text() == "rank 1"
    assert not folder.exists()


@pytest.mark.parametrize("ending", ["_ascend_pt", "_ascend_ms"])
def test_a_rank_has_the_folder_that_it_has_on_disk(memory, tmp_path: Path, ending: str):
    inside = f"rank_0{ending}/PROF_1/mindstudio_profiler_output/op_summary_1.csv"
    put(memory, f"/prof/{inside}")
    file = tmp_path / inside
    file.parent.mkdir(parents=True)
    file.write_text("Op Name,Task Start Time(us),Task Duration(us)\nMatMulV2_1,1000.0,5.0\n")
    (place,) = list_captures(tmp_path)
    assert remote.list_urls("memory://prof") == [f"memory:///prof/{place.path.relative_to(tmp_path)}"]
    assert place.path.name == f"rank_0{ending}"


def test_a_single_file_is_fetched_as_a_file(memory):
    put(memory, "/some/kernel_details.csv", "rows")
    (source,) = remote.list_urls("memory://some/kernel_details.csv")
    with remote.fetch(source) as path:
        assert (path.name, path.read_text()) == ("kernel_details.csv", "rows")


def test_the_copy_is_removed_when_the_reader_fails(memory):
    put(memory, "/some/a/kernel_details.csv")
    with pytest.raises(ValueError, match="damaged"), remote.fetch("memory://some/a") as folder:
        raise ValueError("damaged")
    assert not folder.exists()


def test_local_paths_are_used_where_they_are(tmp_path):
    with remote.fetch(str(tmp_path)) as folder:
        assert folder == tmp_path
    assert tmp_path.exists()


def test_names_that_leave_the_folder_are_left_out(memory):
    memory.store["/prof/../../etc/evil.csv"] = memory.store["/prof/a/kernel_details.csv"] = _file(memory)
    with remote.fetch("memory://prof") as folder:
        assert [path.name for path in folder.rglob("*.csv")] == ["kernel_details.csv"]
    assert not (folder.parent.parent / "etc" / "evil.csv").exists()


def _file(system):
    put(system, "/x", "rows")
    return system.store["/x"]


@pytest.mark.parametrize(
    ("url", "words"),
    [("memory://missing", "does not exist"), ("nosuchkind://bucket/prof", "cannot open")],
)
def test_what_cannot_be_opened_is_an_input_error(memory, url, words):
    with pytest.raises(InputError, match=words):
        remote.list_urls(url)


def test_a_folder_without_products_is_an_input_error(memory):
    put(memory, "/prof/FRAMEWORK/torch.json")
    with pytest.raises(InputError, match="no profiler output"):
        remote.list_urls("memory://prof")


def test_a_capture_larger_than_the_disk_is_refused(memory, monkeypatch):
    put(memory, "/prof/kernel_details.csv", "x" * 100)
    monkeypatch.setattr(remote.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 99})())
    with pytest.raises(InputError, match="GB") as caught, remote.fetch("memory://prof"):
        pass
    assert "TMPDIR" in caught.value.hint


def test_without_fsspec_the_extra_is_named(monkeypatch):
    def import_module(name: str):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(remote, "import_module", import_module)
    with pytest.raises(InputError) as caught:
        remote.list_urls("s3://bucket")
    assert "skadvisor[cluster]" in caught.value.hint


def test_urls_are_told_from_paths():
    assert remote.is_url("s3://bucket/prof")
    assert not remote.is_url(str(Path("/prof/a_ascend_pt")))
