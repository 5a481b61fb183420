"""How far a reading that overrules evidence can be believed: `python profiles/train_fit.py [--write]`.

Labels decoders whose operators nobody knows, and networks that are no decoders; of all those in which no known operator
attends it fits the share of the time that is right, by the evidence that the reading overrules. With --write the curve
becomes `skadvisor/labelling/fit.toml`.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
for place in (HERE, HERE.parent / "tests"):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

from label_variants import build_variant, is_decoder  # noqa: E402
from other_networks import OTHER_NETWORKS, Row  # noqa: E402
from sample_builder.catalogue import CATALOGUE  # noqa: E402
from small_tables import capture_of  # noqa: E402

from skadvisor.events import Capture  # noqa: E402
from skadvisor.labelling.fit import Fit, judge_fit  # noqa: E402
from skadvisor.labelling.layers import find_layers  # noqa: E402
from skadvisor.labelling.regions import label_regions  # noqa: E402
from skadvisor.labelling.structure import find_structure  # noqa: E402
from skadvisor.vocabulary.operators import load_vocabulary  # noqa: E402

VARIANTS = ("all_renamed", "level0_telling")
TOML = HERE.parent / "skadvisor/labelling/fit.toml"
HEAD = """# Written by profiles/train_fit.py: a logistic curve from the evidence that a reading overrules (natural-log
# odds per kernel, where no known operator attends) to how much of the time is labelled right.
"""


def renamed(rows: Sequence[Row]) -> list[Row]:
    """Rows whose operators have names of nobody, products, norms and sums excepted."""
    kept = ("MatMulV2", "LayerNormV3", "Add")
    names = {op: "k" + "".join(random.Random(op).choices("bdfgjkmpvwxz", k=6)) for op, _inputs, _outputs in rows}
    return [(op if op in kept else names[op], inputs, outputs) for op, inputs, outputs in rows]


def judged(capture: Capture, truth: Sequence[str] | None) -> tuple[Fit, float] | None:
    """How well a capture obeys the grammar, and the share of its time with the right region; None without layers."""
    structure = find_structure(capture.kernels, load_vocabulary())
    layers = find_layers(capture.kernels, structure)
    if not layers or structure.training:
        return None
    if truth is None:
        return judge_fit(structure, layers), 0.0
    time = capture.kernels["dur_ns"].to_numpy()
    right = label_regions(structure).region == truth
    inside = structure.state >= 0
    return judge_fit(structure, layers), float(time[right & inside].sum() / time[inside].sum())


def examples() -> Iterator[tuple[str, Fit, float]]:
    """Name, fit and share of the time that is right."""
    for architecture in CATALOGUE:
        for variant in VARIANTS if is_decoder(architecture) else ():
            built = build_variant(architecture, variant)
            if found := judged(built.capture, built.truth["region"].astype("object").to_numpy()):
                yield f"{architecture} / {variant}", *found
    for name, network in OTHER_NETWORKS.items():
        if found := judged(capture_of(renamed(network()) * 4), None):
            yield name, *found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the examples and the curve."""
    from sklearn.linear_model import LogisticRegression

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {TOML.name}")
    write = parser.parse_args(arguments).write
    rows, right, weights = [], [], []
    for name, fit, share in examples():
        if not fit.confirmed:
            print(f"{name:<50}{fit.overruled:>7.3f}{100 * share:>8.2f} %")
            rows += [[fit.overruled]] * 2
            right += [1, 0]
            weights += [share, 1.0 - share]
    curve = LogisticRegression(C=1e6).fit(rows, right, sample_weight=weights)
    steepness = -float(curve.coef_[0, 0])
    text = f"{HEAD}half_right = {float(curve.intercept_[0]) / steepness:.3f}\nsteepness = {steepness:.1f}\n"
    print(text)
    if write:
        TOML.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
