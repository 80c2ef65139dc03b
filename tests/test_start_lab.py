"""`course.py lab` opens the first notebook, with the whole repository in sight and nothing asked of the network."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

import course
from tests import browser, jupyterlab
from tools.browser import watched_page

chromium = browser.chromium


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address that JupyterLab prints, started as course.py starts it but from another folder, by a new user."""
    with jupyterlab.started(tmp_path_factory.mktemp("elsewhere"), course.program("lab", [])) as address:
        yield address


def ask(address: str, path: str) -> dict:
    """What the server's interface answers."""
    parts = urlsplit(address)
    with urllib.request.urlopen(f"http://{parts.netloc}{path}?{parts.query}") as reply:
        return json.load(reply)


def heading(path: Path) -> str:
    """The heading of a notebook's first cell."""
    source = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    return re.search(r"^# (.+)$", source, re.MULTILINE).group(1)


def test_the_repository_is_the_root(address: str) -> None:
    names = {entry["name"] for entry in ask(address, "/api/contents/")["content"]}
    assert {"helpers", "notebooks", "requirements.txt"} <= names


def test_lab_neither_asks_about_news_nor_looks_for_updates(address: str) -> None:
    settings = ask(address, "/lab/api/settings/@jupyterlab/apputils-extension:notification")
    defaults = {name: settings["schema"]["properties"][name]["default"] for name in ("fetchNews", "checkForUpdates")}
    assert defaults == {"fetchNews": "false", "checkForUpdates": False}


def test_the_printed_address_opens_the_first_notebook(address: str, chromium: Browser) -> None:
    title = heading(Path(course.ROOT, course.START))
    with watched_page(chromium) as (page, seen):
        page.goto(address)
        page.locator(".jp-NotebookPanel h1", has_text=title).first.wait_for(timeout=90_000)
        page.wait_for_function("document.querySelector('.jp-Notebook-ExecutionIndicator[data-status=idle]')")
    assert (seen.outside, seen.errors) == ([], [])
