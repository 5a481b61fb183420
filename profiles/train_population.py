"""Fit the population of published pairs anew: python profiles/train_population.py, after a change of their table."""

from __future__ import annotations

import numpy as np

from skadvisor.gain.population import PUBLISHED_FIT, Population, published_observations


def main() -> None:
    """Write the fit that `published_population` reads."""
    fit = Population(published_observations()).fit
    np.savez(PUBLISHED_FIT, nets=np.array(fit.nets), drawn=fit.drawn, log_weight=fit.log_weight)


if __name__ == "__main__":
    main()
