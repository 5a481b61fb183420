"""The same captures as other libraries, compilers and profilers name their kernels."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from sample_builder.build import BuiltCapture
from sample_builder.perturb import change
from skadvisor.vocabulary.names import base_operator
from skadvisor.vocabulary.operators import load_vocabulary

VOCABULARY = load_vocabulary()
#: Operators that change from library to library; projections, norms and experts keep their names longer.
FASHIONS = {"attention_core", "rope", "activation", "kv_cache", "qkv_proj"}


def _retold(built: BuiltCapture, name_of: Callable[[int, str], str | None]) -> BuiltCapture:
    """New names from row number and type (None: the old one), collectives' excepted; the type column is empty."""
    kernels = built.capture.kernels
    pairs = zip(kernels["op_type"].astype(str), kernels["name"].astype(str), strict=True)
    names = [name if name.startswith("hcom") else name_of(row, op) or name for row, (op, name) in enumerate(pairs)]
    return change(built, name=pd.Series(names), op_type=None)


def _hash(op: str, length: int) -> str:
    return hashlib.sha256(op.encode()).hexdigest()[:length]


def static_kernels(built: BuiltCapture) -> BuiltCapture:
    """npugraph_ex with static kernels: operator, hash, task and core limit; Triton keeps its own names."""
    return _retold(
        built,
        lambda row, op: f"{op}_{row}" if op.islower() else f"static_kernel_{op}_{_hash(op, 32)}_{row % 40}_d0",
    )


def compiled_at_load(built: BuiltCapture) -> BuiltCapture:
    """Kernels compiled at load: lower case, hash, tiling and kernel number, the core behind it."""

    def name_of(row: int, op: str) -> str | None:
        if op.islower():
            return None
        return f"te_{op.lower()}_{_hash(op, 64)}_1__kernel0" if row % 2 else f"{op}_{_hash(op, 32)}_{row % 90}_mix_aic"

    return _retold(built, name_of)


def snake_case(built: BuiltCapture) -> BuiltCapture:
    """Operators under the file names of their sources, as binary packages write them."""

    def name_of(row: int, op: str) -> str | None:
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", op).lower()
        return None if op.islower() else f"{snake}_{_hash(op, 32)}_{row % 90}_mix_aiv"

    return _retold(built, name_of)


def paths(built: BuiltCapture) -> BuiltCapture:
    """GE nodes with the path of the module and suffixes of fusion passes."""
    tails = ("", "_static_bin", "_fusion")
    return _retold(built, lambda row, op: f"PartitionedCall_0/model/layers.{row % 7}/{op}_{row}{tails[row % 3]}")


def fashion(built: BuiltCapture) -> BuiltCapture:
    """Attention, rotation, cache and activation under names that nobody knows."""
    seen: dict[str, str] = {}

    def other(op: str) -> str:
        known = VOCABULARY.find(base_operator(op, None))
        if known is None or known.role not in FASHIONS:
            return op
        return seen.setdefault(op, f"Vq{chr(97 + len(seen))}Zop")

    kernels = built.capture.kernels
    types = [other(op) for op in kernels["op_type"].astype(str)]
    old = zip(types, kernels["op_type"].astype(str), kernels["name"].astype(str), strict=True)
    names = [name if op == before else f"{op}_{row}" for row, (op, before, name) in enumerate(old)]
    return change(built, op_type=pd.Series(types), name=pd.Series(names))


def renamed(built: BuiltCapture, known: tuple[str, ...] = ("matmul",)) -> BuiltCapture:
    """Every operator under a name that nobody knows, except those whose name holds one of `known`."""
    seen: dict[str, str] = {}

    def other(op: Any) -> str:
        text = str(op)
        if any(word in text.lower() for word in (*known, "hcom")):
            return text
        base = text.rstrip("0123456789_") if "_" in text else text
        return seen.setdefault(base, f"zq{chr(97 + len(seen) % 26)}{chr(97 + len(seen) // 26)}w")

    new = [other(op) for op in built.capture.kernels["op_type"].astype(object)]
    return change(built, op_type=pd.Series(new), name=pd.Series([f"{op}_{n}" for n, op in enumerate(new)]))


def named(built: BuiltCapture, names: Mapping[str, str]) -> BuiltCapture:
    """Operators under the names of another library."""

    def other(name: str) -> str:
        base, _, number = str(name).rpartition("_")
        return f"{names[base]}_{number}" if base in names else str(name)

    return change(built, op_type=lambda op: names.get(op, op), name=other)
