"""The priors of the gain model as data: `priors.toml`, each figure with its source."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from skadvisor.files.data_files import read_toml


@cache
def priors() -> dict[str, Any]:
    """The priors of `priors.toml`, by section."""
    return read_toml(Path(__file__).with_name("priors.toml"))


def chances_to_fuse(verdicts: Iterable[str]) -> list[float]:
    """How likely a kernel is to fuse by the verdict on each chip that may be meant (`Judgement.verdicts`)."""
    return [priors()["fuses"][verdict] for verdict in verdicts]
