"""Patch real modeling files and configurations, and run what comes out: `python patch_real_files.py FOLDER`.

FOLDER holds checked out sources (cann-recipes-infer, transformers). Every template and dialect is tried on every
modeling file, as it is and with its authors' scopes taken out. What is patched then runs under a stand-in, from the
classes that nothing else in the file builds, with each configuration of the model: it has to open its scope in decode,
never in prefill, and to raise nothing that the file itself does not raise. Prints a table of counts; ends with 1 where
a patch fails. `-v` lists every answer; names of dialects after FOLDER limit the tries to them.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import libcst as cst
import stand_in
from ruamel.yaml import YAML, YAMLError

from skadvisor.plan.patch import Declined, Request, propose_for, reading
from skadvisor.plan.recipe_config import fitting_dialect, needed_mode, review
from skadvisor.plan.recipe_model import find_model

TRIES = [("attention-only", "a"), ("attention-only", "b"), ("moe-only", ""), ("full-model", ""), ("per-block", "")]
DIALECTS = ("recipes", "ge", "npugraph_ex")
reading.read_source = lru_cache(maxsize=1)(reading.read_source)  # one parse for all tries
ENTRIES = ("decode", "forward_decode", "forward")


MOST_CONFIGURATIONS = 3
METADATA = ("forward_metadata", "attn_metadata", "forward_context")
#: Parameters that a run is given even where they have a default.
GIVEN = (*METADATA, "is_prefill", "infer_config", "runner_settings", "config", "hidden_states", "input_ids")


def modeling_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("model*.py") if re.fullmatch(r"model(ing)?_\w+|modeling", path.stem))


class Unscoped(cst.CSTTransformer):
    """Takes `with superkernel_scope(...)` away and leaves its body."""

    def leave_With(self, original_node: cst.With, updated_node: cst.With) -> Any:
        call = updated_node.items[0].item
        name = call.func.value if isinstance(call, cst.Call) and isinstance(call.func, cst.Name) else ""
        return cst.FlattenSentinel(updated_node.body.body) if name == "superkernel_scope" else updated_node


def unscoped(text: str) -> str | None:
    changed = cst.parse_module(text).visit(Unscoped()).code
    return changed if changed != text else None


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


def roots(names: dict[str, Any], source: str, start: str) -> list[type]:
    """Where a run begins: the classes of the file that no class of it builds, or each that can be entered."""
    own = [item for item in names.values() if isinstance(item, type) and getattr(item, "__module__", "") == "modeling"]
    entries = [item for item in own if any(isinstance(item.__dict__.get(name), types.FunctionType) for name in ENTRIES)]
    built = {item for item in own if re.search(rf"(?<!class )\b{item.__name__}\(", source)}
    return entries if start != "root" else [item for item in entries if item not in built] or entries


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


def judge(before: str, after: str, path: Path) -> str:
    """What a patch does: `works`, what is wrong, or that the stand-in ends before it.

    Where the way from the root of the file ends early, each class is run alone, and then each method without what
    `__init__` builds.
    """
    for start, words in (("root", ""), ("class", " in its class"), ("method", " in its method")):
        said, cut = _judge(before, after, path, start)
        if said != "no effect" or not cut:
            return said + words if said == "works" else said
    return f"not judged: the stand-in ends before it ({cut[:60]})"


def _judge(before: str, after: str, path: Path, start: str) -> tuple[str, str]:
    effect, cut = False, ""
    for parameters in configurations(path):
        for prefill in (False, True):
            stand_in.TOKENS[0] = 8 if prefill else 1
            runs = zip(
                walk(before, before, parameters, prefill, start),
                walk(after, before, parameters, prefill, start),
                strict=True,
            )
            for (_, expected), (opened, error) in runs:
                if error != expected:
                    return f"raises {error}"[:90] if error else f"hides {expected}"[:90], ""
                if opened and prefill:
                    return "opens a scope in prefill", ""
                effect = effect or bool(opened)
                cut = cut or error
    return "works" if effect else "no effect", cut


def try_models(folder: Path, verbose: bool) -> int:
    counts: Counter[tuple[str, str, str]] = Counter()
    failed = 0
    for path in modeling_files(folder):
        text, model = path.read_text(), find_model(path)
        for form, source in (("as is", text), ("unscoped", unscoped(text))):
            if source is None:
                continue
            for dialect in DIALECTS:
                for template, variant in TRIES:
                    request = Request(template=template, variant=variant or "a", dialect=dialect)
                    answer = propose_for(path, source.encode(), request, model)
                    if isinstance(answer, Declined):
                        said = f"declined: {answer.reason.template}"
                    else:
                        said = judge(source, answer.after.decode(), path)
                        failed += not said.startswith(("works", "not judged"))
                    counts[form, dialect, said] += 1
                    if verbose:
                        print(f"{path.relative_to(folder)} {form} {dialect} {template} {variant}: {said}")
    for (form, dialect, said), count in sorted(counts.items()):
        print(f"{count:5d}  {form:9s} {dialect:12s} {said}")
    return failed


def try_configurations(folder: Path, verbose: bool) -> int:
    """Every configuration, in the dialect that fits it: what is changed, and whether its model takes the result."""
    counts: Counter[str] = Counter()
    failed = 0
    for path in sorted(folder.rglob("*.yaml")):
        if "config" not in path.parts and "benchmark" not in path.parts:
            continue
        dialect = fitting_dialect(path) or "recipes"
        reviewed = review(path, dialect)
        if reviewed.declined is not None:
            said = f"declined: {reviewed.declined.template}"
        else:
            said = taken(reviewed.after.decode(), needed_mode(dialect)) or (
                "changed" if reviewed.diff else "right already"
            )
            failed += said.startswith("refused")
        counts[f"{dialect:12s} {said}"] += 1
        if verbose:
            print(f"{path.relative_to(folder)} {dialect}: {said}")
    for said, count in sorted(counts.items()):
        print(f"{count:5d}  configuration {said}")
    return failed


def taken(text: str, mode: str) -> str:
    """Empty where the rules of cann-recipes' ModelConfig hold for the text, else which one does not."""
    data = YAML(typ="safe").load(text)
    model = data["model_config"]
    if (model.get("exe_mode") or data.get("exe_mode")) != mode:
        return f"refused: the mode is not {mode}"
    if model.get("enable_static_kernel") and mode != "npugraph_ex":
        return "refused: enable_static_kernel is for npugraph_ex only"
    switches = [model.get("enable_superkernel"), (model.get("custom_params") or {}).get("enable_superkernel")]
    return "" if True in switches and False not in switches else "refused: the switch is not on"


if __name__ == "__main__":
    where, loud = Path(sys.argv[1]), "-v" in sys.argv[2:]
    DIALECTS = tuple(name for name in sys.argv[2:] if name in DIALECTS) or DIALECTS
    wrong = try_models(where, loud) + try_configurations(where, loud)
    print(f"{wrong} failed")
    sys.exit(1 if wrong else 0)
