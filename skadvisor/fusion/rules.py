"""Which operators fuse: rules as data, ours and the user's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, cast

from skadvisor.errors import InputError
from skadvisor.files.data_files import read_toml
from skadvisor.fusion.readings import HARDWARE, MODES, Bound, Reading, Version, cann_range
from skadvisor.text.messages import Message, _
from skadvisor.vocabulary.names import operator_type

Fusible = Literal["likely", "unlikely", "unknown"]

#: The compiler's words for what it did not fuse and why it split.
REASON_WORDS = (
    "OP_UNSUPPORT",
    "DYNAMIC_TASK_UNSUPPORT",
    "NOT_IN_SCOPE",
    "EXCEED_CORE_MAX",
    "EXIST_DEADLOCK",
    "EXTERNAL_DEPEND",
    "DEFAULT_NODE",
    "SIMT_OP_UNSUPPORT",
    "UNFUSIBLE_NODE",
    "DEADLOCK_DETECTED",
    "SYNCALL_OP_DROP",
)

#: What a rule may say of an operator beside its verdict, and the conditions that it may need.
KEYS = ("op_types", "made_of", "fusible", "reason", "hardware", "modes", "cann", "source", "remedy", "needs")
CONDITIONS = ("tiling_sink", "aiv_expansion")


@dataclass(frozen=True)
class Judgement:
    """Whether one kind of kernel fuses. `reason` is the compiler's word where it might not, `needs` a condition.

    `depends_on` names what would have to be known (hardware, mode, cann) where that alone leaves the verdict unknown,
    `by_chip` the verdict on each chip that is left where it differs between them.
    """

    fusible: Fusible
    reason: str
    source: str
    remedy: Message
    needs: str | None = None
    depends_on: tuple[str, ...] = ()
    by_chip: tuple[Fusible, ...] = ()

    @property
    def verdicts(self) -> tuple[Fusible, ...]:
        """The verdict on each chip that is left, one where it is the same on all."""
        return self.by_chip or (self.fusible,)

    def under(self, conditions: Mapping[str, bool | None]) -> Judgement:
        """The judgement where its condition may be known: unmet, the kernel does not fuse; met, it can."""
        unmet = self.needs is not None and conditions.get(self.needs) is False
        return replace(self, fusible="unlikely") if unmet else self


@dataclass(frozen=True, eq=False)
class Rule:
    """One rule of a fusibility file. `op_types` are exact types as written, `stars` patterns with *, in lower case.

    `made_of` is for types that join several of the names that it holds.
    """

    op_types: tuple[str, ...]
    stars: tuple[str, ...]
    judgement: Judgement
    made_of: re.Pattern[str] | None = None
    hardware: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    cann: tuple[Bound, ...] = ()
    everything: bool = False

    def fits(self, op_type: str) -> bool:
        """Whether a pattern of the rule is for this operator type."""
        name = op_type.lower()
        if any(_fits(star, name) for star in self.stars):
            return True
        return self.made_of is not None and self.made_of.fullmatch(op_type) is not None

    def holds(self, reading: Reading) -> bool:
        """Whether the rule speaks of this chip, kind of graph and version."""
        if (self.hardware and reading.hardware not in self.hardware) or (self.modes and reading.mode not in self.modes):
            return False
        return all(bound.holds(reading.cann) for bound in self.cann)


@dataclass(frozen=True, eq=False)
class RuleIndex:
    """Rules by exact operator type, for finding the first that matches. `steps`: CANN versions at which one changes."""

    rules: tuple[Rule, ...]
    exact: Mapping[str, tuple[int, ...]]
    patterns: tuple[int, ...]
    everything: tuple[int, ...]
    steps: tuple[Version, ...]

    def about(self, label: str) -> tuple[Rule, ...]:
        """The rules that name this operator in any of its forms, in order."""
        bare = operator_type(label)
        forms = (label, _aliases().get(fold(label)), bare, _aliases().get(fold(bare)))
        found = next((named for form in forms if form and (named := self._named(form))), [])
        return tuple(self.rules[number] for number in sorted({*found, *self.everything}))

    def _named(self, form: str) -> list[int]:
        by_pattern = [number for number in self.patterns if self.rules[number].fits(form)]
        return sorted({*self.exact.get(fold(form), ()), *by_pattern})


@lru_cache(maxsize=8)
def index(rules: tuple[Rule, ...]) -> RuleIndex:
    """The index of these rules."""
    exact: dict[str, list[int]] = {}
    for number, rule in enumerate(rules):
        for name in rule.op_types:
            exact.setdefault(fold(name), []).append(number)
    return RuleIndex(
        rules,
        {name: tuple(numbers) for name, numbers in exact.items()},
        tuple(number for number, rule in enumerate(rules) if rule.stars or rule.made_of),
        tuple(number for number, rule in enumerate(rules) if rule.everything),
        tuple(sorted({bound.version for rule in rules for bound in rule.cann})),
    )


def load_rules(*user_files: str | Path) -> tuple[Rule, ...]:
    """The rules of the user's files, then ours. Raises InputError with the file and the faulty entry."""
    return tuple(rule for path in user_files for rule in read_rules(Path(path))) + own_rules()


