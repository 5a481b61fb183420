"""Which kernels can be fused: rules as data, applied to kernels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import translate
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from skadvisor.errors import InputError
from skadvisor.files.data_files import read_toml
from skadvisor.text.messages import Message, _
from skadvisor.vocabulary.names import base_operator, words
from skadvisor.vocabulary.superkernel_names import parse

if TYPE_CHECKING:
    import pandas as pd

_VERSION = re.compile(r"V\d+(?=\*?$)")

Fusible = Literal["likely", "unlikely", "unknown"]

#: The compiler's words for what it did not fuse and why it split.
REASON_WORDS = (
    "OP_UNSUPPORT",
    "DYNAMIC_TASK_UNSUPPORT",
    "NOT_IN_SCOPE",
    "EXCEED_CORE_MAX",
    "EXIST_DEADLOCK",
    "EXTERNAL_DEPEND",
    "DEFAULT_NODE",
    "SIMT_OP_UNSUPPORT",
    "UNFUSIBLE_NODE",
    "DEADLOCK_DETECTED",
    "SYNCALL_OP_DROP",
)


@dataclass(frozen=True)
class Judgement:
    """Whether one kind of kernel fuses. `reason` is the compiler's word where it might not, `needs` a condition."""

    fusible: Fusible
    reason: str
    source: str
    remedy: Message
    needs: str | None = None

    def under(self, conditions: Mapping[str, bool | None]) -> Judgement:
        """The judgement where its condition is known to hold or not."""
        met = conditions.get(self.needs) if self.needs is not None else None
        if met is None:
            return self
        return replace(self, fusible="likely" if met else "unlikely")


@dataclass(frozen=True)
class Rule:
    """One rule of a fusibility file."""

    patterns: re.Pattern[str]
    judgement: Judgement
    hardware: tuple[str, ...] = ()
    graph_kinds: tuple[str, ...] = ()

    def holds(self, op_type: str, hardware: str, graph_kind: str | None) -> bool:
        """Whether the rule speaks of this operator on this hardware in this kind of graph."""
        if self.hardware and hardware not in self.hardware:
            return False
        if self.graph_kinds and graph_kind is not None and graph_kind not in self.graph_kinds:
            return False
        return self.patterns.fullmatch(op_type) is not None


#: Verdicts that follow from where a kernel ran or what shapes it had, whatever its operator.
ON_THE_AICPU = Judgement(
    "unlikely",
    "DEFAULT_NODE",
    _("AI CPU tasks are no AI Core kernels"),
    Message(_("keep this operator off the AI CPU (data type, operator version) or outside the scope")),
)
ALREADY_COLLECTIVE = Judgement(
    "unlikely",
    "EXTERNAL_DEPEND",
    _("collectives fuse in GE graphs with AIV expansion only"),
    Message(_("set HCCL_OP_EXPANSION_MODE=AIV, else the collective ends the fragment")),
    needs="aiv_expansion",
)
DYNAMIC_SHAPES = Judgement(
    "unlikely",
    "DYNAMIC_TASK_UNSUPPORT",
    _("only static shapes fuse"),
    Message(_("compile the decode graph with static shapes (dynamic=False)")),
)
TRITON = Judgement(
    "unlikely",
    "OP_UNSUPPORT",
    _("Triton kernels are no Ascend C kernels"),
    Message(_("use the Ascend C operator that does the same, or leave it outside the scope")),
)
NOT_KNOWN = Judgement(
    "unknown",
    "OP_UNSUPPORT",
    _("no rule names this operator: Ascend C kernels fuse, TBE kernels do not"),
    Message(_("look in the compile log for 'maybe it is tbe or tik operator'; add a rule of your own")),
)


def load_rules(*user_files: str | Path) -> tuple[Rule, ...]:
    """The rules of the user's files, then ours. Raises InputError with the file and the faulty entry."""
    return tuple(rule for path in user_files for rule in _rules_of(Path(path))) + _own_rules()


def judge(
    kernels: pd.DataFrame,
    rules: tuple[Rule, ...] | None = None,
    hardware: str = "unknown",
    graph_kind: str | None = None,
    eager: bool = False,
) -> list[Judgement]:
    """One judgement per kernel of a kernel table, in its order.

    In an eager capture the operators' state says nothing about the graph they would be in, so it is not used.
    """
    rules = _own_rules() if rules is None else rules
    columns = [kernels[name].astype("object") for name in ("op_type", "name", "core", "state", "kind")]
    known: dict[tuple[Any, ...], Judgement] = {}
    found = []
    for op_type, name, core, written_state, kind in zip(*columns, strict=True):
        state = "" if eager else written_state
        label = operator_label(op_type, name)
        triton = "triton" in str(name).lower()
        key = (label, core, state, kind, triton)
        if key not in known:
            known[key] = _judge_one(label, str(core), str(state), str(kind), triton, rules, hardware, graph_kind)
        found.append(known[key])
    return found


def operator_label(op_type: object, name: object) -> str:
    """The operator as rules know it: its type, or at Level0, where there is none, what the kernel name says."""
    if isinstance(op_type, str) and op_type:
        return op_type
    if not isinstance(name, str):
        return ""
    return "SuperKernel" if parse(name) is not None else words(base_operator(None, name)) or name


def _judge_one(
    label: str,
    core: str,
    state: str,
    kind: str,
    triton: bool,
    rules: tuple[Rule, ...],
    hardware: str,
    graph_kind: str | None,
) -> Judgement:
    if core == "AI_CPU":
        return ON_THE_AICPU
    for rule in rules:
        if rule.holds(label, hardware, graph_kind):
            if state == "dynamic" and rule.judgement.fusible != "unlikely":
                return DYNAMIC_SHAPES
            return rule.judgement
    if kind == "collective" or core in ("COMMUNICATION", "HCCL"):
        return ALREADY_COLLECTIVE
    if triton:
        return TRITON
    return DYNAMIC_SHAPES if state == "dynamic" else NOT_KNOWN


@cache
def _own_rules() -> tuple[Rule, ...]:
    return _rules_of(Path(__file__).with_name("fusibility.toml"))


def _rules_of(path: Path) -> tuple[Rule, ...]:
    rules = []
    for number, entry in enumerate(read_toml(path).get("rule", []), start=1):
        try:
            rules.append(_rule(entry))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}: rule {number} is not usable: {error}", "a rule needs op_types, fusible and source"
            ) from error
    return tuple(rules)


def _rule(entry: Mapping[str, Any]) -> Rule:
    fusible, reason = entry["fusible"], str(entry.get("reason", ""))
    if fusible not in ("likely", "unlikely", "unknown"):
        raise ValueError(f"fusible is {fusible!r}, not likely, unlikely or unknown")
    if reason and reason not in REASON_WORDS:
        raise ValueError(f"reason {reason!r} is none of the compiler's words")
    if not entry["op_types"] or not all(isinstance(name, str) for name in entry["op_types"]):
        raise ValueError("op_types is no list of names")
    # Kernel names at Level0 lead to operators without version, so a pattern also stands for itself without it.
    names = {form for name in entry["op_types"] for form in (name, _VERSION.sub("", name))}
    pattern = re.compile("|".join(translate(name) for name in sorted(names)), re.IGNORECASE)
    judgement = Judgement(
        fusible=cast("Fusible", fusible),
        reason=reason,
        source=str(entry["source"]),
        remedy=Message(str(entry.get("remedy", ""))),
        needs=entry.get("needs"),
    )
    return Rule(pattern, judgement, tuple(entry.get("hardware", ())), tuple(entry.get("graph_kinds", ())))
