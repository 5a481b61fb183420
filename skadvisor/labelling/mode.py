"""Eager or graph: what each kernel's witnesses say, and what the capture is by the kernels that have any.

Each kind of evidence speaks for one side with a weight. Some say nothing: the state `static` alone (eagerly launched
Triton kernels carry it), names of helpers such as memory sets, conversions and collectives (numbered in every mode).
"""

from __future__ import annotations

import re
from typing import Literal

import numpy as np
import pandas as pd

from skadvisor.records import Mode
from skadvisor.vocabulary.arrays import Floats
from skadvisor.vocabulary.names import distinct_names
from skadvisor.vocabulary.word_lists import WORD_LISTS

#: Log odds for a graph (positive) and for eager launches (negative) that each witness adds.
WEIGHTS = {
    # a replayed graph has an id, and only a replayed graph
    "model id": 8.0,
    # shapes that are only known at the launch, in no model
    "dynamic state": -8.0,
    # one launch on the host ran many kernels, or each kernel has one of its own
    "shared launch": 3.0,
    "own launch": -1.0,
    # the node names of a graph (`MatMulV2_12`, a path) and those of single operators (`aclnnMul_...`, `Mul108`)
    "graph name": 2.0,
    "operator name": -2.0,
}
#: Where a smaller share of the kernels than this has a witness, nothing is known.
ENOUGH_VOTES = 0.1
#: One launch of more kernels than this is a graph's.
MOST_PER_LAUNCH = 8

_NAMES = WORD_LISTS["launch"]
_SILENT = re.compile(_NAMES["silent"], re.IGNORECASE)
_PATH, _NUMBERED = re.compile(_NAMES["path"]), re.compile(_NAMES["numbered"])
_OF_GRAPHS, _OF_LAUNCHES = tuple(_NAMES["graph_prefixes"]), _NAMES["single_prefix"]


def graph_kernels(kernels: pd.DataFrame) -> Floats:
    """1.0 for kernels replayed from a graph, 0.0 for eagerly launched ones, nan where no witness speaks, (N,)."""
    has_model = kernels["model"].notna().to_numpy()
    dynamic = (kernels["state"] == "dynamic").to_numpy() & ~has_model
    per_launch = kernels_per_launch(kernels)
    odds = _by_name(kernels)
    for witness, rows in (
        ("model id", has_model),
        ("dynamic state", dynamic),
        ("shared launch", per_launch > MOST_PER_LAUNCH),
        ("own launch", per_launch == 1),
    ):
        odds = odds + WEIGHTS[witness] * rows
    return np.where(odds > 0, 1.0, np.where(odds < 0, 0.0, np.nan))


def graph_share(verdicts: Floats) -> float:
    """The share of graph kernels among those with a witness; nan where too few have one."""
    known = verdicts[~np.isnan(verdicts)]
    return float(known.mean()) if len(known) > ENOUGH_VOTES * len(verdicts) else float("nan")


def mode_of(step_shares: list[float], kernels: pd.DataFrame) -> tuple[Mode, str | None]:
    """Mode of a capture and, in graph mode, which kind of graph: `ge_graph`, `acl_graph` or `npugraph_ex`.

    `step_shares` are the shares of graph kernels in the layers of each step; without any the whole capture counts.
    """
    shares = [share for share in step_shares if not np.isnan(share)] or [graph_share(graph_kernels(kernels))]
    middle = float(np.median(shares))
    if np.isnan(middle):
        return "unknown", None
    return ("graph", graph_kind(kernels)) if middle >= 0.5 else ("eager", None)


def graph_kind(kernels: pd.DataFrame) -> Literal["ge_graph", "acl_graph", "npugraph_ex"]:
    """Which graph compiler made the kernels, by their names."""
    counts = kernels["name"].value_counts()
    names = counts.index.astype(str)
    total = max(1, int(counts.sum()))
    static = counts[names.str.startswith(_OF_GRAPHS) & ~names.str.startswith("sk_scope")].sum()
    eager_style = counts[names.str.startswith(_OF_LAUNCHES)].sum()
    if static * 5 >= total:
        return "npugraph_ex"
    return "acl_graph" if eager_style * 5 >= total else "ge_graph"


def kernels_per_launch(kernels: pd.DataFrame) -> Floats:
    """How many kernels the launch of each one ran, (N,), 0 where the launch is unknown."""
    launch = kernels["launch_ns"]
    return launch.map(launch.value_counts()).fillna(0).to_numpy(dtype="float64")


def _by_name(kernels: pd.DataFrame) -> Floats:
    """What names say, log odds, (N,); each pair of a name, whatever its counter, and a type is read once."""
    names, of_name = distinct_names(kernels["name"])
    types = kernels["op_type"].cat
    names, kinds = [*names, ""], [*map(str, types.categories.tolist()), ""]
    codes, distinct = pd.factorize(of_name * len(kinds) + types.codes.to_numpy() % len(kinds))
    said = [_name_says(names[pair // len(kinds)], kinds[pair % len(kinds)]) for pair in distinct.tolist()]
    return np.array([*said, 0.0])[codes]


def _name_says(name: str, op_type: str) -> float:
    if name.startswith(_OF_LAUNCHES):
        return WEIGHTS["operator name"]
    if name.startswith(_OF_GRAPHS):
        return WEIGHTS["graph name"]
    if _SILENT.match(name) or _SILENT.match(op_type):
        return 0.0
    if op_type and name.startswith(op_type) and name.split("/")[0][len(op_type) :].isdigit():
        return WEIGHTS["operator name"]
    return WEIGHTS["graph name"] if _PATH.fullmatch(name) or _NUMBERED.fullmatch(name) else 0.0
