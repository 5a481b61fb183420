"""What a modeling file holds: its classes, their methods, and which parts of `self` each statement works with.

Nothing is executed or imported; the source is read with libcst, so that every byte of it can be kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import libcst as cst

from skadvisor.text.messages import Message, _

Node = TypeVar("Node", bound=cst.CSTNode)
Kind = type[Node] | tuple[type[Node], ...]
#: `self.q_proj.weight.dtype` asks about a part; it does not work with it.
_ASKING = frozenset({"dtype", "device", "shape", "ndim", "in_features", "out_features"})
#: What is read from a part to work with it, in a function that is called: `self.experts.w13_weight`.
_TENSOR = re.compile(r"weight|scale|bias|offset|cache|smooth|data|^w\d|proj$", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Uses:
    """What a piece of source works with.

    `attributes` of self by their first name, those among them that are `applied` (called, or whose weight is handed
    to a function), and `functions` called, by their last name.
    """

    attributes: frozenset[str] = frozenset()
    applied: frozenset[str] = frozenset()
    functions: frozenset[str] = frozenset()

    def __or__(self, other: Uses) -> Uses:
        return Uses(self.attributes | other.attributes, self.applied | other.applied, self.functions | other.functions)


@dataclass(frozen=True, eq=False)
class Method:
    """One function of a class; `optional` are the parameters that may be None."""

    owner: ModelClass
    name: str
    line: int
    node: cst.FunctionDef
    parameters: tuple[str, ...]
    aliases: dict[str, str]
    optional: frozenset[str] = frozenset()

    @property
    def suite(self) -> cst.IndentedBlock | None:
        """The body; None where it stands on the line of the `def`."""
        return self.node.body if isinstance(self.node.body, cst.IndentedBlock) else None

    @property
    def title(self) -> str:
        """Class and method."""
        return f"{self.owner.name}.{self.name}"

    @property
    def where(self) -> Message:
        """The method with its line."""
        return Message(_("{place}, line {line}"), place=self.title, line=self.line)

    @cached_property
    def uses(self) -> Uses:
        """What all of it works with."""
        return self.uses_of(self.node.body)

    @cached_property
    def statement_uses(self) -> list[Uses]:
        """What each statement of the suite works with."""
        return [self.uses_of(statement) for statement in self.suite.body] if self.suite else []

    @cached_property
    def assigned(self) -> dict[str, list[cst.BaseExpression]]:
        """Attribute of self -> what is assigned to it."""
        found: dict[str, list[cst.BaseExpression]] = {}
        for item in nodes(self.node, cst.Assign):
            for name in {dotted_name(target.target) for target in item.targets}:
                if len(name) == 2 and name[0] == "self":
                    found.setdefault(name[1], []).append(item.value)
        return found

    def uses_of(self, node: cst.CSTNode, seen: frozenset[str] = frozenset()) -> Uses:
        """What a part of the method works with, through the class's own methods (but those `seen`) as well."""
        total, seen = _own_uses(node, self), seen | {self.name}
        for name in sorted(total.attributes & self.owner.methods.keys() - seen):
            called = self.owner.methods[name]
            total |= called.uses_of(called.node.body, seen)
        return total


@dataclass(frozen=True, eq=False)
class ModelClass:
    """One class of the file, with `parts`: attribute of self -> name of the class that `__init__` builds for it.

    `builds` are all classes that it builds: one attribute may be one of several.
    """

    name: str
    line: int
    bases: tuple[str, ...]
    parts: dict[str, str]
    builds: frozenset[str]
    methods: dict[str, Method] = field(default_factory=dict)


@lru_cache(maxsize=20_000)
def _own_uses(node: cst.CSTNode, method: Method) -> Uses:
    """What a part of a method works with itself."""
    found = _Collector(method.aliases)
    node.visit(found)
    return Uses(frozenset(found.attributes), frozenset(found.applied), frozenset(found.functions))


@dataclass(frozen=True, eq=False)
class Source:
    """A parsed modeling file.

    `attribute_reads` are dotted names that are read, `mapping_reads` the pairs (name, key) of `name["key"]` and
    `name.get("key")`, `part_calls` the methods that are called on a part where decode may come, as in
    `self.self_attn.decode(...)`, `functions` what is called at all, by its last name.
    `scope_calls` are the calls that open a scope, with their line; `exact` says whether every byte can be kept.
    """

    module: cst.Module
    exact: bool
    classes: dict[str, ModelClass]
    scope_calls: tuple[tuple[int, str], ...]
    attribute_reads: frozenset[str]
    mapping_reads: frozenset[tuple[str, str]] = frozenset()
    part_calls: frozenset[str] = frozenset()
    functions: frozenset[str] = frozenset()

    def family(self, model_class: ModelClass) -> list[ModelClass]:
        """The class and its bases, as far as they are in this file, nearest first."""
        line, waiting = [model_class], list(model_class.bases)
        while waiting:
            base = self.classes.get(waiting.pop(0))
            if base is not None and base not in line:
                line.append(base)
                waiting.extend(base.bases)
        return line


