"""A saved result answers as the capture does, in every command; and what cannot be read back says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import REPOSITORY

import skadvisor
from skadvisor.cli import cli
from skadvisor.comparison.screened import read_screening
from skadvisor.errors import InputError, NotEnoughError
from skadvisor.records import to_json

pytestmark = pytest.mark.slow

PROFILES = REPOSITORY / "profiles"


def run(*words: str | Path) -> str:
    done = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("results")
    made = {}
    for name in ("superkernel-off", "superkernel-on"):
        made[name] = folder / f"{name}.json"
        files = [made[name], folder / f"{name}.html", folder / f"{name}.md", folder / f"{name}.json.gz"]
        run(
            "analyze",
            PROFILES / name,
            "--no-ledger",
            "--lang",
            "en",
            *(word for file in files for word in ("-o", file)),
        )
    return made


@pytest.mark.parametrize(
    "words",
    [
        ["plan", "superkernel-off", "--template", "full-model"],
        ["plan", "superkernel-off"],
        ["screen", "superkernel-off"],
        ["compare", "superkernel-off", "superkernel-on"],
        ["kernels", "superkernel-off"],
        ["explain", "superkernel-off", "--kernel", "rope"],
        ["analyze", "superkernel-on"],
    ],
)
def test_a_saved_result_answers_as_its_capture(words: list[str], saved: dict[str, Path]) -> None:
    rest = ["--lang", "en", "--no-ledger", "-o", "-"]
    answers = [run(*(where.get(word, word) for word in words), *rest) for where in (saved, captures())]
    assert answers[0] == answers[1]


def captures() -> dict[str, Path]:
    return {name: PROFILES / name for name in ("superkernel-off", "superkernel-on")}


@pytest.mark.parametrize("suffix", [".json", ".html", ".md", ".json.gz"])
def test_reports_of_a_saved_result_are_those_of_the_analysis(
    suffix: str, saved: dict[str, Path], tmp_path: Path
) -> None:
    run("report", saved["superkernel-off"], "-o", tmp_path / f"again{suffix}")
    first = saved["superkernel-off"].with_suffix("").with_suffix(suffix)
    assert (tmp_path / f"again{suffix}").read_bytes() == first.read_bytes()


def test_a_saved_result_speaks_its_language_and_another_when_asked(saved: dict[str, Path]) -> None:
    assert "Try" in run("report", saved["superkernel-off"]).splitlines()[0]
    assert "建议" in run("report", saved["superkernel-off"], "--lang", "zh").splitlines()[0]


@pytest.mark.parametrize("command", ["plan", "compare", "doctor", "screen", "verify"])
def test_other_answers_are_shown_again(command: str, tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_text("EVENT: find super kernel sub op a(Cast), super_scope_name x, stream_id 0\n")
    words: dict[str, list[Any]] = {
        "plan": [PROFILES / "dense-ge-decode", "--template", "attention-only", "--no-ledger"],
        "compare": [*captures().values(), "--no-ledger"],
        "doctor": [PROFILES / "dense-ge-decode"],
        "screen": [PROFILES / "moe-decode", "--no-ledger"],
        "verify": ["--compile-log", log],
    }
    files = [tmp_path / "a.json", tmp_path / "a.html"]
    arguments = [command, *words[command], "--lang", "en", *(part for file in files for part in ("-o", file))]
    CliRunner().invoke(cli, [str(word) for word in arguments])
    run("report", files[0], "-o", tmp_path / "b.html")
    assert (tmp_path / "b.html").read_text() == files[1].read_text()


def test_options_of_the_saved_analysis_hold(tmp_path: Path) -> None:
    sample = PROFILES / "dense-ge-decode"
    first = skadvisor.analyze(sample, tpot_ms=30, risk="high", hardware="A3")
    path = first.write(tmp_path / "a.json")
    assert to_json(skadvisor.analyze(path).result) == to_json(first.result)
    assert skadvisor.analyze(path, tpot_ms=40).options.tpot_ms == 40


def damage(path: Path, change: dict[str, Any]) -> Path:
    content = json.loads(path.read_text())
    content.update(change)
    damaged = path.with_name("damaged.json")
    damaged.write_text(json.dumps(content))
    return damaged


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema_version": "9.7"}, "has schema version 9.7, this skadvisor reads"),
        ({"capture": None}, "is a result without the kernels that this needs"),
        ({"capture": {"kernels": "AAAA"}}, "is damaged"),
        ({"capture": 5}, "is damaged"),
    ],
)
def test_what_cannot_be_read_back_says_why(change: dict[str, Any], said: str, saved: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=said):
        skadvisor.analyze(damage(saved["superkernel-off"], change))


def test_tables_that_are_no_parquet_are_damage(saved: dict[str, Path]) -> None:
    capture = json.loads(saved["superkernel-off"].read_text())["capture"]
    with pytest.raises(InputError, match="its kernels cannot be read back"):
        skadvisor.load(damage(saved["superkernel-off"], {"capture": {**capture, "kernels": "gASVAAAA"}}))


def test_a_redacted_result_keeps_no_kernels_and_no_path(tmp_path: Path) -> None:
    run("analyze", PROFILES / "dense-ge-decode", "--no-ledger", "--redact", "-o", tmp_path / "r.json")
    text = (tmp_path / "r.json").read_text()
    assert str(REPOSITORY) not in text and "capture" not in json.loads(text)
    assert run("report", tmp_path / "r.json")


def filled(tmp_path: Path, times: dict[str, list[float]]) -> Path:
    from ruamel.yaml import YAML

    path = tmp_path / "sheet.yaml"
    run("screen", PROFILES / "moe-decode", "--no-ledger", "-o", path, "--force")
    sheet = YAML(typ="safe").load(path.read_text())
    for line in sheet["runs"]:
        line["decode_latency_ms"] = times.get(line["kind"], [])
    with path.open("w") as file:
        YAML().dump(sheet, file)
    return path


@pytest.mark.parametrize(
    ("times", "best", "decision"),
    [
        ({"baseline": [10.0, 10.1, 9.9, 10.0], "screen": [9.0, 9.1, 9.0, 9.05]}, True, "go_on"),
        ({"baseline": [10.0, 10.1, 9.9, 10.0], "screen": [10.0, 10.05, 9.95, 10.0]}, False, "stop"),
        ({"baseline": [10.0, 10.1, 9.9, 10.0], "screen": [11.0, 11.1, 11.0]}, False, "stop"),
        ({"baseline": [10.0, 10.1, 9.9, 10.0], "screen": [9.0]}, False, "more_runs"),
        ({"baseline": [10.0, 10.1, 9.9, 10.0]}, False, "not_run"),
    ],
)
def test_a_sheet_comes_back_and_is_judged(
    times: dict[str, list[float]], best: bool, decision: str, tmp_path: Path
) -> None:
    path = filled(tmp_path, times)
    found = read_screening(path)
    screened = [one for one in found.runs if one.kind == "screen"]
    assert screened and all(one.decision == decision for one in screened)
    assert (found.best is not None) == best
    if decision in ("more_runs", "not_run"):
        assert found.next_run is not None
    assert run("screen", path, "--lang", "en")


def test_what_a_sheet_measured_has_the_interval_of_a_comparison(tmp_path: Path) -> None:
    """A recompile is in it below three runs a side; one run, or times all alike, have none."""
    base = [10.0, 10.1, 9.9, 10.0]

    def screened(*times: float) -> Any:
        return next(
            one
            for one in read_screening(filled(tmp_path, {"baseline": base, "screen": list(times)})).runs
            if one.kind == "screen"
        )

    one, two, three = screened(9.0), screened(9.0, 9.1), screened(9.0, 9.1, 9.0)
    assert one.gain_pct == 10.0 and (one.gain_low_pct, one.gain_high_pct, one.inside) == (None, None, None)
    assert two.gain_low_pct < two.gain_pct - 1.96 * 2 and three.gain_low_pct > three.gain_pct - 2.5
    base = [10.0] * 3
    alike = screened(9.0, 9.0, 9.0)
    assert (alike.decision, alike.gain_low_pct, alike.inside) == ("go_on", None, None)


def test_a_unit_that_slipped_is_refused(tmp_path: Path) -> None:
    for times in ({"baseline": [10_000.0] * 3, "screen": [9.5] * 3}, {"baseline": [10.0, 10.1, 0.01]}):
        with pytest.raises(InputError, match="no scope moves a step that far"):
            read_screening(filled(tmp_path, times))


def test_a_sheet_without_times_or_with_other_content_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotEnoughError, match="no times of the baseline"):
        read_screening(filled(tmp_path, {}))
    for text in ("runs: 5", "{", "a: !!python/object/apply:os.system ['true']", "runs:\n- name: x"):
        (tmp_path / "x.yaml").write_text(text)
        with pytest.raises(InputError, match="is no screening sheet"):
            read_screening(tmp_path / "x.yaml")
