"""The three checks that a scope has to pass: it was compiled in, the output is the same, and it is faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skadvisor.records import NOISE_PCT, Status
from skadvisor.text.messages import Message, _
from skadvisor.verification.compile_log import CompileLog, read_compile_logs
from skadvisor.verification.output_files import OutputCheck, compare_outputs
from skadvisor.verification.performance_files import compare_performance, read_performance


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check: `name` is compile, output or performance. A status of block means that it failed."""

    name: str
    status: Status
    message: Message


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The checks that were asked for, with what they rest on. `performance` is what performance.json holds."""

    checks: tuple[Check, ...]
    compile_log: CompileLog | None = None
    outputs: tuple[OutputCheck, ...] = ()
    performance: dict[str, Any] | None = None

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.status == "block")


def verify(
    compile_logs: Sequence[Path] = (),
    outputs: Sequence[tuple[Path, Path]] = (),
    performance: tuple[Sequence[Path], Sequence[Path]] | None = None,
    tolerance: float = 0.0,
) -> Verification:
    """Run the checks for which files are given.

    `outputs` are pairs (off, on), `performance` the files of both sides, one per run. `tolerance` is the largest
    absolute difference that still counts as the same output; 0 asks for identity.
    Raises InputError and NotEnoughError for files that cannot be used.
    """
    checks: list[Check] = []
    log = read_compile_logs(compile_logs) if compile_logs else None
    if log is not None:
        checks.append(_check_compile(log))
    compared = tuple(compare_outputs(off, on) for off, on in outputs)
    checks += [_check_output(result, tolerance) for result in compared]
    figures = None
    if performance is not None:
        figures = compare_performance(read_performance(performance[0]), read_performance(performance[1]))
        checks.append(_check_performance(figures))
    return Verification(checks=tuple(checks), compile_log=log, outputs=compared, performance=figures)


def _check_compile(log: CompileLog) -> Check:
    if log.built is None:
        return Check(
            name="compile",
            status="unknown",
            message=Message(
                _("nothing about SuperKernel in {lines} lines; raise the log level to INFO, or give sk_meta"),
                lines=log.lines,
            ),
        )
    if not log.built:
        return Check(
            name="compile",
            status="block",
            message=Message(_("no SuperKernel was built: {why}"), why="; ".join(str(item) for item in log.problems)),
        )
    scopes = ", ".join(scope.name for scope in log.scopes[:5]) + (", ..." if len(log.scopes) > 5 else "")
    cuts = sum(scope.cuts for scope in log.scopes)
    if log.left_out_count or cuts or log.problems:
        message = Message(
            _("SuperKernel was built for {count} scopes ({scopes}); {left_out} operators were left out, {cuts} cuts"),
            count=len(log.scopes),
            scopes=scopes,
            left_out=log.left_out_count,
            cuts=cuts,
        )
        return Check(name="compile", status="warn", message=message)
    message = Message(_("SuperKernel was built for {count} scopes ({scopes})"), count=len(log.scopes), scopes=scopes)
    return Check(name="compile", status="pass", message=message)


def _check_output(result: OutputCheck, tolerance: float) -> Check:
    if result.identical:
        return Check(name="output", status="pass", message=result.message)
    if result.largest is not None and result.largest <= tolerance:
        within = Message(
            _("{difference} (within the tolerance of {tolerance:g})"), difference=result.message, tolerance=tolerance
        )
        return Check(name="output", status="warn", message=within)
    return Check(name="output", status="block", message=result.message)


def _check_performance(figures: dict[str, Any]) -> Check:
    gain = float(figures["improvement_percent"])
    runs = min(figures["statistics"][side]["runs"] for side in ("baseline", "optimized"))
    values = {"metric": figures["metric"], "gain": gain, "runs": runs}
    if gain >= NOISE_PCT:
        status: Status = "pass" if runs > 1 else "warn"
        return Check(
            name="performance", status=status, message=Message(_("{metric}: {gain:+.2f} %, {runs} runs each"), **values)
        )
    if gain > -NOISE_PCT:
        message = Message(_("{metric}: {gain:+.2f} %, {runs} runs each, within the noise of 2 %"), **values)
        return Check(name="performance", status="warn", message=message)
    return Check(name="performance", status="block", message=Message(_("{metric}: {gain:+.2f} %, slower"), **values))
