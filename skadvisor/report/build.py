"""Put a result into words: the document of one language, each abbreviation explained where it first appears."""

from __future__ import annotations

from dataclasses import replace

from skadvisor.records import Result
from skadvisor.report import sections, summary
from skadvisor.report.document import Document, Table
from skadvisor.report.glossary import Glossary
from skadvisor.report.wording import Wording


def build_document(result: Result, language: str = "en", plan: str = "") -> Document:
    """Put a result into words. Abbreviations are explained where they first appear; `plan` is what to type."""
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
