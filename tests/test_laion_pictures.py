"""Pictures are opened by the one reader, refused by reason, and recognised again after what re-hosters do to them."""

from __future__ import annotations

import hashlib
import io
import random

import imagehash
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers.laion.duplicates import FLAT, exact_step, hamming_distance, look_step, parts
from helpers.laion.pictures import examine, perceptual_hash, picture_step
from helpers.worlds.photographs import read_picture
from helpers.worlds.web.files import CHANGES, PIXEL, changed, damaged, encoded, picture_bomb, with_watermark
from tests.laion_web import picture, pixels


def test_a_picture_is_the_one_readers_and_its_facts_are_true() -> None:
    data = picture(1, "png")
    found, facts, reason = examine(data)
    assert reason is None and np.array_equal(found, read_picture(data)) and np.array_equal(found, pixels(1))
    assert facts["sha256"] == hashlib.sha256(data).hexdigest()
    assert (facts["width"], facts["height"], facts["format"]) == (96, 96, "PNG")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a picture"),
        (b"<html>" * 400, "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n" * 40, "not a picture"),  # would start another program
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>" * 40, "not a picture"),
        (picture_bomb(), "too many pixels"),
        (picture_bomb(5_000), "too many pixels"),
        (picture_bomb(1_000), "damaged"),
        (picture(1)[:900], "damaged"),
        (damaged(picture(1, "png")), "damaged"),
    ],
)
def test_what_is_no_picture_has_its_reason(data: bytes, reason: str) -> None:
    found, facts, why = examine(data)
    assert found is None and why == reason and facts["sha256"] == hashlib.sha256(data).hexdigest()


