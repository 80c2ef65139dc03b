"""Pictures of scenes: never a failure, always the same bytes, masks that match what is drawn, bad input refused."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.worlds.street.drawing.render import SIZES, layers, render
from helpers.worlds.street.scene import AGES, COLOURS, KINDS, SKIES, TREES, Being, Scene, SceneError, Trees, Vehicle
from helpers.worlds.street.view import BACKDROPS, STREET, STYLES, USUAL, Look, View
from tests import street_strategies

DIGESTS = pathlib.Path(__file__).with_name("street_digests.json")
RED_TRUCK = Scene(
    (Vehicle("truck", "red", "vintage"),), Trees("oak", (0.08, 0.29, 0.5, 0.71, 0.92)), buildings="houses"
)
slow = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

views = st.builds(
    View,
    rotation=st.sampled_from((0, 0.0, 30, -90, 180, 333.3)),
    zoom=st.floats(0.5, 3),
    pan_x=st.floats(-1, 1),
    pan_y=st.floats(-1, 1),
    horizon=st.floats(0.3, 0.55),
    backdrop=st.sampled_from(BACKDROPS),
)
looks = st.sampled_from((STREET, Look.draw(0), Look.draw(1)))


def many() -> list[tuple]:
    """Arguments whose pictures are compared with stored digests: every kind, tree, sky, road, style and backdrop."""
    cases = []
    for i, kind in enumerate(KINDS):
        for j, age in enumerate(AGES):
            tree = TREES[(i + j) % 4]
            scene = Scene(
                (
                    Vehicle(kind, COLOURS[(i + 3 * j) % 9], age, ("left", "right")[(i + j) % 2], i % 2 == 0, 0.45),
                    Vehicle(KINDS[(i + 2) % 7], COLOURS[(i + 5) % 9], AGES[1 - j], "right", False, 0.8, 1),
                ),
                Trees(tree, (0.1, 0.42, 0.85), bare=tree in ("oak", "birch") and j == 1),
                ("new", "cracked")[(i + j) % 2],
                ("dry", "wet", "snowy")[i % 3],
                SKIES[(i + 2 * j) % 4],
                ("none", "houses", "towers")[(i + j) % 3],
                (None, Being("dog", 0.1), Being("cat", 0.2), Being("person", 0.15))[i % 4],
            )
            cases.append((scene, 96, 7 * i + j, "photo", View(), STREET))
    cases += [(RED_TRUCK, size, 0, "photo", View(), STREET) for size in (32, 97, 512)]
    cases += [(RED_TRUCK, 96, 1, style, View(), STREET) for style in STYLES[1:]]
    cases += [(RED_TRUCK, 64, 2, "photo", View(20, 1.3, 0.1, 0.1, 0.4, place), STREET) for place in BACKDROPS]
    return [*cases, (RED_TRUCK, 96, 3, "photo", View(), Look.draw(5))]


def digests() -> list[str]:
    return [hashlib.sha256(render(*case).tobytes()).hexdigest()[:24] for case in many()]


def test_pictures_are_those_that_were_looked_at():
    """After a wanted change of the drawing: look at the new pictures, then `python -m tests.test_street_render`."""
    assert digests() == json.loads(DIGESTS.read_text())


def test_a_changed_picture_changes_its_digest(monkeypatch):
    film = "helpers.worlds.street.drawing.render._film"
    monkeypatch.setattr(film, lambda size: np.zeros((size + 61, size + 61, 3), np.float32))
    stored = json.loads(DIGESTS.read_text())
    assert hashlib.sha256(render(*many()[0]).tobytes()).hexdigest()[:24] != stored[0]


def test_another_process_with_other_matrix_products_in_another_order_draws_the_same_bytes():
    program = (
        "import hashlib, json; from helpers.worlds.street.drawing.render import render\n"
        "from tests.test_street_render import many\n"
        "print(json.dumps([hashlib.sha256(render(*c).tobytes()).hexdigest()[:24] for c in many()[::-1]][::-1]))"
    )
    root = DIGESTS.parents[1]
    # As on an old processor: matrix products in another order, without fused multiply-add.
    env = os.environ | {"OPENBLAS_CORETYPE": "Prescott"}
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root, env=env)
    assert json.loads(out.stdout) == digests()


@slow
@given(
    street_strategies.scenes(), st.integers(32, 128), st.integers(0, 2**64 - 1), st.sampled_from(STYLES), views, looks
)
def test_draws_any_scene_in_any_size_style_view_and_look(scene, size, seed, style, view, look):
    before = scene.to_json(), random.getstate(), np.random.get_state()[1].copy()
    picture = render(scene, size, seed, style, view, look)
    assert picture.shape == (size, size, 3) and picture.dtype == np.uint8 and picture.flags.writeable
    assert scene.to_json() == before[0] and random.getstate() == before[1]
    assert (np.random.get_state()[1] == before[2]).all()
    assert (render(scene, size, seed, style, view, look) == picture).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("style", STYLES)
def test_draws_the_smallest_and_the_largest_size(size, style):
    picture = render(RED_TRUCK, size, 4, style)
    assert picture.shape == (size, size, 3) and picture.std() > 15


@pytest.mark.parametrize("style", STYLES)
def test_a_scene_looks_the_same_at_every_size(style):
    """Reduced to the same small size, pictures of one scene are nearer to each other than to another scene's."""

    def small(scene: Scene, size: int) -> np.ndarray:
        picture = render(scene, size, 9, style).astype(float)
        return picture.reshape(16, size // 16, 16, size // 16, 3).mean((1, 3))

    other = Scene((Vehicle("bus", "blue", x=0.3),), Trees("pine", (0.2, 0.8)), sky="dusk")
    for size in (32, 512):
        same = np.abs(small(RED_TRUCK, size) - small(RED_TRUCK, 96)).mean()
        assert same < 12 and 2 * same < np.abs(small(RED_TRUCK, size) - small(other, 96)).mean()


def without(scene: Scene, name: str) -> Scene | None:
    """The scene with the object that a layer names taken away; None if it is the only vehicle."""
    if name == "being":
        return replace(scene, being=None)
    i = int(name.split("[")[1][:-1])
    if name.startswith("trees"):
        places = scene.trees.places[:i] + scene.trees.places[i + 1 :]
        return replace(scene, trees=replace(scene.trees, places=places) if places else None)
    vehicles = scene.vehicles[:i] + scene.vehicles[i + 1 :]
    return replace(scene, vehicles=vehicles) if vehicles else None


def stray(scene: Scene, size: int, seed: int, view: View = USUAL) -> list[str]:
    """Names of the objects that change a pixel outside their mask and trace when they are taken away."""
    whole, names = render(scene, size, seed, view=view).astype(int), []
    for layer in layers(scene, size, seed, view):
        rest = without(scene, layer.name)
        if rest is not None:
            changed = np.abs(whole - render(rest, size, seed, view=view)).max(-1) > 0
            if (changed & ~layer.mask & ~layer.trace).any():
                names.append(layer.name)
    return names


@slow
@given(
    street_strategies.scenes(),
    st.sampled_from((48, 96)),
    st.integers(0, 99),
    st.sampled_from((USUAL, View(zoom=1.7, pan_y=0.15), View(rotation=40))),
)
def test_an_object_changes_no_pixel_outside_its_mask_and_trace(scene, size, seed, view):
    found = layers(scene, size, seed, view)
    names = {f"vehicles[{i}]" for i in range(len(scene.vehicles))} | ({"being"} if scene.being else set())
    names |= {f"trees[{i}]" for i in range(len(scene.trees.places))} if scene.trees else set()
    assert {layer.name for layer in found} == names
    for layer in found:
        assert layer.mask.shape == layer.trace.shape == (size, size) and layer.mask.dtype == layer.trace.dtype == bool
        assert not (layer.mask & layer.trace).any()
    assert stray(scene, size, seed, view) == []


def test_a_shadow_that_is_not_noted_would_be_found(monkeypatch):
    scene = replace(
        RED_TRUCK, being=Being("person", 0.15), vehicles=(*RED_TRUCK.vehicles, Vehicle("car", "blue", lane=2))
    )
    assert stray(scene, 96, 0) == []
    monkeypatch.setattr("helpers.worlds.street.drawing.render._Canvas.note", lambda *_: None)
    assert {"being", "trees[0]", "vehicles[0]"} <= set(stray(scene, 96, 0))


@slow
@given(street_strategies.scenes(), st.integers(0, 99))
def test_masks_exclude_each_other_and_lie_in_their_boxes(scene, seed):
    found = layers(scene, 96, seed)
    assert sum(layer.mask.astype(int) for layer in found).max() <= 1
    for layer in found:
        x0, y0, x1, y1 = layer.box
        outside = layer.mask.copy()
        outside[y0:y1, x0:x1] = False
        assert not outside.any() and 0 <= x0 <= x1 <= 96 and 0 <= y0 <= y1 <= 96
    nearest = next(layer for layer in found if layer.name == "vehicles[0]")
    assert nearest.mask.any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("age", AGES)
def test_colour_is_on_the_vehicle_and_nowhere_else(kind, age):
    scene = Scene((Vehicle(kind, "red", age, parked=False),), Trees("oak", (0.3, 0.7)), weather="wet")
    other = replace(scene, vehicles=(replace(scene.main, colour="green"),))
    changed = np.abs(render(scene, 192).astype(int) - render(other, 192)).max(-1) > 24
    layer = next(layer for layer in layers(scene, 192) if layer.name == "vehicles[0]")
    assert not (changed & ~layer.mask & ~layer.trace).any()
    assert (changed & layer.mask).sum() > (0.10 if kind == "bicycle" else 0.25) * layer.mask.sum()


@pytest.mark.parametrize("size", [96, 512])
def test_the_red_truck_is_red_parked_in_the_middle_and_large(size):
    layer = next(layer for layer in layers(RED_TRUCK, size) if layer.name == "vehicles[0]")
    x0, _, x1, _ = layer.box
    assert 0.35 < (x1 - x0) / size < 0.55 and abs((x0 + x1) / 2 / size - 0.5) < 0.05
    red, green, blue = np.median(render(RED_TRUCK, size)[layer.mask].astype(float), 0)
    assert red > 1.3 * green and red > 1.3 * blue


def test_left_is_right_mirrored():
    facing = [Scene((Vehicle("truck", "red", "vintage", way, False),)) for way in ("left", "right")]
    left, right = (next(layer.mask for layer in layers(scene, 192) if layer.name == "vehicles[0]") for scene in facing)
    assert (left[:, ::-1] != right).sum() < 0.06 * right.sum() < 0.25 * (left != right).sum()


def test_a_look_changes_the_picture_and_draws_are_all_different():
    assert Look.draw(3) == Look.draw(3) != Look.draw(4)
    assert (render(RED_TRUCK, look=Look.draw(3)) != render(RED_TRUCK)).mean() > 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 31}, "size: 31 is not a whole number of pixels from 32 to 1024"),
        ({"size": 1025}, "size: 1025"),
        ({"size": 96.0}, "size: 96.0"),
        ({"size": True}, "size: True"),
        ({"seed": -1}, "seed: -1 is not a whole number from 0"),
        ({"seed": 2**64}, "seed: "),
        ({"seed": "a"}, "seed: 'a'"),
        ({"style": "oil"}, "style: 'oil' is not one of photo, cartoon"),
        ({"style": None}, "style: None"),
        ({"scene": {}}, "scene: expected a Scene, found dict"),
        ({"view": None}, "view: expected a View, found NoneType"),
        ({"look": 3}, "look: expected a Look, found int"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, message):
    with pytest.raises(SceneError) as error:
        render(**({"scene": RED_TRUCK} | arguments))
    assert str(error.value).startswith(message)
    if "style" not in arguments:
        with pytest.raises(SceneError):
            layers(**({"scene": RED_TRUCK} | arguments))


@pytest.mark.parametrize(
    ("field", "value"),
    [("zoom", 0), ("zoom", 4), ("rotation", "left"), ("rotation", float("nan")), ("pan_x", 2), ("pan_y", None),
     ("horizon", 0.9), ("backdrop", "mars")],
)  # fmt: skip
def test_a_bad_view_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"^{field}: "):
        View(**{field: value})


if __name__ == "__main__":
    temporary = DIGESTS.with_suffix(".tmp")
    temporary.write_text(json.dumps(digests(), indent=0) + "\n")
    temporary.replace(DIGESTS)
