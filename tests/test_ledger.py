"""The ledger keeps every forecast and outcome, from several processes, through versions."""

from __future__ import annotations

import multiprocessing
import re
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from skadvisor import analyze
from skadvisor.commands.calibrate import calibrate_command
from skadvisor.errors import InputError
from skadvisor.gain import ledger as ledgers
from skadvisor.gain.ledger import Forecast, Ledger, Outcome
from skadvisor.gain.refit import FEATURES, own_observations, refit_model

FORECAST = Forecast(
    fingerprint="abc",
    capture="run1",
    phase="decode",
    template="attention-only",
    step_us=10_000.0,
    low_us=50.0,
    mid_us=300.0,
    high_us=700.0,
    claim_low_pct=10.0,
    claim_high_pct=15.0,
    chosen=True,
    features={"overhead_pct": 6.0, "step": 1.0, "shared": 0.0},
    tool_version="0.1.0",
)


def test_what_goes_in_comes_out(tmp_path):
    with Ledger.open(tmp_path / "new" / "l.sqlite") as ledger:
        number = ledger.add_forecast(FORECAST)
        ledger.add_outcome(Outcome(forecast=number, before_us=10_000.0, after_us=9_800.0, note="batch 16"))
    with Ledger.open(tmp_path / "new" / "l.sqlite") as ledger:
        (forecast,) = ledger.forecasts()
        ((paired, outcome),) = ledger.pairs()
    assert replace(forecast, id=None, made_at="") == FORECAST
    assert paired == forecast
    assert outcome.gain_pct == pytest.approx(2.0)
    assert outcome.note == "batch 16"


def test_the_same_forecast_is_kept_once_and_another_beside_it(tmp_path):
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        first = ledger.add_forecast(FORECAST)
        assert ledger.add_forecast(FORECAST) == first
        assert ledger.add_forecast(replace(FORECAST, mid_us=310.0)) != first
        assert len(ledger.forecasts()) == 2
        assert len(ledger.forecasts("abc", "moe-only")) == 0


def test_nothing_can_be_changed_or_deleted(tmp_path):
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        number = ledger.add_forecast(FORECAST)
        ledger.add_outcome(Outcome(forecast=number, before_us=2.0, after_us=1.0))
    connection = sqlite3.connect(tmp_path / "l.sqlite")
    for statement in ("DELETE FROM forecast", "UPDATE outcome SET after_us = 0", "DELETE FROM outcome"):
        with pytest.raises(sqlite3.DatabaseError, match="only grows"):
            connection.execute(statement)


def add_many(path, process, count):
    with Ledger.open(path) as ledger:
        for turn in range(count):
            number = ledger.add_forecast(replace(FORECAST, fingerprint=f"{process}-{turn}"))
            ledger.add_outcome(Outcome(forecast=number, before_us=100.0, after_us=99.0))


@pytest.mark.slow
def test_several_processes_lose_nothing(tmp_path):
    path = tmp_path / "l.sqlite"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=add_many, args=(path, process, 15)) for process in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    with Ledger.open(path) as ledger:
        assert len(ledger.pairs()) == 60
        assert len({forecast.fingerprint for forecast in ledger.forecasts()}) == 60


def test_an_older_schema_is_migrated_with_its_records(tmp_path, monkeypatch):
    path = tmp_path / "l.sqlite"
    with monkeypatch.context() as older:
        older.setattr(ledgers, "MIGRATIONS", ledgers.MIGRATIONS[:1])
        Ledger.open(path).close()
    with sqlite3.connect(path) as older_file:
        older_file.execute(
            "INSERT INTO forecast (made_at, tool_version, fingerprint, capture, phase, template, step_us, low_us, "
            "mid_us, high_us, chosen, features) VALUES ('', '0', 'f', 'c', 'decode', 't', 1.0, 0.0, 0.0, 0.0, 0, '{}')"
        )
    with Ledger.open(path) as ledger:
        (kept,) = ledger.forecasts()
        assert (kept.model, kept.tokens) == ("", None)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(ledgers.MIGRATIONS)
    with pytest.raises(sqlite3.DatabaseError, match="only grows"):
        connection.execute("DELETE FROM forecast")


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "l.sqlite"
    with Ledger.open(path) as ledger:
        ledger.add_forecast(FORECAST)
    before = len(ledgers.MIGRATIONS)
    broken = (*ledgers.MIGRATIONS, "CREATE TABLE extra (id INTEGER);\nCREATE TABLE extra (id INTEGER);")
    with monkeypatch.context() as newer:
        newer.setattr(ledgers, "MIGRATIONS", broken)
        with pytest.raises(InputError):
            Ledger.open(path)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == before
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'extra'").fetchone()[0] == 0


@pytest.mark.parametrize("content", [b"this is no database at all, just some text that is long enough" * 20, None])
def test_files_that_are_no_ledger_are_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "other.sqlite"
    if content is None:
        sqlite3.connect(path).execute("CREATE TABLE someone_elses (x)").connection.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(InputError):
        Ledger.open(path)
    assert path.read_bytes() == before


