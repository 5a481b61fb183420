"""Several files of one rank into one capture: each gives what it alone has, and they are checked to agree."""

from __future__ import annotations

from skadvisor.capture import kernel_details
from skadvisor.capture.folder import RankFiles
from skadvisor.capture.interface import Part
from skadvisor.events import Capture


def read(ranked: RankFiles) -> Capture:
    """Read all files of one rank and join what they say."""
    parts = [_read_part(format, ranked) for format in ranked.files]
    first = parts[0]
    return Capture(
        path=ranked.path,
        producer=first.producer,
        kernels=first.kernels,
        tasks=first.tasks,
        host=first.host,
        files=tuple(file for part in parts for file in part.files),
        rank=ranked.rank if ranked.rank is not None else first.rank,
        device=first.device,
        level=first.level,
        metadata=ranked.metadata,
        notes=tuple(ranked.notes) + tuple(note for part in parts for note in part.notes),
    )


def _read_part(format: str, ranked: RankFiles) -> Part:
    return kernel_details.read(ranked.files[format])  # type: ignore[index]
