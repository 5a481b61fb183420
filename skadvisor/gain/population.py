"""What differs from net to net and shows in no capture, learned from pairs that were measured.

A gain is x * recovered * reaches (* vanishes), percent of the time before: x are the heads and gaps at the
boundaries that vanish (at all boundaries of the scope where nobody published which vanish), `recovered` the fraction
of them that is won, `reaches` the fraction of a block's saving that the step shows (1 for a block alone). Each fraction
is drawn once per net from a population; the populations have wide priors (priors.toml).

The fit is importance sampling: populations are drawn from their priors and weighted by how likely they make each net's
measurements, the net's own fractions averaged out. A net is one factor of the weight, however many configurations
it has, so leaving a net out costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skadvisor.gain.interface import SEED, Floats, priors
from skadvisor.gain.outcomes import Level, Pair, published_pairs, repeats

#: Populations that are drawn from the priors, and nets that are drawn from each.
POPULATIONS = 2_000
NETS = 96
#: A gain is never taken to be measured more closely than this, points.
SMALLEST_NOISE_PCT = 0.5


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One measured gain, percent of the time before.

    `overhead_pct` are the heads and gaps at its boundaries, percent: at those that vanish, or, where `counted` is
    None, at all in scope. `counted` is (vanished, all in scope). `noise_pct` overrides the usual noise, points.
    """

    net: str
    level: Level
    gain_pct: float
    overhead_pct: float
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


class Population:
    """The fitted populations. `nets` are the names of the nets that it learned from, in order."""

    def __init__(self, observations: Sequence[Observation], machine: tuple[float, float] | None = None) -> None:
        """Fit; `machine` is the median and the log deviation of `recovered` as a probe measured it there."""
        random = np.random.default_rng(SEED)
        known = priors()
        self._recovered = _population(random, known["recovered"], "log", np.log)
        if machine is not None:
            self._recovered = np.stack(
                [np.full(POPULATIONS, np.log(machine[0])), np.full(POPULATIONS, max(machine[1], 0.1))]
            )
        self._reaches = _population(random, known["reaches"], "logit", _logit)
        self._vanishes = _population(random, known["vanishes"], "logit", _logit)
        self._noise = {level: _noise(random, level) for level in ("block", "step")}
        self._standard = random.standard_normal((3, NETS))
        grouped: dict[str, list[Observation]] = {}
        for one in observations:
            grouped.setdefault(one.net, []).append(one)
        self.nets = tuple(grouped)
        self._log_weight = np.stack([*(self._likelihood(group) for group in grouped.values()), self._repeats()])

    def draw(self, draws: int, seed: int = SEED, without: frozenset[str] = frozenset()) -> Fractions:
        """Fractions of a net that was not measured, as far as the nets other than `without` tell."""
        random = np.random.default_rng(seed)
        kept = [number for number, name in enumerate((*self.nets, "")) if name not in without]
        weight = self._log_weight[kept].sum(axis=0)
        weight = np.exp(weight - weight.max())
        chosen = random.choice(POPULATIONS, size=draws, p=weight / weight.sum())
        normal = random.standard_normal((5, draws))
        return Fractions(
            recovered=np.exp(self._recovered[0, chosen] + self._recovered[1, chosen] * normal[0]),
            reaches=_expit(self._reaches[0, chosen] + self._reaches[1, chosen] * normal[1]),
            vanishes=_expit(self._vanishes[0, chosen] + self._vanishes[1, chosen] * normal[2]),
            recompile={
                level: self._noise[level][chosen] * normal[number] for number, level in enumerate(("block", "step"), 3)
            },
        )

    def _likelihood(self, group: Sequence[Observation]) -> Floats:
        """Log likelihood of one net's measurements under each population, its own fractions averaged out."""
        logs = [
            population[0][:, None] + population[1][:, None] * self._standard[number][None, :]
            for number, population in enumerate((self._recovered, self._reaches, self._vanishes))
        ]
        recovered, reaches, vanishes = np.exp(logs[0]), _expit(logs[1]), _expit(logs[2])
        total = np.zeros_like(recovered)
        for one in group:
            expected = one.overhead_pct * recovered
            if one.level == "step":
                expected = expected * reaches
            if one.counted is not None:
                gone, all_ = one.counted
                total += gone * np.log(vanishes) + (all_ - gone) * np.log1p(-vanishes)
            elif not one.known_operators:
                expected = expected * vanishes
            noise = one.noise_pct if one.noise_pct is not None else self._noise[one.level][:, None]
            within = priors()["recovered"]["within_log_sd"] * expected
            deviation = np.sqrt(np.maximum(noise, SMALLEST_NOISE_PCT) ** 2 + within**2)
            apart = (one.gain_pct - expected) / deviation
            total += _log_below(apart) if one.at_most else -0.5 * apart**2 - np.log(deviation)
        top = total.max(axis=1, keepdims=True)
        return (top + np.log(np.exp(total - top).mean(axis=1, keepdims=True)))[:, 0]

    def _repeats(self) -> Floats:
        """Log likelihood of the published repeats under each noise."""
        total = np.zeros(POPULATIONS)
        for level in ("block", "step"):
            deviation = self._noise[level] * np.sqrt(2.0)
            for apart in repeats(level):  # type: ignore[arg-type]
                total += -0.5 * (apart / deviation) ** 2 - np.log(deviation)
        return total


@cache
def published_population() -> Population:
    """The population that the published pairs tell of."""
    return Population(published_observations())


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
        counted=counted,
        known_operators=first.vanished is not None,
        at_most=first.bound == "at most",
        noise_pct=first.noise_pct if len(group) == 1 else None,
    )


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _population(random: np.random.Generator, prior: dict[str, Any], scale: str, transform: Any) -> NDArray[np.float64]:
    """Centre and spread of each population, on the transformed scale; the spread is half normal."""
    centre = random.normal(transform(prior["median"]), prior[f"median_{scale}_sd"], POPULATIONS)
    return np.stack([centre, np.abs(random.normal(0.0, prior[f"between_{scale}_sd"], POPULATIONS))])


def _noise(random: np.random.Generator, level: str) -> Floats:
    prior = priors()["recompile"]
    return random.lognormal(np.log(prior[f"{level}_pct"]), prior["log_sd"], POPULATIONS)


def _logit(value: float) -> float:
    return float(np.log(value / (1.0 - value)))


def _expit(value: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-np.clip(value, -30, 30)))


def _log_below(value: Floats) -> Floats:
    """Log of the chance that a standard normal lies below: a logistic approximation, exact to 0.02."""
    return -np.log1p(np.exp(-1.702 * np.clip(value, -400, 400)))
