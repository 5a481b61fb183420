"""What cann-recipes-infer itself says of a configuration: its own loader and its models' own checks, run stood in."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import stand_in
from effects import holder

LOADER = Path("executor/core/config/inference_config.py")


def rejections(data: dict[str, Any], path: Path) -> set[str]:
    """What the loader and the model's checks raise for a configuration; empty where they take it."""
    found = set()
    for check in _checks(path, data):
        for truth in (True, False):
            stand_in.GUARDS.clear()
            _, error = stand_in.run(check, truth)
            if "ValueError" in error or "RuntimeError" in error:
                found.add(error)
    return found


def _checks(path: Path, data: dict[str, Any]) -> Iterator[Any]:
    root = next((folder for folder in path.parents if (folder / LOADER).is_file()), None)
    configuration: Any = stand_in.Value()
    if root is not None and "parallel_config" in data:
        build = partial(_build, root / LOADER, data)
        yield build
        try:
            configuration = build()
        except (ValueError, RuntimeError):
            return
    folder = next((item for item in path.parents if (item / "models").is_dir() and (item / "config").is_dir()), None)
    settings = stand_in.Settings({key: _settings(value) for key, value in data.items()})
    for file in sorted(folder.rglob("*.py")) if folder else ():
        text = file.read_text()
        if "def check_model_settings" not in text and "def check_settings" not in text:
            continue
        names = _loaded(text)
        for name in ("check_model_settings", "check_settings"):
            function = names.get(name)
            if inspect.isfunction(function):
                flat = "settings" in "".join(inspect.signature(function).parameters)
                given = (int(data.get("world_size", 16)), settings) if flat else (configuration,)
                yield partial(function, *given)
        for item in names.values():
            method = getattr(item, "__dict__", {}).get("check_model_settings") if isinstance(item, type) else None
            if inspect.isfunction(method):
                parallel = getattr(configuration, "parallel_config", None)
                yield partial(method, holder(infer_config=configuration, **(vars(parallel) if parallel else {})))


def _settings(value: Any) -> Any:
    return stand_in.Settings(value) if isinstance(value, dict) else value


def _build(loader: Path, data: dict[str, Any]) -> Any:
    return _loaded(loader.read_text())["InferenceConfig"].from_dict(copy.deepcopy(data), 0, 0)


@lru_cache(maxsize=6)
def _loaded(text: str) -> dict[str, Any]:
    return stand_in.load(text)
