"""Which captures need which rule of the labeller: `python profiles/ablate.py [options]`.

Labels every capture with all rules and without each one in turn. A rule is needed where the time with the right region
or role falls by more than the tolerance without it, or layers that were right no longer are. A rule that fewer than two
architectures need is marked.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from label_scores import Score, score  # noqa: E402
from label_variants import VARIANTS, build_variant, is_decoder  # noqa: E402
from sample_builder.catalogue import CATALOGUE  # noqa: E402

if TYPE_CHECKING:
    from sample_builder.build import BuiltCapture

DEFAULT_VARIANTS = ("plain", "all_renamed", "level0")
FEWEST_ARCHITECTURES = 2


def needs(full: Score, without: Score, tolerance: float) -> bool:
    """Whether a capture needs the rule that `without` was scored without; `tolerance` is a fraction of the time."""
    lost = max(full.time_accuracy - without.time_accuracy, full.role_accuracy - without.role_accuracy)
    return lost > tolerance or (full.layers_exact and not without.layers_exact)


def ablate(
    architectures: Sequence[str], variants: Sequence[str], tolerance: float, rules: Sequence[str]
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Rule by rule, the captures (architecture, variant) that need it."""
    captures = [(name, variant, build_variant(name, variant)) for name in architectures for variant in variants]
    whole = [_scored(name, variant, built, ()) for name, variant, built in captures]
    for rule in rules:
        yield (
            rule,
            [
                (name, variant)
                for (name, variant, built), full in zip(captures, whole, strict=True)
                if needs(full, _scored(name, variant, built, (rule,)), tolerance)
            ],
        )


def _scored(architecture: str, variant: str, built: BuiltCapture, without: Sequence[str]) -> Score:
    from skadvisor.labelling.labels import label
    from skadvisor.vocabulary.operators import load_vocabulary

    labelled = label(built.capture, load_vocabulary(), without=without)
    return score(built, labelled, architecture=architecture, variant=variant)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print rule -> captures that need it."""
    from skadvisor.labelling.rules import RULES

    reasons = {rule.name: rule.because for rule in RULES}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    decoders = [name for name in CATALOGUE if is_decoder(name)]
    parser.add_argument("--architecture", action="append", choices=decoders, help="repeatable; default all")
    parser.add_argument("--variant", action="append", choices=list(VARIANTS), help="repeatable")
    parser.add_argument("--rule", action="append", choices=list(reasons), help="repeatable; default all")
    parser.add_argument("--tolerance", type=float, default=0.001, help="fraction of the time that may be lost")
    options = parser.parse_args(arguments)
    names, variants = options.architecture or decoders, options.variant or list(DEFAULT_VARIANTS)
    for rule, found in ablate(names, variants, options.tolerance, options.rule or list(reasons)):
        architectures = {name for name, _variant in found}
        few = "" if len(architectures) >= FEWEST_ARCHITECTURES else f"  [{len(architectures)} architectures]"
        print(f"{rule}{few}: {reasons[rule]}")
        for name, variant in found:
            print(f"    {name} / {variant}")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
