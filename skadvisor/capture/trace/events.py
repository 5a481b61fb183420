"""Gather what matters of a trace into flat columns: about 45 bytes an event, strings as codes, times still as text.

Nothing here needs numpy: a second process that reads half of a file starts in a moment, and what it gathered goes
to the first one as plain bytes. `trace_columns` makes numbers of it.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterable, Sequence
from itertools import compress, islice, repeat
from pathlib import Path
from struct import error as PackError
from struct import pack
from typing import Any

import msgspec

from skadvisor.capture.interface import MAX_ROWS
from skadvisor.capture.trace.blocks import Args, Event, EventStream
from skadvisor.errors import InputError
from skadvisor.text.messages import _

#: Stands for "absent" in the id columns; no id of a profiler is negative.
ABSENT_ID = -1
#: Arrows to the device: those of old msprof, of msprof, and of the frameworks.
FLOWS = ("async_acl_npu", "HostToDevice", "async_npu")
#: Categories of host ranges; device tasks have none.
HOST_CATEGORIES = ("cpu_op", "python_function", "enqueue", "dequeue", "user_annotation")
#: The type that transfers inside a collective get here.
TRANSFER = "\0transfer"

Id = int | str | None
#: What many events have in common: name, category, process and thread.
Kind = tuple[str | None, str | None, Id, Id]


class Codes(dict[Any, int]):
    """Numbers words in the order in which they first appear."""

    def __missing__(self, word: Any) -> int:
        self[word] = code = len(self)
        return code


class Texts(msgspec.Struct):
    """A column of text: the texts one after the other, each with a line end behind it."""

    joined: bytearray = msgspec.field(default_factory=bytearray)
    count: int = 0

    def extend(self, texts: Sequence[str]) -> None:
        together = "\n".join(texts) + "\n"
        if together.count("\n") != len(texts):
            together = "\n".join([text.replace("\n", "?") for text in texts]) + "\n"
        self.joined += together.encode()
        self.count += len(texts)


class Ranges(msgspec.Struct):
    """All events with a duration. `durations` (float64, us) is NaN at the rows of `odd_durations`, which have text."""

    times: Texts = msgspec.field(default_factory=Texts)
    durations: bytearray = msgspec.field(default_factory=bytearray)
    odd_durations: dict[int, str] = msgspec.field(default_factory=dict)
    kinds: bytearray = msgspec.field(default_factory=bytearray)

    def extend(self, events: list[Event], kinds: Codes) -> list[int]:
        """Add the events; the code of each one's kind."""
        durations = [event.dur for event in events]
        try:
            self.durations += pack(f"{len(events)}d", *durations)
        except (PackError, TypeError, OverflowError):
            first = self.times.count
            odd = {row: text for row, text in enumerate(durations, first) if not isinstance(text, float)}
            self.odd_durations |= {row: "" if text is None else str(text) for row, text in odd.items()}
            self.durations += pack(
                f"{len(events)}d", *[value if isinstance(value, float) else math.nan for value in durations]
            )
        self.times.extend([event.ts for event in events])
        # A dict looks the tuples up that zip makes, one after the other in the same place: no step of Python for each.
        several = zip(
            [event.name for event in events],
            [event.cat for event in events],
            [event.pid for event in events],
            [event.tid for event in events],
            strict=True,
        )
        codes = [*map(kinds.__getitem__, several)]
        self.kinds += pack(f"{len(events)}i", *codes)
        return codes


class DeviceTasks(msgspec.Struct):
    """The ranges that are device tasks or collectives, by their row (int64), with their arguments.

    Types are int32 and point into `words`; ids are int64.
    """

    words: list[str | None] = msgspec.field(default_factory=list)
    rows: bytearray = msgspec.field(default_factory=bytearray)
    types: bytearray = msgspec.field(default_factory=bytearray)
    streams: bytearray = msgspec.field(default_factory=bytearray)
    tasks: bytearray = msgspec.field(default_factory=bytearray)
    models: bytearray = msgspec.field(default_factory=bytearray)
    connections: bytearray = msgspec.field(default_factory=bytearray)

    def extend(self, events: list[Event], device: Iterable[bool], first_row: int, words: Codes) -> None:
        """Add those of the events that are no host ranges and have a task type, or a model as collectives do."""
        found = [
            (row, args)
            for row, event in compress(enumerate(events, first_row), device)
            if (args := event.args) is not None and (args.task_type is not None or args.collective_model is not None)
        ]
        if not found:
            return
        self.rows += pack(f"{len(found)}q", *[row for row, _ in found])
        tasks = [args for _, args in found]
        types = [args.task_type if args.transfer is None else TRANSFER for args in tasks]
        self.types += pack(f"{len(found)}i", *map(words.__getitem__, types))
        self.streams += _ids([args.old_stream if args.stream is None else args.stream for args in tasks])
        self.tasks += _ids([args.task for args in tasks])
        self.models += _ids([args.collective_model if args.model is None else args.model for args in tasks])
        self.connections += _ids([args.connection for args in tasks])


