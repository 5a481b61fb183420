"""`skadvisor analyze`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skadvisor.commands.analysing import analysis_options
from skadvisor.options import Options

if TYPE_CHECKING:
    from skadvisor.records import Result


@click.command("analyze")
@click.argument("path")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Write a report: .html, .md, .txt, .json, .xlsx, or .json.gz for a trace with labels. Repeatable.",
)
@analysis_options
@click.option("--workers", type=click.IntRange(1), help="Processes for many ranks.  [default: one per core]")
@click.option("--scheduler", help="Address of a Dask scheduler whose workers read the ranks.")
@click.option("--lang", "language", type=click.Choice(["en", "zh"]), help="Language.  [default: from the locale]")
@click.option("--redact", is_flag=True, help="Hide host names, paths and user names.")
@click.option("--redact-ops", is_flag=True, help="Hide operator names too.")
@click.option("--force", is_flag=True, help="Replace output files that exist.")
@click.pass_context
def analyze_command(
    context: click.Context, /, path: str, outputs: tuple[Path, ...], options: Options, **shown: Any
) -> None:
    """Say where the decode step's time goes, which template fits, what it can win, and why.

    PATH is a profiler file or folder of any supported format; a folder of many ranks gives one answer for all.
    """
    from skadvisor import report
    from skadvisor.text.languages import default_language

    language = shown["language"] or default_language()
    for output in outputs:
        report.check_target(output, force=shown["force"])
    quiet = bool((context.obj or {}).get("quiet"))
    result, tables = _analyze(path, options, shown, quiet)
    plan = _plan(result, tables, language) if outputs else ""
    if not context.params["no_ledger"]:
        _keep_forecasts(result, context.params["ledger"])
    for output in outputs:
        report.write(
            result,
            output,
            language=language,
            force=shown["force"],
            redact=shown["redact"],
            redact_op_names=shown["redact_ops"],
            plan=plan,
            **tables,
        )
        click.echo(f"wrote {output}", err=True)
    click.echo(_terminal_view(_redacted(result, shown), language, short=bool(outputs)))


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


def _plan(result: Result, tables: dict[str, Any], language: str) -> str:
    """What to type for the recommended template; nothing where none is, or where several ranks were read."""
    if result.recommendation.choice == "none" or not tables:
        return ""
    from skadvisor.plan import choose_dialect, make_plan, render_plan
    from skadvisor.text.languages import translator

    plan = make_plan(
        result, tables["kernels"], result.recommendation.choice, choose_dialect(result), result.recommendation.variant
    )
    return render_plan(plan, translator(language))


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


def _redacted(result: Result, shown: dict[str, Any]) -> Result:
    if not (shown["redact"] or shown["redact_ops"]):
        return result
    from skadvisor.report.redact import redact_result

    return redact_result(result, op_names=shown["redact_ops"])


def _terminal_view(result: Result, language: str, *, short: bool) -> str:
    """The text for this terminal; only the verdict where reports were written."""
    import os
    import shutil
    import sys

    from skadvisor import report

    if short:
        return report.verdict(result, language)
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size((100, 24)).columns if terminal else report.TEXT_WIDTH
    colour = terminal and not os.environ.get("NO_COLOR")
    return report.render_text(result, width=width, colour=colour, language=language)
