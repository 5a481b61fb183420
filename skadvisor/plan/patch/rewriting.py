"""Putting a scope into the parsed source: statements are enclosed, `__init__` and the imports completed.

Only nodes are moved and added; libcst keeps every other byte, comments and line ends included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import libcst as cst
import libcst.matchers as m

from skadvisor.plan.patch import dialects
from skadvisor.plan.patch.dialects import Dialect, Scope
from skadvisor.plan.patch.placement import Doubt, Place, doubt
from skadvisor.plan.patch.structure import ModelClass, contains, dotted_name, nodes
from skadvisor.text.messages import Message, _

#: Holds what a `return` inside a scope would have returned, where the scope has to be closed before it.
_RESULT = "superkernel_result"


@dataclass(frozen=True, eq=False)
class Edit:
    """One scope at one place, with the assignments that `__init__` of some classes needs for it.

    `opening` is a statement for the top of the method, in whose own suite the place is then. `notes` are for readers.
    """

    place: Place
    scope: Scope
    assignments: tuple[tuple[ModelClass, str], ...] = ()
    opening: str | None = None
    notes: tuple[Message, ...] = ()


def rewrite(module: cst.Module, edits: Sequence[Edit], dialect: Dialect) -> cst.Module | Doubt:
    """The module with all edits made, or a Doubt where a pair of calls could not enclose the statements."""
    torchair = _name_of_torchair(module)
    suites: dict[int, cst.IndentedBlock] = {}
    for edit in edits:
        enclosed = _enclose(module, edit, dialect, torchair)
        if isinstance(enclosed, Doubt):
            return enclosed
        suite = edit.place.suite
        before = list(suite.body[: edit.place.first])
        if edit.opening is not None:
            before.insert(1 if before and _is_docstring(before[0]) else 0, _statement(f"{edit.opening}\n"))
        suites[id(suite)] = suite.with_changes(body=[*before, *enclosed, *suite.body[edit.place.last + 1 :]])
    needed: dict[ModelClass, dict[str, None]] = {}
    for owner, line in (pair for edit in edits for pair in edit.assignments):
        needed.setdefault(owner, {})[line] = None
    for owner, lines in needed.items():
        start = owner.methods["__init__"].suite
        assert start is not None
        suites[id(start)] = _add_assignments(suites.get(id(start), start), lines)
    touched = {owner.name for owner in (*needed, *(edit.place.method.owner for edit in edits))}
    replacer = _SuiteReplacer(suites)
    body = [
        item if isinstance(item, cst.ClassDef) and item.name.value not in touched else item.visit(replacer)
        for item in module.body
    ]
    return _add_imports(module.with_changes(body=body), dialect)


class _SuiteReplacer(cst.CSTTransformer):
    def __init__(self, suites: dict[int, cst.IndentedBlock]) -> None:
        self.suites = suites

    def leave_IndentedBlock(self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock) -> cst.BaseSuite:
        return self.suites.get(id(original_node), updated_node)


def _enclose(module: cst.Module, edit: Edit, dialect: Dialect, torchair: str) -> list[cst.BaseStatement] | Doubt:
    statements = list(edit.place.statements)
    blank, statements[0] = _split_blank_lines(statements[0])
    if dialect in dialects.WITH_BLOCK:
        header = dialects.with_header(dialect, edit.scope, torchair, module.default_indent)
        opened = _statement(f"{header}\n    pass\n")
        assert isinstance(opened, cst.With)
        block = opened.body.with_changes(body=statements)
        return [opened.with_changes(body=block, leading_lines=blank)]
    begin, end = (_statement(text) for text in dialects.pair_calls(edit.scope))
    if _rebinds(edit.scope.condition, statements):
        return doubt(
            _("{place} changes inside the scope what its begin and end are decided by ({condition})"),
            place=edit.place.title,
            condition=edit.scope.condition,
        )
    closing = _EndBeforeReturn(end)
    inside: list[cst.BaseStatement] = []
    for item in statements:
        changed: Any = item.visit(closing)
        inside += changed if isinstance(changed, cst.FlattenSentinel) else [changed]
    if closing.unclosed:
        return doubt(
            _("{place} returns from inside the scope, which would leave a begin without its end"),
            place=edit.place.title,
        )
    returns = isinstance(inside[-1], cst.SimpleStatementLine) and isinstance(inside[-1].body[-1], cst.Return)
    return [begin.with_changes(leading_lines=blank), *inside, *(() if returns else (end,))]


class _EndBeforeReturn(cst.CSTTransformer):
    """Closes the pair before every `return`, once the value is worked out."""

    def __init__(self, end: cst.BaseStatement) -> None:
        self.end = end
        self.unclosed = False

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        return False

    def visit_Lambda(self, node: cst.Lambda) -> bool:
        return False

    def visit_SimpleStatementSuite(self, node: cst.SimpleStatementSuite) -> None:
        self.unclosed |= contains(node, cst.Return)  # on the line of its `if`

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement]:
        *before, last = updated_node.body
        if not isinstance(last, cst.Return):
            return updated_node
        if last.value is None:
            kept = [updated_node.with_changes(body=before)] if before else []
            returned = cst.SimpleStatementLine([last])
            return cst.FlattenSentinel([*kept, self.end, returned])
        result = cst.Assign([cst.AssignTarget(cst.Name(_RESULT))], last.value)
        kept = [updated_node.with_changes(body=[*before, result])]
        return cst.FlattenSentinel([*kept, self.end, _statement(f"return {_RESULT}\n")])


def _rebinds(condition: str, statements: list[cst.BaseStatement]) -> bool:
    """Whether a statement binds a name or attribute of the condition: the end would then not follow its begin."""
    found = [item for statement in statements for item in nodes(statement, cst.AssignTarget)]
    targets: list[cst.CSTNode] = [item.target for item in found]
    for target in list(targets):
        if isinstance(target, (cst.Tuple, cst.List)):
            targets += [item.value for item in target.elements]
    return bool({".".join(dotted_name(target)) for target in targets} & set(re.findall(r"[\w.]+", condition)))


def _split_blank_lines(statement: cst.BaseStatement) -> tuple[list[cst.EmptyLine], cst.BaseStatement]:
    """Blank lines before the first comment stay in front of the scope; comments go with their statement."""
    lines: list[cst.EmptyLine] = list(getattr(statement, "leading_lines", ()))
    count = next((i for i, line in enumerate(lines) if line.comment is not None), len(lines))
    return lines[:count], statement.with_changes(leading_lines=lines[count:])


def _add_assignments(suite: cst.IndentedBlock, lines: Iterable[str]) -> cst.IndentedBlock:
    """Put them behind `super().__init__(...)`, or at the end where that is not called."""
    body = list(suite.body)
    place = next((i + 1 for i, statement in enumerate(body) if _calls_super(statement)), len(body))
    added = [_statement(f"{line}\n") for line in lines]
    return suite.with_changes(body=[*body[:place], *added, *body[place:]])


def _calls_super(statement: cst.CSTNode) -> bool:
    call = m.Expr(m.Call(func=m.Attribute(attr=m.Name("__init__"))))
    return m.matches(statement, m.SimpleStatementLine([call, m.ZeroOrMore()]))


def _add_imports(module: cst.Module, dialect: Dialect) -> cst.Module:
    missing = [line for line in dialects.IMPORTS[dialect] if not _is_imported(module, line)]
    body = list(module.body)
    head = next((i for i, item in enumerate(body) if isinstance(item, (cst.ClassDef, cst.FunctionDef))), len(body))
    simple = [i for i, item in enumerate(body[:head]) if isinstance(item, cst.SimpleStatementLine)]
    imports = [i for i in simple if contains(body[i], _IMPORTS)]
    place = imports[-1] + 1 if imports else 1 if body and _is_docstring(body[0]) else 0
    return module.with_changes(body=[*body[:place], *(_statement(f"{line}\n") for line in missing), *body[place:]])


_IMPORTS = (cst.Import, cst.ImportFrom)


def _is_docstring(statement: cst.CSTNode) -> bool:
    return m.matches(
        statement, m.SimpleStatementLine([m.Expr(m.SimpleString() | m.ConcatenatedString()), m.ZeroOrMore()])
    )


def _imported(node: cst.CSTNode) -> list[tuple[type[cst.CSTNode], str, str]]:
    """(kind of import, what is imported, the name that it gets) of the statements at the top level of a module."""
    body = node.body if isinstance(node, cst.Module) else [node]
    return [
        (type(small), ".".join(dotted_name(item.name)), item.evaluated_alias or "")
        for line in body
        if isinstance(line, cst.SimpleStatementLine)
        for small in line.body
        if isinstance(small, _IMPORTS) and not isinstance(small.names, cst.ImportStar)
        for item in small.names
    ]


def _is_imported(module: cst.Module, line: str) -> bool:
    """Whether the file has the import at its top level already, whatever else it imports in the same statement.

    torchair is called by the name it was given; other modules only by their own.
    """
    ((kind, name, _alias),) = _imported(_statement(f"{line}\n"))
    return any(item[:2] == (kind, name) and (not item[2] or name == "torchair") for item in _imported(module))


def _name_of_torchair(module: cst.Module) -> str:
    aliases = [alias for kind, name, alias in _imported(module) if (kind, name) == (cst.Import, "torchair") and alias]
    return aliases[0] if aliases else "torchair"


def _statement(text: str) -> cst.BaseStatement:
    """A statement of our own; line ends and indentation become the module's."""
    parsed = cst.parse_statement(text)
    assert isinstance(parsed, cst.BaseStatement)
    return parsed
