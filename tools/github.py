"""Where the course lives on GitHub, and where its notebooks run without an installation."""

from __future__ import annotations

import os
import tomllib
from urllib.parse import urlsplit

from tools import ROOT

PLACEHOLDER = "YOUR_ACCOUNT"  # until the course is published; no account of GitHub can have this name


def repository() -> str:
    """Account and name of the repository: of the one whose workflow runs this, else of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return os.environ.get("GITHUB_REPOSITORY") or urlsplit(project["urls"]["Repository"]).path.strip("/")


def site(repository: str) -> str:
    """The address under which GitHub Pages shows a repository's site."""
    account, name = repository.split("/")
    return f"https://{account}.github.io/{name}/"


def launchers(repository: str, name: str) -> dict[str, str]:
    """Where the notebook `name` runs without an installation -> its address there."""
    return {
        "Binder": f"https://mybinder.org/v2/gh/{repository}/main?urlpath=lab/tree/notebooks/{name}.ipynb",
        "Colab": f"https://colab.research.google.com/github/{repository}/blob/colab/{name}.ipynb",
    }
