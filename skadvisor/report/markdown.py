"""The report as Markdown that GitHub and GitLab show as written: hostile names stay text."""

from __future__ import annotations

import re

from skadvisor.report.document import Code, Document, Section, Table
from skadvisor.report.text import NAME_WIDTH, SIGNS, item_line
from skadvisor.report.wording import Wording
from skadvisor.text.messages import _


def render_markdown(document: Document) -> str:
    """The whole report as Markdown."""
    parts = [_summary(document)]
    parts += [_section(section) for section in document.sections]
    if document.words:
        words = "\n".join(f"- **{escape(word)}**: {escape(meaning)}" for word, meaning in document.words)
        parts.append(f"## {escape(Wording(document.language).say(_('Words')))}\n\n{words}")
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Text that Markdown and the HTML inside it leave alone."""
    text = re.sub(r"([\\`*_\[\]{}|#~$!^])", r"\\\1", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # Bare addresses and mentions would become links.
    return re.sub(r"(?i)\b(https?|ftp|www)(?=[:.])", lambda found: f"{found[0][0]}&#8203;{found[0][1:]}", text).replace(
        "@", "&#64;"
    )


def _summary(document: Document) -> str:
    summary = document.summary
    lines = [f"# {escape(document.title)}", "", f"**{escape(summary.headline)}**"]
    if summary.reason:
        lines += ["", escape(summary.reason)]
    if summary.facts:
        lines += ["", "| | |", "|---|---|"]
        lines += [f"| {escape(label)} | {escape(value)} |" for label, value in summary.facts]
    for points in summary.lists:
        lines += ["", f"**{escape(points.title)}**", ""]
        lines += [f"{place}. {escape(line)}" for place, line in enumerate(points.lines, start=1)]
    if summary.reading:
        lines += ["", f"<sub>{escape(summary.reading)}</sub>"]
    return "\n".join(lines)


def _section(section: Section) -> str:
    parts = [f"## {escape(section.title)}"]
    if section.lead:
        parts.append(escape(section.lead))
    parts += [_table(table, section.shows_title(table)) for table in section.tables]
    if section.items:
        parts.append(
            "\n".join(f"- {SIGNS.get(item.status or '', '·')} {escape(item_line(item))}" for item in section.items)
        )
    parts += [_code(code) for code in section.codes]
    return "\n\n".join(parts)


def _code(code: Code) -> str:
    fence = "`" * (max((len(run) for run in re.findall("`+", code.text)), default=0) + 3)
    fenced = f"{fence}{code.language}\n{code.text.rstrip()}\n{fence}"
    return f"### {escape(code.title)}\n\n{fenced}" if code.title else fenced


def _table(table: Table, titled: bool) -> str:
    title = [f"### {escape(table.title)}", ""] if titled else []
    rows = [[escape(cell.text) for cell in row] for row in table.rows]
    lines = [*title, *_padded([escape(column.heading) for column in table.columns], rows, table)]
    if table.note:
        lines += ["", f"<sub>{escape(table.note)}</sub>"]
    return "\n".join(lines)


def _padded(heading: list[str], rows: list[list[str]], table: Table) -> list[str]:
    """The lines of a table whose columns stand below each other as text too, up to the width of a name."""
    from rich.cells import cell_len

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(map(padded, cells, range(len(cells)))) + " |"

    def padded(cell: str, place: int) -> str:
        blanks = " " * max(0, widths[place] - cell_len(cell))
        return blanks + cell if table.columns[place].numeric else cell + blanks

    widths = [
        min(max(cell_len(row[place]) for row in (heading, *rows)), NAME_WIDTH) for place in range(len(table.columns))
    ]
    ruler = [
        "-" * (width + 1) + (":" if column.numeric else "-")
        for width, column in zip(widths, table.columns, strict=True)
    ]
    return [line(heading), "|" + "|".join(ruler) + "|", *map(line, rows)]
