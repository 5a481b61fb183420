"""Read a large trace with two processes, each from its own half of the file."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from skadvisor.capture.lines import GZIP_MAGIC
from skadvisor.capture.trace_blocks import BOUNDARY
from skadvisor.capture.trace_events import Gathered, gather, join

#: Below this size, starting a second Python costs more than it saves.
TWO_PROCESSES_BYTES = 128 << 20
#: What this process reads; the second one has to start first.
OWN_SHARE = 0.55
SEARCH_BYTES = 8 << 20
TABLES = ("ranges", "device", "begins", "ends")


def gather_in_two(path: Path) -> Gathered:
    """The columns of a trace; large plain files are read by this process and a second one together."""
    middle = _middle(path)
    if middle is None:
        return gather(path)
    command = [sys.executable, "-m", __name__, str(path), str(middle + 1), str(path.stat().st_size)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        first = gather(path, 0, middle)
        sent = worker.stdout.read()
    if worker.returncode != 0 or first.cut or "damaged event" in first.faults:
        return gather(path)
    return join(first, _unpacked(sent))


def _middle(path: Path) -> int | None:
    """The comma between two events a little past the middle of a large plain file; None where it is not worth it."""
    size = path.stat().st_size
    if size < TWO_PROCESSES_BYTES:
        return None
    with path.open("rb") as file:
        if file.read(2) == GZIP_MAGIC:
            return None
        begin = int(size * OWN_SHARE)
        file.seek(begin)
        match = BOUNDARY.search(file.read(SEARCH_BYTES))
    return None if match is None else begin + match.start() + match.group().index(b",")


def _packed(part: Gathered) -> bytes:
    import msgspec

    value: dict[str, Any] = {
        table: {name: (values.dtype.str, values.tobytes()) for name, values in getattr(part, table).items()}
        for table in TABLES
    }
    value |= {
        "words": part.words,
        "lanes": part.lanes,
        "processes": list(part.processes.items()),
        "threads": list(part.threads.items()),
        "labels": list(part.labels.items()),
        "transfers": part.transfers,
        "events": part.events,
        "faults": dict(part.faults),
        "cut": part.cut,
    }
    return msgspec.msgpack.encode(value)


def _unpacked(data: bytes) -> Gathered:
    import msgspec

    value = msgspec.msgpack.decode(data)
    tables = {
        table: {name: np.frombuffer(raw, dtype=dtype).copy() for name, (dtype, raw) in value[table].items()}
        for table in TABLES
    }
    return Gathered(
        **tables,
        words=value["words"],
        lanes=[tuple(lane) for lane in value["lanes"]],
        processes=dict(value["processes"]),
        labels=dict(value["labels"]),
        threads={tuple(lane): name for lane, name in value["threads"]},
        transfers=value["transfers"],
        events=value["events"],
        faults=Counter(value["faults"]),
        cut=value["cut"],
    )


if __name__ == "__main__":
    sys.stdout.buffer.write(_packed(gather(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
