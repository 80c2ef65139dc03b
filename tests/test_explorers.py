"""The explorers in a real browser: what they compute equals torch, and they answer to keys, words and clicks."""

from __future__ import annotations

import base64
import colorsys
import random
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook, new_output
from skimage import color

from helpers.models.answering import answer_probabilities
from helpers.models.clip import encode_images, text_features
from helpers.models.simvlm import SimVLM
from helpers.models.speakers import build_speaker
from helpers.models.visualgpt import VisualGPT
from helpers.page.explorers.ask import EXAMPLES, PROMPT, SPEAKERS, ask_explorer, caption_of, looks
from helpers.page.explorers.attention import attention_explorer
from helpers.page.explorers.clip import clip_explorer
from helpers.page.explorers.colour import colour_explorer
from helpers.page.explorers.depth import depth_explorer
from helpers.page.explorers.figure import explorer
from helpers.page.explorers.weights import MODELS, model_script, pack, state_script
from helpers.weights.pretrained import load
from helpers.weights.store import load_result, load_state, shipped
from helpers.worlds.street.captions import captions
from helpers.worlds.street.drawing.render import render
from helpers.worlds.street.questions import ANSWERS
from helpers.worlds.street.sample import scene_at
from helpers.worlds.street.scene import RED_TRUCK
from helpers.worlds.streets import load_street
from helpers.worlds.tokenizer import SEPARATOR, StreetTokenizer
from tests import browser
from tools import ROOT
from tools.browser import watched_page
from tools.execute import write
from tools.slides import export

chromium = browser.chromium
CLOSE = 1e-4
PATIENCE_MS = 180_000  # a machine under load is slow, not wrong
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
    with patient_page(chromium, 1200) as (page, seen):
        yield page, seen


@contextmanager
def patient_page(chromium, width: int):
    with watched_page(chromium, width, 700) as (page, seen):
        page.set_default_timeout(PATIENCE_MS)
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


TOKENIZER = StreetTokenizer()


