"""The residual block is torchvision's, and each shipped network does on fresh scenes what its page says."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock as LibraryBlock

from experiments.__main__ import main
from experiments.street_readers import HEADS, RECIPES, accuracies, fit, share
from helpers.models.resnet import BasicBlock, StreetResNet
from helpers.worlds.streets import StreetImages, load_street
from helpers.worlds.street.shifts import SHIFTS
from helpers.street_models import STREET_MODELS, build_street_model, load_street_model
from helpers.weights.pretrained import DATA


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(8, 8, 1), (8, 12, 1), (8, 16, 2)])
def test_block_equals_the_librarys(inputs: int, outputs: int, stride: int) -> None:
    generator = torch.Generator().manual_seed(0)
    projection = None
    if (inputs, stride) != (outputs, 1):
        convolution = torch.nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        projection = torch.nn.Sequential(convolution, torch.nn.BatchNorm2d(outputs))
    library, ours = LibraryBlock(inputs, outputs, stride, projection), BasicBlock(inputs, outputs, stride)
    for tensor in library.state_dict().values():
        if tensor.is_floating_point():  # also the statistics of the normalisation, which would start at 0 and 1
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    ours.load_state_dict({k.replace("downsample", "shortcut"): v for k, v in library.state_dict().items()}, strict=True)
    x = torch.randn(2, inputs, 8, 8, generator=generator)
    library.eval(), ours.eval()
    with torch.no_grad():
        assert torch.allclose(ours(x), library(x), atol=1e-5)
        ours.conv1.weight.mul_(1.01)
        assert not torch.allclose(ours(x), library(x), atol=1e-5)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(1, 3, 96, 96),
        torch.zeros(1, 1, 96, 96, dtype=torch.uint8),
        torch.zeros(3, 96, 96, dtype=torch.uint8),
        torch.zeros(1, 3, 96, 64, dtype=torch.uint8),
    ],
)
def test_other_pictures_are_refused_with_their_shape(images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        StreetResNet(HEADS)(images)


def report(name: str) -> dict:
    return json.loads((DATA / "weights" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def fresh() -> StreetImages:
    return load_street("test", 400, seed=77, progress=False)


def as_reported(name: str, model: nn.Module, street: StreetImages) -> dict[str, bool]:
    """For each label, whether the accuracy on these scenes is within five standard deviations of the report's."""
    figures = report(name)["figures"]
    answer = {}
    for label, right in accuracies(model, street).items():
        p = figures[label]["accuracy"]
        spread = math.sqrt(max(p * (1 - p), 0.01) / len(street))
        answer[label] = abs(right.float().mean().item() - p) < 5 * spread
    return answer


@pytest.mark.parametrize("name", STREET_MODELS)
def test_shipped_network_does_on_fresh_scenes_what_is_reported(name: str, fresh: StreetImages) -> None:
    assert as_reported(name, load_street_model(name), fresh) == dict.fromkeys(HEADS, True)


@pytest.mark.parametrize("name", STREET_MODELS)
def test_an_untrained_or_colour_blind_network_would_be_found_out(name: str, fresh: StreetImages) -> None:
    untrained = build_street_model(HEADS, report(name)["configuration"])
    assert not any(as_reported(name, untrained, fresh).values())
    swapped = StreetImages(fresh.images.flip(1), fresh.labels, fresh.captions, fresh.scenes)
    assert not as_reported(name, load_street_model(name), swapped)["colour"]


@pytest.mark.parametrize("name", STREET_MODELS)
def test_report_has_every_figure_with_its_interval(name: str) -> None:
    told = report(name)
    keys = {"model", "labels", "configuration", "recipe", "steps", "seconds", "environment", "test_seed", "figures"}
    assert keys <= told.keys()
    groups = [told["figures"], *(told["figures"][name] for name in ("unseen_pairs", *SHIFTS))]
    assert set(HEADS) <= groups[0].keys()
    for group in groups:
        for label in HEADS.keys() & group.keys():
            low, high = group[label]["interval"]
            assert 0 <= low <= group[label]["accuracy"] <= high <= 1


@pytest.mark.parametrize("name", STREET_MODELS)
def test_report_was_made_by_the_recipe_in_the_code(name: str) -> None:
    recipe = json.loads(json.dumps(asdict(RECIPES[name])))
    assert report(name)["configuration"] == recipe.pop("configuration")
    assert report(name)["recipe"] == recipe
    assert (DATA / "weights" / f"{name}.safetensors").stat().st_size <= 8_000_000


def test_evaluate_prints_one_json_object_about_the_scenes_of_that_seed(capsys: pytest.CaptureFixture) -> None:
    main(["evaluate", "street-resnet", "--test-seed", "5", "--scenes", "16"])
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["test_seed"], found["scenes"]) == ("street-resnet", 5, 16)
    assert {*HEADS, "unseen_pairs", *SHIFTS} == found["figures"].keys()
    street = load_street("test", 16, seed=5, shift="sketch", cache=False, progress=False, captions=0)
    right = accuracies(load_street_model("street-resnet"), street)
    assert found["figures"]["sketch"] == {label: share(hits) for label, hits in right.items()}


@pytest.mark.parametrize(
    "wrong", [["--test-seed", "-1"], ["--test-seed", "x"], [], ["--test-seed", "1", "--scenes", "0"]], ids=str
)
def test_evaluate_refuses_what_it_cannot_draw(wrong: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "street-resnet", *wrong])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "--" in captured.err


def test_unknown_models_are_refused() -> None:
    with pytest.raises(ValueError, match="'street-alexnet' is not one of street-resnet, street-vit"):
        load_street_model("street-alexnet")


def test_training_stopped_between_epochs_gives_the_same_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPES["street-vit"], scenes=64, epochs=3, batch=16)
    whole_run, facts = fit(recipe, tmp_path / "whole")

    class Stop(Exception):
        pass

    saves = []

    def save_and_stop(state: dict, path: Path) -> None:
        real_save(state, path)
        saves.append(path)
        if len(saves) == 2:
            raise Stop

    real_save = torch.save
    monkeypatch.setattr(torch, "save", save_and_stop)
    with pytest.raises(Stop):
        fit(recipe, tmp_path / "part")
    monkeypatch.undo()
    assert torch.load(tmp_path / "part", weights_only=True)["epoch"] == 1, "a save that was cut off does not count"
    again, _ = fit(recipe, tmp_path / "part")
    for name, tensor in whole_run.state_dict().items():
        assert torch.allclose(tensor, again.state_dict()[name], atol=1e-6), name
    assert facts["steps"] == 12


def test_interval_is_wilsons() -> None:
    found = share(torch.tensor([True] * 8 + [False] * 2))
    assert found["interval"] == [pytest.approx(0.4902, abs=2e-4), pytest.approx(0.9433, abs=2e-4)]
    assert share(torch.ones(100, dtype=torch.bool))["interval"][0] < 0.97
