"""Steps that a serving framework announces on the host: phase, tokens and dummy passes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from sample_builder.build import build
from sample_builder.catalogue import QWEN2_5_7B

from skadvisor.analysis import analyze_capture
from skadvisor.events import Capture, host_table
from skadvisor.labelling.host_steps import announced_steps
from skadvisor.labelling.labels import Labelled, label
from skadvisor.vocabulary.operators import load_vocabulary


@pytest.mark.parametrize(
    ("name", "phase", "tokens", "dummy"),
    [
        ("execute_context_2(4096)_generation_0(0)", "prefill", 4096, False),
        ("execute_context_0(0)_generation_16(32)", "decode", 32, False),
        ("execute_context_1(500)_generation_7(7)", "mixed", 507, False),
        ("execute_context_0(0)_generation_0(0)", "unknown", None, True),
        ("step[prefill bs=4 toks=4096]", "prefill", 4096, False),
        ("step[decode bs=8]", "decode", 8, False),
        ("step[mixed bs=8 toks=300]", "mixed", 300, False),
        ("step[TARGET_VERIFY bs=8]", "decode", None, False),
        ("step[idle]", "unknown", None, True),
        ("model_decode_3", "decode", None, False),
        ("Prefill", "prefill", None, False),
    ],
)
def test_what_a_range_announces(name: str, phase: str, tokens: int | None, dummy: bool) -> None:
    said = announced_steps(host_table({"start_ns": [5], "dur_ns": [10], "name": [name]}))
    assert [(one.phase, one.tokens, one.dummy, one.end_ns) for one in said] == [(phase, tokens, dummy, 15)]


@pytest.mark.parametrize("name", ["paged_attention_decode", "aten::decode", "detokenize_decode", "decoder", "step"])
def test_names_of_operators_announce_nothing(name: str) -> None:
    assert announced_steps(host_table({"start_ns": [5], "dur_ns": [10], "name": [name]})) == []


@cache
def _names_only(phase: str = "decode", steps: int = 3) -> Capture:
    """Eager steps of one length without shapes, which could be prompts as well as generated tokens."""
    small = replace(QWEN2_5_7B, layers=4)
    return build(small, mode="eager", phases=(phase,), steps=steps, prompt=512, batch=4, level="level0").capture  # type: ignore[arg-type]


def _label(capture: Capture, names: list[str], launched: bool = False) -> Labelled:
    """The labels where the host ran step by step in ranges with these names."""
    steps = label(_names_only(), load_vocabulary(None)).steps
    starts, ends = (steps[column].to_numpy() for column in ("start_ns", "end_ns"))
    ahead = 10_000
    host = host_table({"start_ns": starts - ahead, "dur_ns": ends - starts, "name": names})
    kernels = capture.kernels
    if launched:
        kernels = kernels.assign(launch_ns=pd.array(kernels["start_ns"].to_numpy() - ahead, dtype="Int64"))
    return label(replace(capture, host=host, kernels=kernels), load_vocabulary(None))


PASSES = ["execute_context_2(4096)_generation_0(0)", "execute_context_1(9)_generation_3(3)", "step_without_words"]


@pytest.mark.parametrize("launched", [True, False])
def test_the_host_tells_phase_and_tokens_where_names_tell_nothing(launched: bool) -> None:
    capture = _names_only()
    assert set(label(capture, load_vocabulary(None)).steps["phase"]) == {"unknown"}
    steps = _label(capture, [*PASSES[:2], "execute_context_0(0)_generation_0(0)"], launched).steps
    assert steps["phase"].tolist() == ["prefill", "mixed", "unknown"]
    assert steps["tokens"].tolist()[:2] == [4096, 12]
    assert set(steps["phase_evidence"]) == {"host"}
    assert steps["steady"].tolist() == [True, True, False]
    assert "dummy" in str(steps["note"].iloc[2])


def test_ranges_that_cannot_be_matched_say_nothing() -> None:
    steps = _label(_names_only(), PASSES).steps
    assert set(steps["phase_evidence"]) == {"none"}
    assert _label(_names_only(), PASSES, launched=True).steps["phase"].tolist() == ["prefill", "mixed", "unknown"]


def test_lengths_tell_phases_only_where_two_kinds_differ() -> None:
    small = replace(QWEN2_5_7B, layers=4)
    both = build(
        small, mode="eager", phases=("prefill", "decode"), steps=4, prompt=4096, batch=4, level="level0"
    ).capture
    steps = label(both, load_vocabulary(None)).steps
    assert list(zip(steps["phase"], steps["phase_evidence"], strict=True)) == [
        ("prefill", "length"),
        *[("decode", "length")] * 3,
    ]
    result = analyze_capture(_names_only()).result
    assert {step.phase_evidence for step in result.steps} == {"none"}
    assert (result.phase, result.recommendation.choice) == ("unknown", "none")


def test_how_the_phase_is_known_stands_beside_it() -> None:
    small = replace(QWEN2_5_7B, layers=4)
    result = analyze_capture(build(small, mode="ge_graph", steps=3).capture).result
    assert result.phases["decode"].phase_evidence == "tokens"
    bare = analyze_capture(build(small, mode="ge_graph", steps=3, level="level0").capture).result
    assert [step.phase_evidence for step in bare.steps] == ["replay"] * 3
    assert np.isfinite([step.wall_us for step in bare.steps]).all()
