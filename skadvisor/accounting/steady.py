"""Which steps of a phase are steady, and the one that stands for them."""

from __future__ import annotations

import pandas as pd


def steady_steps(steps: pd.DataFrame, phase: str) -> list[int]:
    """The steady steps of a phase (columns step, phase, steady); all its steps where none is steady."""
    found = steps[steps["phase"] == phase]
    steady = found[found["steady"].astype(bool)]
    return [int(step) for step in (steady if len(steady) else found)["step"]]


def representative_steps(steps: pd.DataFrame) -> dict[str, int]:
    """For each phase the steady step whose wall time (wall_ns) is nearest the median, the earlier of two."""
    chosen = {}
    for phase in dict.fromkeys(steps["phase"]):
        candidates = steps[steps["step"].isin(steady_steps(steps, phase))]
        distance = (candidates["wall_ns"] - candidates["wall_ns"].median()).abs()
        chosen[str(phase)] = int(candidates.loc[distance.idxmin(), "step"])
    return chosen
