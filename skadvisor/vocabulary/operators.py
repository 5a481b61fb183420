"""The operator vocabulary: which role an operator plays, as data from `operators.toml` and the user's own file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from skadvisor.errors import InputError
from skadvisor.files.data_files import read_toml
from skadvisor.records import REGIONS
from skadvisor.text.messages import _
from skadvisor.vocabulary.names import without_kernel_suffix, words


@dataclass(frozen=True)
class Rule:
    """Which base names a rule of the vocabulary speaks of."""

    names: frozenset[str]
    patterns: tuple[re.Pattern[str], ...]
    source: str

    def names_one_of(self, base: str) -> bool:
        return base in self.names or words(base) in self.names

    def fits(self, base: str) -> bool:
        return any(pattern.search(base) for pattern in self.patterns)


@dataclass(frozen=True)
class Operator(Rule):
    """What role an operator plays in the grammar, and under which `label` that role is shown (as a rule its own).

    `region` is where the operator belongs wherever it runs; empty where role and order settle it.
    """

    role: str
    region: str
    label: str


@dataclass(frozen=True)
class Property(Rule):
    """Something that operators of several roles have in common, such as writing rows into a cache."""

    name: str


@dataclass(frozen=True)
class Tier:
    """One operator file."""

    operators: tuple[Operator, ...]
    properties: tuple[Property, ...]


@dataclass(frozen=True)
class Vocabulary:
    """All rules, in order of precedence: a tier is searched whole before the next one."""

    tiers: tuple[Tier, ...]

    def properties(self, base: str) -> frozenset[str]:
        """All properties of the operator of this base name, of whichever tier."""
        bare = without_kernel_suffix(base)
        return frozenset(
            one.name
            for tier in self.tiers
            for one in tier.properties
            if one.names_one_of(base) or one.fits(base) or one.names_one_of(bare)
        )

    def find(self, base: str) -> Operator | None:
        """The rule for a base name, None where the vocabulary does not know it."""
        if not base:
            return None
        if base.startswith("sk:"):
            base = "superkernel"
        return self._find(base) or self._find(without_kernel_suffix(base))

    def _find(self, base: str) -> Operator | None:
        for tier in self.tiers:
            named = next((one for one in tier.operators if one.names_one_of(base)), None)
            found = named or next((one for one in tier.operators if one.fits(base)), None)
            if found is not None:
                return found
        return None


def load_vocabulary(extra: str | Path | None = None) -> Vocabulary:
    """The shipped vocabulary, the user's file before it. Raises InputError for a file that is no vocabulary."""
    shipped = _shipped()
    return Vocabulary((shipped,) if extra is None else (_read(Path(extra)), shipped))


@lru_cache(maxsize=1)
def _shipped() -> Tier:
    return _read(Path(__file__).with_name("operators.toml"))


def _read(path: Path) -> Tier:
    try:
        entries = read_toml(path)
        return Tier(
            tuple(_operator(entry) for entry in entries.get("operator", [])),
            tuple(_property(entry) for entry in entries.get("property", [])),
        )
    except (re.error, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            _("{path} is not an operator file: {error}"),
            _('each entry is an [[operator]] with role = "...", names = ["..."] or patterns = ["..."], source = "..."'),
            path=path,
            error=error,
        ) from error


def _operator(entry: dict[str, Any]) -> Operator:
    from skadvisor.vocabulary.states import ROLES

    role, region = entry["role"], str(entry.get("region", ""))
    if role not in ROLES:
        raise KeyError(f"unknown role {role!r}; known are {', '.join(sorted(ROLES))}")
    if region and region not in REGIONS:
        raise KeyError(f"unknown region {region!r}; known are {', '.join(REGIONS)}")
    return Operator(*_rule(entry), role=role, region=region, label=str(entry.get("label", role)))


def _property(entry: dict[str, Any]) -> Property:
    from skadvisor.vocabulary.states import PROPERTIES

    name = entry["name"]
    if name not in PROPERTIES:
        raise KeyError(f"unknown property {name!r}; known are {', '.join(sorted(PROPERTIES))}")
    return Property(*_rule(entry), name=name)


def _rule(entry: dict[str, Any]) -> tuple[frozenset[str], tuple[re.Pattern[str], ...], str]:
    return (
        frozenset(str(name).lower() for name in entry.get("names", [])),
        tuple(re.compile(pattern) for pattern in entry.get("patterns", [])),
        str(entry.get("source", "")),
    )
