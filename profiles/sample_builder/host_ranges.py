"""What the host records beside eager kernels: the operator calls, the modules that contain them, the steps.

Modules nest as in a real run: the norm after the feed-forward is called by the next layer, as its input norm, and
the last one by the model. So the host puts it into another layer than the device's repetition does.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from sample_builder.scheduling import Started

THREAD = 457065
FAMILY = "Model"
MODULES = {"attention": "Attention", "mlp": "MLP", "moe": "SparseMoeBlock", "head": "LMHead"}
#: How far ranges reach before and after their kernels' launches, as shares of the distance to the neighbour.
CALL_SHARE, MODULE_SHARE, LAYER_SHARE, STEP_SHARE = 0.1, 0.2, 0.3, 0.4
MAX_MARGIN_NS = 40_000


def modules(started: Sequence[Started]) -> list[tuple[str | None, int | None]]:
    """For each kernel the innermost module that launches it and the layer that the host is in; None where none."""
    found: list[tuple[str | None, int | None]] = []
    following = [*started[1:], None]
    for item, after in zip(started, following, strict=True):
        if item.planned.captured or item.kind != "kernel":
            found.append((None, None))
            continue
        found.append(_module(item, after))
    return found


def _module(item: Started, after: Started | None) -> tuple[str | None, int | None]:
    place = item.planned.placed
    operation, layer = place.operation, place.layer
    region = operation.owner if operation.region == "comm" else operation.region
    if region != "norm" or layer is None:
        name = MODULES.get(region or "")
        number = "" if layer is None else f"_{layer}"
        return (f"{FAMILY}{name}{number}" if name else None), layer
    beyond = after is None or after.planned.placed.layer != layer
    if not beyond:
        first = after is not None and after.planned.placed.operation.region == "attention" and layer == 0
        return f"{FAMILY}RMSNorm_{2 * layer + (0 if first else 1)}", layer
    is_last = after is None or after.planned.placed.layer is None
    return f"{FAMILY}RMSNorm_{2 * layer + 2}", None if is_last else layer + 1


def host_columns(started: Sequence[Started], *, steps: bool) -> dict[str, list[Any]]:
    """Columns for `events.host_table`: a call per eager kernel, module ranges round them.

    With `steps` one ProfilerStep range for each step, as only runs with a schedule have.
    """
    places = modules(started)
    eager = [(item, place) for item, place in zip(started, places, strict=True) if _is_eager(item)]
    launches = [item.launch_ns for item, _ in eager]
    rows: list[tuple[int, int, str, str]] = []
    for position, (item, _) in enumerate(eager):
        name = item.planned.name
        call = name.split("_")[0] if name.startswith("aclnn") else name
        rows.append((*_span(launches, position, position, CALL_SHARE, 0.0), call, "op"))
    for first, last, module in _groups([place[0] for _, place in eager]):
        rows.append((*_span(launches, first, last, MODULE_SHARE, MODULE_SHARE), f"nn.Module: {module}", "module"))
    for first, last, layer in _groups([place[1] for _, place in eager]):
        name = f"nn.Module: {FAMILY}DecoderLayer_{layer}"
        rows.append((*_span(launches, first, last, LAYER_SHARE, LAYER_SHARE), name, "module"))
    if steps:
        for first, last, step in _groups([item.planned.placed.step for item, _ in eager]):
            rows.append((*_span(launches, first, last, STEP_SHARE, STEP_SHARE), f"ProfilerStep#{step}", "step"))
    return {
        "start_ns": [row[0] for row in rows],
        "dur_ns": [row[1] for row in rows],
        "name": [row[2] for row in rows],
        "kind": [row[3] for row in rows],
        "thread": [THREAD] * len(rows),
    }


def _is_eager(item: Started) -> bool:
    return not item.planned.captured and item.kind == "kernel"


def _groups(values: Sequence[Hashable]) -> list[tuple[int, int, Hashable]]:
    """Runs of equal values as (first position, last position, value); runs of None are left out."""
    groups: list[tuple[int, int, Hashable]] = []
    for position, value in enumerate(values):
        if groups and groups[-1][2] == value and groups[-1][1] == position - 1:
            groups[-1] = (groups[-1][0], position, value)
        else:
            groups.append((position, position, value))
    return [group for group in groups if group[2] is not None]


def _span(launches: Sequence[int], first: int, last: int, before: float, after: float) -> tuple[int, int]:
    """Start and duration of a range round these launches that stays clear of the neighbours'."""

    def margin(distance: int, share: float) -> int:
        return min(MAX_MARGIN_NS, round(share * distance))

    earlier = launches[first] - launches[first - 1] if first else MAX_MARGIN_NS
    later = launches[last + 1] - launches[last] if last + 1 < len(launches) else MAX_MARGIN_NS
    start = launches[first] - margin(earlier, before)
    return start, launches[last] + margin(later, after) + 1 - start
