"""What is drawn once for all scenes, and what of one scene hangs on no verdict: the grounds that savings are drawn on.

Boundaries between kernels of the same kinds come and go together, so their savings are summed per pair of kinds before
verdicts are looked at: another verdict then costs a row per pair, not one per boundary.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from skadvisor.gain.boundaries import Boundaries, find_boundaries
from skadvisor.gain.interface import DRAWS, SEED, Scene
from skadvisor.gain.population import Population
from skadvisor.gain.replay import SavedPlaces, replay_step
from skadvisor.gain.stated_priors import chances_to_fuse, priors
from skadvisor.vocabulary.arrays import Flags, Floats, Ints

#: Operator type, verdict on each chip that is left, reason word: kernels that share them fuse in the same draws.
Kind = tuple[str, tuple[str, ...], str]
#: Kernels with these reason words are never fused, whatever the compiler's version.
NEVER = ("DEFAULT_NODE", "NOT_IN_SCOPE")


class Lots:
    """The draws that all scenes share: a net's fractions, what overlaps lose, and which operator types fuse."""

    def __init__(self, population: Population) -> None:
        self.fractions = population.draw(DRAWS)
        self.recompile_pct = population.recompile_pct
        random = np.random.default_rng(SEED)
        lost = priors()["overlap_lost"]
        self.lost = random.triangular(lost["low"], lost["mode"], lost["high"], DRAWS)
        # Streams share one answer: a compiler keeps all of a scope's streams apart, or none.
        self.apart = random.random(DRAWS) < priors()["streams"]["apart"]
        # All operators run on one chip: in each draw it is one of those that are left, each as often as the others.
        self.chip = np.random.default_rng([SEED, *b"chip"]).permutation(np.arange(DRAWS)) / DRAWS
        self._levels: dict[str, Floats] = {}

    def fused(self, kind: Kind) -> Flags:
        """In which draws kernels of this kind fuse; operators of one type fuse together or not at all."""
        name, verdicts, reason = kind
        if name not in self._levels:
            self._levels[name] = np.random.default_rng([SEED, *name.encode()]).random(DRAWS)
        chances = np.array([0.0] if reason in NEVER else chances_to_fuse(verdicts))
        return self._levels[name] < chances[(self.chip * len(chances)).astype("int64")]

    def most(self, found: Boundaries) -> Floats:
        """What the disappearance of each boundary would win in each draw, ns, (boundaries, draws)."""
        whole = (found.gap_ns + found.head_ns)[:, None] * self.fractions.recovered[None, :]
        return np.minimum(whole, found.limit_ns[:, None])


class Ground:
    """A scene's boundaries and what each could win in each draw, (boundaries, draws), before verdicts are looked at.

    `kinds` are the distinct kinds of kernels, `kind` (kernels,) which one each is of. `pairs` are the distinct kinds
    before and after a boundary and whether it is crossed, `pair` (boundaries,) which of them each has.
    """

    def __init__(self, scene: Scene, lots: Lots) -> None:
        self.scene = scene
        judged = scene.preview.judged
        kinds = [
            (label, judgement.verdicts, judgement.reason)
            for label, judgement in zip(judged.op_type.tolist(), judged.judgements, strict=True)
        ]
        number: dict[Kind, int] = {}
        self.kind = np.array([number.setdefault(kind, len(number)) for kind in kinds], dtype="int64")
        self.kinds = tuple(number)
        self.boundaries = found = find_boundaries(scene)
        keys = np.stack([self.kind[found.before], self.kind[found.after], found.crossed.astype("int64")], axis=1)
        self.pairs, self.pair = _distinct(keys)
        self.most = lots.most(found)
        self.of_gap = np.divide(found.gap_ns, found.gap_ns + found.head_ns)
        self.places = SavedPlaces(scene.constraints, found.after)
        self.counts = np.bincount(self.pair, minlength=len(self.pairs))

    def summed(self, values: Floats) -> Floats:
        """The sum of rows, one per boundary, over the boundaries of each pair."""
        order = np.argsort(self.pair, kind="stable")
        starts = np.cumsum(self.counts) - self.counts
        return np.add.reduceat(values[order], starts, axis=0) if len(order) else np.zeros((0, values.shape[1]))

    @cached_property
    def most_by_piece(self) -> tuple[Floats, Ints]:
        """`most` and `pair` in the order in which savings are summed over the pieces of the step."""
        return self.most[self.places.order], self.pair[self.places.order]

    @cached_property
    def most_of_pairs(self) -> Floats:
        """What the boundaries of each pair could win together."""
        return self.summed(self.most)

    @cached_property
    def gaps_of_pairs(self) -> Floats:
        """What of it is gaps between kernels."""
        return self.summed(self.most * self.of_gap[:, None])

    @cached_property
    def ceiling_ns(self) -> float:
        """The saving with all boundaries removed, breakers remedied (but AI CPU tasks), the most each, no cost, ns."""
        found, constraints = self.boundaries, self.scene.constraints
        never = np.array([kind[2] in NEVER for kind in self.kinds], dtype=bool)[self.kind]
        saved = found.limit_ns * ~(never[found.before] | never[found.after])
        won = self.places.summed(saved[self.places.order, None])
        return float(constraints.wall_ns - replay_step(constraints, won)[0])


def _distinct(rows: Ints) -> tuple[Ints, Ints]:
    """The distinct rows of a table of small numbers, and which of them each row is."""
    sizes = rows.max(axis=0, initial=0) + 1
    key = np.ravel_multi_index(tuple(rows.T), tuple(sizes.tolist()))
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return rows[first], inverse
