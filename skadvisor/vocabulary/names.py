"""Operator names: from the type and the kernel name that a capture holds to one base name.

The same operator is written `MatMulV2` (type), `aclnnMm_MatMulCommon_MatMulV2` (eager), `MatMulV2_12` (GE graph),
`AddRmsNorm_3/AddRmsNormCast` (GE graph after fusion), `static_kernel_MatMulV2_ca12bf08_15_d0` (static kernels),
`te_matmulv2_5e3c44d2a1b0_1__kernel0` (compiled at load), `MatMulV3_7f3a1b2c4d5e_1000_mix_aic`,
`MatMulV2_ND_ND_FP16_FP16_false_true_all_98513` or `SwiGlu_3_high_performance_27` (binary packages) or `_triton_rope_1`
(Triton). The base name is lower case, without version, counter or hash.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

_MISSING = {"", "n/a", "na", "none", "unknown"}

_EAGER = re.compile(r"^aclnn\w*?_(?P<rest>.+)$")
#: What a compiler or GE writes before an operator: kernels compiled for fixed shapes, at load, and inserted nodes.
_PREFIX = re.compile(r"^(?:te_)?static_kernel_|^te_(?=\w*_)|^(?:\w+_)?trans_(?=[A-Z])|^atomic_clean_", re.IGNORECASE)
_COUNTER = re.compile(r"(?:_\d+)+$")
#: A hash and all that follows it. Twelve digits are one anyhow, fewer where letters and digits mix.
_HASH = re.compile(r"_(?:[0-9a-f]{12,}|(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{6,})(?:_.*)?$")
#: Static kernels always carry one, however short.
_STATIC_HASH = re.compile(r"_(?:[0-9a-f]{6,}|(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{4,})(?:_.*)?$", re.IGNORECASE)
_TAIL = re.compile(
    r"_(?:static_bin|dynamic_bin|mix_aic|mix_aiv|aic|aiv|aicpu|_?kernel0|tvmbin|high_performance|high_precision|d\d+|fusion|\d+)$",
    re.IGNORECASE,
)
#: Formats and all that follows them, as in `MatMulV2_ND_ND_FP16_FP16_false_true_all_98513`.
_FORMATS = re.compile(r"_(?:ND|NZ|FRACTAL_NZ|FRACTAL_Z|NCHW|NHWC|NC1HWC0)(?:_.*)?$")
#: An operator's interface without the kernel behind it, as in `aclnnInplaceCopy`.
_INTERFACE = re.compile(r"^aclnn(?:Inplace|Inner)?(?=[A-Z]\w)")
#: What names of compiled kernels begin with: the operator in them is the kernel's own. A graph's nodes are called
#: `MatMul_12` or `AddRmsNorm_3/AddRmsNormCast` after what they were before the compiler chose a kernel.
_COMPILED = re.compile(r"aclnn\w*?_|(?:te_)?static_kernel_|te_(?=\w*_)", re.IGNORECASE)
_VERSION = re.compile(r"v\d+(?:_\d+)?$")
#: Where the operator runs or who wrote it, behind its name: `SliceAiCore`, `LinearOperation` (ATB).
_CORE = re.compile(r"(?:AiCore|AiCpu|Operation)$", re.IGNORECASE)
_HUMP = re.compile(r"[A-Z]")
#: MindSpore numbers the operators of a graph: `Default/network-Net/layers-CellList/0-Layer/MatMul-op17`.
_NODE_NUMBER = re.compile(r"-op\d+$")


def base_operator(op_type: str | None, name: str | None) -> str:
    """The base name of an operator; from the type where the capture has one, else from the kernel name.

    >>> base_operator("MatMulV2", "aclnnMm_MatMulCommon_MatMulV2")
    'matmul'
    >>> base_operator(None, "AddRmsNorm_3/AddRmsNormCast")
    'addrmsnormcast'
    """
    if op_type is not None and not is_missing(op_type):
        # custom kernels bear their compiled name as type: `mla_preprocess_0_mix_aic`
        return _fold(_operator_of_name(op_type.strip()))
    if name is None or is_missing(name):
        return ""
    return _fold(_operator_of_name(name.strip()))


def is_missing(text: str | None) -> bool:
    """Whether a type or name says nothing."""
    return text is None or text.strip().lower() in _MISSING


def without_counter(name: str) -> str:
    """The name with one counter for all behind it, where the operator is read the same whatever the counter is.

    >>> without_counter("Default/MatMulV2_12"), without_counter("MatMulV2"), without_counter("aclnnMul_12")
    ('Default/MatMulV2_0', 'MatMulV2', 'aclnnMul_12')
    """
    stem = name.rstrip("0123456789")
    numbered = stem != name and stem.endswith("_") and stem[-2:-1] not in ("", "/") and not stem.startswith("aclnn")
    return stem + "0" if numbered else name


def distinct_names(names: pd.Series) -> tuple[list[str], NDArray[np.int64]]:
    """The names without their counters, each once, and which of them each kernel has, (N,), -1 where it has none."""
    import numpy as np
    import pandas as pd

    bare = [without_counter(str(name)) for name in names.cat.categories.tolist()]
    numbers, distinct = pd.factorize(np.array(bare, dtype=object))
    return distinct.tolist(), np.append(numbers, -1)[names.cat.codes.to_numpy()]


def operator_type(name: str) -> str:
    """The operator type that a kernel name (or a type in another form) ends in, with its version and case.

    >>> operator_type("aclnnMm_MatMulCommon_MatMulV2"), operator_type("static_kernel_MatMulV3_ca12bf08_15_d0")
    ('MatMulV2', 'MatMulV3')
    """
    operator = _operator_of_name(name.strip())
    operator = _COUNTER.sub("", operator) or operator
    return _CORE.sub("", operator) or operator


def compiled_type(name: str) -> str:
    """The operator type that the name of a compiled kernel holds; empty for names of a graph's nodes.

    >>> compiled_type("aclnnMm_MatMulCommon_MatMulV2"), compiled_type("MatMul_12")
    ('MatMulV2', '')
    """
    return operator_type(name) if _COMPILED.match(name.strip()) else ""


def _operator_of_name(name: str) -> str:
    """The part of a kernel name that says which operator it is."""
    name = name.rsplit("/", 1)[-1] if "/" in name else name
    eager = _EAGER.match(name)
    if eager:
        return _last_part(_without_tails(eager["rest"]))
    if name.endswith("_MemSet"):
        return "MemSet"  # clears what the node before it writes
    name = _without_tails(_NODE_NUMBER.sub("", name))
    bare = _FORMATS.sub("", _PREFIX.sub("", _INTERFACE.sub("", name)))
    hashed = _STATIC_HASH if "static_kernel_" in name.lower() else _HASH
    name = _without_tails(hashed.sub("", bare)) or bare
    if "_to_" in name and _HUMP.search(name):
        # GE writes what a fusion pass made of a node behind "_to_"
        return name.split("_to_", 1)[1]
    return name


def _without_tails(name: str) -> str:
    """Without counters, core, core limits and pass suffixes behind an operator's name, in any order."""
    while True:
        shorter = _TAIL.sub("", name)
        if shorter in ("", name):
            return name
        name = shorter


