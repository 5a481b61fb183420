"""Turning what the advice hangs on flips it, and the verdict had said so; nothing else does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sample_builder.build import build
from sample_builder.catalogue import QWEN3_8B

from skadvisor.advice.experiment import choose_experiment
from skadvisor.analysis import Analysis, analyze_capture
from skadvisor.records import Dependence
from skadvisor.text.languages import translator


@pytest.fixture(scope="module")
def dense() -> Analysis:
    """A BF16 dense decode whose projections are MatMulV2."""
    return analyze_capture(build(replace(QWEN3_8B, layers=12), steps=2, seed=4).capture)


def rule(path: Path, op_type: str, fusible: str) -> Path:
    path.write_text(
        f'[[rule]]\nop_types = ["{op_type}"]\nfusible = "{fusible}"\nreason = "OP_UNSUPPORT"\nsource = "test"\n'
    )
    return path


def test_a_rule_that_turns_what_it_hangs_on_flips_the_advice(dense: Analysis, tmp_path: Path) -> None:
    advised = dense.result.recommendation
    operators = [one for one in advised.hangs_on if one.kind == "operator"]
    assert "MatMulV2" in {one.name for one in operators}
    assert any("if MatMulV2 fuses after all" in str(sentence) for sentence in advised.robustness)
    assert "do this first" in str(advised.next[0])
    for number, one in enumerate(operators):
        turned = rule(tmp_path / f"{number}.toml", one.name, one.otherwise)
        found = analyze_capture(dense.capture, rules=turned).result.recommendation
        assert found.choice == one.becomes
        assert found.choice != advised.choice


def test_a_rule_that_turns_another_operator_flips_nothing(dense: Analysis, tmp_path: Path) -> None:
    advised = dense.result.recommendation
    named = {one.name for one in advised.hangs_on}
    given = {kernel.op_type: kernel.fusible for layer in dense.result.typical_layers for kernel in layer.kernels}
    others = sorted(set(given) - named)[:3]
    assert others
    for number, op_type in enumerate(others):
        turned = rule(tmp_path / f"{number}.toml", op_type, "likely" if given[op_type] == "unlikely" else "unlikely")
        found = analyze_capture(dense.capture, rules=turned).result.recommendation
        assert (found.choice == "none") == (advised.choice == "none")


def test_what_is_named_first_is_likeliest(dense: Analysis) -> None:
    chances = [one.chance for one in dense.result.recommendation.hangs_on]
    assert chances == sorted(chances, reverse=True)
    assert all(0 < chance <= 1 for chance in chances)


def test_where_the_chip_is_open_the_choice_says_on_which_it_hangs(dense: Analysis) -> None:
    """All of the projections' verdict: TBE on A2 and A3; on 950 nobody can say."""
    told = {name: analyze_capture(dense.capture, hardware=name).result.recommendation for name in ("A2", "A3", "950")}
    open_ = analyze_capture(dense.capture).result.recommendation
    for one in open_.hangs_on:
        if one.name == "hardware":
            assert told[one.otherwise].choice == one.becomes != open_.choice
            assert any(f"on {one.otherwise}" in str(sentence) for sentence in open_.robustness)
    flipping = {name for name, advised in told.items() if (advised.choice == "none") != (open_.choice == "none")}
    assert flipping <= {one.otherwise for one in open_.hangs_on if one.name == "hardware"}


def test_a_refusal_by_a_plain_fact_hangs_on_nothing() -> None:
    found = analyze_capture(build(replace(QWEN3_8B, layers=4), mode="eager", steps=2, seed=4).capture)
    advised = found.result.recommendation
    assert (advised.choice, advised.confidence, advised.hangs_on, advised.experiment) == ("none", None, (), None)


def hangs(kind: str, chance: float, name: str = "X") -> Dependence:
    return Dependence(kind=kind, name=name, given="likely", otherwise="unlikely", becomes="none", chance=chance)


@pytest.mark.parametrize(
    ("doubts", "facts", "expected"),
    [
        ([("operator", 0.4), ("prior", 0.1)], {}, "compile_log"),
        ([("fact", 0.5), ("operator", 0.1)], {}, "option"),
        ([("prior", 0.4)], {}, "probe"),
        ([("prior", 0.4)], {"has_probe": True}, "pmu_capture"),
        ([("prior", 0.4)], {"has_probe": True, "has_pmu": True}, "timed_runs"),
    ],
)
def test_the_experiment_settles_most_for_its_effort(doubts, facts, expected) -> None:
    known = {"has_pmu": False, "has_probe": False} | facts
    found = choose_experiment([hangs(kind, chance) for kind, chance in doubts], **known)
    assert found is not None and found.name == expected
    assert 0 < found.settles <= 1
    for language in ("en", "zh"):
        assert found.message.render(translator(language))


def test_without_doubt_there_is_nothing_to_find_out() -> None:
    assert choose_experiment([], has_pmu=False, has_probe=False) is None
