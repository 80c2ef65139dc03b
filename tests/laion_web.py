"""A web made by hand, page by page and file by file, for the tests of the pipeline: nothing has to be drawn."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

from helpers.files import write_json
from helpers.worlds.photographs import photo
from helpers.worlds.web.archive import write_warc, write_wat
from helpers.worlds.web.build import FORMAT, Web
from helpers.worlds.web.files import encoded
from helpers.worlds.web.plan import Plan

PAGES = 200  # of the plan whose sites the server plays: as many as have every policy
OPEN = "site-000.example"  # it forbids nothing


@cache
def sites() -> dict[str, str]:
    """A host of each policy."""
    found: dict[str, str] = {}
    for site in Plan(PAGES, 0).sites:
        found.setdefault(site.policy, site.host)
    return found


def pixels(i: int, size: int = 96) -> np.ndarray:
    """Picture number `i`, uint8 [size, size, 3]: a piece of a photograph, unlike the others."""
    rng = np.random.default_rng([11, i])
    source = photo(("cat", "coffee", "astronaut", "rocket", "hubble")[i % 5])
    top, left = (int(rng.integers(side - size)) for side in source.shape[:2])
    return np.rot90(source[top : top + size, left : left + size, rng.permutation(3)], i % 4)


def picture(i: int, extension: str = "jpg", size: int = 96, **options) -> bytes:
    """The bytes of picture number `i`."""
    return encoded(pixels(i, size), extension, 90, **options)


class HandMade:
    """A web in a folder: `file` and `page` add to it, `web` writes it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.rows, self.answers = folder, [], []
        self.pack = bytearray()

    def file(self, path: str, data: bytes, host: str = OPEN, behaviour: str = "ok", target: str = "", **options) -> str:
        """Put `data` under an address, and return the address. options: `type`, `headers`."""
        headers = json.dumps(options.get("headers", {}))
        kind = options.get("type", "image/jpeg")
        self.rows.append((host, path, kind, behaviour, target, headers, len(self.pack), len(data)))
        self.pack += data
        return f"http://{host}{path}"

    def page(self, images: list[tuple[str, str | None]], host: str = OPEN, head: str = "", **headers: str) -> str:
        """A page that shows pictures, pairs of address and alt text; returns its address."""
        tags = [f'<img src="{url}"' + ("" if alt is None else f' alt="{alt}"') + ">" for url, alt in images]
        html = f"<html><head>{head}</head><body>{''.join(tags)}</body></html>".encode()
        url = f"http://{host}/page-{len(self.answers):04d}.html"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((url, {"Content-Type": "text/html"} | named, html))
        return url

    def web(self, pages_a_file: int = 20) -> Web:
        """Write all of it."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.folder.mkdir(parents=True, exist_ok=True)
        names = ("host", "path", "type", "behaviour", "target", "headers", "offset", "length")
        columns = [pa.array(list(c)) for c in zip(*self.rows, strict=True)]
        pq.write_table(pa.table(columns, names=names), self.folder / "resources.parquet")
        (self.folder / "files.pack").write_bytes(self.pack)
        for n, start in enumerate(range(0, len(self.answers), pages_a_file)):
            warc = self.folder / "warc" / f"{n:05d}.warc.gz"
            write_warc(warc, self.answers[start : start + pages_a_file])
            write_wat(warc, self.folder / "wat" / f"{n:05d}.wat.gz")
        write_json(self.folder / "web.json", {"format": FORMAT, "pages": PAGES, "seed": 0, "size": 96, "sites": 24})
        return Web(self.folder)