def test_no_bytes_stop_the_reader() -> None:
    rng, read = random.Random(0), 0
    sources = [picture(1, kind, size=48, rights="CC0", holder="x") for kind in ("jpg", "png", "webp")]
    for number in range(300):
        data = bytearray(sources[number % 3])
        for _ in range(rng.randint(1, 5)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        found, _, reason = examine(bytes(data[: rng.choice([len(data), len(data), rng.randrange(len(data))])]))
        assert (found is None) == (reason is not None)
        read += found is not None
    assert 20 < read < 280


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
@pytest.mark.parametrize(
    ("rights", "licence", "no_training"),
    [("CC BY 4.0", "CC BY 4.0", False), ("CC0", "CC0", False), ("no training", None, True)],
)
def test_rights_in_a_file_are_read(kind: str, rights: str, licence: str | None, no_training: bool) -> None:
    _, facts, _ = examine(picture(1, kind, rights=rights, holder='A & "B"'))
    assert (facts["licence"], facts["no_training"]) == (licence, no_training)
    assert facts["rights"] == '© A & "B"'
    _, facts, _ = examine(picture(1, kind))
    assert (facts["licence"], facts["rights"], facts["no_training"]) == (None, None, False)


def test_a_copyright_notice_in_iptc_is_read_and_lost_when_the_picture_is_saved_again() -> None:
    data = picture(1, rights="all rights reserved", holder="Müller")
    found, facts, _ = examine(data)
    assert facts["rights"] == "© Müller. All rights reserved."
    assert examine(encoded(found, "jpg"))[1]["rights"] is None


@pytest.mark.parametrize("packet", [b"<x", b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", b"\xff" * 50, b"<x:xmpmeta/>"])
def test_foreign_metadata_is_no_danger(packet: bytes) -> None:
    buffer = io.BytesIO()
    Image.fromarray(pixels(1)).save(buffer, "JPEG", xmp=packet)
    found, facts, reason = examine(buffer.getvalue())
    assert found is not None and reason is None and facts["no_training"] is False


def test_the_step_drops_by_reason() -> None:
    wide = encoded(np.ascontiguousarray(np.hstack([pixels(1)] * 4)), "jpg")
    cases = {
        picture(1): None,
        PIXEL: "under 1000 bytes",
        picture(2, "png", size=40): "under 48 pixels",
        wide: "too long a shape",
        picture(3, rights="no training", holder="x"): "no training, by its metadata",
        picture_bomb(): "too many pixels",
        b"<html>" * 400: "not a picture",
    }
    whole = b"".join(cases)
    lengths = [len(data) for data in cases]
    table = pa.table({"offset": np.cumsum([0, *lengths[:-1]]), "length": lengths})

    def read(offset: int, length: int) -> bytes:
        return whole[offset : offset + length]

    assert picture_step(table, read)["drop"].to_pylist() == list(cases.values())
    assert picture_step(table, read, honour=())["drop"].to_pylist()[4] is None


def test_the_hash_is_imagehashs() -> None:
    for i in range(5):
        expected = imagehash.phash(Image.fromarray(pixels(i)))
        assert perceptual_hash(pixels(i)) == int(str(expected), 16)


def test_copies_are_near_and_others_far_but_crops_and_mirrors_are_missed() -> None:
    distances = {change: [] for change in (*CHANGES, "watermark", "another")}
    for i in range(12):
        own = perceptual_hash(pixels(i))
        for change in CHANGES:
            copy = examine(encoded(changed(pixels(i), change), "jpg", 60))[0]
            distances[change].append(hamming_distance(own, perceptual_hash(copy)))
        distances["watermark"].append(hamming_distance(own, perceptual_hash(with_watermark(pixels(i), "sample"))))
        distances["another"].append(hamming_distance(own, perceptual_hash(pixels(i + 12))))
    caught = {change: sum(d <= 6 for d in found) / 12 for change, found in distances.items()}
    assert min(caught["exact"], caught["recompressed"], caught["resized"]) >= 0.75, caught
    assert max(caught["mirrored"], caught["another"]) == 0 and caught["cropped"] <= 0.5, caught


hashes = st.integers(0, 2**64 - 1)


@settings(deadline=None, max_examples=60)
@given(hashes, hashes, st.integers(1, 33))
def test_a_hash_is_cut_into_parts_that_hold_all_of_it(a: int, b: int, n: int) -> None:
    assert (parts(a, n) == parts(b, n)) == (a == b) and len(set(parts(a, n))) == n
    assert hamming_distance(a, b) == bin(a ^ b).count("1")
    equal = sum(x == y for x, y in zip(parts(a, n), parts(b, n), strict=True))
    assert equal >= n - hamming_distance(a, b)  # each bit spoils at most one part


def by_brute_force(values: list[int], distance: int) -> list[bool]:
    kept, dropped = [], []
    for value in values:
        flat = min(value.bit_count(), 64 - value.bit_count()) < FLAT
        near = any(hamming_distance(value, other) <= distance for other in kept)
        dropped.append(near and not flat)
        if not near and not flat:
            kept.append(value)
    return dropped


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**9), st.integers(0, 10))
def test_look_step_drops_what_comparing_all_with_all_would(seed: int, distance: int) -> None:
    rng = random.Random(seed)
    values = [rng.getrandbits(64) for _ in range(8)]
    for _ in range(40):  # copies of copies, up to 12 bits away
        value = rng.choice(values)
        for bit in rng.sample(range(64), rng.randrange(13)):
            value ^= 1 << bit
        values.append(value)
    values += [0, 0, 2**64 - 1]
    keys = [f"{i:03d}" for i in range(len(values))]
    table = pa.table({"key": keys, "phash": pa.array(values, pa.uint64())})
    marked = look_step(table, distance)
    assert [reason is not None for reason in marked["drop"].to_pylist()] == by_brute_force(values, distance)
    for i, twin in enumerate(marked["twin"].to_pylist()):
        assert twin is None or hamming_distance(values[i], values[keys.index(twin)]) <= distance
    assert look_step(table, -1)["drop"].null_count == len(values)


def test_the_first_of_equal_files_stays() -> None:
    marked = exact_step(pa.table({"key": list("abcd"), "sha256": ["1", "2", "1", "1"]}))
    assert marked["twin"].to_pylist() == [None, None, "a", "a"]
    assert marked["drop"].to_pylist() == [None, None, "same bytes", "same bytes"]
