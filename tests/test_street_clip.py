"""The shipped CLIP does on fresh scenes what its page says, its batches are what the recipe says, and it resumes."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from experiments import street_clip
from experiments.__main__ import main
from experiments.street_clip import GROUPS, Batches, ClipRecipe, fit_clip, loss_of, sentences, uncoloured
from helpers.models.clip import build_clip, image_features, text_features
from helpers.models.clip import street_clip as shipped_clip
from helpers.worlds.streets import load_street
from helpers.worlds.street.sample import CLASSES
from helpers.worlds.street.scene import COLOURS
from helpers.worlds.street.shifts import SHIFTS
from helpers.worlds.tokenizer import StreetTokenizer
from helpers.weights.pretrained import DATA
from helpers.zero_shot import encode_images, street_prompts, zero_shot_classifier

PAGE = DATA / "weights" / "street-clip.json"
SMALL = ClipRecipe(scenes=32, epochs=2, batch=8, grey=0.5, grey_until=0.0)


@pytest.fixture(scope="module")
def batches() -> Batches:
    return Batches.load(SMALL)


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
    assert page["recipe"] == json.loads(json.dumps(asdict(ClipRecipe())))
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


def test_a_batch_is_the_same_whenever_it_is_asked_for(batches: Batches) -> None:
    first, other = batches[3], batches[4]
    for a, b in zip(first, batches[3], strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first[0], other[0])


def test_an_epoch_shows_every_picture_once(batches: Batches) -> None:
    plain = replace(SMALL, grey=0.0)
    of_epoch = Batches(plain, batches.street, batches.ids, batches.grey_ids, batches.mirrored)
    shown = torch.cat([of_epoch[step][0] for step in range(4)])
    known = {image.numpy().tobytes() for image in batches.street.images}
    known |= {image.flip(2).contiguous().numpy().tobytes() for image in batches.street.images}
    sums = sorted(image.float().sum().item() for image in shown)
    assert sums == sorted(image.float().sum().item() for image in batches.street.images)
    assert all(image.contiguous().numpy().tobytes() in known for image in shown)


def test_a_grey_picture_has_captions_without_colours(batches: Batches) -> None:
    tokenizer, seen = StreetTokenizer(), {True: 0, False: 0}
    for step in range(8):
        images, *groups = batches[step]
        assert len(groups) == len(GROUPS)
        for i, image in enumerate(images):
            grey = bool((image[0] == image[1]).all() and (image[1] == image[2]).all())
            named = any(colour in tokenizer.decode(ids[i]).split() for ids in groups for colour in COLOURS)
            assert not (grey and named)
            seen[grey] += named
    assert seen[False] > 10, "a coloured picture keeps its colour words"


def test_grey_goes_from_all_to_the_last_share(batches: Batches) -> None:
    recipe = replace(SMALL, epochs=40, grey=0.2, grey_until=0.5)  # 160 steps
    falling = Batches(recipe, batches.street, batches.ids, batches.grey_ids, batches.mirrored)

    def share(steps: range) -> float:
        images = torch.cat([falling[step][0] for step in steps])  # [n, 3, 96, 96]
        return (images[:, :1] == images).flatten(1).all(1).float().mean().item()

    assert share(range(1)) == 1
    assert share(range(30, 50)) == pytest.approx(0.5, abs=0.15)  # around a quarter of the steps
    assert share(range(80, 160)) == pytest.approx(0.2, abs=0.08)


def test_in_the_mirror_left_is_right(batches: Batches) -> None:
    tokenizer = StreetTokenizer()
    told = tokenizer("a red car facing left to the right of a bus")
    assert tokenizer.decode(batches.mirrored[told][0]) == "a red car facing right to the left of a bus"
    assert torch.equal(batches.mirrored[batches.mirrored], torch.arange(512))


def test_what_is_said_of_one_vehicle_is_said_of_the_main_one() -> None:
    street = load_street("train", 60, progress=False, captions=0)
    ids, _ = sentences(street, 0)
    tokenizer = StreetTokenizer()
    for scene, of_one in zip(street.scenes, ids.long(), strict=True):
        others = {v.colour for v in scene.vehicles[1:]} - {scene.main.colour}
        for row in of_one[2:5]:  # the group "what"
            assert not others & set(tokenizer.decode(row).split())


# The training


def test_the_loss_is_the_mean_over_the_groups_and_falls(batches: Batches) -> None:
    from open_clip import ClipLoss

    model = build_clip()
    images, *texts = batches[0]
    usual = [
        ClipLoss()(image_features(model, images), text_features(model, ids), model.logit_scale.exp()) for ids in texts
    ]
    assert torch.isclose(loss_of(model, images, *texts), torch.stack(usual).mean(), atol=1e-5)
    assert not torch.isclose(loss_of(model, images, texts[0]), torch.stack(usual).mean(), atol=1e-3)


def test_training_stopped_at_a_checkpoint_gives_the_same_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(street_clip, "CHECKPOINT_STEPS", 3)
    once, facts = fit_clip(SMALL, tmp_path / "whole")

    class Stop(Exception):
        pass

    real_save, saves = torch.save, []

    def save_and_stop(state: dict, path: Path) -> None:
        real_save(state, path)
        saves.append(path)
        if len(saves) == 2:
            raise Stop

    monkeypatch.setattr(torch, "save", save_and_stop)
    with pytest.raises(Stop):
        fit_clip(SMALL, tmp_path / "part")
    monkeypatch.setattr(torch, "save", real_save)
    assert torch.load(tmp_path / "part", weights_only=True)["step"] == 3, "a save that was cut off does not count"
    again, _ = fit_clip(SMALL, tmp_path / "part")
    for name, tensor in once.state_dict().items():
        assert torch.allclose(tensor, again.state_dict()[name], atol=1e-6), name
    assert facts["steps"] == 8
