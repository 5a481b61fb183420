"""A capture that lacks a column, wholly or on one stream, is answered by every command and report: none crashes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sample_builder.build import build
from sample_builder.catalogue import DEEPSEEK_V3

from skadvisor.analysis import Analysis, analyze_capture
from skadvisor.commands.analyze import analysis_answer
from skadvisor.commands.doctor import doctor_command
from skadvisor.events import KERNEL_COLUMNS, Capture, kernel_table
from skadvisor.labelling.explanation import explain
from skadvisor.labelling.explanation_text import describe_explanation
from skadvisor.plan import TEMPLATES, choose_dialect, describe_plan, make_plan
from skadvisor.plan.screening import make_sheet
from skadvisor.plan.screening_text import describe_sheet
from skadvisor.report import SUFFIXES, TRACE, render_answer
from skadvisor.report.kernel_table import FORMATS, render_kernels
from skadvisor.report.operator_section import describe_operators
from skadvisor.report.text import render_text

#: Every column that a file may lack; `kind` is the reader's own. Those that streams are told by are tried first.
NULLABLE = [
    name
    for name, (dtype, _meaning) in KERNEL_COLUMNS.items()
    if dtype in ("Int64", "category") and name not in ("name", "kind")
]
FIRST = ("blocks", "core", "stream", "op_type")
TRIED = [pytest.param(name, marks=() if name in FIRST else pytest.mark.slow) for name in NULLABLE]


@cache
def whole() -> Capture:
    """A step on several streams, with everything that a profiler can record."""
    recorded = build(replace(DEEPSEEK_V3, layers=5), steps=3, seed=3, pmu=True, step_ids=True, host_ranges=True)
    return recorded.capture


def _second_stream(kernels: pd.DataFrame) -> np.ndarray:
    stream = kernels["stream"].fillna(-1)
    return (stream == stream.value_counts().index[1]).to_numpy()


def _everywhere(kernels: pd.DataFrame) -> np.ndarray:
    return np.ones(len(kernels), dtype=bool)


def lacking(column: str, rows: Callable[[pd.DataFrame], np.ndarray]) -> Capture:
    """The capture without what stands in a column of these rows."""
    kernels = whole().kernels.copy()
    kernels.loc[rows(kernels), column] = pd.NA if kernels[column].dtype == "Int64" else None
    if rows is _everywhere and kernels[column].dtype != "Int64":
        kernels[column] = kernels[column].cat.remove_unused_categories()
    return replace(whole(), kernels=kernels)


def give_all(analysis: Analysis, folder: Path) -> None:
    """Every answer that commands give of an analysis, in every format."""
    answer = analysis_answer(analysis.result, analysis, "capture")
    for suffix in (*SUFFIXES, TRACE):
        assert render_answer(answer, suffix)
    for template in TEMPLATES:
        dialect = "npugraph_ex" if template == "automatic" else choose_dialect(analysis.result)
        plan = make_plan(analysis.result, analysis.kernels, template, dialect)
        assert render_text(describe_plan(plan), detail=True)
    sheet = make_sheet(analysis.result, analysis.kernels, choose_dialect(analysis.result), 100, None)
    assert render_text(describe_sheet(sheet, "en"), detail=True)
    rows = explain(analysis.labelled, ".").to_dict("records")
    assert render_text(describe_explanation(rows, ".", "en"), detail=True)
    assert render_text(describe_operators(analysis.result, "en"), detail=True)
    for suffix in FORMATS:
        assert render_kernels([(None, analysis.kernels)], suffix)
    saved = folder / "saved.json"
    saved.write_bytes(render_answer(answer, ".json"))
    doctored = CliRunner().invoke(doctor_command, [str(saved), "-v"], standalone_mode=False)
    assert doctored.exception is None, doctored.exception


@pytest.mark.parametrize("rows", [_everywhere, _second_stream])
@pytest.mark.parametrize("column", TRIED)
def test_no_answer_needs_a_column(column: str, rows: Callable[[pd.DataFrame], np.ndarray], tmp_path: Path) -> None:
    give_all(analyze_capture(lacking(column, rows)), tmp_path)


def test_no_answer_needs_more_than_names_and_times(tmp_path: Path) -> None:
    kernels = whole().kernels.drop(columns=NULLABLE)
    capture = replace(whole(), kernels=kernel_table({name: kernels[name] for name in kernels}))
    give_all(analyze_capture(capture), tmp_path)
