"""Patching modeling files: the scope encloses exactly what it should, in decode only, and nothing else changes."""

from __future__ import annotations

import ast
import subprocess
import types
from pathlib import Path
from typing import Any

import modeling_sources as sources
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorder import Recorder, load

from skadvisor.errors import InputError
from skadvisor.plan.patch import SOURCE_DIALECTS, Declined, Patch, Request, propose, propose_for, write

PATH = Path("modeling_tiny.py")
WHOLE = sources.HEAD + sources.ATTENTION + sources.MLP + sources.LAYER + sources.MODEL
CONFIG = sources.infer_config(enable=True)
OFF = sources.infer_config(enable=False)

ATTENTION_CALLS = ["q_proj", "k_proj", "v_proj", "core", "o_proj"]
BLOCK_CALLS = [
    "input_layernorm",
    *ATTENTION_CALLS,
    "post_attention_layernorm",
    "gate_proj",
    "up_proj",
    "down_proj",
]


def change(source: str, dialect: str = "recipes", **request: Any) -> Patch:
    answer = propose_for(PATH, source.encode(), Request(dialect=dialect, **request))
    assert isinstance(answer, Patch), answer
    return answer


def decline(source: str | bytes, dialect: str = "recipes", **request: Any) -> Declined:
    content = source.encode() if isinstance(source, str) else source
    answer = propose_for(PATH, content, Request(dialect=dialect, **request))
    assert isinstance(answer, Declined), answer.diff
    return answer


def run(source: str | bytes, monkeypatch: Any, name: str, *build: Any, method: str = "forward", **inputs: Any) -> Any:
    recorder = Recorder()
    model = load(source, recorder, monkeypatch)[name](*build)
    return getattr(model, method)(7, **inputs), recorder


@pytest.mark.parametrize("dialect", SOURCE_DIALECTS)
@pytest.mark.parametrize(
    ("template", "variant", "expected"),
    [
        ("attention-only", "a", [("attention_layer_0", ATTENTION_CALLS), ("attention_layer_1", ATTENTION_CALLS)]),
        (
            "attention-only",
            "b",
            [(f"attention_layer_{i}", ["input_layernorm", *ATTENTION_CALLS]) for i in range(2)],
        ),
        ("per-block", "a", [(f"decoder_layer_{i}", BLOCK_CALLS) for i in range(2)]),
        ("full-model", "a", [("decoder_layers", BLOCK_CALLS * 2)]),
    ],
)
def test_the_scope_encloses_its_calls_in_decode_only(
    monkeypatch: Any, dialect: str, template: str, variant: str, expected: list[Any]
) -> None:
    patch = change(WHOLE, dialect, template=template, variant=variant, options="stream-fusion=1")
    plain, before = run(WHOLE, monkeypatch, "TinyModel", CONFIG)
    decode, recorder = run(patch.after, monkeypatch, "TinyModel", CONFIG, is_prefill=False)
    options = "" if dialect == "npugraph_ex" else "stream-fusion=1"
    assert recorder.inside() == [(label, options, calls) for label, calls in expected]
    assert recorder.calls == before.calls
    assert decode == plain
    for config, is_prefill in ((CONFIG, True), (OFF, False)):
        result, quiet = run(patch.after, monkeypatch, "TinyModel", config, is_prefill=is_prefill)
        assert quiet.inside() == []
        assert result == plain


@pytest.mark.parametrize("dialect", SOURCE_DIALECTS)
def test_the_router_stays_outside_the_experts(monkeypatch: Any, dialect: str) -> None:
    patch = change(sources.HEAD + sources.MOE, dialect, template="moe-only")
    result, recorder = run(patch.after, monkeypatch, "TinyMoE", CONFIG, 3)
    assert recorder.inside() == [("moe_experts_layer_3", "", ["expert_0", "expert_1"])]
    assert result == run(sources.HEAD + sources.MOE, monkeypatch, "TinyMoE", CONFIG, 3)[0]


