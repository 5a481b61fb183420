"""Putting a SuperKernel scope into a modeling file: a unified diff that is right, or a reason why there is none.

`propose` reads the file, finds the place of the template's scope and answers a `Patch` or a `Declined`; nothing is
written. `write` applies a patch after a backup.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skadvisor.errors import InputError
from skadvisor.plan.patch import dialects
from skadvisor.plan.patch.dialects import DIALECTS, SOURCE_DIALECTS, Dialect, Scope
from skadvisor.plan.patch.files import read_file, replace_file, unified_diff
from skadvisor.plan.recipe_model import RecipeModel, find_model
from skadvisor.text.messages import Message, _

if TYPE_CHECKING:
    import libcst as cst

    from skadvisor.plan.patch.placement import Doubt, Place
    from skadvisor.plan.patch.rewriting import Edit
    from skadvisor.plan.patch.structure import Source

__all__ = [
    "DIALECTS",
    "SOURCE_DIALECTS",
    "Declined",
    "Dialect",
    "Patch",
    "Request",
    "Scope",
    "propose",
    "scope_label",
    "write",
]

#: No modeling file is larger; what is, is not read.
LARGEST_BYTES = 5_000_000

#: How the scopes of each template are called.
_LABELS = {
    "attention-only": "attention",
    "moe-only": "moe_experts",
    "full-model": "decoder_layers",
    "per-block": "decoder",
}


def scope_label(template: str, part: str = "") -> str:
    """The name of a template's scope as an expression, per layer except for a scope round all of them."""
    base = _LABELS[template] + part
    return f'"{base}"' if template == "full-model" else f'f"{base}_layer_{{self.layer_idx}}"'


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be put in.

    `options` is the text `key=value:key=value` (may be empty). `classes` and `methods` limit the search; `enable` and
    `decode_when` are expressions that replace what would be looked for in the class.
    """

    template: str
    dialect: Dialect
    variant: str = "a"
    options: str = ""
    classes: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    enable: str | None = None
    decode_when: str | None = None


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A change of one file. `before` and `after` are its bytes; `places` says in words where the scope went."""

    path: Path
    before: bytes
    after: bytes
    diff: str
    places: tuple[Message, ...]
    notes: tuple[Message, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Declined:
    """Why the file stays as it is: the reason, what was found in it, and the lines to place by hand (may be empty).

    `done` says that it has what was asked for.
    """

    path: Path
    reason: Message
    seen: tuple[Message, ...] = ()
    by_hand: str = ""
    done: bool = False


def propose(path: str | Path, request: Request) -> Patch | Declined:
    """Work out the change; the file is only read. Raises InputError where there is no such readable file."""
    path = Path(path)
    folder = InputError(_("{path} is a folder"), _("Name the modeling file in it: --model modeling_x.py"), path=path)
    too_large = InputError(
        _("{path} is larger than {value} MB, which no modeling file is"), path=path, value=LARGEST_BYTES // 1_000_000
    )
    content = read_file(path, LARGEST_BYTES, folder, too_large)
    return propose_for(path, content, request, find_model(path))


def propose_for(path: Path, content: bytes, request: Request, model: RecipeModel | None = None) -> Patch | Declined:
    """As `propose`, for content that is at hand, with the `model` that it belongs to if that is known. Pure."""
    from skadvisor.plan.patch.placement import Doubt, find_places
    from skadvisor.plan.patch.rewriting import rewrite

    source = _source(content, request, model)
    if isinstance(source, Message):
        return Declined(path=path, reason=source)
    if source.scope_calls:
        return _has_scopes(path, source, request)
    places = find_places(source, request.template, request.variant, request.classes, request.methods)
    if isinstance(places, Doubt):
        return _declined(path, places, request)
    edits: list[Edit] = []
    for place in places:
        edit = _make_edit(source, place, request)
        if isinstance(edit, Doubt):
            return _declined(path, edit, request, place)
        edits.append(edit)
    changed = rewrite(source.module, edits, request.dialect)
    if isinstance(changed, Doubt):
        return _declined(path, changed, request, places[0])
    return _patch(path, content, changed, edits)


def _source(content: bytes, request: Request, model: RecipeModel | None) -> Source | Message:
    """The parsed file, or why no scope can be put into it."""
    import libcst as cst

    from skadvisor.plan.patch.reading import read_source

    if request.dialect not in SOURCE_DIALECTS:
        return Message(_("vLLM-Ascend takes SuperKernel from its configuration; the model file stays as it is"))
    if request.template not in _LABELS:
        return Message(_("{name} marks no scope in the source"), name=request.template)
    mode = "npugraph_ex" if request.dialect == "npugraph_ex" else "ge_graph"
    objection = model.objection(mode) if model else None
    if objection is not None:
        return Message(_("a scope would have no effect: {reason}"), reason=objection)
    try:
        source = read_source(content)
    except cst.ParserSyntaxError as error:
        return Message(_("it is no Python that can be parsed (line {line})"), line=error.raw_line)
    except (SyntaxError, LookupError, ValueError, RecursionError) as error:
        return Message(_("it cannot be read as text: {error}"), error=error)
    return source if source.exact else Message(_("its bytes cannot be kept exactly (mixed encodings?)"))


def write(patch: Patch) -> Path:
    """Apply a patch to its file; returns the backup's path. Raises InputError where the file changed meanwhile."""
    return replace_file(patch.path, patch.after, patch.before)


def _make_edit(source: Source, place: Place, request: Request) -> Edit | Doubt:
    from skadvisor.plan.patch import expressions, phases
    from skadvisor.plan.patch.placement import Doubt
    from skadvisor.plan.patch.rewriting import Edit

    if request.enable is not None:
        given = expressions.operand(request.enable)
        switch = phases.check_names(source, place, given) or expressions.Expression(given)
    else:
        switch = expressions.find_switch(source, place, request.dialect)
    if isinstance(switch, Doubt):
        return switch
    test = phases.find_decode_test(source, place, request.decode_when)
    if isinstance(test, Doubt):
        return test
    base = _LABELS[request.template]
    whole = request.template == "full-model"
    label = expressions.Expression(f'"{base}"') if whole else expressions.name_scope(source, place, base)
    scope = Scope(switch.text, test.expression, label.text, request.options)
    notes = (*place.notes, *((test.note,) if test.note else ()), *_core_limits(source, place, request.template))
    return Edit(place, scope, (*label.needs, *switch.needs), test.opening, notes)


def _core_limits(source: Source, place: Place, template: str) -> tuple[Message, ...]:
    """A word on files that give parts of a layer their own cores: one scope runs on one set of them."""
    functions = source.functions if template in ("full-model", "per-block") else place.method.uses.functions
    if "limit_core_num" not in functions:
        return ()
    text = _(
        "the file limits cores (limit_core_num): what runs with other limits or beside it wants a scope of its own"
    )
    return (Message(text),)


def _patch(path: Path, content: bytes, changed: cst.Module, edits: list[Edit]) -> Patch | Declined:
    after = changed.bytes
    encoding = "utf-8" if changed.encoding == "utf-8-sig" else changed.encoding  # the mark stays in the text
    try:
        ast.parse(after)
    except (SyntaxError, ValueError) as error:  # a last guard: what does not parse is never offered
        return Declined(path=path, reason=Message(_("the change would not parse: {error}"), error=error))
    places = tuple(
        Message(
            _("{place} (line {line}): {count} statements"),
            place=edit.place.title,
            line=edit.place.method.line,
            count=len(edit.place.statements),
        )
        for edit in edits
    )
    return Patch(
        path=path,
        before=content,
        after=after,
        diff=unified_diff(content.decode(encoding), after.decode(encoding), path.name),
        places=places,
        notes=tuple(dict.fromkeys(note for edit in edits for note in edit.notes)),
    )


def _declined(path: Path, doubt: Doubt, request: Request, place: Place | None = None) -> Declined:
    enable, decode = request.enable or "self.enable_superkernel", request.decode_when or "not is_prefill"
    scope = Scope(enable, decode, f'"{_LABELS[request.template]}"', request.options)
    imports = "".join(f"{line}\n" for line in dialects.IMPORTS[request.dialect])
    seen = doubt.seen or ((place.method.where,) if place is not None else ())
    by_hand = f"{imports}\n{dialects.example(request.dialect, scope, '...')}"
    return Declined(path=path, reason=doubt.reason, seen=seen, by_hand=by_hand)


def _has_scopes(path: Path, source: Source, request: Request) -> Declined:
    """The answer for a file that has scopes: which templates they are, whether their options are, and what is left."""
    from skadvisor.plan.patch.existing import find_existing

    found = find_existing(source)
    seen = [Message(_("{call}, line {line}"), call=name, line=line) for line, name in source.scope_calls]
    strange = [
        Message(
            _("{place}: {text} is no option of a scope; they read key=value, for example stream-fusion=1"),
            place=scope.place,
            text=repr(text),
        )
        for scope in found
        for text in scope.strange
    ]
    kinds = {scope.template for scope in found}
    named = ", ".join(sorted(kind for kind in kinds if kind)) or _("a split of its own")
    done = kinds == {request.template}
    if done:
        reason = Message(_("it has the scope of {name} already"), name=named)
        left = Message(_("nothing is left to do in it; the switch is in the configuration"))
        seen += strange or [left]
    else:
        reason = Message(
            _("it has a scope already ({found}): take it out before that of {name} goes in"),
            found=named,
            name=request.template,
        )
        seen += strange
    return Declined(path=path, reason=reason, seen=tuple(seen), done=done)
