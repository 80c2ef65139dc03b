"""The explorer of the two streams in a real browser: it equals torch, and answers to texts, pointer and keys."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.models.vilbert import ViLBERT
from helpers.page.explorers import regions, weights
from helpers.page.explorers.regions import reading_of, region_names, regions_explorer
from helpers.page.explorers.weights import model_script, state_script
from helpers.weights.pretrained import load
from helpers.weights.seen import look_at
from helpers.worlds.street.questions import ANSWERS
from helpers.worlds.street.regions import CLASSES
from helpers.worlds.street.sample import scene_at
from helpers.worlds.street.scene import RED_TRUCK, Scene, Trees, Vehicle
from tests import browser, test_explorers
from tests.test_explorers import CLOSE, as_stored, ask, opened, page_of, patient_page, works_narrow_and_dark
from tools.browser import watched_page

chromium, window = browser.chromium, test_explorers.window
BUS_AND_CAR = Scene(
    (Vehicle("bus", "blue", x=0.27), Vehicle("car", "red", x=0.74, lane=2, facing="left")),
    Trees("pine", (0.08, 0.5, 0.93)),
)
SCENES = (BUS_AND_CAR, RED_TRUCK, *(scene_at("test", i) for i in (1, 10)))
SENTENCES = ("a blue bus to the left of a red car", "a red truck", "a street with palm trees", "a snowy street")
QUESTIONS = (
    "what colour is the car?",
    "is the bus to the left or to the right of the car?",
    "how many trees are there?",
)
FIRST = {"sentences": SENTENCES, "asked": QUESTIONS}
TEXTS = {
    "sentence": (*SENTENCES, "a big ΑΣ <eot> 日本 truck!?", "trees " * 46, "bus"),
    "question": (*QUESTIONS, "don't  you see a zeppelin", "tree " * 47, "?"),
}
TOKENIZER = load("street-vilbert").tokenizer


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder as a deck is exported to, with the weights beside."""
    folder = tmp_path_factory.mktemp("regions")
    (folder / "assets" / "models").mkdir(parents=True)
    (folder / "assets" / "models" / "street-vilbert.js").write_text(model_script("street-vilbert"))
    return folder


@pytest.fixture(scope="module")
def page(chromium, place):
    with patient_page(chromium, 1200) as own:
        yield opened(own, place / "regions.html", page_of(regions_explorer(SCENES, **FIRST)))


@pytest.fixture(scope="module")
def trained() -> ViLBERT:
    """The shipped model with the numbers that the page reads."""
    model = load("street-vilbert").model
    model.load_state_dict(as_stored(model.state_dict()))
    return model


@pytest.fixture(scope="module")
def seen():
    return [look_at(scene, seed=i)[1] for i, scene in enumerate(SCENES)]


def apart(page, model: ViLBERT, seen, texts=TEXTS) -> dict[str, float]:
    """How far the page's numbers are from torch's at most: of alignment, answers and looks, over streets and texts."""
    most = {"p": 0.0, "answers": 0.0, "looks": 0.0}
    for kind, some in texts.items():
        for text in some:
            for i, street in enumerate(seen):
                found = ask(page, "x.read(...a)", [kind, text.strip(), i])
                expected = reading_of(model, street.regions, text.strip(), kind == "question")
                assert found.keys() == expected.keys()
                for name, value in expected.items():
                    own, torchs = np.array(found[name]), np.array(value)
                    assert own.shape == torchs.shape
                    most[name] = max(most[name], float(np.abs(own - torchs).max()))
    return most


def test_alignment_answers_and_looks_equal_torch(page, trained, seen):
    most = apart(page, trained, seen)
    assert max(most.values()) < CLOSE, most
    assert ask(page, "x.ready") < CLOSE
    exchanged = [one._replace(regions=one.regions._replace(features=one.regions.features.flip(1))) for one in seen]
    others = apart(page, trained, exchanged, {"sentence": SENTENCES[:1], "question": QUESTIONS[:1]})
    assert min(others.values()) > 10 * CLOSE, "features of other regions must be noticed"


