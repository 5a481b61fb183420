"""What a compile log says about SuperKernel: what was built, what was taken in, what was left out or cut, and why.

Two sources: the log of the GE SuperKernelPass (plog, or what the run printed), and the `sk_meta` logs of npugraph_ex
(`sk_fused_nodes.log`, `sk_fusion_fail_reasons.log`, `sk_scope_split.log`). GE writes most of it at INFO level: where
only warnings were kept, silence about a scope is no proof.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from skadvisor.errors import InputError
from skadvisor.text.messages import Message, _

#: Longer lines are cut: nothing that is looked for stands behind this.
LONGEST_LINE = 20_000
#: Most entries that are kept per kind, so that memory stays bounded; the counts go on.
MOST_ENTRIES = 2_000
_LOG_SUFFIXES = (".log", ".txt", ".out", "")


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """An operator in a scope that was not fused. `reason` in the log's words; `op_type` empty where it does not say."""

    name: str
    op_type: str
    scope: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ScopeLog:
    """One scope: operators `taken` in, SuperKernels `built` from it (0 where the log does not say), `cuts` in it."""

    name: str
    taken: int
    built: int
    cuts: int


@dataclass(frozen=True, kw_only=True)
class CompileLog:
    """All that was found. `built` is None where the log proves neither that one was built nor that none was."""

    built: bool | None
    superkernels: int
    scopes: tuple[ScopeLog, ...]
    left_out: tuple[LeftOut, ...]
    left_out_count: int
    problems: tuple[Message, ...]
    lines: int


@dataclass
class _Found:
    taken: Counter[str] = field(default_factory=Counter)
    built: Counter[str] = field(default_factory=Counter)
    cuts: Counter[str] = field(default_factory=Counter)
    left_out: dict[tuple[str, str], LeftOut] = field(default_factory=dict)
    left_out_count: int = 0
    problems: dict[str, Message] = field(default_factory=dict)
    split_scopes: str = ""

    def leave_out(self, name: str, op_type: str, scope: str, reason: str) -> None:
        if (name, scope) not in self.left_out:
            self.left_out_count += 1
            if len(self.left_out) < MOST_ENTRIES:
                self.left_out[name, scope] = LeftOut(name=name, op_type=op_type, scope=scope, reason=reason)

    def complain(self, code: str, message: Message) -> None:
        self.problems.setdefault(code, message)


def read_compile_logs(paths: Iterable[Path]) -> CompileLog:
    """Read log files, and the logs in folders (such as sk_meta). Raises InputError where one cannot be read."""
    found, lines = _Found(), 0
    for path in paths:
        for file in _files(path):
            for line in _lines(file):
                lines += 1
                _read_line(line, found)
    return _conclude(found, lines)


def read_lines(lines: Iterable[str]) -> CompileLog:
    """As `read_compile_logs`, for lines at hand."""
    found, count = _Found(), 0
    for line in lines:
        count += 1
        _read_line(line, found)
    return _conclude(found, count)


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise InputError(f"there is no {path}", "Name the compile log, or the folder sk_meta.")
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix in _LOG_SUFFIXES)
        if not files:
            raise InputError(f"{path} holds no log", "Name the compile log, or the folder sk_meta.")
        return files
    return [path]


