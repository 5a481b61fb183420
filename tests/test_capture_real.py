"""The real captures beside the repository: all are read, and what they say agrees with what they hold."""

from __future__ import annotations

import csv
import json
import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import captures

from skadvisor import capture
from skadvisor.errors import InputError, NotEnoughError

ALEXNET = ("alexnet-training-modules",)
TEXT = (*ALEXNET, "text", "level1", "rank0_ascend_pt")
DATABASE = (*ALEXNET, "db", "level1", "rank0_ascend_pt")


@pytest.mark.parametrize(
    ("parts", "rank", "kernels", "facts"),
    [
        (("qwen2.5-0.5b-vllm-eager",), None, 687, {"rank": None, "level": "level1", "device": 0}),
        (("qwen2.5-0.5b-vllm-piecewise-graph",), None, 68, {"rank": None, "level": "level1"}),
        (("qwen3-0.6b-training",), 0, 2463, {"rank": 0, "device": 0}),
        (("qwen3-0.6b-training",), 2, 2587, {"rank": 2, "device": 4}),
        (TEXT, None, 191, {"rank": 0, "level": "level1"}),
        (DATABASE, None, 191, {"rank": 0, "device": 0, "level": "level1"}),
        (("optimizer-trace",), None, 274, {"level": "unknown"}),
        (("msprof-format-samples", "op_summary_1.csv"), None, 20, {"producer": "msprof"}),
        (("msprof-format-samples", "test_rank_0_kernel_details.csv"), None, 20, {"producer": "torch_npu"}),
        (("msprof-format-samples", "msprof_0.db"), None, 11, {"device": 2, "producer": "msprof"}),
        (("msprof-format-samples", "heatMap_trace_view.json"), None, 1, {}),
    ],
)
def test_every_real_capture_is_read(parts: tuple[str, ...], rank: int | None, kernels: int, facts: dict) -> None:
    read = capture.load(captures(*parts), rank=rank)
    assert len(read.kernels) == kernels
    assert read.state == "complete"
    assert {name: getattr(read, name) for name in facts} == facts


