"""Why kernels got their label."""

from __future__ import annotations

import pytest
from deployments import catalogue

from skadvisor.errors import InputError, NotEnoughError
from skadvisor.labelling.explanation import explain
from skadvisor.labelling.labels import Labelled
from skadvisor.labelling.rules import RULES
from skadvisor.text.languages import translator


@pytest.fixture(scope="module")
def labelled() -> Labelled:
    return catalogue.labelled("separate-tp")


def test_every_matching_kernel_is_explained_once(labelled: Labelled) -> None:
    table = explain(labelled, "MatMul")
    assert table["kernels"].sum() == (labelled.kernels["op_type"] == "MatMulV2").sum()
    assert set(table["region"]) == {"attention", "mlp", "head"}


def test_the_runner_up_is_another_label_and_less_likely(labelled: Labelled) -> None:
    table = explain(labelled, "MatMul")
    assert (table["region"] + "/" + table["role"] != table["runner_up"]).all()
    assert (table["runner_up_probability"] < table["confidence"]).all()


def test_the_evidence_is_in_order_of_weight(labelled: Labelled) -> None:
    for text in explain(labelled, "RmsNorm")["evidence"]:
        weights = [abs(float(part.rsplit(" ", 1)[1])) for part in text.split("; ")]
        assert weights == sorted(weights, reverse=True)


def test_collectives_are_explained_by_what_they_are(labelled: Labelled) -> None:
    assert explain(labelled, "^hcom")["evidence"].tolist() == ["a collective, by its core or name"]


def test_a_pattern_without_kernels_is_told(labelled: Labelled) -> None:
    with pytest.raises(NotEnoughError):
        explain(labelled, "NoSuchOperator")


def test_a_broken_pattern_is_told(labelled: Labelled) -> None:
    with pytest.raises(InputError):
        explain(labelled, "(")


def test_every_rule_has_its_name_in_both_languages() -> None:
    for rule in RULES:
        assert rule.apply.__name__ == rule.name.replace(" ", "_")
        assert translator("zh")(rule.name) != rule.name
