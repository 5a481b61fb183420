"""What if: whether the advice would be another one if all unattributed time worked for one region."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

#: Regions that unattributed kernels of decoder layers can belong to.
CANDIDATES = ("attention", "mlp", "moe", "norm")
#: With a smaller share of the device time unattributed no choice of a template hangs on it, a fraction.
LEAST_SHARE = 0.001


def unattributed_share(labelled: pd.DataFrame) -> float:
    """Share of the device time of all steps that no region is stated for, a fraction."""
    inside = (labelled["step"] >= 0).to_numpy() & (labelled["kind"].astype("object") != "collective_part").to_numpy()
    time = labelled["dur_ns"].to_numpy()
    total = int(time[inside].sum())
    return float(time[inside & _unattributed(labelled)].sum()) / total if total else 0.0


def unattributed_scenarios(labelled: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The labelled kernel table with all unattributed kernels given to one region, per region that could be right.

    Collectives that move an unattributed result go with it.

    `labelled` holds events.KERNEL_COLUMNS and LABEL_COLUMNS and stays as it is. A region is a candidate where the
    capture holds it already; of `mlp` and `moe` at least one is, and both where the capture holds neither. Empty where
    nothing is unattributed.
    """
    unattributed = _unattributed(labelled)
    if not unattributed.any():
        return {}
    present = set(labelled["region"].dropna().astype("object"))
    if not present & {"mlp", "moe"}:
        present |= {"mlp", "moe"}
    region, owner = (labelled[name].astype("object").to_numpy() for name in ("region", "owner"))
    scenarios = {}
    for candidate in CANDIDATES:
        if candidate in present:
            given = np.where(unattributed, candidate, region)
            moved = np.where(owner == "unattributed", candidate, owner)
            scenarios[candidate] = labelled.assign(region=_as(labelled, given), owner=_as(labelled, moved))
    return scenarios


def advice_depends(labelled: pd.DataFrame, choose: Callable[[pd.DataFrame], str]) -> bool:
    """Whether `choose`, a function from a labelled table to the advised choice, answers otherwise in any scenario.

    Where less than LEAST_SHARE of the time is unattributed the answer is no, and `choose` is not asked.
    """
    if unattributed_share(labelled) < LEAST_SHARE:
        return False
    usual = choose(labelled)
    return any(choose(scenario) != usual for scenario in unattributed_scenarios(labelled).values())


def _unattributed(labelled: pd.DataFrame) -> np.ndarray:
    return (labelled["region"].astype("object") == "unattributed").to_numpy()


def _as(labelled: pd.DataFrame, values: np.ndarray) -> pd.Series:
    import pandas as pd

    return pd.Series(values, index=labelled.index, dtype="object").astype("category")
