"""Stream the events of a trace file in blocks: never the whole file, never Python dicts.

A block ends between two events, at a place that cannot lie inside a string: in `}, {"ph"` the quote opens a key,
because after a closing quote JSON continues with a comma, a colon or a bracket. Each block is decoded into
structs at once; where that fails, its events are decoded one by one and the bad ones are counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import msgspec

from skadvisor.capture.interface import MAX_RECORD_BYTES, DamagedError
from skadvisor.capture.lines import UTF8_BOM, Source
from skadvisor.text.messages import _

#: What is decoded at once: few enough events that they stay in the cache until their fields are taken.
BLOCK_BYTES = 1 << 18
BOUNDARY = re.compile(rb'\}\s*,\s*\{\s*"(?=(?:ph|name|cat|pid|tid|ts|dur|id|args|bp)"\s*:)')
EVENT_START = re.compile(rb'\{\s*"(?:ph|name|cat|pid|tid|ts|dur|id|args|bp)"\s*:')
#: At the end of a cut file: a whole event, and the first few bytes of the next.
HALF_EVENT = re.compile(rb"\}\s*,?\s*(\{[^{}]*)?$")
WRAPPER = re.compile(rb'"traceEvents"\s*:\s*\[')
TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")
#: A damaged event may hold nested objects that look like the start of an event: so many pieces are joined to try.
JOINED_PIECES = 4
#: Places inside a damaged piece at which another event may start.
TRIED_STARTS = 16


class Args(msgspec.Struct, gc=False):
    """The arguments of events that matter here; other keys are passed over.

    Fields stand in the order in which the profiler writes the keys: they are looked up from the last one on.
    """

    connection: int | str | None = msgspec.field(default=None, name="connection_id")
    collective_model: int | str | None = msgspec.field(default=None, name="model id")
    transfer: str | None = msgspec.field(default=None, name="task type")
    model: int | str | None = msgspec.field(default=None, name="Model Id")
    task_type: str | None = msgspec.field(default=None, name="Task Type")
    stream: int | str | None = msgspec.field(default=None, name="Physic Stream Id")
    task: int | str | None = msgspec.field(default=None, name="Task Id")
    old_stream: int | str | None = msgspec.field(default=None, name="Stream Id")
    name: str | None = None
    labels: str | None = None


class Event(msgspec.Struct, gc=False):
    """One trace event, its fields in the order of the keys. `ts` is text: epoch microseconds do not fit a double."""

    ph: str = ""
    name: str = ""
    pid: int | str | None = None
    tid: int | str | None = None
    ts: str = ""
    dur: float | str | None = None
    cat: str | None = None
    args: Args | None = None
    id: int | str | None = None


#: What `ph` may be by the trace event format. A word out of a known list costs no new text for each event.
Phase = Literal[
    "X", "s", "f", "C", "M", "B", "E", "i", "I", "b", "n", "e", "t", "S", "T", "p", "F", "P", "N", "O", "D", "V", "v",
    "R", "c", "(", ")", ",",
]  # fmt: skip


class UsualEvent(Event, gc=False):
    """An event as profilers write it: a known phase and a quoted time."""

    ph: Phase = ""  # type: ignore[assignment]


class BareEvent(Event, gc=False):
    """An event whose `ts` is no string; its text is kept as it stands."""

    ts: msgspec.Raw = msgspec.Raw(b"")  # type: ignore[assignment]


class LooseEvent(msgspec.Struct, gc=False):
    """An event whose values have unusual types."""

    ph: Any = ""
    name: Any = ""
    cat: Any = None
    pid: Any = None
    tid: Any = None
    ts: msgspec.Raw = msgspec.Raw(b"")
    dur: Any = None
    id: Any = None
    args: Any = None


_EVENTS: msgspec.json.Decoder[list[Event]] = msgspec.json.Decoder(list[UsualEvent])
_BARE_EVENTS = msgspec.json.Decoder(list[BareEvent])
_BARE_EVENT = msgspec.json.Decoder(BareEvent)
_LOOSE = msgspec.json.Decoder(LooseEvent)
_BAD = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


class EventStream:
    """The events of one file, or of the bytes `begin` to `end` of a plain file that lie between two events.

    After iterating, `faults` counts what could not be used and `cut` says that the file ends too early.
    """

    def __init__(self, path: Path, begin: int = 0, end: int | None = None) -> None:
        self.path = path
        self.faults: Counter[str] = Counter()
        self.cut = False
        self._source = Source(path, begin, end)
        self._inner = begin > 0
        self._open_end = end is not None and end < path.stat().st_size
        self._wrapped = False
        self._closed = False
        self._quoted = True
        self._buffer = bytearray(BLOCK_BYTES)
        self._filled = 0
        self._used = 0

    def __iter__(self) -> Iterator[list[Event]]:
        try:
            if self._inner:
                self._filled = 1
            else:
                self._skip_head()
            while not self._closed:
                self._drop(self._used)
                self._used = 0
                ended = self._fill()
                text_end = self._last_boundary() if not ended else self._filled
                if text_end < 0:
                    self._grow()
                    continue
                yield self._decode(text_end, ended)
                if ended:
                    break
            self.cut |= self._source.cut
        finally:
            self._source.close()

    def _fill(self) -> bool:
        """Fill the buffer; whether the file ended. The first byte of a block is kept free for its bracket."""
        while self._filled < len(self._buffer):
            count = self._source.readinto(memoryview(self._buffer)[self._filled :])
            if not count:
                return True
            self._filled += count
        return False

    def _skip_head(self) -> None:
        """Move what follows the opening bracket of the event array to the start of the buffer."""
        ended = self._fill()
        head = bytes(self._buffer[: self._filled])
        bare = head.removeprefix(UTF8_BOM).lstrip()
        if bare.startswith(b"["):
            start = head.index(b"[")
        else:
            wrapper = WRAPPER.search(head)
            while wrapper is None and not ended and len(self._buffer) < MAX_RECORD_BYTES:
                self._grow()
                ended = self._fill()
                wrapper = WRAPPER.search(self._buffer[: self._filled])
            if wrapper is None:
                raise DamagedError(f"{self.path} is no trace: it holds no event array")
            self._wrapped = True
            start = wrapper.end() - 1
        self._drop(start)

    def _drop(self, count: int) -> None:
        """Forget the first `count` bytes, so that the rest starts with a byte free for a bracket."""
        if not count:
            return
        rest = self._filled - count
        self._buffer[:rest] = self._buffer[count : self._filled]
        self._filled = rest

    def _grow(self) -> None:
        """Room for an event longer than the buffer; an absurdly long one is dropped and counted."""
        if len(self._buffer) < MAX_RECORD_BYTES:
            self._buffer = self._buffer + bytes(len(self._buffer))
            return
        self.faults[f"event longer than {MAX_RECORD_BYTES >> 20} MB"] += 1
        self._buffer[:1] = b"["
        self._filled = 1
        while not self._fill():
            match = BOUNDARY.search(self._buffer)
            if match:
                self._drop(match.start() + self._buffer[match.start() : match.end()].index(b","))
                return
            self._filled = 1

    def _last_boundary(self) -> int:
        """The end of the last whole event in the buffer, -1 where there is none."""
        end = self._filled
        for _attempt in range(8):
            end = self._buffer.rfind(b'}, {"', 0, end)
            if end < 0:
                break
            if BOUNDARY.match(self._buffer, end):
                return end + 1
        for window in (1 << 16, self._filled):
            last = -1
            for match in BOUNDARY.finditer(self._buffer, max(0, self._filled - window), self._filled):
                last = match.start() + 1
            if last >= 0:
                return last
        return -1

    def _decode(self, text_end: int, ended: bool) -> list[Event]:
        """The events before `text_end`; what they used up of the buffer is dropped before the next block."""
        buffer = self._buffer
        buffer[:1] = b"["
        if ended:
            return self._decode_last(bytes(buffer[:text_end]))
        comma = buffer.index(b",", text_end)
        kept = buffer[text_end]
        buffer[text_end : text_end + 1] = b"]"
        try:
            events = self._events(memoryview(buffer)[: text_end + 1])
        except _BAD as problem:
            events = self._decode_damaged(bytes(buffer[: text_end + 1]), problem)
        buffer[text_end] = kept
        self._used = comma
        return events

    def _events(self, text: bytes | memoryview) -> list[Event]:
        """The events of an array; quoted times are expected until others are met."""
        if self._quoted:
            try:
                return _EVENTS.decode(text)
            except _BAD:
                pass
        events: list[Event] = [_with_text(event) for event in _BARE_EVENTS.decode(text)]
        self._quoted = False
        return events

    def _decode_damaged(self, block: bytes, problem: Exception) -> list[Event]:
        """A block that does not decode at once: the array ended inside it, or some events are bad."""
        trailing = TRAILING.search(str(problem))
        if trailing:
            position = block.rfind(b"]", 0, int(trailing.group(1))) + 1
            try:
                events = self._events(block[:position])
            except _BAD:
                return self._one_by_one(block)
            if not self._wrapped and BOUNDARY.search(block, position):
                return events + self._one_by_one(b"[" + block[position:].lstrip(b"],[ \r\n\t"))
            self._closed = True
            return events
        return self._one_by_one(block)

    def _decode_last(self, block: bytes) -> list[Event]:
        """The block that ends with the file, with its closing bracket, a trailer, or a cut event."""
        text = block.rstrip(b" \t\r\n\x00")
        if self._open_end:
            text += b"]"
        if text == b"[":
            self.cut = True
            return []
        try:
            return self._events(text)
        except _BAD as problem:
            trailing = TRAILING.search(str(problem))
            if trailing and self._wrapped:
                try:
                    return self._events(text[: text.rfind(b"]", 0, int(trailing.group(1))) + 1])
                except _BAD:
                    pass
        self.cut = not text.endswith(b"]")
        if self.cut:
            self._closed = True
            return self._one_by_one(text + b"]", cut=True)
        return self._one_by_one(text)

    def _one_by_one(self, block: bytes, cut: bool = False) -> list[Event]:
        """Decode `[event, event, ...]` event by event; with `cut`, the last one may be half."""
        starts = [1] + [match.start() + 1 for match in BOUNDARY.finditer(block)]
        ends = [*starts[1:], len(block) - 1]
        events: list[Event] = []
        index = 0
        while index < len(starts):
            for reach in range(index, min(index + JOINED_PIECES, len(starts))):
                piece = block[starts[index] : ends[reach]].strip(b", \t\r\n")
                if reach == len(starts) - 1:
                    piece = piece.rstrip(b"] \t\r\n\x00,") if not piece.endswith(b"}") else piece
                event = _loosely(piece)
                if event is not None:
                    events.append(event)
                    index = reach
                    break
            else:
                last = cut and index == len(starts) - 1
                piece = block[starts[index] : ends[index]].strip(b", \t\r\n]")
                begun = HALF_EVENT.search(piece) if last else None
                whole = _loosely(piece[: begun.start() + 1]) if begun else None
                if begun and whole is not None:
                    events.append(whole)
                    piece = begun.group(1) or b""
                elif not cut and index == len(starts) - 1:
                    # what follows the last event is none: `[{...}, true]`
                    end = piece.rfind(b"}") + 1
                    whole = _loosely(piece[:end])
                    if whole is not None:
                        events.append(whole)
                        piece = piece[end:].strip(b", \t\r\n")
                if piece:
                    self.faults[_("cut event") if last else _("damaged event")] += 1
                    events.extend(_inside(piece))
            index += 1
        return events


def _with_text(event: BareEvent) -> Event:
    event.ts = _time_text(event.ts)  # type: ignore[assignment]
    return event


def _time_text(raw: msgspec.Raw) -> str:
    return bytes(raw).decode("utf-8", errors="replace").strip().strip('"')


def _loosely(piece: bytes) -> Event | None:
    """One event in whatever types and encoding it has; None where it is no event at all."""
    try:
        return _with_text(_BARE_EVENT.decode(piece))
    except _BAD:
        pass
    for text in (piece, piece.decode("gb18030", errors="replace").encode()):
        try:
            loose = _LOOSE.decode(text)
        except _BAD:
            continue
        return Event(
            ph=str(loose.ph),
            name=str(loose.name),
            cat=None if loose.cat is None else str(loose.cat),
            pid=_identity(loose.pid),
            tid=_identity(loose.tid),
            ts=_time_text(loose.ts),
            dur=loose.dur if isinstance(loose.dur, (int, float, str)) else None,
            id=_identity(loose.id),
            args=_loose_args(loose.args),
        )
    return None


def _inside(piece: bytes) -> list[Event]:
    """The whole event after a damaged one that lost its end, where there is one."""
    for match in islice(EVENT_START.finditer(piece, 1), TRIED_STARTS):
        event = _loosely(piece[match.start() :])
        if event is not None and event.ph:
            return [event]
    return []


def _identity(value: Any) -> int | str | None:
    return value if value is None or isinstance(value, (int, str)) else str(value)


def _loose_args(value: Any) -> Args | None:
    try:
        return msgspec.convert(value, Args, strict=False)
    except msgspec.ValidationError:
        return None
