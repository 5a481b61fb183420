"""What the calibrated model sees of a scene: a few figures that an engineer can check by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skadvisor.fusion.streams import overlaps
from skadvisor.gain.overhead import central_head_ns, find_boundaries
from skadvisor.gain.replay import read_constraints

if TYPE_CHECKING:
    from skadvisor.gain.interface import Scene

#: name -> meaning. Shares are fractions of the step's wall time.
FEATURES = {
    "boundaries_per_ms": "boundaries that are expected to vanish per millisecond of the step",
    "gap_share": "visible gaps at these boundaries",
    "head_share": "head overhead at these boundaries, at the centre of the prior or by the PMU columns",
    "breaker_rate": "fraction of the scope's boundaries that breakers keep",
    "in_scope_share": "exposed time in scope",
    "stream_overlap": "time in scope in which two streams overlap",
}


def features(scene: Scene) -> dict[str, float]:
    """The features of a scene, by the names of `FEATURES`."""
    table = scene.preview.kernels
    constraints = read_constraints(scene.step.kernels, scene.host_rows)
    found = find_boundaries(scene, constraints)
    fragment = table["fragment"].to_numpy()
    vanish = (fragment[found.after] >= 0) & (fragment[found.after] == fragment[found.before])
    wall = scene.wall_ns
    overlap = overlaps(scene.step.kernels, table["scope"].to_numpy())
    return {
        "boundaries_per_ms": float(vanish.sum() / (wall / 1e6)),
        "gap_share": float(found.gap_ns[vanish].sum() / wall),
        "head_share": float(central_head_ns(found)[vanish].sum() / wall),
        "breaker_rate": float(1.0 - vanish.mean()) if len(vanish) else 0.0,
        "in_scope_share": min(scene.in_scope_ns / wall, 1.0),
        "stream_overlap": overlap.total_ns / wall,
    }
