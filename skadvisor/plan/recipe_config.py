"""Checking and changing the YAML configuration of cann-recipes so that a SuperKernel scope takes effect.

Two forms exist: the old flat one (`exe_mode` at the top, switches in `model_config`) and the new nested one
(`model_config.exe_mode`, switches in `model_config.custom_params`); files that mix them occur. The file is read with
ruamel.yaml (safe: no constructors), but changed as text at the positions that the reader gives, so that comments,
order, quotes and everything else stay byte for byte.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from skadvisor.errors import InputError
from skadvisor.records import Status
from skadvisor.text.messages import Message, _

LARGEST_BYTES = 1_000_000
_GRAPH_MODES = ("ge_graph", "npugraph_ex")
#: Execution modes that run without a graph that SuperKernel can work on.
_OTHER_MODES = ("eager", "acl_graph", "aclgraph", "dynamo", "npugraph", "compile")


@dataclass(frozen=True, kw_only=True)
class ConfigFinding:
    """One thing that was checked. `key` is the dotted path of the entry."""

    key: str
    status: Status
    message: Message


@dataclass(frozen=True, kw_only=True)
class ConfigReview:
    """What the file says and what must change. `after` equals `before` where nothing must.

    `form` is nested, flat or mixed. `declined` says why nothing can be changed safely, None where it can.
    """

    path: Path
    form: Literal["nested", "flat", "mixed"] | None
    findings: tuple[ConfigFinding, ...]
    before: bytes
    after: bytes
    diff: str
    declined: Message | None = None


@dataclass(frozen=True)
class _Edit:
    """Set `path` to `value`, in place or as a new entry of its mapping."""

    path: tuple[str, ...]
    value: str


def review(path: str | Path, exe_mode: str = "ge_graph", several_streams: bool = False) -> ConfigReview:
    """Read a configuration and work out the changes; nothing is written.

    `exe_mode` is the graph mode that the plan needs, `several_streams` whether the scope spans more than one stream.
    Raises InputError where the file cannot be read.
    """
    path = Path(path)
    try:
        if path.is_dir() or path.stat().st_size > LARGEST_BYTES:
            raise InputError(f"{path} is no configuration file", "Name the YAML file: --config config.yaml")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    return review_content(path, content, exe_mode, several_streams)


def review_content(
    path: Path, content: bytes, exe_mode: str = "ge_graph", several_streams: bool = False
) -> ConfigReview:
    """As `review`, for content that is at hand. Pure."""
    from skadvisor.plan.patch.files import unified_diff

    try:
        text = content.decode("utf-8")
        data = _load(text)
    except (UnicodeDecodeError, ValueError) as error:
        return _decline(path, content, Message(_("it is no YAML that can be read: {error}"), error=_first_line(error)))
    if not isinstance(data, Mapping) or not isinstance(data.get("model_config"), Mapping):
        return _decline(path, content, Message(_("it has no model_config, so it is no cann-recipes configuration")))
    findings, edits = _check(data, exe_mode, several_streams)
    form = _form(data)
    try:
        changed = _apply(text, edits)
    except ValueError as error:
        return ConfigReview(
            path=path,
            form=form,
            findings=tuple(findings),
            before=content,
            after=content,
            diff="",
            declined=Message(_("it is written in a way that cannot be changed safely: {error}"), error=error),
        )
    return ConfigReview(
        path=path,
        form=form,
        findings=tuple(findings),
        before=content,
        after=changed.encode("utf-8"),
        diff=unified_diff(text, changed, path.name) if changed != text else "",
    )


def write(reviewed: ConfigReview) -> Path | None:
    """Apply the changes after a backup; returns the backup's path, None where nothing had to change."""
    from skadvisor.plan.patch.files import replace_file

    if reviewed.after == reviewed.before:
        return None
    return replace_file(reviewed.path, reviewed.after, reviewed.before)