def as_stored(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The numbers of a state as a page reads them."""
    return {name: torch.from_numpy(unpack(pack(t.numpy()))).reshape(t.shape) for name, t in state.items()}


def unpack(text: str) -> np.ndarray:
    stored = np.frombuffer(base64.b64decode(text), np.uint8).reshape(-1, 3)
    return np.concatenate([np.zeros((len(stored), 1), np.uint8), stored], 1).copy().view("<f4")[:, 0]


def speaker(name: str, state: dict[str, torch.Tensor]) -> VisualGPT | SimVLM:
    """The model with the numbers of the page, in float64: else a gate near its threshold could fall to another side."""
    model = build_speaker(TOKENIZER.vocab_size, load_result(name)["configuration"])
    model.load_state_dict(as_stored(state))
    return model.double().eval().requires_grad_(False)


@pytest.fixture(scope="module", params=SPEAKERS)
def name(request) -> str:
    """A model of the figure that captions and answers."""
    return request.param


@pytest.fixture(scope="module")
def trained(name) -> VisualGPT | SimVLM:
    return speaker(name, load_state(shipped(f"weights/{name}.safetensors")))


def image(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None]


def reading_of_torch(model: VisualGPT | SimVLM, picture: np.ndarray, text: tuple[list, list]) -> dict[str, np.ndarray]:
    """The picture's tokens, and for each place from the prompt's last its logits and, for each block, how much of the
    picture counted and where it looked, a mean over the heads."""
    prompt, ids = text
    read, places, seen = torch.tensor([prompt + ids]), slice(len(prompt) - 1, None), model.look(image(picture))
    if isinstance(model, SimVLM):
        prefix = torch.tensor([len(prompt)])
        logits = model(read, image(picture), prefix)[0]
        maps = torch.stack([look[0].mean(0).T for look in looks(model, read, image(picture), prefix)], 1)
        shares = maps.sum(2)  # [T, layers]
    else:
        found = []
        hooks = [
            block.cross_attention.register_forward_hook(
                lambda layer, given, _: found.append(layer.weights(given[0], given[1])[0].mean(0))
            )
            for block in model.decoder.blocks
        ]
        logits, maps = model(read, seen)[0], torch.stack(found, 1)  # [T, layers, 36]
        for hook in hooks:
            hook.remove()
        shares = torch.stack([visual[0].mean(1) for visual, _ in model.gates(read, seen)], 1)
    found = {"eye": seen.flatten(), "logits": logits[places], "shares": shares[places], "looks": maps[places]}
    return {name: tensor.numpy() for name, tensor in found.items()}


def reading_of_page(page, picture: np.ndarray, text: tuple[list, list]) -> dict[str, np.ndarray]:
    pixels = picture.flatten().tolist()
    places = ask(page, "x.read(...a)", [pixels, *text])
    found = {name: np.array([place[name] for place in places]) for name in places[0]}
    return {"eye": np.array(ask(page, "x.look(a)", pixels)), **found}


def differences(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, float]:
    assert one.keys() == other.keys() and all(one[name].shape == other[name].shape for name in one)
    return {name: float(np.abs(one[name] - other[name]).max()) for name in one}


def text_about(scene, length: int | None = None) -> tuple[list[int], list[int]]:
    """A prompt and a true caption of the scene, as ids; several captions, up to `length` ids in all, if it is given."""
    said = captions(scene, 1 if length is None else 6, 0)
    prompt = TOKENIZER.sequences([[PROMPT, SEPARATOR]], end=False).ids[0].tolist()
    return prompt, TOKENIZER.encode(" ".join(said))[: length and length - len(prompt)]


@pytest.fixture(scope="module")
def ask_page(window, place, name):
    scenes = [RED_TRUCK, *map(street, range(3))]
    return opened(window, place / f"{name}.html", page_of(ask_explorer(scenes, model=name)))


def test_eye_logits_shares_and_attention_of_each_speaker_equal_torch(ask_page, trained):
    for i, (scene, length) in enumerate([(RED_TRUCK, None), (street(0), None), (street(1), 64)]):
        picture, text = render(scene, 96), text_about(scene, length)
        assert ask(ask_page, "x.pixels(a)", i) == picture.flatten().tolist(), "the page has the picture byte for byte"
        expected = reading_of_torch(trained, picture, text)
        assert max(differences(reading_of_page(ask_page, picture, text), expected).values()) < CLOSE
        if i:
            continue
        other = differences(reading_of_page(ask_page, picture[..., ::-1], text), expected)
        assert min(other.values()) > 10 * CLOSE, "red and blue exchanged must be noticed"


def test_the_page_writes_torchs_caption_with_its_probabilities_and_shares(ask_page, trained):
    for scene in (RED_TRUCK, street(0), street(2)):
        picture = render(scene, 96)
        expected = caption_of(trained, TOKENIZER, picture)
        found = ask(ask_page, "x.caption(a)", picture.flatten().tolist())
        assert [token["id"] for token in found] == [token["id"] for token in expected]
        for number in ("p", "share"):
            assert np.allclose([t[number] for t in found], [t[number] for t in expected], rtol=0, atol=CLOSE)
        assert ask(ask_page, "x.decode(a)", [t["id"] for t in found]) == TOKENIZER.decode([t["id"] for t in found])
        ask(ask_page, "x.choose(a, false)", [RED_TRUCK, street(0), street(1), street(2)].index(scene))
        words = TOKENIZER.decode([t["id"] for t in expected]).split()
        pieces = np.array([len(TOKENIZER.encode(word)) for word in words])
        shares = [expected[place]["share"] for place in pieces.cumsum() - pieces]  # as notebook 10 draws them
        labels = ask_page.locator(".explorer .words input").evaluate_all("all => all.map(i => i.ariaLabel)")
        assert [label.rpartition(": ")[0] for label in labels] == words
        assert np.allclose([float(label.split()[-1]) for label in labels], shares, rtol=0, atol=0.006)
    assert ask(ask_page, "x.ready") < 0.01, "the shipped numbers differ from the stored ones by their rounding only"


def test_texts_come_back_from_their_ids(ask_page):
    draw = random.Random(1)
    for text in (*ODD, *EXAMPLES):
        ids = TOKENIZER.encode(text)
        assert ask(ask_page, "x.ids(a)", text) == [TOKENIZER.sot_id, *ids, TOKENIZER.sep_id]
        assert ask(ask_page, "x.decode(a)", ids) == TOKENIZER.decode(ids)
    rows = [[draw.randrange(TOKENIZER.vocab_size) for _ in range(12)] for _ in range(50)]
    assert ask(ask_page, "a.map(x.decode)", rows) == [TOKENIZER.decode(row) for row in rows]


def test_answers_have_torchs_probabilities_and_none_is_missed(ask_page, trained):
    ask(ask_page, "x.choose(1, false)")
    picture = image(render(street(0), 96))
    seen = {"images": picture} if isinstance(trained, SimVLM) else {"seen": trained.look(picture)}
    for question in (*EXAMPLES, "zzz 日本 🚌?"):
        found = ask(ask_page, "x.answers(a)", question)["found"]
        texts = [answer["text"] for answer in found]
        expected = answer_probabilities(trained, TOKENIZER, question, texts, **seen)
        assert np.allclose([answer["p"] for answer in found], [expected[text] for text in texts], rtol=0, atol=CLOSE)
        known = answer_probabilities(trained, TOKENIZER, question, ANSWERS, **seen)
        best = next(iter(known))
        assert best in texts or known[best] < max(found[-1]["p"], 2e-3)
        assert [a["p"] for a in found] == sorted((a["p"] for a in found), reverse=True) and len(found) <= 3


def test_words_answer_to_pointer_and_keys(ask_page):
    ask_page.evaluate("window.heard = []; document.addEventListener('keydown', e => window.heard.push(e.key))")
    host = ask_page.locator(".explorer")
    ask(ask_page, "x.choose(0, false)")
    words = ask(ask_page, "x.state")["words"]
    shown = lambda: ask(ask_page, "x.state")["shown"]  # noqa: E731
    assert shown() == "The street" and len(words) == host.locator(".words label").count() > 2
    host.locator(".words label").nth(2).hover()
    assert shown() == f"Where it looked for “{words[2]}”" and words[2] in host.locator(".detail").inner_text()
    host.locator(".big").hover()
    assert shown() == "The street"
    host.locator(".words input").first.focus()
    ask_page.keyboard.press("ArrowRight")
    assert shown() == f"Where it looked for “{words[1]}”"
    assert "row" in host.locator(".big").get_attribute("aria-label")
    assert ask_page.evaluate("window.heard") == []
    ask_page.keyboard.press("PageDown")  # the presenter's key must get through
    assert ask_page.evaluate("window.heard") == ["PageDown"]
    host.locator("#question").fill(EXAMPLES[1])
    host.locator("#question").press("Enter")
    best = ask(ask_page, "x.answers(a)", EXAMPLES[1])["found"][0]
    assert best["text"] in host.locator(".verdict").inner_text() and best["text"] in shown()
    host.get_by_label("Street 3").check(force=True)
    host.get_by_role("button", name="write it again").click()
    ask_page.wait_for_function(
        "() => { const root = document.querySelector('.explorer').shadowRoot;"
        " return root.querySelector('.words label') && !root.querySelector('.unwritten'); }"
    )
    assert ask(ask_page, "x.state")["scene"] == 2 and ask(ask_page, "x.state")["words"]


def test_any_question_gets_an_answer_or_a_reason(ask_page):
    host = ask_page.locator(".explorer")
    for question in ("who drives the zeppelin?", "日本の 赤い バス", "🚌🚌 x<eot>", "?", "<b>red</b> & \u0000"):
        ask(ask_page, "x.ask(a)", question)
        assert host.locator(".answers dt").count() >= 2 and host.locator(".verdict b").count() == 1
    ask(ask_page, "x.ask(a)", "who drives the zeppelin?")
    assert "Never read in training: who, drives, zeppelin." in host.locator(".strange").inner_text()
    ask(ask_page, "x.ask(a)", EXAMPLES[0])
    assert host.locator(".strange").inner_text() == ""
    for question, reason in (("   ", "Type a question"), ("is there a car? " * 20, "shorten it")):
        ask(ask_page, "x.ask(a)", question)
        assert reason in host.locator(".verdict").inner_text() and host.locator(".answers dt").count() == 0


def test_a_random_model_is_computed_as_well(window, tmp_path, name):
    draw = torch.Generator().manual_seed(0)
    empty = build_speaker(TOKENIZER.vocab_size, load_result(name)["configuration"]).state_dict()

    def drawn(key: str, tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_floating_point():
            return tensor
        x = torch.randn(tensor.shape, generator=draw)
        if tensor.ndim > 1:
            return x / tensor[0].numel() ** 0.5 if "embedding" not in key else 0.5 * x
        return x.abs() + 0.5 if key.endswith(("running_var", "weight")) else 0.3 * x

    state = {key: drawn(key, tensor) for key, tensor in empty.items()}
    (tmp_path / "assets" / "models").mkdir(parents=True)
    (tmp_path / "assets" / "models" / f"{name}.js").write_text(state_script(name, state))
    page = opened(window, tmp_path / "ask.html", page_of(ask_explorer([street(0)], model=name)))
    model, picture, text = speaker(name, state), render(street(0), 96), text_about(street(0), 64)
    found = differences(reading_of_page(page, picture, text), reading_of_torch(model, picture, text))
    assert max(found.values()) < CLOSE
    assert ask(page, "x.ready") > 10 * CLOSE, "the page must notice that these are not torch's weights"
    ask(page, "x.ask(a)", "is there a car?")
    assert page.locator(".explorer .verdict b").count() == 1


@pytest.mark.parametrize(
    ("of", "right", "wrong"),
    [
        ("street-visualgpt", "beta > tau ? beta : 0", "beta"),
        ("street-visualgpt", "(value - 128) / 64", "value / 128"),
        ("street-visualgpt", "- w[`${norm}.running_mean`][j] * scale", "- 0"),
        ("street-visualgpt", 'part("ln_cross.weight")', 'part("ln_2.weight")'),
        ("street-simvlm", "Math.floor(place / places) * width", "(place % places) * width"),
        (
            "street-simvlm",
            "ids) => readTogether(w, settings, state, embeddings(w, settings, ids))",
            "ids) => ids.reduce((s, id) => speaker.read(w, settings, s, id), state)",
        ),
    ],
    ids=[
        "gate",
        "pixels",
        "batch norm",
        "layer norm",
        "rows",
        "a prompt that may not look ahead",
    ],
)
def test_a_broken_function_of_a_speaker_would_be_noticed(window, place, of, right, wrong):
    text = page_of(ask_explorer([RED_TRUCK], model=of))
    broken = text.replace(right, wrong)
    assert broken != text
    page, picture, told = opened(window, place / "wrong.html", broken), render(RED_TRUCK, 96), text_about(RED_TRUCK)
    model = speaker(of, load_state(shipped(f"weights/{of}.safetensors")))
    found = differences(reading_of_page(page, picture, told), reading_of_torch(model, picture, told))
    assert found["logits"] > 10 * CLOSE and found["shares"] > CLOSE


def test_without_its_weights_the_caption_of_torch_is_shown(chromium, tmp_path):
    (tmp_path / "ask.html").write_text(page_of(ask_explorer([RED_TRUCK, street(0)])), encoding="utf-8")
    with patient_page(chromium, 600) as (page, _):
        page.goto((tmp_path / "ask.html").as_uri())
        page.wait_for_function("document.querySelector('.explorer')?.explorer")
        assert ask(page, "x.ready") is None
        assert "assets/models/street-visualgpt.js is not beside this page" in page.locator(".problem").inner_text()
        said = caption_of(load("street-visualgpt").model, TOKENIZER, render(RED_TRUCK, 96))
        assert " ".join(ask(page, "x.state")["words"]) == TOKENIZER.decode([token["id"] for token in said])
        page.locator(".words label").first.hover()
        ask(page, "x.choose(1)")
        ask(page, "x.ask(a)", "is there a car?")
        assert ask(page, "x.state")["words"] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 600  # 1200 pixels at 200 %


def test_the_depth_explorer_shows_the_means_of_the_stored_runs(window, place):
    result = load_result("depth")
    page = opened(window, place / "depth.html", page_of(depth_explorer(result)))
    host = page.locator(".explorer")
    for depth, moment in [(20, "0"), (14, "0"), (14, "800")]:
        for kind in ("plain", "residual"):
            runs = [run["figures"] for run in result["runs"] if run["arm"] == f"{kind}-{depth}"]
            shown = ask(page, "x.shown(a)", kind)
            assert shown["loss"] == pytest.approx(np.mean([run["loss"] for run in runs]))
            assert np.allclose(shown["curve"], np.mean([run["curve"] for run in runs], 0))
            assert np.allclose(shown["norm"], np.mean([run["gradient norms"][moment] for run in runs], 0))
            assert f"{kind} {shown['loss']:.2f}" in host.locator(".said").inner_text()
        if moment == "0":
            host.locator(".depth" if depth == 20 else ".moment").press("ArrowLeft" if depth == 20 else "ArrowRight")
    assert ask(page, "x.state") == {"depth": 14, "moment": 800}
    assert host.locator("svg").count() == 2 and host.locator("polyline").count() == 2 * 2 * (5 + 1)


@pytest.fixture(scope="module")
def colour_page(window, place):
    return opened(window, place / "colour.html", page_of(colour_explorer()))


def references(rgb: np.ndarray) -> dict[str, np.ndarray]:
    """The colours [n, 3] in the six other spaces, by scikit-image and colorsys."""
    hls = np.array([colorsys.rgb_to_hls(*c) for c in rgb])
    black = 1 - rgb.max(1, keepdims=True)
    inks = np.divide(1 - rgb - black, 1 - black, out=np.zeros_like(rgb), where=black < 1)
    found = {"HSV": color.rgb2hsv(rgb), "HSL": hls[:, [0, 2, 1]], "XYZ": color.rgb2xyz(rgb), "Lab": color.rgb2lab(rgb)}
    return found | {"LUV": color.rgb2luv(rgb), "CMYK": np.concatenate([inks, black], 1)}


def test_colours_equal_the_libraries_and_come_back(colour_page):
    rgb = np.random.default_rng(0).integers(0, 256, (400, 3)) / 255
    rgb[:6] = [[0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5], [1, 0, 0], [0.01, 0.005, 0], [1, 0, 1]]
    for name, expected in references(rgb).items():
        found = np.array(ask(colour_page, "x.to(a[0], a[1])", [name, rgb.tolist()]))
        assert np.abs(found - expected).max() < CLOSE, name
        back = np.array(ask(colour_page, "x.from(a[0], a[1])", [name, found.tolist()]))
        assert np.abs(back - rgb).max() < CLOSE, name
        swapped = np.array(ask(colour_page, "x.to(a[0], a[1])", [name, rgb[:, ::-1].tolist()]))
        assert np.abs(swapped - expected).max() > 10 * CLOSE, "red and blue exchanged must be noticed"


def test_a_walk_by_mouse_and_keys(colour_page):
    host = colour_page.locator(".explorer")
    plane = host.locator(".plane")
    plane.click(position={"x": 151, "y": 76})
    hue, saturation, _ = ask(colour_page, "x.state")["point"]
    assert abs(hue - 0.5) < 0.01 and abs(saturation - 0.75) < 0.01
    plane.press("ArrowRight")
    state = ask(colour_page, "x.state")
    assert state["point"][0] == pytest.approx(hue + 0.02) and state["walked"] > 1
    host.locator("select").select_option("Lab")
    lab = color.rgb2lab(np.array(ask(colour_page, "x.state")["rgb"]))
    assert np.abs(np.array(ask(colour_page, "x.state")["point"]) - lab).max() < CLOSE
    before = ask(colour_page, "x.state")
    assert not ask(colour_page, "x.moveTo([50, 95, 90])"), "no screen shows it"
    assert ask(colour_page, "x.state") == before
    host.get_by_label("L*").press("ArrowRight")
    assert ask(colour_page, "x.state")["point"][0] > before["point"][0]


def test_without_its_weights_it_still_shows_what_torch_stored(chromium, tmp_path, streets):
    (tmp_path / "page.html").write_text(page_of(clip_explorer(streets, TEXTS)), encoding="utf-8")
    with patient_page(chromium, 1200) as (page, _):
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_function("document.querySelector('.explorer')?.explorer")
        ask(page, "x.ready")
        assert "assets/models/street-clip.js is not beside this page" in page.locator(".problem").inner_text()
        assert sum(p or 0 for p in ask(page, "x.probabilities()")) == pytest.approx(1)


def works_narrow_and_dark(chromium, path: Path, figure) -> None:
    """A figure with its weights inside, on a dark page of 600 pixels, which are 1200 at 200 %."""
    text = page_of(figure).replace("<body>", "<body style='background: #111; color: #eee'>")
    path.write_text(text, encoding="utf-8")
    with patient_page(chromium, 600) as (page, seen):
        page.goto(path.as_uri())
        page.wait_for_function("document.querySelector('.explorer')?.explorer")
        assert ask(page, "x.ready") < CLOSE
        assert page.locator(".explorer").get_attribute("data-theme") == "dark"
        assert page.evaluate("document.documentElement.scrollWidth") <= 600
        assert seen.errors == seen.failed == seen.outside == []


def test_weights_inside_the_page_and_a_narrow_dark_one(chromium, tmp_path, streets):
    works_narrow_and_dark(chromium, tmp_path / "page.html", clip_explorer(streets, TEXTS, inline=True))


class Jupyter(BaseHTTPRequestHandler):
    """As Jupyter's server: pages anywhere, and below files/ what lies in its folder, the course in a folder there."""

    page = ""

    def do_GET(self) -> None:
        _, files, name = self.path.partition("/user/me/files/course/")
        found = ROOT / name
        body = found.read_bytes() if files and found.is_file() else self.page.encode()
        self.send_response(200 if "files" not in self.path or (files and found.is_file()) else 404)
        self.send_header("Content-Type", "application/octet-stream" if files else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


def test_in_jupyter_the_weights_come_from_its_server(chromium, streets):
    settings = '<script id="jupyter-config-data" type="application/json">{"baseUrl": "/user/me/"}</script>'
    Jupyter.page = page_of(clip_explorer(streets, TEXTS), ask_explorer([RED_TRUCK])).replace(
        "<body>", f"<body>{settings}"
    )
    with HTTPServer(("127.0.0.1", 0), Jupyter) as server, patient_page(chromium, 1200) as (page, seen):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page.goto(f"http://127.0.0.1:{server.server_port}/user/me/lab/tree/course/notebooks/08_zero_shot.ipynb")
        page.wait_for_function("document.querySelector('.explorer')?.explorer")
        assert ask(page, "x.ready") < CLOSE
        page.wait_for_function("document.querySelector('.ask-explorer').explorer")
        assert page.evaluate("document.querySelector('.ask-explorer').explorer.ready") < CLOSE
        assert seen.outside == [] and all("404" in failure for failure in seen.failed)
        server.shutdown()


def test_an_exported_deck_brings_the_weights_along(tmp_path, streets):
    output = new_output("display_data", {"text/html": clip_explorer(streets, TEXTS).data})
    cell = new_code_cell("clip_explorer(streets)", outputs=[output], execution_count=1)
    write(new_notebook(cells=[cell]), tmp_path / "99_trial.ipynb")
    export(tmp_path / "99_trial.ipynb", tmp_path / "deck")
    assert (tmp_path / "deck" / "assets" / "models" / "street-clip.js").read_text() == model_script("street-clip")
    assert not (tmp_path / "deck" / "assets" / "models" / "street-vit.js").exists()
    assert sum(file.stat().st_size for file in (tmp_path / "deck" / "assets" / "models").iterdir()) < 10e6


def test_packed_numbers_keep_five_digits():
    x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    assert np.abs(unpack(pack(x)) / x - 1).max() < 2.0**-16


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
    with pytest.raises(ValueError, match="space: 'hsv' is not one of RGB, HSV"):
        colour_explorer("hsv")
    with pytest.raises(ValueError, match=r"rgb: .* is not three numbers from 0 to 1"):
        colour_explorer("RGB", (255, 0, 0))
    with pytest.raises(ValueError, match="scenes: 0 is not a number from 1 to 24"):
        ask_explorer([])
    with pytest.raises(ValueError, match="model: 'alexnet' is not one of street-visualgpt, street-simvlm"):
        ask_explorer([RED_TRUCK], model="alexnet")
    with pytest.raises(ValueError, match="'alexnet' does not run in a page"):
        model_script("alexnet")
