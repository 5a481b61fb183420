"""The change as a unified diff, and writing it: a backup first, the new content whole or not at all."""

from __future__ import annotations

import difflib
import io
from itertools import count
from pathlib import Path

from skadvisor.errors import InputError
from skadvisor.files.output import write_atomically
from skadvisor.text.messages import _


def read_file(path: Path, largest: int, folder: InputError, too_large: InputError) -> bytes:
    """The content of a file that a user named. Raises `folder`, `too_large`, or InputError where it cannot be read."""
    try:
        if path.is_dir():
            raise folder
        if path.stat().st_size > largest:
            raise too_large
        return path.read_bytes()
    except OSError as error:
        raise InputError(_("cannot read {path}: {strerror}"), path=path, strerror=error.strerror or error) from error


def unified_diff(before: str, after: str, name: str) -> str:
    """A diff that `patch -p1` and `git apply` take, forwards and in reverse. Lines end at line feeds only."""
    # str.splitlines would also split at form feeds and separators within a line.
    old, new = (list(io.StringIO(text, newline="\n")) for text in (before, after))
    lines = difflib.unified_diff(old, new, f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


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
    names = (f"{target.name}.before-superkernel{f'.{number}' if number else ''}" for number in count())
    backup = next(place for name in names if not (place := target.with_name(name)).exists())
    write_atomically(backup, expected)
    write_atomically(target, content, force=True)
    return backup
