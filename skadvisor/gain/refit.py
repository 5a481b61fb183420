"""What the user's own outcomes add to what the published pairs tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skadvisor.gain.machine import find_machine
from skadvisor.gain.overhead import OverheadModel
from skadvisor.gain.population import Observation, Population, published_observations

if TYPE_CHECKING:
    from skadvisor.gain.ledger import Ledger

#: What a forecast has to keep so that its outcome can be learned from; see `population.Observation`.
FEATURES = ("overhead_pct", "step", "shared")


def own_observations(ledger: Ledger) -> tuple[Observation, ...]:
    """The outcomes that can be learned from; all of one capture are one net.

    Forecasts without the features (made by another version, or by hand) are left out.
    """
    return tuple(
        Observation(
            net=f"own {forecast.fingerprint}",
            level="step" if forecast.features["step"] else "block",
            gain_pct=outcome.gain_pct,
            overhead_pct=forecast.features["overhead_pct"],
            shared=bool(forecast.features["shared"]),
        )
        for forecast, outcome in ledger.pairs()
        if all(name in forecast.features for name in FEATURES)
    )


def refit_model(ledger: Ledger) -> OverheadModel | None:
    """The model that knows the user's outcomes and what a probe measured on their machine; None without either."""
    own, machine = own_observations(ledger), find_machine(ledger.path)
    if not own and machine is None:
        return None
    observations = (*published_observations(), *own)
    return OverheadModel(Population(observations, None if machine is None else machine.recovered), machine)
