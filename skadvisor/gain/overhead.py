"""The overhead model: what disappears with each removed boundary, and what of it reaches the end of the step."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property, partial

import numpy as np

from skadvisor.gain.bands import choose_draws
from skadvisor.gain.boundaries import Boundaries, boundaries_without
from skadvisor.gain.interface import DRAWS, Draws, Part, Scene
from skadvisor.gain.lots import Ground, Lots
from skadvisor.gain.machine import Machine
from skadvisor.gain.population import Population, published_population
from skadvisor.gain.replay import replay_step
from skadvisor.gain.shrinkage import Shrinkage, published_shrinkage
from skadvisor.gain.stated_priors import priors
from skadvisor.records import Basis
from skadvisor.units import NS_PER_US
from skadvisor.vocabulary.arrays import Flags, Floats, Ints

#: The input of the terms that count removed boundaries.
COUNT = "boundaries_removed"


class OverheadModel:
    """Ceiling and draws in named terms, from what a population of nets showed (the published one by default)."""

    def __init__(self, population: Population | None = None, machine: Machine | None = None) -> None:
        self.population = population
        self.machine = machine
        self._grounds: dict[Scene, Ground] = {}

    @cached_property
    def _lots(self) -> Lots:
        return Lots(self.population or published_population())

    def draw(self, scene: Scene, op_types: Collection[str] = (), fusible: str = "") -> Draws:
        """Draw the saving of a scene, see `interface.Draws`, as if `op_types` had the verdict `fusible`."""
        if scene not in self._grounds:
            self._grounds[scene] = Ground(scene, self._lots)
        return _Drawing(self._grounds[scene], self._lots, self.machine, op_types, fusible).result()


class _Drawing:
    """The draws of one scene; each quantity is one array with a value per draw, or a row per pair or boundary."""

    def __init__(
        self, ground: Ground, lots: Lots, machine: Machine | None, op_types: Collection[str], fusible: str
    ) -> None:
        self.scene = scene = ground.scene
        self.ground = ground
        self.lots = lots
        self.machine = machine
        self.constraints = scene.constraints
        self.boundaries = ground.boundaries
        self.reaches = lots.fractions.reaches if scene.waits_for_ranks else np.ones(DRAWS)
        self.shrinkage: Shrinkage = published_shrinkage(scene.level)
        kinds = [(kind[0], (fusible,) if kind[0] in op_types else kind[1], kind[2]) for kind in ground.kinds]
        self.fused: Flags = np.array([lots.fused(kind) for kind in kinds], dtype=bool).reshape(-1, DRAWS)
        #: for each pair of kinds, in which draws its boundaries disappear
        before, after, crossed = ground.pairs.T
        self.removed = self._removed(before, after, crossed.astype(bool))

    def result(self) -> Draws:
        alone = (self.ground.most_of_pairs * self.removed).sum(axis=0)
        reached, lost = (alone, 0.0 * alone) if self.constraints.chain else self._replayed()
        carried = (self.reaches - 1.0) * np.maximum(reached + lost, 0.0)
        ceiling = self.ground.ceiling_ns
        plain = reached + lost + carried
        factor = self.shrinkage.factor(self._percent(plain))
        shrunk = np.minimum(plain * factor, ceiling)
        return Draws(
            self._parts(alone, reached, lost, carried, shrunk),
            ceiling / NS_PER_US,
            np.minimum((alone + lost) * factor, ceiling) / NS_PER_US,
            partial(self._breaker_costs, alone, shrunk),
            self._expected_overhead(),
            self.lots.recompile_pct[self.scene.level],
        )

    def _parts(self, alone: Floats, reached: Floats, lost: Floats, carried: Floats, shrunk: Floats) -> dict[str, Part]:
        """What the saving is made of, each but the first as the draws (ns) say that it follows from the one before."""
        return self._parts_at_boundaries(alone) | {
            "off_critical_path": Part(
                (reached - alone) / NS_PER_US,
                "derived",
                "replay of the step's timeline",
                {"block_us": alone / NS_PER_US, "reached_us": reached / NS_PER_US},
            ),
            "stream_overlap": Part(
                lost / NS_PER_US,
                "assumed",
                priors()["overlap_lost"]["source"],
                {"overlap_us": self.scene.preview.overlaps.total_ns / NS_PER_US},
                ("lost_fraction", "overlap_us"),
            ),
            "not_carried": Part(
                carried / NS_PER_US,
                "derived",
                priors()["reaches"]["source"],
                {"saved_us": np.maximum(reached + lost, 0.0) / NS_PER_US},
                ("fraction", "saved_us"),
            ),
            "base_rate": Part(
                (shrunk - (reached + lost + carried)) / NS_PER_US,
                "derived",
                "public pairs, each net foretold by the others",
                {
                    "weight_of_the_capture": self.shrinkage.weight,
                    "base_pct": self.shrinkage.base_pct,
                    "nets": float(self.shrinkage.nets),
                },
            ),
        }

    def _percent(self, saved: Floats) -> float:
        return 100.0 * float(np.median(saved)) / self.scene.wall_ns if self.scene.wall_ns else 0.0

    def _parts_at_boundaries(self, alone: Floats) -> dict[str, Part]:
        found = self.boundaries
        ground = self.ground
        gaps = (ground.gaps_of_pairs * self.removed).sum(axis=0)
        removed: dict[str, Floats | float] = {
            "boundaries": float(len(found)),
            COUNT: (ground.counts @ self.removed).astype(float),
            "recovered": self.lots.fractions.recovered,
        }
        basis: Basis = "derived" if len(found) and found.seen.all() else "assumed"
        shown = "duration minus core time of the PMU columns; " if basis == "derived" else ""
        source = priors()["recovered"]["source"]
        if self.machine is not None:
            basis, source = "measured", "measured on this machine by the probe"
            removed["probed_us"] = self.machine.saved_us
        heads = alone - gaps
        with_pmu = removed | {"boundaries_with_pmu": float(found.seen.sum())}
        return {
            "visible_gaps": Part(
                gaps / NS_PER_US, "measured", f"gaps between neighbours that fuse; {source}", removed, ("gap_us", COUNT)
            ),
            "head_overhead": Part(
                heads / NS_PER_US,
                basis,
                f"{shown}{source}",
                with_pmu,
                ("head_us", COUNT),
            ),
        }

    def _removed(self, before: Ints, after: Ints, crossed: Flags) -> Flags:
        """Between kernels of these kinds, in which draws boundaries disappear."""
        return self.fused[before] & self.fused[after] & ~(crossed[:, None] & self.lots.apart[None, :])

    def _replayed(self) -> tuple[Floats, Floats]:
        """The saving of the step on its critical path, and what of it is lost where streams no longer overlap, ns."""
        most, pair = self.ground.most_by_piece
        saved = self.ground.places.summed(most * self.removed[pair])
        if not len(self.scene.preview.overlaps.later):
            won = self.constraints.wall_ns - replay_step(self.constraints, saved)
            return won, np.zeros_like(won)
        both = np.hstack([saved, saved])
        self._stretch(both[:, DRAWS:])
        reached, left = np.split(self.constraints.wall_ns - replay_step(self.constraints, both), 2)
        return reached, left - reached

    def _stretch(self, saved: Floats) -> None:
        """Take off how much longer kernels take where they no longer run beside the other stream: what each loses."""
        found, kind, piece = self.scene.preview.overlaps, self.ground.kind, self.constraints.pieces.of_kernel
        factor = np.where(found.complementary, priors()["overlap_lost"]["complementary_factor"], 1.0)
        lost = ~self.lots.apart * self.lots.lost
        for earlier, later, share in zip(
            found.earlier.tolist(), found.later.tolist(), (factor * found.overlap_ns).tolist(), strict=True
        ):
            longer = (self.fused[kind[earlier]] & self.fused[kind[later]]) * lost * share
            saved[piece[earlier]] -= longer
            saved[piece[later]] -= longer

    def _breaker_costs(self, alone: Floats, shrunk: Floats) -> tuple[float, ...]:
        """For each row of the preview's cuts, how much more the same draws would win without these kernels, us."""
        usual = self.reaches * self.shrinkage.factor(self._percent(alone * self.reaches))
        ratio = np.where(alone > 0, np.divide(shrunk, np.maximum(alone, 1.0)), usual)
        judged = self.scene.preview.judged
        now = float(shrunk[choose_draws(shrunk)["mid"]].mean())
        costs = []
        for cut in self.scene.preview.cuts:
            gone = (judged.op_type == cut.op_type) & (judged.role == cut.role)
            touched = np.flatnonzero(gone[self.boundaries.before] | gone[self.boundaries.after])
            lost = (self.ground.most[touched] * self.removed[self.ground.pair[touched]]).sum(axis=0)
            joined = self._won(boundaries_without(self.scene, self.boundaries, gone)).sum(axis=0)
            then = shrunk + ratio * (joined - lost)
            costs.append(max(0.0, float(then[choose_draws(then)["mid"]].mean()) - now) / NS_PER_US)
        return tuple(costs)

    def _won(self, found: Boundaries) -> Floats:
        """For each boundary what its disappearance wins, ns; nothing where it stays."""
        kind = self.ground.kind
        return self.lots.most(found) * self._removed(kind[found.before], kind[found.after], found.crossed)

    def _expected_overhead(self) -> float:
        """Gaps and heads at the boundaries that are expected to vanish, us: what the population's fractions are of."""
        found = self.boundaries
        vanish = self.removed.mean(axis=1)[self.ground.pair]
        return float(((found.gap_ns + found.head_ns) * vanish).sum()) / NS_PER_US
