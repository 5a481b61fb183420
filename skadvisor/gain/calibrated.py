"""The calibrated model: the overhead model, corrected by what was measured, as far as that helps.

The correction is in units of the overhead model's own uncertainty. It is a ridge regression on a few explainable
features, so with few cases it stays near zero, and it is scaled by its skill: if leaving one case out shows that it
predicts no better than the overhead model alone, the overhead model stands as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.utils.validation import check_is_fitted

from skadvisor.gain.bands import P90
from skadvisor.gain.features import FEATURES, case_row, interval_pct
from skadvisor.gain.interface import Draws, Floats, Part, Scene
from skadvisor.gain.outcomes import published_cases, scene
from skadvisor.gain.overhead import OverheadModel
from skadvisor.units import NS_PER_US

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Columns of the estimator's input: the overhead model's answer in percent of the step, then the features.
COLUMNS = ("overhead_mid_pct", "overhead_sd_pct", *FEATURES)
#: Features farther from the known cases than this, in their standard deviations, count as this far.
FARTHEST = 2.0
#: With fewer cases than this many prior weights the interval is never narrower than the overhead model's.
CASES_TO_NARROW = 3


class CalibratedGain(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Gain in percent of the step, from the overhead model's answer and the features in `COLUMNS`.

    `prior_weight` is the weight of the overhead model, in cases. After `fit`: `coef_` (standard deviations of the
    overhead model per standardised feature; the first is constant), `skill_` (0 to 1, part of the squared error that
    the correction removes in cases left out), `spread_` (factor on the overhead model's uncertainty), `residuals_`
    (of cases left out, in standard deviations).
    """

    def __init__(self, prior_weight: float = 8.0) -> None:
        self.prior_weight = prior_weight

    def fit(self, X: pd.DataFrame, y: Any) -> CalibratedGain:
        """Fit on cases: a DataFrame with `COLUMNS` and the measured gains, percent. Raises ValueError on bad input."""
        X, y = _checked(X), np.asarray(y, dtype=float)
        if len(X) != len(y) or not np.isfinite(y).all():
            raise ValueError("X and y differ in length, or y is not finite")
        error = (y - X["overhead_mid_pct"].to_numpy()) / X["overhead_sd_pct"].to_numpy()
        inputs = X[list(FEATURES)].to_numpy(dtype=float)
        self.mean_ = inputs.mean(axis=0) if len(X) else np.zeros(len(FEATURES))
        scale = inputs.std(axis=0) if len(X) else np.ones(len(FEATURES))
        self.scale_ = np.where(scale > 0, scale, 1.0)
        design = self._design(X)
        raw = _ridge(design, error, self.prior_weight)
        left_out = np.array(
            [
                design[one] @ _ridge(np.delete(design, one, 0), np.delete(error, one), self.prior_weight)
                for one in range(len(error))
            ]
        )
        alone = float(np.sum(error**2))
        self.skill_ = max(0.0, 1.0 - float(np.sum((error - left_out) ** 2)) / alone) if alone > 0 else 0.0
        self.coef_ = raw * self.skill_
        self.residuals_ = error - self.skill_ * left_out
        known = self.prior_weight + len(error)
        spread = float(np.sqrt((self.prior_weight + np.sum(self.residuals_**2)) / known))
        self.spread_ = spread if len(error) >= CASES_TO_NARROW * self.prior_weight else max(1.0, spread)
        self.n_cases_ = len(error)
        return self

    def predict(self, X: pd.DataFrame) -> Floats:
        """The corrected gain, percent of the step."""
        X = _checked(X)
        return X["overhead_mid_pct"].to_numpy() + self.shift(X) * X["overhead_sd_pct"].to_numpy()

    def predict_interval(self, X: pd.DataFrame) -> tuple[Floats, Floats]:
        """P10 and P90 of the gain, percent of the step."""
        middle = self.predict(X)
        half = P90 * self.spread_ * X["overhead_sd_pct"].to_numpy()
        return middle - half, middle + half

    def shift(self, X: pd.DataFrame) -> Floats:
        """The correction in standard deviations of the overhead model."""
        check_is_fitted(self, "coef_")
        return self._design(_checked(X)) @ self.coef_

    def _design(self, X: pd.DataFrame) -> Floats:
        standard = (X[list(FEATURES)].to_numpy(dtype=float) - self.mean_) / self.scale_
        return np.column_stack([np.ones(len(X)), np.clip(standard, -FARTHEST, FARTHEST)])


