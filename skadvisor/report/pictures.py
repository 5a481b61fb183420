"""The geometry of the HTML report's pictures: places and sizes in percent of the drawing, with texts ready to show.

The template draws them as SVG whose lengths are percentages, so that a picture fits a phone and a desktop
without distorting its letters. No colours here: they follow from the region's name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from skadvisor.records import Result, Template
from skadvisor.report.figures import Part, answer_parts, ceiling_pct, step_figures, term_figures
from skadvisor.report.sections import outliers
from skadvisor.report.summary import main_phase, step_wall
from skadvisor.report.wording import PHASE_NAMES, TERM_NAMES, Wording
from skadvisor.text.messages import _

#: Segments thinner than this percentage of the bar carry no letters.
LETTERS_FROM = 8.0
#: Columns of a strip: with more, neighbours are drawn as one.
MOST_COLUMNS = 200


@dataclass(frozen=True)
class Axis:
    """A scale from `low` to `high`; `ticks` are (place in percent, label)."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def place(self, value: float) -> float:
        """Where a value lies, percent of the drawing."""
        return round(100 * (value - self.low) / (self.high - self.low), 3)

    @property
    def zero(self) -> float:
        """Where zero lies."""
        return self.place(0.0)


@dataclass(frozen=True)
class Bar:
    """A bar along an axis: `kind` chooses its look, `text` is its value, `middle` a dot, `low` and `high` whiskers."""

    kind: str
    label: str
    text: str
    start: float
    width: float
    middle: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Bars:
    """Bars on one axis under a title."""

    title: str
    axis: Axis
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Segment:
    """A part of a stacked bar or column. `region` is a region or a kind of gap."""

    region: str
    name: str
    start: float
    width: float
    text: str
    tip: str

    @property
    def has_letters(self) -> bool:
        """Whether the share fits inside."""
        return self.width >= LETTERS_FROM


@dataclass(frozen=True)
class Stack:
    """A stacked bar, or with `outlier` a column of a strip that stands out."""

    label: str
    text: str
    segments: tuple[Segment, ...]
    outlier: bool = False
    tip: str = ""


@dataclass(frozen=True)
class Strip:
    """Columns beside each other on a common height of `top`; `columns` are (place, width, stack)."""

    title: str
    axis: Axis
    columns: tuple[tuple[float, float, Stack], ...]
    labels: tuple[tuple[float, str], ...]


def make_axis(values: Iterable[float], unit: str, ticks: int = 6) -> Axis:
    """A scale that holds zero and all values, with round ticks that name the unit."""
    low, high = min(0.0, *(known := [0.0, *values])), max(known)
    if high <= low:
        high = low + 1.0
    step = _round_step((high - low) / max(ticks - 1, 1))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    low, high = first * step, last * step
    digits = max(0, -math.floor(math.log10(step)))
    marks = []
    for place in range(first, last + 1):
        label = f"{place * step:,.{digits}f}".replace("-", "\u2212")
        marks.append((round(100 * (place - first) / (last - first), 3), f"{label} {unit}" if place == last else label))
    return Axis(low, high, tuple(marks))


def _round_step(raw: float) -> float:
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))


def gain_axis(templates: Iterable[Template], wall: float | None) -> Axis:
    """One scale for the claim, the ceiling and the estimate of these templates, percent of the step."""
    values: list[float] = []
    for template in templates:
        if template.claim:
            values += [template.claim.low_pct, template.claim.high_pct]
        if template.estimate:
            values += [template.estimate.low_pct, template.estimate.high_pct]
        if (ceiling := ceiling_pct(template, wall)) is not None:
            values.append(ceiling)
    return make_axis(values, "%")


