"""What the notebooks see of a street is what the shipped model was trained on, and frames stand where things are."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from experiments import street_vilbert
from helpers.page.regions import show_regions
from helpers.weights.seen import detector, look_at, nothing, see
from helpers.worlds.boxed import load_boxed
from helpers.worlds.street.regions import CLASSES
from helpers.worlds.street.scene import RED_TRUCK


def test_regions_are_those_of_the_training() -> None:
    street = load_boxed("test", 5, cache=False, progress=False)
    seen = see(street, seed=3)
    boxes, classes, real = street_vilbert.tables(street, 3)
    assert torch.equal(seen.regions.boxes, boxes) and torch.equal(seen.classes, classes)
    assert torch.equal(seen.regions.real, real)
    features = street_vilbert.detector()(street.images, boxes)
    assert (seen.regions.features - features).abs().max() < 1e-4 and detector().width == features.shape[2]


def test_the_red_truck_is_seen_as_it_is_shown() -> None:
    picture, seen = look_at(RED_TRUCK, size=192)
    assert picture.shape == (192, 192, 3) and picture.dtype == np.uint8
    assert seen.regions.real.sum() == 1 + 1 + len(RED_TRUCK.trees.places)
    trucks = (seen.classes[0].argmax(1) == CLASSES.index("truck")) & seen.regions.real[0]
    trucks[0] = False  # the distribution of the whole picture is even
    left, top, right, bottom = (192 * seen.regions.boxes[0, trucks][0, :4]).round().int().tolist()
    red = (picture[..., 0] > 150) & (picture[..., 1] < 90) & (picture[..., 2] < 90)
    assert red[top:bottom, left:right].sum() > 0.9 * red.sum() > 0


def test_a_picture_that_is_not_shown_has_one_empty_region() -> None:
    _, seen = look_at(RED_TRUCK)
    empty = nothing(3, seen.regions)
    assert empty.features.shape == (3, 1, 384) and empty.boxes.shape == (3, 1, 5) and empty.real.all()
    assert not empty.features.any() and not empty.boxes.any()


def test_pictures_are_bright_where_weights_are_large() -> None:
    picture, boxes = np.full((40, 40, 3), 200, np.uint8), torch.tensor([[0, 0, 0.5, 1], [0.5, 0, 1, 1]])
    fig, ax = plt.subplots()
    show_regions(ax, picture, boxes, torch.tensor([0.2, 0.8]), ["low", ""], "title")
    shown = ax.images[0].get_array()
    assert (shown[:, 20:] == 200).all() and (shown[:, :20] < 120).all()
    assert [text.get_text() for text in ax.texts] == ["low"] and ax.get_title(loc="left") == "title"
    assert (picture == 200).all() and len(ax.lines) == 2
    plt.close(fig)


@pytest.mark.parametrize("wrong", [{"weights": torch.ones(3)}, {"labels": ["one"]}])
def test_one_weight_and_one_label_for_each_box(wrong: dict) -> None:
    fig, ax = plt.subplots()
    with pytest.raises(ValueError, match="for 2 boxes"):
        show_regions(ax, np.zeros((8, 8, 3), np.uint8), torch.zeros(2, 5), **wrong)
    plt.close(fig)