def test_shared_experts_are_experts(monkeypatch: Any) -> None:
    patch = change(sources.HEAD + sources.SHARED_MOE, template="moe-only", decode_when="forward_metadata is None")
    params = types.SimpleNamespace(model_config=types.SimpleNamespace(custom_params={"enable_superkernel": True}))
    _, recorder = run(patch.after, monkeypatch, "TinySharedMoE", params, 5)
    assert recorder.inside() == [("moe_experts_layer_5", "", ["experts", "shared_experts"])]


@pytest.mark.parametrize("dialect", SOURCE_DIALECTS)
@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("a", ["qkv_proj", "core", "o_proj"]),
        ("b", ["input_layernorm", "qkv_proj", "core", "o_proj"]),
    ],
)
def test_attention_that_stands_in_the_layer(monkeypatch: Any, dialect: str, variant: str, expected: list[str]) -> None:
    source = sources.HEAD + sources.ATTENTION_IN_LAYER
    patch = change(source, dialect, template="attention-only", variant=variant)
    settings_of_run = {"model_config": {"enable_superkernel": True}}
    _, recorder = run(patch.after, monkeypatch, "FlatDecoderLayer", settings_of_run, 4)
    assert recorder.inside() == [("attention_layer_4", "", expected)]


def test_the_method_that_is_named_is_the_way_through_the_loop() -> None:
    again = sources.MODEL.partition("    def forward")[2].replace("(self", "    def verify(self", 1)
    source = WHOLE + f"\n{again}"
    assert "several ways" in str(decline(source, template="full-model").reason)
    patch = change(source, template="full-model", methods=("forward",))
    assert [str(place).partition(" ")[0] for place in patch.places] == ["TinyModel.forward"]


@pytest.mark.parametrize("dialect", SOURCE_DIALECTS)
def test_a_loop_in_decode_is_taken_and_prefill_left_alone(monkeypatch: Any, dialect: str) -> None:
    source = sources.HEAD + sources.ATTENTION + sources.MLP + sources.LAYER + sources.DECODE_MODEL
    patch = change(source, dialect, template="full-model")
    _, recorder = run(patch.after, monkeypatch, "DecodeModel", CONFIG, method="decode")
    assert recorder.inside() == [("decoder_layers", "", BLOCK_CALLS * 2)]
    _, quiet = run(patch.after, monkeypatch, "DecodeModel", CONFIG, method="prefill")
    assert quiet.inside() == []


@pytest.mark.parametrize("dialect", SOURCE_DIALECTS)
def test_a_return_inside_the_scope_still_closes_it(monkeypatch: Any, dialect: str) -> None:
    source = sources.HEAD + sources.ONE_LINE_RETURN_ATTENTION
    patch = change(source, dialect, template="attention-only")
    result, recorder = run(patch.after, monkeypatch, "ShortAttention", CONFIG)
    assert recorder.inside() == [("attention", "", ["qkv_proj", "o_proj"])]
    assert result == run(source, monkeypatch, "ShortAttention", CONFIG)[0]


def test_projections_behind_a_dispatch_are_found(monkeypatch: Any) -> None:
    source = sources.HEAD + sources.DISPATCHING_ATTENTION
    patch = change(source, template="attention-only")
    decode = types.SimpleNamespace(is_prefill=False)
    _, recorder = run(patch.after, monkeypatch, "LatentAttention", CONFIG, 1, forward_metadata=decode)
    assert recorder.inside() == [("attention_layer_1", "", ["q_a_proj", "kv_a_proj_with_mqa", "o_proj"])]
    prefill = types.SimpleNamespace(is_prefill=True)
    _, quiet = run(patch.after, monkeypatch, "LatentAttention", CONFIG, 1, forward_metadata=prefill)
    assert quiet.inside() == []
    assert patch.after.count(b"enable_superkernel =") == 1  # the class had the switch already


