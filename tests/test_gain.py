"""The estimate: traceable by hand, bounded by physics, and moved in the right direction by what changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tables import (
    DENSE_LAYER,
    MOE_LAYER,
    W8A8_LAYER,
    decode_kernels,
    labelled_table,
    random_labels,
    step_table,
)

from skadvisor import gain
from skadvisor.accounting import timeline
from skadvisor.accounting.situation import Situation
from skadvisor.errors import InputError
from skadvisor.events import PlainColumns
from skadvisor.gain.replay import SavedPlaces, read_constraints, replay_step
from skadvisor.gain.stated_priors import priors
from skadvisor.options import Options
from skadvisor.records import find_template

DENSE = Situation(mode="graph", phase="decode", graph_kind="ge_graph", decoder_layers=4, layer_kinds={"dense": 4})
TERMS = ("low_us", "mid_us", "high_us")


def assessed(kernels, situation=DENSE, mode="graph", **options):
    labelled = labelled_table(kernels)
    steps = step_table(labelled, mode)
    times = timeline.measure(labelled, steps)
    templates = gain.assess(labelled, times, situation, Options(**options)).templates
    return {name: find_template(templates, name) for name in {template.name for template in templates}}


def mid_us(kernels, template="full-model", **options):
    return assessed(kernels, **options)[template].estimate.mid_us


def test_the_estimate_follows_by_hand_from_its_terms_and_their_inputs():
    kernels = decode_kernels(layers=4, gap_ns=300)
    for kernel in kernels:
        kernel["op_type"] = kernel["op_type"].replace("MatMulV2", "QuantBatchMatmulV3")
    template = assessed(kernels, replace(DENSE, hardware="A3"))["per-block"]
    terms, wall_us = template.terms, (4 * len(DENSE_LAYER) * 300 - 300) / 1000 + 4 * 97.0
    boundaries = 4 * (len(DENSE_LAYER) - 1)
    assert terms["visible_gaps"].inputs["boundaries"] == boundaries
    for column in ("low", "mid", "high"):
        gaps, heads = terms["visible_gaps"].inputs, terms["head_overhead"].inputs
        removed = gaps[f"boundaries_removed_{column}"]
        assert 0 < removed <= boundaries
        by_hand = removed * (gaps[f"gap_us_{column}"] + heads[f"head_us_{column}"])
        assert getattr(template.estimate, f"{column}_us") == pytest.approx(by_hand, abs=0.05)
        assert getattr(template.estimate, f"{column}_pct") == pytest.approx(100 * by_hand / wall_us, abs=0.02)
    # at the middle a boundary wins the fraction that was recovered in published pairs, of its gap and of its head
    recovered, known = terms["visible_gaps"].inputs["recovered_mid"], priors()["overhead"]
    assert terms["visible_gaps"].inputs["gap_us_mid"] == pytest.approx(0.3 * recovered, rel=0.2)
    assert terms["head_overhead"].inputs["head_us_mid"] == pytest.approx(known["head_us"] * recovered, rel=0.2)


@pytest.mark.parametrize("block", [DENSE_LAYER, MOE_LAYER])
def test_terms_add_up_in_every_column_and_the_ceiling_is_above(block):
    situation = replace(DENSE, layer_kinds={"moe": 4}) if block is MOE_LAYER else DENSE
    for template in assessed(decode_kernels(block=block), situation).values():
        if template.estimate is None:
            continue
        for column in TERMS:
            total = sum(getattr(term, column) for term in template.terms.values())
            assert getattr(template.estimate, column) == pytest.approx(total, abs=0.01)
        assert template.estimate.low_us <= template.estimate.mid_us <= template.estimate.high_us
        assert template.estimate.high_us <= template.ceiling_us + 1e-6
        assert all(term.source for term in template.terms.values())
        assert template.terms["visible_gaps"].mid_us >= 0 >= template.terms["not_carried"].mid_us


def test_the_estimate_is_the_same_every_time():
    kernels = decode_kernels()
    assert assessed(kernels) == assessed(kernels)


def test_shares_and_claims():
    found = assessed(decode_kernels(gap_ns=0))
    attention = found["attention-only"]
    assert attention.share == pytest.approx(53 / 97, abs=1e-4)
    assert attention.claim.low_pct == pytest.approx(100 * attention.share * 0.29, abs=0.01)
    assert attention.claim.high_pct == pytest.approx(100 * attention.share * 0.43, abs=0.01)
    assert found["per-block"].claim is None
    assert found["moe-only"].verdict == "not_applicable"
    assert found["automatic"].verdict == "not_applicable"


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_replaying_with_nothing_saved_gives_the_timeline_back(seed):
    kernels = [kernel | {"step": 0} for kernel in random_labels(np.random.default_rng(seed), 25)]
    labelled = labelled_table(kernels)
    constraints = read_constraints(PlainColumns(labelled), labelled.index[::7].to_numpy())
    assert replay_step(constraints, np.zeros((len(constraints.pieces.first), 1)))[0] == constraints.wall_ns


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_replay_never_wins_more_than_was_saved_nor_loses_by_saving(seed):
    generator = np.random.default_rng(seed)
    kernels = [kernel | {"step": 0} for kernel in random_labels(generator, 25)]
    constraints = read_constraints(PlainColumns(labelled_table(kernels)), np.array([], dtype="int64"))
    saved = generator.uniform(0, constraints.dur_ns[:, None], (25, 3))
    places = SavedPlaces(constraints, np.arange(25))
    won = constraints.wall_ns - replay_step(constraints, places.summed(saved[places.order]))
    assert (won >= -1e-6).all()
    assert (won <= saved.sum(axis=0) + 1e-6).all()


def test_what_is_saved_off_the_critical_path_is_worth_nothing():
    long = {"start_ns": 0, "dur_ns": 100_000, "stream": 1, "op_type": "MatMulV3", "layer": 0, "region": "mlp"}
    side = [
        {"start_ns": 1_000 + 10_000 * n, "dur_ns": 9_000, "stream": 2, "layer": 0, "op_type": "SwiGlu"}
        for n in range(5)
    ]
    last = {"start_ns": 100_500, "dur_ns": 1_000, "stream": 1, "op_type": "MatMulV3", "layer": 0, "region": "mlp"}
    template = assessed([long, *side, last])["attention-only"]
    assert template.fragments.boundaries_removed == 4
    block = template.terms["head_overhead"].mid_us + template.terms["visible_gaps"].mid_us
    assert block > 3
    assert template.ceiling_us == 0
    assert template.estimate.high_us <= 0


def test_what_is_saved_before_a_host_gap_is_worth_nothing():
    kernels = decode_kernels(layers=2, gap_ns=200)
    last = dict(kernels[-1])
    last |= {"start_ns": kernels[-1]["start_ns"] + 400_000, "layer": None, "region": "sampling", "role": "sampling"}
    assert mid_us(kernels) > 0
    assert assessed([*kernels, last])["full-model"].ceiling_us == 0


def test_heads_that_pmu_columns_show_are_measured_and_shorter_ones_are_worth_less():
    def with_heads(head_ns):
        kernels = decode_kernels()
        for kernel in kernels:
            kernel["aic_ns"] = kernel["dur_ns"] - head_ns
        return assessed(kernels)["full-model"]

    short, long = with_heads(500), with_heads(1_500)
    assert short.terms["head_overhead"].basis == long.terms["head_overhead"].basis == "derived"
    assert 0 < short.estimate.mid_us < long.estimate.mid_us
    assert assessed(decode_kernels())["full-model"].terms["head_overhead"].basis == "assumed"


def test_a_step_that_talks_to_other_ranks_keeps_less_of_its_scopes():
    alone = assessed(decode_kernels())["full-model"]
    kernels = decode_kernels()
    kernels[-1] |= {"op_type": "hcom_allReduce_", "region": "comm", "role": "collective", "owner": "mlp"}
    shared = assessed(kernels)["full-model"]
    assert alone.terms["not_carried"].low_us == 0
    assert shared.terms["not_carried"].mid_us < 0 and shared.estimate.mid_us < alone.estimate.mid_us


@pytest.mark.parametrize(
    ("op_type", "carried"),
    [
        ("MoeDistributeCombineV2", False),
        ("DispatchFFNCombineBF16", False),
        ("FusedDeepMoe", False),
        ("MegaMoe", False),
        ("DispatchGmmCombineDecode", False),
        ("AttentionToFFN", False),
        ("MatmulAllReduceAddRmsNorm", False),
        ("AllGatherMatmulV2", False),
        ("MoeInitRoutingV3", True),
        ("MoeTokenUnpermute", True),
        ("GroupedMatmul", True),
    ],
)
def test_operators_that_exchange_rows_make_a_step_wait_by_type_or_by_name(op_type: str, carried: bool):
    kernels = decode_kernels()
    kernels[-1] |= {"op_type": op_type, "region": "moe", "role": "expert_matmul"}
    named = [
        kernel | {"name": f"{kernel['op_type']}_{number}", "op_type": None} for number, kernel in enumerate(kernels)
    ]
    typed, by_name = (assessed(one)["full-model"] for one in (kernels, named))
    assert (typed.terms["not_carried"].mid_us == 0) == carried
    assert by_name.estimate == typed.estimate and by_name.features == typed.features


def test_an_operator_file_says_which_operators_of_the_users_own_exchange_rows(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('[[property]]\nname = "waits_for_ranks"\nnames = ["swapper"]\nsource = "mine"\n')
    kernels = decode_kernels()
    kernels[-1] |= {"op_type": "Swapper", "region": "moe", "role": "dispatch"}
    assert assessed(kernels)["full-model"].terms["not_carried"].mid_us == 0
    assert assessed(kernels, operators=own)["full-model"].terms["not_carried"].mid_us < 0


def test_an_unknown_chip_gives_what_lies_among_the_known_ones():
    kernels = decode_kernels()
    for kernel in kernels:
        if kernel["op_type"] == "MatMulV2":
            kernel["op_type"] = "MatMul"

    def on(hardware):
        return assessed(kernels, replace(DENSE, hardware=hardware))["full-model"]

    known, open_ = [on(chip) for chip in ("A2", "A3", "950")], on("unknown")
    for name in ("low_pct", "mid_pct", "high_pct"):
        figures = [getattr(one.estimate, name) for one in known]
        assert min(figures) <= getattr(open_.estimate, name) <= max(figures), name
    chances = [one.chance_above_noise for one in known]
    assert open_.chance_above_noise == pytest.approx(sum(chances) / len(chances), abs=0.05)
    assert known[0].estimate.mid_pct < known[2].estimate.mid_pct


def test_overlapping_streams_can_make_a_scope_lose():
    kernels = []
    for layer in range(4):
        begin = layer * 210_000
        for n in range(2):
            main = {"start_ns": begin + n * 100_000, "dur_ns": 99_000, "layer": layer, "op_type": "GroupedMatmul"}
            kernels += [main | {"stream": 1, "region": "moe"}, main | {"stream": 2, "region": "mlp"}]
    found = assessed(kernels)["full-model"]
    assert found.terms["stream_overlap"].low_us < 0
    assert found.estimate.low_us < 0 and found.verdict == "within_noise"
    assert any(finding.check == "streams" and finding.status == "warn" for finding in found.findings)
    one_stream = assessed([kernel for kernel in kernels if kernel["stream"] == 1])["full-model"]
    assert one_stream.terms["stream_overlap"].low_us == 0 < one_stream.estimate.low_us


def test_ai_cpu_tasks_are_never_counted_as_winnable():
    kernels = decode_kernels(layers=1, block=DENSE_LAYER[:3])
    kernels[1] |= {"core": "AI_CPU", "op_type": "TopK"}
    kernels[2] |= {"op_type": "ApplyRotaryPosEmb"}  # fuses on every chip, so that the task between costs a boundary
    template = assessed(kernels)["full-model"]
    assert template.ceiling_us == 0
    assert template.terms["visible_gaps"].high_us == 0
    assert template.breakers[0].reason == "DEFAULT_NODE" and template.breakers[0].cost_us > 0
    assert template.breakers[0].likelihood == "likely", "AI CPU tasks surely end a fragment"


def test_nothing_is_assessed_where_no_scope_can_be():
    kernels = decode_kernels()
    for facts in ({"training": True}, {"phase": "prefill"}, {"decoder_layers": 0, "mode": "unknown"}):
        assert assessed(kernels, replace(DENSE, **facts)) == {}


def test_a_blocked_template_says_why():
    template = assessed(decode_kernels(model=None), replace(DENSE, mode="eager"), mode="eager")["full-model"]
    assert template.verdict == "blocked" and "eager" in str(template.reason)


def test_time_per_token_rescales_the_step():
    kernels = decode_kernels(layers=4, gap_ns=2_000)
    found = assessed(kernels)["full-model"]
    wall_us = 4 * 97.0 + 39 * 2.0
    rescaled = assessed(kernels, replace(DENSE, tpot_ms=(wall_us - 39.0) / 1000))["full-model"]
    assert (found.estimate.of, found.estimate.of_us) == ("captured_step", pytest.approx(wall_us, abs=2.1))
    assert (rescaled.estimate.of, rescaled.estimate.of_us) == ("time_per_token", pytest.approx(wall_us - 39.0))
    assert rescaled.share == pytest.approx(found.share * wall_us / (wall_us - 39.0), rel=1e-3)
    half = rescaled.terms["visible_gaps"].inputs["gap_us_mid"] / found.terms["visible_gaps"].inputs["gap_us_mid"]
    assert half == pytest.approx(0.5, abs=0.01)


def test_a_time_per_token_below_the_kernels_own_time_is_refused():
    with pytest.raises(InputError, match=r"tpot_ms=0.2 is less than the step's kernels alone take \(0.39 ms\)"):
        assessed(decode_kernels(layers=4), replace(DENSE, tpot_ms=0.2))


@pytest.mark.parametrize(
    ("tpot_ms", "code"),
    [(0.4, "capture_inflated"), (0.5, "percent_of_tpot"), (1.0, "capture_incomplete")],
)
def test_a_capture_that_contradicts_the_time_per_token_is_called_unreliable(tpot_ms, code):
    labelled = labelled_table(decode_kernels(layers=4, gap_ns=4_000))
    times = timeline.measure(labelled, step_table(labelled))
    notices = gain.check_capture(times, replace(DENSE, tpot_ms=tpot_ms))
    assert [notice.code for notice in notices] == [code]
    assert gain.check_capture(times, DENSE) == ()


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(layer=st.integers(0, 3), place=st.integers(1, 8), kind=st.sampled_from(["Cast", "Add", "SplitVD"]))
def test_removing_a_breaker_raises_the_estimate(layer, place, kind):
    kernels = decode_kernels(block=W8A8_LAYER)
    broken = [dict(kernel) for kernel in kernels]
    broken[layer * len(W8A8_LAYER) + place]["op_type"] = kind
    on_a3 = replace(DENSE, hardware="A3")
    before, after = assessed(broken, on_a3)["full-model"], assessed(kernels, on_a3)["full-model"]
    assert after.estimate.mid_us > before.estimate.mid_us
    worst = before.breakers[0]
    assert worst.op_type == kind and worst.cost_us > 0


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(gap=st.integers(50, 2_000))
def test_halving_the_gaps_lowers_the_estimate(gap):
    assert mid_us(decode_kernels(gap_ns=gap // 2)) < mid_us(decode_kernels(gap_ns=gap))


@pytest.mark.slow
@settings(max_examples=5, deadline=None)
@given(block=st.integers(3, 10), gap=st.integers(0, 1_000))
def test_doubling_the_kernels_raises_the_estimate(block, gap):
    """The same work in twice as many kernels of half the length: twice the boundaries."""
    whole = DENSE_LAYER[:block]
    halves = [(*kernel[:4], kernel[4] // 2) for kernel in whole for _ in range(2)]
    first = assessed(decode_kernels(block=whole, gap_ns=gap))["full-model"]
    second = assessed(decode_kernels(block=halves, gap_ns=gap))["full-model"]
    assert second.estimate.mid_us > first.estimate.mid_us
    assert second.ceiling_us > first.ceiling_us
