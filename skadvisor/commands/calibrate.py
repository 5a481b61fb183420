"""`skadvisor calibrate`: forecasts, what became of them, and the gain model that follows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from skadvisor.gain.ledger import Forecast, Ledger
    from skadvisor.gain.population import Population

#: Draws that steady the quantiles that are shown.
MANY = 4001


@click.command("calibrate")
@click.option("--ledger", "path", type=click.Path(path_type=Path), help="Ledger file (default: in your data folder).")
@click.option("--add", "number", type=int, help="Record the outcome of this forecast.")
@click.option("--before-us", type=float, help="Step time without SuperKernel, microseconds.")
@click.option("--after-us", type=float, help="Step time with SuperKernel, microseconds.")
@click.option("--note", default="", help="A word on the outcome: version, batch, what was switched on.")
@click.option(
    "--probe",
    type=click.Path(path_type=Path),
    help="The result of the probe (skadvisor capture --probe): what a boundary saves on this machine.",
)
@click.option("--published", is_flag=True, help="Print the published pairs beside what was foretold.")
def calibrate_command(
    path: Path | None,
    number: int | None,
    before_us: float | None,
    after_us: float | None,
    note: str,
    probe: Path | None,
    published: bool,
) -> None:
    """List forecasts with their outcomes and errors, and refit the gain model from them."""
    from skadvisor.gain.ledger import Ledger, Outcome

    if published:
        from skadvisor.gain.published import compare_published, table

        click.echo(table(compare_published()))
        return
    if probe is not None:
        _keep_probe(probe, path)
        return
    if number is not None and (before_us is None or after_us is None):
        raise click.UsageError("--add needs --before-us and --after-us")
    if number is None and (before_us is not None or after_us is not None):
        raise click.UsageError("--before-us and --after-us need --add FORECAST")
    with Ledger.open(path) as ledger:
        if number is not None and before_us is not None and after_us is not None:
            ledger.add_outcome(Outcome(forecast=number, before_us=before_us, after_us=after_us, note=note))
        click.echo(f"ledger {ledger.path}", err=True)
        for line in _listing(ledger):
            click.echo(line)
        for line in _model(ledger):
            click.echo(line)


def _keep_probe(probe: Path, path: Path | None) -> None:
    from skadvisor.gain.ledger import default_path
    from skadvisor.gain.machine import keep_machine, read_probe

    machine = read_probe(probe)
    place = keep_machine(machine, path or default_path())
    left = "" if machine.left_us is None else f"; {machine.left_us:.2f} us are left with SuperKernel on"
    click.echo(
        f"measured on {machine.device}: a boundary that vanishes saves {machine.saved_us:.2f} us "
        f"(x/ {2.718281828**machine.log_sd:.2f} over {machine.cases} cases){left}"
    )
    click.echo(f"kept in {place}; estimates that use this ledger rest on it from now on", err=True)


def _listing(ledger: Ledger) -> list[str]:
    forecasts = ledger.forecasts()
    if not forecasts:
        return ["no forecasts yet; analyze a capture to make some"]
    lines = [f"{'no.':>4} {'capture':<24} {'template':<15} {'forecast %':>20} {'measured':>9} {'error':>6}"]
    for forecast in forecasts:
        outcomes = ledger.outcomes(forecast.id)
        for outcome in outcomes:
            error = forecast.mid_pct - outcome.gain_pct
            lines.append(f"{_forecast(forecast)} {outcome.gain_pct:>8.1f}% {error:>+6.1f}")
        if not outcomes:
            lines.append(f"{_forecast(forecast)} {'-':>9} {'-':>6}")
    pairs = ledger.pairs()
    if pairs:
        inside = sum(f.low_us <= f.step_us * o.gain_pct / 100 <= f.high_us for f, o in pairs)
        error = sum(abs(f.mid_pct - o.gain_pct) for f, o in pairs) / len(pairs)
        lines.append(f"{len(pairs)} outcomes: {inside} inside the interval, mean error {error:.1f} points")
    return lines


def _forecast(forecast: Forecast) -> str:
    scale = 100.0 / forecast.step_us
    interval = f"{forecast.low_us * scale:.1f} {forecast.mid_us * scale:.1f} {forecast.high_us * scale:.1f}"
    mark = "*" if forecast.chosen else " "
    return f"{forecast.id:>4} {forecast.capture[:24]:<24} {forecast.template + mark:<15} {interval:>20}"


def _model(ledger: Ledger) -> list[str]:
    from skadvisor.gain.population import published_population
    from skadvisor.gain.refit import own_observations, refit

    model = refit(ledger)
    if model is None or model.population is None:
        return ["gain model: from the published pairs alone, for there is no outcome of yours to learn from yet"]
    own, published = (_recovered(population) for population in (model.population, published_population()))
    return [
        f"gain model: {len(own_observations(ledger))} outcomes of yours beside the published pairs; of the heads and "
        f"gaps at a boundary that vanishes {own} are won (without yours {published}; P10, P50, P90)"
    ]


def _recovered(population: Population) -> str:
    import numpy as np

    quantiles = np.quantile(population.draw(MANY).recovered, (0.1, 0.5, 0.9))
    return ", ".join(f"{value:.0%}" for value in quantiles)
