"""The arms of the pretraining experiment differ in one thing, and each claim is judged by its rule."""

from __future__ import annotations

import pytest
import torch

from experiments.vilbert_pretraining import ALIGNED, BOTH, EXCHANGED, EXPERIMENT, MASKED, NONE, judge, paired


def differ(a: str, b: str) -> set[str]:
    one, other = EXPERIMENT.arms[a], EXPERIMENT.arms[b]
    return {key for key in one if one[key] != other[key]}


def test_arms_differ_in_one_thing() -> None:
    assert differ(NONE, MASKED) == differ(ALIGNED, BOTH) == {"masked"}
    assert differ(NONE, ALIGNED) == differ(MASKED, BOTH) == {"alignment"}
    assert differ(BOTH, EXCHANGED) == {"exchanged"}
    assert all(own["few"] < own["many"] <= own["scenes"] for own in EXPERIMENT.arms.values())


def test_exchanged_colours_change_only_the_false_captions() -> None:
    captions = torch.arange(10, 10 + 16)[:, None, None].expand(16, 3, 4).contiguous()
    exchanged = torch.stack([captions[:, 0] + 100, captions[:, 0] + 200], 1)  # a true and a false one
    has = torch.arange(16) % 2 == 0
    (plain, belongs), (taught, same) = (
        paired(captions, exchanged, has, teach, torch.Generator().manual_seed(0), 5) for teach in (False, True)
    )
    assert torch.equal(belongs, same) and 0 < belongs.sum() < 16
    assert torch.equal(plain[belongs], taught[belongs])
    own = torch.arange(10, 26)
    assert set((taught[belongs, 0] - own[belongs]).tolist()) <= {0, 100}  # its own caption, or its own true one
    assert not (taught >= 210)[belongs].any() and (taught >= 210).any()
    assert not (plain >= 210).any() and ((plain[:, 0] - own) % 100 != 0)[~belongs].all()  # another scene's


def runs(few: dict[str, float], many: dict[str, float], auc: dict[str, tuple[float, float]]) -> dict:
    """Runs of five seeds, all a little different, with the accuracies and the AUC of each arm."""
    return {
        arm: [
            {
                "vqa few": few.get(arm, 0.5) + 0.002 * ((s * (k + 2)) % 5 - 2),
                "vqa many": many.get(arm, 0.8),
                "auc random": auc.get(arm, (0.5, 0.5))[0],
                "auc exchanged": auc.get(arm, (0.5, 0.5))[1] + 0.002 * ((s * (k + 2)) % 5 - 2),
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
