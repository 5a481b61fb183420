"""What a term of the estimate follows from, in one line: `removed: 584 / 599 / 663` for low, middle and high."""

from __future__ import annotations

from collections.abc import Mapping

from skadvisor.report.wording import Wording, minus
from skadvisor.text.messages import _

BANDS = ("low", "mid", "high")
#: Inputs that the gain models name; another one is shown with its underscores replaced.
INPUT_NAMES = {
    "boundaries": _("task boundaries in scope"),
    "boundaries_removed": _("removed"),
    "boundaries_with_pmu": _("with core times"),
    "gap_us": _("gap, µs each"),
    "head_us": _("head, µs each"),
    "inside_us": _("inside the cores, µs each"),
    "sync_us": _("synchronisation, µs each"),
    "block_us": _("saved in scope, µs"),
    "reached_us": _("of it on the critical path, µs"),
    "overlap_us": _("overlap of streams in scope, µs"),
    "lost_fraction": _("part of it lost"),
    "saved_us": _("saved in scope, µs"),
    "fraction": _("part that the step does not show"),
    "in_scope_us": _("time in scope, µs"),
    "ceiling_us": _("ceiling, µs"),
    "recovered": _("saved of what was there, parts"),
    "weight_of_the_capture": _("weight of this capture"),
    "base_pct": _("base rate, %"),
    "nets": _("published nets"),
}


def inputs_text(inputs: Mapping[str, float], wording: Wording) -> str:
    """The inputs of a term; the three values of one that differs between low, middle and high stand together."""
    values: dict[str, list[float]] = {}
    for key, value in inputs.items():
        name, _underscore, band = key.rpartition("_")
        values.setdefault(name if band in BANDS else key, []).append(value)
    said = [
        wording.say(_("{name}: {value}"), name=wording.name(INPUT_NAMES, name), value=_together(found))
        for name, found in values.items()
    ]
    return wording.say(_("; ")).join(said)


def _together(values: list[float]) -> str:
    """One number where they all read the same."""
    shown = [minus(f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}") for value in values]
    return shown[0] if len(set(shown)) == 1 else " / ".join(shown)
