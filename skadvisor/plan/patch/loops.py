"""Loops over the decoder layers: which `for` statements of a method run them one after the other."""

from __future__ import annotations

import libcst as cst

from skadvisor.plan.patch import roles
from skadvisor.plan.patch.structure import Method, dotted_name, nodes


def layer_loops(method: Method) -> list[tuple[cst.IndentedBlock, int]]:
    """The loops of a method that run the decoder layers, as (suite, place in it), also inside `if` and `with`."""
    found: list[tuple[cst.IndentedBlock, int]] = []
    within: set[int] = set()
    for suite in nodes(method.node.body, cst.IndentedBlock, (cst.FunctionDef, cst.ClassDef)):
        for index, statement in enumerate(suite.body if id(suite) not in within else ()):
            if isinstance(statement, cst.For) and _runs_layers(statement, method):
                found.append((suite, index))
                within.update(id(inner) for inner in nodes(statement, cst.IndentedBlock))
    return found


def _runs_layers(loop: cst.For, method: Method) -> bool:
    """Whether the loop goes over a layer list of self and calls what it takes from it."""
    over, taken = (_names_in(node) for node in (loop.iter, loop.target))
    lists = any(roles.is_layer_list(name) or roles.is_layer_list(method.aliases.get(name, "")) for name in over)
    calls = [call.func for call in nodes(loop.body, cst.Call)]
    if lists and any(name and name[0] in taken for name in map(_called, calls)):
        return True
    # By an index: `self.layers[i](...)`, or `layer = self.layers[i]`.
    picked = [call.value for call in calls if isinstance(call, cst.Subscript)]
    picked += [item.value.value for item in nodes(loop.body, cst.Assign) if isinstance(item.value, cst.Subscript)]
    names = [name for name in map(dotted_name, picked) if len(name) == 2 and name[0] == "self"]
    return any(roles.is_layer_list(name) for _self, name in names) and (lists or any("layer" in name for name in over))


def _called(function: cst.BaseExpression) -> tuple[str, ...]:
    """The name of what a call runs, with `forward` and `decode` of it; empty for other calls."""
    if isinstance(function, cst.Name):
        return (function.value,)
    named = isinstance(function, cst.Attribute) and function.attr.value in ("forward", "decode")
    return dotted_name(function.value) if named else ()  # type: ignore[attr-defined]


def _names_in(node: cst.CSTNode) -> set[str]:
    return {name.value for name in nodes(node, cst.Name)}
