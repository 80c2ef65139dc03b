"""The residual block is torchvision's, and the shipped network does on fresh scenes what its page says."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torchvision.models.resnet import BasicBlock as LibraryBlock

from experiments.street_resnet import HEADS, WIDTHS, accuracies, share
from helpers.resnet import BasicBlock, StreetResNet
from helpers.street.dataset import StreetImages, load_street
from helpers.street.shifts import SHIFTS
from helpers.weights import DATA, load_state, shipped

REPORT = DATA / "weights" / "street-resnet.json"


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


def network() -> StreetResNet:
    model = StreetResNet(HEADS, WIDTHS["street-resnet"])
    model.load_state_dict(load_state(shipped("weights/street-resnet.safetensors")))
    return model


@pytest.fixture(scope="module")
def fresh() -> StreetImages:
    return load_street("test", 400, seed=77, progress=False)


def as_reported(model: StreetResNet, street: StreetImages) -> dict[str, bool]:
    """For each label, whether the accuracy on these scenes is within five standard deviations of the report's."""
    figures = json.loads(REPORT.read_text())["figures"]
    answer = {}
    for label, right in accuracies(model, street).items():
        p = figures[label]["accuracy"]
        spread = math.sqrt(max(p * (1 - p), 0.01) / len(street))
        answer[label] = abs(right.float().mean().item() - p) < 5 * spread
    return answer


def test_shipped_network_does_on_fresh_scenes_what_is_reported(fresh: StreetImages) -> None:
    assert as_reported(network(), fresh) == dict.fromkeys(HEADS, True)


def test_an_untrained_or_colour_blind_network_would_be_found_out(fresh: StreetImages) -> None:
    assert not any(as_reported(StreetResNet(HEADS, WIDTHS["street-resnet"]), fresh).values())
    swapped = StreetImages(fresh.images.flip(1), fresh.labels, fresh.captions, fresh.scenes)
    assert not as_reported(network(), swapped)["colour"]


def test_report_has_every_figure_with_its_interval() -> None:
    report = json.loads(REPORT.read_text())
    assert {"model", "recipe", "steps", "seconds", "environment", "test_seed", "figures"} <= report.keys()
    groups = [report["figures"], *(report["figures"][name] for name in ("unseen_pairs", *SHIFTS))]
    assert set(HEADS) <= groups[0].keys()
    for group in groups:
        for label in HEADS.keys() & group.keys():
            low, high = group[label]["interval"]
            assert 0 <= low <= group[label]["accuracy"] <= high <= 1


def test_interval_is_wilsons() -> None:
    found = share(torch.tensor([True] * 8 + [False] * 2))
    assert found["interval"] == [pytest.approx(0.4902, abs=2e-4), pytest.approx(0.9433, abs=2e-4)]
    assert share(torch.ones(100, dtype=torch.bool))["interval"][0] < 0.97
