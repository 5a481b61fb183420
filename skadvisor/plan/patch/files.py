"""The change as a unified diff, and writing it: a backup first, the new content whole or not at all."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from skadvisor.errors import InputError
from skadvisor.files.output import write_atomically
from skadvisor.text.messages import _

_NO_NEWLINE = "\\ No newline at end of file\n"


def unified_diff(before: str, after: str, name: str) -> str:
    """A diff that `patch -p1` and `git apply` take, forwards and in reverse. Lines end at line feeds only."""
    lines = difflib.unified_diff(
        _lines(before),
        _lines(after),
        f"a/{name}",
        f"b/{name}",
    )
    return "".join(_ended(lines))


def _lines(text: str) -> list[str]:
    """Lines with their line feeds: str.splitlines would also split at form feeds and separators within a line."""
    parts = text.split("\n")
    lines = [part + "\n" for part in parts[:-1]]
    return [*lines, parts[-1]] if parts[-1] else lines


def _ended(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield line
        if not line.endswith("\n"):
            yield "\n" + _NO_NEWLINE


def replace_file(path: Path, content: bytes, expected: bytes) -> Path:
    """Replace a user's file by `content` after copying it beside itself; returns the backup's path.

    Raises InputError where the file is no longer what was read (`expected`), or cannot be written.
    """
    target = path.resolve()
    try:
        current = target.read_bytes()
    except OSError as error:
        raise InputError(_("cannot read {path}: {strerror}"), path=path, strerror=error.strerror or error) from error
    if current != expected:
        raise InputError(
            _("{path} has changed since it was read; nothing was written"), _("Run the command again."), path=path
        )
    backup = _free_name(target)
    write_atomically(backup, expected)
    write_atomically(target, content, force=True)
    return backup


def _free_name(target: Path) -> Path:
    number = 0
    while True:
        name = target.with_name(f"{target.name}.before-superkernel{f'.{number}' if number else ''}")
        if not name.exists():
            return name
        number += 1
