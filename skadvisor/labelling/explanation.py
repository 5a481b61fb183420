"""Why kernels got their label: the evidence in order of weight, and what else they could have been."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from skadvisor.errors import InputError, NotEnoughError
from skadvisor.labelling.evidence import class_scores
from skadvisor.labelling.neighbours import neighbour_scores
from skadvisor.vocabulary.states import REGION_OF_STATE, State, role_scores

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.labelling.labels import Labelled

#: Kernels of one look in one region are explained once; so many groups are shown at the most.
MOST_GROUPS = 200


def explain(labelled: Labelled, pattern: str) -> pd.DataFrame:
    """One row per group of alike kernels whose name or type matches `pattern`, a regular expression.

    Columns: name, op_type, input_shapes, kernels, layers, region, role, confidence, evidence (weights in natural-log
    odds between the label and the runner-up), runner_up, runner_up_probability.
    Raises InputError for a broken pattern, NotEnoughError where nothing matches.
    """
    import pandas as pd

    kernels = labelled.kernels
    rows = np.flatnonzero(_matches(kernels, pattern))
    if not len(rows):
        raise NotEnoughError(f"no kernel matches {pattern!r}", "the pattern is searched in kernel names and types")
    chosen = kernels.iloc[rows].assign(row=rows, look=labelled.structure.classes.of_kernel[rows])
    groups = chosen.groupby(["look", "region", "role"], observed=True, sort=False)
    neighbours = _neighbours(labelled)
    explained = [_explain_group(labelled, group, neighbours) for _key, group in list(groups)[:MOST_GROUPS]]
    return pd.DataFrame(explained)


def _matches(kernels: pd.DataFrame, pattern: str) -> Any:
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise InputError(f"{pattern!r} is no regular expression: {error}") from error
    found = np.zeros(len(kernels), dtype=bool)
    for column in ("name", "op_type"):
        texts = kernels[column].cat
        hits = np.array([*(bool(compiled.search(str(text))) for text in texts.categories), False])
        found |= hits[texts.codes.to_numpy()]
    return found


def _neighbours(labelled: Labelled) -> Any:
    """The neighbours' scores of every kernel, (N, STATES); zero where a kernel is in no chain."""
    structure = labelled.structure
    scores = np.zeros_like(structure.probability)
    for number in range(int(structure.chain.max(initial=-1)) + 1):
        rows = np.flatnonzero(structure.chain == number)
        scores[rows] = neighbour_scores(structure.classes, rows)
    return scores


def _explain_group(labelled: Labelled, group: pd.DataFrame, neighbours: Any) -> dict[str, Any]:
    structure = labelled.structure
    first = group.iloc[0]
    row = int(first["row"])
    layers = group["layer"].dropna()
    described = {
        "name": first["name"],
        "op_type": first["op_type"],
        "input_shapes": first["input_shapes"] if isinstance(first["input_shapes"], str) else "",
        "kernels": len(group),
        "layers": int(layers.nunique()),
        "region": first["region"],
        "role": first["role"],
        "confidence": round(float(group["confidence"].mean()), 4),
    }
    if structure.state[row] < 0:
        return {
            **described,
            "evidence": "a collective, by its core or name",
            "runner_up": "",
            "runner_up_probability": 0.0,
        }
    by_region: dict[str, float] = {}
    for state in State:
        region = REGION_OF_STATE[state]
        by_region[region] = by_region.get(region, 0.0) + float(structure.probability[row, state])
    label = REGION_OF_STATE[State(structure.state[row])]
    runner_up = max((region for region in by_region if region != label), key=lambda region: by_region[region])
    parts = _weights(labelled, row, label, runner_up, neighbours)
    return {
        **described,
        "evidence": "; ".join(f"{name} {weight:+.1f}" for name, weight in parts if abs(weight) >= 0.05),
        "runner_up": runner_up,
        "runner_up_probability": round(by_region[runner_up], 4),
    }


def _weights(labelled: Labelled, row: int, label: str, runner_up: str, neighbours: Any) -> list[tuple[str, float]]:
    """How much each kind of evidence speaks for the label against the runner-up, largest first."""
    structure = labelled.structure
    item = structure.classes.items[structure.classes.of_kernel[row]]
    best, second = _best_state(structure, row, label), _best_state(structure, row, runner_up)
    by_name = role_scores(item.role)
    by_class = class_scores(structure.classes)[structure.classes.of_kernel[row]]
    probability = np.maximum(structure.probability[row], 1e-12)
    total = float(np.log(probability[best]) - np.log(probability[second]))
    source = f"operator {item.base or 'without name'} ({item.role})"
    parts = [
        (source, float(by_name[best] - by_name[second])),
        ("shapes and core", float((by_class - by_name)[best] - (by_class - by_name)[second])),
        ("neighbours", float(neighbours[row, best] - neighbours[row, second])),
    ]
    if structure.hints is not None:
        said = structure.hints.scores(np.array([row]))[0]
        parts.append(("host", float(said[best] - said[second])))
    learned = structure.learned[structure.classes.of_kernel[row]]
    if learned.any():
        parts.append(("learned from other models", float(learned[best] - learned[second])))
    parts.append(("place in the layer", total - sum(weight for _name, weight in parts)))
    return sorted(parts, key=lambda part: -abs(part[1]))


def _best_state(structure: Any, row: int, region: str) -> State:
    states = [state for state in State if REGION_OF_STATE[state] == region]
    return max(states, key=lambda state: float(structure.probability[row, state]))