def _last_part(rest: str) -> str:
    """The kernel's operator in the tail of an eager name, such as `CastAiCore_Cast`."""
    parts = rest.split("_")
    last = parts[-1]
    if len(parts) > 1 and not last:
        last = parts[-2]
    # custom operators keep their snake-case name whole
    return rest if last.islower() and len(parts) > 2 else _CORE.sub("", last)


def _fold(operator: str) -> str:
    """Lower case, without counter and version; snake case stays only where the name is not the fold of a known form."""
    operator = _COUNTER.sub("", operator) or operator
    operator = _CORE.sub("", operator) or operator
    folded = operator.lower().strip("_")
    folded = _VERSION.sub("", folded)
    return folded.rstrip("_") or operator.lower()


_LIBRARY_KERNEL = re.compile(
    r"(?:\d*(?:bf|fp|f|int|uint|i|u)(?:4|8|16|32|64))*(?:nd|nz)?(?:(?:in|out)put\d+)?(?:aicpu)?(?:kernel|tactic)$"
)
_SNAKE_KERNEL = re.compile(r"_(?:kernel|triton)(?:_\w+)?$")


def without_kernel_suffix(base: str) -> str:
    """The operator in a library kernel's name: data types and `Kernel` or `Tactic` (ATB), or `_kernel`, end it.

    >>> without_kernel_suffix("gather16i64kernel"), without_kernel_suffix("addbf16kernel")
    ('gather', 'add')
    >>> without_kernel_suffix("expand_kernel")
    'expand'
    """
    shorter = _SNAKE_KERNEL.sub("", base)
    if shorter == base:
        shorter = _LIBRARY_KERNEL.sub("", base)
    return shorter.rstrip("_") or base


def words(base: str) -> str:
    """The base name without underscores: the form in which exact names of the vocabulary are compared."""
    return base.replace("_", "")
