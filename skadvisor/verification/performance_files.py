"""Performance of two runs from files or logs, and the comparison in the published form.

The published file is JSON: `{"test_info": {...}, "performance": {"decode_latency_ms": ..., ...}, "statistics": {...}}`,
the comparison has `improvement_percent`. Result files of vLLM's and SGLang's benchmarks are read, too, and logs.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, stdev
from typing import Any

from skadvisor.capture.saved import is_saved
from skadvisor.errors import InputError, NotEnoughError
from skadvisor.text.messages import _
from skadvisor.units import percent
from skadvisor.verification.log_text import log_files, read_lines_of, read_text_of
from skadvisor.verification.timing_lines import Figures, read_timings

LARGEST_BYTES = 50_000_000

#: metric -> whether lower is better. The first that both sides have decides.
METRICS: dict[str, bool] = {
    "decode_latency_ms": True,
    "throughput_tokens_per_sec": False,
    "request_latency_ms": True,
    "draft_latency_ms": True,
    "prefill_latency_ms": True,
    "memory_usage_gb": True,
}
#: What decides whether a run is faster; the others are shown beside it.
DECIDING = ("decode_latency_ms", "throughput_tokens_per_sec", "request_latency_ms")
#: Names in JSON files, the better ones first, with the factor to the metric's unit.
_NAMES: dict[str, dict[str, float]] = {
    "decode_latency_ms": {
        **dict.fromkeys(("decode_latency_ms", "median_tpot_ms", "mean_tpot_ms", "tpot_ms"), 1),
        **dict.fromkeys(("median_itl_ms", "mean_itl_ms"), 1),
        "median_decode_latency": 1000,
    },
    "throughput_tokens_per_sec": dict.fromkeys(
        ("throughput_tokens_per_sec", "output_throughput", "median_decode_throughput"), 1
    ),
    "request_latency_ms": {"avg_latency": 1000},
    "prefill_latency_ms": {"prefill_latency_ms": 1},
    "memory_usage_gb": {"memory_usage_gb": 1},
}
#: No two runs have so many different times in common, in the same order.
VARIED = 5
STATED = "improvement_percent"
#: How a launcher names the logs of the ranks of one run. Source: cann-recipes-infer writes log_<rank>.log.
_RANK = re.compile(r"(?i)(?:^log|rank|worker|device|npu|^std(?:out|err))[_-]?(\d+)\.(?:log|txt|out)(?:\.gz)?$")
_TORCHRUN = re.compile(r"/\d+/std(?:out|err)\.log$")
_ADVICE = _("Name the log or the JSON file of a run, or the folder with the logs of its ranks.")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The measurements of one side: metric -> one value per run; `info` is the `test_info` of the first file.

    `runs` counts the runs that they stand for (`copies` of a run are left out), `ranks` the most logs of ranks in a
    run (the worst rank is taken), `steps` and `dropped` the decode steps that logs list, and those of warm-up.
    `stated` is the improvement that a comparison made before says, percent.
    """

    values: dict[str, tuple[float, ...]]
    info: dict[str, Any]
    files: tuple[str, ...]
    runs: int
    ranks: int = 1
    steps: int = 0
    dropped: int = 0
    stated: float | None = None
    stated_cv_pct: float = 0.0
    copies: int = 0

    @property
    def error_pct(self) -> float:
        """By how much the middle of the runs may be off, percent (standard deviation), as far as the files state it."""
        return self.stated_cv_pct / math.sqrt(self.runs)