def dotted_name(node: cst.CSTNode) -> tuple[str, ...]:
    """`self.layers[0].mlp` as ("self", "layers", "mlp"); empty where it does not start with a name."""
    if isinstance(node, cst.Name):
        return (node.value,)
    if isinstance(node, cst.Attribute):
        owner = dotted_name(node.value)
        return (*owner, node.attr.value) if owner else ()
    if isinstance(node, cst.Subscript):
        return dotted_name(node.value)
    return ()


def nodes(node: cst.CSTNode, kinds: Kind[Node], outside: Kind[cst.CSTNode] = ()) -> list[Node]:
    """The nodes of one of the kinds in `node`, itself included, in order; nothing in nodes of the `outside` kinds."""
    finder = _Finder(kinds, outside)
    node.visit(finder)
    return finder.found


class _Finder(cst.CSTVisitor):
    def __init__(self, kinds: Any, outside: Any) -> None:
        self.kinds, self.outside = kinds, outside
        self.found: list[Any] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, self.kinds):
            self.found.append(node)
        return not isinstance(node, self.outside)


def contains(node: cst.CSTNode, kinds: Kind[Node]) -> bool:
    """Whether a node of one of the kinds lies in `node`, functions and classes defined inside left out."""
    return bool(nodes(node, kinds, (cst.FunctionDef, cst.ClassDef, cst.Lambda)))


class _Collector(cst.CSTVisitor):
    """Attributes of self that are worked with, and functions that are called."""

    def __init__(self, aliases: dict[str, str]) -> None:
        self.aliases = aliases
        self.attributes: set[str] = set()
        self.applied: set[str] = set()
        self.functions: set[str] = set()
        self.called: set[int] = set()

    def visit_Assign(self, node: cst.Assign) -> bool:
        # `attention = self.self_attn` only gives it another name; the work is where that name is used.
        return alias_of(node) is None

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        name = dotted_name(node)
        if len(name) > 1 and name[0] == "self":
            # A flag that a part keeps is no use of the part; its tensors are, and so is what is called on it.
            kept = len(name) > 2 and id(node) not in self.called and not any(map(_TENSOR.search, name[2:]))
            if len(name) == 2 or (name[-1] not in _ASKING and not kept):
                self.attributes.add(name[1])
            if name[2:3] == ("weight",):
                self.applied.add(name[1])
            return False
        return True

    def visit_Subscript(self, node: cst.Subscript) -> bool:
        name = dotted_name(node)
        if len(name) > 1 and name[0] == "self" and name[-1] in _ASKING:
            for element in node.slice:
                element.visit(self)
            return False
        return True

    def visit_Name(self, node: cst.Name) -> None:
        if node.value in self.aliases:
            self.attributes.add(self.aliases[node.value])

    def visit_Call(self, node: cst.Call) -> bool:
        name = dotted_name(node.func)
        self.called.add(id(node.func))
        if name:
            self.functions.add(name[-1])
        if len(name) > 1 and name[0] == "self":
            self.applied.add(name[1])
        elif name and name[0] in self.aliases:
            self.applied.add(self.aliases[name[0]])
        return True


def alias_of(node: cst.Assign) -> tuple[str, str] | None:
    """`name = self.part` (or `self.parts[i]`) as (name, part)."""
    if len(node.targets) != 1 or not isinstance(node.targets[0].target, cst.Name):
        return None
    name = dotted_name(node.value)
    return (node.targets[0].target.value, name[1]) if len(name) == 2 and name[0] == "self" else None


def assigned_names(statements: Iterable[cst.CSTNode]) -> set[str]:
    """Names that plain top-level assignments among the statements bind for certain."""
    names: set[str] = set()
    for line in statements:
        for small in line.body if isinstance(line, cst.SimpleStatementLine) else ():
            if isinstance(small, cst.Assign):
                names.update(*(_target_names(target.target) for target in small.targets))
            elif isinstance(small, cst.AnnAssign) and small.value is not None:
                names |= _target_names(small.target)
    return names


def _target_names(target: cst.BaseExpression) -> set[str]:
    if isinstance(target, (cst.Tuple, cst.List)):
        return {name for element in target.elements for name in _target_names(element.value)}
    return {target.value} if isinstance(target, cst.Name) else set()
