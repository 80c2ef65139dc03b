"""The badges lead to what their service reads, and the workflow publishes with the course's own commands."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import nbformat
import pytest
import yaml

import course
from tools import ROOT, editions, find_notebooks
from tools.github import PLACEHOLDER, launchers, repository, site

README = (ROOT / "README.md").read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "site.yml").read_text(encoding="utf-8"))
REQUIREMENTS = (ROOT / "requirements.txt").read_text(encoding="utf-8")
NOTEBOOKS = find_notebooks([])


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> str:
    """The repository that pyproject.toml names."""
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    return repository()


def test_the_readme_names_the_repository_of_pyproject(ours: str) -> None:
    for address in launchers(ours, NOTEBOOKS[0].stem).values():
        assert f"]({address})" in README
    assert f"]({site(ours)})" in README and f"]({site(ours)}decks.html)" in README
    named = re.findall(r"(?:mybinder\.org/v2/gh|com/github)/([\w-]+/[\w-]+)/", README)
    assert set(named) == {ours} and len(named) == 2


def test_a_workflow_builds_for_its_own_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/a-fork")
    assert repository() == "someone/a-fork" and site(repository()) == "https://someone.github.io/a-fork/"


def test_the_placeholder_is_nobodys_account() -> None:
    assert not re.fullmatch(r"[A-Za-z0-9](?:-?[A-Za-z0-9])*", PLACEHOLDER), "an account has letters, digits and -"


def test_binder_opens_a_notebook_that_is_there(ours: str) -> None:
    address = urlsplit(launchers(ours, NOTEBOOKS[0].stem)["Binder"])
    assert address.path == f"/v2/gh/{ours}/main"
    (path,) = parse_qs(address.query)["urlpath"]
    assert path.startswith("lab/tree/") and (ROOT / path.removeprefix("lab/tree/")).is_file()
    assert (ROOT / "environment.yml").is_file(), "which test_environment.py lets Binder's own reader read"
    assert not (ROOT / "binder").exists(), "Binder would read that folder in place of environment.yml"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_colab_opens_an_edition_that_makes_itself_ready(path: Path) -> None:
    notebook = nbformat.read(path, 4)
    edition = editions.for_colab(notebook, "someone/a-fork", REQUIREMENTS)
    nbformat.validate(edition)
    words, ready, *rest = edition.cells
    assert words.cell_type == "markdown" and [c.source for c in rest] == [c.source for c in notebook.cells]
    assert not any(cell.get("outputs") for cell in edition.cells)
    lines = ready.source.splitlines()
    ast.parse("\n".join(line for line in lines if line[:1] not in "!%"))
    assert any("git clone" in line and "https://github.com/someone/a-fork /content/course" in line for line in lines)
    (install,) = [line for line in lines if line.startswith("%pip install")]
    pins = set(re.findall(r"[\w-]+==[\w.]+", install))
    assert pins < set(re.findall(r"^[\w-]+==[\w.]+", REQUIREMENTS, flags=re.MULTILINE))
    assert not any(pin.startswith(("torch=", "numpy=", "ipykernel=")) for pin in pins)


def test_what_colab_has_is_what_we_pin() -> None:
    pinned = set(re.findall(r"^([\w-]+)==", REQUIREMENTS, flags=re.MULTILINE))
    assert pinned >= editions.IN_COLAB
    assert {pin.partition("==")[0] for pin in editions.missing_in_colab(REQUIREMENTS)} == pinned - editions.IN_COLAB


def test_the_colab_editions_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(editions, "BUILD", tmp_path)
    assert editions.main(["--colab", "0"]) == 0
    (written,) = (tmp_path / "colab").iterdir()
    assert written.name == NOTEBOOKS[0].name and "In Colab" in written.read_text(encoding="utf-8")


def test_the_workflow_builds_what_it_publishes() -> None:
    build, publish = WORKFLOW["jobs"]["build"], WORKFLOW["jobs"]["publish"]
    runs = "\n".join(step.get("run", "") for step in build["steps"])
    assert "python3 course.py site --check" in runs and "\n  site [NN ...]" in course.USAGE
    assert "-m tools.editions --colab" in runs
    (upload,) = [step for step in build["steps"] if "upload-pages-artifact" in step.get("uses", "")]
    assert upload["with"]["path"] == "build/site"
    assert publish["needs"] == "build" and publish["permissions"] == {"pages": "write", "id-token": "write"}
    (python,) = [step["with"]["python-version"] for step in build["steps"] if "setup-python" in step.get("uses", "")]
    assert python == ".".join(map(str, course.OLDEST_PYTHON))
    uses = [step["uses"] for job in (build, publish) for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", action) for action in uses)
    assert WORKFLOW["permissions"] == {"contents": "read"}, "each job asks for what it needs"
