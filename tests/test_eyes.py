"""The eyes that models of pictures and words start from: what they are taught is true, and the shipped ones know it."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import palm_e, street_eye, street_simvlm, table_eye
from helpers.files import DATA
from helpers.models.language import LanguageModel
from helpers.models.palm_e import GridEncoder, TableEye
from helpers.models.resnet import ConvStage, PlaceReader
from helpers.models.simvlm import SimVLM
from helpers.training.fit import Recipe, seeded
from helpers.training.statistics import predict
from helpers.weights.pretrained import load
from helpers.worlds.boxed import load_boxed
from helpers.worlds.street.drawing.render import layers
from helpers.worlds.street.regions import to_words
from helpers.worlds.street.scene import COLOURS, FACINGS, KINDS, RED_TRUCK, WEATHERS
from helpers.worlds.table.drawing.render import masks
from helpers.worlds.table.lessons import load_table
from helpers.worlds.table.scene import AREAS, area_of
from helpers.worlds.table.scene import COLOURS as TABLE_COLOURS
from helpers.worlds.table.scene import KINDS as TABLE_KINDS
from tests import street_strategies, table_strategies


def words_of(scene: object) -> str:
    return to_words([(layer.name, layer.box) for layer in layers(scene, 96)], 96)


@settings(deadline=None, max_examples=25)
@given(street_strategies.scenes())
def test_a_place_tells_one_vehicle_and_what_it_tells_belongs_together(scene: object) -> None:
    found = street_eye.signs(scene, words_of(scene))
    starts = street_eye.STARTS
    there = [found[:, a:b].sum(1) for a, b in pairwise(starts[:5])]
    assert all(torch.equal(there[0], other) for other in there[1:]) and int(there[0].max()) <= 1
    told = {
        (KINDS[int(row[: len(KINDS)].int().argmax())], COLOURS[int(row[starts[1] : starts[2]].int().argmax())])
        for row in found[there[0] > 0]
    }
    assert told <= {(v.kind, v.colour) for v in scene.vehicles}
    assert found[:, starts[7] + WEATHERS.index(scene.weather)].all()


def test_the_truck_s_signs_lie_where_its_pixels_are() -> None:
    scene = RED_TRUCK
    found = street_eye.signs(scene, words_of(scene)).view(6, 6, -1)
    (truck,) = [layer for layer in layers(scene, 96) if layer.name == "vehicles[0]"]
    covered = truck.mask.reshape(6, 16, 6, 16).mean((1, 3))
    place = np.unravel_index(covered.argmax(), covered.shape)
    row = found[place]
    start = street_eye.STARTS
    assert row[KINDS.index("truck")] and row[start[1] + COLOURS.index("red")]
    assert row[start[3] + FACINGS.index(scene.vehicles[0].facing)]
    assert not found[covered == 0][:, : start[4]].any() or covered.max() < 0.5  # nothing of it in the sky


def test_the_nearer_vehicle_hides_the_farther() -> None:
    scene = next(
        s for s in load_boxed("train", 200, cache=False, progress=False).scenes if len({v.kind for v in s.vehicles}) > 1
    )
    box = [0.1, 0.1, 0.9, 0.9]
    lines = [["vehicles[1]", *box], ["vehicles[0]", *box]]  # from the back to the front
    for order, nearest in ((lines, 0), (lines[::-1], 1)):
        found = street_eye.signs(scene, json.dumps(order))[14]
        assert found[: len(KINDS)].nonzero().flatten().tolist() == [KINDS.index(scene.vehicles[nearest].kind)]


@settings(deadline=None, max_examples=25)
@given(table_strategies.scenes(), st.integers(0, 99))
def test_what_is_told_of_a_table_is_on_it(scene: object, seed: int) -> None:
    signs = table_eye.signs(scene)
    found = signs[:, : 4 * table_eye.NAMES].view(36, 4, len(TABLE_KINDS), len(TABLE_COLOURS))
    there = found.any(0)
    things = {(t.kind, t.colour) for t in scene.things}
    told = {(TABLE_KINDS[k], TABLE_COLOURS[c]) for k, c in there[0].nonzero().tolist()}
    assert told == things
    free = {(t.kind, t.colour) for i, t in enumerate(scene.things) if scene.above(i) is None}
    assert {(TABLE_KINDS[k], TABLE_COLOURS[c]) for k, c in there[1].nonzero().tolist()} == free
    below = {(scene.things[t.on].kind, scene.things[t.on].colour) for t in scene.things if t.on is not None}
    assert {(TABLE_KINDS[k], TABLE_COLOURS[c]) for k, c in there[3].nonzero().tolist()} == below
    areas = {AREAS[k] for k in signs[:, 4 * table_eye.NAMES :].any(0).nonzero().flatten().tolist()}
    assert areas == {area_of(t.x, t.y) for t in scene.things}
    assert not (found[:, 1] & ~found[:, 0]).any() and not (found[:, 2] & ~found[:, 0]).any()


def test_a_free_block_is_told_where_it_is_drawn() -> None:
    near = 0
    scenes = load_table("test", 60, seed=5, cache=False, progress=False).scenes
    for scene in scenes:
        found = table_eye.signs(scene)[:, : 4 * table_eye.NAMES].view(6, 6, 4, len(TABLE_KINDS), len(TABLE_COLOURS))
        shares = masks(scene, 96).reshape(len(scene.things), 6, 16, 6, 16).mean((2, 4))
        for thing, share in zip(scene.things, shares, strict=True):
            if [(t.kind, t.colour) for t in scene.things].count((thing.kind, thing.colour)) > 1 or share.max() < 0.2:
                continue
            place = found[:, :, 0, TABLE_KINDS.index(thing.kind), TABLE_COLOURS.index(thing.colour)].nonzero()[0]
            row, column = np.unravel_index(share.argmax(), share.shape)
            assert max(abs(int(place[0]) - row), abs(int(place[1]) - column)) <= 1
            near += 1
    assert near > 100


def test_of_each_world_only_its_own_signs_are_told() -> None:
    images, truth = next(iter(table_eye.batches(24, 48, Recipe(1, 1e-3))(0)))
    streets = truth[..., : table_eye.OUTPUTS].eq(street_eye.UNKNOWN).flatten(1).all(1)
    assert images.shape == (48, 3, 96, 96) and truth.shape == (48, 36, table_eye.CONFIGURATION["outputs"])
    assert streets.sum() == 24 and truth[streets][..., table_eye.OUTPUTS :].ge(0).all()
    assert truth[~streets][..., : table_eye.OUTPUTS].ge(0).all()
    assert truth[~streets][..., table_eye.OUTPUTS :].eq(street_eye.UNKNOWN).all()
    drawn = load_boxed("train", 24, cache=False, progress=False)
    expected = {(tuple(i.flatten().tolist()), tuple(t.flatten().tolist()))
                for i, t in zip(drawn.images, street_eye.truth_of(drawn).int(), strict=True)}  # fmt: skip
    found = {(tuple(i.flatten().tolist()), tuple(t.flatten().tolist()))
             for i, t in zip(images[streets], truth[streets][..., table_eye.OUTPUTS :], strict=True)}  # fmt: skip
    assert found == expected, "each street with its own signs"


def test_what_is_not_told_does_not_count_and_what_holds_counts_more() -> None:
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    truth = torch.tensor([1, 0, -1, 1, -1]).expand(2, 3, 5)
    own = street_eye.loss(torch.nn.Identity(), logits, truth)
    p = logits.sigmoid()
    by_hand = -(street_eye.RARE * p[..., [0, 3]].log().sum() + (1 - p[..., 1]).log().sum()) / (3 * 6)
    torch.testing.assert_close(own, by_hand)
    changed = logits.clone()
    changed[..., [2, 4]] += 9
    assert torch.equal(street_eye.loss(torch.nn.Identity(), changed, truth), own)
    changed[..., 0] += 9
    assert street_eye.loss(torch.nn.Identity(), changed, truth) < own


# The shipped eyes


def test_the_street_s_eye_tells_what_its_page_says_and_an_untrained_one_does_not() -> None:
    figures = json.loads((DATA / "weights/street-eye.json").read_text())["figures"]
    model = load("street-eye").model
    found = street_eye.measure(model, 200, 77)
    untrained = street_eye.measure(seeded(lambda: PlaceReader(**street_eye.CONFIGURATION), 1), 200, 77)
    for name in ("kind", "colour", "tree"):
        assert abs(found[name]["accuracy"] - figures[name]["accuracy"]) < 0.08
        assert untrained[name]["accuracy"] < figures[name]["accuracy"] - 0.2


def test_the_robot_s_eye_tells_what_its_page_says_and_an_untrained_one_does_not() -> None:
    figures = json.loads((DATA / "weights/table-eye.json").read_text())["figures"]
    found = table_eye.measure(load("table-eye").model, 150, 77)
    for name in ("found", "true"):
        assert abs(found[name]["accuracy"] - figures[name]["accuracy"]) < 0.08
    for name in ("kind", "colour", "facing"):
        assert abs(found["street"][name]["accuracy"] - figures["street"][name]["accuracy"]) < 0.1
    table = load_table("test", 90, seed=77, cache=False, progress=False)
    truth = torch.stack([table_eye.signs(scene) for scene in table.scenes])
    untrained = seeded(lambda: TableEye(**table_eye.CONFIGURATION), 1)
    said = predict(untrained.eval(), table.images)[..., : table_eye.OUTPUTS] > 0
    assert (said & truth).sum() / said.sum().clamp(min=1) < 0.2


# What starts from them


def test_an_encoder_with_convolutions_has_the_library_s_grid_and_takes_their_weights() -> None:
    grid = {"image": 32, "patch": 16, "size": 32, "layers": 1, "channels": [8, 8, 16, 16]}
    encoder = seeded(lambda: GridEncoder(24, **grid), 0).eval()
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert encoder(images).shape == (3, 4, 24) and encoder.places == 4
    other = seeded(lambda: ConvStage([8, 8, 16, 16]), 5).eval()
    encoder.stage.load_state_dict(other.state_dict())
    tokens = encoder.vit.tokens(other(images))[:, 1:]
    assert torch.equal(encoder(images), encoder.project(tokens))
    with pytest.raises(ValueError, match="expected pictures uint8"):
        encoder(images.float())


def test_a_prefix_model_that_starts_from_a_decoder_says_of_text_what_the_decoder_says() -> None:
    text = seeded(lambda: LanguageModel(50, 12, 32, 2, 4), 1).eval()
    model = seeded(lambda: SimVLM(50, 12, 32, 2, 4, side=32), 2).eval()
    ids = torch.randint(1, 50, (2, 9), generator=torch.Generator().manual_seed(0))
    before = model(ids)
    assert not torch.allclose(before, text(ids), atol=1e-3)
    model.start_from(text)
    torch.testing.assert_close(model(ids), text(ids), atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match=r"pretrained: .* do not fit this decoder"):
        model.start_from(seeded(lambda: LanguageModel(50, 12, 32, 3, 4), 1))


def test_a_frozen_stage_gives_the_same_features_after_a_training_and_a_free_one_does_not() -> None:
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for frozen in (True, False):
        stage = seeded(lambda: ConvStage([8, 8, 16, 16]), 3).eval()
        with torch.no_grad():
            before = stage(images)
        if frozen:
            stage.freeze()
        model = torch.nn.Sequential(stage, torch.nn.Conv2d(16, 4, 1)).train()
        assert stage.training is not frozen and model[1].training
        learned = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(learned, 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            model(images).square().mean().backward()
            optimizer.step()
        with torch.no_grad():
            after = model.eval()[0](images)
        assert torch.equal(before, after) is frozen


def test_palm_e_s_eye_and_simvlm_s_convolutions_do_not_learn_but_the_rest_does() -> None:
    robot, speaker = palm_e.build(0), street_simvlm.build(0)
    assert not any(p.requires_grad for p in robot.encoder.parameters())
    assert all(p.requires_grad for p in robot.language.parameters())
    learning = {name.split(".")[0] for name, p in speaker.named_parameters() if p.requires_grad}
    assert not any(p.requires_grad for p in speaker.eye[0].parameters())
    assert {"eye", "decoder", "ln_eye"} <= learning
    eye = load("table-eye").model.encoder.state_dict()
    assert all(torch.equal(value, eye[name]) for name, value in robot.encoder.state_dict().items())
