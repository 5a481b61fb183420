"""What the folder of a cann-recipes model says about itself: the modes it runs in, and what its own checks refuse.

A configuration stands in `<model>/config/`, its modeling files in `<model>/models/`. Sources are parsed, never run.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from skadvisor.text.messages import Message, _

#: Execution modes that capture a graph, and those that do not or that no recipe supports any more.
GRAPH_MODES = ("ge_graph", "npugraph_ex")
OTHER_MODES = ("eager", "acl_graph", "aclgraph", "dynamo", "npugraph", "compile")
_MOST_FILES = 200
_LARGEST_BYTES = 2_000_000
_MODE_LINE = re.compile(
    r"""^\s*exe_mode\s*:\s*["']?(?P<mode>\w*)["']?[^#\n]*(?:#[^\[\n]*\[(?P<listed>[^\]\n]*)\])?""", re.M
)
_SWITCH_LINE = re.compile(r"^\s*enable_superkernel\s*:[^#\n]*#[^\n]*?\b(?P<mode>ge_graph|npugraph_ex) only\b", re.M)


def switch_mode(text: str) -> str | None:
    """The only mode that the comment behind `enable_superkernel` allows, as in `# ge_graph only`."""
    found = _SWITCH_LINE.search(text)
    return found["mode"] if found else None


def listed_modes(text: str) -> frozenset[str] | None:
    """The modes that the comment behind `exe_mode` lists, as in `# ["eager", "ge_graph"]`; None where it lists none."""
    found = _MODE_LINE.search(text)
    return _known(re.findall(r"\w+", found["listed"])) or None if found and found["listed"] else None


def _known(names: Iterable[str]) -> frozenset[str]:
    return frozenset(names) & {*GRAPH_MODES, *OTHER_MODES}


@dataclass(frozen=True, eq=False)
class RecipeModel:
    """One model folder. `modes` are those that its configurations name, as a value or in a comment."""

    folder: Path
    modes: frozenset[str]
    sources: Mapping[str, ast.Module]

    def refusal(self, mode: str) -> str | None:
        """Where the model's own checks raise for SuperKernel in this mode ("file, line N"), None where they do not."""
        known = {"exe_mode": mode, "enable_superkernel": True}
        for name, tree in self.sources.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef):
                    line = _raises_under(node, known)
                    if line is not None:
                        return f"{name}, line {line}"
        return None

    def objection(self, mode: str, named: bool = True) -> Message | None:
        """Why SuperKernel cannot run in this mode; None where nothing speaks against it.

        `named` says whether the modes that the configurations name bind, too.
        """
        if named and self.modes and mode not in self.modes:
            return Message(
                _("the configurations of this model know {modes} only, and {needed} is needed"),
                modes=", ".join(sorted(self.modes)),
                needed=mode,
            )
        where = self.refusal(mode)
        if where is not None:
            return Message(_("the model refuses SuperKernel under {mode} ({where})"), mode=mode, where=where)
        own = self.unfused_compile() if mode == "npugraph_ex" else None
        if own is None:
            return None
        text = _("{file} compiles for npugraph_ex without super_kernel_optimize: add the plan's options there first")
        return Message(text, file=own)

    def unfused_compile(self) -> str | None:
        """A file that compiles for npugraph_ex without SuperKernel among its options, None if there is none."""
        words = {
            name: {
                item.value for item in ast.walk(tree) if isinstance(item, ast.Constant) and isinstance(item.value, str)
            }
            for name, tree in self.sources.items()
        }
        if any("super_kernel_optimize" in found for found in words.values()):
            return None
        return next((name for name, tree in self.sources.items() if _compiles_npugraph(tree)), None)


def find_model(path: Path) -> RecipeModel | None:
    """The model folder that a configuration or a modeling file stands in: the nearest with `config` and `models`."""
    for folder in list(path.resolve().parents)[:5]:
        if (folder / "config").is_dir() and (folder / "models").is_dir():
            texts = [text for _, text in _read(folder / "config", "*.yaml")]
            named = {item["mode"] for text in texts for item in _MODE_LINE.finditer(text)}
            listed = [modes for text in texts if (modes := listed_modes(text))]
            return RecipeModel(folder, _known(named.union(*listed)), dict(_parse(folder)))
    return None


def _parse(folder: Path) -> Iterator[tuple[str, ast.Module]]:
    for path, text in _read(folder, "*.py"):
        try:
            yield path.name, ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            continue


def _read(folder: Path, pattern: str) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob(pattern))[:_MOST_FILES]:
        try:
            if path.is_file() and path.stat().st_size <= _LARGEST_BYTES:
                yield path, path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue


def _compiles_npugraph(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.Call)
        and any(
            item.arg == "backend" and isinstance(item.value, ast.Constant) and item.value.value == "npugraph_ex"
            for item in node.keywords
        )
        for node in ast.walk(tree)
    )


def _raises_under(function: ast.FunctionDef, known: Mapping[str, object]) -> int | None:
    """The line of a `raise` that is reached for certain, and only because names have the `known` values."""
    stored = [item.id for item in ast.walk(function) if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store)]
    values: dict[str, object] = dict(known)
    others: dict[str, object] = {}
    for statement in function.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
            if isinstance(target, ast.Name) and target.id not in known and stored.count(target.id) == 1:
                values[target.id] = _value(statement.value, values)
                others[target.id] = _value(statement.value, others)
        elif isinstance(statement, ast.If) and _value(statement.test, values) and not _value(statement.test, others):
            line = next((item.lineno for item in statement.body if isinstance(item, ast.Raise)), None)
            if line is not None:
                return line
    return None


def _value(node: ast.expr, values: Mapping[str, object]) -> object:
    """What an expression is under the known values; None where that is not known."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.Name, ast.Attribute)):
        return values.get(node.id if isinstance(node, ast.Name) else node.attr)
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        items = [_value(item, values) for item in node.elts]
        return None if None in items else items
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _value(node.operand, values)
        return None if inner is None else not inner
    if isinstance(node, ast.BoolOp):
        parts = [_value(item, values) for item in node.values]
        decisive = isinstance(node.op, ast.Or)
        if any(part is not None and bool(part) is decisive for part in parts):
            return decisive
        return None if None in parts else not decisive
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return _compared(node.ops[0], _value(node.left, values), _value(node.comparators[0], values))
    return None


def _compared(operator: ast.cmpop, left: object, right: object) -> bool | None:
    if left is None or right is None:
        return None
    if isinstance(operator, (ast.Eq, ast.NotEq)):
        return (left == right) is isinstance(operator, ast.Eq)
    if isinstance(operator, (ast.In, ast.NotIn)) and isinstance(right, list):
        return (left in right) is isinstance(operator, ast.In)
    return None
