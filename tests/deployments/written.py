"""The captures written down in the language of kernel sequences, by file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from sample_builder.build import BuiltCapture
from sample_builder.perturb import change, from_trace, keep, level0, without_shapes
from sample_builder.recorder import Recorder
from sample_builder.renaming import named, renamed
from sample_builder.runs import WORDS as COMMON
from sample_builder.sequences import read

from skadvisor.capture.collectives import kinds

FILES = (
    "small", "dense", "experts", "latent", "hybrid", "loose", "encoders", "towers", "serving", "odd", "variants",
    "published", "published_latent", "published_sparse", "published_hyper",
)  # fmt: skip


def cut_off(built: BuiltCapture, first: int, last: int) -> BuiltCapture:
    """Without the first and the last kernels."""
    count = len(built.truth)
    return keep(built, [first <= row < count - last for row in range(count)])


def without(built: BuiltCapture, *regions: str) -> BuiltCapture:
    """Without the kernels of these regions."""
    return keep(built, ~built.truth["region"].isin(regions).to_numpy())


def thinned(built: BuiltCapture, every: int) -> BuiltCapture:
    """Without one kernel of so many."""
    return keep(built, [row % every != every // 2 for row in range(len(built.truth))])


def mindspore(built: BuiltCapture) -> BuiltCapture:
    """Names as MindSpore writes them: the path of the cell, then the operator with its number."""
    cells = {"attention": "attention-LlamaAttention", "mlp": "feed_forward-LlamaFeedForward", "norm": "norm-RMSNorm"}
    truth = built.truth
    names = [
        f"Default/network-LlamaForCausalLM/model-LlamaModel/layers-CellList/{layer}-LlamaDecodeLayer/"
        f"{cells.get(region, region)}/{op}-op{number}"
        for number, (op, layer, region) in enumerate(
            zip(built.capture.kernels["op_type"], truth["layer"].fillna(-1), truth["region"], strict=True)
        )
    ]
    return change(built, name=pd.Series(names), op_type=None, input_shapes=None, output_shapes=None)


def marked(built: BuiltCapture, several: int, lost: bool) -> BuiltCapture:
    """Profiler step ids that hold several passes each, or lack on some rows."""
    ids = pd.Series([10 + step // several for step in built.truth["step"]], dtype=object)
    if lost:
        ids[[row % 7 == 3 for row in range(len(ids))]] = None
    return change(built, step_id=ids)


def as_read(built: BuiltCapture) -> BuiltCapture:
    """With the kinds that a reader gives the rows: collectives expanded on vector cores are known by their names."""
    kernels = built.capture.kernels
    columns = {name: kernels[name] for name in ("start_ns", "dur_ns", "name", "core")}
    found = kernels.assign(kind=kinds(columns))
    return replace(built, capture=replace(built.capture, kernels=found))


def listed_twice(r: Recorder) -> BuiltCapture:
    """Collectives that the profiler lists as a whole and, on the stream that runs them, as a kernel."""
    for row in [row for row in r.rows if row["kind"] == "collective"]:
        part = {
            "name": "AivKernel",
            "op_type": "AivKernel",
            "core": "AI_VECTOR_CORE",
            "stream": r.stream,
            "task": len(r.rows),
        }
        r.rows.append({**row, **part})
    return as_read(r.finish())


_CHANGES = (
    as_read, change, cut_off, from_trace, level0, listed_twice, marked, mindspore, named, renamed, thinned, without,
    without_shapes,
)  # fmt: skip
WORDS: dict[str, Any] = {**COMMON, **{one.__name__: one for one in _CHANGES}}


def _read(name: str) -> dict[str, Callable[[], BuiltCapture]]:
    WORDS["captures"] = {}
    read(Path(__file__).with_name(f"{name}.kernels"), WORDS)
    return WORDS["captures"]


#: file -> the captures that it makes.
CAPTURES = {name: _read(name) for name in FILES}
#: capture -> the layers and the kernels of a step by its source.
COUNTED: dict[str, tuple[int, dict[str, int]]] = WORDS["counted"]


def __getattr__(name: str) -> Any:
    if name in WORDS:
        return WORDS[name]
    raise AttributeError(name)
