"""Photographs come without a network; a user's own picture is read rightly or refused with a sentence."""

from __future__ import annotations

import inspect
import io
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import zlib
from datetime import UTC, datetime

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from helpers.worlds.photographs import (
    MAX_BYTES,
    PHOTOS,
    PictureError,
    centre_square,
    from_upload,
    photo,
    read_picture,
    to_picture,
    to_tensor,
)


def encode(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def difference(a: np.ndarray, b: np.ndarray) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.fixture(scope="module")
def cat() -> np.ndarray:
    """A small piece of the cat, higher than wide, so that a swapped axis is seen."""
    return np.ascontiguousarray(photo("cat")[60:140, 100:164])


# --- photographs -------------------------------------------------------------------------------------------------

# The function of skimage.data that documents each file, and words of its text that back what PHOTOS says.
DOCUMENTED = {
    "cat": ("chelsea", "Chelsea the cat", "Stefan van der Walt", "CC0"),
    "coffee": ("coffee", "Coffee cup", "Pikolo Espresso Bar", "Rachel Michetti", "CC0"),
    "astronaut": ("astronaut", "Eileen Collins", "NASA Great Images database", "public domain"),
    "rocket": ("rocket", "DSCOVR on Falcon 9", "SpaceX Photos", "public domain"),
    "camera": ("camera", "camera", "Lav Varshney", "CC0"),
    "coins": ("coins", "Greek coins from Pompeii", "Brooklyn Museum", "No known copyright restrictions"),
    "clock": ("clock", "Motion blurred clock", "Stefan van der Walt", "public domain"),
    "brick": ("brick", "Brick wall", "CC0Textures", "Bricks25", "CC0"),
    "grass": ("grass", "Grass", "DeviantArt", "linolafett", "CC0"),
    "hubble": ("hubble_deep_field", "Hubble eXtreme Deep Field", "NASA", "HubbleSite", "public domain"),
    "retina": ("retina", "Human retina", "Häggström", "CC0"),
}


@pytest.mark.parametrize("name", PHOTOS)
def test_a_photograph_is_the_one_that_scikit_image_documents(name, monkeypatch):
    import skimage.data

    def forbidden(*_, **__):
        pytest.fail("the network was used")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    monkeypatch.setattr("skimage.data._fetchers._image_fetcher", None)  # without it nothing can be downloaded
    picture = photo(name)
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3 and picture.flags.writeable
    function, *words = DOCUMENTED[name]
    original = getattr(skimage.data, function)()
    expected = np.stack([original] * 3, axis=2) if original.ndim == 2 else original
    assert np.array_equal(picture, expected)
    text = " ".join(inspect.getsource(getattr(skimage.data, function)).split())
    assert all(word in text for word in words)
    assert words[-1].lower() == PHOTOS[name].licence.lower()


def test_an_unknown_photograph_is_refused():
    with pytest.raises(PictureError, match=r"no photograph 'dog': choose one of cat, coffee, "):
        photo("dog")


def test_helpers_are_light_to_import():
    heavy = "torch", "torchvision", "skimage", "scipy", "matplotlib"
    program = f"import sys, helpers.worlds.photographs; print([m for m in {heavy!r} if m in sys.modules])"
    light = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert light.stdout.strip() == "[]"
    program = "import sys, helpers.weights.pretrained, helpers.worlds.imagenet; print('torchvision' in sys.modules)"
    light = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert light.stdout.strip() == "False"


# --- modes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("PPM", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG2000", {}, 0),
        ("JPEG", {"quality": 95, "subsampling": 0}, 16),
        ("JPEG", {"quality": 95, "subsampling": 0, "progressive": True}, 16),
        ("AVIF", {"quality": 95, "subsampling": "4:4:4"}, 24),
    ],
)
def test_formats_and_sources_agree(cat, tmp_path, kind, options, tolerance):
    data = encode(Image.fromarray(cat), kind, **options)
    picture = read_picture(data)
    assert picture.dtype == np.uint8 and difference(picture, cat) <= tolerance
    path = tmp_path / "Bild mit Ümlaut"
    path.write_bytes(data)
    with path.open("rb") as file:
        for source in (str(path), path, memoryview(data), bytearray(data), io.BytesIO(data), file):
            assert np.array_equal(read_picture(source), picture)


