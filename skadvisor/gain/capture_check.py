"""Does the capture agree with the time per output token that was measured without the profiler?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from skadvisor.errors import InputError
from skadvisor.records import Notice, WholeTime, notice
from skadvisor.text.messages import _
from skadvisor.units import NS_PER_MS, NS_PER_US

if TYPE_CHECKING:
    from skadvisor.accounting.situation import Situation
    from skadvisor.accounting.timeline import Times

#: Longer gaps or steps than this, as a ratio to the time without the profiler, make the capture unreliable.
INFLATION = 1.3


@dataclass(frozen=True)
class Rescaling:
    """How the typical step is read: the time that percent refer to (ns) and what it is, the factor on device gaps."""

    wall_ns: float
    gap_scale: float
    basis: WholeTime = "captured_step"


def rescale(times: Times, step: int, situation: Situation) -> Rescaling:
    """Rescale a step to `tpot_ms`: the profiler lengthens gaps, host gaps first, and leaves kernels as they are.

    Raises InputError where `tpot_ms` is less than the kernels alone take.
    """
    row = times.steps[times.steps["step"] == step].iloc[0]
    wall = float(row["wall_ns"])
    real = _real_wall(situation)
    if real is None and not situation.decoder_layers:
        return Rescaling(wall - float(row["gap_host_ns"]), 1.0, "graph")
    if real is None:
        return Rescaling(wall, 1.0)
    if row["busy_ns"] > real:
        raise InputError(
            _("--tpot-ms {tpot_ms:g} is less than the step's kernels alone take ({value:.2f} ms)"),
            _("give the time of one decode step; with speculative decoding that is several tokens' time"),
            tpot_ms=situation.tpot_ms,
            value=row["busy_ns"] / NS_PER_MS,
        )
    excess = max(wall - real - float(row["gap_host_ns"]), 0.0)
    gaps = float(row["gap_inside_ns"] + row["gap_between_ns"])
    return Rescaling(real, max(0.0, 1.0 - excess / gaps) if gaps else 1.0, "time_per_token")


def check_capture(times: Times, situation: Situation) -> tuple[Notice, ...]:
    """What makes the capture unreliable as a picture of the run without the profiler."""
    step = times.representative.get(situation.phase)
    real = _real_wall(situation)
    if step is None:
        return ()
    row = times.steps[times.steps["step"] == step].iloc[0]
    figures = {
        "wall": row["wall_ns"] / NS_PER_US,
        "gap": row["gap_ns"] / NS_PER_US,
        "own": float(row["wall_ns"] - row["gap_host_ns"]) / NS_PER_US,
    }
    if real is None:
        if not situation.graph_alone or situation.superkernels:
            return ()
        code = "percent_of_graph"
        text = _(
            "no decoder layers were found: the whole graph and what repeats in it are assessed, in percent of "
            "the graph's own {own:,.1f} us without waits for the host"
        )
    elif row["wall_ns"] > INFLATION * real:
        code = "capture_inflated"
        text = _(
            "unreliable gaps: the step takes {wall:,.1f} us in the capture and {tpot:,.1f} us without the "
            "profiler; its {gap:,.1f} us of gaps are scaled down"
        )
    elif INFLATION * row["wall_ns"] < real:
        code = "capture_incomplete"
        text = _(
            "the step takes {wall:,.1f} us in the capture but {tpot:,.1f} us without the profiler: kernels "
            "of a graph replay are missing, or the host works between steps"
        )
    else:
        code = "percent_of_tpot"
        text = _("percent refer to the step of {tpot:,.1f} us that --tpot-ms gives; the capture's takes {wall:,.1f} us")
    return (notice(code, text, **figures, tpot=(real or 0.0) / NS_PER_US),)


def _real_wall(situation: Situation) -> float | None:
    if situation.tpot_ms is None:
        return None
    return situation.tpot_ms * situation.tokens_per_step * NS_PER_MS
