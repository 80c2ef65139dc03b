"""The robustness experiment: its arms see the very same pictures, its line and its rule do what they say."""

from __future__ import annotations

import math

import pytest
import torch

from experiments.robustness import EXPERIMENT, MANY, UNJUDGED, UNSEEN, Captions, judge
from helpers.worlds.street.sample import one_vehicle
from helpers.worlds.street.scene import KINDS


def test_arms_of_one_column_differ_in_supervision_alone() -> None:
    arms = EXPERIMENT.arms
    for column in ("one style", "many styles"):
        labels, captions = arms[f"labels, {column}"], arms[f"captions, {column}"]
        assert {key for key in labels if labels[key] != captions[key]} == {"supervision"}
    one, many = arms["labels, one style"], arms["labels, many styles"]
    assert {key for key in one if one[key] != many[key]} == {"styles"}
    assert not set(MANY) & {*UNSEEN, *UNJUDGED} and one["styles"] == ["photo"]


def test_scenes_have_one_vehicle_and_splits_share_none() -> None:
    train, test = ({one_vehicle(split, i) for i in range(200)} for split in ("train", "test"))
    assert not train & test
    assert all(len(scene.vehicles) == 1 and scene.main.lane == 0 and scene.being is None for scene in train)


def test_zero_shot_gives_a_logit_for_each_vehicle() -> None:
    model = Captions().eval()
    with torch.inference_mode():
        logits = model(torch.zeros(2, 3, 48, 48, dtype=torch.uint8))
    assert logits.shape == (2, len(KINDS)) and logits.abs().max() <= 1 + 1e-6


def figures(variety: float, language: float, noise: float = 0.2) -> dict:
    """Runs whose photographs and unseen styles lie on a line, the four arms above it by the points given."""

    def run(photo: float, above: float) -> dict:
        elsewhere = 1 / (1 + math.exp(-(0.5 * math.log(photo / (1 - photo)) - 1)))
        return {"photo": photo} | dict.fromkeys(UNSEEN, elsewhere + above / 100)

    runs = {f"baseline, {k}": [run(p, 0)] * 4 for k, p in enumerate((0.5, 0.7, 0.9))}
    for supervision in ("labels", "captions"):
        for column in ("one style", "many styles"):
            points = variety * (column == "many styles") + language * (supervision == "captions")
            # A noise of its own in each arm, so that neither effect loses it.
            skew = {"one style": 0, "many styles": 1 if supervision == "labels" else 3}[column]
            shifted = [points + skew * noise * e for e in (-1, 0, 1, 2)]
            runs[f"{supervision}, {column}"] = [run(0.9, x) for x in shifted]
    return runs


def test_the_line_and_the_effects_are_found_again() -> None:
    told = judge(figures(20, 3, noise=0))
    assert told["line"] == [pytest.approx(0.5, abs=1e-6), pytest.approx(-1, abs=1e-6)]
    assert told["variety"]["mean"] == pytest.approx(20, abs=1e-6)
    assert told["language"]["mean"] == pytest.approx(3, abs=1e-6)
    assert told["effective robustness"]["labels, one style"]["mean"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("variety", "language", "noise", "verdicts"),
    [
        (20, 0, 0.2, ("confirmed", "confirmed", "confirmed")),
        (20, 20, 0.2, ("refuted", "confirmed", "refuted")),  # language does much
        (20, -20, 0.2, ("refuted", "confirmed", "refuted")),
        (1, 0, 0.2, ("refuted", "refuted", "confirmed")),  # variety does little
        (20, 4.9, 1, ("undecided", "confirmed", "undecided")),
        (6, 0, 1, ("undecided", "undecided", "confirmed")),
    ],
)
def test_the_rule(variety: float, language: float, noise: float, verdicts: tuple[str, str, str]) -> None:
    line = judge(figures(variety, language, noise))
    assert (line["verdict"], line["variety"]["verdict"], line["language"]["verdict"]) == verdicts


def test_sketches_are_told_but_do_not_count() -> None:
    """In sketches every arm guesses; whatever they show, the verdict stays."""
    plain = figures(20, 3)
    other = {arm: [run | dict.fromkeys(UNJUDGED, 0.9) for run in runs] for arm, runs in plain.items()}
    assert judge(plain) == judge(other)
