"""Pictures: the photographs that come with scikit-image, and safe reading of anybody's own."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image, ImageOps

if TYPE_CHECKING:
    import torch

MAX_PIXELS = 64_000_000  # the largest phone pictures have 50 million; as RGB this is 192 MB
MAX_BYTES = 128 * 2**20
# Pillow knows more formats; EPS among them starts another program, and the rest are no photographs.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")


class PictureError(ValueError):
    """A picture that cannot be read; the message is one sentence with the name, the reason and the remedy."""


@dataclass(frozen=True)
class Photo:
    """A photograph inside the scikit-image package, with what its documentation says about it."""

    file: str
    title: str
    source: str
    licence: str


PHOTOS: Mapping[str, Photo] = MappingProxyType(
    {
        "cat": Photo("chelsea.png", "Chelsea the cat", "Stefan van der Walt", "CC0"),
        "coffee": Photo("coffee.png", "Coffee cup", "Rachel Michetti, courtesy of Pikolo Espresso Bar", "CC0"),
        "astronaut": Photo(
            "astronaut.png", "The astronaut Eileen Collins", "NASA Great Images database", "public domain"
        ),
        "rocket": Photo("rocket.jpg", "Launch of DSCOVR on a Falcon 9", "SpaceX Photos", "public domain"),
        "camera": Photo("camera.png", "Photographer with a camera (greyscale)", "Lav Varshney", "CC0"),
        "coins": Photo(
            "coins.png",
            "Greek coins from Pompeii (greyscale)",
            "Brooklyn Museum Collection",
            "no known copyright restrictions",
        ),
        "clock": Photo(
            "clock_motion.png", "Wall clock, motion-blurred (greyscale)", "Stefan van der Walt", "public domain"
        ),
        "brick": Photo("brick.png", "Brick wall (greyscale)", "CC0Textures, Bricks25", "CC0"),
        "grass": Photo("grass.png", "Grass (greyscale)", "linolafett on DeviantArt", "CC0"),
        "hubble": Photo("hubble_deep_field.jpg", "Hubble eXtreme Deep Field", "NASA, HubbleSite", "public domain"),
        "retina": Photo("retina.jpg", "Human retina", "Mikael Häggström, Wikimedia Commons", "CC0"),
    }
)


def photo(name: str) -> np.ndarray:
    """Return a photograph of `PHOTOS` as uint8 [H, W, 3] in 0..255; greyscale ones have three equal channels.

    The file is read from the installed scikit-image package, so this never uses the network.
    Raises PictureError if the name is unknown or the file is not in the package.
    """
    if name not in PHOTOS:
        raise PictureError(f"There is no photograph {name!r}: choose one of {', '.join(PHOTOS)}.")
    import skimage

    return read_picture(Path(skimage.__file__).parent / "data" / PHOTOS[name].file)


def read_picture(
    source: str | os.PathLike[str] | bytes | memoryview | BinaryIO, *, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Read a picture from a path, from bytes or from an open binary file, as uint8 [H, W, 3], RGB in 0..255.

    Any mode is converted: palette, 1-bit, grey, CMYK, Lab; transparency is laid on white; the rotation that a camera
    notes in EXIF is applied; of an animation the first frame is taken. Greyscale deeper than 8 bits is scaled by its
    white: 65535 for 16 bits; otherwise the smallest of 1 (float only), 255 and 65535 that no value exceeds; with
    values below 0 or above that, the smallest becomes black and the largest white. Colour profiles are not applied.

    Raises PictureError, one sentence each, for a missing file, a folder, an empty or too large file, something that
    is no picture, a truncated or damaged one, and one of more than `max_pixels` pixels.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decode(bytes(source), "The picture", max_pixels)
    if hasattr(source, "read"):
        return _decode(source.read(MAX_BYTES + 1), f"The picture {getattr(source, 'name', '')}".strip(), max_pixels)
    path = Path(source)
    name = f"The picture {path.name!r}"
    try:
        if path.is_dir():
            raise PictureError(f"{name} is a folder: give the path of one picture in it.")
        if path.exists() and not path.is_file():  # a pipe or a device could keep us waiting for ever
            raise PictureError(f"{name} is not an ordinary file: give the path of a picture file.")
        with path.open("rb") as file:
            return _decode(file.read(MAX_BYTES + 1), name, max_pixels)
    except FileNotFoundError:
        raise PictureError(
            f"{name} was not found: check its path; relative paths start at {Path.cwd().name!r}."
        ) from None
    except OSError as error:
        raise PictureError(f"{name} cannot be opened ({error.strerror or error}): check the file's rights.") from error


def from_upload(value: Sequence[Mapping], *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read the first picture in the `value` of an `ipywidgets.FileUpload` (version 8); see `read_picture`.

    Raises PictureError if nothing was uploaded yet, or as `read_picture` does.
    """
    if not value:
        raise PictureError("Nothing was uploaded yet: press the upload button, choose a picture, run this cell again.")
    return _decode(bytes(value[0]["content"]), f"The picture {value[0]['name']!r}", max_pixels)


