"""Which chip and which CANN a capture comes from: by what its metadata names, by core counts, by operator types."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skadvisor.fusion.readings import HARDWARE
from skadvisor.fusion.rules import fold
from skadvisor.text.messages import Message, _
from skadvisor.vocabulary.names import compiled_type

if TYPE_CHECKING:
    import pandas as pd

#: Names of SoCs, most telling first. msprof writes Ascend910B for Ascend910_93 as well: both are its platform 5.
_NAMES = (
    (re.compile(r"ascend910_93\w*|atlas a3.*|a3", re.IGNORECASE), ("A3",)),
    (re.compile(r"ascend(?:950|910_95)\w*|950", re.IGNORECASE), ("950",)),
    (re.compile(r"ascend310p\w*|310p", re.IGNORECASE), ("310P",)),
    (re.compile(r"ascend910b\d\w*(?:-\d)?|atlas a2.*|a2", re.IGNORECASE), ("A2",)),
    (re.compile(r"ascend910b", re.IGNORECASE), ("A2", "A3")),
)
#: Keys of metadata under which a chip may be named.
_KEYS = re.compile(r"soc|chip|npu|platform|device|hardware|product", re.IGNORECASE)
_DEEPEST, _MOST_VALUES = 6, 5_000

#: Cube cores of the SoCs (platform_config of CANN): twice as many Vector cores each. 310P has 8.
_CUBE_CORES = {20: ("A2", "A3"), 24: ("A2", "A3"), 25: ("A2", "A3"), 28: ("950",), 32: ("950",), 36: ("950",)}
#: A count of cores is believed when at least so many kernels have it.
_RECURRING = 3

#: Types that some families alone have: aclnn and GE take the V3 products on 950 and rewrite RotaryMul there, its graphs
#: have no types with constant attributes (ending in D), and only its cores know the MX formats.
_NOT_ON_950 = (
    *("MatMul", "MatMulV2", "BatchMatMul", "BatchMatMulV2", "RotaryMul", "StridedSliceD", "SplitVD", "ConcatV2D"),
    *("TransposeD", "ReduceMeanD", "ReduceSumD", "ReduceMaxD", "TileD", "GatherV2D"),
)
_ON_FEW: Mapping[str, tuple[str, ...]] = {
    **{fold(name): ("A2", "A3", "310P") for name in _NOT_ON_950},
    **{fold(name): ("950",) for name in ("DynamicMxQuant", "SwigluMxQuant", "FusedMatMul", "SwigluGroupQuant")},
    **{fold(name): ("A3", "950") for name in ("MoeDistributeDispatchV3", "MoeDistributeCombineV3")},
    **{fold(name): ("A2",) for name in ("MatmulAllReduceAddRmsNorm", "RopeQuantKvcache")},
}


@dataclass(frozen=True)
class Chip:
    """The families that are left, joined as in "A2/A3", "unknown" where nothing tells; and how that is known."""

    hardware: str
    how: Message


def know_chip(told: str | None, kernels: pd.DataFrame, metadata: Mapping[str, Any]) -> Chip:
    """The chip that the user told, else the one that the capture shows."""
    return infer_chip(kernels, metadata) if told is None else Chip(told, Message(_("as told with --hardware")))


def infer_chip(kernels: pd.DataFrame, metadata: Mapping[str, Any]) -> Chip:
    """The chip of a capture. `kernels` needs op_type, name, core and blocks; what the metadata names settles it."""
    named = sorted(set(_names_in(metadata, "", 0, [0])), key=lambda name: (len(families_of_name(name)), name))
    if named:
        return Chip(
            "/".join(families_of_name(named[0])), Message(_("the capture names the chip {name}"), name=named[0])
        )
    left, hows = set(HARDWARE), []
    for families, how in (_by_cores(kernels), _by_types(kernels)):
        if left & set(families) and not left <= set(families):
            left &= set(families)
            hows.append(how)
    if not hows:
        return Chip("unknown", Message(_("nothing in the capture tells the chip")))
    how = hows[0] if len(hows) == 1 else Message(_("{one}; {other}"), one=hows[0], other=hows[1])
    return Chip("/".join(family for family in HARDWARE if family in left), how)


def recorded_cann(metadata: Mapping[str, Any]) -> str | None:
    """The CANN version that the profiler wrote down; None where it wrote none, or no version."""
    written = metadata.get("cann_version")
    return written if isinstance(written, str) and re.match(r"\s*\d", written) else None


def families_of_name(name: str) -> tuple[str, ...]:
    """The families that a SoC's or family's name can mean, none for other words.

    >>> families_of_name("Ascend910_9391"), families_of_name("Ascend910B3"), families_of_name("Ascend910B")
    (('A3',), ('A2',), ('A2', 'A3'))
    """
    return next((families for pattern, families in _NAMES if pattern.fullmatch(name.strip())), ())


def _names_in(value: Any, key: str, depth: int, count: list[int]) -> Iterator[str]:
    """Names of chips in nested metadata."""
    count[0] += 1
    if depth > _DEEPEST or count[0] > _MOST_VALUES:
        return
    if isinstance(value, str) and _KEYS.search(key) and families_of_name(value):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _names_in(inner, str(name), depth + 1, count)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _names_in(inner, key, depth + 1, count)


def _by_cores(kernels: pd.DataFrame) -> tuple[tuple[str, ...], Message]:
    """By the most Cube cores that some kernels use."""
    cube = kernels.loc[kernels["core"].isin(["AI_CORE", "MIX_AIC"]), "blocks"].dropna().value_counts()
    recurring = [int(blocks) for blocks, rows in cube.items() if rows >= _RECURRING]  # type: ignore[call-overload]
    most = max(recurring, default=0)
    return _CUBE_CORES.get(most, HARDWARE), Message(_("its kernels use up to {count} Cube cores"), count=most)


def _by_types(kernels: pd.DataFrame) -> tuple[tuple[str, ...], Message]:
    """By operator types that not all families have; types that contradict each other say nothing."""
    left, telling = set(HARDWARE), ""
    for name in _types(kernels):
        families = _ON_FEW.get(fold(name))
        if families is not None and not left <= set(families):
            left, telling = left & set(families), name
    how = Message(
        _("{name} exists on {families} only"), name=telling, families=", ".join(_ON_FEW.get(fold(telling), ()))
    )
    return tuple(left) or HARDWARE, how


def _types(kernels: pd.DataFrame) -> Iterator[str]:
    """The operator types of the kernels, each once; where one has none, what its name as a compiled kernel says."""
    typed = kernels["op_type"].notna()
    yield from map(str, kernels.loc[typed, "op_type"].unique())
    yield from dict.fromkeys(compiled_type(str(name)) for name in kernels.loc[~typed, "name"].unique())
