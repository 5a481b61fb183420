"""Which captures need which rule of the labeller: `python profiles/ablate.py [options]`.

Labels every capture of the benchmark, and the deployments that the tests write down, with all rules and without each
one in turn. A rule is needed where the time with the right region or role falls by more than the tolerance without it
or layers that were right no longer are. A rule that fewer than two architectures need is marked and says why it stays.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
for place in (HERE, HERE.parent / "tests"):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

from label_scores import Score, score  # noqa: E402
from label_variants import VARIANTS, build_variant, is_decoder  # noqa: E402
from sample_builder.catalogue import CATALOGUE  # noqa: E402

if TYPE_CHECKING:
    from sample_builder.build import BuiltCapture

DEFAULT_VARIANTS = ("plain", "all_renamed", "level0")
DEPLOYMENT = "deployment"
FEWEST_ARCHITECTURES = 2
Name = tuple[str, str]


def needs(full: Score, without: Score, tolerance: float) -> bool:
    """Whether a capture needs the rule that `without` was scored without; `tolerance` is a fraction of the time."""
    lost = max(full.time_accuracy - without.time_accuracy, full.role_accuracy - without.role_accuracy)
    return lost > tolerance or (full.layers_exact and not without.layers_exact)


def ablate(
    captures: Mapping[Name, BuiltCapture], tolerance: float, rules: Sequence[str]
) -> Iterator[tuple[str, list[Name]]]:
    """Rule by rule, the captures (architecture, variant) that need it."""
    whole = {name: _scored(built, ()) for name, built in captures.items()}
    for rule in rules:
        yield (
            rule,
            [name for name, built in captures.items() if needs(whole[name], _scored(built, (rule,)), tolerance)],
        )


def _scored(built: BuiltCapture, without: Sequence[str]) -> Score:
    from skadvisor.labelling.labels import label
    from skadvisor.vocabulary.operators import load_vocabulary

    return score(built, label(built.capture, load_vocabulary(), without=without))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print rule -> captures that need it."""
    from deployments.catalogue import built as deployed
    from deployments.catalogue import names as deployments

    from skadvisor.labelling.rules import RULES

    reasons = {rule.name: rule for rule in RULES}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    decoders = [name for name in CATALOGUE if is_decoder(name)]
    parser.add_argument(
        "--architecture", action="append", choices=decoders, help="repeatable; default all, deployments too"
    )
    parser.add_argument("--variant", action="append", choices=list(VARIANTS), help="repeatable")
    parser.add_argument("--rule", action="append", choices=list(reasons), help="repeatable; default all")
    parser.add_argument("--tolerance", type=float, default=0.001, help="fraction of the time that may be lost")
    options = parser.parse_args(arguments)
    variants = options.variant or list(DEFAULT_VARIANTS)
    captures = {
        (name, variant): build_variant(name, variant)
        for name in options.architecture or decoders
        for variant in variants
    }
    if not options.architecture:
        captures |= {(name, DEPLOYMENT): deployed(name) for name in deployments()}
    for rule, found in ablate(captures, options.tolerance, options.rule or list(reasons)):
        architectures = {name for name, _variant in found}
        few = "" if len(architectures) >= FEWEST_ARCHITECTURES else f"  [{len(architectures)}] {reasons[rule].stays}"
        print(f"{rule}: {reasons[rule].because}{few}")
        for name, variant in found:
            print(f"    {name} / {variant}")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
