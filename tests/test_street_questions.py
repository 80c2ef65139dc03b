"""Questions: every answer is the only defensible one, and the question alone gives little away."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.worlds.street.questions import (
    ANSWERS,
    LECTURE_QUESTIONS,
    QUESTION_KINDS,
    BlindTable,
    blind_rates,
    lecture_answers,
    questions,
)
from helpers.worlds.street.sample import scenes
from helpers.worlds.street.scene import Scene, Trees, Vehicle
from tests import street_strategies, street_truth

RED_TRUCK = Scene((Vehicle("truck", "red", "vintage", x=0.4),), Trees("oak", (0.1, 0.42, 0.8)))


@settings(deadline=None)
@given(street_strategies.scenes(), st.integers(0, 2**32))
def test_every_answer_is_the_only_possible_one(scene, seed):
    for qa in questions(scene, seed):
        assert street_truth.possible_answers(scene, qa.question) == {qa.answer}, qa
        assert qa.answer in qa.options and set(qa.options) <= set(ANSWERS)


def test_answers_of_natural_scenes():
    kinds = Counter()
    for split in ("train", "composition"):
        for i, scene in enumerate(scenes(split, 1000, 3)):
            asked = questions(scene, [3, i])
            assert len({qa.kind for qa in asked}) == len(asked)
            kinds.update(qa.kind for qa in asked)
            for qa in asked:
                assert street_truth.possible_answers(scene, qa.question) == {qa.answer}, qa
    assert set(kinds) == set(QUESTION_KINDS)
    assert min(kinds.values()) > 100, kinds


def test_the_judge_finds_wrong_answers_and_ambiguous_questions():
    two = Scene((Vehicle("truck", "red", x=0.4), Vehicle("truck", "blue", "vintage", x=0.7, lane=2)))
    assert street_truth.possible_answers(two, "what colour is the truck?") == {"red", "blue"}
    assert street_truth.possible_answers(two, 'is this truck considered "vintage"?') == {"yes", "no"}
    engine = Scene((Vehicle("fire engine", "red"),))
    assert street_truth.possible_answers(engine, "is there a truck?") == {"yes", "no"}
    assert street_truth.possible_answers(engine, "is there a red bus?") == {"no"}
    half = Scene((Vehicle("truck", "red", x=0.4),), Trees("oak", (0.55,)))
    assert street_truth.possible_answers(half, "is there a tree behind the truck?") == {"yes", "no"}
    with pytest.raises(ValueError, match="0 rules"):
        street_truth.possible_answers(half, "who drives the truck?")


def test_ambiguous_questions_are_not_asked():
    two = Scene((Vehicle("truck", "red", x=0.4), Vehicle("fire engine", "blue", "vintage", x=0.7, lane=2)))
    asked = {qa.question for seed in range(300) for qa in questions(two, seed)}
    assert not any("the truck" in q or "this truck" in q for q in asked)
    assert any("the fire engine" in q for q in asked)


def test_the_lectures_questions():
    answers = lecture_answers(RED_TRUCK)
    assert answers == dict(zip(LECTURE_QUESTIONS, ("yes", "yes", "oak"), strict=True))
    asked = {qa.question: qa.answer for seed in range(50) for qa in questions(RED_TRUCK, seed)}
    assert {q: asked[q] for q in LECTURE_QUESTIONS} == answers
    treeless = Scene((Vehicle("truck", "red", "modern"),), surface="cracked")
    assert list(lecture_answers(treeless).values()) == ["no", "no", None]
    assert list(lecture_answers(Scene((Vehicle("bus", "red"),))).values()) == [None, "yes", None]


def test_the_vocabulary_of_answers_is_closed_and_used():
    answers = {qa.answer for i, scene in enumerate(scenes("train", 1500)) for qa in questions(scene, i)}
    assert answers == set(ANSWERS) and len(ANSWERS) == len(set(ANSWERS))


@pytest.fixture(scope="module")
def table() -> BlindTable:
    return blind_rates(12_000)


def test_a_model_without_eyes_scores_near_the_majority_and_near_chance(table):
    assert [r.kind for r in table.rows] == list(QUESTION_KINDS)
    for row in table.rows:
        assert row.asked > 400, row
        assert row.blind < row.majority + 0.03 + row.margin, row
        assert row.majority < row.chance + 0.04, row


def test_the_blind_predictor_would_notice_an_unbalanced_template(monkeypatch):
    """Negative of the test above: ask only questions whose answer is yes, and the table shows it."""
    from helpers.worlds.street import questions as module

    def naive(scene, rng):
        return module._yes_no("does the road look new?", True)

    monkeypatch.setitem(module._ASK, "road", naive)
    rows = {r.kind: r for r in blind_rates(300).rows}
    assert rows["road"].blind == rows["road"].majority == 1 > rows["road"].chance


def test_the_blind_table_prints_each_kind(table):
    lines = str(table).splitlines()
    assert len(lines) == 1 + len(QUESTION_KINDS)
    assert all(line.startswith(kind) for line, kind in zip(lines[1:], QUESTION_KINDS, strict=True))


def test_questions_are_repeatable_and_take_a_generator():
    assert questions(RED_TRUCK, 7) == questions(RED_TRUCK, np.random.default_rng(7))
    assert any(questions(RED_TRUCK, 7) != questions(RED_TRUCK, seed) for seed in range(8, 12))
