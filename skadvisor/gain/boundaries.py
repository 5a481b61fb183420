"""The boundaries between kernels of a scope: what a SuperKernel may remove, and what each costs today."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skadvisor.accounting.gaps import GRAPH_FLOOR_NS
from skadvisor.gain.interface import Scene
from skadvisor.gain.stated_priors import priors
from skadvisor.units import NS_PER_US
from skadvisor.vocabulary.arrays import Flags, Floats, Ints


@dataclass(frozen=True, eq=False)
class Boundaries:
    """Boundaries of a scope: neighbours on one stream, in one graph, with no host gap between them.

    `before` and `after` are positions in the step's kernels, `gap_ns` the gap between them as far as the later kernel
    did not wait for another stream, `head_ns` the overhead in the later kernel (`seen` tells where PMU columns show
    it), `limit_ns` the most that can be saved, `crossed` tells boundaries at which another stream waits or is waited
    for.
    """

    before: Ints
    after: Ints
    gap_ns: Floats
    head_ns: Floats
    seen: Flags
    limit_ns: Floats
    crossed: Flags

    def __len__(self) -> int:
        return len(self.after)


def find_boundaries(scene: Scene) -> Boundaries:
    """The boundaries inside the scene's scope, whatever the operators on both sides are.

    A gap that is too long for tasks of one graph is no boundary: the device waits there, whatever for.
    """
    constraints = scene.constraints
    previous = scene.preview.previous
    short = constraints.lag_ns <= GRAPH_FLOOR_NS
    after = np.flatnonzero((previous >= 0) & short & ~np.isfinite(constraints.held_until_ns))
    return make_boundaries(scene, previous[after], after)


def boundaries_without(scene: Scene, found: Boundaries, gone: Flags) -> Boundaries:
    """The boundaries that would be new if the kernels `gone` were taken out: what ran before and after them meets."""
    reached = np.full(len(gone), -1, dtype="int64")
    reached[found.after] = found.before
    ends = gone[found.before] & ~gone[found.after]
    after, place = found.after[ends], found.before[ends]
    while True:
        further = gone[place] & (reached[place] >= 0)
        if not further.any():
            break
        place = np.where(further, reached[place], place)
    stays = ~gone[place]
    return make_boundaries(scene, place[stays], after[stays])


def make_boundaries(scene: Scene, before: Ints, after: Ints) -> Boundaries:
    """What the boundaries between the kernels at these positions cost."""
    constraints, known = scene.constraints, priors()
    seen_ns = np.maximum(constraints.dur_ns - scene.step.core_ns, 0.0)[after]
    usual, weight = known["overhead"]["head_us"] * NS_PER_US, known["overhead"]["weight_of_seen"]
    seen = ~np.isnan(seen_ns)
    head = np.where(seen, usual ** (1 - weight) * np.nan_to_num(seen_ns) ** weight, usual)
    gap = np.maximum(constraints.lag_ns[after], 0.0) * scene.gap_scale
    most = np.minimum(known["limit"]["head_us"] * NS_PER_US, known["limit"]["of_duration"] * constraints.dur_ns[after])
    crossed = (constraints.waits_for[after] >= 0) | constraints.waited_for[before]
    return Boundaries(before, after, gap, head, seen, gap + most, crossed)
