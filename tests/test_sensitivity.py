"""What unattributed time could change: scenarios in which it is all of one region, and the advice in each."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from sample_builder.catalogue import build_entry
from small_tables import MOE_LAYER, decode_kernels, labelled_table, step_table

from skadvisor import analysis, gain
from skadvisor.accounting import timeline
from skadvisor.accounting.situation import Situation
from skadvisor.advice import sensitivity
from skadvisor.advice.choice import recommend
from skadvisor.labelling.labels import label
from skadvisor.options import Options
from skadvisor.records import REGIONS
from skadvisor.vocabulary.operators import load_vocabulary

DENSE = Situation(mode="graph", phase="decode", graph_kind="ge_graph", decoder_layers=4, layer_kinds={"dense": 4})
MOE = Situation(mode="graph", phase="decode", graph_kind="ge_graph", decoder_layers=4, layer_kinds={"moe": 4})


@pytest.fixture(scope="module")
def sample():
    """A capture with its labels."""
    capture = build_entry("qwen3-30b-a3b-ge").capture
    return capture, label(capture, load_vocabulary())


def without_labels(table, region, part=1.0):
    """The table with the first part of a region's kernels unattributed."""
    regions = table["region"].astype("object").copy()
    rows = np.flatnonzero((regions == region).to_numpy())
    regions.iloc[rows[: round(part * len(rows))]] = "unattributed"
    return table.assign(region=regions.astype("category"))


def case(kernels, situation):
    """The arguments that the advice and the sensitivity start from."""
    labelled = labelled_table(kernels)
    times = timeline.measure(labelled, step_table(labelled))
    return labelled, times, situation, gain.assess(labelled, times, situation).templates


def share_of(labelled):
    open_ = (labelled["region"] == "unattributed").to_numpy()
    return labelled["dur_ns"][open_].sum() / labelled["dur_ns"].sum()


def test_scenarios_give_all_unattributed_time_to_one_region(sample) -> None:
    found = sample[1].kernels
    table = without_labels(found, "attention", 0.5)
    before = table.copy(deep=True)
    scenarios = sensitivity.unattributed_scenarios(table)
    assert set(scenarios) == {"attention", "moe", "norm"}
    open_ = (table["region"] == "unattributed").to_numpy()
    for region, scenario in scenarios.items():
        assert (scenario["region"][open_] == region).all()
        assert (scenario["region"][~open_].astype(str) == table["region"][~open_].astype(str)).all()
        assert set(scenario["region"]) <= set(REGIONS) - {"unattributed"}
    pd.testing.assert_frame_equal(table, before)
    assert (scenarios["attention"]["region"].astype(str) == found["region"].astype(str)).all()


def test_unattributed_kernels_join_the_layer_before_them() -> None:
    kernels = decode_kernels(layers=3, steps=2)
    per_layer = len(kernels) // 6
    for step in range(2):
        for place in (0, per_layer, 3 * per_layer - 1):
            kernels[step * 3 * per_layer + place] |= {"layer": None, "layer_kind": None, "region": "unattributed"}
    kernels[5] |= {"layer": None, "region": "head"}
    table = labelled_table(kernels)
    found = sensitivity.unattributed_scenarios(table)["attention"]["layer"]
    for step in range(2):
        inside = found[step * 3 * per_layer : (step + 1) * 3 * per_layer].tolist()
        assert (inside[0], inside[per_layer], inside[-1]) == (0, 0, 2)
    assert found.isna().sum() == 1 and pd.isna(found[5])
    assert found.dtype == table["layer"].dtype


def test_nothing_unattributed_no_scenarios(sample) -> None:
    found = sample[1].kernels
    assert sensitivity.unattributed_scenarios(found) == {}
    assert not sensitivity.advice_depends(found, "none", lambda *_: pytest.fail("asked for nothing"))


def test_advice_depends_where_the_larger_region_would_be_another(sample) -> None:
    """Advice by the larger of attention and experts: it hangs on the unattributed time only where that is enough."""

    def larger(_region: str, table: pd.DataFrame) -> str:
        time = table["dur_ns"].groupby(table["region"].astype("object")).sum()
        return "attention" if time.get("attention", 0) > time.get("moe", 0) else "moe"

    found = sample[1].kernels
    usual = larger("", found)
    few, many = without_labels(found, "attention", 0.02), without_labels(found, usual, 0.8)
    assert 0 < share_of(few) < 0.05
    assert not sensitivity.advice_depends(few, larger("", few), larger)
    assert sensitivity.advice_depends(many, larger("", many), larger)


