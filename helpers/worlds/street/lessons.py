"""What a language model learns from: for each scene captions and questions with their answers, as tables of token ids.

Every row is a prompt and a text after it: `<sot> prompt <sep> text <eot>`. The prompt of a caption is what it is to be
about, one of FOCI; that of an answer is the question. So captioning and answering are one task. The tables lie beside
the pictures of the same scenes, which `helpers.worlds.streets.load_street` gives in the same order.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from helpers.files import code_digest, whole
from helpers.worlds.drawn import cache_folder
from helpers.worlds.street.captions import FOCI, caption
from helpers.worlds.street.questions import ANSWERS, QUESTION_KINDS, questions
from helpers.worlds.street.sample import scene_at
from helpers.worlds.tokenizer import SEPARATOR, StreetTokenizer

CAPTION_LENGTH, QUESTION_LENGTH = 44, 28
NOT_ASKED = -1


@dataclass(frozen=True, eq=False)
class Lessons:
    """The texts of n scenes; padding has id 0."""

    captions: torch.Tensor  # int16 [n, 6, 44], one row for each of FOCI
    questions: torch.Tensor  # int16 [n, 16, 28], one row for each of QUESTION_KINDS; all padding where none is asked
    answers: torch.Tensor  # int8 [n, 16], the number among ANSWERS, NOT_ASKED where none is

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def asked(self) -> torch.Tensor:
        """Which questions there are: bool [n, 16]."""
        return self.answers != NOT_ASKED


def load_lessons(split: str, n: int, seed: int = 0, cache: bool = True, progress: bool = True) -> Lessons:
    """The lessons of the first `n` scenes of `split`, those of `load_street(split, n, seed=seed)`.

    They are kept beside the pictures if `cache`, under a key of the code that makes them; a damaged file is made anew.
    A bar shows the progress if `progress`. Raises ValueError for an unknown split or an `n` below 1.
    """
    if type(n) is not int or n < 1:
        raise ValueError(f"n: {n!r} is not a whole number from 1")
    if not cache:
        return _make(split, n, seed, progress)
    told = json.dumps([split, n, seed, code_digest(__name__, data=("tokenizer/street.json",)), np.__version__])
    path = cache_folder() / f"lessons-{split}-{n}-{hashlib.sha256(told.encode()).hexdigest()[:16]}.safetensors"
    lessons = _read(path, n)
    if lessons is None:
        lessons = _make(split, n, seed, progress)
        with whole(path) as temporary:
            save_file({field.name: getattr(lessons, field.name) for field in fields(Lessons)}, temporary)
    return lessons


def _read(path: Path, n: int) -> Lessons | None:
    try:
        lessons = Lessons(**load_file(path))
    except (FileNotFoundError, SafetensorError, TypeError):
        return None
    return lessons if len(lessons) == n else None


def _make(split: str, n: int, seed: int, progress: bool) -> Lessons:
    from tqdm.auto import tqdm  # an import of half a second that a cache spares

    tokenizer = StreetTokenizer()
    captions, asked, answers, places = [], [], torch.full((n, len(QUESTION_KINDS)), NOT_ASKED, dtype=torch.int8), []
    for i in tqdm(range(n), desc=f"writing {split}", unit="scene", disable=not progress, leave=False):
        scene, rng = scene_at(split, i, seed), np.random.default_rng([seed, i])
        captions += [[focus, SEPARATOR, caption(scene, rng, focus)] for focus in FOCI]
        for qa in questions(scene, rng):
            kind = QUESTION_KINDS.index(qa.kind)
            asked.append([qa.question, SEPARATOR, qa.answer])
            answers[i, kind] = ANSWERS.index(qa.answer)
            places.append(i * len(QUESTION_KINDS) + kind)
    table = torch.zeros(n * len(QUESTION_KINDS), QUESTION_LENGTH, dtype=torch.int16)
    table[places] = tokenizer.sequences(asked, length=QUESTION_LENGTH).ids.short()
    written = tokenizer.sequences(captions, length=CAPTION_LENGTH).ids.short()
    return Lessons(written.view(n, len(FOCI), -1), table.view(n, len(QUESTION_KINDS), -1), answers)


def trimmed(rows: torch.Tensor) -> torch.Tensor:
    """Rows of ids, int16 [B, T], as int64 [B, t], without the columns at the end that are padding in all of them."""
    return rows[:, : max(1, int((rows != 0).sum(1).max()))].long()


def prompt_lengths(ids: torch.Tensor, separator: int) -> torch.Tensor:
    """How many ids stand before the text that a row of ids [B, T] asks for, the separator among them: int64 [B].

    Raises ValueError for a row without a separator.
    """
    marks = ids == separator
    if not marks.any(1).all():
        raise ValueError("ids: a row has no <sep> between its prompt and its text")
    return marks.int().argmax(1) + 1


def draw_questions(
    asked: torch.Tensor, n: int, generator: torch.Generator, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """`n` of the questions of each scene, all different: bool [B, kinds] -> int64 [B, n].

    weights: float [kinds], above 0; a kind is drawn first with a probability in proportion to its weight (default: all
    equally likely). Raises ValueError if a scene has fewer questions than `n`.
    """
    if (asked.sum(1) < n).any():
        raise ValueError(f"n: a scene has {int(asked.sum(1).min())} questions, fewer than {n}")
    draws = torch.rand(asked.shape, generator=generator)
    if weights is not None:
        draws = draws ** (1 / weights)  # the largest n are a weighted draw (Efraimidis, Spirakis 2006)
    return draws.masked_fill(~asked, -1.0).topk(n, dim=1).indices


def blind_guesses(learned: Lessons, asked: Lessons, separator: int) -> torch.Tensor:
    """What somebody answers who never sees a picture: the numbers of answers int64 [n, 16], NOT_ASKED where none is.

    For a question that is among those of `learned` it is the most frequent answer to exactly this question; for another
    one the most frequent answer to its kind.
    """
    by_kind: list[Counter[int]] = [Counter() for _ in QUESTION_KINDS]
    by_question: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for i, kind in learned.asked.nonzero().tolist():
        answer = int(learned.answers[i, kind])
        by_kind[kind][answer] += 1
        by_question[_question(learned.questions[i, kind], separator)][answer] += 1
    guesses = torch.full(asked.answers.shape, NOT_ASKED, dtype=torch.long)
    for i, kind in asked.asked.nonzero().tolist():
        counted = by_question.get(_question(asked.questions[i, kind], separator)) or by_kind[kind]
        if counted:
            guesses[i, kind] = counted.most_common(1)[0][0]
    return guesses


def _question(row: torch.Tensor, separator: int) -> tuple[int, ...]:
    ids = row.tolist()
    return tuple(ids[: ids.index(separator)])
