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

from skadvisor.records import Result
from skadvisor.report import pictures
from skadvisor.report.build import build_document
from skadvisor.report.gain_sections import step_wall
from skadvisor.report.layer_picture import draw_layer
from skadvisor.report.palette import GAP_COLOURS, REGION_COLOURS, text_on
from skadvisor.report.subject import subject_template
from skadvisor.report.wording import Wording
from skadvisor.text.messages import _

if TYPE_CHECKING:
    from markupsafe import Markup

FOLDER = Path(__file__).parent / "templates"
#: The blank before a unit.
UNIT = re.compile(r"(?<=\d) (?=(?:%|µs|ms)(?!\w))")


def render_html(result: Result, *, language: str = "en", plan: str = "") -> str:
    """The whole report as one HTML page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    wording = Wording(language)
    document = build_document(result, language, plan)
    script = (FOLDER / "report.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_keep_units,
    )
    environment.filters["code"] = _code
    return environment.get_template("report.html.j2").render(
        document=document,
        hero=_hero(result, wording),
        refused=result.recommendation.choice == "none",
        pictures=_pictures(result, wording),
        regions=[*REGION_COLOURS, *GAP_COLOURS],
        words=_interface_words(wording),
        style=Markup((FOLDER / "report.css").read_text(encoding="utf-8") + _region_rules()),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


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


def _hero(result: Result, wording: Wording) -> dict[str, object]:
    """The picture of the first screen: the gain of the template in question, else where the step's time goes."""
    template = subject_template(result)
    wall = step_wall(result)
    if template is not None:
        bars = pictures.gain_bars(template, wall, pictures.gain_axis([template], wall), wording)
        if bars.bars:
            title = wording.say(
                _("Gain of {name}, percent of the decode step"), name=wording.template(template.name, template.variant)
            )
            return {"bars": bars, "title": title}
    stacks = pictures.hero_stacks(result, wording)
    return {"stacks": stacks, "title": wording.say(_("Where the step's time goes"))} if stacks else {}


def _pictures(result: Result, wording: Wording) -> dict[str, object]:
    """The geometry of each section's picture, by the section's picture name; None where there is nothing to draw."""
    template = subject_template(result)
    return {
        "templates": pictures.all_gains(result, wording),
        "steps": pictures.step_columns(result, wording),
        "regions": pictures.region_stacks(result, wording),
        "layer": tuple(draw_layer(typical, wording) for typical in result.typical_layers),
        "terms": pictures.waterfall(template, wording) if template else None,
        "layers": pictures.layer_columns(result, wording),
    }


def _region_rules() -> str:
    """CSS that gives every region its colour and the letters on it their ink."""
    rules = [
        f".r-{name}{{fill:{colour};background-color:{colour}}}.t-{name}{{fill:{text_on(colour)}}}"
        for name, colour in (REGION_COLOURS | GAP_COLOURS).items()
    ]
    return "\n" + "\n".join(rules)


def _interface_words(wording: Wording) -> dict[str, str]:
    """The words of the page itself."""
    words = {
        "blocks": _("What blocks it"),
        "next": _("What to do next"),
        "nothing_blocks": _("Nothing that this capture shows."),
        "nothing_next": _("Nothing for now."),
        "theme": _("Light or dark"),
        "print": _("Print"),
        "words": _("Words"),
        "contents": _("Contents"),
        "remedy": _("Remedy"),
        "source": _("Source"),
        "zoom_in": _("Zoom in"),
        "zoom_out": _("Zoom out"),
        "zoom_fit": _("Fit"),
        "zoom_hint": _(
            "Point at a kernel for its figures; zoom with the buttons, Ctrl and the wheel, or a double click."
        ),
        "fragments": _("fragments"),
        "breaker": _("breaker"),
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
