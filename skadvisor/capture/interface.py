"""What a reader is and returns, the limits that every reader keeps, and the words they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from skadvisor.errors import InputError
from skadvisor.events import SourceFile
from skadvisor.text.messages import Message, _, listed

if TYPE_CHECKING:
    import pandas as pd

Producer = Literal["torch_npu", "msprof", "unknown"]
Level = Literal["level0", "level1", "unknown"]

#: Rows or events of one file beyond this are refused: the tables would not fit into the memory of a laptop.
MAX_ROWS = 100_000_000
#: One CSV row or one trace event longer than this is damage, not data.
MAX_RECORD_BYTES = 4 * 2**20
#: A compressed file may always grow to this size ...
FREE_EXPANSION_BYTES = 256 * 2**20
#: ... and beyond it to this many times its own size. Real traces compress 10 to 40 times.
MAX_EXPANSION = 200

#: What the profiler writes for "no graph model", "no context" and other absent ids.
NO_ID = 4294967295
#: How an absent value is written in text.
ABSENT = ("", "N/A", "n/a", "NA", "null", "None", "-")

#: The reason for which a value is left out: this and the heading of its column.
UNREADABLE = "unreadable value in "


class DamagedError(InputError):
    """A file of a known kind that cannot be read at all; other files of the rank may do without it."""


@dataclass(frozen=True, eq=False)
class Part:
    """What one kind of file (with its slices) says about one rank.

    `kernels`, `tasks` and `host` follow the tables of `skadvisor.events`.
    """

    format: str
    producer: Producer
    files: tuple[SourceFile, ...]
    kernels: pd.DataFrame
    tasks: pd.DataFrame
    host: pd.DataFrame
    level: Level = "unknown"
    rank: int | None = None
    device: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[Message, ...] = ()


class Reader(Protocol):
    """What reads one kind of file; a module is one, and stands in `readers.READERS`."""

    @property
    def FORMATS(self) -> tuple[str, ...]:
        """The formats that it tells apart, the richer first: of two in one folder only the first is read."""

    def recognise(self, path: Path, head: bytes) -> str | None:
        """The format of the file at `path`, which begins with `head`; None for files of other kinds."""

    def read(self, paths: Sequence[Path], rank: int | None = None) -> Part:
        """Read the file of one rank; several paths are slices of one table.

        `rank` chooses the device where the file holds several. Raises InputError for several without a choice, and
        DamagedError where nothing can be read.
        """


def choose_device(devices: Sequence[int], rank: int | None, path: Path | str) -> int | None:
    """The one device of a file, or `rank` of several, None for none. Raises InputError for several without a choice."""
    if len(devices) < 2:
        return devices[0] if devices else None
    if rank not in devices:
        raise InputError(
            _("{path} holds the devices {listed}"),
            _("Choose one of them with --rank."),
            path=path,
            listed=", ".join(map(str, devices)),
        )
    return rank


def _reason(reason: str) -> Message:
    heading = reason.removeprefix(UNREADABLE)
    return Message(reason) if heading == reason else Message(_("unreadable value in {heading}"), heading=heading)


def notes_on_skipped(path: str, skipped: Counter[str]) -> tuple[Message, ...]:
    """One sentence that counts what of a file could not be used, by reason; none where all was used."""
    if not skipped:
        return ()
    counted = (Message("{count} {reason}", count=n, reason=_reason(reason)) for reason, n in sorted(skipped.items()))
    return (Message(_("{path}: left out {reasons}"), path=path, reasons=listed(counted)),)
