"""Which addresses are asked: no other host by any spelling, and none twice."""

from __future__ import annotations

import ipaddress
import random

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from yarl import URL

from helpers.laion.urls import buckets, host_of, is_figures, refusal, seen_step, stable_hash, url_step

SUFFIX = ".example"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://a.example/x.jpg", None),
        ("http://A.Example:80/x.jpg?y=1", None),
        ("https://a.example/x.jpg", "scheme https"),
        ("javascript:alert(1)", "scheme javascript"),
        ("gopher://a.example/", "scheme"),
        ("/x.jpg", "scheme"),
        ("http:///x.jpg", "malformed address"),
        ("http://a.example:99999/", "malformed address"),
        ("http://[::1/", "malformed address"),
        ("http://a.example/\nHost: b", "malformed address"),
        ("http://a.example\\@b.org/", "malformed address"),
        ("http://user@a.example/", "name and password in the address"),
        ("http://a.example:8080/", "port"),
        ("http://127.0.0.1/", "address in figures"),
        ("http://127.1/", "address in figures"),
        ("http://0x7f000001/", "address in figures"),
        ("http://017700000001/", "address in figures"),
        ("http://[::ffff:10.0.0.1]/", "address in figures"),
        ("http://10.0.0.1./", "address in figures"),
        ("http://a.example.org/", "outside the allowed hosts"),
        ("http://example/", "outside the allowed hosts"),
        ("http://evilexample/", "outside the allowed hosts"),
        ("http://.example/", "outside the allowed hosts"),
        ("http://b_c.example/", "outside the allowed hosts"),
        ("http://a.example/" + "x" * 2_000, "address too long"),
    ],
)
def test_each_kind_of_address_has_its_reason(url: str, reason: str | None) -> None:
    assert refusal(url, SUFFIX) == reason


SIGNS = [*list("htp:/\\@.#?[]%0x1-_ \t\n"), "http://", "a.example", "10.0.0.1", ".example", "example", "@", "é", "。"]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(SIGNS), max_size=12).map(lambda parts: "http://" + "".join(parts)))
@example("http://a.example#@10.0.0.1/")
@example("http://10.0.0.1#.example")
@example("http://10.0.0.1\\.example/")
@example("http://a.example%2f@10.0.0.1/")
def test_the_client_asks_the_host_that_was_judged(url: str) -> None:
    """Two parsers that read one address differently are the classical way round such a check."""
    if refusal(url, SUFFIX) is None:
        asked = URL(url, encoded=True)
        assert asked.host.rstrip(".") == host_of(url) and asked.host.rstrip(".").endswith(SUFFIX)
        assert asked.port == 80 and asked.scheme == "http" and asked.user is None


@settings(deadline=None, max_examples=60)
@given(st.ip_addresses())
def test_every_ip_address_is_figures(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert is_figures(str(address))
    if address.version == 4:
        number = int(address)
        assert all(is_figures(text) for text in (str(number), hex(number), f"0{number:o}", f"{number >> 24}.{hex(1)}"))
    assert not is_figures("site-001.example") and not is_figures("3com.example")


def test_the_step_adds_the_host_and_marks_the_rest() -> None:
    table = url_step(pa.table({"url": ["http://A.example/x", "", "http://10.0.0.1/"]}), SUFFIX)
    assert table["host"].to_pylist() == ["a.example", "", "10.0.0.1"]
    assert table["drop"].to_pylist() == [None, "malformed address", "address in figures"]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 30).map(lambda i: f"http://a.example/{i}.jpg"), max_size=80))
def test_the_bloom_filter_drops_what_a_set_would(urls: list[str]) -> None:
    dropped = seen_step(pa.table({"url": pa.array(urls, "string")}))["drop"].to_pylist()
    known: set[str] = set()
    for url, reason in zip(urls, dropped, strict=True):
        assert reason == ("address seen before" if url in known else None)
        known.add(url)


def test_a_filter_that_is_too_small_takes_new_addresses_for_old_ones() -> None:
    rng = random.Random(0)
    urls = pa.table({"url": [f"http://a.example/{rng.getrandbits(60)}" for _ in range(3_000)]})
    assert seen_step(urls)["drop"].null_count == 3_000
    assert seen_step(urls, expected=30, error=0.1)["drop"].null_count < 1_500


def test_the_hash_is_the_same_in_every_process() -> None:
    assert stable_hash("http://a.example/") == -127329374352051420525403753927327842119


@settings(deadline=None, max_examples=60)
@given(st.sets(st.text("abc", min_size=1), max_size=30), st.integers(1, 8))
def test_each_host_is_in_one_bucket(hosts: set[str], n: int) -> None:
    dealt = buckets(hosts, n)
    assert sorted(host for bucket in dealt for host in bucket) == sorted(hosts)
    assert len(dealt) <= n and all(dealt) and max(map(len, dealt), default=0) - min(map(len, dealt), default=0) <= 1
