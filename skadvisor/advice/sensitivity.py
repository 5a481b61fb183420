"""What if: whether the advice would be another one if all unattributed time worked for one region."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from skadvisor.advice.choice import LEAST_SHARE, recommend
from skadvisor.advice.refusal import refuse
from skadvisor.events import PlainColumns
from skadvisor.fusion.templates import place, template_scopes
from skadvisor.options import Options
from skadvisor.records import Template
from skadvisor.vocabulary.arrays import Ints

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.accounting.situation import Situation
    from skadvisor.accounting.timeline import Times

#: Regions that unattributed kernels of decoder layers can belong to.
CANDIDATES = ("attention", "mlp", "moe", "norm")


def unattributed_scenarios(labelled: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The labelled kernel table with all unattributed kernels given to one region, per region that could be right.

    Collectives that move an unattributed result go with it. Kernels without a layer join the layer that runs before
    them in their step, else the first, because a scope holds kernels of layers only.

    `labelled` holds events.KERNEL_COLUMNS and LABEL_COLUMNS and stays as it is. Attention is always a candidate,
    another region where the table holds it already; of `mlp` and `moe` at least one is, and both where the table
    holds neither. Empty where nothing is unattributed.
    """
    unattributed = (labelled["region"] == "unattributed").to_numpy()
    if not unattributed.any():
        return {}
    present = {"attention", *labelled["region"].dropna().astype("object")}
    if not present & {"mlp", "moe"}:
        present |= {"mlp", "moe"}
    region, owner = (labelled[name].astype("object").to_numpy() for name in ("region", "owner"))
    before = labelled["layer"].groupby(labelled["step"]).ffill()
    nearest = before.groupby(labelled["step"]).bfill()
    layer = labelled["layer"].mask(unattributed | (owner == "unattributed"), nearest)
    scenarios = {}
    for candidate in CANDIDATES:
        if candidate in present:
            given = np.where(unattributed, candidate, region)
            moved = np.where(owner == "unattributed", candidate, owner)
            scenarios[candidate] = labelled.assign(region=_as(labelled, given), owner=_as(labelled, moved), layer=layer)
    return scenarios


def advice_depends(labelled: pd.DataFrame, usual: str, choose: Callable[[str, pd.DataFrame], str]) -> bool:
    """Whether the advised choice would not be `usual` in any scenario.

    `choose` takes the region that all unattributed kernels were given to and the labelled table with them. It has to
    depend on regions only through the scopes of the templates: it is not asked for a scenario that places every scope
    as `labelled` does or as one before did. Asks no further once one answer differs.
    """
    judged = [_placed(labelled)]
    for region, scenario in unattributed_scenarios(labelled).items():
        placed = _placed(scenario)
        if any(np.array_equal(placed, known) for known in judged):
            continue
        judged.append(placed)
        if choose(region, scenario) != usual:
            return True
    return False


def depends_on_unattributed(
    labelled: pd.DataFrame,
    times: Times,
    situation: Situation,
    templates: Sequence[Template],
    share: float,
    options: Options,
) -> bool:
    """Whether the choice would be another one if all unattributed time of the typical step were of one region.

    Assessed and chosen anew for each region, with the tables and options that gave `templates`. Only the typical step
    is looked at, as by the gain, so the cost is at most that of one assessment per region whatever the length of the
    capture. `share` is the unattributed share of the device time, a fraction; below LEAST_SHARE, and where a plain
    fact of the capture decides, the answer is no and nothing is assessed.
    """
    if share < LEAST_SHARE or refuse(templates, situation) is not None:
        return False
    from skadvisor import gain

    def choose(region: str, table: pd.DataFrame) -> str:
        facts = _with_experts(situation) if region == "moe" else situation
        assessed = gain.assess(table, times, facts, options)
        return recommend(assessed.templates, facts, times, risk=options.risk).choice

    usual = recommend(templates, situation, times, risk=options.risk).choice
    step = times.representative.get(situation.phase)
    return advice_depends(labelled[labelled["step"] == step], usual, choose)


def _with_experts(situation: Situation) -> Situation:
    """The situation of a model with experts; where no layer was known to have any, all may."""
    return situation if situation.moe else replace(situation, layer_kinds={"moe": situation.decoder_layers})


def _placed(labelled: pd.DataFrame) -> Ints:
    """For every variant of every template and every kernel, the scope that it is in."""
    variants = [variant for scope in template_scopes() for variant in scope.variants]
    columns = PlainColumns(labelled)
    return np.stack([place(columns, variant) for variant in variants])


def _as(labelled: pd.DataFrame, values: np.ndarray) -> pd.Series:
    import pandas as pd

    return pd.Series(values, index=labelled.index, dtype="object").astype("category")
