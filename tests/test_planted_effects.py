"""What the sample builder plants: SuperKernel savings that add up, and perturbations that carry the truth along."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sample_builder import perturb
from sample_builder.build import build, switch_on
from sample_builder.catalogue import CATALOGUE, QWEN3_8B
from sample_builder.superkernel import BREAKERS, TBE_PRODUCTS, TEMPLATES, FusionRules
from test_samples import check_invariants, entry, step_walls


@pytest.mark.parametrize(
    "name", ["qwen3-8b-ge", "qwen3-30b-a3b-ge", "deepseek-v3-ge", "longcat-flash-ge", "kimi-k2-ge"]
)
@pytest.mark.parametrize("template", TEMPLATES)
def test_planted_saving_is_what_switching_on_saves(name: str, template: str) -> None:
    before = entry(name)
    effects = before.planted["templates"]
    if template not in effects:
        assert not CATALOGUE[name].description.experts  # type: ignore[union-attr]
        return
    effect = effects[template]
    after = switch_on(before, template)  # type: ignore[arg-type]
    check_invariants(after)
    last = before.truth["step"].max()
    saved = step_walls(before)[last] - step_walls(after)[last]
    assert saved / 1000 == pytest.approx(effect["saving_us"], abs=0.002)
    steps = last + 1
    assert len(before.truth) - len(after.truth) == steps * effect["boundaries_removed"]
    assert 0 <= effect["saving_us"] <= effect["fragment_saving_us"] + 0.002
    assert effect["fragment_saving_us"] <= 2.0 * effect["boundaries_removed"] + 0.002
    super_kernels = after.capture.kernels["op_type"] == "SuperKernel"
    assert super_kernels.sum() == steps * effect["fragments"]
    assert all(str(text).startswith("sk_") for text in after.capture.kernels["name"][super_kernels])


def test_super_kernels_hold_no_breakers_and_stay_in_scope() -> None:
    after = switch_on(entry("qwen3-30b-a3b-ge"), "full-model")
    members = [part.placed.operation for step in after.plan for item in step for part in item.members]
    assert members
    assert not {operation.op_type for operation in members} & BREAKERS
    assert not {operation.region for operation in members} & {"head", "sampling", "prepare", "embedding"}
    experts = switch_on(entry("qwen3-30b-a3b-ge"), "moe-only")
    assert {part.placed.operation.role for step in experts.plan for item in step for part in item.members} == {
        "dispatch",
        "expert_matmul",
        "activation",
        "combine",
    }


def test_saving_grows_with_the_price_of_a_boundary_and_vanishes_with_it() -> None:
    savings = []
    for price in (0, 500, 2000, 4000):
        built = build(QWEN3_8B, batch=4, seed=5, rules=FusionRules(saving_ns=price))
        savings.append(built.planted["templates"]["full-model"]["saving_us"])
    assert savings[0] == 0
    assert savings == sorted(savings)
    assert savings[1] == pytest.approx(0.5 * built.planted["templates"]["full-model"]["boundaries_removed"], rel=0.05)


def test_fewer_breakers_mean_fewer_cuts() -> None:
    strict = entry("qwen3-8b-ge").planted["templates"]["full-model"]
    cured = BREAKERS - TBE_PRODUCTS - {"SplitVD", "ScatterNdUpdate"}
    free = replace(entry("qwen3-8b-ge"), rules=FusionRules(breakers=cured)).planted["templates"]["full-model"]
    # of the four products of a layer, the one before SplitVD and the one after SwiGlu cut together with a neighbour
    assert strict["cuts"] == {"SplitVD": 36, "ScatterNdUpdate": 36, "MatMulV2": 108}
    assert free["cuts"] == {}
    assert free["saving_us"] > strict["saving_us"]


def test_stream_fusion_loses_the_overlap() -> None:
    built = entry("deepseek-v3-ge")
    fused = replace(built, rules=FusionRules(stream_fusion=True)).planted["templates"]["moe-only"]
    assert fused["boundaries_removed"] > built.planted["templates"]["moe-only"]["boundaries_removed"]
    assert fused["saving_us"] < fused["fragment_saving_us"]


def test_eager_and_piecewise_captures_have_nothing_to_win() -> None:
    assert entry("qwen2.5-0.5b-eager").planted["best_template"] is None
    piecewise = entry("qwen2.5-0.5b-piecewise").planted
    assert piecewise["templates"]["attention-only"]["boundaries_removed"] == 0
    assert all(effect["saving_pct"] < 0.5 for effect in piecewise["templates"].values())


PERTURBATIONS = {
    "renamed": perturb.rename_operators,
    "without_shapes": perturb.drop_shapes,
    "renumbered_streams": perturb.renumber_streams,
    "inserted_casts": lambda built: perturb.insert_casts(built, {1, 4}),
    "dropped_kernels": perturb.drop_kernels,
    "merged_kernels": perturb.merge_kernels,
    "split_kernels": perturb.split_kernels,
    "jitter": perturb.jitter,
}


@pytest.mark.parametrize("change", PERTURBATIONS)
@pytest.mark.parametrize("name", ["qwen3-8b-ge", "deepseek-v3-ge", "llama-3.1-70b-tp8"])
def test_perturbation_carries_the_truth_along(name: str, change: str) -> None:
    built = entry(name)
    changed = PERTURBATIONS[change](built)
    check_invariants(changed)
    assert changed.manifest["perturbed"] == [change]
    assert not changed.capture.kernels.equals(built.capture.kernels)
    assert set(changed.truth["layer"].dropna()) == set(built.truth["layer"].dropna())
    step = built.truth["step"].max()
    before = built.capture.kernels["dur_ns"].groupby(built.truth["region"]).sum()
    after = changed.capture.kernels["dur_ns"].groupby(changed.truth["region"]).sum()
    assert (after / before).dropna().between(0.8, 1.25).all(), step


def test_renaming_leaves_no_known_name_for_these_roles() -> None:
    changed = perturb.rename_operators(entry("qwen3-8b-ge"))
    chosen = changed.truth["role"].isin(perturb.RENAMED_ROLES)
    for column in ("name", "op_type"):
        assert changed.capture.kernels[column][chosen].str.startswith("custom_kernel_").all()
        assert not changed.capture.kernels[column][~chosen].str.startswith("custom_kernel_").any()


def test_drawn_rules_vary_as_published_steps_do() -> None:
    drawn = [FusionRules.drawn(seed) for seed in range(50)]
    savings = [rules.saving_ns for rules in drawn]
    assert drawn[3] == FusionRules.drawn(3)
    assert 400 <= min(savings) < 1000 < max(savings) <= 5000
    assert sum(savings) / len(savings) == pytest.approx(1550, rel=0.25)
    assert all(TBE_PRODUCTS < rules.breakers <= BREAKERS for rules in drawn)


def test_a_compiler_that_costs_more_than_it_saves_slows_the_step_down() -> None:
    before = build(QWEN3_8B, batch=4, seed=5, steps=2, rules=FusionRules(saving_ns=-300))
    effect = before.planted["templates"]["full-model"]
    assert effect["saving_us"] < 0
    assert before.planted["best_template"] is None
    after = switch_on(before, "full-model", before.rules)
    assert step_walls(after)[1] > step_walls(before)[1]


@pytest.mark.parametrize("name", ["deepseek-v4-flash", "qwen3-8b-static"])
def test_acl_graph_super_kernels_list_all_shapes(name: str) -> None:
    before = entry(name)
    after = switch_on(before, "attention-only", FusionRules(breakers=BREAKERS - TBE_PRODUCTS))
    rows = after.capture.kernels[after.capture.kernels["op_type"] == "SuperKernel"]
    assert rows["name"].str.match(r"sk_\d+_attention_layer_\d+_start_.+_end_.+").all()
    first = next(item for item in after.plan[0] if item.members)
    inputs = sum(len(part.placed.operation.inputs) for part in first.members)
    assert rows["input_shapes"].iloc[0].count(";") == inputs - 1
