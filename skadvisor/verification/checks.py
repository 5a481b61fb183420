"""The three checks that a scope has to pass: it was compiled in, the output is the same, and it is faster.

A check is proven, refuted, or not proven; then it names the command that would prove it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from skadvisor.comparison import statistics
from skadvisor.comparison.statistics import Interval, Shown
from skadvisor.errors import InputError, NotEnoughError
from skadvisor.records import NOISE_PCT
from skadvisor.text.messages import Message, _, listed
from skadvisor.verification.compile_log import CompileLog, read_compile_logs
from skadvisor.verification.log_text import log_files
from skadvisor.verification.output_files import OUTPUT_SUFFIXES, OutputCheck, compare_outputs
from skadvisor.verification.performance_files import (
    DECIDING,
    METRICS,
    Measured,
    compare_performance,
    read_performance,
    stated_performance,
)

Answer = Literal["proven", "refuted", "not_proven"]
CheckName = Literal["compile", "output", "performance"]

#: What proves it. Sources: CANN's log reference; graph-autofusion, super_kernel/src/aot.
_PROVE: dict[CheckName, str] = {
    "compile": (
        "export ASCEND_GLOBAL_LOG_LEVEL=1 ASCEND_PROCESS_LOG_PATH=$PWD/plog ASCEND_OP_COMPILE_SAVE_KERNEL_META=1\n"
        "# run it again, then:\n"
        "skadvisor verify --compile-log plog --compile-log sk_meta"
    ),
    "output": "skadvisor verify --outputs off.txt on.txt",
    "performance": (
        "skadvisor verify --before off-1.log --before off-2.log --before off-3.log "
        "--after on-1.log --after on-2.log --after on-3.log"
    ),
}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check. `prove` is what to type where it is not proven."""

    name: CheckName
    answer: Answer
    message: Message
    prove: str = ""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The checks that were asked for, with what they rest on. `performance` is what performance.json holds."""

    checks: tuple[Check, ...]
    compile_log: CompileLog | None = None
    outputs: tuple[OutputCheck, ...] = ()
    performance: dict[str, Any] | None = None


def verify(
    compile_logs: Sequence[Path] = (),
    outputs: Sequence[tuple[Path, Path]] = (),
    performance: tuple[Sequence[Path], Sequence[Path]] | None = None,
    tolerance: float = 0.0,
) -> Verification:
    """Run the checks for which files are given.

    `outputs` are pairs (off, on) of files, or of folders that hold the same files. `performance` are the files of both
    sides, one per run; one side alone may be a comparison that has `improvement_percent`. `tolerance` is the largest
    absolute difference of numbers that still counts as the same output; 0 asks for identity. Raises InputError and
    NotEnoughError for files that cannot be used.
    """
    checks: list[Check] = []
    log = read_compile_logs(compile_logs) if compile_logs else None
    if log is not None:
        checks.append(_check_compile(log))
    compared = tuple(compare_outputs(off, on) for pair in outputs for off, on in _files_of(*pair))
    checks += [_check_output(result, tolerance) for result in compared]
    figures = None
    if performance is not None:
        try:
            figures, check = _check_performance(*performance)
        except NotEnoughError as error:
            check = _answered("performance", "not_proven", Message(_("nothing to compare: {text}"), text=error.message))
        checks.append(check)
    return Verification(checks=tuple(checks), compile_log=log, outputs=compared, performance=figures)


def _files_of(off: Path, on: Path) -> list[tuple[Path, Path]]:
    """The pair itself; of two folders the files of the same name."""
    if not (off.is_dir() and on.is_dir()):
        return [(off, on)]
    found = [(side, log_files(side, _PROVE["output"], suffixes=OUTPUT_SUFFIXES)) for side in (off, on)]
    names = [{file.relative_to(side) for file in files} for side, files in found]
    if names[0] != names[1]:
        lone = min(names[0] ^ names[1])
        raise InputError(
            _("{lone} is in one of {off} and {on} only"),
            _("Name the files: --outputs OFF ON"),
            lone=lone,
            off=off,
            on=on,
        )
    return [(off / name, on / name) for name in sorted(names[0])]


def _answered(name: CheckName, answer: Answer, message: Message) -> Check:
    return Check(name=name, answer=answer, message=message, prove=_PROVE[name] if answer == "not_proven" else "")


def _check_compile(log: CompileLog) -> Check:
    if log.failures:
        why = listed(log.failures, "; ")
        return _answered("compile", "refuted", Message(_("it was not compiled in, or failed: {why}"), why=why))
    if log.built is False:
        why = listed(log.problems, "; ")
        return _answered("compile", "refuted", Message(_("no SuperKernel was built: {why}"), why=why))
    if log.built is None:
        return _answered("compile", "not_proven", _what_is_missing(log))
    scopes = ", ".join(scope.name for scope in log.scopes[:5]) + (", ..." if len(log.scopes) > 5 else "")
    cuts = sum(scope.cuts for scope in log.scopes)
    template = (
        _("SuperKernel was built, scopes: {count} ({scopes}); operators left out: {left_out}, cuts: {cuts}")
        if log.left_out_count or cuts
        else _("SuperKernel was built, scopes: {count} ({scopes})")
    )
    message = Message(template, count=len(log.scopes), scopes=scopes, left_out=log.left_out_count, cuts=cuts)
    return _answered("compile", "proven", message)


def _what_is_missing(log: CompileLog) -> Message:
    if log.left_out:
        names = list(dict.fromkeys(item.op_type or item.name for item in log.left_out))
        cut = any(scope.cuts for scope in log.scopes)
        return Message(
            _("{names} was refused and cut the scope; whether a SuperKernel was built needs the log at INFO")
            if cut
            else _("{names} was refused; whether a SuperKernel was built needs the log at INFO"),
            names=", ".join(names[:5]),
        )
    if log.spoke:
        return Message(_("the log speaks of graphs without SuperKernel only, such as prefill; decode needs INFO"))
    if log.mention:
        return Message(
            _("the log does not say whether a SuperKernel was built; it names it in: {text}"), text=log.mention
        )
    return Message(_("nothing about SuperKernel in {lines} lines"), lines=log.lines)


def _check_output(result: OutputCheck, tolerance: float) -> Check:
    if not (result.compared or result.different):
        return _answered("output", "not_proven", result.message)
    within = result.largest is not None and result.largest <= tolerance
    if not (result.identical or within):
        return _answered("output", "refuted", result.message)
    said = result.message
    if not result.identical:
        text = _("{difference} (within the tolerance of {tolerance:g})")
        said = Message(text, difference=said, tolerance=tolerance)
    if result.shows_output:
        return _answered("output", "proven", said)
    text = _("{said}; this proves nothing: no generated text, value or array is in it, or the run broke off")
    return _answered("output", "not_proven", Message(text, said=said))


def _check_performance(before: Sequence[Path], after: Sequence[Path]) -> tuple[dict[str, Any], Check]:
    if not (before and after):
        figures = stated_performance(read_performance([*before, *after]))
        gain = float(figures["improvement_percent"])
        stated = Interval(gain, gain, gain)
        said = Message(_("{gain:+.2f} % as the file states"), gain=gain)
        return figures, _judge(statistics.judge(stated, stated), said)
    sides = read_performance(before), read_performance(after)
    if sides[1].stated is not None and not (sides[0].values and sides[1].values):
        return _check_performance((), after)
    figures = compare_performance(*sides)
    metric = str(figures["metric"])
    rows = figures["improvements"]
    said = Message(
        _("{metric}: {before:g} -> {after:g}, {gain:+.2f} %; runs: {runs} and {others}{rest}"),
        **_figures_of(metric, rows[metric]),
        runs=sides[0].runs,
        others=sides[1].runs,
        rest=_said_of_logs(sides),
    )
    shown = {name: _shown(rows[name]["improvement_percent"], name, sides) for name in rows if name in DECIDING}
    against = _AGAINST.get(shown[metric], ())
    for name in (name for name in shown if shown[name] in against):
        text = _("{said}; but {metric}: {before:g} -> {after:g}, {gain:+.2f} %")
        return figures, _answered(
            "performance", "not_proven", Message(text, said=said, **_figures_of(name, rows[name]))
        )
    return figures, _judge(shown[metric], said)


#: What the metrics of the same runs show -> what another of them cannot show if it is to be believed.
_AGAINST: dict[Shown, tuple[Shown, ...]] = {
    **dict.fromkeys(("faster", "perhaps_faster"), ("slower", "perhaps_slower")),
    **dict.fromkeys(("slower", "perhaps_slower"), ("faster", "perhaps_faster")),
}


def _figures_of(metric: str, row: Mapping[str, float]) -> dict[str, Any]:
    return {
        "metric": metric,
        "before": round(row["baseline"], 4),
        "after": round(row["optimized"], 4),
        "gain": row["improvement_percent"],
    }


def _said_of_logs(sides: tuple[Measured, Measured]) -> Message | str:
    dropped, copies = sum(side.dropped for side in sides), sum(side.copies for side in sides)
    ranks = max(side.ranks for side in sides)
    said = []
    if ranks > 1:
        text = _("; the worst of {ranks} ranks; {dropped} steps of warm-up left out")
        said.append(Message(text, ranks=ranks, dropped=dropped))
    elif dropped:
        said.append(Message(_("; {dropped} steps of warm-up left out"), dropped=dropped))
    if copies:
        said.append(Message(_("; {copies} logs are copies of another one and count once"), copies=copies))
    return listed(said, "") if said else ""


def _shown(gain: float, metric: str, sides: tuple[Measured, Measured]) -> Shown:
    """What the gain shows, by the rule of comparisons; where a file states its runs, their spread is as it says."""
    runs = min(side.runs for side in sides)
    values = [[value if METRICS[metric] else 1 / value for value in side.values[metric]] for side in sides]
    measured = statistics.improvement_pct(*values)
    if min(map(len, values)) < statistics.FEWEST:
        measured = statistics.widen(Interval(gain, gain, gain), math.hypot(*(side.error_pct for side in sides)))
    return statistics.judge(measured, statistics.with_recompile(measured, runs))


def _judge(shown: Shown, said: Message) -> Check:
    """Slower is refuted even where a recompile may have been the cause: nothing then speaks for the scope."""
    if shown == "faster":
        return _answered("performance", "proven", said)
    if shown in ("slower", "perhaps_slower"):
        return _answered("performance", "refuted", Message(_("{said}: slower"), said=said))
    why = {
        "same": _("{said}: within the noise of {floor:g} %"),
        "perhaps_faster": _("{said}: one run a side, and another compilation alone may bring as much"),
    }.get(shown, _("{said}: as much as the runs differ by"))
    return _answered("performance", "not_proven", Message(why, said=said, floor=NOISE_PCT))
