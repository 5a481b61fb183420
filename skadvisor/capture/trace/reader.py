"""Read trace_view.json (torch_npu) and msprof_*.json (with its slices): kernels, device tasks, host ranges, links."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from skadvisor.capture import collectives, columns, links
from skadvisor.capture.device_tasks import kind_of
from skadvisor.capture.foreign import OWN_TRACE
from skadvisor.capture.interface import NO_ID, Part, Producer, choose_device, notes_on_skipped
from skadvisor.capture.trace.columns import TraceColumns, join, trace_columns
from skadvisor.capture.trace.events import ABSENT_ID, FLOWS, HOST_CATEGORIES, TRANSFER
from skadvisor.capture.trace.halves import gather_in_two
from skadvisor.events import SourceFile, kernel_table, longest_first, nullable, task_table
from skadvisor.text.messages import Message, _

#: The second one is that of the old task_time_*.json.
DEVICE_PROCESSES = ("Ascend Hardware", "Task Scheduler")
COLLECTIVE_PROCESSES = ("HCCL", "Communication")
HOST_PROCESSES = ("Python", "MindSpore")
TASK_KINDS = ("kernel", "collective", "wait", "record", "copy", "other")
KERNEL, COLLECTIVE, OTHER = 0, 1, 5


def recognise(path: Path, head: bytes) -> str | None:
    """`msprof_trace` or `trace_view` (torch_npu) for a trace that is not our own, else None."""
    if OWN_TRACE.search(head):
        return None
    return "msprof_trace" if path.name.startswith("msprof") else "trace_view"


def read(paths: Sequence[Path], rank: int | None = None) -> Part:
    """Read the trace of one rank; several paths are slices of one trace.

    `rank` chooses the device where the trace holds several. Raises InputError for several without a choice.
    """
    gathered: TraceColumns | None = None
    files: list[SourceFile] = []
    notes: list[Message] = []
    for path in paths:
        part = reduce(join, map(trace_columns, gather_in_two(path)))
        files.append(
            SourceFile(
                path=str(path),
                format="trace_view",
                rows=part.events,
                state="truncated" if part.cut else "complete",
                skipped=dict(part.faults),
            )
        )
        notes += notes_on_skipped(str(path), part.faults)
        if part.cut:
            cut = _("{path}: the trace is cut after {events} events; what is whole was read")
            notes.append(Message(cut, path=path, events=part.events))
        gathered = part if gathered is None else join(gathered, part)
    assert gathered is not None
    return _part(gathered, files, notes, rank)


def _part(gathered: TraceColumns, files: list[SourceFile], notes: list[Message], rank: int | None) -> Part:
    import pandas as pd

    number = _device(gathered, files[0].path, rank)
    lanes = _lane_kinds(gathered, number)
    with ThreadPoolExecutor(1) as beside:
        on_host = beside.submit(_host, gathered, lanes)
        device = _device_rows(gathered, lanes)
        kernels = _kernels(gathered, device)
        launch, launch_lane = _launches(gathered, kernels["start_ns"], kernels.pop("lane"))
        host = on_host.result()
    words = gathered.texts
    links.attach_launches(kernels, launch, launch_lane, host, words, _steps(host, words))
    repeated = collectives.repeated(kernels)
    if repeated.any():
        kernels = {name: pd.Series(values)[~repeated].reset_index(drop=True) for name, values in kernels.items()}
        count = int(repeated.sum())
        files[0] = replace(files[0], skipped={**files[0].skipped, "repeated event": count})
        notes.append(Message(_("{path}: left out {count} repeated events"), path=files[0].path, count=count))
    producer: Producer = "torch_npu" if len(host["start_ns"]) else "msprof"
    format = "trace_view" if producer == "torch_npu" else "msprof_trace"
    return Part(
        format=format,
        producer=producer,
        files=tuple(replace(file, format=format) for file in files),
        kernels=kernel_table(columns.with_null_columns(kernels), copy=False),
        tasks=_tasks(gathered, device),
        host=links.host_ranges(host, words, _threads(gathered)[host["thread"]]),
        device=number,
        notes=tuple(notes),
    )


def _device_number(gathered: TraceColumns, pid: Any) -> int | None:
    """The device of a process, by a label such as `NPU 3`; where labels say `NPU` only, by what its number packs.

    The device is the last two decimal digits in CANN 6, the last five bits later: packed as it is, the several
    processes of each device end alike.
    """
    label = gathered.labels.get(pid, "")
    match = re.fullmatch(r"NPU (\d{1,6})", label)
    if match:
        return int(match.group(1))
    alike = [other for other, word in gathered.labels.items() if word == label and isinstance(other, int)]
    if label != "NPU" or pid not in alike or sum(gathered.processes.get(p) in DEVICE_PROCESSES for p in alike) < 2:
        return None
    return int(pid % min((32, 100), key=lambda size: len({other % size for other in alike})))


def _device(gathered: TraceColumns, path: str, rank: int | None) -> int | None:
    """The device whose lanes are read; None where the trace does not number them."""
    pids = [pid for pid, process in gathered.processes.items() if process in DEVICE_PROCESSES]
    devices = sorted({number for pid in pids if (number := _device_number(gathered, pid)) is not None})
    return choose_device(devices, rank, path)


def _lane_kinds(gathered: TraceColumns, device: int | None) -> np.ndarray:
    """`device`, `collective`, `host`, `other` or empty for each lane, by the names that metadata events give."""
    kinds = []
    for pid, tid in gathered.lanes:
        process = gathered.processes.get(pid, "")
        thread = gathered.threads.get((pid, tid), "")
        if device is not None and _device_number(gathered, pid) not in (None, device):
            kinds.append("other")
        elif process in DEVICE_PROCESSES:
            kinds.append("device")
        elif process in COLLECTIVE_PROCESSES:
            kinds.append("other" if thread.startswith("Plane") else "collective")
        else:
            kinds.append("host" if process in HOST_PROCESSES else "" if process == "" else "other")
    return np.array(kinds or [""], dtype=object)


def _device_rows(gathered: TraceColumns, lanes: np.ndarray) -> dict[str, np.ndarray]:
    """The device tasks: row in the ranges, row of the arguments (-1 for none), type, kind (a code of `TASK_KINDS`)."""
    lane, arguments = gathered.ranges["lane"], gathered.device
    transfer = gathered.words.index(TRANSFER) if TRANSFER in gathered.words else -2
    named = np.flatnonzero(np.isin(lanes, ("device", "collective"))[lane])
    argument = np.full(len(lane), -1, dtype="int32")
    argument[arguments["row"]] = np.arange(len(arguments["row"]), dtype="int32")
    # Whatever has arguments may be a device task where no metadata event names its lane.
    unnamed = arguments["row"][(lanes == "")[lane[arguments["row"]]]]
    rows = np.union1d(named, unnamed) if len(unnamed) else named
    argument, kind_of_lane = argument[rows], lane[rows]
    type_code = _argument(gathered, "type", argument)
    has_word = np.array([word is not None for word in gathered.words] + [False], dtype=bool)
    is_transfer = type_code == transfer
    is_unnamed = (lanes == "")[kind_of_lane]
    is_device = (lanes == "device")[kind_of_lane] | (is_unnamed & has_word[type_code] & ~is_transfer)
    is_collective = ~is_device & ~is_transfer & ((lanes == "collective")[kind_of_lane] | is_unnamed)
    chosen = is_device | is_collective
    kinds = _task_kinds(gathered, rows[chosen], type_code[chosen])
    typed = has_word[type_code[chosen]]
    if typed.any():
        # marks, iterations and turns of a server stand in the lane of the tasks, but have no task type
        kinds[~typed & (kinds == KERNEL)] = OTHER
    kinds[is_collective[chosen]] = COLLECTIVE
    return {"row": rows[chosen], "argument": argument[chosen], "type": type_code[chosen], "kind": kinds}


def _task_kinds(gathered: TraceColumns, rows: np.ndarray, type_code: np.ndarray) -> np.ndarray:
    """`kernel`, `wait`, `record`, `copy` or `other` for each device task; each pair of type and name is judged once."""
    import pandas as pd

    words = gathered.words
    pairs = type_code * len(words) + gathered.ranges["name"][rows]
    inverse, distinct = pd.factorize(pairs)
    kinds = [
        TASK_KINDS.index(kind_of(None if pair < 0 else words[pair // len(words)], words[pair % len(words)] or ""))
        for pair in distinct.tolist()
    ]
    return np.array(kinds, dtype="int8")[inverse]


def _argument(gathered: TraceColumns, name: str, argument: np.ndarray) -> np.ndarray:
    """What each task has for an argument, by its row among the arguments; -1 where it has none."""
    return np.append(gathered.device[name], ABSENT_ID)[argument]


def _kernels(gathered: TraceColumns, device: dict[str, np.ndarray]) -> dict[str, Any]:
    """The columns of the kernel table that a trace holds, and the lane of each kernel."""
    import pandas as pd

    kept = device["kind"] <= COLLECTIVE
    collective = device["kind"][kept] == COLLECTIVE
    rows, argument = device["row"][kept], device["argument"][kept]
    words = gathered.texts
    made: dict[str, Any] = {
        "start_ns": gathered.ranges["start_ns"][rows],
        "dur_ns": gathered.ranges["dur_ns"][rows],
        "lane": gathered.ranges["lane"][rows],
    }
    stream, task = _task_streams(gathered, made["lane"], argument), _argument(gathered, "task", argument)
    for name, values in (("stream", stream), ("task", task)):
        made[name] = nullable(np.where(collective, ABSENT_ID, values))
    for name in ("model", "connection"):
        values = _argument(gathered, name, argument)
        made[name] = nullable(np.where(values == NO_ID, ABSENT_ID, values))
    core = columns.categorical(
        np.where(collective, len(words), device["type"][kept]),
        [*words, collectives.CORE],
        lambda word: None if word == "Other" else columns.clean_core(word),
    )
    name = columns.categorical(gathered.ranges["name"][rows], words, str.strip)
    for column, values in (("core", core), ("name", name)):
        if values is not None:
            made[column] = pd.Series(values)
    made["kind"] = collectives.kinds(made)
    return made


def _task_streams(gathered: TraceColumns, lane: np.ndarray, argument: np.ndarray) -> np.ndarray:
    """The stream that each device task names, or else that its lane stands for."""
    named = _argument(gathered, "stream", argument)
    return np.where(named == ABSENT_ID, _threads(gathered)[lane], named)


def _threads(gathered: TraceColumns) -> np.ndarray:
    """The thread id of each lane, -1 where it is no number."""
    threads = [tid if isinstance(tid, int) and 0 <= tid < 2**63 else ABSENT_ID for _, tid in gathered.lanes]
    return np.array(threads or [ABSENT_ID], dtype="int64")


def _tasks(gathered: TraceColumns, device: dict[str, np.ndarray]) -> Any:
    kept = device["kind"] > COLLECTIVE
    rows = device["row"][kept]
    return task_table(
        {
            "start_ns": gathered.ranges["start_ns"][rows],
            "dur_ns": gathered.ranges["dur_ns"][rows],
            "name": columns.categorical(gathered.ranges["name"][rows], gathered.texts),
            "kind": columns.categorical(device["kind"][kept], TASK_KINDS),
            "stream": nullable(_task_streams(gathered, gathered.ranges["lane"][rows], device["argument"][kept])),
        }
    )


def _host(gathered: TraceColumns, lanes: np.ndarray) -> dict[str, Any]:
    """The host ranges as columns; `thread` is their lane."""
    ranges = gathered.ranges
    host_category = np.array([word in HOST_CATEGORIES for word in gathered.words] or [False])[ranges["cat"]]
    lane = ranges["lane"]
    rows = np.flatnonzero((lanes == "host")[lane] | (host_category & (lanes == "")[lane]))
    rows = rows[longest_first(ranges["start_ns"][rows], ranges["dur_ns"][rows])]
    made: dict[str, Any] = {
        "start_ns": ranges["start_ns"][rows],
        "end_ns": ranges["start_ns"][rows] + ranges["dur_ns"][rows],
        "name": ranges["name"][rows],
        "category": ranges["cat"][rows],
        "thread": lane[rows],
    }
    made["kind"] = links.host_kinds(made, gathered.texts, gathered.words)
    return made


def _launches(gathered: TraceColumns, start: np.ndarray, lane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Launch time (-1 unknown) and launching lane (-1) of each kernel, by the arrows that end at its start.

    The arrow from the framework is preferred; the one from CANN starts on the thread that empties the task queue,
    where no module or scope is open, so its time counts but its lane does not name the launching thread.
    """
    launch = np.full(len(start), -1, dtype="int64")
    launch_lane = np.full(len(start), -1, dtype="int64")
    for category in FLOWS:
        if category not in gathered.words:
            continue
        code = gathered.words.index(category)
        begins = {name: values[gathered.begins["cat"] == code] for name, values in gathered.begins.items()}
        ends = {name: values[gathered.ends["cat"] == code] for name, values in gathered.ends.items()}
        if not len(begins["id"]) or not len(ends["id"]):
            continue
        order = np.argsort(begins["id"], kind="stable")
        place = np.minimum(np.searchsorted(begins["id"][order], ends["id"]), len(order) - 1)
        source = order[place]
        known = np.flatnonzero(begins["id"][source] == ends["id"])
        time, time_lane = ends["time_ns"][known], ends["lane"][known]
        target = _rows_at(start, lane, time, time_lane)
        # the newest releases write the times of arrows as doubles, of which the shortest text has one decimal
        loose = np.flatnonzero((target < 0) & (time % 100 == 0))
        if len(loose):
            target[loose] = _rows_at(_doubles(start), lane, _doubles(time[loose]), time_lane[loose])
        hit = target >= 0
        launch[target[hit]] = begins["time_ns"][source[known[hit]]]
        launch_lane[target[hit]] = begins["lane"][source[known[hit]]]
    return launch, launch_lane


