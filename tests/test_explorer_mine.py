"""Is my picture in it? The page's hashes equal Python's bit by bit, its features torch's; bad files get a sentence."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.laion.duplicates import hamming_distance
from helpers.laion.pictures import perceptual_hash, read_picture
from helpers.laion.similarity import image_features
from helpers.page.explorers.mine import FACTS, Query, copies, mine_explorer
from helpers.worlds.photographs import PHOTOS, centre_square, photo
from helpers.worlds.web.files import encoded, picture_bomb
from tests import browser, test_explorers
from tests.test_explorers import CLOSE, ask, opened, page_of, patient_page, works_narrow_and_dark

chromium, place, window, streets = browser.chromium, test_explorers.place, test_explorers.window, test_explorers.streets
SOURCE = 4  # the stored picture that the prepared ones are copies of


@pytest.fixture(scope="module")
def stored(streets) -> list[np.ndarray]:
    """Twenty-four streets, one of them of another size."""
    pictures = [np.ascontiguousarray(image.permute(1, 2, 0).numpy()) for image in streets.images]
    return [*pictures[:-1], pictures[-1][:80, :90]]


@pytest.fixture(scope="module")
def queries(stored) -> list[Query]:
    return [*copies(stored[SOURCE], SOURCE), Query("a cat", np.ascontiguousarray(photo("cat")[:200, :301]))]


def facts(n: int) -> list[dict[str, str]]:
    return [{name: f"{name} {i}" for name in FACTS} for i in range(n)]


@pytest.fixture(scope="module")
def text(stored, queries) -> str:
    return page_of(mine_explorer(stored, facts(len(stored)), queries))


@pytest.fixture(scope="module")
def page(window, place, text):
    return opened(window, place / "mine.html", text)


@pytest.fixture
def fresh(window, place, text):
    """The page, opened once more after the test has had another one in its window."""
    yield lambda name, other: opened(window, place / name, other)
    opened(window, place / "mine.html", text)


def odd_pictures() -> list[np.ndarray]:
    """Noise and smooth pictures of odd shapes, and plain, striped and symmetric ones, where waves cancel out."""
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (2, 7), (31, 64), (32, 32), (33, 32), (32, 200), (96, 96), (97, 131), (300, 40), (5, 400)]
    noise = [rng.integers(0, 256, (*shape, 3)).astype(np.uint8) for shape in shapes]
    smooth = [
        np.asarray(Image.fromarray(rng.integers(0, 256, (5, 6, 3)).astype(np.uint8)).resize(size, 3))
        for size in [(120, 90), (64, 64), (333, 250)]
    ]
    plain = [np.full((50, 60, 3), value, np.uint8) for value in (0, 93, 255)]
    ramp = np.repeat(np.tile(np.arange(0, 256, 4, dtype=np.uint8), (48, 1))[..., None], 3, 2)
    symmetric = np.concatenate([smooth[1], smooth[1][:, ::-1]], 1)
    return [*noise, *smooth, *plain, ramp, symmetric]


def told(page, what: str, picture: np.ndarray):
    """What the page makes of a picture, which goes there, and bytes come back, as base64: lists take seconds."""
    height, width = picture.shape[:2]
    call = f"x.{what}(Uint8Array.from(atob(a[0]), c => c.charCodeAt(0)), a[1], a[2])"
    if what == "square":
        call = f"btoa({call}.map(value => String.fromCharCode(value)).join(''))"
    return ask(page, call, [as_text(picture), width, height])


def as_text(pixels: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(pixels).tobytes()).decode()


def wrong(page, pictures) -> tuple[int, int]:
    """For how many of the pictures the page's hash, and its square for CLIP, is not Python's."""
    hashes = sum(told(page, "hash", p) != f"{perceptual_hash(p):016x}" for p in pictures)
    squares = sum(told(page, "square", p) != as_text(centre_square(p, 96)) for p in pictures)
    return hashes, squares


def test_hashes_and_squares_equal_pythons_bit_by_bit(page, stored, queries):
    photos = [np.ascontiguousarray(photo(name)[::4, ::3]) for name in PHOTOS]
    assert wrong(page, [*stored, *(q.picture for q in queries), *photos, *odd_pictures()]) == (0, 0)
    for i, query in enumerate(queries):
        sent = ask(page, "btoa(x.pixels(a).map(value => String.fromCharCode(value)).join(''))", i)
        assert sent == as_text(query.picture), "the prepared pictures come byte for byte"


def test_a_broken_function_would_be_noticed(fresh, text, stored, queries):
    pictures = [*stored[:4], *(q.picture for q in queries[-5:]), *odd_pictures()]
    for right, broken, which in [
        ("lanczos: [3,", "lanczos: [2.5,", 0),
        ("wave > median", "wave >= median", 0),
        ("* 38470", "* 38400", 0),
        ("x * x + 1 : x < 2", "x * x + 0.999 : x < 2", 1),
        ("height - edge >> 1", "height - edge", 1),
    ]:
        assert text.count(right) == 1
        assert wrong(fresh("broken.html", text.replace(right, broken)), pictures)[which] > 0, broken


def test_features_equal_torchs(page, fresh, text, queries):
    pictures = [queries[6].picture, np.ascontiguousarray(photo("coffee")), queries[-1].picture]
    expected = image_features(pictures)
    assert np.abs(np.array([told(page, "feature", p) for p in pictures]) - expected).max() < CLOSE
    assert ask(page, "x.ready") < CLOSE
    broken = fresh("broken.html", text.replace('"heads": 4', '"heads": 2'))
    assert ask(broken, "x.ready") > 10 * CLOSE
    assert np.abs(np.array(told(broken, "feature", pictures[0])) - expected[0]).max() > 10 * CLOSE


def test_each_prepared_picture_gets_the_distances_and_cosines_of_python(page, stored, queries):
    features, hashes = image_features(stored), [perceptual_hash(picture) for picture in stored]
    host = page.locator(".explorer")
    for i, query in enumerate(queries):
        ask(page, "x.choose(a)", i)
        value, feature = perceptual_hash(query.picture), image_features([query.picture])[0]
        distances, cosines = np.array([hamming_distance(value, other) for other in hashes]), features @ feature
        assert ask(page, "x.distances") == distances.tolist()
        assert np.abs(np.array(ask(page, "x.cosines")) - cosines).max() < CLOSE
        nearest = host.locator(".hash li, .clip li").evaluate_all("items => items.map(x => Number(x.dataset.index))")
        assert nearest[:3] == distances.argsort(kind="stable")[:3].tolist()
        assert nearest[3:] == cosines.argsort()[::-1][:3].tolist()
        first = host.locator(".hash li").first.inner_text()
        assert all(f"{name} {nearest[0]}" in first for name in FACTS)
        verdict, truth = (host.locator(f".hash .{part}").inner_text() for part in ("verdict", "truth"))
        assert verdict.startswith("Found" if distances.min() <= 6 else "Not found")
        if query.origin is None:
            assert truth == "✓ Right: it is not in the data set."
            assert host.locator(".clip .truth").inner_text() == "✗ Another picture: mine is not in the data set."
            continue
        place = 1 + (distances < distances[SOURCE]).sum()
        missed = "it is the nearest, beyond the limit" if place == 1 else f"the original is number {place} of 24"
        right = distances.min() <= 6 and place == 1
        assert truth == ("✓ Right: this is the original." if right else f"✗ Missed: {missed}.")
        place = 1 + (cosines > cosines[SOURCE]).sum()
        expected = (
            "✓ Right: this is the original." if place == 1 else f"✗ Missed: the original is number {place} of 24."
        )
        assert host.locator(".clip .truth").inner_text().startswith(expected)


def test_the_hash_loses_a_mirror_image_and_clip_finds_it(page, queries):
    names = [query.name for query in queries]
    for name, hash_finds, clip_finds in [("an exact copy", True, True), ("mirrored", False, True)]:
        ask(page, "x.choose(a)", names.index(name))
        for way, finds in (("hash", hash_finds), ("clip", clip_finds)):
            assert page.locator(f".{way} .truth").inner_text().startswith("✓" if finds else "✗"), (name, way)


def test_it_answers_to_keys_and_keeps_them(page):
    page.evaluate("window.heard = []; document.addEventListener('keydown', e => window.heard.push(e.key))")
    radios = page.locator(".dozen input")
    radios.first.focus()
    page.keyboard.press("ArrowRight")
    assert radios.nth(1).is_checked() and ask(page, "x.state")["number"] == 1
    assert page.evaluate("window.heard") == []
    page.keyboard.press("PageDown")  # the presenter's key must get through
    assert page.evaluate("window.heard") == ["PageDown"]
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.shadowRoot.activeElement.type") == "file"
    assert page.get_by_label("A picture of your own…").count() == 1
    assert ask(page, "x.milliseconds") < 5_000  # a tenth of a second where nothing else runs


def upload(page, name: str, data: bytes) -> dict:
    """Give the page a file, and return its state when it has been read."""
    page.locator("input[type=file]").set_input_files({"name": name, "mimeType": "", "buffer": data})
    problem = page.locator(".problem")
    page.wait_for_function(
        "name => { const root = document.querySelector('.explorer').shadowRoot;"
        " const problem = root.querySelector('.problem').textContent;"
        " return problem ? problem !== 'Reading…' : root.querySelector('.name').textContent.includes(name); }",
        arg=name,
    )
    return ask(page, "x.state") | {"problem": problem.inner_text()}


def file_of(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_an_upload_is_made_smaller_as_in_python(page, stored):
    cat = Image.fromarray(photo("cat"))
    large = Image.fromarray(photo("coffee")).resize((2500, 1777))  # more than one part wide, and many high
    veil = Image.new("L", cat.size, 255)
    veil.paste(0, (100, 60, 260, 200))
    files = {
        "cat.png": file_of(cat, "PNG"),
        "large.png": file_of(large, "PNG", compress_level=1),
        "grey.png": file_of(cat.convert("L"), "PNG"),
        "palette.gif": file_of(cat.quantize(64), "GIF"),
        "hole.png": file_of(Image.merge("RGBA", (*cat.split(), veil)), "PNG"),
        "turned.png": file_of(cat, "PNG", exif=_turned()),
        "bitmap.bmp": file_of(cat, "BMP"),
    }
    for name, data in files.items():
        state, picture = upload(page, name, data), read_picture(data)
        assert (state["problem"], state["own"], state["origin"]) == ("", True, None), name
        assert state["hash"] == f"{perceptual_hash(picture):016x}", name
        assert np.abs(np.array(list(state["feature"])) - image_features([picture])[0]).max() < CLOSE, name
        assert page.locator(".truth").all_inner_texts() == ["", ""], "nobody knows the truth of a stranger's picture"
    state = upload(page, "stored.png", file_of(Image.fromarray(stored[7]), "PNG"))
    assert page.locator(".hash .verdict").inner_text() == "Found, with 0 bits that differ"
    assert ask(page, "x.distances[7]") == 0 and ask(page, "x.cosines[7]") == pytest.approx(1, abs=CLOSE)


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6  # a camera held upright
    return exif


CANVAS = """async files => {
  const out = [];
  for (const file of files) {
    const bitmap = await createImageBitmap(await (await fetch(file)).blob());
    const canvas = new OffscreenCanvas(32, 32), pen = canvas.getContext("2d");
    pen.imageSmoothingQuality = "high";
    pen.drawImage(bitmap, 0, 0, 32, 32);
    out.push([...pen.getImageData(0, 0, 32, 32).data].filter((_, i) => i % 4 !== 3));
  }
  return out;
}"""


def test_what_the_browser_changes_in_bits(page, stored):
    """A canvas's own way to make a picture smaller changes a few bits; unpacking a JPEG file, next to none."""
    large = [np.asarray(Image.fromarray(picture).resize((400, 400), Image.Resampling.BICUBIC)) for picture in stored]
    large += [photo(name) for name in PHOTOS if name != "hubble"]
    addresses = ["data:image/png;base64," + base64.b64encode(encoded(p, "png")).decode() for p in large]
    canvas = [np.array(pixels, np.uint8).reshape(32, 32, 3) for pixels in page.evaluate(CANVAS, addresses)]
    resized = [hamming_distance(perceptual_hash(a), perceptual_hash(b)) for a, b in zip(canvas, large, strict=True)]
    unpacked = []
    for i, picture in enumerate(large):
        data = encoded(picture, "jpg", (20, 50, 85)[i % 3])
        state = upload(page, f"{i}.jpg", data)
        assert state["problem"] == ""
        unpacked.append(hamming_distance(int(state["hash"], 16), perceptual_hash(read_picture(data))))
    assert max(unpacked) <= 2 and np.mean(unpacked) < np.mean(resized) < 6


