"""What the host did, from a profiler database: ranges, marks, and the launches of kernels by their connection ids."""

from __future__ import annotations

from typing import Any

import numpy as np

from skadvisor.capture import links
from skadvisor.capture.database import ids
from skadvisor.capture.database.file import Database
from skadvisor.capture.database.ids import ABSENT
from skadvisor.text.messages import _

HOST_CATEGORIES = ("cpu_op", "enqueue", "python_function", "user_annotation")
#: The types of torch_npu's calls, where ENUM_API_TYPE does not name them.
API_TYPES = {50001: "op", 50002: "queue", 50003: "trace", 50004: "mstx"}
#: Type of a host call -> the category that a trace gives it.
CATEGORIES = {"op": "cpu_op", "queue": "enqueue", "trace": "python_function", "mstx": "user_annotation"}


def read_calls(database: Database) -> dict[str, Any]:
    """Host ranges of the framework and of mstx; `category` is a code into `HOST_CATEGORIES`."""
    calls = database.numbers(
        "PYTORCH_API",
        {
            "start_ns": ("startNs",),
            "end_ns": ("endNs",),
            "thread": ("globalTid",),
            "name": ("name",),
            "type": ("type",),
            "connection": ("connectionId",),
        },
    )
    names = dict(API_TYPES)
    if {"id", "name"} <= set(database.tables.get("ENUM_API_TYPE", [])):
        names |= dict(database.read_rows("SELECT id, name FROM ENUM_API_TYPE"))
    calls["category"] = np.zeros(len(calls["type"]), dtype="int64")
    for number in np.unique(calls["type"]).tolist():
        category = CATEGORIES.get(str(names.get(number, "op")), "cpu_op")
        calls["category"][calls["type"] == number] = HOST_CATEGORIES.index(category)
    marks = database.numbers(
        "MSTX_EVENTS",
        {"start_ns": ("startNs",), "end_ns": ("endNs",), "thread": ("globalTid",), "name": ("message",)},
    )
    count = len(marks["start_ns"])
    annotation = HOST_CATEGORIES.index("user_annotation")
    marks |= {"connection": np.full(count, ABSENT), "category": np.full(count, annotation)}
    made: dict[str, Any] = {name: np.concatenate([calls[name], marks[name]]) for name in marks}
    good = (made["start_ns"] >= 0) & (made["end_ns"] >= made["start_ns"])
    if not good.all():
        database.faults[_("host call without a time")] += int((~good).sum())
    return {name: values[good] for name, values in made.items()}


def thread_numbers(host: dict[str, Any]) -> np.ndarray:
    """The thread of each range without the process that stands before it."""
    return np.where(host["thread"] >= 0, host["thread"] & 0xFFFFFFFF, ABSENT)


def attach_launches(database: Database, kernels: dict[str, Any], host: dict[str, Any], words: list[str]) -> None:
    """Add `launch_ns`, `module`, `range` and `step_id` by the connection ids."""
    connection = kernels["connection"].fillna(ABSENT).to_numpy(dtype="int64")
    launch, thread = _launches(database, host, connection)
    steps = database.numbers("STEP_TIME", {"number": ("id",), "start": ("startNs",), "end": ("endNs",)})
    listed = list(zip(*(values.tolist() for values in steps.values()), strict=True))
    links.attach_launches(kernels, launch, thread, host, words, listed)


def _launches(database: Database, host: dict[str, Any], connection: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Launch time and thread of each kernel, -1 where unknown: by the framework's call, else by the CANN call."""
    launch = np.full(len(connection), ABSENT, dtype="int64")
    thread = np.full(len(connection), ABSENT, dtype="int64")
    cann = database.numbers(
        "CANN_API", {"start_ns": ("startNs",), "thread": ("globalTid",), "connection": ("connectionId",)}
    )
    pairs = database.numbers("CONNECTION_IDS", {"id": ("id",), "connection": ("connectionId",)})
    calls = np.flatnonzero((host["connection"] >= 0) & (host["category"] == HOST_CATEGORIES.index("cpu_op")))
    call_of = ids.place(host["connection"][calls], pairs["id"])
    linked = np.flatnonzero(call_of >= 0)
    framework = {
        "connection": pairs["connection"][linked],
        "start_ns": host["start_ns"][calls[call_of[linked]]],
        "thread": host["thread"][calls[call_of[linked]]],
    }
    for source in (cann, framework):
        rows = ids.place(source["connection"], connection)
        hit = (rows >= 0) & (connection >= 0)
        launch[hit] = source["start_ns"][rows[hit]]
        thread[hit] = source["thread"][rows[hit]]
    return launch, thread
