"""What do ViLBERT's two pretraining tasks buy, and do its false captions teach what belongs to what? (Lu et al. 2019)

A small two-stream model is pretrained with masked multimodal learning, with alignment prediction, with both or with
neither, always on the same batches, and then tuned on the questions of few or of many labelled streets. Two further
sentences are about the false captions: random ones can be told by a word, so a model that knows only them should be
worse at captions whose colours are exchanged; one that also learned from exchanged ones should be better at them.

*Ours, smaller:* the paper pretrains on 3.3 million captions, from BERT's weights, and tunes on all of VQA 2.0. Here
the captions are of one pattern, "one red truck, one blue car and oak trees", and the questions are about what it names.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from experiments.runner import Experiment, Figures, Settings, together
from experiments.street_language import auc_figure
from experiments.street_vilbert import only_questions
from helpers.models.vilbert import Regions, ViLBERT, mask_regions, mask_words, region_loss, word_loss
from helpers.training.device import moved
from helpers.training.fit import Batch, Recipe, Shuffled, fit, seeded
from helpers.training.statistics import interval
from helpers.weights.seen import see
from helpers.worlds.boxed import load_boxed
from helpers.worlds.street.lessons import Lessons, draw_questions, load_lessons, trimmed
from helpers.worlds.street.questions import ANSWERS, QUESTION_KINDS
from helpers.worlds.street.regions import CLASSES
from helpers.worlds.street.scene import Scene
from helpers.worlds.tokenizer import SPECIALS, StreetTokenizer

SIZE = {"features": 384, "visual": 96, "language": 96, "text_layers": 1, "co_layers": 2}
BATCH = 64
NAMED = ("exists", "colour", "type", "tree")  # kinds of questions about what the captions name
NONE, MASKED, ALIGNED, BOTH, EXCHANGED = "none", "masked", "alignment", "both", "both, exchanged colours"
LEARNED, CEILING = 0.6, 0.97  # an AUC below the one, an accuracy above the other, says nothing


def sentence(scene: Scene) -> str:
    """Every vehicle with its colour, near to far, and the trees: "one red truck, one blue car and oak trees"."""
    vehicles = ", ".join(f"one {vehicle.colour} {vehicle.kind}" for vehicle in scene.vehicles)
    return f"{vehicles} and {scene.trees.kind if scene.trees else 'no'} trees"


def exchanged(scene: Scene) -> Scene | None:
    """The scene with the colours of its two nearest vehicles exchanged; None if that makes no vehicle new to it."""
    if len(scene.vehicles) < 2:
        return None
    first, second, *rest = scene.vehicles
    turned = replace(first, colour=second.colour), replace(second, colour=first.colour)
    there = {(vehicle.colour, vehicle.kind) for vehicle in scene.vehicles}
    if all((vehicle.colour, vehicle.kind) in there for vehicle in turned):
        return None
    return replace(scene, vehicles=(*turned, *rest))


class Pairs(NamedTuple):
    """n streets with the texts beside them."""

    regions: Regions
    classes: torch.Tensor  # float [n, 11, 14]
    captions: torch.Tensor  # int64 [n, T]
    exchanged: torch.Tensor  # int64 [n, T], the same with colours exchanged; padding where that cannot be
    has: torch.Tensor  # bool [n], whether it can


def texts(scenes: Sequence[Scene]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Captions, exchanged captions and which scenes have one, as in `Pairs`."""
    turned = [exchanged(scene) for scene in scenes]
    lines = [sentence(scene) for scene in scenes] + [sentence(scene) if scene else "" for scene in turned]
    captions, false = StreetTokenizer().sequences([[line] for line in lines]).ids.chunk(2)
    has = torch.tensor([scene is not None for scene in turned])
    return captions, false * has[:, None], has


@cache
def _pairs(split: str, n: int) -> Pairs:
    street = load_boxed(split, n, progress=False)
    seen = see(street)
    return Pairs(seen.regions, seen.classes, *texts(street.scenes))


