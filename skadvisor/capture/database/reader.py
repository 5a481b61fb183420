"""Read ascend_pytorch_profiler_<rank>.db and msprof_*.db, which hold times in ns and names as ids.

Every table is read on its own as numbers and joined here: a damaged or hostile file then costs no more than its
rows, and the strings are fetched once. Only real tables are read, never views, and nothing is ever written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from skadvisor.capture import collectives, columns, links
from skadvisor.capture.database import host, ids
from skadvisor.capture.database.core_times import add_core_times
from skadvisor.capture.database.file import DAMAGE, THREADS, Database
from skadvisor.capture.database.ids import ABSENT
from skadvisor.capture.device_tasks import kind_of_type
from skadvisor.capture.interface import NO_ID, DamagedError, Part, choose_device, notes_on_skipped
from skadvisor.events import SourceFile, kernel_table, nullable, task_table
from skadvisor.text.messages import Message, _

MAGIC = b"SQLite format 3\x00"
LONGEST_PATH = 511
#: Databases of results that the profiler writes beside its own; what they are shows where they can be opened.
WITHOUT_TASKS = ("analysis.db", "communication_analyzer.db", "cluster_analysis.db")
#: Column of the kernel table -> names of the id column in COMPUTE_TASK_INFO, newest first.
WORDS: dict[str, tuple[str, ...]] = {
    "name": ("name",),
    "op_type": ("opType",),
    "core": ("taskType",),
    "state": ("opState",),
    "input_shapes": ("inputShapes",),
    "input_types": ("inputDataTypes",),
    "input_formats": ("inputFormats",),
    "output_shapes": ("outputShapes",),
    "output_types": ("outputDataTypes",),
    "output_formats": ("outputFormats",),
}
NUMBERS: dict[str, tuple[str, ...]] = {
    "blocks": ("blockNum", "blockDim", "block_dim"),
    "mix_blocks": ("mixBlockNum", "mixBlockDim"),
    "wait_ns": ("waitNs",),
}
TASK_NUMBERS = {"stream": "streamId", "task": "taskId", "model": "modelId", "connection": "connectionId"}
CLEAN: dict[str, Callable[[str], str | None]] = {
    "name": str.strip,
    "core": columns.clean_core,
    "input_shapes": columns.clean_shapes,
    "output_shapes": columns.clean_shapes,
}
#: Task types of rows among the operators that are none, and that op_summary leaves out.
NO_OPERATORS = ("WRITE_BACK", "INVALID")
#: A database of one machine; more names of chips are not looked at.
MOST_CHIPS = 16


def recognise(path: Path, head: bytes) -> str | None:
    """`database` or `msprof_database` where the file holds device tasks; None for other files."""
    if not head.startswith(MAGIC):
        return None
    try:
        with Database(path) as database:
            if not ({"TASK", "COMPUTE_TASK_INFO"} & set(database.tables)):
                return None
            return "database" if _is_of_torch(database) else "msprof_database"
    except DAMAGE:
        return None if path.name in WITHOUT_TASKS else "database"


def read(paths: Sequence[Path], rank: int | None = None) -> Part:
    """Read the database of one rank; `rank` chooses the device where one database holds several."""
    path = paths[0]
    try:
        with Database(path) as database:
            return _part(database, rank)
    except DAMAGE as problem:
        reason = " ".join(str(problem).split())[:120]
        long = len(str(path.resolve())) > LONGEST_PATH
        hint = f"SQLite opens paths of up to {LONGEST_PATH} characters: copy the file." if long else ""
        raise DamagedError(f"{path} cannot be read as a profiler database: {reason}", hint) from None


def _is_of_torch(database: Database) -> bool:
    """Whether torch_npu wrote to it, which knows the rank; msprof writes -1 for every device."""
    return "PYTORCH_API" in database.tables or bool((_ranks(database)["rank"] >= 0).any())


def _tasks_and_operators(database: Database) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The tasks of the devices, and the operators that ran as some of them."""
    tasks, operators, scheduled = database.numbers_of(
        {
            "TASK": {
                **{name: (column,) for name, column in TASK_NUMBERS.items()},
                "start_ns": ("startNs",),
                "end_ns": ("endNs",),
                "global": ("globalTaskId",),
                "device": ("deviceId",),
                "type": ("taskType",),
            },
            "COMPUTE_TASK_INFO": {"global": ("globalTaskId",), **WORDS, **NUMBERS},
            # kernels by which the AI CPU runs collectives; older schemas list them with the operators
            "COMMUNICATION_SCHEDULE_TASK_INFO": {"global": ("globalTaskId",), **WORDS, **NUMBERS},
        }
    )
    if len(scheduled["global"]):
        operators = {name: np.concatenate([values, scheduled[name]]) for name, values in operators.items()}
    lost = int((~np.isin(operators["global"], tasks["global"])).sum())
    if lost:
        database.faults[_("operator without a device task")] += lost
    return tasks, operators


