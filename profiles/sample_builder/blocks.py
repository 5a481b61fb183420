"""Blocks of the language under their names, for captures that are written in Python."""

from __future__ import annotations

from typing import Any

from sample_builder.cards import Card
from sample_builder.recorder import Recorder
from sample_builder.runs import WORDS, phased, run
from sample_builder.sequences import Block

A, MLP, MOE, NORM = "attention", "mlp", "moe", "norm"
V, AIC, AIV = "AI_VECTOR_CORE", "MIX_AIC", "MIX_AIV"
BLOCKS = WORDS["PAGES"]
Layers = Block
__all__ = ["AIC", "AIV", "BLOCKS", "MLP", "MOE", "NORM", "A", "Card", "Layers", "V", "forward", "phased", "run"]


def __getattr__(name: str) -> Any:
    if name in WORDS:
        return WORDS[name]
    raise AttributeError(name)


def forward(
    r: Recorder, c: Card, layers: Block, step: int, phase: str = "decode", outside: bool = True, rows: int = 0
) -> None:
    """One step."""
    r.step, r.phase = step, phase
    WORDS["forward"](r, c, layers, outside=outside, rows=rows)
