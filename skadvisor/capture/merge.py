"""Several files of one rank into one capture: each gives what it alone has, and they are checked to agree.

The table of operators (CSV) leads, because it has shapes and exactly the operators; then the database; then the
trace. What the leading file leaves open is filled from the others, kernel by kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from skadvisor.capture import readers
from skadvisor.capture.folder import RankFiles
from skadvisor.capture.interface import DamagedError, Level, Part
from skadvisor.events import KERNEL_COLUMNS, Capture, in_order
from skadvisor.text.messages import Message, _

#: The records of one collective in two files differ by rounding, and by what counts as its start.
COLLECTIVE_TOLERANCE_NS = 1_000
KERNEL_TOLERANCE_NS = 1
LEVELS: dict[str, Level] = {"Level0": "level0", "Level1": "level1", "Level2": "level1"}


def read(ranked: RankFiles, rank: int | None = None) -> Capture:
    """Read all files of one rank and join what they say; `rank` chooses where one file holds several devices."""
    parts, damage = _read_parts(ranked, rank)
    notes = list(ranked.notes) + damage + [note for part in parts for note in part.notes]
    kernels = parts[0].kernels
    agreeing = [parts[0]]
    for part in parts[1:]:
        if kernels.empty:
            kernels = part.kernels
        elif not part.kernels.empty:
            rows = _matching_rows(kernels, part.kernels)
            notes += _disagreement(kernels, part.kernels, rows, parts[0], part)
            if not (rows >= 0).any():
                continue
            kernels = _filled(kernels, part.kernels, rows)
        agreeing.append(part)
    by_host = max(agreeing, key=lambda part: len(part.host))
    by_tasks = max(agreeing, key=lambda part: len(part.tasks))
    return Capture(
        path=ranked.path,
        producer="torch_npu" if any(part.producer == "torch_npu" for part in agreeing) else agreeing[0].producer,
        kernels=kernels,
        tasks=by_tasks.tasks,
        host=by_host.host,
        files=tuple(file for part in parts for file in part.files),
        rank=_first([ranked.rank, *(part.rank for part in agreeing)]),
        device=_first([part.device for part in agreeing]),
        level=_level(agreeing, ranked.metadata),
        metadata={name: value for part in agreeing for name, value in part.metadata.items()}
        | _metadata(ranked.metadata),
        notes=tuple(notes),
    )


def _read_parts(ranked: RankFiles, rank: int | None) -> tuple[list[Part], list[Message]]:
    """What can be read, the richer format of each reader, and a sentence on each file that cannot.

    Raises DamagedError where none can.
    """
    parts: list[Part] = []
    damage: list[DamagedError] = []
    for reader in readers.READERS:
        format = next((format for format in reader.FORMATS if format in ranked.files), None)
        if format is not None:
            try:
                parts.append(reader.read(ranked.files[format], rank))
            except DamagedError as problem:
                damage.append(problem)
    if not parts:
        raise damage[0]
    return parts, [Message(problem.message) for problem in damage]


def _first(values: Sequence[int | None]) -> int | None:
    return next((value for value in values if value is not None), None)


def _level(parts: Sequence[Part], metadata: dict[str, Any]) -> Level:
    """What the files show, else what the profiler was told."""
    shown: list[Level] = [part.level for part in parts if part.level != "unknown"]
    if shown:
        return "level1" if "level1" in shown else shown[0]
    told = _inside(metadata, "profiler_info", "config", "experimental_config", "_profiler_level")
    return LEVELS.get(str(told), "unknown")


def _metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """The profiler's own files, and from them the schedule and the versions under plain names."""
    made = dict(metadata)
    schedule = _inside(metadata, "profiler_info", "config", "common_config", "schedule")
    if isinstance(schedule, dict):
        made["schedule"] = schedule
    for name in ("torch_npu_version", "cann_version"):
        version = _inside(metadata, "profiler_info", name)
        if isinstance(version, str):
            made[name] = version
    return made


