"""Writing files so that nothing is ever half-written, overwritten by accident, or changed among the inputs.

A file is written under a temporary name in its own folder, flushed to the disk and then renamed: whoever opens
it sees the old content or the new, and an interrupted run leaves nothing behind.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from skadvisor.errors import InputError
from skadvisor.text.messages import _

#: What is to be written: bytes, text (as UTF-8), or a function that fills the file at the path it is given.
Content = bytes | str | Callable[[Path], object]


def write_atomically(
    path: str | os.PathLike[str], content: Content, *, force: bool = False, inputs: Iterable[Path] = ()
) -> Path:
    """Write `content` to `path` whole or not at all, and return the path.

    A function as `content` is called with a temporary path in the same folder that ends in the same suffix. It has
    to write and close that file; whatever it raises is passed on after the temporary file is gone.
    Raises InputError where `check_output` does, and where the disk refuses the data.
    """
    target = check_output(path, force=force, inputs=inputs)
    # Short, so that it fits wherever the name itself fits; the suffix last, for writers that choose the format by it.
    temporary = target.with_name(f".{target.stem[:40]}.{secrets.token_hex(6)}.part{target.suffix}")
    try:
        _fill(temporary, content)
        if target.exists():
            shutil.copymode(target, temporary)
        _rename(temporary, target, force)
    except OSError as error:
        raise InputError(
            _("cannot write {target}: {strerror}"),
            _("Name another file."),
            target=target,
            strerror=error.strerror or error,
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return target


def check_output(path: str | os.PathLike[str], *, force: bool = False, inputs: Iterable[Path] = ()) -> Path:
    """Say before the work starts whether `path` can be written; returns it as a Path.

    Raises InputError if it is a folder, if its folder is missing, if it exists and `force` is not given, or if it
    is one of `inputs` or lies inside one: captures are never changed, not even by force.
    """
    target = Path(path)
    try:
        target.exists()  # is_dir and exists raise what only the file system knows, such as a name that is too long
    except OSError as error:
        raise InputError(
            _("cannot write {target}: {strerror}"),
            _("Name another file."),
            target=target,
            strerror=error.strerror,
        ) from error
    if target.is_dir():
        raise InputError(
            _("{target} is a folder, not a file to write"),
            _("Name a file: {value}"),
            target=target,
            value=target / "report.html",
        )
    if not target.parent.is_dir():
        raise InputError(
            _("the folder {parent} does not exist"), _("Make it first: mkdir -p {parent}"), parent=target.parent
        )
    if target.exists() and not target.is_file():
        raise InputError(
            _("{target} is no ordinary file"), _("Name a file, or leave out -o to read the result here."), target=target
        )
    resolved = target.resolve()
    for source in inputs:
        if target.exists() and (resolved == source.resolve() or source.resolve() in resolved.parents):
            raise InputError(
                _("{target} belongs to the capture that is read"),
                _("Inputs are never changed; name another."),
                target=target,
            )
    if target.exists() and not force:
        raise InputError(
            _("{target} exists already"), _("Add --force to replace it, or name another file."), target=target
        )
    return target


def _fill(temporary: Path, content: Content) -> None:
    # O_EXCL: never follow a link that someone else put there. 0o666: the user's umask decides, as for any new file.
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(handle, "wb") as file:
        if isinstance(content, str):
            file.write(content.encode("utf-8"))
        elif isinstance(content, bytes):
            file.write(content)
    if callable(content):
        content(temporary)
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())


def _rename(temporary: Path, target: Path, force: bool) -> None:
    if force:
        os.replace(temporary, target)
        return
    try:
        # A hard link fails if the target has appeared meanwhile; a rename would silently replace it.
        os.link(temporary, target)
    except FileExistsError as error:
        raise InputError(
            _("{target} has appeared meanwhile"), _("Add --force to replace it."), target=target
        ) from error
    except OSError:  # file systems without hard links
        os.rename(temporary, target)
