"""WAT records are read as Common Crawl writes them, and nothing that stands in one can stop the reader."""

from __future__ import annotations

import gzip
import io
import json
import random
import string
from pathlib import Path

import pytest

from helpers.laion.wat import COLUMNS, MAX_LINKS, MAX_RECORD, MAX_TEXT, absolute, pages, parse, records
from helpers.worlds.web.archive import write_warc, write_wat
from helpers.worlds.web.html import html_metadata

URL = "http://site-000.example/a/page.html"


def record(links: object = (), page: object = URL, headers: object = None, head: object = None) -> dict:
    """A WAT record as Common Crawl writes it."""
    html = {"Head": head or {}, "Links": links}
    answer = {"Headers": headers or {}, "Response-Message": {"Status": "200"}, "HTML-Metadata": html}
    return {
        "Container": {"Filename": "a.warc.gz"},
        "Envelope": {
            "WARC-Header-Metadata": {"WARC-Type": "response", "WARC-Target-URI": page},
            "Payload-Metadata": {"HTTP-Response-Metadata": answer},
        },
    }


def parsed(*args: object, **options: object) -> tuple[list[dict], str | None]:
    return parse(json.dumps(record(*args, **options)).encode())


def test_pictures_are_found_with_their_texts_and_other_links_are_not() -> None:
    links = [
        {"path": "IMG@/src", "url": "b.jpg", "alt": " a  red\ntruck "},
        {"path": "A@/href", "url": "c.html"},
        {"path": "IMG@/data-src", "url": "//cdn.example/d.jpg#top"},
    ]
    rows, reason = parsed(links)
    assert reason is None and set(rows[0]) == set(COLUMNS)
    assert [(row["link"], row["url"], row["alt"]) for row in rows] == [
        (0, "http://site-000.example/a/b.jpg", "a red truck"),
        (1, "http://cdn.example/d.jpg", None),
    ]


@pytest.mark.parametrize(
    ("base", "url", "expected"),
    [
        ("", "/x.jpg", "http://site-000.example/x.jpg"),
        ("", "../x.jpg", "http://site-000.example/x.jpg"),
        ("http://other.example/b/", "x.jpg", "http://other.example/b/x.jpg"),
        ("", "data:image/png;base64,AAAA", "data:image/png;base64,AAAA"),
        ("", "http://[broken", ""),
        ("", "x" * 3_000, ""),
    ],
)
def test_addresses_are_completed_as_a_browser_does(base: str, url: str, expected: str) -> None:
    assert absolute(URL, base, url) == expected


@pytest.mark.parametrize(
    ("headers", "head", "expected"),
    [
        ({}, {}, None),
        ({"X-Robots-Tag": "noindex, NoAI"}, {}, "noai"),
        ({}, {"Metas": [{"name": "robots", "content": "noimageai"}]}, "noai"),
        ({}, {"Metas": [{"name": "tdm-reservation", "content": "1"}]}, "tdm"),
        ({"tdm-reservation": "0"}, {"Metas": [{"name": "description", "content": "noai"}]}, None),
        (["no", 3], {"Metas": {"name": 1}}, None),
    ],
)
def test_what_the_page_forbids_is_noted(headers: object, head: object, expected: str | None) -> None:
    rows, _ = parsed([{"path": "IMG@/src", "url": "b.jpg"}], headers=headers, head=head)
    assert rows[0]["page_opt_out"] == expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"3", "not a page"),
        (b"[]", "not a page"),
        (b"{}", "not a page"),
        (json.dumps(record(page=7)).encode(), "not a page"),
        (json.dumps({"Envelope": {"WARC-Header-Metadata": None}}).encode(), "not a page"),
    ],
)
def test_what_is_no_page_has_its_reason(content: bytes, reason: str) -> None:
    assert parse(content) == ([], reason)


def test_long_pages_and_texts_are_cut_and_odd_characters_mended() -> None:
    rows, _ = parsed([{"path": "IMG@/src", "url": "b.jpg", "alt": "x" * 9_999}] * (MAX_LINKS + 5))
    assert len(rows) == MAX_LINKS and len(rows[0]["alt"]) == MAX_TEXT
    rows, _ = parsed([{"path": "IMG@/src", "url": "b.jpg\ud800", "alt": "a\ud800b\0c"}, 7, {"path": 3}, None])
    assert [row["alt"] for row in rows] == ["a?bc"]
    rows[0]["url"].encode()


