"""The captures of the labelled benchmark: every architecture of the catalogue under every change of names and order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from sample_builder import perturb
from sample_builder.catalogue import CATALOGUE, build_entry
from sample_builder.noise import Noise
from unknown_names import BENCHMARK_NAMES, SPECIFIC_ROLES

if TYPE_CHECKING:
    from sample_builder.build import BuiltCapture

#: What a decoder is not: captures that the labeller has to decline.
DECLINED_PHASES = ("training", "unknown")
_NORMS = ("norm", "residual_norm")


def build_variant(architecture: str, variant: str, seed: int = 0) -> BuiltCapture:
    """Build one capture of the benchmark with its truth. Raises KeyError for unknown names."""
    return VARIANTS[variant](architecture, seed)


def is_decoder(architecture: str) -> bool:
    """Whether the architecture runs inference of a decoder, so that its layers and regions are scored."""
    return not set(CATALOGUE[architecture].settings.get("phases", ("decode",))) & set(DECLINED_PHASES)


def rename_by_vocabulary(
    built: BuiltCapture,
    roles: Collection[str] = SPECIFIC_ROLES,
    *,
    names: Mapping[str, tuple[str, ...]] | None = None,
    seed: int = 0,
) -> BuiltCapture:
    """Give all kernels whose name means one of these roles another name that the vocabulary does not know.

    Without `names` the new ones are meaningless; else they are drawn from `names`, role by role, those excepted that
    the vocabulary knows. Kernels of one base name stay kernels of one base name.
    """
    from skadvisor.vocabulary.names import base_operator
    from skadvisor.vocabulary.operators import load_vocabulary

    vocabulary = load_vocabulary()
    kernels = built.capture.kernels.copy()
    types = kernels["op_type"].astype("object").where(kernels["op_type"].notna(), None)
    old = kernels["name"].astype("object")
    noise = Noise(seed, "rename all")
    fresh: dict[str, str | None] = {}
    new_names, new_types = list(old), list(types)
    inside = (kernels["kind"] == "kernel").to_numpy()
    for row, (op_type, name) in enumerate(zip(types, old, strict=True)):
        if not inside[row]:
            continue
        base = base_operator(op_type, name)
        if base not in fresh:
            operator = vocabulary.find(base)
            role = operator.role if operator else ""
            taken = set(fresh.values())
            fresh[base] = _fresh_name(role, names, taken, noise, vocabulary) if role in roles else None
        found = fresh[base]
        if found is None:
            continue
        counter = name.rsplit("_", 1)[-1]
        new_names[row] = f"{found}_{counter}" if counter.isdigit() else found
        new_types[row] = found if op_type is not None else None
    kernels["name"] = _category(new_names)
    kernels["op_type"] = _category(new_types)
    return replace(
        built,
        capture=replace(built.capture, kernels=kernels),
        manifest={**built.manifest, "perturbed": [*built.manifest.get("perturbed", []), "renamed_by_vocabulary"]},
    )


def _category(values: list[str | None]):  # type: ignore[no-untyped-def]
    import pandas as pd

    return pd.Series(values, dtype="object").astype("category")


def _fresh_name(  # type: ignore[no-untyped-def]
    role: str, names: Mapping[str, tuple[str, ...]] | None, taken: Collection[str | None], noise: Noise, vocabulary
) -> str:
    """A name that no other operator of the capture got."""
    from skadvisor.vocabulary.names import base_operator

    if names is not None:
        free = [name for name in names.get(role, ()) if name not in taken]
        unknown = [name for name in free if vocabulary.find(base_operator(name, None)) is None]
        if unknown:
            return unknown[noise.pick(len(unknown))]
    return "k" + "".join("bdfgjkmpvwxz"[noise.pick(12)] for _ in range(7))


@lru_cache(maxsize=2)
def _plain(architecture: str, seed: int) -> BuiltCapture:
    return build_entry(architecture, seed=seed)


@lru_cache(maxsize=2)
def _level0(architecture: str, seed: int) -> BuiltCapture:
    return build_entry(architecture, seed=seed, level="level0")


def _changed(change: Callable[[BuiltCapture, int], BuiltCapture]) -> Callable[[str, int], BuiltCapture]:
    return lambda architecture, seed: change(_plain(architecture, seed), seed)


#: name -> how to build it from an architecture and a seed.
VARIANTS: dict[str, Callable[[str, int], BuiltCapture]] = {
    "plain": _plain,
    "renamed": _changed(lambda built, seed: perturb.rename_operators(built, seed=seed)),
    "renamed_telling": _changed(
        lambda built, seed: rename_by_vocabulary(built, perturb.RENAMED_ROLES, names=BENCHMARK_NAMES, seed=seed)
    ),
    "all_but_norms_renamed": _changed(
        lambda built, seed: rename_by_vocabulary(built, set(SPECIFIC_ROLES) - set(_NORMS), seed=seed)
    ),
    "all_renamed": _changed(lambda built, seed: rename_by_vocabulary(built, seed=seed)),
    "all_renamed_telling": _changed(lambda built, seed: rename_by_vocabulary(built, names=BENCHMARK_NAMES, seed=seed)),
    "level0": _level0,
    "level0_renamed": lambda architecture, seed: perturb.rename_operators(_level0(architecture, seed), seed=seed),
    "level0_telling": lambda architecture, seed: rename_by_vocabulary(
        _level0(architecture, seed), names=BENCHMARK_NAMES, seed=seed
    ),
    "without_shapes": _changed(lambda built, seed: perturb.drop_shapes(built, seed=seed)),
    "some_shapes_lost": _changed(lambda built, seed: perturb.drop_shapes(built, 0.3, seed=seed)),
    "merged": _changed(lambda built, seed: perturb.merge_kernels(built, seed=seed)),
    "split": _changed(lambda built, seed: perturb.split_kernels(built, seed=seed)),
    "inserted_casts": _changed(lambda built, _seed: perturb.insert_casts(built, {1, 4, 9})),
    "dropped": _changed(lambda built, seed: perturb.drop_kernels(built, seed=seed)),
    "renumbered_streams": _changed(lambda built, seed: perturb.renumber_streams(built, seed=seed)),
    "jitter": _changed(lambda built, seed: perturb.jitter(built, seed=seed)),
}
