"""`skadvisor compare`: a run with SuperKernel against one without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skadvisor.commands.analysing import analysis_options, ledger_to_keep
from skadvisor.commands.answering import Wish, answer_options, give
from skadvisor.errors import GateError, InputError, NotEnoughError, SkadvisorError
from skadvisor.options import Options
from skadvisor.plan import TEMPLATES
from skadvisor.text.messages import _

if TYPE_CHECKING:
    from skadvisor.comparison.records import Comparison
    from skadvisor.report.answer import Status


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
@answer_options()
def compare_command(
    before: Path,
    after: Path,
    runs: bool,
    template: str | None,
    limit: float | None,
    options: Options,
    keep: bool,
    wish: Wish,
) -> None:
    """Judge what SuperKernel changed: step, regions, layers, each SuperKernel, and the forecast.

    BEFORE is a capture with SuperKernel off, AFTER one with it on. The same model, batch, shapes and ranks. Where
    both are folders of many ranks, the rank that sets the pace is compared and every rank's step is shown.
    """
    from skadvisor.comparison.captures import read_pair
    from skadvisor.comparison.judging import compare_pair
    from skadvisor.comparison.outcome import is_evidence, keep_outcome
    from skadvisor.comparison.text import describe_comparison
    from skadvisor.report import Answer
    from skadvisor.text.languages import translator

    wish.check([before, after])
    first, second = (_runs(side) if runs else side for side in (before, after))
    pair = read_pair(first, second, options, left_out=_say_left_out if runs else None)
    comparison = compare_pair(pair, template)
    answer = Answer(
        comparison,
        lambda language: describe_comparison(comparison, language),
        status=_status(comparison, limit),
        next=_next(comparison, f"skadvisor compare {before} {after}"),
    )
    give(answer, wish, [before, after])
    translate = translator(wish.language)
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
        raise InputError(_("{path} is no folder of runs"), _("Leave --runs out to compare two captures."), path=path)
    return sorted(child for child in path.iterdir() if not child.name.startswith("."))


def _say_left_out(path: object, error: SkadvisorError) -> None:
    click.echo(f"left out {path}: {error.message}", err=True)


def _status(comparison: Comparison, limit: float | None) -> Status:
    try:
        if limit is not None:
            check_gate(comparison, limit)
    except SkadvisorError as error:
        return "gate_failed" if isinstance(error, GateError) else "too_little"
    return "answered"


def _next(comparison: Comparison, typed: str) -> tuple[str, ...]:
    """What to type after a comparison."""
    if comparison.verdict == "beneficial":
        return (f"{typed} --keep",)
    fused = comparison.superkernels or comparison.unmapped
    if fused and comparison.verdict in ("promising", "insufficient_evidence"):
        return ("skadvisor compare OFF_RUNS ON_RUNS --runs",)
    return () if comparison.verdict == "neutral" else ("skadvisor doctor AFTER",)


def check_gate(comparison: Comparison, limit: float) -> None:
    """Raise GateError if the step became slower by more than `limit` percent, NotEnoughError if nobody can tell."""
    if comparison.improvement_pct is None:
        reasons = "; ".join(str(reason.message) for reason in comparison.reasons)
        raise NotEnoughError(
            _("the gate cannot be judged, the captures are not comparable: {reasons}"), reasons=reasons
        )
    if comparison.verdict == "insufficient_evidence":
        raise NotEnoughError(
            _("the gate cannot be judged: {action}"),
            _("Give more runs: --runs.") if comparison.superkernels or comparison.unmapped else "",
            action=comparison.action,
        )
    if -comparison.improvement_pct > limit:
        raise GateError(
            _("the decode step is {value:.2f} % slower, more than the {limit:g} % allowed"),
            _("{action}"),
            value=-comparison.improvement_pct,
            limit=limit,
            action=comparison.action,
        )
