"""Decode times and throughputs that runs print, with warm-up left out.

Sources: cann-recipes-infer (a line per forward step, averages at the end, drafts of speculative decoding apart; its
script that profiles), the examples of graph-autofusion, the serving benchmarks of vLLM and SGLang, and SGLang's
bench_one_batch. Tables (AISBench, evalscope) are read by `timing_tables`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from skadvisor.verification.log_text import strip_prefix
from skadvisor.verification.timing_tables import Table

_VALUE = r"(?P<value>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
_UNIT = r"(?P<unit>ms|us|s)\b"
_RATE = r"tok(?:en)?s?/s(?:ec)?"
_MS = {"ms": 1.0, "us": 1e-3, "s": 1e3}

#: A forward step of the model, or of a draft model.
_STEPS = (
    re.compile(rf"(?i)inference time \((?P<stage>prefill|decode)\)\s*:\s*{_VALUE}\s*{_UNIT}"),
    re.compile(rf"(?i)inference time cost of (?P<stage>prefill|decode) is\s*{_VALUE}\s*{_UNIT}"),
    re.compile(rf"(?i)\[(?P<stage>prefill|decode)[^\]]*\]\s*inference time cost(?: is)?\s*{_VALUE}\s*{_UNIT}"),
    re.compile(rf"(?i)\b(?P<stage>prefill|decode) step\s+\d+(?:\s*/\s*\d+)?\s*:\s*{_VALUE}\s*{_UNIT}"),
)
_DRAFT = re.compile(r"(?i)\[(?:mtp|dspark|draft|eagle)[^\]]*\]|^\W*(?:mtp|dspark|draft|eagle)\b")
#: Words of a line that times what comes before decode is steady, or a limit.
_SET_UP = re.compile(
    r"(?i)(?<!after )(?<!excluding )(?<!without )(?<!no )"
    r"(?:\b(?:warm(?:ing)?[ _-]?up|(?:re)?compil|captur|load(?:ing|ed|s)?\b|init(?:ial|\b)|start[ _-]?up|build|tracing"
    r"|tuning)|time[ _-]?out|预热|编译|捕获|加载|初始化|超时)"
)
_AVERAGE = re.compile(rf"(?i)average inference time cost is\s*{_VALUE}\s*{_UNIT}")
_TOGETHER = re.compile(r"(?i)main and \w+ model")
#: SGLang's bench_one_batch runs once to warm up, then says that it begins.
_BEGIN = re.compile(r"^\s*Benchmark \.\.\.")
_ONE_BATCH = re.compile(
    rf"Decode\.\s+median latency:\s*{_VALUE}\s*{_UNIT}(?:.*?median throughput:\s*(?P<rate>[\d.]+)\s*{_RATE})?"
)
_ONE_BATCH_STEP = re.compile(rf"Decode\s*\d*\.\s+(?:Batch size: \d+, )?latency:\s*{_VALUE}\s*{_UNIT}")
#: Rows of a serving benchmark, by how well they stand for the decode step: the median, not the mean or a tail.
_ROWS = (
    re.compile(rf"(?i)\b(?:median|p50)\s+tpot\s*\(ms\)\s*:?\s*{_VALUE}"),
    re.compile(rf"(?i)\b(?:mean|avg|average)\s+tpot\s*\(ms\)\s*:?\s*{_VALUE}"),
    re.compile(rf"(?i)\b(?:median|p50)\s+(?:itl|inter-token latency)\s*\(ms\)\s*:?\s*{_VALUE}"),
    re.compile(rf"(?i)\b(?:mean|avg|average)\s+(?:itl|inter-token latency)\s*\(ms\)\s*:?\s*{_VALUE}"),
    re.compile(rf"(?i)\btime per output token[^\d\n]{{0,20}}{_VALUE}\s*ms\b"),
    re.compile(rf"(?i)^\W*(?:tpot|itl|inter-token latency)\s*(?:\(ms\)\s*:?|:?(?=\s*[\d.]+\s*ms\b))\s*{_VALUE}"),
)
#: vLLM's latency benchmark times whole requests: prefill and all decode steps.
_REQUESTS = (
    re.compile(rf"(?i)^\W*50% percentile latency:\s*{_VALUE}\s*seconds"),
    re.compile(rf"(?i)^\W*avg latency:\s*{_VALUE}\s*seconds"),
)
_THROUGHPUTS = (
    re.compile(rf"(?i)\boutput (?:token )?throughput\s*\({_RATE}\)\s*:?\s*{_VALUE}"),
    re.compile(rf"(?i)throughput:.*?,\s*{_VALUE}\s*output {_RATE}"),
    re.compile(rf"(?i)^\W*output throughput:\s*{_VALUE}\s*{_RATE}"),
    re.compile(rf"(?i)\b(?:gen|generation) throughput\s*(?:\({_RATE}\))?\s*:?\s*{_VALUE}"),
    re.compile(rf"(?i)(?<![a-z])throughput[^\n\d]{{0,30}}\({_RATE}\)\s*:?\s*{_VALUE}"),
    re.compile(rf"(?i)(?<![a-z])throughput[^\n\d]{{0,30}}{_VALUE}\s*{_RATE}"),
)
_RANKED = {"rows": _ROWS, "rates": _THROUGHPUTS, "requests": _REQUESTS}
_NOT_DECODE = re.compile(
    r"(?i)\b(?:peak|total|input|prefill|request|last)\b[^:]*throughput|prefill|throughput \(req/s\)"
)
#: Every line that tells a figure holds one of these, in small letters.
_WORDS = (
    "inference time",
    "output token",
    "latency",
    "throughput",
    "tpot",
    "itl",
    "decode",
    "prefill step",
    "benchmark ...",
)
#: Any other line that speaks of decode and of a time.
_OTHER = re.compile(
    rf"(?i)(?:(?:\b(?:total|overall|average|avg|mean|median|max|min|first|last|p\d+)\s+)?\bdecode\b[^\n]{{0,60}}?(?:latency|time|cost|step)[^\d\n]{{0,40}}"
    rf"|^\W*decode\W{{1,10}}){_VALUE}\s*{_UNIT}"
)

#: A first step this much longer than the median still compiles or warms up.
WARM_UP = 1.5
#: A generation of at most this many decode steps beside one of more than twice as many is a warm-up.
SHORTEST = 2


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one file says: metric -> measurements; `steps` are decode steps counted, `dropped` those of warm-up.

    A file of JSON may also say for how many `runs` it stands, with which spread, and the improvement that a comparison
    made before `stated`, percent; `info` is its `test_info`.
    """

    values: dict[str, tuple[float, ...]]
    steps: int = 0
    dropped: int = 0
    info: dict[str, Any] = field(default_factory=dict)
    runs: int = 1
    stated: float | None = None
    stated_cv_pct: float = 0.0


