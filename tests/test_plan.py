"""Plans: the emitted code does what it says in every dialect, and options follow from the capture."""

from __future__ import annotations

import ast
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from modeling_sources import infer_config
from recorder import Recorder, load
from ruamel.yaml import YAML
from sample_builder.build import build
from sample_builder.catalogue import DEEPSEEK_V3, QWEN3_8B

from skadvisor.analysis import Analysis, analyze_capture
from skadvisor.commands.plan import plan_command
from skadvisor.errors import InputError
from skadvisor.plan import TEMPLATES, choose_dialect, describe_plan, make_plan
from skadvisor.plan.code import compile_code, scope_code, skeleton
from skadvisor.plan.compile_options import options_text, scope_kernels, weigh_options
from skadvisor.plan.patch import DIALECTS
from skadvisor.records import from_json, to_json
from skadvisor.report.markdown import render_markdown
from skadvisor.report.text import render_text

CONFIG = infer_config(enable=True)
SOURCE_DIALECTS = ("ge", "recipes", "npugraph_ex")


@pytest.fixture(scope="module")
def dense() -> Analysis:
    return analyze_capture(build(replace(QWEN3_8B, layers=4), steps=3, seed=3).capture)


@pytest.fixture(scope="module")
def two_streams() -> Analysis:
    return analyze_capture(build(replace(DEEPSEEK_V3, layers=6), steps=3, seed=3).capture)


@pytest.fixture(scope="module")
def eager() -> Analysis:
    return analyze_capture(build(replace(QWEN3_8B, layers=4), mode="eager", steps=3, seed=3).capture)


CASES = [
    ("attention-only", "a", "Attention", ["q_proj", "k_proj", "v_proj", "compute_attention", "o_proj"], []),
    ("attention-only", "b", "DecoderLayer", ["input_layernorm", "self_attn"], ["post_attention_layernorm", "mlp"]),
    ("moe-only", "", "MoE", ["experts", "shared_experts"], ["gate"]),
    ("moe-only", "b", "MoE", ["gate", "experts", "shared_experts"], []),
    ("full-model", "", "Model", ["layer", "layer"], ["embed_tokens", "norm"]),
    (
        "per-block",
        "",
        "DecoderLayer",
        ["input_layernorm", "self_attn", "post_attention_layernorm", "mlp"],
        [],
    ),
]


def run_class(code: str, name: str, monkeypatch: Any, *, enable: bool = True, **inputs: Any) -> tuple[Any, Recorder]:
    """Build the class of a snippet, give it recording parts, and run its forward."""
    recorder = Recorder()
    cls = load(code, recorder, monkeypatch)[name]
    configs = [CONFIG] * (2 if "infer_config" in code else 1)  # the model's own, and that of cann-recipes
    model = cls(*configs) if name == "Model" else cls(*configs, 2)
    parts = {part for case in CASES for part in (*case[3], *case[4])} - {"gate", "layer"}
    for part in parts:
        setattr(model, part, recorder.part(part))
    model.gate = lambda value: (recorder.part("gate")(value), 1)
    model.layers = [recorder.part("layer")] * 2
    if hasattr(model, "enable_superkernel"):
        model.enable_superkernel = enable
    return model.forward(5, **inputs), recorder


