"""Train and measure the robot's model of the table world: `python -m experiments train palm-e`.

In the first steps the language model reads text alone, lessons and sentences about streets; then it is asked what there
is on a table; then pictures are interleaved with all lessons, and only answers count (Driess et al. 2023, section 3).
A picture is read once for all that is asked of it. One model learns all tasks: the next step, a whole plan, questions,
what is possible, whether a step succeeded, and captions, of the table and of the street.
`python -m experiments evaluate palm-e --test-seed N --episodes K` lets it act on tables drawn afresh.
"""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import nn

from experiments.runner import Figures
from experiments.shipped import TEST_SEED, ShippedModel
from experiments.street_language import f1_figure
from experiments.table_eye import GRID
from helpers.models.palm_e import answer_loss, build_palm_e, shared_loss
from helpers.models.robot import Observation, Robot, play
from helpers.training.fit import Batch, Recipe, seeded
from helpers.training.statistics import share
from helpers.weights.pretrained import load
from helpers.worlds.drawn import Drawn
from helpers.worlds.street.captions import captions as street_captions
from helpers.worlds.street.questions import questions as street_questions
from helpers.worlds.street.reading import Score
from helpers.worlds.street.sample import scene_at as street_at
from helpers.worlds.streets import load_street
from helpers.worlds.table.captions import overlap
from helpers.worlds.table.drawing.render import render
from helpers.worlds.table.env import TableEnv
from helpers.worlds.table.lessons import (
    PICTURES,
    Lesson,
    image_seed,
    lessons,
    load_table,
    moment,
    more_questions,
    more_tasks,
    step_of,
)
from helpers.worlds.table.planner import next_step
from helpers.worlds.table.scene import Scene
from helpers.worlds.table.sentences import Part, seen, sentences, table_tokenizer, turn
from helpers.worlds.table.skills import DONE, Refusal

SIZE = 96
LANGUAGE = {"vocabulary": 704, "length": 288, "width": 128, "layers": 4, "heads": 4}
CONFIGURATION = {"language": LANGUAGE, "encoder": "grid", **GRID}
WORDS = 0.02  # the share of the steps in which only text is read
TEXTS = 8  # so many times as many texts as pictures are in a batch: they are shorter
ASKED = 0.28  # the share of the steps, the next, in which it is only described and asked what is there
FIRST_QUESTIONS, QUESTIONS = 9, 2  # of a picture, at most, then and later, drawn anew whenever it is seen
TASKS_ASKED = 3  # instructions of a picture, later
OF_STREET = 4  # questions of a street
# How often these lessons of a picture are taken, which have more tokens than others.
LONG = {"caption": 0.5, "plan": 0.4}
LENGTHS = (16, 24, 36)  # words: lessons of like length are read together
STREETS = 0.15  # the share of pictures that are streets
STREET_CAPTION = "describe the street."
EPISODES, SLIPS, DISTURBANCES = 320, 0.1, 1  # of a test
TOGETHER = 32  # episodes, or questions, that are answered at once


# What is learned from


@dataclass(frozen=True)
class Asked:
    """A lesson, and which of a batch's pictures it is about."""

    lesson: Lesson
    pictures: tuple[int, ...]


def street_lessons(number: int, split: str = "train") -> list[Lesson]:
    """What is asked of a street: its caption, and questions with their answers."""
    scene = street_at(split, number)
    asked = street_questions(scene, [0, number])
    told = street_captions(scene, 1, [0, number])[0]
    return [Lesson("question", qa.question, qa.answer) for qa in asked] + [Lesson("caption", STREET_CAPTION, told)]


def of_table(about: Sequence[Lesson], scene: Scene, rng: np.random.Generator, only_asked: bool) -> list[Lesson]:
    """What is taught of a table at once: lessons kept with its picture, the long ones now and then, and others drawn
    anew. If it is `only_asked` about, they are its caption and questions."""
    kept = [lesson for lesson in about if rng.random() < LONG.get(lesson.kind, 1.0)]
    if only_asked:
        return [lesson for lesson in kept if lesson.kind == "caption"] + more_questions(scene, rng, FIRST_QUESTIONS)
    kept = [lesson for lesson in kept if lesson.kind not in ("question", "affordance")]
    return kept + more_questions(scene, rng, QUESTIONS) + more_tasks(scene, rng, TASKS_ASKED)


def of_street(about: Sequence[Lesson], rng: np.random.Generator) -> list[Lesson]:
    """What is taught of a street at once: some of its questions, and its caption, the last, now and then."""
    some = [about[k] for k in rng.permutation(len(about) - 1)[:OF_STREET]]
    return some + [about[-1]] * (rng.random() < LONG["caption"])


