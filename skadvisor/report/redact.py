"""Results that may leave the company: paths, host and user names hidden, operator names too on request.

Numbers, shapes, regions and roles stay, because the answer would mean nothing without them. The same name gets
the same stand-in everywhere in one result, so that tables and pictures still belong together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, get_args

from skadvisor import records
from skadvisor.records import Result
from skadvisor.text.messages import Message

if TYPE_CHECKING:
    import pandas as pd

PATH = "<path>"
HOST = "<host>"
PRIVATE = "<name>"

#: Known file names of captures say nothing about their owner and stay.
_KNOWN_FILE = re.compile(
    r"(kernel_details|op_summary|trace_view|msprof|step_trace_time|operator_details|ascend_pytorch_profiler|profiler_info)"
    r"[\w.]*\.(csv|json|db|json\.gz)(\.gz)?$"
)
# A path starts at a slash, a drive letter or a share, where a word begins; quotes and brackets end it.
_PATHS = re.compile(
    r"""(?x)
    [a-z][a-z0-9+.-]*://[^\s'"`<>|,;()]+ |
    (?<![\w<>*.])(?:~[\w.-]*|\.{1,2})?/[^\s/'"`<>|,;()]+(?:/[^\s'"`<>|,;()]*)* |
    (?<![A-Za-z0-9])[A-Za-z]:\\[^\s'"`<>|,;()]* |
    \\\\[^\s'"`<>|,;()]+ |
    (?<![\w<>])[\w.+-]+(?:/[\w.+-]+)+/?""",
    re.IGNORECASE,
)
_WORKER = re.compile(r"[\w.-]*_\d+_\d{8,}\w*_ascend_(?:pt|ms)|PROF_\d+_\d+_\w+")
_ADDRESS = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?(?![\d.])|[\w.+-]+@[\w-]+(?:\.[\w-]+)+")

Hide = Callable[[str], str]

#: The records' own vocabulary: not private even where a user is named like a word of it.
_VOCABULARY = frozenset(
    word
    for kind in (
        records.Phase,
        records.Mode,
        records.Region,
        records.LayerKindName,
        records.TemplateName,
        records.Choice,
        records.Basis,
        records.Status,
        records.Verdict,
    )
    for word in get_args(kind)
) | {"likely", "unlikely", "read", "unreadable"}


def redact_result(result: Result, *, op_names: bool = False) -> Result:
    """A copy of the result without host names, paths and user names; with `op_names` without operator names."""
    hide = _hider(result, op_names=op_names)
    captures = tuple(
        replace(
            capture,
            path=f"{PATH} {place}" if len(result.captures) > 1 else PATH,
            files=tuple(_file_name(file) for file in capture.files),
            producer=hide(capture.producer),
            skipped={hide(reason): count for reason, count in capture.skipped.items()},
        )
        for place, capture in enumerate(result.captures, start=1)
    )
    hidden = _map_strings(replace(result, captures=()), hide)
    ranks = tuple(replace(rank, path=PATH) for rank in hidden.ranks)
    return replace(hidden, captures=captures, ranks=ranks)


def redact_about(record: Any, result: Result, *, op_names: bool = False) -> Any:
    """A record about a result, such as its plan, hidden in the same way."""
    return _map_strings(record, _hider(result, op_names=op_names))


def _hider(result: Result, *, op_names: bool) -> Hide:
    words = _private_words(result)
    names = _stand_ins(_op_names(result)) if op_names else {}
    return lambda text: _without_places(_replace_words(text, names), words)


def redact_kernels(kernels: pd.DataFrame, *, op_names: bool = False) -> pd.DataFrame:
    """A copy of the kernel table without places; with `op_names` without operator names and code ranges."""
    changed: dict[str, Any] = {}
    for column in ("name", "op_type", "module", "range", "evidence"):
        if column not in kernels:
            continue
        values = kernels[column].astype("object")
        known = [str(value) for value in values.dropna().unique()]
        stand_ins = {value: f"{column.replace('_', '-')}-{place}" for place, value in enumerate(known, start=1)}
        hide = stand_ins.__getitem__ if op_names else (lambda text: _without_places(text, set()))
        table = {value: hide(value) for value in known}
        changed[column] = values.map(lambda value, table=table: table.get(str(value)), na_action="ignore")
    return kernels.assign(**changed)


def _map_strings(value: Any, hide: Hide) -> Any:
    """The same record with every free text hidden; field names, keys and templates of sentences stay."""
    if isinstance(value, Message):
        template = value.template if value.values else hide(value.template)
        return Message(template, **_map_strings(value.values, hide))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{one.name: _hidden_field(one.name, getattr(value, one.name), hide) for one in fields(value)}
        )
    if isinstance(value, str):
        return value if value in _VOCABULARY else hide(value)
    if isinstance(value, tuple | list):
        return type(value)(_map_strings(item, hide) for item in value)
    if isinstance(value, dict):
        return {key: _map_strings(item, hide) for key, item in value.items()}
    return value


def _hidden_field(name: str, value: Any, hide: Hide) -> Any:
    # The sources of rules are public addresses.
    if name == "source" and isinstance(value, str) and value.startswith("https://"):
        return value
    return _map_strings(value, hide)


def _without_places(text: str, words: set[str]) -> str:
    # Whole addresses and paths first: a stand-in inside them would hide where they end.
    text = _ADDRESS.sub(HOST, text)
    text = _PATHS.sub(_hide_path, text)
    text = _WORKER.sub(HOST, text)
    for word in sorted(words, key=len, reverse=True):
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", PRIVATE, text)
    return text


def _hide_path(found: re.Match[str]) -> str:
    text = found[0]
    # "tokens/s", "5/12" and "INT8/BF16" are no places.
    rooted = re.match(r"[a-z][a-z0-9+.-]*://|[~./\\]|[A-Za-z]:\\", text, re.IGNORECASE)
    if not rooted and (text.count("/") < 2 or not re.search(r"[a-z]{2}", text)):
        return text
    return PATH


def _file_name(path: str) -> str:
    """The file's own name where it is one that the profiler always gives, else a stand-in that keeps the suffix."""
    name = path.replace("\\", "/").rpartition("/")[2]
    known = _KNOWN_FILE.search(name)
    if known:
        return known[0] if known.start() == 0 else f"{PATH}/{known[0]}"
    suffix = re.search(r"(\.json\.gz|\.\w{1,5})$", name)
    return f"<file>{suffix[0] if suffix else ''}"


def _private_words(result: Result) -> set[str]:
    """Host and user names that the captures' paths give away, and those of this machine."""
    import getpass
    import socket

    words = set()
    for path in [*(capture.path for capture in result.captures), *(rank.path for rank in result.ranks)]:
        parts = path.replace("\\", "/").split("/")
        for parent, child in pairwise(parts):
            if parent.lower() in ("home", "users", "user", "data", "scratch"):
                words.add(child)
        for part in parts:
            worker = re.match(r"([\w.-]+?)_\d+_\d{8,}\w*_ascend_", part)
            if worker:
                words.add(worker[1])
    for ask in (socket.gethostname, getpass.getuser):
        try:
            words.add(ask())
        except (OSError, KeyError):
            continue
    common = {"root", "localhost", "user", "data", "profiles", "samples"}
    return {word for word in words if len(word) > 2 and word.lower() not in common}


def _op_names(result: Result) -> Iterator[str]:
    for typical in result.typical_layers:
        for kernel in typical.kernels:
            yield kernel.op_type
            yield kernel.name
    for template in result.templates:
        for breaker in template.breakers:
            yield breaker.op_type


def _stand_ins(names: Iterator[str]) -> dict[str, str]:
    distinct = dict.fromkeys(name for name in names if name)
    return {name: f"op-{place}" for place, name in enumerate(distinct, start=1)}


def _replace_words(text: str, names: dict[str, str]) -> str:
    if text in names:
        return names[text]
    if not names:
        return text
    choices = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True) if len(name) > 2)
    if not choices:
        return text
    return re.sub(rf"(?<![A-Za-z0-9_])(?:{choices})(?![A-Za-z0-9_])", lambda found: names[found[0]], text)