@pytest.mark.parametrize("dialect", SOURCE_DIALECTS)
@pytest.mark.parametrize(("template", "variant", "name", "inside", "outside"), CASES)
def test_the_emitted_code_encloses_its_calls_in_decode_only(
    monkeypatch: Any, dialect: Any, template: str, variant: str, name: str, inside: list[str], outside: list[str]
) -> None:
    code = scope_code(template, variant, dialect, "stream-fusion=1").code
    plain, _ = run_class(skeleton(template, variant), name, monkeypatch)
    result, recorder = run_class(code, name, monkeypatch)
    ((label, options, calls),) = recorder.inside()
    assert calls == inside
    assert set(recorder.calls) - set(calls) == set(outside)
    assert options == ("" if dialect == "npugraph_ex" else "stream-fusion=1")
    assert len(label.encode()) <= 255
    assert result == plain
    for switches in ({"is_prefill": True}, {"enable": False}):
        same, quiet = run_class(code, name, monkeypatch, **switches)
        assert quiet.inside() == [] and same == plain


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("variant", ["a", "b"])
def test_every_snippet_parses(dense: Analysis, template: str, variant: str, dialect: Any) -> None:
    if template == "automatic" and dialect in ("ge", "recipes"):
        with pytest.raises(InputError, match="no automatic placement"):
            make_plan(dense.result, dense.kernels, template, dialect, variant)
        return
    plan = make_plan(dense.result, dense.kernels, template, dialect, variant)
    assert plan.code or plan.config
    for snippet in (*plan.code, *plan.config):
        if snippet.language == "python":
            ast.parse(snippet.code)
        elif snippet.language == "yaml":
            assert YAML(typ="safe").load(snippet.code)["model_config"]
    text = render_markdown(describe_plan(plan))
    assert text.count("```") % 2 == 0
    assert from_json(to_json(plan), type(plan)).template == template


def test_recipes_are_called_by_position(dense: Analysis) -> None:
    plan = make_plan(dense.result, dense.kernels, "attention-only", "recipes")
    calls = [node for node in ast.walk(ast.parse(plan.code[0].code)) if isinstance(node, ast.Call)]
    (call,) = [node for node in calls if getattr(node.func, "id", "") == "superkernel_scope"]
    assert len(call.args) == 3 and not call.keywords


@pytest.mark.parametrize("dialect", ["ge", "npugraph_ex"])
def test_the_model_is_compiled_to_one_static_graph(monkeypatch: Any, dialect: Any) -> None:
    calls: list[dict[str, Any]] = []
    names = load("", Recorder(), monkeypatch)
    names["model"] = "the model"
    torch, torchair = sys.modules["torch"], sys.modules["torchair"]
    torch.compile = lambda model, **options: calls.append({"model": model, **options})  # type: ignore[attr-defined]
    torchair.get_npu_backend = lambda compiler_config: ("backend", compiler_config)  # type: ignore[attr-defined]
    config = types.ModuleType("torchair.configs.compiler_config")
    config.CompilerConfig = lambda: types.SimpleNamespace(experimental_config=types.SimpleNamespace())  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchair.configs", types.ModuleType("torchair.configs"))
    monkeypatch.setitem(sys.modules, "torchair.configs.compiler_config", config)
    names["config"] = types.SimpleNamespace()
    monkeypatch.delenv("SUPERKERNEL", raising=False)
    for snippet in compile_code(dialect):
        exec(snippet.code, names)
    ((call),) = calls
    assert names["config"].enable_superkernel is True
    assert call["model"] == "the model" and call["dynamic"] is False and call["fullgraph"] is True
    if dialect == "npugraph_ex":
        assert call["backend"] == "npugraph_ex"
        assert call["options"]["static_kernel_compile"] is True and call["options"]["super_kernel_optimize"] is True
        assert call["options"]["super_kernel_optimize_options"] == {"dcci_disable_on_kernel": [".*"]}
    else:
        kept = call["backend"][1].experimental_config
        assert kept.frozen_parameter is True and kept.tiling_schedule_optimize is True


def test_recipes_read_the_switch_where_their_configuration_has_it(dense: Analysis) -> None:
    plan = make_plan(dense.result, dense.kernels, "attention-only", "recipes")
    assert 'infer_config.model_config.custom_params.get("enable_superkernel", False)' in plan.code[0].code
    new = YAML(typ="safe").load(plan.config[0].code)
    assert new["model_config"]["custom_params"]["enable_superkernel"] is True


@pytest.mark.parametrize("dialect", ["npugraph_ex", "vllm-ascend"])
def test_captured_graphs_are_not_told_words_of_ge(two_streams: Analysis, dialect: Any) -> None:
    plan = make_plan(two_streams.result, two_streams.kernels, "full-model", dialect)
    text = render_text(describe_plan(plan))
    for word in ("feed-sync-all", "stream-fusion", "tiling_schedule_optimize", "strict-scope-check", "delete attr"):
        assert word not in text
    assert "dcci_" in text


