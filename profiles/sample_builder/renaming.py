"""The same captures as other compilers and profilers name their kernels."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

import pandas as pd

from sample_builder.recorder import Recorded, change
from skadvisor.vocabulary.names import base_operator
from skadvisor.vocabulary.operators import load_vocabulary

VOCABULARY = load_vocabulary()
#: Operators that change from library to library; projections, norms and experts keep their names longer.
FASHIONS = {"attention_core", "rope", "activation", "kv_cache", "qkv_proj"}


def _renamed(recorded: Recorded, name_of: Callable[[int, str, str], str], types: bool) -> Recorded:
    """New names from row number, type and old name; without `types` the type column is empty."""
    kernels = recorded.capture.kernels
    pairs = zip(kernels["op_type"].astype(str), kernels["name"].astype(str), strict=True)
    names = pd.Series(
        [name if name.startswith("hcom") else name_of(row, op, name) for row, (op, name) in enumerate(pairs)]
    )
    return change(recorded, name=names) if types else change(recorded, name=names, op_type=None)


def _hash(op: str, length: int) -> str:
    return hashlib.sha256(op.encode()).hexdigest()[:length]


def static_kernels(recorded: Recorded) -> Recorded:
    """npugraph_ex with static kernels: operator, hash, task and core limit; Triton keeps its own names."""

    def name_of(row: int, op: str, name: str) -> str:
        return f"{op}_{row}" if op.islower() else f"static_kernel_{op}_{_hash(op, 32)}_{row % 40}_d0"

    return _renamed(recorded, name_of, types=False)


def compiled_at_load(recorded: Recorded) -> Recorded:
    """Kernels compiled at load: lower case, hash, tiling and kernel number, the core behind it."""

    def name_of(row: int, op: str, name: str) -> str:
        if op.islower():
            return name
        return f"te_{op.lower()}_{_hash(op, 64)}_1__kernel0" if row % 2 else f"{op}_{_hash(op, 32)}_{row % 90}_mix_aic"

    return _renamed(recorded, name_of, types=False)


def snake_case(recorded: Recorded) -> Recorded:
    """Operators under the file names of their sources, as binary packages write them."""

    def name_of(row: int, op: str, name: str) -> str:
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", op).lower()
        return name if op.islower() else f"{snake}_{_hash(op, 32)}_{row % 90}_mix_aiv"

    return _renamed(recorded, name_of, types=False)


def paths(recorded: Recorded) -> Recorded:
    """GE nodes with the path of the module and suffixes of fusion passes."""

    def name_of(row: int, op: str, name: str) -> str:
        tail = ("", "_static_bin", "_fusion")[row % 3]
        return f"PartitionedCall_0/model/layers.{row % 7}/{op}_{row}{tail}"

    return _renamed(recorded, name_of, types=False)


def fashion(recorded: Recorded) -> Recorded:
    """Attention, rotation, cache and activation under names that nobody knows."""
    seen: dict[str, str] = {}

    def other(op: str) -> str:
        known = VOCABULARY.find(base_operator(op, None))
        if known is None or known.role not in FASHIONS:
            return op
        return seen.setdefault(op, f"Vq{chr(97 + len(seen))}Zop")

    kernels = recorded.capture.kernels
    types = pd.Series([other(op) for op in kernels["op_type"].astype(str)])
    old = zip(types, kernels["op_type"].astype(str), kernels["name"].astype(str), strict=True)
    names = pd.Series([name if op == before else f"{op}_{row}" for row, (op, before, name) in enumerate(old)])
    return change(recorded, op_type=types, name=names)
