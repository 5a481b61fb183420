"""Putting a SuperKernel scope into a modeling file: a unified diff that is right, or a reason why there is none.

`propose` reads the file, finds the place of the template's scope and answers a `Patch` or a `Declined`; nothing is
written. `write` applies a patch after a backup.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from skadvisor.errors import InputError
from skadvisor.plan.patch.dialects import DIALECTS, SOURCE_DIALECTS, Dialect, Scope
from skadvisor.text.messages import Message, _

if TYPE_CHECKING:
    import libcst as cst

    from skadvisor.plan.patch.placement import Doubt, Place
    from skadvisor.plan.patch.rewriting import Edit
    from skadvisor.plan.patch.structure import Source

__all__ = ["DIALECTS", "SOURCE_DIALECTS", "Declined", "Dialect", "Patch", "Request", "Scope", "propose", "write"]

#: No modeling file is larger; what is, is not read.
LARGEST_BYTES = 5_000_000

#: How the scopes of each template are called.
_LABELS = {
    "attention-only": "attention",
    "moe-only": "moe_experts",
    "full-model": "decoder_layers",
    "per-block": "decoder",
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be put in.

    `options` is the text `key=value:key=value` (may be empty). `classes` limits the search; `enable` and `decode_when`
    are expressions that replace what would be looked for in the class.
    """

    template: str
    dialect: Dialect
    variant: str = "a"
    options: str = ""
    classes: tuple[str, ...] = ()
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
    """Why the file stays as it is: the reason, what was found in it, and the lines to place by hand (may be empty)."""

    path: Path
    reason: Message
    seen: tuple[Message, ...] = ()
    by_hand: str = ""
    notes: tuple[Message, ...] = field(default=())


def propose(path: str | Path, request: Request) -> Patch | Declined:
    """Work out the change; the file is only read. Raises InputError where there is no such readable file."""
    path = Path(path)
    content = _read(path)
    return propose_for(path, content, request)


def propose_for(path: Path, content: bytes, request: Request) -> Patch | Declined:
    """As `propose`, for content that is at hand. Pure."""
    import libcst as cst

    from skadvisor.plan.patch.placement import Doubt, find_places
    from skadvisor.plan.patch.rewriting import rewrite
    from skadvisor.plan.patch.structure import read_source

    if request.dialect not in SOURCE_DIALECTS:
        return Declined(
            path=path,
            reason=Message(_("vLLM-Ascend takes SuperKernel from its configuration; the model file stays as it is")),
        )
    if request.template not in _LABELS:
        return Declined(path=path, reason=Message(_("{name} marks no scope in the source"), name=request.template))
    try:
        source = read_source(content)
    except cst.ParserSyntaxError as error:
        where = Message(_("it is no Python that can be parsed (line {line})"), line=error.raw_line)
        return Declined(path=path, reason=where)
    except (SyntaxError, LookupError, ValueError, RecursionError) as error:
        return Declined(path=path, reason=Message(_("it cannot be read as text: {error}"), error=error))
    if source.module.bytes != content:
        return Declined(path=path, reason=Message(_("its bytes cannot be kept exactly (mixed encodings?)")))
    if source.scope_calls:
        return Declined(path=path, reason=Message(_("it has a scope already")), seen=_list_scopes(source))
    places = find_places(source, request.template, request.variant, request.classes)
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


def write(patch: Patch) -> Path:
    """Apply a patch to its file; returns the backup's path. Raises InputError where the file changed meanwhile."""
    from skadvisor.plan.patch.files import replace_file

    return replace_file(patch.path, patch.after, patch.before)


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder", "Name the modeling file in it: --model modeling_x.py")
        if path.stat().st_size > LARGEST_BYTES:
            raise InputError(f"{path} is larger than {LARGEST_BYTES // 1_000_000} MB, which no modeling file is")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _make_edit(source: Source, place: Place, request: Request) -> Edit | Doubt:
    from skadvisor.plan.patch import expressions
    from skadvisor.plan.patch.placement import Doubt
    from skadvisor.plan.patch.rewriting import Edit

    if request.enable is not None:
        switch: expressions.Switch | Doubt = expressions.Switch(expressions.operand(request.enable))
    else:
        switch = expressions.find_switch(source, place, request.dialect)
    if isinstance(switch, Doubt):
        return switch
    test = expressions.find_decode_test(source, place, request.decode_when)
    if isinstance(test, Doubt):
        return test
    base = _LABELS[request.template]
    if request.template == "full-model":
        label = expressions.Label(f'"{base}"', False)
    else:
        label = expressions.name_scope(source, place, base)
    needed = [(item.owner, line) for item in (label, switch) if item.owner for line in item.assignments]
    scope = Scope(switch.expression, test.expression, label.expression, request.options)
    return Edit(place, scope, tuple((owner, line) for owner, line in needed if owner is not None))


def _patch(path: Path, content: bytes, changed: cst.Module, edits: list[Edit]) -> Patch | Declined:
    from skadvisor.plan.patch.files import unified_diff

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
        notes=tuple(note for edit in edits for note in edit.place.notes),
    )


def _declined(path: Path, doubt: Doubt, request: Request, place: Place | None = None) -> Declined:
    from skadvisor.plan.patch import dialects

    base = _LABELS[request.template]
    scope = Scope(
        request.enable or "self.enable_superkernel",
        request.decode_when or "not is_prefill",
        f'"{base}"',
        request.options,
    )
    if dialects.opens_with_statement(request.dialect):
        lines = f"{dialects.with_header(request.dialect, scope)}\n    ...\n"
    else:
        begin, end = dialects.pair_calls(scope)
        lines = f"{begin}...\n{end}"
    imports = "".join(f"{line}\n" for line in dialects.imports(request.dialect))
    seen = doubt.seen
    if place is not None and not seen:
        seen = (Message(_("{place}, line {line}"), place=place.title, line=place.method.line),)
    return Declined(path=path, reason=doubt.reason, seen=seen, by_hand=f"{imports}\n{lines}")


def _list_scopes(source: Source) -> tuple[Message, ...]:
    return tuple(Message(_("{call}, line {line}"), call=name, line=line) for line, name in source.scope_calls)