@dataclass
class _Log:
    generations: list[list[float]] = field(default_factory=lambda: [[]])
    marked: int = 0
    drafts: list[float] = field(default_factory=list)
    prefills: list[float] = field(default_factory=list)
    averages: dict[str, list[float]] = field(default_factory=dict)
    ranked: dict[str, dict[int, dict[str, list[float]]]] = field(default_factory=lambda: {kind: {} for kind in _RANKED})
    batches: list[float] = field(default_factory=list)
    batch_steps: list[float] = field(default_factory=list)
    others: dict[str, list[float]] = field(default_factory=dict)


def read_timings(lines: Iterable[str]) -> Figures:
    """The figures of one log. Times are milliseconds; a line that warms up, compiles or loads is not counted."""
    log, table = _Log(), Table()
    for line in lines:
        for row, text in table.read(line) or [("", line)]:
            small = text.lower()
            if any(word in small for word in _WORDS):
                _read(text, log, row)
    steps, dropped = _steady(log.generations)
    decode = (
        steps
        or _first(log.ranked["rows"])
        or log.batches
        or log.averages.get("decode")
        or log.batch_steps
        or log.averages.get("together")
        or _one_metric(log.others)
    )
    values = {
        "decode_latency_ms": decode,
        "throughput_tokens_per_sec": _first(log.ranked["rates"]),
        "request_latency_ms": [1e3 * seconds for seconds in _first(log.ranked["requests"])],
        "draft_latency_ms": log.drafts or log.averages.get("draft", []),
        "prefill_latency_ms": log.prefills or log.averages.get("prefill", []),
    }
    return Figures(
        values={metric: tuple(found) for metric, found in values.items() if found},
        steps=len(steps),
        dropped=dropped + log.marked,
    )


