"""`skadvisor compare`: a run with SuperKernel against one without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skadvisor.commands.analysing import analysis_options, ledger_to_keep
from skadvisor.errors import GateError, InputError, NotEnoughError, SkadvisorError
from skadvisor.options import Options
from skadvisor.plan import TEMPLATES

if TYPE_CHECKING:
    from skadvisor.analysis import Analysis
    from skadvisor.comparison.records import Comparison


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

    BEFORE is a capture with SuperKernel off, AFTER one with it on. The same model, batch, shapes and ranks.
    """
    from skadvisor.comparison.judging import compare
    from skadvisor.comparison.text import render_comparison
    from skadvisor.files.output import check_output, write_atomically
    from skadvisor.records import to_json
    from skadvisor.text.languages import default_language, translator

    if output is not None:
        check_output(output, force=force, inputs=[before, after])
    first = _analyze(before, runs, options)
    second = _analyze(after, runs, replace(options, tpot_ms=None))
    comparison = compare(first, second, template)
    text = render_comparison(comparison, translator(language or default_language()))
    if output is None:
        click.echo(text, nl=False)
    else:
        write_atomically(output, to_json(comparison) if output.suffix == ".json" else text, force=force)
        click.echo(f"wrote {output}", err=True)
    if keep:
        from skadvisor.comparison.outcome import keep_outcome

        place = ledger_to_keep(click.get_current_context().params)
        click.echo(str(keep_outcome(place, first[0].result, comparison)), err=True)
    if limit is not None:
        check_gate(comparison, limit)


def _analyze(path: Path, runs: bool, options: Options) -> list[Analysis]:
    """The analysis of one capture, or of each capture in a folder of runs."""
    from skadvisor.analysis import analyze

    if not runs:
        return [analyze(path, options)]
    if not path.is_dir():
        raise InputError(f"{path} is no folder of runs", "Leave --runs out to compare two captures.")
    analyses = []
    for child in sorted(child for child in path.iterdir() if not child.name.startswith(".")):
        try:
            analyses.append(analyze(child, options))
        except SkadvisorError as error:
            click.echo(f"left out {child}: {error.message}", err=True)
    if not analyses:
        raise InputError(f"{path} holds no capture that can be read", "With --runs it has to hold one capture per run.")
    return analyses


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
