"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def captures(*parts: str) -> Path:
    """A path among the real captures beside the repository; skips the test where they are absent."""
    root = Path(os.environ.get("SKADVISOR_CAPTURES", REPOSITORY.parent / "shared" / "captures"))
    path = root.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"real captures are not here: {path}")
    return path
