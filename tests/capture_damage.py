"""Ways to damage a file, each decided by a seed, and what reading a damaged file may do."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
from capture_examples import example
from sample_builder.formats import write_database, write_kernel_details, write_op_summary, write_trace_view

from skadvisor import capture
from skadvisor.errors import InputError, NotEnoughError

WRITERS: dict[str, Callable[[Path], Path]] = {
    "kernel_details.csv": lambda folder: write_kernel_details(example(), folder / "kernel_details.csv", pmu=True),
    "level0.csv": lambda folder: write_kernel_details(example(), folder / "level0.csv", level=0),
    "op_summary.csv": lambda folder: write_op_summary(example(), folder / "op_summary.csv"),
    "trace_view.json": lambda folder: write_trace_view(example(), folder / "trace_view.json"),
    "profiler.db": lambda folder: write_database(example(), folder / "profiler.db"),
}
SNIPPETS = (
    b'"',
    b"{",
    b"}, {",
    b"[",
    b"]",
    b",",
    b"\n",
    b"\r",
    b"\x00",
    b"\xff\xfe",
    b"\\u",
    b"1e999",
    b"-",
    b"N/A",
    b"null",
)


def originals(folder: Path) -> dict[str, bytes]:
    """The undamaged files by name, plain and compressed."""
    made = {name: write(folder).read_bytes() for name, write in WRITERS.items()}
    for name in ("kernel_details.csv", "trace_view.json"):
        made[f"{name}.gz"] = gzip.compress(made[name], mtime=0)
    return made


def damage(data: bytes, seed: int) -> bytes:
    """`data` with one to four kinds of damage."""
    random = np.random.default_rng(seed)
    for _ in range(int(random.integers(1, 5))):
        data = _DAMAGES[int(random.integers(len(_DAMAGES)))](data, random)
    return data


def _place(data: bytes, random: np.random.Generator) -> int:
    return int(random.integers(0, max(len(data), 1)))


def _cut(data: bytes, random: np.random.Generator) -> bytes:
    return data[: _place(data, random)]


def _headless(data: bytes, random: np.random.Generator) -> bytes:
    return data[int(random.integers(0, 200)) :]


def _flip(data: bytes, random: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _ in range(int(random.integers(1, 20))):
        if changed:
            changed[_place(data, random)] = int(random.integers(256))
    return bytes(changed)


def _insert(data: bytes, random: np.random.Generator) -> bytes:
    at = _place(data, random)
    return data[:at] + SNIPPETS[int(random.integers(len(SNIPPETS)))] * int(random.integers(1, 4)) + data[at:]


def _remove(data: bytes, random: np.random.Generator) -> bytes:
    at = _place(data, random)
    return data[:at] + data[at + int(random.integers(1, 400)) :]


def _repeat(data: bytes, random: np.random.Generator) -> bytes:
    at = _place(data, random)
    piece = data[at : at + int(random.integers(1, 3000))]
    return data[:at] + piece * int(random.integers(2, 5)) + data[at + len(piece) :]


def _zeros(data: bytes, random: np.random.Generator) -> bytes:
    at = _place(data, random)
    size = int(random.integers(1, 4096))
    return data[:at] + bytes(size) + data[at + size :]


def _digits(data: bytes, random: np.random.Generator) -> bytes:
    """Numbers with many more digits, in the text."""
    at = _place(data, random)
    digit = data.find(b"7", at)
    return data if digit < 0 else data[:digit] + b"7" * int(random.integers(2, 400)) + data[digit + 1 :]


_DAMAGES = (_cut, _headless, _flip, _insert, _remove, _repeat, _zeros, _digits)


def outcome(path: Path) -> int:
    """The exit code that reading gives: 0, 2 or 3; anything else is raised. Checks what was read."""
    try:
        read = capture.load(path)
    except (InputError, NotEnoughError) as refused:
        assert refused.message and "\n" not in refused.message
        return refused.exit_code
    kernels = read.kernels
    assert (kernels["start_ns"] >= 0).all() and (kernels["dur_ns"] >= 0).all()
    assert kernels["name"].notna().all()
    assert read.state in ("complete", "truncated")
    return 0
