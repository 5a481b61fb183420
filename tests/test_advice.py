"""The choice, and the refusals with their reasons."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import pytest
from small_tables import MOE_LAYER, decode_kernels, labelled_table, step_table

from skadvisor import gain
from skadvisor.accounting import timeline
from skadvisor.accounting.situation import Situation
from skadvisor.advice import choice
from skadvisor.fusion.templates import template_scope
from skadvisor.records import Estimate, Finding, LabelQuality, Template, find_template
from skadvisor.text.messages import Message

DENSE = Situation(mode="graph", phase="decode", graph_kind="ge_graph", decoder_layers=4, layer_kinds={"dense": 4})
MOE = Situation(mode="graph", phase="decode", graph_kind="ge_graph", decoder_layers=4, layer_kinds={"moe": 4})


def advise(kernels, situation, mode="graph", **options):
    labelled = labelled_table(kernels)
    steps = step_table(labelled, mode)
    times = timeline.measure(labelled, steps)
    templates = gain.assess(labelled, times, situation).templates
    return templates, choice.recommend(templates, situation, times, **options)


def labels_with(unattributed, depends=False):
    return LabelQuality(
        unattributed_share=unattributed,
        low_confidence_share=unattributed,
        learned_share=0.0,
        host_checked_share=0.0,
        advice_depends_on_unattributed=depends,
    )


def changed(situation, **facts):
    return replace(situation, **facts)


def test_an_ordinary_decode_graph_gets_a_template_a_runner_up_and_an_order_to_try():
    templates, found = advise(decode_kernels(steps=3), DENSE)
    assert found.choice in {template.name for template in templates if template.verdict == "worthwhile"}
    chosen = find_template(templates, found.choice, found.variant)
    other = find_template(templates, found.runner_up)
    assert found.margin_us == pytest.approx(chosen.estimate.mid_us - other.estimate.mid_us, abs=0.01)
    assert len(found.next) >= 3
    assert 0 < found.confidence <= 1


def test_low_risk_means_attention_only():
    assert advise(decode_kernels(), DENSE, risk="low")[1].choice == "attention-only"


def test_low_risk_takes_the_experts_where_they_clearly_dominate():
    light = [(*kernel[:4], 3_000) for kernel in MOE_LAYER[:2]]
    short = [("GroupedMatmul", "expert_matmul", "moe", "AI_CORE", 12_000)] * 12
    found = advise(decode_kernels(block=(*light, *short)), MOE, risk="low")[1]
    assert found.choice == "moe-only"


def test_high_risk_takes_the_greatest_estimate():
    templates, found = advise(decode_kernels(), DENSE, risk="high")
    best = max((t for t in templates if t.estimate), key=lambda t: t.estimate.mid_us)
    assert found.choice == best.name


def test_eager_and_host_bound_is_refused():
    kernels = decode_kernels(gap_ns=60_000, model=None, state="dynamic")
    situation = changed(DENSE, mode="eager", graph_kind=None, host_bound=True)
    found = advise(kernels, situation, mode="eager")[1]
    assert found.choice == "none"
    assert "eager and host-bound" in str(found.reason)
    assert "graph mode" in str(found.next[0])


def test_a_graph_that_waits_for_another_stream_is_not_told_to_be_captured_as_one():
    found = advise(decode_kernels(gap_ns=40_000), changed(DENSE, wait_bound=True))[1]
    assert found.choice == "none" and "another stream or rank" in str(found.reason)
    assert not any("pieces" in str(step) for step in found.next)


def test_a_graph_in_pieces_that_waits_for_the_host_is_refused():
    kernels = decode_kernels(gap_ns=100)
    for number, kernel in enumerate(kernels):
        kernel["model"] = kernel["stream"] = number // 5
        kernel["start_ns"] += number // 5 * 300_000
    found = advise(kernels, changed(DENSE, host_bound=True))[1]
    assert found.choice == "none"
    assert "one whole graph" in str(found.reason)


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"training": True, "phase": "training"}, "training"),
        ({"decoder_layers": 0, "mode": "eager"}, "no decoder layers"),
        ({"phase": "prefill"}, "no decode step"),
        ({"phase": "unknown"}, "no step was recognised as decode"),
    ],
)
def test_refusals_say_why(facts, word):
    found = advise(decode_kernels(), changed(DENSE, **facts))[1]
    assert found.choice == "none"
    assert word in str(found.reason)


def test_a_run_with_superkernel_on_is_sent_to_compare():
    kernels = decode_kernels()
    kernels[5] |= {"op_type": "SuperKernel", "name": "sk_layer_0_start_a_end_b"}
    found = advise(kernels, DENSE)[1]
    assert found.choice == "none"
    assert "on already" in str(found.reason) and "compare" in str(found.next[0])


def test_long_kernels_leave_nothing_to_win():
    block = [("MatMulV3", "qkv_proj", "attention", "AI_CORE", 900_000)] * 4
    templates, found = advise(decode_kernels(block=block, gap_ns=50), DENSE)
    assert found.choice == "none"
    assert "within noise" in str(found.reason)
    best = max((t for t in templates if t.estimate), key=lambda t: t.estimate.mid_us)
    assert found.runner_up == best.name
    assert "a gain of more than 2 % is out of reach" in str(found.next[0])
    assert advise(decode_kernels(block=block, gap_ns=50), DENSE, risk="high")[1].choice == "none"


def estimated(name, low, mid, high, verdict=None, status="pass"):
    """A template with this estimate, percent of a step of 10 ms."""
    verdict = verdict or ("worthwhile" if mid >= 2 else "within_noise")
    finding = Finding(check="streams", status=status, message=Message("checked"))
    side = (mid - low if mid > 2 else high - mid) / NormalDist().inv_cdf(0.9)
    return Template(
        name=name,
        risk=template_scope(name).risk,
        effort=template_scope(name).effort,
        chance_above_noise=NormalDist(mid, side).cdf(float("inf")) - NormalDist(mid, side).cdf(2.0),
        share=0.5,
        in_scope_us=5000.0,
        claim=None,
        ceiling_us=None,
        estimate=Estimate(
            low_us=100 * low, mid_us=100 * mid, high_us=100 * high, low_pct=low, mid_pct=mid, high_pct=high
        ),
        terms={},
        fragments=None,
        breakers=(),
        findings=(finding,),
        verdict=verdict,
        reason=Message("{verdict}", verdict=verdict),
    )


def choose(*templates, **options):
    labelled = labelled_table(decode_kernels())
    return choice.recommend(templates, DENSE, timeline.measure(labelled, step_table(labelled)), **options)


def test_a_refusal_within_noise_names_its_best_template_and_the_chance_that_it_wins_more():
    found = choose(estimated("attention-only", -1.0, 0.9, 2.1), estimated("full-model", -0.5, 1.6, 3.6))
    assert (found.choice, found.runner_up, found.margin_us) == ("none", "full-model", -160.0)
    assert "if a trial is cheap, try full-model: the chance that it wins more than 2 % is 40%" in str(found.next[0])
    assert "1.6 % of the step (-0.5 to 3.6)" in str(found.reason)
    assert found.confidence == pytest.approx(0.6)


def test_high_risk_takes_a_fair_chance_and_says_so():
    templates = estimated("attention-only", -1.0, 0.9, 2.1), estimated("full-model", -0.5, 1.6, 3.6)
    found = choose(*templates, risk="high")
    assert (found.choice, found.confidence) == ("full-model", 0.4)
    assert "its middle is within the noise; the chance that it wins more than 2 % is 40%" in str(found.reason)
    assert "high risk takes it" in str(found.reason)
    assert [choose(*templates, risk=risk).choice for risk in ("low", "balanced")] == ["none", "none"]


@pytest.mark.parametrize(
    "template",
    [
        estimated("full-model", -4.0, -0.1, 9.0),
        estimated("full-model", -0.5, 1.6, 3.6, verdict="blocked", status="block"),
        estimated("full-model", -0.5, 3.6, 5.6, verdict="blocked", status="block"),
        estimated("full-model", 0.2, 0.9, 2.1),
    ],
    ids=["loses on average", "blocked", "blocked though it would win", "little chance"],
)
def test_high_risk_takes_no_loss_nothing_blocked_and_no_mere_luck(template):
    found = choose(template, risk="high")
    assert found.choice == "none"
    assert not any("--risk high takes it" in str(step) for step in found.next)


def test_high_risk_prefers_what_is_above_the_noise():
    found = choose(estimated("attention-only", 0.5, 2.1, 4.0), estimated("full-model", -3.0, 1.9, 9.0), risk="high")
    assert found.choice == "attention-only"


def test_a_further_template_above_the_noise_is_taken_where_no_published_one_is():
    templates = estimated("full-model", -0.5, 1.9, 4.0), estimated("automatic", 0.0, 2.4, 5.0)
    assert choose(*templates).choice == "automatic"
    assert choose(*templates, risk="high").choice == "automatic"


def test_what_low_risk_leaves_to_others_is_named():
    found = choose(estimated("attention-only", -1.0, 0.9, 2.1), estimated("full-model", 1.5, 4.0, 6.5), risk="low")
    assert (found.choice, found.runner_up, found.margin_us) == ("none", "full-model", -400.0)
    assert "--risk balanced" in str(found.next[0])


@pytest.mark.parametrize("depends", [False, True])
@pytest.mark.parametrize("mid", [1.6, 3.0])
def test_unlabelled_time_is_said_to_matter_where_it_does_chosen_or_refused(mid, depends):
    found = choose(estimated("full-model", -0.5, mid, 5.0), labels=labels_with(0.1, depends))
    said = [str(sentence) for sentence in found.robustness if "has no label" in str(sentence)]
    assert len(said) == 1
    assert ("would be another" in said[0]) == depends


def test_unlabelled_time_is_named_and_lowers_confidence():
    kernels = decode_kernels()
    quality = labels_with(0.4)
    sure, unsure = advise(kernels, DENSE)[1], advise(kernels, DENSE, labels=quality)[1]
    assert unsure.confidence < sure.confidence
    assert any("40.0% of device time has no label" in str(sentence) for sentence in unsure.robustness)