@pytest.mark.parametrize("dialect", SOURCE_DIALECTS)
def test_experts_behind_a_dispatch_are_found_with_their_exchange(monkeypatch: Any, dialect: str) -> None:
    source = sources.HEAD + sources.DISPATCHING_MOE
    patch = change(source, dialect, template="moe-only")
    result, recorder = run(patch.after, monkeypatch, "DispatchingMoE", CONFIG, 6)
    assert recorder.inside() == [("moe_experts_layer_6", "", ["dispatch", "experts", "combine"])]
    assert result == run(source, monkeypatch, "DispatchingMoE", CONFIG, 6)[0]
    _, quiet = run(patch.after, monkeypatch, "DispatchingMoE", CONFIG, 6, is_prefill=True)
    assert quiet.inside() == []


@pytest.mark.parametrize("dialect", SOURCE_DIALECTS)
def test_a_loop_by_index_inside_a_branch_is_found(monkeypatch: Any, dialect: str) -> None:
    patch = change(sources.HEAD + sources.INDEXED_MODEL, dialect, template="full-model")
    custom = types.SimpleNamespace(custom_params={"enable_superkernel": True})
    params = types.SimpleNamespace(model_config=custom)
    decode = types.SimpleNamespace(is_prefill=False)
    _, recorder = run(patch.after, monkeypatch, "IndexedModel", params, 2, forward_metadata=decode)
    assert recorder.inside() == [("decoder_layers", "", ["layer_0", "layer_1"])]
    assert recorder.calls == ["embed_tokens", "layer_0", "layer_1"]


def test_the_import_follows_what_the_file_has() -> None:
    aliased = WHOLE.replace("import torch\n", "import torch\nimport torchair as tng\n")
    patch = change(aliased, "ge", template="full-model")
    assert b"tng.scope.super_kernel" in patch.after
    assert b"import torchair\n" not in patch.after
    ready = WHOLE.replace("import torch\n", "import torch\nfrom executor.utils import align, superkernel_scope\n")
    assert change(ready, template="full-model").after.count(b"import align, superkernel_scope") == 1
    assert change(ready, template="full-model").after.count(b"executor.utils") == 1


def test_the_switch_is_read_as_the_other_classes_read_it() -> None:
    other = """

class Other(nn.Module):
    def __init__(self, settings):
        super().__init__()
        self.enable_superkernel = settings.get("model_config").get("enable_superkernel", False)
"""
    source = (sources.HEAD + other + sources.ATTENTION).replace(
        "infer_config, layer_idx: int", "settings, layer_idx: int"
    )
    after = change(source, template="attention-only").after.decode()
    assert after.count('self.enable_superkernel = settings.get("model_config").get("enable_superkernel", False)') == 2


REASONS = {
    "no Python": ("def broken(:\n", "parsed"),
    "no such class": (sources.HEAD + sources.MLP, "no class with query"),
    "a scope already": (
        WHOLE.replace("self.core(", "superkernel_scope(True, 'x', '') and self.core("),
        "scope already",
    ),
    "two that fit": (sources.HEAD + sources.ATTENTION + sources.ATTENTION.replace("Tiny", "Other"), "several"),
    "no phase": (WHOLE.replace("is_prefill", "whatever"), "decode from prefill"),
    "no configuration": (WHOLE.replace("config", "x1"), "takes no configuration"),
    "no init": (sources.HEAD + sources.ATTENTION.replace("def __init__", "def build"), "no __init__"),
    "a generator": (WHOLE.replace("value,\n        )", "value,\n        )\n        yield key"), "yields"),
    "one line": (
        sources.HEAD
        + "class A:\n    def __init__(self, config):\n        pass\n"
        + "    def forward(self, x, is_prefill=False): return self.o_proj(self.q_proj(x))\n",
        "one line",
    ),
    "an empty file": ("", "no class with query"),
}