def read_performance(paths: Sequence[Path]) -> Measured:
    """Read the files of one side: one run each, or a folder or files `log_<rank>.log` with the ranks of one run.

    A run given twice, under whatever name, counts once. Raises InputError for what cannot be read, NotEnoughError where
    no figure is found.
    """
    listed = [[(file, _read(file)) for file in files] for files in _by_run(paths)]
    different: dict[tuple[str, ...], list[Figures]] = {}
    for files in listed:
        content = tuple(sorted(_content(file, figures) for file, figures in files))
        different.setdefault(content, [figures for _file, figures in files])
    runs = list(different.values())
    values: dict[str, list[float]] = {}
    for run in runs:
        for metric, number in _worst(run).items():
            values.setdefault(metric, []).append(number)
    everything = [file for run in runs for file in run]
    stated = next((file.stated for file in everything if file.stated is not None), None)
    if not values and stated is None:
        names = ", ".join(str(path) for path in paths)
        raise NotEnoughError(
            _("no decode latency or throughput was found in {names}"),
            _(
                "Known are the lines of cann-recipes-infer, graph-autofusion, vLLM, SGLang, AISBench and evalscope, "
                "and JSON with {listed}."
            ),
            names=names,
            listed=", ".join(METRICS),
        )
    return Measured(
        values={metric: tuple(numbers) for metric, numbers in values.items()},
        info=next((file.info for file in everything if file.info), {}),
        files=tuple(path.name for path in paths),
        runs=sum(max(file.runs for file in run) for run in runs),
        ranks=max(len(run) for run in runs),
        steps=sum(file.steps for file in everything),
        dropped=sum(file.dropped for file in everything),
        stated=stated,
        stated_cv_pct=max(file.stated_cv_pct for file in everything),
        copies=len(listed) - len(runs),
    )


def _content(file: Path, figures: Figures) -> str:
    """What no two runs have in common: their times where they vary, whatever is stamped beside them, else all lines."""
    if any(len(set(numbers)) >= VARIED for numbers in figures.values.values()):
        return repr(sorted(figures.values.items()))
    digest = hashlib.sha256()
    for line in read_lines_of(file):
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()


def _by_run(paths: Sequence[Path]) -> list[list[Path]]:
    """The files of each run: logs of ranks beside each other are one run, in a folder as well as named one by one."""
    runs: dict[object, list[Path]] = {}
    for path in paths:
        files = log_files(path, _ADVICE, suffixes=(".json", ".jsonl"))
        if path.is_dir():
            files = [file for file in files if _has_figures(file)] or files[:1]
        for file in files:
            key = file.resolve()
            place = key.parent if _RANK.search(file.name) else key
            # torchrun --log-dir writes <attempt>/<rank>/stdout.log
            place = key.parent.parent if _TORCHRUN.search(key.as_posix()) else place
            of_run = runs.setdefault(place, [])
            if file not in of_run:
                of_run.append(file)
    return list(runs.values())


def _has_figures(file: Path) -> bool:
    try:
        found = _read(file)
    except InputError:
        return False
    return bool(found.values) or found.stated is not None


def _worst(files: Sequence[Figures]) -> dict[str, float]:
    """The step is as long as that of the slowest rank."""
    worst = {}
    for metric, lower in METRICS.items():
        numbers = [median(file.values[metric]) for file in files if metric in file.values]
        if numbers:
            worst[metric] = max(numbers) if lower else min(numbers)
    return worst


def _read(path: Path) -> Figures:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(_("cannot read {path}: {strerror}"), path=path, strerror=error.strerror or error) from error
    if is_saved(path):
        raise InputError(
            _("{path} is a result of skadvisor, not the log or the timings of a run"),
            _("Two captures, or results saved of them, are judged by: skadvisor compare BEFORE AFTER"),
            path=path,
        )
    is_json = path.suffix.lower() in (".json", ".jsonl")
    if is_json and size > LARGEST_BYTES:
        raise InputError(
            _("{path} is larger than {value} MB, which no performance file is"),
            path=path,
            value=LARGEST_BYTES // 1000000,
        )
    begins = size <= LARGEST_BYTES and next(read_lines_of(path), "").lstrip().startswith("{")
    if not is_json and not begins:
        return read_timings(read_lines_of(path))
    try:
        entries = _json_entries(read_text_of(path))
    except (ValueError, RecursionError) as error:
        if is_json:
            raise InputError(_("{path} is no JSON: {error}"), path=path, error=error) from error
        return read_timings(read_lines_of(path))
    if not entries or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(
            _("{path} is no performance file"),
            _('It has to be like {"performance": {"decode_latency_ms": 15.2}}'),
            path=path,
        )
    return _from_json(entries)


def _json_entries(text: str) -> list[Any]:
    """The objects of a JSON file, or of one with an object per line. Raises ValueError and RecursionError."""
    try:
        whole = json.loads(text)
        return whole if isinstance(whole, list) else [whole]
    except ValueError:
        lines = [line for line in text.split("\n") if line.strip()]
        try:
            entries = [json.loads(line) for line in lines]
        except ValueError:
            entries = []
        if not entries:
            raise
        return entries


