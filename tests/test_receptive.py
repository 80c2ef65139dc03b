"""The explorer of receptive fields: what it frames is what torch's gradients reach; keys and clicks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from helpers.page.explorers.receptive import Window, receptive_explorer, windows
from tests import browser
from tools.browser import watched_page

chromium = browser.chromium


def stack(seed: int) -> nn.Sequential:
    """Three to five windows with random sizes, strides and paddings."""
    rng, layers = np.random.default_rng(seed), []
    for _ in range(int(rng.integers(3, 6))):
        kernel = int(rng.integers(1, 6))
        sizes = {
            "kernel_size": kernel,
            "stride": int(rng.integers(1, 3)),
            "padding": int(rng.integers(0, kernel // 2 + 1)),
        }
        layers += [nn.Conv2d(1, 1, **sizes) if rng.random() < 0.6 else nn.MaxPool2d(**sizes), nn.ReLU()]
    return nn.Sequential(*layers)


LAYERS = {"AlexNet": (torchvision.models.alexnet(weights=None).features, 224)} | {
    f"stack {seed}": (stack(seed), 64) for seed in range(3)
}


def reached(found: list[Window], side: int, row: int, column: int) -> list[list[int]]:
    """Rows and columns of the pixels, first and last, that have a gradient at one place of the last layer."""
    image = torch.zeros(1, 1, side, side, requires_grad=True)
    out = image
    for window in found:
        ones = torch.ones(1, 1, window.kernel, window.kernel)
        out = nn.functional.conv2d(out, ones, stride=window.stride, padding=window.padding)
    out[0, 0, row, column].backward()
    return [[int(k.min()), int(k.max())] for k in image.grad[0, 0].nonzero().T]


@pytest.mark.parametrize("name", LAYERS)
def test_the_frame_is_what_the_gradient_reaches(chromium, tmp_path, name: str) -> None:
    layers, side = LAYERS[name]
    found = windows(layers)
    picture = np.random.default_rng(0).integers(0, 256, (side, side, 3)).astype(np.uint8)
    path = tmp_path / "page.html"
    text = f"<!doctype html><meta charset='utf-8'>{receptive_explorer(picture, layers).data}"
    path.write_text(text, encoding="utf-8")
    different = 0
    with watched_page(chromium) as (page, seen):
        page.goto(path.as_uri())
        page.wait_for_function("document.querySelector('.explorer').explorer")
        for depth in range(1, len(found) + 1):
            n = side
            for window in found[:depth]:
                n = (n + 2 * window.padding - window.kernel) // window.stride + 1
            for row, column in ((0, 0), (n // 2, n - 1), (n - 1, n // 3)):
                shown = page.evaluate(f"document.querySelector('.explorer').explorer.field({depth}, {row}, {column})")
                assert shown == reached(found[:depth], side, row, column)
                bare = [window._replace(padding=0) for window in found[:depth]]
                if row or column:
                    different += shown != reached(bare, side, max(row - 9, 0), max(column - 9, 0))
        assert seen.errors == seen.failed == seen.outside == []
    assert different, "windows elsewhere must be told apart"


def test_places_are_chosen_by_keys_clicks_and_the_slider(chromium, tmp_path) -> None:
    path = tmp_path / "page.html"
    picture = np.zeros((224, 224, 3), np.uint8)
    path.write_text(f"<!doctype html>{receptive_explorer(picture, LAYERS['AlexNet'][0]).data}", encoding="utf-8")
    with watched_page(chromium) as (page, _):
        page.goto(path.as_uri())
        page.wait_for_function("document.querySelector('.explorer').explorer")
        host, state = page.locator(".explorer"), "document.querySelector('.explorer').explorer.state"
        assert page.evaluate(state) == {"depth": 1, "row": 27, "column": 27}
        host.locator(".layer").press("End")
        assert page.evaluate(state) == {"depth": 8, "row": 3, "column": 3}
        host.locator(".map").press("ArrowUp")
        host.locator(".map").press("ArrowRight")
        assert page.evaluate(state) == {"depth": 8, "row": 2, "column": 4}
        for _ in range(9):
            host.locator(".map").press("ArrowRight")
        assert page.evaluate(state)["column"] == 5, "it stops at the edge"
        assert "195 × 195 pixels" in host.locator(".said").inner_text()
        host.locator(".layer").press("Home")
        assert page.evaluate(state)["depth"] == 1 and host.locator("output").inner_text() == "conv 1: 55 × 55 places"
        assert "11 × 11 pixels" in host.locator(".said").inner_text()
        box = host.locator(".map").bounding_box()
        page.mouse.click(box["x"] + 1, box["y"] + box["height"] - 2)
        assert page.evaluate(state) == {"depth": 1, "row": 54, "column": 0}


def test_what_it_cannot_show_is_refused() -> None:
    picture = np.zeros((20, 20, 3), np.uint8)
    assert windows(nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2))) == [
        ("conv 1", 3, 2, 1),
        ("pool 1", 2, 2, 0),
    ]
    with pytest.raises(ValueError, match="without gaps"):
        windows(nn.Sequential(nn.Conv2d(3, 4, 3, dilation=2)))
    with pytest.raises(ValueError, match="square windows"):
        windows(nn.Sequential(nn.Conv2d(3, 4, (3, 5))))
    with pytest.raises(ValueError, match="fit on 20 pixels"):
        receptive_explorer(picture, nn.Sequential(nn.Conv2d(3, 4, 21)))
    with pytest.raises(ValueError, match=r"uint8 \[S, S, 3\]"):
        receptive_explorer(picture[:10], nn.Sequential(nn.Conv2d(3, 4, 3)))
    with pytest.raises(ValueError, match=r"uint8 \[S, S, 3\]"):
        receptive_explorer(picture.astype(float), nn.Sequential(nn.Conv2d(3, 4, 3)))
