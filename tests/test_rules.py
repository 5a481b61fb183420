"""The labeller's rules: each has a name and a reason, their votes are kept, and what is left out is left out."""

from __future__ import annotations

import ablate
import numpy as np
import pytest
from label_variants import build_variant
from small_tables import DENSE_ROWS, capture_of

from skadvisor.analysis import analyze_capture
from skadvisor.labelling.explanation import explain
from skadvisor.labelling.labels import label
from skadvisor.labelling.levels import CERTAIN, CLEAR, SETTLED, SLIGHT, STRONG
from skadvisor.labelling.rules import RULES, chain_votes
from skadvisor.vocabulary.operators import load_vocabulary

VOCABULARY = load_vocabulary()
ARCHITECTURE = "qwen3-30b-a3b-ge"


def test_every_rule_has_a_name_of_its_own_and_says_why_in_one_sentence() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.because.endswith(".")
        assert ". " not in rule.because
        assert not rule.stays or rule.stays.startswith("Stays for ")


def test_votes_sum_to_the_scores_and_weigh_a_level() -> None:
    structure = label(build_variant(ARCHITECTURE, "plain").capture, VOCABULARY).structure
    votes = structure.of_chains[0]
    levels = {SLIGHT, CLEAR, STRONG, CERTAIN, SETTLED}
    assert {abs(weight) for _rule, _places, _states, weight in votes.said} <= levels
    for place in range(0, votes.count, 97):
        assert np.allclose(sum(votes.of(place).values(), np.zeros_like(votes.scores[0])), votes.scores[place])


def test_a_rule_that_is_left_out_says_nothing() -> None:
    structure = label(build_variant(ARCHITECTURE, "plain").capture, VOCABULARY).structure
    of_main = structure.classes.of_kernel[structure.main]
    spoke = {rule for rule, *_said in chain_votes(structure.classes, of_main, without=("router logits",)).said}
    assert "router logits" in {rule for rule, *_said in structure.of_chains[0].said}
    assert "router logits" not in spoke


def test_ablation_finds_the_captures_that_need_a_rule() -> None:
    rules = ["work on heads", "named scopes"]
    plain = {("qwen3-8b-ge", "plain"): build_variant("qwen3-8b-ge", "plain")}
    found = dict(ablate.ablate(plain, 0.001, rules))
    assert found == {"work on heads": [], "named scopes": []}
    norms = {("qwen2.5-7b-atb", "all_renamed"): build_variant("qwen2.5-7b-atb", "all_renamed")}
    assert list(ablate.ablate(norms, 0.001, ["additions round norms"])) == [("additions round norms", list(norms))]


@pytest.mark.parametrize("pattern", ["rope", "router", "residual_norm", "MatMul", "Add"])
def test_contributions_sum_to_the_score_and_labels_to_at_most_one(pattern: str) -> None:
    table = explain(label(build_variant(ARCHITECTURE, "plain").capture, VOCABULARY), pattern)
    assert len(table)
    assert (table["confidence"] + table["runner_up_probability"] <= 1.0 + 1e-9).all()
    for row in table[table["runner_up"] != ""].to_dict("records"):
        assert row["runner_up"] != f"{row['region']}/{row['role']}"
        parts = [float(part.rsplit(" ", 1)[1]) for part in row["evidence"].split("; ")]
        assert sum(parts) == pytest.approx(row["score"], abs=0.01)


def test_kernels_are_found_by_their_role() -> None:
    analysis = analyze_capture(capture_of(DENSE_ROWS * 8))
    assert set(analysis.explain("rope")["op_type"]) == {"RotaryPositionEmbedding"}
    assert set(analysis.explain("gate_up")["role"]) == {"gate_up"}
    assert len(analysis.explain("gate_up")["reasons"].iloc[0]) > 0
