"""The rule of the comparison of ViT and CNN is kept."""

from __future__ import annotations

import pytest

from experiments.vit_vs_cnn import ARCHITECTURES, SCENE_COUNTS, TASKS, judge


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
