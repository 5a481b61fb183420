"""Whether two runs said the same: generated text, or the lines of a log without what no two runs share.

Where the logs show generated texts (cann-recipes-infer, vLLM, SGLang), these are compared to the letter and all else
is left out. Where not, every line is compared without the prefix of logging, except lines of a log that tell times,
speeds, processes, or the SuperKernel switch itself. Lines without such a prefix are results: they are left out only if
they do nothing but measure.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from skadvisor.verification.log_text import strip_prefix

#: Sequences longer than this are compared line by line, without looking for lines that were put in.
LONGEST_SEQUENCE = 5_000

#: What begins a generated text. Sources: cann-recipes-infer (old and new), the offline examples of vLLM and SGLang.
_BEGINS = re.compile(
    r"(?:Request \S+: outputs: ?"
    r"|Inference decode result(?: for [^:]*)?\s*:\s*"
    r"|(?:Prompt: .*?, )?(?:Generated text|Output text|Completion)\s*:\s*"
    r"|Output:\s{2,}(?='|\"))(?P<text>.*)",
    re.DOTALL,
)
#: What ends one, besides the next line with a prefix of logging: lines that frameworks print between texts.
_ENDS = re.compile(
    r"\s*(?:Prompt\s*:|[-=]{40,}\s*$|(?:Processed|Adding) (?:prompts|requests):|(?:real|user|sys)\s+\d+m)"
)

_UNIT = (
    r"(?:ns|us|µs|ms|s|secs?|seconds?|mins?|minutes?|it/s|s/it|"
    r"(?:(?:output |total )?(?:tok(?:en)?s?|req(?:uest)?s?|samples?|[gm]i?b)/s(?:ec)?))(?![\w/])"
)
#: Values that no two runs share, and how many of what they are counted as.
_VOLATILE = (
    ("time", re.compile(rf"(?i)(?<![\w.])\d+(?:\.\d+)?(?:e[-+]?\d+)?\s*{_UNIT}")),
    ("time", re.compile(r"\d{2,4}[-/_]?\d{2}[-/_]?\d{2}[-_ T]\d{2}:?\d{2}:?\d{2}(?:[.,]\d+)?|\b\d{2}:\d{2}:\d{2}\b")),
    (
        "process",
        re.compile(r"(?i)\b(?:pid|tid|process|port|thread)\b\W{0,3}\d+|\b0x[0-9a-f]{6,}|\b\d+(?:\.\d+){3}(?::\d+)?"),
    ),
)
_TIMING_WORDS = (
    r"(?:(?:inference|total|wall|execution|generation) time|time cost|latency|throughput|elapsed(?: time)?"
    r"|tpot|ttft|itl|e2el|duration|speed)"
)
#: Only a measurement: such a line is no result even without a prefix.
_MEASUREMENT = re.compile(
    rf"(?i)^\W*(?:\S+\s+){{0,7}}?{_TIMING_WORDS}\b(?:[^\d]*\((?:ms|s|us|[\w/]+/s)\)\s*:?\s*[\d.]+"
    rf"|[^\d]*(?:\d\s+)?[:=]?\s*[\d.]+\s*{_UNIT})\W*$"
)
#: What the loggers of frameworks tell of speed and memory.
_MEASURES = re.compile(rf"(?i)\b{_TIMING_WORDS}\b|\bmem(?:ory)?\b|\b(?:GiB|MiB|GB|MB)\b")
_PROGRESS = re.compile(r"\d+%\|.*\|\s*\d+/\d+|\d+/\d+ \[\d+:\d+<")
_SWITCH = re.compile(r"(?i)super[ _-]?kernel|enable_sk\b")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf)\b")
#: A run that ended before its output was whole. What it printed until then is no result.
_BROKE_OFF = re.compile(r"Traceback \(most recent call last\)|\bcore dumped\b|^(?:Segmentation fault|Killed|Aborted)\b")
#: What Python's warnings print without a prefix, and lines of rules only.
_NO_RESULT = re.compile(r"\S+:\d+: \w*Warning: |\s*warnings\.warn\(|\W*$")


@dataclass(frozen=True)
class Said:
    """What a run said: `items` that are compared, the rest counted by kind in `left_out`.

    `texts` says whether the items are generated texts, else they are lines with their number. `shows_output` says
    whether one of them is sure to come from the model.
    """

    items: tuple[str, ...]
    places: tuple[int, ...]
    texts: bool
    left_out: Mapping[str, int]
    shows_output: bool


@dataclass
class Difference:
    """`different` of `compared` items; `largest` the largest difference of numbers, None where words differ."""

    compared: int = 0
    different: int = 0
    largest: float | None = 0.0
    first: str = ""

    def add(self, step: float | None, first: str, count: int = 1) -> None:
        """Count a difference: by how much numbers differ, None for words, and what to say of it if it is the first."""
        self.different += count
        self.largest = None if step is None or self.largest is None else max(self.largest, step)
        self.first = self.first or first


def generated_texts(lines: Iterable[str]) -> Said:
    """The generated texts of a log; none where it marks none."""
    texts: list[list[str]] = []
    places: list[int] = []
    inside, others = False, 0
    for number, line in enumerate(lines, start=1):
        message, logged = strip_prefix(line)
        begins = _BEGINS.match(message)
        if begins:
            texts.append([begins["text"]] if begins["text"].strip() else [])
            places.append(number)
            inside = True
        elif inside and not logged and not (_ENDS.match(line) or _PROGRESS.search(line) or _MEASUREMENT.match(line)):
            texts[-1].append(line)
        else:
            inside = inside and not logged and not _ENDS.match(line)
            others += bool(line.strip())
    whole = tuple("\n".join(text).strip() for text in texts)
    return Said(whole, tuple(places), True, {"other": others} if others else {}, any(whole))


def result_lines(lines: Iterable[str]) -> Said:
    """The lines that can be a result, without the prefix of logging."""
    kept: list[str] = []
    places: list[int] = []
    left_out: Counter[str] = Counter()
    results, broke_off = 0, False
    for number, line in enumerate(lines, start=1):
        message, logged = strip_prefix(line)
        result, kinds = _result(message, logged)
        left_out.update(kinds)
        if result.strip():
            kept.append(result.rstrip())
            places.append(number)
            # A line of a log may tell of the run only: that two say the same of it says nothing of their outputs.
            results += not logged and not _NO_RESULT.match(result)
        broke_off = broke_off or bool(_BROKE_OFF.search(message))
    return Said(tuple(kept), tuple(places), False, left_out, results > 0 and not broke_off)


def _result(message: str, logged: bool) -> tuple[str, set[str]]:
    """What of a line is compared, and what was left out of it."""
    if _MEASUREMENT.match(message) or _PROGRESS.search(message):
        return "", {"time"}
    if not logged:
        return message, set()
    if _SWITCH.search(message):
        return "", {"switch"}
    if _MEASURES.search(message):
        return "", {"time"}
    kinds = {"prefix"}
    for kind, pattern in _VOLATILE:
        message, count = pattern.subn("...", message)
        kinds |= {kind} if count else set()
    return message, kinds


def compare_said(before: Said, after: Said) -> Difference:
    """Item by item. Texts have to be the same to the letter; numbers in lines are compared by value."""
    found = Difference()
    for one, other in _aligned(before.items, after.items):
        found.compared += 1
        mine = before.items[one] if one is not None else None
        theirs = after.items[other] if other is not None else None
        if mine == theirs:
            continue
        step = None if before.texts or mine is None or theirs is None else line_difference(mine, theirs)
        if step != 0.0:
            number = one if one is not None else other or 0
            line = before.places[number] if one is not None else after.places[number]
            found.add(step, found.first or _where(before.texts, number + 1, line, mine, theirs, step))
    return found


def _aligned(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[int | None, int | None]]:
    """Pairs of places; None on the side that lacks the item."""
    if len(before) == len(after) or max(len(before), len(after)) > LONGEST_SEQUENCE:
        for place in range(max(len(before), len(after))):
            yield (place if place < len(before) else None, place if place < len(after) else None)
        return
    for _tag, i, k, j, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        for step in range(max(k - i, m - j)):
            yield (i + step if i + step < k else None, j + step if j + step < m else None)


def line_difference(line: str, other: str) -> float | None:
    """The largest difference of numbers in two lines whose words are the same; None where the words differ."""
    if _NUMBER.sub("#", line).split() != _NUMBER.sub("#", other).split():
        return None
    steps = [
        abs(float(one) - float(two))
        for one, two in zip(_NUMBER.findall(line), _NUMBER.findall(other), strict=True)
        if float(one) != float(two) and not (math.isnan(float(one)) and math.isnan(float(two)))
    ]
    return max((math.inf if math.isnan(step) else step for step in steps), default=0.0)


def _where(texts: bool, number: int, line: int, mine: str | None, theirs: str | None, step: float | None) -> str:
    if mine is None or theirs is None:
        return f"line {line}: " + " / ".join("-" if one is None else short(repr(one)) for one in (mine, theirs))
    if step is not None:
        pairs = zip(_NUMBER.findall(mine), _NUMBER.findall(theirs), strict=True)
        return f"line {line}: " + next(f"{a} / {b}" for a, b in pairs if float(a) != float(b))
    at = next((i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), min(len(mine), len(theirs)))
    begin = max(0, at - 10) if texts else 0
    name = f"text {number}, character {at + 1}" if texts else f"line {line}"
    return f"{name}: {short(repr(mine[begin:]))} / {short(repr(theirs[begin:]))}"


def short(text: str) -> str:
    """A text as it is shown: cut where it is long."""
    return text if len(text) <= 60 else f"{text[:57]}..."
