"""The Python expressions of a scope: what switches it on, what names the layer.

They are taken from what the method and its class really have. Where nothing says it, the answer is a Doubt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import libcst as cst

from skadvisor.plan.patch.placement import Doubt, Place, doubt
from skadvisor.plan.patch.structure import ModelClass, Source
from skadvisor.text.messages import _

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
class Expression:
    """Python text that is true in the method once the lines of `needs` stand in `__init__` of their class."""

    text: str
    needs: tuple[tuple[ModelClass, str], ...] = ()


def find_switch(source: Source, place: Place, dialect: str) -> Expression | Doubt:
    """How the method learns that SuperKernel is on.

    The helper of cann-recipes is switched by its own configuration: the model's `config` never has the entry there.
    """
    family = source.family(place.method.owner)
    switch = f"self.{ENABLE}"
    if _stores(family, ENABLE):
        return Expression(switch)
    owner = _initialised(family)
    if owner is None:
        reason = _("{name} has no __init__ here in which self.{switch} could be set")
        return doubt(reason, name=family[0].name, switch=ENABLE)
    start = owner.methods["__init__"]
    for name, expression in _switch_expressions(source):
        if name in start.parameters and not (dialect == "recipes" and expression == _SWITCHES["config"]):
            guard = f"{name} is not None and " if name in start.optional and name != "config" else ""
            return Expression(switch, ((owner, f"{switch} = {guard}{expression}"),))
    reason = _("__init__ of {name} takes no configuration from which self.{switch} could be set")
    return doubt(reason, name=owner.name, switch=ENABLE)


def _initialised(family: Sequence[ModelClass]) -> ModelClass | None:
    """The nearest class with an `__init__`, if lines can be added to that."""
    owner = next((item for item in family if "__init__" in item.methods), None)
    return owner if owner is not None and owner.methods["__init__"].suite is not None else None


def _switch_expressions(source: Source) -> list[tuple[str, str]]:
    """(parameter needed, expression): first as other classes of the file write it, then the known forms."""
    starts = [item.methods["__init__"] for item in source.classes.values() if "__init__" in item.methods]
    written = [
        (root, text)
        for start in starts
        for value in start.assigned.get(ENABLE, ())
        if (root := _root_name(value)) in start.parameters and root != "self"
        if "\n" not in (text := source.module.code_for_node(value))
    ]
    return [*written, *_SWITCHES.items()]


def _stores(family: Sequence[ModelClass], attribute: str) -> bool:
    return any(attribute in method.assigned for item in family for method in item.methods.values())


def _root_name(value: cst.BaseExpression) -> str:
    """`infer_config.model_config.custom_params.get("x")` -> infer_config; empty for anything less plain."""
    if isinstance(value, cst.Name):
        return value.value
    if isinstance(value, (cst.Attribute, cst.Subscript)):
        return _root_name(value.value)
    plain = isinstance(value, cst.Call) and all(
        isinstance(argument.value, (cst.SimpleString, cst.Name)) for argument in value.args
    )
    return _root_name(value.func) if plain else ""  # type: ignore[attr-defined]


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


def name_scope(source: Source, place: Place, base: str) -> Expression:
    """A name per layer (`base_layer_3`) where the class knows its number, else one name for all layers.

    Layers that share a name count as one scope that the compiler cuts apart again; it works, but logs say less.
    """
    family = source.family(place.method.owner)
    owner = _initialised(family)
    for number in _LAYER_NUMBERS:
        if _stores(family, number):
            return Expression(f'f"{base}_layer_{{self.{number}}}"')
    for number in _LAYER_NUMBERS:
        if owner is not None and number in owner.methods["__init__"].parameters:
            return Expression(f'f"{base}_layer_{{self.{number}}}"', ((owner, f"self.{number} = {number}"),))
    return Expression(f'"{base}"')
