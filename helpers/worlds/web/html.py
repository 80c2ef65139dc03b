"""What Common Crawl's WAT files keep of a page: its metas, its base and its links, the `alt` of pictures with them."""

from __future__ import annotations

import re
from typing import Any

MAX_BYTES = 1_000_000  # Common Crawl cuts pages off at this length
MAX_OPEN = 5_000  # tags that may be open at once; the parser's time grows with the square of the depth


def html_metadata(data: bytes) -> dict[str, Any]:
    """The "HTML-Metadata" of a WAT record for a page: {"Head": {"Title", "Base", "Metas"}, "Links": [...]}.

    Each link has a "path" such as "IMG@/src" or "A@/href", its "url" as the page wrote it and, for a picture that has
    one, its "alt". Pictures whose script loads them late name their file in `data-src`: "IMG@/data-src". Bytes that
    are not UTF-8 are replaced, and a page is cut off where it is nested too deeply; no input raises an error.
    """
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(_shallow(data[:MAX_BYTES]).decode("utf-8", "replace"))
    head: dict[str, Any] = {}
    if (title := tree.css_first("title")) is not None:
        head["Title"] = title.text(deep=True)
    base = tree.css_first("base[href]")
    if base is not None and base.attributes.get("href"):
        head["Base"] = base.attributes["href"]
    metas = [{k: v or "" for k, v in node.attributes.items()} for node in tree.css("meta")]
    if metas:
        head["Metas"] = metas
    links = []
    for node in tree.css("img, a[href]"):
        attributes = node.attributes
        if node.tag == "a":
            links.append({"path": "A@/href", "url": attributes["href"] or ""})
            continue
        name = next((key for key in ("src", "data-src") if attributes.get(key)), None)
        if name is None:
            continue
        link = {"path": f"IMG@/{name}", "url": attributes[name]}
        if "alt" in attributes:
            link["alt"] = attributes["alt"] or ""  # a bare `alt` has no value
        links.append(link)
    return {"Head": head, "Links": links}


def _shallow(data: bytes) -> bytes:
    """`data` up to the tag with which more than MAX_OPEN would be open, if none were closed but by its own end tag."""
    depth = 0
    for tag in re.finditer(rb"<(/?)[a-zA-Z]", data):
        depth = max(0, depth - 1) if tag[1] else depth + 1
        if depth > MAX_OPEN:
            return data[: tag.start()]
    return data
