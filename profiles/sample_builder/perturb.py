"""Changes that a labeller has to bear: unknown names, lost shapes, inserted, missing, merged and split kernels.

Each function takes a built capture and gives a new one with the truth carried along.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sample_builder.build import BuiltCapture, assemble
from sample_builder.noise import Noise
from sample_builder.operation import BF16, COMMUNICATION, Operation, Tensor, cast
from sample_builder.scheduling import Planned

if TYPE_CHECKING:
    import pandas as pd

#: The roles whose renaming the benchmark asks for.
RENAMED_ROLES = ("attention_core", "rope", "activation")
SHAPE_COLUMNS = ("input_shapes", "output_shapes", "input_types", "output_types", "input_formats", "output_formats")


def change(built: BuiltCapture, **columns: Any) -> BuiltCapture:
    """The same kernels with some columns replaced: by a function of the old column, or by one value."""
    import pandas as pd

    kernels = built.capture.kernels.copy()
    for name, new in columns.items():
        dtype = kernels[name].dtype
        values = kernels[name].astype(object).map(new, na_action="ignore") if callable(new) else new
        kernels[name] = pd.Series(values, index=kernels.index, dtype=object).astype(
            "category" if isinstance(dtype, pd.CategoricalDtype) else dtype
        )
    return replace(built, capture=replace(built.capture, kernels=kernels))


def keep(built: BuiltCapture, mask: Any) -> BuiltCapture:
    """Only the kernels that `mask` (N,) marks."""
    kernels = built.capture.kernels[mask].reset_index(drop=True)
    for name in kernels.select_dtypes("category"):
        kernels[name] = kernels[name].cat.remove_unused_categories()
    truth = built.truth[mask].reset_index(drop=True)
    return replace(built, capture=replace(built.capture, kernels=kernels), truth=truth)


def level0(built: BuiltCapture) -> BuiltCapture:
    """As the lowest profiler level writes it: names only."""
    nothing = dict.fromkeys(("op_type", "core", "state", "stream", "model", "input_shapes", "output_shapes", "step_id"))
    return change(built, **nothing)


def from_trace(built: BuiltCapture) -> BuiltCapture:
    """As a timeline file tells it: names and streams, no types, no shapes."""
    return change(built, op_type=None, input_shapes=None, output_shapes=None, state=None)


def without_shapes(built: BuiltCapture, share: float, seed: int = 1) -> BuiltCapture:
    """Shapes lost on a share of the kernels."""
    import numpy as np

    lost = np.random.default_rng(seed).random(len(built.truth)) < share
    kernels = built.capture.kernels.copy()
    for name in ("input_shapes", "output_shapes"):
        kernels[name] = kernels[name].mask(lost)
    return replace(built, capture=replace(built.capture, kernels=kernels))


def rename_operators(
    built: BuiltCapture, roles: Collection[str] = RENAMED_ROLES, *, region: str | None = None, seed: int = 0
) -> BuiltCapture:
    """Give the kernels of these roles names and types that no dictionary knows, the same for equal types."""
    import pandas as pd

    kernels = built.capture.kernels.copy()
    chosen = built.truth["role"].isin(list(roles)) & (built.capture.kernels["kind"] == "kernel").to_numpy()
    if region:
        chosen &= built.truth["region"] == region
    types = kernels["op_type"].astype("object")
    names = kernels["name"].astype("object")
    keys = types.where(types.notna(), names)
    noise = Noise(seed, "rename")
    unknown = {key: f"custom_kernel_{noise.pick(16**6):06x}" for key in sorted(set(keys[chosen]))}
    for position in chosen[chosen].index:
        new = unknown[keys[position]]
        suffix = names[position].rsplit("_", 1)[-1]
        names[position] = f"{new}_{suffix}" if suffix.isdigit() else new
        if types[position] is not None and not pd.isna(types[position]):
            types[position] = new
    kernels["op_type"] = types.astype("category")
    kernels["name"] = names.astype("category")
    return _with_kernels(built, kernels, "renamed")


def drop_shapes(built: BuiltCapture, share: float = 1.0, *, seed: int = 0) -> BuiltCapture:
    """Take shapes, types and formats from this share of the op types."""
    kernels = built.capture.kernels.copy()
    noise = Noise(seed, "shapes")
    types = kernels["op_type"].astype("object")
    bare = {name for name in sorted(set(types.dropna())) if noise.chance(share)}
    lost = types.isin(bare) | (share >= 1.0)
    for column in SHAPE_COLUMNS:
        kernels[column] = kernels[column].astype("object").where(~lost, None).astype("category")
    return _with_kernels(built, kernels, "without_shapes")


def renumber_streams(built: BuiltCapture, *, seed: int = 0) -> BuiltCapture:
    """Give the streams other numbers in another order."""
    from skadvisor.events import kernel_table

    noise = Noise(seed, "streams")
    streams = sorted(set(built.capture.kernels["stream"].dropna().astype(int)))
    numbers = sorted((noise.pick(10**6), stream) for stream in streams)
    mapping = {stream: 3 * position + 2 for position, (_, stream) in enumerate(numbers)}
    columns = {name: built.capture.kernels[name] for name in built.capture.kernels.columns}
    columns["stream"] = built.capture.kernels["stream"].map(mapping).astype("Int64")
    table = kernel_table({**columns, "row": range(len(built.truth))})
    order = table.pop("row").astype("int64").to_numpy()
    truth = built.truth.iloc[order].reset_index(drop=True)
    truth["stream"] = table["stream"]
    changed = _with_kernels(built, table, "renumbered_streams")
    return replace(changed, truth=truth)


def insert_casts(built: BuiltCapture, layers: Collection[int], *, before_role: str = "out_proj") -> BuiltCapture:
    """A Cast before the kernels of one role, in some layers only."""

    def change(step: Sequence[Planned], _: Noise) -> list[Planned]:
        changed: list[Planned] = []
        for item in step:
            place = item.placed
            if place.layer in layers and place.operation.role == before_role and place.operation.region != "comm":
                changed.append(_cast_before(item))
            changed.append(item)
        return changed

    return _with_plan(built, change, "inserted_casts", 0)


def drop_kernels(built: BuiltCapture, share: float = 0.005, *, seed: int = 0) -> BuiltCapture:
    """Kernels that the profiler lost, here and there; never the first of a step."""

    def change(step: Sequence[Planned], noise: Noise) -> list[Planned]:
        return [item for index, item in enumerate(step) if index == 0 or not noise.chance(share)]

    return _with_plan(built, change, "dropped_kernels", seed)


def merge_kernels(
    built: BuiltCapture, roles: tuple[str, str] = ("activation", "down"), *, seed: int = 0
) -> BuiltCapture:
    """Neighbours of these two roles become one kernel of an unknown type, which does the second's work."""

    def change(step: Sequence[Planned], _: Noise) -> list[Planned]:
        changed: list[Planned] = []
        for item in step:
            before = changed[-1] if changed else None
            if before is not None and (before.placed.operation.role, item.placed.operation.role) == roles:
                changed[-1] = _merged(before, item)
            else:
                changed.append(item)
        return changed

    return _with_plan(built, change, "merged_kernels", seed)


