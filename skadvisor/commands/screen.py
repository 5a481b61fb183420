"""`skadvisor screen`: the runs worth doing, in order."""

from __future__ import annotations

from pathlib import Path

import click

from skadvisor.commands.analysing import analysis_options
from skadvisor.options import Options
from skadvisor.plan.patch import DIALECTS


@click.command("screen")
@click.argument("capture", type=click.Path(path_type=Path))
@click.option("--dialect", type=click.Choice(DIALECTS), help="How scopes are written.  [default: from the capture]")
@click.option("--steps", type=click.IntRange(1), default=100, show_default=True, help="Decode steps of one run.")
@click.option(
    "--run-cv", type=click.FloatRange(min=0), help="Spread of your run medians, percent.  [default: 1 assumed]"
)
@analysis_options
@click.option("--lang", "language", type=click.Choice(["en", "zh"]), help="Language.  [default: from the locale]")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the sheet (.yaml, .md, .txt).")
@click.option("--force", is_flag=True, help="Replace the output file if it exists.")
def screen_command(
    capture: Path,
    dialect: str | None,
    steps: int,
    run_cv: float | None,
    options: Options,
    language: str | None,
    output: Path | None,
    force: bool,
) -> None:
    """List which scopes to try, with which options, how often, and when to stop."""
    from skadvisor.analysis import analyze
    from skadvisor.files.output import check_output, write_atomically
    from skadvisor.plan import choose_dialect
    from skadvisor.plan.screening import make_sheet
    from skadvisor.plan.screening_text import sheet_table, sheet_yaml
    from skadvisor.text.languages import default_language, translator

    if output is not None:
        check_output(output, force=force, inputs=[capture])
    translate = translator(language or default_language())
    analysis = analyze(capture, options)
    spoken = next((name for name in DIALECTS if name == dialect), None) or choose_dialect(analysis.result)
    sheet = make_sheet(analysis.result, analysis.kernels, spoken, steps, run_cv)
    if output is None:
        click.echo(sheet_table(sheet, translate), nl=False)
        return
    yaml = output.suffix in (".yaml", ".yml")
    write_atomically(output, sheet_yaml(sheet, translate) if yaml else sheet_table(sheet, translate), force=force)
    click.echo(f"wrote {output}", err=True)
