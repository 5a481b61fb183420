"""Modeling files in the shapes that real ones have, as text: what the patching tests work on.

The classes compute nothing: parts are recorders that note their name when they are called (see `recorder.py`).
"""

from __future__ import annotations

import types


def infer_config(enable: bool) -> types.SimpleNamespace:
    """A configuration as cann-recipes hands it to its models, with the switch also where a model of its own has it."""
    switches = types.SimpleNamespace(custom_params={"enable_superkernel": enable})
    return types.SimpleNamespace(layers=2, heads=2, width=16, enable_superkernel=enable, model_config=switches)


HEAD = '''"""A small decoder."""

from __future__ import annotations

import torch
from torch import nn
'''

ATTENTION = '''

class TinyAttention(nn.Module):
    """Attention as a class of its own."""

    def __init__(self, infer_config, layer_idx: int):
        super().__init__()
        self.layer_idx = layer_idx
        self.q_proj = part("q_proj")
        self.k_proj = part("k_proj")
        self.v_proj = part("v_proj")
        self.o_proj = part("o_proj")
        self.core = part("core")

    def forward(self, hidden_states, position_ids=None, is_prefill: bool = False, **kwargs):
        shape = hidden_states  # kept outside

        # projections
        query = self.q_proj(hidden_states)
        key = self.k_proj(hidden_states)
        value = self.v_proj(hidden_states)  # trailing comment

        attn_output = self.core(
            query,
            key,
            value,
        )
        attn_output = self.o_proj(attn_output)
        return attn_output
'''

MLP = """

class TinyMLP(nn.Module):
    def __init__(self, infer_config):
        super().__init__()
        self.gate_proj = part("gate_proj")
        self.up_proj = part("up_proj")
        self.down_proj = part("down_proj")

    def forward(self, x):
        return self.down_proj(self.gate_proj(x) + self.up_proj(x))
"""

LAYER = """

class TinyDecoderLayer(nn.Module):
    def __init__(self, infer_config, layer_idx):
        super().__init__()
        self.layer_idx = layer_idx
        self.self_attn = TinyAttention(infer_config, layer_idx)
        self.mlp = TinyMLP(infer_config)
        self.input_layernorm = part("input_layernorm")
        self.post_attention_layernorm = part("post_attention_layernorm")

    def forward(self, hidden_states, position_ids=None, is_prefill=False, **kwargs):
        residual = hidden_states
        hidden_states = self.input_layernorm(hidden_states)
        hidden_states = self.self_attn(hidden_states, position_ids, is_prefill=is_prefill)
        hidden_states = residual + hidden_states

        residual = hidden_states
        hidden_states = self.post_attention_layernorm(hidden_states)
        hidden_states = self.mlp(hidden_states)
        hidden_states = residual + hidden_states
        return hidden_states
"""

MODEL = """

class TinyModel(nn.Module):
    def __init__(self, infer_config):
        super().__init__()
        self.embed_tokens = part("embed_tokens")
        self.layers = [TinyDecoderLayer(infer_config, i) for i in range(infer_config.layers)]
        self.norm = part("norm")

    def forward(self, input_ids, position_ids=None, is_prefill=False):
        hidden_states = self.embed_tokens(input_ids)
        for decoder_layer in self.layers:
            hidden_states = decoder_layer(hidden_states, position_ids, is_prefill=is_prefill)
        hidden_states = self.norm(hidden_states)
        return hidden_states
"""

MOE = """

class TinyMoE(nn.Module):
    def __init__(self, infer_config, layer_idx=0):
        super().__init__()
        self.layer_idx = layer_idx
        self.gate = part("gate")
        self.experts = [part(f"expert_{i}") for i in range(2)]

    def forward(self, hidden_states, is_prefill=False):
        router_logits = self.gate(hidden_states)
        routing_weights = router_logits

        final_hidden_states = 0
        for expert_idx in range(2):
            expert_layer = self.experts[expert_idx]
            final_hidden_states = final_hidden_states + expert_layer(hidden_states)
        return final_hidden_states
"""

SHARED_MOE = """

class TinySharedMoE(nn.Module):
    def __init__(self, infer_config, layer_idx):
        super().__init__()
        self.layer_idx = layer_idx
        self.router = part("router")
        self.experts = part("experts")
        self.shared_experts = part("shared_experts")

    def forward(self, hidden_states, forward_metadata=None):
        identity = hidden_states
        logits = self.router(hidden_states)
        routed = self.experts(hidden_states, logits)
        shared = self.shared_experts(identity)
        return routed + shared
"""

