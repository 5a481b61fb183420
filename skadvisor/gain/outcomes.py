"""The published before/after pairs, as data: what was measured, and what bounds it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from skadvisor.files.data_files import read_toml
from skadvisor.records import BaseRate

Level = Literal["step", "block"]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One published pair; `net` names the independent case. Times are us of the step or block.

    `boundaries` are the neighbours in scope, `vanished` how many of them went (None where no rows were published),
    `count` how both are known. `overhead_us` are heads and gaps there by PMU columns. `bound` "at most" means that the
    gain was reported as zero or less. `previous` is what version 0.1.0 said: P10, P50, P90, percent.
    """

    net: str
    what: str
    level: Level
    before_us: float
    after_us: float
    boundaries: int
    count: str
    timing: str
    source: str
    share: float = 1.0
    vanished: int | None = None
    overhead_us: float | None = None
    noise_pct: float | None = None
    bound: Literal["equal", "at most"] = "equal"
    previous: tuple[float, float, float] | None = None

    @property
    def measured_pct(self) -> float:
        """The measured gain, percent of the time before."""
        return 100.0 * (self.before_us - self.after_us) / self.before_us

    @property
    def alike(self) -> tuple[str, Level, str]:
        """What configurations of one block of one net share: its net, its level, and how its name begins."""
        return self.net, self.level, self.what.split(",")[1].strip() if "," in self.what else self.what

    def covered(self, low_pct: float, high_pct: float) -> bool:
        """Whether an interval holds the measured gain; of a gain reported as zero or less, whether it reaches down."""
        return low_pct <= self.measured_pct and (self.bound == "at most" or self.measured_pct <= high_pct)


@cache
def published_pairs() -> tuple[Pair, ...]:
    """All published pairs that say what was in scope, times before and after."""
    return tuple(_pair(net["name"], entry) for net in _file()["net"] for entry in net["pairs"])


@cache
def base_rate() -> BaseRate:
    """The gains of all public pairs of whole steps, whatever is known of their scopes."""
    gains = tuple(_file()["base_rate"]["step_pct"])
    return BaseRate(step_pct=gains, median_pct=float(np.median(gains)), source=_file()["base_rate"]["source"])


def repeats(level: Level) -> tuple[float, ...]:
    """How far two results of one configuration lie apart where it was compiled anew between them, points."""
    return tuple(apart for entry in _file()["repeat"] if entry["level"] == level for apart in entry["apart_pct"])


def excluded() -> tuple[tuple[str, str], ...]:
    """What was published but cannot be used, and why."""
    return tuple((entry["what"], entry["reason"]) for entry in _file()["excluded"])


def _pair(net: str, entry: dict[str, Any]) -> Pair:
    previous = entry.get("previous")
    return Pair(net=net, **entry | ({"previous": tuple(previous)} if previous else {}))


@cache
def _file() -> dict[str, Any]:
    return read_toml(Path(__file__).with_name("outcomes.toml"))