def centre_square(picture: np.ndarray, side: int) -> np.ndarray:
    """Cut the largest centred square from uint8 [H, W, 3] and resize it (bicubic, antialiased) to [side, side, 3]."""
    check_picture(picture)
    height, width = picture.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    square = Image.fromarray(picture[top : top + edge, left : left + edge])
    return np.array(square.resize((side, side), Image.Resampling.BICUBIC))


def to_tensor(picture: np.ndarray) -> torch.Tensor:
    """Turn uint8 [H, W, 3] in 0..255 into float32 [3, H, W] in [0, 1]. Raises ValueError on another shape or dtype."""
    import torch

    check_picture(picture)
    return torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32) / 255)


def to_picture(tensor: torch.Tensor) -> np.ndarray:
    """Turn float [3, H, W] in [0, 1] into uint8 [H, W, 3], rounded to the nearest level.

    Values up to half a level (1/510) outside [0, 1] round to 0 or 255; beyond that, or NaN, ValueError is raised.
    """
    if tensor.ndim != 3 or tensor.shape[0] != 3 or not tensor.is_floating_point():
        raise ValueError(
            f"to_picture needs a float tensor of shape [3, H, W], not {tensor.dtype} {list(tensor.shape)}: "
            "pick one picture of a batch, or make grey ones three equal channels."
        )
    values = tensor.detach().cpu().double().numpy()
    if not (np.isfinite(values).all() and (abs(values - 0.5) <= 0.5 + 1 / 510).all()):
        raise ValueError(
            f"to_picture needs values in [0, 1], and these run from {values.min():.4g} to {values.max():.4g}: "
            "scale or clip them first."
        )
    return np.ascontiguousarray((values * 255).round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


def check_picture(picture: np.ndarray) -> None:
    """Raise ValueError unless `picture` is a uint8 array of shape [H, W, 3]."""
    if not (
        isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    ):
        found = f"{picture.dtype} {list(picture.shape)}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise ValueError(
            f"A picture is a uint8 array of shape [H, W, 3], not {found}: read_picture and photo give one."
        )


def _decode(data: bytes, name: str, max_pixels: int) -> np.ndarray:
    if not data:
        raise PictureError(f"{name} is empty (0 bytes): save or upload it again.")
    if len(data) > MAX_BYTES:
        raise PictureError(f"{name} has more than {MAX_BYTES >> 20} MB: save it smaller and try again.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large and odd files; the checks below decide
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            if image.width * image.height > max_pixels:
                raise Image.DecompressionBombError
            ImageOps.exif_transpose(image, in_place=True)
            return _to_rgb(image)
    except Image.DecompressionBombError:
        raise PictureError(
            f"{name} has more than {max_pixels:,} pixels when unpacked: make it smaller and try again."
        ) from None
    except Image.UnidentifiedImageError:
        raise PictureError(f"{name} is not a picture that can be read here: save it as PNG or JPEG.") from None
    except Exception as error:  # what a decoder raises on damaged data is not documented and varies with the format
        raise PictureError(f"{name} is damaged or cut short ({error}): save or download it again.") from error


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float32)
        if not np.isfinite(values).all():
            raise ValueError("some pixels are NaN or infinite")
        low, high = float(values.min()), float(values.max())
        whites = {"F": (1, 255, 65535), "I": (255, 65535)}.get(image.mode, (65535,))
        if image.mode == "I" and image.format == "PPM":  # a 16-bit PGM, already scaled to 65535 by Pillow
            whites = (65535,)
        black, white = next(((0, w) for w in whites if low >= 0 and high <= w), (low, high))
        grey = ((values - black) * (255 / (white - black or 1))).round().astype(np.uint8)
        if isinstance(transparent := image.info.get("transparency"), int):
            grey[values == transparent] = 255
        return np.stack([grey] * 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"))
