"""The lines of compile and device logs that speak of SuperKernel, as facts.

Sources: GE's SuperKernelPass (plog), the compiler of SuperKernels (asc-devkit), the `sk_meta` logs of npugraph_ex
(graph-autofusion, super_kernel/src/aot), and torchair's guide to faults of SuperKernels. GE says "can not fusion" up to
CANN 9.0 and "cannot fusion" from 9.1. A fact is kept once, however many ranks, files and passes repeat it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from skadvisor.verification.log_text import strip_prefix
from skadvisor.vocabulary.superkernel_names import without_build

#: Most facts that are kept per kind, so that memory stays bounded.
MOST_FACTS = 100_000
#: Most lines that are kept of those that only speak of SuperKernel.
MOST_MENTIONS = 100


@dataclass
class Facts:
    """What was found. Sets and dicts keep the order in which facts came.

    `taken`, `refused`, `cuts` and `built` belong to GE: (scope, operator), for `built` (scope, fragment); `singles`
    are scopes with a fragment of one operator, `bypassed` and `aborted` scopes with the operator that was in the way.
    Faults on the device name a SuperKernel (GE) or the number of its scope (`fault_numbers`, npugraph_ex).
    `disabled` are warnings that SuperKernel was not used, `mentions` lines that speak of it and say nothing known.
    `fused` (SuperKernel -> how many kernels), `members` (SuperKernel, place -> kernel), `failed` and `splits` (cuts of
    the last pass) belong to npugraph_ex, by the label of the model that they are of.
    """

    taken: dict[tuple[str, str], str] = field(default_factory=dict)
    refused: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    cuts: dict[tuple[str, str], None] = field(default_factory=dict)
    bypassed: dict[str, str] = field(default_factory=dict)
    aborted: dict[str, str] = field(default_factory=dict)
    built: dict[tuple[str, str], int] = field(default_factory=dict)
    singles: dict[str, None] = field(default_factory=dict)
    fused: dict[tuple[str, str], int] = field(default_factory=dict)
    members: dict[tuple[str, str, int], str] = field(default_factory=dict)
    failed: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    splits: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    dynamic: dict[str, None] = field(default_factory=dict)
    without_scope: dict[str, None] = field(default_factory=dict)
    started: dict[str, None] = field(default_factory=dict)
    streams: dict[str, None] = field(default_factory=dict)
    faults: dict[str, None] = field(default_factory=dict)
    fault_scopes: dict[str, None] = field(default_factory=dict)
    fault_numbers: dict[str, None] = field(default_factory=dict)
    fault_symbols: dict[str, None] = field(default_factory=dict)
    errors: dict[str, None] = field(default_factory=dict)
    disabled: dict[str, None] = field(default_factory=dict)
    mentions: dict[str, None] = field(default_factory=dict)
    scope_now: dict[str, tuple[str, str]] = field(default_factory=dict)
    fused_now: dict[str, tuple[str, int]] = field(default_factory=dict)

    def read(self, line: str, label: str = "") -> None:
        """Take the fact from a line; `label` says which model of npugraph_ex the file is of."""
        for word, pattern, keep in _RULES:
            if word in line:
                match = pattern.search(line)
                if match:
                    keep(match, self, label)
                    return


_Keep = Callable[[re.Match[str], Facts, str], None]


def _add(facts: dict[Any, Any], key: Any, value: Any = None) -> None:
    if len(facts) < MOST_FACTS:
        facts.setdefault(key, value)


_NAME = r"(?P<name>[^\s(]+)(?:\((?P<type>[^)]*)\))?"
_REASON = r"(?P<reason>can ?not fusion[^,.]*(?:,[^,.]*)?)"


def _refused(match: re.Match[str], facts: Facts, _label: str) -> None:
    _add(facts.refused, (match["scope"], match["name"]), (match["type"] or "", match["reason"].strip()))


def _processed(match: re.Match[str], facts: Facts, _label: str) -> None:
    scope = re.sub(r"_split_\d+_\d+$", "", match["scope"])
    if int(match["count"]) > 1:
        _add(facts.built, (scope, match["scope"]), int(match["count"]))
    else:
        _add(facts.singles, scope)


def _keep(table: str, *groups: str, value: str = "", refused: bool = False) -> _Keep:
    """Keep what a match says in a table of the facts, under one of its groups or several; `refused` operators too."""

    def keep(match: re.Match[str], facts: Facts, label: str) -> None:
        key = tuple(match[group].strip() for group in groups or ("what",))
        _add(getattr(facts, table), key if len(key) > 1 else key[0], (match[value] or "") if value else None)
        if refused:
            _refused(match, facts, label)

    return keep


def _not_adapted(match: re.Match[str], facts: Facts, _label: str) -> None:
    _add(facts.refused, ("", match["what"]), ("", "has not been adapted to superkernel"))


def _mention(match: re.Match[str], facts: Facts, _label: str) -> None:
    if len(facts.mentions) < MOST_MENTIONS:
        _add(facts.mentions, strip_prefix(match.string)[0].strip())


def _fused(match: re.Match[str], facts: Facts, label: str) -> None:
    name = without_build(match["name"].strip())
    facts.fused_now[label] = (name, int(match["count"]))
    if int(match["count"]) > 1:
        _add(facts.fused, (label, name), int(match["count"]))


def _member(match: re.Match[str], facts: Facts, label: str) -> None:
    name, count = facts.fused_now.get(label, ("", 0))
    if int(match["place"]) < count:
        _add(facts.members, (label, name, int(match["place"])), match["name"].strip())


def _failed(match: re.Match[str], facts: Facts, label: str) -> None:
    reason = match["reason"].strip()
    if not any(word in reason for word in _EXPECTED):
        node = match["node"] or match["name"]
        _add(facts.failed, (label, node), (match["name"].strip(), reason))


def _begin_pass(_match: re.Match[str], facts: Facts, label: str) -> None:
    # Each pass prints all scopes again: what the last one prints (ScopeSplitPipelineFinal) is what was built.
    facts.splits[label] = {}


def _scope_line(match: re.Match[str], facts: Facts, label: str) -> None:
    facts.scope_now[label] = (match["id"], match["scopes"].strip())


def _break(match: re.Match[str], facts: Facts, label: str) -> None:
    if match["reason"] == "NONE":
        return
    number, scope = facts.scope_now.get(label, ("", ""))
    why = f": {match['why'].strip()}" if match["why"] else ""
    _add(facts.splits.setdefault(label, {}), f"{number} {match['place'] or ''}", (scope, f"{match['reason']}{why}"))


_SUPERKERNEL = r"(?i:super[ _-]?kernel)"
#: That SuperKernel itself, not one of its options, was not used.
_SWITCH = rf"(?:enable_)?{_SUPERKERNEL}s?(?: (?:mode|feature|fusion|optimi[sz]ation))?"
_VERB = "(?:is|are|was|will|has|requires?|needs?|cannot|does|do|only|not|disabled|ignored)"
_UNUSED = "(?:disabled|ignored|turned off|unsupported|no effect|not (?:be )?(?:supported|enabled|take effect|used))"
_TAKEN = _keep("taken", "scope", "name", value="type")
_CUT = _keep("cuts", "scope", "name", refused=True)
_ABORTED, _BYPASSED = (_keep(table, "scope", value="name", refused=True) for table in ("aborted", "bypassed"))
#: Reasons that say that all is as it should be.
_EXPECTED = ("NOT_IN_SCOPE", "IN_UNFUSIBLE_SCOPE", "SUCCESS")
#: A word that every matching line holds, the pattern, and what it means; the first that matches wins.
_RULES: tuple[tuple[str, re.Pattern[str], _Keep], ...] = tuple(
    (word, re.compile(pattern), keep)
    for word, pattern, keep in (
        ("sub op", rf"find super kernel sub op {_NAME}[ ,]+{_REASON},.*?super_scope_name (?P<scope>[^\s,]*)", _refused),
        ("sub op", rf"find super kernel sub op {_NAME}, super_scope_name (?P<scope>[^\s,]+)", _TAKEN),
        ("abort check", rf"abort check scene, node {_NAME} {_REASON}.*?target scope (?P<scope>[^\s,]+)", _ABORTED),
        ("current node", rf"current node {_NAME} {_REASON}.*?target scope (?P<scope>[^\s,]+)", _BYPASSED),
        ("fusion", rf"node {_NAME} {_REASON},.*?target scope (?P<scope>[^\s,]+)", _CUT),
        ("split before node", r"scope (?P<scope>\S+) split before node (?P<name>\S+)", _keep("cuts", "scope", "name")),
        (
            "start to process scope",
            r"start to process scope (?P<scope>[^\s,]+), .*?sk sub nodes size (?P<count>\d+)",
            _processed,
        ),
        ("Pass start graph", r"SuperKernelPass start graph is \[(?P<what>[^\]]*)\]", _keep("started")),
        ("only support static", r"SuperKernelPass only support static graph\s*\[?(?P<what>[^\]\s]*)", _keep("dynamic")),
        ("super kernel scope", r"graph \[?(?P<what>[^\]\s]*)\]? has no super kernel scope", _keep("without_scope")),
        ("real stream", r"do not support more than (?P<what>\d+) real stream", _keep("streams")),
        (
            "fault kernel",
            r"fault kernel_name\s*=\s*\[?(?P<what>(?:te_superkernel|sk_(?:constant_)?entry)\w*)",
            _keep("faults"),
        ),
        ("superkernel function", r"Exception is from superkernel function '(?P<what>[^']+)'", _keep("faults")),
        ("SkScopeId", r"\bSkScopeId=(?P<what>\d+)", _keep("fault_numbers")),
        ("unction name:", r"(?:Origin|Current sub-kernel) function name: (?P<what>\S+)", _keep("fault_symbols")),
        ("origin_op_name", r"origin_op_name\s*\[?(?P<what>sk_[^\]\s,]+)", _keep("fault_scopes")),
        ("symbol name", r"symbol name\s*=\s*(?P<what>[^\s,]+)", _keep("fault_symbols")),
        ("to superkernel", r"(?P<what>\S+) has not been adapted to superkernel", _not_adapted),
        (
            "SK Function",
            r"SK Function:\s*(?P<name>[^,]+),\s*scope id:\s*\d+,\s*Node Count:\s*(?P<count>\d+)",
            _fused,
        ),
        (
            "reason:",
            r"Node \[(?:nodeId:(?P<node>\d+))?.*?funcName:(?P<name>[^,}]+).*?\}.*?\breason: (?P<reason>\S.*)$",
            _failed,
        ),
        (
            "funcName:",
            r"\[(?P<place>\d{1,6})\]\s+\[nodeId:\d+.*?KernelInfos\{funcName:(?P<name>[^,}]+)",
            _member,
        ),
        ("split results begin", r"Scope split results begin: pass=(?P<name>[^,\s]+)", _begin_pass),
        ("scopeNames", r"Scope (?P<id>\d+)(?: \(scopeId=\d+\))?:.*?scopeNames=\[(?P<scopes>[^\]]*)\]", _scope_line),
        (
            "BreakInfo",
            r"BreakInfo: breakReason=(?P<reason>\w+)(?:.*?triggerNode=(?P<place>\d+))?"
            r"(?:.*?fusionFailReason=(?P<why>[^,]+))?",
            _break,
        ),
        ("aclskOptimize", r"(?P<what>aclskOptimize failed.*)", _keep("errors")),
        ("compile failed", r"(?i)(?P<what>super ?kernel compile failed.*)", _keep("errors")),
        ("to compile", rf"(?i)(?P<what>failed to compile op\b.*\boptype:\W*{_SUPERKERNEL}.*)", _keep("errors")),
        ("ernel", rf"(?:Error|Exception|Unsupported|Failed|Failure): (?P<what>.*{_SUPERKERNEL}.*)", _keep("errors")),
        (
            "ERROR",
            rf"(?:\[ERROR\]|^\W*ERROR\b|\bERROR(?:: | - | +\d)).*?(?P<what>\b{_SUPERKERNEL}\w*\b.*)",
            _keep("errors"),
        ),
        (
            "ernel",
            rf"(?i)warn(?:ing)?\b.*?(?P<what>\b{_SWITCH},? (?=.*\b{_UNUSED}\b){_VERB}\b.*)",
            _keep("disabled"),
        ),
        ("ernel", rf"(?i)(?P<what>\b(?:disabl|ignor)ing (?:the )?{_SWITCH}\b(?! option).*)", _keep("disabled")),
        ("ernel", _SUPERKERNEL, _mention),
    )
)
