"""The whole way on every shipped sample and on the real captures: labels, steps, layers, sums and the choice."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import REPOSITORY, captures

import skadvisor
from skadvisor.analysis import Analysis
from skadvisor.records import from_json, to_json

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROFILES = REPOSITORY / "profiles"
LAYER_REGIONS = ["attention", "mlp", "moe", "norm", "comm"]
SAMPLES = sorted((folder, truth) for truth in PROFILES.glob("*/truth*.csv") for folder in [truth.parent])


def sample_rank(truth: Path) -> int | None:
    suffix = truth.stem.removeprefix("truth_rank")
    return int(suffix) if suffix.isdigit() else None


@pytest.fixture(scope="module", params=SAMPLES, ids=lambda sample: f"{sample[0].name}-{sample[1].stem}")
def sample(request: pytest.FixtureRequest) -> tuple[Analysis, pd.DataFrame, dict[str, object]]:
    folder, truth = request.param
    with (folder / "manifest.toml").open("rb") as file:
        manifest = tomllib.load(file)
    return skadvisor.analyze(folder, rank=sample_rank(truth)), pd.read_csv(truth), manifest


def layer_kinds(table: pd.DataFrame) -> list[list[tuple[int, str]]]:
    inside = table.dropna(subset=["layer"])
    return [
        sorted({(int(layer), str(kind)) for layer, kind in zip(rows["layer"], rows["layer_kind"], strict=True)})
        for _step, rows in inside.groupby("step")
    ]


def test_steps_phases_and_layers_are_exact(sample: tuple[Analysis, pd.DataFrame, dict[str, object]]) -> None:
    analysis, truth, _manifest = sample
    phases = truth.groupby("step")["phase"].first().tolist()
    assert [step.phase for step in analysis.result.steps] == phases
    assert analysis.kernels["step"].tolist() == truth["step"].tolist()
    assert layer_kinds(analysis.kernels) == layer_kinds(truth)


def test_labels_are_right_by_time(sample: tuple[Analysis, pd.DataFrame, dict[str, object]]) -> None:
    analysis, truth, _manifest = sample
    kernels = analysis.kernels
    assert kernels["start_ns"].tolist() == truth["start_ns"].tolist()
    right = kernels["region"].astype(str).to_numpy() == truth["region"].to_numpy()
    duration = kernels["dur_ns"].to_numpy()
    inside = truth["region"].isin(LAYER_REGIONS).to_numpy()
    assert duration[right & inside].sum() >= 0.99 * duration[inside].sum()
    assert duration[right].sum() >= 0.99 * duration.sum()


def test_roles_are_right_by_time(sample: tuple[Analysis, pd.DataFrame, dict[str, object]]) -> None:
    analysis, truth, _manifest = sample
    roles, time = analysis.kernels["role"].astype(str), analysis.kernels["dur_ns"].to_numpy()
    assert time[(roles == truth["role"]).to_numpy()].sum() > 0.96 * time.sum()
    assert (roles[truth["role"] == "kv_cache"] == "kv_cache").all()


def test_times_add_up_to_the_nanosecond(sample: tuple[Analysis, pd.DataFrame, dict[str, object]]) -> None:
    analysis, _truth, _manifest = sample
    times = analysis.times
    exposed = times.regions.groupby("step")["exposed_ns"].sum()
    steps = times.steps.set_index("step")
    assert (exposed + steps["gap_ns"] == steps["wall_ns"]).all()
    parts = steps[["gap_inside_ns", "gap_between_ns", "gap_host_ns"]].sum(axis=1)
    assert (parts == steps["gap_ns"]).all()


def test_choice_is_argued_from_the_figures(sample: tuple[Analysis, pd.DataFrame, dict[str, object]]) -> None:
    analysis, _truth, _manifest = sample
    result = analysis.result
    recommendation = result.recommendation
    assert str(recommendation.reason)
    if result.mode == "eager":
        assert recommendation.choice == "none"
        assert "graph" in str(recommendation.reason)
        return
    by_name = {template.name: template for template in result.templates}
    if recommendation.choice == "none":
        assert all(template.verdict != "worthwhile" for template in result.templates)
    else:
        chosen = by_name[recommendation.choice]
        assert chosen.verdict == "worthwhile"
        assert chosen.estimate is not None
        assert f"{chosen.estimate.mid_pct:.1f}" in str(recommendation.reason)
    moe = any(kind.kind == "moe" for kind in result.layers.kinds)
    assert moe or by_name["moe-only"].verdict == "not_applicable"


def test_result_goes_round_through_json(sample: tuple[Analysis, pd.DataFrame, dict[str, object]]) -> None:
    analysis, _truth, _manifest = sample
    text = to_json(analysis.result)
    assert to_json(from_json(text)) == text


def test_public_tables_and_notebook_view(sample: tuple[Analysis, pd.DataFrame, dict[str, object]]) -> None:
    analysis, _truth, _manifest = sample
    assert {"phase", "region", "exposed_us", "share"} <= set(analysis.regions.columns)
    assert set(analysis.templates["template"]) >= {"attention-only", "moe-only", "full-model"}
    html = analysis._repr_html_()
    assert "<table" in html
    assert "<script" not in html


def test_real_eager_capture() -> None:
    folder = captures("qwen2.5-0.5b-vllm-eager")
    analysis = skadvisor.analyze(folder)
    truth = pd.read_csv(folder / "truth.csv").sort_values("start_ns", ignore_index=True)
    result = analysis.result
    assert (result.mode, result.host_bound) == ("eager", True)
    assert [step.phase for step in result.steps] == ["prefill", "decode"]
    assert [step.layers for step in result.steps] == [24, 24]
    assert {kind.kind for kind in result.layers.kinds} == {"dense"}
    right = analysis.kernels["region"].astype(str).to_numpy() == truth["region"].to_numpy()
    duration = analysis.kernels["dur_ns"].to_numpy()
    assert duration[right].sum() >= 0.99 * duration.sum()
    layers = analysis.kernels["layer"].astype("float").to_numpy()
    same = (layers == truth["layer"].to_numpy()) | (pd.isna(layers) & truth["layer"].isna().to_numpy())
    assert duration[same].sum() >= 0.99 * duration.sum()
    assert result.recommendation.choice == "none"
    assert "eager and host-bound" in str(result.recommendation.reason)


def test_real_piecewise_graph_capture() -> None:
    result = skadvisor.analyze(captures("qwen2.5-0.5b-vllm-piecewise-graph")).result
    assert (result.mode, result.graph_kind, result.phase) == ("graph", "acl_graph", "decode")
    assert [(kind.kind, kind.layers) for kind in result.layers.kinds] == [("dense", "0-5")]
    assert result.recommendation.choice == "none"


@pytest.mark.parametrize("rank", ["rank_0_ascend_pt", "rank_2_ascend_pt"])
def test_real_transformer_training(rank: str) -> None:
    result = skadvisor.analyze(captures("qwen3-0.6b-training", rank)).result
    assert {step.phase for step in result.steps} == {"training"}
    assert result.recommendation.choice == "none"
    assert "training" in str(result.recommendation.reason)


def test_real_vision_training_has_no_decoder_layers() -> None:
    result = skadvisor.analyze(captures("alexnet-training-modules", "text")).result
    assert result.layers.count == 0
    assert result.recommendation.choice == "none"
    assert "no decoder layers" in str(result.recommendation.reason)


def test_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError):
        skadvisor.no_such_name  # noqa: B018