def test_the_ids_are_pythons(page):
    for kind, texts in TEXTS.items():
        for text in texts:
            expected = TOKENIZER.sequences([[text]], end=kind == "sentence").ids[0].tolist()
            assert ask(page, "x.ids(...a)", [kind, text]) == expected


def random_model(visual: int, language: int) -> ViLBERT:
    """A small model whose numbers are large enough to tell its parts from each other."""
    draw = torch.Generator().manual_seed(0)
    sizes = {"visual": visual, "language": language, "heads": 2, "text_layers": 1, "co_layers": 2, "length": 48}
    model = ViLBERT(TOKENIZER.vocab_size, 384, len(CLASSES), len(ANSWERS), **sizes)
    for name, tensor in model.state_dict().items():
        x = torch.randn(tensor.shape, generator=draw)
        if tensor.ndim > 1:
            tensor.copy_(2 * x / tensor[0].numel() ** 0.5 if "embedding" not in name else x)
        else:
            tensor.copy_(x.abs() + 0.5 if name.endswith("weight") else 0.3 * x)
    model.load_state_dict(as_stored(model.state_dict()))
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("widths", [(24, 40), (32, 32)], ids=["streams of two widths", "of one"])
def test_a_random_model_is_computed_as_well(window, tmp_path, monkeypatch, seen, widths):
    shipped, model = load("street-vilbert"), random_model(*widths)
    for module in (regions, weights):
        monkeypatch.setattr(module, "load", lambda name: replace(shipped, model=model))
    (tmp_path / "assets" / "models").mkdir(parents=True)
    script = state_script("street-vilbert", model.state_dict())
    (tmp_path / "assets" / "models" / "street-vilbert.js").write_text(script)
    page = opened(window, tmp_path / "regions.html", page_of(regions_explorer(SCENES[:2], **FIRST)))
    most = apart(page, model, seen[:2])
    assert max(most.values()) < CLOSE, most
    assert ask(page, "x.ready") < CLOSE
    assert ask(page, "x.state")["order"] == sorted(
        (0, 1), key=lambda i: -reading_of(model, seen[i].regions, SENTENCES[0])["p"]
    )


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("`${name}.co_attention.for_visual`", "`${name}.co_attention.for_language`"),
        ("gatherAcross(v, n, l, count, w", "gatherAcross(v, n, v, n, w"),
        ("gatherAcross(l, count, v, n, w", "gatherAcross(l, count, visual, n, w"),
        ("keys = part(other, m, 1)", "keys = part(other, m, 2)"),
        ('through(boxes, n, "box_projection")', 'through(boxes, n, "box_projection").fill(0)'),
        ("value * text[i]", "value + text[i]"),
    ],
    ids=["the other stream's queries", "not crossed", "not normalised", "values as keys", "no boxes", "sum"],
)
def test_a_broken_function_of_vilbert_would_be_noticed(window, place, trained, seen, right, wrong):
    text = page_of(regions_explorer(SCENES[:1], **FIRST))
    broken = text.replace(right, wrong)
    assert broken != text
    page = opened(window, place / "wrong.html", broken)
    most = apart(page, trained, seen[:1], {"sentence": ("a red truck",), "question": ("what colour is the truck?",)})
    assert max(most.values()) > 10 * CLOSE and ask(page, "x.ready") > 10 * CLOSE


def test_a_sentence_finds_its_street(page, trained, seen):
    host = page.locator(".explorer")
    for text in SENTENCES:
        host.locator("#sentence").fill(text)
        host.locator("#sentence").press("Enter")
        p = [reading_of(trained, street.regions, text)["p"] for street in seen]
        order = sorted(range(len(p)), key=lambda i: -p[i])
        same = "a => `${document.querySelector('.explorer').explorer.state.order}` === `${a}`"
        page.wait_for_function(same, arg=order)
        shown = [float(share.rstrip("\xa0%")) for share in host.locator(".dozen").inner_text().split("\n") if share]
        assert np.allclose(shown, [100 * p[i] for i in order], rtol=0, atol=0.51)
        assert f"{100 * p[0]:.0f}\xa0%" in host.locator(".verdict.sentence").inner_text() or p[0] < 0.0095
    host.get_by_role("button", name=SENTENCES[0]).click()
    assert host.locator("#sentence").input_value() == SENTENCES[0]
    truck = host.locator(".dozen label").nth(ask(page, "x.state")["order"].index(1)).locator("input")
    truck.check(force=True)
    assert ask(page, "x.state")["scene"] == 1
    assert "red truck" in host.locator(".big").get_attribute("aria-label")
    ask(page, "x.enter(...a)", ["question", QUESTIONS[0]])
    best = int(np.argmax(reading_of(trained, seen[1].regions, QUESTIONS[0], question=True)["answers"]))
    assert host.locator(".verdict.question b").inner_text() == ANSWERS[best]
    ask(page, "x.choose(0)")


