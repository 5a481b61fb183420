"""How long it takes to label one step, and whether the cost grows in proportion to the kernels.

    python tests/benchmarks/benchmark_labelling.py [--kernels 2500 5000 10000 20000 40000] [--renamed] [--repeats 3]

Builds a DeepSeek-V3-like decode step with as many layers as give about that many kernels, labels it, and prints the
best of some runs, the processor time per kernel and its ratio to that of the first size. `--renamed` gives all specific
operators unknown names, so that learned scores take part.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[2] / "profiles")]

if TYPE_CHECKING:
    from sample_builder.build import BuiltCapture

#: Kernels in one layer of the model, about.
KERNELS_PER_LAYER = 20


def one_step(kernels: int, renamed: bool) -> BuiltCapture:
    """A capture of one decode step of about this many kernels."""
    from label_variants import rename_by_vocabulary
    from sample_builder.build import build
    from sample_builder.catalogue import DEEPSEEK_V3

    layers = max(4, kernels // KERNELS_PER_LAYER)
    built = build(replace(DEEPSEEK_V3, layers=layers), mode="ge_graph", steps=1, batch=32)
    return rename_by_vocabulary(built) if renamed else built


def seconds_to_label(built: BuiltCapture, repeats: int) -> tuple[float, float]:
    """The best of several runs: seconds on the clock, seconds of the processor."""
    from skadvisor.labelling.labels import label
    from skadvisor.vocabulary.operators import load_vocabulary

    vocabulary = load_vocabulary()
    clock, processor = [], []
    for _ in range(repeats):
        begin, busy = time.perf_counter(), time.process_time()
        label(built.capture, vocabulary)
        clock.append(time.perf_counter() - begin)
        processor.append(time.process_time() - busy)
    return min(clock), min(processor)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernels", type=int, nargs="+", default=[2_500, 5_000, 10_000, 20_000, 40_000])
    parser.add_argument("--renamed", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    seconds_to_label(one_step(500, options.renamed), 1)  # imports and data files are not what is measured
    print(f"{'kernels':>9}{'layers':>8}{'seconds':>9}{'processor':>11}{'us per kernel':>15}{'ratio':>7}")
    first: float | None = None
    for wanted in options.kernels:
        built = one_step(wanted, options.renamed)
        (seconds, busy), count = seconds_to_label(built, options.repeats), len(built.truth)
        each = 1e6 * busy / count
        first = first or each
        print(
            f"{count:>9}{built.manifest['layers']:>8}{seconds:>9.3f}{busy:>11.3f}{each:>15.1f}{each / first:>7.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
