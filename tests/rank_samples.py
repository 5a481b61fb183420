"""Captures of many ranks that ran together: what one rank computes longer, the others wait in the next collective."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from sample_builder.build import BuiltCapture, build
from sample_builder.formats.operator_tables import write_kernel_details
from sample_builder.model import ModelDescription

from skadvisor.ranks.stragglers import WAITING_KERNELS

SMALL_MOE = ModelDescription(
    name="small-moe", layers=6, hidden=1024, heads=16, kv_heads=4, head_dim=64, intermediate=2048, vocabulary=32000,
    qk_norm=True, experts=16, top_k=4, expert_intermediate=512, first_dense=1, expert_parallel=4, expert_path="mc2",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Ranks:
    """The folder, and what was planted: waiting and extra expert work per rank and step, ns, and the step starts."""

    folder: Path
    paths: tuple[Path, ...]
    wait_ns: np.ndarray
    expert_ns: np.ndarray


def write_ranks(
    folder: Path,
    extra_ns: Sequence[int],
    *,
    description: ModelDescription = SMALL_MOE,
    steps: int = 4,
    metadata: Sequence[dict] | None = None,
) -> Ranks:
    """Write one capture per entry of `extra_ns`: how much longer each expert matmul takes on that rank.

    All ranks draw the same durations otherwise. In each layer the first collective (or dispatch and combine) behind
    an expert matmul takes up the difference to the slowest rank, so that all ranks leave it at the same instant.
    """
    base = build(description, steps=steps, seed=11)
    paths, waits, experts = [], [], []
    for rank, extra in enumerate(extra_ns):
        shifted, wait, expert = _stretched(base, int(extra), int(max(extra_ns)))
        capture = replace(base.capture, kernels=shifted, rank=rank, device=rank)
        path = folder / f"host_{1000 + rank}_20260101_ascend_pt"
        output = path / "ASCEND_PROFILER_OUTPUT"
        output.mkdir(parents=True)
        write_kernel_details(capture, output / "kernel_details.csv")
        (path / f"profiler_info_{rank}.json").write_text(json.dumps({"rank_id": rank}))
        if metadata is not None:
            (path / "profiler_metadata.json").write_text(json.dumps(metadata[rank]))
        paths.append(path)
        waits.append(wait)
        experts.append(expert)
    return Ranks(folder, tuple(paths), np.array(waits), np.array(experts))


def _stretched(base: BuiltCapture, extra: int, most: int) -> tuple[pd.DataFrame, list[int], list[int]]:
    """The kernels of one rank, and per step its waiting and its time in expert matmuls."""
    kernels, truth = base.capture.kernels.copy(), base.truth
    duration = kernels["dur_ns"].to_numpy().copy()
    added = np.zeros(len(kernels), dtype="int64")
    waits = dict.fromkeys(sorted(set(truth["step"]) - {-1}), 0)
    owed = 0
    role, step = truth["role"].astype(str).to_numpy(), truth["step"].to_numpy()
    for row, (name, kind) in enumerate(zip(kernels["name"].astype(str), kernels["kind"].astype(str), strict=True)):
        if role[row] == "expert_matmul":
            duration[row] += extra
            added[row] = extra
            owed += most - extra
        elif owed and (kind == "collective" or WAITING_KERNELS.search(name)):
            duration[row] += owed
            added[row] = owed
            waits[step[row]] += owed
            owed = 0
    start = kernels["start_ns"].to_numpy() + np.concatenate([[0], np.cumsum(added)[:-1]])
    experts = [int(duration[(role == "expert_matmul") & (step == number)].sum()) for number in waits]
    return kernels.assign(start_ns=start, dur_ns=duration), list(waits.values()), experts
