"""What-if sketches: the steps change by what was taken out or scaled, and say what they assume."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from conftest import REPOSITORY

import skadvisor
from skadvisor.analysis import Analysis, analyze_capture
from skadvisor.errors import NotEnoughError
from skadvisor.scenarios import with_batch, without


@pytest.fixture(scope="module")
def dense() -> Analysis:
    return skadvisor.analyze(REPOSITORY / "profiles" / "dense-ge-decode")


def decode_wall(analysis: Analysis) -> float:
    return analysis.result.phases["decode"].wall_us


def test_a_breaker_that_is_gone_costs_nothing_any_more(dense: Analysis) -> None:
    breakers = {breaker.op_type for template in dense.result.templates for breaker in template.breakers}
    target = sorted(breakers)[0]
    changed = without(dense, [target])
    assert decode_wall(changed) < decode_wall(dense)
    left = {breaker.op_type for template in changed.result.templates for breaker in template.breakers}
    assert target not in left
    assert changed.result.warnings[0].code == "what_if"
    assert len(dense.kernels) == len(dense.capture.kernels)  # the original is as it was


def test_removed_time_is_exactly_what_the_kernels_added_to_the_step(dense: Analysis) -> None:
    target = "SplitVD"
    kernels = dense.kernels
    step = kernels[kernels["step"] == 1]
    front = (step["start_ns"] + step["dur_ns"]).cummax()
    added = front - front.shift(fill_value=int(step["start_ns"].iloc[0]))
    lost = int(added[step["op_type"] == target].sum())
    changed = without(dense, [target])
    before = dense.times.steps.set_index("step")["wall_ns"]
    after = changed.times.steps.set_index("step")["wall_ns"]
    assert lost > 0
    assert before[1] - after[1] == lost


def test_a_larger_batch_grows_attention_and_keeps_small_projections(dense: Analysis) -> None:
    changed = with_batch(dense, 2.0)
    # Over all steps: another one may be nearest the median afterwards.
    before, after = (a.times.regions.groupby("region")["exposed_ns"].sum() for a in (dense, changed))
    assert after["attention"] > 1.05 * before["attention"]
    assert after["mlp"] == pytest.approx(before["mlp"], rel=1e-6)
    assert decode_wall(with_batch(dense, 1.0)) == decode_wall(dense)


def test_operators_are_taken_out_by_name_where_there_are_no_types(dense: Analysis) -> None:
    kernels = dense.capture.kernels
    nothing = pd.Categorical([None] * len(kernels), categories=pd.Index([], dtype="object"))
    named = analyze_capture(replace(dense.capture, kernels=kernels.assign(op_type=nothing)))
    assert decode_wall(without(named, ["AddRmsNorm"])) < decode_wall(named)


def test_nothing_to_change_is_said(dense: Analysis) -> None:
    with pytest.raises(NotEnoughError):
        without(dense, ["NoSuchOperator"])
    with pytest.raises(NotEnoughError):
        with_batch(dense, 0)


def test_what_a_breaker_costs_is_what_the_what_if_without_it_wins(dense: Analysis) -> None:
    changed = without(dense, ["MatMulV2"])
    for name in ("full-model", "per-block"):
        before, after = (next(t for t in a.result.templates if t.name == name) for a in (dense, changed))
        assert before.estimate is not None and after.estimate is not None
        cost = sum(breaker.cost_us for breaker in before.breakers if breaker.op_type == "MatMulV2")
        assert cost > 0
        assert after.estimate.mid_us - before.estimate.mid_us == pytest.approx(cost, rel=0.05)
