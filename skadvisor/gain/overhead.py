"""The overhead model: what disappears with each removed boundary, what it costs, and what of it reaches the step."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skadvisor.gain.boundaries import find_boundaries
from skadvisor.gain.interface import DRAWS, SEED, Draws, Floats, Part, Scene, priors
from skadvisor.gain.replay import replay
from skadvisor.records import Basis
from skadvisor.units import NS_PER_US

Ints = NDArray[np.int64]

#: Standard normal quantile of the 95 % range that the priors state.
TWO_SIDED_95 = 1.96

#: The input of the terms that count removed boundaries.
COUNT = "boundaries_removed"

#: Kernels with these reason words are never fused, whatever the compiler's version.
NEVER = ("DEFAULT_NODE", "NOT_IN_SCOPE")


class OverheadModel:
    """Ceiling and draws in named terms. `draws` is the number of draws, `random_state` the fixed seed."""

    def __init__(self, draws: int = DRAWS, random_state: int = SEED) -> None:
        self.draws = draws
        self.random_state = random_state

    def draw(self, scene: Scene) -> Draws:
        """Draw the saving of a scene; see `interface.Draws`."""
        return _Drawing(scene, self.draws, self.random_state).result()


class _Drawing:
    """The draws of one scene; each quantity is one array with a value per draw."""

    def __init__(self, scene: Scene, draws: int, seed: int) -> None:
        self.scene = scene
        self.draws = draws
        self.seed = seed
        self.random = np.random.default_rng(seed)
        self.priors = priors()
        self.constraints = scene.constraints
        self.boundaries = find_boundaries(scene)
        self.nothing = np.zeros(draws)
        self.measured = ~np.isnan(self.boundaries.head_ns)
        # One draw per unknown, in a fixed order: boundaries share the hardware and the compiler.
        self.head = self._lognormal("head_us") * NS_PER_US
        self.recovered = self._triangular("head_recovered")
        self.sync = self._triangular("sync_us") * NS_PER_US
        self.lost = self._triangular("overlap_lost")
        self.apart = self._streams_apart()
        self.not_carried = self._triangular("not_carried")
        self.recompile = self.random.normal(0.0, self.priors["recompile_pct"]["sigma"] / 100, self.draws)

    def result(self) -> Draws:
        gaps, heads, inside, syncs = self._sums()
        alone = gaps + heads + inside - syncs
        reached = alone if self.constraints.chain else self._replayed(with_overlap=False)
        lost = self._replayed(with_overlap=True) - reached if len(self.scene.overlaps.later) else self.nothing
        after = reached + lost
        not_carried = -self.not_carried * np.maximum(after, 0.0)
        ceiling = self._ceiling()
        noise = self.recompile * self.scene.in_scope_ns if len(self.boundaries.after) else self.nothing
        noise = np.minimum(after + not_carried + noise, ceiling) - after - not_carried
        parts = self._parts_at_boundaries(gaps, heads, inside, syncs) | self._parts_of_the_step(
            alone, reached, lost, not_carried, noise, ceiling
        )
        return Draws(parts, ceiling / NS_PER_US, np.minimum(alone + lost + noise, ceiling) / NS_PER_US)

    def _parts_at_boundaries(self, gaps: Floats, heads: Floats, inside: Floats, syncs: Floats) -> dict[str, Part]:
        removed = self._removed_counts()
        with_pmu = removed | {"boundaries_with_pmu": float(self.measured.sum())}
        preload = "instruction preload and early start; " + self.priors["head_us"]["source"]
        made = (
            ("visible_gaps", gaps, "measured", "gaps between neighbours that fuse", removed, "gap_us"),
            ("head_overhead", heads, self._head_basis, self._head_source, with_pmu, "head_us"),
            ("inside_cores", inside, "assumed", preload, removed, "inside_us"),
            ("subkernel_sync", -syncs, "assumed", self.priors["sync_us"]["source"], removed, "sync_us"),
        )
        return {
            name: Part(draws / NS_PER_US, basis, source, inputs, (rate, COUNT))  # type: ignore[arg-type]
            for name, draws, basis, source, inputs, rate in made
        }

    def _parts_of_the_step(
        self, alone: Floats, reached: Floats, lost: Floats, not_carried: Floats, noise: Floats, ceiling: float
    ) -> dict[str, Part]:
        known = self.priors
        in_scope: dict[str, Floats | float] = {
            "in_scope_us": self.scene.in_scope_ns / NS_PER_US,
            "ceiling_us": ceiling / NS_PER_US,
        }
        return {
            "off_critical_path": Part(
                (reached - alone) / NS_PER_US,
                "derived",
                "replay of the step's timeline",
                {"block_us": alone / NS_PER_US, "reached_us": reached / NS_PER_US},
            ),
            "stream_overlap": Part(
                lost / NS_PER_US,
                "assumed",
                known["overlap_lost"]["source"],
                {"overlap_us": self.scene.overlaps.total_ns / NS_PER_US},
                ("lost_fraction", "overlap_us"),
            ),
            "not_carried": Part(
                not_carried / NS_PER_US,
                "assumed",
                known["not_carried"]["source"],
                {"saved_us": np.maximum(reached + lost, 0.0) / NS_PER_US},
                ("fraction", "saved_us"),
            ),
            "recompile": Part(noise / NS_PER_US, "assumed", known["recompile_pct"]["source"], in_scope),
        }

    def _lognormal(self, name: str) -> Floats:
        prior = self.priors[name]
        sigma = np.log(prior["high"] / prior["low"]) / (2 * TWO_SIDED_95)
        return self.random.lognormal(np.log(prior["median"]), sigma, self.draws)

    def _triangular(self, name: str) -> Floats:
        prior = self.priors[name]
        return self.random.triangular(prior["low"], prior["mode"], prior["high"], self.draws)

    def _streams_apart(self) -> NDArray[np.bool_]:
        """In which draws the compiler keeps the scope's streams apart."""
        return self.random.random(self.draws) < self.priors["streams"]["apart"]

    @cached_property
    def _fused(self) -> list[NDArray[np.bool_]]:
        """For each kernel of the step, in which draws it fuses; operators of one type fuse together or not at all."""
        table = self.scene.preview.kernels
        kinds = list(zip(table["op_type"], table["fusible"], table["reason"], strict=True))
        chance = {kind: 0.0 if kind[2] in NEVER else self.priors["fuses"][kind[1]] for kind in set(kinds)}
        level = {name: np.random.default_rng([self.seed, *name.encode()]) for name in {kind[0] for kind in kinds}}
        drawn = {name: generator.random(self.draws) for name, generator in level.items()}
        fused = {kind: drawn[kind[0]] < chance[kind] for kind in chance}
        return [fused[kind] for kind in kinds]

    def _removed(self, number: int) -> NDArray[np.bool_]:
        """In which draws the boundary disappears."""
        fused = self._fused[self.boundaries.before[number]] & self._fused[self.boundaries.after[number]]
        return fused & ~self.apart if self.boundaries.crossed[number] else fused

    def _head(self, number: int) -> tuple[Floats, Floats]:
        """What a boundary saves if it disappears, ns: of the overhead round the cores' work, and inside the cores."""
        limit = self.priors["head_cap_fraction"]["value"] * self.boundaries.dur_ns[number]
        if self.measured[number]:
            seen = min(self.boundaries.head_ns[number], self.priors["ceiling"]["head_us"] * NS_PER_US)
            outside = np.minimum(self.recovered * seen, limit)
            return outside, np.minimum(np.maximum(self.head - seen, 0.0), limit - outside)
        return np.minimum(self.head, limit), self.nothing

    def _sums(self) -> tuple[Floats, Floats, Floats, Floats]:
        gaps, heads, inside, syncs = (np.zeros(self.draws) for _ in range(4))
        for number in range(len(self.boundaries.after)):
            removed = self._removed(number)
            head, hidden = self._head(number)
            gaps += removed * self.boundaries.gap_ns[number]
            heads += removed * head
            inside += removed * hidden
            syncs += removed * self.sync
        return gaps, heads, inside, syncs

    def _replayed(self, with_overlap: bool) -> Floats:
        """The saving of the step on its critical path, ns."""
        saved: dict[int, Floats] = {}
        gaps: dict[int, Floats] = {}
        for number, position in enumerate(self.boundaries.after):
            removed = self._removed(number)
            saved[int(position)] = removed * (sum(self._head(number)) - self.sync)
            gaps[int(position)] = removed * self.boundaries.gap_ns[number]
        if with_overlap:
            for position, longer in self._stretched().items():
                saved[position] = saved.get(position, 0.0) - longer
        return self.constraints.wall_ns - replay(self.constraints, saved, gaps, self.draws)

    def _stretched(self) -> dict[int, Floats]:
        """How much longer kernels take, ns, where they no longer run beside the other stream: each by what it loses."""
        longer: dict[int, Floats] = {}
        found = self.scene.overlaps
        factor = np.where(found.complementary, self.priors["overlap_lost"]["complementary_factor"], 1.0)
        for earlier, later, overlap, share in zip(found.earlier, found.later, found.overlap_ns, factor, strict=True):
            both = self._fused[earlier] & self._fused[later] & ~self.apart
            for position in (int(earlier), int(later)):
                longer[position] = longer.get(position, np.zeros(self.draws)) + both * self.lost * share * overlap
        return longer

    def _ceiling(self) -> float:
        """The saving with all boundaries removed, breakers remedied (but AI CPU tasks), greatest head, no cost, ns."""
        cap = self.priors["ceiling"]["head_us"] * NS_PER_US
        limit = self.priors["head_cap_fraction"]["value"] * self.boundaries.dur_ns
        reason = self.scene.preview.kernels["reason"].isin(NEVER).to_numpy()
        open_to_fusion = ~(reason[self.boundaries.before] | reason[self.boundaries.after])
        head = np.minimum(limit, cap) * open_to_fusion
        gap = self.boundaries.gap_ns * open_to_fusion
        saved = {int(position): head[number : number + 1] for number, position in enumerate(self.boundaries.after)}
        gaps = {int(position): gap[number : number + 1] for number, position in enumerate(self.boundaries.after)}
        return float(self.constraints.wall_ns - replay(self.constraints, saved, gaps)[0])

    def _removed_counts(self) -> dict[str, Floats | float]:
        count = np.zeros(self.draws)
        for number in range(len(self.boundaries.after)):
            count += self._removed(number)
        return {"boundaries": float(len(self.boundaries.after)), COUNT: count}

    @property
    def _head_basis(self) -> Basis:
        return "derived" if len(self.measured) and self.measured.all() else "assumed"

    @property
    def _head_source(self) -> str:
        if self._head_basis == "derived":
            return "duration minus core time of the PMU columns; " + self.priors["head_recovered"]["source"]
        return str(self.priors["head_us"]["source"])