def _part(database: Database, rank: int | None) -> Part:
    tasks, operators = _tasks_and_operators(database)
    device = _choose_device(database, tasks, rank)
    collective = database.numbers(
        "COMMUNICATION_OP",
        {
            "start_ns": ("startNs",),
            "end_ns": ("endNs",),
            "connection": ("connectionId",),
            "name": ("opName",),
            "op_type": ("opType",),
            "wait_ns": ("waitNs",),
            "device": ("deviceId",),
        },
    )
    if device is not None:
        mine = np.isin(collective["device"], (device, ABSENT))
        collective = {name: values[mine] for name, values in collective.items()}
    calls = host.read_calls(database)
    word_ids = [values for name, values in operators.items() if name in WORDS]
    known, words = database.strings(*word_ids, tasks["type"], collective["name"], collective["op_type"], calls["name"])
    calls["name"] = ids.codes(calls["name"], known)
    calls["kind"] = links.host_kinds(calls, words, host.HOST_CATEGORIES)
    where = ids.place(operators["global"], tasks["global"])
    for word in set(NO_OPERATORS) & set(words):
        where[(where >= 0) & (ids.codes(operators["core"], known) == words.index(word))[where]] = -1
    kernels = _kernels(tasks, operators, collective, where, known, words)
    add_core_times(database, kernels)
    kernels.pop("global")
    host.attach_launches(database, kernels, calls, words)
    made = _usable(database, kernels)
    file = SourceFile(
        path=str(database.path),
        format="database",
        rows=len(made["start_ns"]),
        state="truncated" if database.cut else "complete",
        skipped=dict(database.faults),
    )
    notes = list(notes_on_skipped(file.path, database.faults))
    if database.cut:
        notes.append(Message(_("{path}: the database is damaged; what is whole was read"), path=file.path))
    of_torch = _is_of_torch(database)
    return Part(
        format="database" if of_torch else "msprof_database",
        producer="torch_npu" if of_torch else "msprof",
        files=(file,),
        kernels=kernel_table(columns.with_null_columns(made), copy=False),
        tasks=_other_tasks(tasks, where, known, words),
        host=links.host_ranges(calls, words, host.thread_numbers(calls)),
        level="level1" if (operators["input_shapes"] >= 0).any() else "level0",
        rank=_rank(database, device),
        device=device,
        metadata=_named_chips(database),
        notes=tuple(notes),
    )


def _named_chips(database: Database) -> dict[str, tuple[str, ...]]:
    """The names of chips that msprof writes, such as Ascend910B; nothing where it writes none."""
    if "NPU_INFO" not in database.tables or "name" not in database.tables["NPU_INFO"]:
        return {}
    rows = islice(database.read_rows("SELECT DISTINCT name FROM NPU_INFO"), MOST_CHIPS)
    names = [str(name)[:100] for (name,) in rows]
    return {"npu_names": tuple(names)} if names else {}


def _choose_device(database: Database, tasks: dict[str, np.ndarray], rank: int | None) -> int | None:
    """Keep the tasks of one device only; several without a choice is an error."""
    devices = np.unique(tasks["device"][tasks["device"] >= 0]).tolist()
    device = choose_device(devices, rank, database.path)
    if len(devices) > 1:
        kept = tasks["device"] == device
        for name in tasks:
            tasks[name] = tasks[name][kept]
    return device


def _ranks(database: Database) -> dict[str, np.ndarray]:
    return database.numbers("RANK_DEVICE_MAP", {"rank": ("rankId",), "device": ("deviceId",)})


