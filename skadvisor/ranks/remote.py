"""Captures behind URLs (s3://, hdfs://, ssh://, ...): found by listing, copied to where they are read.

Any file system that fsspec knows will do (extra `cluster`, plus the package of that file system). Only products
that the readers use are copied, into a temporary folder that is gone when the rank has been read.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

from skadvisor.errors import InputError
from skadvisor.text.messages import _

#: Kinds of file that hold products, and folders below which there is only raw data.
PRODUCTS = (".csv", ".json", ".json.gz", ".csv.gz", ".db")
RAW_FOLDERS = frozenset({"FRAMEWORK", "host", "data", "sqlite", "logs"})
MAX_FILES = 200_000


def is_url(source: str) -> bool:
    """True for sources that fsspec has to fetch."""
    return "://" in source


def list_urls(url: str) -> list[str]:
    """The URLs of the captures (one per rank) below a URL, by name. Raises InputError where there is none."""
    from skadvisor.capture.folder import rank_folder

    system, root = _open(url)
    products = _products(system, root)
    informed = {path.parent for path in products if path.name.startswith("profiler_info")}
    base = PurePosixPath(root)
    folders = sorted(
        {str(path if path == base else rank_folder(path, base, informed.__contains__)) for path in products}
    )
    if not folders:
        raise InputError(
            _("{url} holds no profiler output"), _("Give the folder with the *_ascend_pt or PROF_* folders."), url=url
        )
    return [system.unstrip_protocol(folder) for folder in folders]


@contextmanager
def fetch(source: str) -> Iterator[Path]:
    """The source as a local path: paths as they are, URLs as a temporary copy. Raises InputError if it has no room."""
    if not is_url(source):
        yield Path(source)
        return
    system, root = _open(source)
    files = _products(system, root)
    with tempfile.TemporaryDirectory(prefix="skadvisor-") as folder:
        size, free = sum(files.values()), shutil.disk_usage(folder).free
        if size > free:
            raise InputError(
                _("{source} needs {value:.1f} GB, and {folder} has {value2:.1f} GB"),
                _("Set TMPDIR to a larger disk."),
                source=source,
                value=size / 1000000000.0,
                folder=folder,
                value2=free / 1000000000.0,
            )
        base = PurePosixPath(root)
        for file in files:
            inside = file.relative_to(base).parts or (file.name,)
            target = Path(folder, *inside)
            target.parent.mkdir(parents=True, exist_ok=True)
            _fetch_file(system, str(file), target, source)
        # A single file stays a file: the folder around it is ours.
        yield Path(folder, PurePosixPath(root).name) if list(files) == [base] else Path(folder)


def _open(url: str) -> tuple[Any, str]:
    try:
        core = import_module("fsspec.core")
    except ModuleNotFoundError as error:
        raise InputError(_("URLs need fsspec; it is not installed"), _("pip install 'skadvisor[cluster]'")) from error
    try:
        system, root = core.url_to_fs(url)
        if not system.exists(root):
            raise InputError(_("{url} does not exist"), _("Give a folder with profiler output."), url=url)
    except (ImportError, ValueError) as error:
        raise InputError(
            _("cannot open {url}: {error}"), _("Install the fsspec package of this kind of URL."), url=url, error=error
        ) from error
    except OSError as error:
        raise InputError(
            _("cannot open {url}: {error}"), _("Check the address and the access rights."), url=url, error=error
        ) from error
    return system, str(root)


def _products(system: Any, root: str) -> dict[PurePosixPath, int]:
    """The product files below `root` with their sizes; names that would leave the folder are left out."""
    base = PurePosixPath(root)
    found = {}
    for name, entry in system.find(root, detail=True).items():
        path = PurePosixPath(name)
        inside = path.relative_to(base).parts if base in (path, *path.parents) else ("..",)
        if ".." in inside or RAW_FOLDERS.intersection(inside[:-1]) or not path.name.endswith(PRODUCTS):
            continue
        found[path] = int(entry.get("size") or 0)
        if len(found) > MAX_FILES:
            raise InputError(
                _("{root} holds more than {max_files} files"),
                _("Give a folder nearer to the captures."),
                root=root,
                max_files=MAX_FILES,
            )
    return found


def _fetch_file(system: Any, name: str, target: Path, source: str) -> None:
    try:
        system.get_file(name, str(target))
    except OSError as error:
        raise InputError(
            _("cannot read {name} of {source}: {error}"),
            _("Check the access rights."),
            name=name,
            source=source,
            error=error,
        ) from error
