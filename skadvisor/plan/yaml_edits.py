"""Setting entries of a YAML document in its text, so that comments, order, quotes and all else stay byte for byte.

The document is read with ruamel.yaml (safe: no constructors), which also says where each value stands.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Edit:
    """Set `path` to `value`, in place or as a new entry of its mapping."""

    path: tuple[str, ...]
    value: str


def load(text: str) -> Any:
    """Parse one YAML document. Raises ValueError where it is none, has several, or repeats keys."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    reader = YAML(typ="rt")
    try:
        return reader.load(io.StringIO(text))
    except (YAMLError, RecursionError, AttributeError, TypeError) as error:
        raise ValueError(str(error)) from error


#: What `get` answers for an entry that is not there.
ABSENT = object()


def get(data: Any, path: tuple[str, ...]) -> Any:
    """The entry at a path, ABSENT where there is none."""
    for key in path:
        if not isinstance(data, Mapping) or key not in data:
            return ABSENT
        data = data[key]
    return data


def apply(text: str, edits: Sequence[Edit]) -> str:
    """Make the edits in the text. Raises ValueError where the result would not say exactly what is meant."""
    expected = _plain(load(text))
    for edit in edits:
        text = _set_in_text(text, edit)
        _set(expected, edit.path, _plain(load(edit.value)))
    if _plain(load(text)) != expected:
        raise ValueError("an edit touched more than its own entry")
    return text


def _plain(data: Any) -> Any:
    """Mappings and lists as the built-in ones, so that they compare by value."""
    if isinstance(data, Mapping):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_plain(value) for value in data]
    return data


def _set(data: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        data = data.setdefault(key, {})
    data[path[-1]] = value


def _set_in_text(text: str, edit: Edit) -> str:
    data = load(text)
    for depth, key in enumerate(edit.path[:-1]):
        if get(data, edit.path[: depth + 1]) is ABSENT:
            return _insert(text, edit.path[:depth], f"{key}:", (f"{edit.path[-1]}: {edit.value}",))
    owner = get(data, edit.path[:-1])
    if edit.path[-1] in owner:
        return _replace(text, owner, edit)
    return _insert(text, edit.path[:-1], f"{edit.path[-1]}: {edit.value}", ())


_SCALAR = re.compile(
    r"""(?P<quote>["'])(?P<inner>[^"'\\]*)(?P=quote)|(?P<bare>[^\s#,{}\[\]&*!|>'"%@`][^\s#,{}\[\]]*)"""
)


def _replace(text: str, owner: Any, edit: Edit) -> str:
    """Put the value where the old one stands, in its quotes if it has any."""
    lines = text.split("\n")
    row, column = owner.lc.value(edit.path[-1])
    found = _SCALAR.match(lines[row], column) if row < len(lines) else None
    if found is None:
        raise ValueError(f"the value of {'.'.join(edit.path)} is not a plain scalar")
    quote = found["quote"] or ""
    value = edit.value.strip('"')
    new = f"{quote}{value}{quote}" if value not in ("True", "False") else value
    lines[row] = lines[row][:column] + new + lines[row][found.end() :]
    return "\n".join(lines)


def _insert(text: str, owner_path: tuple[str, ...], line: str, below: tuple[str, ...]) -> str:
    """Add an entry at the top of a block mapping, in its indentation."""
    data = load(text)
    owner = get(data, owner_path)
    if not isinstance(owner, Mapping) or not len(owner) or owner.fa.flow_style():  # type: ignore[attr-defined]
        raise ValueError(f"{'.'.join(owner_path) or 'the file'} is not a block of entries")
    first = next(iter(owner))
    row, column = owner.lc.key(first)  # type: ignore[attr-defined]
    lines = text.split("\n")
    indent = lines[row][:column]
    if indent.strip():
        raise ValueError(f"{first} does not stand on a line of its own")
    end = "\r" if lines[row].endswith("\r") else ""
    added = [f"{indent}{line}{end}", *(f"{indent}  {item}{end}" for item in below)]
    # At the top of its block: behind an entry might be the middle of a longer value.
    above = get(data, owner_path[:-1]).lc.key(owner_path[-1])[0] + 1 if owner_path else row
    return "\n".join([*lines[:above], *added, *lines[above:]])
