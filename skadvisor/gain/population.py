"""What differs from net to net and shows in no capture, learned from pairs that were measured.

A gain is x * recovered * reaches (* vanishes), percent of the time before: x are the heads and gaps at the
boundaries that vanish (at all boundaries of the scope where nobody published which vanish), `recovered` the fraction
of them that is won, `reaches` the fraction of a block's saving that the step shows (1 for a block alone). Each fraction
is drawn once per net from a population; the populations have wide priors (priors.toml).

The fit is importance sampling in two rounds: populations drawn from their priors and weighted by how likely they make
each net's measurements (the net's own fractions averaged out) show where to draw the populations that are kept. A
net is one factor of the weight, however many configurations it has, so leaving a net out costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from skadvisor.gain.interface import SEED
from skadvisor.gain.outcomes import Level, Pair, published_pairs, repeats
from skadvisor.gain.stated_priors import priors
from skadvisor.vocabulary.arrays import Floats

#: The fit to the published pairs, made by profiles/train_population.py from outcomes.toml and priors.toml.
PUBLISHED_FIT = Path(__file__).with_name("published_fit.npz")
#: Populations that are drawn in each round, and nets that are drawn from each.
POPULATIONS = 1_500
NETS = 64
#: The populations that are kept are drawn this much wider than the first round found them.
WIDER = 1.4
#: The fractions, and whether each is at most 1 (logistic normal) or only positive (lognormal).
FRACTIONS = {"recovered": False, "reaches": True, "vanishes": True}
LEVELS: tuple[Level, ...] = ("block", "step")
#: A gain is never taken to be measured more closely than this, points.
SMALLEST_NOISE_PCT = 0.5


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One measured gain, percent of the time before.

    `overhead_pct` are the heads and gaps at its boundaries, percent: at those that vanish, or, where `counted` is
    None, at all in scope. `shared` steps talk to other ranks. `counted` is (vanished, all in scope). `noise_pct`
    overrides the usual noise, points.
    """

    net: str
    level: Level
    gain_pct: float
    overhead_pct: float
    shared: bool = False
    counted: tuple[int, int] | None = None
    known_operators: bool = True
    at_most: bool = False
    noise_pct: float | None = None


@dataclass(frozen=True, eq=False)
class Fractions:
    """Draws for a net that nobody measured: one value per draw; `recompile` in points by level."""

    recovered: Floats
    reaches: Floats
    vanishes: Floats
    recompile: dict[str, Floats]


@dataclass(frozen=True, eq=False)
class Fit:
    """Populations that were drawn, (populations, parameters), and the log weight that each net gives them.

    `log_weight` has a row per name in `nets`, one for the repeats and one for the priors.
    """

    nets: tuple[str, ...]
    drawn: Floats
    log_weight: Floats


class Population:
    """The fitted populations. `nets` are the names of the nets that it learned from, in order."""

    def __init__(self, seen: Sequence[Observation] | Fit, machine: tuple[float, float] | None = None) -> None:
        """Fit to what was seen, or take a fit.

        `machine` is the median and log deviation of `recovered` that a probe measured, in place of the fit.
        """
        self._machine = machine
        self.fit = seen if isinstance(seen, Fit) else _Fitting(seen).fit()
        self.nets, self._drawn, self._log_weight = self.fit.nets, self.fit.drawn, self.fit.log_weight

    @property
    def recompile_pct(self) -> dict[Level, float]:
        """The noise of a recompile by level, points (standard deviation; the middle of the fit)."""
        weight = _weights(self._log_weight.sum(axis=0))
        return {level: float(np.exp(weight @ self._drawn[:, -2 + n])) for n, level in enumerate(LEVELS)}

    def draw(self, draws: int, seed: int = SEED, without: frozenset[str] = frozenset()) -> Fractions:
        """Fractions of a net that was not measured, as far as the nets other than `without` tell."""
        random = np.random.default_rng(seed)
        kept = [number for number, name in enumerate((*self.nets, None, None)) if name not in without]
        weight = _weights(self._log_weight[kept].sum(axis=0))
        chosen = self._drawn[random.choice(len(weight), size=draws, p=weight)]
        normal = random.standard_normal((draws, len(FRACTIONS) + len(LEVELS)))
        recovered, reaches, vanishes = (_fraction(chosen, number, normal[:, number]) for number in range(3))
        if self._machine is not None:
            recovered = self._machine[0] * np.exp(self._machine[1] * normal[:, 0])
        return Fractions(
            recovered=recovered,
            reaches=reaches,
            vanishes=vanishes,
            recompile={level: np.exp(chosen[:, -2 + n]) * normal[:, 3 + n] for n, level in enumerate(LEVELS)},
        )


class _Fitting:
    """Two rounds of importance sampling, the second where the first found the weight."""

    def __init__(self, observations: Sequence[Observation]) -> None:
        self._random = np.random.default_rng(SEED)
        self._standard = self._random.standard_normal((len(FRACTIONS), NETS))
        self._groups: dict[str, list[Observation]] = {}
        for one in observations:
            self._groups.setdefault(one.net, []).append(one)

    def fit(self) -> Fit:
        """The populations of the second round."""
        random = self._random
        centre, deviation = _prior()
        first = random.normal(centre, deviation, (POPULATIONS, len(centre)))
        weight = _weights(self._likelihoods(first).sum(axis=0))
        found = np.average(first, axis=0, weights=weight)
        spread = np.cov(first, rowvar=False, aweights=weight) * WIDER**2 + np.diag(deviation * 1e-3) ** 2
        drawn = random.multivariate_normal(found, spread, POPULATIONS, method="cholesky")
        apart = drawn - found
        proposed = -0.5 * np.einsum("ij,jk,ik->i", apart, np.linalg.inv(spread), apart)
        prior = -0.5 * (((drawn - centre) / deviation) ** 2).sum(axis=1)
        return Fit(tuple(self._groups), drawn, np.vstack([self._likelihoods(drawn), prior - proposed]))

    def _likelihoods(self, drawn: Floats) -> Floats:
        """Log likelihood of each net's measurements, and last of the repeats, under each population."""
        noise = {level: np.exp(drawn[:, -2 + number]) for number, level in enumerate(LEVELS)}
        repeated = np.zeros(len(drawn))
        for level in LEVELS:
            deviation = noise[level] * np.sqrt(2.0)
            for apart in repeats(level):
                repeated += -0.5 * (apart / deviation) ** 2 - np.log(deviation)
        fractions = [_fraction(drawn, number, self._standard[number]) for number in range(len(FRACTIONS))]
        return np.vstack([*(_likelihood(group, fractions, noise) for group in self._groups.values()), repeated])


