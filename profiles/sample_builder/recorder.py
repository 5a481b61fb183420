"""Kernel tables with their truth, written down kernel by kernel: the recorder, its blocks and the score.

Beside the models that `build` makes from figures, so that the labeller is not judged by one idea of a model alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skadvisor.events import Capture, host_table, kernel_table, task_table

Shape = tuple[int, ...]
SCORED = ("attention", "mlp", "moe", "norm", "comm")
CUBE = ("matmul", "mm", "gmm")


@dataclass(frozen=True)
class Recorded:
    """A capture and its truth in the same row order: step, phase, layer, layer_kind, region."""

    capture: Capture
    truth: pd.DataFrame
    mode: str


@dataclass
class Recorder:
    """Puts kernels on streams one after another and notes what each one is for."""

    mode: str = "graph"
    seed: int = 0
    gap_us: float = 0.2
    slow: float = 1.0
    step: int = 0
    phase: str = "decode"
    layer: int | None = None
    kind: str | None = None
    stream: int = 7
    step_id: int | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock: dict[int, float] = {self.stream: 1_700_000_000_000_000.0}
        self.random = np.random.default_rng(self.seed)
        self.counts: Counter[str] = Counter()

    def put(
        self,
        op: str,
        region: str,
        ins: Sequence[Shape | None] = (),
        outs: Sequence[Shape | None] = (),
        us: float = 3.0,
        core: str | None = None,
        name: str | None = None,
    ) -> None:
        """One kernel on the present stream."""
        collective = op.startswith("hcom")
        begin = self.clock[self.stream] + self.gap_us
        length = us * self.slow * float(self.random.uniform(0.95, 1.05))
        self.clock[self.stream] = begin + length
        cube = any(word in op.lower() for word in CUBE)
        self.rows.append(
            {
                "start_ns": round(begin * 1000),
                "dur_ns": round(length * 1000),
                "name": name or self._name(op),
                "op_type": op,
                "kind": "collective" if collective else "kernel",
                "core": core or ("COMMUNICATION" if collective else "AI_CORE" if cube else "AI_VECTOR_CORE"),
                "state": {"graph": "static", "eager": "dynamic"}[self.mode],
                "stream": None if collective else self.stream,
                "task": len(self.rows),
                "model": 3 if self.mode == "graph" and not collective else None,
                "input_shapes": _text(ins),
                "output_shapes": _text(outs),
                "step_id": self.step_id,
                "truth": (self.step, self.phase, self.layer, self.kind, region),
            }
        )

    def mm(self, region: str, rows: int, inner: int, outer: int, op: str = "MatMulV2") -> None:
        """A projection (rows, inner) -> (rows, outer); its weight is laid out (outer, inner)."""
        us = 3 + inner * outer * 2 / 1.2e6 + rows * inner * outer * 2 / 2.5e8
        self.put(op, region, [(rows, inner), (outer, inner)], [(rows, outer)], us)

    def pause(self, us: float) -> None:
        """All streams wait."""
        latest = max(self.clock.values()) + us
        self.clock = dict.fromkeys(self.clock, latest)

    @contextmanager
    def beside(self, stream: int, wait: bool = True) -> Iterator[None]:
        """Kernels on another stream from now on; the first stream waits for them behind it, or at `join`."""
        home = self.stream
        self.clock[stream] = max(self.clock.get(stream, 0.0), self.clock[home])
        self.stream = stream
        yield
        self.stream = home
        if wait:
            self.join(stream)

    def join(self, stream: int) -> None:
        self.clock[self.stream] = max(self.clock[self.stream], self.clock[stream])

    def _name(self, op: str) -> str:
        self.counts[op] += 1
        if op.startswith("hcom") or op.islower():
            return f"{op}_{self.counts[op]}"
        return f"aclnn{op}_{op}_{op}" if self.mode == "eager" else f"{op}_{self.counts[op]}"

    def finish(self, **changes: Any) -> Recorded:
        """The capture; `changes` are for Capture."""
        return make(self.rows, self.mode, **changes)


def make(rows: list[dict[str, Any]], mode: str, **changes: Any) -> Recorded:
    """The capture of rows that carry their truth."""
    rows = sorted(rows, key=lambda row: (row["start_ns"], row["stream"] or -1, row["task"]))
    columns = {name: [row[name] for row in rows] for name in rows[0] if name != "truth"}
    kernels = kernel_table(columns)
    order = {(row["start_ns"], row["task"]): row["truth"] for row in rows}
    truth = [order[key] for key in zip(kernels["start_ns"], kernels["task"], strict=True)]
    nothing: dict[str, Any] = {"start_ns": [], "dur_ns": []}
    capture = Capture(Path("recorded"), "torch_npu", kernels, task_table(nothing), host_table(nothing), (), **changes)
    return Recorded(capture, pd.DataFrame(truth, columns=["step", "phase", "layer", "layer_kind", "region"]), mode)


def _text(shapes: Sequence[Shape | None]) -> str | None:
    return ";".join(",".join(map(str, shape)) if shape else "" for shape in shapes) or None


def change(recorded: Recorded, **columns: Any) -> Recorded:
    """The same kernels with some columns replaced: by a function of the old column, or by one value."""
    kernels = recorded.capture.kernels.copy()
    for name, new in columns.items():
        dtype = kernels[name].dtype
        values = kernels[name].astype(object).map(new, na_action="ignore") if callable(new) else new
        kernels[name] = pd.Series(values, index=kernels.index, dtype=object).astype(
            "category" if isinstance(dtype, pd.CategoricalDtype) else dtype
        )
    return _with(recorded, kernels, recorded.truth)


def _with(recorded: Recorded, kernels: pd.DataFrame, truth: pd.DataFrame) -> Recorded:
    from dataclasses import replace

    return Recorded(replace(recorded.capture, kernels=kernels), truth.reset_index(drop=True), recorded.mode)


def keep(recorded: Recorded, mask: Any) -> Recorded:
    """Only the kernels that `mask` (N,) marks."""
    kernels = recorded.capture.kernels[mask].reset_index(drop=True)
    for name in kernels.select_dtypes("category"):
        kernels[name] = kernels[name].cat.remove_unused_categories()
    return _with(recorded, kernels, recorded.truth[mask])


def level0(recorded: Recorded) -> Recorded:
    """As the lowest profiler level writes it: names only."""
    nothing = dict.fromkeys(("op_type", "core", "state", "stream", "model", "input_shapes", "output_shapes", "step_id"))
    return change(recorded, **nothing)


def from_trace(recorded: Recorded) -> Recorded:
    """As a timeline file tells it: names and streams, no types, no shapes."""
    return change(recorded, op_type=None, input_shapes=None, output_shapes=None, state=None)


def without_shapes(recorded: Recorded, share: float, seed: int = 1) -> Recorded:
    """Shapes lost on a share of the kernels."""
    lost = np.random.default_rng(seed).random(len(recorded.truth)) < share
    kernels = recorded.capture.kernels.copy()
    for name in ("input_shapes", "output_shapes"):
        kernels[name] = kernels[name].mask(lost)
    return _with(recorded, kernels, recorded.truth)


def renamed(recorded: Recorded, known: tuple[str, ...] = ("matmul",)) -> Recorded:
    """Every operator under a name that nobody knows, except those whose name holds one of `known`."""
    seen: dict[str, str] = {}

    def other(op: Any) -> str:
        text = str(op)
        if any(word in text.lower() for word in (*known, "hcom")):
            return text
        base = text.rstrip("0123456789_") if "_" in text else text
        return seen.setdefault(base, f"zq{chr(97 + len(seen) % 26)}{chr(97 + len(seen) // 26)}w")

    types = recorded.capture.kernels["op_type"].astype(object)
    new = [other(op) for op in types]
    return change(recorded, op_type=pd.Series(new), name=pd.Series([f"{op}_{n}" for n, op in enumerate(new)]))


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


def score(recorded: Recorded, labelled: Any) -> Score:
    """Compare a Labelled with the truth."""
    kernels, truth = labelled.kernels, recorded.truth
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
        mode=labelled.mode == recorded.mode,
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
