"""Where in a modeling file the scope of a template goes: which statements of which method it holds.

Each rule looks at one class and answers a `Place`, or a `Doubt` with what stands in the way. Nothing is guessed:
two equal candidates are a doubt, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import libcst as cst

from skadvisor.plan.patch import roles
from skadvisor.plan.patch.loops import layer_loops
from skadvisor.plan.patch.structure import Method, ModelClass, Source, Uses, contains
from skadvisor.text.messages import Message, _

#: Methods in which a decode step starts, the most specific first.
_ENTRIES = ("decode", "forward_decode", "decode_forward", "forward")


@dataclass(frozen=True, eq=False)
class Place:
    """Statements `first` to `last` (both in) of `suite` in `method` of `model_class`. `notes` are for the reader."""

    model_class: ModelClass
    method: Method
    suite: cst.IndentedBlock
    first: int
    last: int
    notes: tuple[Message, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.model_class.name}.{self.method.name}"

    @property
    def statements(self) -> tuple[cst.BaseStatement, ...]:
        return tuple(self.suite.body[self.first : self.last + 1])


@dataclass(frozen=True)
class Doubt:
    """Why no place was chosen, and what was seen."""

    reason: Message
    seen: tuple[Message, ...] = ()


#: Looks at the given methods of a class, in this order.
Rule = Callable[[ModelClass, Sequence[Method]], "Place | Doubt | None"]


def find_places(
    source: Source, template: str, variant: str, wanted: tuple[str, ...], methods: tuple[str, ...] = ()
) -> list[Place] | Doubt:
    """The places of a template's scope. `wanted` names the classes to look at, `methods` the methods; empty means any.

    Several classes that fit are a doubt unless they are named, because the file does not say which one runs; but where
    one class builds them all, as layers of two kinds of attention do, each gets its scope. A class that decode can go
    through without the place is a doubt, too.
    """
    rule = _RULES.get((template, variant)) or _RULES[template, ""]
    missing = [name for name in wanted if name not in source.classes]
    if missing:
        return Doubt(Message(_("the file has no class {name}"), name=", ".join(missing)), _list_classes(source))
    found = {
        name: _look(rule, source, model_class, methods)
        for name, model_class in source.classes.items()
        if (name in wanted) or (not wanted and roles.is_decoder_class(name))
    }
    places = [place for place in found.values() if isinstance(place, Place)]
    doubts = [doubt for doubt in found.values() if isinstance(doubt, Doubt)]
    unfit = [name for name in wanted if found[name] is None]
    if unfit:
        return Doubt(
            Message(_("{name} does not have the parts that this template encloses"), name=", ".join(unfit)),
            _list_classes(source),
        )
    if doubts:
        return doubts[0]
    if not places:
        return Doubt(_NOTHING[template], _list_classes(source))
    names = {place.model_class.name for place in places}
    together = any(names <= item.builds for item in source.classes.values())
    if len(places) > 1 and not (wanted or together):
        seen = tuple(Message(_("{place}, line {line}"), place=place.title, line=place.method.line) for place in places)
        return Doubt(Message(_("several classes fit, and the file does not say which of them runs")), seen)
    return places


def _look(rule: Rule, source: Source, model_class: ModelClass, methods: tuple[str, ...]) -> Place | Doubt | None:
    """The place in one class, or a Doubt where decode may enter other methods with the same parts past the place."""
    if methods:
        return rule(model_class, [model_class.methods[name] for name in methods if name in model_class.methods])
    place = rule(model_class, _entries(model_class))
    if not isinstance(place, Place):
        return place
    beside = [
        method
        for method in model_class.methods.values()
        if method.name in source.part_calls
        and method.name not in (*_ENTRIES, place.method.name, "__init__")
        and not roles.is_prefill(method.name)
        and rule(model_class, [method]) is not None
    ]
    if not beside:
        return place
    return _several_ways(model_class, [place.method, *beside])


def _several_ways(model_class: ModelClass, methods: Sequence[Method]) -> Doubt:
    seen = tuple(
        Message(_("{place}, line {line}"), place=f"{model_class.name}.{method.name}", line=method.line)
        for method in methods
    )
    reason = _("several ways lead through {name}; say with --method which one decode takes")
    return Doubt(Message(reason, name=model_class.name), seen)


def _list_classes(source: Source) -> tuple[Message, ...]:
    return tuple(
        Message(_("class {name}, line {line}"), name=item.name, line=item.line) for item in source.classes.values()
    )


_NOTHING = {
    "attention-only": Message(_("no class with query, key and value projections and an output projection was found")),
    "moe-only": Message(_("no class with a router and experts was found")),
    "full-model": Message(_("no loop over the decoder layers was found")),
    "per-block": Message(_("no decoder layer class (a norm, an attention, a feed-forward block) was found")),
}


def _place_attention(model_class: ModelClass, methods: Sequence[Method]) -> Place | Doubt | None:
    """Variant A: from the first q/k/v projection to the output projection, where they are called."""

    def projects_in(uses: Uses) -> bool:
        return any(map(roles.is_input_projection, uses.attributes))

    def projects_out(uses: Uses) -> bool:
        return any(map(roles.is_output_projection, uses.attributes))

    for method in methods:
        uses = model_class.uses(method.node.body, method)
        if projects_in(uses) and projects_out(uses):
            first = _first(model_class, method, projects_in)
            last = _last(model_class, method, projects_out)
            return _without_mlp(_range(model_class, method, first, last))
    return None


def _without_mlp(place: Place | Doubt) -> Place | Doubt:
    """A place whose statements hold no feed-forward block; a Doubt where one of them does both."""
    if isinstance(place, Doubt):
        return place
    if any(_feeds_forward(place.model_class.uses(item, place.method)) for item in place.statements):
        return Doubt(
            Message(
                _("in {place} one statement holds attention and feed-forward block, so a scope would hold both"),
                place=place.title,
            )
        )
    return place


def _place_attention_in_layer(model_class: ModelClass, methods: Sequence[Method]) -> Place | Doubt | None:
    """Variant B: from the input norm through the attention, in the decoder layer."""

    def attends(uses: Uses) -> bool:
        return any(roles.is_attention(name, model_class) for name in uses.attributes)

    for method in methods:
        uses = model_class.uses(method.node.body, method)
        if not attends(uses) or _is_attention_class(model_class, method):
            inside = _place_attention(model_class, [method])  # the projections may stand in the layer itself
            if inside is None or not (_normalises(uses) and _feeds_forward(uses)):
                continue
            if isinstance(inside, Doubt):
                return inside
            start, end = inside.first, inside.last
        elif not _normalises(uses):
            continue
        else:
            found = _first(model_class, method, attends), _last(model_class, method, attends)
            if found[0] is None or found[1] is None:
                return _range(model_class, method, *found)
            start, end = found[0], found[1]
        return _with_norm(model_class, method, start, end)
    return None


def _normalises(uses: Uses) -> bool:
    return any(map(roles.is_norm, uses.attributes))


def _feeds_forward(uses: Uses) -> bool:
    return any(map(roles.is_mlp, uses.attributes))


def _with_norm(model_class: ModelClass, method: Method, first: int, last: int) -> Place | Doubt:
    """The statements of the attention, and the norm before them."""
    between = _uses_of(model_class, method, first + 1, last + 1)
    if any(_feeds_forward(item) or _normalises(item) for item in between):
        return Doubt(
            Message(
                _("{place} attends more than once, with a norm or a feed-forward block in between"),
                place=f"{model_class.name}.{method.name}",
            )
        )
    before = [i for i, item in enumerate(_uses_of(model_class, method, 0, first)) if _normalises(item)]
    notes: tuple[Message, ...] = ()
    if before:
        first = before[-1]
    elif not _normalises(_uses_of(model_class, method, first, first + 1)[0]):
        notes = (Message(_("no norm comes before the attention here, so the scope holds the attention alone")),)
    return _without_mlp(_range(model_class, method, first, last, notes))


def _is_attention_class(model_class: ModelClass, method: Method) -> bool:
    """The attention block itself often calls its core `self.attn`; it is no decoder layer."""
    uses = model_class.uses(method.node.body, method).attributes
    return any(map(roles.is_input_projection, uses)) and any(map(roles.is_output_projection, uses))


def _place_experts(model_class: ModelClass, methods: Sequence[Method], router: bool = False) -> Place | Doubt | None:
    """The experts of a MoE block with their dispatch and combine; the router stays outside unless it is asked for."""
    entries = [method for method in methods if _has_experts(model_class, method)]
    return _place_experts_in(model_class, entries[0], frozenset(), router) if entries else None


def _has_experts(model_class: ModelClass, method: Method) -> bool:
    uses = model_class.uses(method.node.body, method)
    router = any(map(roles.is_router, uses.applied))
    experts = any(roles.is_experts(name, model_class) for name in uses.attributes)
    return experts and (router or roles.routes(uses))


def _place_experts_in(
    model_class: ModelClass, method: Method, seen: frozenset[str], router: bool
) -> Place | Doubt | None:
    def works(uses: Uses) -> bool:
        return any(roles.is_experts(name, model_class) for name in uses.attributes)

    suite = method.suite
    if suite is None:
        return _one_line(model_class, method)
    uses = _uses_of(model_class, method, 0, len(suite.body))
    experts = [i for i, item in enumerate(uses) if works(item)]
    routers = [i for i, item in enumerate(uses) if any(map(roles.is_router, item.applied))]
    routers = routers or [i for i, item in enumerate(uses[: experts[0] + 1]) if roles.routes(item)]
    if router or (routers and experts and routers[-1] < experts[0]):
        start = min(routers + experts) if router else routers[-1] + 1
        chosen = [i for i, item in enumerate(uses) if i >= start and (works(item) or roles.exchanges(item))]
        shared = [i for i, item in enumerate(uses) if i >= start and any(map(roles.is_shared_experts, item.attributes))]
        return _range(model_class, method, start if router else min(chosen + shared), max(chosen + shared))
    # One statement routes and computes: look inside the methods it calls, prefill's left out.
    inner = [
        model_class.methods[name]
        for name in sorted(_called_methods(model_class, method))
        if name not in seen and not roles.is_prefill(name) and _has_experts(model_class, model_class.methods[name])
    ]
    if len(inner) == 1:
        return _place_experts_in(model_class, inner[0], seen | {method.name}, router)
    if inner:
        return _several_ways(model_class, inner)
    return Doubt(
        Message(
            _("in {place} the router cannot be told apart from the experts, so it cannot be left outside"),
            place=f"{model_class.name}.{method.name}",
        )
    )


def _called_methods(model_class: ModelClass, method: Method) -> set[str]:
    return {name for name in model_class.uses(method.node.body, method).attributes if name in model_class.methods}


def _place_loop(model_class: ModelClass, methods: Sequence[Method]) -> Place | Doubt | None:
    """The loop over the decoder layers, with embedding and final norm outside."""
    named = [method for method in methods if not roles.is_prefill(method.name)]
    others = [
        method for method in model_class.methods.values() if method not in named and methods == _entries(model_class)
    ]
    looping = [
        (method, loops)
        for method in (*named, *others)
        if not roles.is_prefill(method.name) and method.name != "__init__" and (loops := layer_loops(method))
    ]
    if not looping:
        return None
    method, loops = looping[0]
    # `decode` says by its name that it is the way; else every method that loops may be.
    if (len(looping) > 1 and "decode" not in method.name) or len(loops) > 1:
        if len(looping) > 1:
            return _several_ways(model_class, [item for item, _loops in looping])
        reason = _("{place} loops over the layers {count} times")
        return Doubt(Message(reason, place=f"{model_class.name}.{method.name}", count=len(loops)))
    suite, index = loops[0]
    return _checked(Place(model_class, method, suite, index, index))


def _place_block(model_class: ModelClass, methods: Sequence[Method]) -> Place | Doubt | None:
    """A whole decoder layer: from the first statement that works with a part of it to the last."""
    for method in methods:
        attributes = model_class.uses(method.node.body, method).attributes
        parts = {
            name
            for name in attributes
            if roles.is_norm(name) or roles.is_mlp(name) or roles.is_attention(name, model_class)
        }
        whole = any(map(roles.is_norm, parts)) and any(map(roles.is_mlp, parts))
        if not whole or not any(roles.is_attention(name, model_class) for name in parts):
            continue

        def works(uses: Uses, parts: set[str] = parts) -> bool:
            return bool(parts & uses.attributes)

        first, last = _first(model_class, method, works), _last(model_class, method, works)
        if first is not None and last is not None and method.suite is not None:
            first = min(first, _first(model_class, method, lambda uses: bool(uses.applied)) or first)
            last = max(last, _last_computation(method.suite))
        return _range(model_class, method, first, last)
    return None


def _last_computation(suite: cst.IndentedBlock) -> int:
    """The last statement that computes something (a residual add after the MLP, also in the `return` itself)."""
    for index in range(len(suite.body) - 1, -1, -1):
        if contains(suite.body[index], (cst.BinaryOperation, cst.Call)):
            return index
    return 0


def _entries(model_class: ModelClass) -> list[Method]:
    return [model_class.methods[name] for name in _ENTRIES if name in model_class.methods]


def _uses_of(model_class: ModelClass, method: Method, first: int, last: int) -> list[Uses]:
    body = method.suite.body if method.suite else ()
    return [model_class.uses(statement, method) for statement in body[first:last]]


def _first(model_class: ModelClass, method: Method, wanted: Callable[[Uses], bool]) -> int | None:
    uses = _uses_of(model_class, method, 0, 10_000)
    return next((index for index, item in enumerate(uses) if wanted(item)), None)


def _last(model_class: ModelClass, method: Method, wanted: Callable[[Uses], bool]) -> int | None:
    uses = _uses_of(model_class, method, 0, 10_000)
    return next((index for index in range(len(uses) - 1, -1, -1) if wanted(uses[index])), None)


def _range(
    model_class: ModelClass, method: Method, first: int | None, last: int | None, notes: tuple[Message, ...] = ()
) -> Place | Doubt:
    if method.suite is None:
        return _one_line(model_class, method)
    if first is None or last is None or last < first:
        return Doubt(
            Message(
                _("in {place} the parts come in an order that this template does not know"),
                place=f"{model_class.name}.{method.name}",
            )
        )
    return _checked(Place(model_class, method, method.suite, first, last, notes))


def _checked(place: Place) -> Place | Doubt:
    """Refuse methods that give up control in mid-scope."""
    if place.method.node.asynchronous is not None or any(
        contains(statement, (cst.Yield, cst.Await)) for statement in place.statements
    ):
        return Doubt(Message(_("{place} yields or awaits, which no captured graph can hold"), place=place.title))
    return place


def _one_line(model_class: ModelClass, method: Method) -> Doubt:
    return Doubt(
        Message(
            _("the body of {place} stands on one line; give it lines of its own first"),
            place=f"{model_class.name}.{method.name}",
        )
    )


_RULES: dict[tuple[str, str], Rule] = {
    ("attention-only", "a"): _place_attention,
    ("attention-only", "b"): _place_attention_in_layer,
    ("moe-only", "b"): partial(_place_experts, router=True),
    ("moe-only", ""): _place_experts,
    ("full-model", ""): _place_loop,
    ("per-block", ""): _place_block,
}
