"""The scopes that a modeling file has already: which template each is, and whether its options are options."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

import libcst as cst

from skadvisor.plan.patch import roles
from skadvisor.plan.patch.dialects import KNOWN_OPTIONS, SCOPE_CALLS
from skadvisor.plan.patch.loops import layer_loops
from skadvisor.plan.patch.structure import Method, Source, Uses, dotted_name, nodes

#: Where a call has its options: the helper of cann-recipes is given the switch first.
_OPTIONS_AT = {"superkernel_scope": 2, "super_kernel": 1}


@dataclass(frozen=True, kw_only=True)
class Existing:
    """One scope in the file. `template` is None for a split of its own; `strange` are texts that are no options."""

    template: str | None
    place: str
    strange: tuple[str, ...] = ()


def find_existing(source: Source) -> list[Existing]:
    """The scopes inside methods; those that stand elsewhere are in `source.scope_calls` only."""
    return [
        Existing(
            template=_template(method, held),
            place=method.title,
            strange=tuple(text for text in _option_texts(method, call) if not _is_option(text)),
        )
        for model_class in source.classes.values()
        for method in model_class.methods.values()
        for node in nodes(method.node.body, (cst.With, cst.IndentedBlock))
        for call, held in _scopes(node)
    ]


def _scopes(node: cst.CSTNode) -> Iterator[tuple[cst.Call, Sequence[cst.CSTNode]]]:
    """The call that opens each scope and what it holds: a `with` block, or the statements between a pair of calls."""
    if isinstance(node, cst.With):
        for item in node.items:
            for call in _calls(item):
                yield call, [node.body]
        return
    statements = node.body if isinstance(node, cst.IndentedBlock) else ()
    for index, statement in enumerate(statements):
        for call in _calls(statement, cst.With):
            if dotted_name(call.func)[-1] == "super_kernel_scope_begin":
                end = next((i for i in range(index + 1, len(statements)) if _closes(statements[i])), index)
                if end > index:
                    yield call, statements[index + 1 : end]


def _calls(node: cst.CSTNode, outside: type[cst.CSTNode] | tuple[()] = ()) -> list[cst.Call]:
    return [call for call in nodes(node, cst.Call, outside) if SCOPE_CALLS & {*dotted_name(call.func)[-1:]}]


def _closes(node: cst.CSTNode) -> bool:
    return any(item.attr.value == "super_kernel_scope_end" for item in nodes(node, cst.Attribute))


def _template(method: Method, held: Sequence[cst.CSTNode]) -> str | None:
    loops = [suite.body[index] for suite, index in layer_loops(method)]
    if any(inner is loop for node in held for inner in nodes(node, cst.For) for loop in loops):
        return "full-model"
    uses = reduce(or_, map(method.uses_of, held), Uses())
    if roles.attends(uses, method.owner) or (roles.projects_in(uses) and roles.projects_out(uses)):
        whole = roles.feeds_forward(uses) or roles.computes_experts(uses, method.owner)
        return "per-block" if whole else "attention-only"
    return "moe-only" if roles.computes_experts(uses, method.owner) else None


def _option_texts(method: Method, call: cst.Call) -> list[str]:
    """The texts that a scope's options can have: written in the call, or assigned to the name that it is given."""
    position = _OPTIONS_AT.get(dotted_name(call.func)[-1], len(call.args))
    given = [argument.value for argument in call.args[position : position + 1]]
    if given and isinstance(given[0], cst.Name):
        name = given[0].value
        given = [
            item.value
            for item in nodes(method.node, cst.Assign)
            if any(dotted_name(target.target) == (name,) for target in item.targets)
        ]
    return [str(value.evaluated_value) for value in given if isinstance(value, cst.SimpleString)]


def _is_option(text: str) -> bool:
    return all(part.partition("=")[0] in KNOWN_OPTIONS and "=" in part for part in text.split(":") if text)