def _read(line: str, log: _Log, row: str) -> None:
    if _BEGIN.match(line):
        log.batches, log.batch_steps, log.ranked["rates"], log.prefills = [], [], {}, []
        return
    for pattern in _STEPS:
        if match := pattern.search(line):
            _step(line, match["stage"].lower(), _milliseconds(match), log)
            return
    if _SET_UP.search(strip_prefix(line)[0]):
        return
    if match := _AVERAGE.search(line):
        log.averages.setdefault(_kind_of_average(line[: match.start()]), []).append(_milliseconds(match))
    elif match := _ONE_BATCH.search(line):
        log.batches.append(_milliseconds(match))
        if match["rate"]:
            log.ranked["rates"].setdefault(0, {}).setdefault("", []).append(float(match["rate"]))
    elif match := _ONE_BATCH_STEP.search(line):
        log.batch_steps.append(_milliseconds(match))
    elif any(_row(line, kind, log, row) for kind in _RANKED):
        return
    elif match := _OTHER.search(line):
        log.others.setdefault(_metric(match), []).append(_milliseconds(match))


def _metric(match: re.Match[str]) -> str:
    """What a line measures: its words before the figure."""
    return re.sub(r"\d+(?:\.\d+)?", "#", match.string[match.start() : match.start("value")].strip().lower())


def _one_metric(found: dict[str, list[float]]) -> list[float]:
    """The figures of the metric that most lines tell, the first of as many: figures of several have no middle."""
    return max(found.values(), key=len, default=[])


def _step(line: str, stage: str, milliseconds: float, log: _Log) -> None:
    if _SET_UP.search(strip_prefix(line)[0]):
        log.marked += stage == "decode"
    elif _DRAFT.search(line):
        log.drafts += [milliseconds] if stage == "decode" else []
    elif stage == "decode":
        log.generations[-1].append(milliseconds)
    else:
        log.prefills.append(milliseconds)
        log.generations.append([])


def _kind_of_average(before: str) -> str:
    words = before.lower()
    if "prefill" in words:
        return "prefill"
    if _TOGETHER.search(before):
        return "together"
    if re.search(r"\bffn\s*$", words):
        return "ffn"  # the other half of disaggregated attention and experts
    return "draft" if _DRAFT.search(before) else "decode"


def _row(line: str, kind: str, log: _Log, row: str) -> bool:
    """Keep a figure under the rank of its pattern and what it measures; the best rank of the log is used."""
    if kind == "rates" and _NOT_DECODE.search(line):
        return False
    for rank, pattern in enumerate(_RANKED[kind]):
        if match := pattern.search(line):
            value = float(match["value"])
            if value > 0:
                metric = f"{row} {_metric(match)}"
                log.ranked[kind].setdefault(rank, {}).setdefault(metric, []).append(value)
            return True
    return False


def _first(found: dict[int, dict[str, list[float]]]) -> list[float]:
    return _one_metric(found[min(found)]) if found else []


def _milliseconds(match: re.Match[str]) -> float:
    return round(float(match["value"]) * _MS[match["unit"].lower()], 9)


def _steady(generations: list[list[float]]) -> tuple[list[float], int]:
    """The decode steps without those of warm-up, and how many were left out."""
    counted = sum(len(steps) for steps in generations)
    longest = max(len(steps) for steps in generations)
    kept = [steps for steps in generations if len(steps) > SHORTEST or longest <= 2 * SHORTEST]
    everything = [time for steps in kept for time in steps]
    if not everything:
        return [], counted
    limit = WARM_UP * median(everything)
    steady: list[float] = []
    for steps in kept:
        begin = next((i for i, time in enumerate(steps) if time <= limit), len(steps))
        steady += steps[begin:]
    return steady, counted - len(steady)
