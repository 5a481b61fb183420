"""Write ascend_pytorch_profiler_<rank>.db."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sample_builder.formats.operator_tables import NO_ID
from sample_builder.formats.trace_files import HOST_PID, launch_threads, rows_of, step_ranges
from skadvisor.events import KERNEL_COLUMNS, Capture

TABLES = """
CREATE TABLE NPU_INFO (id INTEGER,name TEXT);
CREATE TABLE SESSION_TIME_INFO (startTimeNs INTEGER,endTimeNs INTEGER);
CREATE TABLE HOST_INFO (hostUid TEXT,hostName TEXT);
CREATE TABLE META_DATA (name TEXT,value TEXT);
CREATE TABLE ENUM_API_TYPE (id INTEGER PRIMARY KEY,name TEXT);
CREATE TABLE STRING_IDS (id INTEGER PRIMARY KEY,value TEXT);
CREATE TABLE TASK (startNs INTEGER,endNs INTEGER,deviceId INTEGER,connectionId INTEGER,globalTaskId INTEGER,
    globalPid INTEGER,taskType INTEGER,contextId INTEGER,streamId INTEGER,taskId INTEGER,modelId INTEGER);
CREATE TABLE COMPUTE_TASK_INFO (name INTEGER,globalTaskId INTEGER PRIMARY KEY,blockDim INTEGER,mixBlockDim INTEGER,
    taskType INTEGER,opType INTEGER,inputFormats INTEGER,inputDataTypes INTEGER,inputShapes INTEGER,
    outputFormats INTEGER,outputDataTypes INTEGER,outputShapes INTEGER,attrInfo INTEGER, waitNs INTEGER);
CREATE TABLE COMMUNICATION_OP (opName INTEGER,startNs INTEGER,endNs INTEGER,connectionId INTEGER,groupName INTEGER,
    opId INTEGER PRIMARY KEY,relay INTEGER,retry INTEGER,dataType INTEGER,algType INTEGER,count NUMERIC,
    opType INTEGER, waitNs INTEGER);
CREATE TABLE TASK_PMU_INFO (globalTaskId INTEGER,name INTEGER,value NUMERIC);
CREATE TABLE PYTORCH_API (startNs TEXT, endNs TEXT, globalTid INTEGER, connectionId INTEGER, name INTEGER,
    sequenceNumber INTEGER, fwdThreadId INTEGER, inputDtypes INTEGER, inputShapes INTEGER, callchainId INTEGER,
    type INTEGER);
CREATE TABLE CONNECTION_IDS (id INTEGER, connectionId INTEGER);
CREATE TABLE CANN_API (startNs INTEGER,endNs INTEGER,type INTEGER,globalTid INTEGER,connectionId INTEGER PRIMARY KEY,
    name INTEGER);
CREATE TABLE STEP_TIME (id INTEGER, startNs INTEGER, endNs INTEGER);
CREATE TABLE RANK_DEVICE_MAP (rankId INTEGER, deviceId INTEGER);
CREATE INDEX TaskIndex ON TASK (startNs,globalTaskId);
"""
API_TYPES = {5000: "runtime", 10000: "node", 20000: "acl", 50001: "op", 50002: "queue", 50003: "trace", 50004: "mstx"}
HOST_TYPES = {"op": 50001, "range": 50001, "step": 50001, "queue": 50002, "module": 50003, "python": 50003}
#: Task types of the device lane, which the TASK table names otherwise than the operators.
DEVICE_TYPES = {"AI_CORE": "KERNEL_AICORE", "AI_VECTOR_CORE": "KERNEL_AIVEC", "AI_CPU": "KERNEL_AICPU"}
WORDS = ("input_formats", "input_types", "input_shapes", "output_formats", "output_types", "output_shapes")


class _Strings:
    """STRING_IDS: each text once."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self.ids.setdefault(text, len(self.ids))


def write_database(capture: Capture, path: Path | str) -> Path:
    """Write `capture` as a profiler database and return the path; an existing file is replaced."""
    path = Path(path)
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    try:
        with connection:
            connection.executescript(TABLES)
            _fill(connection, capture)
    finally:
        connection.close()
    return path


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[Sequence[Any]]) -> None:
    listed = list(rows)
    if listed:
        marks = ", ".join("?" * len(listed[0]))
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", listed)


def _fill(connection: sqlite3.Connection, capture: Capture) -> None:
    text = _Strings()
    device = 0 if capture.device is None else capture.device
    kernels = capture.kernels
    ends = kernels["start_ns"] + kernels["dur_ns"]
    _insert(connection, "NPU_INFO", [(device, "Ascend910B")])
    if len(kernels):
        _insert(connection, "SESSION_TIME_INFO", [(int(kernels["start_ns"].min()), int(ends.max()))])
    _insert(connection, "META_DATA", [("SCHEMA_VERSION", "1.0.0"), ("SCHEMA_VERSION_MAJOR", "1")])
    _insert(connection, "ENUM_API_TYPE", API_TYPES.items())
    _insert(connection, "RANK_DEVICE_MAP", [(-1 if capture.rank is None else capture.rank, device)])
    _insert(connection, "STEP_TIME", step_ranges(capture))
    _kernels(connection, capture, text, device)
    _host(connection, capture, text)
    _insert(connection, "STRING_IDS", ((number, value) for value, number in text.ids.items()))


