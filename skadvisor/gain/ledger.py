"""The ledger: an SQLite file of forecasts and of what became of them.

Records are only ever added: triggers refuse changes and deletions. Several processes may write at once; each record
is one transaction that waits for the others. The schema has a version (`PRAGMA user_version`) and is migrated step
by step when an older file is opened; a newer file is refused.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skadvisor.errors import InputError
from skadvisor.records import NOISE_PCT, find_template
from skadvisor.text.messages import _

if TYPE_CHECKING:
    from skadvisor.records import Result, Template

#: How long a process waits for another one's transaction, ms.
PATIENCE_MS = 20_000

#: One script per schema version; a file of version n has seen the first n.
MIGRATIONS = (
    """
    CREATE TABLE forecast (
        id INTEGER PRIMARY KEY,
        made_at TEXT NOT NULL,
        tool_version TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        capture TEXT NOT NULL,
        phase TEXT NOT NULL,
        template TEXT NOT NULL,
        step_us REAL NOT NULL,
        low_us REAL NOT NULL,
        mid_us REAL NOT NULL,
        high_us REAL NOT NULL,
        claim_low_pct REAL,
        claim_high_pct REAL,
        chosen INTEGER NOT NULL,
        features TEXT NOT NULL,
        UNIQUE (tool_version, fingerprint, phase, template, step_us, low_us, mid_us, high_us)
    );
    CREATE TABLE outcome (
        id INTEGER PRIMARY KEY,
        forecast INTEGER NOT NULL REFERENCES forecast (id),
        recorded_at TEXT NOT NULL,
        before_us REAL NOT NULL,
        after_us REAL NOT NULL,
        note TEXT NOT NULL
    );
    """,
    """
    CREATE INDEX forecast_of_capture ON forecast (fingerprint, template);
    CREATE TRIGGER forecast_stays BEFORE DELETE ON forecast BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END;
    CREATE TRIGGER forecast_holds BEFORE UPDATE ON forecast BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END;
    CREATE TRIGGER outcome_stays BEFORE DELETE ON outcome BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END;
    CREATE TRIGGER outcome_holds BEFORE UPDATE ON outcome BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END;
    """,
    """
    ALTER TABLE forecast ADD COLUMN model TEXT NOT NULL DEFAULT '';
    ALTER TABLE forecast ADD COLUMN tokens INTEGER;
    """,
    """
    ALTER TABLE forecast ADD COLUMN ceiling_us REAL;
    """,
)
#: A step this many times as long as the captured one, or a gain of so many ceilings, is a unit or a run mixed up.
MOST_APART = 2.0


#: Forecasts that agree in these columns are one (the UNIQUE constraint above).
_SAME_FORECAST = ("tool_version", "fingerprint", "phase", "template", "step_us", "low_us", "mid_us", "high_us")


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What was foretold for one template on one capture. Times are us per step; `id` is None until it is kept.

    `model` and `tokens` (rows of a step) say what ran, `ceiling_us` the most that could be won; empty and None in
    forecasts of older versions.
    """

    fingerprint: str
    capture: str
    phase: str
    template: str
    step_us: float
    low_us: float
    mid_us: float
    high_us: float
    claim_low_pct: float | None = None
    claim_high_pct: float | None = None
    chosen: bool = False
    features: dict[str, float]
    tool_version: str
    model: str = ""
    tokens: int | None = None
    ceiling_us: float | None = None
    made_at: str = ""
    id: int | None = None

    @property
    def mid_pct(self) -> float:
        """The middle of the forecast, percent of the step."""
        return 100.0 * self.mid_us / self.step_us

    def allows(self, outcome: Outcome) -> bool:
        """Whether an outcome can be one of this forecast: neither time, nor the gain, is beyond all that it knows."""
        if max(outcome.before_us, outcome.after_us) > MOST_APART * min(outcome.before_us, outcome.after_us):
            return False
        ceiling = None if self.ceiling_us is None else max(NOISE_PCT, 100.0 * self.ceiling_us / self.step_us)
        return ceiling is None or outcome.gain_pct <= MOST_APART * ceiling


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was measured after a forecast: the step before and after, us."""

    forecast: int
    before_us: float
    after_us: float
    note: str = ""
    recorded_at: str = ""

    @property
    def gain_pct(self) -> float:
        """The gain, percent of the step before."""
        return 100.0 * (self.before_us - self.after_us) / self.before_us


def default_path() -> Path:
    """The ledger in the user's data folder."""
    from platformdirs import user_data_path

    return user_data_path("skadvisor", appauthor=False) / "ledger.sqlite"


