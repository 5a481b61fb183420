"""Times that cannot be true: few are repaired or left out and named, many void the capture; others stay as they are."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sample_builder.build import build
from sample_builder.catalogue import QWEN2_5_7B, QWEN3_30B_A3B, build_entry
from sample_builder.formats import write_kernel_details

from skadvisor import analyze, capture
from skadvisor.capture import plausibility
from skadvisor.errors import NotEnoughError
from skadvisor.events import Capture, in_order
from skadvisor.text.messages import Message

#: Changes start_ns and dur_ns in place; a place in the table is drawn by the test.
Plant = Callable[[np.ndarray, np.ndarray, int], None]


def _add(start: np.ndarray, at: int, by: int) -> None:
    start[at:] += by


def _set(values: np.ndarray, at: Any, to: Any) -> None:
    values[at] = to


IMPOSSIBLE: dict[str, Plant] = {
    "spreadsheet": lambda s, d, at: _set(s, slice(None), s // 10**13 * 10**13),
    "tens of us": lambda s, d, at: _set(s, slice(None), s // 10**4 * 10**4),
    "whole us": lambda s, d, at: _set(s, slice(None), s // 10**3 * 10**3),
    "one start": lambda s, d, at: _set(s, slice(at, at + 60), s[at]),
    "start of 0": lambda s, d, at: _set(s, at, 0),
    "all start at 0": lambda s, d, at: _set(s, slice(None), 0),
    "overflow of 32 bits in us": lambda s, d, at: _set(d, at, 2**32 * 1000),
    "overflow of 31 bits in ns": lambda s, d, at: _set(d, at, 2**31),
    "longer than what follows": lambda s, d, at: _set(d, at, s[-1] - s[at]),
    "ns as us": lambda s, d, at: _set(d, slice(None), d * 1000),
    "ms as us": lambda s, d, at: _set(d, slice(None), d // 1000),
    "no durations": lambda s, d, at: _set(d, slice(None), 0),
    "a duration of 0": lambda s, d, at: _set(d, at, 0),
    "clock forward by an hour": lambda s, d, at: _add(s, at, 3_600 * 10**9),
    "clock forward by 5 ms": lambda s, d, at: _add(s, at, 5 * 10**6),
    "clock back by 2 ms": lambda s, d, at: _add(s, at, -2 * 10**6),
    "clock back by a minute": lambda s, d, at: _add(s, at, -61 * 10**9),
    "starts spread": lambda s, d, at: _set(s, slice(None), s[0] + (s - s[0]) * 1000),
    "starts crowded": lambda s, d, at: _set(s, slice(None), s[0] + (s - s[0]) // 1000),
    "half rounded to ms": lambda s, d, at: _set(s, slice(at, None), s[at:] // 10**6 * 10**6),
    "the last part in ns": lambda s, d, at: _set(d, slice(at, None), d[at:] * 1000),
    "the last part in ms": lambda s, d, at: _set(d, slice(at, None), d[at:] // 1000),
    "durations sorted": lambda s, d, at: d.sort(),
    "durations shuffled": lambda s, d, at: np.random.default_rng(at).shuffle(d),
    "durations all alike": lambda s, d, at: _set(d, slice(None), 3_000),
    "durations of the row before": lambda s, d, at: _set(d, slice(1, None), d[:-1].copy()),
    "leading digits lost": lambda s, d, at: _set(s, slice(at, at + 3), s[at : at + 3] % 10**12),
    "two time bases": lambda s, d, at: _set(s, slice(at, None), s[at:] % 10**15),
    "seconds only": lambda s, d, at: _set(s, slice(None), s[0] + (s - s[0]) % 10**5),
    "clock forward by 5 s": lambda s, d, at: _add(s, at, 5 * 10**9),
    "clock forward by 0.3 s": lambda s, d, at: _add(s, at, 3 * 10**8),
    "two runs in one": lambda s, d, at: _set(s, slice(at, None), s[at:] - (s[at] - s[0]) - 5_000),
}


#: Without the file's own Wait Time a slow host would look the same.
NEED_WAITS = ("clock forward by 5 ms", "starts spread")


@cache
def _captures() -> dict[str, Capture]:
    dense = replace(QWEN2_5_7B, layers=6)
    sparse = replace(QWEN3_30B_A3B, layers=6)
    return {
        "graph": build(dense, mode="ge_graph", steps=3).capture,
        "eager": build(dense, mode="eager", steps=3, pmu=True).capture,
        "experts": build(sparse, mode="ge_graph", steps=2).capture,
        "pieces": build(sparse, mode="acl_graph", steps=2, seed=3).capture,
        "fragments": build_entry("llama-3.1-70b-tp8", steps=1).capture,
    }


def _planted(sound: Capture, plant: Plant, seed: int) -> Capture:
    kernels = sound.kernels.copy()
    start, duration = kernels["start_ns"].to_numpy().copy(), kernels["dur_ns"].to_numpy().copy()
    ordinary = np.flatnonzero((kernels["kind"] == "kernel").to_numpy())
    middle = ordinary[len(ordinary) // 5 : 4 * len(ordinary) // 5]
    plant(start, duration, int(np.random.default_rng(seed).choice(middle)))
    return replace(sound, kernels=in_order(kernels.assign(start_ns=start, dur_ns=duration)))


@pytest.mark.parametrize("name", ["graph", "eager", "experts", "pieces", "fragments"])
@pytest.mark.parametrize("kind", IMPOSSIBLE)
def test_no_impossible_time_is_taken_for_true(name: str, kind: str) -> None:
    whole = _captures()[name]
    bare = replace(whole, kernels=whole.kernels.assign(wait_ns=pd.array([None] * len(whole.kernels), "Int64")))
    for sound, seed in ((whole, 0), (whole, 1), *([(bare, 2)] if kind not in NEED_WAITS else [])):
        assert plausibility.check(sound) is sound
        try:
            checked = plausibility.check(_planted(sound, IMPOSSIBLE[kind], seed))
        except NotEnoughError as refused:
            assert "true" in refused.message or "rounded" in refused.message
            assert refused.hint
        else:
            assert any("cannot be true" in str(note) or "the clock jumped" in str(note) for note in checked.notes)


def test_a_jump_of_the_clock_within_the_layers_is_taken_out() -> None:
    whole = _captures()["graph"]
    bare = replace(whole, kernels=whole.kernels.assign(wait_ns=pd.array([None] * len(whole.kernels), "Int64")))
    core = int(np.flatnonzero(whole.kernels["op_type"] == "FusedInferAttentionScore")[8])
    late = whole.kernels["start_ns"].to_numpy().copy()
    late[core:] += 7 * 10**9
    checked = plausibility.check(replace(bare, kernels=bare.kernels.assign(start_ns=late)))
    assert np.abs(checked.kernels["start_ns"] - whole.kernels["start_ns"]).max() < 2_000


#: Changes the cells of all rows; a place in the table and the columns by heading are given.
Rewrite = Callable[[list[list[str]], int, dict[str, int]], list[list[str]]]


def _moved(rows: list[list[str]], at: int, columns: dict[str, int]) -> list[list[str]]:
    for row in rows[at : at + 40]:
        row.insert(columns["Start Time(us)"], row.pop())
    return rows


def _exchanged(rows: list[list[str]], _at: int, columns: dict[str, int]) -> list[list[str]]:
    first, second = columns["Duration(us)"], columns["Wait Time(us)"]
    for row in rows:
        row[first], row[second] = row[second], row[first]
    return rows


def _drawn(column: str) -> Rewrite:
    def rewrite(rows: list[list[str]], at: int, columns: dict[str, int]) -> list[list[str]]:
        values = [row[columns[column]] for row in rows]
        np.random.default_rng(at).shuffle(values)
        for row, value in zip(rows, values, strict=True):
            row[columns[column]] = value
        return rows

    return rewrite


REWRITTEN: dict[str, Rewrite] = {
    "all rows twice": lambda rows, at, columns: rows + rows,
    "some rows twice": lambda rows, at, columns: rows + rows[at : at + 5],
    "one column moved in some rows": _moved,
    "duration and wait exchanged": _exchanged,
    "step ids at random": _drawn("Step Id"),
    "last row cut": lambda rows, at, columns: [*rows[:-1], rows[-1][:5]],
    "rows without their ends": lambda rows, at, columns: [
        *rows[:at],
        *(row[:6] for row in rows[at : at + 4]),
        *rows[at + 4 :],
    ],
}


@pytest.mark.parametrize("kind", REWRITTEN)
def test_no_spoiled_table_is_taken_for_whole(kind: str, tmp_path: Path) -> None:
    sound = _captures()["graph"]
    lines = write_kernel_details(sound, tmp_path / "plain.csv").read_text("utf-8").splitlines()
    headings, *rows = list(csv.reader(lines))
    headings, rows = ["Step Id", *headings], [[str(3 * n // len(rows)), *row] for n, row in enumerate(rows)]
    with (tmp_path / "sound.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([headings, *rows])
    spoiled = REWRITTEN[kind](rows, 90, {name: place for place, name in enumerate(headings)})
    with (tmp_path / "spoiled.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([headings, *spoiled])
    assert not capture.load(tmp_path / "sound.csv").notes
    try:
        notes = capture.load(tmp_path / "spoiled.csv").notes
    except NotEnoughError as refused:
        notes = (Message(refused.message),)
    assert notes


@pytest.mark.parametrize("stream", [True, False])
def test_one_overflown_duration_is_named_and_taken_from_kernels_alike(stream: bool) -> None:
    sound = _captures()["graph"]
    kernels = sound.kernels if stream else sound.kernels.assign(stream=pd.array([None] * len(sound.kernels), "Int64"))
    at = int(np.flatnonzero(kernels["op_type"] == "FusedInferAttentionScore")[4])
    damaged = kernels["dur_ns"].to_numpy().copy()
    damaged[at] = 2**31
    checked = plausibility.check(replace(sound, kernels=kernels.assign(dur_ns=damaged)))
    before, after = int(kernels["dur_ns"][at]), int(checked.kernels["dur_ns"][at])
    assert after == pytest.approx(before, rel=0.5)
    assert list(checked.files[0].skipped.values()) == [1]
    assert (checked.kernels["dur_ns"].drop(at) == kernels["dur_ns"].drop(at)).all()


def test_times_that_contradict_the_launch_or_the_cores_are_named() -> None:
    sound = _captures()["eager"]
    row = sound.kernels.index == 50
    launch = pd.array(sound.kernels["start_ns"] - 9_000, dtype="Int64")
    launched = sound.kernels.assign(launch_ns=launch)
    assert plausibility.check(whole := replace(sound, kernels=launched)) is whole
    late = launched.assign(launch_ns=launched["launch_ns"] + np.where(row, 10**7, 0))
    assert "before the host launched" in str(plausibility.check(replace(sound, kernels=late)).notes[0])
    busy = sound.kernels.assign(aiv_ns=(sound.kernels["dur_ns"] * np.where(row, 9, 1) + 2_000 * row).astype("Int64"))
    assert "their own cores" in str(plausibility.check(replace(sound, kernels=busy)).notes[0])


def test_parts_of_one_task_and_servers_beside_it_may_overlap() -> None:
    sound = _captures()["graph"]
    beside = sound.kernels.copy()
    beside["name"] = beside["name"].astype("object").where(beside.index != 20, "AicpuKfcRpcServer").astype("category")
    beside.loc[20, "dur_ns"] = 10**8
    assert (checked := replace(sound, kernels=beside)) is plausibility.check(checked)
    parts = sound.kernels.copy()
    parts.loc[31, "task"] = parts.loc[30, "task"]
    parts.loc[30, "dur_ns"] += 5_000
    assert (parts.loc[30, "stream"], parts.loc[30, "name"] != parts.loc[31, "name"]) == (parts.loc[31, "stream"], True)
    side_by_side = replace(sound, kernels=parts)
    assert plausibility.check(side_by_side) is side_by_side
    assert plausibility.check(replace(sound, kernels=parts.assign(task=range(len(parts))))).notes


def test_a_spoiled_file_ends_with_exit_code_3_and_a_slightly_spoiled_one_is_answered_with_a_warning(
    tmp_path: Path,
) -> None:
    sound = _captures()["graph"]
    path = write_kernel_details(sound, tmp_path / "sound.csv")
    lines = path.read_text(encoding="utf-8").splitlines()
    at = lines[0].split(",").index("Start Time(us)")
    place = slice(at, at + 2)

    def changed(row: str, start: str | None, duration: str | None) -> str:
        cells = row.split(",")
        cells[place] = [start or cells[at], duration or cells[at + 1]]
        return ",".join(cells)

    resaved = tmp_path / "resaved.csv"
    rounded = [changed(row, f"{float(row.split(',')[at]):.5E}", None) for row in lines[1:]]
    resaved.write_text("\n".join([lines[0], *rounded, ""]), encoding="utf-8")
    with pytest.raises(NotEnoughError) as refused:
        capture.load(resaved)
    assert refused.value.exit_code == 3
    overflown = tmp_path / "overflown.csv"
    broken = [*lines[:30], changed(lines[30], None, "4294967295.000"), *lines[31:], ""]
    overflown.write_text("\n".join(broken), encoding="utf-8")
    answer, truth = analyze(overflown).result, analyze(path).result
    assert any("cannot be true" in str(notice.message) for notice in answer.warnings)
    assert not any("cannot be true" in str(notice.message) for notice in truth.warnings)
    assert answer.captures[0].skipped and not truth.captures[0].skipped
    assert answer.phases["decode"].wall_us == pytest.approx(truth.phases["decode"].wall_us, rel=0.01)
    assert answer.recommendation.choice == truth.recommendation.choice
