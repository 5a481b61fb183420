"""Labels of what order does not decide: collectives, gradients, companions, marks, and what the vocabulary settles."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skadvisor.labelling.regions import Labels
from skadvisor.labelling.structure import Structure
from skadvisor.vocabulary.arrays import Flags, Ints
from skadvisor.vocabulary.states import ATTENTION_STATES, State

S = State
#: How sure it is that layers of another width are another model's.
APART = 0.95


def label_outside(labels: Labels, kernels: pd.DataFrame, structure: Structure) -> NDArray[np.object_]:
    """Label what is in no chain or tied to a region; return the owner column, (N,): whose result a collective moves."""
    classes = structure.classes
    roles = classes.roles_of(classes.of_kernel)
    spanning = np.isin(structure.state, [-1, S.WHOLE_LAYER]) & (roles == "superkernel")
    _put(labels, spanning, "other", "superkernel", 1.0, "superkernel over several regions")
    _put(labels, structure.backward, "other", "backward", 1.0, "operator+order")
    _put(labels, structure.apart, "other", "other_model", APART, "shapes")
    collective = (kernels["kind"] != "kernel").to_numpy()
    _put(labels, collective, "comm", "collective", 1.0, "collective")
    moving = collective.copy()
    for number, item in enumerate(classes.items):
        if item.region:
            # whatever order made of it
            rows = (classes.of_kernel == number) & ~collective
            _put(labels, rows, item.region, item.label, 1.0, "operator")
            moving |= rows & (item.region == "comm")
    owner = _owners(labels, kernels["start_ns"].to_numpy(), structure, moving)
    _label_exchanges(labels, kernels, structure, owner, collective)
    served = np.flatnonzero(structure.served >= 0)
    for column in (labels.region, labels.role, labels.confidence, owner):
        column[served] = column[structure.served[served]]
    labels.evidence[served] = "beside its kernel"
    return owner


def _put(labels: Labels, rows: Flags, region: str, role: str, confidence: float, evidence: str) -> None:
    labels.region[rows], labels.role[rows] = region, role
    labels.confidence[rows], labels.evidence[rows] = confidence, evidence


def _owners(labels: Labels, start: Ints, structure: Structure, moving: Flags) -> NDArray[np.object_]:
    """The region whose result each of these kernels moves: that of the kernel before, behind a norm the one after."""
    owner, main = np.full(len(moving), None, dtype=object), structure.main
    if moving.any() and len(main):
        place = np.searchsorted(start[main], start[moving], side="right") - 1
        before = labels.region[main[np.clip(place, 0, len(main) - 1)]]
        after = labels.region[main[np.clip(place + 1, 0, len(main) - 1)]]
        owner[moving] = np.where(before == "norm", after, before)
    return owner


def _label_exchanges(
    labels: Labels, kernels: pd.DataFrame, structure: Structure, owner: NDArray[np.object_], collective: Flags
) -> None:
    """Collectives that deal rows out to other ranks' experts dispatch them; behind the experts they bring them back.

    A part of a collective does what the collective does in whose time it runs.
    """
    exchanges = structure.classes.kernels_where(lambda item: "exchanges_rows" in item.properties)
    rows = np.flatnonzero((owner == "moe") & exchanges & collective)
    experts = np.flatnonzero(structure.state == S.EXPERTS)
    if not len(rows) or not len(experts):
        return
    attention = np.flatnonzero(np.isin(structure.state, ATTENTION_STATES))
    ends = len(structure.state)
    next_experts, next_attention = (
        np.append(places, ends)[np.searchsorted(places, rows)] for places in (experts, attention)
    )
    labels.role[rows] = np.where(next_experts < next_attention, "dispatch", "combine")
    labels.confidence[rows] = labels.confidence[experts[np.clip(np.searchsorted(experts, rows), 0, len(experts) - 1)]]
    start, length = kernels["start_ns"].to_numpy(), kernels["dur_ns"].to_numpy()
    parts = np.flatnonzero((kernels["kind"] == "collective_part").to_numpy())
    middle = start[parts] + length[parts] // 2
    place = np.searchsorted(start[rows], middle, side="right") - 1
    held = rows[np.maximum(place, 0)]
    inside = (place >= 0) & (start[held] + length[held] >= middle)
    for column in (labels.role, labels.confidence):
        column[parts[inside]] = column[held[inside]]
