"""From the device back to the host: which range of the launching thread was innermost when a kernel was launched."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from skadvisor.capture import columns
from skadvisor.events import host_table, longest_first, nullable

if TYPE_CHECKING:
    import pandas as pd

MODULE = "nn.Module: "
#: What a host range may be, in the order of the alphabet.
KINDS = ("module", "op", "python", "queue", "range", "step")
#: Stands for a name that alone does not tell an operator from a scope.
SCOPE = len(KINDS)
STEP = re.compile(r"ProfilerStep#(\d+)")
#: Names of operators, as against scopes that people or frameworks put around them.
_OPERATOR = re.compile(
    r"[A-Za-z_]\w*(::[\w.]+)+|aclnn\w*|aclop\w*|\w+Backward\d*|autograd::.*|torch\.distributed\..*::\w+"
    r"|(empty|base|unsafe)_\w+|(record|wait|destroy|create)_event|detach_?|contiguous_\w+|format_contiguous\w*"
    r"|acl_\w+|Hccl\w+|\w+Operation"
)
#: A bare name such as Conv2D is a scope of its own, or an older NPU operator inside one of the framework's operators.
_BARE = re.compile(r"[A-Z]\w*")
_FRAMEWORK = re.compile(r"(aten|npu|c10d|torch_npu)::\w+|\w+Backward\d*")


def innermost(start: np.ndarray, end: np.ndarray, times: np.ndarray) -> np.ndarray:
    """For each time the row of the range that contains it and started last, -1 where none does.

    Ranges of one thread nest like a stack, but real traces hold a few that overlap instead: a range is left for
    the nearest earlier one that still ran when it started, and so on, which finds every range that contains the
    time whether they nest or not. `start` and `end` (ns, both inclusive) need no order.
    """
    if not len(start):
        return np.full(len(times), -1, dtype="int64")
    order = longest_first(start, end)
    starts, ends = start[order], end[order]
    place = np.searchsorted(starts, times, side="right") - 1
    active = np.flatnonzero((place >= 0) & (ends[np.maximum(place, 0)] < times))
    outer = _outer(starts, ends) if len(active) else place
    while len(active):
        place[active] = outer[place[active]]
        current = place[active]
        active = active[(current >= 0) & (ends[np.maximum(current, 0)] < times[active])]
    return np.where(place >= 0, order[np.maximum(place, 0)], -1)


def _outer(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """For each range the last earlier one that had not ended when it started, -1 where there is none."""
    outer = np.full(len(starts), -1, dtype="int64")
    stack: list[int] = []
    end_list = ends.tolist()
    for row, begin in enumerate(starts.tolist()):
        while stack and end_list[stack[-1]] < begin:
            stack.pop()
        if stack:
            outer[row] = stack[-1]
        stack.append(row)
    return outer


def innermost_on_threads(
    start: np.ndarray, end: np.ndarray, thread: np.ndarray, times: np.ndarray, launch_thread: np.ndarray
) -> np.ndarray:
    """`innermost`, each launch among the ranges of its own thread."""
    found = np.full(len(times), -1, dtype="int64")
    for one in np.unique(launch_thread[launch_thread >= 0]):
        launches = np.flatnonzero(launch_thread == one)
        ranges = np.flatnonzero(thread == one)
        inner = innermost(start[ranges], end[ranges], times[launches])
        hit = inner >= 0
        found[launches[hit]] = ranges[inner[hit]]
    return found


def attach_launches(
    kernels: dict[str, Any],
    launch: np.ndarray,
    thread: np.ndarray,
    host: Mapping[str, Any],
    words: Sequence[str],
    steps: Sequence[tuple[int, int, int]],
) -> None:
    """Add `launch_ns`, `module`, `range` and `step_id` to the kernels, by the time and the thread of their launch.

    `host` are the ranges as `host_kinds` takes them, with their `kind`; `steps` are as `step_ids` takes them.
    """
    kernels["launch_ns"] = nullable(launch)
    for kind in ("module", "range"):
        rows = np.flatnonzero(host["kind"] == kind)
        start, end, of = (host[name][rows] for name in ("start_ns", "end_ns", "thread"))
        found = innermost_on_threads(start, end, of, launch, thread)
        names = np.where(found >= 0, host["name"][rows][found] if len(rows) else -1, -1)
        values = columns.categorical(names, words, lambda word: word.removeprefix(MODULE))
        if values is not None:
            kernels[kind] = values
    if steps:
        kernels["step_id"] = step_ids(sorted(steps), kernels["start_ns"], launch)


def host_ranges(host: Mapping[str, Any], words: Sequence[str], thread: np.ndarray) -> pd.DataFrame:
    """The table of host ranges, of those that `attach_launches` takes; `thread` are their numbers for people."""
    return host_table(
        {
            "start_ns": host["start_ns"],
            "dur_ns": host["end_ns"] - host["start_ns"],
            "name": columns.categorical(host["name"], words),
            "kind": host["kind"],
            "thread": nullable(thread),
        },
        copy=False,
    )


def host_kinds(
    host: Mapping[str, np.ndarray], words: Sequence[str], categories: Sequence[str | None]
) -> pd.Categorical:
    """The kind of each host range: module, step, queue, python, op or range.

    `host` holds `start_ns`, `end_ns`, `thread`, `name` (codes into `words`) and `category` (codes into `categories`),
    that of the trace event: `cpu_op`, `python_function`, ... A scope is a host operator whose name is not that of an
    operator and in which another range ran on the same thread.
    """
    import pandas as pd

    start, end, thread, name = (host[column] for column in ("start_ns", "end_ns", "thread", "name"))

    def is_category(*chosen: str) -> np.ndarray:
        return np.array([word in chosen for word in categories] or [False])[host["category"]]

    code = {kind: number for number, kind in enumerate(KINDS)}
    word_kind = np.array([*(code.get(_kind_of_name(word), SCOPE) for word in words), SCOPE], dtype="int8")
    by_name = word_kind[name]
    scope = by_name == SCOPE
    kinds = np.where(scope, np.where(_has_inner(start, end, thread), code["range"], code["op"]), by_name)
    bare = np.flatnonzero(scope & (kinds == code["range"]) & _matches(words, name, _BARE))
    framework = np.flatnonzero(_matches(words, name, _FRAMEWORK))
    outer = innermost_on_threads(start[framework], end[framework], thread[framework], start[bare], thread[bare])
    kinds[bare[outer >= 0]] = code["op"]
    kinds[is_category("python_function") & (by_name != code["module"])] = code["python"]
    kinds[is_category("enqueue", "dequeue")] = code["queue"]
    kinds[is_category("user_annotation") & (by_name != code["step"])] = code["range"]
    used = np.bincount(kinds, minlength=len(KINDS)) > 0
    return pd.Categorical.from_codes((np.cumsum(used) - 1).astype("int8")[kinds], categories=pd.Index(KINDS)[used])


@cache
def _kind_of_name(name: str) -> str:
    if name.startswith(MODULE):
        return "module"
    if STEP.fullmatch(name):
        return "step"
    return "op" if _OPERATOR.fullmatch(name) else "scope"


def _matches(words: Sequence[str], name: np.ndarray, pattern: re.Pattern[str]) -> np.ndarray:
    return np.array([*(bool(pattern.fullmatch(word)) for word in words), False])[name]


def _has_inner(start: np.ndarray, end: np.ndarray, thread: np.ndarray) -> np.ndarray:
    """Whether the next range of the same thread starts before this one ends."""
    order = longest_first(start, end)
    order = order[np.argsort(_narrow(thread)[order], kind="stable")]
    result = np.zeros(len(start), dtype=bool)
    if len(order) > 1:
        this, following = order[:-1], order[1:]
        result[this] = (thread[this] == thread[following]) & (start[following] < end[this])
    return result


def _narrow(codes: np.ndarray) -> np.ndarray:
    """Small numbers in a small type, which is sorted by counting."""
    small = len(codes) and codes.min() >= 0 and codes.max() <= np.iinfo("uint16").max
    return codes.astype("uint16") if small else codes


def step_ids(steps: Sequence[tuple[int, int, int]], start: np.ndarray, launch: np.ndarray) -> Any:
    """Step number of each kernel, null where there is none, from host steps as (number, start ns, end ns).

    As the profiler does it: a step lasts on the device from the first to the last kernel that was launched in it,
    and every kernel that starts in that time belongs to it. `launch` is negative where the launch is unknown.
    """
    import pandas as pd

    number = np.zeros(len(start), dtype="int64")
    missing = np.ones(len(start), dtype=bool)
    for step, begin, end in steps:
        launched = (launch >= begin) & (launch <= end)
        if launched.any():
            inside = missing & (start >= start[launched].min()) & (start <= start[launched].max())
            number[inside] = step
            missing[inside] = False
    return pd.arrays.IntegerArray(number, missing)
