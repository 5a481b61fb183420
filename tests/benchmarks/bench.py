"""Every figure that speed is promised by, as a ratio from one interleaved run, with its bound: `make bench`.

    python tests/benchmarks/bench.py [--only NAME ...] [--rounds 5] [--keep FOLDER]

Times are processor time of whole processes, user and system with their children, unless a figure says wall; what is
compared runs in turn and medians count. Bytecode is compiled before anything is measured. The figures are meant for a
quiet machine; the load is told at the end. Exit code 1 where a bound does not hold.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent), str(ROOT / "profiles")]

SAMPLE = ROOT / "profiles" / "moe-decode"
#: Ranks, and the kernels of each: steps of 1,202 kernels.
RANKS, RANK_STEPS = 64, 5
STEPS = 82
TRACE_BYTES = 200_000_000


@dataclass(frozen=True)
class Figure:
    """What was measured and its bound; `least` where more is better."""

    name: str
    value: float
    bound: float
    least: bool = False
    detail: str = ""

    @property
    def holds(self) -> bool:
        return self.value >= self.bound if self.least else self.value <= self.bound


@dataclass(frozen=True)
class Run:
    """One process: processor time and wall time, s, peak resident set of it and of its largest child, MB."""

    busy: float
    wall: float
    peak: float


def run(arguments: Sequence[str], environment: dict[str, str]) -> Run:
    """Run a Python process to its end and say what it took."""
    begin = time.perf_counter()
    command = [sys.executable, *arguments]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Run(used.ru_utime + used.ru_stime, time.perf_counter() - begin, used.ru_maxrss / 1024)


@dataclass(frozen=True)
class Bench:
    """Where the captures lie, how often things are measured, and the environment of the processes."""

    folder: Path
    rounds: int
    environment: dict[str, str]

    def in_turn(self, commands: dict[str, Sequence[str]], rounds: int | None = None) -> dict[str, Run]:
        """The medians of some commands that run in turn, after one run of each that does not count."""
        runs: dict[str, list[Run]] = {name: [] for name in commands}
        for number in range(1 + (rounds or self.rounds)):
            for name, arguments in commands.items():
                found = run(arguments, self.environment)
                if number:
                    runs[name].append(found)
        return {
            name: Run(*(statistics.median(column) for column in zip(*map(_values, found), strict=True)))
            for name, found in runs.items()
        }

    def made(self, name: str, code: str) -> Path:
        """The file or folder of this name, made by `code` in a process of its own: a child's peak begins at ours."""
        place = self.folder / name
        if not place.exists():
            paths = [str(HERE), str(HERE.parent), str(ROOT / "profiles")]
            program = f"import sys; sys.path[:0] = {paths!r}; from pathlib import Path; place = Path({str(place)!r})\n"
            subprocess.run([sys.executable, "-c", program + code], env=self.environment, check=True)
        return place


def _values(one: Run) -> tuple[float, float, float]:
    return one.busy, one.wall, one.peak


def table_of(capture: Path) -> Path:
    return next(capture.rglob("kernel_details.csv"))


def repeat(table: Path, place: Path, times: int) -> None:
    """The same table so many times, each part behind the one before."""
    import csv

    target = place / "host_1000_20260101_ascend_pt" / "ASCEND_PROFILER_OUTPUT" / table.name
    target.parent.mkdir(parents=True)
    with table.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    start, step = header.index("Start Time(us)"), header.index("Step Id") if "Step Id" in header else None
    begins = [row[start].strip().partition(".") for row in rows]
    span = int(begins[-1][0]) - int(begins[0][0]) + 1_000
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for number in range(times):
            for row, (whole, point, rest) in zip(rows, begins, strict=True):
                row[start] = f"{int(whole) + number * span}{point}{rest}\t"
                if step is not None and number and row[step].isdigit():
                    row[step] = str(int(row[step]) + STEPS)
                writer.writerow(row)