def _inside(value: Any, *names: str) -> Any:
    """What stands under these names, each inside the one before; None where nothing does."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _matching_rows(kernels: pd.DataFrame, other: pd.DataFrame) -> np.ndarray:
    """For each kernel the row of the same kernel in `other`, -1 where it has none.

    Kernels match by start and name, collectives also by name and a start within a microsecond.
    """
    names = pd.Index(kernels["name"].cat.categories)
    code = kernels["name"].cat.codes.to_numpy().astype("int64")
    translated = np.append(names.get_indexer(other["name"].cat.categories), -2)[other["name"].cat.codes.to_numpy()]
    here = pd.DataFrame({"start": kernels["start_ns"].to_numpy(), "name": code})
    there = pd.DataFrame({"start": other["start_ns"].to_numpy(), "name": translated})
    for table in (here, there):
        table["nth"] = table.groupby(["start", "name"]).cumcount()
    there["row"] = np.arange(len(there))
    joined = here.merge(there, how="left", on=["start", "name", "nth"])
    rows = joined["row"].fillna(-1).to_numpy(dtype="int64")
    taken = np.zeros(len(other), dtype=bool)
    taken[rows[rows >= 0]] = True
    _match_longer_names(kernels, other, rows, taken)
    loose = np.flatnonzero((rows < 0) & (kernels["kind"] == "collective").to_numpy())
    for row in loose.tolist():
        candidates = np.flatnonzero(~taken & (translated == code[row]))
        if len(candidates):
            distance = np.abs(there["start"].to_numpy()[candidates] - here["start"].to_numpy()[row])
            best = int(np.argmin(distance))
            if distance[best] <= COLLECTIVE_TOLERANCE_NS:
                rows[row] = candidates[best]
                taken[candidates[best]] = True
    return rows


def _match_longer_names(kernels: pd.DataFrame, other: pd.DataFrame, rows: np.ndarray, taken: np.ndarray) -> None:
    """Match what is left by start and duration, where one name ends with the other: `MatMul-op1/MatMulV2`.

    MindSpore writes the operator that launched a kernel before its name, in its table only. Changes `rows` and
    `taken` of `_matching_rows`.
    """
    tables = []
    for table, left in ((kernels, np.flatnonzero(rows < 0)), (other, np.flatnonzero(~taken))):
        columns: dict[str, Any] = {name: table[name].to_numpy()[left] for name in ("start_ns", "dur_ns")}
        tables.append(pd.DataFrame(columns | {"row": left, "name": table["name"].cat.codes.to_numpy()[left]}))
    if not len(tables[0]) or not len(tables[1]):
        return
    for table in tables:
        table["nth"] = table.groupby(["start_ns", "dur_ns"]).cumcount()
    joined = tables[0].merge(tables[1], on=["start_ns", "dur_ns", "nth"], suffixes=("", "_other"))
    names, others = kernels["name"].cat.categories, other["name"].cat.categories
    listed = joined[["row", "name", "row_other", "name_other"]].to_numpy().tolist()
    for row, name, row_other, name_other in listed:
        if _continues(str(names[name]), str(others[name_other])):
            rows[row], taken[row_other] = row_other, True


def _continues(name: str, other: str) -> bool:
    return name.endswith(f"/{other}") or other.endswith(f"/{name}")


def _disagreement(
    kernels: pd.DataFrame, other: pd.DataFrame, rows: np.ndarray, leading: Part, part: Part
) -> list[Message]:
    """Sentences on kernels that only one file holds, and on durations that differ."""
    names = f"{Path(leading.files[0].path).name} and {Path(part.files[0].path).name}"
    matched = rows >= 0
    if not matched.any():
        return [Message(_("{names} describe different runs; the second was not used"), names=names)]
    notes = []
    here, there = int((~matched).sum()), len(other) - int(matched.sum())
    if here or there:
        text = _("{names} disagree: of {first} and {second} kernels {here} and {there} are in one only")
        notes.append(Message(text, names=names, first=len(kernels), second=len(other), here=here, there=there))
    difference = np.abs(kernels["dur_ns"].to_numpy()[matched] - other["dur_ns"].to_numpy()[rows[matched]])
    allowed = np.where((kernels["kind"] == "kernel").to_numpy()[matched], KERNEL_TOLERANCE_NS, COLLECTIVE_TOLERANCE_NS)
    if (difference > allowed).any():
        text = _("{names} disagree on the duration of {count} kernels, by {most} ns at most")
        count, most = int((difference > allowed).sum()), int(difference.max())
        notes.append(Message(text, names=names, count=count, most=most))
    return notes


def _filled(kernels: pd.DataFrame, other: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """`kernels` with open values filled from the matching rows of `other`."""
    made = kernels.copy(deep=False)
    for column in KERNEL_COLUMNS:
        if column in ("start_ns", "dur_ns", "name", "kind") or not kernels[column].isna().any():
            continue
        if other[column].isna().all() or (column == "step_id" and kernels[column].notna().any()):
            continue
        given = pd.Series(cast(Any, other[column].array).take(rows, allow_fill=True))
        made[column] = _filled_column(kernels[column], given)
    return in_order(made)


def _filled_column(values: pd.Series, given: pd.Series) -> pd.Series:
    if not isinstance(values.dtype, pd.CategoricalDtype):
        return values.fillna(given)
    if values.isna().all():
        return given.cat.remove_unused_categories()
    words = pd.Index(sorted(set(values.cat.categories) | set(given.cat.categories)))
    joined = values.cat.set_categories(words).fillna(given.cat.set_categories(words))
    return joined.cat.remove_unused_categories()
