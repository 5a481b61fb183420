"""Write trace_view.json: lanes, host ranges, device tasks and the arrows between them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sample_builder.formats.operator_tables import NO_ID, microseconds
from skadvisor.capture import links
from skadvisor.events import Capture

HOST_PID = 457065
DEVICE_PID = HOST_PID * 1024 + 416
COLLECTIVE_PID = DEVICE_PID + 64
CANN_PID = DEVICE_PID - 161
OVERLAP_PID = DEVICE_PID + 544
#: Task type that a real trace gives to device tasks that are no kernels.
TASK_TYPES = {
    "wait": "EVENT_WAIT_SQE",
    "record": "EVENT_RECORD_SQE",
    "copy": "SDMA_SQE",
    "other": "PLACE_HOLDER_SQE",
}
CATEGORIES = {"module": "python_function", "python": "python_function"}


def write_trace_view(capture: Capture, path: Path | str) -> Path:
    """Write `capture` as trace_view.json and return the path; `.gz` compresses.

    Kernels with a launch time get an arrow from the thread on which their module or scope was open. Steps that
    only the kernels name (`step_id`) become ProfilerStep ranges around their launches.
    """
    path = Path(path)
    text = "[" + ", ".join(json.dumps(event) for event in _events(capture)) + "]"
    data = text.encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def launch_threads(capture: Capture) -> np.ndarray:
    """The host thread that launched each kernel: the first on which its module and scope were open then; -1 unknown."""
    kernels, host = capture.kernels, capture.host
    launch = kernels["launch_ns"].fillna(-1).to_numpy(dtype="int64")
    threads = np.full(len(kernels), -1, dtype="int64")
    known = host["thread"].dropna()
    candidates = known.value_counts().index.tolist() if len(known) else []
    for thread in reversed(candidates or [HOST_PID]):
        matches = launch >= 0
        for column, kind, prefix in (("module", "module", links.MODULE), ("range", "range", "")):
            rows = host[(host["thread"] == thread).fillna(False) & (host["kind"] == kind)]
            start = rows["start_ns"].to_numpy()
            found = links.innermost(start, start + rows["dur_ns"].to_numpy(), launch)
            names = np.append(rows["name"].astype("object").to_numpy(), "")[found]
            wanted = kernels[column].astype("object").where(kernels[column].notna(), "").to_numpy()
            matches &= np.array([name.removeprefix(prefix) for name in names.tolist()], dtype=object) == wanted
        threads[matches] = thread
    threads[(threads < 0) & (launch >= 0)] = candidates[0] if candidates else HOST_PID
    return threads


def step_ranges(capture: Capture) -> list[tuple[int, int, int]]:
    """Steps as (number, start ns, end ns) on the host: as written, else around the launches of their kernels."""
    steps = capture.host[capture.host["kind"] == "step"]
    listed = []
    for name, start, duration in zip(steps["name"], steps["start_ns"], steps["dur_ns"], strict=True):
        match = links.STEP.fullmatch(str(name))
        if match:
            listed.append((int(match.group(1)), int(start), int(start + duration)))
    if not listed:
        launched = capture.kernels.dropna(subset=["step_id", "launch_ns"])
        for number, rows in launched.groupby("step_id"):
            listed.append((int(number), int(rows["launch_ns"].min()), int(rows["launch_ns"].max())))
    return sorted(listed)


def _events(capture: Capture) -> Iterator[dict[str, Any]]:
    threads = launch_threads(capture)
    yield from _host_events(capture)
    yield from _lanes(capture)
    yield from _device_events(capture)
    yield from _overlap(capture)
    yield from _arrows(capture, threads)


def _host_events(capture: Capture) -> Iterator[dict[str, Any]]:
    host = capture.host
    ranges = rows_of(host, "start_ns", "dur_ns", "name", "kind", "thread")
    for number, (start, duration, name, kind, thread) in enumerate(ranges, start=1):
        event = {
            "ph": "X",
            "name": name,
            "pid": HOST_PID,
            "tid": HOST_PID if thread is None else thread,
            "ts": microseconds(start),
            "dur": duration / 1000,
            "cat": CATEGORIES.get(kind, "cpu_op"),
        }
        if kind == "queue":
            event["cat"] = "dequeue" if name.startswith("Dequeue") else "enqueue"
            event["args"] = {"correlation_id": number}
        elif kind in ("module", "python"):
            event["args"] = {"Python id": number, "Python parent id": number - 1}
            if kind == "module":
                event["args"]["Python module id"] = 0
        else:
            event["args"] = {"Sequence number": -1, "Fwd thread id": 0}
        yield event
    if not (host["kind"] == "step").any():
        for number, start, end in step_ranges(capture):
            yield {
                "ph": "X",
                "name": f"ProfilerStep#{number}",
                "pid": HOST_PID,
                "tid": HOST_PID,
                "ts": microseconds(start),
                "dur": (end - start) / 1000,
                "cat": "cpu_op",
                "args": {"Sequence number": -1, "Fwd thread id": 0},
            }


def _lanes(capture: Capture) -> Iterator[dict[str, Any]]:
    host_threads = sorted({int(thread) for thread in capture.host["thread"].dropna()} | {HOST_PID})
    streams = sorted(
        {int(s) for s in capture.kernels["stream"].dropna()} | {int(s) for s in capture.tasks["stream"].dropna()}
    )
    npu = f"NPU {0 if capture.device is None else capture.device}"
    for pid, name, label, order, threads in (
        (HOST_PID, "Python", "CPU", 0, {thread: f"Thread {thread}" for thread in host_threads}),
        (CANN_PID, "CANN", "CPU", 7, {HOST_PID: f"Thread {HOST_PID}"}),
        (DEVICE_PID, "Ascend Hardware", npu, 13, {stream: f"Stream {stream}" for stream in streams}),
        (COLLECTIVE_PID, "Communication", npu, 15, {0: "Group 0 Communication"}),
        (OVERLAP_PID, "Overlap Analysis", npu, 30, {2: "Computing"}),
    ):
        yield {"name": "process_name", "pid": pid, "tid": 0, "ph": "M", "args": {"name": name}}
        yield {"name": "process_labels", "pid": pid, "tid": 0, "ph": "M", "args": {"labels": label}}
        yield {"name": "process_sort_index", "pid": pid, "tid": 0, "ph": "M", "args": {"sort_index": order}}
        for tid, thread in threads.items():
            yield {"name": "thread_name", "pid": pid, "tid": tid, "ph": "M", "args": {"name": thread}}
            yield {"name": "thread_sort_index", "pid": pid, "tid": tid, "ph": "M", "args": {"sort_index": tid}}


def _device_events(capture: Capture) -> Iterator[dict[str, Any]]:
    columns = ("start_ns", "dur_ns", "name", "kind", "core", "stream", "task", "model", "connection")
    for start, duration, name, kind, core, stream, task, model, connection in rows_of(capture.kernels, *columns):
        event = {"name": name, "pid": DEVICE_PID, "tid": stream or 0, "ts": microseconds(start), "dur": duration / 1000}
        if kind == "collective":
            event |= {"pid": COLLECTIVE_PID, "tid": 0, "ph": "X"}
            event["args"] = {
                "connection_id": NO_ID if connection is None else connection,
                "model id": NO_ID if model is None else model,
                "data_type": "BFP16",
                "alg_type": "MESH-RING-NHR",
                "count": 0,
            }
        else:
            event["ph"] = "X"
            event["args"] = _task_arguments(core or "Other", stream, task, model, connection)
        yield event
    for start, duration, name, kind, stream in rows_of(capture.tasks, "start_ns", "dur_ns", "name", "kind", "stream"):
        yield {
            "name": name,
            "pid": DEVICE_PID,
            "tid": stream or 0,
            "ts": microseconds(start),
            "dur": duration / 1000,
            "ph": "X",
            "args": _task_arguments(TASK_TYPES[kind], stream, None, None, None),
        }


def _task_arguments(
    task_type: str, stream: int | None, task: int | None, model: int | None, connection: int | None
) -> dict[str, Any]:
    arguments: dict[str, Any] = {"Model Id": NO_ID if model is None else model, "Task Type": task_type}
    if stream is not None:
        arguments["Physic Stream Id"] = stream
    if task is not None:
        arguments["Task Id"] = task
    arguments |= {"Batch Id": 0, "Subtask Id": NO_ID}
    if connection is not None:
        arguments["connection_id"] = connection
    return arguments


def _overlap(capture: Capture) -> Iterator[dict[str, Any]]:
    """The union of the kernels, as the profiler's overlap analysis shows it."""
    start = end = -1
    for begin, duration in rows_of(capture.kernels, "start_ns", "dur_ns"):
        if begin > end:
            if end >= 0:
                yield _computing(start, end)
            start, end = begin, begin + duration
        end = max(end, begin + duration)
    if end >= 0:
        yield _computing(start, end)


