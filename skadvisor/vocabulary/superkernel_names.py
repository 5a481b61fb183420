"""SuperKernel rows: which they are, which scope they come from and which operators they begin and end with.

GE writes `sk_<scope>[_split_<a>_<b>]_start_<first>_end_<last>`, npugraph_ex
`sk_<id>_<scope or none>_start_static_kernel_<first>_..._end_..._<last>`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skadvisor.vocabulary.names import base_operator, operator_type
from skadvisor.vocabulary.operators import Vocabulary
from skadvisor.vocabulary.states import State
from skadvisor.vocabulary.word_lists import WORD_LISTS

if TYPE_CHECKING:
    import pandas as pd

S = State
PREFIX = "sk:"
#: The operator type of SuperKernel rows.
TYPE = "SuperKernel"
#: What npugraph_ex writes in place of a scope where it chose the kernels itself.
NO_SCOPE = "none"

_NAME = re.compile(r"^sk_(?P<scope>.*?)(?:_split_\d+_\d+)?_start_(?P<first>.+)_end_(?P<last>.+)$", re.IGNORECASE)
_WORDS = tuple((re.compile(entry["pattern"]), entry["holds"]) for entry in WORD_LISTS["superkernel_scope"])
_STATES = {"attention": S.ATTENTION_CORE, "moe": S.EXPERTS, "mlp": S.MLP_UP}
_ATTENTION_ROLES = {"attention_core", "indexer", "kv_cache", "rope", "qkv_proj", "out_proj"}
_MOE_ROLES = {"router", "dispatch", "expert_matmul", "combine", "shared_expert"}


@dataclass(frozen=True)
class SuperKernelName:
    """Scope label without numbers, and the base names of the first and the last operator."""

    scope: str
    first: str
    last: str


def parse(name: str) -> SuperKernelName | None:
    """The parts of a SuperKernel row's name; None for any other kernel.

    >>> parse("sk_attention_layer_3_start_MatMulV2_12_end_MatMulV2_15")
    SuperKernelName(scope='attention_layer', first='matmul', last='matmul')
    """
    found = _NAME.match(name)
    if found is None:
        return None
    scope = re.sub(r"_?\d+", "", found["scope"]).strip("_").lower()
    return SuperKernelName(scope, base_operator(None, found["first"]), base_operator(None, found["last"]))


def is_superkernel(op_type: object, name: object) -> bool:
    """Whether a row is a SuperKernel, by its type or by its name: nothing else is called so, whatever type it has."""
    return op_type == TYPE or (isinstance(name, str) and parse(name) is not None)


def superkernel_rows(kernels: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows of a kernel table are SuperKernels, (N,); see `is_superkernel`."""
    named = [name for name in kernels["name"].unique() if is_superkernel(None, name)]
    return ((kernels["op_type"] == TYPE) | kernels["name"].isin(named)).to_numpy(dtype=bool)


def scope_of(name: str) -> str:
    """The scope of a SuperKernel row as the code labels it: with its layer, without the split and npugraph_ex's number.

    NO_SCOPE where npugraph_ex chose it; the whole name where the row names none.

    >>> scope_of("sk_layer_3_split_1_2_start_MatMulV2_12_end_MatMulV2_15"), scope_of("sk_4_none_start_Cast_end_Add")
    ('layer_3', 'none')
    """
    found = _NAME.match(name.strip())
    return re.sub(r"^\d+_", "", found["scope"]) if found else name.strip()


def ends_of(name: str) -> str:
    """The types of the first and the last operator that a SuperKernel's name tells, empty where it does not.

    >>> ends_of("sk_46_layer_46_start_static_kernel_Cast_end_static_kernel_MatMulV3_ca12bf08_15_d0")
    'Cast ... MatMulV3'
    """
    return " ... ".join(operator_type(operator) for operator in end_names(name))


def end_names(name: str) -> tuple[str, ...]:
    """The first and the last operator of a SuperKernel row as its name has them, none where it names none."""
    found = _NAME.match(name)
    return (found["first"], found["last"]) if found else ()


def without_build(name: str) -> str:
    """The name without what another compilation or process changes: hash and process number of static kernels.

    >>> without_build("sk_0_none_start_static_kernel_Cast_" + "5627ae2e" * 4 + "_372483_d0_end_clear_ops")
    'sk_0_none_start_static_kernel_Cast_end_clear_ops'
    """
    return re.sub(r"_[0-9a-f]{32,}(?:_\d+)?(?:_d\d+)?", "", name)


def base_of(name: str) -> str | None:
    """A base name that keeps what `state_of` needs; None for any other kernel."""
    parts = parse(name)
    return None if parts is None else f"{PREFIX}{parts.scope}:{parts.first}:{parts.last}"


def end_roles(base: str, vocabulary: Vocabulary) -> tuple[str, str]:
    """The roles of the first and the last operator, `unknown` where the vocabulary does not know it."""
    _scope, *operators = base.removeprefix(PREFIX).split(":", 2)
    first, last = (vocabulary.find(operator) for operator in operators)
    return (first.role if first else "unknown", last.role if last else "unknown")


def state_of(base: str, vocabulary: Vocabulary) -> State | None:
    """The state that stands for a SuperKernel's sub-block; None where it spans several or nothing tells."""
    scope = base.removeprefix(PREFIX).split(":", 1)[0]
    for pattern, meaning in _WORDS:
        if pattern.search(scope):
            return _STATES.get(meaning)
    roles = set(end_roles(base, vocabulary))
    if roles <= _ATTENTION_ROLES:
        return S.ATTENTION_CORE
    return S.EXPERTS if roles <= _MOE_ROLES else None
