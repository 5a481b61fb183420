"""The scopes that a modeling file has already: which template each is, and whether its options are options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import libcst as cst

from skadvisor.plan.patch import roles
from skadvisor.plan.patch.dialects import KNOWN_OPTIONS, SCOPE_CALLS
from skadvisor.plan.patch.loops import layer_loops
from skadvisor.plan.patch.structure import Method, ModelClass, Source, dotted_name

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
            template=_template(model_class, method, held),
            place=f"{model_class.name}.{method.name}",
            strange=tuple(text for text in _option_texts(method, call) if not _is_option(text)),
        )
        for model_class in source.classes.values()
        for method in model_class.methods.values()
        for call, held in _scopes(method.node.body)
    ]


def _scopes(node: cst.CSTNode) -> Iterator[tuple[cst.Call, list[cst.CSTNode]]]:
    """The call that opens each scope and what it holds: a `with` block, or the statements between a pair of calls."""
    if isinstance(node, cst.With):
        for item in node.items:
            for call in _calls(item):
                yield call, [node.body]
    if isinstance(node, cst.IndentedBlock):
        begins = [(i, call) for i, item in enumerate(node.body) for call in _calls(item, within=False) if _opens(call)]
        for index, call in begins:
            end = next((i for i in range(index + 1, len(node.body)) if _closes(node.body[i])), None)
            if end is not None:
                yield call, list(node.body[index + 1 : end])
    for child in node.children:
        yield from _scopes(child)


def _calls(node: cst.CSTNode, within: bool = True) -> list[cst.Call]:
    found: list[cst.Call] = []

    class Finder(cst.CSTVisitor):
        def visit_With(self, node: cst.With) -> bool:
            return within

        def visit_Call(self, node: cst.Call) -> None:
            if dotted_name(node.func)[-1:] and dotted_name(node.func)[-1] in SCOPE_CALLS:
                found.append(node)

    node.visit(Finder())
    return found


def _opens(call: cst.Call) -> bool:
    return dotted_name(call.func)[-1] == "super_kernel_scope_begin"


def _closes(node: cst.CSTNode) -> bool:
    names: set[str] = set()

    class Finder(cst.CSTVisitor):
        def visit_Attribute(self, node: cst.Attribute) -> None:
            names.add(node.attr.value)

    node.visit(Finder())
    return "super_kernel_scope_end" in names


def _template(model_class: ModelClass, method: Method, held: Iterable[cst.CSTNode]) -> str | None:
    nodes = list(held)
    loops = [suite.body[index] for suite, index in layer_loops(method)]
    if any(_holds(node, loop) for node in nodes for loop in loops):
        return "full-model"
    uses = [model_class.uses(node, method) for node in nodes]
    names = {name for item in uses for name in item.attributes}
    attends = any(roles.is_attention(name, model_class) for name in names) or (
        any(map(roles.is_input_projection, names)) and any(map(roles.is_output_projection, names))
    )
    feeds = any(roles.is_mlp(name) or roles.is_experts(name, model_class) for name in names)
    if attends:
        return "per-block" if feeds else "attention-only"
    return "moe-only" if any(roles.is_experts(name, model_class) for name in names) else None


def _holds(outer: cst.CSTNode, inner: cst.CSTNode) -> bool:
    return outer is inner or any(_holds(child, inner) for child in outer.children)


def _option_texts(method: Method, call: cst.Call) -> list[str]:
    """The texts that a scope's options can have: written in the call, or assigned to the name that it is given."""
    position = _OPTIONS_AT.get(dotted_name(call.func)[-1])
    given = call.args[position].value if position is not None and len(call.args) > position else None
    if isinstance(given, cst.SimpleString):
        return [str(given.evaluated_value)]
    if not isinstance(given, cst.Name):
        return []
    name, texts = given.value, list[str]()

    class Finder(cst.CSTVisitor):
        def visit_Assign(self, node: cst.Assign) -> None:
            named = any(dotted_name(target.target) == (name,) for target in node.targets)
            if named and isinstance(node.value, cst.SimpleString):
                texts.append(str(node.value.evaluated_value))

    method.node.visit(Finder())
    return texts


def _is_option(text: str) -> bool:
    return all(part.partition("=")[0] in KNOWN_OPTIONS and "=" in part for part in text.split(":") if text)