def _lines(file: Path) -> Iterator[str]:
    try:
        with file.open("rb") as stream:
            while chunk := stream.readline(LONGEST_LINE):
                yield chunk.decode("utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error


_NAME = r"(?P<name>[^\s(]+)(?:\((?P<type>[^)]*)\))?"
_REMOVED = re.compile(
    rf"find super kernel sub op {_NAME}[ ,]+(?P<reason>can ?not fusion[^,]*(?:,[^,]*)?),"
    r".*?super_scope_name (?P<scope>[^\s,]*)"
)
_TAKEN = re.compile(rf"find super kernel sub op {_NAME}, super_scope_name (?P<scope>[^\s,]+)")
_CUT = re.compile(rf"node {_NAME} (?P<reason>can ?not fusion[^,]*(?:,[^,]*)?),.*?target scope (?P<scope>[^\s,]+)")
_SPLIT = re.compile(r"scope (?P<scope>\S+) split before node (?P<name>\S+)")
_PROCESSED = re.compile(r"start to process scope (?P<scope>[^\s,]+), .*?sk sub nodes size (?P<count>\d+)")
_STATIC = re.compile(r"SuperKernelPass only support static graph\s*\[?(?P<graph>[^\]\s]*)")
_STREAMS = re.compile(r"do not support more than (?P<count>\d+) real stream")
_NO_SCOPE = re.compile(r"has no super kernel scope")
_FUSED = re.compile(r"SK Function:\s*(?P<name>[^,]+),\s*scope id:\s*\d+,\s*Node Count:\s*(?P<count>\d+)")
_FAILED = re.compile(r"Node \[.*?funcName:(?P<name>[^,}]+).*?\}.*?reason: (?P<reason>\S.*)$")
_SCOPE_LINE = re.compile(r"Scope \d+ \(scopeId=\d+\):.*?scopeNames=\[(?P<scopes>[^\]]*)\]")
_BREAK = re.compile(r"BreakInfo: breakReason=(?P<reason>[^,]+)(?:.*?fusionFailReason=(?P<why>[^,]+))?")
#: Reasons that say that all is as it should be.
_EXPECTED = ("NOT_IN_SCOPE", "IN_UNFUSIBLE_SCOPE", "SUCCESS")


def _removed(match: re.Match[str], found: _Found) -> None:
    found.leave_out(match["name"], match["type"] or "", match["scope"], match["reason"].strip())


def _taken(match: re.Match[str], found: _Found) -> None:
    found.taken[match["scope"]] += 1


def _cut(match: re.Match[str], found: _Found) -> None:
    found.cuts[match["scope"]] += 1
    found.leave_out(match["name"], match["type"] or "", match["scope"], match["reason"].strip())


def _split(match: re.Match[str], found: _Found) -> None:
    found.cuts[match["scope"]] += 1


def _processed(match: re.Match[str], found: _Found) -> None:
    if int(match["count"]) > 1:
        found.built[re.sub(r"_split_\d+_\d+$", "", match["scope"])] += 1


def _static(match: re.Match[str], found: _Found) -> None:
    found.complain(
        "static",
        Message(
            _("the graph {name} is dynamic, SuperKernel needs a static one: dynamic=False"), name=match["graph"] or "?"
        ),
    )


def _streams(match: re.Match[str], found: _Found) -> None:
    found.complain(
        "streams",
        Message(
            _("a scope spans more than {count} streams: stream-fusion=1, or one scope per stream"), count=match["count"]
        ),
    )


def _no_scope(_match: re.Match[str], found: _Found) -> None:
    found.complain("scope", Message(_("a graph has no scope: is SuperKernel on, and was this run decode?")))


def _fused(match: re.Match[str], found: _Found) -> None:
    parts = re.match(r"sk_(?:\d+_)?(?P<scope>.*?)(?:_split_\d+_\d+)?_start_", match["name"])
    if int(match["count"]) > 1:
        found.built[parts["scope"] if parts else match["name"].strip()] += 1


def _failed(match: re.Match[str], found: _Found) -> None:
    reason = match["reason"].strip()
    if not any(word in reason for word in _EXPECTED):
        found.leave_out(match["name"], "", "", reason)


def _scope_line(match: re.Match[str], found: _Found) -> None:
    found.split_scopes = match["scopes"].strip()


def _break(match: re.Match[str], found: _Found) -> None:
    found.cuts[found.split_scopes] += 1
    why = f": {match['why'].strip()}" if match["why"] else ""
    found.leave_out("", "", found.split_scopes, f"{match['reason'].strip()}{why}")


#: A word that every matching line holds, the pattern, and what it means; the first that matches wins.
_RULES: tuple[tuple[str, re.Pattern[str], Callable[[re.Match[str], _Found], None]], ...] = (
    ("sub op", _REMOVED, _removed),
    ("sub op", _TAKEN, _taken),
    ("fusion", _CUT, _cut),
    ("split before node", _SPLIT, _split),
    ("start to process scope", _PROCESSED, _processed),
    ("only support static", _STATIC, _static),
    ("real stream", _STREAMS, _streams),
    ("no super kernel scope", _NO_SCOPE, _no_scope),
    ("SK Function", _FUSED, _fused),
    ("reason:", _FAILED, _failed),
    ("scopeNames", _SCOPE_LINE, _scope_line),
    ("BreakInfo", _BREAK, _break),
)


def _read_line(line: str, found: _Found) -> None:
    for word, pattern, meaning in _RULES:
        if word in line:
            match = pattern.search(line)
            if match:
                meaning(match, found)
                return


def _conclude(found: _Found, lines: int) -> CompileLog:
    names = [name for name in dict.fromkeys([*found.taken, *found.built, *found.cuts]) if name]
    scopes = tuple(
        ScopeLog(name=name, taken=found.taken[name], built=found.built[name], cuts=found.cuts[name]) for name in names
    )
    built: bool | None = None
    if found.built or (any(scope.taken > 1 for scope in scopes) and not found.problems):
        built = True
    elif found.problems:
        built = False
    return CompileLog(
        built=built,
        superkernels=sum(found.built.values()),
        scopes=scopes,
        left_out=tuple(found.left_out.values()),
        left_out_count=found.left_out_count,
        problems=tuple(found.problems.values()),
        lines=lines,
    )
