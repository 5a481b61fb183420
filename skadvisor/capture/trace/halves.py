"""Read a large trace with two processes, each from its own part of the file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from skadvisor.capture.lines import GZIP_MAGIC
from skadvisor.capture.trace.blocks import BOUNDARY
from skadvisor.capture.trace.events import Gathered, gather

#: Below this size, starting a second Python costs more than it saves.
TWO_PROCESSES_BYTES = 64 << 20
#: What this process reads: the second one has to start first, and to send what it read.
OWN_SHARE = 0.52
#: How far from there an event must end.
SEARCH_BYTES = (64 << 10, 8 << 20)
#: The second process finds its modules where this one does and skips what Python else prepares at its start.
OPTIONS = ("-I", "-S", "-c")
SECOND = "import sys; sys.path[:] = sys.argv[4:]; from skadvisor.capture.trace.halves import send; send()"


def gather_in_two(path: Path) -> Iterator[Gathered]:
    """The parts of a trace in the order of the file; a second process reads the second part of a large plain file.

    Use the first part while the second process still reads.
    """
    import subprocess  # not needed in the second process
    from concurrent.futures import ThreadPoolExecutor

    middle = _middle(path)
    if middle is None:
        yield gather(path)
        return
    size = path.stat().st_size
    modules = [str(Path(__file__).resolve().parents[2]), *filter(None, sys.path)]
    command = [sys.executable, *OPTIONS, SECOND, str(path), str(middle + 1), str(size), *modules]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as second,
        ThreadPoolExecutor(1) as beside,
    ):
        assert second.stdout is not None
        try:
            received = beside.submit(_received, second.stdout)
            first = gather(path, 0, middle)
            if first.cut or "damaged event" in first.faults:
                yield gather(path)
                return
            yield first
            yield received.result() or gather(path, middle + 1, size)
        finally:
            second.kill()


def _middle(path: Path) -> int | None:
    """The comma between two events a little past the middle of a large plain file; None where it is not worth it."""
    size = path.stat().st_size
    if size < TWO_PROCESSES_BYTES:
        return None
    with path.open("rb") as file:
        if file.read(2) == GZIP_MAGIC:
            return None
        begin = int(size * OWN_SHARE)
        for search in SEARCH_BYTES:
            file.seek(begin)
            match = BOUNDARY.search(file.read(search))
            if match:
                return begin + match.start() + match.group().index(b",")
    return None


def send() -> None:
    """In the second process: gather the part that the arguments name, and write it to the first one."""
    path, begin, end = sys.argv[1:4]
    sys.stdout.buffer.write(msgspec.msgpack.encode(gather(Path(path), int(begin), int(end))))
    sys.stdout.buffer.flush()
    os._exit(0)  # the first process need not wait until this one has cleared its memory


def _received(sent: IO[bytes]) -> Gathered | None:
    """What the second process gathered; None where it failed."""
    try:
        return msgspec.msgpack.decode(sent.read(), type=Gathered)
    except msgspec.DecodeError:
        return None
