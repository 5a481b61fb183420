"""The document that every renderer shows: a summary for the first screen, then sections with tables.

A document is a result put into words of one language: all text is final, clean and translated, numbers are
written with their unit, and each cell keeps the value to sort by. Renderers only lay it out.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One cell: its text, the value it sorts by (None sorts last), and what to mark it with (region or status)."""

    text: str
    value: float | str | None = None
    region: str | None = None
    status: str | None = None


@dataclass(frozen=True)
class Column:
    """A column's title, its unit ("" where cells carry it or there is none), and how soon narrow views drop it."""

    title: str
    unit: str = ""
    numeric: bool = False
    priority: int = 0

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


@dataclass(frozen=True)
class Table:
    """A table with a stable name; `note` explains abbreviations and what was left out.

    `detail` tables are left out of the terminal view, which files and the HTML report hold in full.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    detail: bool = False


@dataclass(frozen=True)
class Item:
    """A point of a list, with an optional status mark, remedy and source."""

    text: str
    status: str | None = None
    label: str = ""
    remedy: str = ""
    source: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the report. `picture` names the figure that goes with it where pictures can be shown.

    `typed` is text whose line breaks and spaces matter, such as code.
    """

    name: str
    title: str
    lead: str = ""
    tables: tuple[Table, ...] = ()
    items: tuple[Item, ...] = ()
    picture: str | None = None
    typed: str = ""

    def shows_title(self, table: Table) -> bool:
        """Whether a table's own title says more than the section's."""
        return len(self.tables) > 1 or self.name == "layer"


@dataclass(frozen=True)
class Summary:
    """The first screen: the verdict in one sentence, facts as (label, text), what blocks it, what to do next."""

    headline: str
    reason: str
    facts: tuple[tuple[str, str], ...]
    blockers: tuple[str, ...]
    next: tuple[str, ...]
    reading: str = ""


@dataclass(frozen=True)
class Document:
    """A whole report in one language."""

    title: str
    language: str
    tool: str
    capture: str
    summary: Summary
    sections: tuple[Section, ...]
    words: tuple[tuple[str, str], ...]
