"""The document that every renderer shows: a summary for the first screen, then sections with tables.

A document is a result put into words of one language: all text is final, clean and translated, numbers are
written with their unit, and each cell keeps the value to sort by. Renderers only lay it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from skadvisor.version import __version__


@dataclass(frozen=True)
class Cell:
    """One cell: its text, the value it sorts by (None sorts last), and the region to mark it with."""

    text: str
    value: float | str | None = None
    region: str | None = None


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

    `detail` tables are left out of the terminal view unless all is asked for; files and the HTML report hold them.
    Where there are `brief` rows, that view shows them instead of all.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    detail: bool = False
    brief: tuple[tuple[Cell, ...], ...] = ()


@dataclass(frozen=True)
class Item:
    """A point of a list, with an optional status mark, remedy and source."""

    text: str
    status: str | None = None
    label: str = ""
    remedy: str = ""
    source: str = ""


@dataclass(frozen=True)
class Code:
    """Lines to copy as they stand. `language` is what highlighters call it: python, yaml, bash, diff."""

    title: str
    language: str
    text: str


@dataclass(frozen=True)
class Figure:
    """A picture where pictures can be shown. `kind` says how `drawn`, one of the shapes of `pictures`, is laid out."""

    kind: Literal["gains", "stacks", "layers", "terms", "layer_strip", "step_strip"]
    drawn: tuple[Any, ...]
    title: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the report. A `detail` section is left out of the terminal view unless all is asked for."""

    name: str
    title: str
    lead: str = ""
    tables: tuple[Table, ...] = ()
    items: tuple[Item, ...] = ()
    codes: tuple[Code, ...] = ()
    figure: Figure | None = None
    detail: bool = False

    def shows_title(self, table: Table) -> bool:
        """Whether a table's own title says more than the section's."""
        return len(self.tables) > 1 or self.name == "layer"


@dataclass(frozen=True)
class Points:
    """A short numbered list under a title; a terminal shows the first `brief` lines unless all is asked for."""

    title: str
    lines: tuple[str, ...]
    brief: int = 4


@dataclass(frozen=True)
class Summary:
    """The first screen: the answer in one sentence, facts as (label, text), lists, and the picture that shows it."""

    headline: str
    reason: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    lists: tuple[Points, ...] = ()
    reading: str = ""
    figure: Figure | None = None


@dataclass(frozen=True)
class Document:
    """A whole report in one language. `tool` is the program and its version, `words` are explained at the end."""

    title: str
    language: str
    summary: Summary
    sections: tuple[Section, ...] = ()
    words: tuple[tuple[str, str], ...] = ()
    tool: str = f"skadvisor {__version__}"
