"""A text file as a stream of whole lines in UTF-8, for pyarrow to parse: gzip, GBK, BOM and cut ends are met here."""

from __future__ import annotations

import io
import os
import zlib
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from skadvisor.capture.interface import FREE_EXPANSION_BYTES, MAX_EXPANSION, MAX_RECORD_BYTES, MAX_ROWS
from skadvisor.errors import InputError
from skadvisor.text.messages import _
from skadvisor.text.plain_text import decoded

GZIP_MAGIC = b"\x1f\x8b"
GZIP_WINDOW = 31
#: What is looked at to tell what a file is.
HEAD_BYTES = 1 << 16
PACKED_BLOCK = 1 << 18
SALVAGE_STEP = 16
SALVAGED_BYTES = 64 << 20
_NO_END = 2**63
UTF8_BOM = b"\xef\xbb\xbf"


class Source:
    """The bytes of a plain or gzip file, with a limit on how far it may expand; of a plain file perhaps only a range.

    `cut` says that a gzip stream ended early or is damaged: what came before is still given.
    """

    def __init__(self, path: Path, begin: int = 0, end: int | None = None) -> None:
        self.path = path
        self.cut = False
        self._file: io.FileIO = open(path, "rb", buffering=0)  # noqa: SIM115
        self.compressed = self._file.read(2) == GZIP_MAGIC
        self._file.seek(begin)
        self._left = _NO_END if end is None else end - begin
        self._inflate = zlib.decompressobj(wbits=GZIP_WINDOW)
        self._packed = b""
        self._salvaged = b""
        self._limit = max(FREE_EXPANSION_BYTES, MAX_EXPANSION * os.fstat(self._file.fileno()).st_size)
        self._given = 0

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        if not self.compressed:
            data = self._file.read(min(size, self._left))
            self._left -= len(data)
            return data
        pieces: list[bytes] = []
        missing = size
        while missing and (piece := self._unpack(missing)):
            pieces.append(piece)
            missing -= len(piece)
        self._given += size - missing
        if self._given > self._limit:
            raise InputError(
                _("{path} expands to more than {value} MB, over {max_expansion} times its own size"),
                _("If you trust the file, unpack it and give the unpacked one."),
                path=self.path,
                value=self._limit >> 20,
                max_expansion=MAX_EXPANSION,
            )
        return b"".join(pieces)

    def readinto(self, target: memoryview) -> int:
        """Fill `target`; the number of bytes, fewer only at the end."""
        if self.compressed:
            data = self.read(len(target))
            target[: len(data)] = data
            return len(data)
        filled = 0
        wanted = min(len(target), self._left)
        while filled < wanted and (count := self._file.readinto(target[filled:wanted])):
            filled += count
        self._left -= filled
        return filled

    def _unpack(self, size: int) -> bytes:
        """Some bytes, at most `size`; b"" at the end. A gzip file may consist of several members."""
        while True:
            if self._salvaged or self.cut:
                piece, self._salvaged = self._salvaged[:size], self._salvaged[size:]
                return piece
            if not self._packed:
                self._packed = self._file.read(PACKED_BLOCK)
                if not self._packed:
                    self.cut = not self._inflate.eof
                    return b""
            if self._inflate.eof:
                self._inflate = zlib.decompressobj(wbits=GZIP_WINDOW)
            before = self._inflate.copy()
            try:
                data = self._inflate.decompress(self._packed, size)
            except zlib.error:
                self.cut = True
                self._salvaged = _before_damage(before, self._packed)
                continue
            self._packed = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
            if data:
                return data

    def close(self) -> None:
        self._file.close()


def _before_damage(inflate: Any, packed: bytes) -> bytes:
    """What comes out of a damaged piece before the damage, found in small steps."""
    pieces: list[bytes] = []
    room = SALVAGED_BYTES
    for start in range(0, len(packed), SALVAGE_STEP):
        try:
            pieces.append(inflate.decompress(packed[start : start + SALVAGE_STEP], room))
        except zlib.error:
            break
        room -= len(pieces[-1])
        if room <= 0 or inflate.unconsumed_tail:
            break
    return b"".join(pieces)


class Lines(io.RawIOBase):
    """Whole lines of `source` in UTF-8. A line without its end is cut: see `faults` afterwards.

    What stops the reading ends the lines, and `end` raises it: the threads of pyarrow, in which `read` is called, have
    to come to their end, or they outlive the reading and hang the interpreter at its exit.
    """

    def __init__(self, source: Source) -> None:
        self.faults: Counter[str] = Counter()
        self.cut = False
        self._problem: Exception | None = None
        self._source = source
        self._rest = b""
        self._first = True
        self._lines = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes that end with a line end, or b"" at the end of the file."""
        try:
            return self._whole_lines(MAX_RECORD_BYTES if size is None or size < 0 else size)
        except Exception as problem:
            self._problem = problem
            return b""

    def end(self) -> None:
        """Close the source; raises what stopped the reading: InputError, OSError."""
        self._source.close()
        if self._problem is not None:
            raise self._problem

    def _whole_lines(self, size: int) -> bytes:
        # Transcoding can lengthen a block (a GBK character of two bytes becomes three), so leave room.
        data = self._rest + self._source.read(max(size // 2, size - (size >> 2) - len(self._rest)))
        if self._first:
            self._first = False
            data = data.removeprefix(UTF8_BOM)
        end = data.rfind(b"\n") + 1
        if end == 0:
            if len(data) > size // 2:
                raise InputError(
                    _("{path} has a line of more than {value} MB"),
                    _("It is no profiler table."),
                    path=self._source.path,
                    value=size // 2**21,
                )
            if data and not (more := self._source.read(1)):
                self._rest = b""
                return self._last_line(data)
            if data:
                self._rest = data + more
                return self._whole_lines(size)
            self.cut |= self._source.cut
            return b""
        self._rest = data[end:]
        self._lines += data.count(b"\n")
        if self._lines > MAX_ROWS:
            raise InputError(
                _("{path} holds more than {max_rows} rows"),
                _("Read it in slices."),
                path=self._source.path,
                max_rows=MAX_ROWS,
            )
        return as_utf8(data[:end])

    def _last_line(self, line: bytes) -> bytes:
        """The line that ends with the file: its last field may be cut short, so that field counts as absent."""
        self.cut = True
        line = as_utf8(line.rstrip(b"\x00"))
        comma = line.rfind(b",")
        if comma < 0 or line.count(b'"') % 2:
            if line.strip():
                self.faults[_("cut row")] += 1
            return b""
        return line[: comma + 1] + b"\n"


def as_utf8(data: bytes) -> bytes:
    """`data` (whole lines) in UTF-8: GBK and other bytes are translated line by line."""
    if data.isascii():
        return data
    try:
        data.decode("utf-8")
        return data
    except UnicodeDecodeError:
        return "".join(map(decoded, data.splitlines(keepends=True))).encode()


def is_plain(path: Path, columns: int) -> bool:
    """Whether a table may be parsed as it lies there: not packed, its last line whole, and not too many rows."""
    with path.open("rb") as file:
        packed = file.read(2) == GZIP_MAGIC
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - 1))
        return not packed and file.read(1) == b"\n" and size // columns <= MAX_ROWS


def first_bytes(path: Path) -> bytes:
    """The first bytes of a plain or gzip file, unpacked; b"" where there are none."""
    with closing(Source(path)) as source:
        return source.read(HEAD_BYTES)
