"""`skadvisor compare`: a run with SuperKernel against one without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skadvisor.commands.analysing import analysis_options, ledger_to_keep
from skadvisor.errors import GateError, InputError, NotEnoughError, SkadvisorError
from skadvisor.options import Options
from skadvisor.plan import TEMPLATES
from skadvisor.text.messages import _

if TYPE_CHECKING:
    from skadvisor.comparison.records import Comparison

SUFFIXES = (".md", ".txt", ".json")


@click.command("compare")
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--runs", is_flag=True, help="BEFORE and AFTER are folders that hold one capture per run.")
@click.option("--template", type=click.Choice(TEMPLATES), help="Which scope was on.  [default: from its kernels]")
@click.option(
    "--fail-on-regression", "limit", type=click.FloatRange(0), metavar="PCT", help="Exit 4 if slower by more."
)
@analysis_options
@click.option("--keep", is_flag=True, help="Keep the outcome in the ledger, for better forecasts.")
@click.option("--lang", "language", type=click.Choice(["en", "zh"]), help="Language.  [default: from the locale]")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the comparison (.md, .txt, .json).")
@click.option("--force", is_flag=True, help="Replace the output file if it exists.")
def compare_command(
    before: Path,
    after: Path,
    runs: bool,
    template: str | None,
    limit: float | None,
    options: Options,
    keep: bool,
    language: str | None,
    output: Path | None,
    force: bool,
) -> None:
    """Judge what SuperKernel changed: step, regions, layers, each SuperKernel, and the forecast.

    BEFORE is a capture with SuperKernel off, AFTER one with it on. The same model, batch, shapes and ranks. Where
    both are folders of many ranks, the rank that sets the pace is compared and every rank's step is shown.
    """
    from skadvisor.comparison.captures import read_pair
    from skadvisor.comparison.judging import compare_pair
    from skadvisor.comparison.outcome import is_evidence, keep_outcome
    from skadvisor.comparison.text import render_comparison
    from skadvisor.files.output import check_output, write_atomically
    from skadvisor.records import to_json
    from skadvisor.text.languages import default_language, translator

    if output is not None:
        if output.suffix.lower() not in SUFFIXES:
            raise InputError(
                f"cannot tell the format of {output.name}", f"End the name in one of: {', '.join(SUFFIXES)}"
            )
        check_output(output, force=force, inputs=[before, after])
    first, second = (_runs(side) if runs else side for side in (before, after))
    pair = read_pair(first, second, options, left_out=_say_left_out if runs else None)
    comparison = compare_pair(pair, template)
    translate = translator(language or default_language())
    text = render_comparison(comparison, translate)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_atomically(
            output,
            to_json(comparison, translate) if output.suffix == ".json" else text,
            force=force,
            inputs=[before, after],
        )
        click.echo(f"wrote {output}", err=True)
    place = ledger_to_keep(click.get_current_context().params)
    if keep and place is not None:
        click.echo(keep_outcome(place, pair.before[0].result, comparison).render(translate), err=True)
    elif is_evidence(comparison):
        click.echo(
            translate(_("The same command with --keep keeps this outcome, and the next forecasts learn from it.")),
            err=True,
        )
    if limit is not None:
        check_gate(comparison, limit)


def _runs(path: Path) -> Sequence[Path]:
    """What may be captures in a folder of runs."""
    if not path.is_dir():
        raise InputError(f"{path} is no folder of runs", "Leave --runs out to compare two captures.")
    return sorted(child for child in path.iterdir() if not child.name.startswith("."))


def _say_left_out(path: object, error: SkadvisorError) -> None:
    click.echo(f"left out {path}: {error.message}", err=True)


def check_gate(comparison: Comparison, limit: float) -> None:
    """Raise GateError if the step became slower by more than `limit` percent, NotEnoughError if nobody can tell."""
    if comparison.improvement_pct is None:
        reasons = "; ".join(str(reason.message) for reason in comparison.reasons)
        raise NotEnoughError(f"the gate cannot be judged, the captures are not comparable: {reasons}")
    if comparison.verdict == "insufficient_evidence":
        raise NotEnoughError(f"the gate cannot be judged: {comparison.action}", "Give more runs: --runs.")
    if -comparison.improvement_pct > limit:
        raise GateError(
            f"the decode step is {-comparison.improvement_pct:.2f} % slower, more than the {limit:g} % allowed",
            f"{comparison.action}",
        )
