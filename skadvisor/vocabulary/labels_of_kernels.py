"""The operator of a kernel as rules and tables know it: its type, else what its name says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skadvisor.vocabulary.arrays import Words
from skadvisor.vocabulary.names import operator_type
from skadvisor.vocabulary.superkernel_names import TYPE, is_superkernel

if TYPE_CHECKING:
    from skadvisor.events import PlainColumns


def operator_label(op_type: object, name: object) -> str:
    """The operator as rules know it: its type, or at Level0, where there is none, what the kernel name says."""
    if is_superkernel(op_type, name):
        return TYPE
    if isinstance(op_type, str) and op_type:
        return op_type
    return operator_type(name) if isinstance(name, str) else ""


def operator_labels(kernels: PlainColumns) -> Words:
    """`operator_label` of each kernel of a kernel table."""
    pairs = list(zip(kernels.words("op_type").tolist(), kernels.words("name").tolist(), strict=True))
    known = {pair: operator_label(*pair) for pair in set(pairs)}
    return np.array([known[pair] for pair in pairs], dtype=object)
