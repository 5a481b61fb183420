"""What a phase typically looks like, as records."""

from __future__ import annotations

import pandas as pd
import pytest
from small_tables import DENSE_LAYER, decode_kernels, labelled_table, step_table

from skadvisor.accounting import representative, timeline
from skadvisor.accounting.steady import steady_steps
from skadvisor.records import REGIONS


def measured(kernels, steady=None, phases=None):
    labelled = labelled_table(kernels)
    steps = step_table(labelled)
    if steady is not None:
        steps["steady"] = steady
    if phases is not None:
        steps["phase"] = pd.Categorical(phases)
    return labelled, steps, timeline.measure(labelled, steps)


def three_steps():
    kernels = decode_kernels(layers=2, steps=3, gap_ns=100)
    for kernel in kernels:
        kernel["dur_ns"] = int(kernel["dur_ns"] * (1.0, 0.9, 0.5)[kernel["step"]])
    return kernels


def test_figures_are_those_of_the_representative_step_and_add_up():
    _, steps, times = measured(three_steps(), steady=[True, True, False])
    record = representative.phase_records(times, steps)["decode"]
    assert (record.steps, record.steady_steps, record.step, record.tokens) == (3, 2, 0, 1)
    assert record.wall_us == times.steps["wall_ns"][0] / 1000
    exposed = sum(region.exposed_us for region in representative.region_records(times, "decode"))
    gaps = sum(time for _kind, time in record.gap.parts)
    assert round(exposed + gaps, 3) == round(record.busy_us + record.gap_us, 3) == record.wall_us


def test_without_a_steady_step_all_count():
    _, steps, times = measured(three_steps(), steady=[False] * 3)
    assert steady_steps(times.steps, "decode") == [0, 1, 2]
    assert representative.phase_records(times, steps)["decode"].steady_steps == 0


def test_the_typical_step_is_the_one_nearest_the_median():
    _, _, times = measured(three_steps())
    assert times.representative == {"decode": 1}


def test_region_shares_and_gaps_add_up_to_one_in_a_single_step():
    _, _, times = measured(decode_kernels(layers=2))
    records = representative.region_records(times, "decode")
    gap = times.steps["gap_ns"].item() / times.steps["wall_ns"].item()
    assert sum(record.share for record in records) + gap == pytest.approx(1.0)
    assert [record.share for record in records] == sorted((record.share for record in records), reverse=True)
    assert {record.region for record in records} <= set(REGIONS)


def test_step_records_count_from_the_first_kernel():
    _, steps, times = measured(three_steps(), phases=["prefill", "decode", "decode"])
    records = representative.step_records(times, steps)
    assert [record.phase for record in records] == ["prefill", "decode", "decode"]
    assert records[0].start_us == 0.0
    assert records[0].kernels == 2 * len(DENSE_LAYER)
    assert records[0].wall_us == pytest.approx(records[0].busy_us + records[0].gap_us)


def test_layers_of_a_step_and_the_typical_one():
    kernels = decode_kernels(layers=3, gap_ns=100)
    kernels[12]["dur_ns"] += 50
    labelled, _, times = measured(kernels)
    layers = representative.layer_times(times, "decode")
    assert [layer.layer for layer in layers] == [0, 1, 2]
    assert layers[0].regions_us == {"attention": 50.0, "mlp": 41.0, "norm": 6.0}
    judged = pd.DataFrame({"scope": 0, "fusible": ["likely"] * 30, "fragment": [0] * 29 + [-1]}, index=range(30))
    (shown,) = representative.typical_layers(labelled, times, "decode", judged)
    assert shown.kind == "dense" and shown.layer in (0, 2)
    assert [kernel.op_type for kernel in shown.kernels] == [row[0] for row in DENSE_LAYER]
    assert shown.kernels[0].start_us == 0.0 and shown.kernels[1].gap_before_us == 0.1
    assert shown.kernels[0].fusible == "likely" and shown.kernels[0].fragment == 0 and shown.kernels[0].in_scope
    assert [(part.kernels, part.first_layer, part.last_layer) for part in shown.fragments] == [(29, 0, 2)]
