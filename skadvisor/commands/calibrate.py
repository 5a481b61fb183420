"""`skadvisor calibrate`: forecasts, what became of them, and the gain model that follows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skadvisor.commands.answering import Wish, answer_options, give
from skadvisor.errors import InputError
from skadvisor.text.messages import _

if TYPE_CHECKING:
    from skadvisor.gain.ledger import Ledger


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
@answer_options()
def calibrate_command(
    path: Path | None,
    number: int | None,
    before_us: float | None,
    after_us: float | None,
    note: str,
    probe: Path | None,
    published: bool,
    wish: Wish,
) -> None:
    """List forecasts with their outcomes and errors, and refit the gain model from them."""
    from skadvisor.gain.ledger import Ledger, Outcome
    from skadvisor.gain.ledger_text import describe_calibration, read_calibration
    from skadvisor.report import Answer

    wish.check()
    if published:
        from skadvisor.gain.published import compare_published
        from skadvisor.gain.published_text import describe_published

        pairs = compare_published()
        give(Answer(pairs, lambda language: describe_published(pairs, language)), wish)
        return
    if probe is not None:
        _keep_probe(probe, path)
        return
    if number is not None and (before_us is None or after_us is None):
        raise InputError(_("--add needs --before-us and --after-us"))
    if number is None and (before_us is not None or after_us is not None):
        raise InputError(_("--before-us and --after-us need --add FORECAST"))
    with Ledger.open(path) as ledger:
        if number is not None and before_us is not None and after_us is not None:
            _check_step(ledger, number, before_us)
            ledger.add_outcome(Outcome(forecast=number, before_us=before_us, after_us=after_us, note=note))
        click.echo(f"ledger {ledger.path}", err=True)
        found = read_calibration(ledger)
    follows = ("skadvisor analyze CAPTURE",)
    give(Answer(found, lambda language: describe_calibration(found, language), next=follows), wish)


def _check_step(ledger: Ledger, number: int, before_us: float) -> None:
    """Refuse a step that is not that of the forecast's capture, in another unit or of another model."""
    from skadvisor.gain.ledger import MOST_APART

    known = next((one for one in ledger.forecasts() if one.id == number), None)
    if known is not None and not 1 / MOST_APART <= before_us / known.step_us <= MOST_APART:
        raise InputError(
            _("the step of forecast {number} takes {step:g} us without SuperKernel, not {before:g}"),
            _("give both in microseconds, of the same model and batch"),
            number=number,
            step=known.step_us,
            before=before_us,
        )


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
