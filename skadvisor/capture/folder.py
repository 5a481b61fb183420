"""Find the captures under a path: which files belong to which rank, decided by what the files hold.

A rank's folder is the nearest one above its products that holds `profiler_info*.json`, else the one above the
known product folders, else the folder with the products itself. Names only help to choose between files that
hold the same kind of table (slices, repeated exports).
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, NamedTuple, TypeVar

from skadvisor.capture import foreign, readers
from skadvisor.capture.lines import first_bytes
from skadvisor.errors import InputError
from skadvisor.text.messages import Message, _

Place = TypeVar("Place", bound=PurePath)

MAX_FILES = 20_000
MAX_DEPTH = 8
MAX_METADATA_BYTES = 16 << 20
#: Folders that only sort the products of one rank.
PRODUCT_FOLDERS = {"ascend_profiler_output", "mindstudio_profiler_output", "summary", "timeline"}
RANK_FOLDERS = ("_ascend_pt", "_ascend_ms")
#: Folders that hold thousands of raw files and no products.
RAW = re.compile(r".*/FRAMEWORK|PROF_[^/]*/(host|device_\d+)/(data|sqlite)")
#: Folders of raw data, by which a capture is known that the profiler has not parsed yet.
RAW_FOLDERS = ("FRAMEWORK", "PROF_*", "*/FRAMEWORK", "*/PROF_*", "*/*/PROF_*", "host/data", "device_*/data")
SLICE = re.compile(r"_slice_(\d+)")
DATABASE = re.compile(r"(ascend_(?:pytorch|mindspore)_profiler|msmonitor_\d+_\d+)_(\d{1,6})\.db")
DEVICE = re.compile(r"device_(\d{1,6})")
TIMESTAMP = re.compile(r"_\d{8,}")
#: Where msprof writes its timeline, beside others that each hold a part of it.
TIMELINE_FOLDERS = {"timeline", "mindstudio_profiler_output"}
TIMELINE = re.compile(r"msprof(_slice)?[_\d]*\.json.*")
#: torch_npu parses a folder with FRAMEWORK and PROF_* in it; the raw data of msprof itself only msprof exports.
HOW_TO_PARSE = _(
    'Parse it where it was recorded: python3 -c "from torch_npu.profiler.profiler import analyse; analyse({folder!r})"'
)
HOW_TO_EXPORT = _("Export it where CANN is installed: msprof --export=on --output={folder}")
#: So many files of a folder without a capture are looked at to say what they are.
MOST_NAMED = 8
SUFFIXES = (".csv", ".json", ".db", ".gz", ".zip", ".txt")


class Found(NamedTuple):
    """One capture under a path: its rank, where it says one, and its folder or file."""

    rank: int | None
    path: Path


@dataclass
class RankFiles:
    """The files of one rank: for each format the slices of one table, in order."""

    path: Path
    files: dict[str, list[Path]] = field(default_factory=dict)
    rank: int | None = None
    device: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: list[Message] = field(default_factory=list)


def find(path: Path) -> list[RankFiles]:
    """The captures at or under `path`, by rank and path; empty where there is none.

    Raises InputError where the path is missing or may not be read, where the file is an archive, and where the folder
    holds an unparsed capture only.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            _("{path} does not exist"), _("Give a profiler output: a folder or a file in it."), path=path
        ) from None
    except OSError as problem:
        raise unreadable(path, problem) from None
    if path.is_file():
        format = sniff(path)
        if format is None:
            refuse_foreign(path)
            return []
        return [_with_information(RankFiles(path, {format: _slices(path, format)}))]
    products: dict[Path, list[tuple[str, Path]]] = {}
    for file in _walk(path):
        format = sniff(file)
        if format is not None:
            products.setdefault(rank_folder(file, path, _is_informed), []).append((format, file))
    if not products:
        _refuse_raw(path)
        named = (file for file in _walk(path) if file.suffix in SUFFIXES)
        for file in itertools.islice(named, MOST_NAMED):
            refuse_foreign(file)
    found = [ranked for root, files in products.items() for ranked in _ranks(root, files)]
    return sorted(found, key=lambda ranked: (ranked.rank is None, ranked.rank or 0, str(ranked.path)))


def place_of(ranked: RankFiles, found: Sequence[RankFiles]) -> Path:
    """What to give to read this capture of those found: its folder, or its leading file where others lie below."""
    if any(ranked.path in other.path.parents for other in found if other is not ranked):
        return next(paths[0] for paths in ranked.files.values())
    return ranked.path


