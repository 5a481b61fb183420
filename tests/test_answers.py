"""Every command that answers writes every format by suffix, prints it, and refuses what it has no format for."""

from __future__ import annotations

import gzip
import io
import json
import re
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from click.testing import CliRunner, Result

from skadvisor.cli import cli
from skadvisor.errors import InputError
from skadvisor.report import SUFFIXES

PROFILES = Path(__file__).parents[1] / "profiles"
OFF, ON = str(PROFILES / "superkernel-off"), str(PROFILES / "superkernel-on")
COMMANDS = {
    "analyze": [OFF, "--no-ledger"],
    "plan": [OFF, "--template", "attention-only", "--no-ledger"],
    "compare": [OFF, ON, "--no-ledger"],
    "screen": [OFF, "--no-ledger"],
    "verify": ["--compile-log"],
    "doctor": [OFF],
    "kernels": [OFF, "--no-ledger"],
    "calibrate": [],
    "explain": [OFF, "--kernel", "MatMul", "--no-ledger"],
    "rules": ["MatMulV2", "--hardware", "A3"],
    "capture": ["--print", "torch_npu"],
    "report": [],
    "config": [],
    "completion": ["bash"],
}
OWN = {
    "analyze": {".json.gz"},
    "kernels": {".csv", ".parquet"},
    "screen": {".yaml"},
    "plan": {".diff", ".patch"},
    "rules": {".toml"},
    "capture": {".py", ".sh", ".yaml"},
    "report": {".json.gz"},
    "completion": {".sh", ".fish"},
}
STATUSES = {"answered", "no_placement", "too_little", "gate_failed"}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result as `analyze` saves it."""
    path = tmp_path_factory.mktemp("saved") / "result.json"
    done = CliRunner().invoke(cli, ["analyze", OFF, "--no-ledger", "--lang", "zh", "-o", str(path)])
    assert done.exit_code == 0, done.output
    return path


def run(command: str, *arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["--quiet", command, *COMMANDS[command], *map(str, arguments)])


@pytest.fixture(autouse=True)
def log(tmp_path: Path, result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "compile.log").write_text("no super kernel here\n")
    monkeypatch.setitem(COMMANDS, "calibrate", ["--ledger", str(tmp_path / "ledger.sqlite")])
    monkeypatch.setitem(COMMANDS, "report", [str(result)])
    monkeypatch.setitem(COMMANDS, "verify", ["--compile-log", str(tmp_path / "compile.log")])


OWN_STARTS = {
    ".csv": r"^rank,step,",
    ".yaml": r"(?m)^(runs:|import )",
    ".toml": r"(?m)^(\[\[rule\]\]|# )",
    ".py": r"(?m)^import ",
    ".sh": r"(?m)^import |^# |_completion",
    ".fish": r"_completion",
}


def has_envelope(found: Any) -> bool:
    """Whether JSON is one object with what every answer has."""
    return (
        isinstance(found, dict)
        and found["status"] in STATUSES
        and found["answer"].strip() != ""
        and all(isinstance(step, str) and step for step in found["next"])
    )


def holds(path: Path) -> Any:
    """Proof that a file is of the format that its suffix names."""
    content = path.read_bytes()
    if path.suffix == ".xlsx":
        return openpyxl.load_workbook(io.BytesIO(content)).sheetnames
    if path.suffix == ".json":
        return has_envelope(json.loads(content))
    if path.suffix == ".gz":
        return json.loads(gzip.decompress(content))["traceEvents"]
    if path.suffix == ".parquet":
        return content.startswith(b"PAR1")
    if path.suffix in OWN_STARTS:
        return re.search(OWN_STARTS[path.suffix], content.decode())
    start = {".html": r"<!doctype html>", ".md": r"# \S", ".txt": r"(?!#|<)\S"}[path.suffix]
    return re.match(start, content.decode())


def test_every_command_is_here() -> None:
    from skadvisor import cli as module

    assert set(COMMANDS) == set(module.COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_writes_every_format(command: str, tmp_path: Path) -> None:
    files = [tmp_path / f"answer{suffix}" for suffix in SUFFIXES]
    done = run(command, *[part for file in files for part in ("-o", file)], "-o", "-", "--lang", "zh")
    assert done.exit_code == 0 or command == "verify", (done.output, done.exception)
    assert all(holds(file) for file in files)
    assert (tmp_path / "answer.txt").read_text() == done.stdout, "- is the whole text"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_writes_its_own_formats_and_refuses_those_of_others(command: str, tmp_path: Path) -> None:
    every = {suffix for own in OWN.values() for suffix in own}
    for suffix in sorted(every - OWN.get(command, set())):
        refused = run(command, "-o", tmp_path / f"x{suffix}")
        assert isinstance(refused.exception, InputError), (command, suffix)
    mine = sorted(OWN.get(command, set()) - {".diff", ".patch"})
    if mine:
        done = run(command, *[part for suffix in mine for part in ("-o", tmp_path / f"x{suffix}")])
        assert done.exit_code == 0, (done.output, done.exception)
        assert all(holds(tmp_path / f"x{suffix}") for suffix in mine)
    assert not [file for file in tmp_path.iterdir() if file.suffix in every and file.suffix not in OWN.get(command, ())
                and not file.name.endswith(".json.gz")]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_json_is_one_object_with_status_answer_and_next_command(command: str) -> None:
    found = json.loads(run(command, "--json").stdout)
    assert has_envelope(found) and found["schema_version"]
    assert found["command"] == ("analyze" if command == "report" else command)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("arguments", [["-o", "x.foo"], ["-o", "x"], ["-o", "no/x.md"], ["-o", "-", "--json"]])
def test_every_command_refuses_before_the_work(command: str, arguments: list[str]) -> None:
    done = run(command, *arguments)
    assert isinstance(done.exception, InputError) or done.exit_code == 2
    assert done.stdout == ""