def test_one_stream_needs_no_stream_fusion(dense: Analysis) -> None:
    inside = scope_kernels(dense.kernels, "full-model", "")
    options = {option.key: option for option in weigh_options(inside, "graph")}
    assert options["stream-fusion"].value is None
    assert options["stream-fusion"].basis == "measured"


def test_a_second_stream_in_the_scope_asks_for_stream_fusion(two_streams: Analysis) -> None:
    inside = scope_kernels(two_streams.kernels, "moe-only", "")
    chosen = weigh_options(inside, "graph")
    assert "stream-fusion=1" in options_text(chosen)
    assert "us per scope at the same time" in str(chosen[0].reason)
    plan = make_plan(two_streams.result, two_streams.kernels, "moe-only", "recipes")
    assert '"stream-fusion=1' in plan.code[0].code
    assert "enable_multi_streams: True" in plan.config[0].code


def test_streams_of_an_eager_capture_say_nothing(eager: Analysis) -> None:
    plan = make_plan(eager.result, eager.kernels, "attention-only", "ge")
    assert plan.weighed[0].value is None
    assert "eager" in str(plan.weighed[0].reason)
    assert any("graph mode" in str(note) for note in plan.notes)


def test_core_counts_are_compared_within_their_kind(dense: Analysis) -> None:
    inside = scope_kernels(dense.kernels, "attention-only", "a")
    unknown = weigh_options(inside.assign(blocks=None), "graph")[1]
    assert unknown.value is None and "no core counts" in str(unknown.reason)
    attention = inside["op_type"].astype(str).str.contains("InferAttention")
    vector = inside["core"].astype(str).isin(["AI_VECTOR_CORE", "MIX_AIV"])
    for blocks, word in ((24, "no operator"), (attention.map({True: 8, False: 24}), "FusedInferAttentionScore")):
        # Vector kernels count twice as many cores: that says nothing about Cube kernels.
        counts = inside.assign(blocks=blocks).assign(blocks=lambda frame: frame["blocks"].where(~vector, 48))
        option = weigh_options(counts, "graph")[1]
        assert option.value is None and word in str(option.reason)


def test_an_empty_scope_has_no_options(dense: Analysis) -> None:
    inside = scope_kernels(dense.kernels, "moe-only", "")
    assert inside.empty
    assert options_text(weigh_options(inside, "graph")) == ""


def test_the_plan_names_breakers_and_next_steps(two_streams: Analysis) -> None:
    plan = make_plan(two_streams.result, two_streams.kernels, "attention-only", "ge")
    record = next(item for item in two_streams.result.templates if item.name == "attention-only")
    assert {breaker.op_type for breaker in record.breakers} <= {risk.what for risk in plan.risks}
    assert plan.wider == "moe-only" and plan.narrower is None
    assert plan.expected is not None and plan.expected.in_scope_us == record.in_scope_us


def test_vllm_ascend_is_configured_not_patched(dense: Analysis) -> None:
    plan = make_plan(dense.result, dense.kernels, "attention-only", "vllm-ascend")
    assert plan.code == ()
    assert any("no switch for attention-only" in str(note) for note in plan.notes)
    names: dict[str, Any] = {"model": "x"}
    code = plan.config[0].code.replace("from vllm import LLM", "LLM = dict")
    exec(code, names)
    assert names["llm"]["additional_config"]["ascend_compilation_config"] == {
        "enable_npugraph_ex": True,
        "enable_static_kernel": True,
        "enable_super_kernel": True,
    }


def test_the_dialect_follows_the_graph(dense: Analysis) -> None:
    assert choose_dialect(replace(dense.result, graph_kind="npugraph_ex")) == "npugraph_ex"
    assert choose_dialect(replace(dense.result, graph_kind="acl_graph")) == "npugraph_ex"
    assert choose_dialect(replace(dense.result, graph_kind=None)) == "ge"


@pytest.mark.parametrize("choice", ["full-model", "none"])
def test_without_a_template_the_recommendation_decides(dense: Analysis, monkeypatch: Any, choice: Any) -> None:
    advised = replace(dense.result.recommendation, choice=choice)
    analysis = replace(dense, result=replace(dense.result, recommendation=advised))
    monkeypatch.setattr("skadvisor.analysis.analyze", lambda *_, **__: analysis)
    monkeypatch.setattr("skadvisor.ranks.reference.choose_reference", lambda _path, options: options)
    shown = CliRunner().invoke(plan_command, ["capture", "--lang", "en"])
    assert shown.exit_code == 0
    assert ("Plan: full-model" if choice == "full-model" else "No scope is recommended") in shown.output


