"""A patch takes effect where it is put: phase, switch and the way through the file are those that decode has."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import modeling_sources as sources
import pytest
from test_patch import CONFIG, WHOLE, change, decline, run

from skadvisor.plan.patch import Request, propose

MAPPED = sources.DISPATCHING_ATTENTION.replace(
    "if forward_metadata.is_prefill:", 'if forward_metadata is not None and forward_metadata["is_prefill"]:'
)


@pytest.mark.parametrize("reading", ['forward_metadata["is_prefill"]', 'forward_metadata.get("is_prefill")'])
def test_a_mapping_is_read_as_the_file_reads_it(monkeypatch: Any, reading: str) -> None:
    source = sources.HEAD + MAPPED.replace('forward_metadata["is_prefill"]', reading)
    patch = change(source, template="attention-only")
    for is_prefill, scopes in ((False, 1), (True, 0)):
        metadata = {"is_prefill": is_prefill}
        _, recorder = run(patch.after, monkeypatch, "LatentAttention", CONFIG, 1, forward_metadata=metadata)
        assert len(recorder.inside()) == scopes


@pytest.mark.parametrize("given", [None, CONFIG])
@pytest.mark.parametrize(
    "optional", ["infer_config=None", "infer_config: Optional[Config] = None", "infer_config: C | None"]
)
def test_a_configuration_that_may_be_missing_is_guarded(monkeypatch: Any, given: Any, optional: str) -> None:
    source = sources.HEAD + "from typing import Optional\n" + sources.ONE_LINE_RETURN_ATTENTION
    patch = change(source.replace("self, infer_config", f"self, {optional}"), template="attention-only")
    _, recorder = run(patch.after, monkeypatch, "ShortAttention", given)
    assert len(recorder.inside()) == (given is not None)


TWO_WAYS = sources.ATTENTION.replace(
    "    def forward(",
    "    def absorbed(self, hidden_states, is_prefill=False):\n"
    "        return self.o_proj(self.q_proj(hidden_states) + self.k_proj(hidden_states))\n\n    def forward(",
)
PREFILL_PAST = sources.MODEL.replace(
    "    def forward(",
    "    def batched(self, hidden_states):\n        return self.layers[0].absorbed(hidden_states)\n\n    def forward(",
).replace(
    "        for decoder_layer",
    "        if is_prefill and position_ids:\n            return self.batched(hidden_states)\n"
    "        for decoder_layer",
)
PAST = sources.LAYER.replace("self.self_attn(hidden_states, position_ids, ", "self.self_attn.absorbed(hidden_states, ")
TWO_LOOPS = sources.MODEL.replace(
    "    def forward(",
    "    def fused(self, hidden_states, is_prefill=False):\n        for layer in self.layers:\n"
    "            hidden_states = layer(hidden_states, is_prefill=is_prefill)\n        return hidden_states\n\n"
    "    def forward(",
)


@pytest.mark.parametrize(
    ("source", "template", "method", "line"),
    [
        (TWO_WAYS + PAST, "attention-only", "absorbed", "return self.o_proj(self.q_proj"),
        (TWO_LOOPS, "full-model", "fused", "for layer in self.layers"),
    ],
)
def test_a_file_with_two_ways_for_decode_asks_for_the_method(
    source: str, template: str, method: str, line: str
) -> None:
    answer = decline(sources.HEAD + source, template=template)
    assert "several ways" in str(answer.reason) and any(f".{method}, line" in str(seen) for seen in answer.seen)
    after = change(sources.HEAD + source, template=template, methods=(method,)).after.decode()
    assert f"):\n            {line}" in after and after.count("with superkernel_scope") == 1


def test_methods_that_nothing_enters_past_the_place_are_no_second_way() -> None:
    source = sources.HEAD + TWO_WAYS.replace("super().__init__()", "nn.Module.__init__(self)")
    assert "absorbed(hidden_states)" in PREFILL_PAST and "self.batched(" in PREFILL_PAST
    for rest in (sources.LAYER, sources.LAYER + PREFILL_PAST):
        assert "TinyAttention.forward" in str(change(source + rest, template="attention-only").places[0])


@pytest.mark.parametrize("given", [{"decode_when": "not whatever"}, {"enable": "switched and True"}])
def test_names_that_are_not_bound_are_refused(given: Any) -> None:
    answer = decline(WHOLE, template="attention-only", **given)
    assert "is not bound where the scope" in str(answer.reason)
    assert "is_prefill" in str(answer.seen[0])


CACHED = """

