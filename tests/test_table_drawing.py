"""Pictures of the table: the same arguments give the same bytes, and what is said can be seen."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from helpers.worlds.street.scene import SceneError
from helpers.worlds.street.view import STREET, STYLES, Look
from helpers.worlds.table.drawing.camera import project
from helpers.worlds.table.drawing.render import SIZES, masks, render
from helpers.worlds.table.scene import AREAS, COLOURS, SIDE, Gripper, Scene, Thing, middle_of
from tests import table_strategies

TOWER = Scene(
    (
        Thing("block", "red", 0.5, 0.5),
        Thing("block", "green", 0.5, 0.5, 0),
        Thing("block", "blue", 0.5, 0.5, 1),
        Thing("bowl", "yellow", 0.17, 0.17),
        Thing("block", "white", 0.17, 0.17, 3),
        Thing("bowl", "purple", 0.83, 0.17),
    )
)


def alone(kind: str, colour: str, area: str) -> Scene:
    return Scene((Thing(kind, colour, *middle_of(area)),))


@pytest.mark.parametrize("size", [32, 64, 96, 200])
def test_a_picture_has_its_size_and_is_the_same_each_time(size: int) -> None:
    picture = render(TOWER, size, seed=3)
    assert picture.shape == (size, size, 3) and picture.dtype == np.uint8
    assert np.array_equal(picture, render(TOWER, size, seed=3))
    assert not np.array_equal(picture, render(TOWER, size, seed=4))


def test_a_large_picture_shows_what_a_small_one_shows() -> None:
    large, small = (render(TOWER, size, seed=3).astype(float) for size in (256, 64))
    means = large.reshape(64, 4, 64, 4, 3).mean((1, 3))
    assert np.abs(means - small).mean() < 6


def test_styles_differ_and_a_sketch_has_no_colour() -> None:
    pictures = [render(TOWER, 64, 1, style) for style in STYLES]
    for i, a in enumerate(pictures):
        assert all(np.abs(a.astype(int) - b).mean() > 3 for b in pictures[:i])
    sketch = pictures[STYLES.index("sketch")].astype(int)
    assert np.abs(sketch[..., 0] - sketch[..., 2]).max() < 20
    assert not np.array_equal(render(TOWER, 64, 1, look=Look.draw(5)), render(TOWER, 64, 1, look=STREET))


@settings(deadline=None, max_examples=25)
@given(table_strategies.scenes())
def test_no_pixel_has_two_owners_and_what_is_on_top_is_seen(scene: Scene) -> None:
    seen = masks(scene, 96, 0)
    assert seen.shape == (len(scene.things), 96, 96) and seen.sum(0).max() <= 1
    for i in range(len(scene.things)):
        if scene.above(i) is None and scene.area(i).startswith("front"):
            assert seen[i].sum() > 30, scene.the(i)


@pytest.mark.parametrize("kind", ["block", "bowl"])
def test_a_thing_is_seen_where_it_stands_and_in_its_colour(kind: str) -> None:
    for k, area in enumerate(AREAS):
        scene = alone(kind, COLOURS[k % 8], area)
        mask = masks(scene, 96, k)[0]
        rows, columns = np.nonzero(mask)
        x, y = project(*middle_of(area), SIDE / 2)
        assert abs(columns.mean() / 96 - x) < 0.05 and abs(rows.mean() / 96 - y) < 0.06, area
        mean = render(scene, 96, k)[mask].mean(0)
        hue = np.array(STREET.hue(COLOURS[k % 8]))
        nearest = min(COLOURS, key=lambda c: np.abs(_direction(mean) - _direction(np.array(STREET.hue(c)))).sum())
        assert nearest == COLOURS[k % 8], (area, mean, hue)


def _direction(rgb: np.ndarray) -> np.ndarray:
    h, s, v = colorsys.rgb_to_hsv(*(rgb / 255))
    return np.array([s * np.cos(6.283 * h), s * np.sin(6.283 * h), 0.2 * v])


def test_only_what_moves_changes() -> None:
    after = Scene((*TOWER.things[:5], replace(TOWER.things[5], x=0.5)))
    before, now = render(TOWER, 96, 2).astype(int), render(after, 96, 2).astype(int)
    changed = np.abs(before - now).max(2) > 8
    assert 100 < changed.sum() < 96 * 96 / 5
    assert not changed[:, :30].any()  # the other bowl is on the left


def test_a_block_in_a_bowl_hides_behind_the_near_wall() -> None:
    free = masks(alone("block", "white", "front left"), 96)[0].sum()
    seen = masks(Scene((TOWER.things[3], replace(TOWER.things[4], on=0))), 96)
    assert 0.4 * free < seen[1].sum() < 0.95 * free and seen[0].sum() > 60


def test_the_gripper_is_seen_and_lifts_its_block() -> None:
    lifted = Scene((Thing("block", "pink", 0.83, 0.5),), Gripper(0.83, 0.5, 0.4, 0))
    resting = replace(lifted, gripper=Gripper(0.83, 0.5, 0.4))
    rows = [np.nonzero(masks(scene, 96)[0])[0].mean() for scene in (lifted, resting)]
    assert rows[0] < rows[1] - 10
    assert not np.array_equal(render(resting, 96), render(replace(resting, gripper=Gripper(0.2, 0.9, 0.4)), 96))


@pytest.mark.parametrize("size", [0, SIZES[0] - 1, SIZES[1] + 1, 96.0, True])
def test_a_wrong_size_is_named(size: object) -> None:
    with pytest.raises(ValueError, match="size"):
        render(TOWER, size)


def test_wrong_scenes_and_styles_are_named() -> None:
    with pytest.raises(SceneError, match="expected a table Scene, not str"):
        render("a table", 64)
    with pytest.raises(ValueError, match="style: 'oil' is not one of photo"):
        render(TOWER, 64, style="oil")
