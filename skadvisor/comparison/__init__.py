"""Off against on: what SuperKernel really changed, and whether that is more than noise."""