class CachedMoE(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gate = part("gate")
        self.experts = part("experts")

    def forward(self, hidden_states):
        \"\"\"Flattens what it is given.\"\"\"
        batch, tokens, width = hidden_states.shape
        hidden_states = hidden_states.view(-1, width)
        scores = self.gate(hidden_states)
        hidden_states = self.experts(hidden_states, scores)
        return hidden_states.view(batch, tokens, width)


class Layer(nn.Module):
    def forward(self, hidden_states, past_key_values=None):
        return hidden_states
"""


class Tensor:
    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def view(self, *_sizes: int) -> Any:
        return Tensor(self.shape[0] * self.shape[1], self.shape[2]) if len(_sizes) == 2 else Tensor(*_sizes)


@pytest.mark.parametrize("dialect", ["ge", "npugraph_ex"])
@pytest.mark.parametrize("tokens", [1, 5])
@pytest.mark.parametrize("cache", ["past_key_values", "cache"])
def test_a_decoder_of_transformers_is_tested_before_it_flattens(
    monkeypatch: Any, dialect: str, tokens: int, cache: str
) -> None:
    patch = change(sources.HEAD + CACHED.replace("past_key_values", cache), dialect, template="moe-only")
    assert any("one token per sequence" in str(note) for note in patch.notes)
    from recorder import Recorder, load

    recorder = Recorder()
    block = load(patch.after, recorder, monkeypatch)["CachedMoE"](types.SimpleNamespace(enable_superkernel=True))
    block.experts = lambda *inputs: (recorder.part("experts")(), inputs[0])[1]
    block(Tensor(1, tokens, 8))
    assert [calls for _, _, calls in recorder.inside()] == ([["experts"]] if tokens == 1 else [])


@pytest.mark.parametrize("asked", ["tokens == 1", "tokens == 2"])
def test_the_number_of_tokens_tells_the_phase_where_the_class_asks_for_it(asked: str) -> None:
    counting = CACHED.partition("class Layer")[0].replace(
        "return hidden", f"if {asked}:\n            pass\n        return hidden"
    )
    if asked == "tokens == 1":
        patch = change(sources.HEAD + counting, "ge", template="moe-only")
        assert b"superkernel and tokens == 1" in patch.after
        assert any("(tokens == 1)" in str(note) for note in patch.notes)
    else:
        assert "tells decode from prefill" in str(decline(sources.HEAD + counting, "ge", template="moe-only").reason)


def test_experts_that_may_be_given_flat_tokens_are_left_alone() -> None:
    flat = CACHED.replace("        batch, tokens, width = hidden_states.shape\n", "").replace(
        "view(-1, width)", "float()"
    )
    assert "tells decode from prefill" in str(decline(sources.HEAD + flat, "ge", template="moe-only").reason)


@pytest.mark.parametrize("template", ["attention-only", "moe-only", "full-model", "per-block"])
@pytest.mark.parametrize("dialect", ["recipes", "ge", "npugraph_ex"])
def test_a_scope_that_is_there_is_named_by_its_template(template: str, dialect: str) -> None:
    source = WHOLE if template != "moe-only" else sources.HEAD + sources.MOE
    after = change(source, dialect, template=template, options="stream-fusion=1").after
    again = decline(after, dialect, template=template)
    assert again.done and f"it has the scope of {template} already" in str(again.reason)
    assert "nothing is left" in " ".join(map(str, again.seen))
    other = decline(after, dialect, template="attention-only" if template != "attention-only" else "per-block")
    assert not other.done and f"({template}): take it out" in str(other.reason)


def test_options_that_are_none_are_named() -> None:
    after = change(WHOLE, template="full-model", options="option_xxx2").after
    seen = " ".join(map(str, decline(after, template="full-model").seen))
    assert "'option_xxx2' is no option of a scope" in seen and "nothing is left" not in seen


def test_a_flag_that_a_part_keeps_is_no_use_of_the_part(monkeypatch: Any) -> None:
    layer = sources.LAYER.replace(
        "        hidden_states = residual + hidden_states\n        return hidden_states\n",
        "        hidden_states = residual + hidden_states if self.self_attn.sharded else hidden_states\n"
        "        return hidden_states\n",
    )
    assert layer != sources.LAYER
    patch = change(sources.HEAD + sources.ATTENTION + sources.MLP + layer, template="attention-only", variant="b")
    assert patch.after.count(b"with superkernel_scope") == 1


def test_a_residual_in_the_return_is_part_of_the_block(monkeypatch: Any) -> None:
    layer = sources.LAYER.replace(
        "hidden_states = residual + hidden_states\n        return hidden_states", "return residual + hidden_states"
    )
    after = change(sources.HEAD + sources.ATTENTION + sources.MLP + layer, template="per-block").after.decode()
    assert "\n            return residual + hidden_states" in after


def test_core_limits_in_the_file_are_mentioned() -> None:
    limited = WHOLE.replace(
        "        query = self.q_proj", "        limit_core_num(True, 8, 8)\n        query = self.q_proj"
    )
    assert any("limit_core_num" in str(note) for note in change(limited, template="full-model").notes)
    assert change(WHOLE, template="full-model").notes == ()


def test_a_graph_that_the_model_does_not_run_as_is_no_place_for_its_scopes(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "config").mkdir()
    path = tmp_path / "models" / "modeling_tiny.py"
    path.write_text(WHOLE)
    config = tmp_path / "config" / "config.yaml"
    config.write_text('model_config:\n  exe_mode: "npugraph_ex"  # ["eager", "npugraph_ex"]\n')

    def answer(dialect: Any) -> str:
        return str(getattr(propose(path, Request(template="full-model", dialect=dialect)), "reason", "patched"))

    assert "no effect" in answer("recipes") and "eager, npugraph_ex only" in answer("ge")
    assert answer("npugraph_ex") == "patched"
    config.write_text('model_config:\n  exe_mode: "eager"  # ["eager"]\n')
    assert "eager only" in answer("npugraph_ex")
