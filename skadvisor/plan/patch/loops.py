"""Loops over the decoder layers: which `for` statements of a method run them one after the other."""

from __future__ import annotations

from collections.abc import Iterable

import libcst as cst

from skadvisor.plan.patch import roles
from skadvisor.plan.patch.structure import Method, dotted_name


def layer_loops(method: Method) -> list[tuple[cst.IndentedBlock, int]]:
    """The loops of a method that run the decoder layers, as (suite, place in it), also inside `if` and `with`."""
    found: list[tuple[cst.IndentedBlock, int]] = []

    def search(suite: cst.BaseSuite) -> None:
        if not isinstance(suite, cst.IndentedBlock):
            return
        for index, statement in enumerate(suite.body):
            if isinstance(statement, cst.For) and _runs_layers(statement, method):
                found.append((suite, index))
            elif isinstance(statement, (cst.If, cst.With, cst.For, cst.While, cst.Try)):
                for inner in _suites(statement):
                    search(inner)

    search(method.node.body)
    return found


def _suites(statement: cst.If | cst.With | cst.For | cst.While | cst.Try) -> Iterable[cst.BaseSuite]:
    yield statement.body
    following: cst.CSTNode | None = getattr(statement, "orelse", None)
    while following is not None:
        yield following.body  # type: ignore[attr-defined]
        following = getattr(following, "orelse", None)


def _runs_layers(loop: cst.For, method: Method) -> bool:
    """Whether the loop goes over a layer list of self and calls what it takes from it."""
    over = _names_in(loop.iter)
    lists = {name for name in over if roles.is_layer_list(name)} | {
        method.aliases[name] for name in over if roles.is_layer_list(method.aliases.get(name, ""))
    }
    counts_layers = any("layer" in name for name in over)
    taken = set(_names_in(loop.target))
    calls = _Calls()
    loop.body.visit(calls)
    by_item = bool(lists) and any(name and name[0] in taken for name in calls.names)
    by_index = any(len(name) == 2 and name[0] == "self" and roles.is_layer_list(name[1]) for name in calls.subscripted)
    assigned = any(roles.is_layer_list(name) for name in calls.picked_layers)
    return by_item or ((bool(lists) or counts_layers) and (by_index or assigned))


class _Calls(cst.CSTVisitor):
    """Names called in a loop, and layer lists of self that an index picks from."""

    def __init__(self) -> None:
        self.names: list[tuple[str, ...]] = []
        self.subscripted: list[tuple[str, ...]] = []
        self.picked_layers: list[str] = []

    def visit_Call(self, node: cst.Call) -> None:
        if isinstance(node.func, cst.Name):
            self.names.append((node.func.value,))
        elif isinstance(node.func, cst.Attribute) and node.func.attr.value in ("forward", "decode"):
            self.names.append(dotted_name(node.func.value))
        elif isinstance(node.func, cst.Subscript):
            self.subscripted.append(dotted_name(node.func.value))

    def visit_Assign(self, node: cst.Assign) -> None:
        if isinstance(node.value, cst.Subscript):
            name = dotted_name(node.value.value)
            if len(name) == 2 and name[0] == "self":
                self.picked_layers.append(name[1])


def _names_in(node: cst.CSTNode) -> list[str]:
    class Names(cst.CSTVisitor):
        def __init__(self) -> None:
            self.found: list[str] = []

        def visit_Name(self, node: cst.Name) -> None:
            self.found.append(node.value)

    names = Names()
    node.visit(names)
    return names.found