def test_grey_and_one_bit(cat):
    grey = Image.fromarray(cat).convert("L")
    for image in (grey, grey.convert("1")):
        expected = np.stack([np.asarray(image).astype(np.uint8) * (255 if image.mode == "1" else 1)] * 3, axis=2)
        assert np.array_equal(read_picture(encode(image, "PNG")), expected)


def test_palette_with_transparency_lies_on_white():
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    assert read_picture(encode(image, "PNG")).tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]
    for kind in ("PNG", "GIF"):
        found = read_picture(encode(image, kind, transparency=1))
        assert found.tolist() == [[[255, 0, 0], [255, 255, 255], [0, 0, 255]]]
    half = read_picture(encode(image, "PNG", transparency=bytes([255, 128, 0])))
    assert half.tolist() == [[[255, 0, 0], [127, 255, 127], [255, 255, 255]]]


def test_alpha_lies_on_white():
    rgba = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [0, 0, 0, 51]]], np.uint8)
    expected = [[[200, 100, 0], [255, 255, 255], [204, 204, 204]]]
    for kind, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})):
        assert read_picture(encode(Image.fromarray(rgba), kind, **options)).tolist() == expected
    la = Image.fromarray(np.array([[[100, 255], [100, 0], [0, 51]]], np.uint8), "LA")
    assert read_picture(encode(la, "PNG")).tolist() == [[[100] * 3, [255] * 3, [204] * 3]]
    rgb = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    assert read_picture(encode(rgb, "PNG", transparency=(1, 2, 3))).tolist() == [[[255] * 3, [4, 5, 6]]]


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG (PNG specification, section 5.3)."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png16(values: list[int], transparent: int | None = None) -> bytes:
    """A greyscale PNG of one row with 16 bits a pixel, which Pillow cannot write with transparency."""
    header = struct.pack(">IIBBBBB", len(values), 1, 16, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" + struct.pack(f">{len(values)}H", *values))
    see_through = chunk(b"tRNS", struct.pack(">H", transparent)) if transparent is not None else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + see_through + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_sixteen_bits_are_scaled_and_not_cut():
    values = [0, 128, 129, 257, 32896, 65278, 65535]
    expected = [0, 0, 1, 1, 128, 254, 255]
    assert read_picture(png16(values))[0, :, 0].tolist() == expected
    assert read_picture(png16(values, transparent=257))[0, :, 1].tolist() == [0, 0, 1, 255, 128, 254, 255]
    pgm = b"P5 7 1 65535\n" + struct.pack(">7H", *values)
    assert read_picture(pgm)[0, :, 2].tolist() == expected
    dark = b"P5 2 1 65535\n" + struct.pack(">2H", 0, 255)  # dark is dark, not 8 bits
    assert read_picture(dark)[0, :, 0].tolist() == [0, 1]
    for order in ("<u2", ">u2"):
        image = Image.fromarray(np.array([values], np.uint16).astype(order))
        assert read_picture(encode(image, "TIFF"))[0, :, 0].tolist() == expected


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([0, 100, 255], np.int32, [0, 100, 255]),
        ([0, 256, 65535], np.int32, [0, 1, 255]),
        ([-100, -50, 100], np.int32, [0, 64, 255]),
        ([0, 250_000, 1_000_000], np.int32, [0, 64, 255]),
        ([-5, -5, -5], np.int32, [0, 0, 0]),
        ([0, 0.25, 1], np.float32, [0, 64, 255]),
        ([0, 100, 255], np.float32, [0, 100, 255]),
        ([-1, -0.5, 1], np.float32, [0, 64, 255]),
    ],
)
def test_deeper_greys_are_scaled_by_their_white(values, dtype, expected):
    data = encode(Image.fromarray(np.array([values], dtype)), "TIFF")
    assert read_picture(data)[0, :, 0].tolist() == expected


def test_a_float_picture_with_nan_is_refused():
    data = encode(Image.fromarray(np.array([[0, np.nan]], np.float32)), "TIFF")
    with pytest.raises(PictureError, match="NaN"):
        read_picture(data)


def test_cmyk_and_lab(cat):
    image = Image.fromarray(cat)
    cmyk = image.convert("CMYK")
    assert difference(read_picture(encode(cmyk, "TIFF")), np.array(cmyk.convert("RGB"))) == 0
    assert difference(read_picture(encode(cmyk, "JPEG", quality=95)), cat) <= 40
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")
    assert difference(read_picture(encode(converted, "TIFF")), cat) <= 8  # Lab in 8 bits is that coarse


