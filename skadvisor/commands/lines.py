"""Answers that are lines to copy: a snippet, a program, a rules file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from skadvisor.report.answer import Answer
from skadvisor.report.document import Code, Document, Section, Summary


def lines_answer(
    headline: str, language_of_lines: str, lines: str, record: dict[str, Any], suffixes: Iterable[str]
) -> Answer:
    """An answer whose terminal view, and whose file of one of the `suffixes`, are the lines as they stand."""

    def describe(language: str) -> Document:
        from skadvisor.report.wording import Wording

        title = Wording(language).say(headline)
        code = Section("lines", title, codes=(Code("", language_of_lines, Wording(language).comments(lines)),))
        return Document(title, language, Summary(title), (code,))

    def plain(language: str) -> str:
        from skadvisor.report.wording import Wording

        return Wording(language).comments(lines)

    return Answer({**record, "lines": lines}, describe, dict.fromkeys(suffixes, plain), plain=plain)
