"""What changed from one set of runs to another: phases, regions, layers and gaps, medians over steady decode steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skadvisor.accounting.gaps import GAP_KINDS
from skadvisor.accounting.timeline import Times
from skadvisor.comparison.alignment import AlignedRuns
from skadvisor.comparison.records import GapChange, LayerChange, PhaseChange, RegionChange
from skadvisor.comparison.statistics import Spread
from skadvisor.units import us

if TYPE_CHECKING:
    from skadvisor.analysis import Analysis


def phase_changes(
    before: Sequence[Analysis],
    after: Sequence[Analysis],
    spread_before: Spread,
    spread_after: Spread,
    runs: AlignedRuns,
) -> tuple[PhaseChange, ...]:
    """Decode (or the executions of a graph) as it was matched; other phases as both sides label them."""
    name = "decode" if runs.unit == "steps" else "unknown"
    rows = [(name, len(runs.before), len(runs.after), spread_before.median_us, spread_after.median_us)]
    for phase, record in before[0].result.phases.items():
        other = after[0].result.phases.get(phase)
        if phase not in ("decode", "unknown") and other is not None:
            rows.append((phase, record.steady_steps, other.steady_steps, record.wall_us, other.wall_us))
    return tuple(
        PhaseChange(
            phase=phase,
            steps_before=steps_before,
            steps_after=steps_after,
            before_us=old,
            after_us=new,
            change_us=round(new - old, 3),
            change_pct=round(100 * (new - old) / old, 3) if old else 0.0,
        )
        for phase, steps_before, steps_after, old, new in rows
    )


def region_changes(runs: AlignedRuns) -> tuple[RegionChange, ...]:
    """Every region of BEFORE; what a SuperKernel joined keeps the shares that it had before."""
    before, after = (_per_step(times, "regions", "region") for times in (runs.times_before, runs.times_after))
    joined = {region for site in runs.sites if len(site.regions) > 1 for region in site.regions}
    changes = []
    for region in dict.fromkeys([*before.columns.get_level_values(1), *after.columns.get_level_values(1)]):
        old, new = (_median_of(table, "exposed_ns", region) for table in (before, after))
        changes.append(
            RegionChange(
                region=region,
                basis="derived" if region in joined else "measured",
                **_times(old, new),
                kernels_before=_median_of(before, "kernels", region),
                kernels_after=_median_of(after, "kernels", region),
            )
        )
    return tuple(sorted(changes, key=lambda change: -change.before_us))


def _decode_steps(times: Times) -> pd.Index:
    chosen = times.steps[(times.steps["phase"] == "decode") & times.steps["steady"].astype(bool)]
    return pd.Index(chosen["step"])


def _per_step(all_times: Sequence[Times], table: str, key: str) -> pd.DataFrame:
    """One row per steady decode step of all runs, columns (value, key); what a step does not have is 0."""
    parts = []
    for run, times in enumerate(all_times):
        rows = getattr(times, table)
        steps = _decode_steps(times)
        rows = rows[rows["step"].isin(steps)].assign(**{key: lambda frame: frame[key].astype("object")})
        wide = rows.set_index(["step", key])[["exposed_ns", "kernels"]].unstack(key).reindex(steps)
        wide.index = pd.MultiIndex.from_product([[run], wide.index])
        parts.append(wide)
    return pd.concat(parts).fillna(0)


def _times(before_ns: float, after_ns: float) -> dict[str, float]:
    return {"before_us": us(before_ns), "after_us": us(after_ns), "change_us": us(after_ns - before_ns)}


def _median_of(table: pd.DataFrame, value: str, key: Any) -> float:
    """The median over steps, 0 where no step has it."""
    return float(table[(value, key)].median()) if (value, key) in table.columns else 0.0


def layer_changes(runs: AlignedRuns) -> tuple[LayerChange, ...]:
    """Layers that both sides have; a SuperKernel over several layers keeps the shares that they had before."""
    before, after = (_per_step(times, "layers", "layer") for times in (runs.times_before, runs.times_after))
    kinds = runs.times_before[0].layers.drop_duplicates("layer").set_index("layer")["kind"]
    joined = {layer for site in runs.sites if len(site.layers) > 1 for layer in site.layers}
    changes = []
    for layer in sorted(set(before.columns.get_level_values(1)) & set(after.columns.get_level_values(1))):
        old, new = (_median_of(table, "exposed_ns", layer) for table in (before, after))
        changes.append(
            LayerChange(
                layer=int(layer),
                kind=str(kinds[layer]),
                basis="derived" if layer in joined else "measured",
                **_times(old, new),
            )
        )
    return tuple(changes)


def gap_changes(runs: AlignedRuns) -> tuple[GapChange, ...]:
    changes = []
    for kind in GAP_KINDS:
        old, new = (
            median(
                [
                    float(value)
                    for times in side
                    for value in times.steps.set_index("step").loc[_decode_steps(times), f"gap_{kind}_ns"]
                ]
            )
            for side in (runs.times_before, runs.times_after)
        )
        changes.append(GapChange(kind=kind, **_times(old, new)))
    return tuple(changes)


def median(values: Sequence[float]) -> float:
    """The median as a plain number."""
    return float(np.median(values))