def _computing(start: int, end: int) -> dict[str, Any]:
    return {
        "name": "Computing",
        "pid": OVERLAP_PID,
        "tid": 2,
        "ts": microseconds(start),
        "dur": (end - start) / 1000,
        "ph": "X",
    }


def _arrows(capture: Capture, threads: np.ndarray) -> Iterator[dict[str, Any]]:
    taken: set[int] = set()
    columns = ("start_ns", "kind", "stream", "launch_ns")
    for (start, kind, stream, launch), thread in zip(rows_of(capture.kernels, *columns), threads.tolist(), strict=True):
        if launch is None:
            continue
        number = start
        while number in taken:
            number += 1
        taken.add(number)
        pid, tid = (COLLECTIVE_PID, 0) if kind == "collective" else (DEVICE_PID, stream or 0)
        common = {"bp": "e", "name": "torch_to_npu", "id": number}
        yield {
            "ph": "s",
            **common,
            "pid": HOST_PID,
            "tid": thread,
            "ts": microseconds(launch),
            "cat": "async_npu",
        }
        yield {"ph": "f", **common, "pid": pid, "tid": tid, "ts": microseconds(start), "cat": "async_npu"}


def rows_of(table: Any, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Rows as plain Python values, None for null."""
    lists = [table[name].astype("object").where(table[name].notna(), None).tolist() for name in columns]
    return zip(*lists, strict=True)
