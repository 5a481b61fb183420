"""The ledger put into words: forecasts, what became of them, and the gain model that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from skadvisor.gain.ledger import Forecast, Ledger, Outcome
from skadvisor.gain.population import published_population
from skadvisor.gain.published_text import say_recovered
from skadvisor.gain.refit import own_observations, refit_model
from skadvisor.report.cells import Grid, signed
from skadvisor.report.document import Cell, Document, Section, Summary, Table
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
    rows = [(one.forecast, outcome) for one in kept for outcome in one.outcomes or (None,)]
    grid = Grid(rows, wording)
    grid.numbers("#", lambda row: row[0].id, "", 0)
    grid.words(_("Date"), lambda row: row[0].made_at[:10])
    grid.words(_("Capture"), lambda row: row[0].capture, 2)
    grid.words(_("Model"), lambda row: row[0].model)
    grid.numbers(_("Rows of a step"), lambda row: _rows_of_a_step(row[0]), "", 0, 2, "")
    grid.numbers(_("Step"), lambda row: row[0].step_us, "µs", priority=1)
    grid.words(_("Template"), lambda row: wording.template(row[0].template))
    grid.words(_("Advised"), lambda row: wording.say(_("yes")) if row[0].chosen else "", 2)
    grid.numbers(_("Estimate"), lambda row: row[0].mid_pct, "%")
    grid.intervals(_("Interval"), lambda row: _interval(row[0]), 1)
    grid.numbers(_("Measured"), lambda row: row[1].gain_pct if row[1] else None, "%", missing="")
    grid.cells(_("Error"), lambda row: _error(*row), _("points"), numeric=True, priority=1)
    grid.words(_("Note"), lambda row: row[1].note if row[1] else None, 3, LONGEST_VALUE)
    return grid.table("forecasts", title)


def _rows_of_a_step(forecast: Forecast) -> float | None:
    return None if forecast.tokens is None else float(forecast.tokens)


def _interval(forecast: Forecast) -> tuple[float, float]:
    scale = 100.0 / forecast.step_us
    return forecast.low_us * scale, forecast.high_us * scale


def _error(forecast: Forecast, outcome: Outcome | None) -> Cell:
    return signed(None if outcome is None else forecast.mid_pct - outcome.gain_pct)


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
