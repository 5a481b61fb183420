"""The labelled kernel table as a file: CSV or Parquet."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

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
    "input_shapes",
    "output_shapes",
    "core",
    "block_dim",
    "fusible",
    "fragment",
]
FORMATS = (".csv", ".parquet")


def export_table(kernels: pd.DataFrame, rank: int | None) -> pd.DataFrame:
    """The table that is written, from a judged kernel table: `COLUMNS`, one row per kernel in time order."""
    import pandas as pd

    table = kernels.rename(columns={"blocks": "block_dim"})
    table = table.assign(rank=pd.array([rank] * len(kernels), dtype="Int64"))[COLUMNS]
    return table.assign(confidence=table["confidence"].round(4))


def step_table(kernels: pd.DataFrame, step: int | None, rank: int | None) -> pd.DataFrame:
    """The kernels of one step, of those COLUMNS that the table has; times in ns since the step's first kernel."""
    chosen = kernels[kernels["step"] == step].rename(columns={"blocks": "block_dim"}).assign(rank=rank)
    chosen = chosen.assign(start_ns=chosen["start_ns"] - (chosen["start_ns"].min() if len(chosen) else 0))
    return chosen[[name for name in COLUMNS if name in chosen]].sort_values("start_ns", kind="stable")


def render_kernels(tables: Sequence[tuple[int | None, pd.DataFrame]], suffix: str) -> bytes:
    """The tables of all ranks, by rank, in one of FORMATS."""
    import pandas as pd

    in_order = sorted(tables, key=lambda one: (one[0] is None, one[0] or 0))
    table = pd.concat([export_table(kernels, rank) for rank, kernels in in_order], ignore_index=True)
    if suffix == ".csv":
        return table.to_csv(index=False).encode()
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()
