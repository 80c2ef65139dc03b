"""The comparison of ViT and CNN is fair, its pictures are what the tasks say, and each task is judged by its rule."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from experiments.near_and_far import ARCHITECTURES, EXPERIMENT, FAR, NEAR, SCENE_COUNTS, SIDE, judge
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
    model.eval()(torch.zeros(1, 3, SIDE, SIDE))
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


def test_arms_differ_in_the_network_alone() -> None:
    for task, counts in SCENE_COUNTS.items():
        for n in counts:
            cnn, vit = (EXPERIMENT.arms[f"{model}, {task}, {n}"] for model in ("cnn", "vit"))
            assert {key for key in cnn if cnn[key] != vit[key]} == {"model"} and cnn["scenes"] == n <= cnn["drawn"]
    assert len(EXPERIMENT.arms) == 10 and len(EXPERIMENT.seeds) >= 6


def runs(lead: list[float], vit: list[int], cnn: list[int], right: float = 0.7) -> dict:
    """Runs of eight seeds: the CNN leads on the near task by `lead` points at the three numbers of pictures, a little
    more or less with each seed; of the runs of the far task `vit` and `cnn` find the rule at the two numbers."""
    figures = {}
    for n, points in zip(SCENE_COUNTS[NEAR], lead, strict=True):
        figures[f"vit, {NEAR}, {n}"] = [{"test accuracy": right}] * 8
        figures[f"cnn, {NEAR}, {n}"] = [{"test accuracy": right + (points + s % 3 * n / 1e3) / 100} for s in range(8)]
    for model, found in (("vit", vit), ("cnn", cnn)):
        for n, many in zip(SCENE_COUNTS[FAR], found, strict=True):
            figures[f"{model}, {FAR}, {n}"] = [{"test accuracy": 0.99 if s < many else 0.51} for s in range(8)]
    return figures


@pytest.mark.parametrize(
    ("lead", "vit", "cnn", "expected"),
    [
        ([9, 6, 3], [8, 8], [0, 4], ("confirmed", "confirmed", "confirmed")),
        ([9, 6, -3], [8, 8], [8, 8], ("undecided", "confirmed", "undecided")),
        ([3, 6, 9], [8, 8], [0, 0], ("refuted", "refuted", "confirmed")),
        ([9, 6, 3], [1, 2], [7, 8], ("refuted", "confirmed", "refuted")),
        ([9, 6, 3], [5, 5], [3, 4], ("undecided", "confirmed", "undecided")),
    ],
)
def test_each_claim_is_judged_by_its_rule(
    lead: list[float], vit: list[int], cnn: list[int], expected: tuple[str, ...]
) -> None:
    line = judge(runs(lead, vit, cnn))
    assert (line["verdict"], line[NEAR]["verdict"], line[FAR]["verdict"]) == expected
    assert [*line[FAR]["found"]["vit"].values()] == vit and line[FAR]["runs"] == 16


def test_a_slope_that_may_be_either_is_undecided() -> None:
    figures = runs([0, 0, 0], [8, 8], [0, 0])
    for k, n in enumerate(SCENE_COUNTS[NEAR]):
        figures[f"cnn, {NEAR}, {n}"] = [{"test accuracy": 0.7 + k * s / 100} for s in (-1, 1, 2, -2, 1, -1, 0, 1)]
    assert judge(figures)[NEAR]["verdict"] == "undecided"


@pytest.mark.parametrize("right", [0.26, 0.99])
def test_an_arm_that_guesses_or_has_nothing_left_to_win_says_nothing(right: float) -> None:
    assert judge(runs([0.9, 0.6, 0.3], [8, 8], [0, 0], right))[NEAR]["verdict"] == "undecided"
    assert judge(runs([0.9, 0.6, 0.3], [8, 8], [0, 0]))[NEAR]["verdict"] == "confirmed"
