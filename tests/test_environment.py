"""The two requirements files, environment.yml and what is installed say the same, and Binder understands it."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import InvalidRequirement, Requirement

from tools import ROOT
from tools.browser import BrowserMissing, launch


def requirements(text: str) -> list[Requirement]:
    """The packages that a requirements file names. Raises ValueError for a line without an exact version."""
    found = []
    for line in text.splitlines():
        line = re.split(r"(?:^|\s)#", line)[0].strip()
        if line and line not in ("-e .", "-r requirements.txt"):
            try:
                requirement = Requirement(line)
            except InvalidRequirement as error:
                raise ValueError(f"not a requirement: {line} ({error})") from error
            if not re.fullmatch(r"==[\w.]+", str(requirement.specifier)):
                raise ValueError(f"not pinned to one version: {line}")
            found.append(requirement)
    return found


def missing_reasons(text: str) -> list[str]:
    """The lines of a requirements file that name a package without saying why it is there."""
    return [line for line in text.splitlines() if "==" in line and not re.search(r"\s# \w+", line)]


def not_installed(wanted: list[Requirement]) -> list[str]:
    """The requirements that this Python's packages do not meet, each with what is there instead."""
    wrong = []
    for requirement in wanted:
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            version = "nothing"
        if version == "nothing" or not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement} is wanted, {version} is installed")
    return wrong


