"""The captures written down in the language of kernel sequences, by file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sample_builder.build import BuiltCapture
from sample_builder.perturb import change, from_trace, keep, level0, without_shapes
from sample_builder.renaming import named, renamed
from sample_builder.runs import WORDS as COMMON
from sample_builder.sequences import read

FILES = ("small", "dense", "experts", "latent", "hybrid", "loose", "encoders", "towers", "serving", "odd")
WORDS: dict[str, Any] = {
    **COMMON, "change": change, "from_trace": from_trace, "keep": keep, "level0": level0, "named": named,
    "renamed": renamed, "without_shapes": without_shapes,
}  # fmt: skip


def _read(name: str) -> dict[str, Callable[[], BuiltCapture]]:
    WORDS["captures"] = {}
    read(Path(__file__).with_name(f"{name}.kernels"), WORDS)
    return WORDS["captures"]


#: file -> the captures that it makes.
CAPTURES = {name: _read(name) for name in FILES}


def __getattr__(name: str) -> Any:
    if name in WORDS:
        return WORDS[name]
    raise AttributeError(name)
