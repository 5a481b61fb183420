"""What a patch does: the file runs before and after under a stand-in, from the classes that nothing else in it builds.

It has to open its scope in decode, never in prefill, and to raise nothing that the file itself does not raise.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import stand_in
from ruamel.yaml import YAML, YAMLError

from skadvisor.plan.recipe_model import find_model

ENTRIES = ("decode", "forward_decode", "forward")
MOST_CONFIGURATIONS = 3
METADATA = ("forward_metadata", "attn_metadata", "forward_context")
#: Parameters that a run is given even where they have a default.
GIVEN = (*METADATA, "is_prefill", "infer_config", "runner_settings", "config", "hidden_states", "input_ids")


@lru_cache(maxsize=1)
def configurations(path: Path) -> list[dict[str, Any]]:
    """The custom parameters of each configuration of the model that a file belongs to; one empty set where none is."""
    model = find_model(path)
    found: list[dict[str, Any]] = []
    for file in sorted((model.folder / "config").rglob("*.yaml")) if model else ():
        if "prefill" in file.stem:
            continue
        try:
            data = YAML(typ="safe").load(file.read_text())
        except YAMLError:
            continue
        settings = (data.get("model_config") or {}) if isinstance(data, dict) else {}
        found.append({**settings, **(settings.get("custom_params") or {}), "exe_mode": settings.get("exe_mode")})
    unique = {repr(sorted(item.items(), key=str)): item for item in found}
    return list(unique.values())[:MOST_CONFIGURATIONS] or [{}]


def argument(name: str, parameters: dict[str, Any], prefill: bool, text: str) -> Any:
    """What a parameter of that name is in the file: the phase as it reads it, configurations with the switch on."""
    switched = {**parameters, "enable_superkernel": True}
    if "is_prefill" in name:
        return prefill
    if name in METADATA:
        as_mapping = len(re.findall(rf'{name}(\["|\.get\(")is_prefill', text)) > 0
        return stand_in.Settings(is_prefill=prefill) if as_mapping else holder(is_prefill=prefill)
    if name == "infer_config":
        model_config = holder(**{**parameters, "custom_params": switched})
        return holder(model_config=model_config)
    if name == "runner_settings":
        return stand_in.Settings(model_config=stand_in.Settings(switched))
    if name == "config":
        layers = {
            "layer_types": ["full_attention"] * 4,
            "mlp_only_layers": [],
            "num_experts": 4,
            "decoder_sparse_step": 1,
        }
        return holder(**{**layers, **switched})
    return stand_in.Value()


def holder(**values: Any) -> stand_in.Held:
    held = stand_in.Held()
    for name, value in values.items():
        setattr(held, name, value)
    return held


@lru_cache(maxsize=1)
def built_in(source: str) -> frozenset[str]:
    """The names that the file calls: classes that it builds itself are no roots."""
    return frozenset(re.findall(r"(?<!class )\b(\w+)\(", source))


def roots(names: dict[str, Any], source: str, start: str) -> list[type]:
    """Where a run begins: the classes of the file that no class of it builds, or each that can be entered."""
    own = [item for item in names.values() if isinstance(item, type) and getattr(item, "__module__", "") == "modeling"]
    entries = [item for item in own if any(isinstance(item.__dict__.get(name), types.FunctionType) for name in ENTRIES)]
    if start != "root":
        return entries
    return [item for item in entries if item.__name__ not in built_in(source)] or entries


def walk(
    source: str, original: str, parameters: dict[str, Any], prefill: bool, start: str
) -> Iterator[tuple[list[str], str]]:
    """The scopes and errors of every root, with both truths."""
    names, guards = stand_in.load(source), stand_in.guards(source)
    for root in roots(names, original, start):
        for name in ENTRIES:
            if not isinstance(getattr(root, name, None), types.FunctionType):
                continue
            for truth in (True, False):
                stand_in.GUARDS.clear()
                stand_in.GUARDS.update(guards)
                yield stand_in.run(partial(_enter, root, name, parameters, prefill, original, start), truth)


def _enter(root: type, name: str, parameters: dict[str, Any], prefill: bool, text: str, start: str) -> None:
    if start == "method":
        built: Any = root.__new__(root)
        vars(built).update(enable_superkernel=True, layer_idx=0, layer_id=0)
    else:
        built = root(**_arguments(root.__init__, parameters, prefill, text))  # type: ignore[misc]
    every = start == "method"
    getattr(built, name)(**_arguments(getattr(root, name), parameters, prefill, text, every))


def _arguments(
    function: Any, parameters: dict[str, Any], prefill: bool, text: str, every: bool = False
) -> dict[str, Any]:
    named = list(inspect.signature(function).parameters.values())[1:]
    plain = [item for item in named if item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)]
    every = every or function.__name__ == "__init__"
    given = [item.name for item in plain if every or item.default is item.empty or item.name in GIVEN]
    return {item: argument(item, parameters, prefill, text) for item in given}


class Judge:
    """Judges patches of one file; what the file does without a patch is run once."""

    def __init__(self, before: str, path: Path) -> None:
        self.before = before
        self.configurations = configurations(path)
        self.expected: dict[tuple[str, int, bool], list[tuple[list[str], str]]] = {}
        self.said: dict[str, str] = {}

    def judge(self, after: str) -> str:
        """`works`, what is wrong, or that the stand-in ends before it.

        Where the way from the root of the file ends early, each class is run alone, and then each method without what
        `__init__` builds.
        """
        if after not in self.said:
            self.said[after] = self._judge(after)
        return self.said[after]

    def _judge(self, after: str) -> str:
        cut = ""
        for start, words in (("root", ""), ("class", " in its class"), ("method", " in its method")):
            said, cut = self._from(after, start)
            if said != "no effect" or not cut:
                return said + words if said == "works" else said
        return f"not judged: the stand-in ends before it ({cut[:60]})"

    def _from(self, after: str, start: str) -> tuple[str, str]:
        effect, cut = False, ""
        for index, parameters in enumerate(self.configurations):
            for prefill in (False, True):
                stand_in.TOKENS[0] = 8 if prefill else 1
                key = (start, index, prefill)
                if key not in self.expected:
                    self.expected[key] = list(walk(self.before, self.before, parameters, prefill, start))
                runs = zip(self.expected[key], walk(after, self.before, parameters, prefill, start), strict=True)
                for (_, expected), (opened, error) in runs:
                    if error != expected:
                        return f"raises {error}"[:90] if error else f"hides {expected}"[:90], ""
                    if opened and prefill:
                        return "opens a scope in prefill", ""
                    effect = effect or bool(opened)
                    cut = cut or error
        return "works" if effect else "no effect", cut