def wat_file(folder: Path, n: int = 5) -> Path:
    html = '<img src=a.jpg alt="number {}"><img src="b.jpg">'
    answers = [(f"{URL}?{i}", {"Content-Type": "text/html"}, html.format(i).encode()) for i in range(n)]
    write_warc(folder / "a.warc.gz", answers)
    write_wat(folder / "a.warc.gz", folder / "a.wat.gz")
    return folder / "a.wat.gz"


def test_a_file_is_read_in_parts_that_hold_all_of_it(tmp_path: Path) -> None:
    parts = list(pages(wat_file(tmp_path), at_once=2))
    assert [(table.num_rows, seen, dropped) for table, seen, dropped in parts] == [(4, 2, {}), (4, 2, {}), (2, 1, {})]
    alts = [alt for table, _, _ in parts for alt in table["alt"].to_pylist()]
    assert alts == [text for i in range(5) for text in (f"number {i}", None)]


def test_a_damaged_file_gives_what_comes_before_the_damage(tmp_path: Path) -> None:
    data = wat_file(tmp_path).read_bytes()
    whole_file = [len(content) for content in records(io.BytesIO(data))]
    assert len(whole_file) == 5
    for damage in (data[: len(data) // 2], data[:-40] + bytes(40), data[:600] + b"\xff" * 50 + data[650:]):
        found = list(records(io.BytesIO(damage)))
        assert 0 < len(found) <= 6 and None in found
    assert list(records(io.BytesIO(b"no archive at all\n" * 100))) in ([None], [])
    assert list(records(io.BytesIO(b""))) in ([None], [])


def test_a_record_that_is_too_long_is_passed_over_and_reading_goes_on(tmp_path: Path) -> None:
    page = b'<img src="a.jpg" alt="' + b"x" * (MAX_RECORD // 8) + b'">'
    pictures = b"".join(b'<img src="%d.jpg" alt="%s">' % (i, b"y" * 400_000) for i in range(2))
    write_warc(tmp_path / "a.warc.gz", [(URL, {}, page), (URL, {}, pictures), (URL, {}, b"<img src=b.jpg>")])
    write_wat(tmp_path / "a.warc.gz", tmp_path / "a.wat.gz")
    packed = gzip.decompress((tmp_path / "a.wat.gz").read_bytes())
    assert len(packed) > MAX_RECORD // 8
    found = list(records(tmp_path / "a.wat.gz"))
    assert len(found) == 3 and None not in found


# What follows tries at least 20,000 inputs: the parser of records 12,000, that of HTML 7,000, the record reader 1,500.


def mutated(data: bytes, rng: random.Random) -> bytes:
    """`data` with a few bytes changed, cut out, doubled or put in."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        place, length = rng.randrange(len(data) + 1), rng.randint(1, 30)
        kind = rng.randrange(4)
        if kind == 0:
            data[place : place + length] = rng.randbytes(length)
        elif kind == 1:
            del data[place : place + length]
        elif kind == 2:
            data[place:place] = data[place : place + length]
        else:
            data[place:place] = rng.choice(
                [b"\0", b"{", b"[", b'"', b"<", b"\xff", b"null", b"<img ", b"1e999", b"\\ud800"]
            )
    return bytes(data)


SEED = json.dumps(
    record(
        [{"path": "IMG@/src", "url": "b.jpg", "alt": "a red truck"}, {"path": "A@/href", "url": "c"}],
        headers={"X-Robots-Tag": "noai"},
        head={"Metas": [{"name": "robots", "content": "noai"}], "Base": "http://x.example/"},
    )
).encode()


def check(rows: list[dict], reason: str | None) -> None:
    assert reason in (None, "not JSON", "not a page") and (not reason or not rows)
    for row in rows:
        assert set(row) == set(COLUMNS) and row["page_opt_out"] in (None, "noai", "tdm")
        assert isinstance(row["url"], str) and (row["alt"] is None or isinstance(row["alt"], str))
        (row["url"] + row["page"] + (row["alt"] or "")).encode()


def test_no_record_stops_the_parser() -> None:
    rng, read = random.Random(1), 0
    for _ in range(9_000):
        rows, reason = parse(mutated(SEED, rng))
        check(rows, reason)
        read += reason is None
    assert 200 < read < 8_500, "the changes are too weak, or too strong, to try anything"


def any_json(rng: random.Random, depth: int = 0) -> object:
    """A random JSON value, with names in it that the parser looks for."""
    kind = rng.randrange(9 if depth < 4 else 6)
    if kind < 6:
        return (None, True, rng.randrange(-9, 9), 1e300, rng.choice(["", "IMG@/src", "\ud800", "noai", URL]), -0.5)[
            kind
        ]
    inner = [any_json(rng, depth + 1) for _ in range(rng.randrange(4))]
    names = ("path", "url", "alt", "Metas", "Base", "name", "content", "X-Robots-Tag")
    return inner if kind == 6 else {rng.choice(names): value for value in inner}


def test_no_value_in_any_place_stops_the_parser() -> None:
    rng, pictures = random.Random(4), 0
    for _ in range(3_000):
        links = [{"path": "IMG@/src", "url": any_json(rng), "alt": any_json(rng)}, any_json(rng)]
        if rng.random() < 0.3:
            links = any_json(rng)
        rows, reason = parsed(links, rng.choice([URL, any_json(rng)]), any_json(rng), any_json(rng))
        check(rows, reason)
        pictures += len(rows)
    assert pictures > 500


def test_no_page_stops_the_html_parser() -> None:
    rng = random.Random(2)
    page = (
        b'<base href="/x"><meta name=robots content=noai><title>t</title><p><img src=a.jpg alt="b"><img alt><a href=c>'
    )
    found = 0
    for number in range(7_000):
        data = mutated(page, rng) if number % 3 else rng.randbytes(rng.randrange(80))
        metadata = html_metadata(data)
        json.dumps(metadata)
        found += len(metadata["Links"])
        for link in metadata["Links"]:
            assert isinstance(link["url"], str) and link["path"] in ("IMG@/src", "IMG@/data-src", "A@/href")
    assert found > 4_000


def test_a_page_is_cut_off_where_it_is_nested_too_deeply() -> None:
    # 200,000 open tags would keep the parser busy for minutes.
    page = b"<img src=a.jpg>" + b"<div>" * 199_000 + b"<img src=b.jpg>"
    assert [link["url"] for link in html_metadata(page)["Links"]] == ["a.jpg"]
    page = b"<img src=a.jpg>" + b"<div></div>" * 50_000 + b"<img src=b.jpg>"
    assert [link["url"] for link in html_metadata(page)["Links"]] == ["a.jpg", "b.jpg"]


def test_no_archive_stops_the_record_reader(tmp_path: Path) -> None:
    rng, data = random.Random(3), wat_file(tmp_path, 2).read_bytes()
    plain, whole_ones = gzip.decompress(data), 0
    for number in range(1_500):
        changed = mutated(plain, rng)
        source = mutated(data, rng) if number % 2 else changed if number % 4 else gzip.compress(changed, 1)
        found = list(records(io.BytesIO(source)))
        assert all(content is None or isinstance(content, bytes) for content in found)
        whole_ones += len(found) == 2 and None not in found
    assert 50 < whole_ones < 1_400


def test_letters_of_every_kind_come_through(tmp_path: Path) -> None:
    text = "Straße, camión, 赤い車, " + string.punctuation.replace('"', "").replace("<", "").replace("&", "")
    write_warc(tmp_path / "a.warc.gz", [(URL, {}, f'<img src="é.jpg" alt="{text}">'.encode())])
    write_wat(tmp_path / "a.warc.gz", tmp_path / "a.wat.gz")
    ((table, _, _),) = pages(tmp_path / "a.wat.gz")
    assert table["alt"].to_pylist() == [text] and table["url"].to_pylist() == ["http://site-000.example/a/é.jpg"]
