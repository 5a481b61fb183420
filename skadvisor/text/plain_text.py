"""Text that comes from files: read whatever its encoding, made harmless for a terminal or a Markdown table."""

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


def decoded(line: bytes) -> str:
    """A line of a file in UTF-8 or GBK. Other bytes are read as Latin-1, so that different ones stay different."""
    for encoding in ("utf-8", "gb18030"):
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:
            continue
    return line.decode("latin-1")
