"""The residual block is torchvision's, and each shipped network does on fresh scenes what its page says."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock as LibraryBlock

from experiments import shipped as shipped_models
from experiments.__main__ import main
from experiments.registry import all_models
from experiments.shipped import ShippedModel, measure_again, over_draws, train
from experiments.street_readers import HEADS, MODELS
from helpers.files import DATA
from helpers.models.readers import build_street_model
from helpers.models.resnet import BasicBlock, StreetResNet
from helpers.training.statistics import accuracies, share
from helpers.weights.pretrained import UNTRAINED, load
from helpers.weights.store import load_result, load_state
from helpers.worlds.drawn import Drawn
from helpers.worlds.street.shifts import SHIFTS
from helpers.worlds.streets import load_street

SHIPPED = {model.name: model for model in MODELS if model.measure}


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
def fresh() -> Drawn:
    return load_street("test", 400, seed=77, progress=False)


def as_reported(name: str, model: nn.Module, street: Drawn) -> dict[str, bool]:
    """For each label, whether the accuracy on these scenes is within five standard deviations of the report's."""
    figures = report(name)["figures"]
    answer = {}
    for label, right in accuracies(model, street.images, street.labels).items():
        p = figures[label]["accuracy"]
        spread = math.sqrt(max(p * (1 - p), 0.01) / len(street))
        answer[label] = abs(right.float().mean().item() - p) < 5 * spread
    return answer


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_network_does_on_fresh_scenes_what_is_reported(name: str, fresh: Drawn) -> None:
    assert as_reported(name, load(name).model, fresh) == dict.fromkeys(HEADS, True)


@pytest.mark.parametrize("name", SHIPPED)
def test_an_untrained_or_colour_blind_network_would_be_found_out(name: str, fresh: Drawn) -> None:
    untrained = build_street_model(HEADS, report(name)["configuration"])
    assert not any(as_reported(name, untrained, fresh).values())
    swapped = Drawn(fresh.images.flip(1), fresh.labels, fresh.captions, fresh.scenes)
    assert not as_reported(name, load(name).model, swapped)["colour"]


@pytest.mark.parametrize("name", SHIPPED)
def test_report_has_every_figure_with_its_interval(name: str) -> None:
    told = report(name)
    keys = {"model", "labels", "configuration", "recipe", "steps", "seconds", "environment", "test_seed", "figures"}
    assert keys <= told.keys()
    groups = [told["figures"], *(told["figures"][shift] for shift in ("unseen_pairs", *SHIFTS))]
    assert set(HEADS) <= groups[0].keys()
    for group in groups:
        for label in HEADS.keys() & group.keys():
            low, high = group[label]["interval"]
            assert 0 <= low <= group[label]["accuracy"] <= high <= 1


@pytest.mark.parametrize("name", SHIPPED)
def test_report_was_made_by_the_recipe_in_the_code(name: str) -> None:
    shipped = SHIPPED[name]
    assert report(name)["configuration"] == shipped.facts["configuration"]
    assert_same_recipe(report(name), shipped)
    assert (DATA / "weights" / f"{name}.safetensors").stat().st_size <= 8_000_000


def assert_same_recipe(page: dict, shipped: ShippedModel) -> None:
    """The stored recipe is the one in the code."""
    recipe = json.loads(json.dumps(asdict(shipped.whole_recipe)))
    recipe |= {"scenes": shipped.scenes, "epochs": shipped.epochs, "batch": shipped.batch, "split": "train"}
    assert page["recipe"] == recipe
    assert page["steps"] == recipe["steps"]


def test_evaluate_prints_one_json_object_about_the_scenes_of_that_seed(capsys: pytest.CaptureFixture) -> None:
    main(["evaluate", "street-resnet", "--test-seed", "5", "--scenes", "16"])
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["test_seed"], found["scenes"]) == ("street-resnet", 5, 16)
    assert {*HEADS, "unseen_pairs", *SHIFTS} == found["figures"].keys()
    street = load_street("test", 16, seed=5, shift="sketch", cache=False, progress=False, captions=0)
    right = accuracies(load("street-resnet").model, street.images, street.labels)
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


