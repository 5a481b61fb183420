"""Every form in which a producer or a release writes a run reads back as the one run that it is."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import reader_variants as variants
from reader_variants import ALWAYS, COLUMNS, COMPUTE, IN_TABLE, TRUTH, Kernel, check, written
from variant_databases import write_database

from skadvisor import capture
from skadvisor.errors import InputError, NotEnoughError

# Tables of operators


@pytest.mark.parametrize("form", sorted(variants.HEADINGS))
def test_headings_of_every_release(tmp_path: Path, form: str) -> None:
    headings = variants.HEADINGS[form]
    (tmp_path / "table.csv").write_bytes(variants.operator_table(headings))
    read = capture.load(tmp_path / "table.csv")
    held = {
        "type": True,
        "core": True,
        "stream": "Stream ID" in headings,
        "task": "Task ID" in headings,
        "blocks": True,
        "shapes": "Input Shapes" in headings,
        "core_time": "aicore_time" in headings or "aic_total_time" in headings,
    }
    check(read, [*ALWAYS, *(name for name, holds in held.items() if holds)])
    assert all(read.kernels[COLUMNS.get(name, name)].isna().all() for name, holds in held.items() if not holds)
    assert read.notes == ()


def test_a_table_of_collectives_only(tmp_path: Path) -> None:
    """Where no operator ran, op_summary has the first headings and the context."""
    headings = variants.CURRENT.split(",Block Num")[0] + ",Context ID"
    (tmp_path / "op_summary.csv").write_bytes(variants.operator_table(headings, [TRUTH[2]]))
    check(capture.load(tmp_path), ("start", "duration", "name", "kind", "type", "core"), [TRUTH[2]])


# Traces

TRACES: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "current torch_npu": variants.current_trace,
    "newest torch_npu": variants.newest_trace,
    "MindSpore": variants.mindspore_trace,
}


@pytest.mark.parametrize("form", sorted(TRACES))
@pytest.mark.parametrize("others", [False, True])
def test_traces_of_every_framework(tmp_path: Path, form: str, others: bool) -> None:
    events = TRACES[form]() + (variants.no_kernels() if others else [])
    (tmp_path / "trace_view.json").write_bytes(written(events))
    read = capture.load(tmp_path / "trace_view.json")
    in_ns = ("launch",) if form != "newest torch_npu" else ()
    check(read, (*ALWAYS, "core", "stream", "task", *in_ns))
    assert read.kernels["launch_ns"].notna().all() and read.kernels["module"].eq("DecoderLayer_0").all()
    away = read.kernels["launch_ns"] - pd.Series([kernel.launch for kernel in TRUTH], dtype="Int64")
    assert away.abs().max() <= 250
    assert len(read.host) == len(TRUTH) + 1 and len(read.tasks) == (len(variants.no_kernels()) if others else 0)
    assert set(read.tasks["kind"]) <= {"wait", "other"}


@pytest.mark.parametrize("process", ["Ascend Hardware", "Task Scheduler"])
def test_traces_of_old_msprof(tmp_path: Path, process: str) -> None:
    (tmp_path / "msprof_0_1.json").write_bytes(written(variants.old_trace(process)))
    check(capture.load(tmp_path / "msprof_0_1.json"), ("start", "duration", "name", "kind", "core", "stream", "task"))


def test_arrows_of_old_msprof(tmp_path: Path) -> None:
    """CANN 6 makes the number of an arrow of stream, task and batch (trace_view_manager.py)."""
    events = variants.old_trace()
    for number, kernel in enumerate(COMPUTE):
        common = {"name": "acl_to_npu", "cat": "async_acl_npu", "id": (number << 32) + 7}
        host = {"pid": variants.CANN_PID, "tid": variants.THREAD, "ts": variants.microseconds(kernel.launch)}
        end = {"pid": variants.DEVICE_PID, "tid": kernel.stream, "ts": variants.microseconds(kernel.start), "bp": "e"}
        events += [{"ph": "s", **common, **host}, {"ph": "f", **common, **end}]
    (tmp_path / "msprof_0_1.json").write_bytes(written(events))
    read = capture.load(tmp_path / "msprof_0_1.json")
    launches = read.kernels.loc[read.kernels["kind"] == "kernel", "launch_ns"]
    assert launches.tolist() == [kernel.launch for kernel in COMPUTE]


@pytest.mark.parametrize("size", [100, 32])
def test_devices_that_only_process_numbers_tell_apart(tmp_path: Path, size: int) -> None:
    (tmp_path / "msprof_0_1.json").write_bytes(written(variants.several_devices(size)))
    with pytest.raises(InputError, match="devices 2, 5"):
        capture.load(tmp_path)
    check(capture.load(tmp_path, rank=2), (*ALWAYS, "core", "stream", "task"))
    check(capture.load(tmp_path, rank=5), (*ALWAYS, "core", "stream", "task"), COMPUTE)


def part_of_collective() -> Kernel:
    collective = next(kernel for kernel in TRUTH if kernel.collective)
    name = "hcom_allReduce__586_0_1_AivKernel"
    return replace(collective, start=collective.start + 700, duration=9_000, name=name, stream=60, task=9, blocks=40)


def test_tasks_of_a_collective_that_carry_its_type(tmp_path: Path) -> None:
    """op_summary_assembler.cpp lists kernels of collectives as COMMUNICATION too, if their names end so."""
    part = part_of_collective()
    rows = sorted([*TRUTH, part], key=lambda kernel: kernel.start)
    (tmp_path / "op_summary.csv").write_bytes(variants.operator_table(variants.CURRENT, rows))
    events = variants.device_lanes() + variants.device_events()
    arguments = {"Model Id": variants.NO_ID, "Task Type": "COMMUNICATION", "Physic Stream Id": 60, "Task Id": 9}
    event = {"name": part.name, "pid": variants.DEVICE_PID, "tid": 60, "ph": "X", "args": arguments}
    events.append(event | {"ts": variants.microseconds(part.start), "dur": 9.0})
    (tmp_path / "msprof.json").write_bytes(written(events))
    for path in (tmp_path, tmp_path / "op_summary.csv", tmp_path / "msprof.json"):
        read = capture.load(path)
        parts = read.kernels[read.kernels["kind"] == "collective_part"]
        assert parts["name"].tolist() == [part.name] and len(read.kernels) == len(rows)
        assert read.kernels["kind"].eq("collective").sum() == 1 and read.notes == ()


def test_times_as_numbers_in_old_traces(tmp_path: Path) -> None:
    """CANN 5 and 6 count us since the start of the machine, as numbers."""
    events = variants.old_trace()
    for event in events:
        if "ts" in event:
            event["ts"] = float(variants.microseconds(int(event["ts"].replace(".", "")) - variants.EPOCH_NS + 10**15))
    (tmp_path / "msprof_0_1.json").write_bytes(written(events))
    read = capture.load(tmp_path / "msprof_0_1.json")
    assert read.kernels["start_ns"].tolist() == [kernel.start - variants.EPOCH_NS + 10**15 for kernel in TRUTH]


#: How files come out where a producer or a person joined pieces of JSON by hand.
JOINTS = {
    "a comma at the end": lambda pieces: "[" + ", ".join(pieces) + ", ]",
    "two arrays": lambda pieces: "[" + pieces[0] + "]" + "[" + ", ".join(pieces[1:]) + "]",
    "two arrays on two lines": lambda pieces: "[" + ", ".join(pieces[:9]) + "]\n[" + ", ".join(pieces[9:]) + "]\n",
    "an array that goes on": lambda pieces: "[" + ", ".join(pieces[:9]) + "], " + ", ".join(pieces[9:]) + "]",
    "two commas": lambda pieces: "[" + ", ".join(pieces[:9]) + ", , " + ", ".join(pieces[9:]) + "]",
    "no comma": lambda pieces: "[" + ", ".join(pieces[:9]) + pieces[9] + ", " + ", ".join(pieces[10:]) + "]",
    "a word at the end": lambda pieces: "[" + ", ".join(pieces) + ", true]",
}


@pytest.mark.parametrize("joint", sorted(JOINTS))
def test_traces_that_were_joined_badly(tmp_path: Path, joint: str) -> None:
    """Nothing is lost unseen: what cannot be read is said."""
    pieces = [json.dumps(event) for event in variants.device_lanes() + variants.device_events()]
    (tmp_path / "trace_view.json").write_text(JOINTS[joint](pieces))
    read = capture.load(tmp_path)
    check(read, (*ALWAYS, "core", "stream", "task"))


def test_parts_of_a_trace_and_a_table(tmp_path: Path) -> None:
    """Names stand in one part only, and part 10 follows part 9."""
    output = tmp_path / "PROF_000001_20250101120000000_ABC" / "mindstudio_profiler_output"
    output.mkdir(parents=True)
    events = variants.device_lanes() + variants.device_events()
    for part in range(11):
        piece = [events[0], *events[1 + part :: 11]]
        (output / f"msprof_slice_{part}_20250101120000.json").write_bytes(written(piece))
        table = variants.operator_table(variants.CURRENT, TRUTH[part : part + 1])
        (output / f"op_summary_slice_{part}_20250101120000.csv").write_bytes(table)
    read = capture.load(tmp_path)
    check(read)
    assert read.notes == () and len(read.files) == 22


# Databases


@pytest.mark.parametrize("torch", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_databases_of_every_schema(tmp_path: Path, torch: bool, first: bool) -> None:
    read = capture.load(write_database(tmp_path / "msprof_20250101120000.db", torch=torch, first=first))
    check(read, (*IN_TABLE, "launch"))
    assert read.producer == ("torch_npu" if torch else "msprof")
    assert read.kernels["state"].eq("dynamic").sum() == (0 if first else len(COMPUTE))
    assert read.kernels["module"].eq("DecoderLayer_0").all() == torch
    assert (read.rank, read.device) == (5 if torch else None, 0)


def test_core_times_of_replayed_tasks(tmp_path: Path) -> None:
    """A task that a graph runs again keeps its id; its core times follow one another in the order of the runs."""
    read = capture.load(write_database(tmp_path / "d.db", counters=True))
    check(read, (*ALWAYS, "core_time"))


def test_kernels_that_run_a_collective_have_a_table_of_their_own(tmp_path: Path) -> None:
    read = capture.load(write_database(tmp_path / "d.db", scheduled=True))
    part = read.kernels[read.kernels["kind"] == "collective_part"]
    assert part["name"].tolist() == ["allreduceAicpuKernel"] and part["stream"].tolist() == [60]
    rest = read.kernels[read.kernels["kind"] != "collective_part"].reset_index(drop=True)
    assert rest["start_ns"].tolist() == [kernel.start for kernel in TRUTH]


#: Every type that the runtime gives to tasks (its profiling_agent.cpp), and those of msprof's device logs.
TASK_TYPES = {
    "kernel": "KERNEL_AICORE KERNEL_AIVEC KERNEL_AICPU KERNEL_MIX_AIC KERNEL_MIX_AIV KERNEL_SIMT KERNEL_FUSION"
    " FFTS_PLUS MULTIPLE_TASK AI_CORE AI_VECTOR_CORE AI_CPU MIX_AIC MIX_AIV DSA_SQE DVPP AIV_SQE FUSION_KERNEL",
    "wait": "EVENT_WAIT NOTIFY_WAIT REMOTE_EVENT_WAIT CAPTURE_WAIT DAVID_EVENT_WAIT IPC_EVENT_WAIT MEM_WAIT_VALUE"
    " EVENT_WAIT_SQE NOTIFY_WAIT_SQE",
    "record": "EVENT_RECORD NOTIFY_RECORD EVENT_RESET CAPTURE_RECORD DAVID_EVENT_RECORD DAVID_EVENT_RESET"
    " IPC_EVENT_RECORD IPC_INT_NOTICE WriteValueTask MEM_WRITE_VALUE CMO BARRIER EVENT_RECORD_SQE WRITE_VALUE_SQE",
    "copy": "MEMCPY_ASYNC RDMA_SEND RDMA_DB_SEND RDMA_PI_VALUE_MODIFY REDUCE_ASYNC_V2 CCU_LAUNCH SDMA_SQE PCIE_DMA_SQE"
    " ROCCE_SQE UB_DB_SEND DIRECT_SEND",
    "other": "MAINTENANCE CREATE_STREAM CREATE_L2_ADDR PC_TRACE MODEL_MAINTAINCE MODEL_EXECUTE STREAM_SWITCH"
    " STREAM_ACTIVE LABEL_SET LABEL_SWITCH LABEL_GOTO PROFILER_TRACE PROFILER_TRACE_EX STARS_COMMON PROFILING_ENABLE"
    " PROFILING_DISABLE MODEL_END_GRAPH MODEL_TO_AICPU ACTIVE_AICPU_STREAM DATADUMP_LOADINFO STREAM_SWITCH_N"
    " HOSTFUNC_CALLBACK ONLINE_PROF_ENABLE ONLINE_PROF_DISABLE STREAM_LABEL_SWITCH_BY_INDEX STREAM_LABEL_GOTO"
    " DEBUG_REGISTER DEBUG_UNREGISTER FUSIONDUMP_ADDR_SET MODEL_EXIT_GRAPH ADC_PROF DEVICE_RINGBUFFER_CONTROL"
    " DEBUG_REGISTER_FOR_STREAM TASK_TIMEOUT_SET GET_DEVICE_MSG NPU_GET_FLOAT_STATUS NPU_CLEAR_FLOAT_STATUS"
    " OVERFLOW_SWTICH_SET STREAM_TAG_SET SET_STREAM_MODE ALLOC_DSA_ADDR FLIP_TASK MODEL_TASK_UPDATE AICPU_LOADINFO NOP"
    " GET_STARS_VERSION TASK_SQE_UPDATE PLACE_HOLDER_SQE HOST_CPU_SQE CDQM_SQE C_CORE_SQE",
}


@pytest.mark.parametrize("kind", sorted(TASK_TYPES))
def test_types_of_tasks(tmp_path: Path, kind: str) -> None:
    """A task that runs no operator bears the name of its type."""
    events = variants.device_lanes() + variants.device_events()
    types = TASK_TYPES[kind].split()
    for number, task_type in enumerate(types):
        arguments = {"Task Type": task_type, "Physic Stream Id": 31, "Task Id": number, "Model Id": variants.NO_ID}
        event = {"name": task_type, "pid": variants.DEVICE_PID, "tid": 31, "ph": "X", "args": arguments, "dur": 1.5}
        events.append(event | {"ts": variants.microseconds(variants.EPOCH_NS + 200_000 + 2_000 * number)})
    (tmp_path / "trace_view.json").write_bytes(written(events))
    read = capture.load(tmp_path)
    added = read.kernels["name"].tolist()[len(TRUTH) :] if kind == "kernel" else read.tasks["name"].tolist()
    assert added == types
    assert read.tasks["kind"].eq(kind).all() and len(read.kernels) == len(TRUTH) + len(types) * (kind == "kernel")


def test_a_database_of_several_devices(tmp_path: Path) -> None:
    path = write_database(tmp_path / "d.db")
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO TASK SELECT startNs + 7, endNs + 7, 1, connectionId, globalTaskId + 100,"
            " globalPid, taskType, contextId, streamId, taskId, modelId FROM TASK"
        )
        connection.execute("UPDATE COMMUNICATION_OP SET deviceId = 1")
    connection.close()
    with pytest.raises(InputError, match="devices 0, 1"):
        capture.load(path)
    check(capture.load(path, rank=0), IN_TABLE, COMPUTE)


def test_rows_among_the_operators_that_are_none(tmp_path: Path) -> None:
    """db_assembler.cpp keeps what op_summary leaves out by its type."""
    path = write_database(tmp_path / "d.db")
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO STRING_IDS VALUES (900, 'INVALID'), (901, 'WriteBack_1')")
        connection.execute("INSERT INTO COMPUTE_TASK_INFO (name, globalTaskId, taskType) VALUES (901, 99, 900)")
        begin = TRUTH[0].start + 50
        values = (begin, begin + 60, 0, variants.NO_ID, 99, 1, 900, variants.NO_ID, 31, 50, variants.NO_ID)
        connection.execute(f"INSERT INTO TASK VALUES ({', '.join('?' * len(values))})", values)
    connection.close()
    read = capture.load(path)
    check(read)
    assert read.tasks["kind"].tolist() == ["other"]


def test_a_database_of_tasks_only_holds_no_kernels(tmp_path: Path) -> None:
    path = write_database(tmp_path / "d.db")
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE COMPUTE_TASK_INFO")
        connection.execute("DROP TABLE COMMUNICATION_OP")
    connection.close()
    with pytest.raises(NotEnoughError):
        capture.load(path)
