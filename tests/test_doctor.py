"""The doctor: one good capture, and each lack planted on its own; nothing else may be reported with it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import captures
from rank_samples import SMALL_MOE, write_ranks
from sample_builder.build import build
from sample_builder.formats.operator_tables import write_kernel_details
from sample_builder.model import ModelDescription

from skadvisor.commands.doctor import doctor_command
from skadvisor.doctor.checks import CHECKS
from skadvisor.doctor.diagnosis import ANSWERS, Diagnosis, diagnose
from skadvisor.errors import InputError
from skadvisor.recording import recorder

SMALL_DENSE = ModelDescription(
    name="small-dense", layers=6, hidden=1024, heads=16, kv_heads=4, head_dim=64, intermediate=3072, vocabulary=32000,
)  # fmt: skip


def write(folder: Path, *, description=SMALL_DENSE, csv_level=1, pmu=True, step_ids=True, keep=None, **built) -> Path:
    """A capture folder; `keep` chooses the rows of the kernel table that are written."""
    made = build(description, **{"steps": 6, "seed": 3, "pmu": pmu, "step_ids": step_ids, **built})
    capture = made.capture
    if keep is not None:
        from dataclasses import replace

        rows = keep(capture.kernels.assign(step=made.truth["step"], role=made.truth["role"], phase=made.truth["phase"]))
        capture = replace(capture, kernels=capture.kernels[rows.to_numpy()].reset_index(drop=True))
    output = folder / "host_1_2026_ascend_pt" / "ASCEND_PROFILER_OUTPUT"
    output.mkdir(parents=True)
    write_kernel_details(capture, output / "kernel_details.csv", level=csv_level, step_ids=step_ids, pmu=pmu)
    (output.parent / "profiler_info_0.json").write_text(json.dumps({"rank_id": 0}))
    return folder


def lacks(diagnosis: Diagnosis) -> dict[str, str]:
    return {finding.check: finding.status for finding in diagnosis.findings if finding.status in ("warn", "block")}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write(tmp_path_factory.mktemp("good"))


def test_a_good_capture_has_no_lack_and_needs_no_snippet(good):
    diagnosis = diagnose(good)
    assert lacks(diagnosis) == {}
    assert set(diagnosis.grades.values()) == {"good"}
    assert diagnosis.snippet == ""
    assert (diagnosis.producer, diagnosis.level, diagnosis.mode, diagnosis.rank) == ("torch_npu", "level1", "graph", 0)
    assert diagnosis.phases == {"decode": 6}
    assert diagnosis.usable


@pytest.mark.parametrize(("steps", "last", "status"), [(2, 30, "block"), (1, 0, "warn")])
def test_steps_that_the_recording_cuts_are_lacking(tmp_path, steps, last, status):
    def keep(kernels):
        count = len(kernels)
        return kernels.index.to_series().between(count // (2 * steps), count - last)

    found = {one.check: one for one in diagnose(write(tmp_path, steps=steps, step_ids=False, keep=keep)).findings}
    assert found["step_count"].status == status
    assert "not recorded from its embedding to its output head" in str(found["step_count"].message)
    assert "left out" not in str(found["warm_up"].message)


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        ({"pmu": False}, {"pmu": "warn"}),
        ({"steps": 1}, {"step_count": "warn"}),
        ({"warm_up": True}, {"warm_up": "warn"}),
        ({"step_ids": False}, {}),
        ({"phases": ("prefill",)}, {"phase": "block", "mode": "warn"}),
        ({"csv_level": 0, "pmu": False}, {"level": "warn", "shapes": "warn", "pmu": "warn"}),
    ],
)
def test_each_planted_lack_is_found_and_no_other(tmp_path, planted, expected):
    found = lacks(diagnose(write(tmp_path, **planted)))
    if "phases" in planted:
        found.pop("host_bound", None)  # an eager prefill may wait for the host too
    assert found == expected


def test_eager_decode_waits_for_the_host(tmp_path):
    found = lacks(diagnose(write(tmp_path, mode="eager")))
    assert found == {"mode": "warn", "host_bound": "warn"}


def test_missing_shapes_are_found_at_level1(tmp_path, good):
    folder = tmp_path / "copy"
    shutil.copytree(good, folder)
    (table,) = folder.rglob("kernel_details.csv")
    import pandas as pd

    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    rows["Input Shapes"] = "N/A"
    rows.to_csv(table, index=False)
    assert lacks(diagnose(folder))["shapes"] == "warn"


@pytest.mark.parametrize("missing", ["attention", "feed_forward"])
def test_a_replayed_graph_with_half_its_kernels_missing_is_under_recorded(tmp_path, missing):
    feed_forward = ["gate_up", "activation", "down"]

    def keep(rows):
        feeds = rows["role"].isin(feed_forward)
        return feeds | ~rows["step"].ge(0) if missing == "attention" else ~feeds

    diagnosis = diagnose(write(tmp_path, keep=keep, step_ids=True))
    statuses = {finding.check: finding.status for finding in diagnosis.findings}
    assert "block" in (statuses["graph_replay"], statuses["phase"], statuses["step_count"])
    assert diagnosis.grades["placement"] == "none"
    assert not diagnosis.usable


def test_a_cut_file_is_found(tmp_path, good):
    folder = tmp_path / "copy"
    shutil.copytree(good, folder)
    (table,) = folder.rglob("kernel_details.csv")
    data = table.read_bytes()
    table.write_bytes(data[: int(len(data) * 0.9) + 7])
    assert lacks(diagnose(folder)).get("complete") == "warn"


def test_a_capture_with_super_kernels_is_for_comparing(tmp_path, good):
    folder = tmp_path / "copy"
    shutil.copytree(good, folder)
    (table,) = folder.rglob("kernel_details.csv")
    text = table.read_text()
    fused = text.replace(",SwiGlu_1,", ",sk_mlp_1_start_SwiGlu_1_end_MatMulV2_9,")
    assert fused != text
    table.write_text(fused)
    diagnosis = diagnose(folder)
    finding = next(finding for finding in diagnosis.findings if finding.check == "super_kernels")
    assert finding.status == "warn"
    assert "skadvisor compare" in str(finding.remedy)
    assert diagnosis.grades["placement"] == "weaker"


@pytest.mark.slow
def test_one_moe_rank_alone_cannot_tell_work_from_waiting(tmp_path):
    alone = write(tmp_path / "alone", description=SMALL_MOE)
    assert lacks(diagnose(alone)).get("ranks") == "warn"
    by_name = write(tmp_path / "names", description=SMALL_MOE, csv_level=0, pmu=False, step_ids=False)
    assert lacks(diagnose(by_name)).get("ranks") == "warn"
    several = write_ranks(tmp_path / "several", [0, 1000], steps=6)
    diagnosis = diagnose(several.folder, rank=1)
    assert "ranks" not in lacks(diagnosis)
    assert (diagnosis.ranks, diagnosis.rank) == ((0, 1), 1)
    assert diagnosis.grades["ranks"] == "good"
    with pytest.raises(InputError, match="no rank 5"):
        diagnose(several.folder, rank=5)


def test_an_unparsed_capture_says_how_to_parse_it(tmp_path):
    raw = tmp_path / "host_1_2026_ascend_pt"
    (raw / "FRAMEWORK").mkdir(parents=True)
    (raw / "FRAMEWORK" / "torch.op_range").write_bytes(b"\0" * 64)
    (raw / "PROF_000001_2026_ABC" / "device_0" / "data").mkdir(parents=True)
    diagnosis = diagnose(tmp_path)
    (finding,) = diagnosis.findings
    assert (finding.check, finding.status) == ("parsed", "block")
    assert "analyse" in str(finding.remedy)
    assert set(diagnosis.grades.values()) == {"none"}
    assert diagnosis.snippet


def test_a_path_without_any_capture_is_an_input_error(tmp_path):
    with pytest.raises(InputError):
        diagnose(tmp_path / "missing")
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match="no profiler capture"):
        diagnose(tmp_path)


@pytest.mark.slow
def test_the_snippet_fits_the_program_that_recorded(tmp_path):
    poor = write(tmp_path / "dp0_pp0_tp0_dcp0_ep0_rank0_1_2026", pmu=False)
    assert diagnose(poor).dialect == "vllm-ascend"
    assert diagnose(poor).snippet == recorder.snippet("vllm-ascend")
    assert diagnose(poor, dialect="cann-recipes").snippet == recorder.snippet("cann-recipes")
    with pytest.raises(InputError, match="no snippet"):
        diagnose(poor, dialect="mindspore")


def test_every_lack_comes_with_a_remedy_and_every_answer_hangs_on_checks(tmp_path):
    poor = diagnose(write(tmp_path, mode="eager", csv_level=0, pmu=False, step_ids=False, steps=1))
    for finding in poor.findings:
        if finding.status in ("warn", "block"):
            assert finding.remedy is not None, finding.check
    named = {finding.check for finding in poor.findings}
    assert set().union(*ANSWERS.values()) == named
    assert len(named) == len(CHECKS)


def test_a_rank_that_is_not_there_is_refused(good):
    with pytest.raises(InputError, match="no rank 7"):
        diagnose(good, rank=7)


# The command


def run(*arguments: object):
    return CliRunner().invoke(doctor_command, [str(argument) for argument in arguments], standalone_mode=False)


def test_json_is_complete_and_valid(good, tmp_path):
    result = run(good, "--json", "--lang", "en")
    document = json.loads(result.output)
    assert result.return_value == 0
    assert document["grades"] == dict.fromkeys(ANSWERS, "good")
    assert [finding["check"] for finding in document["findings"]] == [f["check"] for f in document["findings"]]
    assert {finding["status"] for finding in document["findings"]} == {"pass"}
    assert (document["snippet"], document["kernels"] > 0, document["phases"]) == ("", True, {"decode": 6})


def test_text_names_lack_remedy_and_snippet(tmp_path):
    result = run(write(tmp_path, pmu=False), "--lang", "en")
    assert result.return_value == 0
    assert re.search(r"! +core times: .*→ record with aic_metrics=PipeUtilization", " ".join(result.output.split()))
    assert "torch_npu.profiler.profile(" in result.output


def test_chinese_text_has_chinese_words(tmp_path):
    result = run(write(tmp_path, pmu=False), "--lang", "zh")
    assert "! 核内耗时" in result.output
    assert not re.search(
        r"\b(weak|note|good|limited|answer|kernels)\b", result.output.partition("torch_npu.profiler")[0]
    )


def test_a_capture_without_decode_exits_with_3(tmp_path):
    result = run(write(tmp_path, phases=("prefill",)), "--lang", "en")
    assert result.return_value == 3
    assert "✗ phase" in result.output


# Real captures


def test_the_real_eager_capture():
    diagnosis = diagnose(captures("qwen2.5-0.5b-vllm-eager"))
    assert diagnosis.mode == "eager"
    assert diagnosis.phases == {"prefill": 1, "decode": 1}
    assert set(lacks(diagnosis)) == {"pmu", "mode", "host_bound", "step_count"}


@pytest.mark.parametrize("sample", ["superkernel-on", "superkernel-off"])
def test_the_samples_of_a_pair_are_told_apart(sample):
    folder = Path(__file__).resolve().parents[1] / "profiles" / sample
    found = lacks(diagnose(folder))
    assert ("super_kernels" in found) is (sample == "superkernel-on")
    assert "graph_replay" not in found, "few kernels in a layer are fused, not lost"


def test_the_real_training_capture():
    diagnosis = diagnose(captures("qwen3-0.6b-training"))
    assert lacks(diagnosis)["phase"] == "block"
    assert "pmu" not in lacks(diagnosis)
    assert diagnosis.ranks == (0, 2)
    assert not diagnosis.usable


def test_a_real_timeline_alone_has_no_types():
    diagnosis = diagnose(captures("optimizer-trace"))
    level = next(finding for finding in diagnosis.findings if finding.check == "level")
    assert "timeline" in str(level.message)
    assert lacks(diagnosis)["shapes"] == "warn"
