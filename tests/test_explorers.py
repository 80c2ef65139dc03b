"""The explorers in a real browser: what they compute equals torch, and they answer to keys, words and clicks."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.models.clip import encode_images, text_features
from helpers.page.explorers.attention import attention_explorer
from helpers.page.explorers.clip import clip_explorer
from helpers.page.explorers.figure import explorer, pack
from helpers.page.explorers.weights import MODELS, model_script
from helpers.weights.pretrained import load
from helpers.worlds.street.drawing.render import render
from helpers.worlds.street.sample import scene_at
from helpers.worlds.street.scene import RED_TRUCK
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


@pytest.fixture(scope="module")
def attention_page(window, place):
    return opened(window, place / "attention.html", page_of(attention_explorer([RED_TRUCK, *map(street, range(3))])))


def street(i: int):
    return scene_at("test", i)


def attention_of_torch(images: torch.Tensor) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Attention maps [layers, h, T, T] and probabilities of one picture [1, 3, S, S]."""
    net, maps = load("street-vit").model, []
    z = net.embed(images) + net.encoder.pos_embedding
    for layer in net.encoder.layers:
        maps.append(layer.self_attention.weights(layer.ln_1(z))[0])
        z = layer(z)
    return torch.stack(maps).numpy(), {k: v[0].softmax(0).numpy() for k, v in net(images).items()}


def test_attention_and_answers_equal_torch(attention_page):
    for i, scene in enumerate([RED_TRUCK, street(0), street(1)]):
        picture = render(scene, 96)
        shown = ask(attention_page, "x.pixels(a)", i)
        assert shown == picture.flatten().tolist(), "the page has the picture byte for byte"
        maps, answers = attention_of_torch(torch.from_numpy(picture).permute(2, 0, 1)[None])
        read = ask(attention_page, "x.read(a)", shown)
        assert np.abs(np.array(read["maps"]) - maps).max() < CLOSE
        for label, p in answers.items():
            powers = np.exp(np.array(read["logits"][label]))
            assert np.abs(powers / powers.sum() - p).max() < CLOSE
        if i:
            continue
        swapped = ask(attention_page, "x.read(a)", picture[..., ::-1].flatten().tolist())
        assert np.abs(np.array(swapped["maps"]) - maps).max() > 10 * CLOSE, "red and blue exchanged must be noticed"


def test_a_wrong_number_of_heads_would_be_noticed(window, place, attention_page):
    text = page_of(attention_explorer([RED_TRUCK])).replace('"heads": 4', '"heads": 2')
    picture = render(RED_TRUCK, 96)
    maps, _ = attention_of_torch(torch.from_numpy(picture).permute(2, 0, 1)[None])
    page = opened(window, place / "wrong.html", text)
    found = np.array(ask(page, "x.read(a)", picture.flatten().tolist())["maps"])
    assert np.abs(found - maps[:, :2]).max() > 10 * CLOSE
    opened(window, place / "attention.html", (place / "attention.html").read_text(encoding="utf-8"))


def test_a_click_and_the_keys_choose_who_asks_and_who_looks(attention_page):
    host = attention_page.locator(".explorer")
    big = host.locator(".big")
    big.click(position={"x": 3.5 * 48, "y": 5.5 * 48})
    assert ask(attention_page, "x.state")["asks"] == 5 * 6 + 4
    big.press("ArrowUp")
    assert ask(attention_page, "x.state")["asks"] == 4 * 6 + 4
    assert "patch 28, row 5, column 4" in host.locator(".asks").inner_text()
    maps, _ = attention_of_torch(torch.from_numpy(render(RED_TRUCK, 96)).permute(2, 0, 1)[None])
    host.get_by_label("Layer 5, head 2").focus()
    attention_page.keyboard.press("ArrowRight")
    assert {k: ask(attention_page, "x.state")[k] for k in ("layer", "head")} == {"layer": 5, "head": 1}
    shares = maps[5, 1, 28]
    assert f"{100 * shares[0]:.{1 if shares[0] < 0.0995 else 0}f} %" in host.locator(".to-cls").inner_text()
    assert f"goes to patch {shares[1:].argmax() + 1}," in host.locator(".map").get_attribute("aria-label")
    host.get_by_role("button", name="[CLS]").click()
    assert ask(attention_page, "x.state")["asks"] == 0
    host.get_by_label("Street 2").check(force=True)
    assert ask(attention_page, "x.state")["scene"] == 1


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
    with pytest.raises(ValueError, match="layer: 7 is not a number from 1 to 6"):
        attention_explorer([RED_TRUCK], layer=7)
    with pytest.raises(ValueError, match="'alexnet' does not run in a page"):
        model_script("alexnet")
