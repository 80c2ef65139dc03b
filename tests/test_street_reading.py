"""The judge of captions agrees with an independent one, and the F1 of facts is what the counts say."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.worlds.street.captions import CAPTION_FACTS, FOCI, caption
from helpers.worlds.street.reading import Fact, Score, attribute_f1, judge, read, score
from helpers.worlds.street.sample import scenes
from helpers.worlds.street.scene import RED_TRUCK, Being, Trees, Vehicle
from tests import street_strategies, street_truth

LECTURE = "a red truck is parked on a street lined with trees"


@settings(deadline=None, max_examples=60)
@given(street_strategies.scenes(), st.integers(0, 2**32), st.sampled_from(FOCI))
def test_every_caption_is_read_to_its_end_found_true_and_says_what_it_must(scene, seed, focus):
    text = caption(scene, np.random.default_rng(seed), focus)
    found, counts = judge(text, scene), score(text, scene, CAPTION_FACTS[focus])
    assert not found.false and not found.unread, (text, found)
    assert counts.said == counts.asked and counts.true == counts.stated, text


@settings(deadline=None, max_examples=60)
@given(street_strategies.scenes(), street_strategies.scenes(), st.integers(0, 2**32), st.sampled_from(FOCI))
def test_what_it_finds_true_of_another_scene_so_does_an_independent_judge(scene, other, seed, focus):
    text = caption(scene, np.random.default_rng(seed), focus)
    if not judge(text, other).false:  # the margins of the other judge are wider: it may find more true
        assert street_truth.read(text).true_of(other), text


def test_both_judges_agree_on_natural_scenes():
    drawn = [*scenes("train", 60, 5), *scenes("composition", 30, 5)]
    verdicts = []
    for i, (scene, other) in enumerate(pairwise(drawn)):
        for focus in FOCI:
            text = caption(scene, np.random.default_rng(i), focus)
            verdicts.append((not judge(text, other).false, street_truth.read(text).true_of(other)))
    agree = sum(a == b for a, b in verdicts)
    assert agree >= len(verdicts) - 2  # a place within a margin
    assert 5 < sum(a for a, _ in verdicts) < len(verdicts) / 4, "the sample does not try both verdicts"


CHANGES = {
    "a red truck": ("vehicles", (Vehicle("truck", "blue", "vintage"),), "colour"),
    "a vintage truck": ("vehicles", (Vehicle("truck", "red", "modern"),), "age"),
    "a truck facing right": ("vehicles", (Vehicle("truck", "red", facing="left"),), "facing"),
    "a truck is parked on a street": ("vehicles", (Vehicle("truck", "red", parked=False),), "parked"),
    "a street lined with oak trees": ("trees", Trees("birch", (0.1, 0.5, 0.9)), "tree"),
    "a truck on a cracked street": ("surface", "new", "surface"),
    "a truck at night": ("sky", "dusk", "sky"),
    "a truck in front of tall buildings": ("buildings", "houses", "buildings"),
    "a truck and a dog": ("being", Being("cat", 0.1), "being"),
    "two vehicles on a street": ("surface", "new", "vehicles"),
    "a truck and two trees": ("surface", "new", "trees"),
}


@pytest.mark.parametrize("text", CHANGES)
def test_one_false_fact_is_found_and_named(text):
    field, value, name = CHANGES[text]
    assert name in {fact.name for fact in judge(text, replace(RED_TRUCK, **{field: value})).false}


def test_the_lectures_caption_is_true_and_says_its_facts():
    found = judge(LECTURE, RED_TRUCK)
    assert not found.false and not found.unread
    assert {fact.label for fact in found.true} == {"vehicle", "colour", "place", "tree"}
    wrong = judge(LECTURE.replace("red", "blue"), RED_TRUCK)
    assert wrong.false == (Fact("colour", "blue", (0,)),) and len(wrong.true) == len(found.true) - 1


def test_attributes_belong_to_their_vehicle():
    two = replace(RED_TRUCK, vehicles=(Vehicle("truck", "red", x=0.3), Vehicle("car", "blue", x=0.8, lane=2)))
    assert not judge("a blue car and a red truck", two).false
    assert len(judge("a red car and a blue truck", two).false) == 2  # the same words, bound the other way
    assert not judge("a red truck to the left of a blue car", two).false
    assert [fact.name for fact in judge("a red truck to the right of a blue car", two).false] == ["order"]
    assert not judge("a truck with a car farther away", two).false
    assert [fact.name for fact in judge("a car with a truck farther away", two).false] == ["farther"]


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=60) | st.lists(st.sampled_from([*LECTURE.split(), "zebra", "two", "behind", "with", "left"])))
def test_whatever_a_model_writes_is_read_without_an_error(text):
    text = text if isinstance(text, str) else " ".join(text)
    found = judge(text, RED_TRUCK)
    assert set(found.true) | set(found.false) == set(read(text).facts)
    assert score(text, RED_TRUCK, ("vehicle",)).stated >= len(found.unread)


def test_more_vehicles_than_there_are_cannot_all_be_true():
    found = judge("a red truck and a red truck", RED_TRUCK)
    assert len(found.true) == len(found.false) == 2
    assert judge("a red truck, a red truck, a red truck and a red truck", RED_TRUCK).false


def test_f1_is_the_harmonic_mean_of_both_shares():
    asked = ("vehicle", "colour", "sky")
    counts = score("a blue truck zebra", RED_TRUCK, asked)
    assert list(counts) == [1, 3, 1, 3]  # true: truck; false: blue, zebra; asked for and said: the vehicle
    assert counts.f1 == pytest.approx(1 / 3)
    assert (counts + Score(1, 1, 1, 3)).f1 == pytest.approx(2 * 0.5 * (1 / 3) / (0.5 + 1 / 3))
    assert attribute_f1(["a red truck on a sunny day"], [RED_TRUCK], asked) == 1
    assert attribute_f1(["", "zebra"], [RED_TRUCK] * 2, asked) == 0
    silent = attribute_f1(["a truck"], [RED_TRUCK], asked)  # true, but it does not say what was asked for
    assert silent == pytest.approx(2 * 1 * (1 / 3) / (1 + 1 / 3))
    with pytest.raises(ValueError, match="asked: smell not among the facts age"):
        score("a truck", RED_TRUCK, ("smell",))