ATTENTION_IN_LAYER = """

class FlatDecoderLayer(nn.Module):
    def __init__(self, runner_settings, layer_idx):
        super().__init__()
        self.qkv_proj = part("qkv_proj")
        self.core = part("core")
        self.o_proj = part("o_proj")
        self.mlp = part("mlp")
        self.input_layernorm = part("input_layernorm")
        self.post_attention_layernorm = part("post_attention_layernorm")

    def forward(self, hidden_states, residual=None, is_prefill=False):
        if residual is None:
            residual = hidden_states
            hidden_states = self.input_layernorm(hidden_states)
        else:
            hidden_states = self.input_layernorm(hidden_states)
        qkv = self.qkv_proj(hidden_states)
        hidden_states = self.o_proj(self.core(qkv))
        hidden_states = self.post_attention_layernorm(hidden_states)
        hidden_states = self.mlp(hidden_states)
        return hidden_states, residual
"""

DECODE_MODEL = """

class DecodeModel(nn.Module):
    def __init__(self, infer_config):
        super().__init__()
        self.embed_tokens = part("embed_tokens")
        self.layers = [TinyDecoderLayer(infer_config, i) for i in range(infer_config.layers)]
        self.lm_head = part("lm_head")

    def prefill(self, input_ids):
        hidden_states = self.embed_tokens(input_ids)
        for layer in self.layers:
            hidden_states = layer(hidden_states, is_prefill=True)
        return self.lm_head(hidden_states)

    def decode(self, input_ids):
        hidden_states = self.embed_tokens(input_ids)
        for index, layer in enumerate(self.layers):
            hidden_states = layer(hidden_states, is_prefill=False)
        return self.lm_head(hidden_states)
"""

ONE_LINE_RETURN_ATTENTION = '''

class ShortAttention(nn.Module):
    def __init__(self, infer_config):
        super().__init__()
        self.qkv_proj = part("qkv_proj")
        self.o_proj = part("o_proj")

    def forward(self, hidden_states, is_prefill=False):
        """Project, attend, project."""
        qkv = self.qkv_proj(hidden_states)
        return self.o_proj(qkv)
'''

DISPATCHING_ATTENTION = """

class LatentAttention(nn.Module):
    def __init__(self, infer_config, layer_idx):
        super().__init__()
        self.enable_superkernel = infer_config.enable_superkernel
        self.layer_idx = layer_idx
        self.q_a_proj = part("q_a_proj")
        self.kv_a_proj_with_mqa = part("kv_a_proj_with_mqa")
        self.o_proj = part("o_proj")

    def prefill_path(self, hidden_states):
        return self.o_proj(self.q_a_proj(hidden_states) + self.kv_a_proj_with_mqa(hidden_states))

    def absorbed_path(self, hidden_states):
        query = self.q_a_proj(hidden_states)
        latent = self.kv_a_proj_with_mqa(hidden_states)
        return self.o_proj(query + latent)

    @torch.no_grad()
    def forward(self, hidden_states, forward_metadata: ForwardMetaData = None):
        if forward_metadata.is_prefill:
            output = self.prefill_path(hidden_states)
        else:
            output = self.absorbed_path(hidden_states)
        return output
"""

DISPATCHING_MOE = """

class DispatchingMoE(nn.Module):
    def __init__(self, infer_config, layer_idx):
        super().__init__()
        self.enable_superkernel = infer_config.enable_superkernel
        self.layer_idx = layer_idx
        self.gate = part("gate")
        self.experts = part("experts")
        self.dispatch = part("dispatch_kernel")
        self.combine = part("combine_kernel")

    def forward(self, hidden_states, is_prefill=False):
        if is_prefill:
            return self.moe_infer_prefill(hidden_states)
        else:
            return self.moe_infer_decode(hidden_states)

    def moe_infer_prefill(self, hidden_states):
        scores = self.gate(hidden_states)
        return self.experts(hidden_states, scores)

    def moe_infer_decode(self, hidden_states):
        scores = self.gate(hidden_states)
        normed = scores + 1
        expanded = npu_moe_distribute_dispatch(hidden_states, normed)
        output = self.experts(expanded)
        output = npu_moe_distribute_combine(output, normed)
        return output


def npu_moe_distribute_dispatch(*inputs):
    return part("dispatch")(*inputs)


def npu_moe_distribute_combine(*inputs):
    return part("combine")(*inputs)
"""

INDEXED_MODEL = """

class IndexedModel(nn.Module):
    def __init__(self, infer_config, layers):
        super().__init__()
        self.embed_tokens = part("embed_tokens")
        self.layer_num = 2
        self.layers = [part("layer_0"), part("layer_1")]

    def init_cache(self):
        for layer in self.layers:
            layer.cache = None

    def forward(self, input_ids, forward_metadata=None):
        is_prefill = forward_metadata.is_prefill
        hidden_states = self.embed_tokens(input_ids)
        if not is_prefill:
            for index in range(self.layer_num):
                hidden_states = self.layers[index](hidden_states)
        return hidden_states
"""
