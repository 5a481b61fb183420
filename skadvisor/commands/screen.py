"""`skadvisor screen`: the runs worth doing, in order."""

from __future__ import annotations

from pathlib import Path

import click

from skadvisor.commands.analysing import analysis_options, one_rank
from skadvisor.commands.answering import Wish, answer_options, give
from skadvisor.options import Options
from skadvisor.plan.patch import DIALECTS


@click.command("screen")
@click.argument("capture", type=click.Path(path_type=Path))
@click.option("--dialect", type=click.Choice(DIALECTS), help="How scopes are written.  [default: from the capture]")
@click.option("--steps", type=click.IntRange(1), default=100, show_default=True, help="Decode steps of one run.")
@click.option(
    "--run-cv", type=click.FloatRange(min=0), help="Spread of your run medians, percent.  [default: 1 assumed]"
)
@answer_options(".yaml")
@analysis_options
def screen_command(
    capture: Path, dialect: str | None, steps: int, run_cv: float | None, wish: Wish, options: Options
) -> None:
    """List which scopes to try, with which options, how often, and when to stop."""
    from skadvisor.analysis import analyze
    from skadvisor.plan import choose_dialect
    from skadvisor.plan.screening import make_sheet
    from skadvisor.plan.screening_text import describe_sheet, sheet_yaml
    from skadvisor.report import Answer
    from skadvisor.text.languages import translator

    wish.check([capture])
    analysis = analyze(capture, one_rank(capture, options))
    spoken = next((name for name in DIALECTS if name == dialect), None) or choose_dialect(analysis.result)
    sheet = make_sheet(analysis.result, analysis.kernels, spoken, steps, run_cv)
    own = {".yaml": lambda language: sheet_yaml(sheet, translator(language))}
    give(Answer(sheet, lambda language: describe_sheet(sheet, language), own), wish, [capture])
