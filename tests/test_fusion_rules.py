"""What the shipped rules say of each operator, chip, kind of graph and CANN version, and how open ones are read."""

from __future__ import annotations

import csv
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from sample_builder.build import build
from sample_builder.catalogue import QWEN3_8B
from sample_builder.formats import write_database
from small_tables import labelled_table

from skadvisor.analysis import analyze_capture
from skadvisor.capture import load
from skadvisor.events import PlainColumns
from skadvisor.fusion.chip import infer_chip, know_chip
from skadvisor.fusion.judging import judge, judge_task, operator_task
from skadvisor.fusion.readings import HARDWARE, MODES, Reading, cann_version
from skadvisor.fusion.rules import own_rules, read_rules

CAPTURES = os.environ.get("SKADVISOR_CAPTURES", Path(__file__).parents[2] / "shared" / "captures")
FACTS = Path(CAPTURES).parent / "fusibility.csv"
A2_A3 = ("A2", "A3")
#: Chips and version of the table's column.
CHIPS = {
    "*": (HARDWARE, "9.2"),
    "A2/A3": (A2_A3, "9.2"),
    "A2/A3 (CANN <= 8.5)": (A2_A3, "8.5"),
    "A2/A3 (CANN >= 9.0.0)": (A2_A3, "9.0"),
}
#: What the table writes in words: examples of the meant names.
WORDS = {
    "<joined names such as SubGreaterEqualLessLogicalAnd>": ["SubGreaterEqualLessLogicalAnd"],
    "(any Type with Accelerator Core AI_CPU)": [],
    "(direct <<<>>> kernels of a custom library)": [],
    "aiv (collective kernel in AIV mode)": ["aiv"],
}
REMARKS = ("lower", "case", "custom", "vLLM", "Ascend", "build")


def fuses(op_type, hardware, mode="ge", cann="9.2"):
    (found,) = judge_task(operator_task(op_type), own_rules(), [Reading(hardware, mode, cann_version(cann))])
    return found


def one_kernel(op_type, **facts):
    return PlainColumns(labelled_table([{"start_ns": 0, "dur_ns": 1, "op_type": op_type, "name": op_type} | facts]))


@pytest.mark.skipif(not FACTS.exists(), reason="the table of facts is not at hand")
def test_every_known_fact_is_the_verdict():
    compared = 0
    with FACTS.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            chips, cann = CHIPS.get(row["soc"], ((row["soc"],), "9.2"))
            found = re.findall(r"[\w*]*[A-Za-z_]\w{2,}[\w*]*", row["op_type"])
            names = [name for name in WORDS.get(row["op_type"], found) if name not in REMARKS]
            for name in (name.replace("*", "X") for name in names):
                for chip in chips:
                    for mode in MODES if cann_version(cann) >= (9,) else ("ge",):
                        verdict = fuses(name, chip, mode, cann)
                        place = (name, chip, mode, cann)
                        assert row["fuses"] in ("unknown", verdict.fusible), place
                        compared += row["fuses"] != "unknown"
    assert compared > 1000


@pytest.mark.parametrize(
    ("op_type", "hardware", "verdict", "reason"),
    [
        ("MatMulV2", "A2", "unlikely", "OP_UNSUPPORT"),
        ("MatMul", "A3", "unlikely", "OP_UNSUPPORT"),
        ("MatMulV3", "A3", "likely", ""),
        ("QuantBatchMatmul", "A3", "unlikely", "OP_UNSUPPORT"),
        ("QuantBatchMatmulV3", "A3", "likely", ""),
        ("Add", "A3", "unlikely", "OP_UNSUPPORT"),
        ("Add", "950", "likely", ""),
        ("Mul", "950", "unlikely", "SIMT_OP_UNSUPPORT"),
        ("MoeInitRoutingV2", "A3", "unlikely", "OP_UNSUPPORT"),
        ("MoeInitRoutingQuantV2", "A3", "unknown", "OP_UNSUPPORT"),
        ("MoeInitRoutingV2", "950", "unlikely", "SIMT_OP_UNSUPPORT"),
        ("GroupedMatmul", "310P", "unlikely", "OP_UNSUPPORT"),
        ("NobodyKnowsIt", "A3", "unknown", "OP_UNSUPPORT"),
        ("triton_rms_kernel", "950", "unlikely", "OP_UNSUPPORT"),
        ("MatMulCommon", "A3", "unlikely", "OP_UNSUPPORT"),
        ("SiluAiCore", "A3", "unlikely", "OP_UNSUPPORT"),
        ("SubGreaterLogicalAnd", "A3", "unlikely", "OP_UNSUPPORT"),
    ],
)
def test_verdicts_belong_to_the_exact_type_and_the_chip(op_type, hardware, verdict, reason):
    found = fuses(op_type, hardware)
    assert (found.fusible, found.reason) == (verdict, reason)
    assert found.source and (verdict == "likely" or str(found.remedy))


