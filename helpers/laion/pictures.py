"""From bytes to pictures: which can be opened, which are large enough, what their metadata says, and their hashes."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from helpers.laion.steps import with_columns
from helpers.worlds.photographs import FORMATS, PictureError, read_picture

if TYPE_CHECKING:
    import pyarrow as pa

Read = Callable[[int, int], bytes]  # (offset, length) -> bytes
MAX_PIXELS = 20_000_000
_COLUMNS = ("sha256", "phash", "width", "height", "format", "licence", "rights", "no_training")
_LICENCES = {"/licenses/": "CC", "/publicdomain/zero/": "CC0", "/publicdomain/mark/": "public domain"}


def examine(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray | None, dict[str, Any], str | None]:
    """A picture uint8 [H, W, 3] from a file's bytes, what is known of it, and the reason why it cannot be used.

    The facts: sha256 of the bytes, width and height in pixels, format, and what the metadata says of rights. Rights are
    read first, as whatever is made from the pixels later has lost them.
    """
    facts: dict[str, Any] = dict.fromkeys(_COLUMNS)
    facts["sha256"] = hashlib.sha256(data).hexdigest()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        return None, facts, "too many pixels"
    except Image.UnidentifiedImageError:
        return None, facts, "not a picture"
    except Exception:  # what Pillow's parsers raise on foreign bytes is not documented
        return None, facts, "damaged"
    facts |= {"width": image.width, "height": image.height, "format": image.format}
    if image.width * image.height > max_pixels:
        return None, facts, "too many pixels"
    facts |= rights_of(image)
    try:
        return read_picture(data, max_pixels=max_pixels), facts, None
    except PictureError:
        return None, facts, "damaged"


def rights_of(image: Image.Image) -> dict[str, Any]:
    """What an opened picture's XMP and IPTC say: `licence` ("CC BY 4.0", …), `rights` (a notice), `no_training`.

    Nothing in a stranger's metadata raises an error; what cannot be read says nothing.
    """
    found: dict[str, Any] = {"licence": None, "rights": None, "no_training": False}
    try:
        told = dict(_flat(image.getxmp()))
    except Exception:  # the packet is a stranger's XML, or none
        told = {}
    for name, value in told.items():
        if name in ("license", "WebStatement") and not found["licence"]:
            found["licence"] = _licence(value)
        elif name == "DataMining":
            found["no_training"] = found["no_training"] or "PROHIBITED" in value
        elif name == "rights":
            found["rights"] = value[:300]
    if image.format == "JPEG" and not found["rights"]:
        try:
            from PIL.IptcImagePlugin import getiptcinfo

            notice = (getiptcinfo(image) or {}).get((2, 116))
        except Exception:
            notice = None
        if isinstance(notice, bytes):
            found["rights"] = notice.decode("utf-8", "replace").replace("\0", "")[:300]
    return found


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """The names and texts in a packet as Pillow gives it, nested in dictionaries and lists; the innermost real name."""
    if isinstance(value, dict):
        return [
            pair
            for key, inner in value.items()
            for pair in _flat(inner, name if key in ("Alt", "Seq", "Bag", "li", "text", "resource") else key)
        ]
    if isinstance(value, list):
        return [pair for inner in value for pair in _flat(inner, name)]
    return [(name, value.encode("utf-8", "replace").decode().replace("\0", ""))] if isinstance(value, str) else []


def _licence(url: str) -> str | None:
    if "creativecommons.org" not in url:
        return None
    for part, name in _LICENCES.items():
        if part in url:
            words = url.partition(part)[2].strip("/").split("/")
            return f"CC {words[0].upper()} {words[1]}" if name == "CC" and len(words) > 1 else name
    return None


def perceptual_hash(picture: np.ndarray) -> int:
    """64 bits that stay nearly the same when a picture is resized or recompressed (imagehash's phash, by a DCT)."""
    import imagehash

    bits = imagehash.phash(Image.fromarray(picture)).hash.ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def picture_step(
    table: pa.Table,
    read: Read,
    least_bytes: int = 1_000,
    least_side: int = 48,
    longest: float = 3.0,
    honour: tuple[str, ...] = ("file",),
) -> pa.Table:
    """Add the facts and the perceptual hash of each picture; drop those that cannot be opened, or are too small.

    read: the bytes of a picture by the table's `offset` and `length`. `longest`: the greatest ratio of the sides.
    Pictures whose own metadata forbids training are dropped if "file" is in `honour`.
    """
    columns: dict[str, list[Any]] = {name: [] for name in (*_COLUMNS, "drop")}
    for offset, length in zip(table["offset"].to_pylist(), table["length"].to_pylist(), strict=True):
        if length < least_bytes:
            facts, reason = dict.fromkeys(_COLUMNS), f"under {least_bytes} bytes"
        else:
            picture, facts, reason = examine(read(offset, length))
            if picture is not None:
                sides = sorted(picture.shape[:2])
                if sides[0] < least_side:
                    reason = f"under {least_side} pixels"
                elif sides[1] > longest * sides[0]:
                    reason = "too long a shape"
                elif facts["no_training"] and "file" in honour:
                    reason = "no training, by its metadata"
                facts["phash"] = perceptual_hash(picture)
        for name in _COLUMNS:
            columns[name].append(facts[name])
        columns["drop"].append(reason)
    return with_columns(table, **columns)
