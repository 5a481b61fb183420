"""What the analysis knows about a capture as a whole when it comes to the gain and the advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from skadvisor.records import Mode, Phase
from skadvisor.text.messages import Message


@dataclass(frozen=True, kw_only=True)
class Situation:
    """The capture in a few facts; None where it does not say.

    `host_bound` says that the device waits long for the host, `wait_bound` inside a graph for another stream or rank.
    `phase` is the phase the templates are assessed for. `layer_kinds`
    counts the decoder layers by kind. `model` and `tokens` (rows of
    a step) tell the user's own outcomes of this very model from others. `tpot_ms` is the time per output
    token that the user measured without the profiler, milliseconds; `tokens_per_step` how many tokens one step
    yields to a request (more than 1 with speculative decoding). `superkernels` counts SuperKernels per step that the
    capture already has. `experts_alone` says that only experts were recorded, `experts_passes` in how many passes
    of how many layers. `repeats` says of `kernels`, as many as were recorded, whether a sequence of them runs more than
    once. `hardware` is a family of chips, several that are left as in "A2/A3", or "unknown".
    """

    mode: Mode
    phase: Phase
    graph_kind: str | None = None
    host_bound: bool = False
    wait_bound: bool = False
    training: bool = False
    decoder_layers: int = 0
    layer_kinds: Mapping[str, int] = field(default_factory=dict)
    model: str = ""
    tokens: int | None = None
    tpot_ms: float | None = None
    tokens_per_step: float = 1.0
    hardware: str = "unknown"
    hardware_known_by: Message | None = None
    cann: str | None = None
    tiling_sink: bool | None = None
    aiv_expansion: bool | None = None
    superkernels: int = 0
    outside_grammar: Message | None = None
    experts_alone: bool = False
    experts_passes: tuple[int, int] | None = None
    repeats: bool = True
    kernels: int = 0

    @property
    def graph_alone(self) -> bool:
        """Whether a graph without decoder layers runs, a block or a small net, and nothing says that it is none."""
        return self.mode == "graph" and not self.decoder_layers and not self.training and self.outside_grammar is None

    @property
    def conditions(self) -> Mapping[str, bool | None]:
        """What fusion rules may need, where it is known."""
        return {"tiling_sink": self.tiling_sink, "aiv_expansion": self.aiv_expansion}

    @property
    def moe(self) -> bool:
        """Whether the model has mixture-of-experts layers."""
        return self.layer_kinds.get("moe", 0) > 0
