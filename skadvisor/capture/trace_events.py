"""Gather what matters of a trace into columns of numbers: about 32 bytes an event, strings as codes."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from skadvisor.capture.columns import epoch_nanoseconds, float_nanoseconds, integer
from skadvisor.capture.interface import MAX_ROWS
from skadvisor.capture.trace_blocks import Args, Event, EventStream
from skadvisor.errors import InputError

#: Stands for "absent" in the id columns; no id of a profiler is negative.
ABSENT_ID = -1
FLOWS = ("async_npu", "HostToDevice")
RANGE_COLUMNS = {"start_ns": "int64", "dur_ns": "int64", "name": "int32", "cat": "int32", "lane": "int32"}
DEVICE_COLUMNS = {
    "row": "int64",
    "type": "int32",
    "stream": "int64",
    "task": "int64",
    "model": "int64",
    "connection": "int64",
}
#: Categories of host ranges; device tasks have none.
HOST_CATEGORIES = ("cpu_op", "python_function", "enqueue", "dequeue", "user_annotation")
#: The type that transfers inside a collective get here.
TRANSFER = "\0transfer"
FLOW_COLUMNS = {"time_ns": "int64", "id": "uint64", "cat": "int32", "lane": "int32"}


class Codes(dict[Any, int]):
    """Numbers words in the order in which they first appear."""

    def __missing__(self, word: Any) -> int:
        self[word] = code = len(self)
        return code


@dataclass
class Gathered:
    """The columns of a trace, or of one part of it.

    `ranges` are all events with a duration, `device` the arguments of those that are device tasks (`row` points
    into the ranges), `begins` and `ends` the arrows from host to device. Codes point into `words` and `lanes`.
    """

    ranges: dict[str, np.ndarray]
    device: dict[str, np.ndarray]
    begins: dict[str, np.ndarray]
    ends: dict[str, np.ndarray]
    words: list[str | None]
    lanes: list[tuple[Any, Any]]
    processes: dict[Any, str] = field(default_factory=dict)
    labels: dict[Any, str] = field(default_factory=dict)
    threads: dict[tuple[Any, Any], str] = field(default_factory=dict)
    transfers: int = 0
    events: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    cut: bool = False


def gather(path: Path, begin: int = 0, end: int | None = None) -> Gathered:
    """Read a trace, or the events between two byte positions of it."""
    gatherer = _Gatherer()
    stream = EventStream(path, begin, end)
    collecting = gc.isenabled()
    gc.disable()  # millions of short lists without cycles: looking for cycles costs a fifth of the time
    try:
        for events in stream:
            gatherer.add(events)
            if gatherer.events > MAX_ROWS:
                raise InputError(f"{path} holds more than {MAX_ROWS} events", "Record a shorter time.")
    finally:
        if collecting:
            gc.enable()
    made = gatherer.gathered()
    made.faults.update(stream.faults)
    made.cut = stream.cut
    return made


class _Gatherer:
    def __init__(self) -> None:
        self.words = Codes()
        self.lanes = Codes()
        self.ids = Codes()
        self.events = 0
        self.ranges_seen = 0
        self.transfers = 0
        self.faults: Counter[str] = Counter()
        self.processes: dict[Any, str] = {}
        self.labels: dict[Any, str] = {}
        self.threads: dict[tuple[Any, Any], str] = {}
        self.parts: dict[str, list[tuple[np.ndarray, ...]]] = {"ranges": [], "device": [], "begins": [], "ends": []}

    def add(self, events: Sequence[Event]) -> None:
        self.events += len(events)
        ranges = [event for event in events if event.ph == "X"]
        if ranges:
            self._add_ranges(ranges)
        others = [event for event in events if event.ph != "X" and event.ph != "C"] if len(ranges) < len(events) else []
        for phase, part in (("s", "begins"), ("f", "ends")):
            flows = [event for event in others if event.ph == phase and event.cat in FLOWS]
            if flows:
                self._add_flows(flows, part)
        for event in others:
            if event.ph != "M" or event.args is None:
                continue
            if event.name == "process_name" and event.args.name is not None:
                self.processes[event.pid] = event.args.name
            elif event.name == "thread_name" and event.args.name is not None:
                self.threads[(event.pid, event.tid)] = event.args.name
            elif event.name == "process_labels" and event.args.labels is not None:
                self.labels[event.pid] = event.args.labels

    def _add_ranges(self, events: list[Event]) -> None:
        start, no_start = epoch_nanoseconds([event.ts for event in events])
        duration, no_duration = float_nanoseconds([event.dur for event in events])
        bad = no_start | no_duration
        negative = ~bad & ((start < 0) | (duration < 0))
        if bad.any() or negative.any():
            self.faults["event without a time"] += int(bad.sum())
            self.faults["event with a negative time"] += int(negative.sum())
            good = [event for event, wrong in zip(events, (bad | negative).tolist(), strict=True) if not wrong]
            if good:
                self._add_ranges(good)
            return
        words = self.words
        category = _coded(words, [event.cat for event in events])
        self.parts["ranges"].append(
            (
                start,
                duration,
                _coded(words, [event.name for event in events]),
                category,
                self._lane_codes(events),
            )
        )
        hosts = [words[name] for name in HOST_CATEGORIES]
        self._add_device([(row, events[row].args) for row in np.flatnonzero(~np.isin(category, hosts)).tolist()])
        self.ranges_seen += len(events)

    def _lane_codes(self, events: list[Event]) -> np.ndarray:
        pairs = zip([event.pid for event in events], [event.tid for event in events], strict=True)
        return _coded(self.lanes, list(pairs))

    def _add_device(self, arguments: Sequence[tuple[int, Args | None]]) -> None:
        """Arguments of device tasks and of collectives, which have a model but no task type."""
        found = [
            (row, args)
            for row, args in arguments
            if args is not None and (args.task_type is not None or args.collective_model is not None)
        ]
        if not found:
            return
        tasks = [args for _, args in found]
        streams, models = [args.stream for args in tasks], [args.model for args in tasks]
        kinds = [TRANSFER if args.transfer is not None else args.task_type for args in tasks]
        self.transfers += kinds.count(TRANSFER)
        self.parts["device"].append(
            (
                np.array([row for row, _ in found], dtype="int64") + self.ranges_seen,
                _coded(self.words, kinds),
                _ids(
                    [args.old_stream if stream is None else stream for stream, args in zip(streams, tasks, strict=True)]
                ),
                _ids([args.task for args in tasks]),
                _ids(
                    [
                        args.collective_model if model is None else model
                        for model, args in zip(models, tasks, strict=True)
                    ]
                ),
                _ids([args.connection for args in tasks]),
            )
        )

    def _add_flows(self, events: list[Event], part: str) -> None:
        time, missing = epoch_nanoseconds([event.ts for event in events])
        if missing.any():
            self.faults["arrow without a time"] += int(missing.sum())
            good = [event for event, wrong in zip(events, missing.tolist(), strict=True) if not wrong]
            if good:
                self._add_flows(good, part)
            return
        self.parts[part].append(
            (
                time,
                self._flow_ids([event.id for event in events]),
                _coded(self.words, [event.cat for event in events]),
                self._lane_codes(events),
            )
        )

    def _flow_ids(self, values: Sequence[int | str | None]) -> np.ndarray:
        """Flow ids as uint64: numbers as they are (string or not), anything else numbered down from the largest."""
        try:
            return np.fromiter(map(int, values), "uint64", len(values))  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            return np.array([self._flow_id(value) for value in values], dtype="uint64")

    def _flow_id(self, value: int | str | None) -> int:
        try:
            number = int(value or "")
        except ValueError:
            number = -1
        return number if 0 <= number < 2**64 else 2**64 - 1 - self.ids[value]

    def gathered(self) -> Gathered:
        def joined(part: str, columns: dict[str, str]) -> dict[str, np.ndarray]:
            pieces = self.parts[part]
            return {
                name: np.concatenate([piece[at] for piece in pieces]) if pieces else np.empty(0, dtype=dtype)
                for at, (name, dtype) in enumerate(columns.items())
            }

        return Gathered(
            ranges=joined("ranges", RANGE_COLUMNS),
            device=joined("device", DEVICE_COLUMNS),
            begins=joined("begins", FLOW_COLUMNS),
            ends=joined("ends", FLOW_COLUMNS),
            words=list(self.words),
            lanes=list(self.lanes),
            processes=self.processes,
            threads=self.threads,
            labels=self.labels,
            transfers=self.transfers,
            events=self.events,
            faults=+self.faults,
        )


def _coded(codes: Codes, values: list[Any]) -> np.ndarray:
    """The code of each value; looked up without a step of Python for each, because there are millions."""
    return np.fromiter(map(codes.__getitem__, values), "int32", len(values))


def _ids(values: list[int | str | None]) -> np.ndarray:
    """Ids as int64, `ABSENT_ID` where there is none."""
    try:
        return np.array([ABSENT_ID if value is None else value for value in values], dtype="int64")
    except (TypeError, ValueError, OverflowError):
        made = [integer(value) if isinstance(value, str) else value for value in values]
        return np.array(
            [ABSENT_ID if value is None or not 0 <= value < 2**63 else value for value in made], dtype="int64"
        )


def join(first: Gathered, second: Gathered) -> Gathered:
    """Two parts of one trace as one."""
    words, lanes = Codes(), Codes()
    tables: list[Gathered] = []
    offset = len(first.ranges["start_ns"])
    for part in (first, second):
        word = np.array([words[value] for value in part.words] or [0], dtype="int32")
        lane = np.array([lanes[tuple(value)] for value in part.lanes] or [0], dtype="int32")
        part.ranges |= {"name": word[part.ranges["name"]], "cat": word[part.ranges["cat"]]}
        part.ranges["lane"] = lane[part.ranges["lane"]]
        part.device["type"] = word[part.device["type"]]
        for flows in (part.begins, part.ends):
            flows |= {"cat": word[flows["cat"]], "lane": lane[flows["lane"]]}
        tables.append(part)
    second.device["row"] = second.device["row"] + offset

    def stacked(name: str) -> dict[str, np.ndarray]:
        above, below = getattr(first, name), getattr(second, name)
        return {column: np.concatenate([above[column], below[column]]) for column in above}

    return Gathered(
        ranges=stacked("ranges"),
        device=stacked("device"),
        begins=stacked("begins"),
        ends=stacked("ends"),
        words=list(words),
        lanes=list(lanes),
        processes=first.processes | second.processes,
        threads=first.threads | second.threads,
        labels=first.labels | second.labels,
        transfers=first.transfers + second.transfers,
        events=first.events + second.events,
        faults=first.faults + second.faults,
        cut=first.cut or second.cut,
    )
