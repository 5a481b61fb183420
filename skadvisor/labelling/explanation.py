"""Why kernels got their label: what each rule said, in order of weight, and what else they could have been."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from skadvisor.errors import InputError, NotEnoughError
from skadvisor.labelling.roles import labels_of_states
from skadvisor.labelling.rules import RULES
from skadvisor.text.messages import _
from skadvisor.vocabulary.arrays import Floats
from skadvisor.vocabulary.states import role_scores

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.labelling.labels import Labelled
    from skadvisor.labelling.structure import Structure

#: Kernels of one look with one label are explained once; so many groups are shown at the most.
MOST_GROUPS = 200
#: Contributions below this are told together with the order.
LEAST_SHOWN = 0.05
_REASONS = {rule.name: rule.because for rule in RULES}


def explain(labelled: Labelled, pattern: str) -> pd.DataFrame:
    """One row per group of alike kernels whose name, type or whole role matches `pattern`, a regular expression.

    Columns: name, op_type, input_shapes, kernels, layers, region, role, confidence, runner_up (the likeliest other
    region/role), runner_up_probability (both are means over the group), score (natural-log odds between the two of the
    first kernel), evidence (what adds up to the score), reasons (of the rules among it, a list of sentences).
    Raises InputError for a broken pattern, NotEnoughError where nothing matches.
    """
    import pandas as pd

    kernels = labelled.kernels
    rows = np.flatnonzero(_matches(kernels, pattern))
    if not len(rows):
        raise NotEnoughError(
            _("no kernel matches {pattern!r}"),
            _("it is searched in kernel names and types, or is a role"),
            pattern=pattern,
        )
    chosen = kernels.iloc[rows].assign(row=rows, look=labelled.structure.classes.of_kernel[rows])
    groups = chosen.groupby(["look", "region", "role"], observed=True, sort=False)
    return pd.DataFrame([_explain_group(labelled, group) for _key, group in list(groups)[:MOST_GROUPS]])


def _matches(kernels: pd.DataFrame, pattern: str) -> Any:
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise InputError(_("{pattern!r} is no regular expression: {error}"), pattern=pattern, error=error) from error
    found = np.zeros(len(kernels), dtype=bool)
    for column, fits in (("name", compiled.search), ("op_type", compiled.search), ("role", compiled.fullmatch)):
        texts = kernels[column].cat
        hits = np.array([*(bool(fits(str(text))) for text in texts.categories), False])
        found |= hits[texts.codes.to_numpy()]
    return found


def _explain_group(labelled: Labelled, group: pd.DataFrame) -> dict[str, Any]:
    structure = labelled.structure
    first = group.iloc[0]
    rows = group["row"].to_numpy()
    described = {
        "name": first["name"],
        "op_type": first["op_type"],
        "input_shapes": first["input_shapes"] if isinstance(first["input_shapes"], str) else "",
        "kernels": len(group),
        "layers": int(group["layer"].dropna().nunique()),
        "region": first["region"],
        "role": first["role"],
        "confidence": round(float(group["confidence"].mean()), 4),
    }
    nothing = {"runner_up": "", "runner_up_probability": 0.0, "score": 0.0, "reasons": []}
    if structure.state[rows[0]] < 0:
        alone = first["kind"] != "kernel"
        said = "a collective, by its core or name" if alone else f"outside the order of a layer: {first['evidence']}"
        return {**described, **nothing, "evidence": said}
    probability = structure.probability.of(rows).mean(axis=0)
    regions, roles = labels_of_states(structure.classes, int(first["look"]))
    own = np.array([region == first["region"] for region in regions])
    if first["role"] in roles:
        own &= np.array([role == first["role"] for role in roles])
    if not own.any() or own.all():
        return {**described, **nothing, "evidence": f"settled by the operator: {first['evidence']}"}
    others: dict[str, float] = {}
    for region, role, likely in zip(regions[~own], roles[~own], probability[~own], strict=True):
        others[f"{region}/{role}"] = others.get(f"{region}/{role}", 0.0) + float(likely)
    runner_up = max(others, key=lambda label: others[label])
    named = np.array([f"{region}/{role}" == runner_up for region, role in zip(regions, roles, strict=True)])
    best, second = (int(np.where(states, probability, -1.0).argmax()) for states in (own, named & ~own))
    score, parts = _contributions(structure, int(rows[0]), best, second)
    return {
        **described,
        "runner_up": runner_up,
        "runner_up_probability": round(min(others[runner_up], 1.0 - described["confidence"]), 4),
        "score": score,
        "evidence": "; ".join(f"{name} {weight:+.1f}" for name, weight in parts),
        "reasons": [f"{name}: {_REASONS[name]}" for name, _weight in parts if name in _REASONS],
    }


def _contributions(structure: Structure, row: int, best: int, second: int) -> tuple[float, list[tuple[str, float]]]:
    """The log odds of two states of a kernel and what they are made of, largest first; the parts sum to the odds.

    What neither name, rules, host nor learning say is the order of the states round it.
    """
    number = int(structure.classes.of_kernel[row])
    item = structure.classes.items[number]
    said: dict[str, Floats] = {
        f"operator {item.base or 'without name'} ({item.role})": role_scores(item.role),
        **structure.of_classes.of(number),
    }
    chain = int(structure.chain[row])
    rows = structure.main if chain == 0 else np.flatnonzero(structure.chain == chain)
    for rule, weights in structure.of_chains[chain].of(int(np.searchsorted(rows, row))).items():
        said[rule] = said.get(rule, 0.0) + weights
    if structure.hints is not None:
        said["host"] = structure.hints.scores(np.array([row]))[0]
    if structure.learned[number].any():
        said["learned from other models"] = structure.learned[number]
    probability = np.maximum(structure.probability.of(row), 1e-12)
    score = round(float(np.log(probability[best]) - np.log(probability[second])), 1)
    parts = [(name, round(float(weights[best] - weights[second]), 1)) for name, weights in said.items()]
    parts = [part for part in parts if abs(part[1]) >= LEAST_SHOWN]
    parts.append(("place in the layer", round(score - sum(weight for _name, weight in parts), 1)))
    return score, sorted(parts, key=lambda part: -abs(part[1]))
