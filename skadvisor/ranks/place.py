"""Where one rank's capture is."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """Where one rank's capture is: a path or URL, and its rank where the folder says one."""

    path: str
    rank: int | None
