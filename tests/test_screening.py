"""The screening sheet: runs in order, enough of them to see the predicted gain, and what is not worth one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from sample_builder.build import build
from sample_builder.catalogue import DEEPSEEK_V3

from skadvisor.advice.expected import expected_pct
from skadvisor.advice.order import order_trials
from skadvisor.analysis import Analysis, analyze_capture
from skadvisor.commands.screen import screen_command
from skadvisor.plan.screening import (
    FEWEST_OFF,
    FEWEST_ON,
    MOST_RUNS,
    analyse_power,
    make_sheet,
    measure_spread,
    runs_needed,
)
from skadvisor.plan.screening_text import describe_sheet, sheet_yaml
from skadvisor.records import Estimate, Result
from skadvisor.report.markdown import render_markdown


@pytest.fixture(scope="module")
def sparse() -> Analysis:
    return analyze_capture(build(replace(DEEPSEEK_V3, layers=5), steps=4, seed=5).capture)


def expecting(result: Result, **mids: float) -> Result:
    """The result with estimates of our own: name=mid, the interval one point to each side."""
    templates = []
    for template in result.templates:
        mid = mids.get(template.name.replace("-", "_"), 0.1)
        estimate = Estimate(low_us=0.0, mid_us=100 * mid, high_us=0.0, low_pct=mid - 1, mid_pct=mid, high_pct=mid + 1)
        templates.append(replace(template, estimate=estimate, verdict="worthwhile"))
    allowed = [template for template in templates if mids.get(template.name.replace("-", "_"), 0.1) >= 2]
    order = order_trials(templates, max(allowed, key=expected_pct), allowed) if allowed else ()
    advice = replace(result.recommendation, order=order)
    return replace(result, templates=tuple(templates), recommendation=advice)


def test_the_order_is_that_of_the_advice(sparse: Analysis) -> None:
    result = expecting(sparse.result, attention_only=4.0, moe_only=6.0, full_model=8.0)
    sheet = make_sheet(result, sparse.kernels, "ge")
    names = [run.name for run in sheet.runs]
    assert names == ["baseline", "attention-only-a", "full-model", "moe-only", "confirm the best"]
    assert [run.order for run in sheet.runs] == list(range(1, 6))
    assert sheet.runs[0].repeats >= FEWEST_OFF
    assert [run.repeats for run in sheet.runs if run.kind == "smoke_test"] == [1]
    assert all(run.repeats >= FEWEST_ON for run in sheet.runs if run.kind != "smoke_test")
    assert sheet.total_runs == sum(run.repeats for run in sheet.runs)
    moe = next(run for run in sheet.runs if run.name == "moe-only")
    assert "stream-fusion=1" in moe.options


def test_what_noise_would_hide_is_left_out(sparse: Analysis) -> None:
    sheet = make_sheet(expecting(sparse.result, attention_only=0.5), sparse.kernels, "ge")
    assert sheet.runs == () and sheet.total_runs == 0
    assert any("attention-only" in str(message) for message in sheet.left_out)
    assert "No scope is worth a run" in describe_sheet(sheet).summary.headline


def test_smaller_gains_and_wider_spreads_need_more_runs() -> None:
    assert runs_needed(5.0, 1.0) == 2
    few, more = runs_needed(2.0, 1.0), runs_needed(1.2, 1.0)
    assert few is not None and more is not None and few < more
    wider = runs_needed(2.0, 2.0)
    assert wider is not None and wider > few
    assert runs_needed(0.1, 1.0) is None and runs_needed(-1.0, 1.0) is None


@settings(max_examples=30, deadline=None)
@given(st.floats(1.0, 6.0), st.floats(0.3, 2.0), st.integers(0, 1000))
def test_the_runs_do_see_the_gain(gain: float, spread: float, seed: int) -> None:
    """Simulated: with the runs that the formula asks for, a z test sees the gain about as often as it promises."""
    runs = runs_needed(gain, spread)
    if runs is None or runs < 4:
        return
    generator = np.random.default_rng(seed)
    off = generator.normal(100, spread, (4000, runs)).mean(axis=1)
    on = generator.normal(100 - gain, spread, (4000, runs)).mean(axis=1)
    seen = ((off - on) / (spread * np.sqrt(2 / runs)) > 1.96).mean()
    assert seen > 0.76


def test_the_spread_comes_from_the_capture(sparse: Analysis) -> None:
    cv, steps = measure_spread(sparse.result)
    walls = [step.wall_us for step in sparse.result.steps]
    assert steps == 4 and cv == pytest.approx(100 * np.std(walls, ddof=1) / np.mean(walls))
    power = analyse_power(sparse.result, 3.0, steps_per_run=1_000_000)
    assert power.between_assumed and power.run_cv_pct == pytest.approx(power.between_pct, rel=1e-3)
    assert not analyse_power(sparse.result, 3.0, between_pct=0.2).between_assumed
    few = replace(sparse.result, steps=sparse.result.steps[:2])
    assert analyse_power(few, 3.0).step_cv_pct is None
    assert analyse_power(sparse.result, 0.01).runs is None
    assert MOST_RUNS > FEWEST_OFF


def test_the_sheet_is_yaml_and_a_table(sparse: Analysis) -> None:
    sheet = make_sheet(expecting(sparse.result, attention_only=4.0), sparse.kernels, "npugraph_ex", between_pct=0.5)
    data = YAML(typ="safe").load(sheet_yaml(sheet))
    assert [run["name"] for run in data["runs"]] == [run.name for run in sheet.runs]
    assert data["runs"][0]["decode_latency_ms"] == [] and data["runs"][0]["superkernel"] is False
    assert data["runs"][1]["expected_pct"] == {"low": 3.0, "mid": 4.0, "high": 5.0}
    assert data["power"][0]["between_runs_basis"] == "measured"
    table = render_markdown(describe_sheet(sheet))
    assert "attention-only-a" in table and "80 %" in table


def test_the_command_writes_by_suffix(sparse: Analysis, monkeypatch: Any, tmp_path: Path) -> None:
    wished = replace(sparse, result=expecting(sparse.result, full_model=9.0))
    monkeypatch.setattr("skadvisor.analysis.analyze", lambda *_, **__: wished)
    monkeypatch.setattr("skadvisor.ranks.reference.choose_reference", lambda _path, options: options)
    shown = CliRunner().invoke(screen_command, ["capture", "--lang", "en", "--run-cv", "0.8"])
    assert shown.exit_code == 0, shown.output
    assert "full-model" in shown.output
    target = tmp_path / "sheet.yaml"
    assert CliRunner().invoke(screen_command, ["capture", "-o", str(target)]).exit_code == 0
    assert YAML(typ="safe").load(target.read_text())["total_runs"] > 0
