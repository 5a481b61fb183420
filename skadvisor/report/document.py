"""The document that every renderer shows: a summary for the first screen, then sections with tables.

A document is a result put into words of one language: all text is final, clean and translated, numbers are
written with their unit, and each cell keeps the value to sort by. Renderers only lay it out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from skadvisor.records import Result, Template
from skadvisor.report.glossary import Glossary
from skadvisor.report.wording import Wording


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


def subject(result: Result) -> Template | None:
    """The template that the report speaks of: the recommended one, else the one that promises most, else None."""
    for template in result.templates:
        if template.name == result.recommendation.choice:
            return template
    assessed = [template for template in result.templates if template.estimate is not None]
    if assessed:
        return max(assessed, key=lambda template: template.estimate.mid_us if template.estimate else 0.0)
    return next(iter(result.templates), None)


def build(result: Result, language: str = "en", plan: str = "") -> Document:
    """Put a result into words. Abbreviations are explained where they first appear; `plan` is what to type."""
    from skadvisor.report import sections, summary

    wording = Wording(language)
    document = Document(
        title=summary.title(result, wording),
        language=language,
        tool=f"{result.tool.name} {result.tool.version}",
        capture=summary.capture_name(result),
        summary=summary.summarise(result, wording),
        sections=sections.write_sections(result, wording, plan),
        words=(),
    )
    return _explained(document, wording)


def _explained(document: Document, wording: Wording) -> Document:
    """The document with each abbreviation written out at its first use, in reading order."""
    glossary = Glossary(wording)
    first = document.summary
    shown = [first.headline, first.reason, *first.blockers, *first.next]
    shown += [text for fact in first.facts for text in fact]
    sections = []
    reading = glossary.legend(shown)
    for section in document.sections:
        lead = glossary.write_out(section.lead)
        items = tuple(
            replace(item, text=glossary.write_out(item.text), remedy=glossary.write_out(item.remedy))
            for item in section.items
        )
        tables = tuple(_with_legend(table, glossary) for table in section.tables)
        sections.append(replace(section, lead=lead, items=items, tables=tables))
    return replace(document, summary=replace(first, reading=reading), sections=tuple(sections), words=glossary.words())


def _with_legend(table: Table, glossary: Glossary) -> Table:
    texts = [column.heading for column in table.columns]
    texts += [cell.text for row in table.rows for cell in row]
    legend = glossary.legend(texts)
    note = glossary.write_out(table.note)
    return replace(table, note=f"{note} {legend}".strip())
