"""Put a result into words: the document of one language, with its pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from skadvisor.records import Result
from skadvisor.report import sections, summary
from skadvisor.report.document import Document, Figure, Section
from skadvisor.report.glossary import explain_words
from skadvisor.report.summary import subject_template
from skadvisor.report.wording import Wording
from skadvisor.text.messages import _


def describe_result(result: Result, language: str = "en", plan: Iterable[Section] = ()) -> Document:
    """The report of a result. `plan` are the sections of what to type (`skadvisor.plan.text`)."""
    wording = Wording(language)
    found = sections.write_sections(result, wording, plan)
    document = _document(result, wording, tuple(_with_figure(one, result, wording) for one in found))
    first = replace(document.summary, figure=_first_figure(result, wording))
    return explain_words(replace(document, summary=first), wording)


def describe_briefly(result: Result, language: str = "en") -> Document:
    """What a terminal shows of the report unless it is asked for all: no pictures, and hardly a detail section."""
    wording = Wording(language)
    return explain_words(_document(result, wording, sections.brief_sections(result, wording)), wording)


def _document(result: Result, wording: Wording, found: tuple[Section, ...]) -> Document:
    return Document(
        title=summary.title(result, wording),
        language=wording.language,
        tool=f"{result.tool.name} {result.tool.version}",
        summary=summary.summarise(result, wording),
        sections=found,
    )


def _first_figure(result: Result, wording: Wording) -> Figure | None:
    """The picture of the first screen: the gain where one was weighed, else where the step's time goes."""
    from skadvisor.report import pictures

    template = subject_template(result)
    wall = summary.step_wall(result)
    if template is not None and result.recommendation.ground in summary.WEIGHED:
        bars = pictures.gain_bars(template, wall, pictures.gain_axis([template], wall), wording)
        if bars.bars:
            name = wording.template(template.name, template.variant)
            title = wording.say(_("Gain of {name}, percent of the decode step"), name=name)
            return Figure("gains", (replace(bars, title=""),), title)
    stacks = pictures.first_stacks(result, wording)
    return Figure("stacks", stacks, wording.say(_("Where the step's time goes"))) if stacks else None


def _with_figure(section: Section, result: Result, wording: Wording) -> Section:
    """The section with its picture, if it has one and there is something to draw."""
    from skadvisor.report import pictures
    from skadvisor.report.layer_picture import draw_layer

    template = subject_template(result)
    draw: dict[str, Callable[[], Figure]] = {
        "templates": lambda: Figure("gains", pictures.all_gains(result, wording)),
        "steps": lambda: Figure("step_strip", _present(pictures.step_columns(result, wording))),
        "regions": lambda: Figure("stacks", pictures.region_stacks(result, wording)),
        "layer": lambda: Figure("layers", tuple(draw_layer(typical, wording) for typical in result.typical_layers)),
        "terms": lambda: Figure("terms", _present(pictures.waterfall(template, wording) if template else None)),
        "layers": lambda: Figure("layer_strip", _present(pictures.layer_columns(result, wording))),
    }
    figure = draw[section.name]() if section.name in draw else None
    return replace(section, figure=figure) if figure and figure.drawn else section


def _present(drawn: object | None) -> tuple[object, ...]:
    return () if drawn is None else (drawn,)
