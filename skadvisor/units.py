"""Time units: int64 nanoseconds inside, microseconds or milliseconds outside."""

from __future__ import annotations

NS_PER_US = 1_000
NS_PER_MS = 1_000_000


def us(nanoseconds: float) -> float:
    """Nanoseconds as microseconds, to the nanosecond (three decimals)."""
    return round(float(nanoseconds) / NS_PER_US, 3)


def percent(part: float, whole: float) -> float:
    """`part` of `whole` in percent, two decimals; 0.0 where the whole is empty."""
    return round(100.0 * float(part) / float(whole), 2) if whole else 0.0
