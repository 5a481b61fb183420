"""How the compiler is expected to cut one template's scope in one step.

Fusion joins neighbours: two kernels that follow each other on one stream, inside one scope, both fusible. Whatever
runs between them on that stream (a breaker, or a kernel that is not in the scope) ends the fragment.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from skadvisor.accounting.timeline import before_on_stream
from skadvisor.fusion.judging import JudgedStep
from skadvisor.fusion.overlaps import Overlaps, find_overlaps
from skadvisor.fusion.rules import Judgement
from skadvisor.fusion.templates import Variant, place
from skadvisor.records import Fragments
from skadvisor.vocabulary.arrays import Flags, Ints

if TYPE_CHECKING:
    from skadvisor.events import PlainColumns


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The breakers of one operator type and role in a scope: `cuts` kernels, at `boundaries_lost` boundaries."""

    op_type: str
    role: str
    judgement: Judgement
    cuts: int
    boundaries_lost: int


@dataclass(frozen=True, eq=False)
class Preview:
    """One template's scope in one step; arrays (kernels,) in time order.

    `scope` is -1 outside, `fragment` -1 alone or outside, `previous` the position of the neighbour before it on its
    stream and in its scope, -1 without. `cuts` are the breakers, most boundaries first.
    """

    variant: Variant
    judged: JudgedStep
    scope: Ints
    fragment: Ints
    previous: Ints
    cuts: tuple[Cut, ...]

    @cached_property
    def inside(self) -> Flags:
        """Which kernels are in a scope."""
        return self.scope >= 0

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per kernel with index = row of the labelled table; columns scope, fusible, fragment."""
        columns = {"scope": self.scope, "fusible": self.judged.fusible, "fragment": self.fragment}
        return pd.DataFrame(columns, index=self.judged.step.kernels.index)

    @cached_property
    def joined(self) -> tuple[Ints, Ints]:
        """Positions of the kernels before and after each boundary that goes: neighbours in one fragment."""
        previous, fragment = self.previous, self.fragment
        after = np.flatnonzero((previous >= 0) & (fragment >= 0))
        after = after[fragment[after] == fragment[previous[after]]]
        return previous[after], after

    @cached_property
    def overlaps(self) -> Overlaps:
        """The pairs of kernels of one scope that overlap across streams."""
        return find_overlaps(self.judged.step.plain, self.scope)

    @cached_property
    def layers(self) -> int:
        """How many layers the scopes lie in."""
        layer = self.judged.step.plain.whole("layer")[self.inside]
        return len(np.unique(layer[layer >= 0]))

    @cached_property
    def fragments(self) -> Fragments:
        """How many pieces the scopes fall into, and what goes and stays."""
        fragment = self.fragment
        sizes = np.bincount(fragment[self.inside & (fragment >= 0)])
        sizes = sizes[sizes > 0]
        return Fragments(
            count=len(sizes),
            per_layer=float(len(sizes) / self.layers) if self.layers else 0.0,
            kernels=int(self.inside.sum()),
            single_kernel=int((sizes == 1).sum()),
            boundaries=int((self.previous >= 0).sum()),
            boundaries_removed=len(self.joined[0]),
        )


def preview_scope(judged: JudgedStep, variant: Variant) -> Preview:
    """Preview a template variant on a judged step."""
    kernels = judged.step.plain
    scope = place(kernels, variant)
    previous = _neighbours(kernels, scope)
    fragment = _fragments(previous, judged.fusible != "unlikely", scope)
    return Preview(variant, judged, scope, fragment, previous, _cuts(judged, scope, previous))


def _neighbours(kernels: PlainColumns, scope: Ints) -> Ints:
    """Position of the kernel just before each on its stream, where both are in one scope and one graph; else -1."""
    previous = before_on_stream(kernels.whole("stream"))
    model = kernels.whole("model")
    joined = (previous >= 0) & (scope[previous] == scope) & (scope >= 0)
    joined &= (model == model[previous]) | (model < 0) | (model[previous] < 0)
    return np.where(joined, previous, -1)


def _fragments(previous: Ints, can_fuse: Flags, scope: Ints) -> Ints:
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


def _cuts(judged: JudgedStep, scope: Ints, previous: Ints) -> tuple[Cut, ...]:
    """The breakers of the scope: a cut is a breaker with fusible neighbours on both sides or on one."""
    linked = np.flatnonzero(previous >= 0)
    boundaries = np.bincount(linked, minlength=len(scope)) + np.bincount(previous[linked], minlength=len(scope))
    positions: dict[tuple[str, str], list[int]] = {}
    for position in np.flatnonzero((judged.fusible != "likely") & (scope >= 0)).tolist():
        positions.setdefault((judged.op_type[position], judged.role[position]), []).append(position)
    cuts = [
        Cut(
            op_type=op_type,
            role=role,
            judgement=judged.judgements[found[0]],
            cuts=len(found),
            boundaries_lost=int(boundaries[found].sum()),
        )
        for (op_type, role), found in positions.items()
    ]
    return tuple(sorted(cuts, key=lambda cut: (-cut.boundaries_lost, cut.op_type, cut.role)))
