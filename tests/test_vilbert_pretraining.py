"""The arms of the pretraining experiment differ in one thing, and each claim is judged by its rule."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from experiments.vilbert_pretraining import (
    ALIGNED,
    BOTH,
    EXCHANGED,
    EXPERIMENT,
    MASKED,
    NONE,
    exchanged,
    judge,
    paired,
    sentence,
    texts,
)
from helpers.worlds.street.scene import Scene, Vehicle


def differ(a: str, b: str) -> set[str]:
    one, other = EXPERIMENT.arms[a], EXPERIMENT.arms[b]
    return {key for key in one if one[key] != other[key]}


def test_arms_differ_in_one_thing() -> None:
    assert differ(NONE, MASKED) == differ(ALIGNED, BOTH) == {"masked"}
    assert differ(NONE, ALIGNED) == differ(MASKED, BOTH) == {"alignment"}
    assert differ(BOTH, EXCHANGED) == {"exchanged"}
    assert all(own["few"] < own["many"] <= own["scenes"] for own in EXPERIMENT.arms.values())


def test_exchanged_colours_change_only_the_false_captions() -> None:
    captions = torch.arange(10, 10 + 200)[:, None].expand(200, 4).contiguous()
    false, has = captions + 1_000, torch.arange(200) % 2 == 0
    (plain, belongs), (taught, same) = (
        paired(captions, false, has, teach, torch.Generator().manual_seed(0)) for teach in (False, True)
    )
    assert torch.equal(belongs, same) and 0 < belongs.sum() < 200
    assert torch.equal(plain[belongs], captions[belongs]) and torch.equal(taught[belongs], captions[belongs])
    assert torch.equal(plain[~belongs], captions.roll(1, 0)[~belongs])
    changed = (taught != plain).any(1)
    assert changed.any() and (has & ~belongs)[changed].all() and torch.equal(taught[changed], false[changed])


def test_an_exchanged_caption_is_false_and_has_the_same_words() -> None:
    car, bus = Vehicle("car", "red", x=0.3), Vehicle("bus", "blue", x=0.7, lane=2)
    scene = Scene((car, bus))
    assert sentence(scene) == "one red car, one blue bus and no trees"
    assert sentence(exchanged(scene)) == "one blue car, one red bus and no trees"
    assert exchanged(Scene((car,))) is None  # nothing to exchange with
    assert exchanged(Scene((car, replace(bus, kind="car")))) is None  # it would be as true as before
    captions, false, has = texts([scene, Scene((car,))])
    assert has.tolist() == [True, False] and not false[1].any()
    assert sorted(captions[0].tolist()) == sorted(false[0].tolist()) and (captions[0] != false[0]).any()


def runs(few: dict[str, float], many: dict[str, float], auc: dict[str, tuple[float, float]]) -> dict:
    """Runs of five seeds, all a little different, with the accuracies and the AUC of each arm."""
    return {
        arm: [
            {
                "vqa few": few.get(arm, 0.5) + 0.002 * ((s * (k + 1)) % 5 - 2),
                "vqa many": many.get(arm, 0.8),
                "auc random": auc.get(arm, (0.5, 0.5))[0],
                "auc exchanged": auc.get(arm, (0.5, 0.5))[1] + 0.002 * ((s * (k + 1)) % 5 - 2),
            }
            for s in range(5)
        ]
        for k, arm in enumerate(EXPERIMENT.arms)
    }


GOOD = {BOTH: (0.95, 0.6), EXCHANGED: (0.95, 0.9)}


@pytest.mark.parametrize(
    ("few", "many", "auc", "expected"),
    [
        ({BOTH: 0.6}, {}, GOOD, ("confirmed", "confirmed", "confirmed")),
        ({BOTH: 0.4}, {}, GOOD, ("refuted", "refuted", "confirmed")),
        ({BOTH: 0.6}, {BOTH: 0.95}, GOOD, ("refuted", "refuted", "confirmed")),
        ({BOTH: 0.6}, {BOTH: 0.98, NONE: 0.98}, GOOD, ("undecided", "undecided", "confirmed")),
        ({BOTH: 0.6}, {}, {BOTH: (0.55, 0.5), EXCHANGED: (0.9, 0.9)}, ("undecided", "confirmed", "undecided")),
        ({BOTH: 0.6}, {}, {BOTH: (0.95, 0.6), EXCHANGED: (0.95, 0.5)}, ("refuted", "confirmed", "refuted")),
        ({BOTH: 0.501}, {BOTH: 0.801}, GOOD, ("undecided", "undecided", "confirmed")),
    ],
)
def test_each_claim_is_judged_by_its_rule(few: dict, many: dict, auc: dict, expected: tuple[str, ...]) -> None:
    line = judge(runs(few, many, auc))
    assert (line["verdict"], line["pretraining"]["verdict"], line["false captions"]["verdict"]) == expected


def test_what_each_task_adds_is_told() -> None:
    tasks = judge(runs({MASKED: 0.55, ALIGNED: 0.52, BOTH: 0.57}, {}, GOOD))["tasks"]
    assert tasks["masked"]["mean"] == pytest.approx(5, abs=0.5)
    assert tasks["alignment"]["mean"] == pytest.approx(2, abs=0.5)
    assert tasks["interaction"]["mean"] == pytest.approx(0, abs=0.5)
