"""The published pairs beside what was foretold of them: the claim, a constant, the previous model, and this one.

This model and the constant never saw the net of the pair that they foretell. What one pair shows moves with every
compilation, so that noise is in both intervals. In sums every net counts once, however many configurations it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from skadvisor.fusion.templates import claim_table
from skadvisor.gain.bands import P90
from skadvisor.gain.interface import DRAWS
from skadvisor.gain.outcomes import Pair, published_pairs
from skadvisor.gain.population import observation, published_observations, published_population
from skadvisor.gain.shrinkage import Shrinkage, fit_shrinkage, foretell

Triple = tuple[float, float, float]
#: The part of the outcomes that an interval from P10 to P90 leaves out.
LEFT_OUT = 0.2


@dataclass(frozen=True)
class Comparison:
    """One published pair and its rivals, each as P10, P50, P90 in percent; `previous` is None where it said nothing."""

    pair: Pair
    estimate: Triple
    claim: Triple
    constant: Triple
    previous: Triple | None
    shrinkage: Shrinkage


@dataclass(frozen=True)
class Score:
    """How one rival did, the mean over nets: coverage (0 to 1), width, interval score and error in points."""

    pairs: int
    nets: int
    coverage: float
    width: float
    interval_score: float
    error: float


def compare_published() -> tuple[Comparison, ...]:
    """Every published pair, foretold from the other nets."""
    low, high = claim_table().saving_of_scope
    population, known = published_population(), published_observations()
    found = []
    for pair in published_pairs():
        without = frozenset({pair.net})
        shrinkage = fit_shrinkage(population, known, pair.level, without)
        fractions = population.draw(10 * DRAWS, without=without)
        shown = foretell(observation([pair]), fractions, shrinkage) + fractions.recompile[pair.level]
        estimate = np.quantile(shown, (0.1, 0.5, 0.9))
        scope = 100 * pair.share
        found.append(
            Comparison(
                pair=pair,
                estimate=(float(estimate[0]), float(estimate[1]), float(estimate[2])),
                claim=(scope * low, scope * (low + high) / 2, scope * high),
                constant=_constant(pair),
                previous=pair.previous,
                shrinkage=shrinkage,
            )
        )
    return tuple(found)


def score(comparisons: Iterable[Comparison], rival: Callable[[Comparison], Triple | None]) -> Score | None:
    """How a rival did on the pairs that it foretold; None where there are none."""
    rows: dict[str, list[tuple[float, float, float, float]]] = {}
    for one in comparisons:
        said = rival(one)
        if said is not None:
            rows.setdefault(one.pair.net, []).append(_row(one.pair, said))
    if not rows:
        return None
    by_net = np.array([np.mean(values, axis=0) for values in rows.values()]).mean(axis=0)
    return Score(sum(map(len, rows.values())), len(rows), *(float(value) for value in by_net))


#: The rivals in the order of the table.
RIVALS: dict[str, Callable[[Comparison], Triple | None]] = {
    "this model": lambda one: one.estimate,
    "claim": lambda one: one.claim,
    "constant": lambda one: one.constant,
    "previous model": lambda one: one.previous,
    "this model, where the previous spoke": lambda one: one.estimate if one.previous else None,
}


def _row(pair: Pair, said: Triple) -> tuple[float, float, float, float]:
    """Covered, width, interval score (Gneiting and Raftery 2007, central 80 %) and absolute error of the middle."""
    low, middle, high = said
    measured = pair.measured_pct
    below, above = max(low - measured, 0.0), max(measured - high, 0.0) if pair.bound == "equal" else 0.0
    error = abs(middle - measured) if pair.bound == "equal" else max(middle - measured, 0.0)
    return float(pair.covered(low, high)), high - low, high - low + 2 / LEFT_OUT * (below + above), error


def _constant(pair: Pair) -> Triple:
    """The mean of the other nets of this level, and the spread of their gains round it."""
    gains: dict[str, list[float]] = {}
    for other in published_pairs():
        if other.level == pair.level and other.net != pair.net:
            gains.setdefault(other.net, []).append(other.measured_pct)
    values = np.array([np.mean(found) for found in gains.values()])
    half = P90 * float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return float(values.mean() - half), float(values.mean()), float(values.mean() + half)
