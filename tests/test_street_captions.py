"""Captions: every sentence is true, says what its focus promises, and the judge that says so can say no."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.worlds.street.captions import (
    ALT_KINDS,
    CAPTION_FACTS,
    FOCI,
    alt_text,
    caption,
    caption_statistics,
    captions,
)
from helpers.worlds.street.sample import sample_scene, scenes
from helpers.worlds.street.scene import COLOURS, KINDS, SKIES, Scene, Trees, Vehicle
from tests import street_strategies, street_truth

LECTURE = "a red truck is parked on a street lined with trees"
RED_TRUCK = Scene((Vehicle("truck", "red", "vintage", x=0.4),), Trees("oak", (0.1, 0.42, 0.8)))


@settings(deadline=None)
@given(street_strategies.scenes(), st.integers(0, 2**32), st.sampled_from(FOCI))
def test_every_caption_of_every_scene_is_true_and_keeps_its_focus(scene, seed, focus):
    text = caption(scene, np.random.default_rng(seed), focus)
    reading = street_truth.read(text)
    assert reading.true_of(scene), text
    assert set(CAPTION_FACTS[focus]) <= reading.facts, (focus, text)
    assert text == text.lower().strip() and not text.endswith(".")


def test_captions_of_natural_scenes_are_true():
    for i, scene in enumerate([*scenes("train", 1500, 5), *scenes("composition", 500, 5)]):
        for text in captions(scene, 6, [5, i]):
            assert street_truth.read(text).true_of(scene), text


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("a blue truck", {}),
        ("a modern red truck", {}),
        ("a red car", {}),
        ("a red truck is driving down a street", {}),
        ("a red truck facing left", {}),
        ("a red truck parked at the far kerb", {}),
        ("a red truck on the right side of the picture", {}),
        ("a red truck in the middle of the picture", {"vehicles": (Vehicle("truck", "red", x=0.7),)}),
        ("a red truck to the left of a red truck", {}),
        ("a red truck in front of a pine", {}),
        ("an oak behind a red truck", {"trees": Trees("oak", (0.1, 0.2, 0.9))}),
        ("a red truck is parked on a street lined with trees", {"trees": Trees("oak", (0.1, 0.42))}),
        ("a street without trees", {}),
        ("a street with two trees and one vehicle", {}),
        ("one vehicle and three bare oaks", {}),
        ("two vehicles on a street", {}),
        ("two trucks on a street with three trees", {}),
        ("one truck on a street with three trees", {"vehicles": (RED_TRUCK.main, Vehicle("bus", "red", lane=2))}),
        ("a red truck at night", {}),
        ("a red truck on a cracked dry street", {}),
        ("the road under a red truck is new and wet", {}),
        ("a red truck in front of houses", {}),
        ("a dog and a red truck", {}),
    ],
)
def test_the_judge_finds_a_false_caption_false(text, change):
    assert not street_truth.read(text).true_of(dataclasses.replace(RED_TRUCK, **change))


def test_the_judge_binds_words_to_their_vehicle():
    """Right words on the wrong thing: the fault that a bag of words could not see."""
    scene = Scene((Vehicle("car", "red", x=0.3), Vehicle("truck", "blue", "vintage", x=0.7, lane=2)))
    for true, false in [
        ("a red car and a blue truck", "a blue car and a red truck"),
        ("a red car to the left of an old truck", "an old truck to the left of a red car"),
        ("a modern car with a blue truck farther away", "a blue truck with a modern car farther away"),
    ]:
        assert street_truth.read(true).true_of(scene)
        assert not street_truth.read(false).true_of(scene)


def test_a_caption_of_another_scene_is_false_as_a_rule():
    """A full caption fits another scene only by a rare chance; the judge that calls all true would fail here."""
    drawn = scenes("train", 400)
    fits = [
        street_truth.read(caption(a, np.random.default_rng(i), "everything")).true_of(b)
        for i, (a, b) in enumerate(pairwise(drawn))
    ]
    assert np.mean(fits) < 0.02


def test_an_unknown_word_is_not_passed_over():
    with pytest.raises(ValueError, match="cannot read"):
        street_truth.read("a red truck is parked on a zebra")


def test_the_lectures_own_sentence_can_be_written():
    written = {caption(RED_TRUCK, np.random.default_rng(seed), "where") for seed in range(3000)}
    assert LECTURE in written


def test_captions_are_varied_and_repeatable():
    assert captions(RED_TRUCK, 12, 3) == captions(RED_TRUCK, 12, 3) != captions(RED_TRUCK, 12, 4)
    assert len(set(captions(RED_TRUCK, 200, 0))) > 120
    statistics = caption_statistics(1000, 4)
    assert statistics.captions <= 4000 and statistics.distinct > 2500 and statistics.words_max <= 40
    assert f"{statistics.distinct:,} distinct" in str(statistics)


def test_all_words_of_the_world_are_said():
    said = " ".join(text for i, s in enumerate(scenes("train", 400)) for text in captions(s, 6, i))
    for word in (*COLOURS, *KINDS, "lined with", "behind", "to the left of", "next to", "vintage", "on a clear day"):
        assert word in said, word
    assert set(SKIES) == {s.sky for s in scenes("train", 100)}


def test_an_unknown_focus_is_refused_by_name():
    with pytest.raises(ValueError, match="focus: 'weather' is not one of what, where"):
        caption(RED_TRUCK, np.random.default_rng(0), "weather")


# Alt-text


def test_without_noise_all_alt_text_is_clean_and_true():
    rng = np.random.default_rng(0)
    for scene in scenes("train", 200):
        alt = alt_text(scene, rng, 0)
        assert alt.kind == "clean" and alt.text == alt.true_caption
        assert street_truth.read(alt.text).true_of(scene)


def test_the_noise_is_a_rate_and_its_kinds_are_what_they_say():
    rng = np.random.default_rng(1)
    drawn = [(scene, alt_text(scene, rng, 0.4)) for scene in scenes("train", 3000)]
    bad = [(s, a) for s, a in drawn if a.kind != "clean"]
    assert abs(len(bad) / len(drawn) - 0.4) < 0.03
    for kind in ALT_KINDS[1:]:
        assert abs(sum(a.kind == kind for _, a in bad) / len(bad) - 0.2) < 0.05, kind
    for scene, alt in drawn:
        assert street_truth.read(alt.true_caption).true_of(scene), "the truth is kept beside the noise"
        if alt.kind == "wrong":
            assert not street_truth.read(alt.text).true_of(scene), alt
        if alt.kind == "partial":
            assert alt.true_caption.startswith(alt.text + " ")


@pytest.mark.parametrize(("kind", "wider"), [("taxi", "car"), ("fire engine", "truck")])
def test_a_wrong_text_is_not_one_that_some_people_call_true(kind, wider):
    """A taxi is a car: beside a taxi "a picture of a car" is not surely false."""
    scene, rng = Scene((Vehicle(kind, "yellow"),)), np.random.default_rng(3)
    as_called = dataclasses.replace(scene, vehicles=(dataclasses.replace(scene.main, kind=wider),))
    wrong = [alt.text for alt in (alt_text(scene, rng, 1) for _ in range(2500)) if alt.kind == "wrong"]
    assert len(wrong) > 300
    assert [text for text in wrong if street_truth.read(text).true_of(as_called)] == []


@pytest.mark.parametrize("noise", [-0.1, 1.1, float("nan")])
def test_a_noise_rate_out_of_range_is_refused(noise):
    with pytest.raises(ValueError, match="is not a rate from 0 to 1"):
        alt_text(sample_scene(np.random.default_rng(0)), np.random.default_rng(0), noise)
