"""How a method tells decode from prefill: as it reads the phase itself, by the cache it has, or as the user says."""

from __future__ import annotations

import ast
import builtins
import re
from dataclasses import dataclass, replace

import libcst as cst

from skadvisor.plan.patch import roles
from skadvisor.plan.patch.expressions import operand
from skadvisor.plan.patch.placement import Doubt, Place, doubt
from skadvisor.plan.patch.reading import method_reads
from skadvisor.plan.patch.structure import Method, Source, Uses, assigned_names, dotted_name, nodes
from skadvisor.text.messages import Message, _

#: Objects that carry `is_prefill`, as cann-recipes passes them.
_METADATA = ("forward_metadata", "attn_metadata", "forward_context")
#: What a decode test is called where it is made at the top of the method.
_IS_DECODE = "superkernel_decode"
#: What transformers calls the cache that it hands down (`cache` from 5.24 on).
_CACHES = {"past_key_values", "past_key_value", "use_cache", "cache"}


@dataclass(frozen=True)
class DecodeTest:
    """`expression` is true in decode only; None where the method runs in decode only.

    `opening` is a statement for the top of the method where the test has to be made there, `note` is for the reader.
    """

    expression: str | None
    opening: str | None = None
    note: Message | None = None


def find_decode_test(source: Source, place: Place, given: str | None = None) -> DecodeTest | Doubt:
    """How the method knows that this pass is a decode step. `given` is what the user says, as an expression."""
    if given is not None:
        return _at_the_top(source, place, operand(given))
    method = place.method
    if "decode" in method.name:
        return DecodeTest(None)
    if "is_prefill" in method.parameters:
        return DecodeTest("not is_prefill")
    before = _bound_before(place)
    if "is_prefill" in before:
        return DecodeTest("not is_prefill")
    if "is_decode" in before or "is_decode" in method.parameters:
        return DecodeTest("is_decode")
    for name in _METADATA:
        if name in method.parameters:
            reading = _phase_reading(source, method, name)
            if reading is not None:
                return DecodeTest(f"{name} is not None and not {reading}")
    one = _one_token(source, place, before)
    if one is not None:
        test = _at_the_top(source, place, one) if "hidden_states" in method.parameters else DecodeTest(one)
        note = Message(_("one token per sequence is taken for decode ({test}), so drafts are not"), test=one)
        return replace(test, note=note) if isinstance(test, DecodeTest) else test
    bound = Message(_("bound there: {names}"), names=_listed({*method.parameters, *before}))
    reason = _("nothing in {place} tells decode from prefill; name a test of what is bound there with --decode-when")
    return doubt(reason, bound, place=place.title)


def check_names(source: Source, place: Place, expression: str) -> Doubt | None:
    """A Doubt where an expression of the user's has names that are not bound where the scope begins."""
    every = place.method.node.params
    stars = {item.name.value for item in (every.star_arg, every.star_kwarg) if isinstance(item, cst.Param)}
    here = {*place.method.parameters, *stars, *_bound_before(place)}
    unbound = _names(expression) - here - _names_of_module(source) - set(dir(builtins))
    if not unbound:
        return None
    bound = Message(_("bound there: {names}"), names=_listed(here))
    reason = _("{names} is not bound where the scope of {place} begins")
    return doubt(reason, bound, names=_listed(unbound), place=place.title)


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _names(expression: str) -> set[str]:
    tree = ast.parse(expression.strip(), mode="eval")
    return {item.id for item in ast.walk(tree) if isinstance(item, ast.Name)}


def _names_of_module(source: Source) -> set[str]:
    """The names that the module binds outside functions; a star import may bind any, so it binds none for certain."""
    tree = ast.parse(source.module.bytes)
    bound: set[str] = set()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound.add(node.name)
            continue
        if isinstance(node, ast.alias):
            bound.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
        waiting.extend(ast.iter_child_nodes(node))
    return bound


