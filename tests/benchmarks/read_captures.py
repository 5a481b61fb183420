"""How fast captures are read, as ratios to well-known readers measured in the same run.

    python tests/benchmarks/read_captures.py            # a tenth of the size: a couple of minutes on two cores
    python tests/benchmarks/read_captures.py --full     # 200 MB trace, 1e6 x 44 table, database of 1e6 operators

Each reader runs in a process of its own, the readers of one comparison in turn, five times each; the medians are
compared, and the peak memory of each is shown. polars is compared where it is installed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROUNDS = 5

#: Each reader as the code that one process runs; `path` is given, `begin` is when the reading starts.
OURS = """
import pyarrow.compute, pyarrow.csv
import skadvisor.capture.merge
from skadvisor import capture
begin()
read = capture.load(path)
rows = len(read.kernels) + len(read.host) + len(read.tasks)
"""
#: The same table from the database with the strings joined by SQLite.
QUERY = """
SELECT t.startNs, t.endNs, t.streamId, t.taskId, t.modelId, t.connectionId, i.blockDim, i.mixBlockDim,
    n.value AS name, o.value AS op_type, c.value AS core, s.value AS shapes, d.value AS types, f.value AS formats,
    x.value AS out_shapes, y.value AS out_types, z.value AS out_formats
FROM TASK t JOIN COMPUTE_TASK_INFO i USING (globalTaskId)
    JOIN STRING_IDS n ON n.id = i.name JOIN STRING_IDS o ON o.id = i.opType JOIN STRING_IDS c ON c.id = i.taskType
    JOIN STRING_IDS s ON s.id = i.inputShapes JOIN STRING_IDS d ON d.id = i.inputDataTypes
    JOIN STRING_IDS f ON f.id = i.inputFormats JOIN STRING_IDS x ON x.id = i.outputShapes
    JOIN STRING_IDS y ON y.id = i.outputDataTypes JOIN STRING_IDS z ON z.id = i.outputFormats
"""
#: Every other reader ends with the whole table in memory; rows dropped one by one are what parsing alone costs.
DICTIONARIES = """
import csv
begin()
reader = csv.DictReader(open(path, newline=""))
rows = KEEP
"""
POLARS = """
import polars
begin()
rows = len(polars.read_csv(path, null_values=['N/A'], infer_schema_length=10000))
"""
READERS = {
    "trace": {
        "skadvisor": OURS,
        "json.load": "import json; begin(); rows = len(json.load(open(path)))",
    },
    "table": {
        "skadvisor": OURS,
        "csv.DictReader, rows held": DICTIONARIES.replace("KEEP", "len(list(reader))"),
        "csv.DictReader, rows dropped": DICTIONARIES.replace("KEEP", "sum(1 for _ in reader)"),
        "polars": POLARS,
    },
    "database": {
        "skadvisor": OURS,
        "pandas.read_sql": (
            "import pandas, sqlite3; connection = sqlite3.connect(path); begin(); "
            f"rows = len(pandas.read_sql({QUERY!r}, connection))"
        ),
    },
}
PROCESS = """
import json, resource, sys, time
path = sys.argv[1]
def begin():
    global wall, busy, before
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, busy = time.perf_counter(), time.process_time()
{code}
used = resource.getrusage(resource.RUSAGE_SELF)
child = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([time.perf_counter() - wall, time.process_time() - busy + child.ru_utime + child.ru_stime,
                  used.ru_maxrss / 1024, (used.ru_maxrss - before) / 1024, child.ru_maxrss / 1024, rows]))
"""


def measure(code: str, path: Path) -> list[float]:
    """Wall s, processor s, peak MB, growth MB, peak MB of a second process, rows."""
    done = subprocess.run(
        [sys.executable, "-c", PROCESS.replace("{code}", code), str(path)], stdout=subprocess.PIPE, check=True, cwd=HERE
    )
    return json.loads(done.stdout.splitlines()[-1])


def compare(title: str, readers: dict[str, str], path: Path) -> None:
    print(f"\n{title}: {path.stat().st_size / 1e6:.0f} MB")
    runs: dict[str, list[list[float]]] = {name: [] for name in readers}
    for _ in range(ROUNDS):
        for name, code in readers.items():
            runs[name].append(measure(code, path))
    middle = {
        name: [statistics.median(column) for column in zip(*values, strict=True)] for name, values in runs.items()
    }
    heads = ("wall s", "cpu s", "peak MB", "grown MB", "2nd MB", "rows", "ratio", "cpu ratio")
    print(f"{'reader':<30}" + "".join(f"{head:>10}" for head in heads))
    ours = middle["skadvisor"]
    for name, (wall, busy, peak, grown, second, rows) in middle.items():
        print(
            f"{name:<30}{wall:10.2f}{busy:10.2f}{peak:10.0f}{grown:10.0f}{second:10.0f}{rows:10.0f}"
            f"{wall / ours[0]:10.2f}{busy / ours[1]:10.2f}"
        )


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--full", action="store_true")
    options.add_argument("--only", choices=sorted(READERS))
    given = options.parse_args()
    sys.path.insert(0, str(HERE))
    from generators import large_database, large_table, large_trace

    scale = 1 if given.full else 10
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = {
            "trace": lambda: large_trace(folder / "trace_view.json", 200_000_000 // scale),
            "table": lambda: large_table(folder / "kernel_details.csv", 1_000_000 // scale),
            "database": lambda: large_database(folder / "profiler.db", 1_000_000 // scale),
        }
        for title, readers in READERS.items():
            if given.only in (None, title):
                present = {reader: code for reader, code in readers.items() if reader != "polars" or _has_polars()}
                compare(title, present, made[title]())
    return 0


def _has_polars() -> bool:
    from importlib.util import find_spec

    return find_spec("polars") is not None


if __name__ == "__main__":
    sys.exit(main())
