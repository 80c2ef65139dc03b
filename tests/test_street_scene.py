"""Scene JSON: what is written is read back, and anything else is refused with a sentence that names the field."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helpers.worlds.street.scene import SCHEMA, Being, Scene, SceneError, Trees, Vehicle
from tests import street_strategies

SCENE = Scene(
    (Vehicle("truck", "red", "vintage", x=0.4), Vehicle("bus", "blue", parked=False, x=0.8, lane=1)),
    Trees("oak", (0.1, 0.42, 0.8), bare=True),
    being=Being("dog", 0.1),
)
GOOD = json.loads(SCENE.to_json())


def changed(**fields) -> str:
    return json.dumps(GOOD | fields)


def vehicle(**fields) -> str:
    return changed(vehicles=[GOOD["vehicles"][0] | fields])


@settings(deadline=None)
@given(street_strategies.scenes())
def test_round_trip(scene):
    text = scene.to_json()
    back = Scene.from_json(text)
    assert back == scene and hash(back) == hash(scene) and back.to_json() == text
    assert Scene.from_json(text.encode()) == scene


def test_a_scene_cannot_be_changed():
    with pytest.raises(AttributeError):
        SCENE.sky = "night"
    with pytest.raises(AttributeError):
        SCENE.main.colour = "blue"


def test_labels_are_the_main_vehicles():
    assert SCENE.labels == {
        "vehicle": "truck", "colour": "red", "age": "vintage", "tree": "oak", "road": "new dry", "sky": "day",
    }  # fmt: skip
    assert Scene((Vehicle("car", "pink"),)).labels["tree"] == "none"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "scene: not JSON"),
        ("{", "scene: not JSON"),
        (b"\xff\xfe\x00", "scene: not JSON"),
        ("[" * 100_000, "scene: not JSON"),
        ("[]", "scene: expected a JSON object, found []"),
        ("null", "scene: expected a JSON object, found None"),
        ("{}", "schema: None is not street/1"),
        (changed(schema="street/2"), "schema: 'street/2' is not street/1"),
        (changed(colour="red"), "scene: unknown field 'colour'; known are vehicles, trees"),
        (json.dumps({"schema": SCHEMA}), "vehicles: expected a list, found None"),
        (changed(vehicles=[]), "vehicles: expected 1 to 3 vehicles"),
        (changed(vehicles=GOOD["vehicles"] * 2), "vehicles: expected 1 to 3 vehicles"),
        (changed(vehicles=GOOD["vehicles"][::-1]), "vehicles: lanes [1, 0] must increase"),
        (changed(vehicles=["truck"]), "vehicles: expected a JSON object, found 'truck'"),
        (changed(vehicles=[{"kind": "truck"}]), "vehicles: missing 1 required positional argument: 'colour'"),
        (vehicle(kind="tank"), "kind: 'tank' is not one of truck, car"),
        (vehicle(colour=None), "colour: None is not one of red"),
        (vehicle(wheels=4), "vehicles: unknown field 'wheels'; known are kind"),
        (vehicle(x=1.5), "x: 1.5 is not a number from 0 (left edge) to 1"),
        (vehicle(x=True), "x: True is not a number"),
        (vehicle(x=float("nan")), "x: nan is not a number"),
        (vehicle(lane=True), "lane: True is not one of 0, 1, 2"),
        (vehicle(lane=1), "lane: a parked vehicle stands at a kerb"),
        (vehicle(parked="no"), "parked: 'no' is not true or false"),
        (changed(trees="oak"), "trees: expected a JSON object, found 'oak'"),
        (changed(trees={"kind": "oak"}), "trees: missing 1 required positional argument: 'places'"),
        (changed(trees={"kind": "oak", "places": []}), "places: expected 1 to 6 places"),
        (changed(trees={"kind": "oak", "places": "0.5"}), "places: expected a list, found '0.5'"),
        (changed(trees={"kind": "oak", "places": [0.5, 0.5]}), "places: places of trees must increase"),
        (changed(trees={"kind": "oak", "places": [[0.5]]}), "places: [0.5] is not a number"),
        (changed(trees={"kind": "palm", "places": [0.5], "bare": True}), "bare: a palm keeps its leaves"),
        (changed(sky=["day"]), "sky: ['day'] is not one of day, dusk, night, overcast"),
        (changed(being={"kind": "cat"}), "being: missing 1 required positional argument: 'x'"),
        (changed(being={"kind": "horse", "x": 0}), "kind: 'horse' is not one of dog, cat, person"),
    ],
)
def test_each_fault_is_named(text, message):
    with pytest.raises(SceneError) as error:
        Scene.from_json(text)
    assert message in str(error.value) and "\n" not in str(error.value)


def read_or_refuse(text) -> None:
    try:
        scene = Scene.from_json(text)
    except SceneError as error:
        assert 10 < len(str(error)) < 300
    else:
        assert Scene.from_json(scene.to_json()) == scene


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["truck", "red", "oak"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["kind", "x", "places"]), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.binary() | st.text())
@example(b'{"schema": "street/1", "vehicles": [{"kind": "truck", "colour": "red", "x": 1e999}]}')
def test_random_bytes_never_crash_the_reader(data):
    read_or_refuse(data)


@settings(deadline=None)
@given(st.sampled_from(sorted(GOOD)), _values)
def test_a_random_value_in_any_field_never_crashes_the_reader(name, value):
    read_or_refuse(changed(**{name: value}))


@settings(deadline=None)
@given(st.sampled_from(["vehicles", "trees", "being"]), st.sampled_from(["kind", "x", "places", "lane"]), _values)
def test_a_random_value_inside_a_field_never_crashes_the_reader(name, inner, value):
    old = GOOD[name]
    new = [old[0] | {inner: value}] if isinstance(old, list) else old | {inner: value}
    read_or_refuse(changed(**{name: new}))


@settings(deadline=None)
@given(st.integers(0, len(SCENE.to_json())), st.integers(0, 200), st.binary(max_size=4))
def test_a_damaged_scene_never_crashes_the_reader(start, length, put):
    text = SCENE.to_json().encode()
    read_or_refuse(text[:start] + put + text[start + length :])
