"""The accounting of a step's time against a slow reference that walks over every nanosecond."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tables import decode_kernels, labelled_table, random_labels, step_table

from skadvisor.accounting import timeline
from skadvisor.events import task_table
from skadvisor.records import REGIONS


def slow_accounting(labelled, step):
    """Exposed time per (layer, region), busy per region and idle time, one nanosecond after another."""
    rows = labelled[labelled["step"] == step]
    kernels = [
        (start, start + duration, region, layer)
        for start, duration, region, layer in zip(
            rows["start_ns"], rows["dur_ns"], rows["region"], rows["layer"].fillna(-1), strict=True
        )
    ]
    exposed, busy, idle = Counter(), Counter(), 0
    instants = range(min(start for start, *_ in kernels), max(end for _, end, *_ in kernels))
    running = [
        frozenset((layer, region) for start, end, region, layer in kernels if start <= t < end) for t in instants
    ]
    for cells, same in groupby(running):
        length = len(list(same))
        regions = sorted({region for _, region in cells}, key=REGIONS.index)
        idle += 0 if regions else length
        for place, region in enumerate(regions):
            part = length // len(regions) + (place < length % len(regions))
            layers = sorted(layer for layer, other in cells if other == region)
            busy[region] += length
            for rank, layer in enumerate(layers):
                exposed[layer, region] += part // len(layers) + (rank < part % len(layers))
    return exposed, busy, idle


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 25))
def test_accounting_equals_the_slow_reference(seed, size):
    labelled = labelled_table(random_labels(np.random.default_rng(seed), size))
    times = timeline.measure(labelled, step_table(labelled))
    for step in times.steps.itertuples():
        exposed, busy, idle = slow_accounting(labelled, step.step)
        assert step.gap_ns == idle
        regions = times.regions[times.regions["step"] == step.step].set_index("region")
        assert regions["exposed_ns"].sum() + step.gap_ns == step.wall_ns
        assert regions["busy_ns"].to_dict() == {region: busy[region] for region in regions.index}
        layers = times.layer_regions[times.layer_regions["step"] == step.step]
        for row in layers.itertuples():
            assert row.exposed_ns == exposed[row.layer, row.region]
        in_layers = sum(time for (layer, _), time in exposed.items() if layer >= 0)
        assert layers["exposed_ns"].sum() == in_layers


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 25))
def test_the_exposed_time_of_some_kernels_is_theirs_in_the_accounting(seed, size):
    generator = np.random.default_rng(seed)
    labelled = labelled_table(random_labels(generator, size))
    chosen = generator.random(len(labelled)) < 0.5
    # a layer of the chosen kernels and one of the others share the time of a region as any two layers do
    parted = labelled.assign(layer=np.where(chosen, 1, 0))
    layers = timeline.measure(parted, step_table(parted)).layer_regions
    assert timeline.Exposed(labelled).inside(chosen) == layers.loc[layers["layer"] == 1, "exposed_ns"].sum()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shift=st.integers(0, 10**18))
def test_time_shift_and_row_order_change_nothing(seed, shift):
    generator = np.random.default_rng(seed)
    kernels = random_labels(generator, 20)
    moved = [kernel | {"start_ns": kernel["start_ns"] + shift, "task": n} for n, kernel in enumerate(kernels)]
    moved = [moved[n] for n in generator.permutation(len(moved))]
    first, second = (
        timeline.measure(table, step_table(table)) for table in (labelled_table(kernels), labelled_table(moved))
    )
    assert first.regions.equals(second.regions)
    assert first.layer_regions.equals(second.layer_regions)
    assert first.steps.drop(columns="start_ns").equals(second.steps.drop(columns="start_ns"))


def test_measuring_in_batches_gives_the_same(monkeypatch):
    labelled = labelled_table(decode_kernels(layers=2, steps=5))
    whole = timeline.measure(labelled, step_table(labelled))
    monkeypatch.setattr(timeline, "KERNELS_AT_ONCE", 25)
    assert timeline.measure(labelled, step_table(labelled)).regions.equals(whole.regions)


def test_fragments_of_collectives_are_not_counted_but_run():
    kernels = [
        {"start_ns": 0, "dur_ns": 100, "kind": "collective", "region": "comm"},
        {"start_ns": 10, "dur_ns": 95, "kind": "collective_part", "region": "comm"},
    ]
    labelled = labelled_table(kernels)
    times = timeline.measure(labelled, step_table(labelled))
    assert times.steps["kernels"].item() == 1
    assert times.regions["busy_ns"].item() == 105


def test_remainder_goes_to_the_region_that_comes_first():
    kernels = [{"start_ns": 0, "dur_ns": 5, "region": "moe"}, {"start_ns": 0, "dur_ns": 5, "region": "attention"}]
    labelled = labelled_table(kernels)
    exposed = timeline.measure(labelled, step_table(labelled)).regions.set_index("region")["exposed_ns"]
    assert exposed.to_dict() == {"attention": 3, "moe": 2}


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        ({}, "wait"),  # the same replay goes on
        ({"stream": 2}, "wait"),
        ({"task": 0}, "host"),  # another replay of the same graph
        ({"model": 8}, "host"),
        ({"launch_ns": 200_000}, "host"),  # the host launched it in the gap
    ],
)
def test_gaps_inside_between_and_of_what_is_waited_for(last, kind):
    kernels = [
        {"start_ns": 0, "dur_ns": 1_000, "layer": 0},
        {"start_ns": 1_500, "dur_ns": 1_000, "layer": 0},
        {"start_ns": 3_000, "dur_ns": 1_000, "layer": 0, "region": "mlp"},
        {"start_ns": 304_000, "dur_ns": 1_000, "layer": 0, "region": "mlp"} | last,
    ]
    labelled = labelled_table(kernels)
    times = timeline.measure(labelled, step_table(labelled))
    step = times.steps.iloc[0]
    waited = {"wait": 0, "host": 0} | {kind: 300_000}
    assert {name: step[f"gap_{name}_ns"] for name in ("inside", "between", *waited)} == waited | {
        "inside": 500,
        "between": 500,
    }
    assert step["gap_ns"] == 301_000 == step["wall_ns"] - step["busy_ns"]
    inside = times.regions.set_index("region")["gap_inside_ns"]
    assert inside.to_dict() == {"attention": 500, "mlp": 0}


@pytest.mark.parametrize("mode", ["eager", "unknown"])
def test_a_few_microseconds_are_a_host_gap_unless_a_graph_runs(mode):
    labelled = labelled_table([{"start_ns": 0, "dur_ns": 1_000}, {"start_ns": 6_000, "dur_ns": 1_000}])
    assert timeline.measure(labelled, step_table(labelled, mode)).steps["gap_host_ns"].item() == 5_000
    assert timeline.measure(labelled, step_table(labelled, "graph")).steps["gap_host_ns"].item() == 0


def test_eager_kernels_and_other_models_inside_a_graph_step_wait_for_the_host():
    kernels = [
        {"start_ns": 0, "dur_ns": 1_000, "model": 1},
        {"start_ns": 6_000, "dur_ns": 1_000, "model": None},
        {"start_ns": 12_000, "dur_ns": 1_000, "model": 2},
        {"start_ns": 18_000, "dur_ns": 1_000, "model": 2},
    ]
    labelled = labelled_table(kernels)
    kinds = timeline.measure(labelled, step_table(labelled)).gaps["kind"]
    assert list(kinds) == ["host", "host", "inside"]


def test_a_kernel_launched_after_the_device_fell_idle_waited_for_the_host():
    kernels = [{"start_ns": 0, "dur_ns": 1_000}, {"start_ns": 2_500, "dur_ns": 1_000}]
    for launch, kind in ((1_200, "host"), (200, "inside")):
        kernels[1]["launch_ns"] = launch
        labelled = labelled_table(kernels)
        assert list(timeline.measure(labelled, step_table(labelled)).gaps["kind"]) == [kind]


def test_idle_time_under_waits_and_copies_is_stated():
    labelled = labelled_table([{"start_ns": 0, "dur_ns": 100}, {"start_ns": 1_100, "dur_ns": 100}])
    tasks = task_table(
        {"start_ns": [50, 300, 350, 2_000], "dur_ns": [150, 100, 100, 10], "kind": ["wait", "wait", "wait", "copy"]}
    )
    step = timeline.measure(labelled, step_table(labelled), tasks).steps.iloc[0]
    assert (step["idle_waiting_ns"], step["idle_copying_ns"]) == (250, 0)


def test_layer_wall_runs_from_first_start_to_last_end():
    labelled = labelled_table(decode_kernels(layers=3, gap_ns=100))
    layers = timeline.measure(labelled, step_table(labelled)).layers
    assert list(layers["layer"]) == [0, 1, 2]
    assert set(layers["wall_ns"]) == {97_000 + 9 * 100}
    assert set(layers["exposed_ns"]) == {97_000}


def test_a_capture_without_steps_is_measured_as_empty():
    labelled = labelled_table([{"start_ns": 0, "dur_ns": 100, "step": -1}])
    times = timeline.measure(labelled, step_table(labelled))
    assert times.steps.empty and times.regions.empty and times.gaps.empty
