"""`skadvisor analyze`: the main job."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skadvisor.commands.analysing import analysis_options
from skadvisor.commands.answering import Wish, answer_options, give
from skadvisor.options import Options

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.analysis import Analysis
    from skadvisor.plan import Plan
    from skadvisor.records import Result
    from skadvisor.report import Answer
    from skadvisor.report.document import Section


@click.command("analyze")
@click.argument("path")
@answer_options(".json.gz")
@analysis_options
@click.option("--workers", type=click.IntRange(1), help="Processes for many ranks.  [default: one per core]")
@click.option("--scheduler", help="Address of a Dask scheduler whose workers read the ranks.")
@click.option("--redact", is_flag=True, help="Hide host names, paths and user names.")
@click.option("--redact-ops", is_flag=True, help="Hide operator names too.")
@click.pass_context
def analyze_command(context: click.Context, /, path: str, wish: Wish, options: Options, **asked: Any) -> None:
    """Say where the decode step's time goes, which template fits, what it can win, and why.

    PATH is a profiler file or folder of any supported format; a folder of many ranks gives one answer for all.
    """
    wish.check([Path(path)])
    quiet = bool((context.obj or {}).get("quiet"))
    result, analysis = _analyze(path, options, asked, quiet)
    if not context.params["no_ledger"]:
        _keep_forecasts(result, context.params["ledger"])
    hide = asked["redact"] or asked["redact_ops"]
    give(analysis_answer(result, analysis, path, hide=hide, hide_ops=asked["redact_ops"]), wish, [Path(path)])


def analysis_answer(
    result: Result, analysis: Analysis | None, path: Path | str, *, hide: bool = False, hide_ops: bool = False
) -> Answer:
    """The answer of an analysis with its plan; `analysis` is None where several ranks were read, which have none.

    `hide` leaves out paths and names, `hide_ops` operator names too; a file then holds no kernels to go on from.
    """
    from skadvisor.capture.saved import save
    from skadvisor.report import result_answer
    from skadvisor.report.redact import redact_about, redact_kernels, redact_result

    kernels, steps = (None, None) if analysis is None else (analysis.kernels, analysis.steps)

    def sections(language: str) -> Iterable[Section]:
        from skadvisor.plan import plan_sections

        plan = _plan(result, None if analysis is None else analysis.kernels)
        if plan and hide:
            plan = redact_about(plan, result, op_names=hide_ops)
        return plan_sections(plan, language) if plan else ()

    shown = redact_result(result, op_names=hide_ops) if hide else result
    if hide and kernels is not None:
        kernels = redact_kernels(kernels, op_names=hide_ops)
    none = result.recommendation.choice == "none"
    return replace(
        result_answer(shown, kernels, steps, sections),
        command="analyze",
        status="no_placement" if none else "answered",
        next=next_commands(result, "CAPTURE" if hide else str(path)),
        saved=dict if hide or analysis is None else lambda: save(analysis.capture, analysis.options),
    )


def next_commands(result: Result, path: str) -> tuple[str, ...]:
    """What to type after an analysis."""
    import shlex

    advised, place = result.recommendation, shlex.quote(path)
    if advised.choice != "none":
        variant = f" --variant {advised.variant}" if advised.variant else ""
        return (f"skadvisor plan {place} --template {advised.choice}{variant}", f"skadvisor screen {place}")
    if advised.ground == "superkernel":
        return (f"skadvisor compare BEFORE {place}",)
    return (f"skadvisor rules {place}",) if advised.ground == "blocked" else (f"skadvisor doctor {place}",)


def _analyze(path: str, options: Options, spread: dict[str, Any], quiet: bool) -> tuple[Result, Analysis | None]:
    """The result, and the whole analysis where one rank was read."""
    from skadvisor.analysis import analyze
    from skadvisor.files.progress import bar
    from skadvisor.ranks.analysis import analyze_ranks

    if options.rank is not None:
        with bar("Reading and labelling", quiet=quiet):
            analysis = analyze(path, options)
        return analysis.result, analysis
    answer = analyze_ranks(path, options, quiet=quiet, workers=spread["workers"], scheduler=spread["scheduler"])
    return answer.result, answer.alone


def _plan(result: Result, kernels: pd.DataFrame | None) -> Plan | None:
    """What to type for the recommended template; None where none is, or where several ranks were read."""
    if result.recommendation.choice == "none" or kernels is None:
        return None
    from skadvisor.plan import choose_dialect, make_plan

    advised = result.recommendation
    return make_plan(result, kernels, advised.choice, choose_dialect(result), advised.variant)


def _keep_forecasts(result: Result, ledger: Path | None) -> None:
    """Keep what was foretold; the answer does not depend on whether this works in the user's own data folder."""
    from skadvisor.errors import SkadvisorError
    from skadvisor.gain.ledger import default_path, record_forecasts

    place = ledger or default_path()
    first = not place.exists()
    try:
        kept = record_forecasts(result, place)
    except SkadvisorError as error:
        if ledger is not None:
            raise
        click.echo(f"note: forecasts were not kept: {error.message}", err=True)
    else:
        if first and kept:
            click.echo(f"note: forecasts are kept in {place}, to be checked later (--no-ledger keeps none)", err=True)