class Ledger:
    """An open ledger; use it as a context manager. Raises InputError where the file is no ledger or not writable."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, path: str | Path | None = None) -> Ledger:
        """Open a ledger, made new or migrated where necessary; without a path the user's own."""
        place = Path(path) if path is not None else default_path()
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(place, timeout=PATIENCE_MS / 1000, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                _("cannot open the ledger {place}: {error}"),
                _("choose another with --ledger PATH"),
                place=place,
                error=error,
            ) from error
        try:
            _prepare(connection, place)
        except sqlite3.Error as error:
            connection.close()
            raise InputError(
                _("{place} is no usable ledger: {error}"),
                _("choose another with --ledger PATH"),
                place=place,
                error=error,
            ) from error
        except InputError:
            connection.close()
            raise
        return cls(place, connection)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def add_forecast(self, forecast: Forecast) -> int:
        """Keep a forecast and return its number; the same forecast again is not kept twice."""
        _check_numbers(forecast.step_us, forecast.low_us, forecast.mid_us, forecast.high_us)
        row = asdict(forecast)
        del row["id"]
        row["made_at"] = forecast.made_at or _now()
        row["features"] = json.dumps(forecast.features, sort_keys=True, allow_nan=False)
        columns, values = ", ".join(row), ", ".join(f":{name}" for name in row)
        same = " AND ".join(f"{name} = :{name}" for name in _SAME_FORECAST)
        with self._transaction():
            self._connection.execute(f"INSERT OR IGNORE INTO forecast ({columns}) VALUES ({values})", row)
            found = self._connection.execute(f"SELECT id FROM forecast WHERE {same}", row).fetchone()
        return int(found[0])

    def add_outcome(self, outcome: Outcome) -> None:
        """Keep what was measured. Raises InputError for an unknown forecast and times that cannot be its outcome."""
        _check_numbers(outcome.before_us, outcome.after_us)
        if outcome.before_us <= 0 or outcome.after_us <= 0:
            raise InputError(_("the step times of an outcome must be positive"), _("give both in microseconds"))
        with self._transaction():
            known = self._connection.execute("SELECT * FROM forecast WHERE id = ?", (outcome.forecast,)).fetchone()
            if known is None:
                raise InputError(
                    _("the ledger has no forecast number {forecast}"),
                    _("list them with: skadvisor calibrate"),
                    forecast=outcome.forecast,
                )
            if not _forecast(dict(known)).allows(outcome):
                raise InputError(
                    _("{before:g} to {after:g} us is no outcome of forecast {number}: no scope moves a step so far"),
                    _("give both in microseconds, of the same model and batch"),
                    before=outcome.before_us,
                    after=outcome.after_us,
                    number=outcome.forecast,
                )
            same = (outcome.forecast, outcome.before_us, outcome.after_us)
            if self._connection.execute(
                "SELECT 1 FROM outcome WHERE forecast = ? AND before_us = ? AND after_us = ?", same
            ).fetchone():
                raise InputError(_("this outcome is in the ledger already"), _("list it with: skadvisor calibrate"))
            self._connection.execute(
                "INSERT INTO outcome (forecast, recorded_at, before_us, after_us, note) VALUES (?, ?, ?, ?, ?)",
                (outcome.forecast, outcome.recorded_at or _now(), outcome.before_us, outcome.after_us, outcome.note),
            )

    def forecasts(self, fingerprint: str | None = None, template: str | None = None) -> tuple[Forecast, ...]:
        """The forecasts, oldest first, of one capture or template where asked."""
        rows = self._connection.execute(
            "SELECT * FROM forecast WHERE (?1 IS NULL OR fingerprint = ?1) AND (?2 IS NULL OR template = ?2) "
            "ORDER BY id",
            (fingerprint, template),
        )
        return tuple(_forecast(dict(row)) for row in rows)

    def outcomes(self, forecast: int | None = None) -> tuple[Outcome, ...]:
        """The outcomes, oldest first, of one forecast where asked."""
        rows = self._connection.execute(
            "SELECT forecast, recorded_at, before_us, after_us, note FROM outcome "
            "WHERE (?1 IS NULL OR forecast = ?1) ORDER BY id",
            (forecast,),
        )
        return tuple(Outcome(**dict(row)) for row in rows)

    def pairs(self) -> tuple[tuple[Forecast, Outcome], ...]:
        """Each outcome with its forecast, oldest first, without those that the forecast does not allow.

        What an older version let in cannot be deleted, and would teach nothing but nonsense.
        """
        by_number = {forecast.id: forecast for forecast in self.forecasts()}
        pairs = ((by_number[outcome.forecast], outcome) for outcome in self.outcomes())
        return tuple((forecast, outcome) for forecast, outcome in pairs if forecast.allows(outcome))

    def gains_pct(self, model: str, tokens: int | None, template: str) -> tuple[float, ...]:
        """The gains, percent of the step, that were measured with this template on this model and number of rows."""
        if not model:
            return ()
        return tuple(
            outcome.gain_pct
            for forecast, outcome in self.pairs()
            if (forecast.model, forecast.tokens, forecast.template) == (model, tokens, template)
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._connection:  # commits, or rolls back where anything is raised
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                raise InputError(
                    _("cannot write to the ledger {path}: {error}"),
                    _("is it read-only or in use?"),
                    path=self.path,
                    error=error,
                ) from error
            yield


def record_forecasts(result: Result, path: str | Path | None = None) -> tuple[int, ...]:
    """Keep the forecasts of an analysis, one per template with an estimate; returns their numbers."""
    phase = result.phases.get(result.phase)
    if phase is None or not result.captures:
        return ()
    capture = result.captures[0]
    with Ledger.open(path) as ledger:
        return tuple(
            ledger.add_forecast(
                Forecast(
                    fingerprint=capture.fingerprint,
                    capture=capture.name,
                    phase=result.phase,
                    template=template.name,
                    step_us=phase.wall_us,
                    low_us=template.estimate.low_us,
                    mid_us=template.estimate.mid_us,
                    high_us=template.estimate.high_us,
                    claim_low_pct=template.claim.low_pct if template.claim else None,
                    claim_high_pct=template.claim.high_pct if template.claim else None,
                    chosen=template.name == result.recommendation.choice,
                    features=template.features,
                    model=result.layers.model,
                    tokens=phase.tokens,
                    ceiling_us=template.ceiling_us,
                    tool_version=result.tool.version,
                )
            )
            for template in _one_of_each(result.templates)
            if template.estimate is not None
        )


def _one_of_each(templates: Sequence[Template]) -> list[Template]:
    """One template of each name: of several variants the one that promises most."""
    found = (find_template(templates, name) for name in dict.fromkeys(template.name for template in templates))
    return [template for template in found if template is not None]


def _prepare(connection: sqlite3.Connection, place: Path) -> None:
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
    connection.execute("PRAGMA foreign_keys = ON")
    if _version(connection) < len(MIGRATIONS):
        _migrate(connection, place)
    if _version(connection) > len(MIGRATIONS):
        raise InputError(
            _("{place} was written by a newer skadvisor"), _("upgrade it: pip install -U skadvisor"), place=place
        )
    # Readers and a writer do not block each other; where the file system cannot do it, SQLite keeps its default.
    connection.execute("PRAGMA journal_mode = WAL")


def _migrate(connection: sqlite3.Connection, place: Path) -> None:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        begin = _version(connection)
        if begin == 0 and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise InputError(
                _("{place} is another program's database"), _("choose another with --ledger PATH"), place=place
            )
        for number, script in enumerate(MIGRATIONS[begin:], start=begin + 1):
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would commit the transaction they have to share."""
    collected = ""
    for line in script.splitlines():
        collected += line + "\n"
        if collected.strip() and sqlite3.complete_statement(collected):
            yield collected
            collected = ""


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _forecast(row: dict[str, Any]) -> Forecast:
    return Forecast(**row | {"features": json.loads(row["features"]), "chosen": bool(row["chosen"])})


def _check_numbers(*values: float) -> None:
    if not all(math.isfinite(value) for value in values):
        raise InputError(_("a time in the ledger must be a finite number"))


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
