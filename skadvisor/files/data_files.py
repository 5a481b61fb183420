"""Read the TOML files that hold rules and priors, ours and the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli

from skadvisor.errors import InputError
from skadvisor.text.messages import _

#: A rule file is a few kilobytes; anything far larger is not one.
LARGEST_BYTES = 1_000_000


def read_toml(path: str | Path) -> dict[str, Any]:
    """The content of a TOML file. Raises InputError where it cannot be read, is far too large, or is no TOML."""
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise InputError(
                _("{path} is too large for a rule file"), _("rule files are TOML of a few kilobytes"), path=path
            )
        return tomli.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(_("cannot read {path}: {strerror}"), path=path, strerror=error.strerror) from error
    except (tomli.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(_("{path} is no valid TOML: {error}"), path=path, error=error) from error
