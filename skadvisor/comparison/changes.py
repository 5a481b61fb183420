"""What changed from one set of runs to another: phases, regions, layers and gaps, medians over steady decode steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skadvisor.accounting.timeline import Times
from skadvisor.comparison.alignment import AlignedRuns, SuperKernelSite
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
    """Decode as it was matched; other phases as both sides label them."""
    rows = [("decode", len(runs.before), len(runs.after), spread_before.median_us, spread_after.median_us)]
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
    """Regions that one SuperKernel joined are taken together: its time cannot be split among them."""
    before, after = (_per_step(times, "regions", "region") for times in (runs.times_before, runs.times_after))
    groups = _join_regions(runs.sites)
    changes = []
    for members in _partition([*before.columns.get_level_values(1), *after.columns.get_level_values(1)], groups):
        old, new = (_sum_of(table, "exposed_ns", members) for table in (before, after))
        kernels_old, kernels_new = (_sum_of(table, "kernels", members) for table in (before, after))
        changes.append(
            RegionChange(
                regions=members,
                before_us=us(old),
                after_us=us(new),
                change_us=us(new - old),
                kernels_before=kernels_old,
                kernels_after=kernels_new,
            )
        )
    return tuple(sorted(changes, key=lambda change: -change.before_us))


def _join_regions(sites: Sequence[SuperKernelSite]) -> list[set[str]]:
    groups: list[set[str]] = []
    for site in sites:
        joined = set(site.regions) | ({"other"} if len(site.regions) > 1 else set())
        for group in [group for group in groups if group & joined]:
            groups.remove(group)
            joined |= group
        groups.append(joined)
    return groups


def _partition(regions: Sequence[str], groups: Sequence[set[str]]) -> list[tuple[str, ...]]:
    present = list(dict.fromkeys(regions))
    rows: list[tuple[str, ...]] = []
    for region in present:
        group = next((group for group in groups if region in group), {region})
        members = tuple(name for name in present if name in group)
        if members not in rows:
            rows.append(members)
    return rows


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
        wide = rows.pivot_table(index="step", columns=key, values=["exposed_ns", "kernels"], aggfunc="sum")
        wide = wide.reindex(steps)
        wide.index = pd.MultiIndex.from_product([[run], wide.index])
        parts.append(wide)
    return pd.concat(parts).fillna(0)


def _sum_of(table: pd.DataFrame, value: str, members: Sequence[Any]) -> float:
    """The median over steps of the sum over `members`."""
    columns = [(value, name) for name in members if (value, name) in table.columns]
    return float(table[columns].sum(axis=1).median()) if columns else 0.0


def layer_changes(runs: AlignedRuns) -> tuple[LayerChange, ...]:
    """Layers that both sides still tell apart; a SuperKernel over several layers hides them."""
    if any(len(site.layers) > 1 for site in runs.sites):
        return ()
    before, after = (_per_step(times, "layers", "layer") for times in (runs.times_before, runs.times_after))
    kinds = runs.times_before[0].layers.drop_duplicates("layer").set_index("layer")["kind"]
    changes = []
    for layer in sorted(set(before["exposed_ns"].columns) & set(after["exposed_ns"].columns)):
        old, new = (_sum_of(table, "exposed_ns", [layer]) for table in (before, after))
        changes.append(
            LayerChange(
                layer=int(layer),
                kind=str(kinds[layer]),
                before_us=us(old),
                after_us=us(new),
                change_us=us(new - old),
            )
        )
    return tuple(changes)


def gap_changes(runs: AlignedRuns) -> tuple[GapChange, ...]:
    changes = []
    for kind in ("inside", "between", "host"):
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
        changes.append(GapChange(kind=kind, before_us=us(old), after_us=us(new), change_us=us(new - old)))
    return tuple(changes)


def median(values: Sequence[float]) -> float:
    """The median as a plain number."""
    return float(np.median(values))
