"""Comparing: the planted gain is found, a capture against itself is neutral, another model is not comparable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_builder.build import BuiltCapture, build, switch_on
from sample_builder.catalogue import DEEPSEEK_V3, QWEN2_5_7B, QWEN3_0_6B, QWEN3_NEXT
from sample_builder.superkernel import FusionRules

from skadvisor.analysis import Analysis, analyze_capture
from skadvisor.commands.compare import check_gate, compare_command
from skadvisor.comparison import statistics
from skadvisor.comparison.judging import compare
from skadvisor.comparison.outcome import keep_outcome
from skadvisor.comparison.records import Comparison
from skadvisor.comparison.superkernel_mapping import align
from skadvisor.comparison.text import describe_comparison
from skadvisor.errors import GateError, InputError, NotEnoughError
from skadvisor.events import kernel_table
from skadvisor.gain.ledger import Ledger
from skadvisor.records import from_json, to_json

DENSE = replace(QWEN3_0_6B, layers=4)
SPARSE = replace(DEEPSEEK_V3, layers=5)
#: A clear effect and few breakers, so that the verdict does not hang on the noise between steps.
RULES = FusionRules(saving_ns=6000, breakers=frozenset({"SplitVD"}))
STREAM_RULES = FusionRules(saving_ns=6000, breakers=frozenset({"SplitVD"}), stream_fusion=True)


def analyse(built: BuiltCapture, **kernel_columns: Any) -> Analysis:
    capture = built.capture
    if kernel_columns:
        capture = replace(capture, kernels=kernel_table({**dict(capture.kernels.items()), **kernel_columns}))
    return analyze_capture(capture)


@pytest.fixture(scope="module")
def dense_off() -> BuiltCapture:
    return build(DENSE, steps=5, seed=5)


@pytest.fixture(scope="module")
def sparse_off() -> BuiltCapture:
    return build(SPARSE, steps=5, seed=5)


@pytest.fixture(scope="module")
def dense(dense_off: BuiltCapture) -> Analysis:
    return analyse(dense_off)


@pytest.fixture(scope="module")
def sparse(sparse_off: BuiltCapture) -> Analysis:
    return analyse(sparse_off)


@pytest.fixture(scope="module")
def fused(dense_off: BuiltCapture) -> Analysis:
    return analyse(switch_on(dense_off, "attention-only", RULES))


@pytest.mark.parametrize("template", ["attention-only", "full-model", "per-block"])
def test_the_planted_gain_of_a_dense_model_is_found(dense_off: BuiltCapture, dense: Analysis, template: Any) -> None:
    on = switch_on(dense_off, template, RULES)
    found = compare([dense], [analyse(on)])
    _agrees(found, on, template)
    assert found.verdict == "beneficial"


@pytest.mark.parametrize("template", ["attention-only", "moe-only", "full-model", "per-block"])
@pytest.mark.parametrize("stream_fusion", [False, True])
def test_the_planted_change_of_two_streams_is_found(
    sparse_off: BuiltCapture, sparse: Analysis, template: Any, stream_fusion: bool
) -> None:
    on = switch_on(sparse_off, template, STREAM_RULES if stream_fusion else RULES)
    _agrees(compare([sparse], [analyse(on)]), on, template)


@pytest.mark.slow
@pytest.mark.parametrize("template", ["moe-only", "full-model", "per-block"])
@pytest.mark.parametrize("stream_fusion", [False, True])
def test_static_kernels_that_share_their_names_are_mapped(template: Any, stream_fusion: bool) -> None:
    off = build(replace(QWEN3_NEXT, layers=4), mode="acl_graph", static_kernels=True, steps=4, seed=3)
    on = switch_on(off, template, FusionRules(stream_fusion=stream_fusion))
    _agrees(compare([analyse(off)], [analyse(on)]), on, template)


def _agrees(found: Comparison, on: BuiltCapture, template: str) -> None:
    planted = on.planted["templates"][template]
    assert found.improvement_low_pct is not None and found.improvement_high_pct is not None
    assert found.improvement_low_pct <= planted["saving_pct"] <= found.improvement_high_pct
    assert len(found.superkernels) == planted["fragments"]
    assert found.unmapped == ()
    assert found.template == template
    assert found.forecast is not None and found.forecast.template == template
    removed = sum(change.children - 1 for change in found.superkernels)
    assert removed == planted["boundaries_removed"]
    # what each SuperKernel saves is a time of one step: the medians over steps add up to it within the step's noise
    for change in found.superkernels:
        assert change.saved_low_us <= change.saved_us <= change.saved_high_us
        assert change.occurrences_before >= 3 and change.occurrences_after >= 3


def test_the_saving_lands_in_its_region(dense: Analysis, fused: Analysis) -> None:
    found = compare([dense], [fused])
    changes = {change.region: change for change in found.regions}
    saved = -changes["attention"].change_us
    gaps = -sum(change.change_us for change in found.gaps)
    assert found.improvement_us == pytest.approx(saved + gaps, rel=0.05)
    assert changes["mlp"].change_us == changes["norm"].change_us == 0.0
    assert changes["attention"].kernels_after < changes["attention"].kernels_before
    assert [change.layer for change in found.layers] == list(range(DENSE.layers))
    assert all(change.change_us < 0 for change in found.layers)
    assert {change.action.render() for change in found.superkernels} == {"keep"}


def test_regions_and_layers_that_one_superkernel_joined_keep_their_shares(
    dense_off: BuiltCapture, dense: Analysis
) -> None:
    found = compare([dense], [analyse(switch_on(dense_off, "full-model", RULES))])
    changes = {change.region: change for change in found.regions}
    assert all(changes[region].basis == "derived" for region in ("attention", "mlp", "norm"))
    assert changes["sampling"].basis == "measured" and changes["sampling"].change_us == 0
    assert all(changes[region].change_us < 0 for region in ("attention", "mlp", "norm"))
    assert [change.layer for change in found.layers] == list(range(DENSE.layers))
    gaps = -sum(change.change_us for change in found.gaps)
    saved = -sum(change.change_us for change in found.regions)
    assert found.improvement_us == pytest.approx(saved + gaps, rel=0.05)


def test_one_run_a_side_is_promising_while_a_recompile_moves_as_much(dense_off: BuiltCapture, dense: Analysis) -> None:
    few = FusionRules(saving_ns=1000, breakers=RULES.breakers)
    found = compare(dense, analyse(switch_on(dense_off, "full-model", few)))
    assert found.improvement_pct is not None and found.improvement_low_pct is not None
    assert found.improvement_pct > 2 and found.improvement_low_pct < 0
    assert found.verdict == "promising" and "one run a side" in describe_comparison(found).summary.headline


@pytest.mark.parametrize(("template", "wider"), [("attention-only", "per-block"), ("full-model", None)])
def test_a_wider_scope_is_advised_where_there_is_one(
    dense: Analysis, fused: Analysis, template: str, wider: Any
) -> None:
    found = compare(dense, fused, template)
    assert found.verdict == "beneficial"
    assert (f"wider scope: {wider}" if wider else "no wider scope") in str(found.action)


@pytest.mark.parametrize("mode", ["eager", "ge_graph"])
@pytest.mark.parametrize("steps", [1, 4])
def test_a_capture_against_itself_is_neutral(mode: Any, steps: int) -> None:
    same = analyse(build(DENSE, mode=mode, steps=steps, seed=2))
    found = compare([same], [same])
    assert found.verdict == "neutral"
    assert found.improvement_us == 0.0
    assert all(change.change_us == 0 for change in (*found.regions, *found.layers, *found.gaps))


def test_another_run_of_the_same_program_is_no_gain(dense: Analysis) -> None:
    other = analyse(build(DENSE, steps=5, seed=77))
    found = compare([dense], [other])
    assert found.verdict in ("neutral", "insufficient_evidence")
    assert any("no SuperKernel" in str(note) for note in found.notes)


def codes(before: Sequence[Analysis], after: Sequence[Analysis]) -> set[str]:
    found = compare(before, after)
    assert found.verdict == "not_comparable"
    assert found.improvement_pct is None
    assert "not comparable" in describe_comparison(found).summary.headline
    return {reason.code for reason in found.reasons}


@pytest.mark.slow
def test_differences_are_named(dense: Analysis, sparse: Analysis, fused: Analysis) -> None:
    assert {"layers", "shapes"} <= codes([dense], [analyse(build(replace(QWEN2_5_7B, layers=5), steps=4, seed=1))])
    assert "shapes" in codes([dense], [sparse])
    assert "batch" in codes([dense], [analyse(build(DENSE, steps=4, seed=1, batch=32))])
    assert "mode" in codes([dense], [analyse(build(DENSE, steps=4, seed=1, mode="eager"))])
    assert codes([dense], [analyse(build(DENSE, steps=4, seed=1, rank=3))]) == {"ranks"}
    assert "layers" in codes([dense], [analyse(build(replace(DENSE, layers=3), steps=4, seed=1))])
    assert "order" in codes([fused], [dense])
    assert codes([dense], [analyse(build(DENSE, phases=["prefill"], steps=2, seed=1))]) == {"phase"}


def test_a_fused_capture_of_another_model_is_not_comparable(sparse_off: BuiltCapture, dense: Analysis) -> None:
    other = switch_on(build(replace(QWEN2_5_7B, layers=4), steps=4, seed=1), "full-model", RULES)
    assert codes([dense], [analyse(other)]) & {"shapes", "layers", "batch"}
    deeper = switch_on(build(replace(DENSE, layers=6), steps=4, seed=1), "attention-only", RULES)
    assert codes([dense], [analyse(deeper)])


def test_renumbered_graph_nodes_are_still_mapped(dense_off: BuiltCapture, dense: Analysis) -> None:
    on = switch_on(dense_off, "per-block", RULES)
    names = on.capture.kernels["name"].astype(str)
    shifted = names.str.replace(r"_(\d+)", lambda found: f"_{int(found[1]) + 400}", regex=True)
    renamed = analyse(on, name=shifted.where(names.str.startswith("sk_"), names).astype("category"))
    _agrees(compare([dense], [renamed]), on, "per-block")


@pytest.mark.slow
@pytest.mark.parametrize("missing", [("input_shapes", "output_shapes"), ("input_shapes", "output_shapes", "op_type")])
def test_captures_without_shapes_or_types_compare(dense_off: BuiltCapture, missing: tuple[str, ...]) -> None:
    on = switch_on(dense_off, "attention-only", RULES)
    before, after = (
        analyse(built, **{column: [None] * len(built.capture.kernels) for column in missing})
        for built in (dense_off, on)
    )
    for item in (before, after):
        for column in missing:
            assert item.kernels[column].isna().all()
    found = compare([before], [after])
    assert found.verdict == "beneficial"
    assert len(found.superkernels) == on.planted["templates"]["attention-only"]["fragments"]


def test_an_unknown_superkernel_is_reported_not_guessed(dense_off: BuiltCapture, dense: Analysis) -> None:
    on = switch_on(dense_off, "attention-only", RULES)
    names = on.capture.kernels["name"].astype(str).str.replace(r"_start_\w+_end_", "_start_Nonsense_end_", regex=True)
    found = compare([dense], [analyse(on, name=names.astype("category"))])
    assert found.superkernels == ()
    assert len(found.unmapped) == on.planted["templates"]["attention-only"]["fragments"]
    assert found.improvement_pct is not None and found.improvement_pct > 2


@pytest.mark.slow
def test_several_runs_are_the_unit(dense_off: BuiltCapture) -> None:
    off = [build(DENSE, steps=4, seed=5 + seed) for seed in range(3)]
    on = [switch_on(built, "attention-only", RULES) for built in off]
    found = compare([analyse(built) for built in off], [analyse(built) for built in on])
    assert (found.unit, found.runs_before, found.runs_after) == ("runs", 3, 3)
    assert found.before is not None and found.before.count == 3
    assert found.verdict == "beneficial"
    assert not any("--runs" in str(note) for note in found.notes)


def test_too_few_steps_prove_nothing(dense_off: BuiltCapture) -> None:
    short = build(DENSE, steps=2, seed=5)
    found = compare([analyse(short)], [analyse(switch_on(short, "attention-only", RULES))])
    assert found.verdict == "insufficient_evidence"
    assert {change.verdict for change in found.superkernels} == {"insufficient_evidence"}
    with pytest.raises(NotEnoughError):
        check_gate(found, 1.0)


def stretched(analysis: Analysis, factors: Sequence[float]) -> Analysis:
    """The capture with each step slower by a factor: the first kernel of each step carries the difference."""
    kernels = analysis.kernels.copy()
    duration = kernels["dur_ns"].to_numpy(dtype="int64").copy()
    shift = 0
    start = kernels["start_ns"].to_numpy(dtype="int64").copy()
    for step, factor in enumerate(factors):
        rows = (kernels["step"] == step).to_numpy()
        wall = int((start[rows] + duration[rows]).max() - start[rows].min())
        extra = round((factor - 1) * wall)
        first = int(rows.argmax())
        start[first + 1 :] += extra
        duration[first] += extra
        shift += extra
    kernels["start_ns"], kernels["dur_ns"] = start, duration
    return replace_times(analysis, kernels)


def replace_times(analysis: Analysis, kernels: Any) -> Analysis:
    from skadvisor.accounting.timeline import measure

    steps = analysis.steps.assign(steady=True)
    for step, rows in kernels.groupby("step"):
        if step >= 0:
            chosen = steps["step"] == step
            steps.loc[chosen, "start_ns"] = int(rows["start_ns"].min())
            steps.loc[chosen, "end_ns"] = int((rows["start_ns"] + rows["dur_ns"]).max())
    records = tuple(replace(record, fingerprint="stretched") for record in analysis.result.captures)
    result = replace(analysis.result, captures=records)
    return replace(analysis, result=result, kernels=kernels, steps=steps, times=measure(kernels, steps))


def test_an_unsteady_baseline_is_refused_or_warned_about(dense: Analysis, fused: Analysis) -> None:
    wild = compare([stretched(dense, [1, 1.6, 1, 1.7, 1])], [fused])
    assert wild.before is not None and wild.before.cv_pct is not None and wild.before.cv_pct > 20
    assert wild.verdict == "insufficient_evidence"
    assert "baseline" in str(wild.action)
    shaky = compare([stretched(dense, [1, 1.2, 1, 1.15, 1])], [fused])
    assert any("baseline varies" in str(note) for note in shaky.notes)


def test_a_regression_is_told_and_fails_the_gate(dense: Analysis, fused: Analysis) -> None:
    found = compare([fused], [fused])
    check_gate(found, 0.0)
    slower = compare([dense], [stretched(dense, [1.3] * 5)])
    assert slower.verdict == "regressed"
    check_gate(slower, 40.0)
    with pytest.raises(GateError, match="slower"):
        check_gate(slower, 5.0)


def run_of(analysis: Analysis, name: str) -> Analysis:
    """The analysis as that of a run of its own."""
    captures = tuple(replace(record, fingerprint=name) for record in analysis.result.captures)
    return replace(analysis, result=replace(analysis.result, captures=captures))


@pytest.mark.slow
def test_the_command_writes_and_gates(dense: Analysis, fused: Analysis, monkeypatch: Any, tmp_path: Path) -> None:
    sides = {"off": dense, "on": fused}
    read = "skadvisor.comparison.captures.analyze"
    monkeypatch.setattr(read, lambda path, _options: run_of(sides[Path(path).name.partition("-")[0]], Path(path).name))
    call = CliRunner().invoke
    off, on = (str(tmp_path / side) for side in sides)
    for folder in (off, on):
        Path(folder).mkdir()
    shown = call(compare_command, [off, on, "--lang", "en", "--fail-on-regression", "1"])
    assert shown.exit_code == 0, shown.output
    assert "Verdict: beneficial" in shown.output and "\nattention_layer_0" in shown.output
    assert "--keep" in shown.stderr
    back = call(compare_command, [on, off, "--fail-on-regression", "1"])
    assert isinstance(back.exception, NotEnoughError)
    assert "other way round" in back.output
    output = tmp_path / "c.json"
    assert call(compare_command, [off, on, "-o", str(output)]).exit_code == 0
    assert from_json(output.read_bytes(), Comparison).verdict == "beneficial"
    assert isinstance(call(compare_command, [off, on, "-o", str(tmp_path / "c.foo")]).exception, InputError)
    for side in sides:
        for number in range(3):
            (tmp_path / side / f"{side}-{number}").mkdir()
    several = call(compare_command, [off, on, "--runs", "--lang", "en"])
    assert several.exit_code == 0, several.output
    assert "median of 3 runs" in several.output


def test_the_outcome_goes_into_the_ledger_once(dense: Analysis, fused: Analysis, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    found = compare([dense], [fused])
    assert "Kept" in str(keep_outcome(path, dense.result, found))
    assert "already" in str(keep_outcome(path, dense.result, found))
    with Ledger.open(path) as ledger:
        ((forecast, outcome),) = ledger.pairs()
    assert forecast.template == "attention-only"
    assert outcome.gain_pct == pytest.approx(found.improvement_pct, abs=1e-3)
    beyond = replace(found, after=replace(found.after, median_us=found.before.median_us / 3))
    assert "no scope moves" in str(keep_outcome(path, dense.result, beyond))
    same = compare([dense], [dense])
    assert "no SuperKernel" in str(keep_outcome(path, dense.result, same))
    assert "no evidence" in str(keep_outcome(path, dense.result, replace(found, verdict="insufficient_evidence")))


def test_json_goes_round(dense: Analysis, fused: Analysis) -> None:
    found = compare([dense], [fused])
    assert to_json(from_json(to_json(found), Comparison)) == to_json(found)


TOKENS = st.lists(st.sampled_from("abcd"), max_size=40).map(lambda letters: [(letter, "") for letter in letters])


@settings(max_examples=100, deadline=None)
@given(TOKENS, st.data())
def test_alignment_keeps_order_and_pairs_equals(before: list[Any], data: Any) -> None:
    kept = data.draw(st.lists(st.booleans(), min_size=len(before), max_size=len(before)))
    after = [token for token, keep in zip(before, kept, strict=True) if keep]
    twins = align(before, after)
    matched = [twin for twin in twins if twin >= 0]
    assert matched == sorted(set(matched))
    assert all(before[twin] == token for twin, token in zip(twins, after, strict=True) if twin >= 0)
    assert align(before, before) == list(range(len(before)))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1, 1e6), min_size=3, max_size=12), st.floats(0.5, 2.0))
def test_intervals_hold_their_middle_and_scale(values: list[float], factor: float) -> None:
    interval = statistics.improvement_pct(values, [value * factor for value in values])
    assert interval.low <= interval.mid <= interval.high
    assert interval.mid == pytest.approx(100 * (1 - factor), abs=1e-6)
    same = statistics.saved(values, values)
    assert same.low <= 0 <= same.high
