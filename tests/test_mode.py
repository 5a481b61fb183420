"""Eager or graph: which evidence speaks, and what is said where none does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from sample_builder.build import build
from sample_builder.catalogue import QWEN2_5_7B

from skadvisor.analysis import analyze_capture
from skadvisor.events import Capture
from skadvisor.labelling.mode import graph_kernels, mode_of

Change = Callable[[pd.DataFrame], pd.DataFrame]
TYPES = "op_type"


@cache
def _graph() -> Capture:
    return build(replace(QWEN2_5_7B, layers=4), mode="ge_graph", steps=3).capture


def _kernels(change: Change) -> pd.DataFrame:
    """The kernels with no evidence at all (bare names, no state, no model), then changed."""
    kernels = _graph().kernels
    nothing = pd.Series([None] * len(kernels))
    bare = kernels.assign(
        name=kernels[TYPES].astype("object"),
        state=nothing,
        model=nothing.astype("Int64"),
        launch_ns=nothing.astype("Int64"),
    )
    changed = change(bare)
    return changed.assign(**{column: changed[column].astype("category") for column in ("name", "state", TYPES)})


def _helper_named(kernels: pd.DataFrame) -> pd.DataFrame:
    at = kernels.index == 40
    return kernels.assign(
        name=kernels["name"].where(~at, "atomic_memset-1_68_1413001_1_0"),
        op_type=kernels[TYPES].astype("object").where(~at, "MemSet"),
    )


def _numbered(kernels: pd.DataFrame, between: str) -> pd.DataFrame:
    return kernels.assign(name=[f"{kind}{between}{row}" for row, kind in enumerate(kernels[TYPES].astype(str))])


def _launched(kernels: pd.DataFrame, together: int) -> pd.DataFrame:
    return kernels.assign(launch_ns=pd.array(10**9 + np.arange(len(kernels)) // together, dtype="Int64"))


WITNESSES: dict[str, tuple[Change, str]] = {
    "nothing": (lambda k: k, "unknown"),
    "one numbered helper": (_helper_named, "unknown"),
    "single operators' names": (lambda k: _numbered(k, ""), "eager"),
    "single operators and a numbered helper": (lambda k: _helper_named(_numbered(k, "")), "eager"),
    "random numbers": (lambda k: k.assign(name=[f"DropOutGenMask{n}/DSAGENBITMASK" for n in k.index]), "unknown"),
    "nodes' names": (lambda k: _numbered(k, "_"), "graph"),
    "paths": (lambda k: k.assign(name="Default/net/" + k["name"].astype(str)), "graph"),
    "static alone": (lambda k: k.assign(state="static"), "unknown"),
    "static Triton kernels among dynamic ones": (
        lambda k: k.assign(state=np.where(k.index % 5 < 3, "static", "dynamic")),
        "eager",
    ),
    "a model": (lambda k: k.assign(model=pd.array([7] * len(k), dtype="Int64"), state="static"), "graph"),
    "a model of eagerly named kernels": (
        lambda k: k.assign(model=pd.array([7] * len(k), dtype="Int64"), name="aclnnMm_" + k["name"].astype(str)),
        "graph",
    ),
    "launches of their own": (lambda k: _launched(k, 1), "eager"),
    "one launch for a step": (lambda k: _launched(k, 60), "graph"),
}


@pytest.mark.parametrize("witness", WITNESSES)
def test_mode_by_the_witnesses_that_may_speak(witness: str) -> None:
    change, mode = WITNESSES[witness]
    kernels = _kernels(change)
    assert mode_of([], kernels)[0] == mode
    share = float(np.mean(~np.isnan(graph_kernels(kernels))))
    assert share < 0.1 if mode == "unknown" else share > 0.1


@pytest.mark.parametrize("witness", ["one numbered helper", "single operators' names", "static alone"])
def test_no_scope_where_eager_cannot_be_excluded(witness: str) -> None:
    kernels = _kernels(WITNESSES[witness][0])
    result = analyze_capture(replace(_graph(), kernels=kernels)).result
    assert result.phase == "decode" and result.recommendation.choice == "none"
    assert analyze_capture(_graph()).result.mode == "graph"
