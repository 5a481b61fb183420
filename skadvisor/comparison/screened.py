"""A screening sheet that comes back with measured times: what each run showed, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from skadvisor.comparison import statistics
from skadvisor.comparison.statistics import CV_REFUSES_PCT, FEWEST, Interval, Spread
from skadvisor.errors import InputError, NotEnoughError
from skadvisor.text.messages import Message, _

LARGEST_BYTES = 1 << 20
#: Steps of one model and batch are not this many times as long as each other: a unit slipped.
MOST_APART = 3
Decision = Literal["go_on", "stop", "more_runs", "not_run"]


@dataclass(frozen=True, kw_only=True)
class _Filled:
    """A run of the sheet as it was typed; `decode_latency_ms` has one median per run, of a confirmation off, on, ..."""

    name: str
    kind: Literal["baseline", "smoke_test", "screen", "confirm"]
    repeats: int
    expected_pct: Interval | None = None
    decode_latency_ms: list[float] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Sheet:
    runs: list[_Filled]


@dataclass(frozen=True, kw_only=True)
class Screened:
    """One run of the sheet. `gain_` is percent of the baseline, None where nothing was measured.

    Its interval holds what another compilation moves, as that of `compare`; None where times do not differ, or one run
    a side was measured. `inside` says whether a gain with an interval lies in the one that was foretold.
    """

    name: str
    kind: str
    times: int
    repeats: int
    spread: Spread | None
    gain_pct: float | None
    gain_low_pct: float | None
    gain_high_pct: float | None
    inside: bool | None
    decision: Decision
    reason: Message


@dataclass(frozen=True, kw_only=True)
class Screening:
    """The runs in order, the fastest scope that is shown to be faster (None), and the run to do next (None: done)."""

    runs: tuple[Screened, ...]
    best: str | None
    next_run: str | None


def is_sheet(path: Path) -> bool:
    """Whether a path is a file called like a screening sheet."""
    return path.suffix.lower() in (".yaml", ".yml") and path.is_file()


def read_screening(path: Path) -> Screening:
    """Judge the measured times of a sheet that `screen -o sheet.yaml` wrote and a user filled in.

    Raises InputError for a file that is no such sheet, NotEnoughError where no baseline was measured.
    """
    sheet = _read(path)
    base = next((run.decode_latency_ms for run in sheet.runs if run.kind == "baseline"), [])
    if not base:
        raise NotEnoughError(
            _("{path} holds no times of the baseline"),
            _("Fill in decode_latency_ms: the median decode step of each run."),
            path=path,
        )
    runs = tuple(_judge(run, base) for run in sheet.runs)
    gains = {run.name: run.gain_pct for run in runs if run.kind == "screen" and run.decision == "go_on"}
    best = max(gains, key=lambda name: gains[name] or 0.0, default=None)
    waiting = [run for run in runs if run.decision in ("not_run", "more_runs")]
    if best is None:
        waiting = [run for run in waiting if run.kind != "confirm"]
    return Screening(runs=runs, best=best, next_run=waiting[0].name if waiting else None)


def _read(path: Path) -> _Sheet:
    import msgspec
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise InputError(_("{path} is too large for a screening sheet"), path=path)
        data: Any = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        sheet = msgspec.convert(data, _Sheet)
    except OSError as problem:
        raise InputError(
            _("{path} cannot be read: {strerror}"), _("Check the path."), path=path, strerror=problem.strerror
        ) from None
    except (YAMLError, UnicodeDecodeError, msgspec.ValidationError, RecursionError) as error:
        why = " ".join(str(error).split())[:200]
        raise InputError(
            _("{path} is no screening sheet: {why}"),
            _("Make one: skadvisor screen CAPTURE -o sheet.yaml"),
            path=path,
            why=why,
        ) from None
    wrong = next((value for run in sheet.runs for value in run.decode_latency_ms if not 0 < value < 1e7), None)
    if wrong is not None:
        raise InputError(
            _("{path} has a time of {wrong:g} ms"), _("Times are milliseconds above 0."), path=path, wrong=wrong
        )
    times = [value for run in sheet.runs for value in run.decode_latency_ms]
    if times and max(times) > MOST_APART * min(times):
        raise InputError(
            _("{path} has times of {low:g} and of {high:g} ms: no scope moves a step that far"),
            _("Times are milliseconds above 0."),
            path=path,
            low=min(times),
            high=max(times),
        )
    return sheet


def _judge(run: _Filled, base: Sequence[float]) -> Screened:
    off, times = base, run.decode_latency_ms
    if run.kind == "confirm":
        off, times = times[0::2], times[1::2]
    gain = statistics.improvement_pct(off, times) if run.kind != "baseline" and off and times else None
    few = min(len(off), len(times))
    judged = None if gain is None else statistics.with_recompile(gain, few)
    decision, reason = _decide(run, few, times, gain, judged)
    expected = run.expected_pct
    shown = None if judged is None or few < 2 or judged.low == judged.high else judged
    return Screened(
        name=run.name,
        kind=run.kind,
        times=len(run.decode_latency_ms),
        repeats=run.repeats,
        spread=statistics.describe([1000 * value for value in times]) if times else None,
        gain_pct=None if gain is None else round(gain.mid, 3),
        gain_low_pct=None if shown is None else round(shown.low, 3),
        gain_high_pct=None if shown is None else round(shown.high, 3),
        inside=None if shown is None or expected is None else expected.low <= shown.mid <= expected.high,
        decision=decision,
        reason=reason,
    )


def _decide(
    run: _Filled, few: int, times: Sequence[float], gain: Interval | None, judged: Interval | None
) -> tuple[Decision, Message]:
    if not times:
        return "not_run", Message(_("not run yet"))
    if run.kind == "smoke_test":
        return "go_on", Message(_("it runs; compare the outputs before anything wider"))
    if few < FEWEST:
        return "more_runs", Message(_("{count} runs a side, at least {few} are needed"), count=few, few=FEWEST)
    if run.kind == "baseline" or gain is None or judged is None:
        cv = statistics.describe(times).cv_pct or 0.0
        if cv > CV_REFUSES_PCT:
            return "stop", Message(_("it varies by {cv:.1f} %: find the cause first"), cv=cv)
        return "go_on", Message(_("it varies by {cv:.1f} %"), cv=cv)
    shown = statistics.judge(gain, judged)
    if shown == "faster":
        return "go_on", Message(_("faster than the noise"))
    if shown in ("same", "slower"):
        return "stop", Message(_("slower") if shown == "slower" else _("within the noise"))
    return "more_runs", Message(_("the interval still holds gain and loss"))
