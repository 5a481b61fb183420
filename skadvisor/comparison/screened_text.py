"""A screening sheet that came back, put into words."""

from __future__ import annotations

from skadvisor.comparison.screened import Screened, Screening
from skadvisor.report.cells import number, signed, text
from skadvisor.report.document import Cell, Column, Document, Section, Summary, Table
from skadvisor.report.glossary import explain_words
from skadvisor.report.wording import LONGEST_VALUE, Wording
from skadvisor.text.messages import _

DECISIONS = {
    "go_on": _("go on"),
    "stop": _("stop"),
    "more_runs": _("more runs"),
    "not_run": _("not run"),
}


def describe_screening(screening: Screening, language: str = "en") -> Document:
    """The document of a sheet with measured times."""
    wording = Wording(language)
    columns = (
        Column(wording.say(_("Run"))),
        Column(wording.say(_("Runs done")), "", True),
        Column(wording.say(_("Decode step")), "ms", True),
        Column(wording.say(_("Measured")), "%", True),
        Column(wording.say(_("Interval")), "", True, 1),
        Column(wording.say(_("As foretold")), priority=2),
        Column(wording.say(_("Decision"))),
        Column(wording.say(_("Reason"))),
    )
    title = wording.say(_("Screening, measured"))
    table = Table("screened", title, columns, tuple(_row(run, wording) for run in screening.runs))
    section = Section("screened", title, tables=(table,))
    return explain_words(Document(title, language, Summary(_headline(screening, wording)), (section,)), wording)


def _headline(screening: Screening, wording: Wording) -> str:
    if screening.best is not None:
        gain = next(run.gain_pct for run in screening.runs if run.name == screening.best)
        best = wording.say(
            _("Fastest so far: {name}, {gain} shorter."), name=screening.best, gain=wording.percent(gain)
        )
    else:
        best = wording.say(_("No scope is shown to be faster so far."))
    if screening.next_run is not None:
        return f"{best} {wording.say(_('Next run: {name}.'), name=screening.next_run)}"
    if screening.best is None:
        return wording.say(_("No scope is faster than the noise: leave SuperKernel off."))
    return best


def _row(run: Screened, wording: Wording) -> tuple[Cell, ...]:
    nothing = Cell("")
    inside = {None: "", True: wording.say(_("yes")), False: wording.say(_("no"))}[run.inside]
    return (
        text(run.name),
        Cell(f"{run.times}/{run.repeats}", run.times),
        nothing if run.spread is None else number(run.spread.median_us / 1000, wording, 3),
        signed(run.gain_pct),
        Cell(wording.interval(run.gain_low_pct, run.gain_high_pct), run.gain_low_pct)
        if run.gain_low_pct is not None and run.gain_high_pct is not None
        else nothing,
        text(inside),
        text(wording.name(DECISIONS, run.decision)),
        text(wording.sentence(run.reason), LONGEST_VALUE),
    )
