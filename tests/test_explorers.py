"""The explorers in a real browser: what they compute equals torch, and they answer to keys, words and clicks."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.models.clip import encode_images, text_features
from helpers.page.explorers.clip import clip_explorer
from helpers.page.explorers.figure import explorer, pack
from helpers.page.explorers.weights import MODELS, model_script
from helpers.weights.pretrained import load
from helpers.worlds.streets import load_street
from tests import browser
from tools.browser import watched_page

chromium = browser.chromium
CLOSE = 1e-4
TEXTS = ("a red bus", "a green taxi", "a snowy street", "")
ODD = [
    "don't  stop !!",
    "ÄRGER, ΑΣ İ",
    "日本の 赤い バス",
    "a\u00a0b\u2028c\ufeffd \x85 e",
    "🚌🚌 x<eot>",
    " ",
    "a" * 300,
]


@pytest.fixture(scope="module")
def streets():
    return load_street("test", 24, progress=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder as a deck is exported to, with the weights beside."""
    folder = tmp_path_factory.mktemp("explorers")
    (folder / "assets" / "models").mkdir(parents=True)
    for name in MODELS:
        (folder / "assets" / "models" / f"{name}.js").write_text(model_script(name))
    return folder


def page_of(*figures) -> str:
    body = "".join(figure.data for figure in figures)
    return f"<!doctype html><html lang='en'><meta charset='utf-8'><title>t</title><body>{body}"


@pytest.fixture(scope="module")
def window(chromium):
    with watched_page(chromium, 1200, 700) as (page, seen):
        yield page, seen


def opened(window, path: Path, text: str):
    """The page, loaded anew, once its first explorer has its model."""
    page, seen = window
    path.write_text(text, encoding="utf-8")
    page.goto(path.as_uri())
    page.wait_for_function("document.querySelector('.explorer')?.explorer")
    page.evaluate("document.querySelector('.explorer').explorer.ready")
    assert seen.errors == seen.failed == seen.outside == []
    return page


def ask(page, expression: str, argument=None):
    """Evaluate with `x` the first explorer and `a` the argument."""
    return page.evaluate(
        f"a => {{ const x = document.querySelector('.explorer').explorer; return {expression}; }}", argument
    )


def pixels(streets, i: int) -> list[int]:
    return streets.images[i].permute(1, 2, 0).flatten().tolist()


@pytest.fixture(scope="module")
def clip_page(window, place, streets):
    figure = clip_explorer(streets, TEXTS, chosen=3)
    return opened(window, place / "clip.html", page_of(figure, figure))


def test_the_tokenizer_gives_pythons_ids(clip_page):
    draw = random.Random(0)
    alphabet = "abcdefghij zqx  '!?.,-\t0123456789äßéñ日本赤🚌\u00a0\u3000’“”\u0301"
    texts = [*TEXTS, *ODD, *("".join(draw.choices(alphabet, k=draw.randrange(40))) for _ in range(300))]
    tokenizer = load("street-clip").tokenizer
    expected = [[i for i in row if i] for row in tokenizer(texts).tolist()]
    assert ask(clip_page, "a.map(x.ids)", texts) == expected
    assert ask(clip_page, "a.map(x.ids)", ["a red bus"]) != tokenizer(["a read bus"]).tolist()


def test_clips_features_equal_torch(clip_page, streets):
    clip = load("street-clip")
    texts = [*TEXTS, *ODD, streets.captions[0][0]]
    with torch.inference_mode():
        expected = text_features(clip.model, clip.tokenizer(texts)).numpy()
        pictures = encode_images(clip.model, streets.images[:3]).numpy()
    assert np.abs(np.array(ask(clip_page, "a.map(x.textFeature)", texts)) - expected).max() < CLOSE
    found = np.array([ask(clip_page, "x.imageFeature(a)", pixels(streets, i)) for i in range(3)])
    assert np.abs(found - pictures).max() < CLOSE
    assert ask(clip_page, "x.ready") < CLOSE


def test_a_wrong_activation_would_be_noticed(window, place, streets, clip_page):
    text = page_of(clip_explorer(streets, TEXTS)).replace('"activation": "gelu"', '"activation": "quick_gelu"')
    assert ask(opened(window, place / "wrong.html", text), "x.ready") > 10 * CLOSE
    opened(window, place / "clip.html", (place / "clip.html").read_text(encoding="utf-8"))


