"""What a capture is, what it lacks for which answer, how bad that is, and how to record a better one.

Each check is one function: what was read in, one finding out. A finding that is `block` takes an answer away, one
that is `warn` weakens it; `ANSWERS` says which answers hang on which check.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from skadvisor import recording
from skadvisor.errors import InputError, NotEnoughError
from skadvisor.messages import Message, _
from skadvisor.records import Finding, Mode, Status

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.analysis import Analysis
    from skadvisor.events import Capture

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
#: Steady steps below this leave medians at the mercy of one odd step.
ENOUGH_STEPS = 5
#: A replayed decode step with less than this share of the kernels per layer of the eager steps was not recorded whole.
WHOLE_REPLAY = 0.5
#: Kernels without shapes are a lack from this share on.
MISSING_SHAPES = 0.2
#: Collectives from this share of a step on make one rank alone a lack.
COLLECTIVES = 0.1
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
    producer: str
    level: str
    rank: int | None
    ranks: tuple[int | None, ...]
    mode: Mode
    kernels: int
    steps: int
    phases: dict[str, int]
    findings: tuple[Finding, ...]
    grades: dict[str, Grade]
    dialect: str = ""
    snippet: str = ""

    @property
    def usable(self) -> bool:
        """Whether an analysis of this capture can answer where to put the scope."""
        return self.grades["placement"] != "none"


@dataclass(frozen=True, eq=False)
class _Read:
    """What the checks look at."""

    path: Path
    capture: Capture
    analysis: Analysis | None
    ranks: tuple[int | None, ...]

    @property
    def kernels(self) -> pd.DataFrame:
        """The kernel table without collectives."""
        table = self.capture.kernels
        chosen: pd.DataFrame = table[table["kind"].astype("object") == "kernel"]
        return chosen


def diagnose(path: str | os.PathLike[str], *, rank: int | None = None, dialect: str | None = None) -> Diagnosis:
    """Examine the capture at `path`; of several ranks the given or the first one.

    `dialect` is one of `recording.SNIPPETS`, by default what fits the capture. Raises InputError where there is no
    capture at all; an unparsed or empty one is a diagnosis, not an error.
    """
    from skadvisor.analysis import analyze_capture
    from skadvisor.capture import list_captures, load

    source = Path(path)
    chosen = dialect or ("vllm-ascend" if VLLM_FOLDER.search(str(source.resolve())) else "torch_npu")
    recording.snippet(chosen)  # an unknown name fails now, not after the reading
    try:
        places = list_captures(source)
        if not places:
            raise InputError(f"{source} holds no profiler capture", "Give a folder or file that the profiler wrote.")
        ranks = tuple(place.rank for place in places)
        place = next((one for one in places if one.rank == rank), places[0]) if rank is not None else places[0]
        capture = load(place.path if len(places) > 1 else source, rank=rank if len(places) == 1 else place.rank)
    except NotEnoughError as error:
        return _unusable(source, error, chosen)
    except InputError as error:
        if not _holds_raw_data(source):
            raise
        return _unusable(source, error, chosen)
    try:
        analysis: Analysis | None = analyze_capture(capture)
    except NotEnoughError:
        analysis = None
    read = _Read(source, capture, analysis, ranks)
    findings = tuple(check(read) for check in CHECKS)
    return _diagnosis(read, findings, chosen)


def _diagnosis(read: _Read, findings: tuple[Finding, ...], dialect: str) -> Diagnosis:
    result = read.analysis.result if read.analysis else None
    phases: dict[str, int] = {}
    for step in result.steps if result else ():
        phases[step.phase] = phases.get(step.phase, 0) + 1
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
        phases=phases,
        findings=findings,
        grades=grade(findings),
        dialect=dialect if better else "",
        snippet=recording.snippet(dialect) if better else "",
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
    findings = (
        _finding("parsed", "block", Message("{problem}", problem=error.message), Message("{hint}", hint=error.hint)),
    )
    return Diagnosis(
        path=str(path),
        producer="unknown",
        level="unknown",
        rank=None,
        ranks=(),
        mode="unknown",
        kernels=0,
        steps=0,
        phases={},
        findings=findings,
        grades=grade(findings),
        dialect=dialect,
        snippet=recording.snippet(dialect),
    )


def _holds_raw_data(path: Path) -> bool:
    """Whether a folder holds what the profiler writes before it is parsed, at most two folders down."""
    if not path.is_dir():
        return False
    levels = (path.glob(pattern) for pattern in ("*", "*/*", "*/*/*"))
    return bool(RAW.match(path.name)) or any(RAW.match(entry.name) for level in levels for entry in level)


def _check_parsed(read: _Read) -> Finding:
    message = Message(
        _("{producer} capture with {kernels} kernels, read from {files} files"),
        producer=read.capture.producer,
        kernels=len(read.kernels),
        files=len(read.capture.files),
    )
    return _finding("parsed", "pass", message)


def _check_complete(read: _Read) -> Finding:
    skipped = sum(count for file in read.capture.files for count in file.skipped.values())
    if read.capture.state == "truncated":
        return _finding(
            "complete",
            "warn",
            Message(_("a file is cut off: only what is whole was read, the last step may lack kernels")),
            Message(_("parse the raw data again, on a disk with room: {command}"), command=PARSE),
        )
    if skipped:
        return _finding("complete", "warn", Message(_("{rows} damaged rows were left out"), rows=skipped))
    return _finding("complete", "pass", Message(_("all files are whole")))


def _check_level(read: _Read) -> Finding:
    formats = {file.format for file in read.capture.files}
    if formats <= {"trace_view", "msprof_trace"}:
        message = Message(_("a timeline alone: no operator types; labels rest on kernel names alone"))
        return _finding(
            "level", "warn", message, Message(_("give the folder with kernel_details.csv or op_summary too"))
        )
    if read.capture.level == "level0" or read.kernels["op_type"].isna().all():
        message = Message(_("recorded at Level0: no operator types, shapes or streams; labels rest on names alone"))
        return _finding("level", "warn", message, Message(_("record with profiler_level=Level1")))
    if read.capture.level == "unknown":
        return _finding("level", "unknown", Message(_("the files do not say at which level they were recorded")))
    return _finding("level", "pass", Message(_("recorded at Level1 or above")))


def _check_shapes(read: _Read) -> Finding:
    missing = float(read.kernels["input_shapes"].isna().mean()) if len(read.kernels) else 1.0
    if missing < MISSING_SHAPES:
        return _finding("shapes", "pass", Message(_("{share:.0%} of the kernels have shapes"), share=1 - missing))
    message = Message(
        _("{share:.0%} of the kernels have no shapes: projections and batch size are told by order alone"),
        share=missing,
    )
    remedy = Message(_("record at Level1, and give kernel_details.csv: timelines hold no shapes"))
    return _finding("shapes", "warn", message, remedy)


def _check_pmu(read: _Read) -> Finding:
    timed = read.kernels["aic_ns"].notna() | read.kernels["aiv_ns"].notna()
    if timed.any():
        message = Message(
            _("{share:.0%} of the kernels have core times: their overhead is measured"), share=timed.mean()
        )
        return _finding("pmu", "pass", message)
    message = Message(_("no core times (PMU columns): the overhead of each kernel is assumed and the estimate wider"))
    return _finding("pmu", "warn", message, Message(_("record with aic_metrics=PipeUtilization at Level1")))


def _check_step_marks(read: _Read) -> Finding:
    if read.capture.kernels["step_id"].notna().any():
        return _finding("step_marks", "pass", Message(_("the profiler marked the steps")))
    message = Message(_("no Step Id: steps are told by what repeats, which is enough for decode"))
    return _finding("step_marks", "unknown", message, Message(_("record with a schedule and call step()")))


def _check_phase(read: _Read) -> Finding:
    phases = {step.phase for step in read.analysis.result.steps} if read.analysis else set()
    if "training" in phases:
        message = Message(_("this is training; SuperKernel scopes are for the decode steps of inference"))
        return _finding("phase", "block", message, Message(_("record the inference service while it decodes")))
    if "decode" in phases:
        return _finding("phase", "pass", Message(_("decode steps are there")))
    if "mixed" in phases:
        message = Message(_("every step mixes prefill and decode: shares are those of the mixture"))
        return _finding("phase", "warn", message, Message(_("record while no new requests come in")))
    message = Message(_("no decode step was found"))
    return _finding("phase", "block", message, Message(_("start recording after the prefill, and let it run on")))


def _check_step_count(read: _Read) -> Finding:
    result = read.analysis.result if read.analysis else None
    steady = sum(step.steady and step.phase == result.phase for step in result.steps) if result else 0
    if steady >= ENOUGH_STEPS:
        return _finding("step_count", "pass", Message(_("{steps} steady steps"), steps=steady))
    remedy = Message(_("record {wanted} steps after the warm-up"), wanted=recording.STEPS)
    if steady == 0:
        return _finding("step_count", "block", Message(_("no steady step of one forward pass was found")), remedy)
    message = Message(_("only {steps} steady steps: an odd one cannot be told from the usual"), steps=steady)
    return _finding("step_count", "warn", message, remedy)


def _check_warm_up(read: _Read) -> Finding:
    steps = read.analysis.result.steps if read.analysis else ()
    odd = [step for step in steps if not step.steady and step.note is not None]
    if not odd:
        return _finding("warm_up", "pass", Message(_("no warm-up or odd step inside")))
    message = Message(
        _("{count} of {steps} steps are not typical and were left out; the first is step {first}: {note}"),
        count=len(odd),
        steps=len(steps),
        first=odd[0].index,
        note=odd[0].note,
    )
    return _finding("warm_up", "warn", message, Message(_("skip the first steps with skip_first in the schedule")))


def _check_mode(read: _Read) -> Finding:
    mode = read.analysis.result.mode if read.analysis else "unknown"
    if mode == "graph":
        return _finding("mode", "pass", Message(_("the steps run as a graph")))
    if mode == "unknown":
        return _finding("mode", "unknown", Message(_("the capture does not say whether the steps run as a graph")))
    message = Message(
        _("recorded in eager mode: SuperKernel needs graph mode, where other kernels run and the gaps are others")
    )
    return _finding("mode", "warn", message, Message(_("switch graph mode on (no enforce_eager), then record again")))


def _check_host_bound(read: _Read) -> Finding:
    if read.analysis is None:
        return _finding("host_bound", "unknown", Message(_("without steps nothing is known of the host")))
    if not read.analysis.result.host_bound:
        return _finding("host_bound", "pass", Message(_("the device does not wait for the host")))
    phase = read.analysis.result.phases.get(read.analysis.result.phase)
    share = phase.gap.host_us / phase.wall_us if phase and phase.wall_us else 0.0
    message = Message(
        _("the device waits for the host in {share:.0%} of the step: fusing kernels does not shorten that"), share=share
    )
    remedy = Message(_("run in graph mode, and record without Python stacks (with_modules and with_stack off)"))
    return _finding("host_bound", "warn", message, remedy)


def _check_graph_replay(read: _Read) -> Finding:
    """A replayed graph whose kernels the profiler did not see leaves steps with few kernels and large gaps."""
    result = read.analysis.result if read.analysis else None
    if result is None or result.mode == "eager":
        return _finding("graph_replay", "pass", Message(_("nothing was replayed")))
    present = {row.region for row in result.regions if row.phase == "decode"}
    decode = [step for step in result.steps if step.phase == "decode" and step.steady]
    whole = max(
        (step.kernels / step.layers for step in result.steps if step.phase == "prefill" and step.layers), default=0.0
    )
    thin = [step for step in decode if not step.layers or step.kernels / step.layers < WHOLE_REPLAY * whole]
    halved = bool(present) and ("attention" not in present or present.isdisjoint({"mlp", "moe"}))
    if not decode or (not halved and len(thin) <= len(decode) / 2):
        return _finding("graph_replay", "pass", Message(_("replayed steps hold as many kernels as they should")))
    message = Message(
        _("the replayed graph is under-recorded: decode steps lack attention, feed-forward, or most kernels of a layer")
    )
    remedy = Message(_("start the profiler before the graph is captured, at Level1, with a current CANN and driver"))
    return _finding("graph_replay", "block", message, remedy)


def _check_super_kernels(read: _Read) -> Finding:
    from skadvisor.superkernel_names import parse

    fused = [name for name in read.kernels["name"].cat.categories if parse(str(name)) is not None]
    count = int(read.kernels["name"].isin(fused).sum())
    if not count:
        return _finding("super_kernels", "pass", Message(_("no SuperKernel runs in it")))
    message = Message(_("{count} SuperKernels run in it already and hide the kernels inside them"), count=count)
    remedy = Message(
        _("to choose a scope record without SuperKernel; to judge this run: skadvisor compare BEFORE AFTER")
    )
    return _finding("super_kernels", "warn", message, remedy)


def _check_ranks(read: _Read) -> Finding:
    if len(read.ranks) > 1:
        message = Message(
            _("{count} ranks are here: work and waiting in collectives can be told apart"), count=len(read.ranks)
        )
        return _finding("ranks", "pass", message)
    result = read.analysis.result if read.analysis else None
    share = (
        sum(row.share for row in result.regions if row.region == "comm" and row.phase == result.phase) if result else 0
    )
    waits = any(_MC2.search(str(name)) for name in read.capture.kernels["op_type"].cat.categories)
    if share < COLLECTIVES and not waits:
        return _finding("ranks", "pass", Message(_("one rank is enough: it hardly waits for others")))
    message = Message(_("one rank only: its time in collectives may be waiting for other ranks"))
    return _finding("ranks", "warn", message, Message(_("record all ranks into one folder and give that folder")))


_MC2 = re.compile("MoeDistribute")
PARSE = "python3 -c \"from torch_npu.profiler.profiler import analyse; analyse('FOLDER')\""
CHECKS: tuple[Callable[[Any], Finding], ...] = (
    _check_parsed,
    _check_complete,
    _check_level,
    _check_shapes,
    _check_pmu,
    _check_phase,
    _check_mode,
    _check_host_bound,
    _check_graph_replay,
    _check_super_kernels,
    _check_step_count,
    _check_step_marks,
    _check_warm_up,
    _check_ranks,
)


def _finding(check: str, status: Status, message: Message, remedy: Message | None = None) -> Finding:
    return Finding(check=check, status=status, message=message, remedy=remedy)