def text_rows(step: int, n: int, seed: int) -> list[list[Part]]:
    """`n` texts without pictures, the same for the same step: lessons of tables and streets that are not drawn."""
    rng = np.random.default_rng([0x7E7, seed, step])
    rows = []
    for _ in range(n // 4):
        number = int(rng.integers(200_000))
        about = street_lessons(number) if rng.random() < STREETS else lessons("train", 1 + seed, number)
        for k in rng.permutation(len(about))[:4]:
            rows.append(turn(about[k].prompt, about[k].answer))
    return rows


def as_text(rows: list[list[Part]]) -> Batch:
    """Texts as a batch of which every token is to be predicted: ids, real, places, target."""
    batch = sentences(_tokenizer(), rows)
    return batch.ids, batch.real, batch.pictures, batch.real


@lru_cache(1)
def _tokenizer():
    return table_tokenizer()


def batches(scenes: int, batch: int, recipe: Recipe) -> Callable[[int], Iterable[Batch]]:
    """First texts, then lessons about `scenes` pictures of tables and some of streets, new ones in each epoch."""
    tables = load_table("train", scenes, SIZE)
    streets = load_street("train", max(int(STREETS * scenes), batch), SIZE, captions=0)
    words, epoch = int(WORDS * recipe.steps), max(1, scenes // batch)

    def read(first: int) -> Iterator[Batch]:
        for step in range(first, recipe.steps):
            if step < words:
                yield as_text(text_rows(step, TEXTS * batch, recipe.seed))
                continue
            rng = np.random.default_rng([0x9A1, recipe.seed, step])
            order = np.random.default_rng([0xE90C, recipe.seed, step // epoch]).permutation(scenes)
            only_asked = step < words + ASKED * recipe.steps
            chosen: list[tuple[Drawn, int, list[Lesson]]] = []
            for number in order[step % epoch * batch :][:batch].tolist():
                if rng.random() < STREETS:
                    number = int(rng.integers(len(streets)))
                    chosen.append((streets, number, of_street(street_lessons(number), rng)))
                else:
                    about = [Lesson.from_json(line) for line in tables.captions[number]]
                    chosen.append((tables, number, of_table(about, tables.scenes[number], rng, only_asked)))
            yield as_lessons(chosen)

    return read


def as_lessons(chosen: Sequence[tuple[Drawn, int, Sequence[Lesson]]]) -> Batch:
    """Lessons about the pictures of these numbers: the pictures, uint8 [K, 3, 96, 96], and of each group of lessons
    which pictures are shown, int64 [P, n], which of the P each lesson is about, int64 [B], and ids, real, places and
    target of the sentences, [B, T].

    A group has lessons about as many pictures, and of like length, so that little of it is padding.
    """
    images, asked = [], []
    for drawn, number, about in chosen:
        here = len(images)
        images.append(drawn.images[number])
        for lesson in about:
            images += [drawn.images[number + k] for k in lesson.pictures if k]
            asked.append(Asked(lesson, tuple(len(images) - 1 if k else here for k in lesson.pictures)))
    groups: dict[tuple[int, int], list[Asked]] = defaultdict(list)
    for one in asked:
        words = len(f"{one.lesson.prompt} {one.lesson.answer}".split())
        groups[len(one.pictures), bisect(LENGTHS, words)].append(one)
    found: list[torch.Tensor] = [torch.stack(images)]
    for (pictures, _), of_group in sorted(groups.items()):
        shown = sorted({one.pictures for one in of_group})
        begin = seen(pictures, (SIZE // GRID["patch"]) ** 2)
        rows = sentences(_tokenizer(), [[*begin, *turn(one.lesson.prompt, one.lesson.answer)] for one in of_group])
        of = torch.tensor([shown.index(one.pictures) for one in of_group])
        found += [torch.tensor(shown), of, rows.ids, rows.real, rows.pictures, rows.target]
    return tuple(found)


def loss(model: nn.Module, *batch: torch.Tensor) -> torch.Tensor:
    """The mean loss of the answers, each of which counts by the root of its length; or that of a text's tokens.

    If each token counts alike, captions and plans are nearly all that counts: a model that was trained by that rule
    described tables nearly without a mistake, and could seldom say where a thing was when it was asked. If each answer
    does, the caption is one answer of a dozen, and its forty tokens are learned last.
    """
    if len(batch) == 4:
        return answer_loss(model, *batch)
    observed = model.encoder(batch[0])  # [K, N, D]
    losses, weights = [], []
    for i in range(1, len(batch), 6):
        shown, of, ids, real, places, target = batch[i : i + 6]
        losses.append(shared_loss(model, ids, real, places, target, of, observed[shown].flatten(1, 2)))
        weights.append(target.sum(1).sqrt())
    weight = torch.cat(weights)
    return torch.cat(losses) @ weight / weight.sum()


# What it can do


def episodes(
    robot: Robot, n: int, seed: int, split: str = "test", closed: bool = True, wordings: bool = False
) -> torch.Tensor:
    """Whether the robot reached its goal in each of `n` episodes drawn afresh: bool [n]."""
    found: list[bool] = []
    while len(found) < n:
        numbers = range(len(found), min(len(found) + TOGETHER, n))
        envs = [_env(split, wordings) for _ in numbers]
        found += [episode.success for episode in play(robot, envs, [_seed(seed, i) for i in numbers], closed)]
    return torch.tensor(found)


def _env(split: str, wordings: bool = False) -> TableEnv:
    return TableEnv(SIZE, split, slips=SLIPS, disturbances=DISTURBANCES, held_out_wording=wordings)


def _seed(seed: int, i: int) -> int:
    return 1_000_003 * (seed + 1) + i


def oracle(n: int, seed: int) -> torch.Tensor:
    """Whether the planner that knows where everything is reaches the goal of the same episodes: bool [n]."""
    found = []
    for i in range(n):
        env, ended, reward = _env("test"), False, 0.0
        env.reset(seed=_seed(seed, i))
        while not ended:
            try:
                step = next_step(env.scene, env.task.goal)
            except Refusal:
                step = DONE
            _, reward, terminated, truncated, _ = env.step(env.action(step))
            ended = terminated or truncated
        found.append(bool(reward))
    return torch.tensor(found)


@dataclass(frozen=True)
class Answered:
    """A lesson with what the robot said."""

    lesson: Lesson
    said: str

    @property
    def right(self) -> bool:
        """Whether it is the answer, letter by letter; of a step, whether the step is, whatever was thought before."""
        if self.lesson.kind == "step":
            return step_of(self.said) == step_of(self.lesson.answer)
        return self.said == self.lesson.answer


def answered(robot: Robot, pictures: int, seed: int, split: str = "test") -> dict[str, list[Answered]]:
    """The lessons of the first `pictures` pictures of a split, drawn afresh with the seed, by kind, answered."""
    seen_at: dict[int, Observation] = {}

    def look(number: int) -> Observation:
        if number not in seen_at:
            scene = moment(split, seed, number // PICTURES).scenes[number % PICTURES]
            drawn_with = image_seed(split, seed, number)
            seen_at[number] = Observation(render(scene, SIZE, drawn_with), scene, drawn_with)
        return seen_at[number]

    by_kind: dict[str, list[tuple[int, Lesson]]] = defaultdict(list)
    for number in range(pictures):
        for lesson in lessons(split, seed, number):
            by_kind[lesson.kind].append((number, lesson))
    found: dict[str, list[Answered]] = defaultdict(list)
    for kind, asked in by_kind.items():
        for first in range(0, len(asked), TOGETHER):
            part = asked[first : first + TOGETHER]
            shown = [[look(number + k) for k in lesson.pictures] for number, lesson in part]
            said = robot.answer_lessons([lesson for _, lesson in part], shown)
            found[kind] += [Answered(lesson, one.text) for (_, lesson), one in zip(part, said, strict=True)]
    return found


def f1(counts: Sequence[tuple[int, int, int]]) -> Figures:
    """The F1 score of many (right, claimed, true), such as of captions, with its interval over them."""
    return f1_figure([Score(right, claimed, right, true) for right, claimed, true in counts], TEST_SEED)


def yes_counts(found: Sequence[Answered]) -> list[tuple[int, int, int]]:
    """For each yes-or-no question (right, claimed, true) of the answer "yes"."""
    pairs = [(a.said == "yes", a.lesson.answer == "yes") for a in found]
    return [(int(said and true), int(said), int(true)) for said, true in pairs]


def measure(model: nn.Module, n: int, seed: int) -> Figures:
    """Every figure of the robot, on `n` episodes drawn afresh with `seed` and the lessons of as many others."""
    robot = Robot(model, _tokenizer())
    blind = Robot(model, _tokenizer(), blind=True)
    found = answered(robot, PICTURES * n, seed)
    return {
        "success_closed": share(episodes(robot, n, seed)),
        "success_open": share(episodes(robot, n, seed, closed=False)),
        "success_unseen": share(episodes(robot, n, seed, "composition")),
        "success_wordings": share(episodes(robot, n, seed, wordings=True)),
        "success_blind": share(episodes(blind, n, seed)),
        "oracle": share(oracle(n, seed)),
        "next_step": share(torch.tensor([a.right for a in found["step"]])),
        "affordance_f1": f1(yes_counts(found["affordance"])),
        "success_detection_f1": f1(yes_counts(found["success"])),
        "vqa": share(torch.tensor([a.right for a in found["question"]])),
        "caption_f1": f1([overlap(a.said, a.lesson.answer) for a in found["caption"]]),
    }


def build(seed: int) -> nn.Module:
    """The model, untrained but for the encoder, which is the shipped table-eye and stays as it is.

    In a pilot in which it was trained on, the first steps, before the language model reads it, undid what it knew: it
    named 11 % of the colours after 1,000 steps, 94 % before.
    """
    model = seeded(lambda: build_palm_e(LANGUAGE, "grid", **GRID), seed)
    model.encoder.load_state_dict(load("table-eye").model.encoder.state_dict())
    model.encoder.freeze()
    return model.to(memory_format=torch.channels_last)


SHIPPED = ShippedModel(
    "palm-e",
    Recipe(0, 1e-3, 0.05, betas=(0.9, 0.98), warm_up=0.02),
    scenes=24_000,
    epochs=4,
    batch=8,
    build=build,
    batches=batches,
    loss=loss,
    measure=measure,
    facts={"configuration": CONFIGURATION},
    tested=EPISODES,
    trial=64,
)
MODELS = (SHIPPED,)
