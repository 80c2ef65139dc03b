"""`course.py lab` opens the first notebook, with the whole repository in sight and nothing asked of the network."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

import course
from tests import browser
from tools.browser import watched_page

chromium = browser.chromium


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address that JupyterLab prints, started as course.py starts it but from another folder, by a new user."""
    folder = tmp_path_factory.mktemp("elsewhere")
    command = [sys.executable, *course.program("lab", ["--no-browser", "--allow-root", "--ServerApp.port=0"])[1:]]
    new_user = {f"JUPYTER_{kind}_DIR": str(folder / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    log = folder / "log"
    with (
        log.open("wb") as words,
        subprocess.Popen(command, cwd=folder, env=os.environ | new_user, stdout=words, stderr=words) as server,
    ):
        try:
            # It prints its address a moment before it listens there.
            while not (found := re.search(r"http://127\.0\.0\.1:[1-9]\S+", read(log))) or not answers(found.group()):
                assert server.poll() is None, read(log)
                time.sleep(0.1)
            yield found.group()
        finally:
            server.terminate()


def read(log: Path) -> str:
    return log.read_text(encoding="utf-8")


def answers(address: str) -> bool:
    """Whether a server listens at an address."""
    parts = urlsplit(address)
    with socket.socket() as client:
        return client.connect_ex((parts.hostname, parts.port)) == 0


def ask(address: str, path: str) -> dict:
    """What the server's interface answers."""
    parts = urlsplit(address)
    with urllib.request.urlopen(f"http://{parts.netloc}{path}?{parts.query}") as reply:
        return json.load(reply)


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


def heading(path: Path) -> str:
    """The heading of a notebook's first cell."""
    source = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    return re.search(r"^# (.+)$", source, re.MULTILINE).group(1)
