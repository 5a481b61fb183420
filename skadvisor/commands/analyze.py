"""`skadvisor analyze`: the main job."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skadvisor.commands.analysing import analysis_options
from skadvisor.commands.answering import Wish, answer_options, give
from skadvisor.options import Options

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.plan import Plan
    from skadvisor.records import Result
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
    from skadvisor.report import result_answer

    wish.check([Path(path)])
    quiet = bool((context.obj or {}).get("quiet"))
    result, tables = _analyze(path, options, asked, quiet)
    analysed, kernels = result, tables.get("kernels")
    if not context.params["no_ledger"]:
        _keep_forecasts(result, context.params["ledger"])
    if asked["redact"] or asked["redact_ops"]:
        result, tables = _redacted(result, tables, asked["redact_ops"])

    def sections(language: str) -> Iterable[Section]:
        from skadvisor.plan import plan_sections

        plan = _plan(analysed, kernels)
        if plan and result is not analysed:
            from skadvisor.report.redact import redact_about

            plan = redact_about(plan, analysed, op_names=asked["redact_ops"])
        return plan_sections(plan, language) if plan else ()

    give(result_answer(result, plan=sections, **tables), wish, [Path(path)])


def _analyze(path: str, options: Options, spread: dict[str, Any], quiet: bool) -> tuple[Result, dict[str, Any]]:
    """The result, and the tables that a trace is written from where one rank was read."""
    from skadvisor.analysis import analyze
    from skadvisor.files.progress import bar
    from skadvisor.ranks.analysis import analyze_ranks

    if options.rank is not None:
        with bar("Reading and labelling", quiet=quiet):
            analysis = analyze(path, options)
        return analysis.result, {"kernels": analysis.kernels, "steps": analysis.steps}
    answer = analyze_ranks(path, options, quiet=quiet, workers=spread["workers"], scheduler=spread["scheduler"])
    if answer.alone is None:
        return answer.result, {}
    return answer.result, {"kernels": answer.alone.kernels, "steps": answer.alone.steps}


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


def _redacted(result: Result, tables: dict[str, Any], op_names: bool) -> tuple[Result, dict[str, Any]]:
    from skadvisor.report.redact import redact_kernels, redact_result

    if tables:
        tables = {**tables, "kernels": redact_kernels(tables["kernels"], op_names=op_names)}
    return redact_result(result, op_names=op_names), tables
