"""Lessons: the tables hold the scenes' own captions, questions and answers, and come back whole from the cache."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.worlds.street import lessons as module
from helpers.worlds.street.captions import CAPTION_FACTS, FOCI
from helpers.worlds.street.lessons import (
    NOT_ASKED,
    Lessons,
    blind_guesses,
    draw_questions,
    load_lessons,
    prompt_lengths,
    trimmed,
)
from helpers.worlds.street.questions import ANSWERS, QUESTION_KINDS
from helpers.worlds.street.sample import scenes
from helpers.worlds.tokenizer import StreetTokenizer
from tests import street_truth

N = 40
TOKENIZER = StreetTokenizer()


@pytest.fixture(scope="module")
def lessons() -> Lessons:
    return load_lessons("train", N, seed=3, cache=False, progress=False)


def parts(row: torch.Tensor) -> tuple[str, str]:
    """The prompt and the text of a row of ids."""
    length = int(prompt_lengths(row[None], TOKENIZER.sep_id))
    assert row[0] == TOKENIZER.sot_id and row[row != 0][-1] == TOKENIZER.eot_id
    return TOKENIZER.decode(row[:length]), TOKENIZER.decode(row[length:])


def test_captions_are_true_and_of_the_focus_that_their_prompt_names(lessons: Lessons) -> None:
    for rows, scene in zip(lessons.captions, scenes("train", N, 3), strict=True):
        for focus, row in zip(FOCI, rows, strict=True):
            prompt, text = parts(row)
            reading = street_truth.read(text)
            assert prompt == focus and reading.true_of(scene) and set(CAPTION_FACTS[focus]) <= reading.facts


def test_answers_are_the_only_possible_ones_and_are_told_by_number_too(lessons: Lessons) -> None:
    asked = Counter()
    for i, scene in enumerate(scenes("train", N, 3)):
        for kind in range(len(QUESTION_KINDS)):
            row, answer = lessons.questions[i, kind], int(lessons.answers[i, kind])
            if answer == NOT_ASKED:
                assert not row.any() and not lessons.asked[i, kind]
                continue
            question, text = parts(row)
            assert street_truth.possible_answers(scene, question) == {text} == {ANSWERS[answer]}
            asked[kind] += 1
    assert len(asked) == len(QUESTION_KINDS)


def test_the_file_gives_the_same_tables_and_a_damaged_one_is_made_anew(
    lessons: Lessons, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path)
    first = load_lessons("train", 5, seed=3, progress=False)
    (path,) = tmp_path.glob("*.safetensors")
    again = load_lessons("train", 5, seed=3, progress=False)
    for name in ("captions", "questions", "answers"):
        assert torch.equal(getattr(first, name), getattr(again, name))
        assert torch.equal(getattr(first, name), getattr(lessons, name)[:5]), "a scene's texts depend on n"
    path.write_bytes(path.read_bytes()[:-100])
    assert torch.equal(load_lessons("train", 5, seed=3, progress=False).captions, first.captions)
    assert not torch.equal(load_lessons("train", 5, seed=4, progress=False).captions, first.captions)
    assert len(list(tmp_path.iterdir())) == 2
    for wrong in (0, -1, True, 2.0):
        with pytest.raises(ValueError, match="whole number from 1"):
            load_lessons("train", wrong)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=4), st.integers(1, 5))
def test_questions_are_drawn_from_those_that_are_asked_and_never_twice(rows: list[list[bool]], n: int) -> None:
    asked, generator = torch.tensor(rows), torch.Generator().manual_seed(0)
    if asked.sum(1).min() < n:
        with pytest.raises(ValueError, match="fewer than"):
            draw_questions(asked, n, generator)
        return
    for drawn, row in zip(draw_questions(asked, n, generator).tolist(), rows, strict=True):
        assert len(set(drawn)) == n and all(row[kind] for kind in drawn)


def test_each_question_is_drawn_as_often() -> None:
    asked = torch.tensor([[True, False, True, True]]).expand(3_000, 4)
    counts = torch.bincount(draw_questions(asked, 1, torch.Generator().manual_seed(0)).flatten(), minlength=4)
    assert counts[1] == 0 and (counts[[0, 2, 3]] - 1_000).abs().max() < 120


def test_a_kind_of_more_weight_is_drawn_more_often() -> None:
    asked, weights = torch.tensor([[True, True, True, False]] * 8_000), torch.tensor([1.0, 2.0, 5.0, 100.0])
    counts = torch.bincount(draw_questions(asked, 1, torch.Generator().manual_seed(0), weights).flatten(), minlength=4)
    assert (counts / 8_000 - torch.tensor([1, 2, 5, 0]) / 8).abs().max() < 0.02
    pairs = draw_questions(asked, 2, torch.Generator().manual_seed(0), weights)
    assert (pairs[:, 0] != pairs[:, 1]).all() and (pairs < 3).all()


def test_only_padding_is_trimmed() -> None:
    rows = torch.tensor([[5, 6, 0, 0], [5, 0, 0, 0]], dtype=torch.int16)
    assert trimmed(rows).tolist() == [[5, 6], [5, 0]] and trimmed(rows).dtype == torch.int64
    with pytest.raises(ValueError, match="no <sep>"):
        prompt_lengths(rows, TOKENIZER.sep_id)


def test_the_blind_guess_is_the_most_frequent_answer_of_the_question_else_of_its_kind() -> None:
    one = [1, 9, 3, 0]  # a question of the ids 1 and 9, separated by 3 from its answer
    other = [1, 8, 3, 0]
    learned = Lessons(
        torch.zeros(4, 1, 4),
        torch.tensor([[one], [one], [other], [one]]),
        torch.tensor([[5], [5], [2], [2]], dtype=torch.int8),
    )
    asked = Lessons(
        torch.zeros(4, 1, 4),
        torch.tensor([[one], [other], [[1, 7, 3, 0]], [[0, 0, 0, 0]]]),
        torch.tensor([[5], [5], [5], [NOT_ASKED]], dtype=torch.int8),
    )
    assert blind_guesses(learned, asked, 3).tolist() == [[5], [2], [5], [NOT_ASKED]]
