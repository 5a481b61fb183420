"""Roles: what a kernel does within its region, told by its operator, its state and the kernels round it."""

from __future__ import annotations

from functools import cache

import pytest
from label_scores import score
from label_variants import build_variant
from small_tables import DENSE_ROWS, capture_of

from skadvisor.labelling.labels import Labelled, label
from skadvisor.vocabulary.operators import load_vocabulary

VOCABULARY = load_vocabulary()


@cache
def labelled(architecture: str) -> Labelled:
    return label(build_variant(architecture, "plain").capture, VOCABULARY)


@pytest.mark.parametrize(
    ("architecture", "role"),
    [
        ("qwen3-30b-a3b-eager", "dispatch"),
        ("deepseek-v3.2-ge", "indexer"),
        ("deepseek-v3.2-ge", "absorbed_matmul"),
        ("qwen3-next-acl", "shared_expert"),
        ("qwen3-next-acl", "conv"),
        ("llama-3.1-8b-plain", "rope"),
        ("llama-3.1-8b-plain", "activation"),
        ("deepseek-v4-flash", "compressor"),
    ],
)
def test_every_kernel_of_a_role_is_found(architecture: str, role: str) -> None:
    truth = build_variant(architecture, "plain").truth["role"].astype(str)
    found = labelled(architecture).kernels["role"].astype(str)
    assert (found == role).tolist() == (truth == role).tolist()


@pytest.mark.parametrize("architecture", ["qwen3-30b-a3b-ge", "glm-4.5-air-level0", "longcat-flash-ge"])
def test_confidence_is_that_of_the_role(architecture: str) -> None:
    built = build_variant(architecture, "plain")
    one = score(built, labelled(architecture), architecture=architecture, variant="plain")
    assert one.role_accuracy > 0.99
    assert one.role_calibration is not None
    assert one.role_calibration > 0.99


def test_the_scores_tell_wrong_roles_from_right_ones() -> None:
    built = build_variant("qwen2.5-7b-ge", "plain")
    found = labelled("qwen2.5-7b-ge")
    swapped = found.kernels["role"].astype(object).replace("gate_up", "down").astype("category")
    wrong = Labelled(**{**vars(found), "kernels": found.kernels.assign(role=swapped)})
    one = score(built, wrong, architecture="qwen2.5-7b-ge", variant="plain")
    assert one.time_accuracy == 1.0
    assert one.role_accuracy < 0.8
    assert set(one.roles_wrong) == {("mlp", "gate_up", "down")}


def test_a_network_without_decoder_layers_has_no_roles() -> None:
    assert set(labelled("alexnet").kernels["role"].astype(str)) <= {"unknown", "backward", "collective"}


def test_training_samples_nothing() -> None:
    kernels = labelled("qwen3-0.6b-training").kernels
    assert "sampling" not in set(kernels["region"]) | set(kernels["role"])
    losses = kernels[kernels["op_type"].astype(str).str.startswith("LogSoftmaxV2")]
    assert set(losses["role"]) == {"loss"}


def test_products_round_a_softmax_are_attention() -> None:
    """Attention without a kernel of its own, as old models run it: queries with keys, weights with values."""
    rows: list[tuple[str, str, str]] = []
    for _layer in range(8):
        rows += [
            ("RmsNorm", "4,4096;4096", "4,4096;4,1"),
            *[("MatMulV2", "4,4096;4096,4096", "4,4096")] * 3,
            ("BatchMatMulV2", "4,32,1,128;4,32,128,512", "4,32,1,512"),
            ("RealDiv", "4,32,1,512;", "4,32,1,512"),
            ("SoftmaxV2", "4,32,1,512", "4,32,1,512"),
            ("BatchMatMulV2", "4,32,1,512;4,32,512,128", "4,32,1,128"),
            ("MatMulV2", "4,4096;4096,4096", "4,4096"),
            ("Add", "4,4096;4,4096", "4,4096"),
            ("RmsNorm", "4,4096;4096", "4,4096;4,1"),
            ("MatMulV2", "4,4096;22016,4096", "4,22016"),
            ("SwiGlu", "4,22016", "4,11008"),
            ("MatMulV2", "4,11008;4096,11008", "4,4096"),
            ("Add", "4,4096;4,4096", "4,4096"),
        ]
    kernels = label(capture_of(rows), VOCABULARY).kernels
    products = kernels["op_type"].isin(["BatchMatMulV2", "RealDiv", "SoftmaxV2"])
    assert products.sum() == 32
    assert set(kernels.loc[products, "role"]) == {"attention_core"}
    assert set(kernels.loc[~products, "role"]) == {
        "residual_norm", "qkv_proj", "out_proj", "gate_up", "activation", "down",
    }  # fmt: skip


def test_a_number_added_to_a_gain_belongs_to_the_norm() -> None:
    rows = []
    for _layer in range(8):
        for row in DENSE_ROWS:
            gain = "Norm" in row[0]
            rows += [("Adds", "2048", "2048"), row] if gain else [row]
    kernels = label(capture_of(rows), VOCABULARY).kernels
    assert set(kernels.loc[kernels["op_type"] == "Adds", "region"]) == {"norm"}


