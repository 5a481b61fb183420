"""Rules from the user's own machine: what a compile log, `sk_meta` or a capture with SuperKernel on shows of each type.

A log names what was taken in and what was left out. In a capture the ends of each SuperKernel's name were taken in; a
kernel beside a SuperKernel, inside its scope, was left out, for a fusible one would have joined it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from skadvisor.fusion.rules import REASON_WORDS, Fusible
from skadvisor.vocabulary.labels_of_kernels import operator_label
from skadvisor.vocabulary.names import operator_type
from skadvisor.vocabulary.superkernel_names import end_names, scope_of

if TYPE_CHECKING:
    import pandas as pd

#: What a log says of an operator's kernel, not of its neighbours: these words decide a rule.
_OF_THE_OPERATOR = ("OP_UNSUPPORT", "SIMT_OP_UNSUPPORT", "DYNAMIC_TASK_UNSUPPORT", "DEFAULT_NODE")
_TYPE = re.compile(r"[A-Za-z_]\w{0,199}")


@dataclass
class Seen:
    """How often an operator type was taken in, and left out by the compiler's reason word."""

    inside: int = 0
    outside: Counter[str] = field(default_factory=Counter)


class Log(Protocol):
    """What a compile log says: how often each type was taken in, and the operators that were left out."""

    @property
    def inside(self) -> Mapping[str, int]: ...
    @property
    def left_out(self) -> Iterable[Any]: ...


def learn_from_log(log: Log) -> dict[str, Seen]:
    """What a compile log or `sk_meta` shows, by operator type."""
    seen: dict[str, Seen] = {}
    for name, count in log.inside.items():
        _of(seen, operator_type(name)).inside += count
    for item in log.left_out:
        if item.op_type or item.name:
            _of(seen, operator_type(item.op_type or item.name)).outside[_reason_word(item.reason)] += 1
    return _named(seen)


def learn_from_capture(kernels: pd.DataFrame) -> dict[str, Seen]:
    """What a kernel table with SuperKernels shows, by operator type; `kernels` needs step, stream, op_type and name."""
    seen: dict[str, Seen] = {}
    table = kernels[kernels["step"] >= 0]
    for _place, rows in table.groupby(["step", table["stream"].fillna(-1)], sort=False):
        labels = [operator_label(op_type, name) for op_type, name in zip(rows["op_type"], rows["name"], strict=True)]
        scopes = [
            scope_of(str(name)) if label == "SuperKernel" else None
            for label, name in zip(labels, rows["name"], strict=True)
        ]
        for name in rows["name"][[scope is not None for scope in scopes]]:
            for end in end_names(str(name)):
                _of(seen, operator_type(end)).inside += 1
        for place in _left_out(scopes):
            on_aicpu = rows["core"].iloc[place] == "AI_CPU"
            _of(seen, labels[place]).outside["DEFAULT_NODE" if on_aicpu else "OP_UNSUPPORT"] += 1
    return _named(seen)


def _left_out(scopes: list[str | None]) -> set[int]:
    """Places beside a SuperKernel, between two of one scope: of a run between them, its first and its last kernel."""
    fused = [place for place, scope in enumerate(scopes) if scope is not None]
    found = set()
    for first, second in pairwise(fused):
        if scopes[first] == scopes[second] and second - first > 1:
            found |= {first + 1, second - 1}
    return found


def _reason_word(text: str) -> str:
    """The compiler's word in a log's reason; GE writes sentences, npugraph_ex the word."""
    words = [word for word in REASON_WORDS if re.search(rf"(?<![A-Z_]){word}(?![A-Z_])", text)]
    if words:
        return next((word for word in words if word in _OF_THE_OPERATOR), words[0])
    if "simt" in text.lower():
        return "SIMT_OP_UNSUPPORT"
    return "DYNAMIC_TASK_UNSUPPORT" if "tiling" in text.lower() else "OP_UNSUPPORT"


def _of(seen: dict[str, Seen], op_type: str) -> Seen:
    return seen.setdefault(op_type, Seen())


def _named(seen: Mapping[str, Seen]) -> dict[str, Seen]:
    """Without what is no operator type: text of a damaged log, and SuperKernels themselves."""
    return {name: found for name, found in seen.items() if _TYPE.fullmatch(name) and name != "SuperKernel"}


def conclude(seen: Seen) -> tuple[Fusible, str]:
    """The verdict and its reason word: unknown where a type did both, or only its neighbourhood was in the way."""
    if not seen.outside:
        return "likely", ""
    reason = seen.outside.most_common(1)[0][0]
    if seen.inside or not any(word in _OF_THE_OPERATOR for word in seen.outside):
        return "unknown", reason
    return "unlikely", reason


def rules_file(seen: Mapping[str, Seen], source: Path, circumstances: Mapping[str, str]) -> str:
    """The text of a rules file; `circumstances` holds hardware and modes, where the user said them."""
    lines = [f"# Learned from {_line(source.name)}. Counts are of kernels or nodes of the graph.", ""]
    for name, found in sorted(seen.items(), key=lambda item: (-sum(item[1].outside.values()), item[0])):
        fusible, reason = conclude(found)
        left = f"left out {sum(found.outside.values())} times, taken in {found.inside} times"
        lines += ["[[rule]]", f"op_types = [{_text(name)}]", f'fusible = "{fusible}"']
        lines += [f'reason = "{reason}"'] if reason else []
        lines += [f"{key} = [{_text(value)}]" for key, value in circumstances.items()]
        lines += [f"source = {_text(f'your log {source.name}: {left}')}", ""]
    return "\n".join(lines)


def rules_for(op_types: Iterable[tuple[str, int]]) -> str:
    """Lines to paste for operators without a rule, with the number of their kernels."""
    lines = []
    for name, count in op_types:
        lines += ["[[rule]]", f"op_types = [{_text(name)}]  # {count} kernels"]
        lines += ['fusible = "unknown"  # likely or unlikely, as your compile log says']
        lines += ['reason = "OP_UNSUPPORT"', 'source = "your compile log"', ""]
    return "\n".join(lines)


def _text(value: str) -> str:
    """A basic string of TOML."""
    return json.dumps(_line(value), ensure_ascii=False)


def _line(value: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in value)
