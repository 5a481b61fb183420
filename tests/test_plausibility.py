"""Times that cannot be true: few are repaired or left out and named, many void the capture; others stay as they are."""

from __future__ import annotations

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
    "two runs in one": lambda s, d, at: _set(s, slice(at, None), s[at:] - (s[at] - s[0]) - 5_000),
}


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
    sound = _captures()[name]
    assert plausibility.check(sound) is sound
    for seed in (0, 1):
        try:
            checked = plausibility.check(_planted(sound, IMPOSSIBLE[kind], seed))
        except NotEnoughError as refused:
            assert "true" in refused.message or "rounded" in refused.message
            assert refused.hint
        else:
            assert any("cannot be true" in note for note in checked.notes)


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
    assert "before the host launched" in plausibility.check(replace(sound, kernels=late)).notes[0]
    busy = sound.kernels.assign(aiv_ns=(sound.kernels["dur_ns"] * np.where(row, 9, 1) + 2_000 * row).astype("Int64"))
    assert "their own cores" in plausibility.check(replace(sound, kernels=busy)).notes[0]


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
