"""What was not recorded is not taken for not there: attention alone, experts alone, a window without its ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest
from sample_builder.build import BuiltCapture, build
from sample_builder.catalogue import QWEN2_5_7B, QWEN3_30B_A3B

from skadvisor.analysis import analyze_capture
from skadvisor.errors import NotEnoughError
from skadvisor.events import Capture


@cache
def _built(experts: bool) -> BuiltCapture:
    return build(replace(QWEN3_30B_A3B if experts else QWEN2_5_7B, layers=5), mode="ge_graph", steps=4)


def _only(experts: bool, column: str, kept: Sequence[str]) -> Capture:
    built = _built(experts)
    rows = built.truth[column].isin(kept).to_numpy()
    return replace(built.capture, kernels=built.capture.kernels[rows].reset_index(drop=True))


@pytest.mark.parametrize("experts", [False, True])
def test_attention_alone_is_said_to_be_a_part_and_counted(experts: bool) -> None:
    with pytest.raises(NotEnoughError) as refused:
        analyze_capture(_only(experts, "role", ["attention_core", "kv_cache"]))
    assert "only attention kernels were recorded" in refused.value.message
    assert "4 passes of 5 layers" in refused.value.message
    assert refused.value.hint


def test_experts_alone_are_a_rank_that_serves_others() -> None:
    result = analyze_capture(_only(True, "role", ["dispatch", "expert_matmul", "activation", "combine"])).result
    assert result.recommendation.choice == "none"
    assert "4 passes of 5 layers" in str(result.recommendation.reason)


def test_a_window_without_its_ends_is_named() -> None:
    codes = [
        notice.code for notice in analyze_capture(_only(False, "region", ["attention", "mlp", "norm"])).result.warnings
    ]
    assert "no_ends" in codes
    assert "no_ends" not in [notice.code for notice in analyze_capture(_built(False).capture).result.warnings]


def test_a_handful_of_kernels_is_too_little() -> None:
    capture = _built(False).capture
    with pytest.raises(NotEnoughError, match="5 kernels"):
        analyze_capture(replace(capture, kernels=capture.kernels.head(5)))
