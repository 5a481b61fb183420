"""The operator vocabulary: which role an operator plays, as data from `operators.toml` and the user's own file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from skadvisor.errors import InputError
from skadvisor.files.data_files import read_toml
from skadvisor.vocabulary.names import without_kernel_suffix, words


@dataclass(frozen=True)
class Operator:
    """One rule of the vocabulary. `region` is empty where the role settles it."""

    role: str
    region: str
    names: frozenset[str]
    patterns: tuple[re.Pattern[str], ...]
    source: str


@dataclass(frozen=True)
class Vocabulary:
    """All rules, in order of precedence: a tier is searched whole before the next one."""

    tiers: tuple[tuple[Operator, ...], ...]

    def find(self, base: str) -> Operator | None:
        """The rule for a base name, None where the vocabulary does not know it."""
        if not base:
            return None
        if base.startswith("sk:"):
            base = "superkernel"
        return self._find(base) or self._find(without_kernel_suffix(base))

    def _find(self, base: str) -> Operator | None:
        compact = words(base)
        for tier in self.tiers:
            for operator in tier:
                if base in operator.names or compact in operator.names:
                    return operator
            for operator in tier:
                if any(pattern.search(base) for pattern in operator.patterns):
                    return operator
        return None


def load_vocabulary(extra: str | Path | None = None) -> Vocabulary:
    """The shipped vocabulary, the user's file before it. Raises InputError for a file that is no vocabulary."""
    shipped = _shipped()
    return Vocabulary((shipped,) if extra is None else (_read(Path(extra)), shipped))


@lru_cache(maxsize=1)
def _shipped() -> tuple[Operator, ...]:
    return _read(Path(__file__).with_name("operators.toml"))


def _read(path: Path) -> tuple[Operator, ...]:
    try:
        return tuple(_operator(entry) for entry in read_toml(path).get("operator", []))
    except (re.error, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is not an operator file: {error}",
            'each entry is an [[operator]] with role = "...", names = ["..."] or patterns = ["..."], source = "..."',
        ) from error


def _operator(entry: dict[str, Any]) -> Operator:
    from skadvisor.vocabulary.states import ROLES

    role = entry["role"]
    if role not in ROLES:
        raise KeyError(f"unknown role {role!r}; known are {', '.join(sorted(ROLES))}")
    return Operator(
        role=role,
        region=str(entry.get("region", "")),
        names=frozenset(str(name).lower() for name in entry.get("names", [])),
        patterns=tuple(re.compile(pattern) for pattern in entry.get("patterns", [])),
        source=str(entry.get("source", "")),
    )