def test_a_task_of_the_ai_cpu_belongs_to_the_one_kernel_that_it_runs_beside() -> None:
    rows: list[tuple[object, ...]] = []
    now = 1000.0
    for layer in range(8):
        for op_type, inputs, outputs in DENSE_ROWS:
            fused = op_type == "FusedInferAttentionScore" and layer % 2
            length = 90.0 if fused else 8.0
            name = "pypto_kernel_0" if fused else op_type
            if fused:
                cpu = {"core": "AI_CPU", "dur_us": length + 6, "stream": 9}
                rows.append(("TileServerInit", "", "", cpu | {"start_us": now - 0.2}))
                rows.append(("TileServer", "", "", cpu | {"start_us": now + 0.1, "dur_us": 80.0, "stream": 10}))
            shapes = ("", "") if fused else (inputs, outputs)
            rows.append((name, *shapes, {"start_us": now, "dur_us": length, "core": "MIX_AIC" if fused else "AI_CORE"}))
            now += length + (7.0 if fused else 0.3)
    found = label(capture_of(rows), VOCABULARY)
    served = found.kernels[found.kernels["core"] == "AI_CPU"]
    assert len(served) == 8
    assert set(zip(served["region"], served["role"], strict=True)) == {("attention", "attention_core")}
    assert served["layer"].dropna().astype(int).tolist() == [1, 1, 3, 3, 5, 5, 7, 7]
    assert found.steps["layers"].tolist() == [8]


@pytest.mark.parametrize(
    ("op_type", "region", "role"),
    [
        ("sk_scope_kernel_begin", "other", "mark"),
        ("sk_placeholder_kernel", "other", "mark"),
        ("sk_scope_kernel_end", "other", "mark"),
        ("e2a_kernel", "comm", "exchange"),
    ],
)
def test_marks_and_exchanges_stand_outside_a_layer(op_type: str, region: str, role: str) -> None:
    rows = [row for _layer in range(8) for row in [*DENSE_ROWS[:4], (op_type, "", "", {"core": None}), *DENSE_ROWS[4:]]]
    found = label(capture_of(rows), VOCABULARY)
    marks = found.kernels["op_type"] == op_type
    named = found.kernels.loc[marks]
    assert set(zip(named["region"], named["role"], strict=True)) == {(region, role)}
    assert set(found.kernels.loc[~marks, "region"]) == {"norm", "attention", "mlp"}
    assert set(named["owner"].dropna()) == ({"attention"} if region == "comm" else set())


@pytest.mark.parametrize("region", ["attention", "comm", "other"])
def test_a_users_region_holds_wherever_the_operator_runs(tmp_path, region: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        f'[[operator]]\nrole = "elementwise"\nregion = "{region}"\nnames = ["ourkernel"]\nsource = "ours"\n'
    )
    rows = [
        row for _layer in range(8) for row in [*DENSE_ROWS[:7], ("OurKernel", "4,11264", "4,11264"), *DENSE_ROWS[7:]]
    ]
    kernels = label(capture_of(rows), load_vocabulary(file)).kernels
    assert set(kernels.loc[kernels["op_type"] == "OurKernel", "region"]) == {region}


def test_an_ai_cpu_multiplies_no_matrices() -> None:
    rows = [
        row
        for _layer in range(8)
        for row in [*DENSE_ROWS[:7], ("Frobnicate", "", "", {"core": "AI_CPU"}), *DENSE_ROWS[7:]]
    ]
    kernels = label(capture_of(rows), VOCABULARY).kernels
    assert "expert_matmul" not in set(kernels["role"])


def _blocked(shape: str) -> str:
    rows, columns = map(int, shape.split(","))
    return f"{columns // 16},{-(-rows // 16)},16,16"


def test_activations_in_blocks_are_read_as_rows_and_columns() -> None:
    plain: list[tuple[object, ...]] = [("GatherV2", "32000,2048;4;1", "4,2048")]
    blocked = list(plain)
    for _layer in range(8):
        for op_type, inputs, outputs in DENSE_ROWS:
            wide = op_type not in ("RotaryPositionEmbedding", "FusedInferAttentionScore")
            first, *rest = inputs.split(";")
            if not wide:
                blocked += [("TransData", _blocked("4,2048"), "4,2048", _formats("FRACTAL_NZ", "ND"))]
                blocked += [(op_type, inputs, outputs)]
                continue
            changed = [_blocked(first), *(_blocked(one) if one == first else one for one in rest)]
            written = [_blocked(outputs.split(";")[0]), *outputs.split(";")[1:]]
            forms = _formats(";".join("FRACTAL_NZ" if one.count(",") == 3 else "ND" for one in changed), "FRACTAL_NZ")
            blocked.append((op_type, ";".join(changed), ";".join(written), forms))
        plain += DENSE_ROWS
    tail = [
        ("RmsNorm", "4,2048;2048", "4,2048;4,1"),
        ("MatMulV2", "4,2048;32000,2048", "4,32000"),
        ("ArgMaxV2", "4,32000", "4"),
    ]
    one, other = (label(capture_of([*rows, *tail] * 2), VOCABULARY) for rows in (plain, blocked))
    moved = other.kernels["op_type"] == "TransData"
    assert other.kernels.loc[~moved, "region"].tolist() == one.kernels["region"].tolist()
    assert other.steps[["layers", "tokens"]].to_numpy().tolist() == one.steps[["layers", "tokens"]].to_numpy().tolist()


def _formats(inputs: str, outputs: str) -> dict[str, object]:
    return {"input_formats": inputs, "output_formats": outputs}
