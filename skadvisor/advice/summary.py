"""What the analysis says about the capture itself: inputs, layers, trust in the labels, and notices."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING, Any

import pandas as pd

from skadvisor.accounting.situation import Situation
from skadvisor.accounting.steady import steady_steps
from skadvisor.fusion.chip import know_chip, recorded_cann
from skadvisor.gain.fragments import repeats
from skadvisor.labelling.visible import count_kernels, visible_part
from skadvisor.options import Options
from skadvisor.records import (
    LAYER_REGIONS,
    CaptureRecord,
    LabelQuality,
    LayerKindRecord,
    LayersRecord,
    Notice,
    notice,
)
from skadvisor.text.messages import _
from skadvisor.units import us

if TYPE_CHECKING:
    from skadvisor.accounting.timeline import Times
    from skadvisor.events import Capture
    from skadvisor.labelling.labels import Labelled

#: The phase that a placement is judged in comes first; the others only where it is missing.
PHASE_ORDER = ("decode", "mixed", "prefill", "unknown", "training")
#: A device that waits this share of its step for the host is bound by the host; so it is by other streams and ranks.
HOST_BOUND_SHARE = 0.25
#: Labels below this confidence are counted as uncertain.
CERTAIN = 0.9


def choose_phase(times: Times) -> Any:
    """The phase that the answer speaks of: decode where the capture holds any."""
    present = set(times.steps["phase"])
    return next((phase for phase in PHASE_ORDER if phase in present), "unknown")


def gap_share(times: Times, phase: str, kind: str) -> float:
    """Median share of a step's wall time that is idle of one kind (`gaps.GAP_KINDS`), a fraction."""
    steps = times.steps[times.steps["step"].isin(steady_steps(times.steps, phase))]
    if steps.empty:
        return 0.0
    return float((steps[f"gap_{kind}_ns"] / steps["wall_ns"].clip(lower=1)).median())


def gather_situation(
    capture: Capture, labelled: Labelled, times: Times, phase: str, layers: LayersRecord, options: Options
) -> Situation:
    """What the gain and the advice have to know about the capture as a whole."""
    seen = visible_part(labelled)
    kinds: Counter[str] = Counter()
    for kind in layers.kinds:
        kinds[kind.kind] += kind.count
    chip = know_chip(options.hardware, labelled.kernels, capture.metadata)
    return Situation(
        mode=labelled.mode,
        phase=phase,  # type: ignore[arg-type]
        graph_kind=labelled.graph_kind,
        host_bound=gap_share(times, phase, "host") >= HOST_BOUND_SHARE,
        wait_bound=gap_share(times, phase, "wait") >= HOST_BOUND_SHARE,
        training=labelled.training,
        decoder_layers=layers.count,
        layer_kinds=kinds,
        model=layers.model,
        tokens=_tokens(labelled, times, phase),
        tpot_ms=options.tpot_ms,
        hardware=chip.hardware,
        hardware_known_by=chip.how,
        cann=options.cann or recorded_cann(capture.metadata),
        tiling_sink=options.tiling_sink,
        aiv_expansion=options.aiv_expansion,
        superkernels=_superkernels(labelled, times, phase),
        outside_grammar=labelled.outside_grammar,
        experts_alone=seen is not None and seen.part == "experts",
        repeats=layers.count > 0 or repeats(labelled.kernels, times, phase),
        kernels=count_kernels(labelled.kernels),
        experts_passes=(seen.passes, seen.layers) if seen and seen.passes and seen.layers else None,
    )


def _tokens(labelled: Labelled, times: Times, phase: str) -> int | None:
    """Rows that pass through a layer in the phase's representative step; None where no shapes tell it."""
    found = labelled.steps.loc[labelled.steps["step"] == times.representative.get(phase), "tokens"].dropna()
    return int(found.iloc[0]) if len(found) else None


def _superkernels(labelled: Labelled, times: Times, phase: str) -> int:
    """SuperKernels in the phase's typical step, in the whole capture where there is no such step."""
    kernels = labelled.kernels
    fused = kernels["role"] == "superkernel"
    step = times.representative.get(phase)
    return int((fused & (kernels["step"] == step)).sum()) if step is not None else int(fused.sum())


def capture_record(capture: Capture) -> CaptureRecord:
    """The record of one capture that was read."""
    kernels = capture.kernels
    end = kernels["start_ns"] + kernels["dur_ns"]
    skipped: Counter[str] = Counter()
    for file in capture.files:
        skipped.update(file.skipped)
    return CaptureRecord(
        path=str(capture.path),
        producer=capture.producer,
        rank=capture.rank,
        level=capture.level,
        state=capture.state,
        kernels=count_kernels(kernels),
        span_us=us(int(end.max()) - int(kernels["start_ns"].min())),
        files=tuple(file.path for file in capture.files),
        skipped=skipped,
        fingerprint=fingerprint(kernels),
    )


def fingerprint(kernels: pd.DataFrame) -> str:
    """A digest of starts, durations and names: the same for one run in every format that holds all its kernels."""
    digest = hashlib.sha256()
    start = kernels["start_ns"].to_numpy()
    digest.update((start - start.min()).astype("<i8").tobytes())
    digest.update(kernels["dur_ns"].to_numpy().astype("<i8").tobytes())
    names = [*map(str, kernels["name"].cat.categories), ""]
    digest.update("\n".join([names[code] for code in kernels["name"].cat.codes.tolist()]).encode())
    return digest.hexdigest()[:32]


