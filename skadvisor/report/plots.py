"""The report's pictures as figures, one function each: records and optional Axes in, Axes out; nothing is shown.

Places, labels and colours are those of `pictures`, so that a figure and the report say the same. matplotlib is imported
when a figure is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from skadvisor.errors import InputError
from skadvisor.records import Result, Template, TypicalLayer
from skadvisor.report.layer_picture import draw_layer
from skadvisor.report.palette import ACCENT, GAP_COLOURS, INK, REGION_COLOURS, text_on
from skadvisor.report.pictures import (
    Axis,
    Bars,
    Segment,
    Stack,
    Strip,
    all_gains,
    bars_of,
    layer_columns,
    region_stacks,
    step_columns,
    waterfall,
)
from skadvisor.report.wording import Wording
from skadvisor.text.messages import _

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUIET = "#9aa2ad"
COLOURS = {**REGION_COLOURS, **GAP_COLOURS, "busy": QUIET}
WORDING = Wording("en")
#: How the bars of each kind look.
LOOKS: dict[str, dict[str, Any]] = {
    "claim": {"fill": False, "edgecolor": QUIET, "linestyle": "--"},
    "ceiling": {"color": "#e3e6ea", "edgecolor": QUIET},
    "estimate": {"color": ACCENT, "alpha": 0.35},
    "gain": {"color": ACCENT, "alpha": 0.35},
    "loss": {"color": "white", "edgecolor": INK},
    "total": {"color": ACCENT},
}


class Analysed(Protocol):
    """What has a result, such as an `Analysis`."""

    @property
    def result(self) -> Result: ...


def _result(of: Result | Analysed) -> Result:
    return of if isinstance(of, Result) else of.result


def region_shares(result: Result | Analysed, ax: Axes | None = None) -> Axes:
    """A stacked bar per phase: exposed time of each region and the gaps by kind, percent of the step."""
    result = _result(result)
    stacks = region_stacks(result, WORDING)
    ax = _plain(_axes(ax, 9, 2.4 + 0.7 * len(stacks)))
    for place, stack in enumerate(stacks):
        for segment in stack.segments:
            ax.barh(place, segment.width, left=segment.start, **_look(segment))
            if segment.has_letters:
                middle, ink = segment.start + segment.width / 2, text_on(COLOURS[segment.region])
                ax.text(middle, place, segment.text, ha="center", va="center", color=ink)
    ax.set_yticks(range(len(stacks)), [stack.label for stack in stacks])
    ax.invert_yaxis()
    ax.set_xlabel("share of the step (%)")
    return _with_legend(ax)


def layer_timeline(typical: TypicalLayer, ax: Axes | None = None) -> Axes:
    """One typical layer over its streams, in us; breakers are hatched, fragments lie above."""
    drawn = draw_layer(typical, WORDING)
    names = dict(drawn.regions)
    ax = _plain(_axes(ax, 11, 2.0 + 0.8 * len(drawn.lanes)))
    for place, lane in enumerate(drawn.lanes):
        for box in lane.boxes:
            look: dict[str, Any] = {
                "color": COLOURS[box.region],
                "edgecolor": INK if box.breaks else "white",
                "label": names[box.region],
            }
            ax.barh(place, box.width, left=box.start, height=0.6, hatch="xxx" if box.breaks else None, **look)
            if box.width > 8 and not box.breaks:
                letters = _name(box.label, 20)
                middle, ink = box.start + box.width / 2, text_on(COLOURS[box.region])
                ax.text(middle, place, letters, ha="center", va="center", fontsize=8, color=ink)
    for band in drawn.bands:
        ax.plot([band.start, band.start + band.width], [-0.6, -0.6], color=ACCENT, linewidth=5, solid_capstyle="butt")
    ax.set_yticks(range(len(drawn.lanes)), [lane.label for lane in drawn.lanes])
    ax.invert_yaxis()
    ax.set_xlabel("time in the layer (µs)")
    ax.set_title(drawn.title, loc="left", fontsize=10)
    _scale(ax, drawn.axis)
    return _with_legend(ax)


def gains(result: Result | Analysed, ax: Axes | None = None) -> Axes:
    """Claim, ceiling and estimate of every template on one axis, percent of the step the advice speaks of."""
    result = _result(result)
    return _bars(all_gains(result, WORDING), f"gain (% of the {result.phase} step)", ax)


def gain_terms(template: Template, ax: Axes | None = None) -> Axes:
    """The terms of one estimate as a waterfall in us per step; thin lines reach from low to high."""
    drawn = waterfall(template, WORDING)
    return _bars(() if drawn is None else (drawn,), "saved per step (µs)", ax)


def breakers(template: Template, ax: Axes | None = None, most: int = 12) -> Axes:
    """What ends fragments, by the saving it costs per step in us, dearest first."""
    dearest = sorted(template.breakers, key=lambda breaker: -breaker.cost_us)[:most]
    named = [(f"{breaker.op_type} ({WORDING.role(breaker.role)})", breaker.cost_us) for breaker in dearest]
    return _bars((bars_of(named, WORDING),), "lost saving per step (µs)", ax)


def layer_strip(result: Result | Analysed, ax: Axes | None = None) -> Axes:
    """Every layer of the typical step as a stack of its regions' exposed time, us; outliers carry a mark."""
    result = _result(result)
    return _strip(layer_columns(result, WORDING), "layer", ax)


