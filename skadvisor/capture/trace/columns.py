"""Make numbers of what was gathered from a trace: int64 ns from the texts of the times, codes for words and lanes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from skadvisor.capture.columns import float_nanoseconds, nanoseconds
from skadvisor.capture.trace.events import Arrows, Codes, Gathered, Ranges, Texts
from skadvisor.text.messages import _

#: So many texts are converted together: they stay in the cache of a processor.
ROWS = 1 << 15
_DIGIT, _POINT, _LINE_END = (np.uint8(ord(character)) for character in "0.\n")
#: The shortest and the longest text that may be converted together with others, its line end included.
_WIDTHS = range(6, 22)


@dataclass
class TraceColumns:
    """The columns of a trace.

    `ranges` are all events with a duration (start_ns, dur_ns, name, cat, lane), `device` the arguments of those that
    are device tasks (row of the ranges, type, stream, task, model, connection), `begins` and `ends` the arrows from
    host to device (time_ns, id, cat, lane). Codes point into `words` and `lanes`.
    """

    ranges: dict[str, np.ndarray]
    device: dict[str, np.ndarray]
    begins: dict[str, np.ndarray]
    ends: dict[str, np.ndarray]
    words: list[str | None]
    lanes: list[tuple[Any, Any]]
    processes: dict[Any, str]
    labels: dict[Any, str]
    threads: dict[tuple[Any, Any], str]
    events: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    cut: bool = False

    @cached_property
    def texts(self) -> list[str]:
        """The words, those that are null as empty text."""
        return [word or "" for word in self.words]


def trace_columns(part: Gathered) -> TraceColumns:
    """The columns of one part of a trace. Events without a usable time are left out and counted."""
    words, lanes = Codes(), Codes()
    codes = {
        "name": _lookup(words[name] for name, _, _, _ in part.kinds),
        "cat": _lookup(words[category] for _, category, _, _ in part.kinds),
        "lane": _lookup(lanes[(process, thread)] for _, _, process, thread in part.kinds),
    }
    types = _lookup(words[word] for word in part.device.words)
    faults: Counter[str] = Counter()
    ranges, usable = _ranges(part.ranges, codes, faults)
    device = {
        "row": np.frombuffer(part.device.rows, dtype="int64"),
        "type": types[np.frombuffer(part.device.types, dtype="int32")],
        "stream": np.frombuffer(part.device.streams, dtype="int64"),
        "task": np.frombuffer(part.device.tasks, dtype="int64"),
        "model": np.frombuffer(part.device.models, dtype="int64"),
        "connection": np.frombuffer(part.device.connections, dtype="int64"),
    }
    if not usable.all():
        kept = usable[device["row"]]
        device = {name: values[kept] for name, values in device.items()}
        device["row"] = np.cumsum(usable)[device["row"]] - 1
    return TraceColumns(
        ranges=ranges,
        device=device,
        begins=_arrows(part.begins, codes, faults),
        ends=_arrows(part.ends, codes, faults),
        words=list(words),
        lanes=list(lanes),
        processes=dict(part.processes),
        labels=dict(part.labels),
        threads=dict(part.threads),
        events=part.events,
        faults=+faults + Counter(part.faults),
        cut=part.cut,
    )


def _lookup(codes: Any) -> np.ndarray:
    return np.array([*codes] or [0], dtype="int32")


def _ranges(
    ranges: Ranges, codes: dict[str, np.ndarray], faults: Counter[str]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The columns of the ranges with a usable time, and which these are."""
    kinds = np.frombuffer(ranges.kinds, dtype="int32")
    start, no_start = times(ranges.times)
    duration, no_duration = float_nanoseconds(np.frombuffer(ranges.durations, dtype="float64"))
    for row, text in ranges.odd_durations.items():
        value = nanoseconds(text)
        duration[row], no_duration[row] = (0, True) if value is None else (value, False)
    bad = no_start | no_duration
    negative = ~bad & ((start < 0) | (duration < 0))
    faults[_("event without a time")] += int(bad.sum())
    faults[_("event with a negative time")] += int(negative.sum())
    usable = ~(bad | negative)
    if not usable.all():
        start, duration, kinds = start[usable], duration[usable], kinds[usable]
    made = {"start_ns": start, "dur_ns": duration} | {name: code[kinds] for name, code in codes.items()}
    return made, usable