@pytest.mark.parametrize(
    ("op_type", "swap"),
    [
        ("RotaryMul", "RotaryPositionEmbedding"),
        ("BatchMatMulV2", "TransposeBatchMatMul"),
        ("Transpose", "TransposeBatchMatMul"),
        ("LayerNormV3", "LayerNormV4"),
        ("AscendQuant", "AscendQuantV2"),
        ("MatMulV2", "QuantBatchMatmulV3"),
        ("ConcatD", "ConcatDV2"),
        ("Add", "AddRmsNorm"),
    ],
)
def test_remedies_name_a_swap_that_fuses(op_type, swap):
    assert swap in str(fuses(op_type, "A3").remedy)
    assert fuses(swap, "A3").fusible == "likely"


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("Swi*", "SwiGlu", "GeGlu"),
        ("*Tactic", "AddTactic", "Tactics"),
        ("a*b*c", "aXbYc", "acb"),
        ("ab*ba", "abba", "aba"),
    ],
)
def test_patterns_of_rules(tmp_path, pattern, yes, no):
    file = tmp_path / "mine.toml"
    file.write_text(f'[[rule]]\nop_types = "{pattern}"\nfusible = "likely"\nsource = "x"\n')
    (rule,) = read_rules(file)
    assert rule.fits(yes) and not rule.fits(no)


def test_attention_hangs_on_tiling_sink_in_ge_and_on_its_task_group_in_npugraph_ex():
    ge, replayed = (fuses("FusedInferAttentionScore", "A3", mode) for mode in MODES)
    assert ge.needs == "tiling_sink" and "tiling sink on" in str(ge.remedy)
    assert replayed.needs is None and "tiling sink does not help" in str(replayed.remedy)
    kernel = one_kernel("FusedInferAttentionScore")
    for graph, verdict in (("ge_graph", "unlikely"), ("npugraph_ex", "likely")):
        (found,) = judge(kernel, hardware="A3", graph_kind=graph, conditions={"tiling_sink": False})
        assert found.fusible == verdict


@pytest.mark.parametrize("mode", MODES)
def test_four_collectives_may_fuse_with_aiv_and_others_never(mode):
    kinds = {"kind": "collective", "core": "COMMUNICATION"}
    for op_type, verdict in (("hcom_allReduce_", "unknown"), ("hcom_broadcast_", "unlikely"), ("odd", "unlikely")):
        (found,) = judge(one_kernel(op_type, **kinds), hardware="A3", graph_kind=mode)
        assert (found.fusible, found.reason) == (verdict, "EXTERNAL_DEPEND")
    without = judge(one_kernel("hcom_allReduce_", **kinds), hardware="A3", conditions={"aiv_expansion": False})
    assert without[0].fusible == "unlikely"


def test_the_core_overrules_the_name():
    (found,) = judge(one_kernel("GroupedMatmul", core="AI_CPU"), hardware="A3")
    assert (found.fusible, found.reason) == ("unlikely", "DEFAULT_NODE")


@pytest.mark.parametrize(
    ("op_type", "known", "verdict", "depends"),
    [
        ("GroupedMatmul", {}, "likely", ()),
        ("Cast", {}, "unknown", ("hardware",)),
        ("Cast", {"hardware": "A2/A3"}, "unlikely", ()),
        ("ScatterNdUpdate", {"hardware": "A3"}, "unknown", ("cann",)),
        ("ScatterNdUpdate", {"hardware": "A3", "cann": "8.5.0"}, "unlikely", ()),
        ("ScatterNdUpdate", {"hardware": "A3", "cann": "9.2.0-beta.2"}, "likely", ()),
        ("GroupedMatmul", {"hardware": "310P"}, "unlikely", ()),
    ],
)
def test_open_circumstances_leave_open_only_what_hangs_on_them(op_type, known, verdict, depends):
    (found,) = judge(one_kernel(op_type), **known)
    assert (found.fusible, found.depends_on) == (verdict, depends)