@pytest.fixture
def command(dense: Analysis, monkeypatch: Any) -> Any:
    monkeypatch.setattr("skadvisor.analysis.analyze", lambda *_, **__: dense)
    monkeypatch.setattr("skadvisor.ranks.reference.choose_reference", lambda _path, options: options)

    def call(*arguments: str) -> Any:
        return CliRunner().invoke(plan_command, ["capture", "--template", "attention-only", "--lang", "en", *arguments])

    return call


def test_the_command_shows_and_writes_the_change(command: Any, tmp_path: Path) -> None:
    model, config = tmp_path / "modeling_x.py", tmp_path / "config.yaml"
    model.write_text(skeleton("attention-only", "a", "recipes"))
    config.write_text("exe_mode: eager\nmodel_config:\n  enable_superkernel: False\n")
    arguments = ["--dialect", "recipes", "--model", str(model), "--config", str(config)]
    shown = command(*arguments)
    assert shown.exit_code == 0, shown.output
    assert "+        with superkernel_scope(" in shown.output and "+exe_mode: ge_graph" in shown.output
    assert model.read_text() == skeleton("attention-only", "a", "recipes")
    written = command(*arguments, "--write")
    assert written.exit_code == 0, written.output
    assert "with superkernel_scope(" in model.read_text()
    assert "enable_superkernel: True" in config.read_text()
    before = model.read_bytes()
    again = command(*arguments, "--write")
    assert again.exit_code == 0 and again.output.count("is already so") == 2
    assert model.read_bytes() == before


def test_a_declined_file_is_explained_and_stays(command: Any, tmp_path: Path) -> None:
    model = tmp_path / "modeling_x.py"
    text = skeleton("attention-only", "a").replace("is_prefill", "phase")
    model.write_text(text)
    shown = command("--dialect", "ge", "--model", str(model))
    assert shown.exit_code == 0
    assert "decode-when" in shown.output and "To place by hand" in shown.output
    done = command("--dialect", "ge", "--model", str(model), "--decode-when", "phase == 'decode'", "--write")
    assert done.exit_code == 0, done.output
    assert "and phase == 'decode'" in model.read_text()
    model.write_text(text)
    bad = command("--dialect", "ge", "--model", str(model), "--decode-when", "not a thing(")
    assert isinstance(bad.exception, InputError) and "not a Python expression" in str(bad.exception)


def test_the_command_writes_files_by_suffix(command: Any, tmp_path: Path) -> None:
    assert command("-o", str(tmp_path / "plan.json")).exit_code == 0
    assert b'"template": "attention-only"' in (tmp_path / "plan.json").read_bytes()
    assert isinstance(command("-o", str(tmp_path / "x.diff")).exception, InputError)
    assert isinstance(command("--write").exception, InputError)


def test_the_plan_is_from_this_capture(dense: Analysis, two_streams: Analysis) -> None:
    plan = make_plan(two_streams.result, two_streams.kernels, "moe-only", "recipes")
    types = {item.op_type for item in plan.operators}
    assert types == set(scope_kernels(two_streams.kernels, "moe-only", "")["op_type"].astype(str))
    assert [item.us_per_scope for item in plan.operators] == sorted(
        (o.us_per_scope for o in plan.operators), reverse=True
    )
    text = render_text(describe_plan(plan), width=200)
    assert all(item.op_type in text for item in plan.operators[:8])
    shared = any(item.role == "shared_expert" for item in plan.operators)
    assert ("self.shared_experts(" in plan.code[0].code) == shared
    attention = make_plan(dense.result, dense.kernels, "attention-only", "ge", "a")
    matmuls = sum(item.per_scope for item in attention.operators if item.role == "qkv_proj")
    assert ("self.qkv_proj(" in attention.code[0].code) == (matmuls == 1)


