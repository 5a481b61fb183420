"""How far the estimate of a capture is trusted against the base rate: as far as it beat it on nets left out.

Where predicting every net by what the other nets gained is as good as the model, the estimate is drawn to that base
rate, in logarithm: estimate ** weight * base ** (1 - weight). Steps and blocks apart, because they gain differently.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

import numpy as np

from skadvisor.gain.outcomes import Level
from skadvisor.gain.population import Fractions, Observation, Population, published_observations, published_population
from skadvisor.vocabulary.arrays import Floats

#: Weights that are tried, from the base rate alone to the model alone.
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
#: The base rate moves an estimate by at most this factor, so that next to nothing stays next to nothing.
MOST = 3.0


@dataclass(frozen=True)
class Shrinkage:
    """The weight of the capture's own estimate (0 to 1), and the base rate that it is drawn to, percent."""

    level: Level
    weight: float
    base_pct: float
    nets: int

    def factor(self, estimate_pct: float) -> float:
        """What an estimate with this median, percent, is multiplied by."""
        if estimate_pct <= 0 or self.base_pct <= 0:
            return 1.0
        return float(np.clip((self.base_pct / estimate_pct) ** (1.0 - self.weight), 1.0 / MOST, MOST))


@cache
def published_shrinkage(level: Level) -> Shrinkage:
    """What the published pairs say."""
    return fit_shrinkage(published_population(), published_observations(), level)


def fit_shrinkage(
    population: Population, observations: Collection[Observation], level: Level, without: frozenset[str] = frozenset()
) -> Shrinkage:
    """The weight with the least error over the nets of this level other than `without`, each left out in turn."""
    known = [one for one in observations if one.level == level and one.net not in without]
    nets = list(dict.fromkeys(one.net for one in known))
    gains = {net: float(np.mean([one.gain_pct for one in known if one.net == net])) for net in nets}
    base = float(np.median(list(gains.values()))) if gains else 0.0
    if len(nets) < 3:
        return Shrinkage(level, 1.0, base, len(nets))
    errors = np.zeros(len(WEIGHTS))
    for net in nets:
        others = float(np.median([gain for name, gain in gains.items() if name != net]))
        fractions = population.draw(401, without=without | {net})
        mine = [one for one in known if one.net == net]
        for number, weight in enumerate(WEIGHTS):
            candidate = Shrinkage(level, weight, others, len(nets) - 1)
            foretold = [float(np.median(foretell(one, fractions, candidate))) for one in mine]
            errors[number] += np.mean([abs(gain - one.gain_pct) for gain, one in zip(foretold, mine, strict=True)])
    return Shrinkage(level, WEIGHTS[int(np.argmin(errors))], base, len(nets))


def foretell(one: Observation, fractions: Fractions, shrinkage: Shrinkage) -> Floats:
    """Draws of the gain of a pair, percent of the time before, without the noise of a recompile."""
    gain = one.overhead_pct * fractions.recovered
    if one.shared:
        gain = gain * fractions.reaches
    if not one.known_operators:
        gain = gain * fractions.vanishes
    return gain * shrinkage.factor(float(np.median(gain)))
