"""What Common Crawl's WAT files keep of a page: its metas, its base and its links, the `alt` of pictures with them."""

from __future__ import annotations

from typing import Any

MAX_BYTES = 1_000_000  # Common Crawl cuts pages off at this length


def html_metadata(data: bytes) -> dict[str, Any]:
    """The "HTML-Metadata" of a WAT record for a page: {"Head": {"Title", "Base", "Metas"}, "Links": [...]}.

    Each link has a "path" such as "IMG@/src" or "A@/href", its "url" as the page wrote it and, for a picture that has
    one, its "alt". Pictures whose script loads them late name their file in `data-src`: "IMG@/data-src". Bytes that
    are not UTF-8 are replaced; no input raises an error.
    """
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(data[:MAX_BYTES].decode("utf-8", "replace"))
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
