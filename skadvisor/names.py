"""Operator names: from the type and the kernel name that a capture holds to one base name.

The same operator is written `MatMulV2` (type), `aclnnMm_MatMulCommon_MatMulV2` (eager), `MatMulV2_12` (GE graph),
`AddRmsNorm_3/AddRmsNormCast` (GE graph after fusion), `static_kernel_matmul_v2_1f3a` (static kernels) or
`_triton_rope_1` (Triton). The base name is lower case, without version, counter or hash.
"""

from __future__ import annotations

import re

MISSING = {"", "n/a", "na", "none", "unknown"}

_EAGER = re.compile(r"^aclnn\w*?_(?P<rest>.+)$")
_STATIC = re.compile(r"^(?:te_)?static_kernel_(?P<operator>.+?)(?:_[0-9a-f]{6,})?(?:_\d+)*$", re.IGNORECASE)
_COUNTER = re.compile(r"(?:_\d+)+$")
_HASH = re.compile(r"_[0-9a-f]{12,}(?:_|$).*$")
_TAIL = re.compile(r"_(?:static_bin|dynamic_bin|mix_aic|mix_aiv|aic|aiv|aicpu|kernel0|tvmbin)$", re.IGNORECASE)
_VERSION = re.compile(r"v\d+(?:_\d+)?$")
_CORE = re.compile(r"(?:AiCore|AiCpu|Aicpu|AICPU)$")
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
    if op_type is not None and op_type.strip().lower() not in MISSING:
        return _fold(op_type.strip())
    if name is None or name.strip().lower() in MISSING:
        return ""
    return _fold(_operator_of_name(name.strip()))


def _operator_of_name(name: str) -> str:
    """The part of a kernel name that says which operator it is."""
    name = name.rsplit("/", 1)[-1] if "/" in name else name
    name = _TAIL.sub("", _NODE_NUMBER.sub("", name))
    static = _STATIC.match(name)
    if static:
        return static["operator"]
    eager = _EAGER.match(name)
    if eager:
        return _last_part(_COUNTER.sub("", eager["rest"]))
    name = _HASH.sub("", name)
    name = _TAIL.sub("", _COUNTER.sub("", name)) or name
    if "_to_" in name and _HUMP.search(name):
        # GE writes what a fusion pass made of a node behind "_to_"
        return name.split("_to_", 1)[1]
    return name


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
    folded = operator.lower().strip("_")
    folded = _VERSION.sub("", folded)
    return folded.rstrip("_") or operator.lower()


_LIBRARY_KERNEL = re.compile(r"(?:\d*(?:bf|fp|f|int|uint|i|u)(?:4|8|16|32|64))*(?:nd|nz)?_?kernel$")


def without_kernel_suffix(base: str) -> str:
    """The operator in a library kernel's name, which ends in its data types and `Kernel` (ATB).

    >>> without_kernel_suffix("gather16i64kernel"), without_kernel_suffix("addbf16kernel")
    ('gather', 'add')
    """
    return _LIBRARY_KERNEL.sub("", base).rstrip("_") or base


def words(base: str) -> str:
    """The base name without underscores: the form in which exact names of the vocabulary are compared."""
    return base.replace("_", "")
