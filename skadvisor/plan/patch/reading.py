"""Reading a modeling file: its classes, their methods, and how parts are called and names read.

Nothing is executed or imported; the source is read with libcst, so that every byte of it can be kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from skadvisor.plan.patch.dialects import SCOPE_CALLS
from skadvisor.plan.patch.structure import Method, ModelClass, Source, alias_of, dotted_name, nodes


def read_source(content: bytes) -> Source:
    """Parse a file. Raises `libcst.ParserSyntaxError`, UnicodeDecodeError or LookupError where it is no Python."""
    module = cst.parse_module(content)
    lines = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)
    calls = [(name, call) for call in nodes(module, cst.Call) if (name := dotted_name(call.func))]
    # Also under `if` and `try`, but not in functions and other classes.
    classes = nodes(module, cst.ClassDef, (cst.ClassDef, cst.FunctionDef))
    return Source(
        module=module,
        exact=module.bytes == content,
        classes={node.name.value: _class(node, lines) for node in classes},
        scope_calls=tuple((_line(lines, call), ".".join(name)) for name, call in calls if name[-1] in SCOPE_CALLS),
        attribute_reads=frozenset(_dotted(module)),
        mapping_reads=frozenset(_keyed(module)),
        part_calls=_decode_calls(module),
        functions=frozenset(name[-1] for name, _call in calls),
    )


def method_reads(method: Method) -> set[str | tuple[str, str]]:
    """The dotted names and the (name, key) pairs that one method reads."""
    return {*_dotted(method.node.body), *_keyed(method.node.body)}


def _line(lines: Mapping[cst.CSTNode, Any], node: cst.CSTNode) -> int:
    return int(lines[node].start.line)


def _dotted(node: cst.CSTNode) -> Iterator[str]:
    return (".".join(dotted_name(item)) for item in nodes(node, cst.Attribute))


def _keyed(node: cst.CSTNode) -> Iterator[tuple[str, str]]:
    """(name, key) of `name["key"]` and `name.get("key")`."""
    found = [
        (dotted_name(item.value), element.slice.value)
        for item in nodes(node, cst.Subscript)
        for element in item.slice
        if isinstance(element.slice, cst.Index)
    ]
    for call in nodes(node, cst.Call):
        name = dotted_name(call.func)
        if name[-1:] == ("get",) and call.args:
            found.append((name[:-1], call.args[0].value))
    for name, key in found:
        if name and isinstance(key, cst.SimpleString):
            yield ".".join(name), str(key.evaluated_value)


#: Stands for a function's name where only prefill comes.
_PREFILL = "if is_prefill"


def _asks_for_prefill(test: cst.BaseExpression) -> bool:
    """Whether a test is true in prefill only: `is_prefill`, also as one of several that have to hold."""
    if isinstance(test, cst.BooleanOperation) and isinstance(test.operator, cst.And):
        return _asks_for_prefill(test.left) or _asks_for_prefill(test.right)
    return dotted_name(test)[-1:] == ("is_prefill",)


def _decode_calls(module: cst.Module) -> frozenset[str]:
    """The methods that are called on a part where decode may come: not in what only prefill's branches use."""
    found = _Callers()
    module.visit(found)
    only_prefill = {_PREFILL}
    while more := {name for name, places in found.uses.items() if places - {name} <= only_prefill} - only_prefill:
        only_prefill |= more
    return frozenset(name for name, place in found.part_calls if place not in only_prefill)


class _Callers(cst.CSTVisitor):
    """Where methods are used (`uses`, by name) and which of them are called on a part: the function round them."""

    def __init__(self) -> None:
        self.part_calls: set[tuple[str, str]] = set()
        self.uses: dict[str, set[str]] = {}
        self.inside = [""]

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self.inside.append(node.name.value)

    def leave_FunctionDef(self, original_node: cst.FunctionDef) -> None:
        self.inside.pop()

    def visit_If_body(self, node: cst.If) -> None:
        self.inside.append(_PREFILL if _asks_for_prefill(node.test) else self.inside[-1])

    def leave_If_body(self, node: cst.If) -> None:
        self.inside.pop()

    def visit_Call(self, node: cst.Call) -> None:
        name = dotted_name(node.func)
        if len(name) > 1 and name != ("self", name[-1]):
            self.part_calls.add((name[-1], self.inside[-1]))
            self.uses.setdefault(name[-1], set()).add(self.inside[-1])

    def visit_Attribute(self, node: cst.Attribute) -> None:
        name = dotted_name(node)
        if len(name) == 2 and name[0] == "self":
            self.uses.setdefault(name[1], set()).add(self.inside[-1])


def _class(node: cst.ClassDef, lines: Mapping[cst.CSTNode, Any]) -> ModelClass:
    bases = tuple(name[-1] for base in node.bases if (name := dotted_name(base.value)))
    functions = {item.name.value: item for item in node.body.body if isinstance(item, cst.FunctionDef)}
    built = _parts(functions["__init__"]) if "__init__" in functions else []
    every = frozenset(item for _name, item in built)
    owner = ModelClass(node.name.value, _line(lines, node), bases, dict(built), every)
    owner.methods.update({name: _method(owner, item, _line(lines, item)) for name, item in functions.items()})
    return owner


def _method(owner: ModelClass, node: cst.FunctionDef, line: int) -> Method:
    every = [*node.params.posonly_params, *node.params.params, *node.params.kwonly_params]
    aliases = dict(alias for assign in _assignments(node) if (alias := alias_of(assign)) is not None)
    optional = frozenset(item.name.value for item in every if _may_be_none(item))
    parameters = tuple(item.name.value for item in every)
    return Method(owner, node.name.value, line, node, parameters, aliases, optional)


def _assignments(function: cst.FunctionDef) -> list[cst.Assign]:
    return nodes(function.body, cst.Assign, cst.FunctionDef)


def _may_be_none(parameter: cst.Param) -> bool:
    annotated = parameter.annotation.annotation if parameter.annotation is not None else None
    names = {dotted_name(item)[-1:] for item in _parts_of_type(annotated)} if annotated is not None else set()
    default = isinstance(parameter.default, cst.Name) and parameter.default.value == "None"
    return default or bool(names & {("Optional",), ("None",)})


def _parts_of_type(annotation: cst.BaseExpression) -> list[cst.BaseExpression]:
    """`Optional[X]` as itself, `X | None` as both sides."""
    if isinstance(annotation, cst.BinaryOperation):
        return [*_parts_of_type(annotation.left), *_parts_of_type(annotation.right)]
    return [annotation]


def _parts(start: cst.FunctionDef) -> list[tuple[str, str]]:
    """(attribute of self, class that is built for it), in order; an attribute may come several times."""
    parts: list[tuple[str, str]] = []
    for assign in _assignments(start):
        built = _built_class(assign.value)
        for target in assign.targets:
            name = dotted_name(target.target)
            if built and len(name) == 2 and name[0] == "self":
                parts.append((name[1], built))
    return parts


def _built_class(value: cst.BaseExpression) -> str:
    """The class that an expression builds: `Attention(config)`, or the one repeated in a ModuleList."""
    if not isinstance(value, cst.Call):
        return ""
    name = dotted_name(value.func)
    if name and name[-1] in ("ModuleList", "Sequential") and value.args:
        inner = value.args[0].value
        if isinstance(inner, (cst.ListComp, cst.GeneratorExp)):
            return _built_class(inner.elt)
        if isinstance(inner, (cst.List, cst.Tuple)) and inner.elements:
            return _built_class(inner.elements[0].value)
    return name[-1] if name else ""
