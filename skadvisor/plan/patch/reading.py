"""Reading a modeling file: its classes, their methods, and how parts are called and names read.

Nothing is executed or imported; the source is read with libcst, so that every byte of it can be kept.
"""

from __future__ import annotations

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from skadvisor.plan.patch.dialects import SCOPE_CALLS
from skadvisor.plan.patch.structure import Method, ModelClass, Source, alias_of, assignments, dotted_name


def read_source(content: bytes) -> Source:
    """Parse a file. Raises `libcst.ParserSyntaxError`, UnicodeDecodeError or LookupError where it is no Python."""
    module = cst.parse_module(content)
    wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
    positions = wrapper.resolve(PositionProvider)
    reader = _Reader(positions)
    module.visit(reader)
    return Source(
        module,
        module.bytes == content,
        reader.classes,
        tuple(reader.scope_calls),
        frozenset(reader.dotted),
        frozenset(reader.keyed),
        reader.decode_calls(),
        frozenset(reader.functions),
    )


#: Stands for a function's name where only prefill comes.
_PREFILL = "if is_prefill"


def _asks_for_prefill(test: cst.BaseExpression) -> bool:
    """Whether a test is true in prefill only: `is_prefill`, also as one of several that have to hold."""
    if isinstance(test, cst.BooleanOperation) and isinstance(test.operator, cst.And):
        return _asks_for_prefill(test.left) or _asks_for_prefill(test.right)
    return dotted_name(test)[-1:] == ("is_prefill",)


class _Reader(cst.CSTVisitor):
    """Classes at module level (also under `if` and `try`), calls that open a scope, dotted names that are read."""

    def __init__(self, positions: object) -> None:
        self.positions = positions
        self.classes: dict[str, ModelClass] = {}
        self.scope_calls: list[tuple[int, str]] = []
        self.dotted: set[str] = set()
        self.keyed: set[tuple[str, str]] = set()
        self.part_calls: set[tuple[str, str]] = set()
        self.own_uses: dict[str, set[str]] = {}
        self.inside: list[str] = []
        self.functions: set[str] = set()
        self.depth = 0

    def visit_ClassDef(self, node: cst.ClassDef) -> bool:
        if self.depth == 0:
            self.classes[node.name.value] = self._class(node)
        self.depth += 1
        return True

    def leave_ClassDef(self, original_node: cst.ClassDef) -> None:
        self.depth -= 1

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        self.depth += 1
        self.inside.append(node.name.value)
        return True

    def leave_FunctionDef(self, original_node: cst.FunctionDef) -> None:
        self.depth -= 1
        self.inside.pop()

    def visit_If_body(self, node: cst.If) -> None:
        self.inside.append(_PREFILL if _asks_for_prefill(node.test) else self._where())

    def leave_If_body(self, node: cst.If) -> None:
        self.inside.pop()

    def _where(self) -> str:
        """The function in which the reader is, or that it is where only prefill comes."""
        return self.inside[-1] if self.inside else ""

    def decode_calls(self) -> frozenset[str]:
        """The methods that are called on a part where decode may come: not in what only prefill's branches use."""
        uses = {name: set(places) for name, places in self.own_uses.items()}
        for name, place in self.part_calls:
            uses.setdefault(name, set()).add(place)
        only_prefill = {_PREFILL}
        while more := {name for name, places in uses.items() if places - {name} <= only_prefill} - only_prefill:
            only_prefill |= more
        return frozenset(name for name, place in self.part_calls if place not in only_prefill)

    def visit_Call(self, node: cst.Call) -> bool:
        name = dotted_name(node.func)
        if name and name[-1] in SCOPE_CALLS and self.positions:
            self.scope_calls.append((self._line(node), ".".join(name)))
        self.functions.update(name[-1:])
        if len(name) > 1 and name != ("self", name[-1]):
            self.part_calls.add((name[-1], self._where()))
        if name[-1:] == ("get",) and node.args:
            self._key(name[:-1], node.args[0].value)
        return True

    def visit_Subscript(self, node: cst.Subscript) -> bool:
        for element in node.slice:
            if isinstance(element.slice, cst.Index):
                self._key(dotted_name(node.value), element.slice.value)
        return True

    def _key(self, name: tuple[str, ...], key: cst.BaseExpression) -> None:
        if name and isinstance(key, cst.SimpleString):
            self.keyed.add((".".join(name), str(key.evaluated_value)))

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        name = dotted_name(node)
        self.dotted.add(".".join(name))
        if len(name) == 2 and name[0] == "self":
            self.own_uses.setdefault(name[1], set()).add(self._where())
        return True

    def _line(self, node: cst.CSTNode) -> int:
        return int(self.positions[node].start.line)  # type: ignore[index]

    def _class(self, node: cst.ClassDef) -> ModelClass:
        bases = tuple(name[-1] for base in node.bases if (name := dotted_name(base.value)))
        methods = {
            item.name.value: _method(item, self._line(item))
            for item in node.body.body
            if isinstance(item, cst.FunctionDef)
        }
        start = methods.get("__init__")
        built = _parts(start.node) if start else []
        every = frozenset(item for _name, item in built)
        return ModelClass(node.name.value, self._line(node), bases, methods, dict(built), every)


def _method(node: cst.FunctionDef, line: int) -> Method:
    every = [*node.params.posonly_params, *node.params.params, *node.params.kwonly_params]
    aliases: dict[str, str] = {}
    for assign in assignments(node.body):
        alias = alias_of(assign)
        if alias is not None:
            aliases[alias[0]] = alias[1]
    optional = frozenset(item.name.value for item in every if _may_be_none(item))
    return Method(node.name.value, line, node, tuple(item.name.value for item in every), aliases, optional)


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
    for assign in assignments(start.body):
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


def method_reads(method: Method) -> set[str | tuple[str, str]]:
    """The dotted names and the (name, key) pairs that one method reads."""
    reader = _Reader({})
    reader.depth = 1  # positions are not asked for
    method.node.body.visit(reader)
    return {*reader.dotted, *reader.keyed}
