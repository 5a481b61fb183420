"""The exceptions that skadvisor raises on purpose.

    SkadvisorError            exit code 1
    ├── InputError            exit code 2: bad usage, or input that cannot be read as a capture
    ├── NotEnoughError        exit code 3: readable, but it holds too little to answer
    └── GateError             exit code 4: a gate that the user asked for has failed

Only the command line turns them into messages and exit codes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

#: Options of the command line in a hint, and what they are in Python.
_OPTION = r"--([a-z][a-z-]+)( (?=\d))?"
_SWITCHES = ("force", "write", "redact", "redact-ops", "runs")


class SkadvisorError(Exception):
    """Base of all expected failures.

    `message` says what happened and where, `hint` what to do next (may be empty, or a Message). Both are templates for
    `values`, so that they can be said in another language; as text they are English and speak of Python.
    """

    exit_code = 1

    def __init__(self, message: str, hint: Any = "", **values: Any) -> None:
        super().__init__(message)
        self.templates = (message, hint)
        self.values = values

    @property
    def message(self) -> str:
        """What happened and where, in English."""
        return self._said(self.templates[0], str)

    @property
    def hint(self) -> str:
        """What to do next on the command line, in English."""
        return self._said(self.templates[1], str)

    def render(self, translate: Callable[[str], str] = str) -> str:
        """One or two lines for the command line in the language of `translate` (a gettext function)."""
        return "\n".join(said for template in self.templates if (said := self._said(template, translate)))

    def __str__(self) -> str:
        return re.sub(_OPTION, _in_python, self.render())

    def _said(self, template: Any, translate: Callable[[str], str]) -> str:
        if hasattr(template, "render"):
            return str(template.render(translate))
        values = {
            name: value.render(translate) if hasattr(value, "render") else value for name, value in self.values.items()
        }
        try:
            return translate(template).format(**values) if values else translate(template)
        except (KeyError, IndexError, ValueError):  # text with braces of its own, such as a path
            return template


def _in_python(option: re.Match[str]) -> str:
    value = "" if option[2] else "True" if option[1] in _SWITCHES else "..."
    return f"{option[1].replace('-', '_')}={value}"


class InputError(SkadvisorError):
    """Bad usage, or input that is missing, unreadable or no capture."""

    exit_code = 2


class NotEnoughError(SkadvisorError):
    """The input is readable but holds too little for the question."""

    exit_code = 3


class GateError(SkadvisorError):
    """A limit that the user set with an option was crossed."""

    exit_code = 4
