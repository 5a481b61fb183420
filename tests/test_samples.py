"""The sample builder and the shipped samples: truth for every kernel, same bytes, plausible times, planted savings."""

from __future__ import annotations

import gzip
import statistics
import sys
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from conftest import REPOSITORY, captures
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_builder.build import TRUTH_COLUMNS, BuiltCapture, build
from sample_builder.catalogue import CATALOGUE, QWEN2_5_0_5B, QWEN3_8B, build_entry
from sample_builder.model import ModelDescription
from sample_builder.shipped import SAMPLES, build_sample

from skadvisor.events import KERNEL_COLUMNS
from skadvisor.records import LAYER_REGIONS, REGIONS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROFILES = REPOSITORY / "profiles"
MAX_BYTES = 10_000_000
#: Columns that kernel_details.csv cannot hold.
NOT_IN_FILE = ("launch_ns", "connection", "module", "range", "aic_ns", "aiv_ns")


@cache
def entry(name: str) -> BuiltCapture:
    return build_entry(name)


def files_below(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def content(path: Path) -> bytes:
    """What a file says; compressed bytes depend on the zlib that wrote them."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def step_walls(built: BuiltCapture) -> pd.Series:
    kernels, step = built.capture.kernels, built.truth["step"]
    end = (kernels["start_ns"] + kernels["dur_ns"]).groupby(step).max()
    return end - kernels["start_ns"].groupby(step).min()


def check_invariants(built: BuiltCapture) -> None:
    kernels, truth = built.capture.kernels, built.truth
    assert list(kernels.columns) == list(KERNEL_COLUMNS)
    assert list(truth.columns[: len(TRUTH_COLUMNS)]) == TRUTH_COLUMNS
    assert len(kernels) == len(truth) > 0
    assert (kernels["start_ns"] == truth["start_ns"]).all()
    assert kernels["start_ns"].is_monotonic_increasing
    assert (kernels["dur_ns"] > 0).all()
    assert set(truth["region"]) <= set(REGIONS)
    assert truth["role"].notna().all()
    assert truth["owner"].notna().equals(truth["region"] == "comm")
    assert (truth["step"].diff().dropna() >= 0).all()
    assert (truth["layer"].notna() == truth["layer_kind"].notna()).all()
    for _, rows in kernels.dropna(subset=["stream"]).groupby("stream"):
        ends = (rows["start_ns"] + rows["dur_ns"]).to_numpy()
        assert (rows["start_ns"].to_numpy()[1:] >= ends[:-1]).all()


@pytest.mark.parametrize("name", CATALOGUE)
def test_entry_has_truth_for_every_kernel(name: str) -> None:
    built = entry(name)
    check_invariants(built)
    description = CATALOGUE[name].description
    if not isinstance(description, ModelDescription):
        assert built.truth["layer"].isna().all()
        return
    kinds = {layer: description.layer_kind(layer) for layer in range(description.layers)}
    if description.attention == "encoder":
        kinds = dict.fromkeys(kinds, "other")
    for _, rows in built.truth.groupby("step"):
        found = rows.dropna(subset=["layer"]).drop_duplicates("layer").set_index("layer")["layer_kind"]
        expected = dict(kinds)
        if rows["phase"].iloc[0] == "decode":
            expected |= {description.layers + extra: "mtp" for extra in range(description.mtp_layers)}
        assert found.to_dict() == expected


@pytest.mark.parametrize("name", [name for name in CATALOGUE if CATALOGUE[name].settings.get("phases") != ("unknown",)])
def test_layers_hold_what_a_layer_needs(name: str) -> None:
    truth = entry(name).truth
    for (_, kind), rows in truth.dropna(subset=["layer"]).groupby(["layer", "layer_kind"]):
        regions = set(rows["region"])
        assert {"attention", "norm"} <= regions
        assert ("moe" in regions) == (kind == "moe" or (kind == "mtp" and "moe" in set(truth["region"])))
        assert regions <= {*LAYER_REGIONS, "other"}
    assert (
        truth[truth["layer"].isna()]["region"].isin(["attention", "mlp", "moe", "norm"]).sum()
        <= (truth["phase"] == "training").sum()
    )


def test_catalogue_covers_kinds_and_modes() -> None:
    descriptions = [item.description for item in CATALOGUE.values()]
    models = [item for item in descriptions if isinstance(item, ModelDescription)]
    assert len({item.name for item in descriptions}) >= 16
    assert {item.attention for item in models} == {"gqa", "mla", "sparse", "linear_hybrid", "compressed", "encoder"}
    assert {item.settings["mode"] for item in CATALOGUE.values()} == {
        "eager",
        "ge_graph",
        "acl_graph",
        "piecewise_graph",
    }
    assert {item.expert_path for item in models if item.experts} == {
        "mc2",
        "alltoall",
        "allgather",
        "routing",
        "dispatch_ffn_combine",
    }


def test_same_seed_same_capture_and_other_seed_another() -> None:
    one, two = build(QWEN3_8B, seed=3, steps=2), build(QWEN3_8B, seed=3, steps=2)
    pd.testing.assert_frame_equal(one.capture.kernels, two.capture.kernels)
    pd.testing.assert_frame_equal(one.truth, two.truth)
    other = build(QWEN3_8B, seed=4, steps=2)
    assert not other.capture.kernels["dur_ns"].equals(one.capture.kernels["dur_ns"])
    assert list(other.truth["role"]) == list(one.truth["role"])


@settings(max_examples=15, deadline=None)
@given(
    layers=st.integers(1, 4),
    kv_heads=st.sampled_from([1, 2, 4]),
    experts=st.sampled_from([0, 8]),
    shared=st.booleans(),
    mode=st.sampled_from(["eager", "ge_graph", "acl_graph", "piecewise_graph"]),
    batch=st.integers(1, 40),
    seed=st.integers(0, 10**6),
)
def test_any_small_model_keeps_the_invariants(
    layers: int, kv_heads: int, experts: int, shared: bool, mode: str, batch: int, seed: int
) -> None:
    model = ModelDescription(
        name="any",
        layers=layers,
        hidden=512,
        heads=8,
        kv_heads=kv_heads,
        head_dim=64,
        intermediate=1024,
        vocabulary=1000,
        experts=experts,
        top_k=2,
        expert_intermediate=256,
        shared_experts=int(shared and experts > 0),
        shared_stream=shared,
    )
    built = build(model, mode=mode, phases=("prefill", "decode"), steps=3, batch=batch, seed=seed, prompt=64)  # type: ignore[arg-type]
    check_invariants(built)
    assert list(built.truth.groupby("step")["phase"].first()) == ["prefill", "decode", "decode"]
    assert built.truth["layer"].max() == layers - 1


def in_layer(kernels: pd.DataFrame, truth: pd.DataFrame, phase: str, layer: int) -> pd.DataFrame:
    chosen = (truth["phase"] == phase) & (truth["layer"] == layer).fillna(False)
    return kernels[chosen.to_numpy(dtype=bool)]


def real_eager() -> tuple[pd.DataFrame, pd.DataFrame]:
    from skadvisor.capture import load

    truth = pd.read_csv(captures("qwen2.5-0.5b-vllm-eager", "truth.csv"))
    return load(captures("qwen2.5-0.5b-vllm-eager")).kernels, truth


@cache
def twin() -> BuiltCapture:
    return build(QWEN2_5_0_5B, mode="eager", phases=("prefill", "decode"), batch=1, prompt=126, context=126)


def test_eager_layers_run_the_kernels_of_the_real_capture() -> None:
    kernels, truth = real_eager()
    built = twin()
    for phase in ("prefill", "decode"):
        for layer in (0, 7, 23):
            real = in_layer(kernels, truth, phase, layer)
            ours = in_layer(built.capture.kernels, built.truth, phase, layer)
            assert list(ours["op_type"]) == list(real["op_type"])
            assert list(ours["name"]) == list(real["name"])
            same = ~real["op_type"].isin(["ReshapeAndCacheNdKernel", "FusedInferAttentionScore"]).to_numpy()
            assert list(ours["input_shapes"][same]) == list(real["input_shapes"][same])
            assert list(ours["core"]) == list(real["core"])


def test_eager_regions_agree_with_the_real_truth() -> None:
    kernels, truth = real_eager()
    built = twin()
    for layer in (0, 7, 23):
        real = in_layer(truth, truth, "decode", layer)
        ours = in_layer(built.truth, built.truth, "decode", layer)
        assert list(ours["region"]) == list(real["region"])
    assert len(built.truth) == pytest.approx(len(kernels), rel=0.06)


def test_eager_times_are_near_the_real_ones() -> None:
    kernels, truth = real_eager()
    built = twin()
    for phase in ("prefill", "decode"):
        real = kernels[(truth["phase"] == phase).to_numpy()]
        ours = built.capture.kernels[(built.truth["phase"] == phase).to_numpy()]
        assert ours["dur_ns"].sum() == pytest.approx(real["dur_ns"].sum(), rel=0.15)
        for op_type in ("MatMulV2", "AddRmsNormBias", "_triton_rope", "SwiGlu", "FusedInferAttentionScore"):
            typical = statistics.median(real["dur_ns"][real["op_type"] == op_type])
            mine = statistics.median(ours["dur_ns"][ours["op_type"] == op_type])
            assert mine == pytest.approx(typical, rel=0.35), (phase, op_type)
    wall = (kernels["start_ns"] + kernels["dur_ns"])[(truth["phase"] == "decode").to_numpy()].max() - kernels[
        "start_ns"
    ][(truth["phase"] == "decode").to_numpy()].min()
    assert step_walls(built)[1] == pytest.approx(wall, rel=0.25)


def test_piecewise_graph_has_the_gaps_and_streams_of_the_real_one() -> None:
    from skadvisor.capture import load

    real = load(captures("qwen2.5-0.5b-vllm-piecewise-graph")).kernels
    built = entry("qwen2.5-0.5b-piecewise")
    rows = built.capture.kernels[(built.truth["step"] == 0) & built.truth["layer"].between(0, 5)]
    assert rows["stream"].nunique() == pytest.approx(real["stream"].nunique(), abs=1)
    for kernels in (real, rows):
        captured = (kernels["state"] == "static") & kernels["model"].notna()
        inside = captured & captured.shift(1, fill_value=False) & (kernels["stream"] == kernels["stream"].shift(1))
        assert kernels["wait_ns"][inside].max() <= 250
        host = kernels[(kernels["op_type"] == "FusedInferAttentionScore").to_numpy()]["wait_ns"].median()
        assert 200_000 < host < 400_000


@pytest.mark.parametrize("name", ["qwen3-8b-ge", "deepseek-v3-ge", "longcat-flash-ge", "qwen3-8b-static"])
def test_graph_gaps_are_small(name: str) -> None:
    built = entry(name)
    kernels, truth = built.capture.kernels, built.truth
    main = kernels[(truth["layer"].notna() & (kernels["stream"] == kernels["stream"].mode()[0])).to_numpy(dtype=bool)]
    gaps = main["start_ns"].to_numpy()[1:] - (main["start_ns"] + main["dur_ns"]).to_numpy()[:-1]
    assert statistics.median(gaps) < 500
    assert statistics.quantiles(gaps, n=10)[-1] <= 1400


def test_level0_has_names_only() -> None:
    kernels = entry("qwen3-8b-ge-level0").capture.kernels
    assert kernels["name"].notna().all()
    for column in ("op_type", "core", "stream", "input_shapes", "output_shapes", "state", "model"):
        assert kernels[column].isna().all()


def test_pmu_times_fit_into_the_durations() -> None:
    kernels = build(QWEN3_8B, pmu=True).capture.kernels
    work = kernels[["aic_ns", "aiv_ns"]].max(axis=1)
    assert ((work > 0) & (work < kernels["dur_ns"])).all()


def test_collectives_are_a_summary_and_its_part() -> None:
    built = entry("llama-3.1-70b-tp8")
    kernels = built.capture.kernels
    summaries, parts = kernels[kernels["kind"] == "collective"], kernels[kernels["kind"] == "collective_part"]
    assert len(summaries) == len(parts) == 2 * (2 * 80 + 2)
    assert summaries["stream"].isna().all()
    assert (parts["op_type"] == "AivKernel").all()
    assert (built.truth["owner"][kernels["kind"] == "collective"].value_counts().to_dict()) == {
        "attention": 160,
        "mlp": 160,
        "head": 2,
        "embedding": 2,
    }


def test_shipped_files_are_small_and_the_same_when_built_again(tmp_path: Path) -> None:
    import build as script

    total = 0
    for sample in SAMPLES:
        made = script.write_sample(sample, tmp_path)
        shipped = PROFILES / sample.folder
        assert files_below(made) == files_below(shipped), sample.folder
        for file in files_below(made):
            assert content(made / file) == content(shipped / file), file
            total += (shipped / file).stat().st_size
    assert total < MAX_BYTES


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.folder)
def test_shipped_sample_reads_back_to_what_was_built(sample) -> None:  # type: ignore[no-untyped-def]
    from skadvisor.capture import load

    folder = PROFILES / sample.folder
    manifest = tomllib.loads((folder / "manifest.toml").read_text(encoding="utf-8"))
    assert manifest["origin"] == "synthetic"
    assert manifest["model"] == sample.description.name
    assert manifest["seed"] == sample.seed
    assert manifest["shows"]
    built = build_sample(sample)
    for rank, one in enumerate(built):
        read = load(folder, rank=rank) if len(built) > 1 else load(folder)
        columns = [name for name in KERNEL_COLUMNS if name not in NOT_IN_FILE]
        columns += ["launch_ns", "module"] if sample.trace else []
        for column in columns:
            expected = one.capture.kernels[column].astype("object").where(one.capture.kernels[column].notna(), None)
            found = read.kernels[column].astype("object").where(read.kernels[column].notna(), None)
            assert list(found) == list(expected), column
        assert read.rank == rank
        truth = pd.read_csv(folder / ("truth.csv" if len(built) == 1 else f"truth_rank{rank}.csv"))
        assert list(truth.columns) == TRUTH_COLUMNS
        assert list(truth["start_ns"]) == list(read.kernels["start_ns"])
        assert set(truth["region"]) <= set(REGIONS)


def test_shipped_pair_differs_by_the_planted_saving() -> None:
    off, on = (next(sample for sample in SAMPLES if sample.folder == f"superkernel-{which}") for which in ("off", "on"))
    before, after = build_sample(off)[0], build_sample(on)[0]
    planted = before.planted["templates"]["full-model"]["saving_us"]
    saved = (step_walls(before) - step_walls(after)) / 1000
    assert saved.iloc[-1] == pytest.approx(planted, abs=0.002)
    assert saved.min() == pytest.approx(planted, rel=0.03)
    assert saved.max() == pytest.approx(planted, rel=0.03)
    assert planted / (step_walls(before).iloc[-1] / 1000) > 0.02


def test_two_ranks_differ_in_waiting_only() -> None:
    first, second = build_sample(next(sample for sample in SAMPLES if len(sample.ranks) == 2))
    assert list(first.truth["role"]) == list(second.truth["role"])
    waits = first.capture.kernels["op_type"].isin(["MoeDistributeDispatchV2", "MoeDistributeCombineV2"])
    assert first.capture.kernels["dur_ns"][waits].sum() > 1.2 * second.capture.kernels["dur_ns"][waits].sum()
    others = first.capture.kernels["dur_ns"][~waits].sum() / second.capture.kernels["dur_ns"][~waits].sum()
    assert others == pytest.approx(1.0, abs=0.02)
