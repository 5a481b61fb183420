"""The words that records are written in: phases, regions, templates, verdicts; and the noise floor."""

from __future__ import annotations

from typing import Literal, get_args

Phase = Literal["prefill", "decode", "mixed", "training", "unknown"]
#: How a phase is known: the host's ranges, the attention kernels, rows and sequences, a replayed graph, lengths alone.
PhaseEvidence = Literal["host", "attention", "tokens", "replay", "length", "training", "none"]
Mode = Literal["eager", "graph", "unknown"]
Region = Literal[
    "attention",
    "mlp",
    "moe",
    "norm",
    "comm",
    "embedding",
    "head",
    "sampling",
    "prepare",
    "other",
    "unattributed",
]
LayerKindName = Literal["dense", "moe", "mtp", "other"]
TemplateName = Literal["attention-only", "moe-only", "full-model", "per-block", "automatic"]
Choice = Literal["attention-only", "moe-only", "full-model", "per-block", "automatic", "none"]
Basis = Literal["measured", "derived", "assumed"]
WholeTime = Literal["captured_step", "time_per_token", "graph"]
Status = Literal["pass", "warn", "block", "unknown"]
Verdict = Literal["worthwhile", "within_noise", "not_applicable", "blocked", "unknown"]

REGIONS: tuple[str, ...] = get_args(Region)
#: What an advice rests on: a gain, or why there is no scope to place.
Ground = Literal[
    "gain",
    "noise",
    "risk",
    "blocked",
    "host",
    "wait",
    "mode",
    "superkernel",
    "training",
    "no_decoder",
    "no_decode",
]
#: A smaller gain of the step cannot be told from noise, percent; a recompile alone moved a published step by as much.
NOISE_PCT = 2.0
#: Regions that lie inside decoder layers.
LAYER_REGIONS = ("attention", "mlp", "moe", "norm", "comm")
