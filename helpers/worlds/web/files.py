"""The bytes of the miniature web's pictures: encoded, changed as re-hosters change them, marked, with rights inside."""

from __future__ import annotations

import io
import struct
import zlib
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# What a re-hoster does to a picture.
CHANGES = ("exact", "recompressed", "resized", "cropped", "mirrored")
FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
CC_BY, CC0 = "https://creativecommons.org/licenses/by/4.0/", "https://creativecommons.org/publicdomain/zero/1.0/"
# The value with which a picture's own metadata forbids training: PLUS property "Data Mining", in IPTC Photo Metadata
# Standard 2023.1.
NO_TRAINING = "http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED-AIMLTRAINING"
RIGHTS = ("", "CC BY 4.0", "CC0", "all rights reserved", "no training")


def changed(picture: np.ndarray, change: str) -> np.ndarray:
    """A picture uint8 [H, W, 3] as a re-hoster shows it; "exact" and "recompressed" leave the pixels to the encoder.

    "resized" has 3/4 of the side, "cropped" loses a sixteenth at each edge. Raises ValueError for another change.
    """
    if change not in ("", *CHANGES):
        raise ValueError(f"change: {change!r} is not one of {', '.join(CHANGES)}")
    height, width = picture.shape[:2]
    if change == "resized":
        small = Image.fromarray(picture).resize((width * 3 // 4, height * 3 // 4), Image.Resampling.LANCZOS)
        return np.asarray(small)
    if change == "cropped":
        top, left = height // 16, width // 16
        return picture[top : height - top, left : width - left]
    return picture[:, ::-1] if change == "mirrored" else picture


def with_watermark(picture: np.ndarray, text: str) -> np.ndarray:
    """`picture` with `text` laid over it in three half-transparent rows, as picture agencies do."""
    image = Image.fromarray(picture).convert("RGBA")
    veil = Image.new("RGBA", image.size)
    pen, font = ImageDraw.Draw(veil), ImageFont.load_default(max(9, image.height // 9))
    for row in range(3):
        place = (image.width * (0.02 + 0.06 * row), image.height * (0.12 + 0.3 * row))
        pen.text(place, text, fill=(255, 255, 255, 150), font=font, stroke_width=1, stroke_fill=(0, 0, 0, 90))
    return np.asarray(Image.alpha_composite(image, veil).convert("RGB"))


def with_warning(picture: np.ndarray) -> np.ndarray:
    """`picture` under a warning sign: the harmless stand-in for what a safety filter is to find."""
    image = Image.fromarray(picture)
    pen, side = ImageDraw.Draw(image), min(image.size)
    x, y, r = image.width / 2, image.height / 2, side * 0.42
    corners = [(x, y - r), (x + r, y + 0.8 * r), (x - r, y + 0.8 * r)]
    pen.polygon(corners, fill=(255, 204, 0), outline=(20, 20, 20), width=max(2, side // 24))
    pen.rectangle((x - r / 10, y - r / 3, x + r / 10, y + r / 4), fill=(20, 20, 20))
    pen.ellipse((x - r / 9, y + 0.38 * r, x + r / 9, y + 0.6 * r), fill=(20, 20, 20))
    return np.asarray(image)


def xmp(rights: str, holder: str) -> bytes:
    """An XMP packet that tells a licence (CC BY 4.0, CC0) or forbids training, in the properties made for it."""
    url = {"CC BY 4.0": CC_BY, "CC0": CC0}.get(rights)
    licence = f" cc:license={quoteattr(url)} xmpRights:WebStatement={quoteattr(url)}" if url else ""
    mining = f" plus:DataMining={quoteattr(NO_TRAINING)}" if rights == "no training" else ""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:cc="http://creativecommons.org/ns#"'
        ' xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/" xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/"'
        f'{licence}{mining}><dc:rights><rdf:Alt><rdf:li xml:lang="x-default">{escape(f"© {holder}")}</rdf:li>'
        '</rdf:Alt></dc:rights></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def iptc(notice: str) -> bytes:
    """A JPEG segment (APP13) whose IPTC record 2:116, "Copyright Notice", holds `notice`."""
    text = notice.encode()
    # 1:90 says that the text is UTF-8.
    records = b"\x1c\x01\x5a\x00\x03\x1b%G" + b"\x1c\x02\x74" + struct.pack(">H", len(text)) + text
    block = b"8BIM\x04\x04\x00\x00" + struct.pack(">I", len(records)) + records + b"\x00" * (len(records) % 2)
    body = b"Photoshop 3.0\x00" + block
    return b"\xff\xed" + struct.pack(">H", len(body) + 2) + body


def encoded(picture: np.ndarray, extension: str, quality: int = 85, rights: str = "", holder: str = "") -> bytes:
    """A picture uint8 [H, W, 3] as a file: "jpg", "png" or "webp", with `rights` (one of RIGHTS) in its metadata.

    "all rights reserved" goes into IPTC, which only JPEG carries; the other rights go into XMP.
    Raises ValueError for unknown rights or an unknown extension.
    """
    if rights not in RIGHTS or extension not in FORMATS:
        raise ValueError(f"rights {rights!r} or extension {extension!r}: not among {RIGHTS} and {tuple(FORMATS)}")
    buffer, image = io.BytesIO(), Image.fromarray(np.ascontiguousarray(picture))
    packet = xmp(rights, holder) if rights and rights != "all rights reserved" else None
    if extension == "png":
        from PIL.PngImagePlugin import PngInfo

        text = PngInfo()
        if packet:
            text.add_itxt("XML:com.adobe.xmp", packet.decode())
        image.save(buffer, "PNG", pnginfo=text)
        return buffer.getvalue()
    options = {"quality": quality} | ({"xmp": packet} if packet else {})
    if extension == "jpg" and rights == "all rights reserved":
        options["extra"] = iptc(f"© {holder}. All rights reserved.")
    image.save(buffer, FORMATS[extension], **options)
    return buffer.getvalue()


PIXEL = (  # a transparent GIF of one pixel, as trackers use it
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00"
    b"\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)


def picture_bomb(side: int = 60_000) -> bytes:
    """A PNG of a few hundred bytes that claims `side` × `side` pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"tEXt", b"Comment\x00" + b"no pixels follow. " * 100)
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IDAT", zlib.compress(bytes(10_000))) + chunk(b"IEND", b"")


def damaged(data: bytes) -> bytes:
    """A PNG or JPEG whose middle is overwritten: decoders stumble over it after a good start."""
    middle = len(data) // 2
    return data[:middle] + b"\xff" * 64 + data[middle + 64 :]
