"""What one stage decided the later ones repeat: variants, options, outcomes say the same in every command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from sample_builder.build import build
from sample_builder.catalogue import DEEPSEEK_V3

from skadvisor.analysis import analyze_capture
from skadvisor.cli import cli
from skadvisor.gain.ledger import Ledger, Outcome, record_forecasts
from skadvisor.options import Options, choose_options
from skadvisor.records import find_template

SAMPLE = Path(__file__).resolve().parents[1] / "profiles" / "dense-ge-decode"


def run(*arguments: str | Path) -> str:
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict:
    target = tmp_path_factory.mktemp("saved") / "a.json"
    run("analyze", SAMPLE, "--no-ledger", "-o", target)
    return json.loads(target.read_text())


@pytest.mark.parametrize("variant", ["a", "b"])
def test_the_plan_of_a_variant_shows_its_own_figures(variant: str, saved: dict, tmp_path: Path) -> None:
    target = tmp_path / "plan.json"
    options = ("--template", "attention-only", "--variant", variant, "--no-ledger")
    run("plan", SAMPLE, *options, "-o", target)
    plan = json.loads(target.read_text())
    found = [entry for entry in saved["templates"] if (entry["name"], entry["variant"]) == ("attention-only", variant)]
    assert len(found) == 1
    assert plan["variant"] == variant
    assert plan["expected"]["share"] == found[0]["share"]
    assert plan["expected"]["estimate"] == found[0]["estimate"]


def test_the_variants_hold_different_scopes(saved: dict) -> None:
    shares = {entry["variant"]: entry["share"] for entry in saved["templates"] if entry["name"] == "attention-only"}
    assert shares["a"] < shares["b"]


@pytest.mark.slow
def test_recorded_outcomes_count_in_every_command(tmp_path: Path) -> None:
    ledger = tmp_path / "l.sqlite"
    run("analyze", SAMPLE, "--ledger", ledger)
    from skadvisor import analyze

    first = analyze(SAMPLE).result
    for number in range(4):
        record_forecasts(first, ledger)
        with Ledger.open(ledger) as kept:
            forecast = kept.forecasts(first.captures[0].fingerprint, "full-model")[-1].id
            kept.add_outcome(Outcome(forecast=forecast, before_us=10_000, after_us=9_990 + number))
    (tmp_path / "out").mkdir()
    run("analyze", SAMPLE, "--ledger", ledger, "-o", tmp_path / "out" / "a.json")
    run("plan", SAMPLE, "--template", "full-model", "--ledger", ledger, "-o", tmp_path / "out" / "p.json")
    told = json.loads((tmp_path / "out" / "a.json").read_text())["templates"]
    estimate = next(entry["estimate"] for entry in told if entry["name"] == "full-model")
    before = find_template(first.templates, "full-model")
    assert before is not None and before.estimate is not None
    assert estimate["mid_us"] != before.estimate.mid_us, "outcomes change the estimate"
    assert json.loads((tmp_path / "out" / "p.json").read_text())["expected"]["estimate"] == estimate
    measured = next(entry["measured"] for entry in told if entry["name"] == "full-model")
    assert (measured["runs"], measured["mid_pct"]) == (4, pytest.approx(0.085))
    advice = json.loads((tmp_path / "out" / "a.json").read_text())["recommendation"]
    assert advice["choice"] != "full-model", "what was measured overrides the forecast"
    compared = run("compare", SAMPLE, SAMPLE, "--template", "full-model", "--ledger", ledger, "--lang", "en")
    assert compared


def test_pictures_show_the_fragments_of_the_template_that_the_report_speaks_of() -> None:
    found = analyze_capture(build(replace(DEEPSEEK_V3, layers=5), steps=3, seed=5).capture)
    shown = found.result.typical_layers
    fragments = {kernel.fragment for layer in shown for kernel in layer.kernels if kernel.fragment is not None}
    assert fragments
    assert max(fragments) < max(t.fragments.count for t in found.result.templates if t.fragments)


def test_options_are_one_record() -> None:
    assert choose_options(None, {"rules": "mine.toml", "tpot_ms": 20}) == Options(
        rules=(Path("mine.toml"),), tpot_ms=20
    )
    with pytest.raises(TypeError, match="no such option: tpot"):
        choose_options(None, {"tpot": 20})