def _likelihood(group: Sequence[Observation], fractions: Sequence[Floats], noises: dict[Level, Floats]) -> Floats:
    """Log likelihood of one net's measurements under each population, its own fractions averaged out."""
    recovered, reaches, vanishes = fractions
    total = np.zeros_like(recovered)
    for one in group:
        expected = one.overhead_pct * recovered
        if one.shared:
            expected = expected * reaches
        if one.counted is not None:
            gone, all_ = one.counted
            total += gone * np.log(vanishes) + (all_ - gone) * np.log1p(-vanishes)
        elif not one.known_operators:
            expected = expected * vanishes
        noise = one.noise_pct if one.noise_pct is not None else noises[one.level][:, None]
        within = priors()["recovered"]["within_log_sd"] * expected
        deviation = np.sqrt(np.maximum(noise, SMALLEST_NOISE_PCT) ** 2 + within**2)
        apart = (one.gain_pct - expected) / deviation
        total += _log_below(apart) if one.at_most else -0.5 * apart**2 - np.log(deviation)
    top = total.max(axis=1, keepdims=True)
    return (top + np.log(np.exp(total - top).mean(axis=1, keepdims=True)))[:, 0]


@cache
def published_population() -> Population:
    """The population that the published pairs tell of, as it was fitted when their table was last changed."""
    with np.load(PUBLISHED_FIT, allow_pickle=False) as kept:
        return Population(Fit(tuple(kept["nets"].tolist()), kept["drawn"], kept["log_weight"]))


def recompile_pct(level: Level) -> float:
    """By how much another compilation moves a step or block, percent (standard deviation, the middle of the fit)."""
    return published_population().recompile_pct[level]


def published_observations() -> tuple[Observation, ...]:
    """The published pairs as observations: configurations of one block of a net together are one, at their mean."""
    groups: dict[Any, list[Pair]] = {}
    for pair in published_pairs():
        groups.setdefault(pair.alike if pair.bound == "equal" else id(pair), []).append(pair)
    return tuple(observation(group) for group in groups.values())


def overhead_pct(pair: Pair) -> float:
    """Heads and gaps of a published pair at the boundaries that vanished (or at all), percent of the time before."""
    count = pair.boundaries if pair.vanished is None else pair.vanished
    usual = priors()["overhead"]["head_us"] + priors()["overhead"]["gap_us"]
    return 100.0 * (pair.overhead_us or count * usual) / pair.before_us


def observation(group: Sequence[Pair]) -> Observation:
    """Pairs of one block of one net as one observation, at their mean."""
    first = group[0]
    counted = None
    # A clean scope, all of whose boundaries go, says nothing of scopes with breakers; a step repeats its block's rows.
    if first.level == "block" and first.vanished is not None and first.vanished < first.boundaries:
        counted = (first.vanished, first.boundaries)
    return Observation(
        net=first.net,
        level=first.level,
        gain_pct=_mean(pair.measured_pct for pair in group),
        overhead_pct=_mean(overhead_pct(pair) for pair in group),
        shared=first.level == "step",
        counted=counted,
        known_operators=first.vanished is not None,
        at_most=first.bound == "at most",
        noise_pct=first.noise_pct if len(group) == 1 else None,
    )


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _prior() -> tuple[Floats, Floats]:
    """Mean and deviation of a population's parameters: centre and log spread of each fraction, log noise per level."""
    known = priors()
    rows = []
    for name, logistic in FRACTIONS.items():
        prior = known[name]
        middle = np.log(prior["median"] / (1.0 - prior["median"])) if logistic else np.log(prior["median"])
        rows += [(middle, prior["median_sd"]), (np.log(prior["between_sd"]), known["spread"]["log_sd"])]
    noise = known["recompile"]
    rows += [(np.log(noise[f"{level}_pct"]), noise["log_sd"]) for level in LEVELS]
    centre, deviation = np.array(rows).T
    return centre, deviation


def _fraction(drawn: Floats, number: int, normal: Floats) -> Floats:
    """The fraction of a net that lies `normal` deviations from the centre of each population: (populations, nets)."""
    centre, spread = drawn[:, 2 * number], np.exp(drawn[:, 2 * number + 1])
    value = centre + spread * normal if len(normal) == len(drawn) else centre[:, None] + spread[:, None] * normal
    if not tuple(FRACTIONS.values())[number]:
        return np.exp(np.clip(value, -20, 20))
    return 1.0 / (1.0 + np.exp(-np.clip(value, -20, 20)))


def _weights(log: Floats) -> Floats:
    weight = np.exp(log - log.max())
    return weight / weight.sum()


def _log_below(value: Floats) -> Floats:
    """Log of the chance that a standard normal lies below: a logistic approximation, exact to 0.02."""
    return -np.log1p(np.exp(-1.702 * np.clip(value, -400, 400)))
