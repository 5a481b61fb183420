"""Cells of the report's tables: numbers, percentages and text, each with the value to sort by."""

from __future__ import annotations

from skadvisor.report.document import Cell
from skadvisor.report.wording import LONGEST_NAME, Wording, clip, minus
from skadvisor.text.messages import _


def number(value: float | None, wording: Wording, digits: int = 1) -> Cell:
    """A number in a column that carries its unit."""
    if value is None:
        return Cell(wording.say(_("unknown")))
    return Cell(minus(f"{value:,.{digits}f}"), value)


def percent(fraction: float | None, wording: Wording) -> Cell:
    """A fraction of 1 in a column of percent."""
    return number(None if fraction is None else 100 * fraction, wording)


def signed(value: float | None, digits: int = 1) -> Cell:
    """A change in a column that carries its unit, with its sign; empty where nothing was measured."""
    if value is None:
        return Cell("")
    rounded = round(value, digits)
    return Cell(minus(f"{rounded:+,.{digits}f}") if rounded else f"{0:.{digits}f}", value)


def text(value: str, longest: int = LONGEST_NAME) -> Cell:
    """Text that sorts as itself."""
    shown = clip(value, longest)
    return Cell(shown, shown)
