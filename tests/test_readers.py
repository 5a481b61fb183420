"""A new format is one module that follows `Reader`, and one name among the readers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from skadvisor.capture import list_captures, load, readers
from skadvisor.capture.columns import with_null_columns
from skadvisor.capture.interface import Part
from skadvisor.events import SourceFile, host_table, kernel_table, task_table


def _recognise(path: Path, head: bytes) -> str | None:
    return "lines" if head.startswith(b"#lines") else None


def _read(paths: Sequence[Path], rank: int | None = None) -> Part:
    rows = [line.split() for path in paths for line in path.read_text().splitlines()[1:]]
    nothing = {"start_ns": [], "dur_ns": []}
    columns = {
        "start_ns": [int(row[0]) for row in rows],
        "dur_ns": [int(row[1]) for row in rows],
        "name": [row[2] for row in rows],
        "kind": ["kernel"] * len(rows),
    }
    return Part(
        format="lines",
        producer="unknown",
        files=(SourceFile(path=str(paths[0]), format="lines", rows=len(rows)),),
        kernels=kernel_table(with_null_columns(columns) | {"name": columns["name"]}),
        tasks=task_table(nothing),
        host=host_table(nothing),
    )


@pytest.fixture
def new_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    new = SimpleNamespace(FORMATS=("lines",), recognise=_recognise, read=_read)
    monkeypatch.setattr(readers, "READERS", (*readers.READERS, new))


@pytest.mark.usefixtures("new_reader")
def test_a_new_reader_is_asked_and_read_from(tmp_path: Path) -> None:
    rows = "".join(f"{1_000_000 + 5_000 * row} 4000 MatMulV2_{row}\n" for row in range(3))
    (tmp_path / "capture.txt").write_text("#lines\n" + rows)
    assert [place.path for place in list_captures(tmp_path)] == [tmp_path]
    capture = load(tmp_path)
    assert capture.files[0].format == "lines"
    assert capture.kernels["start_ns"].tolist() == [1_000_000, 1_005_000, 1_010_000]


def test_every_reader_names_formats_of_its_own() -> None:
    formats = [format for reader in readers.READERS for format in reader.FORMATS]
    assert len(set(formats)) == len(formats) == 6
