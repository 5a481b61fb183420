"""Figures of a result, one function each: records and optional Axes in, Axes out; nothing is shown or saved.

Regions have the colours of the reports. matplotlib is imported when a figure is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from skadvisor.records import Result, Template, TypicalLayer
from skadvisor.report.palette import ACCENT, GAP_COLOURS, INK, REGION_COLOURS, text_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUIET = "#9aa2ad"
#: Bars thinner than this share of the step carry no letters.
LETTERS_FROM = 0.07


def _axes(ax: Axes | None, width: float, height: float) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def _plain(ax: Axes) -> Axes:
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax


def _name(text: str, longest: int = 40) -> str:
    """A name that matplotlib draws as it is: no mathematics, no control characters."""
    from skadvisor.report.wording import clip

    return clip(text, longest).replace("$", r"\$")


def region_shares(result: Result, ax: Axes | None = None) -> Axes:
    """A stacked bar per phase: exposed time of each region and the gaps by kind, percent of the step."""
    phases = list(result.phases)
    ax = _plain(_axes(ax, 9, 2.4 + 0.7 * len(phases)))
    named: set[str] = set()
    for place, phase in enumerate(phases):
        record = result.phases[phase]
        parts: list[tuple[str, float]] = [
            (region.region, region.exposed_us) for region in result.regions if region.phase == phase
        ]
        parts += record.gap.parts
        start = 0.0
        for name, time in parts:
            width = 100 * time / record.wall_us if record.wall_us else 0.0
            if width <= 0:
                continue
            colour = (REGION_COLOURS | GAP_COLOURS)[name]
            label = f"gap, {name}" if name in GAP_COLOURS else name
            hatch = "///" if name in GAP_COLOURS or name == "unattributed" else None
            ax.barh(
                place,
                width,
                left=start,
                color=colour,
                edgecolor="white",
                hatch=hatch,
                label=None if label in named else label,
            )
            named.add(label)
            if width >= 100 * LETTERS_FROM:
                ax.text(start + width / 2, place, f"{width:.0f} %", ha="center", va="center", color=text_on(colour))
            start += width
    ax.set_yticks(range(len(phases)), phases)
    ax.invert_yaxis()
    ax.set_xlabel("share of the step (%)")
    if named:
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.05), frameon=False)
    return ax


def layer_timeline(typical: TypicalLayer, ax: Axes | None = None) -> Axes:
    """One typical layer over its streams, in us from its first kernel; breakers are hatched, fragments underlined."""
    streams: list[int | None] = list(dict.fromkeys(kernel.stream for kernel in typical.kernels))
    ax = _plain(_axes(ax, 11, 1.6 + 0.8 * len(streams)))
    named: set[str] = set()
    for kernel in typical.kernels:
        lane = streams.index(kernel.stream)
        breaks = kernel.fusible == "unlikely"
        ax.barh(
            lane,
            kernel.dur_us,
            left=kernel.start_us,
            height=0.6,
            color=REGION_COLOURS[kernel.region],
            edgecolor=INK if breaks else "white",
            linewidth=1.0 if breaks else 0.5,
            hatch="xxx" if breaks else None,
            label=None if kernel.region in named else kernel.region,
        )
        named.add(kernel.region)
        if typical.wall_us and kernel.dur_us > 0.08 * typical.wall_us:
            middle = kernel.start_us + kernel.dur_us / 2
            letters = _name(kernel.op_type or kernel.name, 20)
            ax.text(
                middle,
                lane,
                letters,
                ha="center",
                va="center",
                fontsize=8,
                color=text_on(REGION_COLOURS[kernel.region]),
            )
    for start, end, lane in _fragment_spans(typical, streams):
        ax.plot([start, end], [lane + 0.4, lane + 0.4], color=ACCENT, linewidth=2.5, solid_capstyle="butt")
    ax.set_yticks(range(len(streams)), ["stream unknown" if one is None else f"stream {one}" for one in streams])
    ax.invert_yaxis()
    ax.set_xlabel("time in the layer (us)")
    ax.set_title(f"layer {typical.layer} ({typical.kind}), {typical.wall_us:,.1f} us", loc="left", fontsize=10)
    if named:
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return ax


def _fragment_spans(typical: TypicalLayer, streams: Sequence[int | None]) -> list[tuple[float, float, int]]:
    """Start, end and lane of every fragment on every stream it has kernels on."""
    spans: dict[tuple[int, int], list[float]] = {}
    for kernel in typical.kernels:
        if kernel.fragment is not None:
            span = spans.setdefault((kernel.fragment, streams.index(kernel.stream)), [])
            span += [kernel.start_us, kernel.start_us + kernel.dur_us]
    return [(min(times), max(times), lane) for (_fragment, lane), times in spans.items()]


def gains(result: Result, ax: Axes | None = None) -> Axes:
    """Claim, ceiling and estimate of every template on one axis, percent of the step the advice speaks of."""
    templates = [template for template in result.templates if template.claim or template.estimate]
    ax = _plain(_axes(ax, 8, 1.2 + 0.9 * len(templates)))
    phase = result.phases.get(result.phase)
    seen: set[str] = set()

    def label(text: str) -> str | None:
        known = text in seen
        seen.add(text)
        return None if known else text

    for place, template in enumerate(templates):
        if template.claim:
            low, high = template.claim.low_pct, template.claim.high_pct
            ax.barh(
                place - 0.26,
                high - low,
                left=low,
                height=0.2,
                fill=False,
                edgecolor=QUIET,
                linestyle="--",
                label=label("claim"),
            )
        if template.ceiling_us is not None and phase is not None and phase.wall_us:
            ceiling = 100 * template.ceiling_us / phase.wall_us
            ax.barh(place, ceiling, height=0.2, color="#e3e6ea", edgecolor=QUIET, label=label("ceiling"))
        if template.estimate:
            low, middle, high = template.estimate.low_pct, template.estimate.mid_pct, template.estimate.high_pct
            ax.plot([low, high], [place + 0.26] * 2, color=ACCENT, linewidth=5, alpha=0.35, solid_capstyle="butt")
            ax.plot(middle, place + 0.26, "o", color=ACCENT, label=label("estimate"))
    ax.axvline(0, color=QUIET, linewidth=0.8)
    ax.set_yticks(range(len(templates)), [template.name for template in templates])
    ax.invert_yaxis()
    ax.set_xlabel(f"gain (% of the {result.phase} step)")
    if seen:
        ax.legend(frameon=False, loc="best")
    return ax


def gain_terms(template: Template, ax: Axes | None = None) -> Axes:
    """The terms of one estimate as a waterfall in us per step; thin lines reach from low to high."""
    ax = _plain(_axes(ax, 8, 1.2 + 0.5 * (len(template.terms) + 1)))
    labels, running = [], 0.0
    for place, (name, term) in enumerate(template.terms.items()):
        losing = term.mid_us < 0
        ax.barh(place, term.mid_us, left=running, color="white" if losing else ACCENT, edgecolor=INK, alpha=0.85)
        ax.plot([running + term.low_us, running + term.high_us], [place, place], color=INK, linewidth=1)
        running += term.mid_us
        labels.append(f"{name.replace('_', ' ')} ({term.basis})")
    if template.estimate:
        place = len(template.terms)
        estimate = template.estimate
        ax.barh(place, estimate.mid_us, color=ACCENT)
        ax.plot([estimate.low_us, estimate.high_us], [place, place], color=INK, linewidth=1)
        labels.append("estimate")
    ax.axvline(0, color=QUIET, linewidth=0.8)
    ax.set_yticks(range(len(labels)), labels)
    ax.invert_yaxis()
    ax.set_xlabel("saved per step (us)")
    return ax


def layer_strip(result: Result, ax: Axes | None = None) -> Axes:
    """Every layer of the typical step as a stack of its regions' exposed time, us; outliers carry a mark."""
    from skadvisor.report.sections import outliers

    ax = _plain(_axes(ax, 10, 3))
    layers = result.layer_times
    places = [layer.layer for layer in layers]
    floor = [0.0] * len(layers)
    for region in dict.fromkeys(region for layer in layers for region in layer.regions_us):
        heights = [layer.regions_us.get(region, 0.0) for layer in layers]
        ax.bar(places, heights, bottom=floor, width=0.85, color=REGION_COLOURS[region], label=region)
        floor = [low + height for low, height in zip(floor, heights, strict=True)]
    for odd, _usual in outliers(layers):
        top = floor[places.index(odd.layer)]
        ax.annotate(
            "", (odd.layer, top), xytext=(odd.layer, top * 1.12), arrowprops={"arrowstyle": "-|>", "color": ACCENT}
        )
    ax.set_xlabel("layer")
    ax.set_ylabel("exposed time (us)")
    if layers:
        ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def breakers(template: Template, ax: Axes | None = None, most: int = 12) -> Axes:
    """What ends fragments, by the saving it costs per step in us, dearest first."""
    dearest = sorted(template.breakers, key=lambda breaker: -breaker.cost_us)[:most]
    ax = _plain(_axes(ax, 8, 1.2 + 0.4 * len(dearest)))
    ax.barh(range(len(dearest)), [breaker.cost_us for breaker in dearest], color=QUIET, edgecolor=INK)
    ax.set_yticks(range(len(dearest)), [_name(breaker.op_type) for breaker in dearest])
    ax.invert_yaxis()
    ax.set_xlabel("lost saving per step (us)")
    return ax


def steps(result: Result, ax: Axes | None = None) -> Axes:
    """Wall time of every step in ms: kernels, small gaps, waiting for the host; pale where not steady."""
    from matplotlib.ticker import MaxNLocator

    ax = _plain(_axes(ax, 9, 3))
    first = True
    for step in result.steps:
        small = max(step.gap_us - step.host_gap_us, 0.0)
        floor = 0.0
        parts = (("kernels", step.busy_us, QUIET), ("small gaps", small, GAP_COLOURS["inside"]))
        for name, time, colour in (*parts, ("host gaps", step.host_gap_us, GAP_COLOURS["host"])):
            shown = name if first else None
            ax.bar(step.index, time / 1000, bottom=floor, color=colour, alpha=1 if step.steady else 0.5, label=shown)
            floor += time / 1000
        if not step.steady:
            ax.text(step.index, floor, "×", ha="center", va="bottom", color=ACCENT)
        first = False
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("step")
    ax.set_ylabel("time (ms)")
    if result.steps:
        ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax
