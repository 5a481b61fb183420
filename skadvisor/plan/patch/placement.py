"""Where in a modeling file the scope of a template goes: which statements of which method it holds.

Each rule looks at methods of one class and answers a `Place`, or a `Doubt` with what stands in the way. Nothing is
guessed: two equal candidates are a doubt, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import libcst as cst

from skadvisor.plan.patch import roles
from skadvisor.plan.patch.loops import layer_loops
from skadvisor.plan.patch.structure import Method, ModelClass, Source, Uses, contains
from skadvisor.text.messages import Message, _

#: Methods in which a decode step starts, the most specific first.
_ENTRIES = ("decode", "forward_decode", "decode_forward", "forward")


@dataclass(frozen=True, eq=False)
class Place:
    """Statements `first` to `last` (both in) of `suite` in `method`. `notes` are for the reader."""

    method: Method
    suite: cst.IndentedBlock
    first: int
    last: int
    notes: tuple[Message, ...] = ()

    @property
    def title(self) -> str:
        return self.method.title

    @property
    def statements(self) -> tuple[cst.BaseStatement, ...]:
        return tuple(self.suite.body[self.first : self.last + 1])


@dataclass(frozen=True)
class Doubt:
    """Why no place was chosen, and what was seen."""

    reason: Message
    seen: tuple[Message, ...] = ()


def doubt(template: str, *seen: Message, **values: Any) -> Doubt:
    """A Doubt from the sentence of its reason."""
    return Doubt(Message(template, **values), seen)


#: Looks at the given methods of a class, in this order.
Rule = Callable[[Sequence[Method]], "Place | Doubt | None"]


def find_places(
    source: Source, template: str, variant: str, wanted: tuple[str, ...], methods: tuple[str, ...] = ()
) -> list[Place] | Doubt:
    """The places of a template's scope. `wanted` names the classes to look at, `methods` the methods; empty means any.

    Several classes that fit are a doubt unless they are named, because the file does not say which one runs; but where
    one class builds them all, as layers of two kinds of attention do, each gets its scope. A class that decode can go
    through without the place is a doubt, too.
    """
    classes = tuple(
        Message(_("class {name}, line {line}"), name=item.name, line=item.line) for item in source.classes.values()
    )
    missing = [name for name in wanted if name not in source.classes]
    if missing:
        return doubt(_("the file has no class {name}"), *classes, name=", ".join(missing))
    rule = _RULES.get((template, variant)) or _RULES[template, ""]
    found = {
        name: _look(rule, source, model_class, methods)
        for name, model_class in source.classes.items()
        if (name in wanted) or (not wanted and roles.is_decoder_class(name))
    }
    unfit = [name for name in wanted if found[name] is None]
    if unfit:
        names = ", ".join(unfit)
        return doubt(_("{name} does not have the parts that this template encloses"), *classes, name=names)
    for answer in found.values():
        if isinstance(answer, Doubt):
            return answer
    places = [place for place in found.values() if isinstance(place, Place)]
    if not places:
        return doubt(_NOTHING[template], *classes)
    fitting = {place.method.owner.name for place in places}
    together = any(fitting <= item.builds for item in source.classes.values())
    if len(places) > 1 and not (wanted or together):
        seen = (place.method.where for place in places)
        return doubt(_("several classes fit, and the file does not say which of them runs"), *seen)
    return places


def _look(rule: Rule, source: Source, model_class: ModelClass, methods: tuple[str, ...]) -> Place | Doubt | None:
    """The place in one class, or a Doubt where decode may enter other methods with the same parts past the place."""
    own = model_class.methods
    ways = [own[name] for name in methods or _ENTRIES if name in own]
    if methods:
        return rule(ways)
    # A loop over the layers may stand in a method of any name.
    place = rule([*ways, *(item for item in own.values() if item not in ways)] if rule is _place_loop else ways)
    if not isinstance(place, Place):
        return place
    beside = [
        method
        for method in own.values()
        if method.name in source.part_calls
        and method.name not in (*_ENTRIES, place.method.name, "__init__")
        and not roles.is_prefill(method.name)
        and rule([method]) is not None
    ]
    return _several_ways([place.method, *beside]) if beside else place


def _several_ways(methods: Sequence[Method]) -> Doubt:
    reason = _("several ways lead through {name}; say with --method which one decode takes")
    return doubt(reason, *(method.where for method in methods), name=methods[0].owner.name)


_NOTHING = {
    "attention-only": _("no class with query, key and value projections and an output projection was found"),
    "moe-only": _("no class with a router and experts was found"),
    "full-model": _("no loop over the decoder layers was found"),
    "per-block": _("no decoder layer class (a norm, an attention, a feed-forward block) was found"),
}


def _place_attention(methods: Sequence[Method]) -> Place | Doubt | None:
    """Variant A: from the first q/k/v projection to the output projection, where they are called."""
    for method in methods:
        if roles.projects_in(method.uses) and roles.projects_out(method.uses):
            return _without_mlp(_range(method, _first(method, roles.projects_in), _last(method, roles.projects_out)))
    return None


def _without_mlp(place: Place | Doubt) -> Place | Doubt:
    """A place whose statements hold no feed-forward block; a Doubt where one of them does both."""
    if isinstance(place, Place) and any(roles.feeds_forward(place.method.uses_of(item)) for item in place.statements):
        both = _("in {place} one statement holds attention and feed-forward block, so a scope would hold both")
        return doubt(both, place=place.title)
    return place


def _place_attention_in_layer(methods: Sequence[Method]) -> Place | Doubt | None:
    """Variant B: from the input norm through the attention, in the decoder layer."""
    for method in methods:
        attends = partial(roles.attends, model_class=method.owner)
        # The attention block itself often calls its core `self.attn`; it is no decoder layer.
        projects = roles.projects_in(method.uses) and roles.projects_out(method.uses)
        if not attends(method.uses) or projects:
            inside = _place_attention([method])  # the projections may stand in the layer itself
            if inside is None or not (roles.normalises(method.uses) and roles.feeds_forward(method.uses)):
                continue
        elif not roles.normalises(method.uses):
            continue
        else:
            inside = _range(method, _first(method, attends), _last(method, attends))
        return inside if isinstance(inside, Doubt) else _with_norm(method, inside.first, inside.last)
    return None


def _with_norm(method: Method, first: int, last: int) -> Place | Doubt:
    """The statements of the attention, and the norm before them."""
    uses = method.statement_uses
    if any(roles.feeds_forward(item) or roles.normalises(item) for item in uses[first + 1 : last + 1]):
        return doubt(
            _("{place} attends more than once, with a norm or a feed-forward block in between"), place=method.title
        )
    before = [i for i in range(first) if roles.normalises(uses[i])]
    notes: tuple[Message, ...] = ()
    if not before and not roles.normalises(uses[first]):
        notes = (Message(_("no norm comes before the attention here, so the scope holds the attention alone")),)
    return _without_mlp(_range(method, before[-1] if before else first, last, notes))


def _place_experts(methods: Sequence[Method], router: bool = False) -> Place | Doubt | None:
    """The experts of a MoE block with their dispatch and combine; the router stays outside unless it is asked for."""
    entries = [method for method in methods if _has_experts(method)]
    return _place_experts_in(entries[0], frozenset(), router) if entries else None


def _has_experts(method: Method) -> bool:
    router = any(map(roles.is_router, method.uses.applied)) or roles.routes(method.uses)
    return router and roles.computes_experts(method.uses, method.owner)


def _place_experts_in(method: Method, seen: frozenset[str], router: bool) -> Place | Doubt | None:
    if method.suite is None:
        return _one_line(method)
    uses = list(enumerate(method.statement_uses))
    experts = [i for i, item in uses if roles.computes_experts(item, method.owner)]
    routers = [i for i, item in uses if any(map(roles.is_router, item.applied))]
    routers = routers or [i for i, item in uses[: experts[0] + 1] if roles.routes(item)]
    if router or (routers and experts and routers[-1] < experts[0]):
        start = min(routers + experts) if router else routers[-1] + 1
        held = [i for i, item in uses[start:] if i in experts or roles.exchanges(item) or roles.shares_experts(item)]
        return _range(method, start if router else held[0], held[-1])
    # One statement routes and computes: look inside the methods it calls, prefill's left out.
    own = method.owner.methods
    inner = [
        own[name]
        for name in sorted(method.uses.attributes & own.keys() - seen)
        if not roles.is_prefill(name) and _has_experts(own[name])
    ]
    if len(inner) == 1:
        return _place_experts_in(inner[0], seen | {method.name}, router)
    if inner:
        return _several_ways(inner)
    return doubt(
        _("in {place} the router cannot be told apart from the experts, so it cannot be left outside"),
        place=method.title,
    )


def _place_loop(methods: Sequence[Method]) -> Place | Doubt | None:
    """The loop over the decoder layers, with embedding and final norm outside."""
    ways = [method for method in methods if not roles.is_prefill(method.name) and method.name != "__init__"]
    looping = [(method, loops) for method in ways if (loops := layer_loops(method))]
    if not looping:
        return None
    method, loops = looping[0]
    # `decode` says by its name that it is the way; else every method that loops may be.
    if len(looping) > 1 and ("decode" not in method.name or len(loops) > 1):
        return _several_ways([item for item, _loops in looping])
    if len(loops) > 1:
        return doubt(_("{place} loops over the layers {count} times"), place=method.title, count=len(loops))
    suite, index = loops[0]
    return _checked(Place(method, suite, index, index))


def _place_block(methods: Sequence[Method]) -> Place | Doubt | None:
    """A whole decoder layer: from the first statement that works with a part of it to the last."""
    for method in methods:
        kinds = (roles.normalises, roles.feeds_forward, partial(roles.attends, model_class=method.owner))
        if not all(kind(method.uses) for kind in kinds):
            continue

        def works(uses: Uses, kinds: Sequence[Callable[[Uses], bool]] = kinds) -> bool:
            return any(kind(uses) for kind in kinds)

        first, last = _first(method, works), _last(method, works)
        if first is not None and last is not None and method.suite is not None:
            first = min(first, _first(method, lambda uses: bool(uses.applied)) or first)
            last = max(last, _last_computation(method.suite))
        return _range(method, first, last)
    return None


def _last_computation(suite: cst.IndentedBlock) -> int:
    """The last statement that computes something (a residual add after the MLP, also in the `return` itself)."""
    kinds = (cst.BinaryOperation, cst.Call)
    return max((i for i, statement in enumerate(suite.body) if contains(statement, kinds)), default=0)


def _first(method: Method, wanted: Callable[[Uses], bool]) -> int | None:
    return next((index for index, uses in enumerate(method.statement_uses) if wanted(uses)), None)


def _last(method: Method, wanted: Callable[[Uses], bool]) -> int | None:
    return max((index for index, uses in enumerate(method.statement_uses) if wanted(uses)), default=None)


def _range(method: Method, first: int | None, last: int | None, notes: tuple[Message, ...] = ()) -> Place | Doubt:
    if method.suite is None:
        return _one_line(method)
    if first is None or last is None or last < first:
        return doubt(_("in {place} the parts come in an order that this template does not know"), place=method.title)
    return _checked(Place(method, method.suite, first, last, notes))


def _checked(place: Place) -> Place | Doubt:
    """Refuse methods that give up control in mid-scope."""
    yields = any(contains(statement, (cst.Yield, cst.Await)) for statement in place.statements)
    if yields or place.method.node.asynchronous is not None:
        return doubt(_("{place} yields or awaits, which no captured graph can hold"), place=place.title)
    return place


def _one_line(method: Method) -> Doubt:
    return doubt(_("the body of {place} stands on one line; give it lines of its own first"), place=method.title)


_RULES: dict[tuple[str, str], Rule] = {
    ("attention-only", "a"): _place_attention,
    ("attention-only", "b"): _place_attention_in_layer,
    ("moe-only", "b"): partial(_place_experts, router=True),
    ("moe-only", ""): _place_experts,
    ("full-model", ""): _place_loop,
    ("per-block", ""): _place_block,
}
