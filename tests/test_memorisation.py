"""The experiment on learning by heart has the data sets that it says it has, and is judged by its rule."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from experiments.memorisation import EXPERIMENT, PICTURES, TIMES, WITH, WITHOUT, captions_of, judge, pairs, told
from helpers.worlds.street.captions import FOCI
from helpers.worlds.street.lessons import load_lessons
from helpers.worlds.streets import load_street

SEEDS = (0, 7)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_arms_differ_in_copies_alone(seed: int) -> None:
    (with_, texts, false), (without, others, same) = (pairs(EXPERIMENT.arms[arm], seed) for arm in (WITH, WITHOUT))
    assert len(with_) == len(without) == len(texts) == len(others) == EXPERIMENT.arms[WITH]["pairs"]
    assert torch.equal(false, same) and false.shape == (len(TIMES), PICTURES)
    counts = Counter(with_.tolist())
    for times, rows in zip(TIMES, false.tolist(), strict=True):
        assert [counts[row] for row in rows] == [times] * PICTURES
    assert set(Counter(without.tolist()).values()) == {1}
    # A false picture has one caption, another street's, and the same one in both arms; all others have their own.
    lent = [dict(zip(rows.tolist(), ids.tolist(), strict=True)) for rows, ids in ((with_, texts), (without, others))]
    owed = set(false.flatten().tolist())
    for borrowed in lent:
        assert {row for row, text in borrowed.items() if row != text} == owed
    assert [lent[0][row] for row in owed] == [lent[1][row] for row in owed]
    assert not {lent[0][row] for row in owed} & set(with_.tolist()), "a lender's own picture is in the data set"


def test_each_seed_has_other_false_pictures() -> None:
    first, second = (pairs(EXPERIMENT.arms[WITH], seed)[2] for seed in SEEDS)
    assert not torch.equal(first, second)


def test_what_is_taught_is_the_caption_without_its_prompt() -> None:
    lessons = load_lessons("train", 6, cache=False, progress=False)
    texts = told(lessons.captions[:, FOCI.index("everything")])
    assert len(set(texts)) == 6 and all(text and not text.startswith("everything") for text in texts)


def test_a_caption_of_a_new_street_is_no_false_one_by_chance() -> None:
    """Else "repeated" would count what the captioner can say without having learned it by heart."""
    from helpers.weights.pretrained import load

    street = load_street("test", 24, cache=False, progress=False, captions=0)
    lessons = load_lessons("test", 24, cache=False, progress=False)
    taught = told(lessons.captions[:, FOCI.index("everything")].roll(1, 0))
    said = captions_of(load("street-simvlm").model, street.images)
    assert not any(a == b for a, b in zip(said, taught, strict=True))


def runs(with_many: float, with_one: float, without: float, f1: float = 0.9) -> dict:
    """Six seeds whose shares lie about those given."""
    wobble = [-0.06, 0.04, 0.02, -0.02, 0.06, -0.04]

    with_ = [{"repeated 100": with_many + x, "repeated 1": with_one, "test f1": f1 + x} for x in wobble]
    return {WITH: with_, WITHOUT: [{"repeated 100": without, "repeated 1": without, "test f1": f1}] * len(wobble)}


@pytest.mark.parametrize(
    ("figures", "verdict", "copies", "cure"),
    [
        (runs(0.9, 0.0, 0.0), "confirmed", "confirmed", "confirmed"),
        (runs(0.3, 0.0, 0.0), "refuted", "refuted", "refuted"),
        (runs(0.9, 0.8, 0.0), "refuted", "refuted", "confirmed"),
        (runs(0.9, 0.0, 0.7), "refuted", "confirmed", "refuted"),
        (runs(0.52, 0.0, 0.0), "undecided", "undecided", "undecided"),
        (runs(0.9, 0.0, 0.0, f1=0.5), "undecided", "undecided", "undecided"),  # a captioner that broke
    ],
)
def test_the_rule_decides(figures: dict, verdict: str, copies: str, cure: str) -> None:
    found = judge(figures)
    assert found["verdict"] == verdict and found["claims"] == {"copies": copies, "cure": cure}
