"""The kernel table: its columns, their types and units, and the checks that every reader's table passes.

One row is one device kernel. Rows are in time order; ties are broken by stream, task and name, so that the
order of rows in a file never shows. Tasks of the device lane that are no kernels (event waits, notifies,
copies) live in a table of their own with the columns of `TASK_COLUMNS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from skadvisor.text.messages import Message

#: name -> (pandas dtype, meaning). `Int64` and `category` columns are nullable: null means "the file does not say".
KERNEL_COLUMNS: dict[str, tuple[str, str]] = {
    "start_ns": ("int64", "start on the profiler's epoch clock, ns"),
    "dur_ns": ("int64", "duration, ns"),
    "wait_ns": ("Int64", "time since the kernel before it on the device ended, as the file says, ns"),
    "name": ("category", "kernel name as written"),
    "op_type": ("category", "operator type; null at Level0 and in traces"),
    "kind": (
        "category",
        "kernel | collective | collective_part (a fragment of a collective also listed as one)",
    ),
    "core": (
        "category",
        "AI_CORE | AI_VECTOR_CORE | MIX_AIC | MIX_AIV | AI_CPU | COMMUNICATION | other text | null",
    ),
    "state": ("category", "static | dynamic | null"),
    "stream": ("Int64", "stream id"),
    "task": ("Int64", "task id"),
    "model": ("Int64", "graph model id; null where the file says 4294967295 (no model)"),
    "blocks": ("Int64", "cores used (Block Dim or Block Num)"),
    "mix_blocks": ("Int64", "cores of the other kind in a MIX kernel"),
    "input_shapes": ("category", "tensors split by ';', dimensions by ',', quotes removed, empty slots kept"),
    "output_shapes": ("category", "as input_shapes"),
    "input_types": ("category", "data types split by ';'"),
    "output_types": ("category", "data types split by ';'"),
    "input_formats": ("category", "formats split by ';'"),
    "output_formats": ("category", "formats split by ';'"),
    "aic_ns": ("Int64", "time on the cube cores (aicore_time), ns; PMU captures only"),
    "aiv_ns": ("Int64", "time on the vector cores (aiv_time), ns; PMU captures only"),
    "step_id": ("Int64", "Step Id or ProfilerStep number that the profiler wrote"),
    "connection": ("Int64", "connection id that links the kernel to its launch"),
    "launch_ns": ("Int64", "when the host launched it, ns"),
    "module": ("category", "innermost nn.Module range that contains the launch"),
    "range": ("category", "innermost record_function or scope range that contains the launch"),
}

TASK_COLUMNS: dict[str, tuple[str, str]] = {
    "start_ns": ("int64", "start, ns"),
    "dur_ns": ("int64", "duration, ns"),
    "name": ("category", "task name as written"),
    "kind": ("category", "wait | record | copy | other"),
    "stream": ("Int64", "stream id"),
}

HOST_COLUMNS: dict[str, tuple[str, str]] = {
    "start_ns": ("int64", "start, ns"),
    "dur_ns": ("int64", "duration, ns"),
    "name": ("category", "range name as written"),
    "kind": ("category", "module | range | step | op | python | queue"),
    "thread": ("Int64", "thread id"),
}

#: What the analysis adds to each kernel. `step` is -1 for kernels outside every step.
LABEL_COLUMNS: dict[str, tuple[str, str]] = {
    "step": ("int32", "ordinal of the step in the capture, from 0"),
    "phase": ("category", "phase of the step"),
    "layer": ("Int32", "ordinal of the decoder layer in the step, from 0; null outside layers"),
    "layer_kind": ("category", "dense | moe | mtp | other; null outside layers"),
    "attention_kind": ("category", "gqa | mla | linear | sparse | unknown; null outside layers"),
    "region": ("category", "one of records.REGIONS"),
    "role": (
        "category",
        "finer than region; see DESIGN words (qkv_proj, rope, gate_up, ...), 'unknown' where open",
    ),
    "owner": ("category", "for comm: the region whose result is moved; null elsewhere"),
    "confidence": ("float64", "probability that region and role are right, 0 to 1"),
    "evidence": ("category", "short words for what the label rests on"),
}

#: One row per step of the capture.
STEP_COLUMNS: dict[str, tuple[str, str]] = {
    "step": ("int32", "ordinal, from 0"),
    "phase": ("category", "prefill | decode | mixed | training | unknown"),
    "phase_evidence": ("category", "one of records.PhaseEvidence: how the phase is known"),
    "start_ns": ("int64", "start of the first kernel"),
    "end_ns": ("int64", "end of the last kernel"),
    "mode": ("category", "eager | graph | unknown"),
    "tokens": ("Int64", "rows that pass through a layer; null without shapes"),
    "layers": ("int32", "decoder layers found"),
    "whole": ("bool", "False where the recording may begin or end within it"),
    "steady": ("bool", "False for warm-up, outlier and incomplete steps"),
    "note": ("object", "why it is not steady, a Message or None"),
}

#: Columns that together make the order of rows independent of the file.
ORDER = ["start_ns", "stream", "task", "name", "dur_ns"]

State = Literal["complete", "truncated"]


@dataclass(frozen=True)
class SourceFile:
    """One file that the capture was read from."""

    path: str
    format: str
    rows: int
    state: State = "complete"
    skipped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Capture:
    """What one rank's profiler output holds, in the project's own tables.

    `kernels`, `tasks` and `host` have the columns of `KERNEL_COLUMNS`, `TASK_COLUMNS` and `HOST_COLUMNS`.
    `notes` are sentences about what the reader met (damage, disagreement between files).
    """

    path: Path
    producer: Literal["torch_npu", "msprof", "unknown"]
    kernels: pd.DataFrame
    tasks: pd.DataFrame
    host: pd.DataFrame
    files: tuple[SourceFile, ...]
    rank: int | None = None
    device: int | None = None
    level: Literal["level0", "level1", "unknown"] = "unknown"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[Message, ...] = ()

    @property
    def state(self) -> State:
        """`truncated` as soon as one file is."""
        return "truncated" if any(file.state == "truncated" for file in self.files) else "complete"


class PlainColumns:
    """The columns of a table as plain arrays, each converted once; `table` is the table itself."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table
        self._known: dict[tuple[str, str], np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.table)

    def words(self, name: str) -> np.ndarray:
        """A column of text as objects, None where the file does not say."""
        return self._converted(name, "words", self._as_words)

    def numbers(self, name: str) -> np.ndarray:
        """A column of numbers as float64, nan where the file does not say."""
        return self._converted(name, "float64", lambda column: column.to_numpy(dtype="float64", na_value=float("nan")))

    def whole(self, name: str) -> np.ndarray:
        """A column of whole numbers as int64, -1 where the file does not say."""
        return self._converted(name, "int64", lambda column: column.to_numpy(dtype="int64", na_value=-1))

    def _converted(self, name: str, kind: str, convert: Callable[[pd.Series], np.ndarray]) -> np.ndarray:
        if (name, kind) not in self._known:
            self._known[name, kind] = convert(self.table[name])
        return self._known[name, kind]

    @staticmethod
    def _as_words(column: pd.Series) -> np.ndarray:
        import numpy as np
        import pandas as pd

        if isinstance(column.dtype, pd.CategoricalDtype):
            known = np.array([*column.cat.categories, None], dtype=object)
            return known[column.cat.codes.to_numpy()]
        words = column.to_numpy(dtype=object, copy=True)
        words[pd.isna(words)] = None
        return words