def test_words_answer_to_pointer_and_keys(page, trained, seen):
    page.evaluate("window.heard = []; document.addEventListener('keydown', e => window.heard.push(e.key))")
    host, state = page.locator(".explorer"), lambda: ask(page, "x.state")
    ask(page, "x.choose(0)")
    for kind, text in (("sentence", SENTENCES[0]), ("question", QUESTIONS[0])):
        ask(page, "x.enter(...a)", [kind, text])
        assert state()["words"][kind] == text.replace("?", " ?").split()
        looks = reading_of(trained, seen[0].regions, text, kind == "question")["looks"]
        host.locator(f".words.{kind} label").nth(2).hover()
        word = state()["words"][kind][2]
        assert state()["shown"] == f"Where “{word}” looks"
        shares = {f"{100 * p:.0f}\xa0%" for p in looks[0][3] if p >= 0.02}  # the first token is <sot>
        written = set(host.locator("svg text").all_text_contents())
        assert shares <= written | {label.removeprefix("whole picture ") for label in written}
        host.locator(".big").hover()
        assert state()["shown"] == "The street and its regions"
    names = region_names(seen[0].classes[0, seen[0].regions.real[0]])
    assert host.locator("svg text").all_text_contents() == names[1:]
    host.locator(".words.sentence input").first.focus()
    page.keyboard.press("ArrowRight")
    assert state()["shown"] == "Where “blue” looks"
    assert "bus" in host.locator(".big").get_attribute("aria-label").split(",")[0]
    page.keyboard.press("Tab")
    assert state()["shown"] == "The street and its regions"
    host.get_by_label("Co-attention 1 of 3").focus()
    page.keyboard.press("ArrowRight")
    assert state()["layer"] == 2
    host.locator(".words.sentence label").nth(2).hover()
    assert "co-attention 2" in host.locator(".detail").inner_text()
    host.locator(".big").hover()
    host.get_by_label("Co-attention 2 of 3").press("ArrowLeft")
    assert page.evaluate("window.heard") == ["Tab"], "the slides must not turn"
    page.keyboard.press("PageDown")  # the presenter's key must get through
    assert page.evaluate("window.heard") == ["Tab", "PageDown"]


def test_any_text_gets_a_result_or_a_reason(page):
    host = page.locator(".explorer")
    for text in ("who drives the zeppelin?", "日本の 赤い バス", "🚌🚌 x<eot>", "?", "<b>red</b> & \u0000", "ß" * 20):
        for kind in ("sentence", "question"):
            ask(page, "x.enter(...a)", [kind, text])
            assert host.locator(f".verdict.{kind} b").count() == 1
            host.locator(f".words.{kind} label").first.hover()
    assert host.locator(".said b:not(.verdict b)").count() == 0, "what is typed is never read as HTML"
    for kind in ("sentence", "question"):
        strange = host.locator(f".strange.{kind}")
        ask(page, "x.enter(...a)", [kind, "who drives the zeppelin?"])
        assert strange.inner_text() == "Never read in training: who, drives, zeppelin."
        for text, reason in (("   ", f"Type a {kind}"), ("is there a car? " * 18, "shorten it")):
            ask(page, "x.enter(...a)", [kind, text])
            assert reason in host.locator(f".verdict.{kind}").inner_text()
            assert host.locator(f".words.{kind} label").count() == 0 and strange.inner_text() == ""
    assert set(host.locator(".dozen label > span:last-child").all_text_contents()) == {"–"}
    assert host.locator(".answers dt").count() == 0
    for kind, some in TEXTS.items():
        ask(page, "x.enter(...a)", [kind, some[0]])
    assert host.locator(".answers dt").count() == 4