def steps(result: Result | Analysed, ax: Axes | None = None) -> Axes:
    """Wall time of every step in us: kernels, small gaps, waiting for the host; what is not steady is marked."""
    result = _result(result)
    return _strip(step_columns(result, WORDING), "step", ax)


def _bars(groups: Sequence[Bars], title: str, ax: Axes | None) -> Axes:
    rows = [(bars, bar) for bars in groups for bar in bars.bars]
    ax = _plain(_axes(ax, 8, 1.2 + 0.35 * len(rows)))
    for place, (_group, bar) in enumerate(rows):
        ax.barh(place, bar.width, left=bar.start, height=0.6, **LOOKS[bar.kind])
        if bar.low is not None and bar.high is not None:
            ax.plot([bar.low, bar.high], [place, place], color=INK, linewidth=1)
        if bar.middle is not None:
            ax.plot(bar.middle, place, "o", color=ACCENT)
        ax.annotate(bar.text, (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    many = len(groups) > 1
    names = [f"{bars.title}, {bar.label}" if many else bar.label for bars, bar in rows]
    ax.set_yticks(range(len(rows)), [_name(name, 60) for name in names])
    ax.invert_yaxis()
    ax.set_xlabel(title)
    if groups:
        _scale(ax, groups[0].axis)
        ax.axvline(groups[0].axis.zero, color=QUIET, linewidth=0.8)
    return ax


def _strip(drawn: Strip | None, title: str, ax: Axes | None) -> Axes:
    ax = _plain(_axes(ax, 10, 3))
    ax.set_xlabel(title)
    if drawn is None:
        return ax
    for place, width, stack in drawn.columns:
        for segment in stack.segments:
            ax.bar(place + width / 2, segment.width, bottom=segment.start, width=width, **_look(segment))
        if stack.outlier:
            ax.plot(place + width / 2, _top(stack) + 3, "v", color=ACCENT)
    ax.set_xticks([place for place, _label in drawn.labels], [label for _place, label in drawn.labels])
    ax.set_yticks([place for place, _label in drawn.axis.ticks], [label for _place, label in drawn.axis.ticks])
    return _with_legend(ax)


def _top(stack: Stack) -> float:
    return stack.segments[-1].start + stack.segments[-1].width if stack.segments else 0.0


def _look(segment: Segment) -> dict[str, Any]:
    hatch = "///" if segment.region in GAP_COLOURS or segment.region == "unattributed" else None
    return {"color": COLOURS[segment.region], "edgecolor": "white", "hatch": hatch, "label": segment.name}


def _axes(ax: Axes | None, width: float, height: float) -> Axes:
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ModuleNotFoundError as missing:
        raise InputError(
            _("pictures need matplotlib, which is not installed"), _("pip install 'skadvisor[plots]'")
        ) from missing

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def _plain(ax: Axes) -> Axes:
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax


def _scale(ax: Axes, axis: Axis) -> None:
    ax.set_xlim(0, 100)
    ax.set_xticks([place for place, _label in axis.ticks], [label for _place, label in axis.ticks])


def _with_legend(ax: Axes) -> Axes:
    """Each name once, beside the drawing."""
    handles, names = ax.get_legend_handles_labels()
    once = dict(zip(names, handles, strict=True))
    if once:
        ax.legend(once.values(), once.keys(), loc="upper left", bbox_to_anchor=(1.0, 1.05), frameon=False)
    return ax


def _name(text: str, longest: int) -> str:
    """A name that matplotlib draws as it is: no mathematics, no control characters."""
    from skadvisor.report.wording import clip

    return clip(text, longest).replace("$", r"\$")
