"""`skadvisor rules`: verdicts with sources, and rules from a log, sk_meta or a capture with SuperKernel on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from sample_builder.build import build, switch_on
from sample_builder.catalogue import QWEN3_8B
from sample_builder.superkernel import BREAKERS
from test_verify import GE_LOG, META_FAILED, META_FUSED

from skadvisor import fusion
from skadvisor.cli import main
from skadvisor.commands.rules import TEMPLATE, rules_command
from skadvisor.fusion.learning import conclude, learn_from_capture, learn_from_log, rules_file
from skadvisor.labelling.labels import label
from skadvisor.verification.compile_log import read_lines
from skadvisor.vocabulary.operators import load_vocabulary

SAMPLE = Path(__file__).resolve().parents[1] / "profiles" / "dense-ge-decode"
KEYS = {"op_type", "hardware", "mode", "cann", "fuses", "reason_word", "remedy", "source"}


def run(*arguments):
    done = CliRunner().invoke(rules_command, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def rows(*arguments):
    found = json.loads(run(*arguments, "--json"))["rows"]
    assert all(set(row) > KEYS and row["fuses"] in ("likely", "unlikely", "unknown") for row in found)
    return found


def test_a_known_chip_gives_one_row():
    (row,) = rows("MatMulV2", "--hardware", "A3")
    assert (row["fuses"], row["reason_word"], row["hardware"], row["mode"]) == ("unlikely", "OP_UNSUPPORT", "A3", "any")
    assert "QuantBatchMatmulV3" in row["remedy"] and row["source"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["Cast"], {("A2", "unlikely"), ("A3", "unlikely"), ("950", "likely"), ("310P", "unlikely")}),
        (["ScatterNdUpdate", "--hardware", "A2"], {("<9.0", "unlikely"), (">=9.0", "likely")}),
        (["ScatterNdUpdate", "--hardware", "A2", "--cann", "9.1.0"], {("9.1.0", "likely")}),
        (["IncreFlashAttention", "--hardware", "A3"], {("ge", "likely"), ("npugraph_ex", "likely")}),
        (["IncreFlashAttention", "--hardware", "A3", "--mode", "ge"], {("ge", "likely")}),
    ],
)
def test_one_row_for_each_value_of_what_matters(arguments, expected):
    found = rows(*arguments)
    assert any({(row[column], row["fuses"]) for row in found} == expected for column in ("hardware", "cann", "mode"))
    assert len(found) == len(expected)


def test_without_arguments_all_known_types_are_listed():
    found = {row["op_type"]: row["fuses"] for row in rows("--hardware", "A3", "--cann", "9.1")}
    assert len(found) > 400
    assert (found["RotaryMul"], found["RotaryPositionEmbedding"]) == ("unlikely", "likely")


def test_a_capture_says_its_chip_and_what_has_no_rule(tmp_path):
    out = run(SAMPLE)
    assert "chip: A2/A3" in out and "-> where quantisation" in out
    pasted = tmp_path / "pasted.toml"
    pasted.write_text(out[out.index("[[rule]]") :])
    assert fusion.load_rules(pasted)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no/such.csv"], "there is no no/such.csv"),
        (["--from", "nowhere.log"], "there is no nowhere.log"),
        (["Cast", "--cann", "newest"], "no CANN version"),
    ],
)
def test_what_cannot_be_answered_is_refused(arguments, words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["rules", *arguments])
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


def test_the_template_is_a_valid_rules_file(tmp_path):
    file = tmp_path / "rules.toml"
    file.write_text(run("--template"))
    assert file.read_text() == TEMPLATE
    assert fusion.load_rules(file)[0].judgement.source.startswith("my compile log")


def test_a_log_and_sk_meta_become_rules_with_counts(tmp_path):
    ge = {name: conclude(seen) for name, seen in learn_from_log(read_lines(GE_LOG.splitlines())).items()}
    assert ge == {"Cast": ("unlikely", "OP_UNSUPPORT"), "MatMulV2": ("likely", ""), "RmsNorm": ("likely", "")}
    folder = tmp_path / "sk_meta"
    folder.mkdir()
    members = "".join(
        f"    [{n}] [nodeId:{n}, streamId:0, KernelInfos{{funcName:static_kernel_SwiGlu_0a1b2c_1, kernelType:A}}]\n"
        for n in range(2)
    )
    head, rest = META_FUSED.split("\n", 1)
    (folder / "sk_fused_nodes.log").write_text(f"{head}\n{members}{rest}")
    (folder / "super_kernel.log").write_text(f"{head}\n{members}")
    wide = META_FAILED.replace("nodeId:9", "nodeId:11").replace("Cast_x", "Sub_0a1b2c_1")
    failed = META_FAILED.replace("Cast_x", "Cast_0a1b2c_1") + wide.replace("OP_UNSUPPORT", "EXCEED_CORE_MAX")
    (folder / "sk_fusion_fail_reasons.log").write_text(failed)
    mine = tmp_path / "mine.toml"
    run("--from", folder, "-o", mine, "--hardware", "A3")
    found = {rule.op_types[0]: rule for rule in fusion.load_rules(mine)[:5] if rule.judgement.source.startswith("your")}
    verdicts = {name: rule.judgement.fusible for name, rule in found.items()}
    assert verdicts == {"Cast": "unlikely", "Sub": "unknown", "SwiGlu": "likely"}
    assert found["SwiGlu"].judgement.source == "your log sk_meta: left out 0 times, taken in 2 times"
    assert found["Cast"].hardware == ("A3",)


def test_learned_rules_come_before_the_shipped_ones(tmp_path):
    log = tmp_path / "run.log"
    log.write_text(GE_LOG)
    mine = tmp_path / "mine.toml"
    run("--from", log, "-o", mine)
    (row,) = rows("MatMulV2", "--hardware", "A3", "--rules", mine)
    assert row["fuses"] == "likely" and row["source"].startswith("your log run.log")


def test_a_capture_with_superkernels_shows_what_its_compiler_did():
    before = build(replace(QWEN3_8B, layers=6, quantisation="w8a8"), phases=("decode",), steps=2, batch=4, seed=3)
    kernels = label(switch_on(before, "full-model").capture, load_vocabulary()).kernels
    seen = learn_from_capture(kernels)
    verdicts = {name: conclude(found)[0] for name, found in seen.items()}
    unlikely = {name for name, verdict in verdicts.items() if verdict == "unlikely"}
    assert unlikely == {"SplitVD", "ScatterNdUpdate"} and unlikely < BREAKERS
    assert {name for name, verdict in verdicts.items() if verdict == "likely"} >= {"FusedInferAttentionScore"}
    assert sum(seen["ScatterNdUpdate"].outside.values()) >= 2 * 6


def test_names_from_a_hostile_log_cannot_break_the_file(tmp_path):
    lines = ['find super kernel sub op a"]b(Cast"]\n[[rule]]), super_scope_name x, stream_id 0', "x\x7f"]
    text = rules_file(learn_from_log(read_lines(lines)), tmp_path / 'odd"\x7f.log', {})
    file = tmp_path / "rules.toml"
    file.write_text(text + '[[rule]]\nop_types = "Cast"\nfusible = "likely"\nsource = "x"\n')
    assert len(fusion.load_rules(file)) == len(fusion.load_rules()) + 1
