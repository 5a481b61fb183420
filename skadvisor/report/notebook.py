"""How a result shows itself in a notebook: the first screen and the short tables of its report, as plain HTML."""

from __future__ import annotations

from html import escape

from skadvisor.records import Result
from skadvisor.report.build import describe_result
from skadvisor.report.document import Table

_CELL = "padding:2px 10px;text-align:{align}"
_HEAD = _CELL + ";border-bottom:1px solid currentColor"


def result_html(result: Result, language: str = "en") -> str:
    """The answer, the facts behind it and the tables of the terminal view, without style sheets; all is escaped."""
    document = describe_result(result, language)
    summary = document.summary
    parts = [f"<p><b>{escape(summary.headline)}</b></p>"]
    if summary.reason:
        parts.append(f"<p>{escape(summary.reason)}</p>")
    facts = "".join(f"<li>{escape(label)}: {escape(value)}</li>" for label, value in summary.facts)
    parts.append(f"<ul>{facts}</ul>")
    parts += [_table(table) for section in document.sections if not section.detail for table in section.tables]
    return "".join(parts)


def _table(table: Table) -> str:
    aligned = ["right" if column.numeric else "left" for column in table.columns]
    heads = "".join(
        f'<th style="{_HEAD.format(align=align)}">{escape(column.heading)}</th>'
        for column, align in zip(table.columns, aligned, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{_CELL.format(align=align)}">{escape(cell.text)}</td>'
            for cell, align in zip(row, aligned, strict=True)
        )
        + "</tr>"
        for row in table.brief or table.rows
    )
    return f'<table style="margin:6px 0;border-collapse:collapse"><tr>{heads}</tr>{body}</table>'
