"""`skadvisor kernels`: the labelled kernel table."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skadvisor.commands.analysing import analysis_options
from skadvisor.commands.answering import Wish, answer_options, give
from skadvisor.options import Options

if TYPE_CHECKING:
    import pandas as pd


@click.command("kernels")
@click.argument("path", type=click.Path(path_type=Path))
@answer_options(".csv", ".parquet")
@analysis_options
def kernels_command(path: Path, wish: Wish, options: Options) -> None:
    """Write one row per kernel (.csv, .parquet) with its labels, shapes and fragment; show the operator types.

    The columns fusible and fragment are those of the scope that `analyze` speaks of.
    """
    from skadvisor.analysis import analyze
    from skadvisor.report import Answer
    from skadvisor.report.kernel_table import FORMATS
    from skadvisor.report.operator_section import describe_operators

    wish.check([path])
    analysis = analyze(path, options)
    result, rank = analysis.result, analysis.capture.rank
    own = {suffix: partial(_table, analysis.kernels, rank, suffix) for suffix in FORMATS}
    give(Answer(result.operators, lambda language: describe_operators(result, language), own), wish, [path])


def _table(kernels: pd.DataFrame, rank: int | None, suffix: str, _language: str) -> bytes:
    from skadvisor.report.kernel_table import render_kernels

    return render_kernels(kernels, rank, suffix)
