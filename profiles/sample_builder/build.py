"""Builds a capture together with its truth from a model description."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from sample_builder import dialects, timing
from sample_builder.convolution import ConvolutionDescription, convolve
from sample_builder.encoder import encode
from sample_builder.model import LaunchMode, ModelDescription, Pass
from sample_builder.noise import Noise
from sample_builder.scheduling import (
    PIECE_LAUNCH_US,
    Planned,
    graph_gap_ns,
    host_ns,
    is_captured,
    schedule,
)
from sample_builder.step import Placed, forward
from sample_builder.superkernel import FusionRules, TemplateName, fuse, planted_effects
from sample_builder.tables import Recording, tables
from sample_builder.training import training_step

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.events import Capture

Phase = Literal["prefill", "decode", "mixed", "training", "unknown"]
Description = ModelDescription | ConvolutionDescription
#: How much longer the first step takes with `warm_up`.
WARM_UP_FACTOR = 4.0
#: 2026-01-01 in ns; every seed begins at another minute.
EPOCH_NS = 1_767_225_600_000_000_000
TRUTH_COLUMNS = ["start_ns", "stream", "step", "phase", "layer", "layer_kind", "region", "role", "owner"]


@dataclass(frozen=True, eq=False)
class BuiltCapture:
    """A capture, its truth in the same row order, what was built, and what was planted in it.

    `truth` has `TRUTH_COLUMNS` and `attention_kind`. `plan` is the list of kernels per step before they were put
    on the clock, from which the SuperKernel pair is made; `plan_before` is that of the capture without
    SuperKernels, `rules` those of the compiler that the builder plays. What was written down kernel by kernel has no
    plan, and its truth no more than step, phase, layer, layer_kind and region.
    """

    capture: Capture
    truth: pd.DataFrame
    manifest: dict[str, Any]
    recording: Recording = field(default_factory=Recording)
    plan: tuple[tuple[Planned, ...], ...] = ()
    pauses_ns: tuple[int, ...] = ()
    plan_before: tuple[tuple[Planned, ...], ...] = ()
    rules: FusionRules = field(default_factory=FusionRules)

    @cached_property
    def planted(self) -> dict[str, Any]:
        """What each template would really win here; see `superkernel.planted_effects`."""
        return planted_effects(self.plan_before, self.rules)


def build(
    description: Description,
    *,
    mode: LaunchMode = "ge_graph",
    phases: Sequence[Phase] = ("decode",),
    steps: int | None = None,
    seed: int = 0,
    batch: int | Sequence[int] = 16,
    context: int = 2048,
    prompt: int = 512,
    level: Literal["level0", "level1"] = "level1",
    static_kernels: bool = False,
    warm_up: bool = False,
    step_ids: bool = False,
    pmu: bool = False,
    host_ranges: bool = False,
    rank: int = 0,
    skew_us: float = 0.0,
    between_steps_us: float = 350.0,
    host_scale: float = 1.0,
    rules: FusionRules | None = None,
) -> BuiltCapture:
    """Build `steps` forward passes: the given phases in order, the last one repeated.

    `batch` is the number of requests of the decode steps (one number, or one per step), `context` the tokens in
    each request's cache, `prompt` the tokens of a prefill. Prefill runs eagerly in every mode. `warm_up` makes
    the first step several times slower. `skew_us` is added to what collectives wait for on this rank,
    `host_scale` multiplies the host's time per launch. `level`, `step_ids`, `pmu` and `host_ranges` say what the
    profiler records. Same arguments, same capture, to the nanosecond.
    """
    wanted = [*phases, *([phases[-1]] * ((steps or 0) - len(phases)))]
    sizes = (batch,) if isinstance(batch, int) else tuple(batch)
    batches = [sizes[index % len(sizes)] for index in range(len(wanted))]
    noise = Noise(seed, rank, description.name)
    passes = [
        _pass(phase, size, context, prompt, mode, description.mtp_layers)
        for phase, size in zip(wanted, batches, strict=True)
    ]
    namer = dialects.Namer(_dialect(mode, static_kernels))
    plain = dialects.Namer("eager")
    plan = []
    for index, step in enumerate(passes):
        namer.restart()
        slow = WARM_UP_FACTOR if warm_up and index == 0 else 1.0
        placed = [
            replace(item, operation=dialects.adapted(item.operation, description.library, ge=step.ge))
            for item in kernels_of(description, step, index)
        ]
        chosen = plain if step.mode == "eager" else namer
        plan.append(tuple(plan_step(placed, step.mode, chosen, noise, slow, skew_us, host_scale)))
    pauses = tuple(round(1000 * between_steps_us * noise.factor(0.15)) for _ in plan)
    settings = {
        "model": description.name,
        "mode": mode,
        "phases": wanted,
        "batch": batches,
        "context": context,
        "seed": seed,
        "level": level,
        "rank": rank,
        "step_ids": step_ids,
        "layers": description.layers,
        "mtp_layers": description.mtp_layers,
        "warm_up": warm_up,
    }
    recording = Recording(level=level, step_ids=step_ids, pmu=pmu, host_ranges=host_ranges, rank=rank)
    return assemble(plan, pauses, settings, recording, origin_ns=_origin(seed), rules=rules)


def assemble(
    plan: Sequence[Sequence[Planned]],
    pauses_ns: Sequence[int],
    manifest: dict[str, Any],
    recording: Recording,
    *,
    origin_ns: int = EPOCH_NS,
    rules: FusionRules | None = None,
) -> BuiltCapture:
    """Put a plan on the clock and make the tables."""
    started = schedule(plan, start_ns=origin_ns, between_steps_ns=pauses_ns, first_stream=46)
    frozen = tuple(tuple(step) for step in plan)
    capture, truth = tables(started, str(manifest["model"]), recording)
    return BuiltCapture(
        capture=capture,
        truth=truth,
        manifest={**manifest, "origin": "synthetic"},
        recording=recording,
        plan=frozen,
        pauses_ns=tuple(pauses_ns),
        plan_before=frozen,
        rules=rules or FusionRules(),
    )


def switch_on(built: BuiltCapture, template: TemplateName, rules: FusionRules | None = None) -> BuiltCapture:
    """The same capture with SuperKernels; `planted` says what was saved. Durations outside are unchanged."""
    chosen = rules or FusionRules()
    made = assemble(
        [fuse(step, template, chosen) for step in built.plan],
        built.pauses_ns,
        {**built.manifest, "super_kernel": template, "saving_us_per_boundary": chosen.saving_ns / 1000},
        built.recording,
        origin_ns=int(built.truth["start_ns"].iloc[0]) + 30_000_000_000,
    )
    return replace(made, rules=chosen, plan_before=built.plan)


def kernels_of(description: Description, step: Pass, index: int) -> list[Placed]:
    """The kernels of one step of any kind of network."""
    if isinstance(description, ConvolutionDescription):
        return convolve(description, step.sequences, index)
    if description.attention == "encoder":
        return encode(description, step, index)
    if step.phase == "training":
        return training_step(description, step, index)
    return forward(description, step, index)


def plan_step(
    placed: Sequence[Placed],
    mode: str,
    namer: dialects.Namer,
    noise: Noise,
    slow: float = 1.0,
    skew_us: float = 0.0,
    host_scale: float = 1.0,
) -> list[Planned]:
    """Name each kernel, draw its duration and gap, and cut a captured step into the graphs that are launched."""
    planned: list[Planned] = []
    piece, previous = 0, None
    for item in placed:
        captured = is_captured(item, mode)
        if planned and captured and not planned[-1].captured:
            piece += 1
        operation = item.operation
        if operation.skew_us and skew_us:
            operation = replace(operation, skew_us=operation.skew_us + skew_us)
        opens = captured and (not planned or not planned[-1].captured)
        if captured:
            launch = PIECE_LAUNCH_US if mode == "piecewise_graph" and piece > 1 else 40.0
            wait = round(launch * 1000 * noise.factor(0.04)) if opens else 0
        else:
            wait = host_ns(item, previous, mode, noise)
        gap = graph_gap_ns(mode if captured else "eager", noise)
        name = namer.name(operation)
        if captured and operation.triton and mode != "ge_graph":
            name = f"{name}_1"
        planned.append(
            Planned(
                placed=item,
                name=name,
                duration_ns=round(timing.sample_ns(operation, noise) * slow),
                gap_ns=gap,
                host_ns=round(wait * slow * host_scale),
                captured=captured,
                piece=piece,
                ge=mode == "ge_graph",
            )
        )
        previous = item
    return planned


def _pass(phase: Phase, size: int, context: int, prompt: int, mode: LaunchMode, drafts: int) -> Pass:
    if phase == "prefill":
        return Pass(phase=phase, tokens=prompt, sequences=1, context=prompt, mode="eager")
    if phase == "mixed":
        return Pass(phase=phase, tokens=prompt + size, sequences=size + 1, context=context, mode="eager")
    if phase in ("training", "unknown"):
        return Pass(
            phase=phase, tokens=prompt, sequences=size, context=prompt, mode="eager" if phase == "training" else mode
        )
    return Pass(phase=phase, tokens=size * (1 + drafts), sequences=size, context=context, mode=mode)


def _dialect(mode: str, static_kernels: bool) -> dialects.Dialect:
    if mode == "ge_graph":
        return "ge"
    return "static_kernel" if static_kernels and mode != "eager" else "eager"


def _origin(seed: int) -> int:
    return EPOCH_NS + (seed % 10_000) * 60_000_000_000
