"""Operator names of every dialect come down to one base name."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skadvisor.vocabulary.names import base_operator, without_counter, without_kernel_suffix
from skadvisor.vocabulary.superkernel_names import parse, scope_of


@pytest.mark.parametrize(
    ("op_type", "name", "base"),
    [
        ("MatMulV2", "aclnnMm_MatMulCommon_MatMulV2", "matmul"),
        ("N/A", "aclnnMm_MatMulCommon_MatMulV2", "matmul"),
        (None, "MatMulV2_12", "matmul"),
        (None, "MatMulV3", "matmul"),
        (None, "AddRmsNorm_3/AddRmsNormCast", "addrmsnormcast"),
        (None, "BatchMatMul_to_tranpose_batch_matmul", "tranpose_batch_matmul"),
        (None, "static_kernel_matmul_v2_1f3a9c", "matmul"),
        (None, "_triton_rope_1", "triton_rope"),
        (None, "split_qkv_rmsnorm_rope_kernel", "split_qkv_rmsnorm_rope_kernel"),
        (None, "aclnnInplaceCopy_CastAiCore_Cast", "cast"),
        (None, "Default/network-Net/layers-CellList/0-Layer/attention-Attention/MatMul-op17", "matmul"),
        ("Gather16I64Kernel", "x", "gather16i64kernel"),
        (None, "static_kernel_FusedInferAttentionScore_ca12bf0123456789_15_d0", "fusedinferattentionscore"),
        (None, "static_kernel_QuantBatchMatmulV3_00112233445566778899_0_d0_mix_aic", "quantbatchmatmul"),
        (None, "te_static_kernel_moe_gating_top_k_5e3c44d2_3_d1", "moe_gating_top_k"),
        (None, "te_moegatingtopk_ced16b14837e64bc1b276aaf196502499ee35a00c3e1122f_1__kernel0", "moegatingtopk"),
        (None, "MatMulV3_ab12cd34ef5678_high_performance_10000900009000090000_mix_aic", "matmul"),
        (None, "model/layers.0/self_attn/MatMulV2_12_fusion", "matmul"),
        (None, "Cast_3_trans_Cast_12", "cast"),
        (None, "trans_TransData_3_MemSet", "memset"),
        (None, "reshape_and_cache_201000000", "reshape_and_cache"),
        ("mla_preprocess_0_mix_aic", "mla_preprocess_0_mix_aic", "mla_preprocess"),
        ("SliceAiCore", None, "slice"),
        (None, "PagedAttentionOperation", "pagedattention"),
        (None, "Conv2D", "conv2d"),
        ("MatMulV2_ND_ND_FP16_FP16_false_true_all_98513", None, "matmul"),
        ("QuantBatchMatmulV3_ND_NZ_int8_int8_bf16_high_performance_24", None, "quantbatchmatmul"),
        ("AddRmsNorm_3_high_performance_33", None, "addrmsnorm"),
        ("Add_ce3d1ff8ba23a0bcb292da3577c1625d_high_performance_221000002", None, "add"),
        (None, "aclnnInplaceCopy", "copy"),
        (None, "aclnnMm", "mm"),
        ("AscendQuantV2Aicore", None, "ascendquant"),
        (None, None, ""),
    ],
)
def test_base_names(op_type: str | None, name: str | None, base: str) -> None:
    assert base_operator(op_type, name) == base


@pytest.mark.parametrize(
    ("base", "operator"),
    [
        ("addbf16kernel", "add"),
        ("gather16i64kernel", "gather"),
        ("ppmatmulbf16kernel", "ppmatmul"),
        ("pagedattentionmaskndkernel", "pagedattentionmask"),
        ("concatf16input2kernel", "concat"),
        ("expand_kernel", "expand"),
        ("rejection_greedy_sample_triton", "rejection_greedy_sample"),
        ("matmul", "matmul"),
        ("kernel", "kernel"),
        ("addbf16tactic", "add"),
        ("broadcastaicpukernel", "broadcast"),
        ("reduce_scatteraicpukernel", "reduce_scatter"),
    ],
)
def test_library_kernels_lose_types_and_suffix(base: str, operator: str) -> None:
    assert without_kernel_suffix(base) == operator


@given(st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_text_has_a_base_name(name: str) -> None:
    assert isinstance(base_operator(None, name), str)
    assert isinstance(base_operator(name, name), str)


@given(number=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_counters_do_not_matter(number: int) -> None:
    assert base_operator(None, f"QuantBatchMatmulV3_{number}") == "quantbatchmatmul"


@given(
    stem=st.lists(
        st.sampled_from(["MatMulV2", "te_", "static_kernel_", "_ca12bf08", "_", "/", "-op3", "_d0", "ND", "x"])
    ),
    number=st.integers(0, 10**9),
)
@settings(max_examples=300, deadline=None)
def test_a_name_means_the_same_without_its_counter(stem: list[str], number: int) -> None:
    name = f"{''.join(stem)}_{number}"
    assert base_operator(None, without_counter(name)) == base_operator(None, name)
    assert without_counter(without_counter(name)) == without_counter(name)


def test_parts_of_superkernel_names() -> None:
    parts = parse("sk_attention_layer_3_split_0_2_start_MatMulV2_12_end_MatMulV2_15")
    assert parts is not None
    assert (parts.scope, parts.first, parts.last) == ("attention_layer", "matmul", "matmul")
    assert scope_of("sk_layer_7_start_A_end_B") == "layer_7"
    assert scope_of("sk_moe_layer_12_split_3_9_start_A_end_B") == "moe_layer_12"
    assert scope_of("sk_7_decoder_layers_start_static_kernel_A_1_end_static_kernel_B_2") == "decoder_layers"
    assert parse("MatMulV2_12") is None
