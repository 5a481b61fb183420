"""The HTML report: one self-contained file that reads offline, on a phone, in the dark and on paper.

Everything from the capture passes through the template engine's escaping; the page's own policy forbids
every remote address and every script but the one whose hash it names.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from skadvisor.report.document import Document
from skadvisor.report.palette import FUSED_COLOURS, GAP_COLOURS, REGION_COLOURS, text_on
from skadvisor.report.wording import UNIT, Wording
from skadvisor.text.messages import Message, _

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

#: A word that is not broken: Latin letters, digits and what joins them.
WORD = re.compile(r"([!-~\u00a0\u00b5\u2212]+)")
LONGEST_WORD = 60
#: Where a line may break all the same, in any word and in one that is too long for a line.
JOINT, GIANT_JOINT = re.compile(r"(?<=[/;])"), re.compile(r"(?<=[/;,_])")
FOLDER = Path(__file__).parent / "templates"


def render_html(document: Document) -> str:
    """The whole report as one HTML page."""
    from markupsafe import Markup

    wording = Wording(document.language)
    script = (FOLDER / "report.js").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            document=document,
            words=_interface_words(wording),
            style=style(),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def style() -> Markup:
    """The style sheet of the page and of its fragments."""
    from markupsafe import Markup

    return Markup((FOLDER / "report.css").read_text(encoding="utf-8") + _region_rules())


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_keep_units,
    )
    environment.filters["code"] = _code
    environment.filters["whole"] = _whole
    environment.filters["css"] = _css_string
    environment.filters["filled"] = lambda template, **values: Message(template, **values).render()
    return environment


def _keep_units(value: object) -> object:
    """Text in which no line breaks between a number and its unit; markup stays as it is."""
    return UNIT.sub("\N{NO-BREAK SPACE}", value) if type(value) is str else value


def _code(text: str) -> Markup:
    """Text in which what stands between backquotes is set as code; everything is escaped."""
    from markupsafe import Markup, escape

    pieces = UNIT.sub("\N{NO-BREAK SPACE}", text).split("`")
    if len(pieces) % 2 == 0:
        return escape(text)
    set_pieces = (
        Markup("<code>{}</code>").format(one) if place % 2 else escape(one) for place, one in enumerate(pieces)
    )
    return Markup("").join(set_pieces)


def _whole(text: str) -> Markup:
    """The text of a cell, in which no line breaks inside a word; paths, shapes and giants may break at their joints."""
    from markupsafe import Markup

    pieces = []
    for word in WORD.split(UNIT.sub("\N{NO-BREAK SPACE}", text)):
        latin = bool(WORD.fullmatch(word))
        joints = JOINT if len(word) <= LONGEST_WORD else GIANT_JOINT
        for part in filter(None, joints.split(word) if latin else [word]):
            kind = "giant" if len(part) > LONGEST_WORD else "whole"
            marked = (latin and not part.isalnum()) or len(part) > LONGEST_WORD
            pieces.append(
                Markup('<span class="{}">{}</span>').format(kind, part) if marked else Markup("{}").format(part)
            )
            if latin and joints.search(part):
                pieces.append(Markup("<wbr>"))
    return Markup("").join(pieces)


def _css_string(text: str) -> Markup:
    """A string of a style sheet; nothing in it can end it."""
    from markupsafe import Markup

    return Markup('"' + "".join(one if one.isalnum() or one in " .-_" else f"\\{ord(one):x} " for one in text) + '"')


def _region_rules() -> str:
    """CSS that gives every region its colour and the letters on it their ink."""
    rules = [
        f".r-{name}{{fill:{colour};background-color:{colour}}}.t-{name}{{fill:{text_on(colour)}}}"
        for name, colour in (REGION_COLOURS | GAP_COLOURS | FUSED_COLOURS).items()
    ]
    return "\n" + "\n".join(rules)


def _interface_words(wording: Wording) -> dict[str, str]:
    """The words of the page itself."""
    words = {
        "theme": _("Light or dark"),
        "print": _("Print"),
        "words": _("Words"),
        "contents": _("Contents"),
        "remedy": _("Remedy"),
        "source": _("Source"),
        "filter": _("Filter rows"),
        "copy_code": _("Copy"),
        "copied": _("Copied"),
        "zoom_in": _("Zoom in"),
        "zoom_out": _("Zoom out"),
        "zoom_fit": _("Fit"),
        "zoom_hint": _(
            "Point at a kernel for its figures; zoom with the buttons, Ctrl and the wheel, or a double click."
        ),
        "fragments": _("fragments"),
        "breaker": _("breaker"),
        "may_break": _("may break"),
        "outlier": _("outlier"),
        "rows": _("{count} rows"),
        "sort": _("Sort by this column"),
        "kernels": _("kernels"),
        "small_gaps": _("small gaps"),
        "host_gaps": _("host gaps"),
        "whiskers": _("Thin lines reach from low to high."),
        "not_steady": _("not steady"),
    }
    return {name: wording.translate(word) for name, word in words.items()}
