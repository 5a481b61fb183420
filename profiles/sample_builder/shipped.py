"""The sample captures that ship with the project: what each is built from and what it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sample_builder import catalogue
from sample_builder.build import BuiltCapture, build, switch_on
from sample_builder.model import ModelDescription
from sample_builder.superkernel import FusionRules, TemplateName


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One shipped folder. `super_kernel` switches SuperKernels on; `ranks` gives each rank's extra waiting, us."""

    folder: str
    description: ModelDescription
    shows: str
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    trace: bool = False
    super_kernel: TemplateName | None = None
    ranks: Sequence[float] = (0.0,)


#: The SuperKernel pair: a small batch, where the boundaries weigh most, and quantised products, which fuse.
_PAIR: dict[str, Any] = {
    "mode": "ge_graph",
    "steps": 4,
    "batch": 4,
    "context": 1024,
    "rules": FusionRules(saving_ns=3000),
}
_PAIR_MODEL = replace(catalogue.QWEN2_5_7B, name="qwen2.5-7b-w8a8", quantisation="w8a8")

SAMPLES: tuple[Sample, ...] = (
    Sample(
        folder="dense-ge-decode",
        description=catalogue.QWEN3_8B,
        shows="decode steps of a GE graph with Step Id, the first one a warm-up",
        seed=11,
        settings={"mode": "ge_graph", "steps": 4, "batch": 16, "step_ids": True, "warm_up": True},
    ),
    Sample(
        folder="dense-prefill-decode",
        description=replace(catalogue.QWEN3_0_6B, rope="triton", norm="fused_bias"),
        shows="one prefill and decode steps of a captured ACL graph, without Step Id",
        seed=12,
        settings={"mode": "acl_graph", "phases": ("prefill", "decode"), "steps": 4, "batch": 8, "prompt": 512},
    ),
    Sample(
        folder="dense-eager-host-bound",
        description=replace(catalogue.QWEN3_0_6B, rope="triton", norm="fused_bias"),
        shows="eager decode where the device waits for the host, with host ranges in the trace",
        seed=13,
        settings={"mode": "eager", "steps": 3, "batch": 2, "context": 512, "host_ranges": True},
        trace=True,
    ),
    Sample(
        folder="moe-decode",
        description=catalogue.QWEN3_30B_A3B,
        shows="decode of a mixture of experts with MC2 dispatch and combine in a GE graph",
        seed=14,
        settings={"mode": "ge_graph", "steps": 3, "batch": 16},
    ),
    Sample(
        folder="deepseek-v3-decode",
        description=catalogue.DEEPSEEK_V3,
        shows="latent attention, 3 dense and 58 expert layers, the shared expert on a second stream",
        seed=15,
        settings={"mode": "ge_graph", "steps": 3, "batch": 32},
    ),
    Sample(
        folder="superkernel-off",
        description=_PAIR_MODEL,
        shows="the capture before SuperKernel; its pair is superkernel-on",
        seed=16,
        settings=_PAIR,
    ),
    Sample(
        folder="superkernel-on",
        description=_PAIR_MODEL,
        shows="the same steps with a full-model SuperKernel scope; its pair is superkernel-off",
        seed=16,
        settings=_PAIR,
        super_kernel="full-model",
    ),
    Sample(
        folder="moe-two-ranks",
        description=catalogue.OLMOE_1B_7B,
        shows="two ranks of one run; the second waits less in dispatch and combine because it arrives later",
        seed=17,
        settings={"mode": "ge_graph", "steps": 3, "batch": 8, "context": 1024},
        ranks=(14.0, 0.0),
    ),
)


def build_sample(sample: Sample) -> list[BuiltCapture]:
    """Build one shipped sample: a capture per rank."""
    built = [
        build(sample.description, seed=sample.seed, rank=rank, skew_us=skew, **sample.settings)
        for rank, skew in enumerate(sample.ranks)
    ]
    if sample.super_kernel:
        built = [switch_on(one, sample.super_kernel, one.rules) for one in built]
    return built
