"""Whether the times of a kernel table can be true, asked before anything is concluded from them.

One stream runs one kernel after another, so that none begins before the one ahead of it has ended, beyond rounding.
Files break this when a spreadsheet has rounded their start times, when a counter has overflowed, or when two runs were
put into one table. Few such rows are repaired or left out, named and counted; many void the capture.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skadvisor.capture import alike
from skadvisor.errors import NotEnoughError
from skadvisor.events import idle_before
from skadvisor.text.messages import Message, _

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.events import Capture

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

#: Kernels of one stream may overlap by this much: start and duration are rounded, and end by different events.
ROUNDING_NS = 1_000
#: Of this many kernels and more a share means something.
ENOUGH = 20
#: One row in so many may be wrong; more void the capture.
ONE_IN = 100
#: Where no stream is written: more kernels than this never run at once.
MOST_AT_ONCE = 8
#: A kernel beside which more than this share of all others begin is no kernel of a device that runs a few at a time.
MOST_BESIDE = 0.2
#: Kernels do not take less than this on the average: the device needs as long to start one.
SHORTEST_USUAL_NS = 200
#: No operator runs this long; the runtime's own time limits end it before.
LONGEST_NS = 3_600 * 10**9
#: Parts of a capture that lie further apart than this are two recordings, or the clock was set in between.
FAR_APART_NS = 60 * 10**9
#: The file's own Wait Time and the start times differ by this much only where rows are missing or times are wrong.
WAIT_TOLERANCE_NS = 100_000
#: Steps of a rounded clock, coarse first.
ROUNDED_NS = (10**9, 10**8, 10**7, 10**6, 10**5, 10**4, 10**3)
#: Rows that a reader has left out already, by their times.
_LOST = ("row with a negative time", "row without a time")
#: The clocks of host and device agree to some us; a kernel that starts so long before its launch has another time.
CLOCK_TOLERANCE_NS = 1_000_000
#: Old files give twice the duration as core time (both dies); more than this many times is none of theirs.
MOST_CORE_TIME = 3.0
#: Tasks of the AI CPU may run beside all others for as long as a session lasts.
_SERVER = r"aicpu|kfc|^sk_|placeholder"
_DOUBT = _("{path}: times that cannot be true: {count} {what}")
_REMARK = _("{path}: {count} {what}")
_IDLE = _("pauses of 0.2 s or more: the clock jumped, or the device had nothing to do")
_MADE = _(
    "Give the files as the profiler wrote them (a spreadsheet that saves a table rounds its times), or record again."
)


def check(capture: Capture) -> Capture:
    """The capture with its few impossible rows repaired or left out, each kind counted in `files` and `notes`.

    Rows that only contradict another witness (Wait Time, launch, core time, a duration of 0) stay and are noted.

    Raises NotEnoughError where too many rows have times that cannot be true.
    """
    unused: Counter[str] = Counter()
    doubted: Counter[str] = Counter()
    lost = sum(count for file in capture.files for reason, count in file.skipped.items() if reason in _LOST)
    _refuse_many(capture, lost, len(capture.kernels) + lost, _("have a negative start time or duration, or none"))
    kernels = _near(capture.kernels, unused)
    _refuse_rounded(capture, kernels)
    ordinary = _ordinary(kernels)
    _refuse_short(capture, kernels, ordinary, doubted)
    other_unit, follows = alike.in_another_unit(kernels, ordinary)
    if not follows:
        raise NotEnoughError(
            _("{path}: the times cannot be true: alike kernels last at random"), _MADE, path=capture.path
        )
    _refuse_many(capture, int(other_unit.sum()), len(kernels), _("last far longer or shorter than those alike"))
    wrong = _overlapping(kernels, ordinary, capture) | _endless(kernels, ordinary) | other_unit
    _refuse_many(capture, int(wrong.sum()), len(kernels), _("run on after the next one of their stream has begun"))
    if wrong.any():
        unused[
            _("kernels longer than their stream leaves room for, or than those alike (duration taken from these)")
        ] = int(wrong.sum())
        duration = kernels["dur_ns"].to_numpy().copy()
        duration[wrong] = _likely(kernels, wrong)
        kernels = kernels.assign(dur_ns=duration)
    _compare_waits(capture, kernels, doubted)
    kernels, tasks = _without_jumps(kernels, capture.tasks, doubted)
    kernels = _with_orderly_steps(kernels, doubted)
    _compare_others(kernels, doubted)
    if not unused and not doubted:
        return capture
    path = capture.files[0].path
    notes = [
        Message(_REMARK if what == _IDLE else _DOUBT, path=path, count=count, what=Message(what))
        for what, count in {**unused, **doubted}.items()
    ]
    first = replace(capture.files[0], skipped={**capture.files[0].skipped, **unused})
    files = (first, *capture.files[1:])
    return replace(capture, kernels=kernels, tasks=tasks, files=files, notes=(*capture.notes, *notes))


def _few(count: int, rows: int) -> bool:
    return count <= max(1, rows // ONE_IN)


def _refuse_many(capture: Capture, count: int, rows: int, what: str) -> None:
    if rows and not _few(count, rows):
        raise NotEnoughError(
            _("{path}: the times cannot be true: {count} of {rows} kernels {what}"),
            _MADE,
            path=capture.path,
            count=count,
            rows=rows,
            what=Message(what),
        )


def _near(kernels: pd.DataFrame, found: Counter[str]) -> pd.DataFrame:
    """The kernels of the largest part that no more than FAR_APART_NS cuts; a start of 0 lies far from all others."""
    start = kernels["start_ns"].to_numpy()
    cuts = np.flatnonzero(np.diff(start) > FAR_APART_NS) + 1
    if not len(cuts):
        return kernels
    places = [0, *cuts.tolist(), len(start)]
    sizes = np.diff(places)
    largest = int(sizes.argmax())
    found[_("kernels more than a minute away from the others: a pause, or a clock that jumped (left out)")] = int(
        len(start) - sizes[largest]
    )
    return kernels.iloc[places[largest] : places[largest + 1]].reset_index(drop=True)


def _without_jumps(
    kernels: pd.DataFrame, tasks: pd.DataFrame, found: Counter[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Kernels and tasks with the time taken out that the clock jumped ahead by."""
    jumps, open_ones = alike.jumps(kernels)
    if open_ones:
        found[_IDLE] = open_ones
    if not jumps:
        return kernels, tasks
    found[
        _("pauses where the same kernels follow at once elsewhere: the clock jumped, or all stood still (taken out)")
    ] = len(jumps)
    begins = kernels["start_ns"].to_numpy()[list(jumps)]
    late = np.cumsum([0, *jumps.values()])

    def earlier(table: pd.DataFrame) -> pd.DataFrame:
        start = table["start_ns"].to_numpy()
        return table.assign(start_ns=start - late[np.searchsorted(begins, start, side="right")])

    return earlier(kernels), earlier(tasks)