def test_a_model_is_trained_measured_and_stored_and_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for folder in ("BUILD", "DATA"):
        monkeypatch.setattr(shipped_models, folder, tmp_path / folder.lower())
    monkeypatch.setattr(shipped_models, "over_draws", lambda named, scenes: {"scenes": scenes})
    shown = []

    def measure(model: nn.Module, n: int, seed: int) -> dict:
        shown.append(sum(p.double().sum().item() for p in model.parameters()))
        return {"n": n, "seed": seed}

    small = replace(SHIPPED["street-resnet"], scenes=32, epochs=2, batch=16, measure=measure)
    for _ in range(2):
        train(small)
        assert "goes on" not in capsys.readouterr().err
    facts = json.loads((tmp_path / "data" / "weights" / "street-resnet.json").read_text())
    assert facts["steps"] == 4 and facts["figures"] == {"n": 2_000, "seed": 1} and len(facts["code"]) == 16
    assert shown[0] == pytest.approx(shown[1], abs=1e-3)  # trained anew, and the same again
    assert not list((tmp_path / "build").rglob("*.checkpoint"))
    stored = load_state(tmp_path / "data" / "weights" / "street-resnet.safetensors")
    build_street_model(HEADS, facts["configuration"]).load_state_dict(stored, strict=True)

    def broken(model: nn.Module, n: int, seed: int) -> dict:
        raise RuntimeError("no more power")

    with pytest.raises(RuntimeError, match="no more power"):
        train(replace(small, measure=broken))
    train(small)  # the weights were trained before: only the measuring is made up for
    assert "was finished before" in capsys.readouterr().err
    assert shown[2] == pytest.approx(shown[1], abs=1e-3)


def test_a_page_gets_new_figures_and_keeps_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped_models, "DATA", tmp_path)
    monkeypatch.setattr(shipped_models, "over_draws", lambda named, scenes: {"scenes": scenes})
    page = tmp_path / "weights" / "street-vit.json"
    page.parent.mkdir()
    page.write_text(json.dumps({"model": "street-vit", "code": "of the training", "figures": {"n": 1}}))
    model = replace(SHIPPED["street-vit"], measure=lambda net, n, seed: {"n": n, "seed": seed})
    measure_again(model, nn.Identity())
    facts = json.loads(page.read_text())
    assert facts == {
        "model": "street-vit",
        "code": "of the training",
        "test_seed": 1,
        "figures": {"n": 2_000, "seed": 1},
        "draws": {"scenes": 500},
    }


def test_a_random_shift_is_drawn_anew_and_its_interval_is_over_the_draws() -> None:
    seen = []

    def named(street: Drawn) -> dict[str, torch.Tensor]:
        seen.append(street.images.clone())
        return {"vehicle": torch.arange(4) < (len(seen) - 1) % 3 + 1}  # 1, 2, 3, 1, … of 4 are right

    figures = over_draws(named, 4)
    assert figures.keys() == {"v2", "rendition", "objectnet"} and len(seen) == 24
    assert figures["v2"]["draws"] == [0.25, 0.5, 0.75, 0.25, 0.5, 0.75, 0.25, 0.5]
    assert figures["v2"]["mean"] == pytest.approx(0.46875)
    low, high = figures["v2"]["interval"]
    assert high - low == pytest.approx(2 * 2.364624 * torch.tensor(figures["v2"]["draws"]).std().item() / 8**0.5)
    assert not any(torch.equal(a, b) for a, b in pairwise(seen))  # another recipe, other pictures


@pytest.mark.parametrize(
    "name", [model.name for model in all_models().values() if model.named and model.name not in UNTRAINED]
)
def test_every_shipped_page_tells_of_eight_draws_or_more(name: str) -> None:
    page = load_result(name)
    for shift, figures in page["draws"].items():
        assert len(figures["draws"]) >= 8, shift
        low, high = figures["interval"]
        assert low <= figures["mean"] <= high


def test_interval_is_wilsons() -> None:
    found = share(torch.tensor([True] * 8 + [False] * 2))
    assert found["interval"] == [pytest.approx(0.4902, abs=2e-4), pytest.approx(0.9433, abs=2e-4)]
    assert share(torch.ones(100, dtype=torch.bool))["interval"][0] < 0.97
