"""Defaults of the options: from `skadvisor.toml` here or in the user's folder, and from SKADVISOR_* variables.

A key is the long name of an option, with underscores: `lang = "zh"`, `rules = ["mine.toml"]`. It holds for every
command that has the option; a table of a command's name holds for that command alone. Variables win over the file
here, that over the user's; what is typed wins over all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skadvisor.errors import InputError
from skadvisor.text.messages import _

FILE = "skadvisor.toml"
PREFIX = "SKADVISOR_"


@dataclass(frozen=True)
class Default:
    """One default: the option, its value, the command that it is for ("" for all), and where it was set."""

    option: str
    value: Any
    command: str
    source: str


def user_file() -> Path:
    """The configuration file in the user's folder."""
    from platformdirs import user_config_path

    return user_config_path("skadvisor", appauthor=False) / FILE


def read_defaults(commands: Mapping[str, frozenset[str]], environment: Mapping[str, str]) -> tuple[Default, ...]:
    """All defaults, those that win last. `commands` names the options of each command.

    Raises InputError for a key that no command knows.
    """
    known = frozenset[str]().union(*commands.values())
    found: list[Default] = []
    for path in (user_file(), Path(FILE)):
        if path.is_file():
            found += _of_file(path, commands, known)
    for name, value in sorted(environment.items()):
        option = name.removeprefix(PREFIX).lower()
        if name.startswith(PREFIX) and option in known:
            found.append(Default(option, value, "", name))
    return tuple(found)


def _of_file(path: Path, commands: Mapping[str, frozenset[str]], known: frozenset[str]) -> list[Default]:
    from skadvisor.files.data_files import read_toml

    found = []
    for key, value in read_toml(path).items():
        entries = value.items() if isinstance(value, dict) else [(key, value)]
        command = key if isinstance(value, dict) else ""
        if command and command not in commands:
            raise InputError(
                _("{path}: there is no command {command!r}"),
                _("commands: {listed}"),
                path=path,
                command=command,
                listed=", ".join(commands),
            )
        for option, content in entries:
            if option not in (commands[command] if command else known):
                raise InputError(
                    _("{path}: no option is named {option!r}"),
                    _("keys are long option names, as in --help, with underscores"),
                    path=path,
                    option=option,
                )
            found.append(Default(option, content, command, str(path)))
    return found


def any_set(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether there is any default to read: most calls have none, and then no command needs to be looked at."""
    return Path(FILE).is_file() or any(name.startswith(PREFIX) for name in environment) or user_file().is_file()
