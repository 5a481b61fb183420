"""Names such as kernels of each role bear in runtimes that the vocabulary does not cover.

Written after the naming habits of Triton, CUDA-like and in-house kernels. `TRAINING_NAMES` teach the scores of unknown
operators, `BENCHMARK_NAMES` test them; the two lists share no name. A benchmark name that the vocabulary knows by now
is no test any more and is left out where the names are used.
"""

from __future__ import annotations

#: Roles of the vocabulary that name one thing only; what is left (matmul, cast, slice, add, ...) occurs everywhere.
SPECIFIC_ROLES = (
    "attention_core", "indexer", "kv_cache", "rope", "qkv_proj", "out_proj", "router", "dispatch", "expert_matmul",
    "shared_expert", "combine", "gate_up", "down", "fused_ffn", "residual_norm", "norm", "activation", "sampling",
    "prepare", "topk", "softmax",
)  # fmt: skip

TRAINING_NAMES: dict[str, tuple[str, ...]] = {
    "attention_core": (
        "_fwd_grouped_kernel_stage1", "_fwd_kernel_stage2", "attn_fwd_inner", "fa2_decode", "mha_varlen_fwd",
        "fia_split_kv", "gqa_decode_split_k", "sdpa_tnd", "AttnFwdNpu", "kernel_attn_2d", "mha_core",
        "splitk_attn_reduce", "kda_fwd_intra", "ssm_state_update", "retention_step",
        "delta_update_state", "mqa_logits_pv",
    ),
    "indexer": ("topk_token_select", "fp8_mqa_logits", "index_score_kernel", "sparse_block_select", "dsa_select_topk"),
    "kv_cache": (
        "_write_kv_blocks", "store_kvcache", "set_kv_buffer", "copy_to_paged_kv", "append_kv_entry", "kv_scatter_nz",
        "concat_and_store_mla", "PagedKvInsert", "kv_writer",
    ),
    "rope": (
        "_rot_half_kernel", "apply_pos_emb_qk", "qk_rot_emb", "neox_rotate", "pos_embed_inplace", "yarn_pos_qk",
        "fused_qk_pos", "RotateHalfQK", "cos_sin_mul_qk",
    ),
    "qkv_proj": ("qkv_gemv", "mla_down_up_q", "fused_q_a_kv_a", "latent_q_proj", "attn_in_gemm", "wqkv_linear"),
    "out_proj": ("o_proj_gemv", "attn_out_linear", "wo_gemm"),
    "router": (
        "topk_gate_kernel", "expert_topk", "gate_topk_sigmoid", "route_tokens", "biased_grouped_select",
        "select_experts", "noaux_tc_select", "gating_kernel",
    ),
    "dispatch": (
        "ep_scatter_1", "permute_tokens", "a2a_send_tokens", "deepep_dispatch", "tokens_to_experts",
        "expert_offsets_kernel", "moe_align_block_size", "ep_dispatch_ll", "sort_tokens_by_expert",
    ),
    "expert_matmul": (
        "expert_gemm_fp8", "moe_up_gemm", "moe_ffn_w13", "moe_down_w2", "contiguous_masked_gemm", "experts_mlp",
        "expert_ffn_cat", "moe_gemm_int4",
    ),
    "shared_expert": ("shared_mlp", "shared_expert_ffn", "shared_gate_up"),
    "combine": (
        "ep_gather", "unpermute_tokens", "a2a_recv_tokens", "deepep_combine", "weighted_sum_experts", "experts_reduce",
        "moe_sum_reduce", "combine_topk_weights",
    ),
    "gate_up": ("ffn_w13", "mlp_gate_up_gemv", "up_gate_linear"),
    "down": ("ffn_w2", "mlp_down_gemv", "down_linear"),
    "fused_ffn": ("mlp_block_fused", "dense_ffn"),
    "residual_norm": (
        "fused_add_norm", "skip_norm", "residual_add_rms", "add_bias_norm_quant", "rms_residual_fwd",
        "skip_layernormalize", "res_add_norm_cast", "mix_residual_streams",
    ),
    "norm": ("rms_fwd_kernel", "qk_normalize", "t5_norm", "group_rms", "l2_normalize", "_norm_1pass"),
    "activation": (
        "act_and_mul_kernel", "gate_mul", "swish_mul_quant", "glu_fwd", "silu_gate_quant", "hswish_mul", "relu2_kernel",
        "activation_quant_i8", "sqrelu",
    ),
    "sampling": (
        "greedy_pick", "topp_filter", "logit_bias_add", "repetition_kernel", "next_token_select", "prob_normalize",
    ),
    "prepare": ("build_slots", "fill_positions", "make_token_index", "calc_kv_offsets", "batch_meta_kernel"),
    "topk": ("radix_topk", "heap_select"),
    "softmax": ("exp_norm_rows", "prob_rows"),
}  # fmt: skip

BENCHMARK_NAMES: dict[str, tuple[str, ...]] = {
    "attention_core": ("tl_flash_decode_kv", "AtbFaKernel", "attn_decode_npu_v1", "tree_attn_kernel", "gla_state_fwd"),
    "indexer": ("dsa_logits_topk", "sparse_token_picker"),
    "kv_cache": ("kv_block_writer", "write_latent_page", "paged_kv_put"),
    "rope": ("rot_emb_qk_inplace", "qk_rotate_neox", "partial_pos_emb"),
    "qkv_proj": ("fused_qkv_latent", "q_kv_a_gemm"),
    "out_proj": ("attn_o_linear",),
    "router": ("expert_gate_select", "topk_route_sigmoid"),
    "dispatch": ("expert_permute_fwd", "ep_send_tokens"),
    "expert_matmul": ("experts_gemm_w8a8", "moe_gemm_ragged"),
    "shared_expert": ("shared_expert_mlp",),
    "combine": ("expert_unpermute_sum", "ep_recv_reduce"),
    "gate_up": ("gate_up_linear",),
    "down": ("mlp_w2_linear",),
    "fused_ffn": ("fused_mlp_block",),
    "residual_norm": ("skip_rms_fused", "residual_norm_q8"),
    "norm": ("rms_rowwise", "normalize_heads"),
    "activation": ("glu_mul_kernel", "act_gate_q8"),
    "sampling": ("pick_next_token", "nucleus_filter"),
    "prepare": ("fill_slot_table", "token_meta_builder"),
    "topk": ("bitonic_select",),
    "softmax": ("row_exp_normalise",),
}  # fmt: skip
