"""The Python expressions of a scope: what switches it on, what names the layer.

They are taken from what the method and its class really have. Where nothing says it, the answer is a Doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import libcst as cst

from skadvisor.plan.patch.placement import Doubt, Place
from skadvisor.plan.patch.structure import (
    Method,
    ModelClass,
    Source,
    dotted_name,
)
from skadvisor.text.messages import Message, _

ENABLE = "enable_superkernel"
#: Names of the layer's number, as modeling files use them.
_LAYER_NUMBERS = ("layer_idx", "layer_id", "layer_index", "layer_number", "layer_num")
#: parameter of __init__ -> how the switch is read from it. Source: cann-recipes (new and old form), published template.
_SWITCHES = {
    "infer_config": f'infer_config.model_config.custom_params.get("{ENABLE}", False)',
    "runner_settings": f'runner_settings.get("model_config", {{}}).get("{ENABLE}", False)',
    "config": f'getattr(config, "{ENABLE}", False)',
}


@dataclass(frozen=True, eq=False)
class Switch:
    """`expression` reads the switch in the method; `assignments` have to be added to `__init__` of `owner` for it."""

    expression: str
    owner: ModelClass | None = None
    assignments: tuple[str, ...] = ()


def find_switch(source: Source, place: Place, dialect: str) -> Switch | Doubt:
    """How the method learns that SuperKernel is on.

    The helper of cann-recipes is switched by its own configuration: the model's `config` never has the entry there.
    """
    family = source.family(place.model_class)
    if any(_stores(item, ENABLE) for item in family):
        return Switch(f"self.{ENABLE}")
    owner = next((item for item in family if "__init__" in item.methods), None)
    if owner is None or owner.methods["__init__"].suite is None:
        return Doubt(
            Message(
                _("{name} has no __init__ here in which self.{switch} could be set"), name=family[0].name, switch=ENABLE
            )
        )
    start = owner.methods["__init__"]
    for name, expression in _switch_expressions(source):
        if name in start.parameters and not (dialect == "recipes" and expression == _SWITCHES["config"]):
            guard = f"{name} is not None and " if name in start.optional and name != "config" else ""
            return Switch(f"self.{ENABLE}", owner, (f"self.{ENABLE} = {guard}{expression}",))
    return Doubt(
        Message(
            _("__init__ of {name} takes no configuration from which self.{switch} could be set"),
            name=owner.name,
            switch=ENABLE,
        )
    )


def _switch_expressions(source: Source) -> list[tuple[str, str]]:
    """(parameter needed, expression): first as other classes of the file write it, then the known forms."""
    written: list[tuple[str, str]] = []
    for item in source.classes.values():
        start = item.methods.get("__init__")
        if start is None:
            continue
        for value in _values_of(start, ENABLE):
            root = _root_name(value)
            if root in start.parameters and root != "self":
                written.append((root, source.module.code_for_node(value)))
    return [pair for pair in written if "\n" not in pair[1]] + list(_SWITCHES.items())


@lru_cache(maxsize=20_000)
def _values_of(method: Method, attribute: str) -> list[cst.BaseExpression]:
    values: list[cst.BaseExpression] = []

    class Finder(cst.CSTVisitor):
        def visit_Assign(self, node: cst.Assign) -> None:
            if any(dotted_name(target.target) == ("self", attribute) for target in node.targets):
                values.append(node.value)

    method.node.visit(Finder())
    return values


def _root_name(value: cst.BaseExpression) -> str:
    """`infer_config.model_config.custom_params.get("x")` -> infer_config; empty for anything less plain."""
    while not isinstance(value, cst.Name):
        if isinstance(value, cst.Call):
            if not all(isinstance(argument.value, (cst.SimpleString, cst.Name)) for argument in value.args):
                return ""
            value = value.func
        elif isinstance(value, (cst.Attribute, cst.Subscript)):
            value = value.value
        else:
            return ""
    return value.value


def _stores(model_class: ModelClass, attribute: str) -> bool:
    return any(_values_of(method, attribute) for method in model_class.methods.values())


def operand(expression: str) -> str:
    """The user's expression, in brackets unless it binds at least as tightly as `and`. Raises ValueError if none."""
    try:
        parsed = cst.parse_expression(expression)
    except cst.ParserSyntaxError as error:
        raise ValueError(f"not a Python expression: {expression}") from error
    loose = isinstance(parsed, (cst.IfExp, cst.Lambda, cst.NamedExpr, cst.Tuple)) or (
        isinstance(parsed, cst.BooleanOperation) and isinstance(parsed.operator, cst.Or)
    )
    return f"({expression.strip()})" if loose and not parsed.lpar else expression.strip()


@dataclass(frozen=True, eq=False)
class Label:
    """`expression` names the scope; `owner` and `assignments` as in Switch."""

    expression: str
    per_layer: bool
    owner: ModelClass | None = None
    assignments: tuple[str, ...] = ()


def name_scope(source: Source, place: Place, base: str) -> Label:
    """A name per layer (`base_layer_3`) where the class knows its number, else one name for all layers.

    Layers that share a name count as one scope that the compiler cuts apart again; it works, but logs say less.
    """
    family = source.family(place.model_class)
    for number in _LAYER_NUMBERS:
        if any(_stores(item, number) for item in family):
            return Label(f'f"{base}_layer_{{self.{number}}}"', True)
    owner = next((item for item in family if "__init__" in item.methods), None)
    if owner is not None and owner.methods["__init__"].suite is not None:
        for number in _LAYER_NUMBERS:
            if number in owner.methods["__init__"].parameters:
                return Label(f'f"{base}_layer_{{self.{number}}}"', True, owner, (f"self.{number} = {number}",))
    return Label(f'"{base}"', False)
