"""What the calibrated model sees of a scene: a few figures that an engineer can check by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skadvisor.gain.bands import P90, estimate
from skadvisor.gain.boundaries import central_head_ns, find_boundaries
from skadvisor.units import NS_PER_US

if TYPE_CHECKING:
    from skadvisor.gain.interface import Draws, Scene

#: name -> meaning. Shares are fractions of the step's wall time.
FEATURES = {
    "boundaries_per_ms": "boundaries that are expected to vanish per millisecond of the step",
    "gap_share": "visible gaps at these boundaries",
    "head_share": "head overhead at these boundaries, at the centre of the prior or by the PMU columns",
    "breaker_rate": "fraction of the scope's boundaries that breakers keep",
    "in_scope_share": "exposed time in scope",
    "stream_overlap": "time in scope in which two streams overlap",
}

#: The overhead model is never taken to be surer than this, percent of the step.
SMALLEST_SD_PCT = 0.1


def features(scene: Scene) -> dict[str, float]:
    """The features of a scene, by the names of `FEATURES`."""
    table = scene.preview.kernels
    found = find_boundaries(scene)
    fragment = table["fragment"].to_numpy()
    vanish = (fragment[found.after] >= 0) & (fragment[found.after] == fragment[found.before])
    wall = scene.wall_ns
    return {
        "boundaries_per_ms": float(vanish.sum() / (wall / 1e6)),
        "gap_share": float(found.gap_ns[vanish].sum() / wall),
        "head_share": float(central_head_ns(found)[vanish].sum() / wall),
        "breaker_rate": float(1.0 - vanish.mean()) if len(vanish) else 0.0,
        "in_scope_share": min(scene.in_scope_ns / wall, 1.0),
        "stream_overlap": scene.overlaps.total_ns / wall,
    }


def interval_pct(scene: Scene, drawn: Draws, block: bool = False) -> tuple[float, float, float]:
    """Low, mid and high in percent of the wall time, of the step or, for `block`, of the scopes themselves."""
    found = estimate(drawn, scene.wall_ns / NS_PER_US, scene.wall_ns / NS_PER_US)
    if not block:
        return found.low_pct, found.mid_pct, found.high_pct
    return float(found.block_low_pct or 0), float(found.block_mid_pct or 0), float(found.block_high_pct or 0)


def case_row(scene: Scene, interval: tuple[float, float, float]) -> dict[str, float]:
    """The estimator's input for a scene and the overhead model's interval there, percent."""
    low, middle, high = interval
    spread = max((high - low) / (2 * P90), SMALLEST_SD_PCT)
    return {"overhead_mid_pct": middle, "overhead_sd_pct": spread} | features(scene)
