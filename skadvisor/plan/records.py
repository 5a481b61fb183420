"""What a plan says, as frozen records (`records.to_json` writes them)."""

from __future__ import annotations

from dataclasses import dataclass

from skadvisor.records import Basis, Claim, Estimate
from skadvisor.text.messages import Message


@dataclass(frozen=True, kw_only=True)
class Option:
    """One compile option that was weighed. `value` is None where it is left at its default."""

    key: str
    value: str | None
    reason: Message
    basis: Basis
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Snippet:
    """Lines to type. `language` is python, yaml or bash."""

    title: Message
    language: str
    code: str


@dataclass(frozen=True, kw_only=True)
class Risk:
    """What can go wrong with exactly these operators. `what` is the operator or the check."""

    what: str
    message: Message
    remedy: Message | None = None
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class LogCheck:
    """A text to look for in the compile log (a fixed string), and what it means if it is there."""

    text: str
    meaning: Message
    good: bool


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """One row of the table for failures: the symptom, the option to try (may be empty), the next step."""

    symptom: Message
    option: str
    next_step: Message


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the analysis expects of the scope in the decode step; None where it could not say."""

    share: float
    in_scope_us: float
    claim: Claim | None
    estimate: Estimate | None
    verdict: str
    reason: Message


@dataclass(frozen=True, kw_only=True)
class ScopeOperator:
    """An operator type of the capture in one scope: how often, its time (us), what it does there.

    `breaks` says how likely it cuts the scope: likely, unlikely, unknown, or empty where nothing speaks for it.
    """

    op_type: str
    role: str
    per_scope: float
    us_per_scope: float
    breaks: str = ""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What is said of a template: by its published source, or by us where it has none. `sources` are addresses."""

    suits: Message
    strengths: Message
    weaknesses: Message
    risk: Message
    effort: Message
    next_step: Message
    sources: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that there is to do for one scope in one dialect.

    `options` is the text for the scope's options argument; `weighed` says how it came about. `wider` and `narrower`
    name the scopes to try next, if this one works and if it does not. `operators` are those of one scope, the costly
    ones first, and `proof` the commands that show whether it holds what is expected.
    """

    template: str
    variant: str
    dialect: str
    where: Message
    options: str
    weighed: tuple[Option, ...]
    code: tuple[Snippet, ...]
    config: tuple[Snippet, ...]
    expected: Expected | None
    risks: tuple[Risk, ...]
    log_checks: tuple[LogCheck, ...]
    remedies: tuple[Remedy, ...]
    wider: str | None
    narrower: str | None
    profile: Profile
    operators: tuple[ScopeOperator, ...]
    proof: Snippet
    notes: tuple[Message, ...] = ()