def _bound_before(place: Place) -> set[str]:
    """Names that the method binds for certain before the place."""
    suite = place.method.suite
    if suite is None:
        return set()
    top = place.first if place.suite is suite else _index_of(suite, place.suite)
    return assigned_names(suite.body[:top])


def _at_the_top(source: Source, place: Place, expression: str) -> DecodeTest | Doubt:
    """The test where the scope begins, or at the top of the method where a parameter in it is changed before."""
    missing = check_names(source, place, expression)
    if missing is not None:
        return missing
    changed = _names(expression) & set(place.method.parameters) & _bound_before(place)
    if not changed:
        return DecodeTest(expression)
    if place.suite is not place.method.suite:
        return doubt(_("{place} changes {names} before the scope"), place=place.title, names=_listed(changed))
    return DecodeTest(_IS_DECODE, f"{_IS_DECODE} = {expression}")


def _phase_reading(source: Source, method: Method, name: str) -> str | None:
    """How the metadata's phase is read: as the method does it, else as the file does; by its annotation at the last."""
    own = method_reads(method)
    ways = {f"{name}.is_prefill": f"{name}.is_prefill", (name, "is_prefill"): f'{name}["is_prefill"]'}
    for seen in (own, {*source.attribute_reads, *source.mapping_reads}):
        found = [text for way, text in ways.items() if way in seen]
        if len(found) == 1:
            return found[0]
    return f"{name}.is_prefill" if _is_metadata(method, name) and not _is_mapping(source, name) else None


def _one_token(source: Source, place: Place, before: set[str]) -> str | None:
    """The test for one token per sequence: as the class asks it itself, else by transformers' conventions."""
    code = _code(place.method)
    for name in re.findall(r"\w+, (\w+), \w+ = \w+\.(?:shape|size\(\))", code):
        asked = any(re.search(rf"\b{name} == 1\b", _code(method)) for method in place.method.owner.methods.values())
        if name in before and asked:
            return f"{name} == 1"
    return "hidden_states.shape[1] == 1" if _keeps_a_cache(source) and _is_three_dimensional(place) else None


def _code(method: Method) -> str:
    return cst.Module([]).code_for_node(method.node)


def _is_mapping(source: Source, name: str) -> bool:
    return any(item == name for item, _key in source.mapping_reads)


def _keeps_a_cache(source: Source) -> bool:
    """Whether the file is a decoder by transformers' conventions: a cache is handed down, and phases have no name."""
    given = {name for item in source.classes.values() for method in item.methods.values() for name in method.parameters}
    return bool(given & _CACHES) and not any("is_prefill" in name for name in given)


def _is_three_dimensional(place: Place) -> bool:
    """Whether hidden_states are [batch, tokens, width] in the method, as attention, layers and models get them.

    Expert blocks may get them flattened: there the method has to take the shape apart or flatten it itself.
    """
    if "hidden_states" not in {*place.method.parameters, *_bound_before(place)}:
        return False
    owner = place.method.owner
    if any(roles.is_layer_list(name) or roles.is_attention(name, owner) for name in owner.parts):
        return True
    flattens = re.search(
        r"\w+, \w+, \w+ = hidden_states\.(shape|size\(\))|hidden_states\.(view|reshape)\(-1,", _code(place.method)
    )
    return flattens is not None or roles.projects_out(Uses(frozenset(owner.parts)))


def _index_of(outer: cst.IndentedBlock, inner: cst.IndentedBlock) -> int:
    """The statement of `outer` in which `inner` lies."""
    places = enumerate(outer.body)
    return next((i for i, item in places if any(node is inner for node in nodes(item, cst.IndentedBlock))), 0)


def _is_metadata(method: Method, name: str) -> bool:
    """Whether the parameter's annotation says ForwardMetaData."""
    for parameter in (*method.node.params.params, *method.node.params.kwonly_params):
        if parameter.name.value == name and parameter.annotation is not None:
            return dotted_name(parameter.annotation.annotation)[-1:] == ("ForwardMetaData",)
    return False
