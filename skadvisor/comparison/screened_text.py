"""A screening sheet that came back, put into words."""

from __future__ import annotations

from skadvisor.comparison.screened import Screening
from skadvisor.report.cells import Grid, signed
from skadvisor.report.document import Cell, Document, Section, Summary
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
    inside = {None: "", True: wording.say(_("yes")), False: wording.say(_("no"))}
    grid = Grid(screening.runs, wording)
    grid.words(_("Run"), lambda run: run.name)
    grid.cells(_("Runs done"), lambda run: Cell(f"{run.times}/{run.repeats}", run.times), numeric=True)
    grid.numbers(_("Decode step"), lambda run: run.spread.median_us / 1000 if run.spread else None, "ms", 3, missing="")
    grid.cells(_("Measured"), lambda run: signed(run.gain_pct), "%", numeric=True)
    grid.intervals(_("Interval"), lambda run: (run.gain_low_pct, run.gain_high_pct), 1, "")
    grid.words(_("As foretold"), lambda run: inside[run.inside], 2)
    grid.words(_("Decision"), lambda run: wording.name(DECISIONS, run.decision))
    grid.words(_("Reason"), lambda run: wording.sentence(run.reason), longest=LONGEST_VALUE)
    title = wording.say(_("Screening, measured"))
    section = Section("screened", title, tables=(grid.table("screened", title),))
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
