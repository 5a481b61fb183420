"""Which attribute of `self` plays which part in a decoder, by the names that model code uses.

Names as they occur in the modeling files of transformers, vLLM, vLLM-Ascend, SGLang and cann-recipes. Where a name
says nothing, the class that `__init__` builds for it decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from skadvisor.plan.patch.structure import ModelClass, Uses

_INPUT_PROJECTION = re.compile(
    r"""(merged_|fused_)?(w?qkv|q|k|v|kv|qk)(_[ab])?(_lora)?_proj(_with_mqa|s)?
    |fused_qkv(_a)?(_proj)?(_with_mqa)?|q_[ab]_proj|kv_[ab]_proj(_with_mqa)?|w?qkv(_proj)?|w[qkv]|wk?v|wq_[ab]|wkv(_[ab])?
    |query_key_value|query|key|value|c_attn|W_pack|qkv_projection|to_(q|k|v|qkv)|in_proj(_\w+)?|q_lin|k_lin|v_lin
    |linear_(q|k|v|qkv)""",
    re.VERBOSE,
)
_PREFILL = ("prefill", "extend", "context")
_OUTPUT_PROJECTION = re.compile(
    r"o_proj|o_[ab]_proj|out_proj|output_proj|wo(_[ab])?|dense|c_proj|to_out|attn_out|out_lin|linear_proj|linear_out"
)
_ATTENTION = re.compile(r"(\w+_)?(self_)?(attn|attention)s?(_layer|_block)?|token_mixer|temporal_block|mla|linear_attn")
_ATTENTION_CLASS = re.compile(r"Attention|Attn|GatedDelta|MLA(?![a-z])")
_NORM = re.compile(r"\w*norms?(_?\d+|_[a-z])?|\w*layer_?norm\w*|ln_?(\d+|attn|mlp|f)?|rms_?norm\w*", re.IGNORECASE)
_HEAD_NORM = re.compile(r"(q|k|v|kv|qk|query|key)_(a_|lora_)?(layer_?|rms_?)?norm\w*|(q|k)_ln", re.IGNORECASE)
_MLP = re.compile(
    r"""mlps?|ffn?|feed_forward\w*|moe\w*|block_sparse_moe|experts?|shared_(expert|mlp)\w*|mlp_\w+|sparse_moe
    |fc_?(1|2|in|out)|intermediate|linear_?[12]|(gate|up|down|gate_up|up_gate)_proj|dense_(h_to_4h|4h_to_h)""",
    re.VERBOSE,
)
_EXPERTS = re.compile(
    r"(routed_|fused_|moe_|mlp_|local_)?experts(_layer|_list|_impl)?|expert_layer|fused_moe|grouped_experts"
)
_EXPERTS_CLASS = re.compile(r"Fused\w*MoE|Experts(?!Choice)|GroupedExperts|DeepEPMoE")
_SHARED_EXPERTS = re.compile(r"shared_(expert|mlp)s?(?!\w*gate)\w*|shared_experts?")
_ROUTER = re.compile(
    r"(moe_|expert_|topk_|top_k_)?(gate|router|gating)(_layer|_proj_moe|_linear)?|wg|routing|route|classifier"
)
_ROUTER_CALLS = re.compile(r"\w*(top_?k|gating)\w*|softmax|select_experts|\w*routing_weights", re.IGNORECASE)
_EXCHANGE_CALLS = re.compile(
    r"\w*(dispatch|combine|permute_tokens|unpermute|init_routing|re_routing|finalize_routing|all_to_all)\w*"
)
_LAYERS = re.compile(r"(decoder_|transformer_|moe_)?(layers|blocks)|h")
_NOT_DECODER = re.compile(r"Vision|Visual|ViT|Audio|Speech|Image|Encoder")


def _named(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda name: pattern.fullmatch(name) is not None


is_mlp = _named(_MLP)
is_router = _named(_ROUTER)
is_layer_list = _named(_LAYERS)


def is_attention(name: str, model_class: ModelClass) -> bool:
    """A self-attention block as a part of a decoder layer; attention to an encoder is another one."""
    if is_norm(name) or re.search(r"mask|cross|encoder|^(use|enable|has|is)_", name):
        return False
    built = model_class.parts.get(name, "")
    return bool(_ATTENTION.fullmatch(name)) or bool(_ATTENTION_CLASS.search(built) and "Norm" not in built)


def is_norm(name: str) -> bool:
    """A norm between sub-blocks; those of queries, keys and latents work inside the attention."""
    return bool(_NORM.fullmatch(name)) and not _HEAD_NORM.fullmatch(name)


def attends(uses: Uses, model_class: ModelClass) -> bool:
    """Whether an attention block runs."""
    return any(is_attention(name, model_class) for name in uses.attributes)


def projects_in(uses: Uses) -> bool:
    """Whether q/k/v or latent projections run."""
    return any(map(_INPUT_PROJECTION.fullmatch, uses.attributes))


def projects_out(uses: Uses) -> bool:
    """Whether an output projection runs."""
    return any(map(_OUTPUT_PROJECTION.fullmatch, uses.attributes))


def normalises(uses: Uses) -> bool:
    """Whether a norm between sub-blocks runs."""
    return any(map(is_norm, uses.attributes))


def feeds_forward(uses: Uses) -> bool:
    """Whether a feed-forward or MoE block runs."""
    return any(map(is_mlp, uses.attributes))


def shares_experts(uses: Uses) -> bool:
    """Whether shared experts run."""
    return any(map(_SHARED_EXPERTS.fullmatch, uses.attributes))


def computes_experts(uses: Uses, model_class: ModelClass) -> bool:
    """Whether the routed experts of a MoE block run."""
    return any(
        not _SHARED_EXPERTS.fullmatch(name)
        and (_EXPERTS.fullmatch(name) or _EXPERTS_CLASS.search(model_class.parts.get(name, "")))
        for name in uses.attributes
    )


def routes(uses: Uses) -> bool:
    """Whether something chooses experts by a function: a top-k over scores, a gating kernel."""
    return any(map(_ROUTER_CALLS.fullmatch, uses.functions))


def exchanges(uses: Uses) -> bool:
    """Whether something brings tokens to their experts or back."""
    return any(map(_EXCHANGE_CALLS.fullmatch, uses.functions))


def is_decoder_class(name: str) -> bool:
    """False for classes whose name says that they belong to an encoder: they have no decode step."""
    return "Decoder" in name or not _NOT_DECODER.search(name)


def is_prefill(method: str) -> bool:
    """Whether only prefill runs a method of this name."""
    return any(word in method.lower() for word in _PREFILL)
