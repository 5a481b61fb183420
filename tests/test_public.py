"""What `import skadvisor` offers: every public name is there, documented, typed, and enough for the notebooks."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import REPOSITORY

import skadvisor

SAMPLE = REPOSITORY / "profiles" / "dense-ge-decode"


@pytest.mark.parametrize("name", [name for name in skadvisor.__all__ if name not in ("SCHEMA_VERSION", "__version__")])
def test_every_public_name_says_what_it_is(name: str) -> None:
    assert len((getattr(skadvisor, name).__doc__ or "").strip()) > 20
    assert name in dir(skadvisor)


def test_methods_of_an_analysis_say_what_they_give() -> None:
    public = [name for name in vars(skadvisor.Analysis) if not name.startswith("_") and name not in (
        "result", "capture", "kernels", "steps", "times", "labelled", "options")]  # fmt: skip
    assert {"regions", "roles", "operators", "layers", "templates", "phases", "explain", "plan", "write"} <= set(public)
    assert all(len(getattr(skadvisor.Analysis, name).__doc__ or "") > 20 for name in public)


def test_types_ship_with_the_package() -> None:
    assert (Path(skadvisor.__file__).parent / "py.typed").exists()


def test_plan_takes_a_path_or_an_analysis() -> None:
    analysis = skadvisor.analyze(SAMPLE)
    assert skadvisor.plan(SAMPLE, "full-model").code == analysis.plan("full-model").code  # type: ignore[operator]
    with pytest.raises(skadvisor.InputError, match="there is no dialect 'gee'"):
        analysis.plan("full-model", "gee")
    with pytest.raises(skadvisor.InputError, match="there is no template 'all'"):
        skadvisor.plan(analysis, "all")  # type: ignore[operator]


def test_roles_add_up_to_the_kernels_of_the_step() -> None:
    analysis = skadvisor.analyze(SAMPLE)
    assert analysis.roles["kernels"].sum() == analysis.operators["kernels"].sum()
    assert analysis.roles["total_us"].sum() == pytest.approx(analysis.operators["total_us"].sum())
    assert {"estimate_low_pct", "estimate_mid_pct", "estimate_high_pct"} <= set(analysis.templates.columns)


def test_pictures_take_an_analysis() -> None:
    analysis = skadvisor.analyze(SAMPLE)
    assert skadvisor.plots.gains(analysis).get_xlabel() == skadvisor.plots.gains(analysis.result).get_xlabel()


@pytest.mark.parametrize("path", sorted((REPOSITORY / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_use_public_names_only(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert not re.findall(r"(?:from|import) skadvisor\.\S+", code)
    for names in re.findall(r"from skadvisor import (.+)", code):
        assert set(names.split(", ")) <= set(skadvisor.__all__)