def unreadable(path: Path, problem: OSError) -> InputError:
    """The error for a path that the system does not let us read."""
    return InputError(
        _("{path} cannot be read: {strerror}"),
        _("Check the path and its permissions."),
        path=path,
        strerror=problem.strerror or problem,
    )


def refuse_foreign(file: Path) -> None:
    """Raise InputError where there is more to say of a file than that it is no capture."""
    try:
        known = foreign.identify(file)
    except OSError as problem:
        raise unreadable(file, problem) from None
    if known is not None:
        raise InputError(_("{file} {is_what}"), known.hint, file=file, is_what=known.is_what)


def _refuse_raw(path: Path) -> None:
    """Raise InputError where the folder holds raw data that nobody has parsed, with the command that parses it."""
    raw = next((found for pattern in RAW_FOLDERS for found in sorted(path.glob(pattern))), None)
    if raw is None:
        return
    message = _("{path} is a capture that was not parsed yet")
    framework = raw if raw.name == "FRAMEWORK" else next(path.glob("**/FRAMEWORK"), None)
    if framework is not None:
        raise InputError(message, HOW_TO_PARSE, path=path, folder=str(framework.parent))
    inside = [raw, *raw.parents]
    profile = next((folder for folder in inside if folder.name.startswith("PROF_")), path)
    within = next((folder for folder in inside if folder.name.endswith(RANK_FOLDERS)), None)
    if within is not None and (within == path or path in within.parents):
        raise InputError(message, HOW_TO_PARSE, path=path, folder=str(within))
    raise InputError(message, HOW_TO_EXPORT, path=path, folder=profile)


def sniff(path: Path) -> str | None:
    """The format of a file by its content; None where it is none of ours or cannot be read."""
    try:
        if not path.is_file() or path.stat().st_size == 0:
            return None
        head = first_bytes(path)
    except OSError:
        return None
    return next((format for reader in readers.READERS if (format := reader.recognise(path, head))), None)


def _walk(path: Path) -> Iterator[Path]:
    """Files under `path` in a fixed order, each once, without raw data, to a limited depth and number."""
    count = 0
    top = path.resolve()
    linked: set[Path] = set()

    def is_new(place: Path) -> bool:
        """Not so for links to what stands under `path` itself, and for second links to one place."""
        if not place.is_symlink():
            return True
        try:
            real = place.resolve()
        except (OSError, RuntimeError):  # links in a circle
            return False
        new = real != top and top not in real.parents and real not in linked
        linked.add(real)
        return new

    def refuse(problem: OSError) -> None:
        if problem.filename == str(path):
            raise unreadable(path, problem)

    for here, names, files in os.walk(path, followlinks=True, onerror=refuse):
        folder = Path(here)
        above = f"{folder.parent.name}/{folder.name}"
        names[:] = [name for name in sorted(names) if not RAW.fullmatch(f"{above}/{name}") and is_new(folder / name)]
        if len(folder.relative_to(path).parts) >= MAX_DEPTH:
            names.clear()
        for name in sorted(files):
            count += 1
            if count > MAX_FILES:
                raise InputError(
                    _("{path} holds more than {max_files} files"),
                    _("Give a folder nearer to one capture."),
                    path=path,
                    max_files=MAX_FILES,
                )
            if is_new(folder / name):
                yield folder / name


def rank_folder(file: Place, top: Place, informed: Callable[[Place], bool]) -> Place:
    """The folder of the rank that `file` belongs to, not above `top`; `informed` says where profiler_info lies."""
    above = [folder for folder in file.parents if folder == top or top in folder.parents]
    for candidate in above:
        if informed(candidate):
            return candidate
    for candidate in reversed(above):
        if candidate.name.endswith(RANK_FOLDERS):
            return candidate
    return above[1] if file.parent.name.lower() in PRODUCT_FOLDERS and len(above) > 1 else file.parent


def _is_informed(folder: Path) -> bool:
    return any(folder.glob("profiler_info*.json"))


