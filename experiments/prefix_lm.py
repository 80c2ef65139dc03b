"""Does a prefix language model answer better than a causal one, and do convolutions help it? (Wang et al. 2022)

One network, two eyes and three ways to be trained, all for the same number of steps on the same questions about streets
of 48 px with one vehicle. "causal": no token sees a later one, not even within the picture. "prefix": the picture and
the question see themselves whole. "random prefix": the same, but the prefix ends at a random place of the question, and
the rest of it is to be predicted, too, as in the paper's training. In the end each is asked with the whole question
given, under the mask it was trained with.

*Ours, smaller:* the paper compares far larger models, tuned for questions about photographs after a pretraining; ours
has half a million parameters and learns the questions from the start.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cache

import numpy as np
import torch
from torch import nn

from experiments.runner import Experiment, Figures, Settings, together
from helpers.models.layers import causal_mask, prefix_mask
from helpers.models.simvlm import SimVLM, prefix_lm_loss, sample_prefix
from helpers.training.fit import Batch, Recipe, Shuffled, fit, seeded
from helpers.training.statistics import interval
from helpers.worlds.drawn import Drawn, load
from helpers.worlds.street.lessons import draw_questions, prompt_lengths, trimmed
from helpers.worlds.street.questions import questions
from helpers.worlds.streets import OneVehicle
from helpers.worlds.tokenizer import SEPARATOR, StreetTokenizer

SIDE, BATCH, LENGTH, MOST = 48, 64, 28, 16  # pixels; texts in a step; tokens of a text; questions of a scene
CAUSAL, PREFIX, RANDOM = TRAININGS = ("causal", "prefix", "random prefix")
EYES = ("convolution", "patches")
LEARNS, CEILING = 0.03, 0.97  # an arm says nothing that is no further above guessing, or nearly always right


def pictures(split: str, n: int) -> Drawn:
    """The first `n` streets of `split` with one vehicle."""
    return load(OneVehicle(split, n, SIDE), progress=False)


@cache
def lessons(split: str, n: int) -> torch.Tensor:
    """`<sot> question <sep> answer <eot>` for all questions of the scenes of `pictures`: int16 [n, 16, 28], 0 after."""
    table, tokenizer = torch.zeros(n, MOST, LENGTH, dtype=torch.int16), StreetTokenizer()
    texts, places = [], []
    for i, scene in enumerate(pictures(split, n).scenes):
        for k, qa in enumerate(questions(scene, [9, i])):
            texts.append([qa.question, SEPARATOR, qa.answer])
            places.append((i, k))
    rows, columns = torch.tensor(places).unbind(1)
    table[rows, columns] = tokenizer.sequences(texts, length=LENGTH).ids.short()
    return table


def logits(
    net: SimVLM, training: str, images: torch.Tensor, ids: torch.Tensor, prefix: torch.Tensor, real: torch.Tensor
) -> torch.Tensor:
    """Scores of each next token of the texts, under the mask of the training: float [B, T, vocabulary]."""
    x = torch.cat([net.look(images), net.decoder.token_embedding(ids)], 1)  # [B, N + T, D]
    real = torch.cat([real.new_ones(len(ids), net.tokens), real], 1)
    length = x.shape[1]
    mask = causal_mask(length, x.device) if training == CAUSAL else prefix_mask(net.tokens + prefix, length)
    return net.decoder.logits(net.decoder.read(x, real, mask)[:, net.tokens :])


def build(settings: Settings, seed: int) -> SimVLM:
    """The untrained network of an arm."""
    vocabulary = StreetTokenizer().vocab_size
    shape = {"width": 96, "layers": 3, "heads": 4, "side": SIDE, "channels": (32, 64, 96)}
    return seeded(lambda: SimVLM(vocabulary, LENGTH, image=settings["eye"], **shape), seed)


@torch.inference_mode()
def answers(net: SimVLM, training: str, images: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of questions int64 [n, T] about pictures [n, …]: whether each is answered rightly, bool [n], and the mean loss.

    An answer is right if each of its tokens, the end among them, is the most probable one: what greedy writing gives.
    """
    right, losses = [], []
    for own, rows in zip(images.split(250), ids.split(250), strict=True):
        real, prefix = rows != 0, prompt_lengths(rows, StreetTokenizer().sep_id)
        scores = logits(net, training, own, rows, prefix, real)
        asked = real[:, 1:] & (torch.arange(1, rows.shape[1]) >= prefix[:, None])
        right.append(((scores[:, :-1].argmax(2) == rows[:, 1:]) | ~asked).all(1))
        losses.append(prefix_lm_loss(scores, rows, prefix, real))
    return torch.cat(right), torch.stack(losses).mean()