class Arrows(msgspec.Struct):
    """One end of the arrows from host to device; `ids` are uint64."""

    times: Texts = msgspec.field(default_factory=Texts)
    ids: bytearray = msgspec.field(default_factory=bytearray)
    kinds: bytearray = msgspec.field(default_factory=bytearray)

    def extend(self, events: list[Event], kinds: Codes) -> None:
        self.times.extend([event.ts for event in events])
        ids = [event.id for event in events]
        try:
            self.ids += pack(f"{len(ids)}Q", *ids)
        except (PackError, TypeError, OverflowError):
            self.ids += pack(f"{len(ids)}Q", *map(_arrow_id, ids))
        several = zip(
            repeat(None),
            [event.cat for event in events],
            [event.pid for event in events],
            [event.tid for event in events],
            strict=False,
        )
        self.kinds += pack(f"{len(events)}i", *map(kinds.__getitem__, several))


class Gathered(msgspec.Struct):
    """A trace, or a part of it, in flat columns. `kinds` columns are int32 and point into the list `kinds`."""

    ranges: Ranges
    device: DeviceTasks
    begins: Arrows
    ends: Arrows
    kinds: list[Kind]
    processes: list[tuple[Id, str]]
    labels: list[tuple[Id, str]]
    threads: list[tuple[tuple[Id, Id], str]]
    events: int
    faults: dict[str, int]
    cut: bool


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
                raise InputError(
                    _("{path} holds more than {max_rows} events"),
                    _("Record a shorter time."),
                    path=path,
                    max_rows=MAX_ROWS,
                )
    finally:
        if collecting:
            gc.enable()
    return gatherer.gathered(stream)


class _Gatherer:
    def __init__(self) -> None:
        self.events = 0
        self.kinds = Codes()
        self.types = Codes()
        self.device_kinds: list[bool] = []
        self.ranges = Ranges()
        self.device = DeviceTasks()
        self.arrows = {"s": Arrows(), "f": Arrows()}
        self.processes: dict[Id, str] = {}
        self.labels: dict[Id, str] = {}
        self.threads: dict[tuple[Id, Id], str] = {}

    def add(self, events: Sequence[Event]) -> None:
        self.events += len(events)
        ranges = [event for event in events if event.ph == "X"]
        if ranges:
            first_row = self.ranges.times.count
            codes = self.ranges.extend(ranges, self.kinds)
            self.device.extend(ranges, map(self._may_be_device().__getitem__, codes), first_row, self.types)
        if len(ranges) == len(events):
            return
        others = [event for event in events if event.ph != "X" and event.ph != "C"]
        for phase, column in self.arrows.items():
            arrows = [event for event in others if event.ph == phase and event.cat in FLOWS]
            if arrows:
                column.extend(arrows, self.kinds)
        for event in [event for event in others if event.ph == "M"]:
            if event.args is not None:
                self._add_name(event, event.args)

    def _may_be_device(self) -> list[bool]:
        """Whether each kind is none of host ranges."""
        known = len(self.device_kinds)
        if known < len(self.kinds):
            new = islice(self.kinds, known, None)
            self.device_kinds += [category not in HOST_CATEGORIES for _, category, _, _ in new]
        return self.device_kinds

    def _add_name(self, event: Event, args: Args) -> None:
        if event.name == "process_name" and args.name is not None:
            self.processes[event.pid] = args.name
        elif event.name == "thread_name" and args.name is not None:
            self.threads[(event.pid, event.tid)] = args.name
        elif event.name == "process_labels" and args.labels is not None:
            self.labels[event.pid] = args.labels

    def gathered(self, stream: EventStream) -> Gathered:
        self.device.words = list(self.types)
        return Gathered(
            ranges=self.ranges,
            device=self.device,
            begins=self.arrows["s"],
            ends=self.arrows["f"],
            kinds=list(self.kinds),
            processes=list(self.processes.items()),
            labels=list(self.labels.items()),
            threads=list(self.threads.items()),
            events=self.events,
            faults=dict(stream.faults),
            cut=stream.cut,
        )


def _arrow_id(value: Id) -> int:
    """Arrow ids as uint64: numbers as they are (string or not), a number made from the text for anything else."""
    try:
        number = int(value or "")
    except ValueError:
        number = -1
    if 0 <= number < 2**64:
        return number
    from hashlib import blake2b

    return int.from_bytes(blake2b(str(value).encode(), digest_size=8).digest(), "little")


def _ids(values: list[Id]) -> bytes:
    """Ids as int64, `ABSENT_ID` where there is none."""
    try:
        return pack(f"{len(values)}q", *[ABSENT_ID if value is None else value for value in values])
    except (PackError, TypeError, OverflowError):
        from skadvisor.capture.columns import integer

        made = [integer(value) if isinstance(value, str) else value for value in values]
        known = [ABSENT_ID if value is None or not 0 <= value < 2**63 else value for value in made]
        return pack(f"{len(values)}q", *known)
