"""The comparison of ViT and CNN is fair, its pictures are what the tasks say, and its rule is kept."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from experiments import vit_vs_cnn
from experiments.vit_vs_cnn import ARCHITECTURES, SCENE_COUNTS, TASKS, judge
from helpers.worlds.street.sample import HELD_OUT_VEHICLES, TWO_COLOURS, two_vehicles
from helpers.worlds.streets import TwoVehicles


def products(model: nn.Module) -> int:
    """The multiplications of one picture: of convolutions, linear layers and attention."""
    total = 0

    def count(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += module.weight.numel() * output.shape[2] * output.shape[3]
        elif isinstance(module, nn.Linear):
            total += module.weight.numel() * (output.numel() // output.shape[-1])
        elif hasattr(module, "in_proj_weight"):
            tokens = output.shape[1]
            # The output's projection is one of the linear layers.
            total += module.in_proj_weight.numel() * tokens + 2 * tokens**2 * module.width

    handles = [module.register_forward_hook(count) for module in model.modules()]
    model.eval()(torch.zeros(1, 3, vit_vs_cnn.SIDE, vit_vs_cnn.SIDE))
    for handle in handles:
        handle.remove()
    return total


def test_the_networks_are_matched_within_a_tenth() -> None:
    cnn, vit = (model(2) for model in ARCHITECTURES.values())
    sizes = [sum(p.numel() for p in model.parameters()) for model in (cnn, vit)]
    assert 0.9 < sizes[0] / sizes[1] < 1.1, sizes
    work = [products(model) for model in (cnn, vit)]
    assert 0.9 < work[0] / work[1] < 1.1, work


def test_products_are_counted_as_by_hand() -> None:
    assert products(nn.Sequential(nn.Conv2d(3, 2, 48), nn.Flatten(), nn.Linear(2, 5))) == 3 * 2 * 48**2 + 2 * 5


def test_half_of_the_scenes_have_one_colour_and_no_pair_is_held_out() -> None:
    same = 0
    for i in range(400):
        scene = two_vehicles("train", i)
        answers = TwoVehicles("train", 1).labels(scene)
        one, other = scene.vehicles
        assert abs(one.x - other.x) > 0.5
        assert (one.colour == other.colour) == answers["same colour"]
        assert not {(v.colour, v.kind) for v in scene.vehicles} & set(HELD_OUT_VEHICLES)
        assert {one.colour, other.colour} <= set(TWO_COLOURS)
        same += answers["same colour"]
    assert 150 < same < 250


def test_splits_do_not_share_scenes() -> None:
    scenes = {split: {two_vehicles(split, i) for i in range(200)} for split in ("train", "validation", "test")}
    assert not scenes["train"] & scenes["test"]
    assert not scenes["train"] & scenes["validation"]
    assert two_vehicles("test", 3) == two_vehicles("test", 3)


def verdict(gaps: dict[str, list[float]]) -> dict:
    """The verdict if the CNN leads by these points at the numbers of pictures, a little more or less with each seed."""
    figures = {}
    for task in TASKS:
        for n, gap in zip(SCENE_COUNTS, gaps[task], strict=True):
            figures[f"vit, {task}, {n}"] = [{"test accuracy": 0.5}] * 3
            figures[f"cnn, {task}, {n}"] = [{"test accuracy": 0.5 + (gap + e) / 100} for e in (-0.1, 0, 0.1)]
    return judge(figures)


@pytest.mark.parametrize(
    ("trees", "colour", "expected"),
    [
        ([9, 6, 3, 0], [20, 10, 5, 1], "confirmed"),
        ([9, 6, 3, 0], [1, 5, 10, 20], "refuted"),
        ([1, 2, 3, 4], [1, 5, 10, 20], "refuted"),
    ],
)
def test_the_rule_is_kept(trees: list[float], colour: list[float], expected: str) -> None:
    assert verdict({"trees": trees, "same colour": colour})["verdict"] == expected


def test_a_slope_that_may_be_either_is_undecided() -> None:
    found = judge(
        {
            f"{model}, {task}, {n}": [{"test accuracy": 0.5 + (model == "cnn") * s * k / 100} for s in (-1, 1, 2)]
            for model in ARCHITECTURES
            for task in TASKS
            for k, n in enumerate(SCENE_COUNTS)
        }
    )
    assert found["verdict"] == "undecided"


def test_the_crossover_is_the_first_number_where_the_vit_leads() -> None:
    found = verdict({"trees": [9, 5, -2, -6], "same colour": [9, 6, 3, 1]})
    assert found["trees"]["crossover"] == SCENE_COUNTS[2]
    assert found["same colour"]["crossover"] is None
    assert found["trees"]["slope"]["mean"] < 0
