"""What the logs of a run say about SuperKernel: what was built, what was taken in, left out or cut, and what failed.

GE writes what it takes in and builds at INFO level, what it refuses at EVENT level, which is always kept: without
INFO, silence about a SuperKernel is no proof. npugraph_ex writes the folder `sk_meta` where
ASCEND_OP_COMPILE_SAVE_KERNEL_META=1 was set.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from skadvisor.text.messages import Message, _
from skadvisor.verification.compile_facts import Facts
from skadvisor.verification.log_text import log_files, read_lines_of
from skadvisor.vocabulary.superkernel_names import end_names, ends_of, scope_of

#: Most operators that are listed; the count goes on.
MOST_ENTRIES = 2_000
_WARNS = re.compile(r"(?i)warn|error|fail|not support|unsupported|disabled|ignored")
_ADVICE = _("Name the log, or the folder with CANN's logs (plog) or with sk_meta.")


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
    """All that was found. `built` is None where the log proves neither that one was built nor that none was.

    `problems` say why nothing was built, `failures` what went wrong whatever was built. `spoke` says whether the log
    says anything known about SuperKernel, `mention` is a line that only names it. `inside` counts the operators that
    were taken in, by type or by kernel name; of a SuperKernel whose kernels are not listed these are the first and the
    last.
    """

    built: bool | None
    superkernels: int
    scopes: tuple[ScopeLog, ...]
    left_out: tuple[LeftOut, ...]
    left_out_count: int
    problems: tuple[Message, ...]
    failures: tuple[Message, ...]
    spoke: bool
    lines: int
    inside: Mapping[str, int] = field(default_factory=dict)
    mention: str = ""


def read_compile_logs(paths: Iterable[Path]) -> CompileLog:
    """Read log files, plain or gzip, and the logs in folders. Raises InputError where one cannot be read."""
    facts, lines, names = Facts(), 0, set()
    for path in paths:
        for file in log_files(path, _ADVICE):
            names.add(file.name)
            label = file.parent.name if file.name.startswith(("sk_", "super_kernel")) else ""
            for line in read_lines_of(file):
                lines += 1
                facts.read(line, label)
    return _conclude(facts, lines, bool(names & {"sk_fused_nodes.log", "super_kernel.log"}))


def read_lines(lines: Iterable[str]) -> CompileLog:
    """As `read_compile_logs`, for lines at hand."""
    facts, count = Facts(), 0
    for line in lines:
        count += 1
        facts.read(line)
    return _conclude(facts, count, False)


def _conclude(facts: Facts, lines: int, whole_meta: bool) -> CompileLog:
    scopes = _scopes(facts)
    left_out = _left_out(facts)
    problems, failures = tuple(_problems(facts, whole_meta)), tuple(_failures(facts))
    lost = facts.bypassed.keys() | facts.aborted.keys()
    taken = any(scope.taken > 1 and scope.name not in lost for scope in scopes)
    built: bool | None = None
    if facts.built or facts.fused or (taken and not problems and not failures):
        built = True
    elif problems:
        built = False
    spoke = bool(scopes or left_out or problems or failures or facts.dynamic or facts.without_scope or facts.started)
    return CompileLog(
        built=built,
        superkernels=sum(scope.built for scope in scopes),
        scopes=scopes,
        left_out=left_out[:MOST_ENTRIES],
        left_out_count=len(left_out),
        problems=problems,
        failures=failures,
        spoke=spoke,
        lines=lines,
        inside=_inside(facts),
        mention=_mention(facts),
    )


def _mention(facts: Facts) -> str:
    """The line that may tell most of those that only name SuperKernel: one that warns, else the first."""
    lines = [*facts.disabled, *facts.mentions]
    return next((line for line in lines if _WARNS.search(line)), lines[0] if lines else "")[:200]


def _of_files(facts: Iterable[str]) -> set[str]:
    """The labels that count: what a device log repeats of sk_meta is not counted again."""
    labels = set(facts)
    return labels - {""} if len(labels) > 1 else labels


def _splits(facts: Facts) -> list[tuple[str, str]]:
    """Scope and reason of each cut that npugraph_ex made."""
    return [cut for label in _of_files(facts.splits) for cut in facts.splits[label].values()]


def _scopes(facts: Facts) -> tuple[ScopeLog, ...]:
    taken = Counter(scope for scope, _name in facts.taken)
    built = Counter(scope for scope, _fragment in facts.built)
    cuts = Counter(scope for scope, _name in facts.cuts)
    labels = _of_files(label for label, _name in facts.fused)
    for (label, name), count in facts.fused.items():
        if label in labels:
            taken[scope_of(name)] += count
            built[scope_of(name)] += 1
    cuts.update(scope for scope, _reason in _splits(facts))
    names = [name for name in dict.fromkeys([*taken, *built, *cuts]) if name]
    return tuple(ScopeLog(name=name, taken=taken[name], built=built[name], cuts=cuts[name]) for name in names)


def _inside(facts: Facts) -> dict[str, int]:
    found = Counter(op_type or name for (_scope, name), op_type in facts.taken.items())
    labels = _of_files(label for label, _name in facts.fused)
    listed = {(label, name) for label, name, _place in facts.members}
    found.update(kernel for (label, _name, _place), kernel in facts.members.items() if label in labels)
    for label, name in facts.fused:
        if label in labels and (label, name) not in listed:
            found.update(end_names(name))
    return dict(found)


def _left_out(facts: Facts) -> tuple[LeftOut, ...]:
    found = [
        LeftOut(name=name, op_type=op_type, scope=scope, reason=reason)
        for (scope, name), (op_type, reason) in facts.refused.items()
    ]
    labels = _of_files(label for label, _node in facts.failed)
    found += [
        LeftOut(name=name, op_type="", scope="", reason=reason)
        for (label, _node), (name, reason) in facts.failed.items()
        if label in labels
    ]
    if not facts.failed:
        found += [LeftOut(name="", op_type="", scope=scope, reason=reason) for scope, reason in _splits(facts)]
    return tuple(found)


def _is_prefill(graph: str) -> bool:
    return "prefill" in graph.lower()


def _problems(facts: Facts, whole_meta: bool) -> Iterator[Message]:
    """Why nothing was built; none where something was. Graphs of prefill are dynamic or without a scope on purpose."""
    if facts.built or facts.fused:
        return
    for scope, name in facts.bypassed.items():
        text = _("scope {scope} was given up because of {name} (strict-scope-check=bypass)")
        yield Message(text, scope=scope, name=name)
    dynamic = [graph for graph in facts.dynamic if not _is_prefill(graph)]
    others = [graph for graph in facts.started if graph not in facts.dynamic and not _is_prefill(graph)]
    if dynamic and not others:
        text = _("the graph {name} is dynamic, SuperKernel needs a static one: dynamic=False")
        yield Message(text, name=dynamic[0] or "?")
    bare = [graph for graph in facts.without_scope if not _is_prefill(graph)]
    refused = [scope for scope, _name in facts.refused if scope]
    if facts.singles:
        for scope in facts.singles:
            yield Message(_("scope {scope} was cut into single operators"), scope=scope)
    elif bare and refused and not facts.bypassed:
        yield Message(_("every operator in scope {scope} was refused"), scope=refused[0])
    elif bare and not facts.bypassed:
        yield Message(_("the graph {name} has no scope: is SuperKernel on, and was this run decode?"), name=bare[0])
    warned = [warning for warning in facts.disabled if not (_is_prefill(warning) or facts.taken)]
    if warned:
        yield Message(_("the log warns: {text}"), text=warned[0][:200])
    if whole_meta and (facts.failed or facts.splits):
        yield Message(_("sk_meta lists no fused SuperKernel"))


def _numbered(number: str, facts: Facts) -> str:
    """The SuperKernel of npugraph_ex with this scope number, or what is known of it."""
    names = (name for _label, name in facts.fused if name.startswith(f"sk_{number}_"))
    return next(names, f"SkScopeId {number}")


def _failures(facts: Facts) -> Iterator[Message]:
    for scope, name in facts.aborted.items():
        text = _("the compilation was aborted: {name} cannot be fused in scope {scope} (strict-scope-check=abort)")
        yield Message(text, name=name, scope=scope)
    if facts.faults:
        names = list(facts.fault_scopes) or [_numbered(number, facts) for number in facts.fault_numbers] or [""]
        symbol = next(iter(facts.fault_symbols), "?")
        for name in names:
            text = _("a SuperKernel failed on the device: scope {scope}, from {ends}, in the sub-kernel {symbol}")
            yield Message(text, scope=scope_of(name) or "?", ends=ends_of(name) or "?", symbol=symbol)
    for count in facts.streams:
        text = _("a scope spans more than {count} streams: stream-fusion=1, or one scope per stream")
        yield Message(text, count=count)
    for error in list(facts.errors)[:5]:
        yield Message(_("error: {text}"), text=error[:200])
