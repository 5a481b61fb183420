"""The readers of captures. A new one is a module with `recognise` and `read` (`interface.Reader`), and a line here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import cast

from skadvisor.capture.interface import Part, Reader
from skadvisor.capture.lines import UTF8_BOM


@dataclass(frozen=True)
class KnownReader:
    """A reader, whose module is loaded for the first file that begins as its files do; see `interface.Reader`."""

    module: str
    FORMATS: tuple[str, ...]
    begins: re.Pattern[bytes]

    def recognise(self, path: Path, head: bytes) -> str | None:
        """The format of the file, None for files of other kinds."""
        return self._loaded().recognise(path, head) if self.begins.match(head.removeprefix(UTF8_BOM)) else None

    def read(self, paths: Sequence[Path], rank: int | None = None) -> Part:
        """Read the file of one rank."""
        return self._loaded().read(paths, rank)

    def _loaded(self) -> Reader:
        return cast("Reader", import_module(f"skadvisor.capture.{self.module}"))


#: Those whose files lead, where several files of a rank tell of the same kernels, come first.
READERS: tuple[Reader, ...] = (
    KnownReader("csv.reader", ("kernel_details", "op_summary"), re.compile(rb"(?!\s*[\[{])")),
    KnownReader("database.reader", ("database", "msprof_database"), re.compile(rb"SQLite format 3\0")),
    # an array of events, or an object that holds one
    KnownReader(
        "trace.reader",
        ("trace_view", "msprof_trace"),
        re.compile(rb'\s*(\[\s*\{(?=.*"ph")|\{(?=.*"traceEvents"\s*:\s*\[))', re.DOTALL),
    ),
)
