"""The priors of the gain model as data: `priors.toml`, each figure with its source."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from skadvisor.files.data_files import read_toml


@cache
def priors() -> dict[str, Any]:
    """The priors of `priors.toml`, by section."""
    return read_toml(Path(__file__).with_name("priors.toml"))
