"""The boundaries between kernels of a scope: what a SuperKernel may remove, and what that is worth each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skadvisor.accounting.gaps import GRAPH_FLOOR_NS
from skadvisor.gain.interface import Floats, Scene, priors
from skadvisor.gain.replay import Constraints, replay
from skadvisor.units import NS_PER_US

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Boundaries:
    """The boundaries of a scope: neighbours on one stream, in one graph, with no host gap between them.

    `before` and `after` are positions in the step's kernels, `gap_ns` the gap between them as far as the later kernel
    did not wait for another stream, `head_ns` the overhead that the PMU columns show in the later kernel (NaN without
    them), `dur_ns` the later kernel's duration, `crossed` tells boundaries at which another stream waits or is waited
    for.
    """

    before: Ints
    after: Ints
    gap_ns: Floats
    head_ns: Floats
    dur_ns: Floats
    crossed: NDArray[np.bool_]


def find_boundaries(scene: Scene) -> Boundaries:
    """The boundaries inside the scene's scope, whatever the operators on both sides are.

    A gap that is too long for tasks of one graph is no boundary: the device waits there, whatever for.
    """
    kernels, constraints = scene.step.kernels, scene.constraints
    previous = scene.preview.kernels["previous"].to_numpy()
    short = constraints.lag_ns <= GRAPH_FLOOR_NS
    after = np.flatnonzero((previous >= 0) & short & ~np.isfinite(constraints.held_until_ns))
    before = previous[after]
    gap = np.maximum(constraints.lag_ns[after], 0.0)
    duration = constraints.dur_ns
    waited_for = np.zeros(len(kernels), dtype=bool)
    waited_for[constraints.waits_for[constraints.waits_for >= 0]] = True
    crossed = (constraints.waits_for[after] >= 0) | waited_for[before]
    core_time = kernels[["aic_ns", "aiv_ns"]].astype("float64").max(axis=1).to_numpy()
    head = np.maximum(duration - core_time, 0.0)
    return Boundaries(before, after, gap * scene.gap_scale, head[after], duration[after], crossed)


def central_head_ns(boundaries: Boundaries) -> Floats:
    """What each boundary saves of heads and inside the cores at the centre of the priors, ns."""
    known = priors()
    cap = known["ceiling"]["head_us"] * NS_PER_US
    prior = np.minimum(known["head_us"]["median"] * NS_PER_US, known["head_cap_fraction"]["value"] * boundaries.dur_ns)
    seen = np.minimum(boundaries.head_ns, cap)
    unseen = np.maximum(known["head_us"]["median"] * NS_PER_US - seen, 0.0)
    limit = known["head_cap_fraction"]["value"] * boundaries.dur_ns
    return np.where(
        np.isnan(boundaries.head_ns), prior, np.minimum(known["head_recovered"]["mode"] * seen + unseen, limit)
    )


def breaker_costs(scene: Scene) -> list[float]:
    """What each row of the preview's `cuts` costs, us per step: the boundaries that would go if it were fusible.

    A boundary counts at the centre of the priors, only if nothing else keeps it, and only by the part of all
    boundaries' worth that reaches the end of the step.
    """
    boundaries = find_boundaries(scene)
    head = central_head_ns(boundaries) - priors()["sync_us"]["mode"] * NS_PER_US
    worth = np.maximum(boundaries.gap_ns + head, 0.0)
    reaching = _reaching(scene.constraints, boundaries, head)
    table = scene.preview.kernels
    stays = (table["fusible"] == "unlikely").to_numpy()
    groups = list(zip(table["op_type"], table["role"], strict=True))
    costs = []
    for cut in scene.preview.cuts.itertuples(index=False):
        mine = np.array([group == (cut.op_type, cut.role) for group in groups], dtype=bool)
        touched = mine[boundaries.before] | mine[boundaries.after]
        others = (stays & ~mine)[boundaries.before] | (stays & ~mine)[boundaries.after]
        costs.append(reaching * float(worth[touched & ~others].sum()) / NS_PER_US)
    return costs


def _reaching(constraints: Constraints, boundaries: Boundaries, head: Floats) -> float:
    """The fraction of what all boundaries are worth that shortens the step."""
    alone = float((boundaries.gap_ns + head).sum())
    if alone <= 0 or constraints.chain:
        return 1.0
    saved = {int(place): head[number : number + 1] for number, place in enumerate(boundaries.after)}
    gaps = {int(place): boundaries.gap_ns[number : number + 1] for number, place in enumerate(boundaries.after)}
    return max(0.0, float(constraints.wall_ns - replay(constraints, saved, gaps)[0]) / alone)
