"""The image-kernel explorer, used in a real browser and compared with torch."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from skimage import data

from helpers.page.kernel_explorer import kernel_explorer
from helpers.page.kernels import KERNELS
from tests import browser
from tools.browser import watched_page

chromium = browser.chromium
STATE = """(el) => { const { picture, output, weights, window } = el.explorer;
    return { picture: [picture.height, picture.width, [...picture.pixels]],
        output: [output.height, output.width, [...output.values]], weights, ...window }; }"""


def correlate(picture: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What torch computes, in float64: valid cross-correlation."""
    x, w = (torch.from_numpy(np.asarray(a, dtype=np.float64))[None, None] for a in (picture, weights))
    return F.conv2d(x, w)[0, 0].numpy()


class Explorer:
    """One explorer on the page, with its state as arrays."""

    def __init__(self, page, index: int = 0):
        self.page, self.host = page, page.locator(".kernel-explorer").nth(index)
        self.page.wait_for_function("i => document.querySelectorAll('.kernel-explorer')[i]?.explorer", arg=index)

    def state(self) -> dict:
        state = self.host.evaluate(STATE)
        for name in ("picture", "output"):
            height, width, values = state[name]
            state[name] = np.array(values).reshape(height, width)
        state["weights"] = np.array(state["weights"]).reshape(3, 3)
        return state

    def choose(self, name: str) -> None:
        self.host.locator("select").select_option(name)

    def edit(self, index: int, text: str) -> None:
        self.host.locator(".weights input").nth(index).fill(text)

    def text(self, selector: str) -> str:
        return self.host.locator(selector).inner_text()


def difference(state: dict) -> float:
    """The largest difference between the whole output of the browser and torch's."""
    expected = correlate(state["picture"], state["weights"])
    assert state["output"].shape == expected.shape
    return float(np.abs(state["output"] - expected).max())