def test_words_give_the_probabilities_and_the_best_streets_of_torch(clip_page, streets):
    clip = load("street-clip")
    words = ["a yellow taxi", "trees without leaves", "a street at night"]
    lines = clip_page.locator(".explorer").first.locator(".row input")
    for i, text in enumerate(words):
        lines.nth(i).fill(text)
    with torch.inference_mode():
        texts = text_features(clip.model, clip.tokenizer(words))
        pictures = encode_images(clip.model, streets.images)
        p = (clip.model.logit_scale.exp() * pictures[3] @ texts.T).softmax(0)
    found = ask(clip_page, "x.probabilities()")
    assert found[3] is None and np.abs(np.array(found[:3], float) - p.numpy()).max() < CLOSE
    order = (texts[2] @ pictures.T).argsort(descending=True)
    assert ask(clip_page, "x.best(a)", words[2])[:6] == order[:6].tolist()
    first = clip_page.locator(".explorer").first
    assert f"“{words[2]}”" in first.locator(".best").inner_text()
    best = first.locator(".gallery button").first
    assert int(best.get_attribute("data-index")) == int(order[0])
    best.click()
    assert ask(clip_page, "x.probabilities()") != found


def test_the_keys_of_the_clip_explorer(clip_page):
    clip_page.evaluate("window.heard = []; document.addEventListener('keydown', e => window.heard.push(e.key))")
    first = clip_page.locator(".explorer").first
    line = first.locator(".row input").first
    line.focus()
    clip_page.keyboard.press("ArrowLeft")
    clip_page.keyboard.type("c")
    radio = first.locator(".dozen input").first
    radio.focus()
    clip_page.keyboard.press("ArrowRight")
    assert first.locator(".dozen input").nth(1).is_checked()
    assert clip_page.evaluate("window.heard") == []
    clip_page.keyboard.press("PageDown")  # the presenter's key must get through
    assert clip_page.evaluate("window.heard") == ["PageDown"]


def test_without_its_weights_it_still_shows_what_torch_stored(chromium, tmp_path, streets):
    (tmp_path / "page.html").write_text(page_of(clip_explorer(streets, TEXTS)), encoding="utf-8")
    with watched_page(chromium) as (page, _):
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_function("document.querySelector('.explorer')?.explorer")
        ask(page, "x.ready")
        assert "assets/models/street-clip.js is not beside this page" in page.locator(".problem").inner_text()
        assert sum(p or 0 for p in ask(page, "x.probabilities()")) == pytest.approx(1)


def test_weights_inside_the_page_and_a_narrow_dark_one(chromium, tmp_path, streets):
    text = page_of(clip_explorer(streets, TEXTS, inline=True)).replace(
        "<body>", "<body style='background: #111; color: #eee'>"
    )
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    with watched_page(chromium, 600, 700) as (page, seen):
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_function("document.querySelector('.explorer')?.explorer")
        assert ask(page, "x.ready") < CLOSE
        assert page.locator(".explorer").get_attribute("data-theme") == "dark"
        assert page.evaluate("document.documentElement.scrollWidth") <= 600  # 1200 pixels at 200 %
        assert seen.errors == seen.failed == seen.outside == []


def test_packed_numbers_keep_five_digits():
    x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    import base64

    stored = np.frombuffer(base64.b64decode(pack(x)), np.uint8).reshape(-1, 3)
    back = np.concatenate([np.zeros((1000, 1), np.uint8), stored], 1).copy().view("<f4")[:, 0]
    assert np.abs(back / x - 1).max() < 2.0**-16


def test_a_label_cannot_break_the_page_and_the_same_data_give_the_same_text():
    label = 'a "label" </script><b id="broken">'
    text = explorer("clip", {"label": label}, label).data
    assert text == explorer("clip", {"label": label}, label).data
    assert text.count("</script>") == 1 and "<b id" not in text and "http" not in text


def test_what_cannot_be_shown_gets_a_sentence(streets):
    with pytest.raises(ValueError, match="12 streets or more, and one of them chosen, not 24 and 24"):
        clip_explorer(streets, chosen=24)
    with pytest.raises(ValueError, match="'alexnet' does not run in a page"):
        model_script("alexnet")
