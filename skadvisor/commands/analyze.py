"""`skadvisor analyze`: the main job."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("analyze")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Write a report: .html, .md, .txt, .json, .xlsx, or .json.gz for a trace with labels. Repeatable.",
)
@click.option("--rank", type=int, help="Which rank, where the folder holds several.")
@click.option("--operators", type=click.Path(path_type=Path), help="A TOML file with operators of your own.")
@click.option("--tpot-ms", type=click.FloatRange(min=0, min_open=True), help="Time per output token without profiler.")
@click.option("--risk", type=click.Choice(["low", "balanced", "high"]), default="balanced", show_default=True)
@click.option("--ledger", type=click.Path(path_type=Path), help="Ledger file of forecasts and outcomes.")
@click.option("--lang", "language", type=click.Choice(["en", "zh"]), help="Language.  [default: from the locale]")
@click.option("--redact", is_flag=True, help="Hide host names, paths and user names.")
@click.option("--redact-ops", is_flag=True, help="Hide operator names too.")
@click.option("--force", is_flag=True, help="Replace output files that exist.")
@click.pass_context
def analyze_command(
    context: click.Context,
    path: Path,
    outputs: tuple[Path, ...],
    rank: int | None,
    operators: Path | None,
    tpot_ms: float | None,
    risk: str,
    ledger: Path | None,
    language: str | None,
    redact: bool,
    redact_ops: bool,
    force: bool,
) -> None:
    """Say where the decode step's time goes, which template fits, what it can win, and why.

    PATH is a profiler file or folder of any supported format.
    """
    from skadvisor import report
    from skadvisor.analysis import analyze
    from skadvisor.languages import default_language
    from skadvisor.progress import bar

    language = language or default_language()
    for output in outputs:
        report.check_target(output, force=force)
    with bar("reading and labelling", quiet=bool((context.obj or {}).get("quiet"))):
        analysis = analyze(path, rank=rank, operators=operators, tpot_ms=tpot_ms, risk=risk, ledger=ledger)
    for output in outputs:
        report.write(
            analysis.result,
            output,
            language=language,
            kernels=analysis.kernels,
            steps=analysis.steps,
            force=force,
            redact=redact,
            redact_op_names=redact_ops,
        )
        click.echo(f"wrote {output}", err=True)
    click.echo(_terminal_view(analysis.result, language, short=bool(outputs)))


def _terminal_view(result: object, language: str, *, short: bool) -> str:
    """The text for this terminal; only the verdict where reports were written."""
    import os
    import shutil
    import sys

    from skadvisor import report
    from skadvisor.records import Result

    assert isinstance(result, Result)
    if short:
        return report.verdict(result, language)
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size((100, 24)).columns if terminal else 100
    colour = terminal and not os.environ.get("NO_COLOR")
    return report.render_text(result, width=width, colour=colour, language=language)
