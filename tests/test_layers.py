"""Decoder layers and their kinds."""

from __future__ import annotations

import pytest
from deployments.catalogue import built, labelled
from deployments.written import small
from sample_builder.perturb import keep
from sample_builder.runs import run

from skadvisor.labelling.labels import label
from skadvisor.vocabulary.operators import load_vocabulary

VOCABULARY = load_vocabulary()


def kinds(name: str) -> list[str]:
    """The kinds of the first step's layers, in order."""
    kernels = labelled(name).kernels
    inside = kernels[(kernels["step"] == 0) & kernels["layer"].notna()]
    return inside.groupby("layer")["layer_kind"].first().astype(str).tolist()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("moe-first-dense", ["dense"] * 3 + ["moe"] * 5),
        ("moe-interleaved", ["dense", "moe"] * 4),
        ("moe-overlapping", ["moe"] * 8),
        ("drafts-3", ["dense"] * 8 + ["mtp"] * 3),
        ("sk-layers", ["other"] * 8),
        ("sk-attention", ["dense"] * 8),
        ("post-norm", ["dense"] * 8),
    ],
)
def test_kinds_of_layers(name: str, expected: list[str]) -> None:
    assert kinds(name) == expected


@pytest.mark.parametrize("layers", [2, 7, 40])
def test_layers_are_counted(layers: int) -> None:
    found = label(run(small(layers=layers), steps=2).capture, VOCABULARY)
    assert found.steps["layers"].tolist() == [layers, layers]


@pytest.mark.slow
def test_missing_kernels_change_neither_count_nor_kinds() -> None:
    recorded = run(small(layers=24))
    for row in (20, 21, 22, 23, 24, 25, 26, 27, 28, 29):
        found = label(keep(recorded, [place != row for place in range(len(recorded.truth))]).capture, VOCABULARY)
        assert found.steps["layers"].tolist() == [24, 24, 24], row
        assert set(found.kernels["layer_kind"].dropna()) == {"dense"}, row


def test_side_streams_belong_to_the_layer_in_whose_time_they_run() -> None:
    recorded, kernels = built("moe-shared-beside"), labelled("moe-shared-beside").kernels
    beside = (kernels["stream"] == 9).to_numpy()
    assert beside.any()
    assert (kernels["layer"][beside].astype(float) == recorded.truth["layer"][beside].astype(float)).all()
    assert set(kernels["region"][beside]) == {"moe"}