@pytest.mark.parametrize(("source", "words"), REASONS.values(), ids=REASONS.keys())
def test_what_is_not_sure_is_declined_with_the_reason(source: str, words: str) -> None:
    answer = decline(source, template="attention-only")
    assert words in str(answer.reason)
    if "decode from prefill" in words:
        assert "superkernel_scope(" in answer.by_hand
        assert "bound there: hidden_states, position_ids" in str(answer.seen[0])


def test_bytes_that_are_no_text_are_declined() -> None:
    assert decline(b"x = '\xff\xfe'\n", template="full-model").reason
    assert decline(b"# coding: nonsense\nx = 1\n", template="full-model").reason


def test_a_router_inside_the_expert_call_is_declined() -> None:
    fused = sources.MOE.replace(
        "router_logits = self.gate(hidden_states)\n        routing_weights = router_logits\n", ""
    )
    fused = fused.replace("expert_layer(hidden_states)", "expert_layer(hidden_states) * self.gate(hidden_states)")
    assert "router cannot be told apart" in str(decline(sources.HEAD + fused, template="moe-only").reason)


def test_two_attentions_with_an_mlp_between_are_declined() -> None:
    twice = sources.LAYER.replace("        return hidden_states\n", "        return self.self_attn(hidden_states)\n")
    answer = decline(sources.HEAD + twice, template="attention-only", variant="b")
    assert "attends more than once" in str(answer.reason)


@pytest.mark.parametrize("variant", ["a", "b"])
def test_a_branch_that_holds_attention_and_mlp_is_declined(variant: str) -> None:
    mixed = """

class MixedLayer(nn.Module):
    def __init__(self, infer_config, layer_idx):
        super().__init__()

    def forward(self, x, is_prefill=False):
        if self.kind == "joint":
            x = self.o_proj(self.attn(self.qkv_proj(self.input_layernorm(x))))
            x = self.fc2(self.fc1(self.final_layer_norm(x)))
        return x
"""
    answer = decline(sources.HEAD + mixed, template="attention-only", variant=variant)
    assert "a scope would hold both" in str(answer.reason)


def test_cross_attention_stays_outside(monkeypatch: Any) -> None:
    crossed = sources.LAYER.replace(
        "\n        residual = hidden_states\n        hidden_states = self.post",
        "\n        if kwargs:\n            hidden_states = self.encoder_attn(self.cross_norm(hidden_states))\n"
        "        residual = hidden_states\n        hidden_states = self.post",
    )
    assert "encoder_attn" in crossed
    patch = change(sources.HEAD + sources.ATTENTION + sources.MLP + crossed, template="attention-only", variant="b")
    _, recorder = run(patch.after, monkeypatch, "TinyDecoderLayer", CONFIG, 0)
    assert recorder.inside() == [("attention_layer_0", "", ["input_layernorm", *ATTENTION_CALLS])]


@pytest.mark.parametrize("dialect", SOURCE_DIALECTS)
@pytest.mark.parametrize("early", ["None", "position_ids"])
def test_every_return_in_mid_scope_closes_it(monkeypatch: Any, dialect: str, early: str) -> None:
    source = sources.HEAD + sources.ATTENTION.replace(
        "        attn_output = self.core(",
        f"        if {early} is None:\n            return query + 1\n        attn_output = self.core(",
    )
    patch = change(source, dialect, template="attention-only")
    result, recorder = run(patch.after, monkeypatch, "TinyAttention", CONFIG, 0)
    assert len(recorder.inside()) == 1 and "q_proj" in recorder.calls  # balanced, or inside() fails
    assert result == run(source, monkeypatch, "TinyAttention", CONFIG, 0)[0]
    assert ("core" in recorder.calls) == (
        early != "None" and "core" in run(source, monkeypatch, "TinyAttention", CONFIG, 0)[1].calls
    )


def test_a_return_on_the_line_of_its_test_is_no_place_for_an_end() -> None:
    early = sources.ATTENTION.replace(
        "        attn_output = self.core(", "        if query is None: return None\n        attn_output = self.core("
    )
    assert "begin without its end" in str(
        decline(sources.HEAD + early, "npugraph_ex", template="attention-only").reason
    )
    assert change(sources.HEAD + early, "ge", template="attention-only")


