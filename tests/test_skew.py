"""Work and waiting in collectives, from ranks whose waiting is known because the test made it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skadvisor import events
from skadvisor.ranks.stragglers import Collectives, align, collect, compare

PERIOD = 1_000_000


def ranks_with_arrivals(arrivals: np.ndarray, work: int, names: list[str], clock: list[int] | None = None):
    """One Collectives per rank. `arrivals[rank, step, collective]` is the delay of its arrival, ns."""
    made = []
    for number, of_rank in enumerate(arrivals):
        last = arrivals.max(axis=0)
        duration = work + (last - of_rank)
        steps, per_step = of_rank.shape
        starts = np.arange(steps) * PERIOD + (clock[number] if clock else 0)
        made.append(
            Collectives(
                step_starts=starts.astype("int64"),
                step=np.repeat(np.arange(steps), per_step),
                name=np.array(names * steps if len(names) == per_step else names, dtype=object),
                duration=duration.reshape(-1).astype("int64"),
            )
        )
    return made


@settings(max_examples=40, deadline=None)
@given(
    ranks=st.integers(2, 5),
    steps=st.integers(1, 4),
    work=st.integers(1, 5_000),
    seed=st.integers(0, 1_000),
    repeated=st.booleans(),
)
def test_what_exceeds_the_last_arrival_is_waiting(ranks, steps, work, seed, repeated):
    arrivals = np.random.default_rng(seed).integers(0, 20_000, (ranks, steps, 3))
    names = ["all_reduce", "all_reduce" if repeated else "all_gather", "all_to_all"]
    answers = compare(ranks_with_arrivals(arrivals, work, names))
    for number, answer in enumerate(answers):
        assert answer is not None
        assert answer.tolist() == (arrivals.max(axis=0) - arrivals[number]).sum(axis=1).tolist()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1_000), order=st.permutations(range(4)))
def test_the_order_of_ranks_does_not_matter(seed, order):
    arrivals = np.random.default_rng(seed).integers(0, 20_000, (4, 2, 2))
    ranks = ranks_with_arrivals(arrivals, 100, ["a", "b"])
    straight = compare(ranks)
    for place, answer in zip(order, compare([ranks[place] for place in order]), strict=True):
        assert answer is not None and straight[place] is not None
        assert answer.tolist() == straight[place].tolist()


def test_names_that_count_up_need_no_clock_and_no_equal_steps():
    one = Collectives(
        np.array([0, 1000]), np.array([0, 1]), np.array(["r__7_1_1", "r__7_2_1"], object), np.array([50, 90])
    )
    two = Collectives(np.array([77]), np.array([0]), np.array(["r__7_2_1"], object), np.array([30]))
    assert [answer.tolist() for answer in compare([one, two])] == [[0, 60], [0]]


def test_another_group_of_ranks_is_another_collective():
    arrivals = np.zeros((2, 2, 1), dtype=int)
    one, two = ranks_with_arrivals(arrivals, 100, ["hcom_allReduce__111_0_1"])
    two = Collectives(two.step_starts, two.step, np.array(["hcom_allReduce__222_0_1"] * 2, object), two.duration)
    assert compare([one, two]) == [None, None]


def test_a_capture_that_began_a_step_later_is_shifted_by_the_clock():
    arrivals = np.random.default_rng(1).integers(0, 20_000, (2, 5, 2))
    long, other = ranks_with_arrivals(arrivals, 100, ["a", "b"], clock=[0, 30_000])
    late = Collectives(other.step_starts[1:], other.step[2:] - 1, other.name[2:], other.duration[2:])
    waited = (arrivals.max(axis=0) - arrivals).sum(axis=2)
    first, second = (answer.tolist() for answer in compare([long, late]))
    assert first == [0, *waited[0, 1:]], "the step that the other rank does not have is left out"
    assert second == [*waited[1, 1:]]


def test_steps_that_cannot_be_matched_give_no_waiting():
    arrivals = np.zeros((2, 5, 2), dtype=int)
    long, other = ranks_with_arrivals(arrivals, 100, ["a", "b"], clock=[0, 400_000])
    short = Collectives(other.step_starts[1:], other.step[2:] - 1, other.name[2:], other.duration[2:])
    assert compare([long, short]) == [None, None]


def test_equally_many_steps_are_matched_in_order_where_clocks_differ():
    assert align([np.array([0, 10, 20]), np.array([100_004, 100_014, 100_024])])[1].tolist() == [0, 1, 2]


def test_a_rank_alone_has_no_waiting():
    (rank,) = ranks_with_arrivals(np.zeros((1, 2, 2), dtype=int), 100, ["a", "b"])
    assert compare([rank]) == [None]
    assert compare([]) == []


def test_ranks_without_collectives_have_no_waiting():
    none = Collectives(np.array([0]), np.array([], "int64"), np.array([], object), np.array([], "int64"))
    assert compare([none, none]) == [None, None]


@pytest.fixture
def labelled():
    kernels = events.kernel_table(
        {
            "start_ns": [10, 20, 30, 40, 120, 130],
            "dur_ns": [5, 6, 7, 8, 9, 10],
            "name": ["matmul", "hcom_allReduce__1_1_1", "frag", "MoeDistributeDispatchV2_3", "hcom_x", "outside"],
            "op_type": ["MatMulV2", "hcom_allReduce_", None, "MoeDistributeDispatchV2", "hcom", "hcom"],
            "kind": ["kernel", "collective", "collective_part", "kernel", "collective", "collective"],
        }
    )
    return kernels.assign(step=[0, 0, 0, 0, 1, -1])


def test_collectives_and_kernels_that_wait_are_collected_but_no_parts(labelled):
    steps = pd.DataFrame({"step": [0, 1], "start_ns": [10, 120]})
    found = collect(labelled, steps)
    assert found.name.tolist() == ["hcom_allReduce__1_1_1", "MoeDistributeDispatchV2_3", "hcom_x"]
    assert found.duration.tolist() == [6, 8, 9]
    assert found.step.tolist() == [0, 0, 1]
    only_second = collect(labelled, steps[steps["step"] == 1])
    assert (only_second.step.tolist(), only_second.step_starts.tolist()) == ([0], [120])
