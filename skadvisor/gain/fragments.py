"""Graphs without decoder layers: a block or a small net alone. What repeats in them stands for the layers.

People try SuperKernel on a block first. Nothing there is called a layer, but a scope can be placed round the whole
graph and round each repetition of what repeats in it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from skadvisor.accounting.representative import StepKernels, step_kernels
from skadvisor.accounting.timeline import Times
from skadvisor.events import idle_before
from skadvisor.fusion.templates import TemplateScope, Variant, template_scope
from skadvisor.text.messages import _
from skadvisor.vocabulary.arrays import Flags, Ints
from skadvisor.vocabulary.labels_of_kernels import operator_labels

#: A period counts where its repetitions hold this part of the kernels, a fraction.
MOST_OF_THE_GRAPH = 0.8
#: One operator over and over is no block.
SHORTEST = 2
#: Nor is anything with more kernels than this, so that the search stays short.
LONGEST = 2_000


def fragment_scopes() -> tuple[TemplateScope, ...]:
    """The templates that need no decoder layers: the whole graph, and what repeats in it."""
    block = Variant(
        name="repeated block",
        where=_("one scope round each repetition of what repeats in the graph"),
        per="layer",
        everything=True,
    )
    return template_scope("automatic"), replace(template_scope("per-block"), variants=(block,))


def number_repetitions(kernels: StepKernels) -> StepKernels:
    """The same kernels with their repetition as `layer`; kernels outside all repetitions have none."""
    table = kernels.kernels
    names = operator_labels(kernels.plain).tolist()
    gap = idle_before(table["start_ns"].to_numpy(), table["dur_ns"].to_numpy())
    layer: Any = pd.Series(find_repetitions(names, gap), index=table.index)
    return replace(kernels, kernels=table.assign(layer=layer.where(layer >= 0).astype("Int64")))


def repeats(labelled: pd.DataFrame, times: Times, phase: str) -> bool:
    """Whether a sequence of kernels runs more than once: in several steps of the phase, or within its typical one."""
    step = times.representative.get(phase)
    if step is None or (times.steps["phase"] == phase).sum() > 1:
        return step is not None
    return bool((number_repetitions(step_kernels(labelled, times, step)).kernels["layer"].fillna(0) > 0).any())


def find_repetitions(names: list[str], gap_ns: Ints) -> Ints:
    """Which repetition each kernel belongs to, -1 outside; all are of one where nothing repeats.

    The shortest period that covers most of the sequence counts. A repetition begins where the gaps are longest.
    """
    code = np.unique(names, return_inverse=True)[1]
    for period in range(SHORTEST, min(len(code) // 2, LONGEST) + 1):
        same = code[period:] == code[:-period]
        if same.sum() + period < MOST_OF_THE_GRAPH * len(code):
            continue
        first, length = _longest_run(same)
        if length + period >= MOST_OF_THE_GRAPH * len(code):
            gaps = gap_ns[first : first + period * (length // period + 1)].reshape(-1, period)
            begin = first + int(np.argmax(np.median(gaps[1:], axis=0)))
            whole = (first + length + period - begin) // period * period
            place = np.arange(len(code)) - begin
            return np.where((place >= 0) & (place < whole), place // period, -1)
    return np.zeros(len(code), dtype="int64")


def _longest_run(same: Flags) -> tuple[int, int]:
    """Begin and length of the longest run of True; (0, 0) without one."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]).astype("int8")))
    begins, ends = edges[::2], edges[1::2]
    if not len(begins):
        return 0, 0
    longest = int(np.argmax(ends - begins))
    return int(begins[longest]), int(ends[longest] - begins[longest])