def _kernels(connection: sqlite3.Connection, capture: Capture, text: _Strings, device: int) -> None:
    columns = ("start_ns", "dur_ns", "wait_ns", "name", "op_type", "kind", "core", "stream", "task", "model")
    tasks: list[tuple[Any, ...]] = []
    operators: list[tuple[Any, ...]] = []
    collectives: list[tuple[Any, ...]] = []
    nothing = text("N/A")
    connections = _connections(capture)
    rows = rows_of(capture.kernels, *columns, "blocks", "mix_blocks", *WORDS)
    for number, row in enumerate(rows):
        start, duration, wait, name, op_type, kind, core, stream, task, model, blocks, mixed, *words = row
        link = connections[number]
        if kind == "collective":
            group, kind_of = text("group_name_0"), text(op_type or "N/A")
            collectives.append(
                (text(name), start, start + duration, link, group, number, 0, 0, 4, text("NHR"), 0, kind_of, wait)
            )
            continue
        task_type = text(DEVICE_TYPES.get(core or "", core or "N/A"))
        tasks.append((start, start + duration, device, link, number, HOST_PID, task_type, NO_ID, stream, task))
        tasks[-1] += (NO_ID if model is None else model,)
        quoted = [
            text("N/A" if word is None else f'"{word}"' if column.endswith("shapes") else word)
            for column, word in zip(WORDS, words, strict=True)
        ]
        operators.append(
            (text(name), number, blocks, mixed, text(core or "N/A"), text(op_type or "N/A"), *quoted, nothing, wait)
        )
    process, first_free = HOST_PID, len(capture.kernels)
    for place, row in enumerate(rows_of(capture.tasks, "start_ns", "dur_ns", "name", "stream")):
        start, duration, name, stream = row
        tasks.append(
            (
                start,
                start + duration,
                device,
                NO_ID,
                first_free + place,
                process,
                text(name),
                NO_ID,
                stream,
                place,
                NO_ID,
            )
        )
    _insert(connection, "TASK", tasks)
    _insert(connection, "COMPUTE_TASK_INFO", operators)
    _insert(connection, "COMMUNICATION_OP", collectives)
    _counters(connection, capture, text)


def _connections(capture: Capture) -> list[int]:
    """The connection id of each kernel; kernels that were launched but have none get one of their own."""
    given = [value for (value,) in rows_of(capture.kernels, "connection")]
    free = max([value for value in given if value is not None] + [0]) + 1
    launches = [value for (value,) in rows_of(capture.kernels, "launch_ns")]
    made = []
    for number, (value, launch) in enumerate(zip(given, launches, strict=True)):
        made.append(value if value is not None else NO_ID if launch is None else free + number)
    return made


def _counters(connection: sqlite3.Connection, capture: Capture, text: _Strings) -> None:
    """TASK_PMU_INFO: times in ns, everything else as it is."""
    names = {"aic_ns": ("aic_total_time", 1.0), "aiv_ns": ("aiv_total_time", 1.0)}
    for column in capture.kernels.columns:
        if column not in KERNEL_COLUMNS:
            plain = str(column).removesuffix("(us)")
            names[str(column)] = (plain, 1000.0 if plain != column else 1.0)
    rows = []
    for column, (name, scale) in names.items():
        for number, (kind, value) in enumerate(rows_of(capture.kernels, "kind", column)):
            if value is not None and kind != "collective":
                rows.append((number, text(name), round(value * scale, 6) if scale != 1.0 else value))
    _insert(connection, "TASK_PMU_INFO", rows)


def _host(connection: sqlite3.Connection, capture: Capture, text: _Strings) -> None:
    """Host ranges; the one that starts when a kernel is launched carries the id that leads to its connection id."""
    calls: list[list[Any]] = []
    starting: dict[tuple[int, int], int] = {}
    for start, duration, name, kind, thread in rows_of(capture.host, "start_ns", "dur_ns", "name", "kind", "thread"):
        thread = HOST_PID if thread is None else thread
        calls.append(_call(start, duration, thread, text(name), HOST_TYPES[kind]))
        if HOST_TYPES[kind] == 50001:
            starting[start, thread] = len(calls) - 1
    pairs = []
    launches = [value for (value,) in rows_of(capture.kernels, "launch_ns")]
    threads = launch_threads(capture).tolist()
    for launch, link, thread in zip(launches, _connections(capture), threads, strict=True):
        if launch is None:
            continue
        if (launch, thread) not in starting:
            starting[launch, thread] = len(calls)
            calls.append(_call(launch, 0, thread, text("aclnnLaunch"), 50001))
        number = starting[launch, thread]
        calls[number][3] = number
        pairs.append((number, link))
    _insert(connection, "PYTORCH_API", calls)
    _insert(connection, "CONNECTION_IDS", pairs)


def _call(start: int, duration: int, thread: int, name: int, kind: int) -> list[Any]:
    """A row of PYTORCH_API; its fourth value is the id of its connections."""
    return [str(start), str(start + duration), (HOST_PID << 32) | thread, None, name, -1, 0, None, None, None, kind]