@pytest.mark.parametrize(
    ("kernels", "metadata", "hardware", "word"),
    [
        ([], {"profiler_metadata": {"soc_name": "Ascend910_9391"}}, "A3", "Ascend910_9391"),
        ([], {"npu_info": ["Ascend910B"]}, "A2/A3", "Ascend910B"),
        ([], {"profiler_metadata": {"model": "A3"}}, "unknown", "nothing"),
        ([{"blocks": 24}] * 3, {}, "A2/A3", "24 Cube cores"),
        ([{"blocks": 32}] * 3, {}, "950", "32 Cube cores"),
        ([{"blocks": 32}], {}, "unknown", "nothing"),
        ([{"op_type": "MatMulV2"}], {}, "A2/A3/310P", "MatMulV2"),
        ([{"op_type": None, "name": "aclnnMm_MatMulCommon_MatMulV2"}], {}, "A2/A3/310P", "MatMulV2"),
        ([{"op_type": None, "name": "static_kernel_DynamicMxQuant_ca12bf08_15_d0"}], {}, "950", "DynamicMxQuant"),
        # a node of a graph is called after what it was before GE chose its kernel
        ([{"op_type": None, "name": "MatMul_12"}], {}, "unknown", "nothing"),
        ([{"op_type": "MatMulV3", "name": "aclnnMm_MatMulCommon_MatMulV2"}], {}, "unknown", "nothing"),
        ([{"op_type": "DynamicMxQuant"}], {}, "950", "DynamicMxQuant"),
        ([{"op_type": "MoeDistributeDispatchV3", "blocks": 24}] * 3, {}, "A3", "24 Cube cores; MoeDistribute"),
        ([{"op_type": "MatMulV2"}, {"op_type": "DynamicMxQuant"}], {}, "unknown", "nothing"),
    ],
)
def test_the_chip_is_inferred_and_says_from_what(kernels, metadata, hardware, word):
    usual = {"start_ns": 0, "dur_ns": 1, "op_type": "GroupedMatmul", "core": "AI_CORE", "blocks": 8}
    found = infer_chip(labelled_table([usual | kernel for kernel in (kernels or [{}])]), metadata)
    assert found.hardware == hardware
    assert word in str(found.how)


@pytest.mark.parametrize("quantisation", ["bf16", "w8a8"])
def test_products_cut_a_dense_decode_in_bf16_and_not_in_w8a8(quantisation):
    model = replace(QWEN3_8B, layers=8, quantisation=quantisation)
    built = build(model, phases=("decode",), steps=3, batch=4, seed=5)
    result = analyze_capture(built.capture, hardware="A3").result
    whole = next(template for template in result.templates if template.name == "full-model")
    first, removed = whole.breakers[0], whole.fragments.boundaries_removed / whole.fragments.boundaries
    if quantisation == "bf16":
        assert result.recommendation.choice == "none"
        assert first.op_type == "MatMulV2" and "QuantBatchMatmulV3" in str(first.remedy)
        assert removed < 0.4
    else:
        assert "MatMulV2" not in {breaker.op_type for breaker in whole.breakers}
        assert removed > 0.8


def test_what_the_user_tells_of_the_chip_overrules_the_capture():
    kernels = labelled_table([{"start_ns": n, "dur_ns": 1, "blocks": 24} for n in range(3)])
    assert know_chip(None, kernels, {}).hardware == "A2/A3"
    told = know_chip("950", kernels, {})
    assert told.hardware == "950" and "--hardware" in str(told.how)


def test_a_database_names_its_chip(tmp_path):
    built = build(replace(QWEN3_8B, layers=2), phases=("decode",), steps=2, batch=2, seed=1)
    path = write_database(built.capture, tmp_path / "ascend_pytorch_profiler_0.db")
    found = infer_chip(load(path).kernels, load(path).metadata)
    assert (found.hardware, str(found.how)) == ("A2/A3", "the capture names the chip Ascend910B")