def guessed(learned: torch.Tensor, asked: torch.Tensor) -> float:
    """The share of questions int64 [n, T] that the most frequent answer to the same words, if any, gets right."""
    separator, counts = StreetTokenizer().sep_id, defaultdict(Counter)

    def parts(row: list[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        at = row.index(separator)
        return tuple(row[:at]), tuple(token for token in row[at:] if token)

    for row in learned.flatten(0, 1).tolist():
        if row[0]:
            question, answer = parts(row)
            counts[question][answer] += 1
    hits = [counts[q].most_common(1)[0][0] == a if counts[q] else False for q, a in map(parts, asked.tolist())]
    return sum(hits) / len(hits)


def questions_of(split: str, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """One question about each of the first `n` streets: pictures uint8 [n, 3, 48, 48] and ids int64 [n, T]."""
    table = lessons(split, n)
    chosen = draw_questions(table[:, :, 0] != 0, 1, torch.Generator().manual_seed(0))[:, 0]
    return pictures(split, n).images, trimmed(table[torch.arange(n), chosen])


def run(settings: Settings, seed: int) -> Figures:
    """Train one network in one way; its accuracy and loss on questions about streets it never saw."""
    training, scenes = settings["training"], settings["scenes"]
    street, table, separator = pictures("train", scenes), lessons("train", scenes), StreetTokenizer().sep_id
    net = build(settings, seed)

    def change(parts: Batch, generator: torch.Generator, step: int) -> Batch:
        images, texts = parts
        chosen = draw_questions(texts[:, :, 0] != 0, 1, generator)[:, 0]
        ids = trimmed(texts[torch.arange(len(texts)), chosen])
        prefix = prompt_lengths(ids, separator)
        if training == RANDOM:
            prefix = sample_prefix(torch.ones_like(prefix), prefix + 1, generator)  # from <sot> alone to all of it
        return images, ids, prefix

    def loss(net: nn.Module, images: torch.Tensor, ids: torch.Tensor, prefix: torch.Tensor) -> torch.Tensor:
        real = ids != 0
        return prefix_lm_loss(logits(net, training, images, ids, prefix, real), ids, prefix, real)

    recipe = Recipe(settings["steps"], settings["rate"], betas=(0.9, 0.98), seed=seed)
    losses = fit(net, Shuffled((street.images, table), BATCH, seed, change), loss, recipe, progress=False).losses
    last = losses[int(0.9 * len(losses)) :]
    figures: Figures = {"training loss": round(sum(last) / len(last), 4)}
    for split in ("validation", "test"):
        images, ids = questions_of(split, settings["test"])
        right, unseen = answers(net, training, images, ids)
        figures[f"{split} loss"] = round(unseen.item(), 4)
        figures[f"{split} accuracy"] = round(right.float().mean().item(), 4)
    return figures | {"guessing": round(guessed(table, ids), 4)}


def judge(figures: dict[str, list[Figures]]) -> Figures:
    """The verdict by the rule."""
    right = {
        (training, eye): 100 * np.array([run["test accuracy"] for run in figures[f"{training}, {eye}"]])
        for training in TRAININGS
        for eye in EYES
    }  # [seeds]
    by_training = {training: np.mean([right[training, eye] for eye in EYES], 0) for training in TRAININGS}
    by_eye = {eye: np.mean([right[training, eye] for training in TRAININGS], 0) for eye in EYES}
    gains = {
        "prefix over causal": by_training[PREFIX] - by_training[CAUSAL],
        "convolution over patches": by_eye["convolution"] - by_eye["patches"],
        "random prefix over prefix": by_training[RANDOM] - by_training[PREFIX],
    }
    told: Figures = {name: interval([float(gain) for gain in of_seeds]) for name, of_seeds in gains.items()}
    means = [of_seeds.mean() / 100 for of_seeds in right.values()]
    blind = figures[f"{PREFIX}, {EYES[0]}"][0]["guessing"]
    says_something = min(means) > blind + LEARNS and max(means) < CEILING

    def verdict(name: str) -> str:
        low, high = told[name]["interval"]
        return "undecided" if not says_something or low <= 0 < high else "confirmed" if low > 0 else "refuted"

    claims = {name: verdict(name) for name in ("prefix over causal", "convolution over patches")}
    return {"verdict": together(claims.values()), "claims": claims, **told}


def prepare(settings: list[Settings]) -> None:
    """Draw the pictures once, before several processes ask for them."""
    for n in {own["scenes"] for own in settings}:
        pictures("train", n)
    for n in {own["test"] for own in settings}:
        pictures("validation", n), pictures("test", n)


EXPERIMENT = Experiment(
    name="prefix_lm",
    hypothesis="At equal steps a language model that reads picture and question under a prefix mask answers more "
    "questions rightly than one under a causal mask, and one whose picture tokens come from three residual blocks more "
    "than one with linear patches.",
    arms={
        f"{training}, {eye}": {"training": training, "eye": eye, "scenes": 8_000, "steps": 800, "test": 1_000}
        for eye in reversed(EYES)  # the residual blocks are the dearer eye
        for training in TRAININGS
    },
    seeds=tuple(range(5)),
    metric="The share of right answers to one question about each of 1,000 new streets, in points; seed by seed the "
    "difference of two trainings, averaged over both eyes, and of the two eyes, averaged over the three trainings.",
    rule="With a 95 % interval (Student's t) over the seeds each of the two claims is confirmed if its difference lies "
    "wholly above 0, refuted if wholly at or below, otherwise undecided; undecided, too, if the mean of an arm is less "
    "than 3 points above what the most frequent answers reach, or 97 % or more. The whole is confirmed if both are, "
    "and refuted if one is. What the random prefix changes is told with its interval and not judged. The learning "
    "rate is the one with the lowest validation loss in one run with another seed, for each arm.",
    run=run,
    judge=judge,
    quick={"scenes": 128, "steps": 4, "test": 40},
    grid={"rate": (1e-3, 3e-3)},
    tuned_by="validation loss",
    prepare=prepare,
)
