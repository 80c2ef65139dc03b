"""What the experiments on PaLM-E share: a small one, its lessons, and how often it says the right next step.

*Ours, smaller:* pictures of 48 px with 36 patches, a language model and an encoder of 64 numbers a token and three
layers, which train in a minute on one core. A *demonstration* is one episode of `helpers.worlds.table.lessons`: three
pictures, each with the instruction and the oracle's next step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from experiments.palm_e import as_text, street_lessons
from helpers.models.palm_e import PalmE, answer_loss, build_palm_e
from helpers.training.fit import Batch, Recipe, fit, seeded
from helpers.training.statistics import share
from helpers.worlds.drawn import Drawn
from helpers.worlds.table.lessons import PICTURES, Lesson, load_table
from helpers.worlds.table.sentences import Part, seen, sentences, table_tokenizer, turn
from helpers.worlds.table.state import state_vector

SIZE = 48
# How much is drawn: episodes to demonstrate, others for the other tasks, and pictures to validate and to test with.
DRAWN = {"demonstrations": 320, "others": 1_000, "validation": 300, "test": 900}
FEW = {"demonstrations": 8, "others": 8, "validation": 30, "test": 30}  # of a quick trial
READ, UNREAD = range(100_000, 200_000), range(200_000, 300_000)  # the numbers of the streets of texts
ROWS, TEXTS = 24, 48  # sentences in a batch with pictures, texts in one without


@dataclass(frozen=True)
class Asked:
    """A lesson with the numbers of the pictures that it is about."""

    lesson: Lesson
    pictures: tuple[int, ...]


def small(encoder: str, seed: int, width: int = 64) -> PalmE:
    """A small PaLM-E with fresh weights; `width` is of the language model."""
    language = {"vocabulary": 704, "length": 224, "width": width, "layers": 3, "heads": 4}
    grid = {} if encoder == "state" else {"image": SIZE, "patch": 8, "size": 64, "layers": 3}
    return seeded(lambda: build_palm_e(language, encoder, **grid), seed)


# Lessons


@cache
def tables(split: str, n: int) -> Drawn:
    """The first `n` pictures of a split."""
    return load_table(split, n, SIZE, progress=False)


def drawn_for(settings: Mapping[str, Any], split: str) -> Drawn:
    """The pictures of a split that settings such as DRAWN ask for."""
    if split == "train":
        return tables(split, PICTURES * (settings["demonstrations"] + settings["others"]))
    return tables(split, settings[split])


def prepare(settings: Sequence[Mapping[str, Any]]) -> None:
    """Draw what all runs look at."""
    for split in ("train", "validation", "test"):
        drawn_for(settings[0], split)


def asked(drawn: Drawn, episodes: Iterable[int], kinds: Sequence[str], first_only: bool = False) -> list[Asked]:
    """The lessons of these kinds about the pictures of `episodes`; with `first_only` one for each picture."""
    found = []
    for number in (PICTURES * episode + k for episode in episodes for k in range(PICTURES)):
        about = [Lesson.from_json(line) for line in drawn.captions[number]]
        chosen = [Asked(one, tuple(number + k for k in one.pictures)) for one in about if one.kind in kinds]
        found += chosen[:1] if first_only else chosen
    return found


def demonstrations(settings: Mapping[str, Any]) -> list[Asked]:
    """The next step at three moments of each of the first "n" episodes."""
    return asked(drawn_for(settings, "train"), range(settings["n"]), ("step",), first_only=True)


def other_lessons(settings: Mapping[str, Any]) -> list[Asked]:
    """Everything but planning, about tables that no demonstration shows."""
    first, kinds = settings["demonstrations"], ("question", "affordance", "success", "caption")
    return asked(drawn_for(settings, "train"), range(first, first + settings["others"]), kinds)


@cache
def _tokenizer():
    return table_tokenizer()


def batch_of(model: PalmE, chosen: Sequence[Asked], drawn: Drawn, encoder: str) -> Batch:
    """Sentences as a batch: ids, real, places, target, and what the encoder takes, in the order of the sentences."""
    rows: list[list[Part]] = [
        [*seen(len(one.pictures), model.encoder.places, encoder != "grid"), *turn(one.lesson.prompt, one.lesson.answer)]
        for one in chosen
    ]
    batch, numbers = sentences(_tokenizer(), rows), [number for one in chosen for number in one.pictures]
    if encoder == "state":
        shown = torch.from_numpy(np.stack([state_vector(drawn.scenes[number]) for number in numbers]))
    else:
        shown = drawn.images[numbers]
    return batch.ids, batch.real, batch.pictures, batch.target, shown


def texts(step: int, n: int, seed: int, streets: range = READ) -> Batch:
    """`n` texts for step `step`: what is asked and told of `streets`, which are not drawn. No text tells of a table,
    so that none gives away a step of a plan."""
    rng = np.random.default_rng([0x7E87, seed, step])
    rows: list[list[Part]] = []
    while len(rows) < n:
        about = street_lessons(int(rng.integers(streets.start, streets.stop)))
        rows += [turn(about[k].prompt, about[k].answer) for k in rng.permutation(len(about))[:3]]
    return as_text(rows[:n])


# Training


def learn_language(model: PalmE, steps: int, seed: int, rate: float) -> None:
    """Train the language model on texts alone; nothing if there are no steps."""

    def read(first: int) -> Iterator[Batch]:
        return (texts(step, TEXTS, seed) for step in range(first, steps))

    if steps:
        fit(model, read, answer_loss, Recipe(steps, rate, seed=seed), progress=False)


def learn_lessons(
    model: PalmE, encoder: str, drawn: Drawn, kinds: Sequence[Sequence[Asked]], steps: int, seed: int, rate: float
) -> list[float]:
    """Train on batches that hold equally many lessons of each of `kinds`; gives the losses."""

    def read(first: int) -> Iterator[Batch]:
        for step in range(first, steps):
            rng = np.random.default_rng([0x1E55, seed, step])
            of_each = ROWS // len(kinds)
            chosen = [kind[int(k)] for kind in kinds for k in rng.integers(len(kind), size=of_each)]
            yield batch_of(model, chosen, drawn, encoder)

    return fit(model, read, answer_loss, Recipe(steps, rate, seed=seed), progress=False).losses


# Measuring


def exact(model: PalmE, *batch: torch.Tensor) -> torch.Tensor:
    """Whether the answer of each sentence is what the model would write, token by token the likeliest: bool [B]."""
    ids, real, places, target, *shown = batch
    with torch.inference_mode():
        written = model.eval()(ids, places, shown, real)[:, :-1].argmax(2)
    wanted = (target & ~places)[:, 1:]
    return ((written == ids[:, 1:]) | ~wanted).all(1)


def _steps(drawn: Drawn) -> Iterator[list[Asked]]:
    """What comes next at each picture, in parts that fit into memory."""
    lessons = asked(drawn, range(len(drawn) // PICTURES), ("step",), first_only=True)
    return (lessons[first : first + 60] for first in range(0, len(lessons), 60))


def right(
    model: PalmE, encoder: str, drawn: Drawn, change: Callable[[torch.Tensor], torch.Tensor] = lambda shown: shown
) -> float:
    """The share of the pictures at which the model says the oracle's next step.

    `change` makes of what the encoder takes what it is shown instead, for a control.
    """
    found = []
    for part in _steps(drawn):
        *words, shown = batch_of(model, part, drawn, encoder)
        found.append(exact(model, *words, change(shown)))
    return share(torch.cat(found))["accuracy"]


def of_another(shown: torch.Tensor) -> torch.Tensor:
    """Each sentence is shown what belongs to another: the control that tells what the words alone are worth."""
    return shown.roll(len(shown) // 2, 0)


def reordered(shown: torch.Tensor) -> torch.Tensor:
    """The slots of each table in another order: no word names a slot by its number here, so nothing should change."""
    return shown[:, torch.randperm(shown.shape[1], generator=torch.Generator().manual_seed(0))]


def step_loss(model: PalmE, encoder: str, drawn: Drawn) -> float:
    """The mean loss of the oracle's next steps at the pictures."""
    found = []
    with torch.inference_mode():
        for part in _steps(drawn):
            found += [answer_loss(model.eval(), *batch_of(model, part, drawn, encoder)).item()] * len(part)
    return sum(found) / len(found)


def text_loss(model: PalmE, n: int) -> float:
    """The mean loss of each token of `n` batches of texts that no training reads."""
    with torch.inference_mode():
        return sum(answer_loss(model.eval(), *texts(k, TEXTS, 0, UNREAD)).item() for k in range(n)) / n
