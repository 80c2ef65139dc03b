"""Which addresses may be asked at all, and which were asked before.

A page can name any address, that of a router at home or of a cloud's metadata service among them. A crawler that does
not look asks them on the author's behalf. So only names below one suffix pass, and never an address in figures.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from helpers.laion.steps import with_columns

if TYPE_CHECKING:
    import pyarrow as pa

MAX_URL = 2_000
# "127.0.0.1" is also 2130706433, 0x7f.1 and 0177.0.0.1: libraries accept all of them.
_FIGURES = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*\.?")


def host_of(url: str) -> str:
    """The host of an address in small letters, "" if it has none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def refusal(url: str, suffix: str) -> str | None:
    """Why `url` is not asked, in a few words; None if it is an http address of a host below `suffix`."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return "malformed address"
    if len(url) > MAX_URL:
        return "address too long"
    if parts.scheme != "http":
        return f"scheme {parts.scheme}" if parts.scheme in ("https", "data", "file", "ftp", "javascript") else "scheme"
    if not host or re.search(r"[\x00-\x20\x7f-\uffff]", url) or "\\" in url:
        return "malformed address"
    if parts.username is not None or parts.password is not None:
        return "name and password in the address"
    if is_figures(host):
        return "address in figures"
    if port not in (None, 80):
        return "port"
    if not host.endswith(suffix) or not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", host):
        return "outside the allowed hosts"
    return None


def is_figures(host: str) -> bool:
    """Whether `host` is an IP address in any of its spellings, not a name."""
    try:
        ipaddress.ip_address(host.split("%")[0])
        return True
    except ValueError:
        return _FIGURES.fullmatch(host) is not None


def url_step(table: pa.Table, suffix: str) -> pa.Table:
    """Add `host`; drop pictures whose address may not be asked."""
    urls = table["url"].to_pylist()
    return with_columns(
        table,
        host=[host_of(url) for url in urls],
        drop=["malformed address" if not u else refusal(u, suffix) for u in urls],
    )


def stable_hash(value: object) -> int:
    """A whole number of 128 bits with sign that is the same in every process: Python's own hash of texts is not."""
    return int.from_bytes(hashlib.blake2b(str(value).encode(), digest_size=16).digest(), "big", signed=True)


def seen_step(table: pa.Table, expected: int | None = None, error: float = 1e-6) -> pa.Table:
    """Drop pictures whose address came before, by a Bloom filter, as LAION-5B did.

    The filter takes the same memory for addresses of any length, and takes a new address for a known one with the
    probability `error` once it holds `expected` of them (default: the rows of the table).
    """
    from rbloom import Bloom

    known = Bloom(max(1, expected or table.num_rows), error, stable_hash)
    reasons = []
    for url in table["url"].to_pylist():
        reasons.append("address seen before" if url in known else None)
        known.add(url)
    return with_columns(table, drop=reasons)


def buckets(hosts: Iterable[str], n: int) -> list[list[str]]:
    """The hosts dealt out over at most `n` lists, none empty, in their order: each host is one worker's alone."""
    found: list[list[str]] = [[] for _ in range(n)]
    for i, host in enumerate(sorted(hosts)):
        found[i % n].append(host)
    return [bucket for bucket in found if bucket]