@dataclass(frozen=True, eq=False)
class CalibratedModel:
    """A gain model: the overhead model, shifted and spread by the estimator; the difference is a term of its own."""

    estimator: CalibratedGain
    overhead: OverheadModel

    def draw(self, scene: Scene) -> Draws:
        """Draw the saving of a scene; see `interface.Draws`."""
        drawn = self.overhead.draw(scene)
        row = case_row(scene, interval_pct(scene, drawn))
        X = pd.DataFrame([row], columns=list(COLUMNS))
        wall_us = scene.wall_ns / NS_PER_US
        middle = row["overhead_mid_pct"] / 100 * wall_us
        shift = float(self.estimator.shift(X)[0]) * row["overhead_sd_pct"] / 100 * wall_us
        change = shift + (self.estimator.spread_ - 1.0) * (drawn.saving_us - middle)
        change = np.minimum(drawn.saving_us + change, drawn.ceiling_us) - drawn.saving_us
        part = Part(
            change,
            "derived",
            f"{self.estimator.n_cases_} before/after pairs, published and own",
            {"skill": self.estimator.skill_, "spread": self.estimator.spread_, "shift_us": shift},
        )
        return Draws(drawn.parts | {"calibration": part}, drawn.ceiling_us, drawn.block_us)


@cache
def published_answers() -> tuple[tuple[float, float, float], ...]:
    """What the overhead model says of each published case, percent: low, mid, high."""
    answers = []
    for case in published_cases():
        made = scene(case)
        answers.append(interval_pct(made, OverheadModel().draw(made), case.block_only))
    return tuple(answers)


@cache
def published_rows() -> tuple[pd.DataFrame, Floats]:
    """The published cases as estimator input, and their measured gains, percent."""
    cases = published_cases()
    rows = [case_row(scene(case), answer) for case, answer in zip(cases, published_answers(), strict=True)]
    return pd.DataFrame(rows, columns=list(COLUMNS)), np.array([case.measured_pct for case in cases])


def fit_calibrated(own: Sequence[tuple[dict[str, float], float]] = ()) -> CalibratedModel:
    """The model fitted on the published cases and the user's own: pairs of input row and measured gain, percent."""
    X, y = published_rows()
    if own:
        X = pd.concat([X, pd.DataFrame([row for row, _ in own], columns=list(COLUMNS))], ignore_index=True)
        y = np.concatenate([y, [gain for _, gain in own]])
    return CalibratedModel(CalibratedGain().fit(X, y), OverheadModel())


def leave_one_out(X: pd.DataFrame, y: Floats) -> pd.DataFrame:
    """For each case what the model says that never saw it: columns mid_pct, low_pct, high_pct."""
    rows = []
    for one in range(len(y)):
        model = CalibratedGain().fit(X.drop(index=one), np.delete(y, one))
        low, high = model.predict_interval(X.iloc[[one]])
        rows.append({"mid_pct": model.predict(X.iloc[[one]])[0], "low_pct": low[0], "high_pct": high[0]})
    return pd.DataFrame(rows)


def _ridge(design: Floats, target: Floats, weight: float) -> Floats:
    if not len(target):
        return np.zeros(design.shape[1])
    return Ridge(alpha=weight, fit_intercept=False).fit(design, target).coef_


def _checked(X: pd.DataFrame) -> pd.DataFrame:
    missing = [name for name in COLUMNS if name not in X]
    if missing:
        raise ValueError(f"missing columns: {', '.join(missing)}")
    if not np.isfinite(X[list(COLUMNS)].to_numpy(dtype=float)).all():
        raise ValueError("a value is not finite")
    if (X["overhead_sd_pct"] <= 0).any():
        raise ValueError("overhead_sd_pct must be positive")
    return X
