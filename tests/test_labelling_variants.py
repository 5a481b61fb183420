"""Deployments of every kind: regions, layers, steps, phases and mode against their truth."""

from __future__ import annotations

import numpy as np
import pytest
from deployments.loose import LOOSE_KERNELS
from deployments.scores import score
from deployments.variants import BLOCK_VARIANTS
from sample_builder.perturb import from_trace, keep, level0
from sample_builder.renaming import renamed

from skadvisor.labelling.labels import label
from skadvisor.vocabulary.operators import load_vocabulary

VOCABULARY = load_vocabulary()
ALL = {**BLOCK_VARIANTS, **LOOSE_KERNELS}
#: Eager, names only, and all steps of one length: prompts would look the same.
NO_PHASE = ("one-request-level0",)


@pytest.mark.parametrize("name", sorted(ALL))
def test_variants_are_labelled(name: str) -> None:
    recorded = ALL[name]()
    found = score(recorded, label(recorded.capture, VOCABULARY))
    assert found.accuracy >= 0.99
    assert found.worst_share <= 0.01
    assert found.sure >= 0.98
    assert found.steps
    assert found.phases != (name in NO_PHASE)
    assert found.layers
    assert found.mode


RENAMED = ["square", "gpt", "moe-unfused-loop", "moe-one-kernel", "moe-shared-after", "mla", "parallel", "hybrid-delta"]


@pytest.mark.parametrize("name", RENAMED)
def test_shapes_and_order_are_enough_without_names(name: str) -> None:
    recorded = renamed(ALL[name]())
    found = score(recorded, label(recorded.capture, VOCABULARY))
    assert found.accuracy >= 0.97
    assert found.steps
    assert found.layers


NAMES_ONLY = [
    "parallel",
    "separate-tp",
    "sequence-parallel",
    "moe-all-to-all",
    "moe-interleaved",
    "hybrid-scan",
    "mla",
    "eagle-3",
]


@pytest.mark.parametrize("name", NAMES_ONLY)
@pytest.mark.parametrize("change", [level0, from_trace])
def test_names_and_order_are_enough_without_shapes(name: str, change) -> None:  # type: ignore[no-untyped-def]
    recorded = change(ALL[name]())
    found = score(recorded, label(recorded.capture, VOCABULARY))
    assert found.accuracy >= 0.95
    assert found.steps
    assert found.phases
    assert found.layers


@pytest.mark.parametrize("change", [level0, from_trace])
def test_loose_kernels_are_placed_without_shapes(change) -> None:  # type: ignore[no-untyped-def]
    recorded = change(ALL["framework"]())
    found = score(recorded, label(recorded.capture, VOCABULARY))
    assert found.accuracy >= 0.95
    assert found.steps
    assert found.layers
    assert found.sure >= 0.98


@pytest.mark.parametrize(
    "name", ["mqa", "separate-tp", "moe-shared-between", "mla", "two-models", "fused-quantisation"]
)
def test_missing_kernels_mislead_little(name: str) -> None:
    recorded = ALL[name]()
    recorded = keep(recorded, np.random.default_rng(5).random(len(recorded.truth)) > 0.03)
    found = score(recorded, label(recorded.capture, VOCABULARY))
    assert found.accuracy >= 0.97
    assert found.sure >= 0.98
    assert found.steps
    assert found.layers
