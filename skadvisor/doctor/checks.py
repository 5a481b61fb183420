"""The checks of the doctor: what was read in, one finding out. `block` takes an answer away, `warn` weakens it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skadvisor.events import PlainColumns
from skadvisor.fusion import exchanges_with_ranks
from skadvisor.recording import recorder
from skadvisor.records import Finding, finding
from skadvisor.text.messages import _
from skadvisor.vocabulary.operators import load_vocabulary

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.analysis import Analysis
    from skadvisor.errors import NotEnoughError
    from skadvisor.events import Capture

#: Steady steps below this leave medians at the mercy of one odd step.
ENOUGH_STEPS = 5
#: A replayed decode step with less than this share of the kernels per layer of the eager steps was not recorded whole.
WHOLE_REPLAY = 0.5
#: Kernels without shapes are a lack from this share on.
MISSING_SHAPES = 0.2
#: Collectives from this share of a step on make one rank alone a lack.
COLLECTIVES = 0.1
PARSE = "python3 -c \"from torch_npu.profiler.profiler import analyse; analyse('FOLDER')\""


@dataclass(frozen=True, eq=False)
class Read:
    """What the checks look at; `analysis` is None where the capture holds too little for one, which `lack` says."""

    path: Path
    capture: Capture
    analysis: Analysis | None
    ranks: tuple[int | None, ...]
    lack: NotEnoughError | None = None

    @property
    def kernels(self) -> pd.DataFrame:
        """The kernel table without collectives."""
        table = self.capture.kernels
        chosen: pd.DataFrame = table[table["kind"].astype("object") == "kernel"]
        return chosen


def _check_parsed(read: Read) -> Finding:
    text = _("{producer} capture with {kernels} kernels, read from {files} files")
    kernels, files = len(read.kernels), len(read.capture.files)
    return finding("parsed", "pass", text, producer=read.capture.producer, kernels=kernels, files=files)


def _check_complete(read: Read) -> Finding:
    skipped = sum(count for file in read.capture.files for count in file.skipped.values())
    if read.capture.state == "truncated":
        text = _("a file is cut off: only what is whole was read, the last step may lack kernels")
        remedy = _("parse the raw data again, on a disk with room: {command}")
        return finding("complete", "warn", text, remedy, command=PARSE)
    if skipped:
        return finding("complete", "warn", _("{rows} damaged rows were left out"), rows=skipped)
    return finding("complete", "pass", _("all files are whole"))


def _check_level(read: Read) -> Finding:
    formats = {file.format for file in read.capture.files}
    if formats <= {"trace_view", "msprof_trace"}:
        text = _("a timeline alone: no operator types; labels rest on kernel names alone")
        return finding("level", "warn", text, _("give the folder with kernel_details.csv or op_summary too"))
    if read.capture.level == "level0" or read.kernels["op_type"].isna().all():
        text = _("recorded at Level0: no operator types, shapes or streams; labels rest on names alone")
        return finding("level", "warn", text, _("record with profiler_level=Level1"))
    if read.capture.level == "unknown":
        return finding("level", "unknown", _("the files do not say at which level they were recorded"))
    return finding("level", "pass", _("recorded at Level1 or above"))


def _check_shapes(read: Read) -> Finding:
    missing = float(read.kernels["input_shapes"].isna().mean()) if len(read.kernels) else 1.0
    if missing < MISSING_SHAPES:
        return finding("shapes", "pass", _("{share:.0%} of the kernels have shapes"), share=1 - missing)
    text = _("{share:.0%} of the kernels have no shapes: projections and batch size are told by order alone")
    remedy = _("record at Level1, and give kernel_details.csv: timelines hold no shapes")
    return finding("shapes", "warn", text, remedy, share=missing)


def _check_pmu(read: Read) -> Finding:
    timed = read.kernels["aic_ns"].notna() | read.kernels["aiv_ns"].notna()
    if timed.any():
        text = _("{share:.0%} of the kernels have core times: their overhead is measured")
        return finding("pmu", "pass", text, share=timed.mean())
    text = _("no core times (PMU columns): the overhead of each kernel is assumed and the estimate wider")
    return finding("pmu", "warn", text, _("record with aic_metrics=PipeUtilization at Level1"))


def _check_step_marks(read: Read) -> Finding:
    if read.capture.kernels["step_id"].notna().any():
        return finding("step_marks", "pass", _("the profiler marked the steps"))
    text = _("no Step Id: steps are told by what repeats, which is enough for decode")
    return finding("step_marks", "unknown", text, _("record with a schedule and call step()"))


def _check_phase(read: Read) -> Finding:
    if read.lack is not None:
        return finding("phase", "block", *read.lack.templates, **read.lack.values)
    phases = {step.phase for step in read.analysis.result.steps} if read.analysis else set()
    if "training" in phases:
        text = _("this is training; SuperKernel scopes are for the decode steps of inference")
        return finding("phase", "block", text, _("record the inference service while it decodes"))
    if "decode" in phases:
        return finding("phase", "pass", _("decode steps are there"))
    if "mixed" in phases:
        text = _("every step mixes prefill and decode: shares are those of the mixture")
        return finding("phase", "warn", text, _("record while no new requests come in"))
    text = _("no decode step was found")
    return finding("phase", "block", text, _("start recording after the prefill, and let it run on"))


def _check_step_count(read: Read) -> Finding:
    result = read.analysis.result if read.analysis else None
    steady = sum(step.steady and step.phase == result.phase for step in result.steps) if result else 0
    if steady >= ENOUGH_STEPS:
        return finding("step_count", "pass", _("{steps} steady steps"), steps=steady)
    cut = [notice.message.template for notice in result.warnings if notice.code == "no_whole_step"] if result else []
    text = (
        cut[0]
        if cut
        else _("only {steps} steady steps: an odd one cannot be told from the usual")
        if steady
        else _("no steady step of one forward pass was found")
    )
    remedy = _("record {wanted} steps after the warm-up")
    return finding("step_count", "warn" if steady else "block", text, remedy, steps=steady, wanted=recorder.STEPS)


def _check_warm_up(read: Read) -> Finding:
    steps = read.analysis.result.steps if read.analysis else ()
    odd = [step for step in steps if not step.steady and step.note is not None]
    if not odd:
        return finding("warm_up", "pass", _("no warm-up or odd step inside"))
    if len(odd) == len(steps):
        return finding("warm_up", "unknown", _("no steady step of one forward pass was found"))
    text = _("{count} of {steps} steps are not typical and were left out; the first is step {first}: {note}")
    remedy = _("skip the first steps with skip_first in the schedule")
    first, note = odd[0].index, odd[0].note
    return finding("warm_up", "warn", text, remedy, count=len(odd), steps=len(steps), first=first, note=note)


def _check_mode(read: Read) -> Finding:
    mode = read.analysis.result.mode if read.analysis else "unknown"
    if mode == "graph":
        return finding("mode", "pass", _("the steps run as a graph"))
    if mode == "unknown":
        return finding("mode", "unknown", _("the capture does not say whether the steps run as a graph"))
    text = _("recorded in eager mode: SuperKernel needs graph mode, where other kernels run and the gaps are others")
    return finding("mode", "warn", text, _("switch graph mode on (no enforce_eager), then record again"))


def _check_host_bound(read: Read) -> Finding:
    if read.analysis is None:
        return finding("host_bound", "unknown", _("without steps nothing is known of the host"))
    if not read.analysis.result.host_bound:
        return finding("host_bound", "pass", _("the device does not wait for the host"))
    phase = read.analysis.result.phases.get(read.analysis.result.phase)
    share = phase.gap.host_us / phase.wall_us if phase and phase.wall_us else 0.0
    text = _("the device waits for the host in {share:.0%} of the step: fusing kernels does not shorten that")
    remedy = _("run in graph mode, and record without Python stacks (with_modules and with_stack off)")
    return finding("host_bound", "warn", text, remedy, share=share)


def _check_graph_replay(read: Read) -> Finding:
    """A replayed graph whose kernels the profiler did not see leaves steps with few kernels and large gaps."""
    result = read.analysis.result if read.analysis else None
    if result is None or result.mode == "eager":
        return finding("graph_replay", "pass", _("nothing was replayed"))
    if _super_kernels(read):
        return finding("graph_replay", "unknown", _("SuperKernels hide how many kernels a layer has"))
    present = {row.region for row in result.regions if row.phase == "decode"}
    decode = [step for step in result.steps if step.phase == "decode" and step.steady]
    whole = max(
        (step.kernels / step.layers for step in result.steps if step.phase == "prefill" and step.layers), default=0.0
    )
    thin = [step for step in decode if not step.layers or step.kernels / step.layers < WHOLE_REPLAY * whole]
    halved = bool(present) and ("attention" not in present or present.isdisjoint({"mlp", "moe"}))
    if not decode or (not halved and len(thin) <= len(decode) / 2):
        return finding("graph_replay", "pass", _("replayed steps hold as many kernels as they should"))
    text = _(
        "the replayed graph is under-recorded: decode steps lack attention, feed-forward, or most kernels of a layer"
    )
    remedy = _("start the profiler before the graph is captured, at Level1, with a current CANN and driver")
    return finding("graph_replay", "block", text, remedy)


def _super_kernels(read: Read) -> int:
    from skadvisor.vocabulary.superkernel_names import superkernel_rows

    return int(superkernel_rows(read.kernels).sum())


def _check_super_kernels(read: Read) -> Finding:
    count = _super_kernels(read)
    if not count:
        return finding("super_kernels", "pass", _("no SuperKernel runs in it"))
    text = _("{count} SuperKernels run in it already and hide the kernels inside them")
    remedy = _("to choose a scope record without SuperKernel; to judge this run: skadvisor compare BEFORE AFTER")
    return finding("super_kernels", "warn", text, remedy, count=count)


def _check_ranks(read: Read) -> Finding:
    if len(read.ranks) > 1:
        text = _("{count} ranks are here: work and waiting in collectives can be told apart")
        return finding("ranks", "pass", text, count=len(read.ranks))
    result = read.analysis.result if read.analysis else None
    share = (
        sum(row.share for row in result.regions if row.region == "comm" and row.phase == result.phase) if result else 0
    )
    waits = exchanges_with_ranks(PlainColumns(read.kernels), load_vocabulary())
    if share < COLLECTIVES and not waits:
        return finding("ranks", "pass", _("one rank is enough: it hardly waits for others"))
    text = _("one rank only: its time in collectives may be waiting for other ranks")
    return finding("ranks", "warn", text, _("record all ranks into one folder and give that folder"))


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
