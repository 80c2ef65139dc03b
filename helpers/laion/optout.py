"""Who forbids the use of a picture for training, and how: robots.txt, `noai`, TDM reservations, the file's metadata.

robots.txt: RFC 9309. `noai` and `noimageai`: DeviantArt's directives of November 2022, in a page's <meta name="robots">
or in the header X-Robots-Tag. TDM reservations: the W3C community report on the TDM Reservation Protocol. A file's own
metadata: the PLUS property "Data Mining". None of them is more than a request; whoever crawls decides to honour it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from helpers.laion.steps import with_columns

if TYPE_CHECKING:
    import pyarrow as pa

MEANS = ("robots", "noai", "tdm", "file")
DIRECTIVES = {"noai", "noimageai"}
MAX_ROBOTS = 500 * 1024  # bytes of robots.txt that are read (RFC 9309, section 2.5)
MAX_DELAY = 5.0  # seconds; a site that asks for more is asked no faster, and left if it takes too long


def directives(value: str, robot: str = "") -> set[str]:
    """The directives in an X-Robots-Tag or a robots meta that hold for `robot`, in small letters.

    "noai, noindex" holds for everyone, "otherbot: noai" for that robot alone.
    """
    found, addressed = set(), True
    for part in value.lower().split(","):
        name, colon, rest = part.strip().partition(":")
        if colon and not name.strip().startswith(("unavailable_after", "max-")):
            addressed, part = name.strip() in ("*", robot.lower()), rest
        if addressed:
            found.add(part.strip())
    return found


def forbids(headers: Any, metas: Any = None, robot: str = "") -> str | None:
    """By which of "noai" and "tdm" an answer's headers or its page's metas forbid training; None if by none.

    headers: a mapping or a sequence of pairs; metas: a sequence of mappings with "name" and "content". Anything else,
    and whatever in them is of another form, is passed over.
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers if isinstance(headers, Sequence) else ()
    told: list[tuple[str, str]] = []
    for pair in pairs:
        if isinstance(pair, tuple | list) and len(pair) == 2:
            told.append((str(pair[0]).lower(), str(pair[1])))
    if isinstance(metas, Sequence) and not isinstance(metas, str):
        for meta in metas:
            if isinstance(meta, Mapping):
                name = str(meta.get("name") or meta.get("http-equiv") or "").lower()
                told.append((name, str(meta.get("content") or "")))
    names = {"robots", "x-robots-tag", robot.lower()} - {""}
    if any(name in names and directives(value, robot) & DIRECTIVES for name, value in told):
        return "noai"
    return "tdm" if any(name == "tdm-reservation" and value.strip() == "1" for name, value in told) else None


class Robots:
    """What a site's robots.txt allows `robot`.

    status: of the answer, None if there was none. As RFC 9309 (section 2.3.1) has it, a file that is not there (4xx)
    allows everything, a server that is out of order (5xx, or no answer) nothing.
    """

    def __init__(self, status: int | None, body: bytes, robot: str) -> None:
        from protego import Protego

        self.robot, self.rules = robot, None
        self.unreachable = status is None or status >= 500
        if status is not None and 200 <= status < 300:
            try:
                self.rules = Protego.parse(body[:MAX_ROBOTS].decode("utf-8", "replace"))
            except Exception:  # a file that the parser cannot read tells nothing
                self.rules = None

    def reason(self, url: str) -> str | None:
        """Why `url` may not be fetched; None if it may."""
        if self.unreachable:
            return "robots.txt out of order"
        try:
            allowed = self.rules is None or self.rules.can_fetch(url, self.robot)
        except Exception:  # a pattern of the site that cannot be matched
            return "robots.txt"
        return None if allowed else "robots.txt"

    @property
    def delay(self) -> float:
        """Seconds that the site asks for between two requests, at most MAX_DELAY; 0 if it asks for none."""
        try:
            return min(MAX_DELAY, max(0.0, float((self.rules and self.rules.crawl_delay(self.robot)) or 0)))
        except (TypeError, ValueError):
            return 0.0


def tdm_reservations(body: bytes) -> list[tuple[str, bool]]:
    """The rules of a /.well-known/tdmrep.json in their order: a pattern of paths, and whether rights are reserved.

    A file or a rule of another form is passed over.
    """
    try:
        rules = json.loads(body)
    except (ValueError, RecursionError):
        return []
    found = []
    for rule in rules if isinstance(rules, list) else ():
        if isinstance(rule, dict) and isinstance(rule.get("location"), str) and len(rule["location"]) < 2_000:
            found.append((rule["location"], rule.get("tdm-reservation") == 1))
    return found


def matches(pattern: str, path: str) -> bool:
    """Whether `path` begins as `pattern` says; "*" stands for anything, "$" at the end for the end of the path.

    Each part is sought where the last one ended: a regular expression of many stars could search for hours.
    """
    anchored = pattern.endswith("$")
    first, *parts = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    place = len(first)
    if not parts:
        return not anchored or place == len(path)
    *middle, last = parts
    for part in middle:
        found = path.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return len(path) - len(last) >= place and path.endswith(last) if anchored else path.find(last, place) >= 0


def robots_step(table: pa.Table, robots: Robots) -> pa.Table:
    """Drop pictures of one site that its robots.txt keeps the crawler from."""
    return with_columns(table, drop=[robots.reason(url) for url in table["url"].to_pylist()])


def opt_out_step(table: pa.Table, reservations: Sequence[tuple[str, bool]], honour: Sequence[str] = MEANS) -> pa.Table:
    """Drop pictures of one site whose page says `noai` or reserves its rights, or that lie under a reservation.

    Only the means in `honour` count. Of the reservations the first that fits decides.
    """
    reasons = []
    for url, page in zip(table["url"].to_pylist(), table["page_opt_out"].to_pylist(), strict=True):
        path = urlsplit(url).path or "/"
        reserved = next((yes for pattern, yes in reservations if matches(pattern, path)), False)
        if page in honour:
            reasons.append(f"{page} of the page")
        else:
            reasons.append("tdm reservation" if reserved and "tdm" in honour else None)
    return with_columns(table, drop=reasons)