def read_rules(path: Path) -> tuple[Rule, ...]:
    """The rules of one file. Raises InputError with the file and the faulty entry."""
    content = read_toml(path)
    _refuse_unknown(
        content, ("rule", "aliases") if path == _OWN else ("rule",), str(path), "a rules file holds [[rule]]"
    )
    entries = content.get("rule", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(_("{path}: rule is no list of tables"), _("write each rule under a line [[rule]]"), path=path)
    rules = []
    for number, entry in enumerate(entries, start=1):
        _refuse_unknown(entry, KEYS, f"{path}: rule {number}", f"known keys: {', '.join(KEYS)}")
        try:
            rules.append(_rule(entry))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                _("{path}: rule {number} is not usable: {error}"),
                _("a rule needs op_types, fusible and source"),
                path=path,
                number=number,
                error=error,
            ) from error
    return tuple(rules)


@cache
def own_rules() -> tuple[Rule, ...]:
    """The rules of the package."""
    return read_rules(_OWN)


def fold(operator: str) -> str:
    """The form in which exact operator types are compared."""
    return operator.replace("_", "").lower()


_OWN = Path(__file__).with_name("fusibility.toml")


@cache
def _aliases() -> Mapping[str, str]:
    """Folded name of an operator in eager kernels or exported graphs -> its type."""
    return {fold(name): str(op_type) for name, op_type in read_toml(_OWN)["aliases"].items()}


def _fits(pattern: str, text: str) -> bool:
    """Whether `text` follows the pattern, in which * stands for anything."""
    first, *middle, last = pattern.split("*")
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    text = text[len(first) : len(text) - len(last)]
    for part in middle:
        _before, found, text = text.partition(part) if part else ("", "-", text)
        if not found:
            return False
    return True


def _refuse_unknown(content: Iterable[str], known: tuple[str, ...], place: str, hint: str) -> None:
    for key in content:
        if key not in known:
            raise InputError(_("{place} has the unknown key {key!r}"), hint, place=place, key=key)


def _rule(entry: Mapping[str, Any]) -> Rule:
    fusible, reason = entry["fusible"], str(entry.get("reason", ""))
    if fusible not in ("likely", "unlikely", "unknown"):
        raise ValueError(f"fusible is {fusible!r}, not likely, unlikely or unknown")
    if reason and reason not in REASON_WORDS:
        raise ValueError(f"reason {reason!r} is none of the compiler's words")
    if entry.get("needs") not in (None, *CONDITIONS):
        raise ValueError(f"needs is {entry['needs']!r}, not {' or '.join(CONDITIONS)}")
    if ("op_types" in entry) == ("made_of" in entry):
        raise KeyError("op_types")
    names = _words(entry, "op_types") if "op_types" in entry else ()
    judgement = Judgement(
        fusible=cast("Fusible", fusible),
        reason=reason,
        source=str(entry["source"]),
        remedy=Message(str(entry.get("remedy", ""))),
        needs=entry.get("needs"),
    )
    return Rule(
        op_types=tuple(name for name in names if "*" not in name),
        stars=tuple(name.lower() for name in names if "*" in name and name != "*"),
        judgement=judgement,
        hardware=_choices(entry, "hardware", HARDWARE),
        modes=_choices(entry, "modes", MODES),
        cann=cann_range(entry["cann"]) if "cann" in entry else (),
        made_of=_joined(_words(entry, "made_of")) if "made_of" in entry else None,
        everything="*" in names,
    )


def _joined(parts: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(f"(?:{'|'.join(re.escape(part) for part in parts)}){{2,6}}")


def _words(entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A list of names, or a string with blanks between them."""
    value = entry[key]
    words = value.split() if isinstance(value, str) else value
    if not isinstance(words, list) or not words or not all(isinstance(name, str) for name in words):
        raise ValueError(f"{key} is no list of names")
    return tuple(words)


def _choices(entry: Mapping[str, Any], key: str, known: tuple[str, ...]) -> tuple[str, ...]:
    if key not in entry:
        return ()
    words = _words(entry, key)
    wrong = next((word for word in words if word not in known), None)
    if wrong is not None:
        raise ValueError(f"{key} holds {wrong!r}, which is none of {', '.join(known)}")
    return words
