"""Read many damaged variants of small captures: each must give an answer or a clear refusal.

    python tests/benchmarks/fuzz_damage.py --variants 10000 --first-seed 0

Variant n damages one of the files by seed n, so any failure can be read again with `--first-seed n --variants 1`.
Prints how often each outcome came, the slowest variant and the peak memory; the exit code is 1 after a failure.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2] / "profiles")]

from capture_damage import damage, originals, outcome  # noqa: E402

#: A variant that takes longer hangs.
SECONDS = 60


def _hang(*_: object) -> None:
    raise TimeoutError(f"no answer after {SECONDS} s")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--variants", type=int, default=500)
    options.add_argument("--first-seed", type=int, default=0)
    given = options.parse_args()
    signal.signal(signal.SIGALRM, _hang)
    outcomes: Counter[str] = Counter()
    failures: list[int] = []
    slowest = (0.0, -1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = originals(folder)
        names = sorted(files)
        for seed in range(given.first_seed, given.first_seed + given.variants):
            path = folder / names[seed % len(names)]
            path.write_bytes(damage(files[path.name], seed))
            begin = time.perf_counter()
            signal.alarm(SECONDS)
            try:
                outcomes[f"exit code {outcome(path)}"] += 1
            except BaseException:
                outcomes["failure"] += 1
                failures.append(seed)
                print(f"seed {seed} ({path.name}):", file=sys.stderr)
                traceback.print_exc()
            finally:
                signal.alarm(0)
            slowest = max(slowest, (time.perf_counter() - begin, seed))
    for kind, count in sorted(outcomes.items()):
        print(f"{kind}: {count}")
    print(f"slowest: {slowest[0]:.2f} s (seed {slowest[1]})")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    if failures:
        print(f"failed seeds: {failures}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
