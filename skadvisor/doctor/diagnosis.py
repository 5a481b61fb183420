"""What a capture is, what it lacks for which answer, how bad that is, and how to record a better one.

A finding (`doctor_checks`) that is `block` takes an answer away, one that is `warn` weakens it; `ANSWERS` says which
answers hang on which check.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from skadvisor.doctor.checks import CHECKS, Read
from skadvisor.errors import InputError, NotEnoughError
from skadvisor.recording import recorder
from skadvisor.records import Finding, Mode, finding
from skadvisor.text.messages import _

Grade = Literal["good", "weaker", "none"]
#: Answer -> the checks that it hangs on.
ANSWERS: dict[str, tuple[str, ...]] = {
    "steps": ("parsed", "complete", "step_count", "step_marks", "warm_up"),
    "labels": ("parsed", "complete", "level", "shapes", "graph_replay"),
    "shares": ("parsed", "complete", "step_count", "host_bound", "graph_replay", "super_kernels"),
    "overhead": ("parsed", "level", "pmu", "mode", "graph_replay", "super_kernels"),
    "placement": ("parsed", "level", "phase", "mode", "host_bound", "step_count", "graph_replay", "super_kernels"),
    "ranks": ("parsed", "ranks"),
}
#: Folders of raw profiler data.
RAW = re.compile(r"^(FRAMEWORK|PROF_\d.*)$")
VLLM_FOLDER = re.compile(r"dp\d+_pp\d+_tp\d+")


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What `diagnose` found. `grades` say for each of `ANSWERS` how well this capture gives it.

    `snippet` records a better capture by the way named in `dialect`; empty where nothing better is needed.
    `phases` counts the steps of each phase. None and empty: the capture does not say.
    """

    path: str
    producer: str = "unknown"
    level: str = "unknown"
    rank: int | None = None
    ranks: tuple[int | None, ...] = ()
    mode: Mode = "unknown"
    kernels: int = 0
    steps: int = 0
    phases: dict[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...]
    grades: dict[str, Grade]
    dialect: str = ""
    snippet: str = ""

    @property
    def usable(self) -> bool:
        """Whether an analysis of this capture can answer where to put the scope."""
        return self.grades["placement"] != "none"


def diagnose(path: str | os.PathLike[str], *, rank: int | None = None, dialect: str | None = None) -> Diagnosis:
    """Examine the capture at `path`; of several ranks the given or the first one.

    `dialect` is one of `recorder.SNIPPETS`, by default what fits the capture. Raises InputError where there is no
    capture at all; an unparsed or empty one is a diagnosis, not an error.
    """
    from skadvisor.analysis import analyze_capture
    from skadvisor.capture import list_captures, load

    source = Path(path)
    chosen = dialect or ("vllm-ascend" if VLLM_FOLDER.search(str(source.resolve())) else "torch_npu")
    recorder.snippet(chosen)  # an unknown name fails now, not after the reading
    try:
        places = list_captures(source)
        if not places:
            raise InputError(
                _("{source} holds no profiler capture"),
                _("Give a folder or file that the profiler wrote."),
                source=source,
            )
        ranks = tuple(place.rank for place in places)
        first = places[0] if rank is None else next((place for place in places if place.rank == rank), None)
        # Without a match the reader says which ranks there are.
        capture = load(source, rank=rank) if first is None or len(places) == 1 else load(first.path, rank=first.rank)
    except NotEnoughError as error:
        return _unusable(source, error, chosen)
    except InputError as error:
        if not _holds_raw_data(source):
            raise
        return _unusable(source, error, chosen)
    analysis, lack = None, None
    try:
        analysis = analyze_capture(capture)
    except NotEnoughError as error:
        lack = error
    read = Read(source, capture, analysis, ranks, lack)
    findings = tuple(check(read) for check in CHECKS)
    return _diagnosis(read, findings, chosen)


def _diagnosis(read: Read, findings: tuple[Finding, ...], dialect: str) -> Diagnosis:
    result = read.analysis.result if read.analysis else None
    better = any(finding.status in ("warn", "block") for finding in findings)
    return Diagnosis(
        path=str(read.path),
        producer=read.capture.producer,
        level=read.capture.level,
        rank=read.capture.rank,
        ranks=read.ranks,
        mode=result.mode if result else "unknown",
        kernels=len(read.kernels),
        steps=len(result.steps) if result else 0,
        phases=dict(Counter(step.phase for step in result.steps)) if result else {},
        findings=findings,
        grades=grade(findings),
        dialect=dialect if better else "",
        snippet=recorder.snippet(dialect) if better else "",
    )


def grade(findings: Iterable[Finding]) -> dict[str, Grade]:
    """How well each of `ANSWERS` can be given."""
    status = {finding.check: finding.status for finding in findings}
    grades: dict[str, Grade] = {}
    for answer, checks in ANSWERS.items():
        found = {status.get(check, "unknown") for check in checks}
        grades[answer] = "none" if "block" in found else "weaker" if "warn" in found else "good"
    return grades


def _unusable(path: Path, error: InputError | NotEnoughError, dialect: str) -> Diagnosis:
    findings = (finding("parsed", "block", "{problem}", "{hint}", problem=error.message, hint=error.hint),)
    return Diagnosis(
        path=str(path),
        findings=findings,
        grades=grade(findings),
        dialect=dialect,
        snippet=recorder.snippet(dialect),
    )


def _holds_raw_data(path: Path) -> bool:
    """Whether a folder holds what the profiler writes before it is parsed, at most two folders down."""
    if not os.path.isdir(path):  # which is no error for a name that is too long
        return False
    levels = (path.glob(pattern) for pattern in ("*", "*/*", "*/*/*"))
    return bool(RAW.match(path.name)) or any(RAW.match(entry.name) for level in levels for entry in level)
