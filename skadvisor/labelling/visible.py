"""What was recorded of the model where only a part of it is seen: "not recorded" is no "not there".

Under graph replay some profilers show the attention kernels alone, which are launched beside the graph; a rank that
serves experts for others (attention and feed-forward disaggregated) runs no attention at all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from skadvisor.errors import NotEnoughError
from skadvisor.labelling.class_table import MATMULS
from skadvisor.text.messages import _
from skadvisor.vocabulary.arrays import Ints
from skadvisor.vocabulary.superkernel_names import superkernel_rows

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.labelling.labels import Labelled

#: With fewer kernels than this, none of them in a layer or a SuperKernel, there is nothing to answer from.
FEWEST_KERNELS = 10
_ATTENTION = ("attention_core", "kv_cache", "rope", "indexer")
_MAYBE = ("unknown", "superkernel", "expert_matmul")
_EXPERTS = ("dispatch", "combine", "expert_matmul")
#: Between two passes the anchor pauses for this many times its usual distance.
PAUSE = 3.0


@dataclass(frozen=True)
class Visible:
    """The part of the model that was recorded alone; `passes` times `layers` kernels of one kind, None if uneven."""

    part: Literal["attention", "experts"]
    kernels: int
    passes: int | None
    layers: int | None


def visible_part(labelled: Labelled) -> Visible | None:
    """The only part of the model that was recorded; None where there is more than one."""
    structure = labelled.structure
    if structure.training:
        return None
    of_kernel = structure.classes.of_kernel
    roles = structure.classes.roles_of(of_kernel)
    named = Counter(roles.tolist())
    # a layer runs three matmuls and more for each attention core; unknown kernels may be some
    others = sum(count for role, count in named.items() if role in MATMULS or role in _MAYBE)
    attention = labelled.kernels["layer"].isna().all() and named["attention_core"] > max(1, others)
    attended = labelled.kernels["region"].eq("attention").any() or any(named[role] for role in _ATTENTION)
    experts = named["expert_matmul"] > 1 and not attended
    if not attention and not experts:
        return None
    of_part = np.isin(roles, ["attention_core"] if attention else list(_EXPERTS))
    anchor = Counter(of_kernel[of_part].tolist()).most_common(1)[0][0]
    passes, layers = _counted(labelled.kernels["start_ns"].to_numpy()[of_part & (of_kernel == anchor)])
    return Visible("attention" if attention else "experts", len(roles), passes, layers)


def _counted(start: Ints) -> tuple[int | None, int | None]:
    """Passes and kernels per pass, where every pass but a first or last one that was cut holds as many."""
    distance = np.diff(start)
    cuts = np.flatnonzero(distance > PAUSE * np.median(distance)) + 1 if len(distance) else distance
    sizes = np.diff([0, *cuts.tolist(), len(start)])
    whole = sizes[1:-1] if len(sizes) > 2 else sizes
    if not len(cuts) or len(set(whole.tolist())) > 1 or sizes.max() > whole[0]:
        return None, None
    return len(sizes), int(whole[0])


def count_kernels(kernels: pd.DataFrame) -> int:
    """How many kernels a table holds, each collective once."""
    return int((kernels["kind"] != "collective_part").sum())


def no_layer(kernels: int) -> NotEnoughError:
    """The error of a capture of so few kernels, or of kernels so unlike each other, that nothing shows a layer."""
    return NotEnoughError(
        _("the capture holds {count} kernels and no decoder layer, too little to answer from"),
        _("Record at least three decode steps after warm-up."),
        count=kernels,
    )


def require_enough(labelled: Labelled) -> None:
    """Raise NotEnoughError where the capture holds too little of the model for any share or placement."""
    kernels = labelled.kernels
    count = count_kernels(kernels)
    # A graph without layers may be a single SuperKernel, whose role nothing tells.
    if count < FEWEST_KERNELS and kernels["layer"].isna().all() and not superkernel_rows(kernels).any():
        raise no_layer(count)
    seen = visible_part(labelled)
    if seen is not None and seen.part == "attention":
        counted = f", {seen.passes} passes of {seen.layers} layers" if seen.passes else ""
        raise NotEnoughError(
            _(
                "only attention kernels were recorded ({kernels}{counted}): the kernels of the graph "
                "beside them are missing, so that nothing can be said of shares or scopes"
            ),
            _(
                "The model ran whole, its replay was not recorded. Record at Level1 with a CANN and "
                "torch_npu that show replayed kernels, or run the step eagerly to see its regions."
            ),
            kernels=seen.kernels,
            counted=counted,
        )