def _rank(database: Database, device: int | None) -> int | None:
    mapped = _ranks(database)
    for rank, of in zip(mapped["rank"].tolist(), mapped["device"].tolist(), strict=True):
        if rank >= 0 and (of == device or len(mapped["rank"]) == 1):
            return int(rank)
    return None


def _kernels(
    tasks: dict[str, np.ndarray],
    operators: dict[str, np.ndarray],
    collective: dict[str, np.ndarray],
    where: np.ndarray,
    known: np.ndarray,
    words: list[str],
) -> dict[str, Any]:
    """The columns of the kernel table, operators on the device and collectives, by their start."""
    chosen = np.flatnonzero(where >= 0)
    operator = where[chosen]
    nothing = np.full(len(collective["start_ns"]), ABSENT, dtype="int64")
    start = np.concatenate([tasks["start_ns"][chosen], collective["start_ns"]])
    order = None if (start[1:] > start[:-1]).all() else np.argsort(start, kind="stable")

    def joined(of_operators: np.ndarray, of_collectives: np.ndarray) -> np.ndarray:
        values = np.concatenate([of_operators, of_collectives])
        return values if order is None else values[order]

    def column(name: str) -> Any:
        if name in TASK_NUMBERS:
            values = joined(tasks[name][chosen], collective["connection"] if name == "connection" else nothing)
            if name in ("model", "connection"):
                values[values == NO_ID] = ABSENT
            return nullable(values)
        if name in NUMBERS:
            return nullable(joined(operators[name][operator], collective["wait_ns"] if name == "wait_ns" else nothing))
        below = ids.codes(collective[name], known) if name in collective else nothing
        if name == "core":
            below = np.full(len(nothing), len(words))
        codes = joined(ids.codes(operators[name], known)[operator], below)
        return columns.categorical(codes, [*words, collectives.CORE], CLEAN.get(name, columns.clean_text))

    made: dict[str, Any] = {
        "start_ns": joined(start[: len(chosen)], start[len(chosen) :]),
        "end_ns": joined(tasks["end_ns"][chosen], collective["end_ns"]),
        "global": joined(tasks["global"][chosen], nothing),
    }
    names = (*TASK_NUMBERS, *NUMBERS, *WORDS)
    with ThreadPoolExecutor(THREADS) as threads:
        made |= dict(zip(names, threads.map(column, names), strict=True))
    return {name: values for name, values in made.items() if values is not None}


def _usable(database: Database, made: dict[str, Any]) -> dict[str, Any]:
    """Without rows that lack a time or repeat another; `end_ns` becomes `dur_ns`, and `kind` is added."""
    import pandas as pd

    start, end = made["start_ns"], made.pop("end_ns")
    made["dur_ns"] = end - start
    without = (start < 0) | (end < 0)
    negative = ~without & (made["dur_ns"] < 0)
    repeated = collectives.repeated(made) & ~without & ~negative
    for reason, rows in (
        (_("row without a time"), without),
        (_("row with a negative time"), negative),
        (_("repeated row"), repeated),
    ):
        if rows.any():
            database.faults[reason] += int(rows.sum())
    keep = ~(without | negative | repeated)
    kept = {name: pd.Series(values) for name, values in made.items()}
    if not keep.all():
        kept = {name: values[keep].reset_index(drop=True) for name, values in kept.items()}
    kept["kind"] = collectives.kinds(kept)
    return kept


def _other_tasks(tasks: dict[str, np.ndarray], where: np.ndarray, known: np.ndarray, words: list[str]) -> Any:
    """Device tasks that are no operators. Tasks of a compute type without an operator belong to one listed already."""
    codes = ids.codes(tasks["type"], known)
    kinds = np.array([kind_of_type(word) for word in words] + ["kernel"], dtype=object)
    kind = kinds[codes]
    good = (where < 0) & (kind != "kernel") & (tasks["start_ns"] >= 0) & (tasks["end_ns"] >= tasks["start_ns"])
    rows = np.flatnonzero(good)
    return task_table(
        {
            "start_ns": tasks["start_ns"][rows],
            "dur_ns": tasks["end_ns"][rows] - tasks["start_ns"][rows],
            "name": columns.categorical(codes[rows], words),
            "kind": kind[rows],
            "stream": nullable(tasks["stream"][rows]),
        }
    )
