"""Is my picture in it? A data set searched in the page, by the perceptual hash and by the features of `street-clip`.

A picture is made smaller in the page by Pillow's own arithmetic, its Lanczos and bicubic filters in whole numbers. So
the same pixels give the same hash, bit by bit, and the same square for CLIP. A browser's canvas has another filter:
measured in Chromium on 34 pictures of 400 pixels and more, hashes of what a canvas makes of them differ from Python's
in 1.6 of 64 bits on average, and in 8 at most. What is left to the browser is to unpack the file: of the same pictures
as JPEG files no bit differed (`tests/test_explorer_mine.py`). What is transparent gets its white with another rounding.

Where waves of a picture are equal or cancel out, bits hang on the last digits of Python's Fourier transform. The page
agrees for pictures of one colour, striped and mirror-symmetric ones, but not for each that is its own transpose.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from IPython.display import HTML

from helpers.laion.duplicates import FLAT
from helpers.laion.pictures import perceptual_hash, read_picture
from helpers.laion.similarity import image_features
from helpers.page.explorers.figure import differences, explorer, sprite
from helpers.page.explorers.weights import clip_settings, pack
from helpers.worlds.photographs import MAX_BYTES, MAX_PIXELS, centre_square, check_picture
from helpers.worlds.web.files import changed, encoded, with_watermark

COLUMNS, SIDE = 20, 64  # of the sheet of stored pictures, and of each of them in pixels
MOST, LONGEST = 400, 512  # stored pictures, and pixels of a side of a prepared one: what a page can carry
FACTS = ("page", "site", "licence", "opt_out")


@dataclass(frozen=True)
class Query:
    """A prepared picture, uint8 [H, W, 3], with the number of the stored one that it was made from, or None."""

    name: str
    picture: np.ndarray
    origin: int | None = None


def copies(picture: np.ndarray, origin: int) -> list[Query]:
    """Six pictures that somebody else might show of `picture`, uint8 [H, W, 3], which is the stored one `origin`."""
    made = {
        "an exact copy": picture,
        "recompressed, JPEG at quality 20": read_picture(encoded(picture, "jpg", 20)),
        "resized to three quarters": changed(picture, "resized"),
        "with an agency’s name over it": with_watermark(picture, "PICTURES"),
        "cropped: a sixteenth cut off at each edge": changed(picture, "cropped"),
        "mirrored": changed(picture, "mirrored"),
    }
    return [Query(name, np.ascontiguousarray(pixels), origin) for name, pixels in made.items()]


def mine_explorer(
    pictures: Sequence[np.ndarray],
    facts: Sequence[Mapping[str, str]],
    queries: Sequence[Query],
    limit: int = 6,
    inline: bool = False,
    alt: str = "Is my picture in the data set? A picture to choose or to upload; the stored pictures nearest to it by "
    "a hash of 64 bits and by the features of CLIP, each with its page, site, licence and opt-out",
) -> HTML:
    """Return the interactive figure for a data set of pictures.

    Args:
        pictures: the stored ones, uint8 [H, W, 3], of any sizes; each adds 2 kB to the figure.
        facts: of each its FACTS in words.
        queries: the pictures to choose from, a dozen or fewer.
        limit: in how many of 64 bits two pictures may differ that are taken for the same.
        inline: see `helpers.page.explorers.figure.explorer`.

    Raises ValueError if there are no or too many pictures, if a fact is missing, if a query is larger than LONGEST or
    names a stored picture that is not there.
    """
    _check(pictures, facts, queries)
    clip = clip_settings()
    features = image_features(list(pictures))  # [n, 128]
    data = {
        "sprite": sprite([centre_square(picture, SIDE) for picture in pictures], COLUMNS, quality=36),
        "columns": COLUMNS,
        "facts": [{"optOut" if k == "opt_out" else k: str(row[k]) for k in FACTS} for row in facts],
        "hashes": [f"{perceptual_hash(picture):016x}" for picture in pictures],
        "features": pack(features),
        "queries": [
            {"name": q.name, "height": q.picture.shape[0], "width": q.picture.shape[1], "origin": q.origin}
            for q in queries
        ],
        "pixels": base64.b64encode(
            zlib.compress(b"".join(differences(q.picture[None]).tobytes() for q in queries), 9)
        ).decode(),
        "queryFeatures": pack(image_features([q.picture for q in queries])),
        "limit": limit,
        "flat": FLAT,
        "most": {"bytes": MAX_BYTES, "pixels": MAX_PIXELS},
        "settings": {"image": clip["image"], "width": features.shape[1]},
    }
    return explorer("mine", data, alt, "street-clip", inline)


def _check(pictures: Sequence[np.ndarray], facts: Sequence[Mapping[str, str]], queries: Sequence[Query]) -> None:
    if not 3 <= len(pictures) <= MOST or not 1 <= len(queries) <= 12:
        raise ValueError(
            f"expected 3 to {MOST} stored pictures and 1 to 12 to choose from, not {len(pictures)} and {len(queries)}"
        )
    if len(facts) != len(pictures):
        raise ValueError(f"facts: {len(facts)} of them for {len(pictures)} pictures")
    for i, row in enumerate(facts):
        if missing := [name for name in FACTS if name not in row]:
            raise ValueError(f"facts: number {i} lacks {', '.join(missing)}")
    for picture in (*pictures, *(query.picture for query in queries)):
        check_picture(picture)
    for query in queries:
        if max(query.picture.shape[:2]) > LONGEST:
            raise ValueError(f"{query.name!r} is larger than {LONGEST} pixels: {list(query.picture.shape[:2])}")
        if query.origin is not None and not 0 <= query.origin < len(pictures):
            raise ValueError(f"{query.name!r}: there is no stored picture {query.origin} to be made from")
