"""The choice, and the refusals with their reasons."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_tables import MOE_LAYER, decode_kernels, labelled_table, step_table

from skadvisor import advice, gain, timeline
from skadvisor.records import LabelQuality
from skadvisor.situation import Situation

DENSE = Situation(mode="graph", phase="decode", graph_kind="ge_graph", decoder_layers=4, layer_kinds={"dense": 4})
MOE = Situation(mode="graph", phase="decode", graph_kind="ge_graph", decoder_layers=4, layer_kinds={"moe": 4})


def advise(kernels, situation, mode="graph", **options):
    labelled = labelled_table(kernels)
    steps = step_table(labelled, mode)
    times = timeline.measure(labelled, steps)
    templates = gain.assess(labelled, steps, times, situation)
    return templates, advice.recommend(templates, situation, times, **options)


def changed(situation, **facts):
    return replace(situation, **facts)


def test_an_ordinary_decode_graph_gets_a_template_a_runner_up_and_an_order_to_try():
    templates, found = advise(decode_kernels(steps=3), DENSE)
    assert found.choice in {template.name for template in templates if template.verdict == "worthwhile"}
    chosen = next(template for template in templates if template.name == found.choice)
    other = next(template for template in templates if template.name == found.runner_up)
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


def test_eager_and_host_bound_is_refused_with_the_numbers():
    kernels = decode_kernels(gap_ns=60_000, model=None, state="dynamic")
    situation = changed(DENSE, mode="eager", graph_kind=None, host_bound=True, host_share=0.85)
    found = advise(kernels, situation, mode="eager")[1]
    assert found.choice == "none"
    assert "0.4 ms of kernels in a 2.7 ms step" in str(found.reason)
    assert "graph mode" in str(found.next[0])


def test_a_graph_in_pieces_that_waits_for_the_host_is_refused():
    kernels = decode_kernels(gap_ns=100)
    for number, kernel in enumerate(kernels):
        kernel["model"] = kernel["stream"] = number // 5
        kernel["start_ns"] += number // 5 * 300_000
    found = advise(kernels, changed(DENSE, host_bound=True, host_share=0.8))[1]
    assert found.choice == "none"
    assert "waits" in str(found.reason)


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"training": True, "phase": "training"}, "training"),
        ({"decoder_layers": 0}, "no decoder layers"),
        ({"phase": "prefill"}, "no decode step"),
        ({"phase": "unknown"}, "no decode step"),
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
    found = advise(decode_kernels(block=block, gap_ns=50), DENSE)[1]
    assert found.choice == "none"
    assert "within noise" in str(found.reason)


def test_unlabelled_time_is_named_and_lowers_confidence():
    kernels = decode_kernels()
    quality = LabelQuality(
        unattributed_share=0.4,
        low_confidence_share=0.4,
        learned_share=0.0,
        host_checked_share=0.0,
        advice_depends_on_unattributed=False,
    )
    sure, unsure = advise(kernels, DENSE)[1], advise(kernels, DENSE, labels=quality)[1]
    assert unsure.confidence < sure.confidence
    assert any("40.0% of device time has no label" in str(sentence) for sentence in unsure.robustness)
