"""The shifts: reproducible ways to draw, and the stored list of adversarial scenes with its faults named."""

from __future__ import annotations

import json

import pytest

from helpers.worlds import streets
from helpers.worlds.drawn import chunk
from helpers.worlds.street import shifts
from helpers.worlds.street.drawing.render import layers
from helpers.worlds.street.sample import scenes
from helpers.worlds.street.shifts import RENDITIONS, SHIFTS, read_adversarial, shift_args, write_adversarial
from helpers.worlds.street.view import STREET, STYLES, View
from helpers.worlds.streets import Streets


def test_each_shift_changes_what_it_says():
    assert shift_args(None, 0) == shift_args("adversarial", 0) == {}
    assert shift_args("sketch", 5) == {"style": "sketch"}
    renditions = {shift_args("rendition", i)["style"] for i in range(100)}
    assert renditions == set(RENDITIONS) == set(STYLES) - {"photo", "sketch"}
    looks = {shift_args("v2", i, seed)["look"] for i in range(20) for seed in range(5)}
    assert len(looks) == 5 and STREET not in looks, "one look for each seed, as for each collection of pictures"
    views = {shift_args("objectnet", i)["view"] for i in range(50)}
    assert len(views) > 10 and View() not in views
    assert shifts._views(1) != shifts._views(2)
    with pytest.raises(ValueError, match="shift: 'fog' is not one of v2, rendition, sketch, objectnet, adversarial"):
        shift_args("fog", 0)


def test_a_shift_depends_on_its_number_and_seed_alone():
    for shift in SHIFTS:
        assert shift_args(shift, 3, 1) == shift_args(shift, 3, 1)


def test_adversarial_scenes_are_stored_and_drawn(tmp_path, monkeypatch):
    chosen = [(scene, 7 * i) for i, scene in enumerate(scenes("test", 5, 9))]
    path = tmp_path / "street" / "adversarial.json"
    write_adversarial(chosen, "a network", path)
    assert read_adversarial(path) == tuple(chosen)
    assert [p.name for p in path.parent.iterdir()] == ["adversarial.json"]
    monkeypatch.setattr(streets, "read_adversarial", lambda: read_adversarial(path))
    world = Streets("test", 5, 32, shift="adversarial")
    assert [(world.scene(i), world.image_seed(i)) for i in range(5)] == chosen
    assert chunk(world, 0).images.shape == (5, 3, 32, 32)
    for split, n in (("test", 6), ("train", 5)):
        with pytest.raises(ValueError, match="'adversarial' is a stored list of 5 test scenes"):
            Streets(split, n, 32, shift="adversarial")


def test_the_stored_scenes_have_the_seeds_that_their_pictures_were_chosen_with():
    """They were chosen from the test split of seed 9 by pictures of its own seeds; other seeds draw other pictures."""
    world = Streets("test", 10_000, seed=9)
    numbers = {scene: i for i, scene in enumerate(scenes("test", 10_000, 9))}
    stored = read_adversarial()
    assert [seed for _, seed in stored] == [world.image_seed(numbers[scene]) for scene, _ in stored]


def test_a_missing_list_says_where_it_comes_from(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"none\.json is missing: the adversarial scenes are chosen by"):
        read_adversarial(tmp_path / "none.json")
    monkeypatch.setattr(streets, "read_adversarial", lambda: read_adversarial(tmp_path / "none.json"))
    with pytest.raises(FileNotFoundError, match="is missing"):
        Streets("test", 5, 32, shift="adversarial")


GOOD = {"schema": shifts.ADVERSARIAL_SCHEMA, "reference": "r", "scenes": []}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "schema 'list' is not street-adversarial/1"),
        (json.dumps(GOOD | {"schema": "street-adversarial/2"}), "schema 'street-adversarial/2' is not"),
        (json.dumps({"schema": shifts.ADVERSARIAL_SCHEMA}), "a scene cannot be read"),
        (json.dumps(GOOD | {"scenes": [{"scene": {"schema": "street/0"}, "seed": 1}]}), "schema: 'street/0' is not"),
        (json.dumps(GOOD | {"scenes": [3]}), "a scene cannot be read"),
        (json.dumps(GOOD | {"scenes": None}), "a scene cannot be read"),
    ],
)
def test_a_bad_list_is_refused(tmp_path, data, message):
    path = tmp_path / "list.json"
    path.write_text(data)
    with pytest.raises(ValueError, match=message):
        read_adversarial(path)


@pytest.mark.parametrize("shift", [None, "objectnet"])
def test_what_the_words_name_is_in_the_picture(shift):
    """No vehicle and no being is hidden by another or cut off, at the size that models are trained on."""
    world = Streets("test", 40, 96, shift=shift)
    for i in range(world.n):
        drawn = layers(world.scene(i), 96, world.image_seed(i), **shift_args(shift, i))
        seen = {layer.name: layer.mask.sum() for layer in drawn}
        assert seen.pop("vehicles[0]") > 80, i
        assert all(pixels >= 25 for name, pixels in seen.items() if not name.startswith("trees")), (i, seen)