def nullable(values: np.ndarray) -> pd.Series:
    """Whole numbers that are negative where the file does not say as a nullable column."""
    import numpy as np
    import pandas as pd

    return pd.Series(pd.arrays.IntegerArray(np.maximum(values, 0), values < 0), copy=False)


def kernel_table(columns: Mapping[str, Any], *, copy: bool = True) -> pd.DataFrame:
    """Build a kernel table from column arrays of one length; missing columns become null, rows are ordered.

    Columns that are not in `KERNEL_COLUMNS` follow them as nullable floats. `copy=False` lets the table keep the
    arrays themselves, for callers who hold them no longer.
    Raises ValueError where `start_ns` or `dur_ns` is missing, null or negative.
    """
    table = _table(columns, KERNEL_COLUMNS, copy)
    if (table["dur_ns"] < 0).any() or (table["start_ns"] < 0).any():
        raise ValueError("a kernel with a negative start or duration")
    return in_order(table)


def in_order(kernels: pd.DataFrame) -> pd.DataFrame:
    """The table in the order of `ORDER`; the same table where it is in order."""
    import numpy as np
    import pandas as pd

    start = kernels["start_ns"].to_numpy()
    if (start[1:] > start[:-1]).all():
        return kernels
    order = np.argsort(start, kind="stable")
    tied = _tied(start, order)
    among = kernels[ORDER].take(order[tied]).reset_index(drop=True).sort_values(ORDER, kind="stable").index
    order[tied] = order[tied][among.to_numpy()]
    if (order[1:] > order[:-1]).all():
        return kernels
    ordered = kernels.take(order)
    ordered.index = pd.RangeIndex(len(ordered))
    return ordered


