"""What is no capture is named as what it is, and captures that are not one run are not merged."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import captures
from rank_samples import SMALL_MOE, write_ranks
from sample_builder.build import build
from sample_builder.formats import write_kernel_details

from skadvisor import analyze, capture
from skadvisor.analysis import analyze_capture
from skadvisor.cli import main
from skadvisor.errors import InputError
from skadvisor.ranks.analysis import analyze_ranks


def _table(folder: Path) -> str:
    small = replace(SMALL_MOE, layers=2)
    return write_kernel_details(build(small, steps=2).capture, folder / "sound.csv").read_text(encoding="utf-8")


FOREIGN: dict[str, tuple[str, Callable[[str], bytes], str]] = {
    "empty": ("kernel_details.csv", lambda _: b"", "is empty"),
    "utf-16": ("kernel_details.csv", lambda text: text.encode("utf-16"), "UTF-16"),
    "utf-16 without mark": ("kernel_details.csv", lambda text: text.encode("utf-16-le"), "UTF-16"),
    "semicolons": ("kernel_details.csv", lambda text: text.replace(";", "|").replace(",", ";").encode(), "semicolons"),
    "tabs": ("kernel_details.csv", lambda text: text.replace("\t", "").replace(",", "\t").encode(), "tabs"),
    "without a column": ("kernel_details.csv", lambda text: text.replace("Name,", "", 1).encode(), "without Name"),
    "renamed": ("k.csv", lambda text: text.replace("Start Time(us)", "Begin", 1).encode(), r"without Start Time\(us\)"),
    "packed archive": ("a.tar.gz", lambda _: gzip.compress(bytes(257) + b"ustar" + bytes(250)), "archive"),
    "false gzip": ("trace_view.json.gz", lambda _: b"not packed at all", "no gzip"),
    "archive": ("capture.csv", lambda _: b"PK\x03\x04....", "archive"),
    "summary of operators": ("op_statistic.csv", lambda _: b"OP Type,Count,Total Time(us),Min Time(us)\n", "summary"),
    "summary of the host": ("operator_details.csv", lambda _: b"Name,Call Stack,Host Self Duration(us)\n", "summary"),
    "summary of collectives": ("communication.json", lambda _: b'{"step5": {"p2p": {}, "collective": {}}}', "summary"),
    "own result": ("m.json", lambda _: b'{"schema_version": "1.0", "tool": {}}', "result of skadvisor"),
}  # fmt: skip


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_capture_is_named(kind: str, inside: bool, tmp_path: Path) -> None:
    name, make, words = FOREIGN[kind]
    text = _table(tmp_path)
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / name).write_bytes(make(text))
    with pytest.raises(InputError, match=words) as refused:
        capture.load(folder if inside else folder / name)
    assert refused.value.hint and refused.value.exit_code == 2


@pytest.mark.parametrize(
    "name", ["op_statistic.csv", "operator_details.csv", "communication.json", "step_trace_time.csv"]
)
def test_real_summaries_are_named(name: str) -> None:
    folder = captures("alexnet-training-modules", "text", "level1", "rank0_ascend_pt", "ASCEND_PROFILER_OUTPUT")
    with pytest.raises(InputError, match="summary of"):
        capture.load(folder / name)


def test_own_output_is_named_and_passed_over_beside_a_capture(tmp_path: Path) -> None:
    _table(tmp_path)
    analysis = analyze(tmp_path / "sound.csv")
    with pytest.raises(InputError, match="trace that skadvisor wrote"):
        capture.load(analysis.write(tmp_path / "m.json.gz"))
    assert len(capture.load(analysis.write(tmp_path / "m.json")).kernels) == len(analysis.kernels)
    assert [file.format for file in capture.load(tmp_path).files] == ["kernel_details"]
    assert gzip.decompress((tmp_path / "m.json.gz").read_bytes())


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (["PROF_000001_20260101_ABC/device_0/data", "PROF_000001_20260101_ABC/host/data"], "msprof --export=on"),
        (["host_1_20260101_ascend_pt/FRAMEWORK", "host_1_20260101_ascend_pt/PROF_000001_A/host"], "analyse("),
    ],
)
@pytest.mark.parametrize("below", [False, True])
def test_unparsed_data_gets_the_command_that_works(folders: list[str], words: str, below: bool, tmp_path: Path) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    first = tmp_path / folders[0].split("/")[0]
    with pytest.raises(InputError, match="not parsed yet") as refused:
        capture.load(first if below else tmp_path)
    assert words in refused.value.hint and str(first) in refused.value.hint


def test_captures_that_are_not_one_run_are_listed_with_a_choice_that_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = tmp_path / "monday", tmp_path / "tuesday"
    write_ranks(one, [0, 0])
    write_ranks(other, [0])
    with pytest.raises(InputError, match="not one run: rank 0 was recorded 2 times") as refused:
        analyze_ranks(tmp_path, workers=1)
    assert str(other) in refused.value.hint or str(one) in refused.value.hint
    assert len(analyze_ranks(one, workers=1).result.ranks) == 2
    with pytest.raises(InputError, match="2 captures of rank 0") as again:
        capture.load(tmp_path, rank=0)
    assert "--rank" not in again.value.hint and str(other) in again.value.hint
    with pytest.raises(SystemExit) as ended:
        main(["analyze", str(tmp_path), "--no-ledger", "--workers", "1"])
    assert ended.value.code == 2 and "not one run" in capsys.readouterr().err


def test_captures_without_a_rank_of_other_phases_are_listed_and_rules_chooses_among_ranks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = build(replace(SMALL_MOE, layers=4), mode="eager", phases=("prefill", "decode")).capture
    whole = analyze_capture(both)
    spans = {str(row.phase): (int(row.start_ns), int(row.end_ns)) for row in whole.steps.itertuples()}
    for phase in ("prefill", "decode"):
        start, end = spans[phase]
        rows = both.kernels["start_ns"].between(start, end)
        (tmp_path / "apart" / phase).mkdir(parents=True)
        part = replace(both, kernels=both.kernels[rows].reset_index(drop=True))
        write_kernel_details(part, tmp_path / "apart" / phase / "kernel_details.csv")
    with pytest.raises(InputError, match="other phases without a rank") as refused:
        analyze_ranks(tmp_path / "apart", workers=1)
    assert "decode" in refused.value.hint and analyze_ranks(tmp_path / "apart" / "decode", workers=1).result.phases
    write_ranks(tmp_path / "ranks", [0, 1])
    with pytest.raises(SystemExit) as ended:
        main(["rules", str(tmp_path / "ranks")])
    assert not ended.value.code and "MatMul" in capsys.readouterr().out


def test_a_capture_above_another_is_chosen_by_its_file(tmp_path: Path) -> None:
    _table(tmp_path)
    (tmp_path / "below").mkdir()
    _table(tmp_path / "below")
    with pytest.raises(InputError, match="2 captures that are not one run") as refused:
        capture.load(tmp_path)
    places = [tmp_path / "sound.csv", tmp_path / "below"]
    assert [str(place) in refused.value.hint for place in places] == [True, True]
    assert sorted(found.path for found in capture.list_captures(tmp_path)) == sorted(places)
    assert all(len(capture.load(place).kernels) for place in places)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"hidden": 2048, "heads": 32}, "other models"), ({}, "other sessions")],
)
def test_other_models_and_other_sessions_are_not_merged(change: dict[str, int], words: str, tmp_path: Path) -> None:
    write_ranks(tmp_path / "one", [0, 0])
    later = 0 if change else 7 * 60 * 10**9
    built = build(replace(SMALL_MOE, **change), steps=4, seed=11).capture
    kernels = built.kernels.assign(start_ns=built.kernels["start_ns"] + later)
    output = tmp_path / "two" / "host_1002_ascend_pt" / "ASCEND_PROFILER_OUTPUT"
    output.mkdir(parents=True)
    write_kernel_details(replace(built, kernels=kernels), output / "kernel_details.csv")
    (output.parent / "profiler_info_2.json").write_text(json.dumps({"rank_id": 2}))
    with pytest.raises(InputError, match=words):
        analyze_ranks(tmp_path, workers=1)
