"""What keeps people out of a page: contrast, names and roles, as axe judges them in the open browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

GRAVE = ("serious", "critical")


def barriers(page: Page) -> list[str]:
    """Name what axe calls serious or critical in the open page, one sentence for each rule; nothing is good.

    Only what is drawn is judged. The script comes with the package axe-playwright-python, so nothing is loaded.
    """
    from axe_playwright_python.sync_playwright import Axe

    found = []
    for rule in Axe().run(page).response["violations"]:
        if rule["impact"] in GRAVE:
            first = rule["nodes"][0]
            found.append(f"{rule['id']}: {rule['help']} ({len(rule['nodes'])} times, first in {first['html'][:200]})")
    return found
