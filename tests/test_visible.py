"""What was not recorded is not taken for not there: attention alone, experts alone, a window without its ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from sample_builder.build import BuiltCapture, build
from sample_builder.catalogue import QWEN2_5_7B, QWEN3_30B_A3B
from sample_builder.formats import write_kernel_details
from small_tables import capture_of

from skadvisor.analysis import analyze_capture
from skadvisor.doctor.diagnosis import diagnose
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


@pytest.mark.parametrize("count", [10, 14, 18])
def test_pieces_of_one_layer_are_too_little_for_every_command(count: int, tmp_path: Path) -> None:
    whole = _built(False).capture
    piece = replace(whole, kernels=whole.kernels.head(count))
    with pytest.raises(NotEnoughError, match=f"{count} kernels and no decoder layer"):
        analyze_capture(piece)
    diagnosis = diagnose(write_kernel_details(piece, tmp_path / "kernel_details.csv"))
    assert not diagnosis.usable
    assert f"{count} kernels and no decoder layer" in " ".join(str(one.message) for one in diagnosis.findings)


def test_a_net_without_layers_is_answered_once_it_ran_more_than_once() -> None:
    names = ("RmsNorm", "Gelu", "DynamicQuant", "ReduceSum", "Sigmoid", "SwiGlu", "Exp", "Sqrt", "Tanh", "Abs", "Sign")
    net = [(name, "64,512", "64,512") for name in names]
    result = analyze_capture(capture_of(net * 2)).result
    assert result.layers.count == 0 and any(template.estimate for template in result.templates)
    with pytest.raises(NotEnoughError, match="11 kernels and no decoder layer"):
        analyze_capture(capture_of(net))
