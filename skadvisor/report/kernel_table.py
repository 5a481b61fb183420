"""The labelled kernel table as a file: CSV or Parquet."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from skadvisor.errors import InputError
from skadvisor.files.output import check_output, write_atomically

if TYPE_CHECKING:
    import pandas as pd

#: The columns of the file, in order.
COLUMNS = [
    "rank",
    "step",
    "phase",
    "layer",
    "layer_kind",
    "region",
    "role",
    "confidence",
    "start_ns",
    "dur_ns",
    "stream",
    "name",
    "op_type",
    "evidence",
    "attention_kind",
    "owner",
]


def export_table(kernels: pd.DataFrame, rank: int | None) -> pd.DataFrame:
    """The table that is written, from a labelled kernel table: `COLUMNS`, one row per kernel in time order."""
    import pandas as pd

    table = kernels.assign(rank=pd.array([rank] * len(kernels), dtype="Int64"))[COLUMNS]
    return table.assign(confidence=table["confidence"].round(4))


def write_kernel_table(
    kernels: pd.DataFrame, path: Path, *, rank: int | None, inputs: Iterable[Path] = (), force: bool = False
) -> int:
    """Write the labelled table by suffix and return the number of rows. Raises InputError for another suffix."""
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise InputError(f"cannot write {path.name}", "end the name in .csv or .parquet")
    check_output(path, force=force, inputs=inputs)
    table = export_table(kernels, rank)
    if suffix == ".csv":
        content = table.to_csv(index=False).encode()
    else:
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        content = buffer.getvalue()
    write_atomically(path, content, force=force)
    return len(table)
