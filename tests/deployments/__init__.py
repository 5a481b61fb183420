"""Kernel sequences of models as they are deployed, each written down with its truth."""