@pytest.mark.parametrize("dialect", SOURCE_DIALECTS)
@pytest.mark.parametrize("template", ["moe-only", "full-model"])
def test_streams_with_cores_of_their_own_get_scopes_of_their_own(
    two_streams: Analysis, dense: Analysis, dialect: Any, template: str
) -> None:
    parts = [
        item
        for item in make_plan(two_streams.result, two_streams.kernels, template, dialect).code
        if "_part" in item.code
    ]
    inside = scope_kernels(two_streams.kernels, template, "")
    assert len(parts) == 1 and parts[0].code.count("...  # ") == inside["stream"].nunique()
    ast.parse(parts[0].code)
    cube = inside[inside["core"].isin(["AI_CORE", "MIX_AIC"])].groupby("stream")["blocks"].max()
    assert all(f"{int(count)} Cube cores" in parts[0].code for count in cube) and cube.nunique() > 1
    assert not any("_part" in item.code for item in make_plan(dense.result, dense.kernels, "full-model", dialect).code)


def test_operators_are_named_by_kernel_names_where_there_are_no_types() -> None:
    capture = build(replace(QWEN3_8B, layers=4), steps=3, seed=3).capture
    nothing = pd.Categorical([None] * len(capture.kernels), categories=pd.Index([], dtype="object"))
    named = replace(capture, kernels=capture.kernels.assign(op_type=nothing))
    typed, by_name = (analyze_capture(one, hardware="A3") for one in (capture, named))
    # a node of a graph bears the type that it had before GE chose its kernel
    types = {item.op_type for item in by_name.result.operators}
    assert len(types) == len(typed.result.operators)
    cut = {item.op_type for item in by_name.result.operators if item.cuts}
    assert cut == {breaker.op_type for breaker in by_name.result.templates[0].breakers} != set()
    plan = make_plan(by_name.result, by_name.kernels, "attention-only", "ge", "b")
    assert {item.op_type for item in plan.operators} <= types
    assert {item.op_type for item in plan.operators if item.breaks == "likely"} != set()


@pytest.mark.parametrize("shape", [{"fused_projections": True}, {"shared": False}])
def test_skeletons_read_like_the_operators(shape: dict[str, bool]) -> None:
    template = "attention-only" if "fused_projections" in shape else "moe-only"
    code = scope_code(template, "a", "recipes", "", **shape).code
    ast.parse(code)
    assert ("self.q_proj" not in code) and ("shared" not in code) and "with superkernel_scope(" in code


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_is_described_as_its_source_does(dense: Analysis, template: str) -> None:
    plan = make_plan(dense.result, dense.kernels, template, "npugraph_ex")
    text = render_text(describe_plan(plan))
    for word in ("Suits: ", "Strengths: ", "Weaknesses: ", "Risk: ", "Effort: ", "after that: "):
        assert word in text
    published = template in ("attention-only", "moe-only", "full-model")
    assert any("scope-templates/" in source for source in plan.profile.sources) == published
    assert all(source.startswith("https://") for source in plan.profile.sources)


def test_vllm_ascend_is_foretold_what_its_switch_does(dense: Analysis) -> None:
    asked = make_plan(dense.result, dense.kernels, "attention-only", "vllm-ascend")
    whole = make_plan(dense.result, dense.kernels, "full-model", "vllm-ascend")
    assert asked.expected == whole.expected and asked.operators == whole.operators


def test_the_diff_of_the_users_file_comes_first(command: Any, tmp_path: Path) -> None:
    model = tmp_path / "modeling_x.py"
    model.write_text(skeleton("attention-only", "a"))
    shown = command("--dialect", "ge", "--model", str(model)).output
    assert (
        shown.index("+++") < shown.index("What to type") and "class Attention" not in shown.partition("What to type")[2]
    )
    model.write_text(skeleton("attention-only", "a").replace("is_prefill", "phase"))
    shown = command("--dialect", "ge", "--model", str(model)).output
    assert "class Attention" in shown.partition("What to type")[2]
    refused = command("--dialect", "ge", "--model", str(model), "-o", str(tmp_path / "x.diff")).exception
    assert isinstance(refused, InputError) and "tells decode from prefill" in str(refused)