def gain_bars(template: Template, wall: float | None, axis: Axis, wording: Wording) -> Bars:
    """Claim, ceiling and estimate of one template under each other on one axis."""
    bars = []
    if template.claim:
        low, high = template.claim.low_pct, template.claim.high_pct
        bars.append(_range_bar("claim", wording.say(_("claim")), wording.interval(low, high), low, high, None, axis))
    if (ceiling := ceiling_pct(template, wall)) is not None:
        at_most = wording.say(_("at most {value}"), value=wording.percent(ceiling))
        bars.append(_range_bar("ceiling", wording.say(_("ceiling")), at_most, 0.0, ceiling, None, axis))
    if template.estimate:
        low, middle, high = template.estimate.low_pct, template.estimate.mid_pct, template.estimate.high_pct
        told = wording.say(_("{mid} ({interval})"), mid=wording.percent(middle), interval=wording.interval(low, high))
        bars.append(_range_bar("estimate", wording.say(_("estimate")), told, low, high, middle, axis))
    return Bars(wording.template(template.name, template.variant), axis, tuple(bars))


def _range_bar(kind: str, label: str, text: str, low: float, high: float, middle: float | None, axis: Axis) -> Bar:
    start, end = axis.place(low), axis.place(high)
    return Bar(kind, label, text, start, max(end - start, 0.3), None if middle is None else axis.place(middle))


def all_gains(result: Result, wording: Wording) -> tuple[Bars, ...]:
    """The gains of all templates on one common scale."""
    wall = step_wall(result)
    axis = gain_axis(result.templates, wall)
    drawn = (gain_bars(template, wall, axis, wording) for template in result.templates)
    return tuple(bars for bars in drawn if bars.bars)


def region_stacks(result: Result, wording: Wording) -> tuple[Stack, ...]:
    """One stacked bar per phase: the regions' exposed time and the gaps, as shares of the step."""
    return tuple(_phase_stack(result, phase, step_figures(result, phase).parts, wording) for phase in result.phases)


def _phase_stack(result: Result, phase: str, parts: Sequence[Part], wording: Wording) -> Stack:
    wall = wording.us(step_figures(result, phase).wall_us)
    return Stack(wording.name(PHASE_NAMES, phase), wall, tuple(_segments(parts, wording)))


def stack_bars(bars: Sequence[tuple[str, Sequence[tuple[str, float]], float]], wording: Wording) -> tuple[Stack, ...]:
    """Stacked bars on one scale, each a label, its parts (region or kind of gap, us) and the whole time."""
    longest = max(sum(time for _region, time in parts) for _label, parts, _whole in bars)
    scale = 100 / longest if longest else 0.0
    return tuple(
        Stack(
            label, wording.us(whole), tuple(_segments([Part(key, time, scale * time) for key, time in parts], wording))
        )
        for label, parts, whole in bars
    )


def _segments(parts: Iterable[Part], wording: Wording) -> Iterable[Segment]:
    start = 0.0
    for part in parts:
        if part.pct > 0 or part.us > 0:
            name, share = wording.region(part.key), wording.percent(part.pct)
            tip = f"{name}\n{share}, {wording.us(part.us)}"
            yield Segment(part.key, name, round(start, 4), round(part.pct, 4), share, tip)
        start += part.pct


def first_stacks(result: Result, wording: Wording) -> tuple[Stack, ...]:
    """The bar of the first screen: the main phase's step."""
    phase = main_phase(result)
    return () if phase is None else (_phase_stack(result, phase, answer_parts(result, phase), wording),)


