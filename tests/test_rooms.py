"""The plan of the house: how many modules stand at its top, how long files are, and what names say."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import skadvisor

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(skadvisor.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))


def test_ten_modules_stand_at_the_top_at_most() -> None:
    assert len(list(ROOT.glob("*.py"))) <= 10


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.relative_to(ROOT).as_posix())
def test_files_are_short_and_no_function_is_named_like_its_file(module: Path) -> None:
    source = module.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 400
    functions = {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    assert module.stem not in functions - {"cli"}


def test_fourteen_layers_of_imports_at_most() -> None:
    settings = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(contract for contract in settings["contracts"] if contract["type"] == "layers")
    assert len(layers["layers"]) <= 14 and layers["exhaustive"]
    assert not settings.get("exclude_type_checking_imports", False)
