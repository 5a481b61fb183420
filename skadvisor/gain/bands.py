"""From draws to low, mid and high.

Each is the mean over the tenth of the draws around P10, P50 and P90 of the saving. The terms are averaged over the
same draws, so that in each column they add up to the estimate exactly.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from skadvisor.gain.interface import Draws, Part, Scene
from skadvisor.records import Estimate, Term
from skadvisor.units import NS_PER_US
from skadvisor.vocabulary.arrays import Floats, Ints

BANDS = {"low": (0.05, 0.15), "mid": (0.45, 0.55), "high": (0.85, 0.95)}

#: Standard normal quantile of P90.
P90 = NormalDist().inv_cdf(0.9)

Chosen = dict[str, Ints]


def choose_draws(saving_us: Floats) -> Chosen:
    """Which draws stand for low, mid and high."""
    order = np.argsort(saving_us, kind="stable")
    size = len(order)
    return {name: order[int(low * size) : int(np.ceil(high * size))] for name, (low, high) in BANDS.items()}


def estimate(draws: Draws, scene: Scene) -> Estimate:
    """The interval of the step's saving; percent of the scene's wall time, and of the time in scope for the block."""
    wall_us, in_scope_us = scene.wall_ns / NS_PER_US, scene.in_scope_ns / NS_PER_US
    saving, chosen = draws.saving_us, choose_draws(draws.saving_us)
    step = {name: float(saving[rows].mean()) for name, rows in chosen.items()}
    block_rows = choose_draws(draws.block_us)
    block = {name: float(draws.block_us[rows].mean()) for name, rows in block_rows.items()}

    def share(value: float, whole: float) -> float:
        return round(100 * value / whole, 3) if whole > 0 else 0.0

    return Estimate(
        **{f"{band}_us": round(saved, 3) for band, saved in step.items()},
        **{f"{band}_pct": share(saved, wall_us) for band, saved in step.items()},
        **{f"block_{band}_pct": share(saved, in_scope_us) for band, saved in block.items()},
        of_us=round(wall_us, 3),
        of=scene.basis,
        recompile_pct=round(draws.recompile_pct, 3),
    )


def terms(draws: Draws) -> dict[str, Term]:
    """The named terms in the same three columns; inputs that differ between draws carry the column in their name."""
    chosen = choose_draws(draws.saving_us)
    return {name: _term(part, chosen) for name, part in draws.parts.items()}


def _term(part: Part, chosen: Chosen) -> Term:
    middle = {f"{band}_us": round(float(part.draws[rows].mean()), 3) + 0.0 for band, rows in chosen.items()}
    inputs: dict[str, float] = {}
    for name, value in part.inputs.items():
        if isinstance(value, np.ndarray):
            inputs |= {f"{name}_{band}": round(float(value[rows].mean()), 4) for band, rows in chosen.items()}
        else:
            inputs[name] = round(float(value), 4)
    if part.rate is not None:
        name, counted = part.rate
        inputs |= {f"{name}_{band}": _rate(part, counted, rows) for band, rows in chosen.items()}
    return Term(**middle, basis=part.basis, inputs=inputs, source=part.source)


def _rate(part: Part, counted: str, rows: Ints) -> float:
    """The term per unit of one of its inputs, over the same draws, so that input times rate gives the term."""
    amount = float(np.mean(np.broadcast_to(part.inputs[counted], part.draws.shape)[rows]))
    return round(abs(float(part.draws[rows].mean())) / amount, 6) if amount else 0.0
