"""`skadvisor screen`: the runs worth doing, in order."""

from __future__ import annotations

from pathlib import Path

import click

from skadvisor.commands.analysing import analysis_options, one_rank
from skadvisor.commands.answering import Wish, answer_options, give
from skadvisor.options import Options
from skadvisor.plan.patch import DIALECTS, Dialect


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
    capture: Path, dialect: Dialect | None, steps: int, run_cv: float | None, wish: Wish, options: Options
) -> None:
    """List which scopes to try, with which options, how often, and when to stop.

    CAPTURE may be a sheet that -o sheet.yaml wrote: with the times that you filled in each run is judged.
    """
    from skadvisor.analysis import analyze
    from skadvisor.comparison.screened import is_sheet, read_screening
    from skadvisor.plan import choose_dialect
    from skadvisor.plan.screening import make_sheet
    from skadvisor.plan.screening_text import describe_sheet, sheet_yaml
    from skadvisor.report.answer import Answer, Status
    from skadvisor.text.languages import translator

    wish.check([capture])
    if is_sheet(capture):
        from skadvisor.comparison.screened_text import describe_screening

        screening = read_screening(capture)
        follows = ("skadvisor compare OFF_RUNS ON_RUNS --runs --keep",) if screening.best else ()
        answer = Answer(
            screening, lambda spoken: describe_screening(screening, spoken), command="screened", next=follows
        )
        give(answer, wish, [capture])
        return
    analysis = analyze(capture, one_rank(capture, options))
    sheet = make_sheet(analysis.result, analysis.kernels, dialect or choose_dialect(analysis.result), steps, run_cv)
    own = {".yaml": lambda language: sheet_yaml(sheet, translator(language))}
    status: Status = "answered" if sheet.runs else "no_placement"
    follows = ("skadvisor screen SHEET.yaml",) if sheet.runs else (f"skadvisor analyze {capture}",)
    answer = Answer(sheet, lambda language: describe_sheet(sheet, language), own, status=status, next=follows)
    give(answer, wish, [capture])
