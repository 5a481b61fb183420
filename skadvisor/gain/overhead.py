"""The overhead model: what disappears with each removed boundary, and what of it reaches the end of the step."""

from __future__ import annotations

from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from skadvisor.gain.bands import choose_draws
from skadvisor.gain.boundaries import Boundaries, boundaries_without, find_boundaries
from skadvisor.gain.interface import DRAWS, SEED, Draws, Floats, Part, Scene
from skadvisor.gain.machine import Machine
from skadvisor.gain.population import Population, published_population
from skadvisor.gain.replay import replay
from skadvisor.gain.shrinkage import Shrinkage, published_shrinkage
from skadvisor.gain.stated_priors import priors
from skadvisor.records import Basis
from skadvisor.units import NS_PER_US

Flags = NDArray[np.bool_]

#: The input of the terms that count removed boundaries.
COUNT = "boundaries_removed"

#: Kernels with these reason words are never fused, whatever the compiler's version.
NEVER = ("DEFAULT_NODE", "NOT_IN_SCOPE")


class OverheadModel:
    """Ceiling and draws in named terms, from what a population of nets showed (the published one by default)."""

    def __init__(
        self,
        population: Population | None = None,
        machine: Machine | None = None,
        *,
        draws: int = DRAWS,
        random_state: int = SEED,
    ) -> None:
        self.population = population
        self.machine = machine
        self.draws = draws
        self.random_state = random_state

    def draw(self, scene: Scene) -> Draws:
        """Draw the saving of a scene; see `interface.Draws`."""
        population = self.population or published_population()
        return _Drawing(scene, population, self.machine, self.draws, self.random_state).result()


