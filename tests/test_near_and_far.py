"""The near task and the far one are judged each by its rule, and arms that say nothing are told from those that do."""

from __future__ import annotations

import pytest

from experiments.near_and_far import EXPERIMENT, FAR, NEAR, SCENE_COUNTS, judge


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
