"""Tables from records, column by column, and their cells: numbers and text, each with the value to sort by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from skadvisor.report.document import Cell, Column, Section, Table
from skadvisor.report.wording import LONGEST_NAME, Wording, clip, minus
from skadvisor.text.messages import _

Row = TypeVar("Row")


class Grid(Generic[Row]):
    """A table in the making with a row per record: each call adds a column and says what a record has there.

    Titles and units are translated. `priority` says how soon narrow views drop the column (`Column`).
    """

    def __init__(self, records: Sequence[Row], wording: Wording) -> None:
        self._records, self._wording = records, wording
        self._columns: list[Column] = []
        self._cells: list[list[Cell]] = []

    def cells(
        self, title: str, cell: Callable[[Row], Cell], unit: str = "", *, numeric: bool = False, priority: int = 0
    ) -> None:
        """A column of cells that are made one by one."""
        self._columns.append(Column(self._said(title), self._said(unit), numeric, priority))
        self._cells.append([cell(record) for record in self._records])

    def words(
        self, title: str, said: Callable[[Row], str | None], priority: int = 0, longest: int = LONGEST_NAME
    ) -> None:
        """A column of text, each cut to `longest` characters; empty for None."""

        def cell(record: Row) -> Cell:
            found = said(record)
            return Cell("") if found is None else text(found, longest)

        self.cells(title, cell, priority=priority)

    def regions(self, title: str, region: Callable[[Row], str]) -> None:
        """A column of regions or kinds of gaps in words, marked with their colour."""

        def cell(record: Row) -> Cell:
            name = self._wording.region(region(record))
            return Cell(name, name, region(record))

        self.cells(title, cell)

    def numbers(
        self,
        title: str,
        value: Callable[[Row], float | None],
        unit: str = "",
        digits: int = 1,
        priority: int = 0,
        missing: str = _("unknown"),
    ) -> None:
        """A column of numbers; `missing` stands for None."""

        def cell(record: Row) -> Cell:
            found = value(record)
            return Cell(self._said(missing)) if found is None else number(found, self._wording, digits)

        self.cells(title, cell, unit, numeric=True, priority=priority)

    def intervals(
        self,
        title: str,
        bounds: Callable[[Row], tuple[float | None, float | None]],
        priority: int = 0,
        missing: str = _("unknown"),
    ) -> None:
        """A column of ranges in percent, sorted by their low end; `missing` stands for unknown ones."""

        def cell(record: Row) -> Cell:
            low, high = bounds(record)
            if low is None or high is None:
                return Cell(self._said(missing))
            return Cell(self._wording.interval(low, high), low)

        self.cells(title, cell, numeric=True, priority=priority)

    def table(self, name: str, title: str, note: str = "", *, detail: bool = False) -> Table:
        """The table of all rows (`Table`)."""
        return Table(name, title, tuple(self._columns), tuple(zip(*self._cells, strict=True)), note, detail)

    def section(self, name: str, title: str) -> Section | None:
        """A section of this table alone; None where it has no rows."""
        table = self.table(name, title)
        return Section(name, title, tables=(table,)) if table.rows else None

    def _said(self, words: str) -> str:
        return self._wording.say(words) if words else ""


def number(value: float | None, wording: Wording, digits: int = 1) -> Cell:
    """A number in a column that carries its unit."""
    if value is None:
        return Cell(wording.say(_("unknown")))
    return Cell(minus(f"{value:,.{digits}f}"), value)


def signed(value: float | None) -> Cell:
    """A change in a column that carries its unit, with its sign; empty where nothing was measured."""
    if value is None:
        return Cell("")
    rounded = round(value, 1)
    return Cell(minus(f"{rounded:+,.1f}") if rounded else "0.0", value)


def text(value: str, longest: int = LONGEST_NAME) -> Cell:
    """Text that sorts as itself."""
    shown = clip(value, longest)
    return Cell(shown, shown)