def test_two_kinds_of_attention_in_one_layer_class_get_a_scope_each(monkeypatch: Any) -> None:
    linear = sources.ATTENTION.replace("class TinyAttention", "class LinearAttention")
    layer = sources.LAYER.replace("TinyAttention(", "LinearAttention(", 1)
    assert layer != sources.LAYER
    layer = layer.replace(
        "        self.self_attn = LinearAttention(",
        "        self.self_attn = TinyAttention(infer_config, layer_idx)\n        self.self_attn = LinearAttention(",
    )
    both = sources.HEAD + sources.ATTENTION + linear + sources.MLP + layer
    assert change(both, template="attention-only").after.count(b"with superkernel_scope") == 2
    alone = sources.HEAD + sources.ATTENTION + linear + sources.MLP + sources.LAYER
    assert "several classes fit" in str(decline(alone, template="attention-only").reason)


def test_a_pair_whose_condition_changes_inside_is_declined() -> None:
    changing = sources.ATTENTION.replace(
        "        attn_output = self.core(", "        is_prefill = not is_prefill\n        attn_output = self.core("
    )
    answer = decline(sources.HEAD + changing, "npugraph_ex", template="attention-only")
    assert "changes inside the scope" in str(answer.reason)


def test_a_named_class_settles_the_choice() -> None:
    two = sources.HEAD + sources.ATTENTION + sources.ATTENTION.replace("Tiny", "Other")
    patch = change(two, template="attention-only", classes=("OtherAttention",))
    assert patch.after.count(b"with superkernel_scope") == 1
    both = change(two, template="attention-only", classes=("TinyAttention", "OtherAttention"))
    assert both.after.count(b"with superkernel_scope") == 2
    assert "no class Nothing" in str(decline(two, template="attention-only", classes=("Nothing",)).reason)
    assert "does not have the parts" in str(decline(WHOLE, template="attention-only", classes=("TinyMLP",)).reason)


def test_vision_towers_are_no_decoders() -> None:
    source = sources.HEAD + sources.ATTENTION + sources.ATTENTION.replace("TinyAttention", "VisionAttention")
    assert "TinyAttention" in str(change(source, template="attention-only").places[0])


def test_patching_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "modeling_tiny.py"
    path.write_text(WHOLE)
    request = Request(template="full-model", dialect="recipes")
    patch = propose(path, request)
    assert isinstance(patch, Patch)
    backup = write(patch)
    assert backup.read_text() == WHOLE
    assert path.read_bytes() == patch.after
    again = propose(path, request)
    assert isinstance(again, Declined)
    with pytest.raises(InputError, match="changed since"):
        write(patch)
    assert path.read_bytes() == patch.after