def _ranks(root: Path, files: list[tuple[str, Path]]) -> list[RankFiles]:
    """The captures in one rank folder: one, unless it holds several unrelated tables of one kind."""
    tables: dict[str, dict[str, list[Path]]] = {}
    for format, file in _without_partial_timelines(files):
        stem = TIMESTAMP.sub("", SLICE.sub("", file.name))
        tables.setdefault(format, {}).setdefault(stem, []).append(file)
    if all(len(stems) == 1 for stems in tables.values()):
        ranked = RankFiles(root)
        for format, stems in tables.items():
            ranked.files[format] = _newest(next(iter(stems.values())), ranked.notes)
        return [_with_information(ranked)]
    return [
        _with_information(RankFiles(paths[0], {format: _newest(paths, [])}))
        for format, stems in tables.items()
        for paths in stems.values()
    ]


def _without_partial_timelines(files: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """Without the timelines of one kind (step_trace, task_time, ...) that stand beside the one that holds them all."""
    traces = {file for format, file in files if format in ("trace_view", "msprof_trace")}
    timelines = {file for file in traces if file.parent.name.lower() in TIMELINE_FOLDERS}
    whole = {file for file in timelines if TIMELINE.fullmatch(file.name)}
    held = {file.parent for file in whole}
    partial = {file for file in timelines - whole if file.parent in held}
    return [(format, file) for format, file in files if file not in partial]


def _newest(paths: list[Path], notes: list[Message]) -> list[Path]:
    """The slices of the newest of several exports of one table, in slice order."""
    exports: dict[tuple[str, str], list[Path]] = {}
    for path in paths:
        stamp = TIMESTAMP.search(path.name)
        exports.setdefault((stamp.group() if stamp else "", str(path.parent)), []).append(path)
    newest = max(exports)
    if len(exports) > 1:
        text = _("{count} exports of one table are here; the newest was read: {name}")
        notes.append(Message(text, count=len(exports), name=exports[newest][0].name))
    return sorted(exports[newest], key=_slice_number)


def _slice_number(path: Path) -> int:
    match = SLICE.search(path.name)
    return int(match.group(1)) if match else 0


def _slices(path: Path, format: str) -> list[Path]:
    """The slices beside a slice: one table, even if only one of its files was named."""
    if not SLICE.search(path.name):
        return [path]
    stem = SLICE.sub("", path.name)
    beside = [
        other for other in path.parent.iterdir() if SLICE.search(other.name) and SLICE.sub("", other.name) == stem
    ]
    return sorted((other for other in beside if sniff(other) == format), key=_slice_number)


def _with_information(ranked: RankFiles) -> RankFiles:
    """Add what profiler_info*.json and profiler_metadata.json say."""
    folder = ranked.path if ranked.path.is_dir() else ranked.path.parent
    above = [folder, folder.parent] if folder.name.lower() in PRODUCT_FOLDERS else [folder]
    for candidate in above:
        for file in sorted(candidate.glob("profiler_info*.json")):
            information = _json_object(file)
            ranked.metadata.setdefault("profiler_info", information)
            if ranked.rank is None:
                ranked.rank = _rank_of(file, information)
        for file in sorted(candidate.glob("profiler_metadata.json")):
            metadata = _json_object(file)
            ranked.metadata.setdefault("profiler_metadata", metadata)
            arguments = metadata.get("distributed_args")
            if ranked.rank is None and isinstance(arguments, dict):
                ranked.rank = _whole(arguments.get("rank"))
    databases = ranked.files.get("database", [])
    named = DATABASE.fullmatch(databases[0].name) if databases and ranked.rank is None else None
    if named:
        ranked.rank = int(named.group(2))
    inside = (place.name for place in folder.glob("device_*")) if ranked.path.is_dir() else ()
    devices = {int(match.group(1)) for name in (folder.name, *inside) if (match := DEVICE.fullmatch(name))}
    ranked.device = devices.pop() if len(devices) == 1 else None
    return ranked


def _rank_of(file: Path, information: dict[str, Any]) -> int | None:
    named = re.fullmatch(r"profiler_info_(\d+)\.json", file.name)
    rank = _whole(information.get("rank_id"))
    return rank if rank is not None else int(named.group(1)) if named else None


def _whole(value: Any) -> int | None:
    """A rank as a number or text; -1 stands for none."""
    try:
        rank = int(value)
    except (TypeError, ValueError):
        return None
    return rank if rank >= 0 else None


def _json_object(file: Path) -> dict[str, Any]:
    """A small JSON object; empty where the file is damaged, too large or something else."""
    import msgspec

    try:
        if file.stat().st_size > MAX_METADATA_BYTES:
            return {}
        value = msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return value if isinstance(value, dict) else {}
