"""Text that comes from files, made harmless for a terminal or a Markdown table."""

from __future__ import annotations

import re

#: Control characters, line separators and marks that change the direction of writing.
_UNWANTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(text: object, longest: int = 160) -> str:
    """One line of at most `longest` characters without control characters; the middle of longer text is left out."""
    cleaned = _UNWANTED.sub(" ", str(text))
    if len(cleaned) <= longest:
        return cleaned
    tail = longest // 3
    return f"{cleaned[: longest - tail - 3]}...{cleaned[-tail:]}"
