"""What-if: the same capture with kernels taken out or with another batch, assessed anew.

These are sketches for planning, not measurements: kernels keep their order and their gaps, durations change by the
stated rules, and the result carries a warning that says what was assumed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skadvisor.analysis import Analysis, assess
from skadvisor.errors import NotEnoughError
from skadvisor.events import PlainColumns
from skadvisor.records import Notice
from skadvisor.text.messages import Message, _
from skadvisor.vocabulary.labels_of_kernels import operator_labels

if TYPE_CHECKING:
    from skadvisor.labelling.labels import Labelled

#: Roles whose time grows with the number of sequences; projections read the same weights for every batch.
GROWS_WITH_BATCH = ("attention_core", "indexer", "kv_cache", "rope", "sampling")
#: Rows up to which a projection is bound by reading its weights.
WEIGHT_BOUND_ROWS = 128


def without(analysis: Analysis, op_types: Collection[str]) -> Analysis:
    """The capture as if kernels of `op_types` in decoder layers were gone, with the gaps before them.

    Raises NotEnoughError where no kernel in a layer is of these types.
    """
    kernels = analysis.kernels
    gone = np.isin(operator_labels(PlainColumns(kernels)), list(op_types)) & kernels["layer"].notna().to_numpy()
    if not gone.any():
        raise NotEnoughError(_("no kernel in a decoder layer is of type {listed}"), listed=", ".join(op_types))
    moved = _close_up(kernels, np.where(gone, 0, kernels["dur_ns"].to_numpy()), drop=gone)
    text = _("What-if: {count} kernels of type {types} were taken out of the capture.")
    return _again(analysis, moved, Message(text, count=int(gone.sum()), types=", ".join(sorted(op_types))))


def with_batch(analysis: Analysis, factor: float) -> Analysis:
    """The decode steps as if `factor` times as many sequences ran; other phases stay as they are.

    Attention, rotary embedding, cache and sampling kernels take `factor` times as long. Projections stay as long as
    one pass over their weights serves all rows (up to `WEIGHT_BOUND_ROWS`), beyond that they grow with the rows.
    Raises NotEnoughError for a factor that is not positive or a capture without decode steps.
    """
    if factor <= 0:
        raise NotEnoughError(_("a batch cannot be {factor} times as large"), _("give a positive factor"), factor=factor)
    kernels, steps = analysis.kernels, analysis.steps
    decode = steps[steps["phase"] == "decode"].set_index("step")
    inside = kernels["step"].isin(decode.index).to_numpy()
    if not inside.any():
        raise NotEnoughError(_("no decode step to change the batch of"))
    rows = kernels["step"].map(decode["tokens"]).fillna(1).to_numpy(dtype="float64")
    grows = kernels["role"].isin(GROWS_WITH_BATCH).to_numpy()
    weights = np.maximum(1.0, rows * factor / WEIGHT_BOUND_ROWS) / np.maximum(1.0, rows / WEIGHT_BOUND_ROWS)
    scale = np.where(inside, np.where(grows, factor, weights), 1.0)
    duration = np.rint(kernels["dur_ns"].to_numpy() * scale).astype("int64")
    moved = _close_up(kernels, duration, drop=np.zeros(len(kernels), dtype=bool))
    text = _(
        "What-if: {factor:g} times the batch. Assumed: attention, cache and sampling grow with it; projections read "
        "their weights once for up to {rows} rows."
    )
    changed = _again(analysis, moved, Message(text, factor=factor, rows=WEIGHT_BOUND_ROWS))
    return changed


def _close_up(kernels: pd.DataFrame, duration: NDArray[np.int64], drop: NDArray[np.bool_]) -> pd.DataFrame:
    """Give the kernels new durations and let what follows move by as much; overlaps and gaps keep their length.

    The time that is won or lost is that of the device's front: where kernels overlap, only the latest end moves on.
    """
    start = kernels["start_ns"].to_numpy()
    end = start + kernels["dur_ns"].to_numpy()
    front = np.maximum.accumulate(end)
    before = np.append(start[:1], front[:-1])
    # how much of each kernel lies beyond everything that ran before it, and what becomes of that part
    alone = np.maximum(0, end - np.maximum(start, before))
    share = np.divide(duration, np.maximum(1, end - start))
    gap = np.where(drop, np.maximum(0, start - before), 0)
    change = np.rint(alone * (share - 1.0)).astype("int64") - gap
    shift = np.append(0, np.cumsum(change)[:-1]) - np.where(drop, gap, 0)
    moved = kernels.assign(start_ns=start + shift, dur_ns=duration)[~drop]
    return moved.sort_values("start_ns", kind="stable", ignore_index=True)


def _again(analysis: Analysis, kernels: pd.DataFrame, assumed: Message) -> Analysis:
    labelled: Labelled = replace(analysis.labelled, kernels=kernels)
    capture = replace(analysis.capture, kernels=kernels[analysis.capture.kernels.columns])
    changed = assess(capture, labelled, analysis.options)
    notice = Notice(code="what_if", message=assumed)
    return replace(changed, result=replace(changed.result, warnings=(notice, *changed.result.warnings)))
