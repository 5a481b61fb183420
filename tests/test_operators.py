"""The vocabulary: which role an operator plays, the user's file before the shipped one."""

from __future__ import annotations

from pathlib import Path

import pytest

from skadvisor.errors import InputError
from skadvisor.vocabulary.names import base_operator
from skadvisor.vocabulary.operators import load_vocabulary
from skadvisor.vocabulary.states import ROLES

VOCABULARY = load_vocabulary()


@pytest.mark.parametrize(
    ("op_type", "role"),
    [
        ("FusedInferAttentionScore", "attention_core"),
        ("PagedAttentionMaskNdKernel", "attention_core"),
        ("ReshapeAndCacheNdKernel", "kv_cache"),
        ("PpMatMulBf16Kernel", "matmul"),
        ("RmsNormBf16Kernel", "norm"),
        ("AddBf16Kernel", "add"),
        ("Gather16I64Kernel", "gather"),
        ("SwigluForwardBf16Kernel", "activation"),
        ("InplaceAddRmsNorm", "residual_norm"),
        ("HcPre", "norm"),
        ("QuantBatchMatmulV3", "matmul"),
        ("MatmulAllReduceAddRmsNorm", "fused_matmul_norm"),
        ("MoeDistributeDispatchV2", "dispatch"),
        ("GroupedMatmulSwigluQuant", "expert_matmul"),
        ("LightningIndexer", "indexer"),
        ("MlaPrologV2", "qkv_proj"),
        ("_triton_rope", "rope"),
        ("recurrent_gated_delta_rule", "attention_core"),
        ("hcom_allReduce_", "collective"),
        ("ApplyAdamW", "training"),
        ("AttentionUpdate", "attention_core"),
        ("SparseFlashMla", "attention_core"),
        ("SparseFlashMlaMetadata", "prepare"),
        ("chunk_gated_delta_rule_fwd_kernel_h_blockdim64", "attention_core"),
        ("split_qkv_rmsnorm_rope_kernel_0", "rope"),
        ("fused_qkvzba_split_reshape_cat_kernel", "qkv_proj"),
        ("mla_preprocess_0_mix_aic", "qkv_proj"),
        ("MoeDistributeDispatchV3", "dispatch"),
        ("NotifyDispatch", "dispatch"),
        ("AttentionToFFN", "dispatch"),
        ("AttentionWorkerCombine", "combine"),
        ("GroupedMatmulSwigluQuantV2", "expert_matmul"),
        ("MhcPost", "residual_norm"),
        ("RmsPreNormBF16Kernel", "residual_norm"),
        ("AlltoAllAllGatherBatchMatMul", "fused_matmul_comm"),
        ("MatmulAllReduceAddRmsNormV2", "fused_matmul_norm"),
        ("LinearOperation", "matmul"),
        ("Relu", "activation"),
        ("expand_kernel", "sampling"),
        ("UpsampleNearest2d", "vision"),
        ("GatherV2AiCore", "gather"),
        ("ConcatV2D", "layout"),
        ("muls_add_kernel_1", "add"),
        ("triton_red_fused_add_mean_mul_pow_rsqrt_3", "norm"),
        ("triton_poi_fused_add_mul_0", "elementwise"),
        ("aiv_all_reduce_bfloat16_t", "collective"),
        ("aiv_all_to_all_vc_half", "collective"),
        ("AivKernel", "collective"),
        ("broadcastAicpuKernel", "collective"),
        ("reduce_scatterAicpuKernel", "collective"),
        ("batch_getAicpuKernel", "collective"),
        ("DropOutDoMask", "elementwise"),
        ("DSAGenBitMask", "elementwise"),
        ("HistogramV2", "reduce"),
        ("IndexCheck", "elementwise"),
        ("ScatterNdUpdateSk", "elementwise"),
        ("RmsNormTactic", "norm"),
        ("AddBF16Tactic", "add"),
        ("ChunkFwdO", "attention_core"),
        ("_fwd_none_diag_kernel", "attention_core"),
        ("NpuHammingDistTopK", "indexer"),
        ("SingleRope", "rope"),
        ("RopeWithSinCosCache_0_high_performance_20", "rope"),
        ("QuantBatchMatmulV3_ND_NZ_int8_int8_bf16_high_performance_24", "matmul"),
        ("QuantLightningIndexerV2", "indexer"),
        ("QuantLightningIndexerV2Metadata", "prepare"),
        ("SwigluGroupQuant", "activation"),
        ("RmsNormCast", "norm"),
        ("alloc_extend_kernel", "prepare"),
        ("_temperature_kernel", "sampling"),
        ("_bad_words_kernel", "sampling"),
        ("eplb_map_record", "router"),
        ("SubGreaterEqualLessLogicalAnd", "elementwise"),
        ("Less_2LogicalOr_1MaskedFill_1SelectV2", "elementwise"),
        ("autofuse_pointwise_0_Sub_Mul", "elementwise"),
        ("autofuse_reduce_0_Mul_ReduceMean_Rsqrt_fused", "norm"),
        ("FusedAscBackend", "elementwise"),
        ("UpdateModelParam_static_bin", "prepare"),
        ("aclnnForeachAddListV2_ForeachAddListV2_ForeachAddList", "add"),
        ("ForeachAddcdivScalar", "training"),
        ("Reshape_58/ConfusionTranspose/Transpose", "layout"),
        ("BatchMatMul_1_to_tranpose_batch_matmul", "matmul"),
    ],
)
def test_roles_of_operators(op_type: str, role: str) -> None:
    found = VOCABULARY.find(base_operator(op_type, None))
    assert found is not None
    assert found.role == role


@pytest.mark.parametrize("base", ["", "frobnicate", "zq", "kernel", "tactic"])
def test_unknown_operators_stay_unknown(base: str) -> None:
    assert VOCABULARY.find(base) is None


def test_every_shipped_rule_has_a_source_and_a_known_role() -> None:
    for operator in VOCABULARY.tiers[0].operators:
        assert operator.role in ROLES
        assert operator.source


def test_a_users_rule_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[[operator]]\nrole = "router"\npatterns = ["^swiglu$"]\nsource = "mine"\n')
    found = load_vocabulary(file).find("swiglu")
    assert found is not None
    assert found.role == "router"


@pytest.mark.parametrize(
    "text", ['[[operator]]\nrole = "nonsense"\n', "[[operator]]\n", '[[operator]]\nrole="add"\npatterns=["("]\n']
)
def test_a_broken_file_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.toml"
    file.write_text(text)
    with pytest.raises(InputError):
        load_vocabulary(file)