TURNS = {  # how the stored rows and columns become upright, by the number in EXIF (CIPA DC-008, orientation)
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_the_camera_s_rotation_is_applied(cat, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    for kind in ("PNG", "JPEG", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        stored = np.array(Image.open(io.BytesIO(encode(Image.fromarray(cat), kind, exif=exif, **options))))
        found = read_picture(encode(Image.fromarray(cat), kind, exif=exif, **options))
        assert np.array_equal(found, TURNS[orientation](stored))


def test_of_an_animation_the_first_frame_is_taken():
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime")]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert (read_picture(data) == [255, 0, 0]).all()


def test_two_pictures_in_one_jpeg_as_phones_write_them(cat):
    image = Image.fromarray(cat)
    data = encode(image, "MPO", save_all=True, append_images=[image.rotate(180)])
    assert Image.open(io.BytesIO(data)).format == "MPO"
    assert difference(read_picture(data), cat) <= 100


# --- what is refused ---------------------------------------------------------------------------------------------


def test_what_lies_at_the_path(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("I am no picture.")
    (tmp_path / "folder.png").mkdir()
    for name, words in {
        "absent.png": "was not found: check its path",
        "empty.png": r"is empty \(0 bytes\)",
        "text.png": "is not a picture that can be read here: save it as PNG or JPEG",
        "folder.png": "is a folder",
        "text.png/inside.png": "cannot be opened|was not found",
    }.items():
        with pytest.raises(PictureError, match=f"^The picture '{name.rpartition('/')[2]}' ({words})") as caught:
            read_picture(tmp_path / name)
        assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
        assert str(tmp_path) not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    said = []

    def read() -> None:
        try:
            read_picture(tmp_path / "pipe.png")
        except PictureError as error:
            said.append(str(error))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(20)
    assert said and "'pipe.png' is not an ordinary file" in said[0]


@pytest.mark.parametrize(
    "data", [b"%PDF-1.7\n", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"\0" * 500, b"<svg/>"]
)
def test_other_kinds_of_file_are_refused(data):
    with pytest.raises(PictureError, match=r"^The picture is not a picture that can be read here"):
        read_picture(data)


def header_only(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"never unpacked")


def test_decompression_bombs_are_refused_by_their_header(cat):
    for side in (8_001, 12_000, 60_000, 2**31 - 1):  # above our limit, above each of Pillow's two, the largest
        with pytest.raises(PictureError, match="more than 64,000,000 pixels"):
            read_picture(header_only(side, side))
    data = encode(Image.fromarray(cat), "PNG")
    assert read_picture(data, max_pixels=cat[..., 0].size).shape == cat.shape
    with pytest.raises(PictureError, match=f"more than {cat[..., 0].size - 1:,} pixels"):
        read_picture(data, max_pixels=cat[..., 0].size - 1)


def test_an_endless_file_is_refused():
    class Endless(io.RawIOBase):
        def read(self, size=-1):
            assert 0 <= size <= MAX_BYTES + 1, "all of an endless file was asked for"
            return bytes(size)

    with pytest.raises(PictureError, match="has more than 128 MB"):
        read_picture(Endless())


def variants(cat: np.ndarray) -> dict[str, bytes]:
    image = Image.fromarray(cat)
    return {
        "PNG": encode(image, "PNG"),
        "palette PNG": encode(image.quantize(16), "PNG", transparency=3),
        "16-bit PNG": png16(list(range(0, 60_000, 100))),
        "JPEG": encode(image, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"),
        "progressive JPEG": encode(image, "JPEG", progressive=True),
        "CMYK JPEG": encode(image.convert("CMYK"), "JPEG"),
        "GIF": encode(image, "GIF", save_all=True, append_images=[image.rotate(180)]),
        "BMP": encode(image, "BMP"),
        "TIFF": encode(image, "TIFF"),
        "LZW TIFF": encode(image, "TIFF", compression="tiff_lzw"),
        "WEBP": encode(image, "WEBP"),
        "PPM": encode(image, "PPM"),
        "JPEG2000": encode(image, "JPEG2000"),
        "AVIF": encode(image, "AVIF"),
    }


@pytest.mark.parametrize("kind", variants(np.zeros((8, 8, 3), np.uint8)))
def test_a_truncated_picture_is_whole_or_refused_and_damage_never_escapes(cat, kind):
    data = variants(cat)[kind]
    whole = read_picture(data)
    generator = random.Random(0)
    refused = 0
    for keep in [
        *range(1, 120),
        *(generator.randrange(len(data)) for _ in range(80)),
        *range(len(data) - 20, len(data)),
    ]:
        try:
            assert np.array_equal(read_picture(data[:keep]), whole), f"the first {keep} bytes gave half a picture"
        except PictureError as error:
            refused += 1
            assert str(error).endswith(".")
    assert refused >= 119
    for _ in range(200):
        damaged = bytearray(data)
        for _ in range(generator.choice([1, 3, 10])):
            damaged[generator.randrange(min(len(data), generator.choice([60, 400, len(data)])))] = generator.randrange(
                256
            )
        try:
            picture = read_picture(bytes(damaged))
            assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
        except PictureError:
            pass


# --- uploads and tensors -----------------------------------------------------------------------------------------


def test_an_uploaded_picture(cat):
    from ipywidgets import FileUpload

    widget = FileUpload(accept="image/*")
    with pytest.raises(PictureError, match="Nothing was uploaded yet"):
        from_upload(widget.value)

    def upload(name: str, data: bytes) -> None:
        entry = {"name": name, "type": "image/png", "size": len(data), "last_modified": datetime.now(UTC)}
        widget.value = ({**entry, "content": memoryview(data)},)

    upload("cat.png", encode(Image.fromarray(cat), "PNG"))
    assert np.array_equal(from_upload(widget.value), cat)
    upload("notes.png", b"no picture")
    with pytest.raises(PictureError, match=r"^The picture 'notes\.png' is not a picture"):
        from_upload(widget.value)
    upload("nothing.png", b"")
    with pytest.raises(PictureError, match=r"^The picture 'nothing\.png' is empty"):
        from_upload(widget.value)


def test_tensors_and_back(cat):
    tensor = to_tensor(cat)
    assert tensor.shape == (3, 80, 64) and tensor.dtype == torch.float32
    assert tensor[2, 7, 5] == pytest.approx(cat[7, 5, 2] / 255)
    assert np.array_equal(to_picture(tensor), cat)
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    levels = np.stack([levels] * 3, axis=2)
    for dtype in (torch.float16, torch.float32, torch.float64):
        assert np.array_equal(to_picture(to_tensor(levels).to(dtype)), levels)
    assert (
        to_picture(torch.full((3, 1, 1), 1.001)).max() == 255 and to_picture(torch.full((3, 1, 1), -0.001)).max() == 0
    )
    assert np.array_equal(to_picture(tensor.clone().requires_grad_()), cat)


def test_tensors_out_of_shape_or_range_are_refused(cat):
    good = to_tensor(cat)
    for bad, words in [
        (good * 255, r"values in \[0, 1\], and these run from .* to "),
        (good - 0.5, r"values in \[0, 1\]"),
        (good * float("nan"), "from nan to nan"),
        (good[None], r"\[1, 3, 80, 64\]: pick one"),
        (good[:1], r"\[1, 80, 64\]"),
        (good.to(torch.uint8), "torch.uint8"),
    ]:
        with pytest.raises(ValueError, match=words):
            to_picture(bad)
    for bad, words in [
        (cat / 255, "float64"),
        (cat[..., 0], r"\[80, 64\]"),
        (cat.transpose(2, 0, 1), r"\[3, 80, 64\]"),
        ([[1]], "not list"),
    ]:
        with pytest.raises(ValueError, match=rf"uint8 array of shape \[H, W, 3\], not .*{words.removeprefix('not ')}"):
            to_tensor(bad)


def test_the_centre_square():
    picture = np.zeros((4, 9, 3), np.uint8)
    picture[:, 2:6] = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert np.array_equal(centre_square(picture, 4), picture[:, 2:6])
    assert np.array_equal(centre_square(picture.transpose(1, 0, 2), 4), picture[:, 2:6].transpose(1, 0, 2))
    assert centre_square(photo("cat"), 227).shape == (227, 227, 3)
    with pytest.raises(ValueError, match="uint8 array"):
        centre_square(picture / 255, 4)
