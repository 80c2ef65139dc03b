"""What stands on the miniature web, decided from a seed before anything is drawn: sites, pages, pictures, alt texts.

The plan knows the truth of every picture: which scene it shows, of which other file it is a copy, whether its text is
true, and who forbids its use and how. The pipeline of `helpers.laion` is never shown it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from helpers.worlds.chance import pick
from helpers.worlds.photographs import PHOTOS
from helpers.worlds.street.sample import scene_at
from helpers.worlds.street.scene import Scene
from helpers.worlds.web.files import CHANGES, RIGHTS
from helpers.worlds.web.words import LANGUAGES, alt_of

SUFFIX = ".example"  # no such name exists outside (RFC 2606)
ROBOT = "PixelsBot"  # the name by which the course's crawler is addressed in robots.txt
NOISE = 0.35  # the share of alt texts that are bad

# How a site says what may be done with it; the first sites of every web have these in turn.
POLICIES = (
    "open",
    "robots all",
    "robots pattern",
    "noai page",
    "noimageai header",
    "tdm file",
    "tdm header",
    "robots delay",
    "robots error",
    "robots other bot",
)
# What becomes of a request, and of a picture, that means no good or is out of order.
HOSTILE = (
    "redirect",
    "redirect loop",
    "redirect private",
    "redirect elsewhere",
    "drip",
    "gzip bomb",
    "picture bomb",
    "oversize",
    "endless",
    "html as jpeg",
    "text type",
    "truncated",
    "damaged",
    "short",
    "reset",
    "header bomb",
    "empty",
    "server error",
    "unknown encoding",
    "address in link",
)
# Addresses that nobody outside may make a crawler ask: private and loopback ones in all their spellings.
PRIVATE = (
    "http://10.0.0.1/a.jpg",
    "http://127.0.0.1:22/",
    "http://[::1]/a.jpg",
    "http://169.254.169.254/latest/meta-data",
    "http://2130706433/a.jpg",
    "http://0x7f.1/a.jpg",
    "http://0177.0.0.1/a.jpg",
    "http://localhost/a.jpg",
    "file:///etc/passwd",
)
ELSEWHERE = ("http://elsewhere.invalid/a.jpg", "https://elsewhere.invalid/a.jpg", "//elsewhere.invalid/a.jpg")


@dataclass(frozen=True)
class Site:
    """One host of the web, the language of its pages, and its policy (one of POLICIES)."""

    number: int
    language: str
    policy: str

    @property
    def host(self) -> str:
        return f"site-{self.number:03d}{SUFFIX}"


@dataclass(frozen=True)
class Picture:
    """One file under one address.

    Args:
        content: "street", "photograph", "pixel" (a tracker's) or "none".
        scene: the number of the scene it shows, -1 for none; `photograph`: its name in PHOTOS.
        change: "" for an original, or what was done to the copy (one of CHANGES).
        behaviour: "ok", "missing" or one of HOSTILE.
        target: where a hostile redirect or link leads.
    """

    host: str
    path: str
    content: str = "street"
    scene: int = -1
    photograph: str = ""
    change: str = ""
    watermark: bool = False
    unsafe: bool = False
    rights: str = ""
    behaviour: str = "ok"
    target: str = ""

    @property
    def extension(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def url(self) -> str:
        return self.target if self.behaviour == "address in link" else f"http://{self.host}{self.path}"


@dataclass(frozen=True)
class Link:
    """A picture on a page, with the page's alt text for it and the truth about the two.

    Args:
        alt: what the page says; None if it says nothing.
        kind: of the alt text, "clean", "wrong", "partial", "file name", "advert" or "empty".
        caption: a true sentence about the picture, "" where there is none.
        opt_outs: by which means its use for training is forbidden.
        again: whether another link led to the same address before.
    """

    picture: Picture
    alt: str | None
    kind: str
    language: str
    caption: str
    opt_outs: tuple[str, ...]
    again: bool = False


@dataclass(frozen=True)
class Page:
    """One page of a site. `flaw` names what is wrong with its HTML, "" for nothing."""

    site: Site
    path: str
    links: tuple[Link, ...]
    flaw: str = ""

    @property
    def url(self) -> str:
        return f"http://{self.site.host}{self.path}"


FLAWS = ("unclosed", "no quotes", "nested", "nul bytes", "wrong charset", "cut off")


def scene_number(number: int, seed: int) -> Scene:
    """Scene `number` of the web with this seed. Every tenth has a pair that the street world's training never shows."""
    return scene_at("composition" if number % 10 == 9 else "train", number, 1_000 + seed)


def sites(pages: int, seed: int) -> list[Site]:
    """The sites of a web of so many pages: one for 20 pages, from 24 to 100. Two in three are in English."""
    found = []
    for number in range(min(100, max(24, pages // 20))):
        rng = np.random.default_rng([seed, 1, number])
        language = "en" if rng.random() < 0.67 else pick(rng, LANGUAGES[1:])
        policy = POLICIES[number] if number < len(POLICIES) else "open"
        if number >= len(POLICIES) and rng.random() < 0.25:
            policy = pick(rng, POLICIES[1:])
        found.append(Site(number, "en" if number == 0 else language, policy))
    return found


def opt_outs(site: Site, page: Site, path: str, rights: str) -> tuple[str, ...]:
    """By which means the use of a picture at `path` of `site`, shown by a page of the site `page`, is forbidden."""
    found = []
    if site.policy in ("robots all", "robots error") or (
        site.policy == "robots pattern" and (path.startswith("/private/") or path.endswith(".webp"))
    ):
        found.append("robots")
    if page.policy == "noai page":
        found.append("noai page")
    found += [policy for policy in ("noimageai header", "tdm file", "tdm header") if site.policy == policy]
    return (*found, "file") if rights == "no training" else tuple(found)


class Plan:
    """The web of `pages` pages that `seed` decides. Raises ValueError for fewer than 1 page or a seed below 0."""

    def __init__(self, pages: int, seed: int) -> None:
        for name, value, least in (("pages", pages, 1), ("seed", seed, 0)):
            if type(value) is not int or value < least:
                raise ValueError(f"{name}: {value!r} is not a whole number from {least}")
        self.n, self.seed, self.sites = pages, seed, sites(pages, seed)

    def pages(self) -> Iterator[Page]:
        """Every page in order; each call gives the same ones."""
        # What may be copied or linked again: pictures of late, so that the plan takes no memory to speak of.
        recent: list[Picture] = []
        count = {"scene": 0, "file": 0, "hostile": 0, "copy": 0, "flaw": 0}
        for number in range(self.n):
            rng = np.random.default_rng([self.seed, 2, number])
            site = self.sites[number] if number < len(self.sites) else pick(rng, self.sites)
            links = tuple(self._link(site, rng, recent, count) for _ in range(1 + int(rng.random() * 4)))
            flaw = ""
            if rng.random() < 0.06:
                flaw = FLAWS[count["flaw"] % len(FLAWS)]
                count["flaw"] += 1
            yield Page(site, f"/page-{number:06d}.html", links, flaw)
            del recent[:-500]

    def scenes(self) -> int:
        """How many scenes the web shows."""
        numbers = (link.picture.scene for page in self.pages() for link in page.links)
        return max(numbers, default=-1) + 1

    def _link(self, page: Site, rng: np.random.Generator, recent: list[Picture], count: dict[str, int]) -> Link:
        chance, again = rng.random(), False
        # One picture in eight lies on another site than the page, as those of picture hosts do.
        site = page if rng.random() < 0.875 else pick(rng, self.sites)
        if chance < 0.04 and recent:
            picture, again = pick(rng, recent), True
            site = self.sites[int(picture.host[5:8])]
        elif chance < 0.16 and recent:
            picture = self._file(site, rng, count, pick(rng, recent), CHANGES[count["copy"] % len(CHANGES)])
            count["copy"] += 1
        elif chance < 0.20:
            picture = self._named(site, count, "gif", content="pixel")
        elif chance < 0.23:
            picture = self._named(site, count, "jpg", content="none", behaviour="missing")
        elif chance < 0.29:
            picture = self._hostile(site, rng, count)
        elif chance < 0.32:
            name = pick(rng, tuple(PHOTOS))
            picture = self._named(site, count, pick(rng, ("jpg", "png")), content="photograph", photograph=name)
        else:
            original = Picture("", "", scene=count["scene"])
            count["scene"] += 1
            picture = self._file(site, rng, count, original, "")
            recent.append(picture)
        return self._described(page, site, picture, rng, again)

    def _named(self, site: Site, count: dict[str, int], extension: str, folder: str = "pictures", **facts) -> Picture:
        count["file"] += 1
        return Picture(site.host, f"/{folder}/{count['file']:07d}.{extension}", **facts)

    def _file(
        self, site: Site, rng: np.random.Generator, count: dict[str, int], original: Picture, change: str
    ) -> Picture:
        extension = pick(rng, ("jpg", "jpg", "jpg", "png", "webp"))
        rights = pick(rng, RIGHTS) if rng.random() < 0.35 else ""
        watermark, unsafe = rng.random() < 0.06, rng.random() < 0.03
        if change:  # a copy shows what the original shows; only the same bytes keep the rights that are noted in them
            watermark, unsafe = original.watermark, original.unsafe
            extension = original.extension if change == "exact" else extension
            rights = original.rights if change == "exact" else ""
        if rights == "all rights reserved" and extension != "jpg":
            rights = ""
        folder = "private" if rng.random() < 0.15 else "pictures"
        return self._named(
            site,
            count,
            extension,
            folder,
            scene=original.scene,
            change=change,
            watermark=watermark,
            unsafe=unsafe,
            rights=rights,
        )

    def _hostile(self, site: Site, rng: np.random.Generator, count: dict[str, int]) -> Picture:
        behaviour = HOSTILE[count["hostile"] % len(HOSTILE)]
        turn = count["hostile"] // len(HOSTILE)
        count["hostile"] += 1
        target = ""
        if behaviour in ("redirect private", "address in link"):
            target = PRIVATE[turn % len(PRIVATE)]
        elif behaviour == "redirect elsewhere":
            target = ELSEWHERE[turn % len(ELSEWHERE)]
        scene = -1
        if behaviour in ("redirect", "truncated", "damaged", "short", "text type"):
            scene, count["scene"] = count["scene"], count["scene"] + 1
        content = "street" if scene >= 0 else "none"
        return self._named(site, count, "jpg", content=content, scene=scene, behaviour=behaviour, target=target)

    def _described(self, page: Site, site: Site, picture: Picture, rng: np.random.Generator, again: bool) -> Link:
        def link(alt: str | None, kind: str, caption: str = "") -> Link:
            forbidden = opt_outs(site, page, picture.path, picture.rights)
            return Link(picture, alt, kind, page.language, caption, forbidden, again)

        if picture.content == "pixel":
            return link(pick(rng, (None, "", "pixel", "tracking")), "empty")
        if picture.content == "photograph":
            title = PHOTOS[picture.photograph].title
            return link(title, "clean", title)
        scene = scene_number(picture.scene if picture.scene >= 0 else int(rng.integers(1 << 30)), self.seed)
        described = alt_of(scene, page.language, rng, NOISE)
        alt = None if described.kind == "empty" and rng.random() < 0.5 else described.text
        return link(alt, described.kind, described.true_caption if picture.scene >= 0 else "")