def _from_json(entries: Sequence[dict[str, Any]]) -> Figures:
    values: dict[str, tuple[float, ...]] = {}
    for entry in entries:
        inner = entry.get("performance")
        figures = {**entry, **inner} if isinstance(inner, dict) else entry
        for metric, names in _NAMES.items():
            found = [figures[name] * factor for name, factor in names.items() if _is_figure(figures.get(name))]
            if found:
                values[metric] = (*values.get(metric, ()), float(found[0]))
    info, statistics, stated = (entries[0].get(name) for name in ("test_info", "statistics", STATED))
    runs = statistics.get("runs") if isinstance(statistics, dict) else None
    return Figures(
        values=values,
        info=info if isinstance(info, dict) else {},
        runs=runs if isinstance(runs, int) and 0 < runs < 10_000 else 1,
        stated=float(stated) if stated is not None and _is_number(stated) else None,
        stated_cv_pct=_stated_cv_pct(statistics, values),
    )


def _stated_cv_pct(statistics: Any, values: Mapping[str, Sequence[float]]) -> float:
    """The spread of the runs that a file states, percent of its deciding figure; 0 where it states none."""
    given = statistics if isinstance(statistics, dict) else {}
    if _is_figure(given.get("cv_percent")):
        return float(given["cv_percent"])
    main = next((values[metric][0] for metric in DECIDING if metric in values), None)
    return percent(float(given["std"]), main) if main and _is_figure(given.get("std")) else 0.0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_figure(value: Any) -> bool:
    return _is_number(value) and value > 0


def improvement(metric: str, before: float, after: float) -> float:
    """Percent of `before`; positive is better, whichever way the metric counts."""
    return percent(before - after, before) if METRICS[metric] else percent(after - before, before)


def compare_performance(before: Measured, after: Measured) -> dict[str, Any]:
    """The comparison as it is written to performance.json, `improvement_percent` at the top.

    Raises NotEnoughError where the two sides have no deciding metric in common.
    """
    shared = [metric for metric in METRICS if metric in before.values and metric in after.values]
    if not set(shared) & set(DECIDING):
        raise NotEnoughError(
            _("the sides have no decode latency or throughput in common: {listed} and {listed2}"),
            listed=", ".join(before.values) or "nothing",
            listed2=", ".join(after.values) or "nothing",
        )
    rows = {}
    for metric in shared:
        old, new = median(before.values[metric]), median(after.values[metric])
        rows[metric] = {"baseline": old, "optimized": new, STATED: improvement(metric, old, new)}
    main = shared[0]
    return {
        STATED: rows[main][STATED],
        "metric": main,
        "test_info": {"baseline": before.info, "optimized": after.info},
        "performance": {metric: row["optimized"] for metric, row in rows.items()},
        "improvements": rows,
        "statistics": {"baseline": _statistics(before, main), "optimized": _statistics(after, main)},
        "files": {"baseline": list(before.files), "optimized": list(after.files)},
    }


def is_comparison(path: Path) -> bool:
    """Whether the file is a comparison that `compare_performance` made."""
    try:
        data = json.loads(path.read_bytes()) if path.stat().st_size <= LARGEST_BYTES else None
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(data, dict) and STATED in data and "files" in data


def stated_performance(side: Measured) -> dict[str, Any]:
    """A comparison that was made before. Raises NotEnoughError where the files state no improvement."""
    if side.stated is None:
        raise NotEnoughError(
            _("{listed} states no {stated}, and one side alone cannot be compared"),
            _("Give --before and --after."),
            listed=", ".join(side.files),
            stated=STATED,
        )
    return {STATED: side.stated, "files": {"stated": list(side.files)}}


def _statistics(side: Measured, metric: str) -> dict[str, Any]:
    """Runs and their spread; the spread of a single run is not known."""
    values = side.values[metric]
    spread = stdev(values) if len(values) > 1 else None
    return {
        "runs": side.runs,
        "copies": side.copies,
        "std": spread,
        "cv_percent": None if spread is None else percent(spread, sum(values) / len(values)),
        "ranks": side.ranks,
        "decode_steps": side.steps,
        "warm_up_steps": side.dropped,
    }
