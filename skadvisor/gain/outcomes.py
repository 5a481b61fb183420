"""The published before/after pairs, as scenes that the gain models can be run on.

`python -m skadvisor.gain.published` prints each case with what was measured, what the published table claims, and
what we say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skadvisor.files.data_files import read_toml
from skadvisor.fusion.templates import template_variant
from skadvisor.gain.interface import Scene, Situation
from skadvisor.gain.replay import read_constraints

if TYPE_CHECKING:
    import pandas as pd

#: The visible gap between tasks of one graph where a case does not say, us: the middle of 0.02 to 1.4 us, which spans
#: two orders of magnitude, in logarithm 0.17; kernels of one graph in a real capture show 0.0 to 0.2 us.
USUAL_GAP_US = 0.17

REGION = {"attention-only": "attention", "moe-only": "moe", "full-model": "mlp"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One published pair. `bound` "at most" means that the gain was reported as zero or less.

    `blocks` are the operators of one repetition in order, `beside` those on a second stream next to them.
    `block_only` cases are the block's own time, not a step's.
    """

    name: str
    template: str
    moe: bool
    before_us: float
    after_us: float
    scope_share: float
    share_basis: str
    per: str
    repeat: int
    operators: tuple[str, ...]
    beside: tuple[str, ...] = ()
    bound: str = "equal"
    block_only: bool = False
    gap_us: float = USUAL_GAP_US

    @property
    def measured_pct(self) -> float:
        """The measured gain, percent of the time before."""
        return 100.0 * (self.before_us - self.after_us) / self.before_us

    def covered(self, low_pct: float, high_pct: float) -> bool:
        """Whether an interval holds the measured gain; of a gain reported as zero or less, whether it reaches down."""
        if self.bound == "at most":
            return low_pct <= self.measured_pct
        return low_pct <= self.measured_pct <= high_pct


@cache
def published_cases() -> tuple[Case, ...]:
    """All published pairs that carry enough information: times before and after, and the model's structure."""
    content = read_toml(Path(__file__).with_name("outcomes.toml"))
    return tuple(_case(entry, content["block"]) for entry in content["case"])


def scene(case: Case) -> Scene:
    """A step like the case's: its operators with the published time shared among them, and the published gaps."""
    from skadvisor.accounting.representative import StepKernels
    from skadvisor.fusion import judge_step, preview

    kernels = _kernels(case)
    step = StepKernels(0, "graph", kernels)
    situation = Situation(
        mode="graph",
        phase="decode",
        graph_kind="ge_graph",
        decoder_layers=case.repeat,
        layer_kinds={"moe" if case.moe else "dense": case.repeat},
        hardware="A3",
        tiling_sink=True,
    )
    found = preview(step, template_variant(case.template), judge_step(step, situation))
    wall = case.before_us * 1000
    return Scene(
        step, found, situation, wall, wall * case.scope_share, read_constraints(kernels, np.array([], dtype="int64"))
    )


def _case(entry: Mapping[str, Any], blocks: Mapping[str, Any]) -> Case:
    values = dict(entry)
    names = {key: values.pop(key, []) for key in ("blocks", "beside")}
    lists = {key: tuple(op for name in found for op in blocks[name]["operators"]) for key, found in names.items()}
    return Case(**values, operators=lists["blocks"], beside=lists["beside"])


def _kernels(case: Case) -> pd.DataFrame:
    """The labelled kernels of the case's step: equal durations, out-of-scope time in one kernel at the end."""
    import pandas as pd

    from skadvisor.events import KERNEL_COLUMNS, LABEL_COLUMNS

    gap = round(case.gap_us * 1000)
    length = round(case.before_us * 1000 * case.scope_share) // (case.repeat * len(case.operators)) - gap
    rows: list[dict[str, Any]] = []
    now = 0
    for layer in range(case.repeat):
        began = now
        for operator in case.operators:
            rows.append(_row(case, operator, now, max(length, 1), 1, layer))
            now += length + gap
        if case.beside:
            part = (now - gap - began) // len(case.beside)
            for place, operator in enumerate(case.beside):
                rows.append(_row(case, operator, began + place * part, part - gap, 2, layer))
    rest = round(case.before_us * 1000) - now
    if rest > 0:
        rows.append(_row(case, "ArgMaxV2", now, rest, 1, None) | {"region": "sampling", "role": "sampling"})
    known = KERNEL_COLUMNS | LABEL_COLUMNS
    table = {
        name: pd.Series([row.get(name) for row in rows], dtype=object).astype(dtype)  # type: ignore[call-overload]
        for name, (dtype, _) in known.items()
    }
    return pd.DataFrame(table).sort_values("start_ns", kind="stable", ignore_index=True)


def _row(case: Case, operator: str, start: int, duration: int, stream: int, layer: int | None) -> dict[str, Any]:
    return {
        "start_ns": start,
        "dur_ns": duration,
        "name": operator,
        "op_type": operator,
        "kind": "kernel",
        "state": "static",
        "stream": stream,
        "model": 1,
        "step": 0,
        "phase": "decode",
        "layer": layer,
        "layer_kind": None if layer is None else "moe" if case.moe else "dense",
        "region": REGION[case.template],
        "role": "unknown",
        "confidence": 1.0,
    }
