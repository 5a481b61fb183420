"""Mistakes that users make: each gets one or two lines that name the cause and what to type, in both languages."""

from __future__ import annotations

import json
import re
import shlex
import stat
from pathlib import Path

import pytest
from conftest import REPOSITORY

import skadvisor
from skadvisor import InputError
from skadvisor.cli import main

PROFILES = REPOSITORY / "profiles"
#: What is typed (in a folder with the files of `place`) -> exit code, the cause, what to type next.
MISTAKES: dict[str, tuple[int, str, str]] = {
    "analyze": (2, "PATH is missing", "Type: skadvisor analyze [OPTIONS] PATH"),
    "analyse sample": (2, "no command 'analyse'", "Did you mean skadvisor analyze?"),
    "plna sample": (2, "no command 'plna'", "Did you mean skadvisor plan?"),
    "nowhere": (2, "'nowhere' is neither a command nor a path", "See skadvisor --help."),
    "analyze nowhere": (2, "nowhere does not exist", "Give a profiler output"),
    "analyze README.md": (2, "README.md holds no profiler capture", "Give kernel_details.csv"),
    "analyze empty": (2, "empty holds no profiler capture", "Give kernel_details.csv"),
    "analyze empty.csv": (2, "empty.csv is empty", "Parse the capture again"),
    "analyze false.csv.gz": (2, "is no gzip file", "Download or pack it again"),
    "analyze zip.csv": (2, "is an archive", "Unpack it"),
    "analyze op_statistic.csv": (2, "summary of operators by type", "kernel_details.csv"),
    "analyze utf16.csv": (2, "UTF-16", "iconv -f UTF-16"),
    "analyze semicolons.csv": (2, "separated by semicolons", "as the profiler wrote it"),
    "analyze host_1_2026_ascend_pt": (2, "was not parsed yet", "analyse("),
    "analyze header.csv": (3, "without kernels", "Record again"),
    "analyze sample --rank x": (2, "--rank takes a number, not x", "See skadvisor analyze --help."),
    "analyze sample --risk hihg": (2, "--risk cannot be hihg", "Did you mean high?"),
    "analyze sample --hardwar A3": (2, "has no option --hardwar", "Did you mean --hardware?"),
    "analyze sample --tpot-ms 0.001": (2, "is less than the step's kernels alone take", "time of one decode step"),
    "analyze sample --tpot-ms 0": (2, "--tpot-ms cannot be 0", "It has to be x>0"),
    "analyze sample -o report.pdf": (2, "cannot tell the format of report.pdf", ".html, .md, .txt, .json, .xlsx"),
    "analyze sample -o no/report.html": (2, "the folder no does not exist", "mkdir -p no"),
    "analyze sample -o empty": (2, "cannot tell the format of empty", ".html"),
    "analyze sample -o old.html": (2, "old.html exists already", "--force"),
    "analyze sample -o - -o x.json --json -v": (2, "both write to the standard output", ""),
    "analyze sample --open": (2, "--open shows a report in the browser", "-o report.html"),
    "analyze sample -o": (2, "-o needs a value", "--help"),
    "analyze sample other": (2, "other is more than skadvisor analyze takes", "--help"),
    "analyze sample --rules missing.toml": (2, "cannot read missing.toml", ""),
    "analyze sample --rules wrong.toml": (2, "is no valid TOML", ""),
    "analyze sample --cann newest": (2, "'newest' is no CANN version", "8.5.0"),
    "analyze old.json.gz": (2, "is a trace that skadvisor wrote", "profiler's output that it was made from"),
    "plan sample --template atention-only": (2, "--template cannot be atention-only", "Did you mean attention-only?"),
    "plan sample --template automatic --dialect ge": (2, "no automatic placement", "npugraph_ex"),
    "plan sample --write": (2, "--write changes files", "--model or --config"),
    "plan other_version.json": (2, "has schema version 0.1", "Analyze the capture again"),
    "plan small.json": (2, "without the kernels that this needs", "-o FILE.json"),
    "compare sample": (2, "AFTER is missing", "Type: skadvisor compare"),
    "explain sample": (2, "--kernel is missing", "Type: skadvisor explain"),
    "explain sample --kernel *MatMul": (2, "is no regular expression", ""),
    "explain sample --kernel Nothing": (3, "no kernel matches 'Nothing'", "or is a role"),
    "screen sheet.yaml": (3, "holds no times of the baseline", "Fill in decode_latency_ms"),
    "screen list.yaml": (2, "is no screening sheet", "skadvisor screen CAPTURE -o sheet.yaml"),
    "verify": (2, "nothing to check", "--compile-log"),
    "verify --compile-log nowhere.log": (2, "there is no nowhere.log", ""),
    "capture": (2, "runs inside your program", "--print"),
    "calibrate --add 1": (2, "--add needs --before-us and --after-us", ""),
    "calibrate --ledger README.md": (2, "README.md is no", ""),
    "rules Cast sample": (2, "sample is a file among operator types", "give one capture"),
    "report README.md": (2, "README.md is no result of skadvisor", "analyze CAPTURE -o FILE.json"),
    "completion csh": (2, "SHELL cannot be csh", "Did you mean"),
}  # fmt: skip
TABLE = "Step Id,Name,Type,Accelerator Core,Start Time(us),Duration(us),Wait Time(us),Block Dim,Input Shapes\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a sample and with what users take for a capture."""
    (tmp_path / "sample").symlink_to(PROFILES / "dense-ge-decode")
    (tmp_path / "README.md").write_text("# read me\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.csv").touch()
    (tmp_path / "false.csv.gz").write_bytes(b"\x00not gzip at all")
    (tmp_path / "zip.csv").write_bytes(b"PK\x03\x04" + bytes(40))
    (tmp_path / "op_statistic.csv").write_text("OP Type,Count,Total Time(us),Min Time(us)\n")
    (tmp_path / "utf16.csv").write_bytes(TABLE.encode("utf-16"))
    (tmp_path / "semicolons.csv").write_text(TABLE.replace(",", ";"))
    (tmp_path / "header.csv").write_text(TABLE)
    (tmp_path / "host_1_2026_ascend_pt" / "FRAMEWORK").mkdir(parents=True)
    (tmp_path / "host_1_2026_ascend_pt" / "PROF_000001_2026_ABC").mkdir()
    (tmp_path / "old.html").write_text("<p>old</p>")
    (tmp_path / "wrong.toml").write_text("rule = [")
    (tmp_path / "old.json.gz").write_bytes(own_trace())
    tool = {"name": "skadvisor", "version": "0"}
    (tmp_path / "other_version.json").write_text(json.dumps({"schema_version": "0.1", "tool": tool}))
    (tmp_path / "small.json").write_text(json.dumps({"schema_version": skadvisor.SCHEMA_VERSION, "tool": tool}))
    (tmp_path / "sheet.yaml").write_text(
        "runs:\n- {name: baseline, kind: baseline, repeats: 5, decode_latency_ms: []}\n"
    )
    (tmp_path / "list.yaml").write_text("- 1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def own_trace() -> bytes:
    import gzip

    events = [{"ph": "M", "name": "process_name", "args": {"name": "skadvisor"}}]
    return gzip.compress(json.dumps({"traceEvents": events}, separators=(", ", ": ")).encode())


def said(typed: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str], str]:
    with pytest.raises(SystemExit) as stop:
        main(shlex.split(typed))
    shown = capsys.readouterr()
    return int(str(stop.value.code)), shown.err.strip().splitlines(), shown.out


