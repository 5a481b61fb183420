"""What README and docs show runs: every console line and every Python block."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

pytestmark = pytest.mark.slow

PAGES = sorted([*REPOSITORY.glob("README*.md"), *(REPOSITORY / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(kind: str) -> list[tuple[Path, str]]:
    return [(page, text) for page in PAGES for found, text in BLOCK.findall(page.read_text("utf-8")) if found == kind]


def commands() -> list[tuple[str, str]]:
    lines = [(page.name, line.split(" #")[0].strip()) for page, text in blocks("console") for line in text.splitlines()]
    return list(dict.fromkeys((page, line) for page, line in lines if line))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the shipped samples and nothing else, as a reader of the page has it."""
    (tmp_path / "profiles").mkdir()
    for sample in (REPOSITORY / "profiles").iterdir():
        if (sample / "manifest.toml").exists():
            shutil.copytree(sample, tmp_path / "profiles" / sample.name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


@pytest.mark.parametrize(("page", "line"), commands())
def test_a_command_of_a_page_runs(page: str, line: str, folder: Path) -> None:
    words = line.split()
    assert words[0] == "skadvisor"
    done = subprocess.run(
        [sys.executable, "-m", "skadvisor", *words[1:]], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (page, line, done.stderr)


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_a_python_block_of_a_page_runs(page: Path, text: str, folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", text], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (page.name, done.stderr)


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    readme = REPOSITORY / "README.md"
    assert len(readme.read_text("utf-8").splitlines()) <= 120
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), (page.name, target)


def test_tables_of_rules_and_operators_in_pages_can_be_read(tmp_path: Path) -> None:
    from skadvisor.vocabulary.operators import load_vocabulary

    found = re.findall(r"^```toml\n(.*?)^```", "\n".join(page.read_text("utf-8") for page in PAGES), re.M | re.S)
    assert found
    for text in found:
        (tmp_path / "own.toml").write_text(text)
        assert load_vocabulary(tmp_path / "own.toml")


def test_the_skill_has_the_form_of_agent_skills_and_names_fields_that_are_there() -> None:
    import skadvisor
    from skadvisor.records import to_json

    text = (REPOSITORY / "docs" / "skill" / "SKILL.md").read_text("utf-8")
    head = re.match(r"---\nname: ([a-z-]+)\ndescription: (.+)\n---\n", text)
    assert head and head[1] == "skadvisor" and 100 < len(head[2]) < 1024
    import json

    result = json.loads(to_json(skadvisor.analyze(REPOSITORY / "profiles" / "moe-decode").result))
    for path in re.findall(r"`((?:recommendation|templates|phases|regions|warnings)[\w.\[\]]*)`", text):
        value = result
        for part in path.replace("[]", ".0").split("."):
            value = value[int(part)] if part.isdigit() else value[part]
