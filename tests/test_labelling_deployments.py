"""Models as they are deployed: regions, layers, steps, phases and mode against their truth."""

from __future__ import annotations

from functools import cache

import pytest
from deployments.dense import DENSE
from deployments.encoders import NO_DECODERS
from deployments.experts import EXPERTS
from deployments.further import FURTHER
from deployments.hybrid import HYBRID
from deployments.scores import SCORED, Score, score
from deployments.serving import SERVING
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_builder.blocks import Card, gqa, layers_of, mlp, moe, run
from sample_builder.build import BuiltCapture
from sample_builder.perturb import from_trace, level0
from sample_builder.renaming import compiled_at_load, fashion, paths, snake_case, static_kernels

from skadvisor.labelling.labels import label
from skadvisor.vocabulary.operators import load_vocabulary

VOCABULARY = load_vocabulary()
ALL = {**DENSE, **EXPERTS, **HYBRID, **SERVING, **FURTHER}


@cache
def capture(name: str) -> BuiltCapture:
    return ALL[name]()


def scored(recorded: BuiltCapture) -> Score:
    return score(recorded, label(recorded.capture, VOCABULARY))


@pytest.mark.parametrize("name", sorted(ALL))
def test_deployments_are_labelled(name: str) -> None:
    found = scored(capture(name))
    assert found.accuracy >= 0.99
    assert found.worst_share <= 0.01
    assert found.sure >= 0.98
    assert found.steps
    assert found.phases
    assert found.layers
    assert found.mode


@pytest.mark.parametrize("name", sorted(ALL))
def test_kernels_are_numbered_by_their_layer(name: str) -> None:
    recorded = capture(name)
    found = label(recorded.capture, VOCABULARY).kernels["layer"].fillna(-1).astype(int).to_numpy()
    truth = recorded.truth["layer"].fillna(-1).astype(int).to_numpy()
    inside = recorded.truth["region"].isin(SCORED).to_numpy()
    assert (found == truth)[inside].mean() >= 0.999


@given(
    hidden=st.sampled_from([1024, 2048, 4096, 5120]),
    heads=st.sampled_from([8, 16, 32, 64]),
    kv=st.sampled_from([1, 4, 8]),
    dim=st.sampled_from([64, 128, 256]),
    times=st.sampled_from([1, 2, 3, 4]),
    rows=st.sampled_from([1, 8, 24, 128]),
    quant=st.sampled_from(["", "dynamic", "static", "mx", "w4"]),
    feed=st.sampled_from(["dense", "moe"]),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_sizes_that_coincide_do_not_mislead(
    hidden: int, heads: int, kv: int, dim: int, times: int, rows: int, quant: str, feed: str
) -> None:
    card = Card(
        hidden=hidden, heads=heads, kv=kv, dim=dim, inter=times * hidden, vocab=151936, layers=4, rows=rows, quant=quant
    )
    layers = layers_of(("dense", gqa, mlp), (feed, gqa, moe if feed == "moe" else mlp))
    found = scored(run(card, layers))
    assert found.accuracy >= 0.99
    assert found.sure >= 0.98
    assert found.steps
    assert found.layers


NAMED = [
    "qwen3-fused-rope",
    "cohere",
    "deepseek-v3.2",
    "deepseek-v4",
    "qwen3-next",
    "jamba",
    "lora",
    "gpt-oss",
    "eagle-3",
]


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("change", [static_kernels, compiled_at_load, paths, snake_case])
def test_any_compilers_names_are_read(name: str, change) -> None:  # type: ignore[no-untyped-def]
    found = scored(change(capture(name)))
    assert found.accuracy >= 0.99
    assert found.worst_share <= 0.01
    assert found.sure >= 0.98
    assert found.steps
    assert found.phases
    assert found.layers


@pytest.mark.parametrize("name", sorted(ALL))
def test_unknown_attention_and_activation_mislead_little(name: str) -> None:
    found = scored(fashion(capture(name)))
    assert found.accuracy >= 0.97
    assert found.worst_share <= 0.01
    assert found.sure >= 0.98
    assert found.steps
    assert found.layers


#: What names and order cannot tell without shapes and streams: name -> why.
NAMES_ONLY_LIMITS = {
    "longcat": "a dense MLP behind experts looks like their shared expert, where sizes are not told",
    "longcat-one-stream": "a dense MLP behind experts looks like their shared expert, where sizes are not told",
    "two-batches": "two halves of a batch at the same time cannot be taken apart without streams",
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.xfail(strict=True, reason=NAMES_ONLY_LIMITS[name]))
        if name in NAMES_ONLY_LIMITS
        else name
        for name in sorted(ALL)
    ],
)
def test_names_and_order_are_enough_without_shapes(name: str) -> None:
    found = scored(level0(capture(name)))
    assert found.accuracy >= 0.95
    assert found.sure >= 0.98
    assert found.steps
    assert found.layers


@pytest.mark.parametrize("name", ["two-batches", "pictures", "deepseek-mtp-3", "whisper-decoder", "minimax-01"])
def test_a_timeline_is_enough(name: str) -> None:
    found = scored(from_trace(capture(name)))
    assert found.accuracy >= 0.97
    assert found.worst_share <= 0.01
    assert found.steps
    assert found.layers


@pytest.mark.parametrize("name", sorted(NO_DECODERS))
def test_what_is_no_decoder_is_declined(name: str) -> None:
    labelled = label(NO_DECODERS[name]().capture, VOCABULARY)
    phases = set(labelled.steps["phase"].astype(str))
    assert labelled.training or not phases & {"decode", "mixed", "prefill"} or labelled.kernels["layer"].isna().all()
