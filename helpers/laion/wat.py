"""Common Crawl's WAT files: from their records to the pictures on each page.

WAT records are JSON about one page each. Whatever stands in them was written by strangers, so nothing about its form is
taken for granted: what is malformed is counted by reason, and reading goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urljoin

from helpers.laion.optout import forbids
from helpers.laion.steps import TYPES

if TYPE_CHECKING:
    import pyarrow as pa

MAX_RECORD = 4 << 20  # bytes of one JSON record
MAX_LINKS = 1_000  # pictures of one page
MAX_TEXT = 2_000  # characters of an address or of an alt text that are kept
DAMAGED = "damaged archive"
COLUMNS = ("page", "link", "url", "alt", "page_opt_out")


def records(source: Path | BinaryIO) -> Iterator[bytes | None]:
    """The content of each record of a WAT file that holds JSON; None for one that is too long.

    A file that breaks off or is no archive ends the iteration after a last `None`.
    """
    from warcio.archiveiterator import ArchiveIterator

    file = open(source, "rb") if isinstance(source, Path) else source  # noqa: SIM115
    try:
        iterator = iter(ArchiveIterator(file))
        while True:
            try:
                record = next(iterator)
                if record.rec_type != "metadata":
                    continue
                content = record.content_stream().read(MAX_RECORD + 1)
                announced = int(record.rec_headers.get_header("Content-Length") or 0)
            except StopIteration:
                return
            except Exception:  # warcio raises whatever the damage leads to: zlib.error, ValueError, its own …
                yield None
                return
            if len(content) < min(announced, MAX_RECORD):  # warcio gives what there is of a file that breaks off
                yield None
                return
            yield content if len(content) <= MAX_RECORD else None
    finally:
        if isinstance(source, Path):
            file.close()


def parse(content: bytes) -> tuple[list[dict[str, Any]], str | None]:
    """The pictures of one record, as rows of COLUMNS, and the reason why there are none to be had, or None.

    `page_opt_out` tells by which means the page itself forbids the use of its pictures, null if it does not.
    """
    try:
        envelope = json.loads(content)["Envelope"]
        page = envelope["WARC-Header-Metadata"]["WARC-Target-URI"]
        answer = envelope["Payload-Metadata"]["HTTP-Response-Metadata"]
    except (ValueError, RecursionError):
        return [], "not JSON"
    except (KeyError, TypeError, IndexError):
        return [], "not a page"
    if not isinstance(page, str) or not isinstance(answer, dict) or not isinstance(answer.get("HTML-Metadata"), dict):
        return [], "not a page"
    metadata = answer["HTML-Metadata"]
    head = metadata.get("Head") if isinstance(metadata.get("Head"), dict) else {}
    links = metadata.get("Links") if isinstance(metadata.get("Links"), list) else []
    base = head.get("Base") if isinstance(head.get("Base"), str) else ""
    opt_out = forbids(answer.get("Headers"), head.get("Metas"))
    rows = []
    for link in links:
        if not isinstance(link, dict) or not str(link.get("path", "")).startswith("IMG@/"):
            continue
        alt, url = link.get("alt"), link.get("url")
        rows.append(
            {
                "page": clean(page)[:MAX_TEXT],
                "link": len(rows),
                "url": absolute(page, base, url) if isinstance(url, str) else "",
                "alt": " ".join(clean(alt).split())[:MAX_TEXT] if isinstance(alt, str) else None,
                "page_opt_out": opt_out,
            }
        )
        if len(rows) == MAX_LINKS:
            break
    return rows, None


def absolute(page: str, base: str, url: str) -> str:
    """The address that a page means by `url`, without its fragment; "" if it cannot be told."""
    try:
        found = urljoin(urljoin(page, base), url.strip()).partition("#")[0]
    except ValueError:
        return ""
    return clean(found) if len(found) <= MAX_TEXT else ""


def clean(text: str) -> str:
    """`text` without lone surrogates, which JSON can hold and UTF-8 cannot, and without NUL characters."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")


def pages(source: Path | BinaryIO, at_once: int = 200) -> Iterator[tuple[pa.Table, int, dict[str, int]]]:
    """The pictures of a WAT file, some hundred pages at a time, so that memory does not grow with the file.

    Each part is a table of COLUMNS, the number of records that it comes from, and how many of them were dropped, by
    reason.
    """
    rows: list[dict[str, Any]] = []
    seen, dropped = 0, {}
    for content in records(source):
        seen += 1
        found, reason = ([], DAMAGED) if content is None else parse(content)
        if reason:
            dropped[reason] = dropped.get(reason, 0) + 1
        rows += found
        if seen == at_once:
            yield _table(rows), seen, dropped
            rows, seen, dropped = [], 0, {}
    if seen:
        yield _table(rows), seen, dropped


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    return pa.table({name: pa.array([row[name] for row in rows], TYPES[name]) for name in COLUMNS})