def test_a_second_backup_does_not_replace_the_first(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    for text in (WHOLE, WHOLE + "# more\n"):
        path.write_text(text)
        patch = propose(path, Request(template="full-model", dialect="ge"))
        assert isinstance(patch, Patch)
        assert write(patch).read_text() == text
    assert len(list(tmp_path.iterdir())) == 3


def test_the_vllm_dialect_leaves_sources_alone() -> None:
    assert "configuration" in str(decline(WHOLE, "vllm-ascend", template="full-model").reason)


def test_a_template_without_scope_leaves_sources_alone() -> None:
    assert "marks no scope" in str(decline(WHOLE, "npugraph_ex", template="automatic").reason)


def test_given_expressions_are_used_and_kept_together(monkeypatch: Any) -> None:
    source = (sources.HEAD + "config_on = 1\n" + sources.ATTENTION).replace("is_prefill: bool = False", "phase=0")
    patch = change(source, template="attention-only", enable="config_on or False", decode_when="phase == 1")
    assert b"(config_on or False) and phase == 1" in patch.after
    assert b"self.enable_superkernel" not in patch.after
    with pytest.raises(ValueError, match="not a Python expression"):
        propose_for(PATH, source.encode(), Request(template="attention-only", dialect="ge", enable="a b"))


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        propose(tmp_path / "nothing.py", Request(template="full-model", dialect="ge"))
    with pytest.raises(InputError):
        propose(tmp_path, Request(template="full-model", dialect="ge"))


PARTS = [sources.ATTENTION, sources.MLP, sources.LAYER, sources.MODEL, sources.MOE, sources.ONE_LINE_RETURN_ATTENTION]


@st.composite
def modeling_files(draw: Any) -> bytes:
    chosen = draw(st.lists(st.sampled_from(PARTS), min_size=1, max_size=5, unique=True))
    text = sources.HEAD + "".join(chosen)
    comment = draw(
        st.text(alphabet=st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\n"), max_size=8)
    )
    comment = "".join(character for character in comment if character.isprintable() or character in "\x0c\u2028\x85")
    text = text.replace("# projections", f"# {comment}").replace("# trailing comment", f"#{comment} ")
    text = text.replace('"""A small decoder."""', f'"""A small\x0c decoder 中文 {comment!r:.3}"""'.replace("\\", ""))
    if draw(st.booleans()):
        text = text.replace("    ", "\t")
    elif draw(st.booleans()):
        text = text.replace("    ", "  ")
    if draw(st.booleans()):
        text = text.replace("query,\n", "query,  # first\n\n")
    text = text.rstrip("\n") + draw(st.sampled_from(["", "\n", "\n\n", "\n# the end", "   "]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    mark = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    return mark + text.replace("\n", end).encode()


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    modeling_files(),
    st.sampled_from(["attention-only", "moe-only", "full-model", "per-block"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from(SOURCE_DIALECTS),
)
def test_reversing_the_diff_gives_the_original_bytes(
    tmp_path_factory: Any, content: bytes, template: str, variant: str, dialect: str
) -> None:
    answer = propose_for(PATH, content, Request(template=template, variant=variant, dialect=dialect))
    if isinstance(answer, Declined):
        assert str(answer.reason)
        return
    folder = tmp_path_factory.mktemp("patched")
    (folder / "change.diff").write_bytes(answer.diff.encode())
    target = folder / PATH.name
    target.write_bytes(answer.after)
    _git_apply(folder, "-R")
    assert target.read_bytes() == content
    _git_apply(folder)
    assert target.read_bytes() == answer.after
    assert without_scopes(answer.after) == ast.dump(ast.parse(content))


def _git_apply(folder: Path, *options: str) -> None:
    command = ["git", "apply", "--whitespace=nowarn", "-p1", *options, "change.diff"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, env={"PATH": "/usr/bin:/bin", "GIT_DIR": "/nothing"}
    )
    assert done.returncode == 0, done.stderr.decode()


def without_scopes(content: bytes) -> str:
    """The program without what a patch adds, as a dump of its syntax tree."""

    class Remover(ast.NodeTransformer):
        def visit_With(self, node: ast.With) -> Any:
            self.generic_visit(node)
            return node.body if "scope" in ast.dump(node.items[0].context_expr) else node

        def visit_If(self, node: ast.If) -> Any:
            return None if "super_kernel_scope" in ast.dump(node.body[0]) else self.generic_visit(node)

        def visit_Assign(self, node: ast.Assign) -> Any:
            return None if "enable_superkernel" in ast.dump(node.targets[0]) else node

        def visit_Import(self, node: ast.Import) -> Any:
            return None if node.names[0].name in ("contextlib", "torchair", "torch_npu") else node

        def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
            return None if node.module == "executor.utils" else node

        def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
            self.generic_visit(node)
            if isinstance(node.body[-1], ast.Return) and getattr(node.body[-1].value, "id", "") == "superkernel_result":
                assigned = node.body[-2]
                assert isinstance(assigned, ast.Assign)
                node.body[-2:] = [ast.Return(assigned.value)]
            return node

    return ast.dump(Remover().visit(ast.parse(content)))
