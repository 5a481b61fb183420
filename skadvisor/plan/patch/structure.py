"""What a modeling file holds: its classes, their methods, and which parts of `self` each statement works with.

Nothing is executed or imported; the source is read with libcst, so that every byte of it can be kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from skadvisor.plan.patch.dialects import SCOPE_CALLS

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

    attributes: frozenset[str]
    applied: frozenset[str]
    functions: frozenset[str]

    def __or__(self, other: Uses) -> Uses:
        return Uses(self.attributes | other.attributes, self.applied | other.applied, self.functions | other.functions)


@dataclass(frozen=True, eq=False)
class Method:
    """One function of a class; `optional` are the parameters that may be None.

    `suite` is None where the body stands on the line of the `def`.
    """

    name: str
    line: int
    node: cst.FunctionDef
    parameters: tuple[str, ...]
    aliases: dict[str, str]
    optional: frozenset[str] = frozenset()

    @property
    def suite(self) -> cst.IndentedBlock | None:
        return self.node.body if isinstance(self.node.body, cst.IndentedBlock) else None


@dataclass(frozen=True, eq=False)
class ModelClass:
    """One class of the file, with `parts`: attribute of self -> name of the class that `__init__` builds for it."""

    name: str
    line: int
    bases: tuple[str, ...]
    methods: dict[str, Method]
    parts: dict[str, str] = field(default_factory=dict)

    def uses(self, node: cst.CSTNode, method: Method) -> Uses:
        """What `node` (a part of `method`) works with, through the class's own methods as well."""
        return self._follow(node, method, frozenset({method.name}))

    def _follow(self, node: cst.CSTNode, method: Method, seen: frozenset[str]) -> Uses:
        found = _Collector(method.aliases)
        node.visit(found)
        total = Uses(frozenset(found.attributes), frozenset(found.applied), frozenset(found.functions))
        for name in sorted(found.attributes & self.methods.keys() - seen):
            called = self.methods[name]
            total = total | self._follow(called.node.body, called, seen | {name})
        return total


@dataclass(frozen=True, eq=False)
class Source:
    """A parsed modeling file.

    `attribute_reads` are dotted names that are read, `mapping_reads` the pairs (name, key) of `name["key"]` and
    `name.get("key")`, `part_calls` the methods that are called on a part: `self.self_attn.decode(...)`, `functions`
    what is called at all, by its last name.
    `scope_calls` are the calls that open a scope, with their line.
    """

    module: cst.Module
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


def read_source(content: bytes) -> Source:
    """Parse a file. Raises `libcst.ParserSyntaxError`, UnicodeDecodeError or LookupError where it is no Python."""
    module = cst.parse_module(content)
    wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
    positions = wrapper.resolve(PositionProvider)
    reader = _Reader(positions)
    module.visit(reader)
    return Source(
        module,
        reader.classes,
        tuple(reader.scope_calls),
        frozenset(reader.dotted),
        frozenset(reader.keyed),
        frozenset(reader.part_calls),
        frozenset(reader.functions),
    )


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


def contains(node: cst.CSTNode, kinds: type[cst.CSTNode] | tuple[type[cst.CSTNode], ...]) -> bool:
    """Whether a node of one of the kinds lies in `node`, functions and classes defined inside left out."""
    finder = _Finder(kinds)
    node.visit(finder)
    return finder.found


class _Finder(cst.CSTVisitor):
    def __init__(self, kinds: type[cst.CSTNode] | tuple[type[cst.CSTNode], ...]) -> None:
        self.kinds = kinds
        self.found = False

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, self.kinds):
            self.found = True
        return not self.found and not isinstance(node, (cst.FunctionDef, cst.ClassDef, cst.Lambda))


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
        return _alias(node) is None

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


class _Reader(cst.CSTVisitor):
    """Classes at module level (also under `if` and `try`), calls that open a scope, dotted names that are read."""

    def __init__(self, positions: object) -> None:
        self.positions = positions
        self.classes: dict[str, ModelClass] = {}
        self.scope_calls: list[tuple[int, str]] = []
        self.dotted: set[str] = set()
        self.keyed: set[tuple[str, str]] = set()
        self.part_calls: set[str] = set()
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
        return True

    def leave_FunctionDef(self, original_node: cst.FunctionDef) -> None:
        self.depth -= 1

    def visit_Call(self, node: cst.Call) -> bool:
        name = dotted_name(node.func)
        if name and name[-1] in SCOPE_CALLS and self.positions:
            self.scope_calls.append((self._line(node), ".".join(name)))
        self.functions.update(name[-1:])
        if len(name) > 1 and name != ("self", name[-1]):
            self.part_calls.add(name[-1])
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
        self.dotted.add(".".join(dotted_name(node)))
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
        return ModelClass(node.name.value, self._line(node), bases, methods, _parts(start.node) if start else {})


def _method(node: cst.FunctionDef, line: int) -> Method:
    every = [*node.params.posonly_params, *node.params.params, *node.params.kwonly_params]
    aliases: dict[str, str] = {}
    for assign in _assignments(node.body):
        alias = _alias(assign)
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


def _alias(node: cst.Assign) -> tuple[str, str] | None:
    """`name = self.part` (or `self.parts[i]`) as (name, part)."""
    if len(node.targets) != 1 or not isinstance(node.targets[0].target, cst.Name):
        return None
    name = dotted_name(node.value)
    return (node.targets[0].target.value, name[1]) if len(name) == 2 and name[0] == "self" else None


def _parts(start: cst.FunctionDef) -> dict[str, str]:
    parts: dict[str, str] = {}
    for assign in _assignments(start.body):
        built = _built_class(assign.value)
        for target in assign.targets:
            name = dotted_name(target.target)
            if built and len(name) == 2 and name[0] == "self":
                parts[name[1]] = built
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


def _assignments(body: cst.BaseSuite) -> Sequence[cst.Assign]:
    finder = _AssignFinder()
    body.visit(finder)
    return finder.found


class _AssignFinder(cst.CSTVisitor):
    def __init__(self) -> None:
        self.found: list[cst.Assign] = []

    def visit_Assign(self, node: cst.Assign) -> None:
        self.found.append(node)

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        return False


def assigned_names(statements: Iterable[cst.CSTNode]) -> set[str]:
    """Names that plain top-level assignments among the statements bind for certain."""
    names: set[str] = set()
    for statement in statements:
        if isinstance(statement, cst.SimpleStatementLine):
            for small in statement.body:
                if isinstance(small, cst.Assign):
                    for target in small.targets:
                        names.update(_target_names(target.target))
                elif isinstance(small, cst.AnnAssign) and small.value is not None:
                    names.update(_target_names(small.target))
    return names


def _target_names(target: cst.BaseExpression) -> set[str]:
    if isinstance(target, cst.Name):
        return {target.value}
    if isinstance(target, (cst.Tuple, cst.List)):
        return {name for element in target.elements for name in _target_names(element.value)}
    return set()


def method_reads(method: Method) -> set[str | tuple[str, str]]:
    """The dotted names and the (name, key) pairs that one method reads."""
    reader = _Reader({})
    reader.depth = 1  # positions are not asked for
    method.node.body.visit(reader)
    return {*reader.dotted, *reader.keyed}
