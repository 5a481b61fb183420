"""`skadvisor explain`: why kernels got their label."""

from __future__ import annotations

from pathlib import Path

import click

from skadvisor.commands.analysing import analysis_options, one_rank
from skadvisor.commands.answering import Wish, answer_options, give
from skadvisor.options import Options


@click.command("explain")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--kernel", "pattern", required=True, help="A role, or what to search in kernel names and types.")
@answer_options()
@analysis_options
def explain_command(path: Path, pattern: str, wish: Wish, options: Options) -> None:
    """Say why these kernels got their label, and what else they could have been.

    Weights are natural-log odds between the label and the runner-up: +2.3 is ten to one.
    """
    from skadvisor.labelling.explanation import explain
    from skadvisor.labelling.explanation_text import describe_explanation
    from skadvisor.labelling.labels import label_path
    from skadvisor.report import Answer

    wish.check([path])
    rows = explain(label_path(path, one_rank(path, options)), pattern).to_dict("records")
    follows = (f"skadvisor kernels {path} -o kernels.csv",)
    answer = Answer(rows, lambda language: describe_explanation(rows, pattern, language), next=follows)
    give(answer, wish, [path])
