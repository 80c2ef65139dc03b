"""A headless browser that tells what a page loads from elsewhere and what goes wrong on it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright, Route

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
PATIENCE = 120_000  # milliseconds: machines that we met differ fivefold in speed, and some had other work to do
LOCAL = ("file:", "data:", "blob:", "about:", "http://127.0.0.1:", "ws://127.0.0.1:")


class BrowserMissing(RuntimeError):
    """No browser of the Chromium family was found, or no Playwright to drive it."""


def _executable(playwright: Playwright) -> str:
    own = playwright.chromium.executable_path
    found = [os.environ.get("COURSE_BROWSER"), own, *(shutil.which(name) for name in NAMES)]
    path = next((path for path in found if path and Path(path).is_file()), None)
    if path is None:
        raise BrowserMissing(
            "No Chromium browser was found. Install one (Debian: apt install chromium; elsewhere: "
            "python -m playwright install chromium) or name its program in the variable COURSE_BROWSER."
        )
    return path


@contextmanager
def launch() -> Iterator[Browser]:
    """Yield a headless browser: $COURSE_BROWSER, else Playwright's own, else Chromium, Chrome or Edge on the path.

    Raises:
        BrowserMissing: there is none, or Playwright is not installed; the message says how to get it.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError as error:
        raise BrowserMissing(
            "A browser is driven by Playwright, one of the maintainers' packages: python3 course.py test installs them."
        ) from error
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_executable(playwright), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Seen:
    """What happened on a page; all lists stay empty on a good one."""

    outside: list[str] = field(default_factory=list)
    """Addresses not on this machine that the page asked for; the requests were aborted."""
    failed: list[str] = field(default_factory=list)
    """Local addresses that could not be loaded."""
    errors: list[str] = field(default_factory=list)
    """Errors in the console and exceptions of scripts."""


@contextmanager
def watched_page(browser: Browser, width: int = 1280, height: int = 720) -> Iterator[tuple[Page, Seen]]:
    """Yield a fresh page whose requests to other machines are aborted, and the record of what it did."""
    seen = Seen()
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(PATIENCE)

    def admit(route: Route) -> None:
        if route.request.url.startswith(LOCAL):
            route.continue_()
        else:
            seen.outside.append(route.request.url)
            route.abort()

    context.route("**/*", admit)
    page = context.new_page()
    page.on("requestfailed", lambda r: r.url.startswith(LOCAL) and seen.failed.append(f"{r.url} ({r.failure})"))
    page.on("response", lambda r: r.status >= 400 and seen.failed.append(f"{r.url} ({r.status})"))
    page.on("websocket", lambda w: w.url.startswith(LOCAL) or seen.outside.append(w.url))
    page.on("console", lambda m: m.type == "error" and seen.errors.append(m.text))
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    try:
        yield page, seen
    finally:
        context.close()
