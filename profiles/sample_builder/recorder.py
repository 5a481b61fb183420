"""Captures written down kernel by kernel with their truth.

Beside the models that `build` makes from figures, so that the labeller is not judged by one idea of a model alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from skadvisor.events import Capture, host_table, kernel_table, task_table

CUBE = ("matmul", "mm", "gmm")
TRUTH = ["step", "phase", "layer", "layer_kind", "region"]
#: One shape alone, or several with None for a tensor that is not given.
Shapes = Shape | Sequence[Shape | None]


@dataclass
class Recorder:
    """Puts kernels on streams one after another and notes what each one is for.

    `average` are the durations, us, that kernels of a type have whatever their description says.
    """

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
    average: Mapping[str, float] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock: dict[int, float] = {self.stream: 1_700_000_000_000_000.0}
        self.random = np.random.default_rng(self.seed)
        self.counts: Counter[str] = Counter()

    def put(
        self, op: str, region: str, ins: Shapes = (), outs: Shapes | None = None, us: float = 3.0,
        core: str | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        """One kernel on the present stream; without `outs` it gives what its first input is."""
        inputs = _several(ins)
        collective = op.startswith("hcom")
        begin = self.clock[self.stream] + self.gap_us
        length = self.average.get(op, us) * self.slow * float(self.random.uniform(0.95, 1.05))
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
                "input_shapes": _text(inputs),
                "output_shapes": _text(inputs[:1] if outs is None else _several(outs)),
                "step_id": self.step_id,
                "truth": (self.step, self.phase, self.layer, self.kind, region),
            }
        )

    def each(self, ops: str, region: str, shape: Shape, us: float = 3.0) -> None:
        """Element-wise kernels over one shape, one after another; those of arithmetic take it twice."""
        for op in ops.split():
            self.put(op, region, [shape, shape] if op in ("Add", "Sub", "Mul", "RealDiv") else shape, us=us)

    def mm(self, region: str, rows: int, inner: int, outer: int, op: str = "MatMulV2") -> None:
        """A projection (rows, inner) -> (rows, outer); its weight is laid out (outer, inner)."""
        self.put(op, region, [(rows, inner), (outer, inner)], (rows, outer), projection_us(rows, inner, outer))

    def steps(self, count: int, pause: float = 320.0, phase: str | None = None) -> Iterator[int]:
        """Steps one after another, all streams idle behind each."""
        for self.step in range(count):
            self.phase = phase or self.phase
            yield self.step
            self.pause(pause)

    def layers(self, count: int, kind: str = "dense", first: int = 0) -> Iterator[int]:
        """Layers one after another."""
        for number in range(first, first + count):
            self.layer, self.kind = number, kind
            yield number

    def outside(self) -> None:
        """What follows lies in no layer."""
        self.layer = self.kind = None

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
        """The present stream waits for another one."""
        self.clock[self.stream] = max(self.clock[self.stream], self.clock[stream])

    def _name(self, op: str) -> str:
        self.counts[op] += 1
        if op.startswith("hcom") or op.islower():
            return f"{op}_{self.counts[op]}"
        return f"aclnn{op}_{op}_{op}" if self.mode == "eager" else f"{op}_{self.counts[op]}"

    def finish(self) -> BuiltCapture:
        """The capture with its truth, TRUTH columns in row order."""
        rows = sorted(self.rows, key=lambda row: (row["start_ns"], row["stream"] or -1, row["task"]))
        kernels = kernel_table({name: [row[name] for row in rows] for name in rows[0] if name != "truth"})
        order = {(row["start_ns"], row["task"]): row["truth"] for row in rows}
        truth = [order[key] for key in zip(kernels["start_ns"], kernels["task"], strict=True)]
        nothing: dict[str, Any] = {"start_ns": [], "dur_ns": []}
        capture = Capture(Path("recorded"), "torch_npu", kernels, task_table(nothing), host_table(nothing), ())
        return BuiltCapture(capture, pd.DataFrame(truth, columns=TRUTH), {"mode": self.mode})


def projection_us(rows: int, inner: int, outer: int) -> float:
    """How long a projection takes, us."""
    return 3 + inner * outer * 2 / 1.2e6 + rows * inner * outer * 2 / 2.5e8


def _several(shapes: Shapes) -> Sequence[Shape | None]:
    return [shapes] if shapes and isinstance(shapes[0], int) else shapes  # type: ignore[list-item, return-value]


def _text(shapes: Sequence[Shape | None]) -> str | None:
    return ";".join(",".join(map(str, shape)) if shape else "" for shape in shapes) or None
