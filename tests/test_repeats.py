"""Long chains: pieces side by side give what one recursion gives, and what repeats is read once for all."""

from __future__ import annotations

import numpy as np
import pytest
from sample_builder.build import build
from sample_builder.catalogue import DEEPSEEK_V3

from skadvisor.labelling import chains, hidden_markov, structure
from skadvisor.labelling.hidden_markov import Order, decode, posterior
from skadvisor.labelling.labels import label
from skadvisor.labelling.repeats import Repeats, find_repeats
from skadvisor.vocabulary.operators import load_vocabulary

STATES = 6


def random_sequence(count: int, seed: int, forgets: float) -> tuple[np.ndarray, Order]:
    random = np.random.default_rng(seed)
    transitions = random.normal(0, forgets, (3, STATES, STATES))
    ways = np.where(random.random(count) < 0.02, random.integers(1, 3, count), 0).astype(np.int8)
    restart = random.exponential(1.0, count)
    restarts = np.zeros((STATES, STATES), dtype=bool)
    restarts[3:, :2] = True
    return random.normal(0, 2, (count, STATES)), Order(transitions, ways, restart, restarts)


def steps_between(order: Order, index: int) -> np.ndarray:
    return order.transitions[order.ways[index]] + order.restart[index] * order.restarts


def one_by_one(emissions: np.ndarray, order: Order) -> tuple[np.ndarray, np.ndarray]:
    """Viterbi's path and the posterior, written down as in the textbook."""
    count = len(emissions)
    score, forward, backward = emissions[0], [emissions[0]], [np.zeros(STATES)]
    back = []
    for index in range(1, count):
        paths = score[:, None] + steps_between(order, index)
        back.append(paths.argmax(axis=0))
        score = paths.max(axis=0) + emissions[index]
        forward.append(
            np.logaddexp.reduce(forward[-1][:, None] + steps_between(order, index), axis=0) + emissions[index]
        )
    for index in range(count - 1, 0, -1):
        reached = steps_between(order, index) + (emissions[index] + backward[-1])[None, :]
        backward.append(np.logaddexp.reduce(reached, axis=1))
    path = [int(score.argmax())]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    joint = np.array(forward) + np.array(backward[::-1])
    joint = np.exp(joint - joint.max(axis=1, keepdims=True))
    return np.array(path[::-1]), joint / joint.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("count", [1, 2, 63, 64, 700, 3000])
@pytest.mark.parametrize("forgets", [0.3, 2.0, 12.0])
def test_pieces_side_by_side_give_what_one_recursion_gives(count, forgets):
    emissions, order = random_sequence(count, count, forgets)
    path, likely = one_by_one(emissions, order)
    assert (decode(emissions, order) == path).all()
    assert np.allclose(posterior(emissions, order), likely, atol=1e-9)


def test_pieces_begin_earlier_where_the_begin_is_remembered_longer(monkeypatch):
    count = 4000
    emissions, order = random_sequence(count, 7, 1.0)
    emissions *= 0.002
    stay = np.where(np.eye(STATES, dtype=bool), 0.0, -9.0)
    order = Order(np.stack([stay] * 3), order.ways, 0 * order.restart, order.restarts)
    leads = []
    usual = hidden_markov._Pieces.of
    monkeypatch.setattr(hidden_markov._Pieces, "of", lambda count, lead: leads.append(lead) or usual(count, lead))
    path, likely = one_by_one(emissions, order)
    assert (decode(emissions, order) == path).all()
    assert np.allclose(posterior(emissions, order), likely, atol=1e-9)
    assert max(leads) > hidden_markov.LEAD


def test_a_run_of_equal_blocks_is_read_at_its_edges_only():
    random = np.random.default_rng(3)
    block, other = random.integers(1, 40, 400), random.integers(1, 40, 400)
    block[0] = other[0] = 0
    looks = np.concatenate([block[100:], *[block] * 12, other, *[block] * 12])
    repeats = find_repeats(looks)
    assert (looks[repeats.kept][repeats.like] == looks).all()
    assert repeats.weight.sum() == len(looks)
    assert len(repeats.kept) <= 300 + 7 * 400
    pauses = np.zeros(len(looks))
    pauses[300 + 6 * 400 + 17] = 4.0
    apart = find_repeats(looks, pauses)
    assert apart.kept[apart.like[300 + 6 * 400 + 17]] == 300 + 6 * 400 + 17


def test_what_does_not_repeat_is_read_itself():
    looks = np.random.default_rng(1).integers(0, 50, 20_000)
    assert len(find_repeats(looks).kept) == len(looks)


def test_labels_of_repeated_steps_are_those_of_each_step_read_by_itself(monkeypatch):
    built = build(DEEPSEEK_V3, mode="ge_graph", steps=14, batch=32)
    vocabulary = load_vocabulary()
    once = label(built.capture, vocabulary)
    assert len(once.structure.of_chains[0].scores) < 0.5 * len(once.structure.main)
    monkeypatch.setattr(structure, "find_repeats", lambda looks, pauses=None: Repeats.none(len(looks)))
    each = label(built.capture, vocabulary)
    for column in ("step", "layer", "region", "role", "owner"):
        assert (once.kernels[column].astype(object).fillna("") == each.kernels[column].astype(object).fillna("")).all()
    assert np.abs(once.kernels["confidence"] - each.kernels["confidence"]).max() < 0.01
    assert once.steps.equals(each.steps)
    row = int(once.structure.main[len(once.structure.main) // 2])
    place = int(np.searchsorted(once.structure.main, row))
    said, alone = (one.structure.of_chains[0].of(place) for one in (once, each))
    assert said.keys() == alone.keys()


def test_kernels_that_share_probabilities_are_of_one_class_and_in_one_state():
    built = build(DEEPSEEK_V3, mode="ge_graph", steps=14, batch=32)
    found = label(built.capture, load_vocabulary()).structure
    place = found.probability.place
    assert len(found.probability.distinct) < 0.5 * len(place)
    assert (found.probability.distinct[0] == 0).all() and ((place == 0) == (found.state < 0)).all()
    for column in (found.classes.of_kernel, found.state):
        one = np.zeros(len(found.probability.distinct), dtype=column.dtype)
        one[place] = column
        assert (one[place] == column)[place > 0].all()


@pytest.mark.parametrize("seed", range(20))
def test_streams_run_at_the_same_time_where_more_than_stray_kernels_overlap(seed):
    random = np.random.default_rng(seed)
    count = int(random.integers(2, 5))
    start = np.sort(random.integers(0, 400_000, 60)).astype(np.int64)
    end = start + random.integers(1, 20_000, 60)
    streams = np.append(np.arange(count), random.integers(0, count, 60 - count)).astype(np.int64)
    overlaps = np.zeros((count, count))
    for row, other in np.ndindex(60, count):
        before = end[:row][streams[:row] == other]
        until = start[row] + max(chains.OVERLAP_FLOOR_NS, (end[row] - start[row]) // 10)
        overlaps[streams[row], other] += bool(len(before)) and before.max() > until
    np.fill_diagonal(overlaps, 0)
    sizes = np.bincount(streams)
    expected = overlaps + overlaps.T >= np.maximum(2, np.minimum.outer(sizes, sizes) // 50)
    assert (chains._conflicts(streams, start, end, count) == expected).all()