def waterfall(template: Template, wording: Wording) -> Bars | None:
    """The terms of the estimate from zero to their sum; whiskers show each term's own range."""
    if not template.terms or template.estimate is None:
        return None
    running = 0.0
    spans: list[tuple[str, float, float, float, float]] = []
    values: list[float] = []
    for name, (lowest, middle, highest) in term_figures(template).items():
        spans.append((name, running, running + middle, running + lowest, running + highest))
        running += middle
        values += spans[-1][1:]
    estimate = template.estimate
    axis = make_axis([*values, estimate.low_us, estimate.mid_us, estimate.high_us], "µs")
    bars = []
    for name, start, end, low, high in spans:
        left, right = sorted((axis.place(start), axis.place(end)))
        kind = "gain" if end >= start else "loss"
        label, told = wording.name(TERM_NAMES, name), wording.us(end - start)
        bars.append(Bar(kind, label, told, left, max(right - left, 0.3), None, axis.place(low), axis.place(high)))
    left, right = sorted((axis.zero, axis.place(estimate.mid_us)))
    low, high = axis.place(estimate.low_us), axis.place(estimate.high_us)
    total = wording.say(_("estimate"))
    bars.append(Bar("total", total, wording.us(estimate.mid_us), left, max(right - left, 0.3), None, low, high))
    return Bars(wording.template(template.name, template.variant), axis, tuple(bars))


def bars_of(named: Sequence[tuple[str, float]], wording: Wording) -> Bars:
    """Bars from zero, each a name and its time in us."""
    axis = make_axis((time for _name, time in named), "µs")
    bars = (Bar("ceiling", name, wording.us(time), 0.0, axis.place(time)) for name, time in named)
    return Bars("", axis, tuple(bars))


def layer_columns(result: Result, wording: Wording) -> Strip | None:
    """Every layer of the typical step as a column of its regions; outliers are marked."""
    layers = result.layer_times
    if not layers:
        return None
    axis = make_axis((layer.wall_us for layer in layers), "µs", ticks=4)
    odd = {layer.layer for layer, _usual in outliers(layers)}
    columns = []
    for layer in layers[:MOST_COLUMNS]:
        segments = tuple(_segments(_scaled(layer.regions_us.items(), axis.high), wording))
        tip = wording.say(_("layer {layer}, {wall}"), layer=layer.layer, wall=wording.us(layer.wall_us))
        parts = [f"{wording.region(region)} {wording.us(time)}" for region, time in layer.regions_us.items()]
        stack = Stack(
            str(layer.layer), wording.us(layer.wall_us), segments, layer.layer in odd, "\n".join([tip, *parts])
        )
        columns.append(stack)
    return _strip(wording.say(_("Time per layer")), axis, columns)


def step_columns(result: Result, wording: Wording) -> Strip | None:
    """The steps as columns: kernels, small gaps, host gaps; steps that are not steady are marked."""
    steps = result.steps[:MOST_COLUMNS]
    if len(steps) < 2:
        return None
    axis = make_axis((step.wall_us for step in steps), "µs", ticks=4)
    columns = []
    for step in steps:
        small = max(step.gap_us - step.host_gap_us, 0.0)
        parts = (("busy", step.busy_us), ("inside", small), ("host", step.host_gap_us))
        segments = tuple(_segments(_scaled(parts, axis.high), wording))
        tip = wording.say(
            _("step {step}, {phase}, {wall}: kernels {busy}, gaps {gap}"),
            step=step.index,
            phase=wording.name(PHASE_NAMES, step.phase),
            wall=wording.us(step.wall_us),
            busy=wording.us(step.busy_us),
            gap=wording.us(step.gap_us),
        )
        columns.append(Stack(str(step.index), wording.us(step.wall_us), segments, not step.steady, tip))
    return _strip(wording.say(_("Time per step")), axis, columns)


def _scaled(parts: Iterable[tuple[str, float]], high: float) -> list[Part]:
    """Parts of a column, percent of the axis."""
    return [Part(name, time, 100 * time / high) for name, time in parts]


def _strip(title: str, axis: Axis, stacks: Sequence[Stack]) -> Strip:
    pitch = 100 / max(len(stacks), 6)
    every = max(1, math.ceil(len(stacks) / 12))
    columns = tuple(
        (round(place * pitch + 0.08 * pitch, 3), round(0.84 * pitch, 3), one) for place, one in enumerate(stacks)
    )
    labels = tuple(
        (round((place + 0.5) * pitch, 3), stack.label) for place, stack in enumerate(stacks) if place % every == 0
    )
    return Strip(title, axis, columns, labels)
