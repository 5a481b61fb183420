"""Under which circumstances a verdict on fusion is read: the chip, the kind of graph, the CANN version."""

from __future__ import annotations

import re
from dataclasses import dataclass

from skadvisor.errors import InputError
from skadvisor.text.messages import _

#: Families of chips with verdicts of their own: Ascend910B, Ascend910_93, Ascend950, Ascend310P.
HARDWARE = ("A2", "A3", "950", "310P")
#: A GE graph, or npugraph_ex with static kernels.
MODES = ("ge", "npugraph_ex")

Version = tuple[int, ...]

_VERSION = re.compile(r"\d+(?:\.\d+)*")
_BOUND = re.compile(r"(>=|<)\s*(\d+(?:\.\d+)*)")


@dataclass(frozen=True)
class Reading:
    """One way in which a capture with open circumstances can be read."""

    hardware: str
    mode: str
    cann: Version


@dataclass(frozen=True)
class Bound:
    """One side of a range of CANN versions."""

    sign: str
    version: Version

    def holds(self, version: Version) -> bool:
        """Whether the version lies on the side that is meant."""
        return version >= self.version if self.sign == ">=" else version < self.version


def cann_version(text: str) -> Version:
    """The numbers of a version such as 9.0.0 or 9.2.0-beta.2, without zeros at the end. Raises InputError without any.

    >>> cann_version("9.2.0-beta.2"), cann_version("8.1.RC1"), cann_version("9.0.0")
    ((9, 2), (8, 1), (9,))
    """
    found = _VERSION.match(text.strip())
    if found is None:
        raise InputError(
            _("{text!r} is no CANN version"), _("versions are written like 8.5.0 or 9.2.0-beta.2"), text=text
        )
    numbers = [int(number) for number in found[0].split(".")]
    while len(numbers) > 1 and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def cann_range(text: str) -> tuple[Bound, ...]:
    """The bounds of a range such as ">=9.0,<9.2". Raises ValueError where it is none."""
    parts = [_BOUND.fullmatch(part.strip()) for part in text.split(",")]
    if not all(parts):
        raise ValueError(f'cann is {text!r}, not a range like ">=9.0" or ">=8.5,<9.0"')
    return tuple(Bound(part[1], cann_version(part[2])) for part in parts if part is not None)


def mode_of(graph_kind: str | None) -> str | None:
    """The mode of a captured graph; None where it is open, as for a replayed ACL graph, which can become either."""
    return {"ge_graph": "ge", "ge": "ge", "npugraph_ex": "npugraph_ex"}.get(graph_kind or "")


def families(hardware: str) -> tuple[str, ...]:
    """The families that `hardware` leaves open: one, several as in "A2/A3", all four for "unknown".

    Another chip's name stands for itself: no rule with a chip holds on it.
    """
    return HARDWARE if hardware == "unknown" else tuple(hardware.split("/"))


def list_readings(hardware: str, mode: str | None, cann: str | None, steps: tuple[Version, ...]) -> tuple[Reading, ...]:
    """All readings that are left; `steps` are the versions at which some rule begins or ends."""
    versions = (cann_version(cann),) if cann is not None else ((0,), *sorted(set(steps)))
    modes = MODES if mode is None else (mode,)
    return tuple(Reading(chip, kind, version) for chip in families(hardware) for kind in modes for version in versions)