def _with_orderly_steps(kernels: pd.DataFrame, found: Counter[str]) -> pd.DataFrame:
    """Step numbers that come and go at random mark no steps: without them the steps are found by what repeats."""
    out_of_order = alike.steps_out_of_order(kernels)
    if not out_of_order:
        return kernels
    found[_("step numbers smaller than the one before (none of them is used)")] = out_of_order
    return kernels.assign(step_id=kernels["step_id"].mask(kernels["step_id"].notna()))


def _refuse_rounded(capture: Capture, kernels: pd.DataFrame) -> None:
    """Refuse start times that were rounded after the profiler wrote them: durations are finer than they are."""
    if len(kernels) < ENOUGH:
        return
    start, duration = kernels["start_ns"].to_numpy(), kernels["dur_ns"].to_numpy()
    for step in ROUNDED_NS:
        if (start % step == 0).all():
            if (duration % step != 0).any():
                raise NotEnoughError(
                    _("{path}: the start times are rounded to {value:g} us, durations are not: what runs when is lost"),
                    _MADE,
                    path=capture.path,
                    value=step / 1000,
                )
            return


def _ordinary(kernels: pd.DataFrame) -> Flags:
    """Kernels that a stream runs one after another: no collectives, no tasks of the AI CPU, (N,)."""
    names = kernels["name"].cat
    server = np.append(names.categories.astype(str).str.contains(_SERVER, case=False, regex=True), False)
    return np.asarray(
        (kernels["kind"] == "kernel").to_numpy()
        & ~(kernels["core"] == "AI_CPU").to_numpy()
        & ~server.astype(bool)[names.codes.to_numpy()]
    )


def _refuse_short(capture: Capture, kernels: pd.DataFrame, ordinary: Flags, found: Counter[str]) -> None:
    """Refuse a table whose kernels take no time; count the few that take none among others."""
    duration = kernels["dur_ns"].to_numpy()[ordinary]
    none = int((duration == 0).sum())
    _refuse_many(capture, none, len(kernels), _("take no time"))
    if none:
        found[_("kernels with a duration of 0")] = none
    if len(duration) >= ENOUGH and np.median(duration) < SHORTEST_USUAL_NS:
        raise NotEnoughError(
            _("{path}: the times cannot be true: half of the kernels take less than {shortest_usual_ns} ns"),
            _("Durations of kernel_details.csv are microseconds: give the files as the profiler wrote them."),
            path=capture.path,
            shortest_usual_ns=SHORTEST_USUAL_NS,
        )


