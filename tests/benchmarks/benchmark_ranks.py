"""How long many ranks take, how much memory, and whether all ways give the same answer.

    python tests/benchmarks/benchmark_ranks.py [--ranks 64] [--steps 10] [--workers 2] [--skip-dask]

Builds that many ranks of a DeepSeek-V3-like decode, analyses them in one process, in several, and on a Dask cluster
of the same size on this machine, each in a fresh program, and prints a table. Memory is the peak resident set: of
the program that puts the answers together, and of the largest of its workers. CPU seconds, of all processes together
and with their start, tell on a busy machine whether a poor speed-up is ours.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2] / "profiles")]


def make(folder: Path, ranks: int, steps: int) -> None:
    """Write the captures; every rank computes a little differently."""
    from rank_samples import write_ranks
    from sample_builder.catalogue import DEEPSEEK_V3

    write_ranks(folder, [(37 * rank % 64) * 100 for rank in range(ranks)], description=DEEPSEEK_V3, steps=steps)


def measure(folder: str, workers: int, dask: bool) -> dict[str, object]:
    """Run one analysis in this process and say what it took."""
    import hashlib
    import resource

    from skadvisor.ranks.analysis import analyze_ranks
    from skadvisor.records import to_json

    if dask:
        from distributed import LocalCluster

        with LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
        ) as cluster:
            begin = time.perf_counter()
            result = analyze_ranks(folder, scheduler=cluster.scheduler_address).result
            seconds = time.perf_counter() - begin
    else:
        begin = time.perf_counter()
        result = analyze_ranks(folder, workers=workers).result
        seconds = time.perf_counter() - begin
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "seconds": seconds,
        "cpu": sum(usage.ru_utime + usage.ru_stime for usage in used),
        "own_mb": used[0].ru_maxrss / 1024,
        "worker_mb": used[1].ru_maxrss / 1024,
        "digest": hashlib.sha256(to_json(result)).hexdigest()[:12],
        "ranks": len(result.ranks) or 1,
    }


def run(folder: Path, workers: int, dask: bool = False) -> dict[str, object]:
    """`measure` in a fresh program."""
    command = [sys.executable, str(HERE), "--measure", str(folder), "--workers", str(workers)]
    done = subprocess.run(command + (["--dask"] if dask else []), capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def report(rows: list[tuple[str, dict[str, object]]]) -> None:
    """Print the table; speed-up is against the first row."""
    first = float(str(rows[0][1]["seconds"]))
    print(f"{'how':<24}{'ranks':>6}{'seconds':>9}{'speed-up':>10}{'CPU s':>8}{'own MB':>8}{'worker MB':>11}  answer")
    for name, row in rows:
        seconds = float(str(row["seconds"]))
        speed = f"{first / seconds:.2f}" if row["ranks"] == rows[0][1]["ranks"] else "-"
        print(
            f"{name:<24}{row['ranks']:>6}{seconds:>9.1f}{speed:>10}{row['cpu']:>8.1f}{row['own_mb']:>8.0f}{row['worker_mb']:>11.0f}"
            f"  {row['digest']}"
        )


def main() -> None:
    """Build, measure each way, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--skip-dask", action="store_true")
    parser.add_argument("--measure", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--dask", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.workers, options.dask)))
        return
    with tempfile.TemporaryDirectory() as name:
        many, few = Path(name, "many"), Path(name, "few")
        make(many, options.ranks, options.steps)
        make(few, max(2, options.ranks // 8), options.steps)
        rows = [
            ("one process", run(many, 1)),
            (f"{options.workers} processes", run(many, options.workers)),
            (f"{options.workers} processes, fewer", run(few, options.workers)),
        ]
        if not options.skip_dask:
            rows.append((f"Dask, {options.workers} workers", run(many, options.workers, dask=True)))
        report(rows)


if __name__ == "__main__":
    main()
