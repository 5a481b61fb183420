"""Files are written whole or not at all, never over others, never over the capture that is read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skadvisor.errors import InputError
from skadvisor.files.output import check_output, write_atomically


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("content", [b"answer", "answer", lambda path: path.write_bytes(b"answer")])
def test_bytes_text_and_functions_are_written(tmp_path, content):
    assert write_atomically(tmp_path / "a.txt", content) == tmp_path / "a.txt"
    assert (tmp_path / "a.txt").read_bytes() == b"answer"
    assert names(tmp_path) == ["a.txt"]


def test_text_is_utf8_whatever_the_locale(tmp_path):
    write_atomically(tmp_path / "a.txt", "整图 µs")
    assert (tmp_path / "a.txt").read_bytes() == "整图 µs".encode()


def test_a_function_gets_a_path_in_the_same_folder_with_the_same_suffix(tmp_path):
    seen = []

    def fill(path: Path) -> None:
        seen.append(path)
        path.write_text("x")

    write_atomically(tmp_path / "report.parquet", fill)
    assert seen[0].parent == tmp_path
    assert seen[0].suffix == ".parquet"
    assert seen[0].name != "report.parquet"


def test_an_existing_file_needs_force(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(InputError, match="force=True"):
        write_atomically(target, b"new")
    assert target.read_text() == "old"
    write_atomically(target, b"new", force=True)
    assert target.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_a_file_that_appears_during_the_work_is_not_replaced(tmp_path):
    target = tmp_path / "a.txt"

    def slow(path: Path) -> None:
        path.write_text("ours")
        target.write_text("theirs")

    with pytest.raises(InputError, match="meanwhile"):
        write_atomically(target, slow)
    assert target.read_text() == "theirs"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("failure", [ValueError("boom"), KeyboardInterrupt()])
def test_a_failing_writer_leaves_the_old_file_and_no_other(tmp_path, failure):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail(path: Path) -> None:
        path.write_text("hal")
        raise failure

    with pytest.raises(type(failure)):
        write_atomically(target, fail, force=True)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_the_capture_is_never_written_even_by_force(tmp_path):
    capture = tmp_path / "capture"
    capture.mkdir()
    source = capture / "kernel_details.csv"
    source.write_text("rows")
    for inputs in ([source], [capture]):
        with pytest.raises(InputError, match="never changed"):
            write_atomically(source, b"x", force=True, inputs=inputs)
    link = tmp_path / "link.csv"
    link.symlink_to(source)
    with pytest.raises(InputError, match="never changed"):
        write_atomically(link, b"x", force=True, inputs=[capture])
    assert source.read_text() == "rows"
    write_atomically(capture / "report.md", b"new files beside the capture are fine", inputs=[capture])


def test_folders_missing_folders_and_devices_are_refused(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        check_output(tmp_path)
    with pytest.raises(InputError, match="mkdir -p"):
        check_output(tmp_path / "no" / "a.txt")
    with pytest.raises(InputError, match="no ordinary file"):
        check_output("/dev/null", force=True)


def test_a_refusing_disk_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        write_atomically(tmp_path / ("n" * 300), b"x")
    assert names(tmp_path) == []


def test_the_umask_and_the_mode_of_a_replaced_file_are_kept(tmp_path):
    old = os.umask(0o027)
    try:
        write_atomically(tmp_path / "new.txt", b"x")
    finally:
        os.umask(old)
    assert (tmp_path / "new.txt").stat().st_mode & 0o777 == 0o640
    (tmp_path / "new.txt").chmod(0o600)
    write_atomically(tmp_path / "new.txt", b"y", force=True)
    assert (tmp_path / "new.txt").stat().st_mode & 0o777 == 0o600


def test_an_interrupt_leaves_nothing_behind(tmp_path):
    script = (
        "import sys, time\n"
        "from skadvisor.files.output import write_atomically\n"
        "def fill(path):\n"
        "    path.write_text('half'); print('writing', flush=True); time.sleep(60)\n"
        "write_atomically(sys.argv[1], fill)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "a.txt")], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    assert len(names(tmp_path)) == 1
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode != 0
    assert names(tmp_path) == []
