"""The ledger put into words: forecasts, what became of them, and the gain model that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from skadvisor.gain.ledger import Forecast, Ledger, Outcome
from skadvisor.gain.population import published_population
from skadvisor.gain.published_text import say_recovered
from skadvisor.gain.refit import own_observations, refit_model
from skadvisor.report.cells import number, signed, text
from skadvisor.report.document import Cell, Column, Document, Section, Summary, Table
from skadvisor.report.glossary import explain_words
from skadvisor.report.wording import LONGEST_VALUE, Wording
from skadvisor.text.messages import Message, _

#: Draws that steady the quantiles that are shown.
MANY = 4001


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A forecast with its outcomes, in the order they came in."""

    forecast: Forecast
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What a ledger holds: forecasts with outcomes, how many lay `inside` their interval, the mean error in points.

    `model` says in words what the gain model rests on.
    """

    kept: tuple[Kept, ...]
    outcomes: int
    inside: int
    mean_error: float | None
    model: Message


def read_calibration(ledger: Ledger) -> Calibration:
    """What an open ledger holds."""
    pairs = ledger.pairs()
    errors = [abs(forecast.mid_pct - outcome.gain_pct) for forecast, outcome in pairs]
    inside = [
        forecast.low_us <= forecast.step_us * outcome.gain_pct / 100 <= forecast.high_us for forecast, outcome in pairs
    ]
    return Calibration(
        kept=tuple(Kept(forecast=one, outcomes=tuple(ledger.outcomes(one.id))) for one in ledger.forecasts()),
        outcomes=len(pairs),
        inside=sum(inside),
        mean_error=sum(errors) / len(errors) if errors else None,
        model=_model(ledger),
    )


def describe_calibration(found: Calibration, language: str = "en") -> Document:
    """The document of a ledger."""
    wording = Wording(language)
    headline = wording.say(_("No forecasts yet; analyze a capture to make some."))
    if found.kept:
        headline = wording.say(
            _("Forecasts: {forecasts}; with an outcome: {outcomes}."),
            forecasts=len(found.kept),
            outcomes=found.outcomes,
        )
    facts = [(wording.say(_("Gain model")), wording.full_sentence(found.model))]
    if found.mean_error is not None:
        told = wording.say(
            _("{inside} of {outcomes} inside the interval, mean error {error} points"),
            inside=found.inside,
            outcomes=found.outcomes,
            error=f"{found.mean_error:.1f}",
        )
        facts.insert(0, (wording.say(_("Outcomes")), told))
    title = wording.say(_("Forecasts and outcomes"))
    sections = (Section("forecasts", title, tables=(_table(found.kept, title, wording),)),) if found.kept else ()
    return explain_words(Document(title, language, Summary(headline, facts=tuple(facts)), sections), wording)


def _table(kept: Sequence[Kept], title: str, wording: Wording) -> Table:
    columns = (
        Column("#", "", True),
        Column(wording.say(_("Date"))),
        Column(wording.say(_("Capture")), priority=2),
        Column(wording.say(_("Model"))),
        Column(wording.say(_("Rows of a step")), "", True, 2),
        Column(wording.say(_("Step")), "µs", True, 1),
        Column(wording.say(_("Template"))),
        Column(wording.say(_("Advised")), priority=2),
        Column(wording.say(_("Estimate")), "%", True),
        Column(wording.say(_("Interval")), "", True, 1),
        Column(wording.say(_("Measured")), "%", True),
        Column(wording.say(_("Error")), wording.say(_("points")), True, 1),
        Column(wording.say(_("Note")), priority=3),
    )
    rows = tuple(_row(one.forecast, outcome, wording) for one in kept for outcome in one.outcomes or (None,))
    return Table("forecasts", title, columns, rows)


def _row(forecast: Forecast, outcome: Outcome | None, wording: Wording) -> tuple[Cell, ...]:
    scale = 100.0 / forecast.step_us
    nothing = Cell("")
    return (
        number(forecast.id, wording, 0),
        text(forecast.made_at[:10]),
        text(forecast.capture),
        text(forecast.model),
        nothing if forecast.tokens is None else number(float(forecast.tokens), wording, 0),
        number(forecast.step_us, wording),
        text(wording.template(forecast.template)),
        text(wording.say(_("yes")) if forecast.chosen else ""),
        number(forecast.mid_pct, wording),
        Cell(wording.interval(forecast.low_us * scale, forecast.high_us * scale), forecast.low_us * scale),
        nothing if outcome is None else number(outcome.gain_pct, wording),
        nothing if outcome is None else signed(forecast.mid_pct - outcome.gain_pct),
        nothing if outcome is None else text(outcome.note, LONGEST_VALUE),
    )


def _model(ledger: Ledger) -> Message:
    model = refit_model(ledger)
    if model is None or model.population is None:
        return Message(_("from the published pairs alone, for there is no outcome of yours to learn from yet"))
    own, published = (say_recovered(population.draw(MANY)) for population in (model.population, published_population()))
    return Message(
        _(
            "{count} outcomes of yours beside the published pairs; of the heads and gaps at a boundary that vanishes "
            "{own} are won (without yours {published}; P10, P50, P90)"
        ),
        count=len(own_observations(ledger)),
        own=own,
        published=published,
    )