def imported(path: Path, at_start: bool = False) -> set[str]:
    """The first names of all modules that a file or a notebook may import, or only of those it imports as it starts."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = ["".join(cell["source"]) for cell in json.loads(source)["cells"] if cell["cell_type"] == "code"]
        lines = [line for cell in cells for line in cell.splitlines()]
        source = "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))
    tree = ast.parse(source)
    names = set()
    for node in tree.body if at_start else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def modules_of(wanted: list[Requirement]) -> set[str]:
    """The first names of the modules that these packages install."""
    names = {re.sub(r"[-_.]+", "-", requirement.name).lower() for requirement in wanted}
    return {
        module
        for module, owners in metadata.packages_distributions().items()
        if names & {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners}
    }


def assert_conda_takes_the_pins(text: str) -> None:
    """Accept an environment.yml only if it names one Python version and takes every package from requirements.txt."""
    environment = yaml.safe_load(text)
    python, pip, packages = environment["dependencies"]
    assert re.fullmatch(r"python=3\.\d+", python), f"an open range becomes 3.10 on Binder: {python}"
    assert pip == "pip"
    assert packages == {"pip": ["-r requirements.txt"]}
    assert environment["channels"] == ["conda-forge", "nodefaults"]


def python_on_binder(folder: Path) -> str | None:
    """The version of Python that repo2docker, Binder's builder, reads from a folder; None if it can't read it."""
    run = subprocess.run(
        [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(folder)], capture_output=True, text=True
    )
    found = re.search(r"python=(\d+\.\d+)", run.stdout + run.stderr)
    return found.group(1) if found and run.returncode == 0 else None


@pytest.fixture(scope="module")
def pins() -> str:
    return (ROOT / "requirements.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def conda() -> str:
    return (ROOT / "environment.yml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def maintainers() -> str:
    return (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")


def test_every_package_is_pinned_and_has_its_reason(pins: str, maintainers: str) -> None:
    assert len(requirements(pins)) > 20 and len(requirements(maintainers)) > 5
    assert missing_reasons(pins) == missing_reasons(maintainers) == []
    assert pins.rstrip().endswith("\n-e .")


def test_the_maintainers_have_what_the_students_have_and_more(pins: str, maintainers: str) -> None:
    assert [line for line in maintainers.splitlines() if line.startswith("-")] == ["-r requirements.txt"]
    assert {r.name for r in requirements(pins)} & {r.name for r in requirements(maintainers)} == set()


# What course.py starts for a student; the rest of tools is for those who change the course.
STUDENTS_TOOLS = [ROOT / "tools" / f"{name}.py" for name in ("__init__", "execute", "slides", "browser", "bench")]


def test_a_student_needs_no_package_of_the_maintainers(maintainers: str) -> None:
    theirs = modules_of(requirements(maintainers))
    assert {"transformers", "pytest", "playwright", "yaml", "packaging"} <= theirs
    wholes = [path for folder in ("helpers", "experiments") for path in (ROOT / folder).rglob("*.py")]
    wholes += (ROOT / "notebooks").glob("*.ipynb")
    assert len(wholes) > 40
    assert {path.name: imported(path) & theirs for path in wholes if imported(path) & theirs} == {}
    assert {path.name: imported(path, True) & theirs for path in STUDENTS_TOOLS if imported(path, True) & theirs} == {}


def test_an_import_of_such_a_package_is_seen(tmp_path: Path) -> None:
    source = "import numpy as np\nfrom . import pytest\nif np:\n    from yaml.nodes import Node\n"
    (tmp_path / "module.py").write_text(source, encoding="utf-8")
    cell = {"cell_type": "code", "source": ["%matplotlib inline\n", "import pytest\n"]}
    (tmp_path / "page.ipynb").write_text(json.dumps({"cells": [cell]}), encoding="utf-8")
    assert imported(tmp_path / "module.py") == {"numpy", "yaml"}
    assert imported(tmp_path / "module.py", at_start=True) == {"numpy"}
    assert imported(tmp_path / "page.ipynb") == {"pytest"}


@pytest.mark.parametrize("line", ["torch", "torch>=2.14.1", "torch==2.*", "torch==2.14.1,!=2.14.1", "torch=2.14.1"])
def test_a_line_without_one_version_is_caught(line: str) -> None:
    with pytest.raises(ValueError, match="torch"):
        requirements(f"numpy==2.4.6  # arrays\n{line}\n")


def test_a_line_without_a_reason_is_caught() -> None:
    assert missing_reasons("numpy==2.4.6  # arrays\ntorch==2.14.1\n") == ["torch==2.14.1"]


def test_what_is_installed_is_what_was_pinned(pins: str, maintainers: str) -> None:
    assert not_installed(requirements(pins) + requirements(maintainers)) == []


def test_another_version_and_an_absent_package_are_caught() -> None:
    wrong = not_installed(requirements("pytest==0.0.1\nno-such-package-here==1.0"))
    assert [line.split(",")[0] for line in wrong] == [
        "pytest==0.0.1 is wanted",
        "no-such-package-here==1.0 is wanted",
    ]


def test_without_playwright_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    with pytest.raises(BrowserMissing, match=r"python3 course\.py test"), launch():
        pass


def test_conda_takes_the_pins(conda: str) -> None:
    assert_conda_takes_the_pins(conda)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("python=3.11", "python>=3.11"),
        ("python=3.11", "python"),
        ("      - -r requirements.txt", "      - -r requirements.txt\n      - numpy==2.4.5"),
        ("  - nodefaults\n", ""),
    ],
)
def test_another_environment_is_caught(conda: str, right: str, wrong: str) -> None:
    assert right in conda
    with pytest.raises((AssertionError, ValueError)):
        assert_conda_takes_the_pins(conda.replace(right, wrong))


def test_conda_pyproject_readme_and_course_agree_on_python(conda: str) -> None:
    import tomllib

    import course

    oldest = ".".join(map(str, course.OLDEST_PYTHON))
    tried = [f"3.{minor}" for minor in range(course.OLDEST_PYTHON[1], course.NEWEST_PYTHON[1] + 1)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={oldest}"
    assert project["classifiers"] == [f"Programming Language :: Python :: {version}" for version in tried]
    assert f"python={oldest}" in conda
    assert f"Python {', '.join(tried[:-1])} or {tried[-1]}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_binder_reads_the_environment(tmp_path: Path, pins: str, conda: str) -> None:
    (tmp_path / "requirements.txt").write_text(pins, encoding="utf-8")
    (tmp_path / "environment.yml").write_text(conda, encoding="utf-8")
    assert python_on_binder(tmp_path) == "3.11"


@pytest.mark.parametrize(("right", "wrong"), [("python=3.11", "python>=3.11"), ("dependencies:", "dependencies: [")])
def test_what_binder_would_misread_is_caught(tmp_path: Path, conda: str, right: str, wrong: str) -> None:
    (tmp_path / "environment.yml").write_text(conda.replace(right, wrong), encoding="utf-8")
    assert python_on_binder(tmp_path) != "3.11"
