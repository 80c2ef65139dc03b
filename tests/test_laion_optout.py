"""Refusals are understood as those who wrote them meant them, and nothing a site writes can stop the crawler."""

from __future__ import annotations

import fnmatch
import random
import re

import pyarrow as pa
import pytest

from helpers.laion.optout import (
    MAX_DELAY,
    Robots,
    directives,
    forbids,
    matches,
    opt_out_step,
    robots_step,
    tdm_reservations,
)

A = "http://a.example"


def robots(text: str, status: int | None = 200) -> Robots:
    return Robots(status, text.encode(), "PixelsBot")


@pytest.mark.parametrize(
    ("text", "path", "allowed"),
    [
        ("", "/x", True),
        ("User-agent: *\nDisallow: /", "/x", False),
        ("User-agent: PixelsBot\nDisallow:\n\nUser-agent: *\nDisallow: /", "/x", True),
        ("User-agent: pixelsbot\nDisallow: /", "/x", False),
        ("User-agent: OtherBot\nDisallow: /", "/x", True),
        ("User-agent: *\nDisallow: /a\nAllow: /a/b", "/a/b/c", True),  # the longest match decides
        ("User-agent: *\nDisallow: /*.webp$", "/x.webp", False),
        ("User-agent: *\nDisallow: /*.webp$", "/x.webp?y", True),
        ("<html>not found</html>", "/x", True),
        ("\0\xff" * 50, "/x", True),
    ],
)
def test_robots_txt_is_read_by_rfc_9309(text: str, path: str, allowed: bool) -> None:
    assert (robots(text).reason(A + path) is None) == allowed


@pytest.mark.parametrize(("status", "reason"), [(404, None), (403, None), (500, 1), (503, 1), (None, 1)])
def test_a_missing_file_allows_everything_and_a_broken_server_nothing(status: int | None, reason: object) -> None:
    found = robots("User-agent: *\nDisallow: /", status).reason(f"{A}/x")
    assert found == (reason and "robots.txt out of order")


@pytest.mark.parametrize(("wish", "delay"), [("0.25", 0.25), ("1e9", MAX_DELAY), ("-3", 0), ("soon", 0), ("nan", 0)])
def test_the_pace_a_site_asks_for_is_kept_within_reason(wish: str, delay: float) -> None:
    assert robots(f"User-agent: *\nCrawl-delay: {wish}").delay == delay


def test_the_step_marks_what_is_forbidden() -> None:
    table = pa.table({"url": [f"{A}/a.jpg", f"{A}/private/b.jpg"]})
    marked = robots_step(table, robots("User-agent: *\nDisallow: /private/"))
    assert marked["drop"].to_pylist() == [None, "robots.txt"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("noai, NoImageAI", {"noai", "noimageai"}),
        ("otherbot: noai, noindex", set()),
        ("otherbot: noindex, pixelsbot: noai", {"noai"}),
        ("*: noai", {"noai"}),
        ("unavailable_after: 1 Jan 2030, noai", {"unavailable_after: 1 jan 2030", "noai"}),
        ("", {""}),
    ],
)
def test_directives_hold_for_whom_they_name(value: str, expected: set[str]) -> None:
    assert directives(value, "PixelsBot") == expected


@pytest.mark.parametrize(
    ("headers", "metas", "expected"),
    [
        ([("X-Robots-Tag", "noimageai")], None, "noai"),
        ([("x-robots-tag", "all"), ("X-ROBOTS-TAG", "noai")], None, "noai"),
        ({"Tdm-Reservation": " 1 "}, None, "tdm"),
        ({"tdm-reservation": "0"}, None, None),
        ({}, [{"name": "PixelsBot", "content": "noai"}], "noai"),
        ({}, [{"name": "OtherBot", "content": "noai"}], None),
        ({}, [{"http-equiv": "x-robots-tag", "content": "noai"}], "noai"),
        ("noai", "noai", None),
        (None, [None, {"name": None}], None),
    ],
)
def test_headers_and_metas_forbid(headers: object, metas: object, expected: str | None) -> None:
    assert forbids(headers, metas, "PixelsBot") == expected


def test_reservations_are_read_and_the_first_that_fits_decides() -> None:
    rules = tdm_reservations(
        b'[{"location": "/free/*", "tdm-reservation": 0}, 7, {"location": 3}, {"location": "/", "tdm-reservation": 1}]'
    )
    assert rules == [("/free/*", False), ("/", True)]
    table = pa.table(
        {
            "url": [f"{A}/free/a.jpg", f"{A}/b.jpg", f"{A}/c.jpg"],
            "page_opt_out": pa.array([None, None, "noai"], "string"),
        }
    )
    reasons = [None, "tdm reservation", "noai of the page"]
    assert opt_out_step(table, rules)["drop"].to_pylist() == reasons
    assert opt_out_step(table, rules, ("noai",))["drop"].to_pylist() == [None, None, "noai of the page"]
    assert opt_out_step(table, rules, ())["drop"].null_count == 3
    for broken in (b"", b"{}", b"[" * 99_999, b"\xff", b'[{"location": null}]'):
        assert tdm_reservations(broken) == []


def test_patterns_match_as_regular_expressions_would() -> None:
    rng, hits = random.Random(0), 0
    for _ in range(3_000):
        pattern = "/" + "".join(rng.choice("ab**/") for _ in range(rng.randrange(7))) + rng.choice(["", "$"])
        path = "/" + "".join(rng.choice("ab/") for _ in range(rng.randrange(8)))
        anchored = pattern.endswith("$")
        expression = fnmatch.translate(pattern.removesuffix("$") + ("" if anchored else "*"))
        expected = re.match(expression, path, re.DOTALL) is not None
        assert matches(pattern, path) == expected, (pattern, path)
        hits += expected
    assert 500 < hits < 2_500


def test_a_pattern_of_many_stars_is_no_trap() -> None:
    # A backtracking matcher would not come back from either of these.
    stars, path = "/" + "*a" * 60 + "*b", "/" + "a" * 1_500
    assert not matches(stars, path)
    assert robots(f"User-agent: *\nDisallow: {stars}").reason(A + path) is None
