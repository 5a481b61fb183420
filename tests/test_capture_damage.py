"""Damaged and hostile files: what is whole is read, what is lost is counted, and nothing crashes or hangs."""

from __future__ import annotations

import gzip
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from capture_damage import WRITERS, damage, originals, outcome
from capture_examples import IN_TRACE, example
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_builder.formats import write_database, write_kernel_details, write_trace_view

from skadvisor import capture
from skadvisor.capture import interface, lines
from skadvisor.capture.trace import blocks
from skadvisor.errors import InputError, SkadvisorError


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return originals(tmp_path_factory.mktemp("originals"))


@given(name=st.sampled_from([*WRITERS, "kernel_details.csv.gz", "trace_view.json.gz"]), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_any_damage_gives_an_answer_or_a_clear_refusal(
    files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, name: str, seed: int
) -> None:
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(damage(files[name], seed))
    assert outcome(path) in (0, 2, 3)


@given(share=st.floats(0.05, 0.9999))
@settings(max_examples=40, deadline=None)
def test_a_trace_cut_anywhere_gives_the_whole_events_before_the_cut(
    files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    data = files["trace_view.json"]
    end = int(len(data) * share)
    path = tmp_path_factory.mktemp("cut") / "trace_view.json"
    path.write_bytes(data[:end])
    stream = blocks.EventStream(path)
    count = sum(len(block) for block in stream)
    positions = [match.start() + 1 for match in blocks.BOUNDARY.finditer(data)]
    assert stream.cut
    assert count == sum(place <= end for place in positions) + (end >= len(data) - 1)
    assert stream.faults.total() <= 1


@given(share=st.floats(0.02, 0.9999))
@settings(max_examples=40, deadline=None)
def test_a_table_cut_anywhere_gives_the_whole_rows_before_the_cut(
    files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    data = files["kernel_details.csv"]
    header = data.index(b"\n") + 1
    end = header + int((len(data) - header) * share)
    path = tmp_path_factory.mktemp("cut") / "kernel_details.csv"
    path.write_bytes(data[:end])
    whole = data[:end].count(b"\n") - 1
    part = data[:end].rpartition(b"\n")[2]
    try:
        read = capture.load(path)
    except SkadvisorError as refused:
        assert whole == 0 and refused.exit_code == 3
        return
    assert read.state == ("truncated" if part else "complete")
    lost = sum(sum(file.skipped.values()) for file in read.files)
    assert len(read.kernels) + lost == whole + bool(part)
    complete = example().kernels.set_index(["start_ns", "name"])
    for start, name, duration in zip(*(read.kernels[c] for c in ("start_ns", "name", "dur_ns")), strict=True):
        assert complete.loc[(start, name), "dur_ns"] == duration


def test_a_cut_gzip_file_gives_what_is_whole(tmp_path: Path, files: dict[str, bytes]) -> None:
    for name, least in (("kernel_details.csv.gz", 10), ("trace_view.json.gz", 10)):
        data = files[name]
        (tmp_path / name).write_bytes(data[: int(len(data) * 0.9)])
        read = capture.load(tmp_path / name)
        assert read.state == "truncated"
        assert least < len(read.kernels) <= 40


def test_a_damaged_gzip_file_gives_what_lies_before_the_damage(tmp_path: Path, files: dict[str, bytes]) -> None:
    for name in ("kernel_details.csv.gz", "trace_view.json.gz"):
        data = bytearray(files[name])
        middle = int(len(data) * 0.8)
        data[middle : middle + 40] = bytes(40)
        (tmp_path / name).write_bytes(data)
        read = capture.load(tmp_path / name)
        assert read.state == "truncated"
        assert len(read.kernels) >= 10


def test_bad_rows_are_counted_by_reason(tmp_path: Path) -> None:
    path = write_kernel_details(example(), tmp_path / "k.csv", pmu=True)
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    broken = [
        rows[0],
        rows[0],
        rows[1] + ",surplus",
        rows[2].replace("\t", "x"),
        rows[3],
        '0,1,2,3,"open quote',
        *rows[5:],
    ]
    path.write_text("\n".join([header, *broken]) + "\n", encoding="utf-8")
    read = capture.load(path)
    skipped = dict(read.files[0].skipped)
    assert skipped["repeated row"] == 1
    assert skipped["row without a time"] == 1
    assert sum(skipped.values()) == 5  # the unreadable start counts as a value and as a row
    assert len(read.kernels) == 2 + len(rows[5:])
    assert "left out" in str(read.notes[0])


def test_one_bad_value_costs_only_itself(tmp_path: Path) -> None:
    written = example()
    path = write_kernel_details(written, tmp_path / "k.csv", pmu=True)
    text = path.read_text(encoding="utf-8")
    task = str(written.kernels["task"].dropna().iloc[0])
    path.write_text(text.replace(f",{task},", ",Infinity,", 1), encoding="utf-8")
    read = capture.load(path)
    assert len(read.kernels) == 40
    assert read.kernels["task"].isna().sum() == written.kernels["task"].isna().sum() + 1
    assert read.kernels["dur_ns"].tolist() == written.kernels["dur_ns"].tolist()
    assert any("unreadable value in Task ID" in str(note) for note in read.notes)


def test_what_stands_in_a_column_that_is_not_used_costs_nothing(tmp_path: Path) -> None:
    written = example()
    written.kernels.loc[0, "aic_mac_ratio"] = float("inf")
    path = write_kernel_details(written, tmp_path / "k.csv", pmu=True)
    usual, text = capture.load(path).kernels, path.read_text(encoding="utf-8")
    assert ",inf," in text
    path.write_text(text.replace(",inf,", ",not measured,"), encoding="utf-8")
    read = capture.load(path)
    assert read.kernels.equals(usual)
    assert read.notes == ()


def test_damaged_events_are_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    path = write_trace_view(example(), tmp_path / "t.json")
    events = json.loads(path.read_text())
    device = [number for number, event in enumerate(events) if "Task Type" in event.get("args", {})]
    text = [json.dumps(event) for event in events]
    text[device[3]] = text[device[3]][:-2]
    text[device[5]] = text[device[5]].replace('"ts": "', '"ts": "x')
    text[device[7]] = text[device[7]].replace('"dur": ', '"dur": -')
    text[device[9]] = '{"ph": "X", "name": 12, "pid": [], "ts": null, "args": 3}'
    path.write_text("[" + ", ".join(text) + "]")
    read = capture.load(path)
    assert dict(read.files[0].skipped) == {
        "damaged event": 1,
        "event without a time": 2,
        "event with a negative time": 1,
    }
    assert len(read.kernels) == 36


def test_repeated_events_count_once(tmp_path: Path) -> None:
    path = write_trace_view(example(), tmp_path / "t.json")
    events = json.loads(path.read_text())
    path.write_text(json.dumps(events + events[-90:]))
    read = capture.load(path)
    assert len(read.kernels) == 40
    assert read.kernels[IN_TRACE].equals(
        capture.load(write_trace_view(example(), tmp_path / "u.json")).kernels[IN_TRACE]
    )


def test_a_gzip_bomb_meets_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "FREE_EXPANSION_BYTES", 1 << 20)
    table = write_kernel_details(example(), tmp_path / "k.csv").read_bytes()
    (tmp_path / "k.csv.gz").write_bytes(gzip.compress(table + b"0,1,2\n" * 3_000_000))
    trace = write_trace_view(example(), tmp_path / "t.json").read_bytes()
    (tmp_path / "t.json.gz").write_bytes(gzip.compress(trace[:-1] + b" " * 30_000_000 + b"]"))
    for name in ("k.csv.gz", "t.json.gz"):
        with pytest.raises(InputError, match="expands to more than"):
            capture.load(tmp_path / name)


def test_python_ends_after_a_table_was_refused_while_others_parsed_it(tmp_path: Path) -> None:
    table = write_kernel_details(example(), tmp_path / "k.csv").read_bytes()
    (tmp_path / "k.csv.gz").write_bytes(gzip.compress(table + b"0,1,2\n" * 3_000_000))
    code = (
        "import sys; from skadvisor import capture, errors; from skadvisor.capture import lines\n"
        "lines.FREE_EXPANSION_BYTES = 1 << 20\n"
        "try: capture.load(sys.argv[1])\n"
        "except errors.InputError as refusal: print(refusal)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "k.csv.gz")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "expands to more than" in done.stdout


def test_endless_lines_and_events_meet_the_limit(tmp_path: Path) -> None:
    table = write_kernel_details(example(), tmp_path / "k.csv").read_bytes()
    (tmp_path / "k.csv").write_bytes(table + b"x" * (2 * interface.MAX_RECORD_BYTES))
    with pytest.raises(InputError, match="line of more than"):
        capture.load(tmp_path / "k.csv")
    events = json.loads(write_trace_view(example(), tmp_path / "t.json").read_text())
    events.insert(len(events) // 2, {"ph": "X", "name": "x" * (3 * interface.MAX_RECORD_BYTES)})
    (tmp_path / "t.json").write_text(json.dumps(events))
    read = capture.load(tmp_path / "t.json")
    assert any("event longer than 4 MB" in str(note) for note in read.notes)


def test_absurd_numbers_of_rows_meet_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from skadvisor.capture.database import file
    from skadvisor.capture.trace import events

    for module in (lines, events, file):
        monkeypatch.setattr(module, "MAX_ROWS", 5)
    for path in (
        write_kernel_details(example(), tmp_path / "k.csv"),
        write_trace_view(example(), tmp_path / "t.json"),
        write_database(example(), tmp_path / "d.db"),
    ):
        with pytest.raises(InputError, match="more than 5"):
            capture.load(path)


def test_deep_nesting_is_damage_not_a_crash(tmp_path: Path) -> None:
    text = write_trace_view(example(), tmp_path / "t.json").read_text()
    deep = '{"ph": "X", "name": "x", "args": ' + '{"a": [' * 100_000 + "]}" * 100_000 + "}, "
    (tmp_path / "t.json").write_text("[" + deep + text[1:])
    read = capture.load(tmp_path / "t.json")
    assert len(read.kernels) == 40
    assert read.files[0].skipped["damaged event"] >= 1


def test_a_database_with_views_and_junk_is_only_read(tmp_path: Path) -> None:
    path = write_database(example(), tmp_path / "d.db")
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE TASK RENAME TO HIDDEN")
        connection.execute(
            "CREATE VIEW TASK AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
        )
    connection.close()
    before = path.read_bytes()
    read = capture.load(path)
    assert set(read.kernels["kind"]) == {"collective"}
    assert read.files[0].skipped["operator without a device task"] == 36
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_cut_database_gives_its_rows_or_a_refusal(tmp_path: Path, files: dict[str, bytes]) -> None:
    codes = set()
    for share in (0.2, 0.5, 0.8, 0.95):
        path = tmp_path / "d.db"
        path.write_bytes(files["profiler.db"][: int(len(files["profiler.db"]) * share)])
        codes.add(outcome(path))
    assert codes <= {0, 2, 3}


def test_reading_leaves_no_trace_on_disk(tmp_path: Path) -> None:
    write_kernel_details(example(), tmp_path / "k.csv")
    write_trace_view(example(), tmp_path / "t.json")
    write_database(example(), tmp_path / "d.db")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for path in before:
        capture.load(path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