def _doubles(time: np.ndarray) -> np.ndarray:
    """ns as the nearest double of microseconds."""
    return time // 1000 + time % 1000 / 1000


def _rows_at(start: np.ndarray, lane: np.ndarray, time: np.ndarray, time_lane: np.ndarray) -> np.ndarray:
    """The row that starts at each time on its lane, -1 where none does."""
    if not len(start):
        return np.full(len(time), -1, dtype="int64")
    starts = np.sort(start, kind="stable")  # which is fast where they are nearly sorted
    begin = np.minimum(np.searchsorted(starts, time), len(starts) - 1)
    lanes = int(max(lane.max(), time_lane.max(initial=0))) + 1
    keys = np.searchsorted(starts, start) * lanes + lane
    wanted = np.where(starts[begin] == time, begin * lanes + time_lane, -1)
    order = np.argsort(keys, kind="stable")
    place = np.minimum(np.searchsorted(keys[order], wanted), len(order) - 1)
    return np.where(keys[order[place]] == wanted, order[place], -1)


def _steps(host: dict[str, Any], words: list[str]) -> list[tuple[int, int, int]]:
    """Number, start and end of each step that the profiler marked on the host."""
    rows = np.flatnonzero(host["kind"] == "step")
    listed = zip(*(host[name][rows].tolist() for name in ("name", "start_ns", "end_ns")), strict=True)
    found = ((links.STEP.fullmatch(words[name]), start, end) for name, start, end in listed)
    return [(int(match.group(1)), start, end) for match, start, end in found if match]
