"""How right the labels of a capture are against its truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from sample_builder.build import BuiltCapture

SCORED = ("attention", "mlp", "moe", "norm", "comm")


@dataclass(frozen=True)
class Score:
    """How right a labelled capture is. `accuracy` and `total` are shares of time, `sure` of the confident kernels."""

    accuracy: float
    total: float
    unattributed: float
    sure: float
    sure_share: float
    worst_share: float
    steps: bool
    phases: bool
    layers: bool
    mode: bool


def score(built: BuiltCapture, labelled: Any) -> Score:
    """Compare a Labelled with the truth."""
    kernels, truth = labelled.kernels, built.truth
    right = kernels["region"].astype(str).to_numpy() == truth["region"].to_numpy()
    time = kernels["dur_ns"].to_numpy().astype(float)
    inside = truth["region"].isin(SCORED).to_numpy()
    sure = (kernels["confidence"] >= 0.9).to_numpy()
    shares = [
        abs(time[(kernels["region"] == region).to_numpy()].sum() - time[(truth["region"] == region).to_numpy()].sum())
        for region in SCORED
    ]
    return Score(
        accuracy=_share(right & inside, inside, time),
        total=_share(right, right | True, time),
        unattributed=float(time[(kernels["region"] == "unattributed").to_numpy()].sum() / time.sum()),
        sure=float(right[sure].mean()) if sure.any() else 1.0,
        sure_share=float(sure.mean()),
        worst_share=max(shares) / float(time.sum()),
        steps=bool((kernels["step"].to_numpy() == truth["step"].to_numpy()).all()),
        phases=labelled.steps["phase"].astype(str).tolist() == truth.groupby("step")["phase"].first().tolist(),
        layers=_layers(kernels, kernels["step"]) == _layers(truth, truth["step"]),
        mode=labelled.mode == built.manifest["mode"],
    )


def _share(hits: Any, inside: Any, time: Any) -> float:
    return float(time[hits].sum() / time[inside].sum()) if inside.any() else 1.0


def _layers(table: pd.DataFrame, step: pd.Series) -> list[list[str]]:
    """The kinds of the layers of each step, in order."""
    known = table["layer"].notna() & (step >= 0)
    pairs = table[known].groupby(step[known])
    return [
        group.groupby("layer")["layer_kind"].agg(lambda kinds: "+".join(sorted({str(kind) for kind in kinds}))).tolist()
        for _step, group in pairs
    ]
