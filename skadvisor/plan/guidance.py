"""What is said of each template, and of its failures in each dialect, read from `guidance.toml`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from skadvisor.files.data_files import read_toml
from skadvisor.plan.patch import Dialect
from skadvisor.plan.records import LogCheck, Profile, Remedy
from skadvisor.text.messages import Message

_SKILL = "https://github.com/hicann/cannbot-skills : model/model-infer-superkernel/"
_GUIDES = ("scope-analysis-guide", "performance-baseline-guide", "debugging-guide")


@cache
def _read() -> dict[str, Any]:
    return read_toml(Path(__file__).with_suffix(".toml"))


def template_profile(template: str, dialect: Dialect) -> Profile:
    """What is said of a template, with the addresses of its source (where it is published) and of the dialect's."""
    words = dict(_read()["template"][template])
    published = words.pop("published", ())
    own = [f"{_SKILL}resources/scope-templates/{name}.md" for name in published]
    guides = [f"{_SKILL}references/{name}.md" for name in _GUIDES if own]
    texts = {name: Message(text) for name, text in words.items()}
    return Profile(**texts, sources=(*own, *guides, *_read()["sources"][dialect]))


def log_checks(dialect: Dialect) -> tuple[LogCheck, ...]:
    """Texts of the compile log, and of the device's where a SuperKernel fails."""
    return tuple(
        LogCheck(text=entry["text"], meaning=Message(entry["meaning"]), good=entry["good"])
        for entry in _read()["log_check"]
        if dialect in entry["dialects"]
    )


def remedies(dialect: Dialect) -> tuple[Remedy, ...]:
    """How to find the cause of a failure, the frequent ones first."""
    return tuple(
        Remedy(symptom=Message(entry["symptom"]), option=entry["option"], next_step=Message(entry["next_step"]))
        for entry in _read()["remedy"]
        if dialect in entry["dialects"]
    )
