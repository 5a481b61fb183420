"""Steps without an embedding, a head or sampling between them: told apart by what recurs at a regular distance.

A capture of graph replays may hold the decoder layers alone. Where one pass ends and the next begins, the final norm
meets the first norm, or the device waits a little longer; both come back after the same number of layers of the same
kinds, and only then they are believed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from skadvisor.events import idle_before
from skadvisor.labelling.layers import Layer
from skadvisor.labelling.structure import Structure
from skadvisor.vocabulary.arrays import Ints
from skadvisor.vocabulary.states import NORM_STATES

_NORM_ROLES = ["norm", "residual_norm", "fused_matmul_norm"]
#: A pause between steps is this many times longer than any between layers.
PAUSE_RATIO = 3.0
SHORTEST_PAUSE_NS = 1_000
SINGLE_PAUSE_NS = 20_000


def step_cuts(
    kernels: pd.DataFrame, structure: Structure, layers: Sequence[Layer], usual: int | None = None
) -> list[int]:
    """Numbers of the layers (in `layers`, one uninterrupted run of them) with which a further step begins.

    Where other steps of the capture are known, `usual` is how many layers they have.
    """
    if len(layers) < 2:
        return []
    kinds = [layer.kind for layer in layers]
    by_norms = _after_two_norms(structure, layers)
    for cuts in (by_norms, _after_pauses(kernels, structure, layers, kinds)):
        if _is_regular(cuts, kinds) and usual in (None, max(np.diff([0, *cuts, len(kinds)]))):
            return cuts
    return []


def _is_regular(cuts: Sequence[int], kinds: Sequence[str]) -> bool:
    """Whether cuts make pieces of one length with the same kinds in the same places.

    The first piece may lack its begin, the last one its end.
    """
    if not cuts:
        return False
    pieces = [list(kinds[begin:end]) for begin, end in itertools.pairwise([0, *cuts, len(kinds)])]
    length = max(len(piece) for piece in pieces)
    whole = next(piece for piece in pieces if len(piece) == length)
    first, *inner, last = pieces
    return (
        all(piece == whole for piece in inner)
        and _alike(first, whole[length - len(first) :])
        and _alike(last, whole[: len(last)])
        and (bool(inner) or len(first) == len(last))
    )


def _alike(piece: Sequence[str], expected: Sequence[str]) -> bool:
    """Whether the kinds agree; layers at the edge of a capture may be cut and so of kind `other`."""
    return all(kind in (other, "other") for kind, other in zip(piece, expected, strict=True))


def _after_two_norms(structure: Structure, layers: Sequence[Layer]) -> list[int]:
    """Layers before which there is one norm more than before the others."""
    state = structure.state[structure.main]
    roles = structure.classes.roles_of(structure.classes.of_kernel[structure.main])
    norm = np.isin(roles, _NORM_ROLES) & np.isin(state, NORM_STATES)
    between = ~np.isin(state, NORM_STATES)
    counts = []
    for before, layer in itertools.pairwise(layers):
        first = before.begin + int(np.flatnonzero(between[before.begin : before.end])[-1:].sum())
        inside = np.flatnonzero(between[layer.begin : layer.end])
        last = layer.begin + (int(inside[0]) if len(inside) else 0)
        counts.append(int(norm[first:last].sum()))
    usual = int(np.median(counts))
    return [number for number, count in enumerate(counts, start=1) if count > usual]


def _after_pauses(
    kernels: pd.DataFrame, structure: Structure, layers: Sequence[Layer], kinds: Sequence[str]
) -> list[int]:
    gaps = _gaps_before(kernels, structure, layers)
    order = np.argsort(-gaps, kind="stable")
    for count in range(1, len(gaps)):
        shortest, next_one = gaps[order[count - 1]], gaps[order[count]]
        if shortest < SHORTEST_PAUSE_NS:
            break
        if shortest >= PAUSE_RATIO * max(1, next_one) and (count > 1 or shortest >= SINGLE_PAUSE_NS):
            cuts = sorted(int(number) + 1 for number in order[:count])
            if _is_regular(cuts, kinds):
                return cuts
    return []


def _gaps_before(kernels: pd.DataFrame, structure: Structure, layers: Sequence[Layer]) -> Ints:
    """How long the main chain is idle before each layer but the first, ns."""
    start, length = (kernels[name].to_numpy()[structure.main] for name in ("start_ns", "dur_ns"))
    return idle_before(start, length)[[layer.begin for layer in layers[1:]]]
