"""The operator vocabulary: which role an operator plays, as data from `operators.toml` and the user's own file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from skadvisor.errors import InputError
from skadvisor.names import words

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib


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
    """All rules, in order of precedence."""

    operators: tuple[Operator, ...]

    def find(self, base: str) -> Operator | None:
        """The rule for a base name, None where the vocabulary does not know it."""
        if not base:
            return None
        compact = words(base)
        for operator in self.operators:
            if base in operator.names or compact in operator.names:
                return operator
        for operator in self.operators:
            if any(pattern.search(base) for pattern in operator.patterns):
                return operator
        return None


def load_vocabulary(extra: str | Path | None = None) -> Vocabulary:
    """The shipped vocabulary, the user's file before it. Raises InputError for a file that is no vocabulary."""
    shipped = _shipped()
    return Vocabulary(_read(Path(extra)) + shipped) if extra is not None else Vocabulary(shipped)


@lru_cache(maxsize=1)
def _shipped() -> tuple[Operator, ...]:
    return _read(Path(__file__).with_name("operators.toml"))


def _read(path: Path) -> tuple[Operator, ...]:
    try:
        with path.open("rb") as file:
            entries = tomllib.load(file).get("operator", [])
        return tuple(_operator(entry) for entry in entries)
    except OSError as error:
        raise InputError(f"cannot read the operator file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, re.error, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is not an operator file: {error}",
            'each entry is an [[operator]] with role = "...", names = ["..."] or patterns = ["..."], source = "..."',
        ) from error


def _operator(entry: dict[str, Any]) -> Operator:
    from skadvisor.grammar import ROLES

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