@pytest.fixture(scope="module")
def page_file(tmp_path_factory) -> Path:
    """A page with three explorers, two of them equal, so that the ids would collide if they could."""
    path = tmp_path_factory.mktemp("explorer") / "page.html"
    cat, camera = kernel_explorer(data.chelsea()), kernel_explorer(data.camera(), "outline")
    path.write_text(f"<!doctype html><meta charset='utf-8'>{cat.data}{cat.data}{camera.data}", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def window(chromium):
    """One window for all tests, and the record of what it did."""
    with watched_page(chromium) as (page, seen):
        yield page, seen


@pytest.fixture
def page(window, page_file):
    """The page, loaded anew; at the end the proof that it asked for nothing else and that no script failed."""
    page, seen = window
    requests: list[str] = []

    def record(request) -> None:
        requests.append(request.url)

    page.on("request", record)
    page.goto(page_file.as_uri())
    yield page
    page.remove_listener("request", record)
    assert requests == [page_file.as_uri()], "the figure must load nothing"
    assert seen.errors == seen.failed == seen.outside == []


def test_the_browser_reads_the_picture_python_made(page):
    expected = Image.fromarray(data.chelsea()).convert("L")
    expected.thumbnail((176, 128), Image.Resampling.BOX)
    assert np.array_equal(Explorer(page).state()["picture"], np.asarray(expected))


def test_whole_output_of_every_named_kernel_equals_torch(page):
    explorer = Explorer(page)
    for name, weights in KERNELS.items():
        explorer.choose(name)
        state = explorer.state()
        assert np.array_equal(state["weights"], weights), name
        assert difference(state) == 0, name  # integers and sixteenths: exact


def test_a_turned_kernel_would_be_noticed(page):
    """Negative of the test above: true convolution gives other numbers wherever the kernel has a direction."""
    explorer = Explorer(page)
    for name in ("sobel_top", "sobel_left", "emboss"):
        explorer.choose(name)
        state = explorer.state()
        assert np.abs(state["output"] - correlate(state["picture"], state["weights"][::-1, ::-1])).max() > 100, name


def test_random_edited_kernels_equal_torch(page):
    explorer, generator = Explorer(page), np.random.default_rng(2)
    for _ in range(3):
        weights = generator.normal(scale=2, size=9).round(3)
        for i, weight in enumerate(weights):
            explorer.edit(i, str(weight))
        state = explorer.state()
        assert np.array_equal(state["weights"].ravel(), weights)
        assert difference(state) < 1e-9
        assert explorer.host.locator("select").input_value() == "custom"
    state["weights"].T.flat[1] += 0.001
    assert difference(state) > 0.1, "a weight wrong by a thousandth must be noticed"


def test_products_and_sum_at_corners_and_inside(page):
    explorer = Explorer(page)
    explorer.choose("emboss")
    height, width = explorer.state()["picture"].shape
    for row, col in [(1, 1), (1, width - 2), (height - 2, 1), (height - 2, width - 2), (40, 77)]:
        explorer.host.evaluate("(el, [r, c]) => el.explorer.moveTo(r, c)", [row, col])
        state = explorer.state()
        window = state["picture"][row - 1 : row + 2, col - 1 : col + 2]
        products = (window * state["weights"]).ravel()
        assert (state["row"], state["col"]) == (row, col)
        assert state["products"] == products.tolist()
        assert state["sum"] == products.sum() == state["output"][row - 1, col - 1]
        # What stands on the screen, in words, is the same.
        minus = str.maketrans("-", "−")
        assert explorer.host.locator(".products b").all_inner_texts() == [f"{p:g}".translate(minus) for p in products]
        assert explorer.host.locator(".products small").all_inner_texts() == [
            f"{p} × {w:g}".translate(minus) for p, w in zip(window.ravel(), state["weights"].ravel(), strict=True)
        ]
        shown = int(np.clip(products.sum(), 0, 255))
        sentence = explorer.text(".sum")
        assert f"sum = {products.sum():g}".translate(minus) in sentence
        assert f"shown as {shown} at row {row - 1}, column {col - 1}" in sentence


def test_the_sum_is_printed_unclipped(page):
    explorer = Explorer(page)
    explorer.choose("sobel_top")
    output = explorer.state()["output"]
    for index, shown in ((output.argmax(), 255), (output.argmin(), 0)):
        row, col = np.unravel_index(index, output.shape)
        explorer.host.evaluate("(el, [r, c]) => el.explorer.moveTo(r, c)", [int(row) + 1, int(col) + 1])
        value = output[row, col]
        assert abs(value) > 255
        assert f"sum = {value:g}".replace("-", "−") in explorer.text(".sum")
        assert f"shown as {shown} " in explorer.text(".sum")


def test_hover_moves_the_window_on_both_pictures(page):
    explorer = Explorer(page)
    height, width = explorer.state()["picture"].shape
    for selector in (".input", ".output"):
        box = explorer.host.locator(selector).bounding_box()
        for row, col in [(20, 30), (60, 101)]:
            x, y = box["x"] + (col + 0.5) * box["width"] / width, box["y"] + (row + 0.5) * box["height"] / height
            page.mouse.move(x, y)
            state = explorer.state()
            assert (state["row"], state["col"]) == (row, col), selector
    page.mouse.move(box["x"] + 1, box["y"] + 1)  # the corner: the window stays inside
    state = explorer.state()
    assert (state["row"], state["col"]) == (1, 1)


def test_arrow_keys_move_the_window_and_stay_in_the_figure(page):
    explorer = Explorer(page)
    page.evaluate("window.heard = []; document.addEventListener('keydown', e => window.heard.push(e.key))")
    for selector in (".input", ".output"):
        explorer.host.evaluate("el => el.explorer.moveTo(50, 60)")
        explorer.host.locator(selector).focus()
        for key, position in [
            ("ArrowRight", (50, 61)),
            ("ArrowDown", (51, 61)),
            ("Shift+ArrowLeft", (51, 51)),
            ("Shift+ArrowUp", (41, 51)),
        ]:
            page.keyboard.press(key)
            state = explorer.state()
            assert (state["row"], state["col"]) == position, key
        for _ in range(10):
            page.keyboard.press("Shift+ArrowUp")
        assert explorer.state()["row"] == 1
    explorer.host.locator("select").focus()
    page.keyboard.press("ArrowDown")
    assert [key for key in page.evaluate("window.heard") if key != "Shift"] == []
    explorer.host.locator(".input").focus()
    page.keyboard.press("PageDown")  # the presenter's key must get through
    assert page.evaluate("window.heard").pop() == "PageDown"


def test_focus_is_visible(page):
    explorer = Explorer(page)
    page.keyboard.press("Tab")
    assert explorer.host.locator(".input").evaluate(
        "el => el.getRootNode().activeElement === el && getComputedStyle(el).outlineStyle === 'solid'"
    )


def test_a_touch_moves_the_window(page):
    explorer = Explorer(page)
    explorer.host.locator(".input").dispatch_event("pointerdown", {"clientX": 0, "clientY": 0, "pointerType": "touch"})
    state = explorer.state()
    assert (state["row"], state["col"]) == (1, 1)


def test_a_bad_weight_is_named_and_the_last_good_one_kept(page):
    explorer = Explorer(page)
    explorer.choose("identity")
    for text in ("", "1e9"):
        explorer.edit(4, text)
        assert "A weight must be a number from −1000 to 1000" in explorer.text(".problem")
        state = explorer.state()
        assert state["weights"][1, 1] == 1 and difference(state) == 0
    explorer.edit(4, "2")
    assert explorer.host.locator(".problem").is_hidden()
    assert explorer.state()["weights"][1, 1] == 2


def png(array: np.ndarray, mode: str | None = None) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array, mode).save(file, "PNG")
    return file.getvalue()