def analyze(capture: Path) -> list[str]:
    return ["-m", "skadvisor", "analyze", str(capture), "--no-ledger"]


def start_up(bench: Bench) -> Iterator[Figure]:
    """The sample of 2,060 kernels, and the help."""
    found = bench.in_turn(
        {
            "bare": ["-c", "pass"],
            "help": ["-m", "skadvisor", "--help"],
            "pandas": ["-c", "import pandas"],
            "sample": analyze(SAMPLE),
        },
        2 * bench.rounds,
    )
    sample, pandas, bare = (found[name].busy for name in ("sample", "pandas", "bare"))
    yield Figure("--help / bare interpreter", found["help"].busy / bare, 4.0, detail=f"{1000 * bare:.0f} ms")
    yield Figure("analyze of 2,060 kernels / import pandas", sample / pandas, 1.8, detail=f"{sample:.2f} s")


def long_captures(bench: Bench) -> Iterator[Figure]:
    """98,564 kernels in 82 steps, and ten times as many steps."""
    short = bench.made(
        "steps",
        "from rank_samples import write_ranks; from sample_builder.catalogue import DEEPSEEK_V3\n"
        f"write_ranks(place, [0], description=DEEPSEEK_V3, steps={STEPS})",
    )
    long = bench.made(
        "more-steps", f"from bench import repeat, table_of; repeat(table_of(Path({str(short)!r})), place, 10)"
    )
    found = bench.in_turn(
        {
            "read": ["-c", f"import pandas; pandas.read_csv({str(table_of(short))!r})"],
            "short": analyze(short),
        }
    )
    seconds, read = found["short"].busy, found["read"].busy
    yield Figure("analyze of 98,564 kernels / pandas.read_csv", seconds / read, 3.5, detail=f"{seconds:.2f} s")
    yield Figure("its peak memory, MB", found["short"].peak, 400.0)
    ten = bench.in_turn({"short": analyze(short), "long": analyze(long)}, max(1, bench.rounds // 2))
    yield Figure("ten times as many steps / as many", ten["long"].busy / ten["short"].busy, 5.0)


#: Labels one step of about so many kernels, none of them carried over from its like; prints seconds and kernels.
LABELLING = """
import sys, time
sys.path[:0] = [{here!r}]
from benchmark_labelling import one_step, seconds_to_label
from skadvisor.labelling import structure
from skadvisor.labelling.repeats import Repeats
structure.find_repeats = lambda looks, pauses=None: Repeats.none(len(looks))
seconds_to_label(one_step(500, False), 1)
for kernels in (10_000, 100_000):
    built = one_step(kernels, False)
    print(seconds_to_label(built, {repeats})[1], len(built.truth))
"""


def labelling(bench: Bench) -> Iterator[Figure]:
    """One step whose kernels are all read themselves."""
    code = LABELLING.format(here=str(HERE), repeats=bench.rounds)
    done = subprocess.run([sys.executable, "-c", code], env=bench.environment, capture_output=True, text=True)
    (few, fewer), (many, more) = ([float(word) for word in line.split()] for line in done.stdout.splitlines()[-2:])
    yield Figure("labelling 10,000 distinct kernels of one step, s", few / fewer * 10_000, 0.25)
    yield Figure("a kernel of 100,000 / of 10,000", (many / more) / (few / fewer), 1.15)


def ranks(bench: Bench) -> Iterator[Figure]:
    """Many ranks: what one costs beyond reading, and what a second process wins."""
    folder = bench.made("ranks", f"from benchmark_ranks import make; make(place, {RANKS}, {RANK_STEPS})")
    first = next(folder.iterdir())
    # Each reading is timed alone; starting Python and the libraries is not what a rank costs.
    reading = (
        "from pathlib import Path; from skadvisor.capture import load\n"
        f"for place in sorted(Path({str(folder)!r}).iterdir()): load(place)"
    )
    commands = {
        "one": [*analyze(folder), "--workers", "1"],
        "two": [*analyze(folder), "--workers", "2"],
        "start": analyze(first),
        "read": ["-c", reading],
        "read one": ["-c", f"from pathlib import Path; from skadvisor.capture import load\nload(Path({str(first)!r}))"],
    }
    found = bench.in_turn(commands, max(1, bench.rounds // 2))
    read = (found["read"].busy - found["read one"].busy) / (RANKS - 1)
    each = (found["one"].busy - found["start"].busy) / (RANKS - 1) - read
    yield Figure("a rank of 6,010 kernels beyond reading, s", each, 0.35, detail=f"reading {read:.3f} s")
    yield Figure("two processes, wall time won", found["one"].wall / found["two"].wall, 1.8, least=True)


@contextmanager
def busy_process() -> Iterator[None]:
    """Another process that keeps a core busy."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def trace(bench: Bench) -> Iterator[Figure]:
    """A trace of 200 MB, alone and beside a busy process (wall time), with its peak memory in all processes."""
    from read_captures import READERS, measure

    code = f"from generators import large_trace; large_trace(place, {TRACE_BYTES})"
    path = bench.made("trace_view.json", code)

    def compare() -> tuple[float, float]:
        runs: dict[str, list[list[float]]] = {name: [] for name in READERS["trace"]}
        for _ in range(bench.rounds):
            for name, code in READERS["trace"].items():
                runs[name].append(measure(code, path))
        wall = {name: statistics.median(one[0] for one in found) for name, found in runs.items()}
        peak = statistics.median(one[2] + one[4] for one in runs["skadvisor"])
        return wall["json.load"] / wall["skadvisor"], peak

    alone, peak = compare()
    with busy_process():
        beside, _ = compare()
    yield Figure("trace of 200 MB: json.load / ours, wall", alone, 5.0, least=True)
    yield Figure("the same beside a busy process", beside, 5.0, least=True)
    yield Figure("its peak memory in all processes, MB", peak, 220.0)


def table(bench: Bench) -> Iterator[Figure]:
    """A table of 1 million rows, where polars is installed (wall time)."""
    from read_captures import READERS, measure

    if importlib.util.find_spec("polars") is None:
        return
    path = bench.made("kernel_details.csv", "from generators import large_table; large_table(place, 1_000_000)")
    walls: dict[str, list[float]] = {"skadvisor": [], "polars": []}
    for _ in range(bench.rounds):
        for name, found in walls.items():
            found.append(measure(READERS["table"][name], path)[0])
    ours, polars = (statistics.median(found) for found in walls.values())
    yield Figure("CSV of 1 million rows / polars, wall", ours / polars, 1.2)


PARTS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "start": start_up,
    "long": long_captures,
    "labelling": labelling,
    "ranks": ranks,
    "trace": trace,
    "table": table,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where a bound does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="Folder that the captures are made in and kept in.")
    options = parser.parse_args(arguments)
    missed = 0
    with tempfile.TemporaryDirectory() as name:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment |= {"PYTHONPYCACHEPREFIX": str(Path(name, "bytecode")), "PYTHONPATH": paths}
        os.environ.update(environment)
        bench = Bench(options.keep or Path(name, "captures"), options.rounds, environment)
        bench.folder.mkdir(parents=True, exist_ok=True)
        print(f"{'figure':<52}{'value':>9}{'bound':>9}")
        for part in options.only:
            for figure in PARTS[part](bench):
                bound = f"{'>=' if figure.least else '<='} {figure.bound:g}"
                print(
                    f"{figure.name:<52}{figure.value:>9.2f}{bound:>9}  "
                    f"{'holds' if figure.holds else 'MISSED':<7} {figure.detail}",
                    flush=True,
                )
                missed += not figure.holds
    print(f"load of the machine over the last minutes: {', '.join(f'{one:.1f}' for one in os.getloadavg())}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