def test_every_row_of_every_real_table_is_exact() -> None:
    """Times as decimal text against the table, for each row that has the right number of cells."""
    for path in sorted(captures().rglob("*kernel_details.csv")):
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = csv.reader(file)
        at = {name: header.index(name) for name in ("Start Time(us)", "Duration(us)", "Name")}
        expected = sorted(
            (
                int(Decimal(row[at["Start Time(us)"]].strip()) * 1000),
                int((Decimal(row[at["Duration(us)"]]) * 1000 + Decimal("0.5")) // 1),
                row[at["Name"]],
            )
            for row in rows
            if len(row) == len(header)
        )
        kernels = capture.load(path).kernels
        assert sorted(zip(kernels["start_ns"], kernels["dur_ns"], kernels["name"], strict=True)) == expected
        dropped = sum(len(row) != len(header) for row in rows)
        assert sum(sum(file.skipped.values()) for file in capture.load(path).files) == dropped


def test_truth_of_the_eager_capture_lines_up() -> None:
    truth = pd.read_csv(captures("qwen2.5-0.5b-vllm-eager", "truth.csv"), keep_default_na=False)
    kernels = capture.load(captures("qwen2.5-0.5b-vllm-eager", "ASCEND_PROFILER_OUTPUT")).kernels
    assert kernels["start_ns"].tolist() == truth["start_ns"].tolist()
    assert kernels["op_type"].tolist() == truth["op_type"].tolist()
    assert kernels["input_shapes"].astype("object").fillna("").tolist() == truth["input_shapes"].tolist()


def test_graph_capture_keeps_models_and_states() -> None:
    kernels = capture.load(captures("qwen2.5-0.5b-vllm-piecewise-graph")).kernels
    graph = kernels[kernels["model"].notna()]
    assert set(graph["state"]) == {"static"}
    assert graph.groupby("model", observed=True)["stream"].nunique().max() == 1


def test_alexnet_trace_and_table_agree() -> None:
    """The trace lists 535 device events; the 187 operators and 4 collectives of the table are told apart from them."""
    folder = captures(*TEXT, "ASCEND_PROFILER_OUTPUT")
    table = capture.load(folder / "kernel_details.csv").kernels
    trace = capture.load(folder / "trace_view.json")
    assert trace.kernels["name"].tolist() == table["name"].tolist()
    difference = (trace.kernels["start_ns"] - table["start_ns"]).abs()
    assert difference[table["kind"] == "kernel"].max() == 0
    assert difference.max() <= 1
    assert (trace.kernels["dur_ns"] - table["dur_ns"]).abs().max() <= 1
    for column in ("stream", "task", "kind"):
        assert trace.kernels[column].astype("object").tolist() == table[column].astype("object").tolist()
    assert len(trace.tasks) + int((trace.kernels["kind"] == "kernel").sum()) == 535
    assert trace.kernels["step_id"].tolist() == table["step_id"].tolist()
    joined = capture.load(folder)
    assert joined.notes == ()
    assert joined.kernels["launch_ns"].notna().all()


def test_alexnet_text_and_database_hold_the_same_kernels() -> None:
    """They are two runs of one program, half an hour apart: operators agree, clocks and task numbers cannot."""
    text = capture.load(captures(*TEXT)).kernels
    database = capture.load(captures(*DATABASE)).kernels
    assert len(text) == len(database) == 191
    same = ["op_type", "kind", "core", "stream", "blocks", "mix_blocks", "input_shapes", "input_types", "output_shapes"]

    def listed(kernels: pd.DataFrame) -> list[tuple[str, ...]]:
        """On each stream in order, because streams run side by side."""
        rows = kernels.sort_values(["stream", "start_ns"], kind="stable")[same].astype("object")
        return [tuple(map(str, row)) for row in rows.where(rows.notna(), "-").itertuples(index=False)]

    assert listed(text) == listed(database)
    assert text["module"].value_counts().to_dict() == database["module"].value_counts().to_dict()
    start = database["start_ns"].iloc[0] - text["start_ns"].iloc[0]
    assert start > 1_600 * 10**9


def test_alexnet_database_times_are_those_of_its_own_tables() -> None:
    import sqlite3

    path = captures(*DATABASE, "ASCEND_PROFILER_OUTPUT", "ascend_pytorch_profiler_0.db")
    with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as connection:
        expected = connection.execute(
            "SELECT startNs, endNs - startNs FROM TASK JOIN COMPUTE_TASK_INFO USING (globalTaskId) "
            "UNION ALL SELECT startNs, endNs - startNs FROM COMMUNICATION_OP ORDER BY 1, 2"
        ).fetchall()
    kernels = capture.load(path).kernels
    assert list(zip(kernels["start_ns"], kernels["dur_ns"], strict=True)) == expected


def test_alexnet_module_links_match_the_trace() -> None:
    """By brute force over the events: arrow to the launch, then every module range that contains it."""
    folder = captures(*TEXT, "ASCEND_PROFILER_OUTPUT")
    events = json.loads((folder / "trace_view.json").read_text())

    def ns(text: str) -> int:
        return int(Decimal(text) * 1000)

    begins = {e["id"]: e for e in events if e["ph"] == "s" and e["cat"] == "async_npu"}
    launches = {
        (ns(e["ts"]), e["tid"]): (ns(begins[e["id"]]["ts"]), begins[e["id"]]["tid"])
        for e in events
        if e["ph"] == "f" and e["cat"] == "async_npu"
    }
    modules = [
        (ns(e["ts"]), ns(e["ts"]) + int(Decimal(str(e["dur"])) * 1000), e["tid"], e["name"])
        for e in events
        if e["ph"] == "X" and e["name"].startswith("nn.Module: ")
    ]
    kernels = capture.load(folder / "trace_view.json").kernels
    for start, stream, kind, launch, module in zip(
        *(kernels[name] for name in ("start_ns", "stream", "kind", "launch_ns", "module")), strict=True
    ):
        at, thread = launches[start, 0 if kind == "collective" else stream]
        assert launch == at
        inside = [found for found in modules if found[2] == thread and found[0] <= at <= found[1]]
        expected = max(inside)[3].removeprefix("nn.Module: ") if inside else None
        assert (None if pd.isna(module) else module) == expected
    assert int(kernels["module"].notna().sum()) == 50


def test_a_parent_of_ranks_lists_them() -> None:
    found = capture.list_captures(captures("qwen3-0.6b-training"))
    assert [rank for rank, _ in found] == [0, 2]
    with pytest.raises(InputError, match="rank="):
        capture.load(captures("qwen3-0.6b-training"))
    with pytest.raises(InputError, match="no rank 1"):
        capture.load(captures("qwen3-0.6b-training"), rank=1)


def test_other_files_beside_captures_are_no_captures() -> None:
    root = captures()
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        try:
            found = capture.list_captures(path)
        except InputError as known:
            assert re.search("summary of|is empty|result of", known.message)
            continue
        if not found:
            with pytest.raises(InputError, match="holds no profiler capture"):
                capture.load(path)
        else:
            assert "kernel" in path.name or "trace" in path.name or path.suffix in (".db", ".csv")


def test_unrelated_files_in_one_folder_are_not_mixed() -> None:
    read = capture.load(captures("msprof-format-samples"))
    assert len(read.kernels) == 20
    assert sum("different runs" in str(note) for note in read.notes) == 2
    assert not read.kernels["launch_ns"].notna().any()


@pytest.mark.parametrize("parts", [("qwen2.5-0.5b-vllm-eager",), TEXT, DATABASE, ("optimizer-trace",)])
def test_real_captures_survive_a_cut(parts: tuple[str, ...], tmp_path: Path) -> None:
    whole = capture.load(captures(*parts))
    for file in whole.files:
        if file.path.endswith(".db"):
            continue
        data = Path(file.path).read_bytes()
        for share in (0.3, 0.77, 0.999):
            cut = tmp_path / Path(file.path).name
            cut.write_bytes(data[: int(len(data) * share)])
            try:
                read = capture.load(cut)
            except NotEnoughError:
                continue
            assert read.state == "truncated"
            assert any("cut" in str(note) for note in read.notes)
            alone = capture.load(file.path).kernels
            assert np.isin(read.kernels["start_ns"], alone["start_ns"]).all()
            assert len(read.kernels) <= len(alone)
