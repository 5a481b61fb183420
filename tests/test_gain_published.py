"""Published before/after pairs against claim and estimate, and the calibrated model that starts from them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from skadvisor.gain.calibrated import COLUMNS, CalibratedGain, fit_calibrated, leave_one_out, published_rows
from skadvisor.gain.outcomes import published_cases, scene
from skadvisor.gain.overhead import OverheadModel
from skadvisor.gain.published import compare_published, table


@pytest.fixture(scope="module")
def comparisons():
    return compare_published()


def test_the_intervals_cover_what_was_measured_in_most_cases(comparisons):
    assert sum(one.covered for one in comparisons) >= 0.8 * len(comparisons)


def test_the_middle_is_nearer_than_the_claim_in_every_case(comparisons):
    assert [one.case.name for one in comparisons if not one.nearer] == []


def test_the_table_shows_every_case_with_its_figures(comparisons):
    text = table(comparisons)
    for one in comparisons:
        assert one.case.name in text
    assert f"covers the measurement in {sum(one.covered for one in comparisons)} of {len(comparisons)}" in text
    assert "<= 0" in text


def test_measured_gains_are_the_published_ones():
    gains = {case.name.split(",")[0] + case.template: round(case.measured_pct, 1) for case in published_cases()}
    assert gains["hy3 295B BF16full-model"] == 2.2
    assert gains["synthetic MoE examplemoe-only"] == 5.6
    assert gains["small GELU netfull-model"] == 4.7


def test_a_scene_takes_the_time_that_was_published():
    for case in published_cases():
        made = scene(case).step.kernels
        end = made["start_ns"] + made["dur_ns"]
        assert (end.max() - made["start_ns"].min()) / 1000 == pytest.approx(case.before_us, rel=0.01)


def made_cases(count, slope=0.0, seed=3):
    random = np.random.default_rng(seed)
    X = pd.DataFrame(random.uniform(0.0, 1.0, (count, len(COLUMNS))), columns=list(COLUMNS))
    X["overhead_mid_pct"] = random.uniform(1.0, 10.0, count)
    X["overhead_sd_pct"] = 2.0
    effect = slope * (X["gap_share"] - 0.5) + random.normal(0.0, 0.3, count)
    return X, (X["overhead_mid_pct"] + effect * X["overhead_sd_pct"]).to_numpy()


def test_without_cases_the_overhead_model_stands():
    X, y = made_cases(5)
    model = CalibratedGain().fit(X.iloc[:0], y[:0])
    assert np.allclose(model.predict(X), X["overhead_mid_pct"])
    assert model.spread_ == 1.0


def test_few_cases_move_little_and_many_move_much():
    few, many = CalibratedGain().fit(*made_cases(4, slope=3.0)), CalibratedGain().fit(*made_cases(60, slope=3.0))
    X, y = made_cases(40, slope=3.0, seed=9)
    by_overhead = np.abs(X["overhead_mid_pct"] - y).mean()
    assert np.abs(few.predict(X) - X["overhead_mid_pct"]).mean() < 0.5 * by_overhead
    assert np.abs(many.predict(X) - y).mean() < 0.6 * by_overhead


def test_noise_is_not_learned():
    X, _ = made_cases(12)
    y = X["overhead_mid_pct"] + np.random.default_rng(1).normal(0.0, 2.0, 12)
    model = CalibratedGain().fit(X, y)
    assert model.skill_ < 0.3
    assert model.spread_ >= 1.0


def test_leaving_one_out_covers_honestly():
    X, y = made_cases(60, slope=2.0)
    found = leave_one_out(X, y)
    covered = ((found["low_pct"] <= y) & (y <= found["high_pct"])).mean()
    assert 0.7 <= covered <= 0.95


def test_far_away_cases_are_not_extrapolated_without_end():
    X, y = made_cases(60, slope=3.0)
    model = CalibratedGain().fit(X, y)
    near, far = X.iloc[[0]].copy(), X.iloc[[0]].copy()
    near["gap_share"], far["gap_share"] = 10.0, 1e6
    assert model.predict(near) == pytest.approx(model.predict(far))


def test_the_estimator_keeps_the_conventions():
    model = CalibratedGain(prior_weight=3.0)
    assert clone(model).get_params() == {"prior_weight": 3.0}
    X, y = made_cases(5)
    with pytest.raises(ValueError, match="missing columns"):
        model.fit(X.drop(columns="gap_share"), y)
    with pytest.raises(ValueError, match="not finite"):
        model.fit(X.assign(gap_share=np.nan), y)
    with pytest.raises(ValueError, match="differ in length"):
        model.fit(X, y[:-1])


def test_own_outcomes_move_the_model_and_its_term_is_named():
    case = published_cases()[0]
    made = scene(case)
    plain = OverheadModel().draw(made)
    X, _ = published_rows()
    own = [(X.iloc[0].to_dict() | {"gap_share": X["gap_share"][0]}, 1.0)] * 30
    drawn = fit_calibrated(own).draw(made)
    assert "calibration" in drawn.parts
    assert abs(np.median(drawn.saving_us) - 0.01 * case.before_us) < abs(
        np.median(plain.saving_us) - 0.01 * case.before_us
    )
    assert drawn.saving_us.max() <= drawn.ceiling_us + 1e-6
