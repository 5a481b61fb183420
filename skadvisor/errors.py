"""The exceptions that skadvisor raises on purpose.

    SkadvisorError            exit code 1
    ├── InputError            exit code 2: bad usage, or input that cannot be read as a capture
    ├── NotEnoughError        exit code 3: readable, but it holds too little to answer
    └── GateError             exit code 4: a gate that the user asked for has failed

Only the command line turns them into messages and exit codes.
"""

from __future__ import annotations


class SkadvisorError(Exception):
    """Base of all expected failures.

    `message` says what happened and where; `hint` says what to type or do next (may be empty).
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class InputError(SkadvisorError):
    """Bad usage, or input that is missing, unreadable or no capture."""

    exit_code = 2


class NotEnoughError(SkadvisorError):
    """The input is readable but holds too little for the question."""

    exit_code = 3


class GateError(SkadvisorError):
    """A limit that the user set with an option was crossed."""

    exit_code = 4