def _arrows(arrows: Arrows, codes: dict[str, np.ndarray], faults: Counter[str]) -> dict[str, np.ndarray]:
    time, missing = times(arrows.times)
    ids, kinds = np.frombuffer(arrows.ids, dtype="uint64"), np.frombuffer(arrows.kinds, dtype="int32")
    if missing.any():
        faults[_("arrow without a time")] += int(missing.sum())
        time, ids, kinds = time[~missing], ids[~missing], kinds[~missing]
    return {"time_ns": time, "id": ids, "cat": codes["cat"][kinds], "lane": codes["lane"][kinds]}


def times(texts: Texts) -> tuple[np.ndarray, np.ndarray]:
    """Decimal microseconds as int64 ns, and which texts are no such number.

    Texts of one width with three decimals are converted together, the others one by one.
    """
    values, missing = np.zeros(texts.count, dtype="int64"), np.zeros(texts.count, dtype=bool)
    if not texts.count:
        return values, missing
    characters = np.frombuffer(texts.joined, dtype="uint8")
    width, rest = divmod(len(characters), texts.count)
    if not rest and width in _WIDTHS and _fixed_point(characters.reshape(-1, width), values):
        return values, missing
    ends = np.flatnonzero(characters == _LINE_END) + 1
    begins = np.concatenate([[0], ends[:-1]])
    widths = ends - begins
    for width in np.unique(widths).tolist():
        rows = np.flatnonzero(widths == width)
        same = characters[begins[rows][:, None] + np.arange(width)]
        together = np.empty(len(rows), dtype="int64")
        padded = _with_three_decimals(same)
        if padded.shape[1] in _WIDTHS and _fixed_point(padded, together):
            values[rows] = together
            continue
        for row, text in zip(rows.tolist(), same, strict=True):
            value = nanoseconds(text.tobytes().decode().strip().strip('"'))
            values[row], missing[row] = (0, True) if value is None else (value, False)
    return values, missing


def _with_three_decimals(rows: np.ndarray) -> np.ndarray:
    """Texts of one width with zeros behind their decimals, where all have one or all have two."""
    for missing in (1, 2):
        if rows.shape[1] > 4 and (rows[:, missing - 5] == _POINT).all():
            return np.insert(rows, [rows.shape[1] - 1] * missing, _DIGIT, axis=1)
    return rows


def _fixed_point(rows: np.ndarray, values: np.ndarray) -> bool:
    """Fill `values` where every row is digits, a point, three digits and a line end; False where one is not.

    As many rows as texts, each with its one line end at its end: so a row is a text.
    """
    for begin in range(0, len(rows), ROWS):
        # One contiguous line per character position.
        characters = np.ascontiguousarray(rows[begin : begin + ROWS].T)
        if not ((characters[-1] == _LINE_END).all() and (characters[-5] == _POINT).all()):
            return False
        digits = characters - _DIGIT
        if len(digits) == _WIDTHS[-1] and (digits[0] == 9).any():
            return False  # 19 digits that int64 may not hold
        value = values[begin : begin + ROWS]
        value[:] = 0
        for place in (*range(len(digits) - 5), -4, -3, -2):
            if (digits[place] > 9).any():
                return False
            value *= 10
            value += digits[place]
    return True


def join(first: TraceColumns, second: TraceColumns) -> TraceColumns:
    """Two parts of one trace as one."""
    words = Codes({word: code for code, word in enumerate(first.words)})
    lanes = Codes({lane: code for code, lane in enumerate(first.lanes)})
    word = _lookup(words[value] for value in second.words)
    lane = _lookup(lanes[value] for value in second.lanes)
    # The codes of the first part stay, those of the second one change to them.
    moves: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "name": word.take,
        "cat": word.take,
        "type": word.take,
        "lane": lane.take,
        "row": lambda rows: rows + len(first.ranges["start_ns"]),
    }

    def stacked(above: dict[str, np.ndarray], below: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {
            name: np.concatenate([above[name], moves[name](below[name]) if name in moves else below[name]])
            for name in above
        }

    return TraceColumns(
        ranges=stacked(first.ranges, second.ranges),
        device=stacked(first.device, second.device),
        begins=stacked(first.begins, second.begins),
        ends=stacked(first.ends, second.ends),
        words=list(words),
        lanes=list(lanes),
        processes=first.processes | second.processes,
        threads=first.threads | second.threads,
        labels=first.labels | second.labels,
        events=first.events + second.events,
        faults=first.faults + second.faults,
        cut=first.cut or second.cut,
    )
