"""The report as Markdown that GitHub and GitLab show as written: hostile names stay text."""

from __future__ import annotations

import re

from skadvisor.records import Result
from skadvisor.report.build import build_document
from skadvisor.report.document import Document, Section, Table
from skadvisor.report.text import SIGNS, item_line
from skadvisor.report.wording import Wording
from skadvisor.text.messages import _


def render_markdown(result: Result, *, language: str = "en", plan: str = "") -> str:
    """The whole report as Markdown."""
    document = build_document(result, language, plan)
    parts = [_summary(document, Wording(language))]
    parts += [_section(section) for section in document.sections]
    words = "\n".join(f"- **{escape(word)}**: {escape(meaning)}" for word, meaning in document.words)
    parts.append(f"## {escape(Wording(language).say(_('Words')))}\n\n{words}")
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Text that Markdown and the HTML inside it leave alone."""
    text = re.sub(r"([\\`*_\[\]{}|#~$!^])", r"\\\1", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # Bare addresses and mentions would become links.
    return re.sub(r"(?i)\b(https?|ftp|www)(?=[:.])", lambda found: f"{found[0][0]}&#8203;{found[0][1:]}", text).replace(
        "@", "&#64;"
    )


def _summary(document: Document, wording: Wording) -> str:
    summary = document.summary
    lines = [f"# {escape(document.title)}", "", f"**{escape(summary.headline)}**"]
    if summary.reason:
        lines += ["", escape(summary.reason)]
    lines += ["", "| | |", "|---|---|"]
    lines += [f"| {escape(label)} | {escape(value)} |" for label, value in summary.facts]
    for title, points in (
        (wording.say(_("What blocks it")), summary.blockers),
        (wording.say(_("What to do next")), summary.next),
    ):
        if points:
            lines += ["", f"**{escape(title)}**", ""]
            lines += [f"{place}. {escape(point)}" for place, point in enumerate(points, start=1)]
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
    if section.typed:
        fence = "`" * (max((len(run) for run in re.findall("`+", section.typed)), default=0) + 3)
        parts.append(f"{fence}text\n{section.typed}\n{fence}")
    return "\n\n".join(parts)


def _table(table: Table, titled: bool) -> str:
    heading = "| " + " | ".join(escape(column.heading) for column in table.columns) + " |"
    ruler = "|" + "|".join("---:" if column.numeric else "---" for column in table.columns) + "|"
    rows = ["| " + " | ".join(escape(cell.text) for cell in row) + " |" for row in table.rows]
    title = [f"### {escape(table.title)}", ""] if titled else []
    lines = [*title, heading, ruler, *rows]
    if table.note:
        lines += ["", f"<sub>{escape(table.note)}</sub>"]
    return "\n".join(lines)