class _Drawing:
    """The draws of one scene; each quantity is one array with a value per draw, or a row per boundary."""

    def __init__(self, scene: Scene, population: Population, machine: Machine | None, draws: int, seed: int) -> None:
        self.scene = scene
        self.machine = machine
        self.draws = draws
        self.seed = seed
        self.random = np.random.default_rng(seed)
        self.constraints = scene.constraints
        self.boundaries = find_boundaries(scene)
        self.fractions = population.draw(draws, seed)
        self.level = scene.level
        self.recompile_pct = population.recompile_pct[scene.level]
        self.reaches = self.fractions.reaches if scene.waits_for_ranks else np.ones(draws)
        self.shrinkage: Shrinkage = published_shrinkage(self.level)
        lost = priors()["overlap_lost"]
        self.lost = self.random.triangular(lost["low"], lost["mode"], lost["high"], draws)
        # Streams share one answer: a compiler keeps all of a scope's streams apart, or none.
        self.apart = self.random.random(draws) < priors()["streams"]["apart"]

    def result(self) -> Draws:
        won = self._won(self.boundaries)
        alone = won.sum(axis=0)
        reached = alone if self.constraints.chain else self._replayed(won, with_overlap=False)
        lost = self._replayed(won, with_overlap=True) - reached if len(self.scene.overlaps.later) else 0.0 * alone
        carried = (self.reaches - 1.0) * np.maximum(reached + lost, 0.0)
        ceiling = self._ceiling()
        plain = reached + lost + carried
        factor = self.shrinkage.factor(self._percent(plain))
        shrunk = np.minimum(plain * factor, ceiling)
        parts = self._parts_at_boundaries(won) | {
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
                {"overlap_us": self.scene.overlaps.total_ns / NS_PER_US},
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
                (shrunk - plain) / NS_PER_US,
                "derived",
                "public pairs, each net foretold by the others",
                {
                    "weight_of_the_capture": self.shrinkage.weight,
                    "base_pct": self.shrinkage.base_pct,
                    "nets": float(self.shrinkage.nets),
                },
            ),
        }
        return Draws(
            parts,
            ceiling / NS_PER_US,
            np.minimum((alone + lost) * factor, ceiling) / NS_PER_US,
            partial(self._breaker_costs, won, alone, shrunk),
            self._expected_overhead(),
            self.recompile_pct,
        )

    def _percent(self, saved: Floats) -> float:
        return 100.0 * float(np.median(saved)) / self.scene.wall_ns if self.scene.wall_ns else 0.0

    def _parts_at_boundaries(self, won: Floats) -> dict[str, Part]:
        found = self.boundaries
        of_gap = np.divide(found.gap_ns, found.gap_ns + found.head_ns)
        gaps = (won * of_gap[:, None]).sum(axis=0)
        removed: dict[str, Floats | float] = {
            "boundaries": float(len(found)),
            COUNT: self._removed(found).sum(axis=0).astype(float),
            "recovered": self.fractions.recovered,
        }
        basis: Basis = "derived" if len(found) and found.seen.all() else "assumed"
        shown = "duration minus core time of the PMU columns; " if basis == "derived" else ""
        source = priors()["recovered"]["source"]
        if self.machine is not None:
            basis, source = "measured", "measured on this machine by the probe"
            removed["probed_us"] = self.machine.saved_us
        heads = won.sum(axis=0) - gaps
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

    @cached_property
    def _fused(self) -> Flags:
        """For each kernel of the step, in which draws it fuses; operators of one type fuse together or not at all."""
        table = self.scene.preview.kernels
        kinds = list(zip(table["op_type"], table["fusible"], table["reason"], strict=True))
        chance = {kind: 0.0 if kind[2] in NEVER else priors()["fuses"][kind[1]] for kind in set(kinds)}
        level = {name: np.random.default_rng([self.seed, *name.encode()]) for name in {kind[0] for kind in kinds}}
        drawn = {name: generator.random(self.draws) for name, generator in level.items()}
        fused = {kind: drawn[kind[0]] < chance[kind] for kind in chance}
        return np.array([fused[kind] for kind in kinds]).reshape(len(kinds), self.draws)

    def _removed(self, found: Boundaries) -> Flags:
        """For each boundary, in which draws it disappears."""
        fused = self._fused[found.before] & self._fused[found.after]
        return fused & ~(found.crossed[:, None] & self.apart[None, :])

    def _won(self, found: Boundaries) -> Floats:
        """For each boundary what its disappearance wins, ns; nothing where it stays."""
        whole = (found.gap_ns + found.head_ns)[:, None] * self.fractions.recovered[None, :]
        return np.minimum(whole, found.limit_ns[:, None]) * self._removed(found)

    def _replayed(self, won: Floats, with_overlap: bool) -> Floats:
        """The saving of the step on its critical path, ns."""
        saved = dict(zip(self.boundaries.after.tolist(), won, strict=True))
        if with_overlap:
            for position, longer in self._stretched().items():
                saved[position] = saved.get(position, 0.0) - longer
        return self.constraints.wall_ns - replay(self.constraints, saved, {}, self.draws)

    def _stretched(self) -> dict[int, Floats]:
        """How much longer kernels take, ns, where they no longer run beside the other stream: each by what it loses."""
        longer: dict[int, Floats] = {}
        found = self.scene.overlaps
        factor = np.where(found.complementary, priors()["overlap_lost"]["complementary_factor"], 1.0)
        for earlier, later, overlap, share in zip(found.earlier, found.later, found.overlap_ns, factor, strict=True):
            both = self._fused[earlier] & self._fused[later] & ~self.apart
            for position in (int(earlier), int(later)):
                longer[position] = longer.get(position, np.zeros(self.draws)) + both * self.lost * share * overlap
        return longer

    def _ceiling(self) -> float:
        """The saving with all boundaries removed, breakers remedied (but AI CPU tasks), the most each, no cost, ns."""
        found = self.boundaries
        never = self.scene.preview.kernels["reason"].isin(NEVER).to_numpy()
        most = found.limit_ns * ~(never[found.before] | never[found.after])
        saved = {int(position): most[number : number + 1] for number, position in enumerate(found.after)}
        return float(self.constraints.wall_ns - replay(self.constraints, saved, {})[0])

    def _breaker_costs(self, won: Floats, alone: Floats, shrunk: Floats) -> tuple[float, ...]:
        """For each row of the preview's cuts, how much more the same draws would win without these kernels, us."""
        usual = self.reaches * self.shrinkage.factor(self._percent(alone * self.reaches))
        ratio = np.where(alone > 0, np.divide(shrunk, np.maximum(alone, 1.0)), usual)
        table = self.scene.preview.kernels
        labels, roles = table["op_type"].to_numpy(dtype=object), table["role"].to_numpy(dtype=object)
        now = float(shrunk[choose_draws(shrunk)["mid"]].mean())
        costs = []
        for cut in self.scene.preview.cuts.itertuples(index=False):
            gone = (labels == cut.op_type) & (roles == cut.role)
            touched = gone[self.boundaries.before] | gone[self.boundaries.after]
            joined = self._won(boundaries_without(self.scene, self.boundaries, gone)).sum(axis=0)
            then = shrunk + ratio * (joined - won[touched].sum(axis=0))
            costs.append(max(0.0, float(then[choose_draws(then)["mid"]].mean()) - now) / NS_PER_US)
        return tuple(costs)

    def _expected_overhead(self) -> float:
        """Gaps and heads at the boundaries that are expected to vanish, us: what the population's fractions are of."""
        found = self.boundaries
        return float(((found.gap_ns + found.head_ns) * self._removed(found).mean(axis=1)).sum()) / NS_PER_US
