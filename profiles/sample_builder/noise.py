"""Seeded noise that is the same to the last bit on every platform: only additions and products of uniform numbers."""

from __future__ import annotations

from random import Random


class Noise:
    """A stream of random factors. Two streams with the same key give the same numbers."""

    def __init__(self, *key: object) -> None:
        self._random = Random(":".join(map(str, key)))

    def uniform(self, low: float, high: float) -> float:
        """A number between the limits."""
        return low + (high - low) * self._random.random()

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random.random() < probability

    def pick(self, below: int) -> int:
        """A whole number from 0 to below - 1."""
        return int(self._random.random() * below)

    def factor(self, spread: float) -> float:
        """A factor around 1 with this standard deviation, never under 0.2."""
        bell = sum(self._random.random() for _ in range(12)) - 6.0
        return max(0.2, 1.0 + spread * bell)

    def waiting(self, mean: float) -> float:
        """A waiting time of this mean with a long tail (the cube of a uniform number, four times the mean at most)."""
        number = self._random.random()
        return 4.0 * mean * number * number * number

    def gap(self, low: float, high: float) -> float:
        """A gap between the limits, small ones more often."""
        number = self._random.random()
        return low + (high - low) * number * number * number