@pytest.mark.slow
@pytest.mark.parametrize("risk", ["low", "high"])
@pytest.mark.parametrize(
    ("block", "situation", "lost"),
    [(None, DENSE, "attention"), (None, DENSE, "mlp"), (MOE_LAYER, MOE, "moe"), (MOE_LAYER, MOE, "attention")],
)
def test_the_answer_is_that_of_assessing_every_scenario_from_the_start(block, situation, lost, risk) -> None:
    kernels = decode_kernels(steps=2) if block is None else decode_kernels(block=block, steps=2)
    labelled = without_labels(labelled_table(kernels), lost)
    steps = step_table(labelled)
    times = timeline.measure(labelled, steps)

    def chosen(table):
        again = timeline.measure(table, steps)
        found = gain.assess(table, again, situation).templates
        return found, recommend(found, situation, again, risk=risk).choice

    templates, usual = chosen(labelled)
    others = {chosen(table)[1] for table in sensitivity.unattributed_scenarios(labelled).values()}
    given = sensitivity.depends_on_unattributed(
        labelled, times, situation, templates, share_of(labelled), Options(risk=risk)
    )
    assert given == (others != {usual})


def test_unlabelled_attention_matters_to_whom_only_attention_is_low_risk_enough() -> None:
    labelled = without_labels(labelled_table(decode_kernels()), "attention")
    times = timeline.measure(labelled, step_table(labelled))
    facts = labelled, times, DENSE, gain.assess(labelled, times, DENSE).templates, share_of(labelled)
    assert sensitivity.depends_on_unattributed(*facts, Options(risk="low"))
    assert not sensitivity.depends_on_unattributed(*facts, Options(risk="high"))


def test_unlabelled_experts_count_where_no_layer_was_known_to_have_any() -> None:
    block = [kernel if kernel[2] != "moe" else (*kernel[:2], "unattributed", *kernel[3:]) for kernel in MOE_LAYER]
    short = [("GroupedMatmul", "expert_matmul", "unattributed", "AI_CORE", 8_000)] * 20
    facts = case(decode_kernels(block=[*block[:7], *short]), DENSE)
    seen = []
    with mock.patch.object(
        gain, "assess", side_effect=lambda *args, **_: seen.append(args[2].moe) or gain.Assessment(facts[3])
    ):
        sensitivity.depends_on_unattributed(*facts, 0.5, Options())
    assert True in seen


@pytest.mark.parametrize("situation", [replace(DENSE, mode="eager"), replace(DENSE, training=True)])
def test_nothing_is_assessed_anew_where_a_plain_fact_decides_or_all_has_a_label(situation) -> None:
    labelled = without_labels(labelled_table(decode_kernels()), "attention")
    times = timeline.measure(labelled, step_table(labelled))
    with mock.patch.object(gain, "assess", side_effect=lambda *_, **__: pytest.fail("assessed")):
        assert not sensitivity.depends_on_unattributed(labelled, times, situation, (), 0.5, Options())
        full = labelled_table(decode_kernels())
        assert not sensitivity.depends_on_unattributed(full, times, DENSE, (), 0.0, Options())


def test_only_the_typical_step_is_assessed_and_no_placement_twice() -> None:
    labelled = without_labels(labelled_table(decode_kernels(steps=5)), "mlp")
    times = timeline.measure(labelled, step_table(labelled))
    templates = gain.assess(labelled, times, DENSE).templates
    asked = []

    def note(table, *rest, **options):
        asked.append(table)
        return gain.Assessment(templates)

    with mock.patch.object(gain, "assess", side_effect=note):
        assert not sensitivity.depends_on_unattributed(labelled, times, DENSE, templates, 0.3, Options())
    assert asked and all(table["step"].nunique() == 1 for table in asked)
    # Of attention, mlp, moe and norm: the scopes hold norms and the dense feed-forward part alike.
    assert len(asked) < 4


@pytest.mark.parametrize("risk", ["low", "balanced"])
def test_the_analysis_says_one_thing_about_unlabelled_time(sample, risk) -> None:
    capture, found = sample
    poorer = replace(found, kernels=without_labels(found.kernels, "attention", 0.7))
    result = analysis.assess(capture, poorer, Options(risk=risk)).result
    said = [str(sentence) for sentence in result.recommendation.robustness if "no label" in str(sentence)]
    assert len(said) == 1
    assert ("another" in said[0]) == result.labels.advice_depends_on_unattributed
