"""The templates: which kernels each scope covers, read from `templates.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from skadvisor.files.data_files import read_toml
from skadvisor.records import TemplateName
from skadvisor.vocabulary.arrays import Flags, Ints, Words

if TYPE_CHECKING:
    from skadvisor.events import PlainColumns


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to place a template's scope; `name` tells the variants of one template apart, "" where there is one.

    `per` says how many scopes there are in a step.
    """

    where: str
    per: Literal["layer", "step"]
    name: str = ""
    regions: tuple[str, ...] = ()
    without_roles: tuple[str, ...] = ()
    input_norm: bool = False
    everything: bool = False


@dataclass(frozen=True, kw_only=True)
class TemplateScope:
    """A template as data. `effort` orders the templates by the work of trying them, 1 is least.

    `published` marks the templates that are chosen between; the others are ways to refine or replace one of them.
    """

    name: TemplateName
    title: str
    risk: Literal["low", "medium", "high"]
    effort: int
    source: str
    variants: tuple[Variant, ...]
    needs: str | None = None
    graph_kinds: tuple[str, ...] = ()
    published: bool = False


@dataclass(frozen=True, kw_only=True)
class ClaimRow:
    """One row of the published table: the gain promised, percent of the step, for a share of the step in scope."""

    template: TemplateName
    row: str
    model: Literal["dense", "moe"]
    share: tuple[float, float]
    gain_pct: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class ClaimTable:
    """The published rows, and the rule that they follow from: the saving as a fraction of the time in scope."""

    rows: tuple[ClaimRow, ...]
    saving_of_scope: tuple[float, float]
    source: str


@cache
def template_scopes() -> tuple[TemplateScope, ...]:
    """All templates, in the order of the file."""
    return tuple(_scope(entry) for entry in _file()["template"])


@cache
def claim_table() -> ClaimTable:
    """The published claims."""
    content = _file()
    rows = tuple(ClaimRow(**{name: _tuple(value) for name, value in entry.items()}) for entry in content["claim"])
    low, high = content["rule"]["saving_of_scope"]
    return ClaimTable(rows=rows, saving_of_scope=(low, high), source=content["rule"]["source"])


def template_scope(name: str) -> TemplateScope:
    """The template of this name. Raises KeyError where there is none."""
    for scope in template_scopes():
        if scope.name == name:
            return scope
    raise KeyError(name)


def template_variant(template: str, variant: str = "") -> Variant:
    """The variant of this name, the first of the template for "". Raises KeyError where there is none."""
    for choice in template_scope(template).variants:
        if variant in ("", choice.name):
            return choice
    raise KeyError(variant)


def place(kernels: PlainColumns, variant: Variant) -> Ints:
    """Which scope each labelled kernel is in: a number per scope, -1 for kernels outside.

    Scopes per layer are numbered by step and layer, scopes per step by step. Collectives belong to the scope of the
    region whose result they move (`owner`).
    """
    step, layer = kernels.whole("step"), kernels.whole("layer")
    region, owner = kernels.words("region"), kernels.words("owner")
    owned = _one_of(owner, variant.regions)
    inside = np.where((region == "comm") & owned, owned, _one_of(region, variant.regions)) & (layer >= 0)
    if variant.without_roles:
        inside &= ~_one_of(kernels.words("role"), variant.without_roles)
    if variant.everything:
        inside = np.full(len(kernels), variant.per == "step") | (layer >= 0)
    if variant.input_norm:
        joined = _layers_of_input_norms(step, layer, region)
        inside |= joined >= 0
        layer = np.where(joined >= 0, joined, layer)
    inside &= step >= 0
    if variant.per == "step":
        return np.where(inside, step, -1)
    return np.where(inside, step * (int(layer.max(initial=0)) + 1) + layer, -1)


def _one_of(words: Words, wanted: tuple[str, ...]) -> Flags:
    found = np.zeros(len(words), dtype=bool)
    for word in wanted:
        found |= words == word
    return found


def _layers_of_input_norms(step: Ints, layer: Ints, region: NDArray[Any]) -> Ints:
    """For each norm whose next kernel of substance is attention: the layer of that attention; else -1."""
    result = np.full(len(region), -1, dtype="int64")
    steps, layers, regions = step.tolist(), layer.tolist(), region.tolist()
    ahead_region, ahead_layer, ahead_step = "", -1, -2
    for place_ in range(len(region) - 1, -1, -1):
        if regions[place_] == "norm":
            if ahead_region == "attention" and ahead_step == steps[place_]:
                result[place_] = ahead_layer
        elif regions[place_] != "comm":
            ahead_region, ahead_layer, ahead_step = regions[place_], layers[place_], steps[place_]
    return result


def _scope(entry: Mapping[str, Any]) -> TemplateScope:
    values = {name: _tuple(value) for name, value in entry.items() if name != "variant"}
    variants = tuple(
        Variant(**{name: _tuple(value) for name, value in variant.items()}) for variant in entry["variant"]
    )
    return TemplateScope(variants=variants, **values)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@cache
def _file() -> dict[str, Any]:
    return read_toml(Path(__file__).with_suffix(".toml"))