def test_there_are_more_than_thirty() -> None:
    assert len(MISTAKES) > 30


@pytest.mark.parametrize("typed", MISTAKES)
def test_a_mistake_gets_its_cause_and_the_next_command(
    typed: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, cause, following = MISTAKES[typed]
    if not cause:
        code, lines, out = said(f"{typed} --lang en", capsys)
        assert code in (0, 2) and len(lines) <= 3
        return
    found, lines, out = said(f"{typed} --lang en" if not typed.endswith("-o") else f"--lang en {typed}", capsys)
    assert found == code and (out == "" or "--json" in typed)
    assert 1 <= len(lines) <= 2 and lines[0].startswith("skadvisor: ")
    assert cause in " ".join(lines) and following in " ".join(lines)


@pytest.mark.parametrize("typed", [typed for typed, (_code, cause, _next) in MISTAKES.items() if cause])
def test_a_mistake_is_told_in_chinese(typed: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, lines, _out = said(f"--lang zh {typed}", capsys)
    assert found == MISTAKES[typed][0] and 1 <= len(lines) <= 2
    assert all(re.search(r"[\u4e00-\u9fff]", line) for line in lines), lines


def test_an_error_with_json_is_an_object(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _code, lines, out = said("analyze nowhere --json --lang en", capsys)
    assert json.loads(out) == {"status": "bad_input", "answer": "nowhere does not exist", "next": lines[1:]}


def test_a_file_that_may_not_be_written_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import os

    (place / "closed").mkdir()
    (place / "closed").chmod(stat.S_IRUSR | stat.S_IXUSR)
    if os.access(place / "closed", os.W_OK):
        pytest.skip("this user may write everywhere")
    code, lines, _out = said("analyze sample -o closed/r.html --no-ledger --lang en", capsys)
    assert code == 2 and "cannot write closed/r.html: Permission denied" in lines[0]


def test_in_python_errors_speak_python(place: Path) -> None:
    with pytest.raises(InputError) as refused:
        skadvisor.analyze("sample").write("old.html")
    assert "force=True" in str(refused.value) and "--" not in str(refused.value)