def test_a_new_sentence_ends_the_search_for_the_one_before(page, trained, seen):
    page.evaluate(
        "texts => Promise.all(texts.map(t => document.querySelector('.explorer').explorer.enter('sentence', t)))",
        list(SENTENCES),
    )
    p = [reading_of(trained, street.regions, SENTENCES[-1])["p"] for street in seen]
    assert ask(page, "x.state")["order"] == sorted(range(len(p)), key=lambda i: -p[i])
    ask(page, "x.enter(...a)", ["sentence", SENTENCES[0]])


def test_without_its_weights_it_still_shows_what_torch_stored(chromium, tmp_path, seen):
    (tmp_path / "regions.html").write_text(page_of(regions_explorer(SCENES, **FIRST)), encoding="utf-8")
    with patient_page(chromium, 600) as (page, _):
        page.goto((tmp_path / "regions.html").as_uri())
        page.wait_for_function("document.querySelector('.explorer')?.explorer")
        assert ask(page, "x.ready") is None
        assert "assets/models/street-vilbert.js is not beside this page" in page.locator(".problem").inner_text()
        model = load("street-vilbert").model
        p = [reading_of(model, street.regions, SENTENCES[0])["p"] for street in seen]
        assert ask(page, "x.state")["order"] == sorted(range(len(p)), key=lambda i: -p[i])
        assert f"{100 * p[0]:.0f}\xa0%" in page.locator(".verdict.sentence").inner_text()
        assert page.locator(".answers dt").count() == 4
        page.locator(".words.sentence label").nth(1).hover()
        assert ask(page, "x.state")["shown"] == "Where “blue” looks"
        ask(page, "x.choose(1)")
        assert f"{100 * p[1]:.0f}" in page.locator(".verdict.sentence").inner_text() or p[1] < 0.0095
        page.locator(".words.sentence label").nth(1).hover()
        assert ask(page, "x.state")["shown"] == "The street and its regions"
        assert page.locator(".answers dt").count() == 0
        ask(page, "x.enter('sentence', 'a red truck')")
        assert page.locator(".verdict.sentence").inner_text() == ""
        assert page.evaluate("document.documentElement.scrollWidth") <= 600  # 1200 pixels at 200 %


def test_it_works_narrow_and_dark_and_words_stay_below_the_pointer(chromium, tmp_path):
    works_narrow_and_dark(chromium, tmp_path / "page.html", regions_explorer(SCENES, **FIRST, inline=True))
    for width in (400, 600, 1200):
        with watched_page(chromium, width, 700) as (page, _):
            page.goto((tmp_path / "page.html").as_uri())
            page.wait_for_function("document.querySelector('.explorer')?.explorer")
            ask(page, "x.ready")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            heights = "() => document.querySelector('.explorer').getBoundingClientRect().height"
            before = page.evaluate(heights)
            for i in range(10):
                page.locator(".words.sentence label").nth(i).hover()
                assert page.evaluate(heights) == before


def test_what_cannot_be_shown_gets_a_sentence():
    for scenes in ([], [RED_TRUCK] * 25):
        with pytest.raises(ValueError, match=f"scenes: {len(scenes)} is not a number from 1 to 24"):
            regions_explorer(scenes)
    with pytest.raises(ValueError, match="layer: 4 is not a number from 1 to 3"):
        regions_explorer([RED_TRUCK], layer=4)
    with pytest.raises(ValueError, match="give one of each at least"):
        regions_explorer([RED_TRUCK], sentences=())


def test_regions_of_one_name_are_numbered():
    classes = torch.eye(len(CLASSES))[[0, 1, 2, 1]]
    assert region_names(classes) == ["whole picture", f"{CLASSES[1]} 1", CLASSES[2], f"{CLASSES[1]} 2"]
