"""`skadvisor kernels`: the labelled kernel table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skadvisor.commands.analysing import analysis_options, one_rank
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

    The columns fusible and fragment are those of the scope that `analyze` speaks of. Of a folder of many ranks all are
    written, and the operator types are those of the rank that sets the pace.
    """
    from skadvisor.analysis import analyze
    from skadvisor.ranks.reference import find_ranks
    from skadvisor.report import Answer
    from skadvisor.report.kernel_table import FORMATS
    from skadvisor.report.operator_section import describe_operators

    wish.check([path])
    shown = one_rank(path, options)
    analyses = [analyze(path, shown)]
    ranks = [place.rank for place in find_ranks(path, options)]
    analyses += [analyze(path, replace(options, rank=rank)) for rank in ranks if len(ranks) > 1 and rank != shown.rank]
    result = analyses[0].result
    tables = [(one.capture.rank, one.kernels) for one in analyses]
    own = {suffix: partial(_table, tables, suffix) for suffix in FORMATS}
    follows = (f"skadvisor explain {path} --kernel {result.operators[0].op_type}",) if result.operators else ()
    answer = Answer(result.operators, lambda language: describe_operators(result, language), own, next=follows)
    give(answer, wish, [path])


def _table(tables: Sequence[tuple[int | None, pd.DataFrame]], suffix: str, _language: str) -> bytes:
    from skadvisor.report.kernel_table import render_kernels

    return render_kernels(tables, suffix)