@cache
def _lessons(split: str, n: int) -> Lessons:
    """The questions of the kinds NAMED."""
    lessons = load_lessons(split, n, progress=False)
    of_kind = torch.tensor([kind in NAMED for kind in QUESTION_KINDS])
    return replace(lessons, answers=lessons.answers.where(of_kind, -1))


def paired(
    captions: torch.Tensor, false: torch.Tensor, has: torch.Tensor, teach: bool, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Texts beside B pictures, int64 [B, T], and which belong to theirs, bool [B], about half.

    Beside the others stands another picture's caption or, if `teach`, in half of the cases in which there is one, the
    own caption with colours exchanged. The true ones are the same either way.
    """
    belongs = torch.rand(len(has), generator=generator) < 0.5
    use = has & (torch.rand(len(has), generator=generator) < 0.5)
    other = captions.roll(1, 0)
    if teach:
        other = torch.where(use[:, None], false, other)
    return trimmed(torch.where(belongs[:, None], captions, other)), belongs


def _pretraining(settings: Settings, seed: int) -> Shuffled:
    tokenizer, pairs = StreetTokenizer(), _pairs("train", settings["scenes"])

    def change(parts: Batch, generator: torch.Generator, step: int) -> Batch:
        features, boxes, real, classes, captions, false, has = parts
        hidden, named = mask_regions(Regions(features, boxes, real), generator)
        ids, belongs = paired(captions, false, has, settings["exchanged"], generator)
        maskable = (ids >= len(SPECIALS)) & (ids != tokenizer.eot_id)
        shown, filled = mask_words(ids, maskable, tokenizer.mask_id, tokenizer.vocab_size, generator)
        return (*hidden, classes, named, ids, shown, filled, belongs)

    return Shuffled((*pairs.regions, *pairs[1:]), settings["batch"], seed, change)


def objective(masked: bool, alignment: bool) -> Callable[..., torch.Tensor]:
    """The sum of the losses of the tasks that are on; words and regions count only where text and picture belong."""

    def loss(net: nn.Module, *parts: torch.Tensor) -> torch.Tensor:
        features, boxes, real, classes, named, ids, shown, filled, belongs = parts
        streams, found = net(Regions(features, boxes, real), shown), []
        if masked:
            found.append(word_loss(net.words(streams), ids, filled & belongs[:, None]))
            found.append(region_loss(net.classes(streams), classes, named & belongs[:, None]))
        if alignment:
            found.append(F.binary_cross_entropy_with_logits(net.alignment(streams), belongs.float()))
        return torch.stack(found).sum()

    return loss


def _question_loss(net: nn.Module, *parts: torch.Tensor) -> torch.Tensor:
    features, boxes, real, asking, right = parts
    return F.cross_entropy(net.answer(net(Regions(features, boxes, real), asking)), right)


def _tuning(settings: Settings, labels: int, seed: int) -> Shuffled:
    """Batches of questions of the first `labels` training scenes, one of each."""
    separator, lessons = StreetTokenizer().sep_id, _lessons("train", settings["scenes"])

    def change(parts: Batch, generator: torch.Generator, step: int) -> Batch:
        features, boxes, real, questions, asked, answers = parts
        kinds, rows = draw_questions(asked, 1, generator)[:, 0], torch.arange(len(real))
        asking = only_questions(questions[rows, kinds].long(), separator)
        return features, boxes, real, asking, answers[rows, kinds].long()

    tensors = (*_pairs("train", settings["scenes"]).regions, lessons.questions, lessons.asked, lessons.answers)
    return Shuffled(tuple(part[:labels] for part in tensors), settings["batch"], seed, change)


def _in_parts(net: nn.Module, read: Callable[..., torch.Tensor], regions: Regions, ids: torch.Tensor) -> torch.Tensor:
    """What `read` gives of both streams, for regions and texts of n pairs, 250 at a time, on the CPU."""
    with moved(net.eval()) as device, torch.inference_mode():
        found = []
        for rows in torch.arange(len(ids)).split(250):
            seen = Regions(*(part.to(device) for part in regions.rows(rows)))
            found.append(read(net(seen, ids[rows].to(device))).cpu())
    return torch.cat(found)


def _asked(net: nn.Module, split: str, n: int) -> tuple[float, float]:
    """The share of right answers to all questions of the kinds NAMED of `n` scenes, and the mean loss."""
    lessons = _lessons(split, n)
    scenes, kinds = lessons.asked.nonzero().unbind(1)
    asking = only_questions(lessons.questions[scenes, kinds].long(), StreetTokenizer().sep_id)
    right = lessons.answers[scenes, kinds].long()
    logits = _in_parts(net, net.answer, _pairs(split, n).regions.rows(scenes), asking)
    return (logits.argmax(1) == right).float().mean().item(), F.cross_entropy(logits, right).item()


def _auc(net: nn.Module, n: int, seed: int) -> Figures:
    """How often a true caption's score lies above a random one's, and above that of one with exchanged colours."""
    pairs = _pairs("test", n)
    other = pairs.captions.roll(1, 0)
    false = {"random": (other, (other != pairs.captions).any(1)), "exchanged": (pairs.exchanged, pairs.has)}
    true = _in_parts(net, net.alignment, pairs.regions, pairs.captions)
    found = {}
    for kind, (ids, rows) in false.items():
        scores = _in_parts(net, net.alignment, pairs.regions.rows(rows), ids[rows])
        found[f"auc {kind}"] = auc_figure(true[rows], scores, seed)["value"]
    return found


def run(settings: Settings, seed: int) -> Figures:
    """Pretrain one model, if at all, measure its alignment, and tune copies of it on few and on many labels."""
    vocabulary = StreetTokenizer().vocab_size
    net = seeded(lambda: ViLBERT(vocabulary, classes=len(CLASSES), answers=len(ANSWERS), **SIZE), seed)
    if settings["masked"] or settings["alignment"]:
        recipe = Recipe(settings["pretraining"], 2e-3, betas=(0.9, 0.98), seed=seed)
        loss = objective(settings["masked"], settings["alignment"])
        fit(net, _pretraining(settings, seed), loss, recipe, progress=False)
    figures = _auc(net, settings["test"], seed)
    losses = []
    for name in ("few", "many"):
        tuned = copy.deepcopy(net)
        recipe = Recipe(settings["tuning"], settings["rate"], betas=(0.9, 0.98), seed=seed)
        fit(tuned, _tuning(settings, settings[name], seed), _question_loss, recipe, progress=False)
        figures[f"vqa {name}"], _ = _asked(tuned, "test", settings["test"])
        losses.append(_asked(tuned, "validation", settings["validation"])[1])
    return figures | {"validation loss": sum(losses) / len(losses)}


def prepare(settings: list[Settings]) -> None:
    """Draw the streets and write the questions that the runs share."""
    wanted = {(split, own[key]) for own in settings for split, key in
              (("train", "scenes"), ("test", "test"), ("validation", "validation"))}  # fmt: skip
    for split, n in sorted(wanted):
        load_boxed(split, n)
        load_lessons(split, n)


def judge(figures: dict[str, list[Figures]]) -> Figures:
    """A verdict for what pretraining buys and one for the false captions, and what each task adds, without one."""

    def of(arm: str, key: str) -> np.ndarray:
        return np.array([100 * run[key] for run in figures[arm]])

    def apart(a: np.ndarray, b: np.ndarray) -> Figures:
        return interval((a - b).tolist())

    def sure(*gaps: Figures) -> str:
        if all(gap["interval"][0] > 0 for gap in gaps):
            return "confirmed"
        return "refuted" if any(gap["interval"][1] <= 0 for gap in gaps) else "undecided"

    few, many = (of(BOTH, f"vqa {n}") - of(NONE, f"vqa {n}") for n in ("few", "many"))
    gain, shrinks = interval(few.tolist()), apart(few, many)
    full = max(of(arm, "vqa many").mean() for arm in (NONE, BOTH)) > 100 * CEILING
    buys = "undecided" if full else sure(gain, shrinks)
    drop = apart(of(BOTH, "auc random"), of(BOTH, "auc exchanged"))
    lift = apart(of(EXCHANGED, "auc exchanged"), of(BOTH, "auc exchanged"))
    learned = of(BOTH, "auc random").mean() >= 100 * LEARNED
    binding = sure(drop, lift) if learned else "undecided"
    none, masked, aligned, both = (of(arm, "vqa few") for arm in (NONE, MASKED, ALIGNED, BOTH))
    return {
        "verdict": together((buys, binding)),
        "pretraining": {"verdict": buys, "gain with few": gain, "more than with many": shrinks},
        "false captions": {"verdict": binding, "lost on exchanged colours": drop, "won by learning them": lift},
        "tasks": {
            "masked": interval(((masked - none + both - aligned) / 2).tolist()),
            "alignment": interval(((aligned - none + both - masked) / 2).tolist()),
            "interaction": interval((both - masked - aligned + none).tolist()),
        },
    }


def _arm(masked: bool, alignment: bool, exchanged: bool = False) -> Settings:
    sizes = {"scenes": 6_000, "pretraining": 800, "tuning": 400, "few": 250, "many": 4_000}
    measured = {"test": 500, "validation": 200, "batch": BATCH}
    return {"masked": masked, "alignment": alignment, "exchanged": exchanged} | sizes | measured


EXPERIMENT = Experiment(
    name="vilbert_pretraining",
    hypothesis="A two-stream model that was pretrained to fill in masked words and regions and to tell true captions "
    "from false ones answers more questions after tuning on few labels than one that was not, and gains less when "
    "labels are many. Pretrained with random false captions it is worse at captions whose colours are exchanged than "
    "at random ones, and learning from exchanged ones makes it better at them.",
    arms={
        NONE: _arm(False, False),
        MASKED: _arm(True, False),
        ALIGNED: _arm(False, True),
        BOTH: _arm(True, True),
        EXCHANGED: _arm(True, True, exchanged=True),
    },
    seeds=tuple(range(5)),
    metric="The share of right answers to the questions about vehicles, colours and trees of 500 new streets after "
    "tuning on those of 250 (few) and of 4,000 labelled streets (many), in points; and, before the tuning, how often a "
    "true caption's score lies above a false one's (AUC), for random captions and for those with exchanged colours.",
    rule="Seed by seed, with 95 % intervals (Student's t). Pretraining: confirmed if the gain of both tasks over none "
    "with few labels, and what it exceeds the gain with many by, both lie wholly above 0; refuted if one of them lies "
    "wholly at or below 0; undecided otherwise, and if an arm's mean with many labels is above 97 %. False captions: "
    "confirmed if the AUC on random captions less that on exchanged colours, and what learning from exchanged colours "
    "adds to the latter, both lie wholly above 0; refuted if one lies wholly at or below 0; undecided otherwise, and "
    "if the mean AUC on random captions is below 0.6. The whole is confirmed if both are, and refuted if one is. The "
    "learning rate of the tuning is the one with the lower validation loss in one run with another seed, for each arm. "
    "What each task adds with few labels is told with its interval and without a verdict.",
    run=run,
    judge=judge,
    quick={
        "scenes": 48,
        "pretraining": 2,
        "tuning": 2,
        "few": 16,
        "many": 32,
        "test": 40,
        "validation": 16,
        "batch": 8,
    },
    grid={"rate": (5e-4, 1.5e-3)},
    tuned_by="validation loss",
    prepare=prepare,
    data=("weights/street-resnet.safetensors", "weights/street-resnet.json"),
)
