"""The few named levels that evidence weighs by, natural-log odds; `levels.toml` says what each one outweighs."""

from __future__ import annotations

from pathlib import Path

from skadvisor.files.data_files import read_toml

_LEVELS: dict[str, float] = read_toml(Path(__file__).with_name("levels.toml"))
SLIGHT, CLEAR, STRONG, CERTAIN, SETTLED = (
    _LEVELS[name] for name in ("slight", "clear", "strong", "certain", "settled")
)
