"""What a comparison does not prove: kernels that only one side has, and a gain without any SuperKernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sample_builder.build import BuiltCapture, build, switch_on
from sample_builder.catalogue import QWEN3_0_6B
from sample_builder.superkernel import FusionRules

from skadvisor.analysis import Analysis, analyze_capture
from skadvisor.commands.compare import check_gate
from skadvisor.comparison.judging import compare
from skadvisor.comparison.text import describe_comparison
from skadvisor.errors import NotEnoughError

SMALL = replace(QWEN3_0_6B, layers=4)
RULES = FusionRules(saving_ns=6000, breakers=frozenset({"SplitVD"}))


@pytest.fixture(scope="module")
def off() -> BuiltCapture:
    return build(SMALL, steps=5, seed=5)


@pytest.fixture(scope="module")
def before(off: BuiltCapture) -> Analysis:
    return analyze_capture(off.capture)


def without(built: BuiltCapture, lost: Callable[[Any], Any]) -> Analysis:
    """The capture without the kernels that `lost` marks; what follows moves up to close the hole."""
    kernels = built.capture.kernels
    gone = lost(kernels).to_numpy(dtype=bool)
    moved = kernels["start_ns"] - kernels["dur_ns"].where(gone, 0).cumsum()
    left = kernels.assign(start_ns=moved)[~gone].reset_index(drop=True)
    return analyze_capture(replace(built.capture, kernels=left))


def head(kernels: Any) -> Any:
    """The output projection and the sampling: all that works on the whole vocabulary."""
    return kernels["input_shapes"].astype(str).str.contains(str(SMALL.vocabulary))


@pytest.mark.parametrize("template", [None, "attention-only", "full-model"])
def test_kernels_that_one_side_lacks_are_no_gain(off: BuiltCapture, before: Analysis, template: Any) -> None:
    cut = without(off if template is None else switch_on(off, template, RULES), head)
    for sides in ((before, cut), (without(off, head), before)):
        found = compare(*sides)
        assert found.verdict == "not_comparable"
        assert [reason.code for reason in found.reasons] == ["kernels"]
        assert "MatMul" in str(found.reasons[0].message)


def test_one_run_of_many_that_lacks_kernels_is_named(off: BuiltCapture, before: Analysis) -> None:
    others = [analyze_capture(build(SMALL, steps=4, seed=seed).capture) for seed in (6, 7)]
    found = compare([before, without(off, head)], others)
    assert found.verdict == "not_comparable"
    assert str(found.reasons[0].message).startswith("BEFORE (")


def test_what_an_unmapped_superkernel_may_hold_is_not_missed(off: BuiltCapture, before: Analysis) -> None:
    capture = switch_on(off, "full-model", RULES).capture
    names = capture.kernels["name"].astype(str).str.replace(r"_start_\w+_end_", "_start_Nonsense_end_", regex=True)
    hidden = replace(capture, kernels=capture.kernels.assign(name=names.astype("category")))
    found = compare(before, analyze_capture(hidden))
    assert found.unmapped and found.verdict != "not_comparable"


def test_without_a_superkernel_nothing_is_kept(before: Analysis, off: BuiltCapture) -> None:
    kernels = off.capture.kernels
    faster = kernels.assign(start_ns=kernels["start_ns"] * 7 // 10, dur_ns=kernels["dur_ns"] * 7 // 10)
    found = compare(before, analyze_capture(replace(off.capture, kernels=faster)))
    assert found.improvement_low_pct is not None and found.improvement_low_pct > 2
    assert found.verdict == "insufficient_evidence" and "compiled in" in str(found.action)
    with pytest.raises(NotEnoughError, match="compiled in") as caught:
        check_gate(found, 1.0)
    assert "--runs" not in caught.value.hint


def later(built: BuiltCapture, shift_ns: int) -> Analysis:
    """The capture as if it had been recorded later."""
    kernels = built.capture.kernels
    return analyze_capture(replace(built.capture, kernels=kernels.assign(start_ns=kernels["start_ns"] + shift_ns)))


def test_copies_are_no_runs(off: BuiltCapture) -> None:
    on = switch_on(off, "attention-only", RULES)
    sides = [[later(built, shift) for shift in (0, 0, 7_000_000_123)] for built in (off, on)]
    found = compare(*sides)
    assert (found.unit, found.runs_before, found.runs_after) == ("steps", 1, 1)
    assert "4 runs" in str(found.notes[0])
    alone = compare(sides[0][0], sides[1][0])
    assert replace(found, notes=found.notes[1:]) == alone


def test_what_never_differs_has_no_interval(before: Analysis) -> None:
    found = compare(before, before)
    shown = describe_comparison(replace(found, improvement_low_pct=0.0, improvement_high_pct=0.0))
    assert not any("95 %" in name for name, _value in shown.summary.facts)


def test_ranks_of_one_run_are_no_runs() -> None:
    sides = [[analyze_capture(build(SMALL, steps=3, seed=seed, rank=seed).capture) for seed in range(3)]] * 2
    found = compare(*sides)
    assert [reason.code for reason in found.reasons] == ["ranks"]
