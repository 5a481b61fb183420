"""A small decoder in real torch, patched by our own diff, gives bit-identical output; skipped without torch."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from modeling_sources import infer_config
from recorder import Recorder

from skadvisor.plan.patch import SOURCE_DIALECTS, Patch, Request, propose

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="torch is not installed")

SOURCE = '''\
"""A decoder with dense and mixture-of-experts layers, small enough for a test."""
import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, infer_config, layer_idx):
        super().__init__()
        self.layer_idx = layer_idx
        self.heads, width = infer_config.heads, infer_config.width
        self.qkv_proj = nn.Linear(width, 3 * width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)
        self.cache = []

    def forward(self, hidden_states: torch.Tensor, is_prefill: bool = False) -> torch.Tensor:
        batch, tokens, width = hidden_states.shape
        query, key, value = self.qkv_proj(hidden_states).view(batch, tokens, 3, self.heads, -1).unbind(2)
        if is_prefill:
            self.cache = [key, value]
        else:
            self.cache = [torch.cat([old, new], 1) for old, new in zip(self.cache, (key, value))]
        key, value = self.cache
        output = F.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), is_causal=is_prefill
        )
        return self.o_proj(output.transpose(1, 2).reshape(batch, tokens, width))


class SparseMoeBlock(nn.Module):
    def __init__(self, infer_config, layer_idx):
        super().__init__()
        self.layer_idx = layer_idx
        self.gate = nn.Linear(infer_config.width, 4, bias=False)
        self.experts = nn.ModuleList([nn.Linear(infer_config.width, infer_config.width, bias=False) for _ in range(4)])
        self.shared_expert = nn.Linear(infer_config.width, infer_config.width, bias=False)

    def forward(self, hidden_states, is_prefill=False):
        scores = F.softmax(self.gate(hidden_states), dim=-1)
        weights, chosen = torch.topk(scores, 2, dim=-1)

        routed = torch.zeros_like(hidden_states)
        for index, expert in enumerate(self.experts):
            weight = (weights * (chosen == index)).sum(-1, keepdim=True)
            routed = routed + weight * expert(hidden_states)
        return routed + self.shared_expert(hidden_states)


class DecoderLayer(nn.Module):
    def __init__(self, infer_config, layer_idx):
        super().__init__()
        self.layer_idx = layer_idx
        self.self_attn = Attention(infer_config, layer_idx)
        self.mlp = SparseMoeBlock(infer_config, layer_idx)
        self.input_layernorm = nn.LayerNorm(infer_config.width)
        self.post_attention_layernorm = nn.LayerNorm(infer_config.width)

    def forward(self, hidden_states, is_prefill=False):
        residual = hidden_states
        hidden_states = self.input_layernorm(hidden_states)
        hidden_states = residual + self.self_attn(hidden_states, is_prefill=is_prefill)
        residual = hidden_states
        hidden_states = self.post_attention_layernorm(hidden_states)
        return residual + self.mlp(hidden_states, is_prefill=is_prefill)


class Model(nn.Module):
    def __init__(self, infer_config):
        super().__init__()
        self.embed_tokens = nn.Embedding(32, infer_config.width)
        self.layers = nn.ModuleList([DecoderLayer(infer_config, i) for i in range(3)])
        self.lm_head = nn.Linear(infer_config.width, 32, bias=False)

    @torch.no_grad()
    def forward(self, input_ids, is_prefill=False):
        hidden_states = self.embed_tokens(input_ids)
        for layer in self.layers:
            hidden_states = layer(hidden_states, is_prefill=is_prefill)
        return self.lm_head(hidden_states)
'''


def build(source: str) -> Any:
    names: dict[str, Any] = {"__name__": "modeling"}
    exec(compile(source, "modeling.py", "exec", dont_inherit=True), names)
    torch.manual_seed(11)
    return names["Model"](infer_config(enable=True)).eval()


def generate(model: Any) -> Any:
    """Prefill of five tokens, then three decode steps; the logits of all of them."""
    prompt = torch.tensor([[3, 1, 4, 1, 5]])
    outputs = [model(prompt, is_prefill=True)]
    for _ in range(3):
        outputs.append(model(outputs[-1][:, -1:].argmax(-1)))
    return torch.cat(outputs, 1)


@pytest.mark.parametrize("dialect", SOURCE_DIALECTS)
@pytest.mark.parametrize(
    ("template", "variant", "scopes"),
    [
        ("attention-only", "a", 3),
        ("attention-only", "b", 3),
        ("moe-only", "a", 3),
        ("full-model", "a", 1),
        ("per-block", "a", 3),
    ],
)
def test_the_patched_model_computes_the_same_bits(
    tmp_path: Path, monkeypatch: Any, dialect: str, template: str, variant: str, scopes: int
) -> None:
    path = tmp_path / "modeling_small.py"
    path.write_text(SOURCE)
    patch = propose(path, Request(template=template, variant=variant, dialect=dialect))  # type: ignore[arg-type]
    assert isinstance(patch, Patch), patch
    done = subprocess.run(["git", "apply", "-p1", "-"], cwd=tmp_path, input=patch.diff.encode(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    recorder = stand_in(monkeypatch)
    expected = generate(build(SOURCE))
    assert recorder.events == []
    actual = generate(build(path.read_text()))
    assert torch.equal(actual, expected)
    assert len(recorder.inside()) == 3 * scopes, "three decode steps, none of them in prefill"


def stand_in(monkeypatch: Any) -> Recorder:
    recorder = Recorder()
    torchair = types.ModuleType("torchair")
    torchair.scope = types.SimpleNamespace(super_kernel=recorder.scope)  # type: ignore[attr-defined]
    utils = types.ModuleType("executor.utils")
    utils.superkernel_scope = recorder.helper  # type: ignore[attr-defined]
    for name, module in {
        "torchair": torchair,
        "torch_npu": types.ModuleType("torch_npu"),
        "executor": types.ModuleType("executor"),
        "executor.utils": utils,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    npu = types.SimpleNamespace(
        super_kernel_scope_begin=lambda name: recorder.events.append(("enter", name, "")),
        super_kernel_scope_end=lambda name: recorder.events.append(("exit", name, "")),
    )
    monkeypatch.setattr(torch, "npu", npu, raising=False)
    return recorder
