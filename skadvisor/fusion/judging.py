"""The verdict on each kernel: what the rules say under each reading of the capture, and what holds under all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from skadvisor.fusion.readings import Reading, list_readings, mode_of
from skadvisor.fusion.rules import Fusible, Judgement, Rule, index, load_rules, own_rules
from skadvisor.text.messages import Message, _, listed
from skadvisor.vocabulary.arrays import Words
from skadvisor.vocabulary.labels_of_kernels import operator_labels
from skadvisor.vocabulary.names import base_operator

if TYPE_CHECKING:
    from skadvisor.accounting.representative import StepKernels
    from skadvisor.accounting.situation import Situation
    from skadvisor.events import PlainColumns
    from skadvisor.vocabulary.operators import Vocabulary


NO_CONDITIONS: Mapping[str, bool | None] = MappingProxyType({})

#: Verdicts that follow from where a kernel ran or what shapes it had, whatever its operator.
ON_THE_AICPU = Judgement(
    "unlikely",
    "DEFAULT_NODE",
    _("AI CPU tasks are no AI Core kernels"),
    Message(_("keep this operator off the AI CPU (data type, operator version) or outside the scope")),
)
OTHER_COLLECTIVE = Judgement(
    "unlikely",
    "EXTERNAL_DEPEND",
    _("only AllReduce, ReduceScatter, AllGather and AllToAll are known to keep a scope"),
    Message(_("keep this collective outside the scope")),
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


@dataclass(frozen=True)
class Task:
    """What decides on a kernel beside the rules: its operator, core, state and kind as the kernel table has them."""

    label: str
    core: str = ""
    state: str = ""
    kind: str = ""
    triton: bool = False


#: What a verdict can hang on, in the order in which people can settle it: how it is said, and with which option.
CIRCUMSTANCES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "hardware": (_("depends on the chip"), "--hardware"),
        "mode": (_("depends on the kind of graph"), "--mode"),
        "cann": (_("depends on the CANN version"), "--cann"),
    }
)


@dataclass(frozen=True, eq=False)
class JudgedStep:
    """A step with the judgement of each kernel, in its order; arrays (kernels,) of words."""

    step: StepKernels
    judgements: tuple[Judgement, ...]

    @cached_property
    def op_type(self) -> Words:
        """What rules know each kernel by."""
        return operator_labels(self.step.plain)

    @cached_property
    def role(self) -> Words:
        """The role of each kernel."""
        return np.array([role or "unknown" for role in self.step.plain.words("role").tolist()], dtype=object)

    @cached_property
    def fusible(self) -> Words:
        """The verdict on each kernel."""
        return self._said(lambda judgement: judgement.fusible)

    @cached_property
    def reason(self) -> Words:
        """The word that a compile log would say of each."""
        return self._said(lambda judgement: judgement.reason)

    @cached_property
    def needs(self) -> Words:
        """The condition that each fuses under, None without."""
        return self._said(lambda judgement: judgement.needs)

    def _said(self, ask: Callable[[Judgement], object]) -> Words:
        said = np.empty(len(self.judgements), dtype=object)
        said[:] = [ask(judgement) for judgement in self.judgements]
        return said


def judge_step(step: StepKernels, situation: Situation, rules: Sequence[Path] = ()) -> JudgedStep:
    """The kernels of the step judged by the user's rules (files) and then ours.

    Raises InputError for a file that is no rules file.
    """
    judgements = judge(
        step.plain,
        load_rules(*rules),
        situation.hardware,
        situation.graph_kind,
        step.mode == "eager",
        situation.cann,
        situation.conditions,
    )
    return JudgedStep(step, tuple(judgements))


def judge(
    kernels: PlainColumns,
    rules: tuple[Rule, ...] | None = None,
    hardware: str = "unknown",
    graph_kind: str | None = None,
    eager: bool = False,
    cann: str | None = None,
    conditions: Mapping[str, bool | None] = NO_CONDITIONS,
) -> list[Judgement]:
    """One judgement per kernel of a kernel table, in its order.

    `hardware` is a family, several as in "A2/A3", or "unknown"; `graph_kind` and `cann` are None where unknown. A
    verdict that is the same under all readings left is given, another is unknown and says on what it depends.
    `conditions` says which of the rules' conditions hold, None for unknown.
    The operators' state is used in GE graphs only: an eager capture says nothing about the graph they would be in, and
    an ACL graph keeps the state of the launches it was captured from, whatever static kernels are built for it later.
    """
    rules = own_rules() if rules is None else rules
    left = possible_readings(rules, hardware, mode_of(graph_kind), cann)
    columns = [kernels.words(name).tolist() for name in ("name", "core", "state", "kind")]
    without_state = eager or graph_kind in ("acl_graph", "npugraph_ex")
    known: dict[tuple[Any, ...], Judgement] = {}
    found = []
    for label, name, core, written_state, kind in zip(operator_labels(kernels).tolist(), *columns, strict=True):
        state = "" if without_state else written_state
        key = (label, core, state, kind, name is not None and "triton" in name.lower())
        if key not in known:
            task = Task(label, core or "", state or "", kind or "", key[-1])
            verdicts = _verdicts(task, index(rules).about(label), left)
            known[key] = agreed(left, [verdict.under(conditions) for verdict in verdicts])
        found.append(known[key])
    return found


def operator_task(op_type: str) -> Task:
    """A kernel of this operator type on an AI Core, with static shapes."""
    return Task(op_type, triton="triton" in op_type.lower())


def judge_task(task: Task, rules: tuple[Rule, ...], left: Sequence[Reading]) -> list[Judgement]:
    """The judgements of a kernel under each reading."""
    return _verdicts(task, index(rules).about(task.label), left)


def possible_readings(
    rules: tuple[Rule, ...], hardware: str = "unknown", mode: str | None = None, cann: str | None = None
) -> tuple[Reading, ...]:
    """The readings that are left, without those under which there is no SuperKernel at all, unless all are so."""
    left = list_readings(hardware, mode, cann, index(rules).steps)
    never = [rule for rule in rules if rule.everything and rule.judgement.fusible == "unlikely"]
    able = tuple(reading for reading in left if not any(rule.holds(reading) for rule in never))
    return able or left


def agreed(left: Sequence[Reading], verdicts: Sequence[Judgement]) -> Judgement:
    """What all readings agree on; where they do not, unknown, and what the verdict depends on."""
    first = verdicts[0]
    if all(verdict.fusible == first.fusible for verdict in verdicts):
        return first
    hangs = tuple(name for name in CIRCUMSTANCES if _hangs_on(name, left, verdicts))
    source, option = CIRCUMSTANCES[hangs[0]]
    cut = next((verdict for verdict in verdicts if verdict.fusible != "likely"), first)
    return Judgement(
        "unknown",
        cut.reason,
        source,
        Message(
            _("say which with {option}: {verdicts}"),
            option=option,
            verdicts=_shown(hangs[0], left, verdicts),
        ),
        depends_on=hangs,
        by_chip=_by_chip(left, verdicts),
    )


def exchanges_with_ranks(kernels: PlainColumns, vocabulary: Vocabulary) -> bool:
    """Whether operators that compute also exchange rows with other ranks; collectives, which only do that, are no such.

    Operators are known as rules know them, so that names tell it where there are no types.
    """
    operators = {base_operator(label, None) for label in set(operator_labels(kernels).tolist())}
    return any("waits_for_ranks" in vocabulary.properties(operator) for operator in operators)


def _hangs_on(name: str, left: Sequence[Reading], verdicts: Sequence[Judgement]) -> bool:
    """Whether the verdict changes with this circumstance while the others stay."""
    others = attrgetter(*(other for other in CIRCUMSTANCES if other != name))
    seen: dict[tuple[Any, ...], str] = {}
    return any(
        seen.setdefault(others(reading), verdict.fusible) != verdict.fusible
        for reading, verdict in zip(left, verdicts, strict=True)
    )


def _by_chip(left: Sequence[Reading], verdicts: Sequence[Judgement]) -> tuple[Fusible, ...]:
    """What the readings of each chip agree on, unknown where they do not; empty where all chips give the same."""
    found: dict[str, set[Fusible]] = {}
    for reading, verdict in zip(left, verdicts, strict=True):
        found.setdefault(reading.hardware, set()).add(verdict.fusible)
    agreed_on: list[Fusible] = [one.pop() if len(one) == 1 else "unknown" for one in found.values()]
    return tuple(agreed_on) if len(set(agreed_on)) > 1 else ()


def _shown(name: str, left: Sequence[Reading], verdicts: Sequence[Judgement]) -> Message:
    """Each value of a circumstance with its verdict, as in "A2 unlikely, 950 likely"."""
    shown: dict[str, set[str]] = {}
    for reading, verdict in zip(left, verdicts, strict=True):
        value = getattr(reading, name)
        shown.setdefault(value if isinstance(value, str) else version_text(value), set()).add(verdict.fusible)
    return listed(
        Message("{value} {verdicts}", value=_words(value), verdicts=listed(map(_words, sorted(found)), "/"))
        for value, found in shown.items()
    )


def _words(word: str) -> Message:
    """A value or a verdict as people say it."""
    said = {"older": _("older"), "likely": _("likely"), "unlikely": _("unlikely"), "unknown": _("unknown")}
    return Message(said.get(word, "{word}"), word=word)


def version_text(version: tuple[int, ...]) -> str:
    """A version as it is written, "older" for the one before all steps."""
    if version == (0,):
        return "older"
    return ".".join(str(number) for number in (version if len(version) > 1 else (*version, 0)))


def _verdicts(task: Task, about: tuple[Rule, ...], left: Sequence[Reading]) -> list[Judgement]:
    """The verdict under each reading; `about` are the rules that name the operator."""
    if task.core == "AI_CPU":
        return [ON_THE_AICPU] * len(left)
    otherwise = DYNAMIC_SHAPES if task.state == "dynamic" else NOT_KNOWN
    if task.triton:
        otherwise = TRITON
    if task.kind == "collective" or task.core in ("COMMUNICATION", "HCCL"):
        otherwise = OTHER_COLLECTIVE
    found = [next((rule.judgement for rule in about if rule.holds(reading)), otherwise) for reading in left]
    if task.state == "dynamic":
        return [verdict if verdict.fusible == "unlikely" else DYNAMIC_SHAPES for verdict in found]
    return found
