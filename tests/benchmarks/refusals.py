"""Whether the reason of a refusal is true, by other means than those that found it: plain words and the syntax tree.

Each check answers with what speaks against the reason, empty where nothing does.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recipe_rules import rejections
from ruamel.yaml import YAML, YAMLError

from skadvisor.plan.patch import Declined, Request, propose_for
from skadvisor.plan.recipe_model import RecipeModel
from skadvisor.text.messages import Message

_PROJECTS_IN = re.compile(
    r"(merged_|fused_)?(q|k|v|qkv|kv|query|w?qkv|wq|wk|wv)(_\w*)?(proj\w*)?|c_attn|query_key_value"
)
_PROJECTS_OUT = re.compile(r"o_\w*proj\w*|out_proj\w*|wo(_\w)?|c_proj|dense")
_CALLS_LAYERS = re.compile(r"^\s+for [^\n]*\b(layers|blocks)\b[^\n]*:", re.M)
_SCOPES = re.compile(r"superkernel_scope|\bsuper_kernel\(|super_kernel_scope_begin")


@dataclass(frozen=True)
class Refused:
    """One refusal of a file: its text, what was asked for, the answer, and the model folder that it is of."""

    path: Path
    text: str
    request: Request
    answer: Declined
    model: RecipeModel | None

    @property
    def classes(self) -> list[ast.ClassDef]:
        tree = ast.parse(self.text)
        return [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]

    def method(self, title: str) -> ast.FunctionDef | None:
        """`Class.method` in the syntax tree."""
        owner, _, name = title.partition(".")
        found = [
            item
            for node in self.classes
            if node.name == owner
            for item in node.body
            if isinstance(item, ast.FunctionDef) and item.name == name
        ]
        return found[0] if found else None

    def asked(self, **changed: Any) -> bool:
        """Whether the file is patched where something more is said."""
        request = replace(self.request, **changed)
        return not isinstance(propose_for(self.path, self.text.encode(), request, self.model), Declined)


def objection(refused: Refused) -> str:
    """What speaks against the reason; `no check` where nothing here can say."""
    check = _CHECKS.get(refused.answer.reason.template)
    return "no check" if check is None else check(refused)


def _attributes(node: ast.AST) -> set[str]:
    """What a class works with: attributes of self that it calls or whose weights it takes, flags left out."""
    return {
        item.attr
        for item in ast.walk(node)
        if isinstance(item, ast.Attribute) and isinstance(item.value, ast.Name) and item.value.id == "self"
    }


def _has(names: Iterable[str], pattern: re.Pattern[str] | str) -> bool:
    return any(re.fullmatch(pattern, name) for name in names)


def _no_projections(refused: Refused) -> str:
    for node in refused.classes:
        names = _attributes(node)
        if _has(names, _PROJECTS_IN) and _has(names, _PROJECTS_OUT) and not re.search("Vision|Visual|Audio", node.name):
            return f"{node.name} has {sorted(names)[:6]}"
    return ""


def _no_experts(refused: Refused) -> str:
    for node in refused.classes:
        names = _attributes(node)
        if _has(names, r"(moe_|fused_)?experts?|gate_up_experts") and _has(names, r"gate|router|gating"):
            return f"{node.name} has experts and a gate"
    return ""


def _no_loop(refused: Refused) -> str:
    found = _CALLS_LAYERS.search(refused.text)
    body = refused.text[found.end() :].split("\n\n")[0] if found else ""
    return f"a loop: {found[0].strip()}" if found and re.search(r"\n\s+\w+(, \w+)* = \w*layer\w*\(", body) else ""


def _no_layer(refused: Refused) -> str:
    for node in refused.classes:
        names = _attributes(node)
        if (
            _has(names, r"(self_)?attn|attention")
            and _has(names, r"mlp|ffn|feed_forward")
            and "layernorm" in "".join(names)
        ):
            return f"{node.name} is a decoder layer"
    return ""


def _no_phase(refused: Refused) -> str:
    """The method, and what it calls of its class, ask neither for a phase nor whether there is one token."""
    title = str(refused.answer.reason.values["place"])
    method = refused.method(title)
    if method is None:
        return f"there is no {title}"
    code = ast.unparse(method)
    asks = re.search(r"\bis_prefill\b|\bis_decode\b|\b(q_len|seq_len|q_length) == 1", code)
    return f"it asks: {asks[0]}" if asks else ""


def _several_classes(refused: Refused) -> str:
    names = [str(seen).partition(".")[0] for seen in refused.answer.seen]
    fit = [name for name in names if refused.asked(classes=(name,))]
    return "" if len(names) > 1 and fit else f"of {names} only {fit} can be named"


def _several_ways(refused: Refused) -> str:
    ways = [str(seen).partition(",")[0].split(".")[1] for seen in refused.answer.seen]
    fit = [name for name in ways if refused.asked(methods=(name,))]
    return "" if len(ways) > 1 and fit else f"of {ways} only {fit} can be named"


def _attends_twice(refused: Refused) -> str:
    method = refused.method(str(refused.answer.reason.values["place"]))
    code = ast.unparse(method) if method else ""
    called = re.findall(r"self\.(?:self_)?attn\w*(?:\[[^\]]*\])?(?:\.\w+)?\(", code)
    looped = re.search(r"for (\w+) in [^:]*:(?:\n\s.*)*self\.self_attn\[\1\]", code)
    return "" if len(called) > 1 or looped else f"it attends in {called}"


def _has_a_scope(refused: Refused) -> str:
    return "" if _SCOPES.search(refused.text) else "no scope is in it"


def _no_effect(refused: Refused) -> str:
    """Each configuration of the model, with the mode written into it: another mode is named, or its checks raise."""
    mode = "npugraph_ex" if refused.request.dialect == "npugraph_ex" else "ge_graph"
    assert refused.model is not None
    inner = refused.answer.reason.values["reason"]
    if "file" in inner.values:
        return _compiles_for_superkernel(refused.model.folder)
    for path in sorted((refused.model.folder / "config").rglob("*.yaml")):
        text = path.read_text()
        if any(mode in line for line in re.findall(r"^\s*exe_mode.*$", text, re.M)) and not _raises(path, mode):
            return f"{path.name} names {mode}"
    return ""


def _compiles_for_superkernel(folder: Path) -> str:
    found = [path.name for path in folder.rglob("*.py") if "super_kernel_optimize" in path.read_text()]
    return f"{found[0]} has super_kernel_optimize" if found else ""


def _raises(path: Path, mode: str) -> bool:
    """Whether the model raises for a configuration in this mode with SuperKernel on, as it does not with it off."""
    changed = re.sub(r"(exe_mode\s*:\s*)[\"']?\w+[\"']?", rf'\g<1>"{mode}"', path.read_text())
    try:
        data = YAML(typ="safe").load(changed)
    except YAMLError:
        return False
    if not isinstance(data, dict) or not isinstance(data.get("model_config"), dict):
        return False
    said = []
    for switch in (False, True):
        model = {**data["model_config"], "enable_superkernel": switch}
        model["custom_params"] = {**(model.get("custom_params") or {}), "enable_superkernel": switch}
        said.append(rejections({**data, "model_config": model}, path))
    return bool(said[1] - said[0])


def objection_to_configuration(path: Path, reason: Message, dialect: str) -> str:
    """As `objection`, for the reason why a configuration is left alone."""
    inner = reason.values.get("reason")
    template = inner.template if isinstance(inner, Message) else reason.template
    text, name = path.read_text(), path.stem.lower()
    mode = "npugraph_ex" if dialect == "npugraph_ex" else "ge_graph"
    folder = next((item for item in path.parents if (item / "models").is_dir()), path.parent)
    lines = {
        word: " ".join(re.findall(rf"^\s*{word}\s*:.*#(.*)$", text, re.M))
        for word in ("exe_mode", "enable_superkernel")
    }
    true = {
        "it has no model_config, so it is no cann-recipes configuration": "model_config" not in text,
        "it is a prefill configuration by its name, and SuperKernel is for decode": "prefill" in name,
        "it makes one token per request, so it never decodes, and SuperKernel is for decode": bool(
            re.search(r"max_new_tokens\s*:\s*1\s*(#|$)", text, re.M)
        ),
        "its own comment allows {modes} only, and {needed} is needed": bool(lines["exe_mode"])
        and mode not in lines["exe_mode"],
        "its own comment on enable_superkernel says: {mode} only": "only" in lines["enable_superkernel"],
        "the model refuses SuperKernel under {mode} ({where})": "where" in (inner or reason).values
        and _raises(path, mode),
        "{file} compiles for npugraph_ex without super_kernel_optimize: add the plan's options there first": (
            not _compiles_for_superkernel(folder)
        ),
    }
    return "" if true.get(template) else "no check" if template not in true else "the file says otherwise"


def _returns_inside(refused: Refused) -> str:
    method = refused.method(str(refused.answer.reason.values["place"]))
    returns = [item for item in ast.walk(method) if isinstance(item, ast.Return)] if method else []
    inner = [item for item in returns if method is not None and item not in method.body]
    return "" if inner else "it returns at its end only"


def _rebinds(refused: Refused) -> str:
    method = refused.method(str(refused.answer.reason.values["place"]))
    words = set(re.findall(r"\w+", str(refused.answer.reason.values["condition"])))
    stored = (
        {item.id for item in ast.walk(method) if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store)}
        if method
        else set()
    )
    return "" if words & stored else f"nothing of {sorted(words)} is bound in it"


def _no_configuration(refused: Refused) -> str:
    owner = refused.method(f"{refused.answer.reason.values['name']}.__init__")
    names = {item.arg for item in owner.args.args} if owner else set()
    recipes = {"infer_config", "runner_settings"}
    known = names & (recipes if refused.request.dialect == "recipes" else {*recipes, "config"})
    return f"__init__ takes {sorted(known)}" if known else ""


_CHECKS: dict[str, Callable[[Refused], str]] = {
    "no class with query, key and value projections and an output projection was found": _no_projections,
    "no class with a router and experts was found": _no_experts,
    "no loop over the decoder layers was found": _no_loop,
    "no decoder layer class (a norm, an attention, a feed-forward block) was found": _no_layer,
    "nothing in {place} tells decode from prefill; name a test of what is bound there with --decode-when": _no_phase,
    "several classes fit, and the file does not say which of them runs": _several_classes,
    "several ways lead through {name}; say with --method which one decode takes": _several_ways,
    "{place} attends more than once, with a norm or a feed-forward block in between": _attends_twice,
    "it has a scope already ({found}): take it out before that of {name} goes in": _has_a_scope,
    "it has the scope of {name} already": _has_a_scope,
    "a scope would have no effect: {reason}": _no_effect,
    "{place} returns from inside the scope, which would leave a begin without its end": _returns_inside,
    "{place} changes inside the scope what its begin and end are decided by ({condition})": _rebinds,
    "__init__ of {name} takes no configuration from which self.{switch} could be set": _no_configuration,
    "vLLM-Ascend takes SuperKernel from its configuration; the model file stays as it is": lambda refused: "",
}
