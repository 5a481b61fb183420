"""What the host records beside eager kernels: the operator calls, the modules that contain them, the steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sample_builder.scheduling import Started

THREAD = 457065
MODULES = {"attention": "Attention", "mlp": "MLP", "moe": "SparseMoeBlock", "norm": "RMSNorm", "head": "LMHead"}
CALL_NS = 3_200
MODULE_MARGIN_NS = 9_000


def host_columns(started: Sequence[Started], family: str) -> dict[str, list[Any]]:
    """Columns for `events.host_table`: a call per eager kernel, module ranges round them, one range a step."""
    eager = [item for item in started if not item.planned.captured and item.kind == "kernel"]
    rows: list[tuple[int, int, str, str]] = []
    for item in eager:
        call = item.planned.name.split("_")[0] if item.planned.name.startswith("aclnn") else item.planned.name
        rows.append((item.launch_ns - CALL_NS, CALL_NS, call, "op"))
    for key, members in _groups(eager, _module_key):
        name = module_name(members[0], family)
        if name and key is not None:
            rows.append((*_span(members, MODULE_MARGIN_NS), name, "module"))
    for key, members in _groups(eager, _layer_key):
        if key is not None:
            layer = members[0].planned.placed.layer
            rows.append((*_span(members, 2 * MODULE_MARGIN_NS), f"nn.Module: {family}DecoderLayer_{layer}", "module"))
    for key, members in _groups(eager, lambda item: item.planned.placed.step):
        rows.append((*_span(members, 4 * MODULE_MARGIN_NS), f"ProfilerStep#{key}", "step"))
    return {
        "start_ns": [row[0] for row in rows],
        "dur_ns": [row[1] for row in rows],
        "name": [row[2] for row in rows],
        "kind": [row[3] for row in rows],
        "thread": [THREAD] * len(rows),
    }


def module_name(item: Started, family: str) -> str | None:
    """The innermost module that launches this kernel; None outside the layers' modules."""
    place = item.planned.placed
    region = place.operation.owner if place.operation.region == "comm" else place.operation.region
    if item.planned.captured or region not in MODULES:
        return None
    number = "" if place.layer is None else f"_{place.layer}"
    return f"nn.Module: {family}{MODULES[region]}{number}"


def _module_key(item: Started) -> tuple[Any, ...] | None:
    place = item.planned.placed
    region = place.operation.owner if place.operation.region == "comm" else place.operation.region
    return (place.step, place.layer, region) if region in MODULES else None


def _layer_key(item: Started) -> tuple[Any, ...] | None:
    place = item.planned.placed
    return (place.step, place.layer) if place.layer is not None else None


def _groups(items: Sequence[Started], key: Any) -> list[tuple[Any, list[Started]]]:
    groups: list[tuple[Any, list[Started]]] = []
    for item in items:
        value = key(item)
        if groups and groups[-1][0] == value:
            groups[-1][1].append(item)
        else:
            groups.append((value, [item]))
    return groups


def _span(members: Sequence[Started], margin: int) -> tuple[int, int]:
    start = min(item.launch_ns for item in members) - CALL_NS - margin
    return start, max(item.launch_ns for item in members) + margin // 3 - start