def split_kernels(built: BuiltCapture, role: str = "gate_up", *, seed: int = 0) -> BuiltCapture:
    """Each kernel of one role becomes two, of half the output columns and about half the time."""

    def change(step: Sequence[Planned], _: Noise) -> list[Planned]:
        changed: list[Planned] = []
        for item in step:
            if item.placed.operation.role == role and item.placed.operation.core != COMMUNICATION:
                changed += _halves(item)
            else:
                changed.append(item)
        return changed

    return _with_plan(built, change, "split_kernels", seed)


def jitter(built: BuiltCapture, spread: float = 0.15, *, seed: int = 0) -> BuiltCapture:
    """Durations and gaps scattered by this standard deviation."""

    def change(step: Sequence[Planned], noise: Noise) -> list[Planned]:
        return [
            replace(
                item,
                duration_ns=max(20, round(item.duration_ns * noise.factor(spread))),
                gap_ns=round(item.gap_ns * noise.factor(spread)),
            )
            for item in step
        ]

    return _with_plan(built, change, "jitter", seed)


def _cast_before(item: Planned) -> Planned:
    operation = item.placed.operation
    tensor = operation.inputs[0] or Tensor((1,))
    inserted = replace(
        cast(tensor.shape, tensor.dtype, BF16, operation.region, "layout"),
        lane=operation.lane,
    )
    return replace(item, placed=replace(item.placed, operation=inserted), name="Cast", duration_ns=2200, host_ns=2000)


def _merged(first: Planned, second: Planned) -> Planned:
    one, two = first.placed.operation, second.placed.operation
    operation = replace(
        two,
        op_type=f"Fused{one.op_type}{two.op_type}",
        inputs=(*one.inputs, *two.inputs[1:]),
        fork=one.fork,
        joins=one.joins,
        api="",
    )
    return replace(
        second,
        placed=replace(second.placed, operation=operation),
        name=f"Fused{one.op_type}{two.op_type}",
        duration_ns=first.duration_ns + second.duration_ns - min(1500, first.duration_ns // 2),
        host_ns=first.host_ns,
    )


def _halves(item: Planned) -> list[Planned]:
    operation = item.placed.operation
    half = replace(operation, outputs=tuple(_half(tensor) for tensor in operation.outputs))
    first = replace(item, placed=replace(item.placed, operation=half), duration_ns=round(item.duration_ns * 0.54))
    alone: Operation = replace(half, fork=False, joins=())
    return [first, replace(first, placed=replace(item.placed, operation=alone), host_ns=15_000)]


def _half(tensor: Tensor | None) -> Tensor | None:
    if tensor is None or len(tensor.shape) < 2:
        return tensor
    return replace(tensor, shape=(*tensor.shape[:-1], max(1, tensor.shape[-1] // 2)))


def _with_kernels(built: BuiltCapture, kernels: pd.DataFrame, change: str) -> BuiltCapture:
    return replace(
        built,
        capture=replace(built.capture, kernels=kernels),
        manifest={**built.manifest, "perturbed": [*built.manifest.get("perturbed", []), change]},
    )


def _with_plan(
    built: BuiltCapture, change: Callable[[Sequence[Planned], Noise], list[Planned]], name: str, seed: int
) -> BuiltCapture:
    noise = Noise(seed, name)
    plan = [change(step, noise) for step in built.plan]
    return assemble(
        plan,
        built.pauses_ns,
        {**built.manifest, "perturbed": [*built.manifest.get("perturbed", []), name]},
        built.recording,
        origin_ns=int(built.truth["start_ns"].iloc[0]),
        rules=built.rules,
    )
