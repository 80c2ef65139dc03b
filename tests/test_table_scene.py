"""The table's JSON: what is written is read back, anything else is refused by field; and which tables are drawn."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.worlds.street.scene import SceneError
from helpers.worlds.table.sample import HELD_OUT, sample_scene, scene_at, scenes
from helpers.worlds.table.scene import (
    AREAS,
    COLOURS,
    MAX_HEIGHT,
    SIDES,
    Gripper,
    Scene,
    Thing,
    area_of,
    at_edge,
    middle_of,
    neighbour,
)
from tests import table_strategies

RED, BLUE = Thing("block", "red", 0.5, 0.5), Thing("block", "blue", 0.5, 0.5, 0)
BOWL = Thing("bowl", "green", 0.17, 0.17)
SCENE = Scene((RED, BLUE, BOWL), Gripper(0.5, 0.5, 0.4))
GOOD = json.loads(SCENE.to_json())


def changed(**fields) -> str:
    return json.dumps(GOOD | fields)


def things(*changes: dict) -> str:
    """The good scene with changes to its things, in their order."""
    old = GOOD["things"] + [GOOD["things"][2]] * (len(changes) - 3)
    return changed(things=[thing | new for thing, new in zip(old, (*changes, *[{}] * 3), strict=False)])


def tower(n: int) -> str:
    block = {"kind": "block", "colour": "red", "x": 0.5, "y": 0.5}
    return changed(things=[block | {"on": k - 1 if k else None} for k in range(n)])


@settings(deadline=None)
@given(table_strategies.scenes())
def test_round_trip(scene: Scene) -> None:
    text = scene.to_json()
    back = Scene.from_json(text)
    assert back == scene and hash(back) == hash(scene) and back.to_json() == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "scene: not JSON"),
        ("[" * 100_000, "scene: not JSON"),
        ("[]", "scene: expected a JSON object"),
        (changed(schema="street/1"), "schema: 'street/1' is not table/1"),
        (changed(sky="day"), "scene: unknown field 'sky'; known are things, gripper"),
        (changed(things=[]), "things: expected 1 to 8 things"),
        (changed(things=GOOD["things"] * 3), "things: expected 1 to 8 things"),
        (changed(things=[3]), "things: expected a JSON object, found 3"),
        (things({"kind": "cup"}), "kind: 'cup' is not one of block, bowl"),
        (things({"colour": "black"}), "colour: 'black' is not one of red"),
        (things({"x": float("nan")}), "x: nan is not a number from 0 to 1"),
        (things({"y": True}), "y: True is not a number from 0 to 1"),
        (things({"x": 0.62}), "x, y: thing 1 is not where the thing is that it stands on"),
        (things({}, {}, {"x": 0.30}), "x, y: thing 2 is more than 0.08 away from the middle of its area, front left"),
        (things({}, {}, {"x": 0.5, "y": 0.45}), "x, y: the things 0 and 2 both stand in the area centre"),
        (things({}, {"on": "0"}), "on: '0' is not the number of a thing, or null"),
        (things({}, {"on": 7}), "on: there is no thing 7; they are numbered from 0 to 2"),
        (things({}, {"on": -1}), "on: there is no thing -1"),
        (things({"on": 1}), "on: thing 0 stands on itself"),
        (things({}, {}, {"on": 0, "x": 0.5, "y": 0.5}), "on: a bowl stands on the table"),
        (things({}, {}, {"kind": "block", "on": 0, "x": 0.5, "y": 0.5}), "on: two things stand on thing 0"),
        (things({"kind": "bowl"}, {}, {"kind": "block", "on": 1, "x": 0.5, "y": 0.5}), "on a block in a bowl"),
        (tower(MAX_HEIGHT + 1), "on: thing 4 makes a tower higher than 4 blocks"),
        (changed(gripper={"x": 2}), "x: 2 is not a number from 0 to 1"),
        (changed(gripper={"holds": 9}), "holds: there is no thing 9"),
        (changed(gripper={"holds": 2}), "holds: thing 2 is a bowl"),
        (changed(gripper={"holds": 1}), "holds: thing 1 is a bowl, or stands on something"),
        (changed(gripper={"holds": 0}), "on: thing 1 stands on the one that the gripper holds"),
        (changed(gripper=None), "gripper: expected a JSON object, found None"),
    ],
)
def test_each_fault_is_named(text: str, message: str) -> None:
    with pytest.raises(SceneError) as error:
        Scene.from_json(text)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_the_highest_tower_that_is_allowed_stands() -> None:
    assert Scene.from_json(tower(MAX_HEIGHT)).level(MAX_HEIGHT - 1) == MAX_HEIGHT - 1


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["block", "red"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["kind", "x", "on", "holds"]), inner),
    max_leaves=8,
)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(sorted(GOOD)), st.sampled_from(["kind", "colour", "x", "y", "on", "holds"]), _values)
def test_random_values_never_crash_the_reader(name: str, inner: str, value: object) -> None:
    old = GOOD[name]
    texts = [changed(**{name: value})]
    if isinstance(old, list):
        texts.append(changed(**{name: [old[0] | {inner: value}, *old[1:]]}))
    elif isinstance(old, dict):
        texts.append(changed(**{name: old | {inner: value}}))
    for text in texts:
        try:
            scene = Scene.from_json(text)
        except SceneError as error:
            assert 10 < len(str(error)) < 300
        else:
            assert Scene.from_json(scene.to_json()) == scene


def test_what_follows_from_a_scene() -> None:
    assert (SCENE.above(0), SCENE.above(1), SCENE.top(0), SCENE.level(1)) == (1, None, 1, 1)
    assert SCENE.the(0) == "the red block" and SCENE.name(2) == "green bowl" and SCENE.area(2) == "front left"
    assert set(AREAS) - set(SCENE.free_areas()) == {"centre", "front left"}
    twins = Scene((RED, Thing("block", "red", 0.17, 0.5)))
    assert [twins.the(i) for i in (0, 1)] == ["object 1", "object 2"]


def test_areas_lie_as_their_names_say() -> None:
    assert all(area_of(*middle_of(area)) == area for area in AREAS)
    assert middle_of("back left")[1] > middle_of("front left")[1] and middle_of("back left")[0] < 0.5
    assert neighbour("centre", "left") == "middle left" and neighbour("centre", "front") == "front middle"
    for area in AREAS:
        for side in SIDES:
            assert at_edge(area, side) == (side in area)


# Which tables are drawn


def test_a_scene_depends_on_split_seed_and_number_alone() -> None:
    assert scenes("train", 5, seed=3)[4] == scene_at("train", 4, seed=3)
    assert len({scene_at(s, 0, seed) for s in ("train", "validation", "test", "composition") for seed in (0, 1)}) == 8
    with pytest.raises(ValueError, match="split: 'dev' is not one of train"):
        scene_at("dev", 0)


def test_no_scene_holds_a_pair_that_is_kept_for_the_end() -> None:
    pairs = Counter(
        (thing.colour, scene.things[thing.on].colour)
        for split in ("train", "test", "composition")
        for scene in scenes(split, 400)
        for thing in scene.things
        if thing.on is not None
    )
    assert not pairs.keys() & set(HELD_OUT) and len(pairs) > 50  # of 56
    assert sorted(colour for colour, _ in HELD_OUT) == sorted(COLOURS)
    assert sorted(colour for _, colour in HELD_OUT) == sorted(COLOURS)
    assert all(a != b for a, b in HELD_OUT)


def test_things_that_are_asked_for_are_there() -> None:
    import numpy as np

    for seed in range(50):
        scene = sample_scene(np.random.default_rng(seed), colours=(("block", "pink"), ("bowl", "red")))
        assert len(scene.called("pink", "block")) == len(scene.called("red", "bowl")) == 1
        assert len({(t.kind, t.colour) for t in scene.things}) == len(scene.things)
    twins = [sample_scene(np.random.default_rng(seed), duplicates=True) for seed in range(50)]
    assert any(scene.name(i).startswith("object") for scene in twins for i in range(len(scene.things)))
