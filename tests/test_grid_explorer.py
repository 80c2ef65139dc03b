"""The explorer of the contrastive grid: what it counts is what torch counts; keys, clicks and the slider."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.page.explorers.grid import grid_explorer
from tests import browser
from tests.test_explorers import works_narrow_and_dark
from tools.browser import watched_page

chromium = browser.chromium
N = 6
EXPLORER = "document.querySelector('.explorer').explorer"


def example(seed: int = 0) -> tuple[list[np.ndarray], list[str], dict[int, np.ndarray]]:
    rng = np.random.default_rng(seed)
    pictures = list(rng.integers(0, 256, (N, 24, 24, 3)).astype(np.uint8))
    grids = {step: rng.normal(size=(N, N)) + step / 60 * np.eye(N) for step in (240, 1, 60)}
    return pictures, [f"street <{i}> & “more”" for i in range(N)], grids


def shown(page, tmp_path, *what) -> None:
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><meta charset='utf-8'>{grid_explorer(*what).data}", encoding="utf-8")
    page.goto(path.as_uri())
    page.wait_for_function(EXPLORER)


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_what_numpy_finds_at_each_step(chromium, tmp_path, seed: int) -> None:
    pictures, texts, grids = example(seed)
    with watched_page(chromium) as (page, seen):
        shown(page, tmp_path, pictures, texts, grids)
        slider, counts = page.locator(".explorer .step"), []
        for k, step in enumerate(sorted(grids)):
            best = grids[step].argmax(1)
            assert page.evaluate(f"{EXPLORER}.state.step") == step
            assert [page.evaluate(f"{EXPLORER}.best({k}, {i})") for i in range(N)] == best.tolist()
            counts.append(int((best == np.arange(N)).sum()))
            assert page.locator(".count").inner_text() == f"{counts[-1]} of {N} texts find their picture"
            assert f"the cosine {grids[step][0, 0]:.2f}." in page.locator(".told").inner_text()
            slider.press("ArrowRight")
        assert len(set(counts)) > 1, "the steps must be told apart"
        assert seen.errors == seen.failed == seen.outside == []


def test_cells_are_chosen_by_keys_and_clicks(chromium, tmp_path) -> None:
    pictures, texts, grids = example()
    with watched_page(chromium) as (page, _):
        shown(page, tmp_path, pictures, texts, grids)
        cells, state = page.locator(".cells"), f"{EXPLORER}.state"
        for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowUp"):
            cells.press(key)
        assert page.evaluate(state) == {"step": 1, "row": 1, "column": 1}
        cells.press("ArrowUp"), cells.press("ArrowUp")
        assert page.evaluate(state)["row"] == 0, "it stops at the edge"
        box = cells.bounding_box()
        page.mouse.click(box["x"] + box["width"] - 3, box["y"] + box["height"] - 3)
        assert page.evaluate(state) == {"step": 1, "row": N - 1, "column": N - 1}
        assert texts[-1] in page.locator(".said").inner_text()
        assert "its own" in page.locator(".which").inner_text()


def test_grids_of_another_shape_are_refused() -> None:
    pictures, texts, grids = example()
    with pytest.raises(ValueError, match=r"grids: expected \[6, 6\]"):
        grid_explorer(pictures, texts, {1: grids[1][:5]})
    with pytest.raises(ValueError, match="grids: expected"):
        grid_explorer(pictures, texts, {})
    with pytest.raises(ValueError, match="by 5 pictures"):
        grid_explorer(pictures[:5], texts, grids)


def test_it_works_narrow_and_dark(chromium, tmp_path) -> None:
    works_narrow_and_dark(chromium, tmp_path / "page.html", grid_explorer(*example()))
