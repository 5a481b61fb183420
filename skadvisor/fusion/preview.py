"""How the compiler is expected to cut one template's scope in one step.

Fusion joins neighbours: two kernels that follow each other on one stream, inside one scope, both fusible. Whatever
runs between them on that stream (a breaker, or a kernel that is not in the scope) ends the fragment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skadvisor.accounting.timeline import before_on_stream
from skadvisor.fusion.judging import operator_labels
from skadvisor.fusion.rules import Judgement
from skadvisor.fusion.templates import Variant, place
from skadvisor.records import Fragments

if TYPE_CHECKING:
    from skadvisor.accounting.representative import StepKernels

Ints = NDArray[np.int64]

#: Columns of `Preview.cuts`.
CUT_COLUMNS = ("op_type", "role", "fusible", "reason", "source", "remedy", "cuts", "boundaries_lost")


@dataclass(frozen=True, eq=False)
class Preview:
    """One template's scope in one step.

    `kernels`: one row per kernel of the step, in time order, with index = row of the labelled table; columns
    scope (-1 outside), fusible, reason, source, needs, depends_on, fragment (-1 alone or outside), previous (position
    of the neighbour before it on its stream and in its scope, -1 without).
    `cuts`: op_type, role, fusible, reason, source, remedy, cuts, boundaries_lost: the breakers, most boundaries first.
    """

    variant: Variant
    kernels: pd.DataFrame
    cuts: pd.DataFrame
    fragments: Fragments

    @cached_property
    def joined(self) -> tuple[Ints, Ints]:
        """Positions of the kernels before and after each boundary that goes: neighbours in one fragment."""
        previous, fragment = self.kernels["previous"].to_numpy(), self.kernels["fragment"].to_numpy()
        after = np.flatnonzero((previous >= 0) & (fragment >= 0))
        after = after[fragment[after] == fragment[previous[after]]]
        return previous[after], after


def preview_scope(step: StepKernels, variant: Variant, judgements: Sequence[Judgement]) -> Preview:
    """Preview a template variant on one step (`representative.step_kernels`), given the judgement of each kernel."""
    kernels = step.kernels
    scope = place(kernels, variant)
    previous = _neighbours(kernels, scope)
    fusible = np.array([judgement.fusible for judgement in judgements], dtype=object)
    fragment = _fragments(previous, fusible != "unlikely", scope)
    role = kernels["role"].to_numpy(dtype=object)
    words = {
        "op_type": operator_labels(kernels),
        "role": np.where(pd.isna(role), "unknown", role),
        "fusible": fusible,
        "reason": [judgement.reason for judgement in judgements],
        "source": [judgement.source for judgement in judgements],
        "needs": [judgement.needs for judgement in judgements],
        "depends_on": [",".join(judgement.depends_on) for judgement in judgements],
    }
    # as objects: what is asked of them is asked kernel by kernel
    columns = {name: pd.Series(values, index=kernels.index, dtype=object) for name, values in words.items()}
    table = pd.DataFrame({"scope": scope, **columns, "fragment": fragment, "previous": previous}, index=kernels.index)
    return Preview(variant, table, _cuts(table, judgements), _count(table, kernels))


def _neighbours(kernels: pd.DataFrame, scope: Ints) -> Ints:
    """Position of the kernel just before each on its stream, where both are in one scope and one graph; else -1."""
    previous = before_on_stream(kernels)
    model = kernels["model"].fillna(-1).to_numpy(dtype="int64")
    joined = (previous >= 0) & (scope[previous] == scope) & (scope >= 0)
    joined &= (model == model[previous]) | (model < 0) | (model[previous] < 0)
    return np.where(joined, previous, -1)


def _fragments(previous: Ints, can_fuse: NDArray[np.bool_], scope: Ints) -> Ints:
    """Number the maximal runs of fusible neighbours; -1 outside scopes and for breakers."""
    fragment = [-1] * len(previous)
    fits = ((scope >= 0) & can_fuse).tolist()
    made = 0
    for position, before in enumerate(previous.tolist()):
        if not fits[position]:
            continue
        if before >= 0 and fits[before]:
            fragment[position] = fragment[before]
        else:
            fragment[position] = made
            made += 1
    return np.array(fragment, dtype="int64")


def _cuts(table: pd.DataFrame, judgements: Sequence[Judgement]) -> pd.DataFrame:
    """The breakers of the scope: a cut is a breaker with fusible neighbours on both sides or on one."""
    bad = (table["fusible"] != "likely").to_numpy() & (table["scope"] >= 0).to_numpy()
    previous = table["previous"].to_numpy()
    linked = np.flatnonzero(previous >= 0)
    boundaries = np.zeros(len(table), dtype="int64")
    np.add.at(boundaries, linked, 1)
    np.add.at(boundaries, previous[linked], 1)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    op_types, roles = table["op_type"].to_numpy(), table["role"].to_numpy()
    for position in np.flatnonzero(bad).tolist():
        op_type, role, judgement = op_types[position], roles[position], judgements[position]
        row = rows.setdefault(
            (op_type, role),
            {
                "op_type": op_type,
                "role": role,
                "fusible": judgement.fusible,
                "reason": judgement.reason,
                "source": judgement.source,
                "remedy": judgement.remedy,
                "cuts": 0,
                "boundaries_lost": 0,
            },
        )
        row["cuts"] += 1
        row["boundaries_lost"] += int(boundaries[position])
    order = sorted(rows, key=lambda key: (-rows[key]["boundaries_lost"], *key))
    return pd.DataFrame([rows[key] for key in order], columns=list(CUT_COLUMNS))


def _count(table: pd.DataFrame, kernels: pd.DataFrame) -> Fragments:
    inside = (table["scope"] >= 0).to_numpy()
    fragment, previous = table["fragment"].to_numpy(), table["previous"].to_numpy()
    sizes = np.bincount(fragment[inside & (fragment >= 0)])
    sizes = sizes[sizes > 0]
    layer = kernels["layer"].to_numpy(dtype="float64", na_value=-1)[inside]
    layers = len(np.unique(layer[layer >= 0]))
    linked = np.flatnonzero(previous >= 0)
    removed = (fragment[linked] >= 0) & (fragment[linked] == fragment[previous[linked]])
    return Fragments(
        count=len(sizes),
        per_layer=float(len(sizes) / layers) if layers else 0.0,
        kernels=int(inside.sum()),
        single_kernel=int((sizes == 1).sum()),
        boundaries=len(linked),
        boundaries_removed=int(removed.sum()),
    )