def _overlapping(kernels: pd.DataFrame, ordinary: Flags, capture: Capture) -> Flags:
    """Kernels that end after the next one of their stream has begun, (N,); parts of one task may run side by side."""
    late = np.zeros(len(kernels), dtype=bool)
    placed = np.flatnonzero(ordinary & kernels["stream"].notna().to_numpy())
    if not len(placed):
        _refuse_crowded(capture, kernels, ordinary)
        return late
    stream = kernels["stream"].to_numpy(dtype="int64", na_value=-1)
    rows = placed[np.argsort(stream[placed], kind="stable")]
    start, end = _times(kernels)
    task = kernels["task"].fillna(-1).to_numpy(dtype="int64")
    name = kernels["name"].cat.codes.to_numpy()
    this, following = rows[:-1], rows[1:]
    one_task = (task[this] == task[following]) & (task[this] >= 0) & (name[this] != name[following])
    same = (stream[this] == stream[following]) & ~one_task
    late[this] = same & (end[this] > start[following] + ROUNDING_NS)
    return late


def _refuse_crowded(capture: Capture, kernels: pd.DataFrame, ordinary: Flags) -> None:
    """Without streams: refuse a table in which more kernels run at once than a device can run."""
    start, end = (times[ordinary] for times in _times(kernels))
    running = np.arange(len(start)) - np.searchsorted(np.sort(end), start, side="right")
    _refuse_many(
        capture, int((running >= MOST_AT_ONCE).sum()), len(start), f"begin beside {MOST_AT_ONCE} or more others"
    )


def _endless(kernels: pd.DataFrame, ordinary: Flags) -> Flags:
    """Kernels beside which too many others begin, or that take longer than all the rest together, (N,)."""
    start, end = _times(kernels)
    duration = end - start
    if len(kernels) < ENOUGH:
        return np.asarray(duration > LONGEST_NS)
    beside = np.searchsorted(start, end, side="left") - np.arange(len(start)) - 1
    longest = int(duration.argmax())
    others = np.delete(np.arange(len(start)), longest)
    alone = np.zeros(len(start), dtype=bool)
    server = (kernels["kind"] == "kernel").to_numpy() & ~ordinary
    alone[longest] = not server[longest] and duration[longest] > end[others].max() - start[others].min()
    return np.asarray((ordinary & (beside > MOST_BESIDE * len(start))) | alone | (duration > LONGEST_NS))


def _times(kernels: pd.DataFrame) -> tuple[Ints, Ints]:
    start = kernels["start_ns"].to_numpy()
    return start, start + kernels["dur_ns"].to_numpy()


def _likely(kernels: pd.DataFrame, wrong: Flags) -> Ints:
    """What the wrong kernels last, (number of them,): the median of those alike, else the time until the next one."""
    alike = kernels[["op_type", "name", "input_shapes"]].astype("object").fillna("")
    alike["name"] = alike["name"].astype(str).str.replace(r"\d+", "", regex=True)
    group = alike.groupby(list(alike.columns), sort=False).ngroup()
    usual = kernels["dur_ns"][~wrong].groupby(group[~wrong]).median()
    start = kernels["start_ns"].to_numpy()
    room = np.append(start[1:] - start[:-1], 0)[wrong]
    expected = group[wrong].map(usual).to_numpy(dtype="float64")
    return np.where(np.isnan(expected), room, expected).astype("int64")


def _compare_waits(capture: Capture, kernels: pd.DataFrame, found: Counter[str]) -> None:
    """Count kernels that begin far from when the end of the one ahead and the file's own Wait Time put them."""
    if kernels["wait_ns"].isna().all() or len(kernels) < ENOUGH:
        return
    start, end = _times(kernels)
    wait = kernels["wait_ns"].fillna(-1).to_numpy(dtype="int64")[1:]
    later = idle_before(start, end - start)[1:] > wait + WAIT_TOLERANCE_NS
    earlier = np.maximum(start[1:] - end[:-1], 0) < wait - WAIT_TOLERANCE_NS
    jumps = int(((wait >= 0) & (later | earlier)).sum())
    if jumps > len(wait) // 2 and len(wait) > 5 * ENOUGH:
        _refuse_many(capture, jumps, len(wait), _("begin at another time than their Wait Time says"))
    # rows that a reader left out explain as many
    if jumps > sum(count for file in capture.files for count in file.skipped.values()):
        found[_("kernels at another time than their Wait Time says: rows are missing, or the clock jumped")] = jumps


def _compare_others(kernels: pd.DataFrame, found: Counter[str]) -> None:
    """Count kernels whose times contradict their launch on the host or the time of their own cores."""
    launched, start = kernels["launch_ns"], kernels["start_ns"]
    before = int((launched.notna() & (launched.fillna(0) > start + CLOCK_TOLERANCE_NS)).sum())
    if before:
        found[_("kernels that start before the host launched them: their clock jumped, or differs")] = before
    core = np.maximum(kernels["aic_ns"].fillna(0).to_numpy("int64"), kernels["aiv_ns"].fillna(0).to_numpy("int64"))
    short = int((core > MOST_CORE_TIME * kernels["dur_ns"].to_numpy() + ROUNDING_NS).sum())
    if short:
        found[_("kernels shorter than the time of their own cores")] = short
