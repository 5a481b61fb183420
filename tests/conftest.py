"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

# The user's own ledger is left alone; subprocesses inherit this.
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="skadvisor-tests-")

REPOSITORY = Path(__file__).resolve().parents[1]


def captures(*parts: str) -> Path:
    """A path among the real captures beside the repository; skips the test where they are absent."""
    root = Path(os.environ.get("SKADVISOR_CAPTURES", REPOSITORY.parent / "shared" / "captures"))
    path = root.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"real captures are not here: {path}")
    return path
