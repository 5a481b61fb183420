"""Words in the names of modules, scopes and kernels, as data from `word_lists.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skadvisor.files.data_files import read_toml

WORD_LISTS: dict[str, Any] = read_toml(Path(__file__).with_name("word_lists.toml"))
