"""Captures of written models: the blocks that all files of the language may use, and steps one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sample_builder.build import BuiltCapture
from sample_builder.cards import Card
from sample_builder.recorder import Recorder, projection_us
from sample_builder.sequences import Block, read

Plan = Sequence[tuple[str, int, int]]


def recorded(
    c: Card, *, body: Block, steps: int = 3, plan: Plan = (), pause: float = 320.0,
    finish: Callable[[Recorder], BuiltCapture] = Recorder.finish, **how: Any,
) -> BuiltCapture:  # fmt: skip
    """`steps` times the body, or once for each (phase, rows, sequences) of a plan; `how` is for the recorder."""
    r = Recorder(**how)
    for step in r.steps(len(plan) or steps, pause):
        if plan:
            r.phase, rows, sequences = plan[step]
            c = c.at(rows, sequences)
        body(r, c)
    return finish(r)


def run(
    c: Card, layers: Block | None = None, steps: int = 3, mode: str = "graph", outside: bool = True
) -> BuiltCapture:
    """Decode steps of these layers, of dense ones as a rule."""
    body = WORDS["forward"](layers or WORDS["dense_layers"], outside=outside)
    return recorded(c, body=body, steps=steps, mode=mode, gap_us=0.2 if mode == "graph" else 14.0)


def phased(c: Card, layers: Block | Sequence[Block], plan: Plan, mode: str = "eager") -> BuiltCapture:
    """Steps of a plan, with layers of the same kind or of the step's own."""
    each = [layers] * len(plan) if callable(layers) else layers
    body = Block(lambda r, c: WORDS["forward"](r, c, each[r.step]))
    return recorded(c, body=body, plan=plan, mode=mode, gap_us=14.0 if mode == "eager" else 0.2)


def _mm(r: Recorder, c: Card, region: str, rows: int, inner: int, outer: int, op: str = "MatMulV2") -> None:
    r.mm(region, rows, inner, outer, op)


#: What the files may use without defining it.
WORDS: dict[str, Any] = {
    "Card": Card, "projection_us": projection_us, "recorded": recorded, "run": run, "phased": phased, "mm": Block(_mm),
    "outside": Block(lambda r, c: r.outside()), "pause": Block(lambda r, c, us: r.pause(us)),
    "join": Block(lambda r, c, stream: r.join(stream)), "captures": {}, "counted": {},
}  # fmt: skip
read(Path(__file__).with_name("blocks.kernels"), WORDS)
