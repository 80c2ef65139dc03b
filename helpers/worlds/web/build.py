"""Write the miniature web to a folder: an archive of its pages, all files in one pack, and the truth about each link.

web.json          how it was made
warc/, wat/       the pages as a crawler keeps them, 250 a file
files.pack        the bytes of all pages and pictures, one after another
resources.parquet where in the pack each address has its bytes, and how the server answers
truth.parquet     a row for each picture on a page: what is known of it, and hidden from the pipeline
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.files import write_json
from helpers.worlds import drawn
from helpers.worlds.photographs import centre_square, photo
from helpers.worlds.street.drawing.render import SIZES, render
from helpers.worlds.street.scene import Scene
from helpers.worlds.web import files
from helpers.worlds.web.archive import write_warc, write_wat
from helpers.worlds.web.pages import html, picture_headers
from helpers.worlds.web.plan import Link, Page, Picture, Plan, scene_number

if TYPE_CHECKING:
    import pyarrow as pa

PAGES_A_FILE = 250
FORMAT = "web/1"


@dataclass(frozen=True)
class WebScenes:
    """The scenes that a web shows, for `helpers.worlds.drawn`."""

    n: int
    size: int
    seed: int
    name, classes, data = "web", {}, ()

    def scene(self, i: int) -> Scene:
        return scene_number(i, self.seed)

    def draw(self, i: int, scene: Scene) -> np.ndarray:
        return render(scene, self.size, (self.seed << 32) + i)

    def labels(self, scene: Scene) -> dict[str, int]:
        return {}

    def words(self, i: int, scene: Scene) -> list[str]:
        return []


def file_of(picture: Picture, shown: np.ndarray | None) -> bytes:
    """The bytes that the server has for `picture`. `shown`: the scene or photograph on it, uint8 [H, W, 3]."""
    if picture.content == "pixel":
        return files.PIXEL
    if picture.behaviour == "picture bomb":
        return files.picture_bomb()
    if picture.behaviour == "html as jpeg":
        return b"<!doctype html><title>Not here</title><p>This picture has moved.</p>" * 40
    if shown is None:
        return b""
    if picture.watermark:
        shown = files.with_watermark(shown, "picture agency")
    if picture.unsafe:
        shown = files.with_warning(shown)
    # A copy of the same bytes is encoded as its original was; a recompressed one more strongly.
    quality = 45 if picture.change == "recompressed" else 88
    shown = files.changed(shown, picture.change)
    data = files.encoded(shown, picture.extension, quality, picture.rights, f"Studio {picture.scene % 40}")
    if picture.behaviour == "truncated":
        return data[: len(data) // 3]
    return files.damaged(data) if picture.behaviour == "damaged" else data


def build(folder: Path, pages: int, seed: int, size: int = 128, progress: bool = True) -> Web:
    """Make the web of `pages` pages that `seed` decides in `folder`, pictures of `size` pixels; equal bytes each time.

    Scenes are drawn on all cores and kept by `helpers.worlds.drawn`.
    Raises FileExistsError if the folder holds something, ValueError for arguments out of range.
    """
    if type(size) is not int or not 48 <= size <= SIZES[1]:
        raise ValueError(f"size: {size!r} is not a whole number of pixels from 48 to {SIZES[1]}")
    plan = Plan(pages, seed)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is not an empty folder: name a new one, or delete it")
    # In a folder beside it first, so that a build that was stopped is not taken for a web.
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    scenes = drawn.load(WebScenes(max(1, plan.scenes()), size, seed), progress=progress).images
    _write(part, plan, lambda i: scenes[i].permute(1, 2, 0).numpy(), size)
    facts = {"format": FORMAT, "pages": pages, "seed": seed, "size": size, "sites": len(plan.sites)}
    write_json(part / "web.json", facts)
    if folder.exists():
        folder.rmdir()
    part.rename(folder)
    return Web(folder)


def _write(folder: Path, plan: Plan, scene: Any, size: int) -> None:
    import pyarrow.parquet as pq

    resources = pq.ParquetWriter(folder / "resources.parquet", _schema(_RESOURCES))
    truth = pq.ParquetWriter(folder / "truth.parquet", _schema(_TRUTH))
    numbers = {site.host: site for site in plan.sites}
    photographs: dict[str, np.ndarray] = {}

    def shown(picture: Picture) -> np.ndarray | None:
        if picture.photograph:
            if picture.photograph not in photographs:
                photographs[picture.photograph] = centre_square(photo(picture.photograph), size)
            return photographs[picture.photograph]
        return scene(picture.scene) if picture.scene >= 0 else None

    with (folder / "files.pack").open("wb") as pack, resources, truth:
        for number, group in enumerate(_grouped(plan.pages(), PAGES_A_FILE)):
            answers, rows, links = [], [], []

            def put(url: str, data: bytes, kind: str, behaviour: str, target: str, headers: dict[str, str], rows=rows):
                host, _, path = url.removeprefix("http://").partition("/")
                told = json.dumps(headers)
                rows.append((host, f"/{path}", kind, behaviour, target, told, pack.tell(), len(data)))
                pack.write(data)

            for page in group:
                data, headers = html(page), {"Content-Type": "text/html; charset=utf-8"}
                answers.append((page.url, headers, data))
                put(page.url, data, headers["Content-Type"], "ok", "", {})
                for i, link in enumerate(page.links):
                    links.append(_truth_row(page, i, link))
                    picture = link.picture
                    if link.again or picture.behaviour in ("missing", "address in link"):
                        continue
                    kind = "text/html" if picture.behaviour == "text type" else f"image/{picture.extension}"
                    target = f"{picture.path}?again" if picture.behaviour == "redirect" else picture.target
                    own = picture_headers(numbers[picture.host])
                    data = file_of(picture, shown(picture))
                    put(f"http://{picture.host}{picture.path}", data, kind, picture.behaviour, target, own)
            resources.write_table(_table(rows, _RESOURCES))
            truth.write_table(_table(links, _TRUTH))
            write_warc(folder / "warc" / f"{number:05d}.warc.gz", answers)
            write_wat(folder / "warc" / f"{number:05d}.warc.gz", folder / "wat" / f"{number:05d}.wat.gz")


def _grouped(pages: Iterator[Page], n: int) -> Iterator[list[Page]]:
    group: list[Page] = []
    for page in pages:
        group.append(page)
        if len(group) == n:
            yield group
            group = []
    if group:
        yield group


_RESOURCES = [
    ("host", "string"),
    ("path", "string"),
    ("type", "string"),
    ("behaviour", "string"),
    ("target", "string"),
    ("headers", "string"),
    ("offset", "int64"),
    ("length", "int64"),
]
_TRUTH = [
    ("page", "string"),
    ("link", "int32"),
    ("url", "string"),
    ("alt", "string"),
    ("kind", "string"),
    ("caption", "string"),
    ("language", "string"),
    ("content", "string"),
    ("scene", "int64"),
    ("photograph", "string"),
    ("change", "string"),
    ("watermark", "bool"),
    ("unsafe", "bool"),
    ("rights", "string"),
    ("behaviour", "string"),
    ("opt_outs", "list<string>"),
    ("again", "bool"),
    ("flaw", "string"),
]


def _truth_row(page: Page, number: int, link: Link) -> tuple:
    p = link.picture
    told = (page.url, number, p.url, link.alt, link.kind, link.caption, link.language)
    shown = (p.content, p.scene, p.photograph, p.change, p.watermark, p.unsafe, p.rights, p.behaviour)
    return (*told, *shown, list(link.opt_outs), link.again, page.flaw)


def _schema(columns: list[tuple[str, str]]) -> pa.Schema:
    import pyarrow as pa

    lists = {"list<string>": pa.list_(pa.string())}
    return pa.schema([(name, lists.get(kind) or pa.type_for_alias(kind)) for name, kind in columns])


def _table(rows: list[tuple], columns: list[tuple[str, str]]) -> pa.Table:
    import pyarrow as pa

    values = zip(*rows, strict=True) if rows else [[] for _ in columns]
    return pa.table([list(column) for column in values], schema=_schema(columns))


class Web:
    """A web that `build` made. Raises FileNotFoundError, with the remedy, if `folder` holds none."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        if not (self.folder / "web.json").is_file():
            raise FileNotFoundError(
                f"{folder} holds no web: make one with `python -m experiments laion build --out {folder}`"
            )
        self.facts = json.loads((self.folder / "web.json").read_text(encoding="utf-8"))
        if self.facts.get("format") != FORMAT:
            raise ValueError(f"{folder} has the format {self.facts.get('format')!r}, not {FORMAT!r}: build it anew")

    @property
    def wats(self) -> list[Path]:
        """The WAT files, in order."""
        return sorted((self.folder / "wat").glob("*.wat.gz"))

    @cached_property
    def truth(self) -> pa.Table:
        """A row for each picture on a page; `scene` numbers go into `scene_number`."""
        import pyarrow.parquet as pq

        return pq.read_table(self.folder / "truth.parquet")

    @cached_property
    def resources(self) -> pa.Table:
        """A row for each address that has bytes."""
        import pyarrow.parquet as pq

        return pq.read_table(self.folder / "resources.parquet")
