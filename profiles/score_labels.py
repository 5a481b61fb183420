"""Score the labels on captures whose truth is known: `python profiles/score_labels.py [options]`.

Builds every architecture of the catalogue under every change of names, shapes and order, labels it, and prints one
line per capture, means per variant, and the confusion matrix. Captures that are no decoder inference (training,
encoders, CNNs) must be recognised as such. With --check the exit code is 1 where a floor is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from label_scores import Score, confusion_table, merge_confusions, score, wrong_roles  # noqa: E402
from label_variants import VARIANTS, build_variant, is_decoder  # noqa: E402
from sample_builder.catalogue import CATALOGUE  # noqa: E402


@dataclass(frozen=True)
class Floor:
    """What a variant has to reach: regions and roles by time, exact layers, largest share error in points."""

    accuracy: float
    roles: float | None = None
    layers: bool = True
    share_error: float | None = 1.0


KNOWN, RENAMED, LEVEL0 = Floor(0.99, roles=0.97), Floor(0.97), Floor(0.90, share_error=None)
#: Variants without an entry are reported, not checked.
FLOORS: dict[str, Floor] = {
    "plain": KNOWN,
    "renumbered_streams": KNOWN,
    "jitter": KNOWN,
    "inserted_casts": KNOWN,
    "split": KNOWN,
    "renamed": RENAMED,
    "renamed_telling": RENAMED,
    "merged": RENAMED,
    "level0": LEVEL0,
    "level0_renamed": LEVEL0,
}
CALIBRATION = 0.98


def floor_of(architecture: str, variant: str) -> Floor | None:
    """The floor of one capture: an architecture that is recorded with names only has that floor at the most."""
    floor = FLOORS.get(variant)
    bare = CATALOGUE[architecture].settings.get("level") == "level0"
    return LEVEL0 if floor is not None and bare else floor


def run(architecture: str, variant: str, seed: int = 0) -> Score:
    """Build one capture, label it and score the labels."""
    from skadvisor.labelling.labels import label
    from skadvisor.vocabulary.operators import load_vocabulary

    built = build_variant(architecture, variant, seed)
    begin = time.perf_counter()
    labelled = label(built.capture, load_vocabulary())
    seconds = time.perf_counter() - begin
    return score(built, labelled, architecture=architecture, variant=variant, seed=seed, seconds=seconds)


def recognised(architecture: str) -> bool:
    """Whether a capture that is no decoder inference is declined: no step of it is called prefill or decode."""
    from skadvisor.labelling.labels import label
    from skadvisor.vocabulary.operators import load_vocabulary

    labelled = label(build_variant(architecture, "plain").capture, load_vocabulary())
    return not set(labelled.steps["phase"].astype("object")) & {"prefill", "decode", "mixed"}


def misses(scores: Iterable[Score]) -> list[str]:
    """What falls short of its floor, in words."""
    found: list[str] = []
    for one in scores:
        floor = floor_of(one.architecture, one.variant)
        if floor is None:
            continue
        place = f"{one.architecture} / {one.variant} / seed {one.seed}"
        if one.time_accuracy < floor.accuracy:
            found.append(f"{place}: {one.time_accuracy:.2%} of the time right, floor {floor.accuracy:.0%}")
        if floor.roles is not None and one.role_accuracy < floor.roles:
            found.append(f"{place}: {one.role_accuracy:.2%} of the time has the right role, floor {floor.roles:.0%}")
        if floor.layers and not one.layers_exact:
            found.append(f"{place}: layers or their kinds differ from the truth")
        if floor.share_error is not None and (one.share_error is None or one.share_error > floor.share_error):
            found.append(f"{place}: a region's share is {_points(one.share_error)} points off")
        for what, share, held in (("regions", one.calibration, 0.0), ("roles", one.role_calibration, floor.roles)):
            if held is not None and share is not None and share < CALIBRATION:
                found.append(f"{place}: {share:.1%} of the confident {what} right, floor {CALIBRATION:.0%}")
    return found


def line(one: Score) -> str:
    """One capture as one line of the table."""
    exact = "".join(
        letter if exact else "-"
        for letter, exact in (("L", one.layers_exact), ("S", one.steps_exact), ("P", one.phases_exact))
    )
    regions = "".join(f"{_percent(one.regions.get(region, (None,))[0]):>7}" for region in SHOWN)
    return (
        f"{one.architecture:<31}{one.variant:<22}{one.kernels:>6}{_percent(one.time_accuracy):>8}"
        f"{_percent(one.count_accuracy):>8}{_percent(one.role_accuracy):>8}{regions}{exact:>6}{_points(one.share_error):>7}"
        f"{_percent(one.calibration):>8}{_percent(one.role_calibration):>8}{_percent(one.unattributed):>7}{_percent(one.learned):>7}{one.seconds:>7.2f}"
    )


SHOWN = ("attention", "mlp", "moe", "norm", "comm")
HEADER = (
    f"{'architecture':<31}{'variant':<22}{'rows':>6}{'time %':>8}{'count %':>8}{'role %':>8}"
    + "".join(f"{region[:6]:>7}" for region in SHOWN)
    + f"{'exact':>6}{'share':>7}{'sure %':>8}{'s.role':>8}{'open':>7}{'learn':>7}{'s':>7}"
)


def summary(scores: Sequence[Score]) -> str:
    """Means and worst figures per variant."""
    lines = [
        f"{'variant':<22}{'captures':>9}{'time %':>8}{'worst':>8}{'count %':>9}{'layers':>8}{'steps':>8}{'phases':>8}"
        f"{'share':>7}{'sure %':>8}{'role %':>8}{'worst':>8}{'s.role':>8}{'open %':>8}"
    ]
    for variant in dict.fromkeys(one.variant for one in scores):
        rows = [one for one in scores if one.variant == variant]
        confident = sum(one.confident for one in rows)
        stated = sum(one.confident_stated for one in rows)
        sure = sum(one.confident_right for one in rows) / confident if confident else None
        sure_role = sum(one.confident_roles for one in rows) / stated if stated else None
        errors = [one.share_error for one in rows if one.share_error is not None]
        lines.append(
            f"{variant:<22}{len(rows):>9}{_percent(_mean(one.time_accuracy for one in rows)):>8}"
            f"{_percent(min(one.time_accuracy for one in rows)):>8}"
            f"{_percent(_mean(one.count_accuracy for one in rows)):>9}"
            f"{sum(one.layers_exact for one in rows):>4}/{len(rows):<3}"
            f"{sum(one.steps_exact for one in rows):>4}/{len(rows):<3}"
            f"{sum(one.phases_exact for one in rows):>4}/{len(rows):<3}"
            f"{_points(max(errors, default=None)):>7}{_percent(sure):>8}"
            f"{_percent(_mean(one.role_accuracy for one in rows)):>8}"
            f"{_percent(min(one.role_accuracy for one in rows)):>8}{_percent(sure_role):>8}"
            f"{_percent(_mean(one.unattributed for one in rows)):>8}"
        )
    return "\n".join(lines)


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)


def _percent(value: float | None) -> str:
    return "." if value is None else f"{100 * value:.2f}"


def _points(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 1 where --check finds a floor missed, else 0."""
    options = _options(arguments)
    names = options.architecture or list(CATALOGUE)
    decoders = [name for name in names if is_decoder(name)]
    scores: list[Score] = []
    print(
        f"exact: L layers and kinds, S steps, P phases. share: largest error, points. open: unattributed.\n"
        f"sure: of labels of confidence 0.9 or more, right regions; s.role: right roles too.\n\n{HEADER}"
    )
    for name in decoders:
        for variant in options.variant or list(VARIANTS):
            for seed in range(options.seeds):
                scores.append(run(name, variant, seed))
                if not options.quiet:
                    print(line(scores[-1]), flush=True)
    missed = misses(scores)
    if scores:
        print(f"\n{summary(scores)}\n\nby time\n{confusion_table(merge_confusions(scores))}")
        print(f"\nroles mistaken, % of that time\n{wrong_roles(scores)}")
        print(f"\nby count\n{confusion_table(merge_confusions(scores, counts=True))}")
    for name in names:
        if not is_decoder(name):
            seen = recognised(name)
            print(f"{name}: {'declined, as it should be' if seen else 'NOT declined'}")
            missed += [] if seen else [f"{name}: is no decoder inference, but was taken for one"]
    print("\n" + ("\n".join(["floors missed:", *missed]) if missed else "all floors reached"))
    return 1 if options.check and missed else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", action="append", choices=list(CATALOGUE), help="repeatable; default all")
    parser.add_argument("--variant", action="append", choices=list(VARIANTS), help="repeatable; default all")
    parser.add_argument("--seeds", type=int, default=1, help="captures per architecture and variant")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a floor is missed")
    parser.add_argument("--quiet", action="store_true", help="no line per capture")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