def test_a_file_that_is_no_picture_gets_a_sentence(window, page):
    seen = window[1]
    ask(page, "x.choose(0)")
    good = file_of(Image.fromarray(photo("cat")), "PNG")
    bad = {
        "empty.png": (b"", "is empty (0 bytes)"),
        "letter.jpg": (b"Dear Sir or Madam,", "is not a picture that this browser can read: save it as PNG or JPEG."),
        "page.html": (b"<html><script>alert(1)</script>", "is not a picture"),
        "cut.png": (good[:30], "is not a picture"),
        "bomb.png": (picture_bomb(), "The picture “bomb.png” "),
        "lines.svg": (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'></svg>", "is not a picture"),
        "<b>x</b>.png": (b"x", "The picture “<b>x</b>.png” is not a picture"),
    }
    for name, (data, sentence) in bad.items():
        state = upload(page, name, data)
        assert sentence in state["problem"], name
        assert state["number"] == 0, "what was shown before stays"
    assert page.locator(".problem b").count() == 0
    assert upload(page, "cat.png", good)["problem"] == ""
    assert seen.outside == [], "nothing leaves the page"
    seen.errors.clear(), seen.failed.clear()  # the browser notes each file that it could not read


def test_a_file_that_is_too_large_gets_a_sentence(fresh, text):
    limits = '"most": {"bytes": 134217728, "pixels": 64000000}'
    assert text.count(limits) == 1
    page = fresh("small.html", text.replace(limits, '"most": {"bytes": 1048576, "pixels": 5000}'))
    data = file_of(Image.new("RGB", (100, 51)), "PNG")
    assert "“a.png” has more than 5,000 pixels: make it smaller, try again." in upload(page, "a.png", data)["problem"]
    assert "“b.png” has more than 1 MB: save it smaller" in upload(page, "b.png", data + bytes(2**20))["problem"]
    assert upload(page, "c.png", file_of(Image.new("RGB", (100, 50)), "PNG"))["problem"] == ""
    assert page.locator(".hash .verdict").inner_text() == "This picture is too plain: its hash says nothing."


def test_without_its_weights_the_hash_still_searches(chromium, tmp_path: Path, text, queries):
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    with patient_page(chromium, 1200) as (page, _):
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_function("document.querySelector('.explorer')?.explorer")
        ask(page, "x.ready")
        assert "assets/models/street-clip.js is not beside this page" in page.locator(".problem").inner_text()
        ask(page, "x.choose(a)", 5)  # the mirrored one
        assert page.locator(".clip .truth").inner_text() == "✓ Right: this is the original.", "as torch stored"
        state = upload(page, "cat.png", file_of(Image.fromarray(photo("cat")), "PNG"))
        assert state["feature"] is None and state["hash"] == f"{perceptual_hash(photo('cat')):016x}"
        assert "street-clip.js is not beside this page" in state["problem"]
        assert not any(page.locator(f".clip {part}").is_visible() for part in ("ol", "svg"))
        assert page.locator(".hash ol").is_visible()


def test_weights_inside_the_page_and_a_narrow_dark_one(chromium, tmp_path: Path, stored, queries):
    figure = mine_explorer(stored, facts(len(stored)), queries, inline=True)
    works_narrow_and_dark(chromium, tmp_path / "page.html", figure)


def test_what_cannot_be_shown_gets_a_sentence(stored, queries):
    rows = facts(len(stored))
    with pytest.raises(ValueError, match="3 to 400 stored pictures and 1 to 12 to choose from, not 2 and 7"):
        mine_explorer(stored[:2], rows[:2], queries)
    with pytest.raises(ValueError, match="facts: 3 of them for 24 pictures"):
        mine_explorer(stored, rows[:3], queries)
    with pytest.raises(ValueError, match="facts: number 1 lacks site, opt_out"):
        mine_explorer(stored, [rows[0], {"page": "", "licence": ""}, *rows[2:]], queries)
    with pytest.raises(ValueError, match="'x': there is no stored picture 24 to be made from"):
        mine_explorer(stored, rows, [Query("x", stored[0], 24)])
    with pytest.raises(ValueError, match=r"'x' is larger than 512 pixels: \[4, 513\]"):
        mine_explorer(stored, rows, [Query("x", np.zeros((4, 513, 3), np.uint8))])
    with pytest.raises(ValueError, match="A picture is a uint8 array"):
        mine_explorer(stored, rows, [Query("x", stored[0] / 255)])


def test_the_same_data_give_the_same_text(stored, queries):
    made = [mine_explorer(stored, facts(len(stored)), queries[:2]).data for _ in range(2)]
    assert made[0] == made[1] and "http" not in made[0].replace("http://www.w3.org", "")
