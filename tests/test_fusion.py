"""What fuses, where scopes are cut, and what the checks find."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_tables import DENSE_LAYER, MOE_LAYER, W8A8_LAYER, decode_kernels, labelled_table, step_table

from skadvisor import fusion
from skadvisor.accounting import timeline
from skadvisor.accounting.representative import step_kernels
from skadvisor.accounting.situation import Situation
from skadvisor.errors import InputError
from skadvisor.events import PlainColumns
from skadvisor.fusion.templates import claim_table, place, template_scope, template_scopes, template_variant

SITUATION = Situation(mode="graph", phase="decode", graph_kind="ge_graph", decoder_layers=4, layer_kinds={"dense": 4})
ON_A3 = replace(SITUATION, hardware="A3")


def prepared(kernels, mode="graph"):
    labelled = labelled_table(kernels)
    times = timeline.measure(labelled, step_table(labelled, mode))
    return labelled, step_kernels(labelled, times, times.representative["decode"])


def previewed(kernels, template="full-model", variant="", mode="graph", rules=(), situation=ON_A3):
    step = prepared(kernels, mode)[1]
    return step, fusion.preview_scope(fusion.judge_step(step, situation, rules), template_variant(template, variant))


def findings(kernels, situation=SITUATION, template="full-model", mode="graph"):
    _, found = previewed(kernels, template, mode=mode)
    return {finding.check: finding for finding in fusion.check(situation, found)}


def test_a_layer_of_known_operators_is_one_fragment_per_scope():
    _, found = previewed(decode_kernels(layers=3, block=W8A8_LAYER))
    assert (found.fragments.count, found.fragments.boundaries_removed) == (1, 3 * len(DENSE_LAYER) - 1)
    _, found = previewed(decode_kernels(layers=3, block=W8A8_LAYER), "per-block")
    assert (found.fragments.count, found.fragments.boundaries_removed) == (3, 3 * (len(DENSE_LAYER) - 1))


def test_a_breaker_ends_the_fragment_and_fusion_resumes_after_it():
    cast = ("Cast", "quantise", "attention", "AI_VECTOR_CORE", 1_000)
    block = (*W8A8_LAYER[:3], cast, *W8A8_LAYER[3:])
    _, found = previewed(decode_kernels(layers=2, block=block), "per-block")
    assert found.fragments.count == 4
    assert found.fragments.boundaries - found.fragments.boundaries_removed == 4
    (cut,) = found.cuts
    assert (cut.op_type, cut.cuts, cut.boundaries_lost) == ("Cast", 2, 4)
    assert (cut.judgement.fusible, cut.judgement.reason) == ("unlikely", "OP_UNSUPPORT")
    assert cut.judgement.source and str(cut.judgement.remedy)


def test_kernels_between_on_the_stream_cut_even_when_they_are_not_in_the_scope():
    kernels = decode_kernels(layers=1, block=W8A8_LAYER)
    kernels[3]["region"] = "other"
    _, found = previewed(kernels, "attention-only")
    assert found.fragments.count == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"core": "AI_CPU"}, "DEFAULT_NODE"),
        ({"op_type": "_triton_rope", "name": "_triton_rope_1"}, "OP_UNSUPPORT"),
        ({"state": "dynamic"}, "DYNAMIC_TASK_UNSUPPORT"),
        ({"op_type": "MoeInitRoutingV3"}, "OP_UNSUPPORT"),
    ],
)
def test_what_never_fuses(change, reason):
    kernels = decode_kernels(layers=1, block=W8A8_LAYER)
    kernels[4] |= change
    _, found = previewed(kernels)
    assert found.fragments.count == 2
    assert [cut.judgement.reason for cut in found.cuts] == [reason]


def test_in_eager_mode_the_dynamic_state_says_nothing():
    kernels = decode_kernels(layers=1, block=W8A8_LAYER, state="dynamic", model=None)
    assert previewed(kernels, mode="eager")[1].fragments.boundaries_removed == len(DENSE_LAYER) - 1
    assert previewed(kernels, mode="graph")[1].fragments.boundaries_removed == 0


def test_two_graphs_are_never_joined():
    kernels = decode_kernels(layers=2, block=W8A8_LAYER)
    for kernel in kernels[: len(DENSE_LAYER)]:
        kernel["model"] = 3
    assert previewed(kernels)[1].fragments.count == 2


def test_operators_are_known_by_their_kernel_names_at_level0():
    names = ["AddRmsNorm_3", "aclnnMm_MatMulCommon_MatMulV2", "GroupedMatmul_7", "StridedSliceD_2", "Cast_9"]
    names.append("sk_layer_0_start_Cast_9_end_Add_3")
    kernels = [
        {"start_ns": 1000 * n, "dur_ns": 900, "layer": 0, "op_type": None, "core": None, "stream": None, "name": name}
        for n, name in enumerate(names)
    ]
    _, found = previewed(kernels)
    verdicts = ["likely", "unlikely", "likely", "unlikely", "unlikely", "unlikely"]
    assert found.judged.fusible.tolist() == verdicts
    assert found.judged.op_type[-1] == "SuperKernel"


def test_rules_of_the_user_come_first(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        '[[rule]]\nop_types = ["Swi*"]\nfusible = "unlikely"\nreason = "OP_UNSUPPORT"\nsource = "our compile log"\n'
    )
    _, found = previewed(decode_kernels(layers=1, block=W8A8_LAYER), rules=(file,))
    assert [(cut.op_type, cut.judgement.source) for cut in found.cuts] == [("SwiGlu", "our compile log")]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("not toml at all [", "no valid TOML"),
        ('[[rule]]\nop_types = ["A"]\nfusible = "perhaps"\nsource = "x"\n', "perhaps"),
        ('[[rule]]\nop_types = ["A"]\nfusible = "likely"\n', "rule 1"),
        ('[[rule]]\nop_types = ["A"]\nfuses = "likely"\nsource = "x"\n', "rule 1 has the unknown key 'fuses'"),
        ('[[rules]]\nop_types = ["A"]\nfusible = "likely"\nsource = "x"\n', "mine.toml has the unknown key 'rules'"),
        ('[rule]\nop_types = ["A"]\nfusible = "likely"\nsource = "x"\n', "no list of tables"),
        ('[[rule]]\nop_types = ["A"]\nfusible = "likely"\nsource = "x"\nhardware = ["A4"]\n', "A4"),
        ('[[rule]]\nop_types = ["A"]\nfusible = "likely"\nsource = "x"\ncann = "9 or so"\n', "9 or so"),
        ('[[rule]]\nop_types = ["A"]\nfusible = "likely"\nreason = "BECAUSE"\nsource = "x"\n', "BECAUSE"),
    ],
)
def test_faulty_rules_are_refused_with_their_place(tmp_path, content, word):
    file = tmp_path / "mine.toml"
    file.write_text(content)
    with pytest.raises(InputError, match=word):
        fusion.load_rules(file)


def test_scopes_hold_what_the_templates_cover():
    labelled = labelled_table(decode_kernels(layers=2, block=MOE_LAYER))

    def roles(template, variant=0):
        inside = place(PlainColumns(labelled), template_scope(template).variants[variant]) >= 0
        return set(labelled.loc[inside, "role"]), set(labelled.loc[inside, "region"])

    assert roles("attention-only")[1] == {"attention"}
    assert roles("attention-only", 1)[1] == {"attention", "norm"}
    assert "router" not in roles("moe-only")[0] and "expert_matmul" in roles("moe-only")[0]
    assert roles("full-model")[1] == {"attention", "norm", "moe"}
    scopes = place(PlainColumns(labelled), template_scope("per-block").variants[0])
    assert len(set(scopes)) == 2
    assert len(set(place(PlainColumns(labelled), template_scope("full-model").variants[0]))) == 1


def test_the_input_norm_joins_the_attention_that_follows_whatever_layer_it_is_labelled_with():
    labelled = labelled_table(decode_kernels(layers=2))
    labelled.loc[[6, 10], "layer"] = [0, 0]
    scopes = place(PlainColumns(labelled), template_scope("attention-only").variants[1])
    assert scopes[6] == -1
    assert scopes[10] == scopes[11] >= 0


def test_collectives_follow_the_region_whose_result_they_move():
    kernels = decode_kernels(layers=1)
    kernels[6] |= {"region": "comm", "owner": "attention", "core": "COMMUNICATION", "kind": "collective"}
    labelled = labelled_table(kernels)
    assert place(PlainColumns(labelled), template_scope("attention-only").variants[0])[6] >= 0


def test_the_claims_follow_from_one_rule():
    low, high = claim_table().saving_of_scope
    row = next(row for row in claim_table().rows if row.gain_pct == (10, 15))
    assert (round(35 * low), round(35 * high)) == row.gain_pct
    assert {row.template for row in claim_table().rows} <= {scope.name for scope in template_scopes()}


def test_findings_of_a_good_graph():
    found = findings(decode_kernels(layers=2))
    assert found["mode"].status == "pass"
    assert found["shapes"].status == "pass"
    assert found["streams"].status == "pass"
    assert found["aicpu"].status == "pass"
    assert found["tiling"].status == "unknown"
    assert found["hardware"].status == "unknown"
    assert "collectives" not in found and "dump" not in found
    assert all(finding.source or finding.status == "pass" for finding in found.values())
    assert all(finding.remedy for finding in found.values() if finding.status in ("warn", "block"))


@pytest.mark.parametrize(
    ("facts", "mode", "check", "status"),
    [
        ({"mode": "eager"}, "eager", "mode", "block"),
        ({"mode": "unknown"}, "unknown", "mode", "unknown"),
        ({"graph_kind": "acl_graph"}, "graph", "mode", "warn"),
        ({"hardware": "A3"}, "graph", "hardware", "pass"),
        ({"hardware": "310P"}, "graph", "hardware", "block"),
        ({"hardware": "A2/A3"}, "graph", "hardware", "unknown"),
        ({"graph_kind": "npugraph_ex", "cann": "8.5.0"}, "graph", "version", "warn"),
        ({"tiling_sink": True}, "graph", "tiling", "pass"),
        ({"tiling_sink": False}, "graph", "tiling", "warn"),
    ],
)
def test_findings_follow_the_situation(facts, mode, check, status):
    assert findings(decode_kernels(layers=2), replace(SITUATION, **facts), mode=mode)[check].status == status


def test_findings_on_streams_cores_collectives_and_custom_operators():
    kernels = decode_kernels(layers=2)
    kernels[3] |= {"stream": 2, "start_ns": kernels[2]["start_ns"]}
    kernels[4] |= {"blocks": 20, "mix_blocks": 20}
    kernels[5] |= {"region": "comm", "owner": "attention", "core": "COMMUNICATION", "op_type": "hcom_allReduce_"}
    kernels[8] |= {"op_type": "my_own_operator", "name": "my_own_operator"}
    found = findings(kernels)
    assert found["streams"].status == "warn" and "4.0 us" in str(found["streams"].message)
    assert found["cores"].status == "warn" and "1 of them 1:1" in str(found["cores"].message)
    assert found["collectives"].status == "warn"
    assert found["custom"].status == "unknown" and "my_own_operator" in str(found["custom"].message)
    assert "HCCL_OP_EXPANSION_MODE" in str(found["collectives"].remedy)


def test_different_core_limits_on_the_streams_of_a_scope_are_warned_of():
    kernels = decode_kernels(layers=2)
    for kernel in kernels[::2]:
        kernel |= {"stream": 2, "blocks": 8, "core": "AI_CORE"}
    found = findings(kernels)["core_limits"]
    assert found.status == "warn" and "8, 24" in str(found.message)
    assert "core_limits" not in findings(decode_kernels(layers=2))


def test_a_capture_with_superkernels_is_no_baseline():
    kernels = decode_kernels(layers=2)
    kernels[5] |= {"op_type": "SuperKernel", "name": "sk_layer_0_start_a_end_b"}
    assert findings(kernels, template="moe-only")["superkernel"].status == "block"


def test_a_scope_of_breakers_is_warned_of():
    kernels = decode_kernels(layers=2)
    for kernel in kernels[::2]:
        kernel["op_type"] = "Cast"
    found = findings(kernels)["fragments"]
    assert found.status == "warn" and "single kernels" in str(found.message)


def test_ai_cpu_tasks_are_named_where_there_are_no_types():
    kernels = decode_kernels()
    kernels[2] |= {"core": "AI_CPU", "op_type": None, "name": "aclnnTopk_TopKAiCpu_TopK"}
    said = str(findings(kernels)["aicpu"].message)
    assert "None" not in said and "TopK" in said
