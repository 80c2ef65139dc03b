"""The browser fixture: skips loudly where there is no browser, and fails in CI, which must have one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tools.browser import BrowserMissing, launch


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless browser, closed after the module: an open one keeps an event loop that disturbs other tests."""
    try:
        manager = launch()
        browser = manager.__enter__()
    except BrowserMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(f"NOT TESTED IN A BROWSER: {missing}")
    try:
        yield browser
    finally:
        manager.__exit__(None, None, None)
