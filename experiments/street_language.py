"""How the models that join pictures and words are measured on the street world, all in the same way.

A model is asked for captions and for answers, and whether captions belong to pictures; what it cannot do is left out.
Beside each figure stands what a model reaches that sees no picture, or another scene's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from sacrebleu.metrics import BLEU
from torch import nn

from experiments.runner import Figures
from helpers.models.language import write
from helpers.training.device import moved
from helpers.training.fit import Batch, Recipe, Shuffled
from helpers.training.statistics import share
from helpers.worlds.drawn import Drawn
from helpers.worlds.street.captions import CAPTION_FACTS, FOCI, caption
from helpers.worlds.street.lessons import (
    Lessons,
    blind_guesses,
    draw_questions,
    load_lessons,
    prompt_lengths,
    trimmed,
)
from helpers.worlds.street.questions import ANSWERS, QUESTION_KINDS
from helpers.worlds.street.reading import Score, score
from helpers.worlds.streets import load_street
from helpers.worlds.tokenizer import StreetTokenizer

BATCH = 128
LONGEST, LONGEST_ANSWER = 40, 6  # tokens that a model may write
QUESTIONS = 3  # of each picture in a step of training
ALONE = 8  # one text without a picture for so many pictures
EASY = 0.25  # the share of steps, the first, that show streets with one vehicle only
EVERYTHING = 0.5  # the share of steps whose captions are about everything
# How often each kind of question is drawn, against those that a glance at the whole picture answers. In pilots with
# equal weights age, side and facing were still guessed when all else was known, and were learned within 150 steps with
# ten times as many. First comes what one vehicle is like; "exists", of any of forty things, and "more" need most
# lessons, but hold up the others if they come at once.
_FIRST = {"colour": 15, "type": 15, "side": 10, "facing": 10, "age": 10, "exists": 10, "more": 6, "nearer": 6}
_THEN = {"colour": 5, "type": 5, "side": 10, "facing": 8, "age": 10, "exists": 40, "more": 15, "nearer": 6}
_BOTH = {"behind": 6, "road": 3, "sky": 3, "count trees": 3, "count vehicles": 3}
HALFWAY = 0.4  # the share of the steps after which the weights change


def question_weights(done: float) -> torch.Tensor:
    """How likely each kind of question is to be drawn when the share `done` of the steps is done: float [kinds]."""
    often = (_FIRST if done < HALFWAY else _THEN) | _BOTH
    return torch.tensor([float(often.get(kind, 1)) for kind in QUESTION_KINDS])


LEARNED = 4_000  # training scenes from whose questions the one who never sees a picture learns
RESAMPLES = 1_000

Write = Callable[[Any, list[str]], list[str]]


def draw(split: str, n: int, seed: int) -> Drawn:
    """The first `n` scenes of `split`, drawn afresh with `seed`."""
    return load_street(split, n, seed=seed, cache=False, progress=False, captions=0)


@dataclass(frozen=True)
class System:
    """What a trained model can do.

    Args:
        see: what the model sees of scenes, such as a tensor: something of which rows can be taken, one for each scene.
        answer: (rows of `see`, or None for no picture; as many questions) -> the answers.
        describe: (rows of `see`, or None; of each what its caption is to be about, one of FOCI) -> the captions.
        align: (rows of `see`, as many captions) -> float [B], the higher the likelier each caption belongs to its row.
        negatives: (scenes, seed) -> for each kind of false caption, texts that are true and false of scenes: the number
            of the scene, the true and the false text.
        draw: (split, n, seed) -> the scenes, drawn afresh.
    """

    see: Callable[[Drawn], Any]
    answer: Write
    describe: Write | None = None
    align: Callable[[Any, list[str]], torch.Tensor] | None = None
    negatives: Callable[[Sequence, int], dict[str, list[tuple[int, str, str]]]] | None = None
    draw: Callable[[str, int, int], Drawn] = draw


def lesson_batches(
    scenes: int,
    batch: int,
    recipe: Recipe,
    prefix: Callable[..., Batch] | None = None,
    n_questions: int = QUESTIONS,
) -> Callable[[int], Iterable[Batch]]:
    """Pictures uint8 [B, 3, 96, 96], then the groups of `lesson_groups`; at first streets with one vehicle only.

    prefix: (generator, *groups) -> the groups, changed. n_questions: how many are asked of each picture.
    """
    street, lessons = load_street("train", scenes, captions=0), load_lessons("train", scenes)
    alone = torch.tensor([i for i, scene in enumerate(street.scenes) if len(scene.vehicles) == 1])
    easy = int(EASY * recipe.steps)

    def change(parts: Batch, generator: torch.Generator, step: int) -> Batch:
        (rows,) = parts  # the pictures are mapped from a file: only those of the batch are read
        if step < easy:
            rows = alone[rows % len(alone)]
        texts = (lessons.captions[rows], lessons.questions[rows], lessons.asked[rows])
        groups = lesson_groups(*texts, generator, question_weights(step / max(recipe.steps, 1)), n_questions)
        return street.images[rows], *(prefix(generator, *groups) if prefix else groups)

    return Shuffled((torch.arange(scenes),), batch, recipe.seed, change)


def lesson_groups(
    captions: torch.Tensor,
    questions: torch.Tensor,
    asked: torch.Tensor,
    generator: torch.Generator,
    weights: torch.Tensor | None = None,
    n_questions: int = QUESTIONS,
) -> list[torch.Tensor]:
    """What a step teaches of B scenes: ids int64 and lengths of prompts int64 of three groups of texts.

    The groups are captions [B, T], all about the same, so that they are of like length; questions with their answers
    [3B, T], `n_questions` of each scene; and questions with answers that are to go without a picture [B / 8, T].
    captions: int16 [B, 6, 44]. questions: int16 [B, 16, 28]. asked: bool [B, 16]. weights: as of `draw_questions`.
    """
    separator, scenes = StreetTokenizer().sep_id, len(captions)
    focus = len(FOCI) - 1
    if torch.rand((), generator=generator) >= EVERYTHING:
        focus = int(torch.randint(focus, (), generator=generator))
    rows, alone = torch.arange(scenes)[:, None], max(1, scenes // ALONE)
    groups = []
    for ids in (
        captions[:, focus],
        questions[rows, draw_questions(asked, n_questions, generator, weights)].flatten(0, 1),
        questions[rows[:alone], draw_questions(asked[:alone], 1, generator)].flatten(0, 1),
    ):
        ids = trimmed(ids)
        groups += [ids, prompt_lengths(ids, separator)]
    return groups


def measure_language(system: System, n: int, seed: int) -> Figures:
    """Every figure of a model on `n` scenes of the test split and `n` of unseen pairs, drawn afresh with `seed`.

    "vqa" is the share of right answers to all questions of the test scenes, "vqa_unseen" of those of the composition
    split, "vqa_by_type" of each kind of question. "vqa_blind" is the same model's without any picture, beside its
    "majority", which the most frequent training answers reach. "caption_f1" is the F1 of facts, the captions going
    round the foci, and "caption_bleu" the BLEU against one true caption of the same focus. "vqa_shuffled" and
    "caption_f1_shuffled" are the figures with another scene's picture. "alignment_auc" and "alignment_auc_swapped" are
    the probabilities that a true caption is preferred to one of another scene, and to one whose colours are exchanged.
    """
    found: Figures = {}
    learned = load_lessons("train", min(LEARNED, 20 * n), progress=False)
    for split, end in (("test", ""), ("composition", "_unseen")):
        street = system.draw(split, n, seed)
        lessons = load_lessons(split, n, seed, cache=False, progress=False)
        seen = system.see(street)
        found |= _answers(system, seen, lessons, learned, end)
        if system.describe:
            found |= _captions(system, seen, street.scenes, seed, end)
        if system.align and not end:
            found |= _alignment(system, seen, street.scenes, seed)
    return found


def measure_speaker(model: nn.Module, n: int, seed: int, look: Callable[[torch.Tensor], Mapping[str, Any]]) -> Figures:
    """Every figure of `measure_language` of a model that writes with `helpers.models.language.write`.

    look: (pictures uint8 [B, 3, S, S], on the model's device) -> what the model takes of them, by argument.
    """
    tokenizer = StreetTokenizer()
    with moved(model.eval()) as device, torch.inference_mode():

        def written(images: torch.Tensor | None, prompts: list[str], steps: int = LONGEST) -> list[str]:
            seen = {} if images is None else look(images.to(device))
            return write(model, tokenizer, prompts, steps, **seen).texts

        answer = partial(written, steps=LONGEST_ANSWER)
        return measure_language(System(lambda street: street.images, answer, written), n, seed)


def in_batches(speak: Write, seen: Any, prompts: list[str]) -> list[str]:
    """What `speak` gives for all prompts, BATCH at a time."""
    texts: list[str] = []
    for start in range(0, len(prompts), BATCH):
        part = slice(start, start + BATCH)
        texts += speak(None if seen is None else seen[part], prompts[part])
    return texts


def _answers(system: System, seen: Any, lessons: Lessons, learned: Lessons, end: str) -> Figures:
    tokenizer = StreetTokenizer()
    scenes, kinds = lessons.asked.nonzero().unbind(1)
    rows = lessons.questions[scenes, kinds].long()  # [all questions, 28]
    prompts = [
        tokenizer.decode(row[:n]) for row, n in zip(rows, prompt_lengths(rows, tokenizer.sep_id).tolist(), strict=True)
    ]
    truth = [ANSWERS[number] for number in lessons.answers[scenes, kinds].tolist()]

    def right(pictures: Any) -> torch.Tensor:
        said = in_batches(system.answer, pictures, prompts)
        return torch.tensor([a == b for a, b in zip(said, truth, strict=True)])

    hits = right(seen[scenes])
    found = {f"vqa{end}": share(hits)}
    if end:
        return found
    guesses = blind_guesses(learned, lessons, tokenizer.sep_id)[scenes, kinds]
    majority = guesses == lessons.answers[scenes, kinds]
    of_kinds = {kind: kinds == k for k, kind in enumerate(QUESTION_KINDS) if (kinds == k).any()}
    found["vqa_by_type"] = {
        kind: share(hits[asked]) | {"majority": round(majority[asked].float().mean().item(), 4)}
        for kind, asked in of_kinds.items()
    }
    found["vqa_blind"] = share(right(None)) | {"majority": share(majority)["accuracy"]}
    return found | {"vqa_shuffled": share(right(seen[_another(len(seen))[scenes]]))}


def _another(n: int) -> torch.Tensor:
    """For each of `n` scenes another one, int64 [n]."""
    return (torch.arange(n) + max(1, n // 2)) % n


def _captions(system: System, seen: Any, scenes: Sequence, seed: int, end: str) -> Figures:
    foci = [FOCI[i % len(FOCI)] for i in range(len(scenes))]

    def f1(texts: list[str]) -> Figures:
        told = zip(texts, scenes, foci, strict=True)
        return f1_figure([score(text, scene, CAPTION_FACTS[focus]) for text, scene, focus in told], seed)

    texts = in_batches(system.describe, seen, foci)
    found = {f"caption_f1{end}": f1(texts)}
    if end:
        return found
    true = [caption(scene, np.random.default_rng([seed, i]), foci[i]) for i, scene in enumerate(scenes)]
    others = in_batches(system.describe, seen[_another(len(seen))], foci)
    return found | {"caption_f1_shuffled": f1(others), "caption_bleu": bleu_figure(texts, true)}


def bleu_figure(texts: Sequence[str], references: Sequence[str]) -> Figures:
    """The BLEU of all texts together, 0 to 100, each with one reference (Papineni et al. 2002), by sacrebleu.

    The 95 % interval is the library's, by a bootstrap over the texts with a seed of its own.
    """
    found = BLEU().corpus_score(list(texts), [list(references)], n_bootstrap=RESAMPLES)
    bounds = [round(found._mean + sign * found._ci, 2) for sign in (-1, 1)]  # the library has no other name for them
    return {"value": round(found.score, 2), "interval": bounds, "n": len(texts)}


def f1_figure(scores: Sequence[Score], seed: int) -> Figures:
    """The F1 of many captions together, with its 95 % interval by a bootstrap over the captions (Efron 1979)."""
    counts = np.array([list(one) for one in scores])  # [n, 4]
    draws = np.random.default_rng(seed).integers(len(counts), size=(RESAMPLES, len(counts)))
    sums = counts[draws].sum(1)  # [RESAMPLES, 4]
    low, high = np.quantile([Score(*map(int, one)).f1 for one in sums], (0.025, 0.975))
    value = sum(scores, Score(0, 0, 0, 0)).f1
    return {"value": round(value, 4), "interval": [round(float(low), 4), round(float(high), 4)], "n": len(counts)}


def auc_figure(true: torch.Tensor, false: torch.Tensor, seed: int) -> Figures:
    """The probability that a true caption's score, of float [n], lies above a false one's, float [m]; ties are a half.

    The 95 % interval is by a bootstrap over both.
    """

    def auc(a: np.ndarray, b: np.ndarray) -> float:
        order = np.sort(b)
        below, upto = np.searchsorted(order, a, "left"), np.searchsorted(order, a, "right")
        return float((below + upto).mean() / 2 / len(b))

    a, b = true.double().numpy(), false.double().numpy()
    rng = np.random.default_rng(seed)
    drawn = [auc(rng.choice(a, len(a)), rng.choice(b, len(b))) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return {"value": round(auc(a, b), 4), "interval": [round(float(low), 4), round(float(high), 4)], "n": len(a)}


def _alignment(system: System, seen: Any, scenes: Sequence, seed: int) -> Figures:
    found: Figures = {}
    for kind, triples in system.negatives(scenes, seed).items():
        if not triples:
            continue
        rows = torch.tensor([i for i, _, _ in triples])
        scores = []
        for texts in ([true for _, true, _ in triples], [false for _, _, false in triples]):
            parts = zip(rows.split(BATCH), range(0, len(texts), BATCH), strict=True)
            scores.append(torch.cat([system.align(seen[part], texts[at : at + BATCH]) for part, at in parts]))
        found["alignment_auc" if kind == "random" else f"alignment_auc_{kind}"] = auc_figure(*scores, seed)
    return found
