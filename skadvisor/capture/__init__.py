"""Reading captures: every format into one kernel table.

`load` reads one capture, `list_captures` says which ones a folder holds. What records a good capture is
`skadvisor.recording.recorder`, whose names stand here too: `skadvisor.capture.record("prof")`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skadvisor.errors import InputError, NotEnoughError
from skadvisor.text.messages import _

if TYPE_CHECKING:
    from skadvisor.capture.folder import Found, RankFiles
    from skadvisor.events import Capture
    from skadvisor.recording.recorder import Recording, RecordingWarning, record, record_steps, snippet

_RECORDING = ("Recording", "RecordingWarning", "record", "record_steps", "snippet")
__all__ = ["Recording", "RecordingWarning", "list_captures", "load", "record", "record_steps", "snippet"]

WHAT_IS_READ = _(
    "Give kernel_details.csv, op_summary_*.csv, trace_view.json, msprof_*.json, a profiler .db, or a folder with them."
)


def list_captures(path: Path | str) -> tuple[Found, ...]:
    """The captures at or under `path` as (rank, path), by rank; rank is None where nothing says it.

    Raises InputError where the path is missing, or holds only raw data or files that are known to be something else.
    """
    from skadvisor.capture import folder, saved

    if saved.is_saved(Path(path)):
        return (folder.Found(saved.read_saved(Path(path)).rank, Path(path)),)
    found = folder.find(Path(path))
    return tuple(folder.Found(ranked.rank, folder.place_of(ranked, found)) for ranked in found)


def load(path: Path | str, *, rank: int | None = None) -> Capture:
    """Read one rank's capture from a file or folder of any supported format, or from a result saved as JSON.

    `rank` chooses among several captures under a folder, by the device where none says its rank. Raises InputError
    for a missing path, no capture, an unparsed capture, a file that may not be read or several ranks without a choice;
    NotEnoughError for a capture without kernels, or with times that cannot be true.
    """
    from skadvisor.capture import folder, merge, plausibility, saved

    if saved.is_saved(Path(path)):
        return saved.load_saved(Path(path), rank)
    found = folder.find(Path(path))
    if not found:
        raise InputError(_("{path} holds no profiler capture"), WHAT_IS_READ, path=path)
    chosen = found if rank is None else [ranked for ranked in found if ranked.rank == rank]
    if not chosen and all(ranked.rank is None for ranked in found):
        # msprof knows no ranks, but leaves a folder for each device
        chosen = [ranked for ranked in found if ranked.device == rank]
    listed = ", ".join(f"{_named(one)} ({one.path.name})" for one in found[:8])
    if not chosen and len(found) == 1 and found[0].rank is None:
        chosen = found
    if not chosen:
        raise InputError(_("{path} holds no rank {rank}: there are {listed}"), path=path, rank=rank, listed=listed)
    if len(chosen) > 1:
        raise _several(path, chosen, listed, rank)
    try:
        capture = merge.read(chosen[0], rank)
    except OSError as problem:
        raise folder.unreadable(Path(problem.filename or path), problem) from None
    if capture.kernels.empty:
        raise NotEnoughError(
            _("{path} is a profiler capture without kernels: {why}")
            if capture.notes
            else _("{path} is a profiler capture without kernels"),
            _("Give the files as the profiler wrote them: their times cannot be read.")
            if any(file.rows for file in capture.files)
            else _("Record again with the NPU activity switched on, and parse the capture to its end."),
            path=path,
            why=capture.notes[0] if capture.notes else "",
        )
    return plausibility.check(capture)


def _several(path: Path | str, chosen: Sequence[RankFiles], listed: str, rank: int | None) -> InputError:
    """The error for several captures, with a way to choose that works: by rank only where ranks are told apart."""
    from skadvisor.capture.folder import place_of

    more = f" and {len(chosen) - 8} more" if len(chosen) > 8 else ""
    ranks = [ranked.rank if ranked.rank is not None else ranked.device for ranked in chosen]
    if rank is None and None not in ranks and len(set(ranks)) == len(ranks):
        return InputError(
            _("{path} holds {count} captures: {listed}{more}"),
            _("Choose one with --rank, or give its folder."),
            path=path,
            count=len(chosen),
            listed=listed,
            more=more,
        )
    of_rank = "" if rank is None else f" of rank {rank}"
    places = ", ".join(str(place_of(ranked, chosen)) for ranked in chosen[:8])
    return InputError(
        _("{path} holds {count} captures{of_rank} that are not one run"),
        _("Give one of {places}{more}."),
        path=path,
        count=len(chosen),
        of_rank=of_rank,
        places=places,
        more=more,
    )


def _named(ranked: RankFiles) -> str:
    if ranked.rank is not None:
        return str(ranked.rank)
    return "no rank" if ranked.device is None else f"device {ranked.device}"


def __getattr__(name: str) -> Any:
    if name not in _RECORDING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from skadvisor.recording import recorder

    return getattr(recorder, name)
