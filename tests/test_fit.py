"""Captures outside the grammar of a decoder are declined with the reason, whatever their layers look like."""

from __future__ import annotations

from dataclasses import replace

import pytest
from label_variants import build_variant
from other_networks import OTHER_NETWORKS, autoencoder, graph_network, long_convolution, mixer, residual_tower
from small_tables import capture_of
from train_fit import renamed

from skadvisor.analysis import analyze_capture
from skadvisor.labelling.fit import HALF_RIGHT, Fit
from skadvisor.labelling.labels import label
from skadvisor.vocabulary.operators import load_vocabulary

VOCABULARY = load_vocabulary()


@pytest.mark.parametrize("network", [mixer, long_convolution, graph_network, autoencoder, residual_tower])
def test_other_networks_are_declined_with_the_reason(network) -> None:
    analysis = analyze_capture(capture_of(network() * 4))
    assert analysis.result.recommendation.choice == "none"
    assert "no transformer" in str(analysis.result.recommendation.reason)
    assert analysis.result.layers.count == 0
    kernels = analysis.kernels
    assert set(kernels["region"]) <= {"unattributed", "norm", "sampling", "other"}
    time = kernels.groupby("region", observed=True)["dur_ns"].sum()
    assert time["unattributed"] > 0.6 * time.sum()
    assert (kernels.loc[kernels["region"] == "unattributed", "confidence"] == 0).all()
    assert set(analysis.steps["phase"]) == {"unknown"}


@pytest.mark.parametrize(
    ("architecture", "variant"),
    [
        ("qwen3-8b-ge", "all_renamed"),
        ("deepseek-v4-flash", "plain"),
        ("qwen2.5-7b-level0", "plain"),
        ("qwen3-next-acl", "dropped"),
    ],
)
def test_decoders_stay_within_the_grammar(architecture: str, variant: str) -> None:
    assert label(build_variant(architecture, variant).capture, VOCABULARY).outside_grammar is None


def test_an_unknown_operator_may_be_the_one_that_attends() -> None:
    rows = [("TokenWarp", *rest) if op_type == "Roll" else (op_type, *rest) for op_type, *rest in long_convolution()]
    capture = capture_of(rows * 4)
    assert label(capture, VOCABULARY).outside_grammar is None
    named = capture.kernels["op_type"].cat.rename_categories({"TokenWarp": "Roll"})
    assert (
        label(replace(capture, kernels=capture.kernels.assign(op_type=named)), VOCABULARY).outside_grammar is not None
    )


@pytest.mark.parametrize("name", sorted(OTHER_NETWORKS))
def test_no_other_network_under_unknown_names_is_labelled_with_confidence(name: str) -> None:
    """Nothing but products, norms and sums is known: what looks like layers may be believed half at the most."""
    labelled = label(capture_of(renamed(OTHER_NETWORKS[name]()) * 4), VOCABULARY)
    inside = labelled.kernels["region"].isin(["attention", "mlp", "moe"])
    assert not (labelled.kernels["confidence"][inside] >= 0.9).any()


def test_confidence_falls_with_the_evidence_that_is_overruled() -> None:
    trusts = [Fit(overruled, 1.0, False, True, 0.5).trust for overruled in (0.0, 0.2, HALF_RIGHT, 0.8)]
    assert trusts == sorted(trusts, reverse=True)
    assert trusts[0] > 0.99 and trusts[2] == pytest.approx(0.5) and trusts[3] < 0.05
    assert Fit(0.8, 1.0, True, True, 0.5).trust == 1.0
