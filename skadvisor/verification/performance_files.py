"""Performance of two runs from files or logs, and the comparison in the published form.

The published file is JSON: `{"test_info": {...}, "performance": {"decode_latency_ms": ..., ...}, "statistics": {...}}`.
Logs are searched for the lines that cann-recipes, vLLM and SGLang print.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, stdev
from typing import Any

from skadvisor.errors import InputError, NotEnoughError
from skadvisor.units import percent

LARGEST_BYTES = 50_000_000

#: metric -> whether lower is better. The first that both sides have decides.
METRICS: dict[str, bool] = {
    "decode_latency_ms": True,
    "throughput_tokens_per_sec": False,
    "prefill_latency_ms": True,
    "memory_usage_gb": True,
}

_VALUE = r"(?P<value>\d+(?:\.\d+)?)"
_RATE = r"tok(?:en)?s?/s"
#: What logs print; several lines of one file are several measurements.
_LOG_LINES: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "decode_latency_ms",
        re.compile(rf"(?i)\bdecode\b[^\n]{{0,60}}?(?:latency|time|cost|step)[^\d\n]{{0,40}}{_VALUE}\s*ms\b"),
    ),
    ("decode_latency_ms", re.compile(rf"(?i)(?:tpot|inter-token latency|\bitl)\s*\(ms\)\s*:?\s*{_VALUE}")),
    ("throughput_tokens_per_sec", re.compile(rf"(?i)throughput[^\n\d]{{0,30}}\({_RATE}\)\s*:?\s*{_VALUE}")),
    ("throughput_tokens_per_sec", re.compile(rf"(?i)throughput[^\n\d]{{0,30}}{_VALUE}\s*{_RATE}")),
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The measurements of one side: metric -> one value per run; `info` is the `test_info` of the first file."""

    values: dict[str, tuple[float, ...]]
    info: dict[str, Any]
    files: tuple[str, ...]


def read_performance(paths: Sequence[Path]) -> Measured:
    """Read the files of one side, one per run.

    Raises InputError for what cannot be read, NotEnoughError where no figure is found.
    """
    values: dict[str, list[float]] = {}
    info: dict[str, Any] = {}
    for path in paths:
        found, about = _read(path)
        info = info or about
        for metric, numbers in found.items():
            values.setdefault(metric, []).append(median(numbers))
    if not values:
        names = ", ".join(str(path) for path in paths)
        raise NotEnoughError(
            f"no decode latency or throughput was found in {names}", f"Known keys: {', '.join(METRICS)}."
        )
    return Measured(
        values={metric: tuple(numbers) for metric, numbers in values.items()},
        info=info,
        files=tuple(path.name for path in paths),
    )


def _read(path: Path) -> tuple[dict[str, list[float]], dict[str, Any]]:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise InputError(f"{path} is larger than {LARGEST_BYTES // 1_000_000} MB, which no performance file is")
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        if path.suffix.lower() == ".json":
            raise InputError(f"{path} is no JSON: {error}") from error
        return _from_log(text), {}
    return _from_json(data, path)


def _from_json(data: Any, path: Path) -> tuple[dict[str, list[float]], dict[str, Any]]:
    if not isinstance(data, dict):
        raise InputError(
            f"{path} is no performance file", 'It has to be like {"performance": {"decode_latency_ms": 15.2}}'
        )
    figures = data.get("performance", data)
    figures = figures if isinstance(figures, dict) else {}
    found = {metric: [float(figures[metric])] for metric in METRICS if _is_figure(figures.get(metric))}
    info = data.get("test_info")
    return found, info if isinstance(info, dict) else {}


def _is_figure(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def _from_log(text: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for metric, pattern in _LOG_LINES:
        numbers = [float(match["value"]) for match in pattern.finditer(text)]
        if metric not in found and any(number > 0 for number in numbers):
            found[metric] = [number for number in numbers if number > 0]
    return found


def improvement(metric: str, before: float, after: float) -> float:
    """Percent of `before`; positive is better, whichever way the metric counts."""
    return percent(before - after, before) if METRICS[metric] else percent(after - before, before)


def compare_performance(before: Measured, after: Measured) -> dict[str, Any]:
    """The comparison as it is written to performance.json, `improvement_percent` at the top.

    Raises NotEnoughError where the two sides have no metric in common.
    """
    shared = [metric for metric in METRICS if metric in before.values and metric in after.values]
    if not shared:
        raise NotEnoughError(
            f"the sides have no figure in common: {', '.join(before.values)} and {', '.join(after.values)}"
        )
    rows = {
        metric: {
            "baseline": median(before.values[metric]),
            "optimized": median(after.values[metric]),
            "improvement_percent": improvement(metric, median(before.values[metric]), median(after.values[metric])),
        }
        for metric in shared
    }
    main = shared[0]
    return {
        "improvement_percent": rows[main]["improvement_percent"],
        "metric": main,
        "test_info": {"baseline": before.info, "optimized": after.info},
        "performance": {metric: row["optimized"] for metric, row in rows.items()},
        "improvements": rows,
        "statistics": {
            "baseline": _statistics(before.values[main]),
            "optimized": _statistics(after.values[main]),
        },
        "files": {"baseline": list(before.files), "optimized": list(after.files)},
    }


def _statistics(values: Sequence[float]) -> dict[str, Any]:
    """Runs and their spread; the spread of a single run is not known."""
    spread = stdev(values) if len(values) > 1 else None
    return {
        "runs": len(values),
        "std": spread,
        "cv_percent": None if spread is None else percent(spread, sum(values) / len(values)),
    }