def _load(text: str) -> Any:
    """Parse one YAML document. Raises ValueError where it is none, has several, or repeats keys."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    reader = YAML(typ="rt")
    try:
        return reader.load(io.StringIO(text))
    except (YAMLError, RecursionError, AttributeError, TypeError) as error:
        raise ValueError(str(error)) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _decline(path: Path, content: bytes, reason: Message) -> ConfigReview:
    return ConfigReview(path=path, form=None, findings=(), before=content, after=content, diff="", declined=reason)


def _form(data: Mapping[str, Any]) -> Literal["nested", "flat", "mixed"]:
    nested_switches = isinstance(data["model_config"].get("custom_params"), Mapping)
    nested_mode = "exe_mode" in data["model_config"]
    flat_mode = "exe_mode" in data
    if nested_switches and flat_mode and not nested_mode:
        return "mixed"
    return "nested" if nested_mode or nested_switches else "flat"


def _check(data: Mapping[str, Any], exe_mode: str, several_streams: bool) -> tuple[list[ConfigFinding], list[_Edit]]:
    findings: list[ConfigFinding] = []
    edits: list[_Edit] = []
    wanted = _check_mode(data, exe_mode, findings, edits)
    _check_switch(data, findings, edits)
    _check_cache(data, findings, edits)
    _check_streams(data, several_streams, findings)
    if wanted == "npugraph_ex":
        _check_static_kernel(data, findings, edits)
    return findings, edits


def _check_mode(data: Mapping[str, Any], exe_mode: str, findings: list[ConfigFinding], edits: list[_Edit]) -> str:
    """The execution mode: a graph mode that is there is kept, everything else becomes the one that the plan needs."""
    places = [path for path in (("model_config", "exe_mode"), ("exe_mode",)) if _get(data, path) is not _ABSENT]
    if not places:
        target = ("exe_mode",) if _form(data) == "flat" else ("model_config", "exe_mode")
        findings.append(_finding(target, "block", Message(_("no exe_mode is set; {mode} is needed"), mode=exe_mode)))
        edits.append(_Edit(target, f'"{exe_mode}"'))
        return exe_mode
    for path in places:
        mode = _get(data, path)
        if mode in _GRAPH_MODES:
            findings.append(_finding(path, "pass", Message(_("{mode} is a graph mode"), mode=mode)))
            exe_mode = str(mode)
        else:
            known = Message(
                _("{mode} runs without a graph for SuperKernel; {needed} is needed"), mode=mode, needed=exe_mode
            )
            unknown = Message(_("the mode {mode} is not known; {needed} is needed"), mode=mode, needed=exe_mode)
            findings.append(_finding(path, "block", known if mode in _OTHER_MODES else unknown))
            edits.append(_Edit(path, exe_mode))
    return exe_mode


def _check_switch(data: Mapping[str, Any], findings: list[ConfigFinding], edits: list[_Edit]) -> None:
    places = _switch_places(data, "enable_superkernel")
    if not places:
        target = _switch_target(data, "enable_superkernel")
        findings.append(_finding(target, "block", Message(_("enable_superkernel is not set"))))
        edits.append(_Edit(target, "True"))
    for path in places:
        if _get(data, path) is True:
            findings.append(_finding(path, "pass", Message(_("SuperKernel is on"))))
        else:
            findings.append(_finding(path, "block", Message(_("SuperKernel is off"))))
            edits.append(_Edit(path, "True"))


def _check_cache(data: Mapping[str, Any], findings: list[ConfigFinding], edits: list[_Edit]) -> None:
    for path in _switch_places(data, "enable_cache_compile"):
        if _get(data, path) is True:
            reason = Message(
                _("a graph compiled before the scope was there may come from the cache: off until the scope is proved")
            )
            findings.append(_finding(path, "block", reason))
            edits.append(_Edit(path, "False"))
        else:
            findings.append(_finding(path, "pass", Message(_("every run compiles anew"))))


def _check_streams(data: Mapping[str, Any], several_streams: bool, findings: list[ConfigFinding]) -> None:
    """Streams are the user's choice: what does not fit the plan is said, not changed."""
    for path in _switch_places(data, "enable_multi_streams"):
        on = bool(_get(data, path))
        if on and not several_streams:
            reason = Message(
                _(
                    "several streams are on, but the capture shows one in this scope: if the log speaks of streams, "
                    "set stream-fusion=1"
                )
            )
            findings.append(_finding(path, "warn", reason))
        elif not on and several_streams:
            reason = Message(
                _("the capture ran on several streams, this file switches them off: measure with one setting")
            )
            findings.append(_finding(path, "warn", reason))
        else:
            findings.append(_finding(path, "pass", Message(_("streams are as in the capture"))))


def _check_static_kernel(data: Mapping[str, Any], findings: list[ConfigFinding], edits: list[_Edit]) -> None:
    places = _switch_places(data, "enable_static_kernel")
    if not places:
        target = ("model_config", "enable_static_kernel")
        findings.append(_finding(target, "block", Message(_("npugraph_ex fuses static kernels only"))))
        edits.append(_Edit(target, "True"))
    for path in places:
        if _get(data, path) is True:
            findings.append(_finding(path, "pass", Message(_("static kernels are on"))))
        else:
            findings.append(_finding(path, "block", Message(_("npugraph_ex fuses static kernels only"))))
            edits.append(_Edit(path, "True"))


_ABSENT = object()


def _get(data: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(data, Mapping) or key not in data:
            return _ABSENT
        data = data[key]
    return data


def _switch_places(data: Mapping[str, Any], name: str) -> list[tuple[str, ...]]:
    paths = [("model_config", "custom_params", name), ("model_config", name), (name,)]
    return [path for path in paths if _get(data, path) is not _ABSENT]


def _switch_target(data: Mapping[str, Any], name: str) -> tuple[str, ...]:
    nested = isinstance(_get(data, ("model_config", "custom_params")), Mapping)
    return ("model_config", "custom_params", name) if nested or _form(data) == "nested" else ("model_config", name)


def _finding(path: tuple[str, ...], status: Status, message: Message) -> ConfigFinding:
    return ConfigFinding(key=".".join(path), status=status, message=message)


def _apply(text: str, edits: list[_Edit]) -> str:
    """Make the edits in the text. Raises ValueError where the result would not say exactly what is meant."""
    expected = _plain(_load(text))
    for edit in edits:
        text = _apply_one(text, edit)
        _set(expected, edit.path, _plain(_load(edit.value)))
    if _plain(_load(text)) != expected:
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


def _apply_one(text: str, edit: _Edit) -> str:
    data = _load(text)
    for depth, key in enumerate(edit.path[:-1]):
        if _get(data, edit.path[: depth + 1]) is _ABSENT:
            return _insert(text, edit.path[:depth], f"{key}:", (f"{edit.path[-1]}: {edit.value}",))
    owner = _get(data, edit.path[:-1])
    if edit.path[-1] in owner:
        return _replace(text, owner, edit)
    return _insert(text, edit.path[:-1], f"{edit.path[-1]}: {edit.value}", ())


_SCALAR = re.compile(
    r"""(?P<quote>["'])(?P<inner>[^"'\\]*)(?P=quote)|(?P<bare>[^\s#,{}\[\]&*!|>'"%@`][^\s#,{}\[\]]*)"""
)


def _replace(text: str, owner: Any, edit: _Edit) -> str:
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
    data = _load(text)
    owner = _get(data, owner_path)
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
    above = _get(data, owner_path[:-1]).lc.key(owner_path[-1])[0] + 1 if owner_path else row
    return "\n".join([*lines[:above], *added, *lines[above:]])
