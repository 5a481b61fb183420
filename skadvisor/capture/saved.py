"""A capture kept in a saved result (`analyze -o a.json`), so that every command can answer from that file alone.

The tables are Parquet in base64 with the columns of `events`; what is read back passes the checks of a reader.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skadvisor.capture.interface import MAX_ROWS, Level, Producer
from skadvisor.errors import InputError
from skadvisor.events import Capture, SourceFile, host_table, kernel_table, task_table
from skadvisor.options import Options
from skadvisor.text.messages import Message, _
from skadvisor.version import SCHEMA_VERSION

if TYPE_CHECKING:
    import pandas as pd

#: A saved result is a few megabytes; what is larger was not written here.
LARGEST_BYTES = 1 << 30
#: The member of a saved result that holds the capture.
MEMBER = "capture"
_OWN_FILES = ("operators", "rules")


@dataclass(frozen=True, kw_only=True)
class Note:
    """A sentence of the reader that can still be translated."""

    template: str
    values: dict[str, str | int | float]


@dataclass(frozen=True, kw_only=True)
class Saved:
    """What a capture is read back from; `options` are the values that were chosen, `own_files` which files besides."""

    path: str
    producer: Producer
    rank: int | None
    device: int | None
    level: Level
    files: tuple[SourceFile, ...]
    notes: tuple[Note, ...]
    metadata: dict[str, Any]
    kernels: bytes
    tasks: bytes
    host: bytes
    options: dict[str, Any] = field(default_factory=dict)
    own_files: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Holder:
    capture: Saved | None = None


def save(capture: Capture, options: Options) -> dict[str, Any]:
    """The members that make a result readable as the capture it was made from, as JSON has them."""
    import msgspec

    chosen = {one.name: getattr(options, one.name) for one in fields(Options)}
    own_files = tuple(name for name in _OWN_FILES if chosen[name])
    kept = {name: value for name, value in chosen.items() if name not in (*_OWN_FILES, "rank", "ledger")}
    saved = Saved(
        path=str(capture.path),
        producer=capture.producer,
        rank=capture.rank,
        device=capture.device,
        level=capture.level,
        files=capture.files,
        notes=tuple(_note(message) for message in capture.notes),
        metadata=dict(capture.metadata),
        kernels=_pack(capture.kernels),
        tasks=_pack(capture.tasks),
        host=_pack(capture.host),
        options={name: value for name, value in kept.items() if value != getattr(Options(), name)},
        own_files=own_files,
    )
    return {MEMBER: msgspec.to_builtins(saved)}


def load_saved(path: Path, rank: int | None = None) -> Capture:
    """The capture of a saved result. Raises InputError where it holds none, or holds another rank."""
    saved = read_saved(path)
    if rank is not None and saved.rank is not None and rank != saved.rank:
        raise InputError(
            _("{path} holds no rank {rank}: there is {rank2}"),
            _("Leave --rank out."),
            path=path,
            rank=rank,
            rank2=saved.rank,
        )
    try:
        return Capture(
            path=Path(saved.path),
            producer=saved.producer,
            kernels=kernel_table(_unpack(saved.kernels)),
            tasks=task_table(_unpack(saved.tasks)),
            host=host_table(_unpack(saved.host)),
            files=saved.files,
            rank=saved.rank,
            device=saved.device,
            level=saved.level,
            metadata=saved.metadata,
            notes=tuple(Message(note.template, **note.values) for note in saved.notes),
        )
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise InputError(
            _("{path} is damaged: its kernels cannot be read back"), _("Analyze the capture again."), path=path
        ) from error


def with_saved_options(path: Path, options: Options) -> Options:
    """The options that a saved result was made with, where they are not chosen anew; `options` for any other path.

    Raises InputError where files of the user's were used that are not given again.
    """
    if not is_saved(path):
        return options
    saved, usual = read_saved(path), Options()
    missing = [name for name in saved.own_files if not getattr(options, name)]
    if missing:
        words = " and ".join(f"--{name}" for name in missing)
        raise InputError(
            _("{path} was made with {words}"),
            _("Give {words} again, or analyze the capture again."),
            path=path,
            words=words,
        )
    known = {name: value for name, value in saved.options.items() if hasattr(usual, name)}
    return replace(
        options, **{name: value for name, value in known.items() if getattr(options, name) == getattr(usual, name)}
    )


def is_saved(path: Path) -> bool:
    """Whether a path is a file that looks like a result of ours; `load_saved` tells whether it is one."""
    from skadvisor.capture.foreign import OWN_RESULT
    from skadvisor.capture.lines import first_bytes

    try:
        return path.is_file() and path.suffix.lower() == ".json" and bool(OWN_RESULT.search(first_bytes(path)))
    except OSError:
        return False


def read_result_bytes(path: Path) -> bytes:
    """The content of a saved result. Raises InputError where it cannot be read or another schema version wrote it."""
    import msgspec

    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise InputError(_("{path} is too large for a saved result"), _("Analyze the capture again."), path=path)
        content = path.read_bytes()
        version = msgspec.json.decode(content, type=_Version).schema_version
    except OSError as problem:
        raise InputError(
            _("{path} cannot be read: {strerror}"),
            _("Check the path."),
            path=path,
            strerror=problem.strerror or problem,
        ) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise InputError(
            _("{path} is no result of skadvisor"), _("Make one: analyze CAPTURE -o FILE.json"), path=path
        ) from None
    if version != SCHEMA_VERSION:
        raise InputError(
            _("{path} has schema version {version}, this skadvisor reads {schema_version}"),
            _("Analyze the capture again, or use the skadvisor that wrote it."),
            path=path,
            version=version,
            schema_version=SCHEMA_VERSION,
        )
    return content


@dataclass(frozen=True, kw_only=True)
class _Version:
    schema_version: str


def read_saved(path: Path) -> Saved:
    """The capture of a saved result, its tables still packed. Raises InputError where it holds none."""
    import msgspec

    content = read_result_bytes(path)
    try:
        saved = msgspec.json.decode(content, type=_Holder).capture
    except (msgspec.ValidationError, RecursionError) as error:
        raise InputError(
            _("{path} is damaged: {error}"), _("Analyze the capture again."), path=path, error=error
        ) from None
    if saved is None:
        raise InputError(
            _("{path} is a result without the kernels that this needs"),
            _("Save one capture whole, of many ranks one with --rank: skadvisor analyze CAPTURE -o FILE.json"),
            path=path,
        )
    return saved


def _note(message: Message) -> Note:
    values = {
        name: value if isinstance(value, str | int | float) else str(value) for name, value in message.values.items()
    }
    return Note(template=message.template, values=values)


def _pack(table: pd.DataFrame) -> bytes:
    target = io.BytesIO()
    table.to_parquet(target, compression="zstd", index=False)
    return target.getvalue()


def _unpack(content: bytes) -> Mapping[str, Any]:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(content))
        if file.metadata.num_rows > MAX_ROWS:
            raise ValueError("too many rows")
        table = file.read()
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
    frame = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get, ignore_metadata=True)
    return {name: frame[name] for name in frame.columns}
