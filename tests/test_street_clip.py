"""The shipped CLIP does on fresh scenes what its page says, its batches are what the recipe says, and it resumes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import islice

import pytest
import torch

from experiments import street_clip
from experiments.__main__ import main
from experiments.street_clip import GROUPS, MODELS, batches, loss, sentences, uncoloured
from helpers.files import DATA
from helpers.models.clip import build_clip, encode_images, image_features, text_features, zero_shot_classifier
from helpers.training.fit import Recipe
from helpers.weights.pretrained import load
from helpers.worlds.street.prompts import street_prompts
from helpers.worlds.street.sample import CLASSES
from helpers.worlds.street.scene import COLOURS
from helpers.worlds.street.shifts import SHIFTS
from helpers.worlds.streets import load_street
from helpers.worlds.tokenizer import StreetTokenizer
from tests.test_street_models import assert_same_recipe

PAGE = DATA / "weights" / "street-clip.json"
SCENES, BATCH = 32, 8
SMALL = Recipe(steps=8, rate=1e-3)


def shipped_clip():
    return load("street-clip").model


def given(first: int, n: int, recipe: Recipe = SMALL) -> list[tuple[torch.Tensor, ...]]:
    """The batches of `n` steps from step `first` on."""
    return list(islice(batches(SCENES, BATCH, recipe)(first), n))


@pytest.fixture
def half_grey(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(street_clip, "GREY", 0.5)
    monkeypatch.setattr(street_clip, "GREY_UNTIL", 0.0)


def test_shipped_model_does_on_fresh_scenes_what_is_reported() -> None:
    figures = json.loads(PAGE.read_text(encoding="utf-8"))["figures"]
    street = load_street("test", 400, seed=77, progress=False)
    found = {}
    for name, model in (("shipped", shipped_clip()), ("untrained", build_clip(seed=5).eval())):
        features = encode_images(model, street.images)
        for label in CLASSES:
            rows = zero_shot_classifier(model, StreetTokenizer(), street_prompts(label))
            p = figures[label]["accuracy"]
            spread = math.sqrt(max(p * (1 - p), 0.01) / len(street))
            right = ((features @ rows.T).argmax(1) == street.labels[label]).float().mean().item()
            found[name, label] = abs(right - p) < 5 * spread
    assert all(found["shipped", label] for label in CLASSES), found
    assert not any(found["untrained", label] for label in CLASSES), found


def test_page_has_every_figure_with_its_interval_and_the_recipe_of_the_code() -> None:
    page = json.loads(PAGE.read_text(encoding="utf-8"))
    assert_same_recipe(page, MODELS[0])
    assert page["configuration"] == json.loads((DATA / "models" / "street-clip.json").read_text(encoding="utf-8"))
    figures = page["figures"]
    assert {*CLASSES, "colour_vehicle", "unseen_pairs", "r1_1000", *SHIFTS} == figures.keys()
    shares = [figures[key] for key in (*CLASSES, "colour_vehicle", "unseen_pairs", "r1_1000")]
    for shift in SHIFTS:
        shares += figures[shift].values()
    for share in shares:
        low, high = share["interval"]
        assert 0 <= low <= share["accuracy"] <= high <= 1 and share["n"] > 0
    assert (DATA / "weights" / "street-clip.safetensors").stat().st_size <= 12_000_000


def test_evaluate_draws_the_scenes_of_the_callers_seed(capsys: pytest.CaptureFixture) -> None:
    main(["evaluate", "street-clip", "--test-seed", "5", "--scenes", "24"])
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["test_seed"], found["scenes"]) == ("street-clip", 5, 24)
    model = shipped_clip()
    street = load_street("test", 24, seed=5, shift="sketch", cache=False, progress=False, captions=0)
    rows = zero_shot_classifier(model, StreetTokenizer(), street_prompts("vehicle"))
    right = (encode_images(model, street.images) @ rows.T).argmax(1) == street.labels["vehicle"]
    assert found["figures"]["sketch"]["vehicle"]["accuracy"] == pytest.approx(right.float().mean().item(), abs=1e-4)
    assert found["figures"]["r1_1000"]["n"] == 1000


# The batches


def test_captions_lose_their_colours_and_nothing_else() -> None:
    assert uncoloured("an orange bus and a red car") == "a bus and a car"
    assert uncoloured("a modern white van is parked on a street") == "a modern van is parked on a street"
    assert uncoloured("two trucks on a road with oaks") == "two trucks on a road with oaks"
    assert uncoloured("an old tree") == "an old tree"


def test_a_batch_is_the_same_whenever_it_is_asked_for(half_grey: None) -> None:
    third, fourth = given(3, 2)
    for a, b in zip(third, given(0, 4)[3], strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(third[0], fourth[0])


def test_an_epoch_shows_every_picture_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(street_clip, "GREY", 0.0)
    monkeypatch.setattr(street_clip, "GREY_UNTIL", 0.0)
    street = load_street("train", SCENES, captions=0, progress=False)
    shown = torch.cat([images for images, *_ in given(0, 4)])
    known = {image.numpy().tobytes() for image in street.images}
    known |= {image.flip(2).contiguous().numpy().tobytes() for image in street.images}
    assert sorted(image.float().sum().item() for image in shown) == sorted(
        image.float().sum().item() for image in street.images
    )
    assert all(image.contiguous().numpy().tobytes() in known for image in shown)


def test_a_grey_picture_has_captions_without_colours(half_grey: None) -> None:
    tokenizer, seen = StreetTokenizer(), {True: 0, False: 0}
    for images, *groups in given(0, 8):
        assert len(groups) == len(GROUPS)
        for i, image in enumerate(images):
            grey = bool((image[0] == image[1]).all() and (image[1] == image[2]).all())
            named = any(colour in tokenizer.decode(ids[i]).split() for ids in groups for colour in COLOURS)
            assert not (grey and named)
            seen[grey] += named
    assert seen[False] > 10, "a coloured picture keeps its colour words"


def test_grey_goes_from_all_to_the_last_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(street_clip, "GREY", 0.2)
    monkeypatch.setattr(street_clip, "GREY_UNTIL", 0.5)
    recipe = replace(SMALL, steps=160)

    def share(first: int, n: int) -> float:
        images = torch.cat([batch[0] for batch in given(first, n, recipe)])  # [n·8, 3, 96, 96]
        return (images[:, :1] == images).flatten(1).all(1).float().mean().item()

    assert share(0, 1) == 1
    assert share(30, 20) == pytest.approx(0.5, abs=0.15)  # around a quarter of the steps
    assert share(80, 80) == pytest.approx(0.2, abs=0.08)


def test_in_the_mirror_left_is_right() -> None:
    """A batch that is mirrored names the sides as the mirror does: the words of its captions tell which it was."""
    street, tokenizer = load_street("train", SCENES, captions=0, progress=False), StreetTokenizer()
    known = {image.numpy().tobytes(): i for i, image in enumerate(street.images)}
    ids, swap = sentences(street, 0)[0], {"left": "right", "right": "left"}
    checked = 0
    for images, *groups in given(1_000, 40):  # long after the grey start
        for k, image in enumerate(images):
            plain, mirrored = (known.get(x.contiguous().numpy().tobytes()) for x in (image, image.flip(2)))
            if (row := plain if plain is not None else mirrored) is None:
                continue  # a grey one
            texts = {tokenizer.decode(text) for text in ids[row].long()}
            if plain is None:
                texts = {" ".join(swap.get(word, word) for word in text.split(" ")) for text in texts}
            said = {tokenizer.decode(group[k]) for group in groups}
            assert said <= texts
            checked += plain is None and any(word in text.split() for text in said for word in swap)
    assert checked > 5


def test_what_is_said_of_one_vehicle_is_said_of_the_main_one() -> None:
    street = load_street("train", 60, progress=False, captions=0)
    ids, _ = sentences(street, 0)
    tokenizer = StreetTokenizer()
    for scene, of_one in zip(street.scenes, ids.long(), strict=True):
        others = {v.colour for v in scene.vehicles[1:]} - {scene.main.colour}
        for row in of_one[2:5]:  # the group "what"
            assert not others & set(tokenizer.decode(row).split())


# The training


def test_the_loss_is_the_mean_over_the_groups() -> None:
    from open_clip import ClipLoss

    model = build_clip()
    images, *texts = given(0, 1)[0]
    usual = [
        ClipLoss()(image_features(model, images), text_features(model, ids), model.logit_scale.exp()) for ids in texts
    ]
    assert torch.isclose(loss(model, images, *texts), torch.stack(usual).mean(), atol=1e-5)
    assert not torch.isclose(loss(model, images, texts[0]), torch.stack(usual).mean(), atol=1e-3)
