"""Repeated measurements of one time: middle, spread, and the interval of an improvement by bootstrap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from skadvisor.gain.population import recompile_pct
from skadvisor.records import NOISE_PCT
from skadvisor.vocabulary.arrays import Floats

#: Fixed, so that the same captures always give the same interval.
SEED = 20260101
RESAMPLES = 2000
CONFIDENCE = 0.95
#: Half the width of that interval in standard deviations of a normal distribution.
DEVIATIONS = 1.96
#: Fewer than this on either side prove nothing. Source: SuperKernel measuring guides (three or more runs).
FEWEST = 3
#: Runs that vary by more than this prove nothing either, percent (same source).
CV_REFUSES_PCT = 20.0


@dataclass(frozen=True, kw_only=True)
class Spread:
    """`count` measurements: their median and extremes, us, and the coefficient of variation, percent (None for one)."""

    count: int
    median_us: float
    low_us: float
    high_us: float
    cv_pct: float | None


@dataclass(frozen=True)
class Interval:
    """Low, middle and high of something measured."""

    low: float
    mid: float
    high: float


def describe(values_us: Sequence[float]) -> Spread:
    """The spread of at least one measurement."""
    values = np.asarray(values_us, dtype=float)
    cv = float(100 * values.std(ddof=1) / values.mean()) if len(values) > 1 and values.mean() > 0 else None
    return Spread(
        count=len(values),
        median_us=round(float(np.median(values)), 3),
        low_us=round(float(values.min()), 3),
        high_us=round(float(values.max()), 3),
        cv_pct=None if cv is None else round(cv, 3),
    )


def saved(before: Sequence[float], after: Sequence[float]) -> Interval:
    """What the median fell by (positive: faster), in the unit of the values, with its bootstrap interval."""
    first, second = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    generator = np.random.default_rng(SEED)
    differences = _medians(first, generator) - _medians(second, generator)
    return _interval(differences, float(np.median(first) - np.median(second)))


def widen(interval: Interval, sigma: float) -> Interval:
    """The interval with a further, independent source of noise of this standard deviation."""
    extra = DEVIATIONS * sigma
    return Interval(
        interval.mid - math.hypot(interval.mid - interval.low, extra),
        interval.mid,
        interval.mid + math.hypot(interval.high - interval.mid, extra),
    )


def improvement_pct(before: Sequence[float], after: Sequence[float]) -> Interval:
    """As `saved`, in percent of the median before."""
    first, second = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    generator = np.random.default_rng(SEED)
    base = _medians(first, generator)
    shares = 100 * (base - _medians(second, generator)) / base
    return _interval(shares, float(100 * (np.median(first) - np.median(second)) / np.median(first)))


#: What an improvement of the step shows. `perhaps_`: the samples say so, but a recompile alone may move as much.
Shown = Literal["faster", "perhaps_faster", "same", "perhaps_slower", "slower", "open"]


def with_recompile(
    measured: Interval, runs: int, share: float = 1.0, *, level: Literal["step", "block"] = "step"
) -> Interval:
    """The interval, percent, with what another compilation alone moves, where fewer than FEWEST `runs` a side show it.

    A recompile moves the time in scope: `share` of the step.
    """
    return measured if runs >= FEWEST else widen(measured, share * recompile_pct(level))


def judge(measured: Interval, judged: Interval) -> Shown:
    """What an improvement shows: `measured` is the interval of the samples, `judged` the one with a recompile, percent.

    The only rule by which `compare` and `verify` call a step faster or slower.
    """
    if measured.mid >= NOISE_PCT and measured.low > 0:
        return "faster" if judged.low > 0 else "perhaps_faster"
    if measured.mid <= -NOISE_PCT and measured.high < 0:
        return "slower" if judged.high < 0 else "perhaps_slower"
    crosses = measured.low <= -NOISE_PCT and measured.high >= NOISE_PCT
    return "same" if abs(measured.mid) < NOISE_PCT and not crosses else "open"


def _medians(values: Floats, generator: np.random.Generator) -> Floats:
    chosen = generator.integers(0, len(values), size=(RESAMPLES, len(values)))
    return np.asarray(np.median(values[chosen], axis=1))


def _interval(drawn: Floats, mid: float) -> Interval:
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(drawn, [tail, 100 - tail])
    # The middle is what was measured; it lies inside by definition of the interval's use.
    return Interval(min(float(low), mid), mid, max(float(high), mid))