def task_table(columns: Mapping[str, Any]) -> pd.DataFrame:
    """Build the table of device tasks that are no kernels; see `TASK_COLUMNS`."""
    return _table(columns, TASK_COLUMNS).sort_values(["start_ns", "dur_ns"], kind="stable", ignore_index=True)


def host_table(columns: Mapping[str, Any], *, copy: bool = True) -> pd.DataFrame:
    """Build the table of host ranges; see `HOST_COLUMNS`. Longer ranges come first among equal starts.

    `copy=False` lets the table keep the arrays themselves, for callers who hold them no longer.
    """
    import pandas as pd

    table = _table(columns, HOST_COLUMNS, copy)
    order = longest_first(table["start_ns"].to_numpy(), table["dur_ns"].to_numpy())
    if (order[1:] > order[:-1]).all():
        return table
    ordered = table.take(order)
    ordered.index = pd.RangeIndex(len(ordered))
    return ordered


def longest_first(start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The order of ranges by start, the longer ones first among equal starts; equal ranges stay in their order.

    `length` is the duration or the end: among equal starts both say the same. Files are nearly in order of time, for
    which a stable sort is fast, and few starts are equal.
    """
    import numpy as np

    order = np.argsort(start, kind="stable")
    tied = _tied(start, order)
    among = order[tied]
    order[tied] = among[np.lexsort((-length[among], start[among]))]
    return order


def start_and_end(kernels: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """When each row begins and ends, ns, (N,) each."""
    start = kernels["start_ns"].to_numpy(dtype="int64")
    return start, start + kernels["dur_ns"].to_numpy(dtype="int64")


def idle_before(start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """How long nothing ran before each of the given kernels, 0 for the first, (N,); in order of their start."""
    import numpy as np

    idle = np.zeros(len(start), dtype="int64")
    idle[1:] = np.maximum(0, start[1:] - np.maximum.accumulate(start + length)[:-1])
    return idle


def _tied(start: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Which places of an order by start hold a row that starts when a neighbour does."""
    import numpy as np

    same = start[order[1:]] == start[order[:-1]]
    tied = np.zeros(len(order), dtype=bool)
    tied[1:] = same
    tied[:-1] |= same
    return tied


def _table(columns: Mapping[str, Any], known: Mapping[str, tuple[str, str]], copy: bool = True) -> pd.DataFrame:
    import pandas as pd

    for required in ("start_ns", "dur_ns"):
        if required not in columns:
            raise ValueError(f"the table lacks {required}")
    rows = len(columns["start_ns"])
    made: dict[str, Any] = {}
    for name, (dtype, _) in known.items():
        made[name] = _array(columns[name] if name in columns else pd.Series([None] * rows, dtype="object"), dtype)
    for name in columns:
        if name not in known:
            made[name] = _array(columns[name], "Float64")
    return pd.DataFrame(made, copy=copy)


def _array(values: Any, dtype: Any) -> Any:
    """The pandas array of one column, converted only where it is of another type."""
    import pandas as pd

    series = pd.Series(values, copy=False)
    return (series if series.dtype == dtype else series.astype(dtype)).array
