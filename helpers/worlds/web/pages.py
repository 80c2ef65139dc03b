"""The text files of the miniature web: HTML pages, robots.txt, TDM reservations."""

from __future__ import annotations

import json
from html import escape

from helpers.worlds.web.plan import ROBOT, Link, Page, Site

TDM_FILE = "/.well-known/tdmrep.json"  # TDM Reservation Protocol, W3C community report, section 6.2


def html(page: Page) -> bytes:
    """The page as its server sends it; `page.flaw` says how it is malformed."""
    bare = page.flaw == "no quotes"
    metas = ['<meta charset="utf-8">']
    if page.site.policy == "noai page":
        metas.append('<meta name="robots" content="noai, noimageai">')
    images = "\n".join(f"<figure>{_image(page, link, i, bare)}</figure>" for i, link in enumerate(page.links))
    body = f"<h1>Page {page.path[6:12]}</h1>\n<p>Pictures of the week.</p>\n{images}\n<a href=/>home</a>"
    if page.flaw == "unclosed":
        body = body.replace("</figure>", "").replace("</p>", "<p><b>")
    elif page.flaw == "nested":
        body = "<div>" * 3_000 + body
    elif page.flaw == "nul bytes":
        body = body.replace("week", "we\0ek") + "\0\ufffe"
    text = (
        f'<!doctype html>\n<html lang="{page.site.language}"><head>{"".join(metas)}<title>{page.site.host}</title>'
        f"</head>\n<body>{body}</body></html>\n"
    )
    data = text.encode("latin-1", "replace") if page.flaw == "wrong charset" else text.encode("utf-8")
    return data[: int(len(data) * 0.8)] if page.flaw == "cut off" else data


def _image(page: Page, link: Link, number: int, bare: bool) -> str:
    url = link.picture.url
    if link.picture.host == page.site.host and link.picture.behaviour != "address in link":
        # Links are written in the four ways in which a page can name a file of its own site.
        ways = (url, link.picture.path, f"..{link.picture.path}#top", f"//{link.picture.host}{link.picture.path}")
        url = ways[number % 4]
    if link.alt is None:
        return f'<img src="{escape(url)}">'
    if bare and link.alt and not set(link.alt) & set(" \"'=<>`"):
        return f"<img alt={escape(link.alt)} src={url} >"
    return f'<img src="{escape(url)}" alt="{escape(link.alt)}" loading="lazy">'


def robots(site: Site) -> tuple[int, str]:
    """The status and the text with which the site answers for /robots.txt."""
    return {
        "robots all": (200, f"User-agent: {ROBOT}\nDisallow: /\n"),
        "robots pattern": (200, "User-agent: *\nDisallow: /private/\nDisallow: /*.webp$\n"),
        "robots delay": (200, "User-agent: *\nCrawl-delay: 0.15\n"),
        "robots error": (503, "try later"),
        "robots other bot": (200, "User-agent: OtherBot\nDisallow: /\n"),
    }.get(site.policy, (404, "not found"))


def tdm(site: Site) -> tuple[int, str]:
    """The status and the text with which the site answers for its TDM reservations."""
    if site.policy != "tdm file":
        return 404, "not found"
    return 200, json.dumps([{"location": "/", "tdm-reservation": 1, "tdm-policy": f"http://{site.host}/policy.json"}])


def picture_headers(site: Site) -> dict[str, str]:
    """What the site adds to the headers of each of its pictures."""
    return {
        "noimageai header": {"X-Robots-Tag": "noimageai"},
        "tdm header": {"tdm-reservation": "1"},
    }.get(site.policy, {})