def upload(explorer: Explorer, name: str, content: bytes) -> None:
    explorer.host.locator("input[type=file]").set_input_files({"name": name, "mimeType": "", "buffer": content})


def test_own_picture(page):
    explorer = Explorer(page)
    explorer.choose("sharpen")
    colour = np.random.default_rng(3).integers(0, 256, (20, 31, 3), dtype=np.uint8)
    upload(explorer, "mine.png", png(colour))
    page.wait_for_function("document.querySelector('.kernel-explorer').explorer.picture.width === 31")
    state = explorer.state()
    luma = np.floor(colour @ np.array([0.299, 0.587, 0.114]) + 0.5)
    assert np.abs(state["picture"] - luma).max() <= 1  # a half may be rounded either way
    assert (state["picture"] == luma).mean() > 0.99
    assert difference(state) == 0
    swapped = np.floor(colour @ np.array([0.114, 0.587, 0.299]) + 0.5)
    assert np.abs(state["picture"] - swapped).max() > 10, "red and blue exchanged must be noticed"


def test_a_large_own_picture_is_reduced_and_transparency_becomes_white(page):
    explorer = Explorer(page)
    clear = np.zeros((900, 1200, 4), dtype=np.uint8)
    upload(explorer, "clear.png", png(clear))
    page.wait_for_function("document.querySelector('.kernel-explorer').explorer.picture.pixels[0] === 255")
    state = explorer.state()
    assert state["picture"].shape == (128, 171) and (state["picture"] == 255).all()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("notes.txt", b"no picture", "The browser cannot read “notes.txt” as a picture; try a PNG or JPEG file."),
        ("cut.png", png(np.zeros((50, 50), dtype=np.uint8))[:60], "cannot read “cut.png”"),
        ("thin.png", png(np.zeros((2, 300), dtype=np.uint8)), "“thin.png” is too narrow"),
    ],
    ids=["text", "truncated", "thin"],
)
def test_a_bad_own_picture_gets_a_sentence_and_the_old_one_stays(page, name, content, sentence):
    explorer = Explorer(page)
    before = explorer.state()["picture"]
    upload(explorer, name, content)
    explorer.host.locator(".problem").wait_for()
    assert sentence in explorer.text(".problem")
    assert np.array_equal(explorer.state()["picture"], before)


def test_several_explorers_do_not_disturb_each_other(page):
    explorers = [Explorer(page, i) for i in range(3)]
    explorers[0].choose("blur")
    names = [explorer.host.locator("select").input_value() for explorer in explorers]
    assert names == ["blur", "sobel_top", "outline"]
    assert all(difference(explorer.state()) == 0 for explorer in explorers)


def test_it_fits_on_a_slide_and_in_a_narrow_output(page):
    explorer = Explorer(page, 2)  # the square picture, the taller figure
    box = explorer.host.bounding_box()
    assert box["width"] <= 1200 and box["height"] <= 560
    page.set_viewport_size({"width": 860, "height": 720})
    page.wait_for_function("document.querySelector('.kernel-explorer').scrollWidth <= 860")
    assert page.evaluate("document.documentElement.scrollWidth") <= 860
    page.set_viewport_size({"width": 1280, "height": 720})


def test_a_label_cannot_break_the_page(chromium, tmp_path):
    path = tmp_path / "page.html"
    label = 'a "label" </script><b id="broken">'
    path.write_text(f"<meta charset='utf-8'>{kernel_explorer(data.camera(), alt=label).data}", encoding="utf-8")
    with watched_page(chromium) as (page, seen):
        page.goto(path.as_uri())
        assert Explorer(page).host.get_attribute("aria-label") == label
        assert page.locator("#broken").count() == 0 and seen.errors == []


def test_output_is_the_same_every_time():
    first, second = kernel_explorer(data.camera()).data, kernel_explorer(data.camera()).data
    assert first == second
    assert kernel_explorer(data.camera(), "blur").data != first
    assert "http" not in first


@pytest.mark.parametrize(
    ("picture", "kernel_name", "sentence"),
    [
        (np.zeros((9, 9)), "blur", "must be uint8.*not float64.*255"),
        (np.zeros((9, 9, 4), np.uint8), "blur", r"shape \(H, W\) or \(H, W, 3\), not uint8 with shape \(9, 9, 4\)"),
        (np.zeros((2, 9), np.uint8), "blur", "at least 3×3 pixels, not 2×9"),
        (np.zeros((4, 900), np.uint8), "blur", "too narrow"),
        (np.zeros((9, 9), np.uint8), "sobel", "no kernel named 'sobel'"),
    ],
)
def test_bad_input_gets_a_sentence(picture, kernel_name, sentence):
    with pytest.raises(ValueError, match=sentence):
        kernel_explorer(picture, kernel_name)
