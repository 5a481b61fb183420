"""How good labels are against the truth: regions and roles by time, layers, steps, shares and calibration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from skadvisor.records import LAYER_REGIONS, REGIONS

if TYPE_CHECKING:
    import pandas as pd
    from sample_builder.build import BuiltCapture

    from skadvisor.labelling.labels import Labelled

#: Confidence from which on a label counts as confident.
CONFIDENT = 0.9


@dataclass(frozen=True, kw_only=True)
class Score:
    """One capture's score. Accuracies and shares are fractions; unattributed counts as wrong.

    `time_accuracy` and `count_accuracy` run over kernels whose true region is one of records.LAYER_REGIONS,
    `regions` gives (time, count) accuracy per true region, `confusion` ns per (true, found) region, `confusion_count`
    kernels. `role_accuracy` is the time of those kernels with both region and role right, `roles_wrong` the ns of all
    others by true region, true role and found role. `confident` kernels have a confidence of CONFIDENT or more,
    `confident_right` of them the right region; `confident_stated` of them state a role, `confident_roles` the right
    one in the right region. `learned` is the share of the
    time in operators that learned scores speak for. `share_error` is the largest difference of a region's share of a
    phase, percentage points; None where no steps were found. `right` is the share of all time with the right region,
    `worst_share` the largest difference of a region's kernels from the truth, as a share of all time, and `in_step` the
    fraction of all kernels that are in the right step. Where the truth tells no roles, none is right.
    """

    architecture: str
    variant: str
    seed: int
    kernels: int
    right: float
    worst_share: float
    in_step: float
    mode_right: bool
    time_accuracy: float
    count_accuracy: float
    role_accuracy: float
    regions: dict[str, tuple[float, float]]
    layers_exact: bool
    layer_right: float
    steps_exact: bool
    phases_exact: bool
    share_error: float | None
    confident: int
    confident_right: int
    confident_stated: int
    confident_roles: int
    unattributed: float
    learned: float
    seconds: float
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    confusion_count: Counter[tuple[str, str]] = field(default_factory=Counter)
    roles_wrong: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    @property
    def calibration(self) -> float | None:
        """Fraction of right regions among the confident labels, None without any."""
        return self.confident_right / self.confident if self.confident else None

    @property
    def role_calibration(self) -> float | None:
        """Fraction of right regions and roles among the confident labels that state a role, None without any."""
        return self.confident_roles / self.confident_stated if self.confident_stated else None


def score(
    built: BuiltCapture,
    labelled: Labelled,
    *,
    architecture: str = "",
    variant: str = "",
    seed: int = 0,
    seconds: float = 0.0,
) -> Score:
    """Compare labels with the truth, kernel by kernel; both tables hold the same rows in the same order."""
    truth, kernels = built.truth, labelled.kernels
    true = truth["region"].astype("object").to_numpy()
    found = kernels["region"].astype("object").to_numpy()
    time = kernels["dur_ns"].to_numpy()
    right = true == found
    inside = np.isin(true, LAYER_REGIONS)
    confident = kernels["confidence"].to_numpy() >= CONFIDENT
    confusion: Counter[tuple[str, str]] = Counter()
    for pair, duration in zip(zip(true, found, strict=True), time.tolist(), strict=True):
        confusion[pair] += duration
    role = kernels["role"].astype("object").to_numpy()
    true_role = truth["role"].astype("object").to_numpy() if "role" in truth else np.full(len(truth), "", dtype=object)
    role_right = right & (true_role == role)
    roles_wrong: Counter[tuple[str, str, str]] = Counter()
    for row in np.flatnonzero(inside & ~role_right).tolist():
        roles_wrong[true[row], true_role[row], role[row]] += int(time[row])
    structure = labelled.structure
    learned = structure.learned.any(axis=1)[structure.classes.of_kernel]
    return Score(
        architecture=architecture,
        variant=variant,
        seed=seed,
        kernels=len(true),
        right=_fraction(time[right].sum(), time.sum()),
        worst_share=max(
            _fraction(abs(int(time[found == region].sum()) - int(time[true == region].sum())), time.sum())
            for region in LAYER_REGIONS
        ),
        in_step=float((kernels["step"].to_numpy() == truth["step"].to_numpy()).mean()),
        mode_right=labelled.mode == built.manifest["mode"],
        time_accuracy=_fraction(time[inside & right].sum(), time[inside].sum()),
        count_accuracy=_fraction((inside & right).sum(), inside.sum()),
        role_accuracy=_fraction(time[inside & role_right].sum(), time[inside].sum()),
        regions={
            region: (
                _fraction(time[right & (true == region)].sum(), time[true == region].sum()),
                _fraction((right & (true == region)).sum(), (true == region).sum()),
            )
            for region in REGIONS
            if (true == region).any()
        },
        layers_exact=_layers(truth) == _layers(kernels),
        layer_right=_layer_right(truth, kernels),
        steps_exact=_steps_exact(truth, kernels),
        phases_exact=list(truth.groupby("step")["phase"].first()) == list(labelled.steps["phase"].astype("object")),
        share_error=_share_error(labelled, true),
        confident=int(confident.sum()),
        confident_right=int((confident & right).sum()),
        confident_stated=int((confident & (role != "unknown")).sum()),
        confident_roles=int((confident & role_right).sum()),
        unattributed=_fraction(time[found == "unattributed"].sum(), time.sum()),
        learned=_fraction(time[learned].sum(), time.sum()),
        seconds=seconds,
        confusion=confusion,
        confusion_count=Counter(zip(true, found, strict=True)),
        roles_wrong=roles_wrong,
    )


def _fraction(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else 1.0


def _layers(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """The kinds of the layers of every step, in order."""
    inside = table[table["layer"].notna() & (table["step"] >= 0)]
    kinds = inside["layer_kind"].astype("object").groupby([inside["step"], inside["layer"]]).unique()
    return [tuple("+".join(sorted(layer)) for layer in layers) for _step, layers in kinds.groupby(level=0)]


def _layer_right(truth: pd.DataFrame, kernels: pd.DataFrame) -> float:
    """Fraction of the kernels inside true layers that stand in the right layer."""
    true = truth["layer"].fillna(-1).to_numpy(dtype="int64")
    found = kernels["layer"].fillna(-1).to_numpy(dtype="int64")
    return _fraction(((true == found) & (true >= 0)).sum(), (true >= 0).sum())


def _steps_exact(truth: pd.DataFrame, kernels: pd.DataFrame) -> bool:
    """Whether there are as many steps as in truth and every kernel inside layers is in its own."""
    inside = truth["layer"].notna().to_numpy()
    same = truth["step"].to_numpy() == kernels["step"].to_numpy()
    return bool(same[inside].all()) and truth["step"].nunique() == kernels.loc[kernels["step"] >= 0, "step"].nunique()


def _share_error(labelled: Labelled, true: np.ndarray) -> float | None:
    """Largest difference between found and true share of a region in a phase, percentage points."""
    if labelled.steps.empty:
        return None
    found = _shares(labelled.kernels, labelled.steps)
    wanted = _shares(labelled.kernels.assign(region=true), labelled.steps)
    return 100.0 * max(abs(found.get(key, 0.0) - wanted.get(key, 0.0)) for key in {*found, *wanted})


def _shares(kernels: pd.DataFrame, steps: pd.DataFrame) -> dict[tuple[str, str], float]:
    from skadvisor.accounting.timeline import measure

    times = measure(kernels, steps)
    phase = times.steps.set_index("step")["phase"].astype("object")
    walls = times.steps.groupby(times.steps["phase"].astype("object"))["wall_ns"].sum()
    parts = times.regions.groupby([times.regions["step"].map(phase), times.regions["region"].astype("object")])
    return {key: float(value) / max(1.0, float(walls[key[0]])) for key, value in parts["exposed_ns"].sum().items()}


def merge_confusions(scores: Iterable[Score], *, counts: bool = False) -> Counter[tuple[str, str]]:
    """The confusion matrices of several captures summed: ns, or kernels where `counts`."""
    total: Counter[tuple[str, str]] = Counter()
    for one in scores:
        total.update(one.confusion_count if counts else one.confusion)
    return total


def confusion_table(confusion: Counter[tuple[str, str]]) -> str:
    """A confusion matrix as text: rows are true regions, columns found ones, in percent of the true region."""
    true = [region for region in REGIONS if any(pair[0] == region for pair in confusion)]
    found = [region for region in REGIONS if any(pair[1] == region for pair in confusion)]
    lines = [f"{'true / found, %':<14}" + "".join(f"{region[:10]:>11}" for region in found)]
    for row in true:
        total = sum(confusion[row, column] for column in found)
        cells = [100.0 * confusion[row, column] / total if total else 0.0 for column in found]
        lines.append(f"{row:<14}" + "".join(f"{cell:>11.2f}" if cell else f"{'.':>11}" for cell in cells))
    return "\n".join(lines)


def wrong_roles(scores: Iterable[Score], most: int = 12) -> str:
    """What roles are mistaken for, by time over all captures, in percent of the mistaken time."""
    total: Counter[tuple[str, str, str]] = Counter()
    for one in scores:
        total.update(one.roles_wrong)
    whole = sum(total.values()) or 1
    return "\n".join(
        f"{region}/{role:<18} taken for {found:<18}{100.0 * time / whole:>7.2f}"
        for (region, role, found), time in total.most_common(most)
    )
