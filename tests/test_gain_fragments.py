"""A block or a small net alone: what repeats in it, and the estimate against real captures with SuperKernel on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import REPOSITORY
from small_tables import MOE_LAYER, decode_kernels, labelled_table, step_table

from skadvisor import analyze, gain
from skadvisor.accounting import timeline
from skadvisor.accounting.situation import Situation
from skadvisor.gain.fragments import find_repetitions

PAIRS = REPOSITORY.parent / "shared" / "captures" / "superkernel-pairs"
ALONE = Situation(mode="graph", phase="decode", graph_kind="acl_graph", hardware="A3")
BLOCK = tuple(kernel for kernel in MOE_LAYER if kernel[2] == "moe" and kernel[0] != "MatMulV2")


@pytest.mark.parametrize(
    ("names", "long_gaps", "expected"),
    [
        ("abcabcabc", (), [0, 0, 0, 1, 1, 1, 2, 2, 2]),
        ("abcabcabcd", (), [0, 0, 0, 1, 1, 1, 2, 2, 2, -1]),
        ("cabcabcab", (1, 4, 7), [-1, 0, 0, 0, 1, 1, 1, -1, -1]),
        ("abcde", (), [0] * 5),
        ("aaaa", (), [0, 0, 1, 1]),
        ("aabaab", (), [0, 0, 0, 1, 1, 1]),
        ("ab", (), [0, 0]),
    ],
)
def test_what_repeats_is_found_and_begins_after_the_longest_gaps(names, long_gaps, expected):
    gaps = np.array([5 if place in long_gaps else 1 for place in range(len(names))])
    assert find_repetitions(list(names), gaps).tolist() == expected


def assessed(kernels, situation=ALONE):
    labelled = labelled_table(kernel | {"layer": None, "layer_kind": None} for kernel in kernels)
    steps = step_table(labelled)
    found = gain.assess(labelled, timeline.measure(labelled, steps), situation).templates
    return {template.name: template for template in found}


def test_the_whole_graph_and_the_repeated_block_are_assessed_without_decoder_layers():
    found = assessed(decode_kernels(block=BLOCK))
    whole, block = found["automatic"], found["per-block"]
    assert set(found) == {"automatic", "per-block"}
    assert block.fragments.count == 4 and block.fragments.boundaries == 4 * (len(BLOCK) - 1)
    assert whole.fragments.boundaries == 4 * len(BLOCK) - 1
    assert whole.estimate.of == block.estimate.of == "graph"
    assert 0 < block.estimate.mid_us < whole.estimate.mid_us
    in_ge = assessed(decode_kernels(block=BLOCK), replace(ALONE, graph_kind="ge_graph"))
    assert in_ge["automatic"].verdict == "not_applicable" and in_ge["per-block"].estimate is not None


def test_waits_for_the_host_between_executions_are_no_part_of_the_graph():
    def executions(apart_ns):
        kernels = decode_kernels(layers=2, block=BLOCK)
        for number, kernel in enumerate(kernels):
            execution, kernel["task"] = divmod(number, len(BLOCK))
            kernel["start_ns"] += execution * apart_ns
        return assessed(kernels)["per-block"]

    near, far = executions(0), executions(900_000)
    assert far.estimate.mid_us == pytest.approx(near.estimate.mid_us, rel=0.01)
    assert far.estimate.of_us == pytest.approx(near.estimate.of_us, abs=0.4)


@pytest.mark.skipif(not PAIRS.is_dir(), reason="the real pairs are not here")
@pytest.mark.parametrize(
    ("name", "gains_pct"), [("gelu-net-off", (4.1, 4.7)), ("fifty-layers-off", (1.8, 2.2))], ids=["gelu", "fifty"]
)
def test_the_estimate_from_a_real_capture_holds_what_the_one_with_superkernel_shows(name, gains_pct):
    result = analyze(PAIRS / f"{name}_op_summary.csv").result
    assert {template.name for template in result.templates} == {"automatic", "per-block"}
    assert "percent_of_graph" in {notice.code for notice in result.warnings}
    for template in result.templates:
        assert template.estimate.low_pct < min(gains_pct) and max(gains_pct) < template.estimate.high_pct
        assert template.estimate.high_pct - template.estimate.low_pct < 9


@pytest.mark.skipif(not PAIRS.is_dir(), reason="the real pairs are not here")
def test_a_graph_alone_that_is_fused_already_is_not_advised_on():
    result = analyze(PAIRS / "gelu-net-on_op_summary.csv").result
    assert result.recommendation.choice == "none" and "SuperKernel is on already" in str(result.recommendation.reason)
