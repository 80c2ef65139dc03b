"""Regions have the scene's boxes and at times a wrong class; negatives are false, swapped ones in order alone."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
import torch

from helpers.worlds import boxed
from helpers.worlds.boxed import BoxedStreets, load_boxed
from helpers.worlds.street.negatives import exchanged_colours, random_negatives, swapped_negatives
from helpers.worlds.street.regions import CLASSES, MISTAKES, MOST, table, to_words
from helpers.worlds.street.sample import scenes
from helpers.worlds.street.scene import RED_TRUCK
from helpers.worlds.streets import load_street
from tests import street_truth


def test_boxes_are_those_of_the_pictures_that_load_street_gives() -> None:
    street = load_boxed("test", 3, seed=5, cache=False, progress=False)
    plain = load_street("test", 3, seed=5, cache=False, progress=False, captions=0)
    assert torch.equal(street.images, plain.images)
    world = BoxedStreets("test", 3, seed=5)
    for i, (scene, (words,)) in enumerate(zip(street.scenes, street.captions, strict=True)):
        boxes, classes, there = table(scene, words, 0)
        layers = boxed.layers(scene, 96, world.image_seed(i))
        trees = len(scene.trees.places) if scene.trees else 0
        assert there.sum() <= 1 + len(scene.vehicles) + trees + (scene.being is not None) == 1 + len(layers)
        for row, layer in enumerate(layers, start=1):
            left, top, right, bottom = layer.box
            assert there[row] == (right > left and bottom > top)
            if there[row]:
                assert np.allclose(boxes[row, :4] * 96, layer.box, atol=0.02)
                assert boxes[row, 4] == pytest.approx((right - left) * (bottom - top) / 96**2, abs=1e-3)
        assert boxes[0].tolist() == [0, 0, 1, 1, 1] and np.allclose(classes.sum(1), 1, atol=1e-5)
    with pytest.raises(ValueError, match="'sketch' may move things"):
        BoxedStreets("test", 3, shift="sketch")


def test_the_detector_is_mostly_right_and_errs_as_often_as_it_should() -> None:
    words = to_words([("trees[0]", (0, 0, 48, 48)), ("vehicles[0]", (10, 10, 60, 60)), ("being", (5, 5, 5, 9))], 96)
    assert json.loads(words)[0] == ["trees[0]", 0.0, 0.0, 0.5, 0.5]
    peaks: Counter = Counter()
    for seed in range(600):
        boxes, classes, there = table(RED_TRUCK, words, seed)
        assert boxes.shape == (MOST, 5) and there.tolist() == [True, True, True, *[False] * (MOST - 3)]
        peaks.update((row, CLASSES[classes[row].argmax()]) for row in (1, 2))
    for row, kind in ((1, "oak"), (2, "truck")):
        right = peaks[row, kind] / 600
        assert 1 - 2 * MISTAKES < right < 1 - MISTAKES / 2


def test_random_negatives_are_false_here_and_their_partners_true() -> None:
    drawn = scenes("test", 25, 3)
    found = random_negatives(drawn, 0)
    assert len(found) >= 24 and found == random_negatives(drawn, 0) != random_negatives(drawn, 1)
    for i, true, false in found:
        assert street_truth.read(true).true_of(drawn[i])
        assert not street_truth.read(false).true_of(drawn[i]) or "side" in false or "middle" in false


def test_swapped_negatives_have_the_words_of_their_partners_in_another_order() -> None:
    drawn = scenes("test", 25, 3)
    found = swapped_negatives(drawn, 0)
    possible = sum(len({v.colour for v in scene.vehicles}) > 1 for scene in drawn)
    assert 0.5 * possible <= len(found) <= possible
    for i, true, false in found:
        assert street_truth.read(true).true_of(drawn[i]) and not street_truth.read(false).true_of(drawn[i])
        bags = [sorted(text.replace(",", "").replace("an ", "a ").split()) for text in (true, false)]
        assert bags[0] == bags[1] and true != false
    assert exchanged_colours(RED_TRUCK, 0) is None
