"""Figures as they are printed: rounded once, so that the parts of a step add up to the printed digit everywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from skadvisor.records import Result, Template

#: Decimals of microseconds and of percent in reports.
DIGITS = 1


@dataclass(frozen=True)
class Part:
    """A region or a kind of gap in a step: its time in us and its percent of the step, both as printed."""

    key: str
    us: float
    pct: float


@dataclass(frozen=True)
class StepFigures:
    """A phase's representative step as printed: regions add up to `busy_us`, gaps to `gap_us`, both to `wall_us`."""

    wall_us: float
    busy_us: float
    gap_us: float
    regions: tuple[Part, ...]
    gaps: tuple[Part, ...]

    @property
    def parts(self) -> tuple[Part, ...]:
        """Regions, then gaps."""
        return (*self.regions, *self.gaps)


def step_figures(result: Result, phase: str) -> StepFigures:
    """The figures of a phase that the result has."""
    record = result.phases[phase]
    regions = [region for region in result.regions if region.phase == phase]
    busy_us, gap_us = split_step(record.wall_us, record.busy_us, record.gap_us)
    scale = 100 / record.wall_us if record.wall_us else 0.0
    busy_pct, gap_pct = split_step(100.0 if scale else 0.0, record.busy_us * scale, record.gap_us * scale)
    running = _parts([(region.region, region.exposed_us) for region in regions], busy_us, busy_pct, scale)
    idle = _parts(record.gap.parts, gap_us, gap_pct, scale)
    return StepFigures(round(record.wall_us, DIGITS), busy_us, gap_us, running, idle)


def answer_parts(result: Result, phase: str) -> tuple[Part, ...]:
    """What the answer shows a step to be made of: regions and gaps; where SuperKernels run already, what they hold."""
    figures, use = step_figures(result, phase), result.superkernels
    if use is None or result.recommendation.ground != "superkernel":
        return figures.parts
    inside = Part("superkernel", round(use.exposed_us, DIGITS), round(100 * use.share, DIGITS))
    busy_pct = sum(part.pct for part in figures.regions)
    outside = Part("outside", round(figures.busy_us - inside.us, DIGITS), round(busy_pct - inside.pct, DIGITS))
    return (inside, outside, *figures.gaps)


def ceiling_pct(template: Template, wall_us: float | None) -> float | None:
    """The most that a template can win, percent of a step; None where that is not known."""
    return None if template.ceiling_us is None or not wall_us else 100 * template.ceiling_us / wall_us


def term_figures(template: Template) -> dict[str, tuple[float, float, float]]:
    """Low, middle and high of each term in us as printed; each column adds up to the printed estimate."""
    estimate, terms = template.estimate, tuple(template.terms.values())
    if estimate is None:
        return {}
    columns = (
        apportion([term.low_us for term in terms], estimate.low_us),
        apportion([term.mid_us for term in terms], estimate.mid_us),
        apportion([term.high_us for term in terms], estimate.high_us),
    )
    return dict(zip(template.terms, zip(*columns, strict=True), strict=True))


def split_step(wall: float, busy: float, gap: float) -> tuple[float, float]:
    """Kernels and gaps of a step as printed, which add up to its printed wall time."""
    return tuple(apportion([busy, gap], wall))  # type: ignore[return-value]


def apportion(values: Sequence[float], total: float) -> list[float]:
    """Round `values` so that they add up to the rounded `total`: what rounding leaves goes to the largest remainders.

    Values that do not add up to `total` are rounded each by itself.

    >>> apportion([1.04, 1.04, 1.04], 3.12)
    [1.1, 1.0, 1.0]
    """
    factor = 10**DIGITS
    # The total may have been rounded up or down by one digit itself.
    if abs(sum(values) - total) * factor > 1.5:
        return [round(value, DIGITS) for value in values]
    scaled = [value * factor for value in values]
    whole = [math.floor(value + 1e-6) for value in scaled]
    missing = round(total * factor) - sum(whole)
    order = sorted(range(len(values)), key=lambda place: whole[place] - scaled[place])
    for place in order[:missing] if missing >= 0 else order[missing:]:
        whole[place] += 1 if missing > 0 else -1
    return [number / factor for number in whole]


def _parts(named: Sequence[tuple[str, float]], total_us: float, total_pct: float, scale: float) -> tuple[Part, ...]:
    times = apportion([time for _key, time in named], total_us)
    shares = apportion([time * scale for _key, time in named], total_pct)
    return tuple(Part(key, time, share) for (key, _time), time, share in zip(named, times, shares, strict=True))
