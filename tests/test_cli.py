"""The real command line: exit codes, one-line errors, and a start without heavy libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, captures

SAMPLE = REPOSITORY / "profiles" / "dense-ge-decode"
HEAVY = ("pandas", "sklearn", "matplotlib", "torch", "pyarrow", "numpy", "rich", "libcst", "jinja2")


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "skadvisor.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd or REPOSITORY,
        check=False,
    )


def error_lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_loads_no_heavy_library(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from skadvisor.cli import main\n"
        f"sys.argv = ['skadvisor', *{arguments!r}]\n"
        "try:\n    main()\n"
        "except SystemExit as stop:\n    assert not stop.code, stop.code\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_command_is_listed_and_shows_its_help() -> None:
    from skadvisor.cli import COMMANDS

    listed = run("--help").stdout
    for name in COMMANDS:
        assert name in listed
        shown = run(name, "--help")
        assert shown.returncode == 0, shown.stderr
        assert "Usage" in shown.stdout


def test_every_command_is_in_the_readme() -> None:
    from skadvisor.cli import COMMANDS

    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"`skadvisor {name}" in readme


def test_analyze_prints_a_verdict_first() -> None:
    done = run("analyze", SAMPLE, "--lang", "en")
    assert done.returncode == 0, done.stderr
    head = done.stdout.splitlines()[:16]
    assert any(line.startswith("What to do next") for line in done.stdout.splitlines()[:25])
    assert any("Layers" in line for line in head)


@pytest.mark.slow
def test_analyze_writes_reports_and_refuses_to_overwrite(tmp_path: Path) -> None:
    targets = [tmp_path / name for name in ("report.html", "report.md", "report.txt", "report.json")]
    options = [part for target in targets for part in ("-o", target)]
    assert run("analyze", SAMPLE, *options).returncode == 0
    assert all(target.stat().st_size > 500 for target in targets)
    result = json.loads((tmp_path / "report.json").read_text())
    assert {"schema_version", "steps", "phases", "layers", "regions", "templates", "recommendation"} <= result.keys()
    again = run("analyze", SAMPLE, "-o", targets[0])
    assert again.returncode == 2
    assert "exists" in error_lines(again)[0]
    assert run("analyze", SAMPLE, "-o", targets[0], "--force").returncode == 0


def test_kernels_writes_the_labelled_table(tmp_path: Path) -> None:
    import pandas as pd

    for name, read in (("kernels.csv", pd.read_csv), ("kernels.parquet", pd.read_parquet)):
        assert run("kernels", SAMPLE, "-o", tmp_path / name).returncode == 0
        table = read(tmp_path / name)
        assert table["region"].notna().all()
        assert table["start_ns"].is_monotonic_increasing
    assert run("kernels", SAMPLE, "-o", tmp_path / "kernels.docx").returncode == 2


@pytest.mark.slow
def test_explain_names_evidence_and_runner_up() -> None:
    done = run("explain", SAMPLE, "--kernel", "MatMul")
    assert done.returncode == 0
    assert "Evidence" in done.stdout
    assert "Runner-up" in done.stdout
    assert run("explain", SAMPLE, "--kernel", "no-such-kernel").returncode == 3
    assert run("explain", SAMPLE, "--kernel", "(").returncode == 2


@pytest.mark.slow
def test_bad_input_gives_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    raw = tmp_path / "host_1_2026_ascend_pt"
    (raw / "FRAMEWORK").mkdir(parents=True)
    (raw / "PROF_000001_2026_ABC").mkdir()
    other = tmp_path / "kernel_details.csv"
    other.write_text("a,b\n1,2\n")
    picture = tmp_path / "trace_view.json"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    for path in (tmp_path / "missing", tmp_path / "empty", raw, other, picture):
        done = run("analyze", path)
        assert done.returncode in (2, 3), (path, done.stderr)
        assert 1 <= len(error_lines(done)) <= 2
        assert done.stdout == ""
    assert "analyse" in run("analyze", raw).stderr


def test_bad_usage_is_exit_code_2() -> None:
    assert run("analyze").returncode == 2
    assert run("no-such-command").returncode == 2
    assert run("analyze", SAMPLE, "--risk", "wild").returncode == 2


def test_real_eager_capture_is_told_to_use_graph_mode_first() -> None:
    done = run("analyze", captures("qwen2.5-0.5b-vllm-eager"), "--lang", "en")
    assert done.returncode == 0
    text = " ".join(done.stdout.split())
    assert "first graph mode" in text
    assert "23,954.8 µs = kernels 2,813.0 µs" in text


@pytest.mark.parametrize("module", ["skadvisor", "skadvisor.cli"])
def test_the_package_runs_as_a_module(module: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("skadvisor ") and "schema" in done.stdout


def test_a_path_alone_is_analysed_and_quiet_stands_anywhere(tmp_path: Path) -> None:
    short = run(SAMPLE, "--no-ledger", "--quiet")
    assert short.returncode == 0, short.stderr
    assert short.stdout == run("--quiet", "analyze", SAMPLE, "--no-ledger").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["analyse", "x"], "Did you mean skadvisor analyze?"),
        (["plna"], "Did you mean skadvisor plan?"),
        (["nowhere/at/all"], "is neither a command nor a path"),
        (["analyze", str(SAMPLE), "--templat"], "--templat"),
    ],
)
def test_a_misspelt_command_is_told_the_nearest(words: list[str], said: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert said in done.stderr and "Traceback" not in done.stderr


def test_defaults_come_from_files_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    (tmp_path / "settings" / "skadvisor").mkdir(parents=True)
    (tmp_path / "settings" / "skadvisor" / "skadvisor.toml").write_text(
        'lang = "zh"\n[plan]\ntemplate = "full-model"\n'
    )
    assert "昇腾" in run("doctor", SAMPLE, cwd=tmp_path).stdout or "采集" in run("doctor", SAMPLE, cwd=tmp_path).stdout
    shown = json.loads(run("config", "--json", cwd=tmp_path).stdout)
    assert [(one["command"], one["option"]) for one in shown["defaults"]] == [("", "lang"), ("plan", "template")]
    assert "采集" not in run("--lang", "en", "doctor", SAMPLE, cwd=tmp_path).stdout
    (tmp_path / "skadvisor.toml").write_text("rules = 'mine.toml'\n")
    assert "mine.toml" in run("analyze", SAMPLE, "--no-ledger", cwd=tmp_path).stderr
    (tmp_path / "skadvisor.toml").write_text("lagn = 'en'\n")
    wrong = run("doctor", SAMPLE, cwd=tmp_path)
    assert wrong.returncode == 2 and "'lagn'" in wrong.stderr


def test_many_ranks_are_spoken_for_by_the_one_that_sets_the_pace_and_all_are_written(tmp_path: Path) -> None:
    ranks = REPOSITORY / "profiles" / "moe-two-ranks"
    for words in (
        ["plan", ranks, "--template", "full-model"],
        ["screen", ranks],
        ["explain", ranks, "--kernel", "MatMul"],
    ):
        done = run(*words, "--no-ledger", "--lang", "en")
        assert done.returncode == 0, done.stderr
        assert "speaks for all" in done.stderr
    assert run("kernels", ranks, "--no-ledger", "-o", tmp_path / "k.csv").returncode == 0
    lines = (tmp_path / "k.csv").read_text().splitlines()[1:]
    assert {line.split(",")[0] for line in lines} == {"0", "1"}


def test_exit_codes_and_status_agree() -> None:
    pair = [REPOSITORY / "profiles" / f"superkernel-{side}" for side in ("on", "off")]
    none = run("plan", SAMPLE, "--no-ledger", "--json")
    assert (none.returncode, json.loads(none.stdout)["status"]) == (0, "no_placement")
    little = run("compare", *pair, "--fail-on-regression", "1", "--no-ledger", "--json")
    assert (little.returncode, json.loads(little.stdout)["status"]) == (3, "too_little")
    wrong = run("analyze", "nowhere", "--json")
    assert (wrong.returncode, json.loads(wrong.stdout)["status"]) == (2, "bad_input")