def layers_record(labelled: Labelled, times: Times, phase: str) -> LayersRecord:
    """The layers of the phase's typical step, by kind."""
    step = times.representative.get(phase)
    kernels = labelled.kernels
    inside = kernels[(kernels["step"] == step) & kernels["layer"].notna()]
    if step is None or inside.empty:
        return LayersRecord(count=0, kinds=(), confidence=0.0, misfits=labelled.misfits)
    here = times.layers[times.layers["step"] == step]
    walls = dict(zip(here["layer"].tolist(), here["wall_ns"].tolist(), strict=True))
    words: dict[int, list[str | None]] = {}
    sizes: Counter[int] = Counter()
    said = (inside[name].to_numpy(dtype=object).tolist() for name in ("layer", "layer_kind", "attention_kind"))
    for layer, *pair in zip(*said, strict=True):
        sizes[layer] += 1
        known = words.setdefault(layer, [None, None])
        words[layer] = [
            one if one is not None or not isinstance(other, str) else other
            for one, other in zip(known, pair, strict=True)
        ]
    members: dict[tuple[str, str], list[int]] = {}
    for layer in sorted(words):
        kind, attention = words[layer]
        if kind is not None and attention is not None:
            members.setdefault((kind, attention), []).append(int(layer))
    kinds = []
    regular = 0
    for (kind, attention), numbers in members.items():
        usual = median(sizes[number] for number in numbers)
        regular += sum(0.7 <= sizes[number] / usual <= 1.4 for number in numbers)
        kinds.append(
            LayerKindRecord(
                kind=kind,  # type: ignore[arg-type]
                attention_kind=attention,
                count=len(numbers),
                layers=ranges(numbers),
                kernels=int(usual),
                wall_us=us(median(walls[number] for number in numbers)),
            )
        )
    weight = inside["dur_ns"].sum() or 1
    sure = float((inside["confidence"] * inside["dur_ns"]).sum() / weight)
    return LayersRecord(
        count=len(words),
        kinds=tuple(kinds),
        confidence=round(sure * regular / len(words), 4),
        misfits=labelled.misfits,
        hidden=labelled.structure.classes.hidden,
    )


def ranges(numbers: list[int]) -> str:
    """Sorted numbers as ranges.

    >>> ranges([0, 1, 2, 5])
    '0-2, 5'
    """
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in parts)


def label_quality(labelled: Labelled, times: Times, phase: str) -> LabelQuality:
    """How far the labels of the phase's steady steps can be trusted, in shares of their device time.

    Whether the advice depends on what is unattributed is left to `sensitivity`.
    """
    kernels = labelled.kernels
    chosen = kernels[kernels["step"].isin(steady_steps(times.steps, phase))]
    total = float(chosen["dur_ns"].sum()) or 1.0

    def share(rows: Any) -> float:
        return round(float(chosen.loc[rows, "dur_ns"].sum()) / total, 6)

    def resting_on(word: str) -> float:
        evidence = chosen["evidence"].cat.categories
        return share(chosen["evidence"].isin([text for text in evidence if word in text]).to_numpy())

    return LabelQuality(
        unattributed_share=share((chosen["region"] == "unattributed").to_numpy()),
        low_confidence_share=share((chosen["confidence"] < CERTAIN).to_numpy()),
        learned_share=resting_on("learned"),
        host_checked_share=resting_on("host"),
        advice_depends_on_unattributed=False,
    )


def region_shares(times: Times, phase: str) -> dict[str, float]:
    """Exposed time of each region as a fraction of the phase's wall time, over its steady steps."""
    steps = steady_steps(times.steps, phase)
    wall = float(times.steps.loc[times.steps["step"].isin(steps), "wall_ns"].sum()) or 1.0
    inside = times.regions[times.regions["step"].isin(steps)]
    return {str(region): float(rows["exposed_ns"].sum()) / wall for region, rows in inside.groupby("region")}


def notices(
    capture: Capture, labelled: Labelled, quality: LabelQuality, phase: str, shares: dict[str, float]
) -> Iterator[Notice]:
    """What the reader of a report has to know about the capture and its labels."""
    yield from (Notice(code="capture", message=said) for said in capture.notes)
    if capture.state == "truncated":
        yield notice("truncated", _("The capture is truncated: only what is whole was read."))
    if (kernels := labelled.kernels)["input_shapes"].isna().all() and len(kernels):
        yield notice("no_shapes", _("The capture has no shapes: labels rest on names and order alone."))
    if (share := quality.unattributed_share) >= 0.01:
        text = _("{share:.1%} of the device time could not be attributed to a region.")
        yield notice("unattributed", text, share=share)
    if kernels["layer"].notna().any() and not kernels["region"].isin(("embedding", "head", "sampling")).any():
        text = _(
            "Neither embedding nor output head was recorded: a window inside a step, or a middle stage of a pipeline."
        )
        yield notice("no_ends", text)
    elif kernels["layer"].notna().any() and not labelled.steps["whole"][labelled.steps["phase"] == phase].any():
        text = _(
            "The step was not recorded from its embedding to its output head: the recording begins or ends within it, "
            "or this is the first or last stage of a pipeline. Layers, times and shares are those of the recorded part."
        )
        yield notice("no_whole_step", text)
    yield from (Notice(code="labels_disagree", message=said) for said in labelled.disagreements)
    comm = shares.get("comm", 0.0)
    inside = sum(shares.get(region, 0.0) for region in LAYER_REGIONS)
    if comm > 0.1 and comm > 0.2 * inside:
        text = _("Collectives take {share:.0%} of the step; one rank cannot tell work from waiting for other ranks.")
        yield notice("collectives", text, share=comm)
