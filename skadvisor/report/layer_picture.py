"""The geometry of one typical layer as a timeline: a lane per stream, fragments as bands above, breakers as crosses."""

from __future__ import annotations

from dataclasses import dataclass

from skadvisor.records import LayerFragment, TimelineKernel, TypicalLayer
from skadvisor.report.pictures import Axis, make_axis
from skadvisor.report.sections import layer_title
from skadvisor.report.wording import FUSIBLE_NAMES, Wording, clip
from skadvisor.text.messages import _

#: Boxes drawn of one layer; of more kernels only the longest are drawn.
MOST_BOXES = 800
LANE_HEIGHT = 40
BAND_HEIGHT = 34
AXIS_HEIGHT = 24


@dataclass(frozen=True)
class Box:
    """A kernel in its lane: place and width in percent, what stands in it and what the pointer shows."""

    region: str
    start: float
    width: float
    label: str
    tip: str
    breaks: bool


@dataclass(frozen=True)
class Lane:
    """The kernels of one stream, `top` in pixels."""

    label: str
    top: int
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Band:
    """A fragment: from its first kernel's start to its last one's end."""

    start: float
    width: float
    label: str
    tip: str


@dataclass(frozen=True)
class LayerPicture:
    """Everything that the timeline of one layer shows; `height` in pixels."""

    title: str
    axis: Axis
    lanes: tuple[Lane, ...]
    bands: tuple[Band, ...]
    crosses: tuple[tuple[float, str], ...]
    doubts: tuple[tuple[float, str], ...]
    regions: tuple[tuple[str, str], ...]
    height: int
    note: str


def draw_layer(typical: TypicalLayer, wording: Wording) -> LayerPicture:
    """Lay out a typical layer."""
    drawn = sorted(typical.kernels, key=lambda kernel: -kernel.dur_us)[:MOST_BOXES]
    drawn.sort(key=lambda kernel: kernel.start_us)
    # The drawing ends with the layer, not with the next round tick.
    end = max((kernel.start_us + kernel.dur_us for kernel in typical.kernels), default=1.0) or 1.0
    round_axis = make_axis([end], "µs", ticks=8)
    ticks = ((round(place * round_axis.high / end, 3), label) for place, label in round_axis.ticks)
    axis = Axis(0.0, end, tuple(tick for tick in ticks if tick[0] <= 96))
    lanes = tuple(
        Lane(
            _stream_name(stream, wording),
            BAND_HEIGHT + place * LANE_HEIGHT,
            tuple(_box(kernel, axis, wording) for kernel in drawn if kernel.stream == stream),
        )
        for place, stream in enumerate(_streams(typical.kernels))
    )
    marks = {
        verdict: tuple(
            (axis.place(kernel.start_us + kernel.dur_us / 2), _tip(kernel, wording))
            for kernel in drawn
            if kernel.in_scope and kernel.fusible == verdict
        )
        for verdict in ("unlikely", "unknown")
    }
    note = wording.cut_note(_("The longest {shown} of {all} kernels are drawn."), len(drawn), len(typical.kernels))
    return LayerPicture(
        title=layer_title(typical, wording),
        axis=axis,
        lanes=lanes,
        bands=_bands(typical, axis, wording),
        crosses=marks["unlikely"],
        doubts=marks["unknown"],
        regions=tuple((region, wording.region(region)) for region in dict.fromkeys(k.region for k in typical.kernels)),
        height=BAND_HEIGHT + len(lanes) * LANE_HEIGHT + AXIS_HEIGHT,
        note=note,
    )


def _streams(kernels: tuple[TimelineKernel, ...]) -> list[int | None]:
    """Streams by the time spent on them, the busiest first."""
    times: dict[int | None, float] = {}
    for kernel in kernels:
        times[kernel.stream] = times.get(kernel.stream, 0.0) + kernel.dur_us
    return sorted(times, key=lambda stream: (-times[stream], -1 if stream is None else stream))


def _stream_name(stream: int | None, wording: Wording) -> str:
    return wording.say(_("stream unknown")) if stream is None else wording.say(_("stream {stream}"), stream=stream)


def _breaks(kernel: TimelineKernel) -> bool:
    return kernel.in_scope and kernel.fusible == "unlikely"


def _box(kernel: TimelineKernel, axis: Axis, wording: Wording) -> Box:
    width = max(100 * kernel.dur_us / axis.high, 0.05)
    label = clip(kernel.op_type or kernel.name, 40)
    start = axis.place(kernel.start_us)
    return Box(kernel.region, start, round(width, 3), label, _tip(kernel, wording), _breaks(kernel))


def _tip(kernel: TimelineKernel, wording: Wording) -> str:
    lines = [
        clip(kernel.op_type or kernel.name),
        wording.say(
            _("{region}, {role} (confidence {share})"),
            region=wording.region(kernel.region),
            role=wording.role(kernel.role),
            share=wording.share(kernel.confidence),
        ),
        wording.say(
            _("{duration} long, starts at {start}, gap before {gap}"),
            duration=wording.us(kernel.dur_us),
            start=wording.us(kernel.start_us),
            gap=wording.us(kernel.gap_before_us),
        ),
    ]
    if kernel.in_scope:
        lines.append(wording.name(FUSIBLE_NAMES, kernel.fusible))
    if kernel.input_shapes:
        lines.append(wording.say(_("inputs {shapes}"), shapes=clip(kernel.input_shapes)))
    if kernel.output_shapes:
        lines.append(wording.say(_("outputs {shapes}"), shapes=clip(kernel.output_shapes)))
    if kernel.core:
        cores = wording.say(_("unknown")) if kernel.blocks is None else str(kernel.blocks)
        lines.append(wording.say(_("{core}, {blocks} cores"), core=clip(kernel.core, 40), blocks=cores))
    if kernel.name and kernel.name != kernel.op_type:
        lines.append(clip(kernel.name))
    return "\n".join(lines)


def _bands(typical: TypicalLayer, axis: Axis, wording: Wording) -> tuple[Band, ...]:
    """The fragments that have kernels here, as the whole step has them: one may reach into other layers."""
    members: dict[int, list[TimelineKernel]] = {}
    for kernel in typical.kernels:
        if kernel.fragment is not None:
            members.setdefault(kernel.fragment, []).append(kernel)
    whole = {fragment.fragment: fragment for fragment in typical.fragments}
    bands = []
    for number, inside in sorted(members.items()):
        start = min(kernel.start_us for kernel in inside)
        end = max(kernel.start_us + kernel.dur_us for kernel in inside)
        width = round(100 * (end - start) / axis.high, 3)
        found = whole.get(number)
        kernels = found.kernels if found else len(inside)
        count = str(kernels) if kernels == len(inside) else f"{len(inside)}/{kernels}"
        tip = _band_tip(found, number, len(inside), typical.layer, wording)
        bands.append(Band(axis.place(start), max(width, 0.1), count, tip))
    return tuple(bands)


def _band_tip(found: LayerFragment | None, number: int, here: int, layer: int, wording: Wording) -> str:
    kernels = found.kernels if found else here
    lines = [wording.say(_("fragment {number}: {count} kernels"), number=number, count=kernels)]
    if kernels > here:
        lines.append(wording.say(_("{count} of them in this layer"), count=here))
    if found is not None and found.first_layer is not None and found.first_layer < layer:
        lines.append(wording.say(_("continues from layer {layer}"), layer=found.first_layer))
    if found is not None and found.last_layer is not None and found.last_layer > layer:
        lines.append(wording.say(_("continues into layer {layer}"), layer=found.last_layer))
    return "\n".join(lines)