def test_a_newer_ledger_is_refused(tmp_path):
    path = tmp_path / "l.sqlite"
    with Ledger.open(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(InputError, match="newer"):
        Ledger.open(path)


@pytest.mark.parametrize(("before", "after"), [(0.0, 1.0), (1.0, -1.0), (float("nan"), 1.0), (float("inf"), 1.0)])
def test_impossible_outcomes_are_refused(tmp_path, before, after):
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        number = ledger.add_forecast(FORECAST)
        with pytest.raises(InputError):
            ledger.add_outcome(Outcome(forecast=number, before_us=before, after_us=after))
        with pytest.raises(InputError, match="no forecast number"):
            ledger.add_outcome(Outcome(forecast=number + 1, before_us=1.0, after_us=1.0))
        assert ledger.outcomes() == ()


CEILED = replace(FORECAST, model="m", tokens=16, ceiling_us=800.0)


@pytest.mark.parametrize(("before", "after"), [(10_000, 10.0), (10_000, 8_000), (10_000, 21_000)])
def test_no_outcome_lies_far_beyond_the_ceiling(tmp_path, monkeypatch, before, after):
    """It is refused, and one that an older version let in moves neither the model nor what was measured."""
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        number = ledger.add_forecast(CEILED)
        outcome = Outcome(forecast=number, before_us=before, after_us=after)
        with pytest.raises(InputError, match="no scope moves a step so far"):
            ledger.add_outcome(outcome)
        with monkeypatch.context() as older:
            older.setattr(ledgers.Forecast, "allows", lambda *_given: True)
            ledger.add_outcome(outcome)
        assert ledger.outcomes() and ledger.pairs() == () and ledger.gains_pct("m", 16, FORECAST.template) == ()
        assert refit_model(ledger) is None
        ledger.add_outcome(Outcome(forecast=number, before_us=10_000, after_us=9_000))
        assert ledger.gains_pct("m", 16, FORECAST.template) == (10.0,)


@pytest.mark.parametrize("before", ["10", "2500", "10000000"])
def test_calibrate_refuses_the_step_of_another_unit(tmp_path, before):
    path = tmp_path / "l.sqlite"
    with Ledger.open(path) as ledger:
        number = ledger.add_forecast(CEILED)
    typed = ["--ledger", str(path), "--add", str(number), "--before-us", before, "--after-us", before]
    found = CliRunner().invoke(calibrate_command, typed)
    assert isinstance(found.exception, InputError) and "10000 us" in found.exception.message


def test_an_analysis_keeps_the_ceiling_with_its_forecast(tmp_path, analysed):
    ledgers.record_forecasts(analysed.result, tmp_path / "l.sqlite")
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        assert all(one.ceiling_us > one.high_us for one in ledger.forecasts())


@pytest.fixture(scope="module")
def analysed():
    return analyze(Path(__file__).resolve().parents[1] / "profiles" / "dense-ge-decode")


def test_an_analysis_leaves_its_forecasts_and_learns_from_their_outcomes(tmp_path, analysed):
    path = tmp_path / "l.sqlite"
    numbers = ledgers.record_forecasts(analysed.result, path)
    estimates = {t.name: t.estimate for t in analysed.result.templates if t.estimate}
    with Ledger.open(path) as ledger:
        kept = {forecast.template: forecast for forecast in ledger.forecasts()}
    assert len(numbers) == len(kept) == len(estimates)
    assert all(kept[name].mid_us == estimate.mid_us for name, estimate in estimates.items())
    assert {f.template for f in kept.values() if f.chosen} == {analysed.result.recommendation.choice} - {"none"}
    assert ledgers.record_forecasts(analysed.result, path) == numbers
    fingerprint = analysed.result.captures[0].fingerprint
    with Ledger.open(path) as ledger:
        (number,) = (forecast.id for forecast in ledger.forecasts(fingerprint, "full-model"))
        ledger.add_outcome(Outcome(forecast=number, before_us=22_000.0, after_us=20_000.0))
        assert set(kept["full-model"].features) == set(FEATURES)
        (own,) = own_observations(ledger)
        assert own.gain_pct == pytest.approx(100 / 11) and own.level == "step" and own.overhead_pct > 0
        assert refit_model(ledger).population.nets[-1] == own.net


def test_only_forecasts_with_features_are_learned_from(tmp_path):
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        assert refit_model(ledger) is None
        bare = ledger.add_forecast(replace(FORECAST, features={}))
        ledger.add_outcome(Outcome(forecast=bare, before_us=100.0, after_us=90.0))
        assert own_observations(ledger) == ()


def test_calibrate_lists_adds_and_refits(tmp_path):
    path = tmp_path / "l.sqlite"
    run = CliRunner().invoke
    empty = run(calibrate_command, ["--ledger", str(path)])
    assert empty.exit_code == 0 and "No forecasts yet" in empty.output
    with Ledger.open(path) as ledger:
        number = ledger.add_forecast(FORECAST)
    listed = run(calibrate_command, ["--ledger", str(path)])
    assert re.search(r"attention-only .*3\.0", listed.output)
    added = run(
        calibrate_command,
        ["--ledger", str(path), "--add", str(number), "--before-us", "10000", "--after-us", "9900"],
    )
    assert added.exit_code == 0
    assert re.search(r" 1\.0 +\+2\.0", added.output) and "1 of 1 inside the interval" in added.output
    assert "1 outcomes of yours" in added.output


def test_calibrate_refuses_half_an_outcome(tmp_path):
    result = CliRunner().invoke(calibrate_command, ["--ledger", str(tmp_path / "l.sqlite"), "--add", "1"])
    assert isinstance(result.exception, InputError) and "--before-us" in result.exception.message
