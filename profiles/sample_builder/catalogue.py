"""Published models in realistic deployments, and the captures that the benchmark builds from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sample_builder.build import BuiltCapture, Description, build
from sample_builder.convolution import ALEXNET
from sample_builder.model import ModelDescription
from sample_builder.sequences import read


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model and how it is run. `settings` go to `build.build`."""

    description: Description
    settings: Mapping[str, Any] = field(default_factory=dict)
    shows: str = ""


def _entry(description: Description, shows: str, **settings: Any) -> Entry:
    return Entry(description=description, settings=settings, shows=shows)


_WORDS: dict[str, Any] = {
    "Card": ModelDescription, "ALEXNET": ALEXNET, "entry": _entry, "captures": {}, "counted": {},
}  # fmt: skip
read(Path(__file__).with_name("models.kernels"), _WORDS)
#: name -> entry. Every entry is deterministic for a seed.
CATALOGUE: dict[str, Entry] = {name: made() for name, made in _WORDS["captures"].items()}


def __getattr__(name: str) -> Any:
    """A model of `models.kernels`."""
    if isinstance(_WORDS.get(name), ModelDescription):
        return _WORDS[name]
    raise AttributeError(f"no such model: {name}")


def build_entry(name: str, *, seed: int = 0, **overrides: Any) -> BuiltCapture:
    """Build a catalogue entry; `overrides` replace its settings. Raises KeyError for an unknown name."""
    entry = CATALOGUE[name]
    return build(entry.description, **{**entry.settings, "seed": seed, **overrides})
