"""Refit the calibrated model from the user's own outcomes in a ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skadvisor.gain.calibrated import COLUMNS, CalibratedModel, fit_calibrated

if TYPE_CHECKING:
    from skadvisor.gain.ledger import Ledger


def own_cases(ledger: Ledger) -> list[tuple[dict[str, float], float]]:
    """The outcomes that can be learned from: estimator input and measured gain, percent.

    Forecasts without all features (made by another version, or by hand) are left out.
    """
    return [
        (forecast.features, outcome.gain_pct)
        for forecast, outcome in ledger.pairs()
        if all(name in forecast.features for name in COLUMNS)
    ]


def refit(ledger: Ledger) -> CalibratedModel | None:
    """The model that knows the user's outcomes; None while there are none."""
    own = own_cases(ledger)
    return fit_calibrated(own) if own else None
